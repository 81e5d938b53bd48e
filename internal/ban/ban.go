// Package ban knows which addresses are to be banned until when, and makes the firewall agree.
//
// A Keeper holds the desired state: bans in sets of nftables or ipset. Its worker makes the kernel hold the same, by netlink
// or by running the administrator's command, lets bans go when their time is over, and puts them
// back when somebody else took them out. A Guard says which addresses are never banned.
package ban

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/pyruse/pyruse/internal/state"
)

// Errors that tell what is wrong with a set or with an element; they are wrapped with the name of the set.
var (
	// ErrNoSet says that the set, or the table that should hold it, does not exist. It
	// is worth trying again later.
	ErrNoSet = errors.New("no such set")
	// ErrFamily says that an address is IPv6 and the set holds IPv4, or the other way round.
	ErrFamily = errors.New("wrong address family for this set")
	// ErrType says that the set holds something else than addresses.
	ErrType = errors.New("not a set of addresses")
	// ErrStopped says that the keeper's worker has ended.
	ErrStopped = errors.New("the keeper has stopped")
)

// Element is an address that a set shall hold.
type Element struct {
	Addr    netip.Addr
	Timeout time.Duration // until it is to be dropped; 0: for ever
	Absent  bool          // it was just seen that the set lacks it: nothing needs to be replaced
}

// Rejection is an element that a set does not take, whereas it takes others.
type Rejection struct {
	Addr netip.Addr
	Err  error
}

// Outcome is what a firewall found out about a set while it worked on it.
type Outcome struct {
	Rejected  []Rejection
	Expires   bool // the set drops elements by itself when their timeout is over
	Intervals bool // an element of the set may cover many addresses
}

// SetInfo describes a set as it is in the kernel.
type SetInfo struct {
	Type      string // "ipv4_addr", "ipv6_addr"; "hash:ip inet", "hash:net inet6"
	IPv4      bool   // it holds IPv4 addresses
	IPv6      bool   // it holds IPv6 addresses
	Timeouts  bool   // its elements can have a timeout
	Intervals bool   // its elements can be networks
}

// Firewall is a place where bans take effect. Its methods are called from one goroutine at a time. An error of a method concerns
// the set as a whole; part of the elements may have been worked on, and doing the same
// again is harmless.
type Firewall interface {
	// Add puts elements into a set; for an address that is there already, the timeout starts anew. An
	// address that is within a wider element of the set counts as added.
	Add(ctx context.Context, set string, elems []Element) (Outcome, error)
	// Remove takes addresses out of a set. One that is not there is no error.
	Remove(ctx context.Context, set string, addrs []netip.Addr) error
	// Missing returns those of want that the set lacks, or would drop more than a second too early. A firewall
	// that cannot list its sets returns all.
	Missing(ctx context.Context, set string, want []Element) ([]Element, Outcome, error)
	// Inspect describes a set.
	Inspect(ctx context.Context, set string) (SetInfo, error)
	// Close ends the connections; what is in the sets stays. The next call connects anew.
	Close() error
}

// Watcher is a Firewall that tells at once when somebody else changes its sets.
type Watcher interface {
	// Watch calls notify, which must not block, for every change that another program makes, until ctx ends or the
	// connection fails. It begins with the zero Change as soon as no change can be missed any more.
	Watch(ctx context.Context, notify func(Change)) error
}

// Change says what another program has changed; the zero value says that it can be anything.
type Change struct {
	Table string     // family and table: "ip Inet4"
	Set   string     // the name within the table; "": any
	Addr  netip.Addr // the deleted element; the zero value: any
}

// Counter is a Firewall that does not tell changes, but can count cheaply.
type Counter interface {
	// Count returns the number of elements of a set.
	Count(ctx context.Context, set string) (int, error)
}

// Check looks whether a set is fit for the addresses that it shall get. A set that is made on demand, and
// is not there yet, is fit.
func Check(ctx context.Context, firewalls map[string]Firewall, backend, set string, ipv6 bool) (SetInfo, error) {
	fw := firewalls[backend]
	if fw == nil {
		return SetInfo{}, noFirewall(backend)
	}
	info, err := fw.Inspect(ctx, set)
	switch {
	case errors.Is(err, ErrNoSet) && madeOnDemand(backend, set):
		return SetInfo{IPv4: !ipv6, IPv6: ipv6, Timeouts: true}, nil
	case err != nil:
		return info, err
	case ipv6 && !info.IPv6:
		return info, fmt.Errorf("%s set %q is of type %s, but gets IPv6 addresses: %w", backend, set, info.Type, ErrFamily)
	case !ipv6 && !info.IPv4:
		return info, fmt.Errorf("%s set %q is of type %s, but gets IPv4 addresses: %w", backend, set, info.Type, ErrFamily)
	}
	return info, nil
}

func madeOnDemand(backend, set string) bool {
	if backend == state.BackendIPSet {
		return ValidIPSetName(set) == nil
	}
	name, err := ParseNFTSet(set)
	return err == nil && name.Own()
}

func noFirewall(backend string) error {
	return fmt.Errorf("find the firewall: unknown backend %q", backend)
}

// fits splits off the elements whose address family a set does not hold.
func (i SetInfo) fits(set string, elems []Element) ([]Element, []Rejection) {
	misfit := func(e Element) bool { return e.Addr.Is4() && !i.IPv4 || e.Addr.Is6() && !i.IPv6 }
	if !slices.ContainsFunc(elems, misfit) {
		return elems, nil
	}
	var rejected []Rejection
	fit := make([]Element, 0, len(elems))
	for _, e := range elems {
		if misfit(e) {
			rejected = append(rejected, Rejection{e.Addr, fmt.Errorf("set %q is of type %s: %w", set, i.Type, ErrFamily)})
			continue
		}
		fit = append(fit, e)
	}
	return fit, rejected
}

// halve calls try with items, and again with ever smaller parts for as long as it fails with an error that split
// accepts. When a single item fails so, it goes to alone.
func halve[T any](items []T, try func([]T) error, split func(error) bool, alone func(T, error)) error {
	err := try(items)
	if err == nil || !split(err) {
		return err
	}
	if len(items) == 1 {
		alone(items[0], err)
		return nil
	}
	half := len(items) / 2
	if err := halve(items[:half], try, split, alone); err != nil {
		return err
	}
	return halve(items[half:], try, split, alone)
}
