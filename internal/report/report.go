// Package report collects what the days brought, compares it with the days before, renders it as one mail, and sends
// that mail once a day, or when the administrator wants it.
package report

import (
	"slices"
	"strings"
	"time"

	"github.com/pyruse/pyruse/internal/state"
)

// The rules for the times that a row of the report shows (state.ReportLine.Details).
const (
	All       = "ALL"       // every time
	None      = "NONE"      // no time
	First     = "FIRST"     // the first time, as "From : t"
	Last      = "LAST"      // the last time, as "Until: t"
	FirstLast = "FIRSTLAST" // both, or the plain time when there is only one
)

// detailsOrder is the order in which the paragraphs of one row follow each other.
var detailsOrder = []string{All, First, Last, FirstLast, None}

// maxKept bounds the memory for the tables of one report, in bytes of messages with what goes with each. It
// is far more than the mail can hold; what comes behind it is only counted.
const maxKept = 16 << 20

const (
	// maxLines bounds the lines of OTHER that are shown as they were, and maxLine the bytes that are kept of each.
	maxLines = 200
	maxLine  = 2_000
)

// Report is what is known of a time. It is not safe for concurrent use.
type Report struct {
	Numbers Numbers

	lines       int
	first, last time.Time
	kept        int // of maxKept
	warnings    table
	information table
	other       other
	bans        bans
}

// NewReport returns an empty report. known are the kinds of lines of the days before.
func NewReport(known []state.Template) *Report { return &Report{other: newOther(known)} }

// table is a section with one row for each distinct message.
type table struct {
	rows map[string]*row
	more int // lines that no row could be made for
}

// row is one distinct message.
type row struct {
	message string
	count   int
	times   []occurrences // one for each rule that the message came with, in no order
}

// occurrences is when a message came, as far as one rule wants to know.
type occurrences struct {
	details     string
	count       int
	first, last time.Time
	all         []time.Time // for All only; some of them if there are too many
}

// Add puts a line into the report. Unknown details count as All, unknown levels as OTHER.
// Lines may come in any order.
func (r *Report) Add(l state.ReportLine) {
	if r.lines == 0 || l.Time.Before(r.first) {
		r.first = l.Time
	}
	if r.lines == 0 || l.Time.After(r.last) {
		r.last = l.Time
	}
	r.lines++
	switch l.Level {
	case state.ReportWarn:
		r.addRow(&r.warnings, l)
	case state.ReportInfo:
		r.addRow(&r.information, l)
	default:
		r.other.add(l)
	}
}

// AddBan puts a ban into the report.
func (r *Report) AddBan(b state.BanEvent) { r.bans.add(b) }

// count puts what was counted in an hour into the report.
func (r *Report) count(k state.TallyKey, n int64) {
	if k.Kind == state.TallyBans {
		r.bans.tally(k, n)
		return
	}
	r.Numbers.Add(k, n)
}

// Lines returns the number of lines that were added.
func (r *Report) Lines() int { return r.lines }

// keep reports whether there is room for size bytes more, and takes it.
func (r *Report) keep(size int) bool {
	if r.kept+size > maxKept {
		return false
	}
	r.kept += size
	return true
}

func (r *Report) addRow(t *table, l state.ReportLine) {
	known := t.rows[l.Message]
	if known == nil {
		const perRow = 300
		if !r.keep(perRow + len(l.Message)) {
			t.more++
			return
		}
		known = &row{message: l.Message}
		if t.rows == nil {
			t.rows = map[string]*row{}
		}
		t.rows[l.Message] = known
	}
	known.count++
	o := known.occurrences(l.Details)
	if o.count == 0 || l.Time.Before(o.first) {
		o.first = l.Time
	}
	if o.count == 0 || l.Time.After(o.last) {
		o.last = l.Time
	}
	o.count++
	const perTime = 24
	if o.details == All && r.keep(perTime) {
		o.all = append(o.all, l.Time)
	}
}

// occurrences returns those of a rule, new ones if need be.
func (r *row) occurrences(details string) *occurrences {
	if !slices.Contains(detailsOrder, details) {
		details = All
	}
	for i := range r.times {
		if r.times[i].details == details {
			return &r.times[i]
		}
	}
	r.times = append(r.times, occurrences{details: details})
	return &r.times[len(r.times)-1]
}

// sorted returns the rows by message.
func (t *table) sorted() []*row {
	rows := make([]*row, 0, len(t.rows))
	for _, r := range t.rows {
		rows = append(rows, r)
	}
	slices.SortFunc(rows, func(a, b *row) int { return strings.Compare(a.message, b.message) })
	return rows
}

// paragraphs returns the times of a row as they are shown, one paragraph for each
// rule that shows any. Of the times of one rule, at most most are listed; the rest is counted.
func (r *row) paragraphs(most int) [][]string {
	var p [][]string
	for _, details := range detailsOrder {
		for i := range r.times {
			if o := &r.times[i]; o.details == details {
				if times := o.render(most); len(times) > 0 {
					p = append(p, times)
				}
			}
		}
	}
	return p
}

// render returns the lines of one paragraph.
func (o *occurrences) render(most int) []string {
	from, until := "From : "+FormatTime(o.first), "Until: "+FormatTime(o.last)
	switch {
	case o.details == None:
		return nil
	case o.details == First:
		return []string{from}
	case o.details == Last:
		return []string{until}
	case o.details == FirstLast && o.count > 1:
		return []string{from, until}
	case o.details == FirstLast:
		return []string{FormatTime(o.first)}
	}
	slices.SortStableFunc(o.all, time.Time.Compare)
	shown := o.all[:min(most, len(o.all))]
	lines := make([]string, 0, len(shown)+1)
	for _, t := range shown {
		lines = append(lines, FormatTime(t))
	}
	if n := o.count - len(shown); n > 0 {
		lines = append(lines, more(n))
	}
	return lines
}

// FormatTime renders a time as a template without a format does: local time, in
// microseconds, the fraction left out when it is zero.
func FormatTime(t time.Time) string {
	t = t.Local().Truncate(time.Microsecond)
	if t.Nanosecond() == 0 {
		return t.Format("2006-01-02 15:04:05")
	}
	return t.Format("2006-01-02 15:04:05.000000")
}

// more says that n lines are not shown.
func more(n int) string { return "… and " + thousands(int64(n)) + " more" }
