package report

import (
	_ "embed"
	"fmt"
	htmltemplate "html/template"
	"slices"
	"strconv"
	"strings"
	texttemplate "text/template"
	"unicode/utf8"

	"github.com/pyruse/pyruse/internal/mail"
)

// MaxMail is the largest mail that a report becomes, in bytes as sent (lines ending in CRLF).
const MaxMail = 1_000_000

var (
	//go:embed report.adoc.tmpl
	textSource string
	//go:embed report.html.tmpl
	htmlSource string

	textTemplate = texttemplate.Must(texttemplate.New("report.adoc").Funcs(texttemplate.FuncMap{
		"show": showText,
		"cell": func(s string) string { return strings.ReplaceAll(showText(s), "|", `\|`) },
	}).Parse(textSource))
	htmlTemplate = htmltemplate.Must(htmltemplate.New("report.html").Funcs(htmltemplate.FuncMap{
		"show": showText,
		"cell": func(s string) string { return mail.Visible(s, "\n\t") },
	}).Parse(htmlSource))
)

// showText writes a message on one line. A line of its own could pass for a part of the report,
// but not in a cell of HTML.
func showText(s string) string { return mail.Visible(s, "\t") }

// view is what the templates render.
type view struct {
	Lines       int    // of the whole report
	From, Until string // the times of the first and the last
	Warnings    tableView
	Information tableView
	Other       listView
}

type tableView struct {
	Rows []rowView
	More string // says how much was left out; "": nothing
}

type rowView struct {
	Count   int
	Message string
	Times   [][]string
}

type listView struct {
	Lines []lineView
	More  string
}

type lineView struct{ Time, Message string }

// Render returns the report as text (AsciiDoc) and as HTML, both safe to show. Together they
// make a mail of at most MaxMail bytes. If the report is too large for that, first long messages and long lists of times
// are cut, then rows are left out at the end of the large sections; the report says so wherever it was done.
func (r *Report) Render() (text, html string, err error) {
	v := r.view()
	var t, h strings.Builder
	if err := textTemplate.Execute(&t, v); err != nil {
		return "", "", fmt.Errorf("render report as text: %w", err)
	}
	if err := htmlTemplate.Execute(&h, v); err != nil {
		return "", "", fmt.Errorf("render report as HTML: %w", err)
	}
	return t.String(), h.String(), nil
}

// limits is how much of each row is shown.
type limits struct {
	times int // of one list of times
	bytes int // of one message
}

// cuts is what is tried, one after the other, until the report fits. The first shows
// everything: more than that never fits.
var cuts = []limits{{MaxMail / timeSize, MaxMail}, {100, 2000}, {20, 500}, {3, 200}}

// Upper bounds for what is around the texts in both templates, in bytes of the encoded
// mail. TestBound holds them against the templates.
const (
	frameSize     = 8 << 10 // all but the rows, and the header of the mail
	rowSize       = 160
	paragraphSize = 64
	timeSize      = 16
	lineSize      = 32
)

// budget is the room for rows: quoted-printable breaks a line after 72 bytes at the earliest, with 3 bytes.
const budget = (MaxMail - frameSize) * 72 / 75

// view chooses what is shown.
func (r *Report) view() view {
	slices.SortStableFunc(r.other.lines, func(a, b line) int { return a.time.Compare(b.time) })
	warnings, information := r.warnings.sorted(), r.information.sorted()
	var sizes [3]int
	var cut limits
	for _, cut = range cuts {
		sizes = [3]int{tableSize(warnings, cut), tableSize(information, cut), r.other.size(cut)}
		if sizes[0]+sizes[1]+sizes[2] <= budget {
			break
		}
	}
	room := share(budget, sizes)
	v := view{
		Lines:       r.lines,
		Warnings:    r.warnings.view(warnings, cut, room[0]),
		Information: r.information.view(information, cut, room[1]),
		Other:       r.other.view(cut, room[2]),
	}
	if r.lines > 0 {
		v.From, v.Until = formatTime(r.first), formatTime(r.last)
	}
	return v
}

// share distributes room so that small sections get what they need, and large ones the same.
func share(room int, need [3]int) [3]int {
	order := []int{0, 1, 2}
	slices.SortStableFunc(order, func(a, b int) int { return need[a] - need[b] })
	var got [3]int
	for i, section := range order {
		got[section] = min(need[section], room/(len(order)-i))
		room -= got[section]
	}
	return got
}

func tableSize(rows []*row, cut limits) int {
	size := 0
	for _, r := range rows {
		if size += r.view(cut).size(); size > budget {
			break // whether it is a little or far too large does not matter
		}
	}
	return size
}

func (t *table) view(rows []*row, cut limits, room int) tableView {
	var v tableView
	lines, i := t.more, 0
	for ; i < len(rows); i++ {
		shown := rows[i].view(cut)
		if room -= shown.size(); room < 0 {
			break
		}
		v.Rows = append(v.Rows, shown)
	}
	for _, r := range rows[i:] {
		lines += r.count
	}
	if lines > 0 {
		v.More = more(lines)
	}
	return v
}

func (r *row) view(cut limits) rowView {
	return rowView{r.count, shorten(r.message, cut.bytes), r.paragraphs(cut.times)}
}

func (v rowView) size() int {
	size := rowSize + textSize(v.Message)
	for _, p := range v.Times {
		size += paragraphSize
		for _, t := range p {
			size += timeSize + textSize(t)
		}
	}
	return size
}

func (l *list) size(cut limits) int {
	size := 0
	for _, x := range l.lines {
		if size += x.view(cut).size(); size > budget {
			break
		}
	}
	return size
}

func (l *list) view(cut limits, room int) listView {
	var v listView
	for _, x := range l.lines {
		shown := x.view(cut)
		if room -= shown.size(); room < 0 {
			break
		}
		v.Lines = append(v.Lines, shown)
	}
	if n := len(l.lines) - len(v.Lines) + l.more; n > 0 {
		v.More = more(n)
	}
	return v
}

func (l line) view(cut limits) lineView {
	return lineView{formatTime(l.time), shorten(l.message, cut.bytes)}
}

func (v lineView) size() int { return lineSize + textSize(v.Time) + textSize(v.Message) }

// textSize returns an upper bound for the bytes of s in the mail, text and HTML together.
func textSize(s string) int {
	const (
		inText = 1
		inHTML = 1
		coded  = 3 // one byte, in quoted-printable
		entity = 5 // the longest in HTML
		hidden = 4 // a control character when it is spelled out: \x1b
	)
	size := 0
	for _, r := range s {
		switch {
		case r == '|':
			size += 2*inText + inHTML
		case r == '=':
			size += 2 * coded
		case strings.ContainsRune(`<>&'"+`, r):
			size += inText + entity
		case r >= ' ' && r < 0x7f:
			size += inText + inHTML
		case r < utf8.RuneSelf:
			size += 2 * hidden
		default: // spelling out takes less; a byte that is not UTF-8 becomes U+FFFD
			size += 2 * coded * utf8.RuneLen(r)
		}
	}
	return size
}

// shorten returns at most most bytes of s, and says how many are missing.
func shorten(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most] + "… [" + strconv.Itoa(len(s)-most) + " bytes left out]"
}

// more says that n lines are not shown.
func more(n int) string { return "… and " + strconv.Itoa(n) + " more" }
