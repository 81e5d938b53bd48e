package report

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/pyruse/pyruse/internal/config"
)

func advisable(service, text string, n int) Group {
	return Group{Template: Template{service, text}, Count: n, Example: text, Origin: Origin{Unit: "sshd.service"}}
}

func TestAdvice(t *testing.T) {
	const text = `Connection from {<ip>} port <num>, a "b" \\ c`
	got := advise([]Group{advisable("sshd", text, 12)})
	want := []Advice{{
		Service: "sshd", Template: text, Count: 12, File: "/etc/pyruse.d/40-known-sshd-3c775a.json",
		Fragment: `{
  "actions": {
    "known: sshd 3c775a": {
      "order": 400,
      "steps": [
        { "filter": "filter_equals", "args": { "field": "_SYSTEMD_UNIT", "value": "sshd.service" } },
        { "filter": "filter_equals", "args": { "field": "SYSLOG_IDENTIFIER", "value": "sshd" } },
        { "filter": "filter_pcre", "args": { "field": "MESSAGE", "re": "^Connection from \\{[0-9A-Fa-f:.]+\\} port [-+]?[0-9][0-9.]*, a \"b\" \\\\ c$" } },
        { "action": "action_noop" }
      ]
    }
  }
}
`,
		Instead: `{ "action": "action_dailyReport", "args": { "level": "INFO", "message": "sshd: Connection from {{<ip>}} port <num>, a \"b\" \\\\ c", "details": "FIRSTLAST" } }`,
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// There is advice for kinds that are frequent, of which the MESSAGE is known, that say something, and of which nothing else comes.
func TestAdviceIsGivenFor(t *testing.T) {
	acted := advisable("sshd", "something failed", 100)
	acted.Origin.Acted = true
	for _, c := range []struct {
		name  string
		group Group
		want  bool
	}{
		{"a frequent kind", advisable("sshd", "something failed", 10), true},
		{"a rare one", advisable("sshd", "something failed", 9), false},
		{"one that something came of", acted, false},
		{"one of which the MESSAGE is not known", advisable("", "something failed", 100), false},
		{"ten letters", advisable("sshd", "<*> abcde <num> fghij <...>", 100), true},
		{"nine letters", advisable("sshd", "<*> abcde <num> fghi <...>", 100), false},
		{"wildcards only", advisable("sshd", "<*> <hex> <email> <agent> <uuid>", 100), false},
		{"signs only", advisable("sshd", "==================== 1234567890 <*>", 100), false},
		{"other letters", advisable("sshd", "несколько слов", 100), true},
		{"no template", advisable("sshd", "a < that nothing begins with", 100), false},
	} {
		if got := len(advise([]Group{c.group})) == 1; got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
	var many []Group
	for _, text := range strings.Fields("aaaaaaaaaa bbbbbbbbbb cccccccccc dddddddddd eeeeeeeeee ffffffffff gggggggggg") {
		many = append(many, advisable("sshd", text, 100))
	}
	if n := len(advise(many)); n != maxAdvice {
		t.Errorf("%d pieces of advice", n)
	}
}

func TestLasts(t *testing.T) {
	for unit, want := range map[string]bool{
		"": false, "sshd.service": true, "session-4.scope": false, "sshd@7-192.0.2.1:22-198.51.100.3:40022.service": false,
		"getty@tty1.service": false, "postgresql@main.service": true, "user@1000.service": false, "init.scope": false, "netdata2.service": true,
	} {
		if got := lasts(unit); got != want {
			t.Errorf("%q: %v", unit, got)
		}
	}
}

// checkAdvice checks that a fragment can be put where it says: it is read without a fault, can be seen as it is, and means the lines.
func checkAdvice(t *testing.T, g *Group, a Advice) {
	t.Helper()
	if !regexp.MustCompile(`^/etc/pyruse\.d/40-known-[a-z0-9]([a-z0-9-]*[a-z0-9])?-[0-9a-f]{6}\.json$`).MatchString(a.File) || len(a.File) > 100 {
		t.Errorf("the file is called %q", a.File)
	}
	for _, text := range []string{a.Fragment, a.Instead} {
		for _, r := range text {
			if r != '\n' && !unicode.IsPrint(r) {
				t.Fatalf("%q cannot be seen in %q", r, text)
			}
		}
	}
	diags := &config.Diagnostics{}
	c := config.Read(config.NewFile("advice.json", []byte(a.Fragment)), diags)
	if c == nil || len(diags.Sorted()) > 0 {
		t.Fatalf("the fragment is not read: %v\n%s", diags.Sorted(), a.Fragment)
	}
	var instead struct {
		Args struct{ Message string }
	}
	if err := json.Unmarshal([]byte(a.Instead), &instead); err != nil {
		t.Errorf("%v in %s", err, a.Instead)
	}
	if n := strings.Count(strings.NewReplacer("{{", "", "}}", "").Replace(instead.Args.Message), "{"); n > 0 {
		t.Errorf("the message has fields: %q", instead.Args.Message)
	}
	var fragment struct {
		Actions map[string]struct {
			Steps []struct {
				Args struct{ Field, Value, Re string }
			}
		}
	}
	if err := json.Unmarshal([]byte(a.Fragment), &fragment); err != nil {
		t.Fatal(err)
	}
	for _, chain := range fragment.Actions {
		for _, s := range chain.Steps {
			switch s.Args.Field {
			case "MESSAGE":
				if re, err := regexp.Compile(s.Args.Re); err != nil || utf8.ValidString(g.Example) && !re.MatchString(g.Example) {
					t.Errorf("%q does not mean %q: %v", s.Args.Re, g.Example, err)
				}
			case "SYSLOG_IDENTIFIER":
				if want := strings.ToValidUTF8(g.Template.Service, "\ufffd"); utf8.ValidString(g.Template.Service) && s.Args.Value != want {
					t.Errorf("the service is %q, want %q", s.Args.Value, want)
				}
			}
		}
	}
}

// Whoever may log can choose the name of a service and what it says.
func FuzzAdvice(f *testing.F) {
	for _, s := range append(nasty, hostile, "../../etc/passwd", "a/b", "-", "ÄÖÜ", "X") {
		f.Add(s, "something happened: "+s)
		f.Add("sshd", s+" enough letters")
	}
	f.Fuzz(func(t *testing.T, service, message string) {
		if len(service) > 1000 || len(message) > 1000 {
			return
		}
		m := NewMiner(nil)
		for n := range 2 * adviceLines {
			m.Add(service, message, today, int64(n), Origin{Unit: service})
		}
		groups := m.Groups()
		for _, a := range advise(groups) {
			checkAdvice(t, &groups[0], a)
		}
	})
}
