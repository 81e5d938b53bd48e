//go:build vm

package testvm

import (
	"fmt"
	"testing"
	"time"
)

// What is done to the daemon between two lines of an attack must not make it lose one, or count one twice. Five lines are a ban: four
// are none, so a line that counts twice shows, and so does one that is lost.
func (g guest) exactly(address string, harm func()) {
	g.t.Helper()
	g.guess(address, 3)
	g.handled()
	harm()
	g.guess(address, 1)
	g.waitActive()
	g.handled()
	g.notBanned(set4, address)
	g.guess(address, 1)
	g.bannedOnce(address)
}

func (g guest) bannedOnce(address string) {
	g.t.Helper()
	g.waitBanned(set4, address)
	if n := g.bansMade(address); n != 1 {
		g.t.Errorf("%s was banned %d times", address, n)
	}
}

// handled waits until all that has been logged so far has been handled: a line that bans another address is behind it.
func (g guest) handled() {
	g.t.Helper()
	marker := fmt.Sprintf("198.51.100.%d", time.Now().UnixNano()%250+1)
	g.sh("nft delete element " + set4 + " '{ " + marker + " }' 2>/dev/null; true")
	g.sshd(fmt.Sprintf("Test marker %s", marker))
	g.eventually(30*time.Second, element("inet pyruse marks", marker))
}

// marked has a rule that shows how far the daemon is.
func marked(t *testing.T) guest {
	t.Helper()
	g := installed(t)
	g.fragment("10-marker.json", `{"actions": {"marker": {"order": 10, "steps": [
  {"filter": "filter_pcre", "args": {"field": "MESSAGE", "re": "^Test marker (?P<IP>[0-9.]+)$"}},
  {"action": "action_nftBan", "args": {"IP": "IP", "banSeconds": 60, "nftSetIPv4": "inet pyruse marks", "nftSetIPv6": "inet pyruse marks6"}}
]}}}`)
	g.sh("systemctl reload pyruse")
	return g
}

func (g guest) waitRestarted() {
	g.t.Helper()
	g.eventually(time.Minute, `[ "$(systemctl show --value -p NRestarts pyruse)" = 1 ]`)
	g.waitActive()
}

func TestKill(t *testing.T) {
	g := marked(t)
	g.exactly(attacker, func() {
		g.sh("systemctl kill --kill-whom=main --signal=KILL pyruse")
		g.eventually(20*time.Second, "! systemctl is-active --quiet pyruse")
	})
	g.waitRestarted()
}

// A kill that comes with the lines, at whatever it is doing then.
func TestKillInTheMiddle(t *testing.T) {
	g := marked(t)
	for i := range 3 {
		address := fmt.Sprintf("203.0.113.%d", 10+i)
		g.guess(address, untilBan-1)
		g.sh("systemctl kill --kill-whom=main --signal=KILL pyruse; systemctl reset-failed pyruse; systemctl start pyruse")
		g.handled()
		g.notBanned(set4, address)
		g.guess(address, 1)
		g.bannedOnce(address)
	}
}

func TestOutOfMemory(t *testing.T) {
	g := marked(t)
	g.exactly(attacker, func() {
		// What it has does not fit any more, and cannot be put elsewhere.
		g.sh("echo 1M > /sys/fs/cgroup/system.slice/pyruse.service/memory.max; true")
		g.eventually(time.Minute, "journalctl -q -u pyruse --grep 'oom-kill' | grep .")
	})
	g.waitRestarted()
}

func TestHang(t *testing.T) {
	g := marked(t)
	g.dropIn("[Service]\nWatchdogSec=5\n")
	g.sh("systemctl restart pyruse")
	g.exactly(attacker, func() {
		g.sh("systemctl kill --kill-whom=main --signal=STOP pyruse")
		g.eventually(time.Minute, "journalctl -q -u pyruse --grep 'Watchdog timeout' | grep .")
	})
	g.waitRestarted()
}

// The state is on a disk of its own that gets full. Bans go on; what could not be written is written when there is room again.
func TestFullDisk(t *testing.T) {
	g := marked(t)
	g.sh(`set -e
systemctl stop pyruse
truncate -s 24M /root/state.img
mkfs.ext4 -q -F -m 0 /root/state.img
mkdir /mnt/state
mount -o loop /root/state.img /mnt/state
cp -a /var/lib/pyruse/. /mnt/state
chown pyruse:pyruse /mnt/state; chmod 0700 /mnt/state
mount --move /mnt/state /var/lib/pyruse 2>/dev/null || { umount /mnt/state; mount -o loop /root/state.img /var/lib/pyruse; }
systemctl start pyruse`)
	g.guess(attacker, 3)
	g.handled()
	g.sh("dd if=/dev/zero of=/var/lib/pyruse/fill bs=4k 2>/dev/null; true")
	g.guess(attacker, 2)
	g.waitBanned(set4, attacker)
	// Enough to need new blocks.
	g.sh(`for i in $(seq 3000); do echo "line $i of many, which goes into the report as it is, and needs room on the disk for that"; done | systemd-cat -p err`)
	g.eventually(time.Minute, "journalctl -q -u pyruse MESSAGE_ID=3a76c05b3f00474b95a82bc3b441dc74 | grep .")
	g.guess("203.0.113.9", untilBan)
	g.waitBanned(set4, "203.0.113.9")
	g.sh("rm /var/lib/pyruse/fill")
	g.eventually(2*time.Minute, "journalctl -q -u pyruse MESSAGE_ID=87bd21d7f2ef4373a0c7636fd16f844d | grep .")
	g.sh("systemctl restart pyruse")
	for _, address := range []string{attacker, "203.0.113.9"} {
		g.bannedOnce(address)
		g.sh("pyruse bans | grep -wF " + address)
	}
	if n := g.property("NRestarts"); n != "0" {
		t.Errorf("it was restarted %s times", n)
	}
}

func TestJournalRotation(t *testing.T) {
	g := marked(t)
	g.exactly(attacker, func() { g.sh("journalctl --rotate; journalctl --vacuum-time=1s") })
	g.exactly("203.0.113.9", func() {
		g.sh("systemctl stop pyruse; journalctl --rotate")
		g.guess("203.0.113.7", untilBan)
		g.sh("journalctl --rotate; systemctl start pyruse")
	})
	g.bannedOnce("203.0.113.7")
}

// With the entry gone behind which it has to go on, it says so, and goes on.
func TestJournalGone(t *testing.T) {
	g := marked(t)
	g.guess(attacker, untilBan)
	g.bannedOnce(attacker)
	g.sh("systemctl stop pyruse; journalctl --rotate; journalctl --vacuum-time=1s; journalctl --vacuum-files=1; systemctl start pyruse")
	g.eventually(30*time.Second, "journalctl -q -u pyruse MESSAGE_ID=d2bdc371f36d4eabbd5c489844d4ee41 | grep .")
	g.sh(element(set4, attacker))
	g.guess("203.0.113.9", untilBan)
	g.bannedOnce("203.0.113.9")
}

// Lines are ten minutes of their own time apart, so an hour forward makes the lines before it old. An hour back, nothing is lost.
func TestClockStep(t *testing.T) {
	t.Parallel()
	for _, step := range []struct {
		name   string
		by     time.Duration
		before int // lines of those before the step that still count
	}{{"forward", time.Hour, 0}, {"back", -time.Hour, 4}} {
		t.Run(step.name, func(t *testing.T) {
			g := marked(t)
			g.guess("203.0.113.9", untilBan)
			g.bannedOnce("203.0.113.9")
			g.guess(attacker, untilBan-1)
			g.handled()
			if err := g.setClock(t.Context(), time.Now().Add(step.by)); err != nil {
				t.Fatal(err)
			}
			if more := untilBan - 1 - step.before; more > 0 {
				g.guess(attacker, more)
				g.handled()
				g.notBanned(set4, attacker)
			}
			g.guess(attacker, 1)
			g.bannedOnce(attacker)
			if n := g.bansMade("203.0.113.9"); n != 1 {
				t.Errorf("the ban of before was made %d times", n)
			}
			if left := g.remaining(set4, attacker); left < 3500 || left > 3610 {
				t.Errorf("the ban lasts for %d seconds instead of an hour", left)
			}
			g.waitActive()
		})
	}
}
