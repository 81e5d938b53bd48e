package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Severity tells a fault that stops from one that does not.
type Severity int

// The severities of a diagnostic.
const (
	Error Severity = iota
	Warning
)

// String returns "error" or "warning".
func (s Severity) String() string {
	if s == Warning {
		return "warning"
	}
	return "error"
}

// Diagnostic is one fault of a configuration.
type Diagnostic struct {
	Severity Severity
	Code     Code
	Pos      Pos
	Message  string
	Hint     string // what to do, "" if the message says it all

	weak Pos // if it is somewhere: of no interest if another error says more about what is there
}

// Diagnostics collects the faults of a configuration.
type Diagnostics struct {
	list []Diagnostic
}

// Report adds a fault.
func (d *Diagnostics) Report(x Diagnostic) { d.list = append(d.list, x) }

// Errorf adds an error.
func (d *Diagnostics) Errorf(pos Pos, hint, format string, args ...any) {
	d.Report(Diagnostic{Severity: Error, Code: CodeInvalid, Pos: pos, Message: fmt.Sprintf(format, args...), Hint: hint})
}

// Warnf adds a warning.
func (d *Diagnostics) Warnf(pos Pos, hint, format string, args ...any) {
	d.Report(Diagnostic{Severity: Warning, Code: CodeSuspicious, Pos: pos, Message: fmt.Sprintf(format, args...), Hint: hint})
}

// reportWeak adds an error that is of no interest if another one says more about span.
func (d *Diagnostics) reportWeak(pos, span Pos, hint, message string) {
	d.Report(Diagnostic{Severity: Error, Code: CodeInvalid, Pos: pos, Message: message, Hint: hint, weak: span})
}

// settled returns all faults but the weak errors that another one makes superfluous.
func (d *Diagnostics) settled() []Diagnostic {
	strong := map[*File][]int{} // where errors that are not weak begin
	for _, x := range d.list {
		if x.weak.File == nil && x.Severity == Error {
			strong[x.Pos.File] = append(strong[x.Pos.File], x.Pos.Start)
		}
	}
	for _, starts := range strong {
		slices.Sort(starts)
	}
	return slices.DeleteFunc(slices.Clone(d.list), func(x Diagnostic) bool {
		starts := strong[x.weak.File]
		i, _ := slices.BinarySearch(starts, x.weak.Start)
		return x.weak.File != nil && i < len(starts) && starts[i] < x.weak.End
	})
}

// Since returns the faults that are not in before, where the same configuration had less in it.
func (d *Diagnostics) Since(before *Diagnostics) *Diagnostics {
	known := map[string]bool{}
	for _, x := range before.Sorted() {
		known[x.String()] = true
	}
	var out Diagnostics
	for _, x := range d.Sorted() {
		if !known[x.String()] {
			out.Report(x)
		}
	}
	return &out
}

// add adds the faults of more that which wants; nil wants all.
func (d *Diagnostics) add(more *Diagnostics, which func(Diagnostic) bool) {
	for _, x := range more.list {
		if which == nil || which(x) {
			d.list = append(d.list, x)
		}
	}
}

// Fault returns an error that has no place as the only fault.
func Fault(err error) *Diagnostics {
	var d Diagnostics
	d.Errorf(Pos{}, "", "%v", err)
	return &d
}

// Count returns the number of errors and of warnings.
func (d *Diagnostics) Count() (errors, warnings int) {
	for _, x := range d.list {
		if x.Severity == Error {
			errors++
		} else {
			warnings++
		}
	}
	return errors, warnings
}

// HasErrors reports whether there is at least one error.
func (d *Diagnostics) HasErrors() bool {
	return slices.ContainsFunc(d.list, func(x Diagnostic) bool { return x.Severity == Error })
}

// maxTold is how many faults are told of one configuration: nobody mends more before looking again.
const maxTold = 1000

// Sorted returns the diagnostics by place, files in the order in which they apply; those at the same place stay in the order of
// discovery. Beyond maxTold, it only says how many more there are.
func (d *Diagnostics) Sorted() []Diagnostic {
	list := d.sorted()
	more := len(list) - maxTold
	if more <= 0 {
		return list
	}
	// The worst of what is left out, so that nobody takes warnings for all there is.
	rest := Diagnostic{Severity: Warning, Code: CodeSuspicious, Message: fmt.Sprintf("%d more faults are not shown", more), Hint: "mend these first"}
	for _, x := range list[maxTold:] {
		if x.Severity == Error {
			rest.Severity, rest.Code = Error, CodeInvalid
		}
	}
	rest.Pos = Pos{File: nowhere(list[maxTold].Pos.fileName())}
	return append(list[:maxTold:maxTold], rest)
}

func (d *Diagnostics) sorted() []Diagnostic {
	list := d.settled()
	slices.SortStableFunc(list, func(a, b Diagnostic) int { return ComparePos(a.Pos, b.Pos) })
	return list
}

func (p Pos) fileName() string {
	if p.File == nil {
		return ""
	}
	return p.File.Name
}

// String returns "file:line:column", without what is not known.
func (p Pos) String() string {
	if p.File == nil {
		return "pyruse"
	}
	if len(p.File.Data) == 0 {
		return p.File.Name
	}
	return fmt.Sprintf("%s:%d:%d", p.File.Name, p.Line(), p.Column())
}

// String renders the diagnostic on one line: place, severity, message, hint.
func (x Diagnostic) String() string {
	s := fmt.Sprintf("%s: %s: %s", x.Pos, x.Severity, x.Message)
	if x.Hint != "" {
		s += " (" + x.Hint + ")"
	}
	return s
}

// WriteText writes the diagnostics for people: place and message, the line itself
// with a caret below the place, and the hint.
func (d *Diagnostics) WriteText(w io.Writer, colour bool) error {
	var b bytes.Buffer
	for _, x := range d.Sorted() {
		label := x.Severity.String()
		if colour {
			code := "31"
			if x.Severity == Warning {
				code = "33"
			}
			label = "\x1b[1;" + code + "m" + label + "\x1b[0m"
		}
		fmt.Fprintf(&b, "%s: %s: %s\n", Printable(x.Pos.String()), label, Printable(x.Message))
		if line := x.Pos.Line(); line > 0 && len(x.Pos.File.Data) > 0 {
			writeExcerpt(&b, x.Pos, line)
		}
		if x.Hint != "" {
			fmt.Fprintf(&b, "  hint: %s\n", Printable(x.Hint))
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}

// Excerpts show this many characters before and after the fault of a long line; an ellipsis stands for the rest.
const (
	excerptBefore = 60
	excerptAfter  = 60
	ellipsis      = '…'
)

func writeExcerpt(b *bytes.Buffer, p Pos, line int) {
	text, at, end := p.File.shown(p, line)
	// A line can be the whole file: no more of it is looked at than is shown.
	before := lastRunes(text[:at], excerptBefore)
	after := firstRunes(text[at:], excerptAfter)
	width := utf8.RuneCount(text[at:min(end, at+utf8.UTFMax*excerptAfter)])
	width = max(1, min(width, excerptAfter))
	gutter := fmt.Sprintf("%5d | ", line)
	fmt.Fprintf(b, "%s%s%s\n", gutter, oneCell(before), oneCell(after))
	fmt.Fprintf(b, "%s| %s%s\n", strings.Repeat(" ", len(gutter)-2), strings.Repeat(" ", len(before)), strings.Repeat("^", width))
}

// firstRunes returns the first n characters of b, and an ellipsis where there are more.
func firstRunes(b []byte, n int) []rune {
	r := []rune(string(b[:min(len(b), utf8.UTFMax*(n+1))]))
	if len(r) > n {
		r = append(r[:n], ellipsis)
	}
	return r
}

// lastRunes returns the last n characters of b, and an ellipsis where there are more.
func lastRunes(b []byte, n int) []rune {
	r := []rune(string(b[max(0, len(b)-utf8.UTFMax*(n+1)):]))
	if k := len(r) - n; k > 0 {
		r = r[k-1:]
		r[0] = ellipsis
	}
	return r
}

// oneCell makes every character one cell wide, so that the caret stands below its place.
func oneCell(text []rune) string {
	out := make([]rune, len(text))
	for i, r := range text {
		switch {
		case r == '\t':
			out[i] = ' '
		case !unicode.IsPrint(r):
			out[i] = '\uFFFD'
		default:
			out[i] = r
		}
	}
	return string(out)
}

// Printable returns s with what could steer a terminal made visible.
func Printable(s string) string {
	if strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0 && utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if unicode.IsPrint(r) {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, "\\u%04x", r)
		}
	}
	return b.String()
}

type diagnosticJSON struct {
	Severity string `json:"severity"`
	Code     Code   `json:"code"`
	File     string `json:"file,omitempty"`
	Line     int    `json:"line,omitempty"`
	Column   int    `json:"column,omitempty"`
	Message  string `json:"message"`
	Hint     string `json:"hint,omitempty"`
}

// WriteJSON writes the diagnostics for machines, one JSON object a line.
func (d *Diagnostics) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	for _, x := range d.Sorted() {
		err := enc.Encode(diagnosticJSON{
			x.Severity.String(), x.Code, x.Pos.fileName(), x.Pos.Line(), x.Pos.Column(), x.Message, x.Hint,
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// DidYouMean returns a hint that names the candidate nearest to word, or "" when none is near.
func DidYouMean(word string, candidates []string) string {
	if best := nearest(word, candidates); best != "" {
		return didYouMean(best)
	}
	return ""
}

func didYouMean(word string) string { return fmt.Sprintf("did you mean %q?", word) }

// nearest returns the candidate that word is most likely a misspelling of, "" if there is none.
func nearest(word string, candidates []string) string {
	best, bestDistance := "", min(1+len(word)/3, len(word)-1) // some of the word must be right
	for _, c := range candidates {
		if len(c)-len(word) > bestDistance || len(word)-len(c) > bestDistance {
			continue // it cannot be nearer
		}
		if n := distance(strings.ToLower(word), strings.ToLower(c)); n <= bestDistance && (best == "" || n < bestDistance || c < best) {
			best, bestDistance = c, n
		}
	}
	return best
}

// distance is the Levenshtein distance of two words, in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
