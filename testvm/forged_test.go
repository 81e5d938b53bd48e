//go:build vm

package testvm

import "testing"

// A user of this machine cannot have somebody banned with a line that looks as if it were of sshd.
func TestForgedLines(t *testing.T) {
	g := marked(t)
	for _, how := range []string{
		"logger -t sshd",
		"logger -t sshd --id=1",
		"systemd-cat -t sshd",
		// A unit of the user's own choice of name would need systemd's leave.
		"sh -c 'systemd-run --user --unit=sshd@x cat || cat' 2>/dev/null | logger -t sshd",
	} {
		for range untilBan + 1 {
			g.try("echo 'Failed password for root from " + attacker + " port 4000 ssh2' | runuser -u alice -- " + how)
		}
	}
	g.try("runuser -u alice -- logger --journald <<E\nMESSAGE=Failed password for root from " + attacker + " port 4000 ssh2\n_SYSTEMD_UNIT=ssh.service\n_UID=0\nSYSLOG_IDENTIFIER=sshd\nE")
	if n := g.number("journalctl --sync; journalctl -q _UID=$(id -u alice) -t sshd | wc -l"); n < 3*untilBan {
		t.Fatalf("only %d of the lines are in the journal", n)
	}
	g.handled()
	g.notBanned(set4, attacker)
	// The real sshd's lines, with the same text, do.
	g.guess(attacker, untilBan)
	g.bannedOnce(attacker)
}
