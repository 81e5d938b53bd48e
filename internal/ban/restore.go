package ban

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pyruse/pyruse/internal/state"
)

// Result is what Restore did.
type Result struct {
	Restored int // bans that are in force now
	Expired  int // bans whose time is over
}

// Restore makes bans hold without a running Keeper, with the time that each has left at now, such as before the daemon
// starts. Those that have expired are taken out of sets that do not let them go by themselves. What fails in one
// set keeps none from the others: the error joins those of all sets, and of single bans. The firewalls are closed.
func Restore(ctx context.Context, firewalls map[string]Firewall, bans []state.Ban, now time.Time) (Result, error) {
	var errs []error
	var r Result
	k := NewKeeper(Options{
		Firewalls: firewalls,
		Now:       func() time.Time { return now },
		Events: func(e Event) {
			if e.Kind == Rejected {
				errs = append(errs, fmt.Errorf("ban %s: %w", e.Ban.Addr, e.Err))
			}
		},
	})
	k.Load(bans)
	k.pass(ctx)
	for _, s := range k.order {
		for _, rec := range s.bans {
			if rec.is(inForce) {
				r.Restored++
			}
		}
		if s.failure != nil {
			errs = append(errs, s.failure)
		}
	}
	for _, b := range bans {
		if b.Expired(now) {
			r.Expired++
		}
	}
	return r, errors.Join(append(errs, ctx.Err(), k.close())...)
}

// Lift takes bans out of the firewalls without a running Keeper. The error joins those of all sets. The firewalls are closed.
func Lift(ctx context.Context, firewalls map[string]Firewall, bans []state.Ban) error {
	k := NewKeeper(Options{Firewalls: firewalls, Now: time.Now})
	k.mu.Lock()
	for _, b := range bans {
		s := k.setFor(b.Backend, b.Set)
		a := keyOf(b.Addr)
		s.bans[a] = record{chain: k.chainIndex(b.Chain), status: gone}
		s.enqueue(a)
	}
	k.mu.Unlock()
	k.pass(ctx)
	var errs []error
	for _, s := range k.Stats() {
		errs = append(errs, s.Err)
	}
	return errors.Join(append(errs, ctx.Err(), k.close())...)
}
