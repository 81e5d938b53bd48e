//go:build vm

package testvm

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The role, from here, against the machine over ssh: install, change nothing, say what would change, change it.
func TestAnsibleRole(t *testing.T) {
	if _, err := exec.LookPath("ansible-playbook"); err != nil {
		t.Fatal(err)
	}
	// It takes the longest, so it has a machine before the others ask for theirs: they begin with t.Parallel.
	g := take(t).from("ready")
	t.Parallel()
	dir := t.TempDir()
	if err := command(t.Context(), nil, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(dir, "key")); err != nil {
		t.Fatal(err)
	}
	public, err := os.ReadFile(filepath.Join(dir, "key.pub"))
	if err != nil {
		t.Fatal(err)
	}
	g.sh("install -d -m 0700 /root/.ssh; systemctl start ssh")
	g.put("/root/.ssh/authorized_keys", 0o600, string(public))
	p := &playbook{g: g, dir: dir, port: g.reachable("22")}
	deb, err := filepath.Abs(os.Getenv("PYRUSE_DEB"))
	if err != nil {
		t.Fatal(err)
	}
	vars := `
        pyruse_deb: ` + deb + `
        pyruse_config: {email: {to: [root]}, neverBan: [192.0.2.200]}
        pyruse_fragments:
          60-web: {actions: {web: {order: 60, steps: [{filter: filter_equals, args: {field: _SYSTEMD_UNIT, value: web.service}}, {action: action_noop}]}}}
`
	if changed := p.run(vars); changed == 0 {
		t.Error("the first run changed nothing")
	}
	g.waitActive()
	g.sh("grep -q 192.0.2.200 /etc/pyruse/pyruse.json && test -s /etc/pyruse.d/60-web.json && pyruse check")
	g.guess(attacker, untilBan)
	g.bannedOnce(attacker)

	if changed := p.run(vars); changed != 0 {
		t.Errorf("the second run changed %d things", changed)
	}

	pid := g.property("MainPID")
	other := strings.Replace(vars, "192.0.2.200", "192.0.2.201", 1)
	if changed := p.run(other, "--check", "--diff"); changed == 0 || !strings.Contains(p.out, "192.0.2.201") {
		t.Errorf("the check mode does not show the change:\n%s", p.out)
	}
	g.sh("grep -q 192.0.2.200 /etc/pyruse/pyruse.json")
	if changed := p.run(other); changed == 0 {
		t.Error("the change was not made")
	}
	g.sh("grep -q 192.0.2.201 /etc/pyruse/pyruse.json")
	// Reloaded, not restarted.
	if now := g.property("MainPID"); now != pid {
		t.Error("it was restarted")
	}
	g.eventually(20*time.Second, "journalctl -q -u pyruse MESSAGE_ID=43bf3a885bfd425196e1f8b2b36581c5 | grep .")
}

// reachable returns a port here that leads to the port of the machine, until the end of the case.
func (g guest) reachable(port string) string {
	g.t.Helper()
	if text, err := g.monitor("hostfwd_add wan tcp:127.0.0.1:0-10.0.2.15:" + port); err != nil || strings.TrimSpace(text) != "" {
		g.t.Fatalf("forward a port: %v %s", err, text)
	}
	table, err := g.monitor("info usernet")
	found := regexp.MustCompile(`TCP\[HOST_FORWARD\]\s+\S+\s+127\.0\.0\.1\s+(\d+)`).FindStringSubmatch(table)
	if err != nil || found == nil {
		g.t.Fatalf("no port is forwarded: %v\n%s", err, table)
	}
	g.t.Cleanup(func() {
		if _, err := g.monitor("hostfwd_remove wan tcp:127.0.0.1:" + found[1]); err != nil {
			g.t.Error(err)
		}
	})
	return found[1]
}

type playbook struct {
	g         guest
	dir, port string
	out       string
}

// run plays the role with the variables, and returns how much it changed.
func (p *playbook) run(vars string, args ...string) (changed int) {
	t := p.g.t
	t.Helper()
	ansible, err := filepath.Abs("../ansible")
	if err != nil {
		t.Fatal(err)
	}
	play := filepath.Join(p.dir, "play.yml")
	text := "- hosts: all\n  gather_facts: false\n  roles:\n    - role: pyruse\n      vars:" + vars
	if err := os.WriteFile(play, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "ansible-playbook", append([]string{"-i", "127.0.0.1,", play}, args...)...)
	cmd.Env = append(os.Environ(), "ANSIBLE_ROLES_PATH="+filepath.Join(ansible, "roles"), "ANSIBLE_HOST_KEY_CHECKING=False", "ANSIBLE_PIPELINING=True",
		"ANSIBLE_REMOTE_PORT="+p.port, "ANSIBLE_REMOTE_USER=root", "ANSIBLE_PRIVATE_KEY_FILE="+filepath.Join(p.dir, "key"), "ANSIBLE_NOCOLOR=1",
		"ANSIBLE_TIMEOUT=60", "ANSIBLE_LOCAL_TEMP="+filepath.Join(p.dir, "tmp"), "LC_ALL=C.UTF-8")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	p.out = out.String()
	if err != nil {
		t.Fatalf("%v\n%s", err, p.out)
	}
	recap := regexp.MustCompile(`changed=(\d+)`).FindStringSubmatch(p.out)
	if recap == nil {
		t.Fatalf("no recap:\n%s", p.out)
	}
	changed, err = strconv.Atoi(recap[1])
	if err != nil {
		t.Fatal(err)
	}
	return changed
}
