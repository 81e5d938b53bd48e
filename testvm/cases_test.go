//go:build vm

package testvm

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pyruse/pyruse/testvm/frame"
)

// What is asked about in nearly every case.
const (
	attacker  = "203.0.113.5"
	attacker6 = "2001:db8::5"
	set4      = "inet pyruse ban4"
	set6      = "inet pyruse ban6"
	debInside = "/root/pyruse.deb"
)

func logf(format string, args ...any) { fmt.Fprintf(os.Stderr, "testvm: "+format+"\n", args...) }

// A guest is the machine in the hands of one case.
type guest struct {
	*machine
	t *testing.T
}

// blank is the machine without Pyruse.
func blank(t *testing.T) guest {
	t.Helper()
	t.Parallel()
	return take(t).from("ready")
}

// installed is the machine with the package installed and running, and otherwise as Debian left it.
func installed(t *testing.T) guest {
	t.Helper()
	t.Parallel()
	g := take(t)
	if !g.installed {
		g.from("ready").install()
		g.keepInstalled()
	}
	return g.from("installed")
}

func (g guest) from(snapshot string) guest {
	g.t.Helper()
	if err := g.load(g.t.Context(), snapshot); err != nil {
		g.t.Fatal(err)
	}
	return g
}

func (g guest) install() string {
	g.t.Helper()
	g.copyDeb()
	// Nothing is fetched: the machine has no network, and apt no lists.
	return g.sh("DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends " + debInside + " 2>&1")
}

func (g guest) copyDeb() {
	g.t.Helper()
	deb := os.Getenv("PYRUSE_DEB")
	if deb == "" {
		g.t.Fatal("PYRUSE_DEB must name the Debian package that is to be tested")
	}
	content, err := os.ReadFile(deb)
	if err != nil {
		g.t.Fatal(err)
	}
	g.put(debInside, 0o644, string(content))
}

func (g guest) keepInstalled() {
	g.t.Helper()
	g.waitActive()
	g.sh("sync; journalctl --sync")
	if err := g.save("installed"); err != nil {
		g.t.Fatal(err)
	}
	g.installed = true
}

// leaveTraces writes what the machine says of itself into files, for who has to find out why the case failed.
func (g guest) leaveTraces() {
	dir, err := filepath.Abs(filepath.Join("failures", strings.ReplaceAll(g.t.Name(), "/", "_")))
	if err == nil {
		err = os.MkdirAll(dir, 0o755)
	}
	if err != nil {
		g.t.Error(err)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for name, script := range map[string]string{
		"journal.txt":    "journalctl --no-pager -o short-precise",
		"journal.export": "journalctl --no-pager -b -o export",
		"ruleset.nft":    "nft list ruleset",
		"status.txt":     "systemctl status --no-pager -l pyruse.service 'pyruse-boot@*' nftables.service; systemctl --failed --no-pager; pyruse bans; pyruse mail list",
		"mail.txt":       "tail -n 200 /var/log/exim4/*log; exim4 -bp; tail -n 200 /var/mail/*",
		"network.txt":    "ip addr; ip route; ip -6 route; ss -antp",
	} {
		r, err := g.ask(ctx, request("sh", "-c", script+" 2>&1"))
		if err != nil {
			g.t.Errorf("%s: %v", name, err)
			continue
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, r.Stdout, 0o644); err != nil {
			g.t.Error(err)
			continue
		}
		g.t.Logf("left behind: %s", path)
	}
	if console, err := os.ReadFile(filepath.Join(g.dir, "console")); err == nil {
		_ = os.WriteFile(filepath.Join(dir, "console.txt"), console, 0o644)
	}
}

// try runs a script of the shell, and returns what came of it.
func (g guest) try(script string) frame.Reply {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(g.t.Context(), commandTime)
	defer cancel()
	r, err := g.ask(ctx, request("sh", "-c", script))
	if err != nil {
		g.t.Fatalf("%s: %v", script, err)
	}
	return r
}

// sh runs a script that must succeed, and returns its output.
func (g guest) sh(script string) string {
	g.t.Helper()
	r := g.try(script)
	if r.Code != 0 {
		g.t.Fatalf("%s: exit status %d\n%s%s", script, r.Code, r.Stdout, r.Stderr)
	}
	return string(r.Stdout)
}

func (g guest) put(path string, mode os.FileMode, content string) {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(g.t.Context(), commandTime)
	defer cancel()
	if _, err := g.ask(ctx, frame.Request{Put: path, Mode: uint32(mode), Stdin: []byte(content)}); err != nil {
		g.t.Fatal(err)
	}
}

// dropIn changes the unit as `systemctl edit` does.
func (g guest) dropIn(text string) {
	g.t.Helper()
	g.sh("mkdir -p /etc/systemd/system/pyruse.service.d")
	g.put("/etc/systemd/system/pyruse.service.d/test.conf", 0o644, text)
	g.sh("systemctl daemon-reload")
}

// eventually waits until the script succeeds.
func (g guest) eventually(within time.Duration, script string) string {
	g.t.Helper()
	var last frame.Reply
	err := poll(g.t.Context(), within, func() error {
		last = g.try(script)
		if last.Code != 0 {
			return fmt.Errorf("exit status %d", last.Code)
		}
		return nil
	})
	if err != nil {
		g.t.Fatalf("%s: %v\n%s%s", script, err, last.Stdout, last.Stderr)
	}
	return string(last.Stdout)
}

// waitActive waits until the daemon is up.
func (g guest) waitActive() {
	g.t.Helper()
	g.eventually(time.Minute, "systemctl is-active --quiet pyruse")
}

// property is one of the daemon's unit.
func (g guest) property(name string) string {
	g.t.Helper()
	return strings.TrimSpace(g.sh("systemctl show --value -p " + name + " pyruse"))
}

func (g guest) number(script string) int {
	g.t.Helper()
	out := strings.TrimSpace(g.sh(script))
	n, err := strconv.Atoi(out)
	if err != nil {
		g.t.Fatalf("%s: %v", script, err)
	}
	return n
}

func (g guest) rebooted() {
	g.t.Helper()
	if err := g.reboot(g.t.Context()); err != nil {
		g.t.Fatal(err)
	}
}

// sshd writes lines to the journal that journald vouches for as those of sshd: by root, and in a unit of sshd. The time that a real
// sshd takes for each wrong password would be the longest part of most cases.
func (g guest) sshd(lines ...string) {
	g.t.Helper()
	g.put("/run/lines", 0o644, strings.Join(lines, "\n")+"\n")
	g.sh("systemd-run --quiet --wait --collect --unit=sshd@" + strconv.FormatInt(time.Now().UnixNano(), 36) + ".service cat /run/lines")
}

// guess has sshd say so many times that the address gave a wrong password. Five times within ten minutes are a ban.
func (g guest) guess(address string, times int) {
	g.t.Helper()
	var lines []string
	for i := range times {
		lines = append(lines, fmt.Sprintf("Failed password for root from %s port %d ssh2", address, 40000+i))
	}
	g.sshd(lines...)
}

const untilBan = 5

// element succeeds where the address is in the set, in the kernel.
func element(set, address string) string {
	return fmt.Sprintf("nft get element %s '{ %s }' 2>&1", set, address)
}

func (g guest) waitBanned(set, address string) {
	g.t.Helper()
	g.eventually(20*time.Second, element(set, address))
}

func (g guest) notBanned(set, address string) {
	g.t.Helper()
	if r := g.try(element(set, address)); r.Code == 0 {
		g.t.Errorf("%s is banned: %s", address, r.Stdout)
	}
}

// remaining is how many seconds the kernel keeps the address in the set.
func (g guest) remaining(set, address string) int {
	g.t.Helper()
	return g.number(fmt.Sprintf(`nft -j list set %s | python3 -c '
import json, sys
for o in json.load(sys.stdin)["nftables"]:
    for e in o.get("set", {}).get("elem", []):
        if isinstance(e, dict) and e["elem"]["val"] == sys.argv[1]: print(e["elem"]["expires"])' %s`, set, address))
}

// bansMade is how many times the log says that the address was banned.
func (g guest) bansMade(address string) int {
	g.t.Helper()
	return g.number("journalctl --sync; journalctl -q -u pyruse MESSAGE_ID=b393eb5b54b6497f9f56bd6f881476ca PYRUSE_IP=" + address + " -o cat | wc -l")
}

// fragment puts a file of the administrator's in place.
func (g guest) fragment(name, text string) {
	g.t.Helper()
	g.put("/etc/pyruse.d/"+name, 0o644, text)
}
