package nix

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// system is what NixOS would make of a configuration: see tests/eval.nix.
type system struct {
	Refusals, Warnings, Checks, Packages, Tmpfiles []string
	Etc                                            map[string]string
	Units                                          map[string]string
	WantedBy, RequiredBy, ReloadTriggers           map[string][]string
	Users                                          map[string]struct {
		IsSystemUser bool
		Group, Home  string
	}
	Groups map[string]any
}

// evaluate gives the system of a configuration, which is a module.
func evaluate(t *testing.T, configuration string, args ...string) system {
	t.Helper()
	var got system
	evaluateAll(t, &got, "tests/eval.nix", append([]string{"--argstr", "pyruse", pyruse(t), "--arg", "configuration", configuration}, args...)...)
	return got
}

// file is the content of a file in /etc, and "" if there is none.
func (s system) file(t *testing.T, name string) string {
	t.Helper()
	if s.Etc[name] == "" {
		return ""
	}
	content, err := os.ReadFile(s.Etc[name])
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// unit is a unit file as lines.
func (s system) unit(name string) []string { return strings.Split(s.Units[name], "\n") }

// value is what stands behind KEY= in a unit, all lines together.
func (s system) value(unit, key string) string {
	var values []string
	for _, line := range s.unit(unit) {
		if value, ok := strings.CutPrefix(line, key+"="); ok {
			values = append(values, value)
		}
	}
	return strings.Join(values, " ")
}

// check runs the checks at build time, and gives what they say.
func (s system) check(t *testing.T) (string, error) {
	t.Helper()
	if len(s.Checks) != 1 {
		t.Fatalf("there are %d checks, want 1", len(s.Checks))
	}
	cmd := exec.Command("bash", "-euc", s.Checks[0])
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "out="+filepath.Join(cmd.Dir, "out"))
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (s system) mustPass(t *testing.T) {
	t.Helper()
	if len(s.Refusals) != 0 || len(s.Warnings) != 0 {
		t.Fatalf("refused: %q, warnings: %q", s.Refusals, s.Warnings)
	}
	if out, err := s.check(t); err != nil || !strings.Contains(out, " 0 warnings, no errors") {
		t.Fatalf("pyruse check: %v\n%s", err, out)
	}
}

const defaultFile = `{
  "debug": false,
  "email": {"sendmail":["/run/wrappers/bin/sendmail","-t"],"subject":"Pyruse Report","to":[]},
  "storage": "/var/lib/pyruse"
}
`

func TestEnableAlone(t *testing.T) {
	got := evaluate(t, `{ services.pyruse.enable = true; }`)
	got.mustPass(t)
	if diff := cmp.Diff(defaultFile, got.file(t, "pyruse/pyruse.json")); diff != "" {
		t.Error(diff)
	}
	if len(got.Etc) != 1 {
		t.Errorf("files: %v", got.Etc)
	}
	if user := got.Users["pyruse"]; !user.IsSystemUser || user.Group != "pyruse" || len(got.Groups) != 1 {
		t.Errorf("users: %v, groups: %v", got.Users, got.Groups)
	}
	if !slices.Equal(got.Packages, []string{"pyruse"}) || len(got.Tmpfiles) != 0 {
		t.Errorf("packages: %q, tmpfiles: %q", got.Packages, got.Tmpfiles)
	}
	for unit, targets := range got.RequiredBy {
		if len(targets) != 0 {
			t.Errorf("without %s, these fail: %q", unit, targets)
		}
	}
}

func TestDisabledLeavesNothing(t *testing.T) {
	for _, configuration := range []string{
		`{ }`,
		`{ services.pyruse = { enable = false; settings.actions = { }; chains = [ { label = "a"; steps = [ { } ]; } ]; fragments.x.source = ./none; }; }`,
	} {
		want := system{
			Refusals: []string{}, Warnings: []string{}, Checks: []string{}, Packages: []string{}, Tmpfiles: []string{},
			Etc: map[string]string{}, Units: map[string]string{},
			WantedBy: map[string][]string{}, RequiredBy: map[string][]string{}, ReloadTriggers: map[string][]string{},
			Users: map[string]struct {
				IsSystemUser bool
				Group, Home  string
			}{}, Groups: map[string]any{},
		}
		if diff := cmp.Diff(want, evaluate(t, configuration)); diff != "" {
			t.Errorf("%s:\n%s", configuration, diff)
		}
	}
}

// The units are those of cmd/pyruse/systemd, and what is different on NixOS is named here.
func TestUnitsAreThoseOfTheOtherSystems(t *testing.T) {
	got := evaluate(t, `{ services.pyruse.enable = true; }`)
	for unit, differs := range map[string]map[string]string{
		"pyruse.service": {
			"Type": "notify-reload", "ExecReload": "", "ExecStart": pyruse(t) + "/bin/pyruse run", "ConfigurationDirectory": "",
			"IPAddressDeny": "", "IPAddressAllow": "", "Environment": `"MALLOC_ARENA_MAX=2"`, "WantedBy": "",
			"After": "nftables.service pyruse-boot@action_nftBan.service pyruse-boot@action_ipsetBan.service firewall.service userborn.service",
		},
		"pyruse-boot@.service": {
			"ExecStart": pyruse(t) + "/bin/pyruse boot %i", "WantedBy": "", "DefaultInstance": "",
			"After": "local-fs.target systemd-sysusers.service systemd-tmpfiles-setup.service nftables.service firewall.service userborn.service",
		},
	} {
		text, err := os.ReadFile("../cmd/pyruse/systemd/" + unit)
		if err != nil {
			t.Fatal(err)
		}
		file := system{Units: map[string]string{unit: string(text)}}
		keys := map[string]bool{}
		for _, line := range append(file.unit(unit), got.unit(unit)...) {
			if key, _, ok := strings.Cut(line, "="); ok && !strings.HasPrefix(line, "#") {
				keys[key] = true
			}
		}
		delete(keys, "X-Reload-Triggers")
		for key := range keys {
			want, other := differs[key]
			if !other {
				want = strings.ReplaceAll(strings.ReplaceAll(file.value(unit, key)+" ", "yes ", "true "), "no ", "false ")
			}
			if have := got.value(unit, key); have != strings.TrimSpace(want) {
				t.Errorf("%s: %s=%s, want %s", unit, key, have, want)
			}
		}
	}
}

func TestUnitFileThatIsNotUnderstood(t *testing.T) {
	for _, line := range []string{
		"ExecStart=/bin/a \\", "no key", "Environment=A='b c'", "[Install]\nRequiredBy=a.target", "[Install]\nWantedBy=b.target\nAlias=a.service",
		"[Install]\nAfter=a.service", "[Socket]\nListenStream=/run/a", "[Timer]",
	} {
		file := filepath.Join(t.TempDir(), "x.service")
		if err := os.WriteFile(file, []byte("[Unit]\nDescription=x\n[Service]\n"+line+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		for name, lib := range libs(t) {
			out, err := command("nix-instantiate", "--eval", "--strict", "--json", "-E", "import ./unitfile.nix { lib = import "+lib+"; } "+file)
			if err == nil || !strings.Contains(err.Error(), "of a unit file is not understood") {
				t.Errorf("%s: %s: %s, %v", name, line, out, err)
			}
		}
	}
}

func TestBootUnits(t *testing.T) {
	for _, x := range []struct {
		modules   string
		instances []string
	}{
		{`[ ]`, nil},
		{`[ "action_ipsetBan" ]`, []string{"action_ipsetBan"}},
		{`[ "action_nftBan" "action_ipsetBan" ]`, []string{"action_ipsetBan", "action_nftBan"}},
		{`[ "action_nftBan" "action_nftBan" ]`, []string{"action_nftBan"}},
		{`[ "action_other" ]`, []string{"action_other"}},
	} {
		got := evaluate(t, `{ services.pyruse = { enable = true; boot.modules = `+x.modules+`; }; }`)
		got.mustPass(t)
		var instances []string
		for unit, text := range got.Units {
			if module, ok := strings.CutPrefix(unit, "pyruse-boot@"); ok && unit != "pyruse-boot@.service" {
				module, isDropIn := strings.CutSuffix(module, ".service.d/overrides.conf")
				if !isDropIn || strings.Contains(text, "Exec") {
					t.Errorf("%s is not a drop-in of the template:\n%s", unit, text)
				}
				if wanted := got.WantedBy["pyruse-boot@"+module]; !slices.Equal(wanted, []string{"multi-user.target"}) {
					t.Errorf("%s is wanted by %q", unit, wanted)
				}
				if after := " " + got.value("pyruse.service", "After") + " "; strings.Count(after, " pyruse-boot@"+module+".service ") != 1 {
					t.Errorf("the daemon is started after%s", after)
				}
				instances = append(instances, module)
			}
		}
		sort.Strings(instances)
		if !slices.Equal(instances, x.instances) {
			t.Errorf("%s: instances %q, want %q", x.modules, instances, x.instances)
		}
		if wanted := got.WantedBy["pyruse-boot@"]; len(wanted) != 0 {
			t.Errorf("the template is wanted by %q", wanted)
		}
	}
}

const sshChains = `
  { label = "ssh"; steps = [
    { filter = "filter_equals"; args = { field = "SYSLOG_IDENTIFIER"; value = "sshd"; }; }
    { filter = "filter_pcre"; args = { field = "MESSAGE"; re = "^Failed password for .* from (?P<ip>[^ ]+)"; }; "then" = "… ban"; }
  ]; }
  { label = "… ban"; steps = [
    { action = "action_nftBan"; args = { IP = "ip"; nftSetIPv4 = "inet filter ban4"; nftSetIPv6 = "inet filter ban6"; banSeconds = 86400; }; }
  ]; }
`

func TestChains(t *testing.T) {
	got := evaluate(t, `{ services.pyruse = { enable = true; chains = [ `+sshChains+` ]; }; }`)
	if out, err := got.check(t); err != nil {
		t.Fatalf("pyruse check: %v\n%s", err, out)
	}
	want := strings.Replace(defaultFile, "\n}\n", `,
  "actions": {
    "ssh": [
      {"args":{"field":"SYSLOG_IDENTIFIER","value":"sshd"},"filter":"filter_equals"},
      {"args":{"field":"MESSAGE","re":"^Failed password for .* from (?P<ip>[^ ]+)"},"filter":"filter_pcre","then":"… ban"}
    ],
    "… ban": [
      {"action":"action_nftBan","args":{"IP":"ip","banSeconds":86400,"nftSetIPv4":"inet filter ban4","nftSetIPv6":"inet filter ban6"}}
    ]
  }
}
`, 1)
	if diff := cmp.Diff(want, got.file(t, "pyruse/pyruse.json")); diff != "" {
		t.Error(diff)
	}
}

// Labels that a set would sort stay as they are listed, and other modules can place theirs.
func TestOrderOfChains(t *testing.T) {
	chain := func(label string) string {
		return `{ label = ` + strconv.Quote(label) + `; steps = [ { action = "action_noop"; } ]; }`
	}
	got := evaluate(t, `{ lib, ... }: {
	  imports = [
	    { services.pyruse.chains = lib.mkAfter [ `+chain("0 last")+` ]; }
	    { services.pyruse.chains = lib.mkBefore [ `+chain("z first")+chain("y second")+` ]; }
	    { services.pyruse.chains = lib.mkOrder 400 [ `+chain("x very first")+` ]; }
	    { services.pyruse.chains = lib.mkIf false [ `+chain("never")+` ]; }
	  ];
	  services.pyruse = {
	    enable = true;
	    chains = [ `+chain("b")+chain(`a "quoted" \ one`)+` ];
	    fragments.f.chains = lib.mkMerge [ [ `+chain("n")+` ] (lib.mkBefore [ `+chain("o")+` ]) ];
	  };
	}`)
	labels := regexp.MustCompile(`(?m)^    ("(?:[^"\\]|\\.)*"): \[$`)
	for _, x := range []struct {
		file string
		want []string
	}{
		{"pyruse/pyruse.json", []string{"x very first", "z first", "y second", "b", `a "quoted" \ one`, "0 last"}},
		{"pyruse.d/f.json", []string{"o", "n"}},
	} {
		var have []string
		for _, match := range labels.FindAllStringSubmatch(got.file(t, x.file), -1) {
			label, err := strconv.Unquote(match[1])
			if err != nil {
				t.Fatal(err)
			}
			have = append(have, label)
		}
		if diff := cmp.Diff(x.want, have); diff != "" {
			t.Errorf("%s:\n%s\n%s", x.file, diff, got.file(t, x.file))
		}
	}
	if out, err := got.check(t); err != nil {
		t.Errorf("pyruse check: %v\n%s", err, out)
	}
}

// What is unset is not in the files, and a null that the user writes is.
func TestNulls(t *testing.T) {
	got := evaluate(t, `{ services.pyruse = {
	  enable = true;
	  settings = { email = { from = null; smtp = null; }; report = null; "8bit-message-encoding" = null; "x-note" = { a = null; }; };
	  chains = [ { label = "a"; steps = [ { action = "action_noop"; args = { a = null; }; } ]; } ];
	  fragments.f.settings = { neverBan = null; };
	}; }`)
	want := `{
  "8bit-message-encoding": null,
  "debug": false,
  "email": {"sendmail":["/run/wrappers/bin/sendmail","-t"],"smtp":null,"subject":"Pyruse Report","to":[]},
  "report": null,
  "storage": "/var/lib/pyruse",
  "x-note": {"a":null},
  "actions": {
    "a": [
      {"action":"action_noop","args":{"a":null}}
    ]
  }
}
`
	if diff := cmp.Diff(want, got.file(t, "pyruse/pyruse.json")); diff != "" {
		t.Error(diff)
	}
	if have := got.file(t, "pyruse.d/f.json"); have != "{\n  \"neverBan\": null\n}\n" {
		t.Errorf("fragment: %s", have)
	}
}

func TestSettingsOfSeveralModules(t *testing.T) {
	got := evaluate(t, `{ lib, ... }: {
	  imports = [
	    { services.pyruse.settings = { email.to = [ "ops@example.org" ]; report.at = lib.mkDefault "06:00"; limits.bans = 10; }; }
	    { services.pyruse.settings = { email = { subject = lib.mkForce "Two"; to = lib.mkBefore [ "root@example.org" ]; }; limits.dnat = 20; }; }
	  ];
	  services.pyruse = { enable = true; settings = { email.subject = "One"; report.at = "07:00"; }; };
	}`)
	got.mustPass(t)
	want := `{
  "debug": false,
  "email": {"sendmail":["/run/wrappers/bin/sendmail","-t"],"subject":"Two","to":["root@example.org","ops@example.org"]},
  "limits": {"bans":10,"dnat":20},
  "report": {"at":"07:00"},
  "storage": "/var/lib/pyruse"
}
`
	if diff := cmp.Diff(want, got.file(t, "pyruse/pyruse.json")); diff != "" {
		t.Error(diff)
	}
}

func TestConfigFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pyruse.json")
	content := "// of Pyruse 2\n{ \"actions\": { \"z\": [ { \"action\": \"action_noop\" } ],\r\n\t\"a\": [ { \"action\": \"action_noop\" } ] } }"
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, settings := range []string{"", "settings = { };", "settings = lib.mkIf false { debug = true; };", "settings.email = lib.mkIf false { to = [ ]; };"} {
		got := evaluate(t, `{ lib, ... }: { services.pyruse = { enable = true; configFile = `+file+`; `+settings+` }; }`)
		if len(got.Refusals) != 0 || got.file(t, "pyruse/pyruse.json") != content {
			t.Errorf("%s: refused %q, file %q", settings, got.Refusals, got.file(t, "pyruse/pyruse.json"))
		}
		if out, err := got.check(t); err != nil {
			t.Errorf("pyruse check: %v\n%s", err, out)
		}
	}
}

func TestFragments(t *testing.T) {
	site := filepath.Join(t.TempDir(), "site.json")
	if err := os.WriteFile(site, []byte(`{ "actions": { "site": [ { "action": "action_noop" } ] } } // as it is`), 0o600); err != nil {
		t.Fatal(err)
	}
	got := evaluate(t, `{ services.pyruse = { enable = true; fragments = {
	  "50-site".source = `+site+`;
	  "60-lists" = { settings.lists.mine = [ "a" ]; chains = [ { label = "mine"; steps = [ { action = "action_noop"; } ]; } ]; };
	  "65 it's" = { };
	  "70-off" = { enable = false; settings.debug = true; };
	  "50-ssh".enable = false;
	  "90-report".enable = true;
	}; }; }`)
	var names []string
	for name := range got.Etc {
		names = append(names, name)
	}
	sort.Strings(names)
	if want := []string{"pyruse.d/50-site.json", "pyruse.d/50-ssh.json", "pyruse.d/60-lists.json", "pyruse.d/65 it's.json", "pyruse/pyruse.json"}; !slices.Equal(names, want) {
		t.Errorf("files: %q, want %q", names, want)
	}
	for name, want := range map[string]string{
		"50-site":  `{ "actions": { "site": [ { "action": "action_noop" } ] } } // as it is`,
		"50-ssh":   "",
		"60-lists": "{\n  \"lists\": {\"mine\":[\"a\"]},\n  \"actions\": {\n    \"mine\": [\n      {\"action\":\"action_noop\"}\n    ]\n  }\n}\n",
		"65 it's":  "{}\n",
	} {
		if have := got.file(t, "pyruse.d/"+name+".json"); have != want {
			t.Errorf("%s: %q, want %q", name, have, want)
		}
	}
	// 50-site, 60-lists, 65 and 90-report: without 50-ssh, which is masked
	if out, err := got.check(t); err != nil || !strings.Contains(out, "pyruse.json and 4 fragments: 5 chains") {
		t.Errorf("pyruse check: %v\n%s", err, out)
	}
	if triggers := got.ReloadTriggers["pyruse"]; len(triggers) != len(got.Etc) {
		t.Errorf("%d files, and these triggers: %q", len(got.Etc), triggers)
	}
}

func TestFragmentInThePlaceOfOneOfTheVendor(t *testing.T) {
	got := evaluate(t, `{ services.pyruse = { enable = true; fragments."50-ssh".chains = [ { label = "ssh"; steps = [ { action = "action_noop"; } ]; } ]; }; }`)
	if out, err := got.check(t); err != nil || !strings.Contains(out, "pyruse.json and 2 fragments: 4 chains") {
		t.Errorf("pyruse check: %v\n%s", err, out)
	}
}

func TestRefusals(t *testing.T) {
	noop := `steps = [ { action = "action_noop"; } ];`
	for _, x := range []struct{ configuration, names string }{
		{`settings.actions = { a = [ ]; };`, "services.pyruse.settings.actions|services.pyruse.chains"},
		{`fragments.f.settings.actions = { };`, `services.pyruse.fragments."f".settings.actions|services.pyruse.chains`},
		{`chains = [ { label = "a b"; ` + noop + ` } { label = "c"; ` + noop + ` } { label = "a b"; ` + noop + ` } ];`, `services.pyruse.chains|"a b"`},
		{`fragments.f.chains = [ { label = "a"; ` + noop + ` } { label = "a"; ` + noop + ` } ];`, `services.pyruse.fragments."f".chains|"a"`},
		{`configFile = ./module.nix; chains = [ { label = "a"; ` + noop + ` } ];`, "services.pyruse.configFile|services.pyruse.chains"},
		{`configFile = ./module.nix; settings.debug = true;`, "services.pyruse.configFile|services.pyruse.settings"},
		{`configFile = ./module.nix; settings.email.to = [ "root" ];`, "services.pyruse.configFile|services.pyruse.settings"},
		{`configFile = ./module.nix; settings.storage = lib.mkForce "/srv/pyruse";`, "services.pyruse.configFile|services.pyruse.settings"},
		{`configFile = ./module.nix; settings = lib.mkMerge [ { } { x = null; } ];`, "services.pyruse.configFile|services.pyruse.settings"},
		{`fragments.f = { source = ./module.nix; settings.debug = true; };`, `services.pyruse.fragments."f"|source`},
		{`fragments.f = { source = ./module.nix; chains = [ { label = "a"; ` + noop + ` } ]; };`, `services.pyruse.fragments."f"|source`},
		{`fragments."a/b" = { };`, `services.pyruse.fragments."a/b"`},
		{`fragments.".hidden" = { };`, `services.pyruse.fragments.".hidden"`},
		{`fragments."50-site.json" = { };`, `services.pyruse.fragments."50-site.json"|without .json`},
		{`chains = [ { label = "a"; steps = [ { action = "action_noop"; } { args.a = 1; } ]; } ];`, `services.pyruse.chains|a[1]|filter|action`},
		{`chains = [ { label = "a"; steps = [ { action = "action_noop"; filter = "filter_equals"; } ]; } ];`, `a[0]|filter|action`},
		{`fragments.f.chains = [ { label = "a"; steps = [ { } ]; } ];`, `services.pyruse.fragments."f".chains|a[0]`},
		{`settings.storage = "pyruse";`, "services.pyruse.settings.storage|absolute"},
		{`settings.storage = "/srv/my pyruse";`, "services.pyruse.settings.storage|blanks"},
		{`settings.storage = "/srv/pyruse/../../home/a";`, "services.pyruse.settings.storage|absolute"},
		{`credentials."a:b" = "/run/secrets/x";`, `services.pyruse.credentials."a:b"`},

		{`settings.email.smtp.passwordFile = ./module.nix;`, "services.pyruse.settings.email.smtp.passwordFile|services.pyruse.credentials|passwordCredential"},
		{`settings.email.smtp.passwordFile = "${./module.nix}";`, "services.pyruse.settings.email.smtp.passwordFile|services.pyruse.credentials"},
		{`settings.email.smtp.passwordFile = pkgs.writeText "password" "secret";`, "services.pyruse.settings.email.smtp.passwordFile|services.pyruse.credentials"},
		{`settings.email.smtp.keyFile = ./module.nix;`, "services.pyruse.settings.email.smtp.keyFile|services.pyruse.credentials"},
		{`settings.email.smtp.password = "secret";`, "services.pyruse.settings.email.smtp.password |services.pyruse.credentials"},
		{`fragments.f.settings.email.smtp.passwordFile = ./module.nix;`, `services.pyruse.fragments."f".settings.email.smtp.passwordFile|services.pyruse.credentials`},
		{`fragments.f.settings.email.smtp.keyFile = ./module.nix;`, `services.pyruse.fragments."f".settings.email.smtp.keyFile|services.pyruse.credentials`},

		{`fragments.f.settings.storage = "/srv/pyruse";`, `services.pyruse.fragments."f".settings.storage|services.pyruse.settings.storage`},
		{`fragments.f.settings.storage = null;`, `services.pyruse.fragments."f".settings.storage|services.pyruse.settings.storage`},
	} {
		got := evaluate(t, `{ lib, pkgs, ... }: { services.pyruse = { enable = true; `+x.configuration+` }; }`)
		if len(got.Refusals) != 1 {
			t.Errorf("%s: refused: %q", x.configuration, got.Refusals)
			continue
		}
		for _, name := range strings.Split(x.names, "|") {
			if !strings.Contains(got.Refusals[0], name) {
				t.Errorf("%s: %q does not name %s", x.configuration, got.Refusals[0], name)
			}
		}
	}
}

// What is refused above for its place is taken where the place is right, and what is not there is not looked into.
func TestFilesInTheirPlaces(t *testing.T) {
	for _, configuration := range []string{
		`settings.email.smtp = { passwordFile = "/run/secrets/p"; keyFile = "/run/credentials/pyruse.service/key"; certFile = ./module.nix; password = null; };`,
		`settings.email.smtp = null; fragments = { f.settings.email = null; g.settings.email.smtp = [ ]; h.settings.email = "x"; };`,
		`configFile = "/etc/nixos/p.json";`,
		`fragments.f.source = "/run/secrets/f.json";`,
		`configFile = "${./.}/module.nix";`,
		`configFile = pkgs.writeText "p.json" "{ }";`,
	} {
		if got := evaluate(t, `{ pkgs, ... }: { services.pyruse = { enable = true; `+configuration+` }; }`); len(got.Refusals) != 0 {
			t.Errorf("%s: refused: %q", configuration, got.Refusals)
		}
	}
}

// containsOne reports whether one of the texts, which stand between bars, is in the message: libs word some messages differently.
func containsOne(message, texts string) bool {
	return slices.ContainsFunc(strings.Split(texts, "|"), func(text string) bool { return strings.Contains(message, text) })
}

// What is no option, or of another type, ends the evaluation, and the message names it.
func TestErrorsOfEvaluation(t *testing.T) {
	for _, x := range []struct{ configuration, names string }{
		{`chains = [ { label = "a"; steps = [ { fliter = "filter_equals"; } ]; } ];`, "fliter' does not exist"},
		{`chains = [ { label = "a"; order = 5; steps = [ ]; } ];`, "order' does not exist"},
		{`chains = { a = [ ]; };`, "services.pyruse.chains'"},
		{`chains = [ { steps = [ ]; } ];`, "label' was accessed but has no value defined"},
		{`chains = [ { label = "a"; steps = [ { action = 1; } ]; } ];`, "action'"},
		{`chains = [ { label = "a"; steps = [ { action = "action_noop"; "then" = [ ]; } ]; } ];`, "' is not of type `null"},
		{`chain = [ ];`, "services.pyruse.chain' does not exist"},
		{`fragments.f.setings = { };`, "services.pyruse.fragments.f.setings' does not exist"},
		{`fragments.f.source = 1;`, "services.pyruse.fragments.f.source'"},
		{`boot.modules = [ "nftBan" ];`, "services.pyruse.boot.modules"},
		{`boot.modules = [ "action_a b" ];`, "services.pyruse.boot.modules"},
		{`settings.email.to = "root";`, "services.pyruse.settings.email.to'"},
		{`settings.x = y: y;`, "services.pyruse.settings.x'"},
		{`settings.debug = "yes";`, "services.pyruse.settings.debug'"},
		{`credentials.a = ./module.nix;`, "services.pyruse.credentials.a'"},
		{`credentials.a = builtins.storeDir + "/0c6dpm1jvvlvq5h2zq4q8mdz9rfw9d6c-secret";`, "services.pyruse.credentials.a'"},
		{`configFile = 1;`, "services.pyruse.configFile'"},
	} {
		for name, lib := range libs(t) {
			_, err := evaluateFile(lib, "tests/eval.nix", "--arg", "configuration", `{ services.pyruse = { enable = true; `+x.configuration+` }; }`)
			if err == nil || !containsOne(err.Error(), x.names) {
				t.Errorf("%s: %s: the error does not name %q: %v", name, x.configuration, x.names, err)
			}
		}
	}
}

// The check stops what Nix cannot see.
func TestCheckAtBuildTime(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "broken.json")
	if err := os.WriteFile(broken, []byte("{ \"actions\": { \n"), 0o600); err != nil {
		t.Fatal(err)
	}
	dangling := `[ { label = "a"; steps = [ { action = "action_noop"; "then" = "nowhere"; } ]; } ]`
	for _, x := range []struct{ configuration, tells string }{
		{`chains = ` + dangling + `;`, "nowhere"},
		{`fragments.f.chains = ` + dangling + `;`, "nowhere"},
		{`fragments."f g".source = ` + broken + `;`, "f g.json"},
		{`configFile = ` + broken + `;`, "pyruse.json"},
		{`configFile = "/etc/nixos/none.json";`, "/etc/nixos/none.json cannot be read when the system is built"},
		{`fragments.f.source = "/run/secrets/none.json";`, "/run/secrets/none.json cannot be read when the system is built"},
		{`chains = [ { label = "a"; steps = [ { action = "action_nop"; } ]; } ];`, "action_nop"},
		{`settings.report.at = "noon";`, "noon"},
		{`settings.email = { from = "a@example.org"; smtp = { host = "mail.example.org"; username = "a"; password = "secret"; }; };`, "password"},
	} {
		got := evaluate(t, `{ services.pyruse = { enable = true; `+x.configuration+` }; }`)
		if out, err := got.check(t); err == nil || !strings.Contains(out, x.tells) {
			t.Errorf("%s: pyruse check: %v\n%s", x.configuration, err, out)
		}
	}
	// a chain of the main file that a fragment has: only together they are sound
	together := evaluate(t, `{ services.pyruse = { enable = true; chains = [ { label = "a"; steps = [ { action = "action_noop"; "then" = "b"; } ]; } ];
	  fragments.f.chains = [ { label = "b"; steps = [ { action = "action_noop"; } ]; } ]; }; }`)
	if out, err := together.check(t); err != nil {
		t.Errorf("pyruse check: %v\n%s", err, out)
	}
}

// The units are made for one storage, and Nix does not see the one that a file of the user's may have.
func TestStorageOfAFile(t *testing.T) {
	said := filepath.Join(t.TempDir(), "said.json")
	content := `{ "storage": "/srv/pyruse" }`
	if err := os.WriteFile(said, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		configuration string
		sound         bool
	}{
		{`configFile = ` + said + `;`, false},
		{`fragments.f.source = ` + said + `;`, false},
		{`fragments.f.source = ` + said + `; settings.storage = "/srv/pyruse";`, true},
		{`fragments.f.source = ` + said + `; settings.storage = "/srv/pyruse2";`, false},
		{`configFile = builtins.toFile "p.json" "{ }";`, true},
		{`configFile = builtins.toFile "p.json" "{ \"storage\": \"/var/lib/pyruse\" }";`, true},
	} {
		got := evaluate(t, `{ services.pyruse = { enable = true; `+x.configuration+` }; }`)
		out, err := got.check(t)
		if (err == nil) != x.sound || !x.sound && !strings.Contains(out, "services.pyruse.settings.storage") {
			t.Errorf("%s: %v\n%s", x.configuration, err, out)
		}
	}
}

func TestNoCheck(t *testing.T) {
	if got := evaluate(t, `{ services.pyruse = { enable = true; checkConfig = false; }; }`); len(got.Checks) != 0 {
		t.Errorf("checks: %q", got.Checks)
	}
	if got := evaluate(t, `{ services.pyruse.enable = true; }`, "--arg", "canExecute", "false"); len(got.Checks) != 0 {
		t.Errorf("cross compiling, checks: %q", got.Checks)
	}
}

func TestPackageOfAllUnitsAndTheCheck(t *testing.T) {
	got := evaluate(t, `{ pkgs, ... }: { services.pyruse = { enable = true; package = pkgs.other; }; }`)
	for unit, text := range got.Units {
		if strings.Contains(text, "Exec") && !strings.Contains(text, "\nExecStart=/nix/store/other/bin/pyruse ") {
			t.Errorf("%s:\n%s", unit, text)
		}
	}
	if check := got.Checks[0]; !strings.Contains(check, "/nix/store/other/bin/pyruse check") || strings.Contains(check, pyruse(t)) ||
		!strings.Contains(check, "/nix/store/other/lib/pyruse.d") || !slices.Equal(got.Packages, []string{"other"}) {
		t.Errorf("packages: %q, check: %s", got.Packages, check)
	}
}

func TestStorage(t *testing.T) {
	got := evaluate(t, `{ services.pyruse = { enable = true; settings.storage = "/srv/pyruse"; }; }`)
	got.mustPass(t)
	for _, unit := range []string{"pyruse.service", "pyruse-boot@.service"} {
		if got.value(unit, "ReadWritePaths") != "/srv/pyruse" || got.value(unit, "RequiresMountsFor") != "/srv/pyruse" || got.value(unit, "StateDirectory") != "" {
			t.Errorf("%s:\n%s", unit, got.Units[unit])
		}
	}
	if !slices.Equal(got.Tmpfiles, []string{"d /srv/pyruse 0700 pyruse pyruse -"}) || got.Users["pyruse"].Home != "/srv/pyruse" {
		t.Errorf("tmpfiles: %q, users: %v", got.Tmpfiles, got.Users)
	}
}

func TestStorageThatCannotBe(t *testing.T) {
	for _, x := range []struct{ storage, why string }{
		{"/home/pyruse", "cannot write"}, {"/root/pyruse", "cannot write"}, {"/run/user/1000/pyruse", "cannot write"}, {"/run/pyruse", "nothing stays"},
		{"/tmp/pyruse", "nothing stays"}, {"/var/tmp/pyruse", "nothing stays"}, {"/dev/shm/pyruse", "cannot write"}, {"/proc/pyruse", "cannot write"},
		{"/sys/pyruse", "cannot write"}, {"/nix/var/pyruse", "cannot write"}, {"/etc/pyruse/state", "cannot write"}, {"/etc", "cannot write"},
		{"//home/./pyruse/", "cannot write"},
		{"/", "nobody else"}, {"/srv", "nobody else"}, {"/var/lib", "nobody else"}, {"/var/lib/", "nobody else"}, {"//srv/.", "nobody else"}, {"/mnt", "nobody else"},
	} {
		got := evaluate(t, `{ services.pyruse = { enable = true; settings.storage = "`+x.storage+`"; }; }`).Refusals
		if len(got) != 1 || !strings.Contains(got[0], `services.pyruse.settings.storage = "`+x.storage+`"`) || !strings.Contains(got[0], x.why) {
			t.Errorf("%s: refused: %q", x.storage, got)
		}
	}
	for _, storage := range []string{"/data", "/pyruse", "/homes/pyruse", "/var/lib/pyruse", "/var/lib/pyruse/", "/var/lib/pyruse2", "/mnt/state/pyruse", "/persist/var/lib/pyruse", "/srv/..a"} {
		if got := evaluate(t, `{ services.pyruse = { enable = true; settings.storage = "`+storage+`"; }; }`).Refusals; len(got) != 0 {
			t.Errorf("%s: refused: %q", storage, got)
		}
	}
}

func TestCredentials(t *testing.T) {
	got := evaluate(t, `{ services.pyruse = { enable = true; credentials = { smtp-password = "/run/secrets/smtp"; key = "/run/secrets/key"; }; }; }`)
	got.mustPass(t)
	if have, want := got.value("pyruse.service", "LoadCredential"), "key:/run/secrets/key smtp-password:/run/secrets/smtp"; have != want {
		t.Errorf("LoadCredential=%s, want %s", have, want)
	}
	if have := got.value("pyruse-boot@.service", "LoadCredential"); have != "" {
		t.Errorf("boot units need no secrets: %s", have)
	}
}

// A new configuration changes the triggers of a reload, and nothing else of any unit: then NixOS reloads, and does not restart.
func TestNewConfigurationReloads(t *testing.T) {
	units := func(configuration string) map[string]string {
		return evaluate(t, `{ services.pyruse = { enable = true; `+configuration+` }; }`).Units
	}
	trigger := regexp.MustCompile(`(?m)^X-Reload-Triggers=.*\n`)
	before := units("")
	for _, configuration := range []string{
		`settings.report.at = "07:00";`,
		`settings.email = { from = "a@example.org"; smtp.host = "mail.example.org"; };`,
		`chains = [ { label = "a"; steps = [ { action = "action_noop"; } ]; } ];`,
		`fragments.f.settings.neverBan = [ "192.0.2.0/24" ];`,
		`fragments."50-ssh".enable = false;`,
		`fragments.f.source = ./module.nix;`,
		`configFile = ./module.nix;`,
	} {
		after := units(configuration)
		if before["pyruse.service"] == after["pyruse.service"] {
			t.Errorf("%s: nothing reloads the daemon", configuration)
		}
		for unit := range before {
			if diff := cmp.Diff(trigger.ReplaceAllString(before[unit], ""), trigger.ReplaceAllString(after[unit], "")); diff != "" || len(before) != len(after) {
				t.Errorf("%s: %s is another:\n%s", configuration, unit, diff)
			}
		}
	}
}

func TestHardeningCanBeOverridden(t *testing.T) {
	got := evaluate(t, `{ lib, ... }: {
	  services.pyruse.enable = true;
	  systemd.services.pyruse = {
	    after = [ "my.service" ];
	    unitConfig.StartLimitIntervalSec = lib.mkForce 10;
	    environment.TZ = "UTC";
	    serviceConfig = {
	      NoNewPrivileges = lib.mkForce false;
	      SystemCallFilter = lib.mkForce [ "@system-service" ];
	      ExecStart = lib.mkForce "/other run";
	      IPAddressDeny = "any";
	      WatchdogSec = lib.mkForce 30;
	    };
	  };
	  systemd.services."pyruse-boot@".serviceConfig.PrivateTmp = lib.mkForce false;
	}`)
	for key, want := range map[string]string{
		"NoNewPrivileges": "false", "SystemCallFilter": "@system-service", "ExecStart": "/other run", "IPAddressDeny": "any",
		"WatchdogSec": "30", "StartLimitIntervalSec": "10", "Environment": `"MALLOC_ARENA_MAX=2" "TZ=UTC"`, "ProtectSystem": "strict",
	} {
		if have := got.value("pyruse.service", key); have != want {
			t.Errorf("%s=%s, want %s", key, have, want)
		}
	}
	if after := got.value("pyruse.service", "After"); !strings.Contains(after, "my.service") || !strings.Contains(after, "nftables.service") {
		t.Errorf("After=%s", after)
	}
	if got.value("pyruse-boot@.service", "PrivateTmp") != "false" {
		t.Errorf("the boot unit:\n%s", got.Units["pyruse-boot@.service"])
	}
}

// Options that NixOS does not have are errors here, too; without that, the other tests would prove little.
func TestStubIsStrict(t *testing.T) {
	for _, x := range []struct{ configuration, names string }{
		{`{ networking.pyruse = 1; }`, "networking.pyruse' does not exist|networking' does not exist"},
		{`{ systemd.services.pyruse.serviceconfig = { }; }`, "serviceconfig' does not exist"},
		{`{ systemd.services.pyruse.after = "a.service"; }`, "systemd.services.pyruse.after'"},
		{`{ systemd.services.pyruse.description = "another"; services.pyruse.enable = true; }`, "systemd.services.pyruse.description' has conflicting definition values"},
		{`{ environment.etc."x".txt = "a"; }`, "txt' does not exist"},
	} {
		for name, lib := range libs(t) {
			_, err := evaluateFile(lib, "tests/eval.nix", "--arg", "configuration", x.configuration)
			if err == nil || !containsOne(err.Error(), x.names) {
				t.Errorf("%s: %s: the error does not name %q: %v", name, x.configuration, x.names, err)
			}
		}
	}
}

// systemd-analyze reads the units as NixOS writes them.
func TestUnitsAreVerified(t *testing.T) {
	var rendered map[string]any
	evaluateAll(t, &rendered, "tests/render.nix", "--argstr", "pyruse", pyruse(t), "--arg", "configuration", `{ services.pyruse = {
	  enable = true; settings.storage = "/srv/pyruse"; credentials.a = "/run/secrets/a"; fragments."50-ssh".enable = false;
	  boot.modules = [ "action_nftBan" "action_ipsetBan" ]; }; }`)
	dir := t.TempDir()
	for name, text := range rendered {
		text, isUnit := text.(string)
		if !isUnit {
			continue
		}
		// systemd 252, of Debian 12, does not know this type yet
		text = strings.Replace(text, "Type=notify-reload", "Type=notify", 1)
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	files, ok := rendered["files"].(map[string]any)
	if mask, there := files["pyruse.d/50-ssh.json"]; !ok || !there || mask != "" || files["pyruse/pyruse.json"] == nil {
		t.Errorf("files: %v", rendered["files"])
	}
	for _, unit := range []string{"pyruse.service", "pyruse-boot@action_nftBan.service", "pyruse-boot@action_ipsetBan.service"} {
		verify := exec.Command("systemd-analyze", "verify", "--man=no", "--recursive-errors=no", unit)
		verify.Env = append(os.Environ(), "SYSTEMD_UNIT_PATH="+dir+":")
		if out, err := verify.CombinedOutput(); err != nil || len(out) != 0 {
			t.Errorf("%s: systemd-analyze verify: %v\n%s", unit, err, out)
		}
	}
}

// Where there is a mail server, the report comes without another line; who names a receiver is not disturbed.
func TestReportGoesToRootWhereThereIsAMailServer(t *testing.T) {
	// as the modules of NixOS set it
	server := func(setuid, setgid string) string {
		return `services.mail.sendmailSetuidWrapper = { program = "sendmail"; source = "/x"; owner = "root"; group = "root"; setuid = ` + setuid + `; setgid = ` + setgid + `; };`
	}
	for _, c := range []struct{ configuration, want string }{
		{`{ services.pyruse.enable = true; }`, `"to":[]`},
		{`{ services.pyruse.enable = true; ` + server("false", "true") + ` }`, `"to":["root"]`}, // postfix, opensmtpd
		{`{ services.pyruse.enable = true; ` + server("true", "false") + ` }`, `"to":["root"]`}, // either is enough
		{`{ services.pyruse.enable = true; ` + server("false", "false") + ` }`, `"to":[]`},      // msmtp, which has no mailboxes
		{`{ services.pyruse.enable = true; services.mail.sendmailSetuidWrapper = { }; }`, `"to":[]`},
		{`{ services.pyruse = { enable = true; settings.email.to = [ "a@example.org" ]; }; ` + server("false", "true") + ` }`, `"to":["a@example.org"]`},
	} {
		if got := evaluate(t, c.configuration).file(t, "pyruse/pyruse.json"); !strings.Contains(got, c.want) {
			t.Errorf("%s: %s is not in\n%s", c.configuration, c.want, got)
		}
	}
}
