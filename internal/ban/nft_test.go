package ban

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/pyruse/pyruse/internal/state"
)

// elements returns what nft lists as the elements of a set, sorted: "192.0.2.1", with " <3600" for one that has a timeout of
// an hour and less than that to live.
func elements(t testing.TB, set string) []string {
	t.Helper()
	var list struct {
		NFTables []struct {
			Set *struct {
				Timeout int               `json:"timeout"`
				Elem    []json.RawMessage `json:"elem"`
			} `json:"set"`
		} `json:"nftables"`
	}
	args := append([]string{"nft", "-j", "list", "set"}, strings.Fields(set)...)
	if err := json.Unmarshal([]byte(tool(t, args...)), &list); err != nil {
		t.Fatal(err)
	}
	texts := []string{}
	for _, item := range list.NFTables {
		if item.Set == nil {
			continue
		}
		for _, e := range item.Set.Elem {
			var timed struct {
				Elem struct {
					Val              json.RawMessage
					Timeout, Expires int
				}
			}
			val, suffix := e, ""
			if json.Unmarshal(e, &timed) == nil && timed.Elem.Val != nil {
				val = timed.Elem.Val
				limit := timed.Elem.Timeout
				if limit == 0 {
					limit = item.Set.Timeout // nft leaves a timeout out that is the set's own
				}
				if timed.Elem.Expires > limit {
					t.Errorf("%s expires in %d s of %d", val, timed.Elem.Expires, limit)
				}
				if limit%60 == 59 { // nft rounds what was left of a minute down
					limit++
				}
				suffix = fmt.Sprintf(" <%d", limit)
			}
			var r struct {
				Range  []string
				Prefix *struct {
					Addr string
					Len  int
				}
			}
			text := strings.Trim(string(val), `"`)
			if json.Unmarshal(val, &r) == nil {
				if r.Prefix != nil {
					text = fmt.Sprintf("%s/%d", r.Prefix.Addr, r.Prefix.Len)
				} else {
					text = strings.Join(r.Range, "-")
				}
			}
			texts = append(texts, text+suffix)
		}
	}
	slices.Sort(texts)
	return texts
}

// live is a keeper over the real kernel.
type live struct {
	*Keeper
	events chan Event
	stop   func()
}

// watching tells when the firewall under test is being watched.
type watching struct {
	Firewall
	begun chan struct{}
}

func (w *watching) Watch(ctx context.Context, notify func(Change)) error {
	return w.Firewall.(Watcher).Watch(ctx, func(c Change) {
		notify(c)
		if c == (Change{}) {
			select {
			case w.begun <- struct{}{}:
			default:
			}
		}
	})
}

// startNFT runs a keeper with nftables by netlink, and waits until it watches the kernel.
func startNFT(t testing.TB) *live {
	t.Helper()
	fw, err := NewNFT(nil)
	if err != nil {
		t.Fatal(err)
	}
	w := &watching{fw, make(chan struct{}, 1)}
	l := start(t, state.BackendNFT, w)
	<-w.begun
	return l
}

func start(t testing.TB, backend string, fw Firewall) *live {
	t.Helper()
	l := &live{events: make(chan Event, 1<<17)}
	l.Keeper = NewKeeper(Options{
		Firewalls: map[string]Firewall{backend: fw}, Now: time.Now, Events: func(e Event) { l.events <- e },
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	stopped := false
	l.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
	}
	t.Cleanup(l.stop)
	return l
}

// await returns the next event of a kind; others are passed over.
func (l *live) await(t testing.TB, kind EventKind) Event {
	t.Helper()
	limit := time.After(10 * time.Second)
	for {
		select {
		case e := <-l.events:
			if e.Kind == kind {
				return e
			}
			t.Logf("event: %s %s %v %v", kindName[e.Kind], e.Set, e.Ban.Addr, e.Err)
		case <-limit:
			t.Fatalf("no event %q in 10 s", kindName[kind])
		}
	}
}

func (l *live) flush(t testing.TB) {
	t.Helper()
	if err := l.Flush(context.Background()); err != nil {
		t.Error(err)
	}
}

// hours returns a ban in nftables from now on.
func hours(set, a string, n int) state.Ban {
	b := nftBan(set, a, 0)
	b.Since = time.Now()
	if n > 0 {
		b.Until = b.Since.Add(time.Duration(n) * time.Hour)
	}
	return b
}

func TestNFTSetsOfAllKinds(t *testing.T) {
	for flags, want := range map[string][]string{
		"":                                       {"192.0.2.1", "192.0.2.2", "192.0.2.3"},
		"flags timeout ;":                        {"192.0.2.1 <3600", "192.0.2.2", "192.0.2.3 <7200"},
		"flags interval ;":                       {"192.0.2.1", "192.0.2.2", "192.0.2.3"},
		"flags interval, timeout ;":              {"192.0.2.1 <3600", "192.0.2.2", "192.0.2.3 <7200"},
		"flags timeout ; timeout 1d ;":           {"192.0.2.1 <3600", "192.0.2.2", "192.0.2.3 <7200"},
		"flags interval, timeout ; timeout 1d ;": {"192.0.2.1 <3600", "192.0.2.2", "192.0.2.3 <7200"},
		"flags dynamic, timeout ; size 99 ;":     {"192.0.2.1 <3600", "192.0.2.2", "192.0.2.3 <7200"},
		"flags interval, timeout ; auto-merge ;": {"192.0.2.1 <3600", "192.0.2.2", "192.0.2.3 <7200"},
		"size 3 ;":                               {"192.0.2.1", "192.0.2.2", "192.0.2.3"},
	} {
		t.Run(flags, func(t *testing.T) {
			emptyFirewall(t)
			tool(t, "nft", "add table ip Inet4 ; add set ip Inet4 mail_ban { type ipv4_addr ; "+flags+" }")
			k := startNFT(t)
			const set = "ip Inet4 mail_ban"
			k.Ban([]state.Ban{hours(set, "192.0.2.2", 3), hours(set, "192.0.2.1", 5), hours(set, "192.0.2.3", 2)})
			k.flush(t)
			k.Ban([]state.Ban{hours(set, "192.0.2.2", 0), hours(set, "192.0.2.1", 1)}) // others than before
			k.flush(t)
			got := elements(t, set)
			if strings.Contains(flags, "auto-merge") { // nft merges what it shows
				got = nil
				for _, w := range want {
					tool(t, "nft", "get element ip Inet4 mail_ban { "+strings.Fields(w)[0]+" }")
					got = append(got, w)
				}
			}
			same(t, "elements", got, want)
			k.Unban(addr("192.0.2.2"), "")
			k.Unban(addr("192.0.2.1"), set)
			k.flush(t)
			same(t, "elements after lifting", elements(t, set), want[2:])
			k.stop()
			same(t, "elements after the end", elements(t, set), want[2:])
		})
	}
}

func TestNFTOtherFamilies(t *testing.T) {
	emptyFirewall(t)
	sets := map[string]string{
		"ip6 Inet6 s":  "2001:db8::1",
		"inet both s6": "2001:db8::2",
		"inet both s4": "192.0.2.4",
		"bridge br s":  "192.0.2.5",
		"netdev nd s6": "2001:db8::6",
	}
	for set, a := range sets {
		typ := "ipv4_addr"
		if addr(a).Is6() {
			typ = "ipv6_addr"
		}
		w := strings.Fields(set)
		tool(t, "nft", fmt.Sprintf("add table %s %s ; add set %s { type %s ; flags interval, timeout ; }", w[0], w[1], set, typ))
	}
	k := startNFT(t)
	for set, a := range sets {
		k.Ban([]state.Ban{hours(set, a, 1)})
	}
	k.flush(t)
	for set, a := range sets {
		same(t, set, elements(t, set), []string{a + " <3600"})
	}
}

// TestNFTOwnSet shows all that is made for a set of Pyruse's own, as nft shows it to the administrator.
func TestNFTOwnSet(t *testing.T) {
	emptyFirewall(t)
	k := startNFT(t)
	k.Ban([]state.Ban{hours("inet pyruse ssh", "192.0.2.1", 0), hours("inet pyruse ssh6", "2001:db8::1", 0)})
	k.flush(t)
	k.Ban([]state.Ban{hours("inet pyruse ssh", "192.0.2.2", 0)})
	k.flush(t)
	all := ownSets + ownChainText("input") + "\n" + ownChainText("forward") + "}"
	if got := tool(t, "nft", "list", "ruleset"); got != all {
		t.Errorf("got\n%s\nwant\n%s", got, all)
	}

	tool(t, "nft", "flush", "chain", "inet", "pyruse", "forward")
	tool(t, "nft", "flush chain inet pyruse input ; delete chain inet pyruse input")
	want := ownSets + ownChainText("forward") + "\n" + ownChainText("input") + "}"
	got := ""
	for limit := time.Now().Add(10 * time.Second); got != want && time.Now().Before(limit); {
		got = tool(t, "nft", "list", "ruleset")
	}
	if got != want {
		t.Errorf("the chains were not mended:\n%s\nwant\n%s", got, want)
	}
}

const ownSets = `table inet pyruse {
	set ssh {
		type ipv4_addr
		flags timeout
		elements = { 192.0.2.1, 192.0.2.2 }
	}

	set ssh6 {
		type ipv6_addr
		flags timeout
		elements = { 2001:db8::1 }
	}

`

func ownChainText(hook string) string {
	return `	chain ` + hook + ` {
		type filter hook ` + hook + ` priority filter - 10; policy accept;
		ip saddr @ssh drop
		ip6 saddr @ssh6 drop
	}
`
}

func TestNFTOneNameForBothFamilies(t *testing.T) {
	emptyFirewall(t)
	tool(t, "nft", "add table ip t ; add set ip t s { type ipv4_addr ; }")
	k := startNFT(t)
	for _, set := range []string{"inet pyruse s", "ip t s"} {
		k.Ban([]state.Ban{hours(set, "192.0.2.1", 0), hours(set, "2001:db8::1", 0)})
		k.flush(t)
		e := k.await(t, Rejected)
		if !errors.Is(e.Err, ErrFamily) || e.Ban.Addr != addr("2001:db8::1") {
			t.Errorf("%+v", e)
		}
		if want := fmt.Sprintf("set %q is of type ipv4_addr: wrong address family for this set", set); e.Err.Error() != want {
			t.Errorf("got %v, want %s", e.Err, want)
		}
		same(t, set, elements(t, set), []string{"192.0.2.1"})
	}
}

func TestNFTMissingSet(t *testing.T) {
	emptyFirewall(t)
	tool(t, "nft", "add table ip t ; add set ip t there { type ipv4_addr ; }")
	k := startNFT(t)
	k.Ban([]state.Ban{hours("ip t s", "192.0.2.1", 0), hours("ip none s", "192.0.2.1", 0), hours("ip t there", "192.0.2.1", 0)})
	if err := k.Flush(context.Background()); !errors.Is(err, ErrNoSet) {
		t.Errorf("flush: %v", err)
	}
	same(t, "the other set", elements(t, "ip t there"), []string{"192.0.2.1"})
	first := k.await(t, Failed)
	if first.Set != "ip t s" || !errors.Is(first.Err, ErrNoSet) || first.Count != 1 {
		t.Errorf("%+v", first)
	}
	tool(t, "nft", "add set ip t s { type ipv4_addr ; flags timeout ; }")
	if e := k.await(t, Recovered); e.Set != "ip t s" || e.Count != 1 {
		t.Errorf("%+v", e)
	}
	same(t, "the set", elements(t, "ip t s"), []string{"192.0.2.1"})
}

func TestNFTSetOfAnotherType(t *testing.T) {
	emptyFirewall(t)
	tool(t, "nft", "add table ip t ; add set ip t ports { type inet_service ; } ; add map ip t m { type ipv4_addr : verdict ; } ; add set ip t pair { type ipv4_addr . inet_service ; }")
	k := startNFT(t)
	for _, set := range []string{"ip t ports", "ip t m", "ip t pair"} {
		k.Ban([]state.Ban{hours(set, "192.0.2.1", 0)})
		if e := k.await(t, Failed); !errors.Is(e.Err, ErrType) {
			t.Errorf("%s: %v", set, e.Err)
		}
	}
}

func TestNFTFullSet(t *testing.T) {
	emptyFirewall(t)
	tool(t, "nft", "add table ip t ; add set ip t s { type ipv4_addr ; size 1 ; }")
	k := startNFT(t)
	k.Ban([]state.Ban{hours("ip t s", "192.0.2.1", 0)})
	k.flush(t)
	k.Ban([]state.Ban{hours("ip t s", "192.0.2.2", 0)})
	if e := k.await(t, Failed); !errors.Is(e.Err, unix.ENFILE) || !strings.HasPrefix(e.Err.Error(), `nftables set "ip t s" is full: `) {
		t.Errorf("%v", e.Err)
	}
	k.Unban(addr("192.0.2.1"), "")
	tool(t, "nft", "delete set ip t s ; add set ip t s { type ipv4_addr ; }")
	k.await(t, Recovered)
	k.flush(t)
	same(t, "elements", elements(t, "ip t s"), []string{"192.0.2.2"})
}

func TestNFTIntervalsOfTheAdministrator(t *testing.T) {
	for _, flags := range []string{"interval", "interval, timeout"} {
		emptyFirewall(t)
		tool(t, "nft", "add table ip t ; add set ip t s { type ipv4_addr ; flags "+flags+" ; elements = { 192.0.2.0/24, 198.51.100.4 } }")
		k := startNFT(t)
		var bans []state.Ban
		for _, a := range []string{"192.0.2.0", "192.0.2.77", "192.0.2.255", "192.0.3.0", "192.0.1.255", "198.51.100.5", "198.51.100.3", "255.255.255.254"} {
			bans = append(bans, hours("ip t s", a, 0))
		}
		k.Ban(bans)
		k.flush(t)
		want := []string{"192.0.1.255", "192.0.2.0/24", "192.0.3.0", "198.51.100.3", "198.51.100.4", "198.51.100.5", "255.255.255.254"}
		same(t, "elements", elements(t, "ip t s"), want)
		for range bans {
			k.await(t, Banned)
		}
		for _, b := range bans {
			k.Unban(b.Addr, "")
		}
		k.flush(t)
		same(t, "elements after lifting", elements(t, "ip t s"), []string{"192.0.2.0/24", "198.51.100.4"})

		k.Ban(bans[1:2])
		k.flush(t)
		tool(t, "nft", "delete element ip t s { 192.0.2.0/24 }") // what covered the ban
		if e := k.await(t, Restored); e.Count != 1 {
			t.Errorf("%+v", e)
		}
		same(t, "elements after the net was deleted", elements(t, "ip t s"), []string{"192.0.2.77", "198.51.100.4"})
		k.stop()
	}
}

// TestNFTNeighboursInIntervals bans, bans again and lifts addresses side by side, in any order.
func TestNFTNeighboursInIntervals(t *testing.T) {
	emptyFirewall(t)
	tool(t, "nft", "add table ip t ; add set ip t s { type ipv4_addr ; flags interval, timeout ; }")
	fw, err := NewNFT(nil)
	if err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	want := map[string]bool{}
	for range 60 {
		var elems []Element
		var gone []netip.Addr
		for _, i := range rnd.Perm(16) {
			a := addr(fmt.Sprintf("192.0.2.%d", i))
			switch rnd.IntN(3) {
			case 0:
				elems = append(elems, Element{Addr: a, Timeout: time.Hour})
				want[a.String()+" <3600"] = true
			case 1:
				gone = append(gone, a)
				delete(want, a.String()+" <3600")
			}
		}
		if _, err := fw.Add(t.Context(), "ip t s", elems); err != nil {
			t.Fatal(err)
		}
		if err := fw.Remove(t.Context(), "ip t s", gone); err != nil {
			t.Fatal(err)
		}
		var held []Element
		for i := range 16 {
			held = append(held, Element{Addr: addr(fmt.Sprintf("192.0.2.%d", i)), Timeout: time.Minute})
		}
		missing, _, err := fw.Missing(t.Context(), "ip t s", held)
		if err != nil || len(missing) != 16-len(want) {
			t.Fatalf("missing %v of %v, %v", missing, want, err)
		}
		var sorted []string
		for w := range want {
			sorted = append(sorted, w)
		}
		slices.Sort(sorted)
		same(t, "elements", elements(t, "ip t s"), sorted)
	}
	if err := fw.Close(); err != nil {
		t.Error(err)
	}
}

func TestNFTExpiry(t *testing.T) {
	emptyFirewall(t)
	tool(t, "nft", "add table ip t ; add set ip t s { type ipv4_addr ; } ; add set ip t timed { type ipv4_addr ; flags timeout ; }")
	k := startNFT(t)
	for _, set := range []string{"ip t s", "ip t timed"} {
		b := hours(set, "192.0.2.1", 0)
		b.Until = time.Now().Add(200 * time.Millisecond)
		k.Ban([]state.Ban{b, hours(set, "192.0.2.2", 0)})
		k.await(t, Banned)
		if e := k.await(t, Expired); e.Ban.Addr != b.Addr {
			t.Errorf("%+v", e)
		}
		got := elements(t, set)
		for slices.Contains(got, "192.0.2.1 <1") || len(got) > 1 { // the kernel's clock may be a tick behind
			got = elements(t, set)
		}
		same(t, set, got, []string{"192.0.2.2"})
	}
}

func TestNFTPutsBackWhatOthersTake(t *testing.T) {
	const ruleset = "table ip t {\n set s { type ipv4_addr\n flags timeout\n }\n set fixed { type ipv4_addr\n flags interval\n }\n }\n"
	for name, take := range map[string]string{
		"reload":          "flush ruleset\n" + ruleset,
		"flush set":       "flush set ip t s ; flush set ip t fixed",
		"delete elements": "delete element ip t s { 192.0.2.1 } ; delete element ip t fixed { 192.0.2.1 }",
		"delete table":    "delete table ip t\n" + ruleset,
		"other flags":     "delete table ip t ; add table ip t ; add set ip t s { type ipv4_addr ; flags interval ; } ; add set ip t fixed { type ipv4_addr ; flags timeout ; }",
	} {
		t.Run(name, func(t *testing.T) {
			emptyFirewall(t)
			tool(t, "nft", ruleset)
			k := startNFT(t)
			k.Ban([]state.Ban{hours("ip t s", "192.0.2.1", 1), hours("ip t fixed", "192.0.2.1", 1), hours("inet pyruse own", "192.0.2.1", 1)})
			k.flush(t)
			began := time.Now()
			tool(t, "nft", take)
			sets := map[string]bool{k.await(t, Restored).Set: true, k.await(t, Restored).Set: true}
			if name == "reload" {
				sets[k.await(t, Restored).Set] = true
			}
			if took := time.Since(began); took > time.Second {
				t.Errorf("put back after %v", took)
			}
			if !sets["ip t s"] || !sets["ip t fixed"] || (name == "reload") != sets["inet pyruse own"] {
				t.Errorf("put back: %v", sets)
			}
			s, fixed := "192.0.2.1 <3600", "192.0.2.1"
			if name == "other flags" {
				s, fixed = fixed, s
			}
			for set, want := range map[string]string{"ip t s": s, "ip t fixed": fixed, "inet pyruse own": "192.0.2.1 <3600"} {
				got := elements(t, set)
				same(t, set, got, []string{want})
			}
			if len(k.events) != 0 {
				t.Errorf("another event: %+v", <-k.events)
			}
		})
	}
}

// TestNFTReloadInSteps is what restarting nftables.service does: everything is flushed, and the file is loaded later.
func TestNFTReloadInSteps(t *testing.T) {
	emptyFirewall(t)
	tool(t, "nft", "add table ip t ; add set ip t s { type ipv4_addr ; }")
	k := startNFT(t)
	k.Ban([]state.Ban{hours("ip t s", "192.0.2.1", 1)})
	k.flush(t)
	tool(t, "nft", "flush", "ruleset")
	if e := k.await(t, Failed); !errors.Is(e.Err, ErrNoSet) {
		t.Errorf("%+v", e)
	}
	tool(t, "nft", "add", "table", "ip", "t")
	tool(t, "nft", "add set ip t s { type ipv4_addr ; flags timeout ; }")
	began := time.Now()
	if e := k.await(t, Recovered); e.Count != 1 || time.Since(began) > time.Second {
		t.Errorf("%+v after %v", e, time.Since(began))
	}
	if got := elements(t, "ip t s"); len(got) != 1 {
		t.Errorf("%q", got)
	}
}

// TestNFTOwnTransactionsAreNotNoticed would otherwise loop: each ban would have the set compared.
func TestNFTOwnTransactionsAreNotNoticed(t *testing.T) {
	emptyFirewall(t)
	tool(t, "nft", "add table ip t ; add set ip t s { type ipv4_addr ; flags timeout ; } ; add set ip t marker { type ipv4_addr ; }")
	fw := &nftNetlink{ready: map[NFTSet]bool{}}
	defer func() {
		if err := fw.Close(); err != nil {
			t.Error(err)
		}
	}()
	changes := make(chan Change, 100)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- fw.Watch(ctx, func(c Change) { changes <- c }) }()
	if c := <-changes; c != (Change{}) {
		t.Errorf("began with %+v", c)
	}
	elems := []Element{{Addr: addr("192.0.2.1"), Timeout: time.Hour}}
	for range 3 { // each time over a new connection
		if _, err := fw.Add(t.Context(), "ip t s", elems); err != nil {
			t.Error(err)
		}
		if err := errors.Join(fw.Remove(t.Context(), "ip t s", []netip.Addr{elems[0].Addr}), fw.Close()); err != nil {
			t.Error(err)
		}
	}
	tool(t, "nft", "delete", "set", "ip", "t", "marker")
	if c := <-changes; c != (Change{Table: "ip t", Set: "marker"}) {
		t.Errorf("noticed %+v", c)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestNFTHostileSetNames(t *testing.T) {
	k := startNFT(t)
	emptyFirewall(t)
	k.Ban([]state.Ban{hours("ip t s } ; flush ruleset", "192.0.2.1", 0)})
	if e := k.await(t, Failed); e.Err == nil {
		t.Errorf("%+v", e)
	}
}

func TestCheck(t *testing.T) {
	emptyFirewall(t)
	tool(t, "nft", "add table ip t ; add set ip t s { type ipv4_addr ; flags interval, timeout ; } ; add set ip t ports { type inet_service ; }")
	tool(t, "ipset", "create", "nets", "hash:net")
	tool(t, "ipset", "create", "pairs", "hash:ip,port")
	nft, err := NewNFT(nil)
	if err != nil {
		t.Fatal(err)
	}
	ipset, err := NewIPSet(nil)
	if err != nil {
		t.Fatal(err)
	}
	nftCommand, err := NewNFT([]string{"env", "nft"})
	if err != nil {
		t.Fatal(err)
	}
	ipsetCommand, err := NewIPSet([]string{"env", "ipset"})
	if err != nil {
		t.Fatal(err)
	}
	for _, walls := range []map[string]Firewall{
		{state.BackendNFT: nft, state.BackendIPSet: ipset},
		{state.BackendNFT: nftCommand, state.BackendIPSet: ipsetCommand},
	} {
		for _, c := range []struct {
			backend, set string
			ipv6         bool
			want         error
			info         SetInfo
		}{
			{"nft", "ip t s", false, nil, SetInfo{"ipv4_addr", true, false, true, true}},
			{"nft", "ip t s", true, ErrFamily, SetInfo{"ipv4_addr", true, false, true, true}},
			{"nft", "ip t none", false, ErrNoSet, SetInfo{}},
			{"nft", "ip t ports", false, ErrType, SetInfo{Type: "inet_service"}},
			{"nft", "inet pyruse new", true, nil, SetInfo{IPv6: true, Timeouts: true}},
			{"ipset", "nets", false, nil, SetInfo{"hash:net inet", true, false, false, true}},
			{"ipset", "pairs", false, ErrType, SetInfo{"hash:ip,port inet", true, false, false, false}},
			{"ipset", "nets", true, ErrFamily, SetInfo{"hash:net inet", true, false, false, true}},
			{"ipset", "new", true, nil, SetInfo{IPv6: true, Timeouts: true}},
		} {
			info, err := Check(t.Context(), walls, c.backend, c.set, c.ipv6)
			if !errors.Is(err, c.want) || info != c.info {
				t.Errorf("%s %s: %+v, %v, want %+v, %v", c.backend, c.set, info, err, c.info, c.want)
			}
		}
	}
}

func TestRestoreAndLift(t *testing.T) {
	emptyFirewall(t)
	tool(t, "nft", "add table ip t ; add set ip t s { type ipv4_addr ; elements = { 192.0.2.9, 192.0.2.3 } } ; add set ip t timed { type ipv4_addr ; flags timeout ; }")
	walls := func() map[string]Firewall {
		nft, err := NewNFT(nil)
		if err != nil {
			t.Fatal(err)
		}
		ipset, err := NewIPSet(nil)
		if err != nil {
			t.Fatal(err)
		}
		return map[string]Firewall{state.BackendNFT: nft, state.BackendIPSet: ipset}
	}
	bans := []state.Ban{
		nftBan("ip t s", "192.0.2.1", time.Hour), nftBan("ip t timed", "192.0.2.2", 0), nftBan("ip t timed", "192.0.2.4", time.Hour),
		nftBan("ip t s", "192.0.2.3", time.Minute),
		banIn(state.BackendIPSet, "sshd", "192.0.2.5", time.Hour), banIn(state.BackendIPSet, "sshd6", "2001:db8::5", 0),
		nftBan("ip t none", "192.0.2.1", 0), nftBan("ip t timed", "2001:db8::1", 0),
	}
	r, err := Restore(t.Context(), walls(), bans, noon.Add(30*time.Minute))
	if r != (Result{Restored: 5, Expired: 1}) || !errors.Is(err, ErrNoSet) || !errors.Is(err, ErrFamily) {
		t.Errorf("%+v, %v", r, err)
	}
	same(t, "set without timeouts", elements(t, "ip t s"), []string{"192.0.2.1", "192.0.2.9"})
	same(t, "set with timeouts", elements(t, "ip t timed"), []string{"192.0.2.2", "192.0.2.4 <1800"})
	same(t, "ipset", members(t, "sshd"), []string{"192.0.2.5 <1800"})
	same(t, "ipset", members(t, "sshd6"), []string{"2001:db8::5"})

	// The daemon that starts then finds nothing lacking.
	l := &log{}
	k := NewKeeper(Options{Firewalls: walls(), Now: func() time.Time { return noon.Add(30 * time.Minute) }, Events: l.add})
	k.Load(bans[:3])
	k.Load(bans[4:6])
	k.pass(t.Context())
	same(t, "events", l.take(), nil)

	if err := Lift(t.Context(), walls(), bans[:6]); err != nil {
		t.Error(err)
	}
	same(t, "set without timeouts", elements(t, "ip t s"), []string{"192.0.2.9"})
	same(t, "set with timeouts", elements(t, "ip t timed"), []string{})
	same(t, "ipset", members(t, "sshd"), nil)
}

func FuzzParseNotice(f *testing.F) {
	for _, m := range []struct {
		kind uint16
		data string
	}{
		{unix.NFT_MSG_DELSETELEM, "\x02\x00\x00\x01\x06\x00\x01\x00t\x00\x00\x00\x06\x00\x02\x00s\x00\x00\x00\x14\x00\x03\x80\x10\x00\x01\x80\x0c\x00\x01\x80\x08\x00\x01\x00\xc0\x00\x02\x01"},
		{unix.NFT_MSG_DELTABLE, "\x02\x00\x00\x01\x06\x00\x01\x00t\x00\x00\x00"},
		{unix.NFT_MSG_DELSET, "\x02"},
	} {
		f.Add(m.kind, []byte(m.data))
	}
	f.Fuzz(func(t *testing.T, kind uint16, data []byte) {
		c, ok := parseNotice(netlink.Message{Header: netlink.Header{Type: netlink.HeaderType(unix.NFNL_SUBSYS_NFTABLES<<8 | kind&0xff)}, Data: data})
		if ok && c.Table == "" {
			t.Errorf("%d %q: %+v", kind, data, c)
		}
	})
}

func FuzzReadListing(f *testing.F) {
	f.Add([]byte("\x44\x00\x00\x00\x0c\x0a\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x01\x06\x00\x01\x00t\x00\x00\x00\x06\x00\x02\x00s\x00\x00\x00\x20\x00\x03\x80\x1c\x00\x01\x80\x0c\x00\x01\x80\x08\x00\x01\x00\xc0\x00\x02\x01\x0c\x00\x05\x00\x00\x00\x00\x00\x00\x00\x00\x01"))
	f.Add([]byte("\x14\x00\x00\x00\x03\x00\x12\x00\x00\x00\x00\x00\x00\x00\x00\x00\xfe\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		have, _, done, err := readListing(b, nil)
		if err != nil && !done || len(have) > len(b) {
			t.Errorf("%q: %v, %v, %v", b, have, done, err)
		}
		for _, e := range have {
			if !e.addr.IsValid() || e.left < forEver {
				t.Errorf("%q: %+v", b, e)
			}
		}
	})
}

func TestParseNotice(t *testing.T) {
	element := []byte("\x02\x00\x00\x01\x06\x00\x01\x00t\x00\x00\x00\x06\x00\x02\x00s\x00\x00\x00\x14\x00\x03\x80\x10\x00\x01\x80\x0c\x00\x01\x80\x08\x00\x01\x00\xc0\x00\x02\x01")
	m := netlink.Message{Header: netlink.Header{Type: unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_DELSETELEM}, Data: element}
	if c, ok := parseNotice(m); !ok || c != (Change{"ip t", "s", addr("192.0.2.1")}) {
		t.Errorf("%+v, %v", c, ok)
	}
	m.Header.Type = unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_NEWSETELEM
	if c, ok := parseNotice(m); ok {
		t.Errorf("a new element: %+v", c)
	}
}

// TestBannedAddressIsDropped connects from an attacker in another network namespace.
func TestBannedAddressIsDropped(t *testing.T) {
	emptyFirewall(t)
	attacker := exec.Command("sleep", "600")
	attacker.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if err := attacker.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = attacker.Process.Kill()
		_ = attacker.Wait() // it was killed
	}()
	pid := fmt.Sprint(attacker.Process.Pid)
	tool(t, "ip", "link", "add", "v0", "type", "veth", "peer", "name", "v1", "netns", pid)
	defer tool(t, "ip", "link", "del", "v0")
	tool(t, "ip", "addr", "add", "192.0.2.1/24", "dev", "v0")
	tool(t, "ip", "link", "set", "v0", "up")
	for _, c := range []string{"ip addr add 192.0.2.66/24 dev v1", "ip addr add 192.0.2.67/24 dev v1", "ip link set v1 up"} {
		tool(t, append([]string{"nsenter", "-t", pid, "-n"}, strings.Fields(c)...)...)
	}
	server, err := net.Listen("tcp", "192.0.2.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Close() }()
	connects := func(from string, limit time.Duration) bool {
		return dialFrom(t, pid, from, server.Addr().String(), limit) == nil
	}
	k := startNFT(t)
	if !connects("192.0.2.66", 5*time.Second) {
		t.Fatal("no connection before the ban")
	}
	k.Ban([]state.Ban{hours("inet pyruse ssh", "192.0.2.66", 1)})
	k.flush(t)
	if connects("192.0.2.66", 300*time.Millisecond) {
		t.Error("the banned address connected")
	}
	if !connects("192.0.2.67", 5*time.Second) {
		t.Error("an address that is not banned did not connect")
	}
	k.Unban(addr("192.0.2.66"), "")
	k.flush(t)
	if !connects("192.0.2.66", 5*time.Second) {
		t.Error("no connection after the ban")
	}
}

// dialFrom connects from an address in the network namespace of a process.
func dialFrom(t *testing.T, pid, from, to string, limit time.Duration) error {
	t.Helper()
	result := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		ns, err := os.Open("/proc/" + pid + "/ns/net")
		if err == nil {
			err = errors.Join(unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET), ns.Close())
		}
		if err != nil {
			t.Errorf("enter the network namespace: %v", err)
			result <- err
			return
		}
		d := net.Dialer{Timeout: limit, LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(addr(from), 0))}
		c, err := d.Dial("tcp", to)
		if err == nil {
			err = c.Close()
		}
		result <- err
	}()
	return <-result
}
