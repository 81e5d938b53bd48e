//go:build vm

package testvm

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestReboot(t *testing.T) {
	g := installed(t)
	for _, s := range sides {
		g.guess(s.attacker, untilBan)
	}
	began := time.Now()
	for _, s := range sides {
		g.waitBanned(s.set, s.attacker)
	}
	before := g.sh("pyruse bans --format json")
	g.rebooted()
	twins(t, func(t *testing.T, s side) {
		g := guest{g.machine, t}
		left, want := g.remaining(s.set, s.attacker), 3600-int(time.Since(began).Seconds())
		if left > want+10 || left < want-60 {
			t.Errorf("the ban lasts for %d more seconds instead of %d", left, want)
		}
		if n := g.bansMade(s.attacker); n != 1 {
			t.Errorf("%s was banned %d times", s.attacker, n)
		}
	})
	g.waitActive()
	if after := g.sh("pyruse bans --format json"); after != before {
		t.Errorf("bans before:\n%s\nafter:\n%s", before, after)
	}
	g.order()
}

// order proves from the journal that the bans were back before anything of the network.
func (g guest) order() {
	g.t.Helper()
	const unitStarted = "39f53479d3a045ac8e11786248231fbf"
	at := map[string]int{}
	for line := range strings.Lines(g.sh("journalctl --sync; journalctl -b -q -o json _PID=1 MESSAGE_ID=" + unitStarted)) {
		var e struct {
			Unit string `json:"UNIT"`
			Time string `json:"__MONOTONIC_TIMESTAMP"`
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			g.t.Fatal(err)
		}
		when, err := strconv.Atoi(e.Time)
		if err != nil {
			g.t.Fatal(err)
		}
		at[e.Unit] = when
	}
	back := at["pyruse-boot@action_nftBan.service"]
	// It may be up before journald is, and then its line has no fields.
	if ruleset := g.number("systemctl show --value -p ActiveEnterTimestampMonotonic nftables.service"); back == 0 || ruleset == 0 || ruleset > back {
		g.t.Errorf("the bans were back at %d, the firewall's own ruleset at %d", back, ruleset)
	}
	for _, unit := range []string{"network-pre.target", "systemd-networkd.service", "network.target", "pyruse.service"} {
		if at[unit] <= back {
			g.t.Errorf("%s was up at %d, the bans were back at %d", unit, at[unit], back)
		}
	}
	g.t.Logf("microseconds after the start of the kernel: %v", at)
	link := g.sh("journalctl -b -q -o json -u systemd-networkd --grep 'eth0: (Link UP|Gained carrier)' | head -n 1")
	var up struct {
		Time string `json:"__MONOTONIC_TIMESTAMP"`
	}
	if err := json.Unmarshal([]byte(link), &up); err != nil {
		g.t.Fatalf("when the interface went up: %v: %s", err, link)
	}
	if when, err := strconv.Atoi(up.Time); err != nil || when <= back {
		g.t.Errorf("the interface was up at %s, the bans were back at %d", up.Time, back)
	}
}
