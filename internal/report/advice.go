package report

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
)

const (
	// A kind of lines is worth a rule when it comes this often in a report, and maxAdvice of them are enough for one breakfast.
	adviceLines = 10
	maxAdvice   = 5
	// minLetters is how many letters of a template must be literal: a rule for what is nearly all wildcards would hide too much.
	minLetters = 10
	// adviceOrder puts the chains before those that say no order, and so before the one that catches all (config.DefaultOrder).
	adviceOrder = 400
)

// advise returns fragments of configuration for the most frequent kinds of lines, which come sorted. Of lines that something else has
// come of, such as a counter that was raised, none is made: a chain before all others would keep them from that.
func advise(groups []Group) []Advice {
	var list []Advice
	for i := range groups {
		g := &groups[i]
		if len(list) == maxAdvice || g.Count < adviceLines {
			break
		}
		if g.Origin.Acted || g.Template.Service == "" || literalLetters(g.Template) < minLetters {
			continue
		}
		list = append(list, adviceFor(g))
	}
	return list
}

// literalLetters counts the letters of a template that are not covered by wildcards.
func literalLetters(t Template) int {
	parts, err := ParseTemplate(t.Text)
	if err != nil {
		return 0
	}
	n := 0
	for _, p := range parts {
		if p.Wildcard {
			continue
		}
		for _, r := range p.Text {
			if unicode.IsLetter(r) {
				n++
			}
		}
	}
	return n
}

// step is one step of a fragment, as it stands in JSON.
type step struct {
	Filter string `json:"filter,omitempty"`
	Action string `json:"action,omitempty"`
	Args   any    `json:"args,omitempty"`
}

func adviceFor(g *Group) Advice {
	service := g.Template.Service
	sum := sha256.Sum256([]byte(service + "\x00" + g.Template.Text))
	id := hex.EncodeToString(sum[:3])
	equals := func(field, value string) step {
		return step{Filter: "filter_equals", Args: struct {
			Field string `json:"field"`
			Value string `json:"value"`
		}{field, value}}
	}
	var steps []step
	if lasts(g.Origin.Unit) { // no other program can claim it
		steps = append(steps, equals("_SYSTEMD_UNIT", g.Origin.Unit))
	}
	steps = append(steps, equals("SYSLOG_IDENTIFIER", service), step{Filter: "filter_pcre", Args: struct {
		Field string `json:"field"`
		Re    string `json:"re"`
	}{"MESSAGE", g.Template.Regexp()}}, step{Action: "action_noop"})

	var b strings.Builder
	fmt.Fprintf(&b, "{\n  \"actions\": {\n    %s: {\n      \"order\": %d,\n      \"steps\": [\n", oneLineJSON("known: "+service+" "+id), adviceOrder)
	for i, s := range steps {
		comma := ","
		if i == len(steps)-1 {
			comma = ""
		}
		fmt.Fprintf(&b, "        %s%s\n", oneLineJSON(s), comma)
	}
	b.WriteString("      ]\n    }\n  }\n}\n")

	instead := step{Action: "action_dailyReport", Args: struct {
		Level   string `json:"level"`
		Message string `json:"message"`
		Details string `json:"details"`
	}{"INFO", strings.NewReplacer("{", "{{", "}", "}}").Replace(service + ": " + g.Template.Text), "FIRSTLAST"}}
	return Advice{
		Service: service, Template: g.Template.Text, Count: g.Count,
		File:     fmt.Sprintf("/etc/pyruse.d/40-known-%s-%s.json", slug(service), id),
		Fragment: b.String(), Instead: oneLineJSON(instead),
	}
}

// lasts reports whether a unit will have the same name tomorrow: not that of a session or of a connection, such as session-4.scope and
// sshd@7-192.0.2.1:22-198.51.100.3:40022.service.
func lasts(unit string) bool {
	_, instance, _ := strings.Cut(unit, "@")
	return unit != "" && !strings.HasSuffix(unit, ".scope") && !strings.ContainsAny(instance, "0123456789")
}

// oneLineJSON writes a value with the spaces that people put into JSON. Whatever the value is, the result has only characters that can be
// seen: the others are escaped, and what is not UTF-8 is U+FFFD.
func oneLineJSON(v any) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return "{}" // strings always encode
	}
	var out strings.Builder
	quoted, escaped := false, false
	text := strings.TrimSpace(b.String())
	for i, r := range text {
		switch {
		case quoted && !unicode.IsPrint(r):
			for _, unit := range utf16.Encode([]rune{r}) {
				fmt.Fprintf(&out, "\\u%04x", unit)
			}
			escaped = false
			continue
		case quoted:
			quoted = escaped || r != '"'
			escaped = !escaped && r == '\\'
		case r == '"':
			quoted = true
		case r == '}' && text[i-1] != '{':
			out.WriteByte(' ')
		}
		out.WriteRune(r)
		if !quoted && (r == ',' || r == ':' || r == '{' && !strings.HasPrefix(text[i:], "{}")) {
			out.WriteByte(' ')
		}
	}
	return out.String()
}

// slug writes the name of a service so that it can be a part of a file name.
func slug(service string) string {
	const most = 30
	s := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return unicode.ToLower(r)
		}
		return '-'
	}, service)
	s = strings.Trim(s[:min(len(s), most)], "-")
	if s == "" {
		return "service"
	}
	return s
}
