//go:build vm

package testvm

import (
	"fmt"
	"testing"
)

// Whatever is done to the ruleset, the bans are back within a second, and packets are dropped again.
func TestFlush(t *testing.T) {
	g := installed(t)
	g.network()
	for _, s := range sides {
		g.guess(s.attacker, untilBan)
	}
	for _, s := range sides {
		g.waitBanned(s.set, s.attacker)
	}
	for _, doing := range []string{
		"nft flush ruleset",
		"systemctl restart nftables",
		"systemctl reload nftables",
		"nft delete table inet pyruse",
	} {
		t.Run(doing, func(t *testing.T) {
			twins(t, func(t *testing.T, s side) {
				g := guest{g.machine, t}
				ms := g.number(fmt.Sprintf(`%s >&2 || exit 1
began=$(date +%%s%%N)
tries=0
until { %s; } >/dev/null; do tries=$((tries + 1)); [ $tries -lt 200 ] || exit 1; done
echo $((($(date +%%s%%N) - began) / 1000000))`, doing, element(s.set, s.attacker)))
				t.Logf("back after %d ms", ms)
				if ms > 1000 {
					t.Errorf("%s was banned again after %d ms", s.attacker, ms)
				}
				g.cutOff(s)
				if n := g.bansMade(s.attacker); n != 1 {
					t.Errorf("%s was banned %d times", s.attacker, n)
				}
			})
		})
	}
}
