package ban

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// watchBuffer takes the notices of a flushed set of some 20,000 elements. If more come at once, the kernel says
// that some are lost, and all sets are compared.
const watchBuffer = 4 << 20

// pastDeadline ends a read that waits.
var pastDeadline = time.Unix(1, 0)

// Watch implements Watcher, with the notices of nf_tables. Notices about our own transactions do not even reach the
// socket. The monitor of the nftables package is not used since it does not tell the set of a deleted element, and decodes all.
func (n *nftNetlink) Watch(ctx context.Context, notify func(Change)) (err error) {
	c, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return fmt.Errorf("watch nftables: %w", err)
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	if err := c.SetReadBuffer(watchBuffer); err != nil {
		return fmt.Errorf("watch nftables: %w", err)
	}
	if err := n.setWatch(c); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.setWatch(nil)) }()
	if err := c.JoinGroup(unix.NFNLGRP_NFTABLES); err != nil {
		return fmt.Errorf("watch nftables: %w", nftReason(err))
	}
	stop := context.AfterFunc(ctx, func() { _ = c.SetReadDeadline(pastDeadline) }) // fails only on a closed socket
	defer stop()
	notify(Change{})
	for {
		msgs, err := c.Receive()
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, unix.ENOBUFS):
			notify(Change{})
		case err != nil:
			return fmt.Errorf("watch nftables: %w", err)
		}
		for _, m := range msgs {
			if change, ok := parseNotice(m); ok {
				notify(change)
			}
		}
	}
}

func (n *nftNetlink) setWatch(c *netlink.Conn) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.watch = c
	return n.ignoreOwn()
}

// ignoreOwn keeps notices about what our own connection did from the watching socket. n.mu is held. A notice carries the netlink
// port of its originator in the header (struct nlmsghdr, nlmsg_pid: 4 bytes in host order at
// offset 12), and all messages of one notice are from one transaction.
func (n *nftNetlink) ignoreOwn() error {
	if n.watch == nil || n.port == 0 {
		return nil
	}
	var raw [4]byte
	binary.NativeEndian.PutUint32(raw[:], n.port)
	filter, err := bpf.Assemble([]bpf.Instruction{
		bpf.LoadAbsolute{Off: 12, Size: 4}, // reads big-endian
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: binary.BigEndian.Uint32(raw[:]), SkipTrue: 1},
		bpf.RetConstant{Val: math.MaxUint32},
		bpf.RetConstant{Val: 0},
	})
	if err == nil {
		err = n.watch.SetBPF(filter)
	}
	if err != nil {
		return fmt.Errorf("leave our own transactions out of what is watched: %w", err)
	}
	return nil
}

// portOf returns the address of a netlink socket.
func portOf(c *netlink.Conn) (port uint32, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, fmt.Errorf("get the netlink port: %w", err)
	}
	var inner error
	err = raw.Control(func(fd uintptr) {
		var sa unix.Sockaddr
		if sa, inner = unix.Getsockname(int(fd)); inner == nil {
			port = sa.(*unix.SockaddrNetlink).Pid
		}
	})
	if err = errors.Join(err, inner); err != nil {
		return 0, fmt.Errorf("get the netlink port: %w", err)
	}
	return port, nil
}

// familyName is nftFamily the other way round.
var familyName = func() map[byte]string {
	names := map[byte]string{}
	for name, number := range nftFamily {
		names[byte(number)] = name
	}
	return names
}()

// parseNotice reads a notice of nf_tables (linux/netfilter/nf_tables.h). It reports whether it is about something
// that a ban can depend on.
func parseNotice(m netlink.Message) (Change, bool) {
	if m.Header.Type>>8 != unix.NFNL_SUBSYS_NFTABLES || len(m.Data) < nfgenmsgLen {
		return Change{}, false
	}
	// In all of these messages the first attribute type is the table's name; the second is the
	// name of the set where there is one.
	const tableAttr, setAttr = unix.NFTA_SET_ELEM_LIST_TABLE, unix.NFTA_SET_ELEM_LIST_SET
	hasSet, hasElem := false, false
	switch m.Header.Type & 0xff {
	case unix.NFT_MSG_NEWSET, unix.NFT_MSG_DELSET:
		hasSet = true
	case unix.NFT_MSG_DELSETELEM:
		hasSet, hasElem = true, true
	case unix.NFT_MSG_DELTABLE, unix.NFT_MSG_DELCHAIN, unix.NFT_MSG_DELRULE:
	default:
		return Change{}, false
	}
	var c Change
	table := ""
	for typ, value := range attributes(m.Data[nfgenmsgLen:]) {
		switch {
		case typ == tableAttr:
			table = unix.ByteSliceToString(value)
		case typ == setAttr && hasSet:
			c.Set = unix.ByteSliceToString(value)
		case typ == unix.NFTA_SET_ELEM_LIST_ELEMENTS && hasElem:
			c.Addr = noticeAddr(value)
		}
	}
	family := familyName[m.Data[0]]
	if table == "" || family == "" {
		return Change{}, false
	}
	c.Table = family + " " + table
	if !hasSet && c.Table != ownFamily+" "+ownTable && m.Header.Type&0xff != unix.NFT_MSG_DELTABLE {
		return Change{}, false // chains and rules of other tables are none of our business
	}
	return c, true
}

// noticeAddr returns the key of the one element in the list of a notice, the zero Addr if it is not just one, or no address.
func noticeAddr(list []byte) netip.Addr {
	var a netip.Addr
	n := 0
	for _, elem := range attributes(list) {
		e, _ := readElement(elem)
		a = e.addr
		n++
	}
	if n != 1 {
		return netip.Addr{}
	}
	return a
}
