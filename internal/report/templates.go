package report

import (
	_ "embed"
	"errors"
	"fmt"
	htmltemplate "html/template"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"syscall"
	texttemplate "text/template"

	"github.com/pyruse/pyruse/internal/mail"
)

// The names of an administrator's own templates.
const (
	textName = "report.adoc.tmpl"
	htmlName = "report.html.tmpl"
)

const (
	maxTemplate = 1 << 20 // bytes of a file
	maxOutput   = 8 << 20 // bytes that a template may write: several times of what fits into a mail
	columns     = 80      // of a terminal
)

var (
	//go:embed report.adoc.tmpl
	builtinText string
	//go:embed report.html.tmpl
	builtinHTML string

	errTooLong = fmt.Errorf("it writes more than %d MiB", maxOutput>>20)
)

// functions are what the templates can call, next to those of text/template. Both languages have the same.
//
//   - line text: on one line, control and bidirectional characters visible.
//   - cell text: for a cell of a table. In AsciiDoc, where the column has the style l and a space stands before the cell: like
//     line, with | escaped. In HTML, where the cell has white-space: pre-wrap: with the line breaks.
//   - wrap n text: like line, broken at spaces to end before column 80, if the text begins in column n, counted from 0. There all
//     lines after the first begin.
//   - indent n text: every line of a text behind n spaces, control and bidirectional characters visible.
//   - pieces template: the pieces of a template of lines (Kind.Template), each with Text, and Wildcard if it is <ip> or the like.
//   - number n: 1,234.
//   - scale most n: n of 100 as a part of most, rounded up.
//   - rows most list: the list in rows of nearly the same length, at most most.
//   - lower text, join list separator: as in package strings.
func functions(cell func(string) string) map[string]any {
	return map[string]any{
		"line": oneLine, "cell": cell, "wrap": wrap, "indent": indent, "pieces": pieces, "number": number,
		"scale": scale, "rows": rows, "lower": strings.ToLower, "join": strings.Join,
	}
}

func textFunctions() texttemplate.FuncMap {
	return functions(func(s string) string { return strings.ReplaceAll(oneLine(s), "|", `\|`) })
}

func htmlFunctions() htmltemplate.FuncMap {
	return functions(func(s string) string { return mail.Visible(s, "\n\t") })
}

// Templates turn a View into text and HTML. They may be used by several goroutines at once.
//
// A template reaches what is in the View, which is data without methods, and the functions above: no file, and nothing that has an effect.
type Templates struct {
	text *texttemplate.Template
	html *htmltemplate.Template
}

// Builtin returns the templates that Pyruse brings along.
func Builtin() *Templates {
	return &Templates{
		text: texttemplate.Must(texttemplate.New(textName).Funcs(textFunctions()).Parse(builtinText)),
		html: htmltemplate.Must(htmltemplate.New(htmlName).Funcs(htmlFunctions()).Parse(builtinHTML)),
	}
}

// Load returns the built-in templates, each overridden by report.adoc.tmpl or report.html.tmpl of the folder dir where that file is
// there; dir "" has none. A file is a regular one of at most 1 MiB. Each is tried on a report that has everything and on one that
// has nothing. All faults are in the error, a line each: the file, the line and what is wrong.
func Load(dir string) (*Templates, error) {
	t := Builtin()
	if dir == "" {
		return t, nil
	}
	if info, err := os.Stat(dir); err != nil {
		return nil, fmt.Errorf("read templates: %w", err)
	} else if !info.IsDir() {
		return nil, fmt.Errorf("read templates: %s: it is not a folder", dir)
	}
	if err := errors.Join(t.loadText(filepath.Join(dir, textName)), t.loadHTML(filepath.Join(dir, htmlName))); err != nil {
		return nil, err
	}
	return t, nil
}

func (t *Templates) loadText(path string) error {
	source, err := readTemplate(path)
	if source == "" || err != nil {
		return err
	}
	if t.text, err = texttemplate.New(path).Funcs(textFunctions()).Parse(source); err != nil {
		return located(path, err)
	}
	return try(t.Text)
}

func (t *Templates) loadHTML(path string) error {
	source, err := readTemplate(path)
	if source == "" || err != nil {
		return err
	}
	if t.html, err = htmltemplate.New(path).Funcs(htmlFunctions()).Parse(source); err != nil {
		return located(path, err)
	}
	return try(t.HTML)
}

// readTemplate returns "" without an error if the file is not there. An empty file is an error: it would make an empty mail.
func readTemplate(path string) (string, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe does not make it wait
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read template: %w", err)
	}
	data, err := readRegular(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	return string(data), nil
}

func readRegular(f *os.File) ([]byte, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is not a regular file")
	}
	data, err := io.ReadAll(io.LimitReader(f, maxTemplate+1))
	switch {
	case err != nil:
		return nil, err
	case len(data) > maxTemplate:
		return nil, fmt.Errorf("it is larger than %d MiB", maxTemplate>>20)
	case len(strings.TrimSpace(string(data))) == 0:
		return nil, errors.New("it is empty; remove it to have the built-in template")
	}
	return data, nil
}

// try renders the two extremes.
func try(render func(*View) (string, error)) error {
	for _, v := range []*View{sample(hostile), {}} {
		if _, err := render(v); err != nil {
			return err
		}
	}
	return nil
}

// hostile is what a log may contain.
const hostile = "</pre>\"'><script>\x00\x1b[31m \u202e \xff|===\n....\ninclude::x[] {counter:x} {{.}} <ip> \\<num> ünd 日本"

// sample returns a View of which every field is set: the texts to text, the lists to two elements.
func sample(text string) *View {
	v := &View{}
	fill(reflect.ValueOf(v).Elem(), text)
	return v
}

func fill(v reflect.Value, text string) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Int:
		v.SetInt(50)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			fill(v.Index(i), text)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), text)
		}
	}
}

// Text returns the report as AsciiDoc that can be read as it is. Whatever the template does, it is safe to show on a terminal.
func (t *Templates) Text(v *View) (string, error) {
	return execute(t.text, v)
}

// HTML returns the report as a page.
func (t *Templates) HTML(v *View) (string, error) {
	return execute(t.html, v)
}

func execute(t interface {
	Name() string
	Execute(io.Writer, any) error
}, v *View) (string, error) {
	w := &bounded{room: maxOutput}
	if err := t.Execute(w, v); err != nil {
		return "", located(t.Name(), err)
	}
	return mail.Visible(strings.ReplaceAll(w.String(), "\r\n", "\n"), "\n\t"), nil
}

// bounded refuses to be written more than there is room.
type bounded struct {
	strings.Builder
	room int
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.room -= len(p); b.room < 0 {
		return 0, errTooLong
	}
	return b.Builder.Write(p)
}

// located returns an error of the packages template with the place first, as in "report.html.tmpl:12:3: …".
func located(name string, err error) error {
	text := err.Error()
	for _, prefix := range []string{"html/template: ", "html/template:", "template: "} {
		text = strings.TrimPrefix(text, prefix)
	}
	if !strings.HasPrefix(text, name+":") {
		text = name + ": " + text
	}
	return &templateError{mail.Visible(text, "\n\t"), err}
}

// templateError is an error in other words.
type templateError struct {
	text string
	err  error
}

func (e *templateError) Error() string { return e.text }
func (e *templateError) Unwrap() error { return e.err }

// oneLine writes a text on one line. A line of its own could pass for a part of the report.
func oneLine(s string) string { return mail.Visible(s, "\t") }

// wrap breaks a text at spaces. A word that is longer than a line stays whole, so that it can be copied.
func wrap(margin int, s string) string {
	margin = min(max(margin, 0), columns/2)
	rest := oneLine(s)
	var b strings.Builder
	for {
		end := lineEnd(rest, columns-1-margin)
		b.WriteString(rest[:end])
		if rest = strings.TrimLeft(rest[end:], " "); rest == "" {
			return b.String()
		}
		b.WriteByte('\n')
		b.WriteString(strings.Repeat(" ", margin))
	}
}

// lineEnd returns where a line of at most room characters ends: before the last space that makes it fit, or else before the first.
func lineEnd(s string, room int) int {
	last, n, word := 0, 0, false
	for i, r := range s {
		if r == ' ' && word {
			last = i
		}
		if n++; n > room && last > 0 {
			return last
		}
		word = word || r != ' ' // a space before the first word is no place to break
	}
	return len(s)
}

func indent(n int, s string) string {
	n = min(max(n, 0), columns/2)
	var b strings.Builder
	for l := range strings.Lines(s) {
		b.WriteString(strings.Repeat(" ", n))
		b.WriteString(oneLine(strings.TrimRight(l, "\r\n")))
		b.WriteByte('\n')
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// piece is a part of the template of a kind of lines.
type piece struct {
	Text     string
	Wildcard bool
}

// pieces splits a template at its wildcards: <ip>, <*>, <...>. Behind a backslash, "<" and a backslash are literal.
func pieces(template string) []piece {
	var all []piece
	var literal strings.Builder
	flush := func() {
		if literal.Len() > 0 {
			all = append(all, piece{Text: oneLine(literal.String())})
			literal.Reset()
		}
	}
	for i := 0; i < len(template); i++ {
		if n := wildcard(template[i:]); n > 0 {
			flush()
			all = append(all, piece{template[i : i+n], true})
			i += n - 1
			continue
		}
		if template[i] == '\\' && i+1 < len(template) && (template[i+1] == '<' || template[i+1] == '\\') {
			i++
		}
		literal.WriteByte(template[i])
	}
	flush()
	return all
}

// wildcard returns the length of the wildcard that s begins with, and 0 if it begins with none.
func wildcard(s string) int {
	const longest = 12
	if s[0] != '<' {
		return 0
	}
	name, _, ok := strings.Cut(s[1:min(len(s), longest)], ">")
	if !ok || name != "*" && name != "..." && (name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz") != "") {
		return 0
	}
	return len(name) + 2
}

func number(n int) string {
	s := strconv.Itoa(n)
	digits := strings.TrimPrefix(s, "-")
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	if n < 0 {
		return "-" + digits
	}
	return digits
}

func scale(most, n int) int { return (most*min(max(n, 0), 100) + 99) / 100 }

// rows returns slices of a slice.
func rows(most int, list any) ([]any, error) {
	v := reflect.ValueOf(list)
	if v.Kind() != reflect.Slice || most < 1 {
		return nil, errors.New("rows wants a number and a list")
	}
	var all []any
	n := (v.Len() + most - 1) / most
	for i := range n {
		all = append(all, v.Slice(i*v.Len()/n, (i+1)*v.Len()/n).Interface())
	}
	return all, nil
}
