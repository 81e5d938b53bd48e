//go:build vm

package testvm

import (
	"strings"
	"testing"
	"time"
)

const webRule = `{"actions": {"web": {"order": 50, "steps": [
  {"filter": "filter_equals", "args": {"field": "_SYSTEMD_UNIT", "value": "web.service"}},
  {"filter": "filter_pcre", "args": {"field": "MESSAGE", "re": "^scan by (?P<IP>[0-9.]+)$"}},
  {"action": "action_nftBan", "args": {"IP": "IP", "banSeconds": 600, "nftSetIPv4": "inet pyruse ban4", "nftSetIPv6": "inet pyruse ban6"}}
]}}}`

func (g guest) scan(address string) {
	g.t.Helper()
	g.sh("systemd-run --quiet --wait --collect --unit=web.service echo scan by " + address)
}

func TestFragments(t *testing.T) {
	g := marked(t)
	pid := g.property("MainPID")

	g.fragment("40-web.json", webRule)
	g.sh("systemctl reload pyruse")
	g.scan("192.0.2.1")
	g.waitBanned(set4, "192.0.2.1")

	// A fault in one file: the reload tells it, and the rest is in force.
	g.fragment("40-web.json", strings.Replace(webRule, "filter_equals", "filter_equal", 1))
	g.try("systemctl reload pyruse")
	g.eventually(20*time.Second, "journalctl -q -u pyruse MESSAGE_ID=8862163761f14868b8d53697e9b27075 | grep 40-web.json")
	if r := g.try("pyruse check"); r.Code != 2 || !strings.Contains(string(r.Stdout)+string(r.Stderr), "40-web.json") {
		t.Errorf("pyruse check: exit status %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
	g.guess(attacker, untilBan)
	g.bannedOnce(attacker)

	// A fault in the main file: the reload fails, and all that was in force stays.
	g.sh("cp /etc/pyruse/pyruse.json /root/main.json; echo '{' > /etc/pyruse/pyruse.json")
	if r := g.try("systemctl reload pyruse"); r.Code == 0 {
		t.Error("the reload of a main file with a fault succeeded")
	}
	g.guess("203.0.113.9", untilBan)
	g.bannedOnce("203.0.113.9")

	g.sh("cp /root/main.json /etc/pyruse/pyruse.json; rm /etc/pyruse.d/40-web.json; systemctl reload pyruse")
	g.scan("192.0.2.2")
	g.handled()
	g.notBanned(set4, "192.0.2.2")

	g.sh("ln -s /dev/null /etc/pyruse.d/50-ssh.json; systemctl reload pyruse")
	g.guess("203.0.113.10", untilBan+1)
	g.handled()
	g.notBanned(set4, "203.0.113.10")
	g.sh("rm /etc/pyruse.d/50-ssh.json; systemctl reload pyruse")
	g.guess("203.0.113.10", untilBan)
	g.bannedOnce("203.0.113.10")

	if now := g.property("MainPID"); now != pid {
		t.Error("it was restarted meanwhile")
	}
}

// A broken main file must not make systemd try for ever.
func TestBrokenAtStart(t *testing.T) {
	g := installed(t)
	g.sh("echo '{' > /etc/pyruse/pyruse.json; systemctl restart pyruse; true")
	g.gaveUp("2", "/etc/pyruse/pyruse.json:")
}
