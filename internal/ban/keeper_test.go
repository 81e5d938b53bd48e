package ban

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pyruse/pyruse/internal/state"
)

// memory is a firewall in memory.
type memory struct {
	mu      sync.Mutex
	sets    map[string]map[netip.Addr]time.Duration
	untimed bool
	fault   error
	adds    int // calls of Add
	removed int
	block   chan struct{} // if not nil, Add waits for it
	notify  chan Change
}

func newMemory(sets ...string) *memory {
	m := &memory{sets: map[string]map[netip.Addr]time.Duration{}}
	for _, s := range sets {
		m.sets[s] = map[netip.Addr]time.Duration{}
	}
	return m
}

func (m *memory) do(set string, f func(map[netip.Addr]time.Duration)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fault != nil {
		return m.fault
	}
	s := m.sets[set]
	if s == nil {
		return fmt.Errorf("set %q: %w", set, ErrNoSet)
	}
	f(s)
	return nil
}

func (m *memory) Add(ctx context.Context, set string, elems []Element) (Outcome, error) {
	if m.block != nil {
		select {
		case <-m.block:
		case <-ctx.Done():
			return Outcome{}, ctx.Err()
		}
	}
	out := Outcome{Expires: !m.untimed}
	return out, m.do(set, func(s map[netip.Addr]time.Duration) {
		m.adds++
		for _, e := range elems {
			if e.Addr == bad {
				out.Rejected = append(out.Rejected, Rejection{bad, ErrFamily})
				continue
			}
			s[e.Addr] = e.Timeout
		}
	})
}

// bad is an address that no set in memory takes.
var bad = addr("203.0.113.66")

func (m *memory) Remove(_ context.Context, set string, addrs []netip.Addr) error {
	return m.do(set, func(s map[netip.Addr]time.Duration) {
		for _, a := range addrs {
			delete(s, a)
			m.removed++
		}
	})
}

func (m *memory) Missing(_ context.Context, set string, want []Element) (missing []Element, out Outcome, err error) {
	err = m.do(set, func(s map[netip.Addr]time.Duration) {
		for _, e := range want {
			if _, ok := s[e.Addr]; !ok {
				missing = append(missing, e)
			}
		}
	})
	return missing, Outcome{Expires: !m.untimed}, err
}

func (m *memory) Inspect(_ context.Context, set string) (SetInfo, error) {
	return SetInfo{IPv4: true, Timeouts: !m.untimed}, m.do(set, func(map[netip.Addr]time.Duration) {})
}

func (m *memory) Watch(ctx context.Context, notify func(Change)) error {
	notify(Change{})
	for {
		select {
		case <-ctx.Done():
			return nil
		case c := <-m.notify:
			notify(c)
		}
	}
}

func (m *memory) Close() error { return nil }

// held returns what a set holds, as "address timeout".
func (m *memory) held(set string) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var held []string
	for a, d := range m.sets[set] {
		held = append(held, a.String()+" "+d.String())
	}
	slices.Sort(held)
	return held
}

// log collects events.
type log struct {
	mu   sync.Mutex
	list []Event
}

func (l *log) add(e Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, e)
}

// take returns the events since the last call as text.
func (l *log) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var texts []string
	for _, e := range l.list {
		switch e.Kind {
		case Failed, Recovered, Restored:
			texts = append(texts, fmt.Sprintf("%s %s %d", kindName[e.Kind], e.Set, e.Count))
		default:
			texts = append(texts, fmt.Sprintf("%s %s %s", kindName[e.Kind], e.Set, e.Ban.Addr))
		}
	}
	l.list = nil
	return texts
}

var kindName = map[EventKind]string{
	Banned: "banned", Unbanned: "unbanned", Expired: "expired", Rejected: "rejected",
	Failed: "failed", Recovered: "recovered", Restored: "restored", Unwatched: "unwatched",
}

func same(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\ngot  %q\nwant %q", what, got, want)
	}
}

// inMemory runs f with a keeper over a firewall in memory, in a bubble of time.
func inMemory(t *testing.T, m *memory, load []state.Ban, f func(k *Keeper, l *log)) {
	synctest.Test(t, func(t *testing.T) {
		m.notify = make(chan Change)
		l := &log{}
		k := NewKeeper(Options{Firewalls: map[string]Firewall{state.BackendNFT: m}, Now: time.Now, Events: l.add, Queue: 4})
		k.Load(load)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- k.Run(ctx) }()
		synctest.Wait()
		f(k, l)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := k.Flush(t.Context()); !errors.Is(err, ErrStopped) {
			t.Errorf("flush behind the end: %v", err)
		}
	})
}

// later lets the time of the bubble pass, and what is due then happen.
func later(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// from returns a ban that begins now.
func from(a string, length time.Duration) state.Ban {
	now := time.Now()
	b := state.Ban{Backend: state.BackendNFT, Set: "ip t s", Addr: addr(a), Since: now}
	if length != 0 {
		b.Until = now.Add(length)
	}
	return b
}

func TestBanExpiresAndIsForgotten(t *testing.T) {
	for _, untimed := range []bool{false, true} {
		m := newMemory("ip t s")
		m.untimed = untimed
		inMemory(t, m, nil, func(k *Keeper, l *log) {
			k.Ban([]state.Ban{from("192.0.2.1", time.Hour), from("192.0.2.2", 0), from("192.0.2.3", -time.Second)})
			synctest.Wait()
			same(t, "held", m.held("ip t s"), []string{"192.0.2.1 1h0m0s", "192.0.2.2 0s"})
			same(t, "events", l.take(), []string{"banned ip t s 192.0.2.1", "banned ip t s 192.0.2.2"})
			later(time.Hour)
			same(t, "events of an hour later", l.take(), []string{"expired ip t s 192.0.2.1"})
			if want := map[bool]int{true: 1}[untimed]; m.removed != want {
				t.Errorf("untimed %v: %d removed, want %d", untimed, m.removed, want)
			}
			if n := k.Len(); n != 1 || len(k.Bans()) != 1 || len(k.order[0].bans) != 1 || len(k.dues) != 0 {
				t.Errorf("%d bans, %d remembered, %d due", n, len(k.order[0].bans), len(k.dues))
			}
		})
	}
}

func TestLaterBanReplaces(t *testing.T) {
	m := newMemory("ip t s")
	inMemory(t, m, nil, func(k *Keeper, l *log) {
		k.Ban([]state.Ban{from("192.0.2.1", time.Hour)})
		later(50 * time.Minute)
		k.Ban([]state.Ban{from("192.0.2.1", time.Hour)})
		synctest.Wait()
		same(t, "held", m.held("ip t s"), []string{"192.0.2.1 1h0m0s"})
		later(50 * time.Minute)
		if k.Len() != 1 {
			t.Error("the ban ended with the time of the first")
		}
		later(10 * time.Minute)
		if k.Len() != 0 {
			t.Error("the ban did not end")
		}
		l.take()

		k.Ban([]state.Ban{from("192.0.2.2", time.Hour)})
		k.Ban([]state.Ban{from("192.0.2.2", -time.Minute)}) // such as catching up brings
		synctest.Wait()
		same(t, "held after a ban that is over", m.held("ip t s"), []string{"192.0.2.1 1h0m0s"}) // the memory does not expire
		if k.Len() != 0 || len(k.Bans()) != 0 {
			t.Error("a ban that is over did not replace the one before")
		}
	})
}

func TestUnban(t *testing.T) {
	m := newMemory("ip t s", "ip t other")
	inMemory(t, m, nil, func(k *Keeper, l *log) {
		first, second := from("192.0.2.1", time.Hour), from("192.0.2.1", 0)
		second.Set = "ip  t other"
		second.Chain, second.Step = "chain", 7
		m.sets[second.Set] = map[netip.Addr]time.Duration{}
		k.Ban([]state.Ban{first, second})
		synctest.Wait()
		l.take()
		if got := k.Unban(addr("192.0.2.2"), ""); got != nil {
			t.Errorf("lifted %v", got)
		}
		if got := k.Unban(addr("192.0.2.1"), "ip t other"); len(got) != 1 || got[0].Set != second.Set || got[0].Chain != "chain" || got[0].Step != 7 || !got[0].Until.IsZero() {
			t.Errorf("lifted %v, want %v", got, second)
		}
		if got := k.Unban(addr("192.0.2.1"), ""); len(got) != 1 || !got[0].Until.Equal(first.Until) || !got[0].Since.Equal(first.Since) {
			t.Errorf("lifted %v, want %v", got, first)
		}
		synctest.Wait()
		same(t, "events", l.take(), []string{"unbanned ip t s 192.0.2.1", "unbanned ip  t other 192.0.2.1"})
		if len(m.held("ip t s"))+len(m.held(second.Set))+k.Len() != 0 {
			t.Error("something is left")
		}
	})
}

func TestMissingSetIsRetriedAndTheOthersWork(t *testing.T) {
	m := newMemory("ip t other")
	inMemory(t, m, nil, func(k *Keeper, l *log) {
		b := from("192.0.2.9", 0)
		b.Set = "ip t other"
		k.Ban([]state.Ban{from("192.0.2.1", 0), from("192.0.2.2", time.Hour), b})
		synctest.Wait()
		same(t, "events", l.take(), []string{"failed ip t s 2", "banned ip t other 192.0.2.9"})
		if err := k.Flush(context.Background()); !errors.Is(err, ErrNoSet) {
			t.Errorf("flush: %v", err)
		}
		if p := k.Problems(); !slices.Equal(p, []string{`2 bans in nft "ip t s" are not in force: set "ip t s": no such set`}) {
			t.Errorf("problems: %q", p)
		}
		for range 8 { // more than the queue: a failed set does not block
			k.Ban([]state.Ban{from("192.0.2.3", 0), from("192.0.2.4", 0), from("192.0.2.5", 0), from("192.0.2.6", 0), from("192.0.2.7", 0)})
		}
		k.Unban(addr("192.0.2.2"), "")
		began := time.Now()
		later(100 * time.Second)
		same(t, "events of retries", l.take(), nil)
		m.mu.Lock()
		m.sets["ip t s"] = map[netip.Addr]time.Duration{}
		m.mu.Unlock()
		for k.Problems() != nil {
			later(time.Second)
		}
		if wait := time.Since(began); wait > 160*time.Second {
			t.Errorf("recovered after %v", wait)
		}
		synctest.Wait()
		same(t, "held", m.held("ip t s"), []string{"192.0.2.1 0s", "192.0.2.3 0s", "192.0.2.4 0s", "192.0.2.5 0s", "192.0.2.6 0s", "192.0.2.7 0s"})
		same(t, "events", l.take(), []string{"recovered ip t s 6", "unbanned ip t s 192.0.2.2"})
		if s := k.Stats(); s[0].Waiting != 0 || s[0].Err != nil || s[0].Bans != 6 {
			t.Errorf("%+v", s)
		}
	})
}

func TestSetThatComesBackIsTriedAtOnce(t *testing.T) {
	m := newMemory()
	inMemory(t, m, nil, func(k *Keeper, _ *log) {
		k.Ban([]state.Ban{from("192.0.2.1", 0)})
		later(90 * time.Second)
		m.mu.Lock()
		m.sets["ip t s"] = map[netip.Addr]time.Duration{}
		m.mu.Unlock()
		m.notify <- Change{Table: "ip t", Set: "s"}
		later(settleTime)
		same(t, "held", m.held("ip t s"), []string{"192.0.2.1 0s"})
	})
}

func TestChangesByOthers(t *testing.T) {
	m := newMemory("ip t s", "ip t s2")
	inMemory(t, m, nil, func(k *Keeper, l *log) {
		b := from("192.0.2.2", 0)
		b.Set = "ip t s2"
		k.Ban([]state.Ban{from("192.0.2.1", 0), b})
		synctest.Wait()
		l.take()
		for _, c := range []struct {
			change Change
			want   []string
		}{
			{Change{}, []string{"restored ip t s 1", "restored ip t s2 1"}},
			{Change{Table: "ip t"}, []string{"restored ip t s 1", "restored ip t s2 1"}},
			{Change{Table: "ip t", Set: "s"}, []string{"restored ip t s 1"}},
			{Change{Table: "ip t", Set: "s2", Addr: addr("192.0.2.2")}, []string{"restored ip t s2 1"}},
			{Change{Table: "ip t", Set: "s2", Addr: addr("192.0.2.1")}, nil},
			{Change{Table: "ip t2", Set: "s"}, nil},
			{Change{Table: "inet t", Set: "s"}, nil},
		} {
			m.mu.Lock()
			for _, s := range m.sets {
				clear(s)
			}
			m.mu.Unlock()
			m.notify <- c.change
			later(settleTime)
			same(t, fmt.Sprintf("%+v", c.change), l.take(), c.want)
			k.changed(state.BackendNFT, Change{})
			later(settleTime)
			l.take()
		}
		k.changed(state.BackendIPSet, Change{})
		if !k.order[0].compareAt.IsZero() {
			t.Error("a change of another backend concerns the set")
		}
	})
}

func TestLoad(t *testing.T) {
	for _, untimed := range []bool{false, true} {
		m := newMemory("ip t s")
		m.untimed = untimed
		b := []state.Ban{nftBan("ip t s", "192.0.2.1", 0), nftBan("ip t s", "192.0.2.2", 0), nftBan("ip t s", "192.0.2.3", 0)}
		b[1].Until = time.Date(1999, 12, 31, 0, 0, 0, 0, time.UTC) // a bubble begins at 2000-01-01
		for _, x := range b[1:] {
			m.sets["ip t s"][x.Addr] = 0
		}
		inMemory(t, m, b, func(k *Keeper, l *log) {
			want := []string{"192.0.2.1 0s", "192.0.2.3 0s"}
			if !untimed { // the set itself lets it go
				want = []string{"192.0.2.1 0s", "192.0.2.2 0s", "192.0.2.3 0s"}
			}
			same(t, "held", m.held("ip t s"), want)
			same(t, "events", l.take(), []string{"restored ip t s 1", "expired ip t s 192.0.2.2"})
			if k.Len() != 2 || len(k.order[0].bans) != 2 {
				t.Errorf("%d bans, %d remembered", k.Len(), len(k.order[0].bans))
			}
		})
	}
}

// TestLoadOfWhatIsOver looks at a set once, which need not exist, and removes what it may hold still.
func TestLoadOfWhatIsOver(t *testing.T) {
	over := nftBan("ip t s", "192.0.2.1", 0)
	over.Until = time.Date(1999, 12, 31, 0, 0, 0, 0, time.UTC)
	none := over
	none.Set = "ip t none"
	m := newMemory("ip t s")
	m.untimed = true
	m.sets["ip t s"][over.Addr] = 0
	inMemory(t, m, []state.Ban{over}, func(_ *Keeper, l *log) {
		same(t, "held", m.held("ip t s"), nil)
		same(t, "events", l.take(), []string{"expired ip t s 192.0.2.1"})
	})
	r, err := Restore(t.Context(), map[string]Firewall{state.BackendNFT: &nftNetlink{ready: map[NFTSet]bool{}}}, []state.Ban{none}, noon)
	if err != nil || r != (Result{Expired: 1}) {
		t.Errorf("a set that is missing, with nothing to put in: %+v, %v", r, err)
	}
}

func TestRejectedBanIsToldOnce(t *testing.T) {
	m := newMemory("ip t s")
	inMemory(t, m, nil, func(k *Keeper, l *log) {
		k.Ban([]state.Ban{from("192.0.2.1", 0), from(bad.String(), 0)})
		synctest.Wait()
		same(t, "events", l.take(), []string{"banned ip t s 192.0.2.1", "rejected ip t s 203.0.113.66"})
		m.notify <- Change{}
		later(settleTime)
		same(t, "events of the comparison", l.take(), nil)
		if k.Len() != 2 {
			t.Errorf("%d bans", k.Len())
		}
	})
}

func TestBanBlocksWhenTheQueueIsFull(t *testing.T) {
	m := newMemory("ip t s")
	inMemory(t, m, nil, func(k *Keeper, _ *log) {
		m.block = make(chan struct{})
		k.Ban([]state.Ban{from("192.0.2.1", 0)})
		synctest.Wait() // the worker has it
		done := make(chan struct{})
		go func() {
			for i := range 6 {
				k.Ban([]state.Ban{from(fmt.Sprintf("192.0.2.%d", 10+i), 0)})
			}
			close(done)
		}()
		synctest.Wait()
		select {
		case <-done:
			t.Error("nothing blocked")
		default:
		}
		if n := len(k.Bans()); n != 5 {
			t.Errorf("%d bans are known while the queue of 4 is full", n)
		}
		close(m.block)
		<-done
		if err := k.Flush(context.Background()); err != nil {
			t.Error(err)
		}
		if n := len(m.held("ip t s")); n != 7 {
			t.Errorf("%d held", n)
		}
	})
}

func TestStopIsBoundedAndLiftsNothing(t *testing.T) {
	m := newMemory("ip t s")
	inMemory(t, m, nil, func(k *Keeper, _ *log) {
		k.Ban([]state.Ban{from("192.0.2.1", 0)})
		synctest.Wait()
		m.block = make(chan struct{}) // never closed
		k.Ban([]state.Ban{from("192.0.2.2", 0)})
	})
	same(t, "held", m.held("ip t s"), []string{"192.0.2.1 0s"})
}

func TestStaleDuesAreTidied(t *testing.T) {
	k := NewKeeper(Options{Now: atNoon})
	for i := range 10_000 {
		b := nftBan("ip t s", "192.0.2.1", time.Hour)
		b.Until = b.Until.Add(time.Duration(i) * time.Second)
		k.Ban([]state.Ban{b})
	}
	if len(k.dues) > 2*1024 {
		t.Errorf("%d dues for one ban", len(k.dues))
	}
	if events := k.expire(noon.Add(time.Hour + 9999*time.Second)); len(k.dues) != 0 || k.Len() != 0 || events != nil {
		t.Errorf("%d dues and %d bans are left; %v", len(k.dues), k.Len(), events)
	}
}

func TestDueHeapIsSorted(t *testing.T) {
	var h dueHeap
	for i := range 500 {
		h.push(due{at: int64(i * 7919 % 503)})
	}
	for i := range h { // spoil and mend
		h[i].at = h[i].at * 31 % 499
	}
	h.order()
	var got []int64
	for len(h) > 0 {
		got = append(got, h.pop().at)
	}
	if !slices.IsSorted(got) || len(got) != 500 {
		t.Errorf("%d: %v", len(got), got)
	}
}

func TestLongIPSetBansAreRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory("s")
		k := NewKeeper(Options{Firewalls: map[string]Firewall{state.BackendIPSet: m}, Now: time.Now})
		b := from("192.0.2.1", 60*24*time.Hour)
		b.Backend, b.Set, b.Since = state.BackendIPSet, "s", time.Now().Add(-time.Hour)
		ever := b
		ever.Addr, ever.Until = addr("192.0.2.2"), time.Time{}
		k.Ban([]state.Ban{b, ever})
		go func() { _ = k.Run(t.Context()) }()
		synctest.Wait()
		adds := m.adds
		for day := range 60 {
			later(24 * time.Hour)
			m.mu.Lock()
			if ago := m.sets["s"][b.Addr] - time.Until(b.Until); ago > ipsetAgain {
				t.Errorf("day %d: put in for the last time %v ago", day, ago)
			}
			m.mu.Unlock()
		}
		synctest.Wait()
		if m.adds-adds != 4 { // 60 days are 4.8 times ipsetAgain
			t.Errorf("put in %d times again", m.adds-adds)
		}
		if k.Len() != 1 || len(k.dues) != 0 {
			t.Errorf("%d bans, %d dues", k.Len(), len(k.dues))
		}
	})
}

// blind is a firewall whose watching fails.
type blind struct {
	*memory
	tries int
}

var errBlind = errors.New("out of sight")

func (b *blind) Watch(_ context.Context, notify func(Change)) error {
	b.tries++
	if b.tries == 3 {
		notify(Change{})
	}
	return errBlind
}

func TestWatchingThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &blind{memory: newMemory("ip t s")}
		l := &log{}
		k := NewKeeper(Options{Firewalls: map[string]Firewall{state.BackendNFT: b}, Now: time.Now, Events: l.add})
		go func() { _ = k.Run(t.Context()) }()
		synctest.Wait()
		same(t, "events before the first ban", l.take(), nil)
		k.Ban([]state.Ban{from("192.0.2.1", 0)})
		later(retryFirst)
		same(t, "events", l.take(), []string{"banned ip t s 192.0.2.1", "unwatched  invalid IP"})
		if err := b.Remove(t.Context(), "ip t s", []netip.Addr{addr("192.0.2.1")}); err != nil {
			t.Error(err)
		}
		later(2 * retryFirst)
		same(t, "events when it works for a moment", l.take(), []string{"unwatched  invalid IP"})
		later(settleTime)
		same(t, "events of the comparison", l.take(), []string{"restored ip t s 1"})
		later(time.Hour)
		same(t, "events of an hour", l.take(), nil)
		if b.tries > 70 {
			t.Errorf("tried %d times in an hour", b.tries)
		}
	})
}

func TestUnknownBackend(t *testing.T) {
	k := NewKeeper(Options{Now: atNoon})
	k.Ban([]state.Ban{banIn("iptables", "s", "192.0.2.1", 0)})
	k.pass(t.Context())
	if p := k.Problems(); len(p) != 1 {
		t.Errorf("problems: %q", p)
	}
}

func TestRoundTripOfBans(t *testing.T) {
	k := NewKeeper(Options{Now: atNoon})
	want := map[string]state.Ban{}
	for _, b := range []state.Ban{
		nftBan("ip t s", "192.0.2.1", time.Hour), nftBan("ip6 t s", "2001:db8::1", 0),
		{Backend: state.BackendIPSet, Set: "s", Addr: addr("192.0.2.1"), Since: noon.Add(123456 * time.Microsecond), Until: noon.AddDate(500, 0, 0)},
	} {
		want[b.Backend+b.Set] = b
	}
	k.Load(slices.Collect(maps.Values(want)))
	for _, b := range k.Bans() {
		b.Since = b.Since.UTC()
		if !b.Until.IsZero() {
			b.Until = b.Until.UTC()
		}
		if w := want[b.Backend+b.Set]; !reflect.DeepEqual(b, w) {
			t.Errorf("\ngot  %+v\nwant %+v", b, w)
		}
	}
}

// TestConcurrentUse is for the race detector.
func TestConcurrentUse(t *testing.T) {
	m := newMemory("ip t s")
	inMemory(t, m, nil, func(k *Keeper, _ *log) {
		var wg sync.WaitGroup
		for g := range 4 {
			wg.Go(func() {
				for i := range 100 {
					a := fmt.Sprintf("10.0.%d.%d", g, i)
					k.Ban([]state.Ban{from(a, time.Hour)})
					if i%3 == 0 {
						k.Unban(addr(a), "")
					}
					if i%10 == 0 {
						m.notify <- Change{}
						_, _, _ = k.Bans(), k.Stats(), k.Problems()
					}
				}
			})
		}
		wg.Wait()
		if err := k.Flush(context.Background()); err != nil {
			t.Error(err)
		}
		if n := len(m.held("ip t s")); n != 4*66 || k.Len() != n {
			t.Errorf("%d held, %d desired", n, k.Len())
		}
	})
}
