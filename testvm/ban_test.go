//go:build vm

package testvm

import "testing"

func TestInjected(t *testing.T) {
	g := installed(t)
	g.guess(attacker, untilBan)
	g.waitBanned(set4, attacker)
	t.Log(g.remaining(set4, attacker), g.bansMade(attacker))
}
