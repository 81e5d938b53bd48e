package ban

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// ownMaxAge is how long a Guard relies on what it knows of the machine's own addresses. One that
// the machine has had for less time than this may be missed; reading them costs about 0.1 ms.
const ownMaxAge = 3 * time.Second

// Guard knows the addresses that are never banned, whatever a configuration says: loopback, unspecified,
// multicast, link-local and broadcast addresses, the machine's own, and the networks of the
// administrator. It is safe for concurrent use.
type Guard struct {
	never []netip.Prefix
	own   func() ([]netip.Addr, error)
	now   func() time.Time

	mu    sync.Mutex
	known []netip.Addr
	read  time.Time
}

// NewGuard returns a guard for the networks in never. own reads the machine's own addresses
// (OwnAddresses), at most once in 3 seconds as told by now, and only when Refuse is called; when
// it fails later, what it said before stays in force. A nil own stands for a
// machine without addresses of its own, which is what replaying history wants.
func NewGuard(never []netip.Prefix, own func() ([]netip.Addr, error), now func() time.Time) (*Guard, error) {
	g := &Guard{own: own, now: now}
	for _, p := range never {
		if !p.IsValid() {
			return nil, fmt.Errorf("protect network %v: not a valid prefix", p)
		}
		if p.Addr().Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		g.never = append(g.never, p.Masked())
	}
	if own != nil {
		known, err := own()
		if err != nil {
			return nil, fmt.Errorf("read the machine's own addresses: %w", err)
		}
		g.known, g.read = known, now()
	}
	return g, nil
}

// Refuse reports whether addr must not be banned, and why, as a phrase that
// continues "192.0.2.1 is ...".
func (g *Guard) Refuse(addr netip.Addr) (reason string, refused bool) {
	addr = addr.Unmap().WithZone("")
	switch {
	case !addr.IsValid():
		return "not an address", true
	case addr.IsLoopback():
		return "a loopback address", true
	case addr.IsUnspecified():
		return "the unspecified address", true
	case addr.IsMulticast():
		return "a multicast address", true
	case addr.IsLinkLocalUnicast():
		return "a link-local address", true
	case addr == broadcast:
		return "the broadcast address", true
	}
	for _, p := range g.never {
		if p.Contains(addr) {
			return "in " + p.String() + ", which is never banned", true
		}
	}
	if slices.Contains(g.ownNow(), addr) {
		return "an address of this machine", true
	}
	return "", false
}

var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

func (g *Guard) ownNow() []netip.Addr {
	if g.own == nil {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	if age := now.Sub(g.read); age >= ownMaxAge || age < 0 {
		if known, err := g.own(); err == nil {
			g.known = known
		}
		g.read = now
	}
	return g.known
}

// OwnAddresses returns the addresses of the network interfaces of this machine.
func OwnAddresses() ([]netip.Addr, error) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("list interface addresses: %w", err)
	}
	own := make([]netip.Addr, 0, len(addrs))
	for _, a := range addrs {
		ipNet, ok := a.(*net.IPNet)
		if !ok {
			continue
		}
		if ip, ok := netip.AddrFromSlice(ipNet.IP); ok {
			own = append(own, ip.Unmap())
		}
	}
	return own, nil
}
