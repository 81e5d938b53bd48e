package ban

import (
	"net/netip"
	"time"

	"github.com/pyruse/pyruse/internal/state"
)

// key is an address in 16 bytes, IPv4 as IPv4-mapped: unlike a netip.Addr it holds no pointer, so that the garbage collector
// need not look at the bans.
type key [16]byte

func keyOf(a netip.Addr) key { return a.As16() }

func (k key) addr() netip.Addr { return netip.AddrFrom16(k).Unmap() }

// record is what is remembered of a ban beside its set and address: 32 bytes.
type record struct {
	since, until int64 // microseconds since 1970; an until of 0 is for ever
	chain        int32 // index into Keeper.chains
	step         int32
	status       status
}

type status uint8

const (
	queued  status = 1 << iota // its key is in the queue of the set
	inForce                    // the firewall has it
	gone                       // it is to be taken out of the firewall, and then forgotten
	expired                    // it is gone since its time is over
	refused                    // the set does not take it, which was told
)

func (r record) is(s status) bool { return r.status&s != 0 }

// due is when something is to be done about a ban: it expires, or must be put in again. An entry is stale
// when the record says otherwise.
type due struct {
	at  int64 // microseconds since 1970
	set int32
	key key
}

// dueHeap is a binary heap of the soonest. container/heap would allocate for each entry.
type dueHeap []due

func (h *dueHeap) push(d due) {
	*h = append(*h, d)
	s := *h
	for i := len(s) - 1; i > 0; {
		parent := (i - 1) / 2
		if s[parent].at <= s[i].at {
			break
		}
		s[parent], s[i] = s[i], s[parent]
		i = parent
	}
}

func (h *dueHeap) pop() due {
	s := *h
	top := s[0]
	last := len(s) - 1
	s[0] = s[last]
	*h = s[:last]
	h.sink(0)
	return top
}

func (h dueHeap) sink(i int) {
	for {
		child := 2*i + 1
		if child >= len(h) {
			return
		}
		if child+1 < len(h) && h[child+1].at < h[child].at {
			child++
		}
		if h[i].at <= h[child].at {
			return
		}
		h[i], h[child] = h[child], h[i]
		i = child
	}
}

// order makes a heap of entries in any order.
func (h dueHeap) order() {
	for i := len(h)/2 - 1; i >= 0; i-- {
		h.sink(i)
	}
}

// banSet is the desired state of one set.
type banSet struct {
	backend, name string
	canonical     string // as a Change spells it
	index         int32
	bans          map[key]record
	live          int // the bans that are not gone
	queue         []key

	expires   bool // the firewall lets bans go by itself
	intervals bool // an element may cover many addresses

	compareAt time.Time // when to compare with the firewall; zero: no need
	countAt   time.Time // when to count the elements next
	failure   error     // why nothing can be done at present; nil: all is well
	retryAt   time.Time
	delay     time.Duration
}

// ban returns a record as a state.Ban.
func (k *Keeper) ban(s *banSet, a key, r record) state.Ban {
	b := state.Ban{
		Backend: s.backend, Set: s.name, Addr: a.addr(),
		Since: time.UnixMicro(r.since), Chain: k.chains[r.chain], Step: int(r.step),
	}
	if r.until != 0 {
		b.Until = time.UnixMicro(r.until)
	}
	return b
}

// setFor returns the set of a ban, a new one if need be. mu is held.
func (k *Keeper) setFor(backend, name string) *banSet {
	id := [2]string{backend, name}
	if s := k.sets[id]; s != nil {
		return s
	}
	s := &banSet{backend: backend, name: name, canonical: name, index: int32(len(k.order)), bans: map[key]record{}}
	if n, err := ParseNFTSet(name); err == nil && backend == state.BackendNFT {
		s.canonical = n.String()
	}
	k.sets[id] = s
	k.order = append(k.order, s)
	return s
}

// chainIndex returns the number of a chain's label. mu is held.
func (k *Keeper) chainIndex(label string) int32 {
	i, ok := k.chainIndices[label]
	if !ok {
		i = int32(len(k.chains))
		k.chains = append(k.chains, label)
		k.chainIndices[label] = i
	}
	return i
}

// put makes b desired, and returns its set. If its time is over, an earlier ban that it replaces is on its way
// out; changed is false if there is nothing to do. mu is held.
func (k *Keeper) put(b state.Ban, now time.Time) (s *banSet, changed bool) {
	s = k.setFor(b.Backend, b.Set)
	a := keyOf(b.Addr)
	old, known := s.bans[a]
	r := record{since: b.Since.UnixMicro(), chain: k.chainIndex(b.Chain), step: int32(b.Step), status: old.status & queued}
	if !b.Until.IsZero() {
		r.until = max(b.Until.UnixMicro(), 1)
	}
	over := b.Expired(now)
	if over && !known {
		return s, false
	}
	held := known && !old.is(gone)
	if held {
		k.count(s, -1)
	}
	if over {
		r.status |= gone
	} else {
		k.count(s, 1)
		if !held || old.since != r.since || old.until != r.until {
			k.schedule(s, a, r, now)
		}
	}
	s.bans[a] = r
	return s, true
}

// count adds to the number of live bans. mu is held.
func (k *Keeper) count(s *banSet, n int) {
	s.live += n
	k.live += n
}

// ipsetAgain is how often a ban of ipset is put in again that is longer than ipset can hold.
const ipsetAgain = ipsetMaxTimeout / 2

// schedule remembers when there is something to do about a ban. mu is held.
func (k *Keeper) schedule(s *banSet, a key, r record, now time.Time) {
	if r.until == 0 {
		return
	}
	at := r.until
	if s.backend == state.BackendIPSet { // counted from since, so that isDue can tell
		period := ipsetAgain.Microseconds()
		past := max(now.UnixMicro()-r.since, 0)
		at = min(at, r.since+(past/period+1)*period)
	}
	if len(k.dues) > 2*k.live+1024 {
		k.tidyDues()
	}
	k.dues.push(due{at, s.index, a})
}

// isDue reports whether d is what was scheduled for the ban r last.
func (s *banSet) isDue(d due, r record) bool {
	if r.is(gone) || r.until == 0 {
		return false
	}
	return d.at == r.until || s.backend == state.BackendIPSet && d.at < r.until && (d.at-r.since)%ipsetAgain.Microseconds() == 0
}

// tidyDues throws stale entries away, of which there is one for each ban that was replaced or lifted before its time.
func (k *Keeper) tidyDues() {
	kept := k.dues[:0]
	for _, d := range k.dues {
		s := k.order[d.set]
		if r, ok := s.bans[d.key]; ok && s.isDue(d, r) {
			kept = append(kept, d)
		}
	}
	k.dues = kept
	k.dues.order()
}

// enqueue has the worker look at a ban. mu is held.
func (s *banSet) enqueue(a key) {
	r := s.bans[a]
	if !r.is(queued) {
		r.status |= queued
		s.bans[a] = r
		s.queue = append(s.queue, a)
	}
}

// expire takes the bans out whose time is over by now, and returns those that nothing is left to do about. mu is held.
func (k *Keeper) expire(now time.Time) []Event {
	var events []Event
	for len(k.dues) > 0 && k.dues[0].at <= now.UnixMicro() {
		d := k.dues.pop()
		s := k.order[d.set]
		r, ok := s.bans[d.key]
		switch {
		case !ok || !s.isDue(d, r):
		case r.until > now.UnixMicro(): // ipset must be told again
			r.status &^= inForce
			s.bans[d.key] = r
			s.enqueue(d.key)
			k.schedule(s, d.key, r, now)
		case s.expires && !r.is(queued):
			k.count(s, -1)
			delete(s.bans, d.key)
			events = append(events, k.event(Expired, s, d.key, r))
		default:
			k.count(s, -1)
			r.status = r.status&queued | gone | expired
			s.bans[d.key] = r
			s.enqueue(d.key)
		}
	}
	return events
}
