package ban

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

const (
	// nftMessage is how many elements go into one netlink message. The list of elements is one netlink attribute, whose
	// length has 16 bits; an IPv6 interval with a timeout takes 72 bytes.
	nftMessage = 800
	// nftReplace is how many elements are replaced in one transaction. Larger ones are slower in the kernel, by half with
	// 8,000; this holds for replacing only: mere additions to an interval set are three times faster in large ones.
	nftReplace = 1600
	// nftSendBuffer holds the largest transaction, batchSize IPv6 intervals, with the kernel's bookkeeping. If
	// the kernel does not grant it, transactions become smaller.
	nftSendBuffer = 2 << 20
	// timeoutSlack is by how much an element may expire too early before it is put in again: what was rounded
	// away, and the time that a listing takes.
	timeoutSlack = time.Second
)

// NewNFT returns the firewall of nftables. command is the argument list that runs nft, as configured; NFTCommand
// tells when netlink is used instead. Nothing is connected or run yet.
func NewNFT(command []string) (Firewall, error) {
	argv, useNetlink := NFTCommand(command)
	if useNetlink {
		return &nftNetlink{ready: map[NFTSet]bool{}}, nil
	}
	return newCommand(argv, nftDialect{})
}

// NFTCommand returns the argument list with which nft is to be run, or reports that netlink is to be used directly: when
// list is empty, or nothing but an nft binary.
func NFTCommand(list []string) (argv []string, useNetlink bool) {
	if len(list) == 0 || len(list) == 1 && filepath.Base(list[0]) == "nft" {
		return nil, true
	}
	return list, false
}

// nftNetlink is nftables by netlink, over one lasting connection.
type nftNetlink struct {
	conn  *nftables.Conn
	ready map[NFTSet]bool // Pyruse's own sets whose chains and rules were seen

	mu    sync.Mutex    // covers what the watching goroutine shares
	watch *netlink.Conn // nil: nobody watches
	port  uint32        // the netlink port of conn, 0: none yet
}

var (
	_ Firewall = (*nftNetlink)(nil)
	_ Watcher  = (*nftNetlink)(nil)
)

// connect makes the lasting connection, and lets the watcher know it as our own.
func (n *nftNetlink) connect() error {
	if n.conn != nil {
		return nil
	}
	var sock *netlink.Conn
	conn, err := nftables.New(nftables.AsLasting(), nftables.WithSockOptions(func(c *netlink.Conn) error {
		sock = c
		return errors.Join(c.SetWriteBuffer(nftSendBuffer), c.SetOption(netlink.CapAcknowledge, true))
	}))
	if err != nil {
		return fmt.Errorf("connect to nftables: %w", nftReason(err))
	}
	port, err := portOf(sock)
	if err == nil {
		n.mu.Lock()
		n.port = port
		err = n.ignoreOwn()
		n.mu.Unlock()
	}
	if err != nil {
		return errors.Join(err, conn.CloseLasting())
	}
	n.conn = conn
	return nil
}

// Close ends the connection. After a failed transaction, this is what clears it of stale replies.
func (n *nftNetlink) Close() error {
	clear(n.ready)
	if n.conn == nil {
		return nil
	}
	conn := n.conn
	n.conn = nil
	if err := conn.CloseLasting(); err != nil {
		return fmt.Errorf("close the connection to nftables: %w", err)
	}
	return nil
}

// lookup reads what kind of set it is. Sets are read before each use, since a reload of the
// ruleset may have made them anew with other flags.
func (n *nftNetlink) lookup(name NFTSet) (*nftables.Set, SetInfo, error) {
	if err := n.connect(); err != nil {
		return nil, SetInfo{}, err
	}
	table := &nftables.Table{Name: name.Table, Family: nftFamily[name.Family]}
	set, err := n.conn.GetSetByName(table, name.Name)
	if errors.Is(err, unix.ENOENT) {
		return nil, SetInfo{}, fmt.Errorf("nftables set %q: %w", name, ErrNoSet)
	}
	if errors.Is(err, unix.EINVAL) { // nfnetlink_rcv_msg of Linux: nobody answers for nf_tables
		err = fmt.Errorf("%w (%w)", unix.EOPNOTSUPP, err)
	}
	if err != nil {
		return nil, SetInfo{}, errors.Join(fmt.Errorf("look up nftables set %q: %w", name, nftReason(err)), n.Close())
	}
	info := SetInfo{
		Type:     set.KeyType.Name,
		IPv4:     set.KeyType.Name == nftables.TypeIPAddr.Name,
		IPv6:     set.KeyType.Name == nftables.TypeIP6Addr.Name,
		Timeouts: set.HasTimeout, Intervals: set.Interval,
	}
	if set.IsMap || !info.IPv4 && !info.IPv6 {
		return nil, info, fmt.Errorf("nftables set %q has type %s: %w", name, info.Type, ErrType)
	}
	return set, info, nil
}

var nftFamily = map[string]nftables.TableFamily{
	"ip": nftables.TableFamilyIPv4, "ip6": nftables.TableFamilyIPv6, "inet": nftables.TableFamilyINet,
	"arp": nftables.TableFamilyARP, "bridge": nftables.TableFamilyBridge, "netdev": nftables.TableFamilyNetdev,
}

// Inspect implements Firewall.
func (n *nftNetlink) Inspect(_ context.Context, set string) (SetInfo, error) {
	name, err := ParseNFTSet(set)
	if err != nil {
		return SetInfo{}, err
	}
	_, info, err := n.lookup(name)
	return info, err
}

// open looks a set up; one of Pyruse's own is made if need be, for addresses of the family of the first element.
func (n *nftNetlink) open(set string, elems []Element) (*nftables.Set, SetInfo, error) {
	name, err := ParseNFTSet(set)
	if err != nil {
		return nil, SetInfo{}, err
	}
	if name.Own() && len(elems) > 0 && !n.ready[name] {
		if err := n.makeOwn(name, elems[0].Addr.Is6()); err != nil {
			return nil, SetInfo{}, err
		}
		n.ready[name] = true
	}
	return n.lookup(name)
}

// Add implements Firewall. A batch of elements is one transaction.
func (n *nftNetlink) Add(ctx context.Context, set string, elems []Element) (Outcome, error) {
	s, info, err := n.open(set, elems)
	if errors.Is(err, ErrNoSet) && len(n.ready) > 0 { // the watcher has not told yet that an own set is gone
		clear(n.ready)
		s, info, err = n.open(set, elems)
	}
	if err != nil {
		return Outcome{}, err
	}
	out := Outcome{Expires: info.Timeouts, Intervals: info.Intervals}
	elems, out.Rejected = info.fits(set, elems)
	if info.Intervals {
		elems = slices.SortedFunc(slices.Values(elems), func(a, b Element) int { return a.Addr.Compare(b.Addr) })
	}
	size := batchSize
	if slices.ContainsFunc(elems, func(e Element) bool { return !e.Absent }) {
		size = nftReplace
	}
	for batch := range slices.Chunk(elems, size) {
		if err := ctx.Err(); err != nil {
			return out, err
		}
		err := halve(batch,
			func(part []Element) error { return n.transact(s, part) },
			func(err error) bool {
				return errors.Is(err, unix.EMSGSIZE) || info.Intervals && errors.Is(err, unix.EEXIST)
			},
			func(Element, error) {}) // within a wider interval: in force
		if err != nil {
			return out, n.explain(set, fmt.Errorf("add to nftables set %q: %w", set, err))
		}
	}
	return out, nil
}

// transact puts elements into a set, with new timeouts. Before Linux 6.12 the timeout of an element cannot be changed. So each
// that may be there is added (in case it is not), deleted, and added again, which packets see as one step.
func (n *nftNetlink) transact(s *nftables.Set, elems []Element) error {
	all, again := setElements(s, elems, false), setElements(s, elems, true)
	return n.commit(func() error {
		return errors.Join(
			inMessages(n.conn.SetAddElements, s, all),
			inMessages(n.conn.SetDeleteElements, s, again),
			inMessages(n.conn.SetAddElements, s, again))
	})
}

// inMessages calls queue with as many elements as go into a message.
func inMessages(queue func(*nftables.Set, []nftables.SetElement) error, s *nftables.Set, vals []nftables.SetElement) error {
	for part := range slices.Chunk(vals, nftMessage) {
		if err := queue(s, part); err != nil {
			return err
		}
	}
	return nil
}

// commit sends what queue puts together as one transaction. An interrupted one is tried again.
func (n *nftNetlink) commit(queue func() error) error {
	for try := 1; ; try++ {
		if err := n.connect(); err != nil {
			return err
		}
		err := queue()
		if err == nil {
			err = n.conn.Flush()
		}
		if err == nil {
			return nil
		}
		err = errors.Join(err, n.Close())
		interrupted := errors.Is(err, unix.EINTR) || errors.Is(err, unix.EAGAIN)
		if !interrupted || try == 3 {
			return err
		}
	}
}

// explain turns err into ErrNoSet if that is what lies behind it, and says what other errors of the kernel mean here.
func (n *nftNetlink) explain(set string, err error) error {
	switch {
	case errors.Is(err, unix.ENFILE):
		return fmt.Errorf("nftables set %q is full: %w", set, err)
	case errors.Is(err, unix.ENOENT):
		if _, missing := n.Inspect(context.Background(), set); errors.Is(missing, ErrNoSet) {
			return missing
		}
	}
	return nftReason(err)
}

// nftReason says what an error means that concerns all sets.
func nftReason(err error) error {
	switch {
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("the capability CAP_NET_ADMIN is missing: %w", err)
	case errors.Is(err, unix.EPROTONOSUPPORT), errors.Is(err, unix.EOPNOTSUPP):
		return fmt.Errorf("the kernel seems to have no nf_tables (try: modprobe nf_tables): %w", err)
	}
	return err
}

// setElements returns the elements as netlink wants them: an address in an interval set is the half-open
// interval up to the next address, of which only the beginning has a timeout. Those that are known to be absent can be left out.
func setElements(s *nftables.Set, elems []Element, leaveOut bool) []nftables.SetElement {
	vals := make([]nftables.SetElement, 0, 2*len(elems))
	for _, e := range elems {
		if leaveOut && e.Absent {
			continue
		}
		v := nftables.SetElement{Key: e.Addr.AsSlice()}
		if s.HasTimeout {
			v.Timeout = kernelTimeout(e.Timeout)
		}
		vals = append(vals, v)
		if !s.Interval {
			continue
		}
		if next := e.Addr.Next(); next.IsValid() {
			vals = append(vals, nftables.SetElement{Key: next.AsSlice(), IntervalEnd: true})
		}
	}
	return vals
}

// kernelTimeout returns the timeout in whole milliseconds, rounded up. "For ever" is an explicit timeout of 0, which overrides a default
// timeout of the set; the nftables package leaves a zero out, but rounds a nanosecond down to it.
func kernelTimeout(d time.Duration) time.Duration {
	if d == 0 {
		return time.Nanosecond
	}
	if r := d.Truncate(time.Millisecond); r < d {
		return r + time.Millisecond
	}
	return d
}

// Remove implements Firewall.
func (n *nftNetlink) Remove(_ context.Context, set string, addrs []netip.Addr) error {
	name, err := ParseNFTSet(set)
	if err != nil {
		return err
	}
	s, info, err := n.lookup(name)
	if errors.Is(err, ErrNoSet) {
		return nil
	}
	if err != nil {
		return err
	}
	for chunk := range slices.Chunk(addrs, batchSize) {
		elems := make([]Element, 0, len(chunk))
		for _, a := range chunk {
			if a.Is4() == info.IPv4 {
				elems = append(elems, Element{Addr: a})
			}
		}
		if len(elems) == 0 {
			continue
		}
		err := halve(elems,
			func(part []Element) error {
				vals := setElements(s, part, false)
				return n.commit(func() error { return inMessages(n.conn.SetDeleteElements, s, vals) })
			},
			func(err error) bool { return errors.Is(err, unix.EMSGSIZE) || errors.Is(err, unix.ENOENT) },
			func(Element, error) {}) // it was not there
		if err != nil {
			return fmt.Errorf("delete from nftables set %q: %w", set, err)
		}
	}
	return nil
}

// Missing implements Firewall.
func (n *nftNetlink) Missing(_ context.Context, set string, want []Element) ([]Element, Outcome, error) {
	name, err := ParseNFTSet(set)
	if err != nil {
		return nil, Outcome{}, err
	}
	delete(n.ready, name)
	_, info, err := n.open(set, want)
	if err != nil {
		return nil, Outcome{}, err
	}
	out := Outcome{Expires: info.Timeouts, Intervals: info.Intervals}
	want, out.Rejected = info.fits(set, want)
	have, err := listNFTSet(name)
	if err != nil {
		return nil, out, n.explain(set, fmt.Errorf("list nftables set %q: %w", set, err))
	}
	var missing []Element
	held := heldIn(have, info)
	for _, e := range want {
		left, ok := held(e.Addr)
		if !ok || left != forEver && info.Timeouts && (e.Timeout == 0 || left < e.Timeout-timeoutSlack) {
			e.Absent = !ok
			missing = append(missing, e)
		}
	}
	return missing, out, nil
}
