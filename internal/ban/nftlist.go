package ban

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"time"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

const (
	// listBuffer is the largest piece in which the kernel lists (the limit in netlink_recvmsg). For each piece it goes
	// through the set from the start, so that reading in small pieces takes seconds for 100,000 elements.
	listBuffer = 32 << 10
	// listTries bounds how often a listing is read anew that another change of the ruleset has interrupted.
	listTries = 3
	// listTime is how long the kernel may take for one piece.
	listTime = 10 * time.Second

	nfgenmsgLen = 4 // struct nfgenmsg of linux/netfilter/nfnetlink.h
)

// forEver is the time left of an element without a timeout.
const forEver time.Duration = -1

// heldElement is an element of a set.
type heldElement struct {
	addr netip.Addr
	last netip.Addr    // the last address that it covers, where the kernel tells; else the zero Addr
	end  bool          // addr is the first one behind an interval
	left time.Duration // or forEver
}

// listNFTSet returns the elements of a set, in no order.
func listNFTSet(name NFTSet) (have []heldElement, err error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		return nil, fmt.Errorf("connect to nftables: %w", err)
	}
	defer func() { err = errors.Join(err, unix.Close(fd)) }()
	limit := unix.NsecToTimeval(listTime.Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit); err != nil {
		return nil, fmt.Errorf("limit the time of a listing: %w", err)
	}
	buf := make([]byte, listBuffer)
	for try := 1; ; try++ {
		if err := unix.Sendto(fd, listRequest(name), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
			return nil, fmt.Errorf("ask for a listing: %w", err)
		}
		have = have[:0]
		interrupted, done := false, false
		for !done {
			n, _, err := unix.Recvfrom(fd, buf, 0)
			if errors.Is(err, unix.EINTR) {
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("receive a listing: %w", err)
			}
			var cut bool
			if have, cut, done, err = readListing(buf[:n], have); err != nil {
				return nil, err
			}
			interrupted = interrupted || cut
		}
		if !interrupted || try == listTries {
			return have, nil
		}
	}
}

// listRequest returns the message that asks for the elements of a set.
func listRequest(name NFTSet) []byte {
	b := make([]byte, unix.NLMSG_HDRLEN, 64)
	b = append(b, byte(nftFamily[name.Family]), unix.NFNETLINK_V0, 0, 0)
	for i, value := range []string{name.Table, name.Name} {
		b = binary.NativeEndian.AppendUint16(b, uint16(unix.SizeofNlAttr+len(value)+1))
		b = binary.NativeEndian.AppendUint16(b, unix.NFTA_SET_ELEM_LIST_TABLE+uint16(i)) // NFTA_SET_ELEM_LIST_SET follows it
		b = append(b, value...)
		b = append(b, make([]byte, 4-len(value)%4)...) // the final NUL, and padding
	}
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_GETSETELEM)
	binary.NativeEndian.PutUint16(b[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	return b
}

// readListing appends the elements in a piece of a listing. It reports whether the set was changed meanwhile,
// and whether this was the last piece.
func readListing(b []byte, have []heldElement) (_ []heldElement, interrupted, done bool, err error) {
	for len(b) >= unix.NLMSG_HDRLEN {
		size := int(binary.NativeEndian.Uint32(b))
		if size < unix.NLMSG_HDRLEN || size > len(b) {
			break
		}
		typ, flags, data := binary.NativeEndian.Uint16(b[4:]), binary.NativeEndian.Uint16(b[6:]), b[unix.NLMSG_HDRLEN:size]
		interrupted = interrupted || flags&unix.NLM_F_DUMP_INTR != 0
		switch typ {
		case unix.NLMSG_DONE, unix.NLMSG_ERROR:
			if len(data) >= 4 {
				if code := int32(binary.NativeEndian.Uint32(data)); code < 0 {
					return have, interrupted, true, fmt.Errorf("list the elements: %w", unix.Errno(-code))
				}
			}
			return have, interrupted, true, nil
		case unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_NEWSETELEM:
			if len(data) >= nfgenmsgLen {
				have = appendElements(have, data[nfgenmsgLen:])
			}
		}
		b = b[min((size+3)&^3, len(b)):]
	}
	return have, interrupted, false, nil
}

func appendElements(have []heldElement, message []byte) []heldElement {
	for typ, list := range attributes(message) {
		if typ != unix.NFTA_SET_ELEM_LIST_ELEMENTS {
			continue
		}
		for _, elem := range attributes(list) {
			if e, ok := readElement(elem); ok {
				have = append(have, e)
			}
		}
	}
	return have
}

// readElement reads the attributes of an element: enum nft_set_elem_attributes in linux/netfilter/nf_tables.h. It
// is not ok if its key is no address.
func readElement(b []byte) (e heldElement, ok bool) {
	e.left = forEver
	for typ, value := range attributes(b) {
		switch {
		case typ == unix.NFTA_SET_ELEM_KEY:
			e.addr, ok = readAddr(value)
		case typ == nftables.NFTA_SET_ELEM_KEY_END:
			e.last, _ = readAddr(value)
		case typ == unix.NFTA_SET_ELEM_FLAGS && len(value) == 4:
			e.end = binary.BigEndian.Uint32(value)&unix.NFT_SET_ELEM_INTERVAL_END != 0
		case typ == unix.NFTA_SET_ELEM_EXPIRATION && len(value) == 8:
			e.left = time.Duration(min(binary.BigEndian.Uint64(value), uint64(1<<63-1)/uint64(time.Millisecond))) * time.Millisecond
		}
	}
	return e, ok
}

func readAddr(data []byte) (netip.Addr, bool) {
	for typ, value := range attributes(data) {
		if typ == unix.NFTA_DATA_VALUE {
			return netip.AddrFromSlice(value)
		}
	}
	return netip.Addr{}, false
}

// attributes goes through netlink attributes (struct nlattr in linux/netlink.h); types are without their flags. What
// is malformed ends it.
func attributes(b []byte) iter.Seq2[uint16, []byte] {
	return func(yield func(uint16, []byte) bool) {
		for len(b) >= unix.SizeofNlAttr {
			size := int(binary.NativeEndian.Uint16(b))
			if size < unix.SizeofNlAttr || size > len(b) {
				return
			}
			typ := binary.NativeEndian.Uint16(b[2:]) &^ (unix.NLA_F_NESTED | unix.NLA_F_NET_BYTEORDER)
			if !yield(typ, b[unix.SizeofNlAttr:size]) {
				return
			}
			b = b[min((size+3)&^3, len(b)):]
		}
	}
}

// heldIn returns the function that tells whether a set holds an address, and for how long. It sorts have.
func heldIn(have []heldElement, info SetInfo) func(netip.Addr) (time.Duration, bool) {
	slices.SortFunc(have, func(a, b heldElement) int {
		if c := a.addr.Compare(b.addr); c != 0 || a.end == b.end {
			return c
		}
		if a.end { // where an interval ends and the next one begins, the beginning counts
			return -1
		}
		return 1
	})
	return func(a netip.Addr) (time.Duration, bool) {
		after, _ := slices.BinarySearchFunc(have, a, func(e heldElement, a netip.Addr) int {
			return cmp.Or(e.addr.Compare(a), -1) // to behind all that are equal
		})
		if after == 0 {
			return 0, false
		}
		e := have[after-1]
		covers := e.addr == a || info.Intervals && (!e.last.IsValid() || a.Compare(e.last) <= 0)
		return e.left, covers && !e.end
	}
}
