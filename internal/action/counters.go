package action

import (
	"errors"
	"hash/maphash"
	"math"
	"slices"

	"github.com/pyruse/pyruse/internal/entry"
	"github.com/pyruse/pyruse/internal/state"
)

// Counters is the table of all counters. A counter belongs to a category and a
// key; each raise lives for a time of its own, on the entries' clock. The table is used by one
// goroutine only. No operation looks at more than a few keys.
type Counters struct {
	limit      int
	peak       int // the largest limit that was ever in force: no more rows are in the database
	categories map[string]*Category
	byNumber   []*Category
	seed       maphash.Seed
	index      map[uint64]uint32 // the hash of category and key: the first counter with that hash
	slab       [][]counter       // in chunks, so that growing copies nothing
	used       uint32            // slots of the slab that were ever used
	free       []uint32
	ends       dueHeap[uint32] // one element for each counter that ends some time
	live       int
	dirty      []uint32
	deleted    []state.Counter // ended counters whose rows are to be deleted
	evicted    int
}

// Category is the counters of one name.
type Category struct {
	table  *Counters
	number uint32
	name   string
	live   int // keys
}

const chunkSize = 1024

// counter is kept small: there may be a million. For the same reason the index
// holds hashes, not keys; counters with the same hash are chained.
type counter struct {
	key      entry.Value
	category uint32
	next     uint32       // another counter with the same hash; the counter itself if it is the last
	runs     [2]state.Run // sorted by end; the usual case
	more     *longCounter // many runs, or a grace period
	count    uint8        // of runs in use, while more is nil
	flags    uint8
}

type longCounter struct {
	runs  []state.Run // sorted by end
	total int64
	grace int64
}

const (
	inHeap    = 1 << iota // has an element in ends
	isDirty               // differs from the database
	persisted             // has a row in the database
	inUse                 // is not on the free list
)

// maxRuns bounds the memory of one counter: beyond it, neighbouring raises are
// merged in pairs, and the earlier of two then lives as long as the later one.
const maxRuns = 1024

// ErrCountersFull is the run-time error of a raise when the table is full of counters that never end.
var ErrCountersFull = errors.New("the counter table is full (limits.counterKeys) and none of its keys ever ends; give the raises keepSeconds")

// NewCounters returns an empty table for at most limit live keys. When it is full, the key
// that would end first gives way to the new one.
func NewCounters(limit int) *Counters {
	limit = min(limit, math.MaxUint32)
	return &Counters{
		limit: limit, peak: limit, categories: map[string]*Category{}, seed: maphash.MakeSeed(), index: map[uint64]uint32{},
	}
}

// Category returns the counters of that name.
func (t *Counters) Category(name string) *Category {
	c, ok := t.categories[name]
	if !ok {
		c = &Category{table: t, number: uint32(len(t.byNumber)), name: name}
		t.categories[name] = c
		t.byNumber = append(t.byNumber, c)
	}
	return c
}

// Live returns how many keys the table holds, those included that have ended and are not yet removed.
func (t *Counters) Live() int { return t.live }

// Evicted returns how many keys had to give way because the table was full.
func (t *Counters) Evicted() int { return t.evicted }

func (t *Counters) at(i uint32) *counter { return &t.slab[i/chunkSize][i%chunkSize] }

// keyOf makes equal numbers equal keys; the integer 33 and the string "33" stay two keys.
func keyOf(v entry.Value) entry.Value {
	if v.Kind() == entry.Float {
		if f := v.Float(); f == math.Trunc(f) && math.Abs(f) < 1<<62 {
			return entry.IntValue(int64(f))
		}
	}
	return v
}

// Raise raises the counter of key at time now (microseconds since 1970) for keep
// microseconds, for ever if keep is 0, and returns its value. During a grace period it counts nothing and returns 0.
func (c *Category) Raise(key entry.Value, now, keep int64) (int64, error) {
	c.table.removeEnded(now)
	i, err := c.get(key)
	if err != nil {
		return 0, err
	}
	n := c.table.at(i)
	if n.more != nil && now < n.more.grace {
		return 0, nil
	}
	until := state.Forever
	if keep > 0 && now < state.Forever-keep {
		until = now + keep
	}
	n.prune(now)
	n.add(until)
	c.table.touch(i, n)
	return n.value(), nil
}

// Reset zeroes the counter of key; raises within grace microseconds from now on do not count.
func (c *Category) Reset(key entry.Value, now, grace int64) error {
	c.table.removeEnded(now)
	if _, ok := c.find(keyOf(key)); !ok && grace <= 0 {
		return nil
	}
	i, err := c.get(key)
	if err != nil {
		return err
	}
	n := c.table.at(i)
	n.count, n.runs, n.more = 0, [2]state.Run{}, nil
	if grace > 0 {
		n.more = &longCounter{grace: now + min(grace, state.Forever-1-now)}
	}
	c.table.touch(i, n)
	return nil
}

// Value returns the value of the counter of key at time now.
func (c *Category) Value(key entry.Value, now int64) int64 {
	i, ok := c.find(keyOf(key))
	if !ok {
		return 0
	}
	n := c.table.at(i)
	n.prune(now)
	return n.value()
}

func (t *Counters) hash(category uint32, key entry.Value) uint64 {
	return maphash.Comparable(t.seed, struct {
		category uint32
		key      entry.Value
	}{category, key})
}

// find returns the counter of key, if there is one.
func (c *Category) find(key entry.Value) (uint32, bool) {
	t := c.table
	i, ok := t.index[t.hash(c.number, key)]
	for ok {
		n := t.at(i)
		if n.category == c.number && n.key == key {
			return i, true
		}
		i, ok = n.next, n.next != i
	}
	return 0, false
}

// get returns the counter of key, a new one if there is none.
func (c *Category) get(key entry.Value) (uint32, error) {
	key = keyOf(key)
	if i, ok := c.find(key); ok {
		return i, nil
	}
	t := c.table
	if t.live >= t.limit && t.evict(t.live-t.limit+1) == 0 {
		return 0, ErrCountersFull
	}
	var i uint32
	if k := len(t.free); k > 0 {
		i, t.free = t.free[k-1], t.free[:k-1]
	} else {
		i = t.used
		t.used++
		if i%chunkSize == 0 {
			t.slab = append(t.slab, make([]counter, chunkSize))
		}
	}
	h := t.hash(c.number, key)
	next, ok := t.index[h]
	if !ok {
		next = i
	}
	*t.at(i) = counter{key: key.Clone(), category: c.number, next: next, flags: inUse}
	t.index[h] = i
	t.live++
	c.live++
	return i, nil
}

// touch marks a counter as changed and makes sure that it is removed when it has ended.
func (t *Counters) touch(i uint32, n *counter) {
	if n.flags&isDirty == 0 {
		n.flags |= isDirty
		t.dirty = append(t.dirty, i)
		if len(t.dirty) > 2*t.live+4096 { // freed and used again while nothing could be committed
			slices.Sort(t.dirty)
			t.dirty = slices.DeleteFunc(slices.Compact(t.dirty), func(i uint32) bool { return t.at(i).flags&isDirty == 0 })
		}
	}
	if n.flags&inHeap == 0 {
		if end := n.end(); end != state.Forever {
			n.flags |= inHeap
			t.ends.push(end, i)
		}
	}
}

// removeBatch bounds how many counters one operation removes: enough to keep up with any inflow.
const removeBatch = 4

// evict removes the n counters that end first, but no more than an operation may, and returns how many it has removed.
func (t *Counters) evict(n int) int {
	n = min(n, removeBatch)
	for i := range n {
		if !t.evictFirst() {
			return i
		}
	}
	return n
}

// evictFirst removes the counter that ends first, and reports whether there is one that ends.
func (t *Counters) evictFirst() bool {
	for len(t.ends) > 0 {
		first := t.ends.pop()
		n := t.at(first.what)
		switch end := n.end(); {
		case end <= first.at:
			t.remove(first.what)
			t.evicted++
			return true
		case end == state.Forever: // raised since, without end
			n.flags &^= inHeap
		default: // raised since
			t.ends.push(end, first.what)
		}
	}
	return false
}

// removeEnded removes some of the counters that have ended, and of those that a lower limit has no room for.
func (t *Counters) removeEnded(now int64) {
	if t.live > t.limit {
		t.evict(t.live - t.limit)
	}
	for range removeBatch {
		if len(t.ends) == 0 || t.ends[0].at > now {
			return
		}
		i := t.ends.pop().what
		n := t.at(i)
		n.flags &^= inHeap
		switch end := n.end(); {
		case end == state.Forever:
		case end > now: // it was raised since
			n.flags |= inHeap
			t.ends.push(end, i)
		default:
			t.remove(i)
		}
	}
}

// remove frees a counter that has no element in ends any more.
func (t *Counters) remove(i uint32) {
	n := t.at(i)
	t.unlink(i, n)
	c := t.byNumber[n.category]
	c.live--
	if n.flags&persisted != 0 && len(t.deleted) < t.peak { // a row left behind has ended by the time it is loaded
		t.deleted = append(t.deleted, state.Counter{Category: c.name, Key: encodeValue(n.key)})
	}
	*n = counter{}
	t.free = append(t.free, i)
	t.live--
}

// unlink takes a counter out of the chain of its hash.
func (t *Counters) unlink(i uint32, n *counter) {
	h := t.hash(n.category, n.key)
	first := t.index[h]
	switch {
	case first != i:
		before := first
		for t.at(before).next != i {
			before = t.at(before).next
		}
		next := n.next
		if next == i { // it was the last: now the one before is
			next = before
		}
		t.at(before).next = next
	case n.next == i:
		delete(t.index, h)
	default:
		t.index[h] = n.next
	}
}

// list returns the runs of the counter.
func (n *counter) list() []state.Run {
	if n.more != nil {
		return n.more.runs
	}
	return n.runs[:n.count]
}

// end returns when the counter is without meaning; Forever: never. A counter that
// holds nothing has ended already.
func (n *counter) end() int64 {
	var end int64
	if runs := n.list(); len(runs) > 0 {
		end = runs[len(runs)-1].Until
	}
	if n.more != nil {
		end = max(end, n.more.grace)
	}
	return end
}

func (n *counter) value() int64 {
	if n.more != nil {
		return n.more.total
	}
	var sum int64
	for _, r := range n.runs[:n.count] {
		sum += r.N
	}
	return sum
}

// prune forgets the runs that have ended.
func (n *counter) prune(now int64) {
	if n.more != nil {
		gone := 0
		for gone < len(n.more.runs) && n.more.runs[gone].Until <= now {
			n.more.total -= n.more.runs[gone].N
			gone++
		}
		n.more.runs = n.more.runs[gone:]
		return
	}
	for n.count > 0 && n.runs[0].Until <= now {
		n.runs[0] = n.runs[1]
		n.count--
	}
}

// add counts one raise that ends at until.
func (n *counter) add(until int64) {
	if n.more == nil {
		for i := range n.runs[:n.count] {
			if n.runs[i].Until == until {
				n.runs[i].N++
				return
			}
		}
		if n.count < uint8(len(n.runs)) {
			n.runs[n.count] = state.Run{Until: until, N: 1}
			if n.count == 1 && n.runs[0].Until > until {
				n.runs[0], n.runs[1] = n.runs[1], n.runs[0]
			}
			n.count++
			return
		}
		n.more = &longCounter{runs: append(make([]state.Run, 0, 4), n.runs[:]...), total: n.value()}
		n.count = 0
	}
	n.more.add(until)
}

func (m *longCounter) add(until int64) {
	m.total++
	i := len(m.runs)
	for i > 0 && m.runs[i-1].Until > until { // nearly always at the end
		i--
	}
	if i > 0 && m.runs[i-1].Until == until {
		m.runs[i-1].N++
		return
	}
	m.runs = slices.Insert(m.runs, i, state.Run{Until: until, N: 1})
	if len(m.runs) > maxRuns {
		m.merge()
	}
}

// merge halves the number of runs.
func (m *longCounter) merge() {
	half := m.runs[:0]
	for i := 0; i < len(m.runs); i += 2 {
		r := m.runs[i]
		if i+1 < len(m.runs) {
			r = state.Run{Until: m.runs[i+1].Until, N: r.N + m.runs[i+1].N}
		}
		half = append(half, r)
	}
	m.runs = half
}

// Changed reports whether there is anything to commit.
func (t *Counters) Changed() bool { return len(t.dirty)+len(t.deleted) > 0 }

// Collect adds to the batch what changed since the last call of Committed.
func (t *Counters) Collect(b *state.Batch) {
	b.Counters = append(b.Counters[:0], t.deleted...)
	for _, i := range t.dirty {
		n := t.at(i)
		if n.flags&isDirty == 0 {
			continue // freed since
		}
		x := state.Counter{Category: t.byNumber[n.category].name, Key: encodeValue(n.key), Runs: n.list()}
		if n.more != nil {
			x.Grace = n.more.grace
		}
		b.Counters = append(b.Counters, x)
	}
}

// Committed tells that the batch of the last Collect is in the database.
func (t *Counters) Committed() {
	for _, i := range t.dirty {
		n := t.at(i)
		if n.flags&isDirty == 0 {
			continue
		}
		n.flags &^= isDirty
		n.flags &^= persisted
		if len(n.list()) > 0 || n.more != nil {
			n.flags |= persisted
		}
	}
	t.dirty = t.dirty[:0]
	t.deleted = t.deleted[:0]
}

// MarkAllDirty makes the next Collect return everything: the database was lost.
func (t *Counters) MarkAllDirty() {
	t.dirty, t.deleted = t.dirty[:0], t.deleted[:0]
	for i := range t.used {
		if n := t.at(i); n.flags&inUse != 0 {
			n.flags |= isDirty
			t.dirty = append(t.dirty, i)
		}
	}
}

// Load puts a counter of the database into the table.
func (t *Counters) Load(x state.Counter) error {
	key, err := decodeValue(x.Key)
	if err != nil {
		return err
	}
	i, err := t.Category(x.Category).get(key)
	if err != nil {
		return err
	}
	n := t.at(i)
	if len(x.Runs) <= len(n.runs) && x.Grace == 0 {
		n.count = uint8(copy(n.runs[:], x.Runs))
	} else {
		n.more = &longCounter{runs: slices.Clone(x.Runs), grace: x.Grace}
		for _, r := range x.Runs {
			n.more.total += r.N
		}
	}
	n.flags |= persisted
	if end := n.end(); end != state.Forever {
		n.flags |= inHeap
		t.ends.push(end, i)
	}
	return nil
}
