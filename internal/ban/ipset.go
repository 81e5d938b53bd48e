package ban

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

const (
	// ipsetMaxTimeout is the longest timeout that ipset(8) takes: 2147483 s, not quite 25 days. The Keeper
	// puts longer bans in again before it is over.
	ipsetMaxTimeout = 2147483 * time.Second
	// ipsetMaxElem is the size of the sets that are made on demand; ipset's default is 65536.
	// Memory is taken as elements come.
	ipsetMaxElem = 1 << 20
	ipsetType    = "hash:ip"

	errIPSetFull = nl.IPSET_ERR_TYPE_SPECIFIC // IPSET_ERR_HASH_FULL of linux/netfilter/ipset/ip_set_hash.h
)

// NewIPSet returns the firewall of ipset. command is the argument list that runs ipset, as configured;
// IPSetCommand tells when netlink is used instead. Nothing is connected or run yet.
func NewIPSet(command []string) (Firewall, error) {
	argv, useNetlink := IPSetCommand(command)
	if useNetlink {
		return &ipsetNetlink{untimed: map[string]bool{}}, nil
	}
	return newCommand(argv, ipsetDialect{})
}

// IPSetCommand returns the argument list with which ipset is to be run, or reports that netlink is to be used directly: when
// list is empty, or an ipset binary with no other options than -exist and -quiet.
func IPSetCommand(list []string) (argv []string, useNetlink bool) {
	if len(list) == 0 {
		return nil, true
	}
	other := func(arg string) bool { return !slices.Contains([]string{"-exist", "-!", "-quiet", "-q"}, arg) }
	if filepath.Base(list[0]) == "ipset" && !slices.ContainsFunc(list[1:], other) {
		return nil, true
	}
	return list, false
}

// ipsetNetlink is ipset by netlink. The kernel has no transactions here, and tells no
// changes; an element is one request.
type ipsetNetlink struct {
	handle  *netlink.Handle
	untimed map[string]bool // sets that were found to take no timeouts
}

var (
	_ Firewall = (*ipsetNetlink)(nil)
	_ Counter  = (*ipsetNetlink)(nil)
)

// do makes a request over the lasting connection. The netlink package panics on an error that is no errno, such as
// the one of a broken connection; that becomes an error, and the next request connects anew.
func (s *ipsetNetlink) do(request func(h *netlink.Handle) error) (err error) {
	if s.handle == nil {
		h, err := netlink.NewHandle(unix.NETLINK_NETFILTER)
		if err != nil {
			return fmt.Errorf("connect to ipset: %w", err)
		}
		s.handle = h
	}
	defer func() {
		if r := recover(); r != nil {
			err = errors.Join(fmt.Errorf("talk to ipset: %v", r), s.Close())
		}
	}()
	return request(s.handle)
}

// Close implements Firewall.
func (s *ipsetNetlink) Close() error {
	if s.handle != nil {
		s.handle.Close()
		s.handle = nil
	}
	return nil
}

func isIPSetErr(err error, code int) bool {
	var e nl.IPSetError
	return errors.As(err, &e) && int(e) == code
}

// create makes a set for the address family.
func (s *ipsetNetlink) create(set string, ipv6 bool) error {
	noDefault := uint32(0)
	opts := netlink.IpsetCreateOptions{Timeout: &noDefault, MaxElements: ipsetMaxElem, Family: unix.AF_INET}
	if ipv6 {
		opts.Family = unix.AF_INET6
	}
	if err := s.do(func(h *netlink.Handle) error { return h.IpsetCreate(set, ipsetType, opts) }); err != nil {
		return fmt.Errorf("create ipset %q: %w", set, err)
	}
	delete(s.untimed, set)
	return nil
}

// Add implements Firewall.
func (s *ipsetNetlink) Add(ctx context.Context, set string, elems []Element) (Outcome, error) {
	if err := ValidIPSetName(set); err != nil {
		return Outcome{}, err
	}
	var rejected []Rejection
	for _, e := range elems {
		if err := ctx.Err(); err != nil {
			return Outcome{}, err
		}
		err := s.add(set, e)
		if errors.Is(err, unix.ENOENT) {
			if err = s.create(set, e.Addr.Is6()); err == nil {
				err = s.add(set, e)
			}
		}
		switch {
		case err == nil:
		case s.isMisfit(set, e.Addr, err):
			rejected = append(rejected, Rejection{e.Addr, fmt.Errorf("ipset %q: %w", set, ErrFamily)})
		case isIPSetErr(err, errIPSetFull):
			return Outcome{}, fmt.Errorf("add to ipset %q: the set is full", set)
		default:
			return Outcome{}, fmt.Errorf("add to ipset %q: %w", set, err)
		}
	}
	return Outcome{Rejected: rejected, Expires: !s.untimed[set], Intervals: true}, nil
}

func (s *ipsetNetlink) add(set string, e Element) error {
	entry := netlink.IPSetEntry{IP: e.Addr.AsSlice(), Replace: true}
	if !s.untimed[set] {
		seconds := ipsetSeconds(e.Timeout)
		entry.Timeout = &seconds
	}
	err := s.do(func(h *netlink.Handle) error { return h.IpsetAdd(set, &entry) })
	if isIPSetErr(err, nl.IPSET_ERR_TIMEOUT) && entry.Timeout != nil {
		s.untimed[set] = true
		return s.add(set, e)
	}
	return err
}

// isMisfit reports whether err is that of an address of another family than the set's, which the kernel
// calls a violation of the protocol.
func (s *ipsetNetlink) isMisfit(set string, a netip.Addr, err error) bool {
	if !isIPSetErr(err, nl.IPSET_ERR_PROTOCOL) {
		return false
	}
	h, _, err := dumpIPSet(set, ipsetListHeader)
	return err == nil && (a.Is4() && !h.info.IPv4 || a.Is6() && !h.info.IPv6)
}

// ipsetSeconds returns the timeout in whole seconds, rounded up, as far as ipset goes; 0 is for ever.
func ipsetSeconds(d time.Duration) uint32 {
	d = min(d, ipsetMaxTimeout)
	return uint32((d + time.Second - 1) / time.Second)
}

// Remove implements Firewall.
func (s *ipsetNetlink) Remove(ctx context.Context, set string, addrs []netip.Addr) error {
	for _, a := range addrs {
		if err := ctx.Err(); err != nil {
			return err
		}
		entry := netlink.IPSetEntry{IP: a.AsSlice(), Replace: true}
		err := s.do(func(h *netlink.Handle) error { return h.IpsetDel(set, &entry) })
		switch {
		case err == nil, isIPSetErr(err, nl.IPSET_ERR_EXIST), s.isMisfit(set, a, err):
		case errors.Is(err, unix.ENOENT):
			return nil // no set, no element
		default:
			return fmt.Errorf("delete from ipset %q: %w", set, err)
		}
	}
	return nil
}

// Count implements Counter.
func (s *ipsetNetlink) Count(_ context.Context, set string) (int, error) {
	h, _, err := dumpIPSet(set, ipsetListHeader)
	return h.elements, err
}

// Inspect implements Firewall.
func (s *ipsetNetlink) Inspect(_ context.Context, set string) (SetInfo, error) {
	h, _, err := dumpIPSet(set, ipsetListHeader)
	return h.info, err
}

// Missing implements Firewall.
func (s *ipsetNetlink) Missing(_ context.Context, set string, want []Element) ([]Element, Outcome, error) {
	h, left, err := dumpIPSet(set, 0)
	if errors.Is(err, ErrNoSet) {
		return want, Outcome{}, nil // Add makes it
	}
	if err != nil {
		return nil, Outcome{}, err
	}
	delete(s.untimed, set)
	if !h.info.Timeouts {
		s.untimed[set] = true
	}
	out := Outcome{Expires: h.info.Timeouts, Intervals: true}
	want, out.Rejected = h.info.fits(set, want)
	var missing []Element
	for _, e := range want {
		due := min(e.Timeout, ipsetAgain) // enough until the Keeper puts it in again
		l, ok := left[e.Addr]
		if !ok || l != forEver && h.info.Timeouts && (e.Timeout == 0 || l < due-timeoutSlack) {
			missing = append(missing, e)
		}
	}
	return missing, out, nil
}

// checkIPSet returns an error unless typ, the type of the set, is one that holds addresses and nothing else.
func (i SetInfo) checkIPSet(set, typ string) error {
	if !slices.Contains([]string{ipsetType, "hash:net", "bitmap:ip"}, typ) || !i.IPv4 && !i.IPv6 {
		return fmt.Errorf("ipset %q has type %s: %w", set, quoted(i.Type), ErrType)
	}
	return nil
}
