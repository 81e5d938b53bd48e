//go:build vm

package testvm

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// Real logins at the real sshd, with wrong passwords.
func TestBanOfRealLogins(t *testing.T) {
	g := installed(t)
	g.network()
	g.sh("systemctl start ssh")
	held := map[string]string{}
	for _, s := range sides {
		for _, from := range []string{s.attacker, s.other} {
			held[from] = g.hold(s.host, from)
		}
	}
	// sshd takes its time for a wrong password, so all try at once.
	var script strings.Builder
	for _, s := range sides {
		for range untilBan {
			fmt.Fprintf(&script, "ip netns exec outside timeout 60 sshpass -p wrong ssh -b %s -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"+
				" -o PreferredAuthentications=password -o NumberOfPasswordPrompts=1 alice@%s true >/dev/null 2>&1 &\n", s.attacker, s.host)
		}
	}
	g.sh(script.String() + "true")
	for _, s := range sides {
		g.eventually(90*time.Second, element(s.set, s.attacker))
	}
	twins(t, func(t *testing.T, s side) {
		g := guest{g.machine, t}
		if g.answersGoOn(held[s.attacker]) {
			t.Errorf("the open connection of %s goes on", s.attacker)
		}
		if !g.answersGoOn(held[s.other]) {
			t.Errorf("the open connection of %s, who did nothing, is cut", s.other)
		}
		g.cutOff(s)
		g.notBanned(s.set, s.other)
		if n := g.bansMade(s.attacker); n != 1 {
			t.Errorf("%s was banned %d times", s.attacker, n)
		}
	})
	// An hour is too long to wait for. With the daemon stopped, only the kernel can lift a ban.
	for _, s := range sides {
		g.sh(fmt.Sprintf("pyruse bans remove %[2]s && pyruse bans add '%[1]s' %[2]s --for 5s && %[3]s", s.set, s.attacker, element(s.set, s.attacker)))
	}
	g.sh("systemctl stop pyruse")
	twins(t, func(t *testing.T, s side) {
		g := guest{g.machine, t}
		g.eventually(20*time.Second, "! "+element(s.set, s.attacker))
		g.eventually(20*time.Second, reach(s.host, s.attacker))
	})
}
