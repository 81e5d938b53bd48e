package ban

import (
	"context"
	"errors"
	"net/netip"
	"time"
)

// task is a part of the work on a set: what was desired when it was taken.
type task struct {
	adds    []Element
	records []record // of adds
	lifts   []netip.Addr
	forgets []netip.Addr // gone, and nothing to do about it
}

func (t *task) add(a key, r record, now time.Time) {
	e := Element{Addr: a.addr()}
	if r.until != 0 {
		e.Timeout = time.UnixMicro(r.until).Sub(now)
	}
	t.adds = append(t.adds, e)
	t.records = append(t.records, r)
}

// step does one thing about a set, and reports whether there may be more to do at once.
func (k *Keeper) step(ctx context.Context, s *banSet) bool {
	fw := k.firewalls[s.backend]
	k.mu.Lock()
	now := k.now()
	retry := s.failure != nil
	if retry && s.retryAt.After(now) {
		k.mu.Unlock()
		return false
	}
	compare := !s.compareAt.IsZero() && !s.compareAt.After(now)
	count := !s.countAt.IsZero() && !s.countAt.After(now)
	k.mu.Unlock()
	switch {
	case fw == nil:
		k.fail(s, noFirewall(s.backend))
	case retry || compare:
		return k.compare(ctx, s, fw)
	case count:
		k.recount(ctx, s, fw)
		return true
	default:
		return k.work(ctx, s, fw)
	}
	return false
}

// compare makes the set hold all that it should, and tells how many bans it lacked.
func (k *Keeper) compare(ctx context.Context, s *banSet, fw Firewall) bool {
	k.mu.Lock()
	now := k.now()
	s.compareAt = time.Time{}
	var t task
	for a, r := range s.bans {
		if !r.is(gone) && (r.until == 0 || r.until > now.UnixMicro()) {
			t.add(a, r, now)
		}
	}
	k.mu.Unlock()
	missing, out, err := k.missing(ctx, s, fw, t.adds)
	restored := len(missing)
	for i := 0; err == nil && i < len(missing); i += batchSize {
		var some Outcome
		some, err = fw.Add(ctx, s.name, missing[i:min(i+batchSize, len(missing))])
		restored -= len(some.Rejected)
		some.Rejected = append(out.Rejected, some.Rejected...)
		out = some
	}
	if err != nil {
		k.fail(s, err)
		return false
	}
	k.mu.Lock()
	recovered := s.failure != nil
	s.failure, s.delay = nil, 0
	s.expires, s.intervals = out.Expires, out.Intervals
	events := k.settle(s, t, out, false)
	k.planCount(s, fw)
	k.mu.Unlock()
	if recovered {
		k.events(Event{Kind: Recovered, Backend: s.backend, Set: s.name, Count: restored})
	} else if restored > 0 {
		k.events(Event{Kind: Restored, Backend: s.backend, Set: s.name, Count: restored})
	}
	k.tell(events)
	return true
}

// planCount has the elements of the set counted in a while, if that is the way to notice what others do. mu is held.
func (k *Keeper) planCount(s *banSet, fw Firewall) {
	if _, ok := fw.(Counter); ok && s.live > 0 && s.countAt.IsZero() {
		s.countAt = k.now().Add(countEvery)
	}
}

// missing returns what the set lacks. A set without bans is only looked at, and need not exist.
func (k *Keeper) missing(ctx context.Context, s *banSet, fw Firewall, want []Element) ([]Element, Outcome, error) {
	if len(want) > 0 {
		return fw.Missing(ctx, s.name, want)
	}
	info, err := fw.Inspect(ctx, s.name)
	if errors.Is(err, ErrNoSet) {
		err = nil
	}
	return nil, Outcome{Expires: info.Timeouts, Intervals: info.Intervals}, err
}

// recount has a set compared that has fewer elements than it should.
func (k *Keeper) recount(ctx context.Context, s *banSet, fw Firewall) {
	n, err := fw.(Counter).Count(ctx, s.name)
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now()
	s.countAt = time.Time{}
	k.planCount(s, fw)
	expected := 0
	for _, r := range s.bans {
		// One that is about to expire may be gone already, as ipset counts in whole seconds.
		if r.is(inForce) && (r.until == 0 || r.until > now.Add(2*time.Second).UnixMicro()) {
			expected++
		}
	}
	if err != nil || n < expected {
		s.compareAt = now
	}
}

// work takes some of the queue of a set to its firewall.
func (k *Keeper) work(ctx context.Context, s *banSet, fw Firewall) bool {
	k.mu.Lock()
	now := k.now()
	n := min(len(s.queue), batchSize)
	if n == 0 {
		k.mu.Unlock()
		return false
	}
	var t task
	taken := s.queue[:n]
	for _, a := range taken {
		r := s.bans[a]
		r.status &^= queued
		s.bans[a] = r
		switch {
		case r.is(expired) && s.expires:
			t.forgets = append(t.forgets, a.addr())
		case r.is(gone):
			t.lifts = append(t.lifts, a.addr())
		case !r.is(inForce) && (r.until == 0 || r.until > now.UnixMicro()):
			t.add(a, r, now)
		}
	}
	if s.queue = s.queue[n:]; len(s.queue) == 0 {
		s.queue = nil // one storm's worth of memory is not kept
	}
	k.room.Broadcast()
	k.mu.Unlock()
	var out Outcome
	var err error
	if len(t.adds) > 0 {
		out, err = fw.Add(ctx, s.name, t.adds)
	}
	if err == nil && len(t.lifts) > 0 {
		err = fw.Remove(ctx, s.name, t.lifts)
	}
	k.mu.Lock()
	if err != nil {
		k.giveBack(s, t)
		k.mu.Unlock()
		k.fail(s, err)
		return false
	}
	if len(t.adds) > 0 {
		s.expires, s.intervals = out.Expires, out.Intervals
	}
	events := k.settle(s, t, out, true)
	k.planCount(s, fw)
	k.mu.Unlock()
	k.tell(events)
	return true
}

// giveBack puts what was taken into the queue again. mu is held.
func (k *Keeper) giveBack(s *banSet, t task) {
	for _, e := range t.adds {
		s.enqueueAgain(keyOf(e.Addr))
	}
	for _, list := range [][]netip.Addr{t.lifts, t.forgets} {
		for _, a := range list {
			s.enqueueAgain(keyOf(a))
		}
	}
}

func (s *banSet) enqueueAgain(a key) {
	if _, ok := s.bans[a]; ok {
		s.enqueue(a)
	}
}

// settle notes what of a task is done, unless something else is desired by now, and returns the events. mu is held.
func (k *Keeper) settle(s *banSet, t task, out Outcome, isNew bool) []Event {
	var events []Event
	why := make(map[netip.Addr]error, len(out.Rejected))
	for _, r := range out.Rejected {
		why[r.Addr] = r.Err
	}
	for i, e := range t.adds {
		a, was := keyOf(e.Addr), t.records[i]
		r, ok := s.bans[a]
		if !ok || r.is(gone) || r.until != was.until || r.since != was.since {
			continue
		}
		err := why[e.Addr]
		switch {
		case err == nil:
			r.status = r.status&^refused | inForce
			if isNew {
				events = append(events, k.event(Banned, s, a, r))
			}
		case !r.is(refused):
			r.status |= refused
			event := k.event(Rejected, s, a, r)
			event.Err = err
			events = append(events, event)
		}
		s.bans[a] = r
	}
	for _, list := range [][]netip.Addr{t.lifts, t.forgets} {
		for _, addr := range list {
			a := keyOf(addr)
			r, ok := s.bans[a]
			if !ok || !r.is(gone) || r.is(queued) {
				continue
			}
			delete(s.bans, a)
			kind := Unbanned
			if r.is(expired) {
				kind = Expired
			}
			events = append(events, k.event(kind, s, a, r))
		}
	}
	return events
}

// fail notes that nothing can be done about a set, and when to try again. Only the first failure is told.
func (k *Keeper) fail(s *banSet, err error) {
	k.mu.Lock()
	first := s.failure == nil
	s.failure = err
	s.delay = min(max(2*s.delay, retryFirst), retryLast)
	s.retryAt = k.now().Add(s.delay)
	count := s.live
	k.room.Broadcast()
	k.mu.Unlock()
	if first {
		k.events(Event{Kind: Failed, Backend: s.backend, Set: s.name, Count: count, Err: err})
	}
}
