package report

import (
	"fmt"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/pyruse/pyruse/internal/state"
)

// MaxMail is the largest mail that a report becomes, in bytes as sent (lines ending in CRLF).
const MaxMail = 1_000_000

// limits is how much of each row is shown.
type limits struct {
	times int // of one list of times
	bytes int // of one message
}

// cuts is what is tried, one after the other, until the rows fit. The first shows everything.
var cuts = []limits{{MaxMail, MaxMail}, {100, 2000}, {20, 500}, {3, 200}}

const (
	// firstBudget is how many bytes of rows are tried first: the text and the HTML have each of them, and both are encoded for the mail.
	firstBudget = 300_000
	// minBudget is the smallest that is tried: with it, the built-in templates always fit.
	minBudget = 5_000
	// What goes with a row, a time, a kind or a line, in bytes.
	rowSize, timeSize, kindSize, lineSize = 100, 30, 200, 40
	// maxKinds, maxGone, maxSleepers, maxQuiet and maxAttention bound what is listed of each.
	maxKinds, maxGone, maxSleepers, maxQuiet, maxAttention = 100, 50, 30, 31, 20
	// maxText bounds the template of a kind of lines, an example, and a line of the head, in bytes.
	maxText = 500
	// maxName bounds the name of a service or a chain, in bytes: whoever may log can choose that of a service.
	maxName = 100
	// maxFragment bounds a fragment of configuration, in bytes.
	maxFragment = 4_000
)

// render writes the report with templates. size tells how large a mail becomes. If the report is too large, first long messages and long
// lists of times are cut, then rows are left out at the end of the large sections; the report says so wherever it was done.
func (t *told) render(templates *Templates, size func(text, html string) (int, error)) (text, html string, err error) {
	for budget := firstBudget; ; budget /= 2 {
		v := t.fill(budget)
		if text, err = templates.Text(v); err != nil {
			return "", "", err
		}
		if html, err = templates.HTML(v); err != nil {
			return "", "", err
		}
		n, err := size(text, html)
		if err != nil || n <= MaxMail {
			return text, html, err
		}
		if budget < minBudget {
			return "", "", fmt.Errorf("the report takes %d bytes even when it is cut as far as possible; %d are the most", n, MaxMail)
		}
	}
}

// fill returns the view with as much as fits into a number of bytes.
func (t *told) fill(budget int) *View {
	v := t.view
	r := t.report
	warnings, information, lines := r.warnings.sorted(), r.information.sorted(), r.other.lines.sorted()
	var need [4]int
	var cut limits
	for _, cut = range cuts {
		need = [4]int{tableSize(warnings, cut, budget), tableSize(information, cut, budget), kindsSize(v.Other.Groups), linesSize(lines, cut, budget)}
		if need[0]+need[1]+need[2]+need[3] <= budget {
			break
		}
	}
	room := share(budget, need)
	v.Warnings = r.warnings.view(warnings, cut, room[0])
	v.Information = r.information.view(information, cut, room[1])
	v.Other.fillKinds(room[2])
	v.Other.fillLines(lines, cut, room[3])
	if v.Other.Rest != "" && t.all != "" {
		v.Other.Rest += ": " + t.all
	}
	v.bound(budget)
	v.LeftOut = t.leftOut(&v, cut)
	return &v
}

// bound cuts what is short nearly always.
func (v *View) bound(budget int) {
	v.Attention = cutList(slices.Clone(v.Attention), maxAttention)
	for i := range v.Attention {
		v.Attention[i] = shorten(v.Attention[i], maxText)
	}
	v.Quiet = lastOf(v.Quiet, maxQuiet)
	v.Other.Gone = slices.Clone(v.Other.Gone[:min(len(v.Other.Gone), maxGone)])
	for i := range v.Other.Gone {
		g := &v.Other.Gone[i]
		g.Service, g.Template = shorten(g.Service, maxName), shorten(g.Template, maxText)
	}
	v.Sleeping = slices.Clone(v.Sleeping[:min(len(v.Sleeping), maxSleepers)])
	for i := range v.Sleeping {
		s := &v.Sleeping[i]
		s.Chain, s.Note = shorten(s.Chain, maxName), shorten(s.Note, maxText)
	}
	v.Advice = slices.DeleteFunc(slices.Clone(v.Advice), func(a Advice) bool {
		return len(a.Fragment)+len(a.Instead) > min(maxFragment, budget/4)
	})
	for i := range v.Advice {
		a := &v.Advice[i]
		a.Service, a.Template = shorten(a.Service, maxName), shorten(a.Template, maxText)
	}
}

// leftOut says what is not shown.
func (t *told) leftOut(v *View, cut limits) []string {
	var list []string
	part := func(shown, all int, of string) {
		if shown < all {
			list = append(list, fmt.Sprintf("%s of %s %s", thousands(int64(all-shown)), thousands(int64(all)), of))
		}
	}
	r := t.report
	part(v.Warnings.count(), r.warnings.count(), "warnings")
	part(v.Information.count(), r.information.count(), "lines of information")
	if v.Warnings.cut(cut) || v.Information.cut(cut) {
		list = append(list, "the ends of long messages and of long lists of times")
	}
	part(len(v.Other.Groups), len(t.view.Other.Groups), "kinds of other lines")
	if n := r.other.miner.Left(); n > 0 {
		list = append(list, count(n, "other line")+" of which the kind is not known: there were too many different ones")
	}
	part(len(v.Other.Gone), len(t.view.Other.Gone), "usual kinds of lines that did not come")
	part(len(v.Sleeping), len(t.view.Sleeping), "sleeping rules")
	part(len(v.Advice), len(t.view.Advice), "pieces of advice")
	if len(list) > 0 && t.all != "" {
		list = append(list, "to see every line: "+t.all)
	}
	return list
}

// count returns the number of lines that are shown.
func (t *Table) count() int {
	n := 0
	for i := range t.Rows {
		n += t.Rows[i].Count
	}
	return n
}

// cut reports whether a row is shown only in part.
func (t *Table) cut(l limits) bool {
	return slices.ContainsFunc(t.Rows, func(r Row) bool {
		return len(r.Message) > l.bytes || slices.ContainsFunc(r.Times, func(p []string) bool { return len(p) > l.times })
	})
}

// share distributes room so that small sections get what they need, and large ones the same.
func share(room int, need [4]int) [4]int {
	order := []int{0, 1, 2, 3}
	slices.SortStableFunc(order, func(a, b int) int { return need[a] - need[b] })
	var got [4]int
	for i, section := range order {
		got[section] = min(need[section], room/(len(order)-i))
		room -= got[section]
	}
	return got
}

// tableSize returns about how many bytes rows take; beyond enough, it does not matter how many more.
func tableSize(rows []*row, cut limits, enough int) int {
	size := 0
	for _, r := range rows {
		if size += r.view(cut).size(); size > enough {
			break
		}
	}
	return size
}

func kindsSize(kinds []Kind) int {
	size := 0
	for _, k := range kinds[:min(len(kinds), maxKinds)] {
		size += k.size()
	}
	return size
}

func (k *Kind) size() int {
	return kindSize + min(len(k.Service), maxName) + min(len(k.Template), maxText) + min(len(k.Example), maxText)
}

// fillKinds leaves as many kinds as there is room for.
func (o *Other) fillKinds(room int) {
	all := o.Groups
	o.Groups = nil
	for _, k := range all[:min(len(all), maxKinds)] {
		if room -= k.size(); room < 0 {
			break
		}
		k.Service, k.Template, k.Example = shorten(k.Service, maxName), shorten(k.Template, maxText), shorten(k.Example, maxText)
		o.Groups = append(o.Groups, k)
	}
	if rest := all[len(o.Groups):]; len(rest) > 0 {
		lines := 0
		for _, k := range rest {
			lines += k.Count
		}
		o.More = fmt.Sprintf("… and %s with %s", countOf(len(rest), "more kind", "more kinds"), count(lines, "line"))
	}
}

func linesSize(lines []state.ReportLine, cut limits, enough int) int {
	size := 0
	for i := range lines {
		if size += lineSize + min(len(lines[i].Message), cut.bytes); size > enough {
			break
		}
	}
	return size
}

// fillLines adds as many lines as there is room for.
func (o *Other) fillLines(lines []state.ReportLine, cut limits, room int) {
	o.Lines = nil
	for i := range lines {
		l := Line{FormatTime(lines[i].Time), shorten(lines[i].Message, cut.bytes)}
		if room -= lineSize + len(l.Message); room < 0 {
			break
		}
		o.Lines = append(o.Lines, l)
	}
	if n := o.Count - len(o.Lines); n > 0 {
		o.Rest = more(n)
	}
}

func (t *table) view(rows []*row, cut limits, room int) Table {
	var v Table
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

func (r *row) view(cut limits) Row {
	return Row{r.count, shorten(r.message, cut.bytes), r.paragraphs(cut.times)}
}

func (v Row) size() int {
	size := rowSize + len(v.Message)
	for _, p := range v.Times {
		size += timeSize * len(p)
	}
	return size
}

// cutList returns at most so many elements, and says how many there are more.
func cutList(list []string, most int) []string {
	if n := len(list) - most; n > 0 {
		return append(list[:most], more(n))
	}
	return list
}

// lastOf returns the last elements, and says how many there were before.
func lastOf(list []string, most int) []string {
	if n := len(list) - most; n > 0 {
		return append([]string{"… " + thousands(int64(n)) + " more before"}, list[n:]...)
	}
	return list
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
