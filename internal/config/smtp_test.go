package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestSMTP checks what goes together in email.smtp, and what does not. Each fault is told once.
func TestSMTP(t *testing.T) {
	const nobody = ": nobody can log in with that"
	for _, x := range []struct {
		smtp string
		want []string // the beginnings of the messages
	}{
		{`{}`, nil},
		{`{"tls": "starttls", "port": 0, "auth": ""}`, nil},
		{`{"host": "h"}`, nil},
		{`{"host": "h", "tls": "none"}`, nil},
		{`{"host": "h", "caFile": "/ca", "serverName": "n", "port": 25}`, nil},
		{`{"host": "h", "username": "u", "passwordFile": "/p"}`, nil},
		{`{"host": "h", "certFile": "/c", "keyFile": "/k"}`, nil},
		{`{"host": "h", "auth": "LOGIN", "username": "u", "passwordCommand": ["/c", ""]}`, nil},
		{`{"host": "h", "auth": "OAUTHBEARER", "passwordCredential": "..token"}`, nil},
		{`{"host": "h", "auth": "EXTERNAL", "certFile": "/c", "keyFile": "/k", "username": "u"}`, nil},
		{`{"host": "h", "auth": "ANONYMOUS", "username": "u"}`, nil},

		{`{"port": 25}`, []string{`"port" without "host" has no effect`}},
		{`{"host": "", "tls": "none", "username": "u"}`, []string{`"tls" without "host" has no effect`}},
		{`{"host": 5, "port": 25}`, []string{`"host" is a number`}},
		{`{"host": [], "port": 25}`, []string{`"host" is a list`}},
		{`{"host": "h", "port": 65536}`, []string{`"port" is 65536; it must be at most 65535`}},
		{`{"host": "h", "tls": "STARTTLS"}`, []string{`"tls" must be one of starttls, implicit, none`}},
		{`{"host": "h", "auth": "plain"}`, []string{`"auth" must be one of PLAIN, LOGIN, OAUTHBEARER, EXTERNAL, ANONYMOUS`}},
		{`{"host": "h", "hots": "i"}`, []string{`unknown key "hots" in "smtp"`}},
		{`{"host": "h", "x-why": 1, "comment": 2}`, nil},

		{`{"host": "h", "tls": "none", "auth": "PLAIN", "username": "u", "passwordFile": "/p"}`, []string{`"tls" is "none", and "auth" is given: credentials are never sent`}},
		{`{"host": "h", "tls": "none", "certFile": "/c", "keyFile": "/k"}`, []string{`"tls" is "none", and "certFile" is given`}},
		{`{"host": "h", "tls": "none", "username": "u", "passwordFile": "/p"}`, []string{`"tls" is "none", and "username" is given`}},

		{`{"host": "h", "username": "u", "passwordFile": "/p", "passwordCommand": ["/c"]}`,
			[]string{`"password", "passwordFile", "passwordCredential" and "passwordCommand" exclude each other`}},
		{`{"host": "h", "username": "u"}`, []string{`"username" without a password` + nobody}},
		{`{"host": "h", "passwordFile": "/p"}`, []string{`a password without "username"` + nobody}},
		{`{"host": "h", "certFile": "/c"}`, []string{`"certFile" and "keyFile" are only given together`}},
		{`{"host": "h", "auth": "PLAIN"}`, []string{`"auth" is "PLAIN": "username" is missing`, `"auth" is "PLAIN": a password is missing`}},
		{`{"host": "h", "auth": "LOGIN", "passwordFile": "/p"}`, []string{`"auth" is "LOGIN": "username" is missing`}},
		{`{"host": "h", "auth": "OAUTHBEARER", "username": "u"}`, []string{`"auth" is "OAUTHBEARER": the token is missing`}},
		{`{"host": "h", "auth": "EXTERNAL"}`, []string{`"auth" is "EXTERNAL": "certFile" and "keyFile" are missing`}},
		{`{"host": "h", "auth": "ANONYMOUS", "passwordFile": "/p"}`, []string{`"auth" is "ANONYMOUS", which knows no password`}},

		{`{"host": "h", "username": "u", "passwordCredential": "a/b"}`, []string{`"passwordCredential" is the name of a credential, not a path`}},
		{`{"host": "h", "username": "u", "passwordCredential": ".."}`, []string{`"passwordCredential" is the name of a credential, not a path`}},
		{`{"host": "h", "username": "u", "passwordFile": "p"}`, []string{`"passwordFile" must be an absolute path`}},
		{`{"host": "h", "certFile": "c", "keyFile": "./k", "caFile": "../a"}`,
			[]string{`"certFile" must be an absolute path`, `"keyFile" must be an absolute path`, `"caFile" must be an absolute path`}},
		{`{"host": "h", "passwordCommand": []}`, []string{`"passwordCommand" is empty; it must name a program`}},
		{`{"host": "h", "username": "u", "passwordCommand": [""]}`, []string{`"passwordCommand" is empty; it must name a program`}},
		{`{"host": "h", "username": "u", "passwordCommand": ["/c", 1]}`, []string{`"passwordCommand": element 1 is a number`}},
	} {
		var diags Diagnostics
		Read(NewFile("f", []byte(`{"email": {"from": "a@example.org", "smtp": `+x.smtp+`}, "actions": {}}`)), &diags)
		var got []string
		for i, d := range diags.Sorted() {
			text := d.Message
			if i < len(x.want) && strings.HasPrefix(text, x.want[i]) {
				text = x.want[i]
			}
			got = append(got, text)
		}
		if diff := cmp.Diff(x.want, got); diff != "" {
			t.Errorf("%s, -want +got:\n%s", x.smtp, diff)
		}
	}
}

// TestSMTPNeedsASender: nobody else fills it in.
func TestSMTPNeedsASender(t *testing.T) {
	var diags Diagnostics
	Read(NewFile("f", []byte(`{"email": {"smtp": {"host": "h"}}, "actions": {}}`)), &diags)
	want := `f:1:20: error: mail that goes to a mail server needs a sender: "from" is missing in "email" (write "from": "pyruse@example.org" in "email")`
	if diff := cmp.Diff([]string{want}, texts(&diags)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestReportSettings checks their forms.
func TestReportSettings(t *testing.T) {
	for report, want := range map[string]string{
		`{"at": "Mon 7:00", "templates": "/t", "sendEmpty": true, "keepDays": 0}`: "",
		`{"at": null, "templates": ""}`:                                           "",
		`{"at": ""}`:                                                              `"at" is empty; it must say when the report is sent`,
		`{"templates": "t"}`:                                                      `"templates" must be an absolute path`,
		`{"memoryDays": 0}`:                                                       `"memoryDays" is 0; it must be at least 1`,
		`{"keepDays": 3661}`:                                                      `"keepDays" is 3661; it must be at most 3660`,
		`{"atr": "x"}`:                                                            `unknown key "atr" in "report"`,
	} {
		var diags Diagnostics
		Read(NewFile("f", []byte(`{"report": `+report+`, "actions": {}}`)), &diags)
		var got []string
		for _, d := range diags.Sorted() {
			got = append(got, d.Message)
		}
		if strings.Join(got, "+") != want {
			t.Errorf("%s: %q, want %q", report, got, want)
		}
	}
}

// TestSMTPOfSeveralFiles: the file that brings a fault about is left out, and the others are used; also where it takes something back.
func TestSMTPOfSeveralFiles(t *testing.T) {
	const main = `{"email": {"from": "a@example.org", "smtp": {"host": "h", "auth": "PLAIN", "username": "u", "passwordFile": "/p"}}, "actions": {}}`
	for name, x := range map[string]struct{ fragment, want string }{
		"it adds a second password":     {`{"email": {"smtp": {"passwordCredential": "c"}}}`, `:1:43: error: "password", `},
		"it replaces the password":      {`{"email": {"smtp": {"passwordCredential": "c", "passwordFile": null}}}`, ""},
		"it takes the password back":    {`{"email": {"smtp": {"passwordFile": null}}}`, `:1:37: error: "auth" is "PLAIN": a password is missing`},
		"it takes the host back":        {`{"email": {"smtp": {"host": null}}}`, `:1:29: error: "auth" without "host" has no effect`},
		"it takes the sender back":      {`{"email": {"from": null}}`, `:1:20: error: mail that goes to a mail server needs a sender`},
		"it takes all back":             {`{"email": {"smtp": null}}`, ""},
		"it takes all back, but a port": {`{"email": {"smtp": {"host": null, "auth": null, "username": null, "passwordFile": null, "port": 1}}}`, `:1:97: error: "port" without "host"`},
		"it turns the encryption off":   {`{"email": {"smtp": {"tls": "none"}}}`, `:1:28: error: "tls" is "none", and "auth" is given`},
		"it has a fault of its own":     {`{"email": {"smtp": {"tsl": "none"}}}`, `:1:21: error: unknown key "tsl" in "smtp"`},
	} {
		t.Run(name, func(t *testing.T) {
			c, diags := settledOf(t, Layers{Config: write(t, t.TempDir(), "main", main), Dirs: []string{folder(t, map[string]string{"f.json": x.fragment})}})
			list := texts(diags)
			switch {
			case x.want == "" && len(list) == 0 && c.Sound && len(c.LeftOut()) == 0:
			case x.want == "" || len(list) != 1 || !strings.Contains(list[0], "f.json"+x.want):
				t.Errorf("%q, want %q", list, x.want)
			case !c.Sound || len(c.LeftOut()) != 1 || c.Settings.Email.SMTP.PasswordFile != "/p":
				t.Errorf("sound: %v, %d left out, %+v", c.Sound, len(c.LeftOut()), c.Settings.Email.SMTP)
			}
		})
	}
}

// TestSMTPOfVariablesAndOptions: they come over the files, key by key.
func TestSMTPOfVariablesAndOptions(t *testing.T) {
	c, diags := settledOf(t, Layers{
		Config:  write(t, t.TempDir(), "main", `{"email": {"from": "a@example.org", "smtp": {"host": "h", "port": 1, "username": "u", "passwordFile": "/p"}}, "actions": {}}`),
		Environ: []string{"PYRUSE_EMAIL_SMTP_HOST=i", `PYRUSE_EMAIL_SMTP={"port": 2, "username": null}`, "PYRUSE_EMAIL_SMTP_SERVERNAME=n", "PYRUSE_REPORT_AT=7:00"},
		Set:     []string{"email.smtp.port=3", "email.smtp.tls=implicit", "report.keepDays=0"},
	})
	if list := texts(diags); len(list) > 0 {
		t.Errorf("%q", list)
	}
	want := Defaults()
	want.Email.From = "a@example.org"
	want.Email.SMTP = SMTP{Host: "i", Port: 3, TLS: TLSImplicit, ServerName: "n", Username: "u", PasswordFile: "/p"}
	want.Report.At, want.Report.KeepDays = "7:00", 0
	if diff := cmp.Diff(want, c.Settings); diff != "" {
		t.Errorf("settings, -want +got:\n%s", diff)
	}
	if at := c.At("email.smtp.username").String(); !strings.Contains(at, "main:1:") { // a variable cannot take back
		t.Errorf("the user name is at %s", at)
	}
	var overrides []string
	for _, v := range c.Values() {
		if v.Key == "email.smtp.port" {
			for _, p := range v.Overrides {
				overrides = append(overrides, p.FileLine()[strings.LastIndexByte(p.FileLine(), '/')+1:])
			}
		}
	}
	if diff := cmp.Diff([]string{"main:1", "$PYRUSE_EMAIL_SMTP:1"}, overrides); diff != "" {
		t.Errorf("the port overrides, -want +got:\n%s", diff)
	}
}
