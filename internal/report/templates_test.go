package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"
)

// viewOf reads the View of a golden of testdata/render.
func viewOf(t testing.TB, name string) (v *View, comment string, files map[string]string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata/render", name+".txtar"))
	if err != nil {
		t.Fatal(err)
	}
	comment, files = archive(string(data))
	d := json.NewDecoder(strings.NewReader(files["view.json"]))
	d.DisallowUnknownFields()
	v = &View{}
	if err := d.Decode(v); err != nil {
		t.Fatalf("%s: view.json: %v", name, err)
	}
	return v, comment, files
}

var renderGoldens = []string{"full", "quiet", "first", "hostile"}

func TestTemplatesGolden(t *testing.T) {
	for _, name := range renderGoldens {
		t.Run(name, func(t *testing.T) {
			v, comment, want := viewOf(t, name)
			text, html := render(t, Builtin(), v)
			if *update {
				data := fmt.Sprintf("%s-- view.json --\n%s-- report.adoc --\n%s-- report.html --\n%s", comment, want["view.json"], text, html)
				if err := os.WriteFile(filepath.Join("testdata/render", name+".txtar"), []byte(data), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(want["report.adoc"], text); diff != "" {
				t.Errorf("text, -want +got:\n%s", diff)
			}
			if diff := cmp.Diff(want["report.html"], html); diff != "" {
				t.Errorf("HTML, -want +got:\n%s", diff)
			}
		})
	}
}

func render(t testing.TB, templates *Templates, v *View) (text, html string) {
	t.Helper()
	text, err := templates.Text(v)
	if err != nil {
		t.Fatal(err)
	}
	html, err = templates.HTML(v)
	if err != nil {
		t.Fatal(err)
	}
	return text, html
}

// nasty is what a log may contain to be more than text.
var nasty = []string{
	"<script>alert(1)</script>", `"><img src=x onerror=alert(1)>`, `' style='x`, "</pre></details></table>", "<!--", "]]>", "&lt;b&gt;",
	"\x1b[31m\x00\x07", "\u202etxt\u2066\u2028", "\xff\xfe", strings.Repeat("long", 5000), strings.Repeat("a b ", 5000),
	"....", "----", "|===", "++++", "== Other", "= Title", "include::/etc/passwd[]", "ifdef::x[]", ":x: y", "{counter:x}", "[[x]]", ".title",
	"pass:[<b>] link:x[y] image:x[]", `a|b \| 2+|c\`, "* item", "name:: text",
	"a\n....\n|===\n\n== Other\r\n----\r\nb", "x\r\nBcc: all@example.org",
	"{{.Title}}", "\\<b> <ip> <*> <...> <", " ", "\t", "| |", "//// comment", "<1>",
}

// A harmless text and a hostile one give pages of the same elements with the same attributes, and nothing but text differs.
func TestHostileHTML(t *testing.T) {
	want := skeleton(t, page(t, "x"))
	for _, s := range append(nasty, hostile) {
		html := page(t, s)
		if diff := cmp.Diff(want, skeleton(t, html)); diff != "" {
			t.Errorf("%.80q changes the page, -want +got:\n%s", s, diff)
		}
		checkVisible(t, html)
	}
}

// The lines that are the structure of the text are the same with a harmless text and a hostile one; all others are behind a space,
// or a "| " in a table.
func TestHostileText(t *testing.T) {
	want := structure(t, plain(t, "x"))
	for _, s := range append(nasty, hostile) {
		text := plain(t, s)
		if diff := cmp.Diff(want, structure(t, text)); diff != "" {
			t.Errorf("%.80q changes the text, -want +got:\n%s", s, diff)
		}
		checkVisible(t, text)
	}
}

// checkVisible fails if the output has characters that are not to be shown as they are.
func checkVisible(t *testing.T, out string) {
	t.Helper()
	if !utf8.ValidString(out) || strings.ContainsAny(out, "\x00\x07\x1b\r\u202e\u2066\u2028") {
		t.Errorf("the output is not safe to show: %.200q", out)
	}
}

// filled returns a View with s in all texts but those that are only Pyruse's own.
func filled(s string) *View {
	v := sample(s)
	v.Title = "Pyruse Report"
	for i := range v.Other.Groups {
		v.Other.Groups[i].Mark = Rising
		v.Other.Groups[i].Example = s + "!"
	}
	return v
}

func page(t testing.TB, s string) string {
	t.Helper()
	_, html := render(t, Builtin(), filled(s))
	return html
}

func plain(t testing.TB, s string) string {
	t.Helper()
	text, _ := render(t, Builtin(), filled(s))
	return text
}

// skeleton returns the start tags of a page with their attributes, without the emphasis of wildcards. It fails if the page is not
// well-formed: if a tag is not closed, or closed by another.
func skeleton(t testing.TB, page string) []string {
	t.Helper()
	var all, open []string
	void := map[string]bool{"meta": true, "br": true}
	z := html.NewTokenizer(strings.NewReader(page))
	for {
		switch kind := z.Next(); kind {
		case html.ErrorToken:
			if len(open) > 0 || !errors.Is(z.Err(), io.EOF) {
				t.Fatalf("%v, and open are %q", z.Err(), open)
			}
			return all
		case html.StartTagToken:
			token := z.Token()
			if !void[token.Data] {
				open = append(open, token.Data)
			}
			if s := token.String(); token.Data != "i" {
				all = append(all, s)
			} else if s != `<i class="w">` {
				t.Fatalf("the page has %s", s)
			}
		case html.EndTagToken:
			name := z.Token().Data
			if len(open) == 0 || open[len(open)-1] != name {
				t.Fatalf("</%s> while open are %q", name, open)
			}
			open = open[:len(open)-1]
		case html.CommentToken, html.SelfClosingTagToken:
			t.Fatalf("the page has %s", z.Token())
		}
	}
}

// structure returns the lines of AsciiDoc that are not data. It fails if a "|" of data is not escaped.
func structure(t testing.TB, text string) []string {
	t.Helper()
	var all []string
	for l := range strings.Lines(text) {
		switch cell, ok := strings.CutPrefix(l, "| "); {
		case ok:
			if rest := strings.ReplaceAll(cell, `\|`, ""); strings.Contains(rest, "|") {
				t.Fatalf("a | of a cell is not escaped: %q", l)
			}
			all = append(all, "| …\n")
		case !strings.HasPrefix(l, " "):
			all = append(all, l)
		}
	}
	return all
}

func FuzzTemplates(f *testing.F) {
	for _, s := range nasty {
		f.Add(s)
	}
	elements, lines := skeleton(f, page(f, "x")), structure(f, plain(f, "x"))
	f.Fuzz(func(t *testing.T, s string) {
		if s == "" || len(s) > 10_000 { // what is empty is left out
			return
		}
		text, html := plain(t, s), page(t, s)
		if diff := cmp.Diff(elements, skeleton(t, html)); diff != "" {
			t.Errorf("the page changes, -want +got:\n%s", diff)
		}
		if diff := cmp.Diff(lines, structure(t, text)); diff != "" {
			t.Errorf("the text changes, -want +got:\n%s", diff)
		}
		checkVisible(t, text)
		checkVisible(t, html)
	})
}

// The sections of the language are there even if they are empty, and in this order; all others are left out then.
func TestSections(t *testing.T) {
	headings := func(v *View) (text, page []string) {
		adoc, html := render(t, Builtin(), v)
		for _, m := range regexp.MustCompile(`(?m)^==? (.*)$`).FindAllStringSubmatch(adoc, -1) {
			text = append(text, m[1])
		}
		for _, m := range regexp.MustCompile(`<h[12] [^>]*>([^<]*)<`).FindAllStringSubmatch(html, -1) {
			page = append(page, m[1])
		}
		return text, page
	}
	for _, c := range []struct {
		view *View
		want []string
	}{
		{&View{Title: "Pyruse Report"}, []string{"Pyruse Report", "Warnings", "Information", "Other"}},
		{filled("x"), []string{
			"Pyruse Report", "Warnings", "Bans", "Information", "Other", "Sleeping rules", "Advice", "Other, line by line", "To see more", "Left out",
		}},
	} {
		text, page := headings(c.view)
		if diff := cmp.Diff(c.want, text); diff != "" {
			t.Errorf("text, -want +got:\n%s", diff)
		}
		if diff := cmp.Diff(c.want, page); diff != "" {
			t.Errorf("HTML, -want +got:\n%s", diff)
		}
	}
	text, page := render(t, Builtin(), &View{})
	if strings.Count(text, "\nNothing.\n") != 3 || strings.Count(page, ">Nothing.<") != 3 {
		t.Errorf("an empty section does not say so:\n%s\n%s", text, page)
	}
}

// A page is small even if it shows much: mail readers cut long ones, and the report has room for more.
func TestPageIsSmall(t *testing.T) {
	v, _, _ := viewOf(t, "full")
	groups, lines := v.Other.Groups, v.Other.Lines
	for len(v.Other.Groups) < 100 {
		v.Other.Groups = append(v.Other.Groups, groups...)
	}
	for len(v.Other.Lines) < 200 {
		v.Other.Lines = append(v.Other.Lines, lines...)
	}
	text, html := render(t, Builtin(), v)
	t.Logf("%d bytes of text, %d of HTML", len(text), len(html))
	if len(html) > 150_000 {
		t.Errorf("%d kinds and %d lines are %d bytes of HTML", len(v.Other.Groups), len(v.Other.Lines), len(html))
	}
}

// What a template can reach has no method that it could call, and nothing but data.
func TestViewIsData(t *testing.T) {
	var check func(reflect.Type)
	check = func(typ reflect.Type) {
		if n := typ.NumMethod() + reflect.PointerTo(typ).NumMethod(); n > 0 {
			t.Errorf("%v has %d methods", typ, n)
		}
		switch typ.Kind() {
		case reflect.String, reflect.Int, reflect.Bool:
		case reflect.Slice:
			check(typ.Elem())
		case reflect.Struct:
			for i := range typ.NumField() {
				check(typ.Field(i).Type)
			}
		default:
			t.Errorf("%v is no plain data", typ)
		}
	}
	check(reflect.TypeFor[View]())
	check(reflect.TypeFor[piece]())
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, textName), "= {{line .Title}} of {{lower .Host}}\r\n{{range .Attention}}\n {{.}}{{end}}\n")
	templates, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	v := &View{Title: "Pyruse Report", Host: "MAIL", Attention: []string{"a\x1b[31m"}}
	text, html := render(t, templates, v)
	if want := "= Pyruse Report of mail\n\n a\\x1b[31m\n"; text != want {
		t.Errorf("%q, want %q", text, want)
	}
	if _, want := render(t, Builtin(), v); html != want {
		t.Error("the template of the page is not the built-in one")
	}
}

func TestLoadNothing(t *testing.T) {
	for _, dir := range []string{"", t.TempDir()} {
		templates, err := Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		text, html := render(t, templates, &View{})
		if wantText, wantHTML := render(t, Builtin(), &View{}); text != wantText || html != wantHTML {
			t.Errorf("%q: not the built-in templates", dir)
		}
	}
	if _, err := Load(filepath.Join(t.TempDir(), "absent")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder that is not there: %v", err)
	}
}

// A fault is found when the template is loaded, and says where it is. DIR stands for the folder.
func TestLoadFaults(t *testing.T) {
	for _, c := range []struct{ name, file, source, want string }{
		{"syntax", textName, "= x\n{{if .Host}}\n", "DIR/report.adoc.tmpl:3: unexpected EOF"},
		{"function", textName, "= x\n{{exec .Host}}\n", `DIR/report.adoc.tmpl:2: function "exec" not defined`},
		{"field", textName, "= x\n\n{{.Titel}}\n",
			`DIR/report.adoc.tmpl:3:2: executing "DIR/report.adoc.tmpl" at <.Titel>: can't evaluate field Titel in type *report.View`},
		{"field in a branch", htmlName, "<p>\n{{if .Host}}{{else}}{{.Titel}}{{end}}",
			`DIR/report.html.tmpl:2:22: executing "DIR/report.html.tmpl" at <.Titel>: can't evaluate field Titel in type *report.View`},
		{"only if empty", htmlName, "{{index .New 0}}",
			`DIR/report.html.tmpl:1:2: executing "DIR/report.html.tmpl" at <index .New 0>: error calling index: reflect: slice index out of range`},
		{"context", htmlName, "<p>\n<a href={{.Host}}x'></a>", `DIR/report.html.tmpl: "'" in unquoted attr: "x'"`},
		{"recursion", textName, `{{define "a"}}{{template "a"}}{{end}}{{template "a"}}`,
			`DIR/report.adoc.tmpl:1:25: executing "a" at <{{template "a"}}>: exceeded maximum template depth (100000)`},
		{"endless output", textName, `{{range 100000000}}xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx{{end}}`,
			"DIR/report.adoc.tmpl: it writes more than 8 MiB"},
		{"rows", textName, `{{rows 0 .New}}`,
			`DIR/report.adoc.tmpl:1:2: executing "DIR/report.adoc.tmpl" at <rows 0 .New>: error calling rows: rows wants a number and a list`},
		{"empty", htmlName, "\n", "DIR/report.html.tmpl: it is empty; remove it to have the built-in template"},
		{"large", htmlName, strings.Repeat("x", 1<<20+1), "DIR/report.html.tmpl: it is larger than 1 MiB"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			writeFile(t, filepath.Join(dir, c.file), c.source)
			_, err := Load(dir)
			if err == nil {
				t.Fatal("no error")
			}
			if got := strings.ReplaceAll(err.Error(), dir, "DIR"); got != c.want {
				t.Errorf("\n%s, want\n%s", got, c.want)
			}
		})
	}
}

// The faults of both templates are told at once, and what is no file does not make it wait.
func TestLoadTellsAll(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, textName), 0o600); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, htmlName), "{{")
	_, err := Load(dir)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"report.adoc.tmpl: it is not a regular file\n", "report.html.tmpl:1: "} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
}

func writeFile(t *testing.T, path, data string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestWrap(t *testing.T) {
	long := strings.Repeat("x", 100)
	for _, c := range []struct {
		margin  int
		s, want string
	}{
		{3, "", ""},
		{3, "short", "short"},
		{40, strings.Repeat("a", 39) + " b", strings.Repeat("a", 39) + "\n" + strings.Repeat(" ", 40) + "b"},
		{40, strings.Repeat("a", 37) + " b", strings.Repeat("a", 37) + " b"},
		{2, long, long},
		{2, "a " + long + " b", "a\n  " + long + "\n  b"},
		{2, strings.Repeat(" ", 100) + "a b", strings.Repeat(" ", 100) + "a\n  b"},
		{2, strings.Repeat("ü ", 39) + "ü", strings.Repeat("ü ", 38) + "ü\n  ü"},
		{2, "a\nb\x1b", `a\nb\x1b`},
		{-1, "a", "a"},
	} {
		if got := wrap(c.margin, c.s); got != c.want {
			t.Errorf("wrap(%d, %q): %q, want %q", c.margin, c.s, got, c.want)
		}
	}
}

func TestPieces(t *testing.T) {
	for _, c := range []struct {
		template string
		want     []piece
	}{
		{"", nil},
		{"plain", []piece{{"plain", false}}},
		{"from <ip> port <num>", []piece{{"from ", false}, {"<ip>", true}, {" port ", false}, {"<num>", true}}},
		{"<*><...>", []piece{{"<*>", true}, {"<...>", true}}},
		{`a \<ip> \\ <b c> <`, []piece{{`a <ip> \ <b c> <`, false}}},
		{`c:\x <`, []piece{{`c:\x <`, false}}},
		{"<averyveryverylongname>", []piece{{"<averyveryverylongname>", false}}},
		{"\x1b<>", []piece{{`\x1b<>`, false}}},
	} {
		if diff := cmp.Diff(c.want, pieces(c.template), cmp.AllowUnexported(piece{})); diff != "" {
			t.Errorf("%q, -want +got:\n%s", c.template, diff)
		}
	}
}

func TestNumberScaleRows(t *testing.T) {
	for n, want := range map[int]string{
		0: "0", 999: "999", 1000: "1,000", -1234567: "-1,234,567", 12345678: "12,345,678", math.MinInt64: "-9,223,372,036,854,775,808",
	} {
		if got := number(n); got != want {
			t.Errorf("number(%d): %q, want %q", n, got, want)
		}
	}
	for n, want := range map[int]int{-1: 0, 0: 0, 1: 1, 50: 27, 100: 54, 1000: 54} {
		if got := scale(54, n); got != want {
			t.Errorf("scale(54, %d): %d, want %d", n, got, want)
		}
	}
	got, err := rows(5, []int{1, 2, 3, 4, 5, 6, 7})
	if diff := cmp.Diff([]any{[]int{1, 2, 3}, []int{4, 5, 6, 7}}, got); err != nil || diff != "" {
		t.Errorf("rows: %v, -want +got:\n%s", err, diff)
	}
	if got, err := rows(5, []int{}); err != nil || got != nil {
		t.Errorf("rows of nothing: %v, %v", got, err)
	}
}

// What is there to be read, and not to be copied, fits into the columns of a terminal; words that are longer stand alone.
func TestTextFitsTerminal(t *testing.T) {
	v, _, _ := viewOf(t, "full")
	v.Other.Lines, v.Advice = nil, nil // to be copied
	text, _ := render(t, Builtin(), v)
	for l := range strings.Lines(text) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(l, "\n")); n > columns && strings.Contains(strings.TrimSpace(l), " ") {
			t.Errorf("%d columns: %s", n, l)
		}
	}
}
