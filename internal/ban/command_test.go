package ban

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pyruse/pyruse/internal/state"
)

// fake writes a script that notes its arguments, and then runs body. It returns the path of the script, and a function that returns
// the calls since the last time: the arguments of each joined with "|", behind "<" what it got on stdin.
func fake(t *testing.T, body string) (path string, calls func() []string) {
	t.Helper()
	dir := t.TempDir()
	path, notes := filepath.Join(dir, "fake"), filepath.Join(dir, "notes")
	script := "#!/bin/sh\n(IFS='|'; printf '%s' \"$*\"; case \"$*\" in *restore*) printf '<'; tr '\\n' ',';; esac; echo) >>" + notes + "\n" + body + "\n"
	if err := os.WriteFile(path, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return path, func() []string {
		b, err := os.ReadFile(notes)
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err == nil {
			err = os.Remove(notes)
		}
		if err != nil {
			t.Fatal(err)
		}
		return strings.Split(strings.TrimSpace(string(b)), "\n")
	}
}

func commandOf(t *testing.T, open func([]string) (Firewall, error), argv ...string) *command {
	t.Helper()
	fw, err := open(argv)
	if err != nil {
		t.Fatal(err)
	}
	return fw.(*command)
}

func TestCommandArguments(t *testing.T) {
	path, calls := fake(t, "")
	nft, ipset := commandOf(t, NewNFT, path, "-x"), commandOf(t, NewIPSet, path)
	one := []Element{{Addr: addr("192.0.2.1"), Timeout: 90*time.Second + time.Millisecond}}
	two := []Element{one[0], {Addr: addr("192.0.2.2")}}
	for _, c := range []struct {
		what string
		do   func() error
		want []string
	}{
		{"nft, one", func() error { _, err := nft.Add(t.Context(), "ip  t s", one); return err }, []string{
			"-x|add|element|ip|t|s|{|192.0.2.1|timeout|91s|}|;|delete|element|ip|t|s|{|192.0.2.1|}|;|add|element|ip|t|s|{|192.0.2.1|timeout|91s|}",
		}},
		{"nft, two", func() error { _, err := nft.Add(t.Context(), "t s", two); return err }, []string{
			"-x|add|element|ip|t|s|{|192.0.2.1|timeout|91s|,|192.0.2.2|}|;|delete|element|ip|t|s|{|192.0.2.1|,|192.0.2.2|}|;|add|element|ip|t|s|{|192.0.2.1|timeout|91s|,|192.0.2.2|}",
		}},
		{"nft, remove", func() error { return nft.Remove(t.Context(), "ip t s", []netip.Addr{one[0].Addr}) }, []string{
			"-x|delete|element|ip|t|s|{|192.0.2.1|}",
		}},
		{"ipset, one", func() error { _, err := ipset.Add(t.Context(), "s", one); return err }, []string{
			"add|s|192.0.2.1|timeout|91|-exist",
		}},
		{"ipset, two", func() error { _, err := ipset.Add(t.Context(), "s", two); return err }, []string{
			"restore<add s 192.0.2.1 timeout 91 -exist,add s 192.0.2.2 timeout 0 -exist,",
		}},
		{"ipset, remove", func() error { return ipset.Remove(t.Context(), "s", []netip.Addr{one[0].Addr}) }, []string{
			"del|s|192.0.2.1|-exist",
		}},
	} {
		if err := c.do(); err != nil {
			t.Errorf("%s: %v", c.what, err)
		}
		same(t, c.what, calls(), c.want)
	}
	for _, set := range []string{"ip t s;flush", "-f", "s } ; flush ruleset"} {
		_, nftErr := nft.Add(t.Context(), set, one)
		_, ipsetErr := ipset.Add(t.Context(), strings.Replace(set, "ip t s", "a b", 1), one)
		if nftErr == nil || ipsetErr == nil || calls() != nil {
			t.Errorf("%q: %v, %v", set, nftErr, ipsetErr)
		}
	}
}

// TestCommandExitStatus is about a fault of Pyruse 2, which did not look at it.
func TestCommandExitStatus(t *testing.T) {
	path, calls := fake(t, `printf 'no \033[31mway\n' >&2; exit 3`)
	nft := commandOf(t, NewNFT, path)
	k := start(t, state.BackendNFT, nft)
	k.Ban([]state.Ban{hours("ip t s", "192.0.2.1", 0)})
	e := k.await(t, Failed)
	want := fmt.Sprintf(`add to set "ip t s": no such set: run %q: exit status 3: no ?[31mway`, path)
	if !errors.Is(e.Err, ErrNoSet) || e.Err.Error() != want {
		t.Errorf("got  %v\nwant %s", e.Err, want)
	}
	if got := calls(); len(got) != 2 || got[1] != "-j|-t|list|set|ip|t|s" {
		t.Errorf("calls: %q", got)
	}
	if k.Len() != 1 {
		t.Error("the ban is forgotten")
	}
}

func TestCommandThatHangs(t *testing.T) {
	path, calls := fake(t, "sleep 600 & wait")
	nft := commandOf(t, NewNFT, path)
	nft.limit = 50 * time.Millisecond
	began := time.Now()
	_, err := nft.Add(t.Context(), "ip t s", []Element{{Addr: addr("192.0.2.1")}})
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 5*time.Second {
		t.Errorf("%v after %v", err, time.Since(began))
	}
	if got := calls(); len(got) != 1 {
		t.Errorf("calls: %q", got)
	}
}

func TestCommandThatDoesNotExist(t *testing.T) {
	ipset := commandOf(t, NewIPSet, "/nonexistent/ipset", "-file", "x")
	if _, err := ipset.Add(t.Context(), "s", []Element{{Addr: addr("192.0.2.1")}}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
	if _, err := NewNFT([]string{""}); err == nil {
		t.Error("an empty command is taken")
	}
}

func TestCommandOutputIsBounded(t *testing.T) {
	path, _ := fake(t, "head -c 10000000 /dev/zero | tr '\\0' 'x' >&2; exit 1")
	nft := commandOf(t, NewNFT, path)
	_, err := nft.Add(t.Context(), "ip t s", []Element{{Addr: addr("192.0.2.1")}})
	if err == nil || len(err.Error()) > 2000 {
		t.Errorf("%.300v", err)
	}
	var b bounded
	for range 3 {
		if n, err := b.Write(bytes.Repeat([]byte("x"), commandOutput-1)); n != commandOutput-1 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
	}
	if b.Len() != commandOutput {
		t.Errorf("%d bytes are kept", b.Len())
	}
}

// TestNFTCommand runs the real nft.
func TestNFTCommand(t *testing.T) {
	emptyFirewall(t)
	tool(t, "nft", "add table ip t ; add set ip t timed { type ipv4_addr ; flags interval, timeout ; elements = { 198.51.100.0/24 } ; } ; add set ip t fixed { type ipv4_addr ; }")
	k := start(t, state.BackendNFT, commandOf(t, NewNFT, "env", "nft"))
	for _, set := range []string{"ip t timed", "ip t fixed", "inet pyruse own"} {
		k.Ban([]state.Ban{hours(set, "192.0.2.1", 5), hours(set, "192.0.2.2", 0), hours(set, "192.0.2.3", 1)})
		k.flush(t)
		k.Ban([]state.Ban{hours(set, "192.0.2.1", 1)})
	}
	k.Ban([]state.Ban{hours("ip t timed", "198.51.100.7", 1), hours("ip t timed", "192.0.2.4", 1), hours("ip t fixed", "2001:db8::1", 1)})
	k.flush(t)
	if e := k.await(t, Rejected); !errors.Is(e.Err, ErrFamily) || e.Ban.Addr != addr("2001:db8::1") {
		t.Errorf("%+v", e)
	}
	same(t, "timed", elements(t, "ip t timed"), []string{"192.0.2.1 <3600", "192.0.2.2", "192.0.2.3 <3600", "192.0.2.4 <3600", "198.51.100.0/24"})
	same(t, "fixed", elements(t, "ip t fixed"), []string{"192.0.2.1", "192.0.2.2", "192.0.2.3"})
	same(t, "own", elements(t, "inet pyruse own"), []string{"192.0.2.1 <3600", "192.0.2.2", "192.0.2.3 <3600"})
	if got := tool(t, "nft", "list", "table", "inet", "pyruse"); strings.Count(got, "ip saddr @own drop") != 2 || strings.Count(got, "priority filter - 10") != 2 {
		t.Errorf("own table:\n%s", got)
	}
	tool(t, "nft", "delete element ip t fixed { 192.0.2.3 }") // lifting what is not there is no error
	for _, a := range []string{"192.0.2.2", "192.0.2.3", "198.51.100.7"} {
		k.Unban(addr(a), "")
	}
	k.flush(t)
	same(t, "timed", elements(t, "ip t timed"), []string{"192.0.2.1 <3600", "192.0.2.4 <3600", "198.51.100.0/24"})
	same(t, "fixed", elements(t, "ip t fixed"), []string{"192.0.2.1"})
}

// TestRestoreByCommand runs the real nft and ipset.
func TestRestoreByCommand(t *testing.T) {
	emptyFirewall(t)
	tool(t, "nft", "add table ip t ; add set ip t s { type ipv4_addr ; elements = { 192.0.2.3 } ; }")
	tool(t, "ipset", "create", "full", "hash:ip", "hashsize", "64", "maxelem", "1")
	walls := map[string]Firewall{
		state.BackendNFT: commandOf(t, NewNFT, "env", "nft"), state.BackendIPSet: commandOf(t, NewIPSet, "env", "ipset"),
	}
	bans := []state.Ban{
		nftBan("ip t s", "192.0.2.1", time.Hour), nftBan("ip t s", "192.0.2.2", 0), nftBan("ip t s", "192.0.2.3", time.Minute),
		banIn(state.BackendIPSet, "made", "192.0.2.1", time.Hour), banIn(state.BackendIPSet, "made", "192.0.2.2", 0),
	}
	r, err := Restore(t.Context(), walls, bans, noon.Add(30*time.Minute))
	if err != nil || r != (Result{Restored: 4, Expired: 1}) {
		t.Errorf("%+v, %v", r, err)
	}
	same(t, "nft", elements(t, "ip t s"), []string{"192.0.2.1", "192.0.2.2"})
	same(t, "ipset", members(t, "made"), []string{"192.0.2.1 <1800", "192.0.2.2"})

	full := []state.Ban{banIn(state.BackendIPSet, "full", "192.0.2.1", 0), banIn(state.BackendIPSet, "full", "192.0.2.2", 0)}
	r, err = Restore(t.Context(), walls, full, noon)
	if r.Restored != 1 || err == nil || !strings.Contains(err.Error(), "is full") {
		t.Errorf("%+v, %v", r, err)
	}
	if err := Lift(t.Context(), walls, bans); err != nil {
		t.Error(err)
	}
	same(t, "nft", elements(t, "ip t s"), []string{})
	same(t, "ipset", members(t, "made"), nil)
}

func FuzzParseInspection(f *testing.F) {
	f.Add([]byte(`{"nftables": [{"metainfo": {}}, {"set": {"name": "d", "type": "ipv4_addr", "flags": ["timeout"], "timeout": 3600}}]}`))
	f.Add([]byte(`{"nftables": [{"set": {"type": ["ipv4_addr", "inet_service"], "flags": "interval"}}]}`))
	f.Add([]byte("Name: a\nType: hash:ip\nHeader: family inet hashsize 1024 maxelem 65536 timeout 0\n"))
	f.Fuzz(func(t *testing.T, out []byte) {
		for _, d := range []dialect{nftDialect{}, ipsetDialect{}} {
			if info, err := d.parse("s", out); err == nil && info.IPv4 == info.IPv6 {
				t.Errorf("%q: %+v", out, info)
			}
		}
	})
}
