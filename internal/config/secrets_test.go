package config

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// aSecret occurs in no message, nor in a part.
const aSecret = "Tr0ub4dor"

// printed returns all that can be printed of a configuration and its faults.
func printed(t *testing.T, c *Config, diags *Diagnostics) string {
	t.Helper()
	var b strings.Builder
	for _, write := range []func() error{
		func() error { return diags.WriteText(&b, false) },
		func() error { return diags.WriteJSON(&b) },
		func() error { return diags.WriteSARIF(&b, "") },
	} {
		if err := write(); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range diags.Sorted() {
		b.WriteString(d.String())
	}
	if c == nil {
		return b.String()
	}
	for _, write := range []func() error{
		func() error { return c.WriteWhole(&b) },
		func() error { return c.WriteOrigins(&b) },
		func() error { return c.WriteOriginsJSON(&b) },
	} {
		if err := write(); err != nil {
			t.Fatal(err)
		}
	}
	b.Write(c.Whole().AppendJSON(nil))
	return b.String()
}

// TestSecretsAreNotPrinted has a fault on the line of a password, of any kind, or in the password itself.
func TestSecretsAreNotPrinted(t *testing.T) {
	smtp := func(s string) string {
		return `{"email": {"from": "a@example.org", "smtp": {` + s + `}}, "actions": {}}`
	}
	for name, source := range map[string]string{
		"alone":                           smtp(`"host": "h", "username": "u", "password": "Tr0ub4dor"`),
		"a fault beside it":               smtp(`"host": 5, "password": "Tr0ub4dor"`),
		"without a host":                  smtp(`"password": "Tr0ub4dor"`),
		"an unknown key beside it":        smtp(`"hots": "h", "password": "Tr0ub4dor"`),
		"misspelt":                        smtp(`"host": "h", "pasword": "Tr0ub4dor"`),
		"in capital letters":              smtp(`"host": "h", "PASSWORD": "Tr0ub4dor"`),
		"an unknown key":                  smtp(`"host": "h", "secret": {"is": ["Tr0ub4dor"]}`),
		"switched off":                    smtp(`"host": "h", "port": "x", "_password": "Tr0ub4dor"`),
		"in a comment":                    smtp(`"port": "x", /* "password": "Tr0ub4dor" */`),
		"in a comment of a line":          smtp("\"port\": \"x\", // \"password\": \"Tr0ub4dor\"\n"),
		"with escapes":                    smtp(`"port": "x", "pass\u0077ord": "Tr0ub4dor"`),
		"behind a comment":                smtp(`"port": "x", "password": /* mine */ "Tr0ub4dor"`),
		"on the next line":                smtp("\"password\":\n\"Tr0ub4dor\", \"port\": \"x\""),
		"a list":                          smtp(`"password": ["Tr0ub4dor"]`),
		"a list of several lines":         smtp("\"password\": [\n\"Tr0ub4dor\", 1e999]"),
		"an object":                       smtp(`"password": {"Tr0ub4dor": "Tr0ub4dor"}`),
		"a list in an unknown key":        smtp(`"pass": ["Tr0ub4dor"]`),
		"twice":                           smtp(`"password": "a", "password": "Tr0ub4dor"`),
		"twice, and a list":               smtp(`"password": "a", "password": ["Tr0ub4dor"]`),
		"in the wrong table":              `{"email": {"host": "h", "password": "Tr0ub4dor"}}`,
		"at the top":                      `{"password": "Tr0ub4dor", "debug": 5}`,
		"in the table of a custom module": `{"module": {"password": "Tr0ub4dor"}, "debug": 5}`,
		"the table as a text":             `{"email": {"smtp": "{\"password\": \"Tr0ub4dor\""}}`,
		"the table of mail as a text":     `{"email": "{\"smtp\": {\"password\": \"Tr0ub4dor\""}`,
		"no JSON, beside it":              smtp(`"password": "Tr0ub4dor", "port": x`),
		"no JSON, before it":              smtp(`"port": x, "password": "Tr0ub4dor"`),
		"no JSON, without quotes":         smtp(`"password": Tr0ub4dor`),
		"no JSON, in single quotes":       smtp(`"password": 'Tr0ub4dor'`),
		"no JSON, no quotes at all":       smtp(`password: Tr0ub4dor`),
		"no JSON, without a colon":        smtp(`"password" "Tr0ub4dor"`),
		"no JSON, with an equals sign":    smtp(`"password" = "Tr0ub4dor"`),
		"no JSON, a quote too few":        smtp(`"password: "Tr0ub4dor"`),
		"no JSON, a quote in it":          smtp(`"password": "x"Tr0ub4dor"`),
		"no JSON, a bad escape in it":     smtp(`"password": "\qTr0ub4dor"`),
		"no JSON, with escapes":           smtp(`"pass\u0077ord": "Tr0ub4dor" x`),
		"no JSON, misspelt":               smtp(`"passwrd": "Tr0ub4dor" x`),
		"no JSON, on the next line":       smtp("\"password\":\n  Tr0ub4dor"),
		"no JSON, never closed":           `{"email": {"smtp": {"password": "Tr0ub4dor`,
		"not UTF-8":                       smtp("\"password\": \"Tr0ub4dor\xff\""),
		"too deep":                        smtp(`"password": "Tr0ub4dor", "x": ` + strings.Repeat("[", maxDepth)),
	} {
		t.Run(name, func(t *testing.T) {
			var diags Diagnostics
			c := Read(NewFile("pyruse.json", []byte(source)), &diags)
			if len(diags.Sorted()) == 0 {
				t.Fatal("nothing is told")
			}
			if text := printed(t, c, &diags); strings.Contains(text, aSecret) {
				t.Errorf("the secret is printed:\n%s", text)
			}
		})
	}
}

// TestSecretsInVariablesAndOptionsAreNotPrinted, also where these cannot be read.
func TestSecretsInVariablesAndOptionsAreNotPrinted(t *testing.T) {
	main := write(t, t.TempDir(), "main", `{"actions": {}}`)
	for _, setting := range []struct{ variable, option string }{
		{"PYRUSE_EMAIL_SMTP_PASSWORD=Tr0ub4dor", "email.smtp.password=Tr0ub4dor"},
		{"PYRUSE_EMAIL_SMTP_PASWORD=Tr0ub4dor", "email.smtp.pasword=Tr0ub4dor"},
		{`PYRUSE_EMAIL_SMTP={"password": "Tr0ub4dor"}`, `email.smtp={"password": "Tr0ub4dor"}`},
		{`PYRUSE_EMAIL_SMTP={"password": "Tr0ub4dor"`, `email.smtp={"password": "Tr0ub4dor"`},
		{`PYRUSE_EMAIL={"smtp": {"password": ["Tr0ub4dor"]}}`, `email={"smtp": {"password": ["Tr0ub4dor"]}}`},
		{`PYRUSE_EMAIL={"smtp": "password=Tr0ub4dor"}`, `email={"smtp": "password=Tr0ub4dor"}`},
	} {
		for _, l := range []Layers{{Config: main, Environ: []string{setting.variable}}, {Config: main, Set: []string{setting.option}}} {
			s, err := Gather(l)
			if err != nil {
				t.Fatal(err)
			}
			c, diags := s.Settle(noChecks)
			if len(diags.Sorted()) == 0 {
				t.Errorf("%v: nothing is told", setting)
			}
			if text := printed(t, c, diags); strings.Contains(text, aSecret) {
				t.Errorf("the secret is printed:\n%s", text)
			}
		}
	}
}

// TestExcerptsWithoutSecrets: carets stand below their place, also where a secret of another length stands before it.
func TestExcerptsWithoutSecrets(t *testing.T) {
	const long = "01234567890123456789012345678901234567890123456789012345678901234567890123456789"
	for _, x := range []struct{ name, source, place, want string }{
		{"behind a secret", `{"password": "Tr0ub4dor", "a": true}`, "true", `
    1 | {"password": "***", "a": true}
      |                          ^^^^
`},
		{"before a secret", `{"a": true, "password": "x"}`, "true", `
    1 | {"a": true, "password": "***"}
      |       ^^^^
`},
		{"the secret itself", `{"password": "Tr0ub4dor"}`, `"Tr0ub4dor"`, `
    1 | {"password": "***"}
      |              ^^^^^
`},
		{"in the secret", `{"password": "Tr0ub4dor"}`, `ub4`, `
    1 | {"password": "***"}
      |              ^
`},
		{"more than the secret", `{"password": "Tr0ub4dor"}`, `{"password": "Tr0ub4dor"}`, `
    1 | {"password": "***"}
      | ^^^^^^^^^^^^^^^^^^^
`},
		{"two secrets", `{"password": "a", "Password": "b", "c": 1}`, "1", `
    1 | {"password": "***", "Password": "***", "c": 1}
      |                                             ^
`},
		{"nothing to hide", `{"password": "", "a": null, "pass": 1}`, "null", `
    1 | {"password": "", "a": null, "pass": "***"}
      |                       ^^^^
`},
		{"not a password", `{"passwordFile": "/x", "compass": "n", "x": "password"}`, `"/x"`, `
    1 | {"passwordFile": "/x", "compass": "n", "x": "password"}
      |                  ^^^^
`},
		{"a long secret in a long line", `{"password": "` + strings.Repeat(long, 200) + `", "a": 1, "b": "` + long + `"}`, "1,", `
    1 | {"password": "***", "a": 1, "b": "` + long[:51] + `…
      |                          ^^
`},
	} {
		t.Run(x.name, func(t *testing.T) {
			f := NewFile("f", []byte(x.source))
			Parse(f, &Diagnostics{})
			var d Diagnostics
			d.Errorf(at(t, f, x.place), "", "fault")
			var b strings.Builder
			if err := d.WriteText(&b, false); err != nil {
				t.Fatal(err)
			}
			_, got, _ := strings.Cut(b.String(), "\n")
			if diff := cmp.Diff(x.want, "\n"+got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestPrintedPassword: it stands where it comes from, but as ***, which is refused where it is read again.
func TestPrintedPassword(t *testing.T) {
	c, diags := settledOf(t, Layers{Config: write(t, t.TempDir(), "main",
		`{"email": {"from": "a@example.org", "smtp": {"host": "h", "username": "u", "password": "Tr0ub4dor"}}, "actions": {}}`)})
	if diags.HasErrors() || c.Settings.Email.SMTP.Password != aSecret {
		t.Fatalf("password %q, %q", c.Settings.Email.SMTP.Password, texts(diags))
	}
	var origins strings.Builder
	if err := c.WriteOrigins(&origins); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(origins.String(), "main:1\temail.smtp.password = \"***\"\n") {
		t.Errorf("there is no place of the password:\n%s", &origins)
	}
	whole := string(c.Whole().AppendJSON(nil))
	if !strings.Contains(whole, `"password":"***"`) {
		t.Errorf("there is no password: %s", whole)
	}
	var again Diagnostics
	if Read(NewFile("again", []byte(whole)), &again); !again.HasErrors() {
		t.Error("*** is taken for a password")
	}
}

// settledOf gathers and settles a configuration.
func settledOf(t *testing.T, l Layers) (*Config, *Diagnostics) {
	t.Helper()
	s, err := Gather(l)
	if err != nil {
		t.Fatal(err)
	}
	return s.Settle(noChecks)
}

// TestPasswordsThatEverybodyCanRead are errors, others are warned of.
func TestPasswordsThatEverybodyCanRead(t *testing.T) {
	const source = `{"email": {"from": "a@example.org", "smtp": {"host": "h", "username": "u", "password": "Tr0ub4dor"}}, "actions": {}}`
	main := func(mode os.FileMode, text string) string {
		path := write(t, t.TempDir(), "main", text)
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const rest = `{"email": {"from": "a@example.org", "smtp": {"host": "h", "username": "u"}}, "actions": {}}`
	for name, x := range map[string]struct {
		layers Layers
		want   string // of the message, with its severity
	}{
		"a file for its owner":     {Layers{Config: main(0o600, source)}, "warning: the password stands in the configuration itself"},
		"a file for its group":     {Layers{Config: main(0o640, source)}, "warning: the password stands in the configuration itself"},
		"a file for all":           {Layers{Config: main(0o644, source)}, "error: the password stands in a file that every user of the machine can read"},
		"a file that all may read": {Layers{Config: main(0o604, source)}, "error: the password stands in a file that every user of the machine can read"},
		"a variable": {Layers{Config: main(0o644, rest), Environ: []string{"PYRUSE_EMAIL_SMTP_PASSWORD=x"}},
			"warning: the password stands in the configuration itself"},
		"an option": {Layers{Config: main(0o644, rest), Set: []string{"email.smtp.password=x"}},
			"error: the password is given on the command line, where every user of the machine can read it"},
		"a file for all that is overridden": {Layers{Config: main(0o644, source), Dirs: []string{folder(t, map[string]string{
			"a.json": `{"email": {"smtp": {"password": null, "passwordFile": "/p"}}}`,
		})}}, "error: the password stands in a file that every user of the machine can read"},
	} {
		t.Run(name, func(t *testing.T) {
			c, diags := settledOf(t, x.layers)
			list := texts(diags)
			if len(list) != 1 || !strings.Contains(list[0], x.want) || !strings.Contains(list[0], "passwordCredential") {
				t.Errorf("%q, want %q", list, x.want)
			}
			if want := !strings.HasPrefix(x.want, "error"); c.Sound != want {
				t.Errorf("sound: %v, want %v", c.Sound, want)
			}
		})
	}
}

// FuzzSecrets: whatever stands around it, a password is not printed.
func FuzzSecrets(f *testing.F) {
	f.Add(`{"email": {"smtp": {`, `}}}`)
	f.Add(`{"email": {"smtp": {"port": "x", `, "\n")
	f.Add(`// `, "\n{\"debug\": 5}")
	f.Add(`/* `, ` */ {"a": {"b": x`)
	f.Add(`{"actions": {"a": [{"filter": 5, `, `}]}}`)
	f.Fuzz(func(t *testing.T, before, behind string) {
		if len(before)+len(behind) > 1<<12 {
			return
		}
		var diags Diagnostics
		c := Read(NewFile("f", []byte(before+`"password": "`+aSecret+`"`+behind)), &diags)
		if text := printed(t, c, &diags); strings.Contains(text, aSecret) && !strings.Contains(before+behind, aSecret) {
			t.Errorf("the secret is printed:\n%s", text)
		}
	})
}
