package report

import (
	"regexp"
	"strings"
	"testing"
)

// partsText is the inverse of ParseTemplate.
func partsText(parts []Part) string {
	var b []byte
	for _, p := range parts {
		if p.Wildcard {
			b = append(append(append(b, '<'), p.Text...), '>')
		} else {
			b = appendEscaped(b, p.Text)
		}
	}
	return string(b)
}

func TestParseTemplateRefuses(t *testing.T) {
	for _, text := range []string{"<", "<ip", "<ipp>", "<>", `\`, `\n`, `a\`, "<<ip>>"} {
		if parts, err := ParseTemplate(text); err == nil {
			t.Errorf("%q: %v", text, parts)
		}
	}
}

func TestRegexp(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"a.b (c) <num>\t<*>", `^a\.b \(c\) [-+]?[0-9][0-9.]*\t\S+$`},
		{`\<ip> \\ <ip>`, `^<ip> \\ [0-9A-Fa-f:.]+$`},
		{"x <...>", `^x [\s\S]*$`},
		{"\x00\x7f\n", `^\x00\x7f\n$`},
		{"<...>", `^\S{500}[\s\S]*$`},
		{"no <template", `^no <template$`},
	} {
		if got := (Template{Text: c.text}).Regexp(); got != c.want {
			t.Errorf("%q: %s, want %s", c.text, got, c.want)
		}
	}
}

// The expressions are put into configurations, where a backtracking engine may run them.
func TestRegexpsAreFlat(t *testing.T) {
	nested := regexp.MustCompile(`[+*}]\)[+*{]`)
	for name, expr := range wildcards {
		if nested.MatchString(expr) {
			t.Errorf("<%s>: %s", name, expr)
		}
		if _, err := regexp.Compile("^" + expr + "$"); err != nil {
			t.Errorf("<%s>: %v", name, err)
		}
	}
}

func TestRegexpIsTight(t *testing.T) {
	for _, c := range []struct{ text, line string }{
		{"session opened for user <*>", "session closed for user bob"},
		{"session opened for user <*>", "session opened for user bob smith"},
		{"session opened for user <*>", "x session opened for user bob"},
		{"port <num> closed", "port x closed"},
		{"port <num> closed", "port 1 closed\n"},
		{"from <ip> port", "from host port"},
		{"<uuid>", "3f2a6c1e-0d4b-4c55-9d7e-2b1a0c9e8f7"},
		{"<time> x", "yesterday x"},
		{"<date> x", "Monday x"},
		{"<email>", "bob"},
		{"<mac>", "52:54:00:12:34"},
		{"<...>", strings.Repeat("x", 499)},
	} {
		if re := regexp.MustCompile(Template{Text: c.text}.Regexp()); re.MatchString(c.line) {
			t.Errorf("%s matches %q", re, c.line)
		}
	}
}

func FuzzParseTemplate(f *testing.F) {
	for _, text := range []string{"", "Failed password for <*> from <ip> port <num> ssh2", `\<ip> \\ <...>`, "<", `\`, "<id><id>", "\xff"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		parts, err := ParseTemplate(text)
		if err != nil {
			parts = []Part{{Text: text}}
			text = string(appendEscaped(nil, text))
		}
		if got := partsText(parts); got != text {
			t.Errorf("%q came back as %q", text, got)
		}
		if _, err := regexp.Compile(Template{Text: text}.Regexp()); err != nil {
			t.Errorf("%q: %v", text, err)
		}
		// A remembered template of any text does no harm.
		mine([]Template{{"s", text}}, []mineLine{{"s", text, mineStart, 1}, {"s", "a b", mineStart, 2}})
	})
}
