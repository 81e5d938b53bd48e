//go:build vm

package testvm

import (
	"strings"
	"testing"
	"time"
)

// settled waits until the unit is up or has failed for good, and checks that systemd has not started it again and again.
func (g guest) settled() string {
	g.t.Helper()
	g.eventually(90*time.Second, "systemctl show --value -p SubState pyruse | grep -Ex 'running|failed'")
	if n := g.property("NRestarts"); n != "0" {
		g.t.Errorf("it was restarted %s times", n)
	}
	return g.property("ActiveState")
}

// gaveUp checks that it ended with the status, and said why in one line.
func (g guest) gaveUp(status, why string) {
	g.t.Helper()
	if state := g.settled(); state != "failed" {
		g.t.Errorf("it is %s", state)
	}
	if got := g.property("ExecMainStatus"); got != status {
		g.t.Errorf("exit status %s instead of %s", got, status)
	}
	g.said(why)
}

// said looks for the one message that says why, of the program or of systemd about it.
func (g guest) said(why string) {
	g.t.Helper()
	out := g.sh("journalctl --sync; journalctl -q -b -o cat -u pyruse")
	n := 0
	for line := range strings.Lines(out) {
		if strings.Contains(line, why) {
			n++
		}
	}
	if n != 1 {
		g.t.Errorf("%d messages with %q:\n%s", n, why, out)
	}
}

func TestStateOfSomebodyElse(t *testing.T) {
	g := installed(t)
	g.sh("systemctl stop pyruse; chown root:root /var/lib/pyruse/pyruse.db; chmod 0600 /var/lib/pyruse/pyruse.db; systemctl start pyruse; true")
	g.gaveUp("2", "/var/lib/pyruse")
}

// The folder itself is put right by systemd.
func TestFolderOfSomebodyElse(t *testing.T) {
	g := installed(t)
	g.sh("systemctl stop pyruse; chown -R root:root /var/lib/pyruse; systemctl start pyruse")
	if state := g.settled(); state != "active" {
		t.Errorf("it is %s", state)
	}
	g.guess(attacker, untilBan)
	g.bannedOnce(attacker)
}

func TestCredentialMissing(t *testing.T) {
	g := installed(t)
	g.dropIn("[Service]\nLoadCredential=mail-password:/root/there-is-none\n")
	g.sh("systemctl restart pyruse; true")
	// 243 is systemd's own: CREDENTIALS.
	g.gaveUp("243", "Failed to set up credentials")
}

func TestAnotherInstance(t *testing.T) {
	g := installed(t)
	r := g.try("systemd-run --quiet --wait --collect --pipe -p User=pyruse -p Group=pyruse -p SupplementaryGroups=systemd-journal pyruse run 2>&1")
	if r.Code != 2 {
		t.Errorf("exit status %d\n%s", r.Code, r.Stdout)
	}
	if !strings.Contains(string(r.Stdout), "another") && !strings.Contains(g.sh("journalctl -q -b -o cat SYSLOG_IDENTIFIER=pyruse"), "another") {
		t.Errorf("it does not say that another instance is running: %s", r.Stdout)
	}
	if state := g.settled(); state != "active" {
		t.Errorf("the first is %s", state)
	}
}

// Without the right to change the firewall, it watches on and says what is missing.
func TestCapabilityMissing(t *testing.T) {
	g := installed(t)
	g.dropIn("[Service]\nAmbientCapabilities=\nCapabilityBoundingSet=\n")
	g.sh("systemctl restart pyruse; true")
	g.guess(attacker, untilBan)
	g.eventually(30*time.Second, "journalctl -q -b -u pyruse -o cat --grep CAP_NET_ADMIN | grep .")
	g.settled()
	g.said(`nft set "inet pyruse ban4": `)
	g.notBanned(set4, attacker)
}

func TestNoNftables(t *testing.T) {
	g := installed(t)
	g.put("/etc/modprobe.d/none.conf", 0o644, "install nf_tables /bin/false\nblacklist nf_tables\n")
	g.sh("systemctl mask nftables")
	g.rebooted()
	g.sh("! lsmod | grep -q '^nf_tables'")
	g.guess(attacker, untilBan)
	g.eventually(30*time.Second, "journalctl -q -b -u pyruse -o cat --grep nf_tables | grep .")
	g.settled()
	g.said("nf_tables")
}
