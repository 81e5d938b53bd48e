//go:build vm

package testvm

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The units as the module for NixOS writes them, on this Debian: they run, ban, and put the bans back at boot.
func TestUnitsOfNixOS(t *testing.T) {
	g := blank(t)
	g.copyDeb()
	// The program and its rules, but none of the package's units.
	g.sh(`set -e
dpkg-deb -x ` + debInside + ` /root/x
cp /root/x/usr/bin/pyruse /usr/bin
cp -r /root/x/usr/lib/pyruse.d /usr/lib
useradd -r -s /usr/sbin/nologin -d /var/lib/pyruse pyruse`)
	var wanted map[string][]string
	for name, content := range rendered(t) {
		switch name {
		case "wantedBy":
			decode(t, content, &wanted)
		case "files":
			var files map[string]string
			decode(t, content, &files)
			for path, text := range files {
				g.file("/etc/"+path, text)
			}
		default:
			var text string
			decode(t, content, &text)
			// Debian's systemd is older than this type. What differs is the reload alone.
			g.file("/etc/systemd/system/"+name, strings.ReplaceAll(text, "Type=notify-reload\n", "Type=notify\n"))
		}
	}
	for unit, targets := range wanted {
		for _, target := range targets {
			template, instance, _ := strings.Cut(unit, "@")
			file := unit + ".service"
			if instance != "" {
				file = template + "@.service"
			}
			g.sh("mkdir -p /etc/systemd/system/" + target + ".wants; ln -sf /etc/systemd/system/" + file + " /etc/systemd/system/" + target + ".wants/" + unit + ".service")
		}
	}
	g.sh("systemctl daemon-reload; systemctl start pyruse pyruse-boot@action_nftBan")
	if out := g.sh("journalctl -q -b _PID=1 -o cat --grep '(Unknown|Failed to parse|ignoring)' | grep -E 'pyruse.*(Unknown|Failed to parse)' | grep -v X-Reload-Triggers; true"); out != "" {
		t.Errorf("systemd does not understand the units: %s", out)
	}
	g.guess(attacker, untilBan)
	g.bannedOnce(attacker)
	g.rebooted()
	g.sh(element(set4, attacker))
	g.order()
	g.waitActive()
	g.bannedOnce(attacker)
}

func (g guest) file(path, text string) {
	g.t.Helper()
	g.sh("mkdir -p " + filepath.Dir(path))
	g.put(path, 0o644, text)
}

func decode(t *testing.T, text json.RawMessage, into any) {
	t.Helper()
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatal(err)
	}
}

// rendered has Nix write the units and files of a machine with nothing but `services.pyruse.enable = true`.
func rendered(t *testing.T) map[string]json.RawMessage {
	t.Helper()
	if _, err := exec.LookPath("nix-instantiate"); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	env := os.Environ()
	for name, folder := range map[string]string{"NIX_STORE_DIR": "store", "NIX_STATE_DIR": "state", "NIX_LOG_DIR": "log", "NIX_CONF_DIR": "conf"} {
		path := filepath.Join(dir, folder)
		if err := os.Mkdir(path, 0o755); err != nil {
			t.Fatal(err)
		}
		env = append(env, name+"="+path)
	}
	conf := "build-users-group =\nsandbox = false\nsubstituters =\n" //nolint:misspell // it is their word
	if err := os.WriteFile(filepath.Join(dir, "conf", "nix.conf"), []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "nix-instantiate", "--eval", "--strict", "--json", "--read-write-mode", "--argstr", "pyruse", "/usr", "../nix/tests/render.nix")
	cmd.Env = env
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("nix-instantiate: %v\n%s", err, said.Bytes())
	}
	units := map[string]json.RawMessage{}
	decode(t, out, &units)
	return units
}
