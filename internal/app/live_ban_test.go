package app_test

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"github.com/pyruse/pyruse/internal/journal"
	"github.com/pyruse/pyruse/internal/journal/journaltest"
)

// TestThirdFailedLoginIsBanned goes the whole way: lines through logger(1) and journald, and the address is in the set.
func TestThirdFailedLoginIsBanned(t *testing.T) {
	s := newStation(t, actions(sshRules))
	d := s.start()
	const line = "Failed password for root from 192.0.2.7 port 4242 ssh2"
	journaltest.Logger(t, "sshd", line)
	journaltest.Logger(t, "sshd", line)
	failedLogin(t, "192.0.2.8")
	failedLogin(t, "::ffff:192.0.2.9") // IPv4 in IPv6's clothes
	failedLogin(t, "192.0.2.9")
	failedLogin(t, "2001:db8::7")
	failedLogin(t, "2001:db8::7")
	failedLogin(t, "2001:db8::7")
	left6 := awaitBan(t, ban6, "2001:db8::7") // all before it is handled then
	if got := elements(t, ban4); len(got) != 0 {
		t.Errorf("%s holds %v before any third failure", ban4, got)
	}
	journaltest.Logger(t, "sshd", line)
	left4 := awaitBan(t, ban4, "192.0.2.7")
	for _, left := range []int64{left4, left6} {
		if left < 3500 || left > 3600 {
			t.Errorf("%d seconds left of a ban of 3600", left)
		}
	}
	awaitElements(t, ban4, "192.0.2.7")
	d.awaitSaid(journal.MsgBanApplied, "192.0.2.7")
	noErrors(d)
	d.stop()
	awaitElements(t, ban4, "192.0.2.7") // no ban is lifted by the stop
}

// TestBanIsFast measures from the third line to the element in the kernel.
func TestBanIsFast(t *testing.T) {
	s := newStation(t, actions(sshRules))
	d := s.start()
	conn, err := nftables.New(nftables.AsLasting())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.CloseLasting() }()
	set := &nftables.Set{Table: &nftables.Table{Name: "pyruse", Family: nftables.TableFamilyINet}, Name: "ban4", KeyType: nftables.TypeIPAddr}
	var took []time.Duration
	for i := range 30 {
		address := fmt.Sprintf("192.0.2.%d", i+1)
		failedLogin(t, address)
		failedLogin(t, address)
		began := time.Now()
		failedLogin(t, address)
		eventually(t, address+" is banned", func() bool {
			elems, err := conn.GetSetElements(set) // an error: there is no set yet
			return err == nil && len(elems) == i+1
		})
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	median, worst := took[len(took)/2], took[len(took)-1]
	t.Logf("from the third line to the kernel: median %v, longest %v (looked at every %v)", median, worst, pollEvery)
	if median > 200*time.Millisecond {
		t.Errorf("a ban takes %v", median)
	}
	noErrors(d)
	d.stop()
}

// attacker is a network namespace on the other side of a veth pair.
type attacker struct{ path string }

// newAttacker connects a namespace with this one: here 198.51.100.1 and 2001:db8:51::1.
func newAttacker(t *testing.T, addresses ...string) attacker {
	t.Helper()
	ip := func(args ...string) {
		t.Helper()
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			t.Fatalf("ip %q (Debian package iproute2): %v: %s", args, err, out)
		}
	}
	ip("netns", "add", "attacker")
	t.Cleanup(func() { ip("netns", "del", "attacker") })
	ip("link", "add", "gate", "type", "veth", "peer", "name", "gate", "netns", "attacker")
	t.Cleanup(func() { ip("link", "del", "gate") })
	ip("addr", "add", "198.51.100.1/24", "dev", "gate")
	ip("addr", "add", "2001:db8:51::1/64", "dev", "gate", "nodad")
	ip("link", "set", "gate", "up")
	for _, a := range addresses {
		if strings.Contains(a, ":") {
			ip("-n", "attacker", "addr", "add", a+"/64", "dev", "gate", "nodad")
		} else {
			ip("-n", "attacker", "addr", "add", a+"/24", "dev", "gate")
		}
	}
	ip("-n", "attacker", "link", "set", "gate", "up")
	return attacker{"/run/netns/attacker"}
}

// connect opens a TCP connection from an address of the attacker.
func (a attacker) connect(from, to string) error {
	result := make(chan error)
	go func() {
		// The thread is in the other namespace from here on; never unlocked, it ends with the goroutine.
		runtime.LockOSThread()
		result <- func() error {
			ns, err := os.Open(a.path)
			if err != nil {
				return err
			}
			defer func() { _ = ns.Close() }()
			if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
				return err
			}
			// Long enough for one repeated SYN (RFC 6298: after 1 s).
			dialer := net.Dialer{Timeout: 1500 * time.Millisecond, LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
			conn, err := dialer.Dial("tcp", to)
			if err != nil {
				return err
			}
			return conn.Close()
		}()
	}()
	return <-result
}

// TestBannedAddressCannotConnect opens real TCP connections from another network namespace.
func TestBannedAddressCannotConnect(t *testing.T) {
	for _, c := range []struct{ name, here, bad, good, set string }{
		{"IPv4", "198.51.100.1", "198.51.100.66", "198.51.100.77", ban4},
		{"IPv6", "2001:db8:51::1", "2001:db8:51::66", "2001:db8:51::77", ban6},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := newAttacker(t, c.bad, c.good)
			l, err := net.Listen("tcp", net.JoinHostPort(c.here, "0"))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = l.Close() }() // the kernel completes connections of the backlog
			s := newStation(t, actions(sshRules))
			d := s.start()
			for _, from := range []string{c.bad, c.good} {
				if err := a.connect(from, l.Addr().String()); err != nil {
					t.Fatalf("%s cannot connect before any ban: %v", from, err)
				}
			}
			for range 3 {
				failedLogin(t, c.bad)
			}
			failedLogin(t, c.here)
			failedLogin(t, c.here)
			failedLogin(t, c.here)
			awaitBan(t, c.set, c.bad)
			if err := a.connect(c.bad, l.Addr().String()); err == nil {
				t.Errorf("%s is banned, and connects", c.bad)
			}
			if err := a.connect(c.good, l.Addr().String()); err != nil {
				t.Errorf("%s is not banned, and cannot connect: %v", c.good, err)
			}
			d.awaitSaid(journal.MsgBanRefused, c.here+": an address of this machine")
			d.stop()
			if err := a.connect(c.bad, l.Addr().String()); err == nil {
				t.Errorf("%s connects after the daemon has stopped", c.bad)
			}
		})
	}
}

// TestUsersOwnSets bans in sets that the administrator has made.
func TestUsersOwnSets(t *testing.T) {
	for _, c := range []struct {
		name, flags string
		timeouts    bool
	}{
		{"timeout", "flags timeout;", true},
		{"interval", "flags interval, timeout;", true},
		{"plain", "", false},
		{"plain interval", "flags interval;", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			nft(t, fmt.Sprintf("add table ip Inet4; add table ip6 Inet6; add set ip Inet4 mail_ban { type ipv4_addr; %s }; add set ip6 Inet6 mail_ban { type ipv6_addr; %[1]s }", c.flags))
			s := newStation(t, actions(dropRules("ip Inet4 mail_ban", "ip6 Inet6 mail_ban", 3600),
				strings.NewReplacer("drop", "brief", "3600", "2").Replace(dropRules("ip Inet4 mail_ban", "ip6 Inet6 mail_ban", 3600))))
			d := s.start()
			drop(t, "192.0.2.10")
			drop(t, "2001:db8::10")
			log(t, "gate", "brief 192.0.2.11") // for two seconds
			for set, address := range map[string]string{"ip Inet4 mail_ban": "192.0.2.10", "ip6 Inet6 mail_ban": "2001:db8::10"} {
				if left := awaitBan(t, set, address); (left > 3500) != c.timeouts {
					t.Errorf("%s: %d seconds left in the kernel", address, left)
				}
			}
			awaitBan(t, "ip Inet4 mail_ban", "192.0.2.11")
			awaitElements(t, "ip Inet4 mail_ban", "192.0.2.10")
			noErrors(d)
			d.stop()
		})
	}
}

// TestIPSetBans is the same way with sets of ipset, which are made on demand.
func TestIPSetBans(t *testing.T) {
	ipset := func(args ...string) string {
		t.Helper()
		out, err := exec.Command("ipset", args...).CombinedOutput()
		if err != nil {
			t.Fatalf("ipset %q (Debian package ipset): %v: %s", args, err, out)
		}
		return string(out)
	}
	rules := strings.NewReplacer("action_nftBan", "action_ipsetBan", "nftSetIP", "ipSetIP").Replace(dropRules("live_ban4", "live_ban6", 3600))
	s := newStation(t, actions(rules))
	d := s.start()
	t.Cleanup(func() { ipset("destroy") })
	drop(t, "192.0.2.13")
	drop(t, "2001:db8::13")
	banned := func() bool {
		list := ipset("save")
		return strings.Contains(list, "add live_ban4 192.0.2.13 timeout 3") && strings.Contains(list, "add live_ban6 2001:db8::13 timeout 3")
	}
	eventually(t, "both are in their sets", banned)
	ipset("flush")
	eventually(t, "both are back after a flush", banned)
	noErrors(d)
	d.stop()
	ipset("destroy")
	if out := s.must("boot", "action_ipsetBan"); !strings.Contains(out, "2 bans restored") || !banned() {
		t.Errorf("boot says %q; the sets: %s", out, ipset("save"))
	}
	s.must("bans", "remove", "192.0.2.13")
	if banned() {
		t.Errorf("the ban is not lifted: %s", ipset("save"))
	}
}

// TestBanThatEndsWhileStoppedIsLifted has bans end in a set without timeouts, of which the kernel drops nothing by itself.
func TestBanThatEndsWhileStoppedIsLifted(t *testing.T) {
	for _, next := range []string{"run", "boot"} {
		t.Run(next, func(t *testing.T) {
			nft(t, "add table ip Inet4; add set ip Inet4 mail_ban { type ipv4_addr; }")
			s := newStation(t, actions(dropRules("ip Inet4 mail_ban", "ip6 Inet6 mail_ban", 1)))
			if r := s.run("bans", "add", "ip Inet4 gone", "192.0.2.15", "--for", "1s"); r.code != 1 { // remembered, for a set that is missing
				t.Fatalf("%+v", r)
			}
			s.must("bans", "add", "ip Inet4 mail_ban", "192.0.2.14", "--for", "1s")
			s.must("bans", "add", "ip Inet4 mail_ban", "192.0.2.15")
			eventually(t, "its second is over", func() bool { return !strings.Contains(s.must("bans"), "192.0.2.14") })
			if n := len(elements(t, "ip Inet4 mail_ban")); n != 2 {
				t.Fatalf("%d elements are left by now", n)
			}
			if next == "boot" {
				if out := s.must("boot"); !strings.Contains(out, "1 bans restored") {
					t.Errorf("boot says %q", out)
				}
			} else {
				d := s.start()
				defer func() { d.stop(); noErrors(d) }()
			}
			awaitElements(t, "ip Inet4 mail_ban", "192.0.2.15")
		})
	}
}

// TestMissingSetIsToldAndTriedAgain makes the set only after the ban.
func TestMissingSetIsToldAndTriedAgain(t *testing.T) {
	s := newStation(t, actions(dropRules("ip Inet4 late", "ip6 Inet6 late", 3600)))
	d := s.start()
	drop(t, "192.0.2.12")
	d.awaitSaid(journal.MsgSetFailed, `"ip Inet4 late"`)
	if problems := d.status().Problems; len(problems) != 1 || !strings.Contains(problems[0], "ip Inet4 late") {
		t.Errorf("the status says %q", problems)
	}
	nft(t, "add table ip Inet4; add set ip Inet4 late { type ipv4_addr; flags timeout; }")
	awaitBan(t, "ip Inet4 late", "192.0.2.12")
	d.awaitSaid(journal.MsgBansRestored, "late")
	if problems := d.status().Problems; len(problems) != 0 {
		t.Errorf("the status says %q, although the set is there", problems)
	}
	d.stop()
}

// TestFlushedBansComeBackWithinASecond does what a reload of the firewall does.
func TestFlushedBansComeBackWithinASecond(t *testing.T) {
	const own = "add table ip Inet4; add set ip Inet4 mail_ban { type ipv4_addr; flags timeout; }"
	nft(t, own)
	s := newStation(t, actions(dropRules(ban4, ban6, 3600), strings.ReplaceAll(dropRules("ip Inet4 mail_ban", "ip6 Inet6 mail_ban", 3600), "drop", "mail")))
	d := s.start()
	drop(t, "192.0.2.20")
	log(t, "gate", "mail 192.0.2.21")
	awaitBan(t, ban4, "192.0.2.20")
	awaitBan(t, "ip Inet4 mail_ban", "192.0.2.21")
	for _, c := range []struct{ name, do string }{
		{"ruleset", "flush ruleset; " + own},
		{"table", "delete table inet pyruse; delete table ip Inet4; " + own},
		{"set", "flush set inet pyruse ban4; flush set ip Inet4 mail_ban"},
		{"element", "delete element inet pyruse ban4 { 192.0.2.20 }; delete element ip Inet4 mail_ban { 192.0.2.21 }"},
	} {
		nft(t, c.do)
		began := time.Now()
		left := awaitBan(t, ban4, "192.0.2.20")
		awaitBan(t, "ip Inet4 mail_ban", "192.0.2.21")
		took := time.Since(began)
		t.Logf("%s: back after %v", c.name, took)
		if took > time.Second || left < 3400 || left > 3600 {
			t.Errorf("%s: the bans are back after %v with %d seconds left", c.name, took, left)
		}
		if rules := nft(t, "list table inet pyruse"); strings.Count(rules, "ip saddr @ban4 drop") != 2 {
			t.Errorf("%s: the dropping rules:\n%s", c.name, rules)
		}
	}
	d.stop()
}

// TestBansByHand lists, adds and removes with the daemon and without.
func TestBansByHand(t *testing.T) {
	s := newStation(t, `"neverBan": ["203.0.113.0/24"], `+actions(dropRules(ban4, ban6, 0)))
	list := func() []string {
		t.Helper()
		var all []string
		dec := json.NewDecoder(strings.NewReader(s.must("bans", "--format", "json")))
		for dec.More() {
			var b struct{ Backend, Set, Address, Chain string }
			if err := dec.Decode(&b); err != nil {
				t.Fatal(err)
			}
			all = append(all, strings.TrimSpace(b.Backend+" "+b.Set+" "+b.Address+" "+b.Chain))
		}
		return all
	}
	wantList := func(want ...string) {
		t.Helper()
		if got := list(); !slices.Equal(got, want) {
			t.Errorf("pyruse bans lists %q, want %q", got, want)
		}
	}
	exercise := func(who string) {
		t.Helper()
		wantList("nft inet pyruse ban4 192.0.2.30 drop")
		s.must("bans", "add", ban4, "192.0.2.31", "--for", "1h")
		s.must("bans", "add", "inet pyruse other4", "192.0.2.31")
		if left := awaitBan(t, ban4, "192.0.2.31"); left < 3500 {
			t.Errorf("%s: %d seconds left of an hour", who, left)
		}
		awaitBan(t, "inet pyruse other4", "192.0.2.31")
		wantList("nft inet pyruse ban4 192.0.2.30 drop", "nft inet pyruse ban4 192.0.2.31", "nft inet pyruse other4 192.0.2.31")
		if r := s.run("bans", "add", ban4, "203.0.113.1"); r.code != 1 || !strings.Contains(r.stderr, "never banned") {
			t.Errorf("%s: ban of a protected address: %+v", who, r)
		}
		s.must("bans", "remove", "192.0.2.31", ban4)
		awaitElements(t, ban4, "192.0.2.30")
		wantList("nft inet pyruse ban4 192.0.2.30 drop", "nft inet pyruse other4 192.0.2.31")
		s.must("bans", "remove", "192.0.2.31")
		awaitElements(t, "inet pyruse other4")
		if r := s.run("bans", "remove", "192.0.2.31"); r.code != 1 || !strings.Contains(r.stderr, "not banned") {
			t.Errorf("%s: lifting what is not banned: %+v", who, r)
		}
	}
	d := s.start()
	drop(t, "192.0.2.30")
	awaitBan(t, ban4, "192.0.2.30")
	exercise("with the daemon")
	d.stop()
	exercise("without the daemon")
	nft(t, "flush", "ruleset")
	s.must("boot")
	awaitElements(t, ban4, "192.0.2.30")
	awaitElements(t, "inet pyruse other4")
}

// TestBansByHandHoldOnceTheCommandReturns kills the daemon the moment that a command has returned.
func TestBansByHandHoldOnceTheCommandReturns(t *testing.T) {
	s := newStation(t, actions(dropRules(ban4, ban6, 0)))
	d := s.start()
	s.must("bans", "add", ban4, "192.0.2.32")
	now := elements(t, ban4)
	d.kill()
	if _, ok := now["192.0.2.32"]; !ok {
		t.Errorf("%s holds %v when the command returns", ban4, now)
	}
	if out := s.must("bans"); !strings.Contains(out, "192.0.2.32") {
		t.Errorf("the ban is not remembered: %s", out)
	}
	d = s.start()
	s.must("bans", "remove", "192.0.2.32")
	now = elements(t, ban4)
	d.kill()
	if len(now) != 0 {
		t.Errorf("%s holds %v when the command returns", ban4, now)
	}
	if out := s.must("bans"); strings.Contains(out, "192.0.2.32") {
		t.Errorf("the lifted ban is still remembered: %s", out)
	}
	d = s.start()
	s.must("bans", "add", ban4, "192.0.2.34")
	if r := s.run("bans", "add", ban4, "2001:db8::34"); r.code != 1 || !strings.Contains(r.stderr, "wrong address family") {
		t.Errorf("an IPv6 address in a set of IPv4 addresses: %+v", r)
	}
	if r := s.run("bans", "add", "ip nowhere none", "192.0.2.33"); r.code != 1 || !strings.Contains(r.stderr, "ip nowhere none") {
		t.Errorf("a ban in a set that does not exist: %+v", r)
	}
	d.stop()
}

// TestBootPutsBansBack wipes the ruleset, as a reboot does.
func TestBootPutsBansBack(t *testing.T) {
	s := newStation(t, actions(dropRules(ban4, ban6, 3600)))
	d := s.start()
	drop(t, "192.0.2.40")
	drop(t, "2001:db8::40")
	awaitBan(t, ban6, "2001:db8::40")
	awaitBan(t, ban4, "192.0.2.40")
	d.stop()
	s.must("bans", "add", ban4, "192.0.2.41", "--for", "1s")
	awaitElements(t, ban4, "192.0.2.40") // its second is over
	nft(t, "flush", "ruleset")
	out := s.must("boot", "action_nftBan")
	if !strings.Contains(out, "2 bans restored") {
		t.Errorf("boot says %q", out)
	}
	if left := elements(t, ban4)["192.0.2.40"]; left < 3400 || left > 3600 {
		t.Errorf("%d seconds left of an hour's ban", left)
	}
	awaitElements(t, ban4, "192.0.2.40")
	awaitElements(t, ban6, "2001:db8::40")
	bans, err := s.book().Bans()
	if err != nil || len(bans) != 2 {
		t.Errorf("the database remembers %v, %v; want the two that have not expired", bans, err)
	}
}

// TestNFTExitStatusIsHeeded is for a fault of Pyruse 2: it ignored whether nft had worked.
func TestNFTExitStatusIsHeeded(t *testing.T) {
	script := filepath.Join(t.TempDir(), "wrapper") // nothing but nft would mean netlink
	broken := script + ".broken"
	if err := os.WriteFile(broken, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("#!/bin/sh\nif [ -e %q ]; then echo 'out of order today' >&2; exit 3; fi\nexec nft \"$@\"\n", broken)
	if err := os.WriteFile(script, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	nft(t, "add table ip Inet4; add set ip Inet4 mail_ban { type ipv4_addr; flags timeout; }")
	s := newStation(t, fmt.Sprintf("\"nftBan\": {\"nft\": [%q]}, ", script)+actions(dropRules("ip Inet4 mail_ban", "ip6 Inet6 mail_ban", 3600)))
	d := s.start()
	drop(t, "192.0.2.50")
	if said := d.awaitSaid(journal.MsgSetFailed, "out of order today"); !strings.Contains(said, "exit status 3") {
		t.Errorf("the exit status is not told: %q", said)
	}
	if problems := d.status().Problems; len(problems) != 1 {
		t.Errorf("the status says %q", problems)
	}
	if err := os.Remove(broken); err != nil {
		t.Fatal(err)
	}
	awaitBan(t, "ip Inet4 mail_ban", "192.0.2.50")
	d.stop()
}
