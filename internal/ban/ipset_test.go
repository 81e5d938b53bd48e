package ban

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pyruse/pyruse/internal/state"
)

// members returns what ipset lists as the members of a set, sorted: "192.0.2.1", with " <3600" for one that has between
// 3590 and 3600 seconds to live (and 1800 likewise).
func members(t testing.TB, set string) []string {
	t.Helper()
	_, list, _ := strings.Cut(tool(t, "ipset", "list", set), "Members:\n")
	list = strings.ReplaceAll(list, " timeout 0", "")
	list = regexp.MustCompile(` timeout (3600|359\d)`).ReplaceAllString(list, " <3600")
	list = regexp.MustCompile(` timeout (1800|179\d)`).ReplaceAllString(list, " <1800")
	var m []string
	for line := range strings.Lines(list) {
		m = append(m, strings.TrimSpace(line))
	}
	slices.Sort(m)
	return m
}

// ipsetHours returns a ban in an ipset from now on.
func ipsetHours(set, a string, n int) state.Ban {
	b := hours(set, a, n)
	b.Backend = state.BackendIPSet
	return b
}

func startIPSet(t *testing.T, command ...string) *live {
	t.Helper()
	fw, err := NewIPSet(command)
	if err != nil {
		t.Fatal(err)
	}
	return start(t, state.BackendIPSet, fw)
}

func TestIPSet(t *testing.T) {
	for name, command := range map[string][]string{"netlink": nil, "command": {"env", "ipset"}} {
		t.Run(name, func(t *testing.T) {
			emptyFirewall(t)
			tool(t, "ipset", "create", "nets", "hash:net")
			tool(t, "ipset", "create", "default", "hash:ip", "timeout", "86400")
			tool(t, "ipset", "add", "nets", "198.51.100.0/24")
			k := startIPSet(t, command...)
			for _, set := range []string{"made", "nets", "default"} {
				k.Ban([]state.Ban{ipsetHours(set, "192.0.2.1", 5), ipsetHours(set, "192.0.2.2", 1), ipsetHours(set, "192.0.2.3", 0)})
				k.flush(t)
				k.Ban([]state.Ban{ipsetHours(set, "192.0.2.1", 1)})
			}
			k.Ban([]state.Ban{ipsetHours("made6", "2001:db8::1", 0), ipsetHours("nets", "198.51.100.7", 0)})
			k.flush(t)
			want := []string{"192.0.2.1 <3600", "192.0.2.2 <3600", "192.0.2.3"}
			same(t, "made", members(t, "made"), want)
			same(t, "default", members(t, "default"), want)
			same(t, "made6", members(t, "made6"), []string{"2001:db8::1"})
			same(t, "nets", members(t, "nets"), []string{"192.0.2.1", "192.0.2.2", "192.0.2.3", "198.51.100.0/24", "198.51.100.7"})
			if got := tool(t, "ipset", "list", "made", "-terse"); !strings.Contains(got, "maxelem 1048576 timeout 0") {
				t.Errorf("made:\n%s", got)
			}
			for _, a := range []string{"192.0.2.2", "192.0.2.3", "198.51.100.7", "2001:db8::1"} {
				k.Unban(addr(a), "")
			}
			k.flush(t)
			same(t, "made", members(t, "made"), want[:1])
			same(t, "nets", members(t, "nets"), []string{"192.0.2.1", "198.51.100.0/24"})

			k.Ban([]state.Ban{ipsetHours("made", "2001:db8::1", 0), ipsetHours("made", "192.0.2.5", 0)})
			k.flush(t)
			if e := k.await(t, Rejected); !errors.Is(e.Err, ErrFamily) || e.Ban.Addr != addr("2001:db8::1") {
				t.Errorf("%+v", e)
			}
			same(t, "made", members(t, "made"), []string{"192.0.2.1 <3600", "192.0.2.5"})
			k.stop()
			same(t, "made, after the end", members(t, "made"), []string{"192.0.2.1 <3600", "192.0.2.5"})
		})
	}
}

func TestIPSetExpiryWithoutTimeouts(t *testing.T) {
	for name, command := range map[string][]string{"netlink": nil, "command": {"env", "ipset"}} {
		emptyFirewall(t)
		tool(t, "ipset", "create", "s", "hash:ip")
		k := startIPSet(t, command...)
		b := ipsetHours("s", "192.0.2.1", 0)
		b.Until = time.Now().Add(100 * time.Millisecond)
		k.Ban([]state.Ban{b, ipsetHours("s", "192.0.2.2", 1)})
		k.await(t, Expired)
		same(t, name, members(t, "s"), []string{"192.0.2.2"})
		k.stop()
	}
}

func TestIPSetTimeoutBeyondItsRange(t *testing.T) {
	for name, command := range map[string][]string{"netlink": nil, "command": {"env", "ipset"}} {
		emptyFirewall(t)
		k := startIPSet(t, command...)
		k.Ban([]state.Ban{ipsetHours("s", "192.0.2.1", 24*365)})
		k.flush(t)
		if got := members(t, "s"); len(got) != 1 || !strings.HasPrefix(got[0], "192.0.2.1 timeout 21474") {
			t.Errorf("%s: %q", name, got)
		}
		k.stop()
	}
}

// TestIPSetIsCountedNowAndThen drives the worker by hand, with its clock.
func TestIPSetIsCountedNowAndThen(t *testing.T) {
	emptyFirewall(t)
	fw, err := NewIPSet(nil)
	if err != nil {
		t.Fatal(err)
	}
	l, now := &log{}, time.Now()
	k := NewKeeper(Options{Firewalls: map[string]Firewall{state.BackendIPSet: fw}, Now: func() time.Time { return now }, Events: l.add})
	k.Ban([]state.Ban{ipsetHours("s", "192.0.2.1", 1), ipsetHours("s", "192.0.2.2", 0)})
	k.pass(t.Context())
	l.take()
	for _, c := range []struct {
		take []string
		want []string
	}{
		{[]string{"ipset", "flush", "s"}, []string{"restored s 2"}},
		{[]string{"ipset", "destroy", "s"}, []string{"restored s 2"}},
		{[]string{"ipset", "del", "s", "192.0.2.2"}, []string{"restored s 1"}},
		{[]string{"ipset", "add", "s", "192.0.2.3"}, nil},
	} {
		tool(t, c.take...)
		if wait := k.pass(t.Context()); wait > countEvery {
			t.Errorf("waits for %v", wait)
		}
		same(t, fmt.Sprint(c.take, " at once"), l.take(), nil)
		now = now.Add(countEvery)
		k.pass(t.Context())
		same(t, fmt.Sprint(c.take), l.take(), c.want)
	}
	same(t, "members", members(t, "s"), []string{"192.0.2.1 <3600", "192.0.2.2", "192.0.2.3"})
	if err := k.close(); err != nil {
		t.Error(err)
	}
}

func TestIPSetFull(t *testing.T) {
	emptyFirewall(t)
	tool(t, "ipset", "create", "s", "hash:ip", "hashsize", "64", "maxelem", "1")
	k := startIPSet(t)
	k.Ban([]state.Ban{ipsetHours("s", "192.0.2.1", 0), ipsetHours("s", "192.0.2.2", 0)})
	if e := k.await(t, Failed); e.Err.Error() != `add to ipset "s": the set is full` {
		t.Errorf("%v", e.Err)
	}
	if err := k.Flush(context.Background()); err == nil {
		t.Error("flush tells no error")
	}
}
