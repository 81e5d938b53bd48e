package ban

import (
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestParseAddr(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.1":                 "192.0.2.1",
		"::ffff:192.0.2.1":          "192.0.2.1", // Pyruse 2 banned it as IPv6
		"::ffff:c000:201":           "192.0.2.1",
		"2001:DB8::1":               "2001:db8::1",
		"fe80::1%eth0":              "fe80::1",
		"fe80::1%" + long("x"):      "fe80::1",
		"::":                        "::",
		"":                          "",
		"example.org":               "",
		"192.0.2.1:22":              "",
		"192.0.2.1 ":                "",
		"192.0.2":                   "",
		"192.0.2.01":                "",
		"192.0.2.1/32":              "",
		"192.0.2.1%eth0":            "",
		"[2001:db8::1]":             "",
		"fe80::1%":                  "",
		"1.2.3.4 } ; flush ruleset": "",
		"1.2.3.4\n":                 "",
		"1.2.3.4\x00":               "",
		"0:0:0:0:0:0:0:0:0":         "",
		long("1."):                  "",
	} {
		got, err := ParseAddr(in)
		if want == "" {
			if err == nil {
				t.Errorf("%.60q: %v, want an error", in, got)
			} else if len(err.Error()) > 300 {
				t.Errorf("%.60q: the error has %d bytes", in, len(err.Error()))
			}
			continue
		}
		if err != nil || got.String() != want {
			t.Errorf("%.60q: %v, %v, want %s", in, got, err, want)
		}
	}
}

func long(s string) string { return strings.Repeat(s, 1<<16) }

func TestParseAddrErrorIsPrintable(t *testing.T) {
	_, err := ParseAddr("\x1b[2J\u202e1.2.3.4\nFeb  1 sshd: accepted")
	want := `"\x1b[2J\u202e1.2.3.4\nFeb  1 sshd: accepted" is not an IP address`
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func FuzzParseAddr(f *testing.F) {
	for _, s := range []string{"192.0.2.1", "::ffff:1.2.3.4%1", "fe80::1%eth0", "x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseAddr(s)
		if err != nil {
			for _, c := range err.Error() {
				if c < ' ' || c > '~' {
					t.Errorf("%q in the error about %q", c, s)
				}
			}
			return
		}
		if !a.IsValid() || a.Is4In6() || a.Zone() != "" {
			t.Errorf("%q: %v", s, a)
		}
		if again, err := ParseAddr(a.String()); err != nil || again != a {
			t.Errorf("%q: %v reads back as %v, %v", s, a, again, err)
		}
		if keyOf(a).addr() != a {
			t.Errorf("%q: %v is %v as a key", s, a, keyOf(a).addr())
		}
	})
}

func TestParseNFTSet(t *testing.T) {
	for in, want := range map[string]NFTSet{
		"ip Inet4 mail_ban":                {"ip", "Inet4", "mail_ban"},
		"  inet\tpyruse   a-b.c/d ":        {"inet", "pyruse", "a-b.c/d"},
		"Inet4 mail_ban":                   {"ip", "Inet4", "mail_ban"},
		"ip6 _ B9":                         {"ip6", "_", "B9"},
		"bridge b s":                       {"bridge", "b", "s"},
		"":                                 {},
		"mail_ban":                         {},
		"ip a b c":                         {},
		"ipv4 a b":                         {},
		"ip 4 b":                           {},
		"ip a b;":                          {},
		"ip a {b}":                         {},
		"ip a @b":                          {},
		"ip a -b":                          {},
		"ip a b\x00":                       {},
		"ip ä b":                           {},
		"ip a " + strings.Repeat("b", 256): {},
	} {
		got, err := ParseNFTSet(in)
		if got != want || (err == nil) != (want != NFTSet{}) {
			t.Errorf("%.40q: %v, %v, want %v", in, got, err, want)
		}
	}
	if _, err := ParseNFTSet("ipv4 a b"); err == nil || !strings.Contains(err.Error(), `unknown family "ipv4"`) {
		t.Errorf("unknown family: %v", err)
	}
	if s, err := ParseNFTSet("inet pyruse x"); err != nil || !s.Own() {
		t.Errorf("%v is not Pyruse's own: %v", s, err)
	}
}

func FuzzParseNFTSet(f *testing.F) {
	f.Add("ip Inet4 mail_ban")
	f.Add("t s")
	f.Add("inet pyruse a;b")
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseNFTSet(s)
		if err != nil {
			return
		}
		if again, err := ParseNFTSet(n.String()); err != nil || again != n {
			t.Errorf("%q: %v reads back as %v, %v", s, n, again, err)
		}
		if strings.ContainsAny(n.Table+n.Name, " ;{}\"'$`\\\n\x00@") {
			t.Errorf("%q: %v", s, n)
		}
	})
}

func TestValidIPSetName(t *testing.T) {
	for in, good := range map[string]bool{
		"mail-ban": true, "a": true, "a.b:c/d_e": true, strings.Repeat("a", 31): true,
		"": false, strings.Repeat("a", 32): false, "-exist": false, "#a": false,
		"a b": false, "a\nb": false, "a\"": false, "ä": false, "a\x7f": false, "a\\b": false,
	} {
		if err := ValidIPSetName(in); (err == nil) != good {
			t.Errorf("%q: %v, want good: %v", in, err, good)
		}
	}
}

func TestWhichCommandsMeanNetlink(t *testing.T) {
	for _, c := range []struct {
		of      func([]string) ([]string, bool)
		list    []string
		netlink bool
	}{
		{NFTCommand, nil, true},
		{NFTCommand, []string{"/usr/bin/nft"}, true},
		{NFTCommand, []string{"nft"}, true},
		{NFTCommand, []string{"nft", "-a"}, false},
		{NFTCommand, []string{"/usr/bin/nsenter", "-t", "1", "-n", "nft"}, false},
		{NFTCommand, []string{"/opt/my-nft"}, false},
		{IPSetCommand, nil, true},
		{IPSetCommand, []string{"/usr/bin/ipset", "-exist", "-quiet"}, true},
		{IPSetCommand, []string{"ipset", "-!", "-q"}, true},
		{IPSetCommand, []string{"ipset", "-file", "x"}, false},
		{IPSetCommand, []string{"sudo", "ipset"}, false},
	} {
		argv, netlink := c.of(c.list)
		if netlink != c.netlink || !netlink && !reflect.DeepEqual(argv, c.list) {
			t.Errorf("%q: %q, netlink: %v", c.list, argv, netlink)
		}
	}
}

func TestGuard(t *testing.T) {
	own := []netip.Addr{addr("198.51.100.7"), addr("2001:db8::7")}
	reads, now := 0, noon
	var fault error
	g, err := NewGuard(
		[]netip.Prefix{netip.MustParsePrefix("10.1.2.3/8"), netip.MustParsePrefix("2001:db8:1::/48"), netip.MustParsePrefix("::ffff:192.0.2.0/120")},
		func() ([]netip.Addr, error) { reads++; return own, fault },
		func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	for a, want := range map[string]string{
		"127.0.0.1":        "a loopback address",
		"127.255.0.1":      "a loopback address",
		"::1":              "a loopback address",
		"::ffff:127.0.0.1": "a loopback address",
		"0.0.0.0":          "the unspecified address",
		"::":               "the unspecified address",
		"224.0.0.1":        "a multicast address",
		"ff02::1":          "a multicast address",
		"169.254.1.1":      "a link-local address",
		"fe80::1":          "a link-local address",
		"255.255.255.255":  "the broadcast address",
		"198.51.100.7":     "an address of this machine",
		"2001:db8::7":      "an address of this machine",
		"10.200.0.1":       "in 10.0.0.0/8, which is never banned",
		"2001:db8:1::9":    "in 2001:db8:1::/48, which is never banned",
		"192.0.2.77":       "in 192.0.2.0/24, which is never banned",
		"203.0.113.1":      "",
		"2001:db8:2::1":    "",
		"::10.0.0.1":       "",
	} {
		if reason, refused := g.Refuse(addr(a)); reason != want || refused != (want != "") {
			t.Errorf("%s: %q, %v, want %q", a, reason, refused, want)
		}
	}
	if _, refused := g.Refuse(netip.Addr{}); !refused {
		t.Error("the zero Addr was let through")
	}
	if reads != 1 {
		t.Errorf("the own addresses were read %d times, want once", reads)
	}
	own = []netip.Addr{addr("203.0.113.1")}
	now = now.Add(ownMaxAge)
	if _, refused := g.Refuse(addr("203.0.113.1")); !refused {
		t.Error("a new address of the machine was not noticed")
	}
	own, fault = nil, errors.New("out of order")
	now = now.Add(ownMaxAge)
	if _, refused := g.Refuse(addr("203.0.113.1")); !refused {
		t.Error("the own addresses were forgotten when they could not be read")
	}
	if _, err := NewGuard(nil, func() ([]netip.Addr, error) { return nil, fault }, atNoon); !errors.Is(err, fault) {
		t.Errorf("own addresses that cannot be read: %v", err)
	}
}

func TestGuardForReplayHasNoOwnAddresses(t *testing.T) {
	g, err := NewGuard(nil, nil, atNoon)
	if err != nil {
		t.Fatal(err)
	}
	if reason, refused := g.Refuse(addr("198.51.100.7")); refused {
		t.Error(reason)
	}
}

func TestOwnAddresses(t *testing.T) {
	for _, a := range []string{"198.51.100.7/24", "2001:db8::7/64"} {
		tool(t, "ip", "addr", "add", a, "dev", "lo")
		defer tool(t, "ip", "addr", "del", a, "dev", "lo")
	}
	g, err := NewGuard(nil, OwnAddresses, atNoon)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range []string{"198.51.100.7", "2001:db8::7"} {
		if reason, _ := g.Refuse(addr(a)); reason != "an address of this machine" {
			t.Errorf("%s: %q", a, reason)
		}
	}
}
