package main

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
)

// exposures are the most that `systemd-analyze security` may give the units, on its scale from 0 to 10.
var exposures = map[string]float64{"pyruse.service": 1.4, "pyruse-boot@action_nftBan.service": 1.1}

// TestUnits lets systemd read the units as make install writes them, and measures how much their sandbox leaves open.
func TestUnits(t *testing.T) {
	root := t.TempDir()
	install := exec.CommandContext(t.Context(), "make", "-C", "../..", "--no-print-directory", "install", "BIN="+fakeProgram(t), "DESTDIR="+root, "PREFIX=/usr", "NOTIFY_RELOAD=no")
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("make install: %v\n%s", err, out)
	}
	targets, err := filepath.Glob("/usr/lib/systemd/system/*.target") // those that a unit has to do with by default
	if err != nil || len(targets) == 0 {
		t.Fatalf("the targets of systemd are needed, and are not here: %v", err)
	}
	if out, err := exec.CommandContext(t.Context(), "cp", append(targets, "-t", filepath.Join(root, "usr/lib/systemd/system"))...).CombinedOutput(); err != nil {
		t.Fatalf("copy the targets: %v\n%s", err, out)
	}
	for unit, most := range exposures {
		t.Run(unit, func(t *testing.T) {
			for _, args := range [][]string{{"verify", "--man=no", "--root=" + root, unit}, {"security", "--offline=true", "--no-pager", "--root=" + root, unit}} {
				out, err := exec.CommandContext(t.Context(), "systemd-analyze", args...).CombinedOutput()
				if err != nil {
					t.Fatalf("systemd-analyze %q: %v\n%s", args, err, out)
				}
				if args[0] == "verify" {
					if len(out) > 0 {
						t.Errorf("systemd-analyze verify says:\n%s", out)
					}
					continue
				}
				figure := regexp.MustCompile(`exposure level for \S+: ([0-9.]+) `).FindSubmatch(out)
				if figure == nil {
					t.Fatalf("systemd-analyze security gives no figure:\n%s", out)
				}
				if got, err := strconv.ParseFloat(string(figure[1]), 64); err != nil || got > most {
					t.Errorf("exposure %s (%v), want %v at the most:\n%s", figure[1], err, most, out)
				}
			}
		})
	}
}

// fakeProgram returns a program that prints nothing useful: the units only need one that is there.
func fakeProgram(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("true")
	if err != nil {
		t.Fatal(err)
	}
	path, err = filepath.EvalSymlinks(path)
	if err != nil {
		t.Fatal(err)
	}
	return path
}
