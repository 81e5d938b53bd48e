package ban

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// maxAddrText is the longest text form of an address without its zone:
// "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255".
const maxAddrText = 45

// ParseAddr reads an IPv4 or IPv6 address as it was found in a log, which means that the text may be anything.
// An IPv4-mapped address (::ffff:192.0.2.1) becomes the IPv4 address, and the zone of a
// scoped address (fe80::1%eth0) is dropped. Brackets, ports and spaces are errors.
// The error quotes at most the first 48 bytes of s, escaped.
func ParseAddr(s string) (netip.Addr, error) {
	text, zone, zoned := strings.Cut(s, "%")
	if len(text) > maxAddrText {
		return netip.Addr{}, fmt.Errorf("%s is not an IP address", quoted(s))
	}
	a, err := netip.ParseAddr(text)
	if err != nil || zoned && (zone == "" || !a.Is6()) {
		return netip.Addr{}, fmt.Errorf("%s is not an IP address", quoted(s))
	}
	return a.Unmap(), nil
}

// quoted returns s as a Go string literal in printable ASCII, shortened to 48 bytes of s.
func quoted(s string) string {
	const keep = 48
	if len(s) > keep {
		return strconv.QuoteToASCII(s[:keep]) + "..."
	}
	return strconv.QuoteToASCII(s)
}
