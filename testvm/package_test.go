//go:build vm

package testvm

import (
	"strings"
	"testing"
	"time"
)

const apt = "DEBIAN_FRONTEND=noninteractive apt-get -y -o Dpkg::Options::=--force-confold "

// An upgrade over what the administrator has edited: his file stays, the rules of the package are the new ones, no ban is lost.
func TestUpgrade(t *testing.T) {
	g := marked(t)
	g.sh(`sed -i 's/"neverBan": \[\]/"neverBan": ["203.0.113.200"]/' /etc/pyruse/pyruse.json && grep -q 203.0.113.200 /etc/pyruse/pyruse.json && systemctl reload pyruse`)
	g.guess(attacker, untilBan)
	g.bannedOnce(attacker)
	g.guess("203.0.113.9", untilBan-1)
	g.handled()
	g.sh(`set -e
dpkg-deb -R ` + debInside + ` /root/next
sed -i 's/^Version: .*/&+next/' /root/next/DEBIAN/control
sed -i '1i // The next version has another main file.' /root/next/etc/pyruse/pyruse.json
sed -i 's/"banSeconds": 3600/"banSeconds": 7200/' /root/next/usr/lib/pyruse.d/50-ssh.json
chmod -R go-w /root/next
dpkg-deb -Znone -b /root/next /root/next.deb`)
	pid := g.property("MainPID")
	g.sh(apt + "install /root/next.deb")
	g.waitActive()
	if g.property("MainPID") == pid {
		t.Error("the old program still runs")
	}
	g.sh("grep -q 203.0.113.200 /etc/pyruse/pyruse.json")
	g.sh(element(set4, attacker))
	g.guess("203.0.113.9", 1)
	g.bannedOnce("203.0.113.9")
	if left := g.remaining(set4, "203.0.113.9"); left < 7000 {
		t.Errorf("the rule of before the upgrade is in force: %d seconds", left)
	}
	if n := g.bansMade(attacker); n != 1 {
		t.Errorf("%s was banned %d times", attacker, n)
	}
	g.guess("203.0.113.200", untilBan)
	g.handled()
	g.notBanned(set4, "203.0.113.200")
}

func TestRemoveAndPurge(t *testing.T) {
	g := installed(t)
	g.guess(attacker, untilBan)
	g.bannedOnce(attacker)
	g.fragment("60-mine.json", `{"actions": {}}`)

	g.sh(apt + "remove pyruse")
	g.eventually(20*time.Second, "! systemctl is-active --quiet pyruse")
	g.sh("test -s /var/lib/pyruse/pyruse.db && test -s /etc/pyruse/pyruse.json && test -s /etc/pyruse.d/60-mine.json && ! test -e /usr/bin/pyruse")

	g.sh(apt + "install " + debInside)
	g.waitActive()
	g.waitBanned(set4, attacker)
	if n := g.bansMade(attacker); n != 1 {
		t.Errorf("%s was banned %d times", attacker, n)
	}

	g.sh(apt + "purge pyruse")
	g.sh("! test -e /var/lib/pyruse && ! test -e /etc/pyruse/pyruse.json && ! test -e /usr/lib/pyruse.d")
	if out := g.sh("systemctl list-unit-files --no-legend 'pyruse*'; find /etc/systemd -name 'pyruse*'"); strings.TrimSpace(out) != "" {
		t.Errorf("units are left: %s", out)
	}
}

// The package is installed over the files of Pyruse 2, which ran as root.
func TestFromPyruse2(t *testing.T) {
	g := blank(t)
	g.sh("install -d -m 0700 /var/lib/pyruse; install -d /etc/pyruse")
	now := time.Now().Unix()
	g.put("/var/lib/pyruse/action_nftBan.py.json", 0o600,
		`[{"IP": "203.0.113.5", "nfSet": "inet pyruse ban4", "timestamp": `+itoa(now+1800)+`.5}, {"IP": "203.0.113.6", "nfSet": "inet pyruse ban4", "timestamp": 0}]`)
	g.put("/var/lib/pyruse/action_dailyReport.py.journal", 0o600,
		"[\n{\"L\": 1, \"T\": "+itoa(now-60)+".0, \"M\": \"a line of Pyruse 2\", \"D\": \"ALL\"},\n")
	g.put("/etc/pyruse/pyruse.json", 0o644, `{
  "email": {"subject": "Pyruse Report", "from": "pyruse@machine", "to": ["root@machine"], "sendmail": ["/usr/sbin/sendmail", "-t"]},
  "actions": {
    "Detect failed logins": [
      {"filter": "filter_equals", "args": {"field": "_SYSTEMD_UNIT", "value": "old.service"}},
      {"filter": "filter_pcre", "args": {"field": "MESSAGE", "re": "^refused (?P<thatIP>[0-9.]+)$"}},
      {"action": "action_nftBan", "args": {"IP": "thatIP", "nftSetIPv4": "inet pyruse ban4", "nftSetIPv6": "inet pyruse ban6", "banSeconds": 900}}
    ]
  }
}`)
	g.copyDeb()
	g.sh(apt + "install " + debInside)
	g.waitActive()
	g.waitBanned(set4, attacker)
	g.waitBanned(set4, "203.0.113.6")
	if left := g.remaining(set4, attacker); left < 1500 || left > 1810 {
		t.Errorf("the ban lasts for %d seconds instead of 1800", left)
	}
	g.sh("test -e /var/lib/pyruse/action_nftBan.py.json.taken-over && test -e /var/lib/pyruse/action_dailyReport.py.journal.taken-over")
	g.sh("pyruse report --text | grep -F 'a line of Pyruse 2'")
	g.sh("systemd-run --quiet --wait --collect --unit=old.service echo refused 203.0.113.9")
	g.bannedOnce("203.0.113.9")
	// Nothing of the state is left to root.
	if out := g.sh("find /var/lib/pyruse -not -user pyruse"); out != "" {
		t.Errorf("not the daemon's: %s", out)
	}
}
