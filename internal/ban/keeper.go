package ban

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/pyruse/pyruse/internal/state"
)

// Options say how a Keeper works.
type Options struct {
	// Firewalls are what the bans of each backend take effect in; the Keeper closes them when Run ends.
	Firewalls map[string]Firewall
	// Now is the clock by which bans expire.
	Now func() time.Time
	// Events is told what happens. It is called from the worker and from the watchers, must not block for long, and must
	// not call Flush. Nil: nobody wants to know.
	Events func(Event)
	// Queue bounds how many new bans of one set may wait for the worker; 0 is DefaultQueue.
	Queue int
}

// DefaultQueue is the usual bound of the bans that wait for the firewall, for each set.
const DefaultQueue = 65536

// EventKind tells events apart.
type EventKind uint8

// The kinds of events.
const (
	Banned    EventKind = iota + 1 // Ban is in force; a new ban only, not one that is put back
	Unbanned                       // Ban was lifted before its time
	Expired                        // the time of Ban is over
	Rejected                       // Set does not take Ban, for reasons of Ban's own: Err. It is tried again when the set is
	Failed                         // nothing can be done to Set: Err. Count bans wait; it is tried again
	Recovered                      // Set works again; Count bans were put in
	Restored                       // Count bans were put into Set that were not there: at the start, or since somebody took them out
	Unwatched                      // changes that others make go unnoticed for a while: Err
)

// Event is something that the worker of a Keeper did, or could not do.
type Event struct {
	Kind    EventKind
	Backend string
	Set     string
	Ban     state.Ban // Banned, Unbanned, Expired, Rejected
	Count   int       // Failed, Recovered, Restored
	Err     error     // Rejected, Failed, Unwatched
}

const (
	batchSize = 8192 // bans in one call of a firewall, and in one transaction

	retryFirst = time.Second // after a failure, doubled each time
	retryLast  = time.Minute
	// settleTime is how long after a change by somebody else the set is compared, so that
	// a reload in several steps is looked at when it is through.
	settleTime = 75 * time.Millisecond
	// countEvery is how often the elements of a set are counted that nobody watches.
	countEvery = 5 * time.Second
	// wakeEvery bounds a wait, so that a jump of the clock is noticed.
	wakeEvery = time.Minute
	// stopTime is how long the last bans may take to reach the firewall when Run is to end.
	stopTime = 5 * time.Second
)

// Keeper is the desired state of the firewall, and the worker that makes it so. All methods are safe
// for concurrent use.
type Keeper struct {
	firewalls map[string]Firewall
	now       func() time.Time
	events    func(Event)
	limit     int
	wake      chan struct{} // capacity 1

	mu           sync.Mutex
	room         sync.Cond // a queue has become shorter, or running false
	running      bool
	ended        bool
	sets         map[[2]string]*banSet // by backend and name
	order        []*banSet             // by index
	chains       []string
	chainIndices map[string]int32
	dues         dueHeap
	live         int
	flushes      []chan error
}

// NewKeeper returns a Keeper without bans. Its worker is Run.
func NewKeeper(o Options) *Keeper {
	k := &Keeper{
		firewalls: o.Firewalls, now: o.Now, events: o.Events, limit: o.Queue, wake: make(chan struct{}, 1),
		sets: map[[2]string]*banSet{}, chainIndices: map[string]int32{},
	}
	if k.events == nil {
		k.events = func(Event) {}
	}
	if k.limit <= 0 {
		k.limit = DefaultQueue
	}
	k.room.L = &k.mu
	return k
}

// Load adds bans that may be in force already, such as those of the run before: sets are compared with the kernel, and only
// what is missing is put in. Those that have expired are taken out of sets that do not let them go by themselves.
func (k *Keeper) Load(bans []state.Ban) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now()
	for _, b := range bans {
		a := keyOf(b.Addr)
		s, changed := k.put(b, now)
		if !changed { // over, and so far unknown
			s.bans[a] = record{
				since: b.Since.UnixMicro(), until: b.Until.UnixMicro(), chain: k.chainIndex(b.Chain), step: int32(b.Step),
				status: gone | expired,
			}
		}
		if s.bans[a].is(gone) {
			s.enqueue(a)
		}
		s.compareAt = now
	}
	k.poke()
}

// Ban makes bans desired; a later ban of an address in a set replaces the earlier one. One whose time is over by now is
// not put in. Ban keeps no reference to the slice. When more bans of a set wait for the worker than Options.Queue, Ban
// blocks until there is room, unless the set has failed (its bans wait without a bound, each once) or
// Run has not begun or has ended.
func (k *Keeper) Ban(bans []state.Ban) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now()
	for _, b := range bans {
		s, changed := k.put(b, now)
		if !changed {
			continue
		}
		s.enqueue(keyOf(b.Addr))
		for k.running && s.failure == nil && len(s.queue) >= k.limit {
			k.poke()
			k.room.Wait()
		}
	}
	k.poke()
}

// Unban lifts the bans of addr in the sets of that name, in all sets if set is "", and returns them.
func (k *Keeper) Unban(addr netip.Addr, set string) []state.Ban {
	k.mu.Lock()
	defer k.mu.Unlock()
	var lifted []state.Ban
	a := keyOf(addr)
	for _, s := range k.order {
		r, ok := s.bans[a]
		if !ok || r.is(gone) || set != "" && s.name != set && s.canonical != set {
			continue
		}
		lifted = append(lifted, k.ban(s, a, r))
		k.count(s, -1)
		r.status = r.status&queued | gone
		s.bans[a] = r
		s.enqueue(a)
	}
	k.poke()
	return lifted
}

// Bans returns the bans that are to hold, in no order. It takes some 10 ms for 100,000.
func (k *Keeper) Bans() []state.Ban {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now().UnixMicro()
	bans := make([]state.Ban, 0, k.live)
	for _, s := range k.order {
		for a, r := range s.bans {
			if !r.is(gone) && (r.until == 0 || r.until > now) {
				bans = append(bans, k.ban(s, a, r))
			}
		}
	}
	return bans
}

// Has reports whether a ban is desired.
func (k *Keeper) Has(b state.BanKey) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, s := range k.order {
		if s.backend == b.Backend && s.name == b.Set {
			r, ok := s.bans[keyOf(b.Addr)]
			return ok && !r.is(gone)
		}
	}
	return false
}

// Len returns the number of bans that are to hold.
func (k *Keeper) Len() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.live
}

// SetStats is how one set is.
type SetStats struct {
	Backend string
	Set     string
	Bans    int   // that are to hold
	Waiting int   // that wait for the worker, liftings included
	Err     error // why they wait: nil if they do not have to
}

// Stats returns how the sets are, in the order in which they were first used.
func (k *Keeper) Stats() []SetStats {
	k.mu.Lock()
	defer k.mu.Unlock()
	stats := make([]SetStats, len(k.order))
	for i, s := range k.order {
		stats[i] = SetStats{Backend: s.backend, Set: s.name, Bans: s.live, Waiting: len(s.queue), Err: s.failure}
	}
	return stats
}

// Problems returns a sentence for each set that does not work at present.
func (k *Keeper) Problems() []string {
	var problems []string
	for _, s := range k.Stats() {
		if s.Err != nil {
			problems = append(problems, fmt.Sprintf("%d bans in %s %q are not in force: %v", s.Bans, s.Backend, s.Set, s.Err))
		}
	}
	return problems
}

// Flush waits until everything that was asked for before has been tried. The error joins those
// of the sets that do not work.
func (k *Keeper) Flush(ctx context.Context) error {
	done := make(chan error, 1)
	k.mu.Lock()
	if k.ended {
		k.mu.Unlock()
		return ErrStopped
	}
	k.flushes = append(k.flushes, done)
	k.poke()
	k.mu.Unlock()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// poke wakes the worker.
func (k *Keeper) poke() {
	select {
	case k.wake <- struct{}{}:
	default: // it will look anyhow
	}
}

// Run is the worker: it makes the firewalls hold what is desired until ctx ends. Then it hands over what still waits, for at most 5 seconds, and
// closes the firewalls. What is in their sets stays. Run is called once.
func (k *Keeper) Run(ctx context.Context) error {
	var watchers, begun sync.WaitGroup
	for backend, fw := range k.firewalls {
		if w, ok := fw.(Watcher); ok {
			begun.Add(1)
			watchers.Go(func() { k.watch(ctx, backend, w, sync.OnceFunc(begun.Done)) })
		}
	}
	begun.Wait() // so that the sets of Load need not be compared a second time when it begins
	k.mu.Lock()
	k.running = true
	k.mu.Unlock()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		timer.Reset(k.pass(ctx))
		select {
		case <-ctx.Done():
		case <-k.wake:
		case <-timer.C:
		}
	}
	k.mu.Lock()
	k.running = false
	k.room.Broadcast()
	k.mu.Unlock()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
	defer cancel()
	k.pass(last)
	watchers.Wait()
	k.mu.Lock()
	k.ended = true
	for _, done := range k.flushes {
		done <- ErrStopped
	}
	k.flushes = nil
	k.mu.Unlock()
	return k.close()
}

func (k *Keeper) close() error {
	var errs []error
	for _, fw := range k.firewalls {
		errs = append(errs, fw.Close())
	}
	return errors.Join(errs...)
}

// watch keeps a firewall watched. Whenever it begins to, anything may have changed before. It calls begun as soon
// as it watches, or cannot.
func (k *Keeper) watch(ctx context.Context, backend string, w Watcher, begun func()) {
	defer begun()
	told := false
	for delay := retryFirst; ctx.Err() == nil; delay = min(2*delay, retryLast) {
		err := w.Watch(ctx, func(c Change) {
			if c == (Change{}) {
				told, delay = false, retryFirst
			}
			k.changed(backend, c)
			begun()
		})
		begun()
		if ctx.Err() != nil {
			return
		}
		if !told && k.uses(backend) {
			told = true
			k.events(Event{Kind: Unwatched, Backend: backend, Err: err})
		}
		select {
		case <-ctx.Done():
		case <-time.After(delay):
		}
	}
}

// uses reports whether there ever was a ban for the backend.
func (k *Keeper) uses(backend string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.ContainsFunc(k.order, func(s *banSet) bool { return s.backend == backend })
}

// changed has the sets compared that somebody else's change may concern.
func (k *Keeper) changed(backend string, c Change) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, s := range k.order {
		if s.backend != backend || !s.concerns(c) {
			continue
		}
		at := k.now().Add(settleTime)
		if s.compareAt.IsZero() || s.compareAt.After(at) {
			s.compareAt = at
			k.poke()
		}
		if s.failure != nil && s.retryAt.After(at) {
			s.retryAt = at
			k.poke()
		}
	}
}

func (s *banSet) concerns(c Change) bool {
	switch {
	case c.Table == "":
		return true
	case len(s.canonical) <= len(c.Table) || s.canonical[len(c.Table)] != ' ' || s.canonical[:len(c.Table)] != c.Table:
		return false
	case c.Set == "":
		return true
	case s.canonical[len(c.Table)+1:] != c.Set:
		return false
	case !c.Addr.IsValid() || s.intervals:
		return true
	}
	r, ok := s.bans[keyOf(c.Addr)]
	return ok && !r.is(gone)
}

// pass does all that can be done now, and returns how long there is nothing to do, unless
// somebody pokes.
func (k *Keeper) pass(ctx context.Context) time.Duration {
	k.mu.Lock()
	flushes := k.flushes
	k.flushes = nil
	events := k.expire(k.now())
	sets := slices.Clone(k.order)
	k.mu.Unlock()
	k.tell(events)
	for _, s := range sets {
		for more := true; more && ctx.Err() == nil; {
			more = k.step(ctx, s)
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(flushes) > 0 {
		var errs []error
		for _, s := range k.order {
			if s.failure != nil {
				errs = append(errs, s.failure)
			}
		}
		err := errors.Join(append(errs, ctx.Err())...)
		for _, done := range flushes {
			done <- err
		}
	}
	return k.idle(k.now())
}

// idle returns how long nothing needs to be done. mu is held.
func (k *Keeper) idle(now time.Time) time.Duration {
	wait := wakeEvery
	until := func(t time.Time) { wait = min(wait, max(t.Sub(now), 0)) }
	if len(k.dues) > 0 {
		until(time.UnixMicro(k.dues[0].at))
	}
	for _, s := range k.order {
		switch {
		case s.failure != nil:
			until(s.retryAt)
		case len(s.queue) > 0:
			until(now)
		case !s.compareAt.IsZero():
			until(s.compareAt)
		case !s.countAt.IsZero():
			until(s.countAt)
		}
	}
	return wait
}

func (k *Keeper) tell(events []Event) {
	for _, e := range events {
		k.events(e)
	}
}

func (k *Keeper) event(kind EventKind, s *banSet, a key, r record) Event {
	return Event{Kind: kind, Backend: s.backend, Set: s.name, Ban: k.ban(s, a, r)}
}
