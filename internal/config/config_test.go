package config

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// texts returns the diagnostics, one line each.
func texts(d *Diagnostics) []string {
	var out []string
	for _, x := range d.Sorted() {
		out = append(out, x.String())
	}
	return out
}

// noChecks are the checks of those who know no modules.
var noChecks = Checks{All: func(*Config, *Diagnostics) {}, Links: func(*Config, *Diagnostics) {}}

// TestFindOrder holds the order of section 1 of the language: --config, $PYRUSE_EXTRA, /etc/pyruse.
func TestFindOrder(t *testing.T) {
	extra, empty := t.TempDir(), t.TempDir()
	inExtra := filepath.Join(extra, "pyruse.json")
	if err := os.WriteFile(inExtra, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	installed := filepath.Join(t.TempDir(), "pyruse.json")
	if err := os.WriteFile(installed, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if mainFile != "/etc/pyruse/pyruse.json" {
		t.Errorf("the main file is %s where nobody says otherwise", mainFile)
	}
	missing := filepath.Join(t.TempDir(), "pyruse.json")
	for _, x := range []struct{ name, explicit, extra, main, want string }{
		{"--config wins, even if there is no such file", "/no/such/file", extra, installed, "/no/such/file"},
		{"then $PYRUSE_EXTRA", "", extra, installed, inExtra},
		{"then /etc/pyruse, if $PYRUSE_EXTRA has none", "", empty, installed, installed},
		{"then /etc/pyruse, if $PYRUSE_EXTRA is not set", "", "", installed, installed},
		{"nowhere", "", empty, missing, ""},
		{"nowhere, and $PYRUSE_EXTRA is not set", "", "", missing, ""},
	} {
		t.Run(x.name, func(t *testing.T) {
			setMainFile(t, x.main)
			got, err := find(x.explicit, x.extra)
			if x.want == "" {
				if !errors.Is(err, ErrNoFile) || !strings.Contains(err.Error(), x.main) || !strings.Contains(err.Error(), x.extra) {
					t.Errorf("error %v, want ErrNoFile with the places that were looked at", err)
				}
				return
			}
			if err != nil || got != x.want {
				t.Errorf("find = %q, %v, want %q", got, err, x.want)
			}
		})
	}
}

// setMainFile makes path the main file where nobody says otherwise, until the test ends.
func setMainFile(t *testing.T, path string) {
	t.Helper()
	installed := mainFile
	mainFile = path
	t.Cleanup(func() { mainFile = installed })
}

func TestLoadFaults(t *testing.T) {
	dir := t.TempDir()
	write := func(name, data string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, x := range []struct{ path, want string }{
		{filepath.Join(dir, "missing"), "missing: error: cannot read the configuration: no such file or directory"},
		{dir, ": error: cannot read the configuration: it is a directory"},
		{write("empty", ""), "empty: error: the file is empty (a configuration is a JSON object: {\"actions\": {…}})"},
		{write("blank", " \n\t\r\n"), "blank: error: the file is empty (a configuration is a JSON object: {\"actions\": {…}})"},
		{write("bom", "\ufeff{}"), "bom:1:1: error: the file begins with a byte order mark (save the file as UTF-8 without BOM)"},
		{write("latin1", "{\n \"comment\": \"caf\xe9\"}"), "latin1:2:17: error: byte 0xe9 is not valid UTF-8 (save the file as UTF-8)"},
		{write("huge", strings.Repeat(" ", MaxFileSize+1)), "huge: error: the file has more than 16777216 bytes (split the configuration, or look for what made it grow)"},
		{write("deep", strings.Repeat("[", 10_000)), "deep:1:101: error: objects and lists are nested deeper than 100 levels"},
		{write("hello", "hello"), "hello:1:1: error: this is not JSON: invalid literal: hello"},
		{write("trailing", "{}\n{}"), "trailing:2:1: error: this is not JSON: invalid character '{' after top-level value"},
	} {
		sources, err := Gather(Layers{Config: x.path})
		if err != nil {
			t.Fatal(err)
		}
		cfg, diags := sources.Settle(noChecks)
		if cfg.Sound {
			t.Errorf("%s: there is a configuration", x.path)
		}
		if got := texts(diags); len(got) != 1 || !strings.HasSuffix(got[0], x.want) {
			t.Errorf("%s:\n got %q\nwant %q", x.path, got, x.want)
		}
	}
}

// Brackets in strings and comments are no nesting.
func TestDepthIsOnlyCountedOutsideOfStringsAndComments(t *testing.T) {
	deep := strings.Repeat("[", 200)
	for _, source := range []string{
		`{"comment": "` + deep + `\"` + deep + `"}`,
		"{} // " + deep,
		"{ /* " + deep + "\n" + deep + " */ }",
		`{"comment": ` + strings.Repeat("[", maxDepth-1) + strings.Repeat("]", maxDepth-1) + "}",
	} {
		var diags Diagnostics
		if Read(NewFile("f", []byte(source)), &diags) == nil {
			t.Errorf("%.40s…: %q", source, texts(&diags))
		}
	}
}

func TestReadKeepsOrderAndPlaces(t *testing.T) {
	var diags Diagnostics
	c := Read(NewFile("f", []byte(`{"actions": {
  "zeta": [{"filter": "filter_x", "args": {}, "then": "alpha", "else": null}],
  "ähre": [], "alpha": [{"action": "action_y"}]}}`)), &diags)
	if c == nil || diags.HasErrors() {
		t.Fatalf("%q", texts(&diags))
	}
	var labels []string
	for _, chain := range c.Chains {
		labels = append(labels, chain.Label)
	}
	if want := []string{"zeta", "ähre", "alpha"}; !slices.Equal(labels, want) {
		t.Errorf("chains %q, want %q", labels, want)
	}
	step := c.Chains[0].Steps[0]
	if step.IsAction || step.Module != "filter_x" || step.Then == nil || step.Then.Label != "alpha" || step.Else != nil {
		t.Errorf("step %+v", step)
	}
	for name, x := range map[string]struct {
		pos  Pos
		want string
	}{
		"chain": {c.Chains[2].Pos, "f:3:15"}, "module": {step.ModulePos, "f:2:23"}, "then": {step.Then.Pos, "f:2:55"},
		"a key that is not given": {c.At("email"), "f:1:1"},
	} {
		if got := x.pos.String(); got != x.want {
			t.Errorf("%s is at %s, want %s", name, got, x.want)
		}
	}
}

func TestSettingsOverDefaults(t *testing.T) {
	var diags Diagnostics
	c := Read(NewFile("f", []byte(`{"email": {"subject": "x"}, "limits": {"dnat": 1e3}, "storage": null, "actions": {}}`)), &diags)
	if c == nil || diags.HasErrors() {
		t.Fatalf("%q", texts(&diags))
	}
	d := Defaults()
	if c.Settings.Email.Subject != "x" || !slices.Equal(c.Settings.Email.Sendmail, d.Email.Sendmail) {
		t.Errorf("email %+v", c.Settings.Email)
	}
	if c.Settings.Limits.DNAT != 1000 || c.Settings.Limits.CounterKeys != d.Limits.CounterKeys {
		t.Errorf("limits %+v", c.Settings.Limits)
	}
	if c.Settings.Storage != d.Storage {
		t.Errorf("storage %q", c.Settings.Storage)
	}
}

func TestParseNet(t *testing.T) {
	for _, x := range []struct{ text, want string }{
		{"10.1.2.3/8", "10.0.0.0/8"},
		{"192.0.2.7", "192.0.2.7/32"},
		{"::1", "::1/128"},
		{"2001:db8:ffff::/32", "2001:db8::/32"},
		{"0.0.0.0/0", "0.0.0.0/0"},
		{"::ffff:192.0.2.1", "192.0.2.1/32"},
		{"::ffff:192.0.2.1/120", "192.0.2.0/24"},
		{"::ffff:0:0/96", "0.0.0.0/0"},
		{"::/0", "::/0"},
		{"10.0.0.0/33", ""}, {"10.0.0/8", ""}, {"10.0.0.0/08", ""}, {"fe80::1%eth0", ""}, {"fe80::1%eth0/64", ""},
		{"", ""}, {"example.org", ""}, {"10.0.0.0/", ""}, {"010.0.0.1", ""}, {"1.2.3.4/255.0.0.0", ""},
	} {
		got, err := ParseNet(x.text)
		if x.want == "" {
			if err == nil {
				t.Errorf("ParseNet(%q) = %v, want an error", x.text, got)
			}
			continue
		}
		if err != nil || got != netip.MustParsePrefix(x.want) {
			t.Errorf("ParseNet(%q) = %v, %v, want %s", x.text, got, err, x.want)
		}
	}
}
