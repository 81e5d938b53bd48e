//go:build vm

package testvm

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// One file, no network, no other line: the machine is watched and protected.
func TestInstall(t *testing.T) {
	g := blank(t)
	t.Log(g.install())
	g.keepInstalled()

	t.Run("is up", func(t *testing.T) {
		g := guest{g.machine, t}
		for _, unit := range []string{"pyruse.service", "pyruse-boot@action_nftBan.service"} {
			if got := strings.TrimSpace(g.sh("systemctl is-enabled " + unit)); got != "enabled" {
				t.Errorf("%s is %s", unit, got)
			}
		}
		if got := g.property("User"); got != "pyruse" {
			t.Errorf("it runs as %q", got)
		}
		pid := g.property("MainPID")
		// 1000 is CAP_NET_ADMIN alone.
		if got := strings.Fields(g.sh("grep CapEff /proc/" + pid + "/status"))[1]; got != "0000000000001000" {
			t.Errorf("it has the capabilities %s", got)
		}
		g.sh("pyruse check")
		// Mail goes to the mail server of this machine, if that runs.
		g.sh("systemctl start exim4 && pyruse check --system")
	})
	t.Run("watchdog is alive", func(t *testing.T) {
		g := guest{g.machine, t}
		first := g.property("WatchdogTimestampMonotonic")
		if first == "0" || g.property("WatchdogUSec") == "0" {
			t.Fatal("systemd has no watchdog on it")
		}
		g.eventually(70*time.Second, "[ \"$(systemctl show --value -p WatchdogTimestampMonotonic pyruse.service)\" != "+first+" ]")
	})
	t.Run("exposure", func(t *testing.T) {
		g := guest{g.machine, t}
		for _, unit := range []string{"pyruse.service", "pyruse-boot@action_nftBan.service"} {
			out := g.sh("systemd-analyze security --no-pager " + unit)
			figure := regexp.MustCompile(`Overall exposure level for \S+: ([0-9.]+)`).FindStringSubmatch(out)
			if figure == nil {
				t.Fatalf("no figure in %s", out)
			}
			level, err := strconv.ParseFloat(figure[1], 64)
			if err != nil || level > 1.4 {
				t.Errorf("%s: exposure %s, more than 1.4\n%s", unit, figure[1], out)
			}
			t.Logf("%s: exposure %s", unit, figure[1])
		}
	})
	t.Run("units have no faults", func(t *testing.T) {
		g := guest{g.machine, t}
		// The machine has no man to look for the pages with.
		g.sh("systemd-analyze verify --man=no /lib/systemd/system/pyruse.service /lib/systemd/system/pyruse-boot@.service")
	})
}
