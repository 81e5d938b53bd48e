package ban

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// ipsetListHeader asks for all but the elements: IPSET_FLAG_LIST_HEADER of linux/netfilter/ipset/ip_set.h.
const ipsetListHeader = 1 << 2

// ipsetHeader is what the kernel tells about an ipset beside its elements.
type ipsetHeader struct {
	info     SetInfo
	typ      string // without the family
	elements int
}

// dumpIPSet lists a set: the addresses that it holds, with the time that they have left. The netlink package could do that as well, but
// it asks for all elements even if nobody wants them, and prints a line for each attribute that it does not know.
func dumpIPSet(set string, flags uint32) (ipsetHeader, map[netip.Addr]time.Duration, error) {
	if err := ValidIPSetName(set); err != nil {
		return ipsetHeader{}, nil, err
	}
	req := nl.NewNetlinkRequest(nl.IPSET_CMD_LIST|unix.NFNL_SUBSYS_IPSET<<8, nl.GetIpsetFlags(nl.IPSET_CMD_LIST))
	req.AddData(&nl.Nfgenmsg{NfgenFamily: unix.AF_NETLINK, Version: nl.NFNETLINK_V0})
	req.AddData(nl.NewRtAttr(nl.IPSET_ATTR_PROTOCOL, nl.Uint8Attr(nl.IPSET_PROTOCOL)))
	req.AddData(nl.NewRtAttr(nl.IPSET_ATTR_SETNAME, nl.ZeroTerminated(set)))
	if flags != 0 {
		req.AddData(&nl.Uint32Attribute{Type: nl.IPSET_ATTR_FLAGS | nl.NLA_F_NET_BYTEORDER, Value: flags})
	}
	msgs, err := req.Execute(unix.NETLINK_NETFILTER, 0)
	if errors.Is(err, unix.ENOENT) {
		return ipsetHeader{}, nil, fmt.Errorf("ipset %q: %w", set, ErrNoSet)
	}
	if err != nil {
		return ipsetHeader{}, nil, fmt.Errorf("list ipset %q: %w", set, err)
	}
	var h ipsetHeader
	left := map[netip.Addr]time.Duration{}
	for _, m := range msgs {
		if len(m) >= nl.SizeofNfgenmsg {
			h.read(m[nl.SizeofNfgenmsg:], left)
		}
	}
	h.info.Type = h.typ
	switch {
	case h.info.IPv4:
		h.info.Type += " inet"
	case h.info.IPv6:
		h.info.Type += " inet6"
	}
	h.info.Intervals = h.typ == "hash:net"
	return h, left, h.info.checkIPSet(set, h.typ)
}

// ipsetAttrs calls f with the attributes in b; types are without their flags.
func ipsetAttrs(b []byte, f func(typ uint16, value []byte)) {
	for a := range nl.ParseAttributes(b) {
		f(a.Type&nl.NLA_TYPE_MASK, a.Value)
	}
}

// read takes in one message of a listing, without its header; see enum ipset_attr in linux/netfilter/ipset/ip_set.h.
func (h *ipsetHeader) read(b []byte, left map[netip.Addr]time.Duration) {
	ipsetAttrs(b, func(typ uint16, value []byte) {
		switch {
		case typ == nl.IPSET_ATTR_TYPENAME:
			h.typ = unix.ByteSliceToString(value)
		case typ == nl.IPSET_ATTR_FAMILY && len(value) > 0:
			h.info.IPv4, h.info.IPv6 = value[0] == unix.AF_INET, value[0] == unix.AF_INET6
		case typ == nl.IPSET_ATTR_DATA:
			ipsetAttrs(value, func(typ uint16, value []byte) {
				switch {
				case typ == nl.IPSET_ATTR_TIMEOUT:
					h.info.Timeouts = true
				case typ == nl.IPSET_ATTR_ELEMENTS && len(value) == 4:
					h.elements = int(binary.BigEndian.Uint32(value))
				}
			})
		case typ == nl.IPSET_ATTR_ADT:
			ipsetAttrs(value, func(_ uint16, value []byte) {
				if a, l, ok := ipsetElement(value); ok {
					left[a] = l
				}
			})
		}
	})
}

// ipsetElement reads an element. It is not ok if that is a network.
func ipsetElement(b []byte) (a netip.Addr, left time.Duration, ok bool) {
	left = forEver
	bits := -1
	ipsetAttrs(b, func(typ uint16, value []byte) {
		switch {
		case typ == nl.IPSET_ATTR_IP:
			ipsetAttrs(value, func(_ uint16, value []byte) { a, ok = netip.AddrFromSlice(value) })
		case typ == nl.IPSET_ATTR_CIDR && len(value) > 0:
			bits = int(value[0])
		case typ == nl.IPSET_ATTR_TIMEOUT && len(value) == 4:
			if seconds := binary.BigEndian.Uint32(value); seconds > 0 {
				left = time.Duration(seconds) * time.Second
			}
		}
	})
	return a, left, ok && (bits < 0 || bits == a.BitLen())
}
