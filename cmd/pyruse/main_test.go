package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"pyruse": func() { os.Exit(run()) }})
}

// TestScript runs the command as a user does, in the scripts of testdata/script. Besides the commands of
// testscript, they have the folder of the repository in $ROOT, and
//
//	exits CODE COMMAND [ARG...]   runs a command that must end with this code
//	repeat FILE TEXT COUNT        writes a file
func TestScript(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("TZ", "UTC")
			e.Setenv("ROOT", root)
			return nil
		},
		Condition: func(name string) (bool, error) {
			if name != "installed" { // Pyruse is, with a configuration, on the machine that runs the test
				return false, errors.New("unknown condition " + name)
			}
			_, err := os.Stat("/etc/pyruse/pyruse.json")
			return err == nil, nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "repeat": repeat},
	})
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND [ARG...]")
	}
	code := 0
	err := ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		code = exit.ExitCode()
	case err != nil:
		ts.Fatalf("run %s: %v", args[1], err)
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}

func repeat(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: repeat FILE TEXT COUNT")
	}
	count, err := strconv.Atoi(args[2])
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.Repeat(args[1], count)), 0o600))
}

func TestParseTime(t *testing.T) {
	zone := time.FixedZone("", 2*3600)
	now := time.Date(2026, 11, 22, 8, 1, 1, 5, zone)
	for _, x := range []struct {
		text string
		want time.Time
	}{
		{"", time.Time{}},
		{"now", now},
		{"today", time.Date(2026, 11, 22, 0, 0, 0, 0, zone)},
		{"yesterday", time.Date(2026, 11, 21, 0, 0, 0, 0, zone)},
		{"-2h", now.Add(-2 * time.Hour)},
		{"-1w2d", now.Add(-9 * 24 * time.Hour)},
		{"-90", now.Add(-90 * time.Second)},
		{"@1700000000", time.Unix(1700000000, 0)},
		{"@1700000000.25", time.Unix(1700000000, 250_000_000)},
		{"2026-11-22", time.Date(2026, 11, 22, 0, 0, 0, 0, zone)},
		{"2026-11-22 08:00", time.Date(2026, 11, 22, 8, 0, 0, 0, zone)},
		{"2026-11-22 08:00:59", time.Date(2026, 11, 22, 8, 0, 59, 0, zone)},
		{"2026-11-22T08:00:59", time.Date(2026, 11, 22, 8, 0, 59, 0, zone)},
		{"2026-11-22T08:00:59Z", time.Date(2026, 11, 22, 8, 0, 59, 0, time.UTC)},
		{"2026-11-22T08:00:59.000001+01:00", time.Date(2026, 11, 22, 7, 0, 59, 1000, time.UTC)},
	} {
		got, err := parseTime("since", x.text, now)
		if err != nil || !got.Equal(x.want) {
			t.Errorf("parseTime(%q) = %v, %v, want %v", x.text, got, err, x.want)
		}
	}
	for _, text := range []string{"soon", "-", "-x", "--2h", "@", "@-1", "@1e20", "@nan", "2026-13-01", "22.11.2026", "-9999999999999999999", " today"} {
		if got, err := parseTime("since", text, now); err == nil || !strings.Contains(err.Error(), "--since") {
			t.Errorf("parseTime(%q) = %v, %v, want an error that names the flag", text, got, err)
		}
	}
}

func TestParseLength(t *testing.T) {
	const day = 24 * time.Hour
	for text, want := range map[string]time.Duration{
		"3d": 3 * day, "12h": 12 * time.Hour, "1w2d": 9 * day, "90m": 90 * time.Minute, "3600": time.Hour, "0": 0,
		"1d1": day + time.Second, "36600d": maxLength,
	} {
		if got, err := parseLength(text); err != nil || got != want {
			t.Errorf("parseLength(%q) = %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "d", "-3d", "1.5h", "3 d", "3y", "36601d", "99999999999w", "9223372036854775808", "1h1h1x"} {
		if got, err := parseLength(text); err == nil {
			t.Errorf("parseLength(%q) = %v, want an error", text, got)
		}
	}
}
