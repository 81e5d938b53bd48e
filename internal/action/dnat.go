package action

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/pyruse/pyruse/internal/entry"
	"github.com/pyruse/pyruse/internal/state"
)

// part is one of the addresses and ports that a mapping can be looked up by.
type part uint8

const (
	addr part = 1 << iota
	port
	daddr
	dport
)

// lookupKey is the text of the parts that a look-up names; the others are empty.
type lookupKey struct{ addr, port, daddr, dport string }

// mapping is one captured connection: the client saddr:sport appears as addr:port -> daddr:dport.
// A missing value is a part that the captured entry did not have.
type mapping struct {
	id    int64
	until int64 // microseconds since 1970
	parts [6]entry.Value

	inHeap bool // has its element in ends, as every mapping of the table
}

const (
	iSaddr = iota
	iSport
	iAddr
	iPort
	iDaddr
	iDport
)

// DNAT is the table of captured mappings, used by one goroutine only.
type DNAT struct {
	limit   int
	peak    int // the largest limit that was ever in force: no more rows are in the database
	lastID  int64
	byParts map[[6]entry.Value]*mapping
	indexes map[part]map[lookupKey][]*mapping // newest last
	ends    dueHeap[*mapping]                 // one element each
	added   map[int64]*mapping
	removed []int64
	evicted int
}

// NewDNAT returns an empty table for at most limit mappings. When it is full, the
// one that would end first gives way.
func NewDNAT(limit int) *DNAT {
	return &DNAT{
		limit:   limit,
		peak:    limit,
		byParts: map[[6]entry.Value]*mapping{},
		indexes: map[part]map[lookupKey][]*mapping{},
		added:   map[int64]*mapping{},
	}
}

// index makes look-ups by these parts possible.
func (t *DNAT) index(by part) {
	if t.indexes[by] != nil {
		return
	}
	index := map[lookupKey][]*mapping{}
	t.indexes[by] = index
	all := make([]*mapping, 0, len(t.byParts))
	for _, m := range t.byParts {
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b *mapping) int { return int(a.id - b.id) })
	for _, m := range all {
		addTo(index, by, m)
	}
}

// Live returns how many mappings the table holds.
func (t *DNAT) Live() int { return len(t.byParts) }

// Evicted returns how many mappings had to give way because the table was full.
func (t *DNAT) Evicted() int { return t.evicted }

// textOf is how parts are compared: an address in its canonical form, anything else
// as its text, so that the port 80 and the captured text "80" are the same.
func textOf(v entry.Value) string {
	text := v.Text()
	if a, err := netip.ParseAddr(text); err == nil {
		return a.Unmap().WithZone("").String()
	}
	return text
}

func (m *mapping) key(by part) (lookupKey, bool) {
	var k lookupKey
	for _, x := range []struct {
		part part
		at   int
		into *string
	}{{addr, iAddr, &k.addr}, {port, iPort, &k.port}, {daddr, iDaddr, &k.daddr}, {dport, iDport, &k.dport}} {
		if by&x.part == 0 {
			continue
		}
		if m.parts[x.at].IsNone() {
			return k, false // what was not captured fits no look-up by it
		}
		*x.into = textOf(m.parts[x.at])
	}
	return k, true
}

func addTo(index map[lookupKey][]*mapping, by part, m *mapping) {
	if k, ok := m.key(by); ok {
		index[k] = append(index[k], m)
	}
}

// capture remembers a mapping from now on for keep microseconds. One that is captured again becomes
// the newest, and does not end earlier than it would have: what was captured before still holds.
func (t *DNAT) capture(parts [6]entry.Value, now, keep int64) {
	t.removeEnded(now)
	for i := range parts {
		parts[i] = parts[i].Clone()
	}
	m := t.byParts[parts]
	if m != nil {
		t.unlink(m) // it becomes the newest again
	} else {
		t.evict(len(t.byParts) - t.limit + 1)
		m = &mapping{parts: parts}
	}
	t.lastID++
	m.id, m.until = t.lastID, max(m.until, now+min(keep, state.Forever-1-max(now, 0)))
	t.link(m)
}

func (t *DNAT) link(m *mapping) {
	t.byParts[m.parts] = m
	t.added[m.id] = m
	for by, index := range t.indexes {
		addTo(index, by, m)
	}
	if !m.inHeap {
		m.inHeap = true
		t.ends.push(m.until, m)
	}
}

// unlink forgets a mapping, but for its element in ends.
func (t *DNAT) unlink(m *mapping) {
	delete(t.byParts, m.parts)
	for by, index := range t.indexes {
		k, ok := m.key(by)
		if !ok {
			continue
		}
		if list := slices.DeleteFunc(index[k], func(x *mapping) bool { return x == m }); len(list) > 0 {
			index[k] = list
		} else {
			delete(index, k)
		}
	}
	if t.added[m.id] != nil {
		delete(t.added, m.id)
	} else if len(t.removed) < t.peak { // a row left behind has ended by the time it is loaded
		t.removed = append(t.removed, m.id)
	}
}

// evict removes the n mappings that end first, but no more than an operation may.
func (t *DNAT) evict(n int) {
	for range min(n, removeBatch) {
		t.evictFirst()
	}
}

func (t *DNAT) evictFirst() {
	for {
		first := t.ends.pop()
		if first.at >= first.what.until {
			t.unlink(first.what)
			t.evicted++
			return
		}
		t.ends.push(first.what.until, first.what) // it was captured again since
	}
}

// removeEnded removes some of the mappings that have ended, and of those that a lower limit has no room for.
func (t *DNAT) removeEnded(now int64) {
	t.evict(len(t.byParts) - t.limit)
	for range removeBatch {
		if len(t.ends) == 0 || t.ends[0].at > now {
			return
		}
		m := t.ends.pop().what
		if m.until > now { // it was captured again since
			t.ends.push(m.until, m)
			continue
		}
		t.unlink(m)
	}
}

// find returns the newest live mapping with these parts.
func (t *DNAT) find(by part, key lookupKey, now int64) *mapping {
	t.removeEnded(now)
	list := t.indexes[by][key]
	for i := len(list) - 1; i >= 0; i-- {
		if list[i].until > now {
			return list[i]
		}
	}
	return nil
}

// Changed reports whether there is anything to commit.
func (t *DNAT) Changed() bool { return len(t.added)+len(t.removed) > 0 }

// Collect adds to the batch what changed since the last call of Committed.
func (t *DNAT) Collect(b *state.Batch) error {
	b.DNAT = b.DNAT[:0]
	for _, m := range t.added {
		var texts [6]string
		for i, v := range m.parts {
			if !v.IsMissing() {
				texts[i] = encodeValue(v)
			}
		}
		text, err := json.Marshal(texts)
		if err != nil {
			return fmt.Errorf("encode a DNAT mapping: %w", err)
		}
		b.DNAT = append(b.DNAT, state.DNAT{ID: m.id, Mapping: string(text), Until: time.UnixMicro(m.until)})
	}
	b.ForgetDNAT = append(b.ForgetDNAT[:0], t.removed...)
	return nil
}

// Committed tells that the batch of the last Collect is in the database.
func (t *DNAT) Committed() {
	clear(t.added)
	t.removed = t.removed[:0]
}

// MarkAllDirty makes the next Collect return everything: the database was lost.
func (t *DNAT) MarkAllDirty() {
	t.removed = t.removed[:0]
	for _, m := range t.byParts {
		t.added[m.id] = m
	}
}

// Load puts a mapping of the database into the table; they come oldest first.
func (t *DNAT) Load(x state.DNAT) error {
	var texts [6]string
	if err := json.Unmarshal([]byte(x.Mapping), &texts); err != nil {
		return fmt.Errorf("decode a DNAT mapping: %w", err)
	}
	m := &mapping{id: x.ID, until: x.Until.UnixMicro()}
	for i, text := range texts {
		if text == "" {
			continue
		}
		v, err := decodeValue(text)
		if err != nil {
			return fmt.Errorf("decode a DNAT mapping: %w", err)
		}
		m.parts[i] = v
	}
	t.lastID = max(t.lastID, x.ID)
	t.link(m)
	delete(t.added, m.id) // it is in the database
	return nil
}
