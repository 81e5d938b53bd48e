package filter

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/pyruse/pyruse/internal/entry"
	"github.com/pyruse/pyruse/internal/workflow"
)

// inNetworks is filter_inNetworks.
type inNetworks struct {
	field entry.Slot
	nets  networks
}

func newInNetworks(b *workflow.Build) workflow.Filter {
	var args struct {
		Field string        `json:"field" need:"true"`
		Nets  *workflow.Arg `json:"nets" need:"true"`
	}
	if !b.Args(&args) {
		return nil
	}
	field, ok := fieldSlot(b, args.Field)
	nets, list := b.List("nets", "")
	if !list {
		return nil
	}
	warnEmpty(b, "nets")
	var prefixes []netip.Prefix
	for _, n := range nets {
		p, net := b.Net(n)
		if ok = ok && net; net {
			prefixes = append(prefixes, p)
		}
	}
	if !ok {
		return nil
	}
	return &inNetworks{field, newNetworks(prefixes)}
}

// Match reports whether the address in the field is in one of the networks. A missing or null
// field does not pass; a text that is no address is an error.
func (f *inNetworks) Match(e *entry.Entry) (bool, error) {
	v := e.Get(f.field)
	if v.IsNone() {
		return false, nil
	}
	text := v.Text()
	a, ok := parseAddress(text)
	if !ok {
		return false, fmt.Errorf("read the address in field %s: %s is not an IP address", e.Names().Name(f.field), quoted(text))
	}
	return f.nets.contain(a), nil
}

// maxAddressLen is the length of the longest address: "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255".
const maxAddressLen = 45

// parseAddress reads an address as it stands in logs. IPv4-mapped addresses become IPv4
// addresses, and the zone is dropped.
func parseAddress(s string) (netip.Addr, bool) {
	text, zone, zoned := strings.Cut(s, "%")
	if len(text) > maxAddressLen {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(text)
	if err != nil || zoned && (zone == "" || !a.Is6()) {
		return netip.Addr{}, false
	}
	return a.Unmap(), true
}

// networks is a set of networks, sorted by address, none of which is inside another: so at
// most the last one that begins at or before an address can contain it.
type networks []netip.Prefix

func newNetworks(prefixes []netip.Prefix) networks {
	slices.SortFunc(prefixes, func(a, b netip.Prefix) int {
		return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
	})
	var n networks
	for _, p := range prefixes {
		if len(n) == 0 || !n[len(n)-1].Overlaps(p) {
			n = append(n, p)
		}
	}
	return n
}

func (n networks) contain(a netip.Addr) bool {
	at, found := slices.BinarySearchFunc(n, a, func(p netip.Prefix, a netip.Addr) int { return p.Addr().Compare(a) })
	return found || at > 0 && n[at-1].Contains(a)
}
