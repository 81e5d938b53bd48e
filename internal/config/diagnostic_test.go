package config

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// at returns the place of the first occurrence of text.
func at(t *testing.T, f *File, text string) Pos {
	t.Helper()
	start := strings.Index(string(f.Data), text)
	if start < 0 {
		t.Fatalf("%q does not occur", text)
	}
	return Pos{f, start, start + len(text)}
}

func TestLinesAndColumns(t *testing.T) {
	f := NewFile("f", []byte("ab\nä€c\r\n\n\U0001F600x"))
	for _, x := range []struct {
		start, line, column int
	}{
		{0, 1, 1}, {1, 1, 2}, {2, 1, 3}, // the line break belongs to its line
		{3, 2, 1}, {5, 2, 2}, {8, 2, 3},
		{11, 3, 1}, {12, 4, 1}, {16, 4, 2}, {17, 4, 3}, // behind the last byte
	} {
		p := Pos{f, x.start, x.start}
		if p.Line() != x.line || p.Column() != x.column {
			t.Errorf("byte %d is at %d:%d, want %d:%d", x.start, p.Line(), p.Column(), x.line, x.column)
		}
	}
	if p := (Pos{}); p.Line() != 0 || p.Column() != 0 || p.String() != "pyruse" {
		t.Errorf("nowhere is %d:%d, %s", p.Line(), p.Column(), p)
	}
}

// Carets stand below the place, under every character of it, whatever its width in bytes.
func TestCarets(t *testing.T) {
	for _, x := range []struct{ name, source, place, want string }{
		{"a word", `{"a": "word"}`, `"word"`, `
    1 | {"a": "word"}
      |       ^^^^^^
`},
		{"characters of several bytes before it and in it", "{\"ä€\": \"wörd\"}", `"wörd"`, `
    1 | {"ä€": "wörd"}
      |        ^^^^^^
`},
		{"a tab is one cell", "{\n\t\t\"a\": 1}", "1", `
    2 |   "a": 1}
      |        ^
`},
		{"the first line only", "{\n \"a\": [1,\n2]\n}\r\n", "[1,\n2]", `
    2 |  "a": [1,
      |       ^^^
`},
		{"what could steer a terminal is made visible", "{\"a\": \"\u202e\x1b[2J\"}", "\"\u202e\x1b[2J\"", "\n" +
			"    1 | {\"a\": \"\uFFFD\uFFFD[2J\"}\n" +
			"      |       ^^^^^^^\n"},
		{"an excerpt of a long line", strings.Repeat("x", 100) + "!" + strings.Repeat("y", 100), "!", `
    1 | …` + strings.Repeat("x", 60) + "!" + strings.Repeat("y", 59) + `…
      | ` + strings.Repeat(" ", 61) + `^
`},
		{"a line that is just not too long", strings.Repeat("€", 60) + "!" + strings.Repeat("€", 59), "!", `
    1 | ` + strings.Repeat("€", 60) + "!" + strings.Repeat("€", 59) + `
      | ` + strings.Repeat(" ", 60) + `^
`},
		{"a word that is longer than an excerpt", strings.Repeat("€", 61) + strings.Repeat("\U0001F682", 61), strings.Repeat("\U0001F682", 61), `
    1 | …` + strings.Repeat("€", 60) + strings.Repeat("\U0001F682", 60) + `…
      | ` + strings.Repeat(" ", 61) + strings.Repeat("^", 60) + `
`},
	} {
		t.Run(x.name, func(t *testing.T) {
			f := NewFile("f", []byte(x.source))
			var d Diagnostics
			d.Errorf(at(t, f, x.place), "", "fault")
			var b strings.Builder
			if err := d.WriteText(&b, false); err != nil {
				t.Fatal(err)
			}
			_, excerpt, _ := strings.Cut(b.String(), "\n")
			if diff := cmp.Diff(x.want, "\n"+excerpt); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestWriteText(t *testing.T) {
	f := NewFile("f.json", []byte("one\ntwo\n"))
	var d Diagnostics
	d.Warnf(at(t, f, "two"), "drop it", "%q is odd", "two")
	d.Errorf(at(t, f, "one"), "", "line\nbreak \x1b[31m")
	d.Errorf(Pos{File: &File{Name: "gone.json", lines: []int{0}}}, "", "cannot be read")
	want := `f.json:1:1: error: line\u000abreak \u001b[31m
    1 | one
      | ^^^
f.json:2:1: warning: "two" is odd
    2 | two
      | ^^^
  hint: drop it
gone.json: error: cannot be read
`
	var b strings.Builder
	if err := d.WriteText(&b, false); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("text (-want +got):\n%s", diff)
	}
	b.Reset()
	if err := d.WriteText(&b, true); err != nil {
		t.Fatal(err)
	}
	plain := strings.NewReplacer("\x1b[1;31m", "", "\x1b[1;33m", "", "\x1b[0m", "").Replace(b.String())
	if plain != want || !strings.Contains(b.String(), "\x1b[1;33mwarning\x1b[0m") {
		t.Errorf("in colour: %q", b.String())
	}
	if errors, warnings := d.Count(); errors != 2 || warnings != 1 || !d.HasErrors() {
		t.Errorf("%d errors, %d warnings", errors, warnings)
	}
}

func TestWriteJSON(t *testing.T) {
	f := NewFile("f.json", []byte("{\n \"<ä>\": 1}"))
	var d Diagnostics
	d.Errorf(at(t, f, "1}"), "a \"hint\"", "<ä> & \x1b")
	d.Warnf(Pos{}, "", "nowhere")
	var b strings.Builder
	if err := d.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	want := `{"severity":"warning","code":"suspicious","message":"nowhere"}
{"severity":"error","code":"invalid","file":"f.json","line":2,"column":9,"message":"<ä> & \u001b","hint":"a \"hint\""}
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDidYouMean(t *testing.T) {
	words := []string{"filter_equals", "filter_in", "filter_pcre", "filter_pcreAny", "email", "storage", "to", "a"}
	for word, want := range map[string]string{
		"filter_equal": "filter_equals", "Filter_PCRE": "filter_pcre", "filter_pcreany": "filter_pcreAny", "emial": "email",
		"storge": "storage", "tu": "to", "A": "a", "x": "", "": "", "completely different": "", "filter": "filter_in",
	} {
		hint := ""
		if want != "" {
			hint = `did you mean "` + want + `"?`
		}
		if got := DidYouMean(word, words); got != hint {
			t.Errorf("DidYouMean(%q) = %q, want %q", word, got, hint)
		}
	}
}

func TestDistance(t *testing.T) {
	for _, x := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"abc", "abc", 0}, {"kitten", "sitting", 3}, {"flaw", "lawn", 2}, {"ab", "ba", 2}} {
		if got := distance(x.a, x.b); got != x.want {
			t.Errorf("distance(%q, %q) = %d, want %d", x.a, x.b, got, x.want)
		}
	}
}

// TestFaultsToldAreBounded holds that a hopeless file is told of in bounded time and space, and that its errors are not forgotten.
func TestFaultsToldAreBounded(t *testing.T) {
	var b strings.Builder
	b.WriteString(`{"x": 1, "actions": {`)
	for i := range 3 * maxTold {
		fmt.Fprintf(&b, `"c%d": [{"filter": "filter_equals", "args": {"field": 1, "value": []}}],`, i)
	}
	b.WriteString(`}}`)
	var diags Diagnostics
	Read(NewFile("f", []byte(b.String())), &diags)
	told := diags.Sorted()
	if len(told) != maxTold+1 || told[maxTold].String() != fmt.Sprintf("f: error: %d more faults are not shown (mend these first)", 5*maxTold+1) {
		t.Errorf("%d are told, the last: %s", len(told), told[len(told)-1])
	}
	if errors, warnings := diags.Count(); errors != 6*maxTold || warnings != 1 {
		t.Errorf("%d errors, %d warnings", errors, warnings)
	}
}
