package report

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pyruse/pyruse/internal/state"
)

// Health is how Pyruse itself is, as far as the administrator has to know.
type Health struct {
	Problems []string // what needs attention: "left out because of faults: 50-x.json"
	Failed   []string // mails that were given up, a line each
	Waiting  int      // mails that wait to be sent
	LeftOut  int      // files of the configuration that are left out because of faults; Problems names them
	Chains   []string // the labels of the chains of the configuration
}

// setting is what a report is told with, beside what it holds.
type setting struct {
	host         string
	since, until time.Time // since is zero if nobody knows
	pending      bool      // its lines are in no report yet
	preview      bool      // it is not the one that is mailed
	health       Health
	reports      []state.Report // all that were made
	quiet        []state.Report // those of them that are told in this one
	memory       *memory
	activity     *activity // nil: chains are not looked at
	commands     []Command
}

// told is a report that is ready to be told, in full: how much of it is shown, is decided when it is rendered.
type told struct {
	report *Report
	groups []Group
	view   View   // all but what depends on the room
	all    string // the command that shows every line as it was; "": there is none
}

// tell compares a report with the days before.
func (r *Report) tell(c *setting) *told {
	t := &told{report: r, groups: r.other.miner.Groups()}
	v := &t.view
	v.Title, v.Host, v.Preview = "Pyruse Report", c.host, c.preview
	since := c.since
	if since.IsZero() {
		since = r.first
	}
	if !since.IsZero() {
		v.Since = FormatTime(since)
	}
	v.Until = FormatTime(c.until)
	period := c.until.Sub(since)
	if since.IsZero() {
		period = 24 * time.Hour
	}
	v.Bans = r.bans.view(since, c.until)
	v.Other = r.other.view(t.groups, c.memory, period)
	if c.activity != nil {
		v.Sleeping = c.activity.sleepers(c.health.Chains, localDay(c.until.Add(-time.Second)))
	}
	v.Advice = advise(t.groups)
	for _, q := range c.quiet {
		v.Quiet = append(v.Quiet, q.Summary)
	}
	v.Commands = c.commands
	if len(c.commands) > 0 {
		t.all = c.commands[0].Line
	}
	v.Totals = r.totals(c, v.Bans.Count)
	v.Attention = r.attention(c, v)
	v.New = news(v)
	if c.pending && c.memory.first && len(t.groups) > 0 {
		v.New = []string{"nothing is known of the days before: what is new is marked from the next report on"}
	}
	if n := r.other.miner.Left(); n > 0 {
		v.New = append(v.New, count(n, "line")+" that were not looked at: there were too many different ones")
	}
	return t
}

func (o *other) view(groups []Group, m *memory, period time.Duration) Other {
	v := Other{Count: o.count}
	if o.miner.Left() == 0 { // else it may have come
		v.Gone = m.gone(groups, period)
	}
	for i := range groups {
		g := &groups[i]
		k := Kind{
			Count: g.Count, Share: max(1, g.Count*100/o.count), Service: g.Template.Service, Template: g.Template.Text, Example: g.Example,
		}
		k.Mark, k.Note = m.mark(g, period)
		k.First, k.Last = when(g.First, g.Last)
		v.Groups = append(v.Groups, k)
	}
	// What is new comes first, then what is rising; each as it was: by its number.
	rank := map[Mark]int{New: 0, Rising: 1, Usual: 2}
	slices.SortStableFunc(v.Groups, func(a, b Kind) int { return rank[a.Mark] - rank[b.Mark] })
	return v
}

// slowly is the lag from which on it needs attention: bans come too late to be of use.
const slowly = 5 * time.Minute

func (r *Report) totals(c *setting, bans int) []Total {
	n := &r.Numbers
	list := []Total{{Name: "entries seen", Value: thousands(n.Entries)}}
	banned := Total{Name: "bans", Value: thousands(int64(bans))}
	if n.Refused > 0 {
		banned.Note = thousands(n.Refused) + " refused"
	}
	mails := Total{Name: "mails", Value: thousands(n.Notes)}
	if c.health.Waiting > 0 {
		mails.Note = thousands(int64(c.health.Waiting)) + " waiting"
	}
	if failed := len(c.health.Failed); failed > 0 {
		mails.Note, mails.Alarm = strings.TrimPrefix(mails.Note+", "+thousands(int64(failed))+" failed", ", "), true
	}
	errors := Total{Name: "errors of Pyruse", Value: thousands(sum(n.Errors)), Alarm: sum(n.Errors) > 0}
	lag := Total{Name: "longest delay", Value: shortTime(n.Lag), Alarm: n.Lag >= slowly}
	leftOut := Total{Name: "configuration files left out", Value: thousands(int64(c.health.LeftOut)), Alarm: c.health.LeftOut > 0}
	return append(list, Total{Name: "report lines", Value: thousands(int64(r.lines))}, banned, mails, errors, lag, leftOut)
}

// attention says what needs the administrator.
func (r *Report) attention(c *setting, v *View) []string {
	var list []string
	list = append(list, c.health.Problems...)
	if n := len(c.health.Failed); n > 0 {
		const most = 3
		named := c.health.Failed[:min(n, most)]
		list = append(list, count(n, "mail")+" could not be delivered: "+strings.Join(cutNames(slices.Clone(named), n), "; "))
	}
	if n := sum(r.Numbers.Errors); n > 0 {
		list = append(list, fmt.Sprintf("%s of Pyruse itself, in %s", count(int(n), "error"), topNames(r.Numbers.Errors)))
	}
	if n := r.Numbers.Lag; n >= slowly {
		list = append(list, "entries were handled as late as "+shortTime(n)+" after they were logged")
	}
	if n := r.warnings.count(); n > 0 {
		list = append(list, count(n, "warning"))
	}
	if n := len(v.Sleeping); n > 0 {
		list = append(list, countOf(n, "chain does not match any more", "chains do not match any more"))
	}
	return list
}

// news says in few words what there was not before.
func news(v *View) []string {
	var list []string
	marks := map[Mark]int{}
	for _, k := range v.Other.Groups {
		marks[k.Mark]++
	}
	if n := marks[New]; n > 0 {
		list = append(list, countOf(n, "new kind of lines", "new kinds of lines"))
	}
	if n := marks[Rising]; n > 0 {
		list = append(list, countOf(n, "kind of lines is rising", "kinds of lines are rising"))
	}
	if n := len(v.Other.Gone); n > 0 {
		list = append(list, countOf(n, "usual kind of lines did not come", "usual kinds of lines did not come"))
	}
	return list
}

// quiet reports whether there is nothing new that anybody would have to read.
func (t *told) quiet() bool {
	v := &t.view
	return len(v.Attention)+len(v.New)+v.Bans.Count+t.report.information.count() == 0
}

// summary says in one line what a report was about.
func (t *told) summary(until time.Time) string {
	day := until.Add(-time.Second).Local().Format(time.DateOnly)
	switch {
	case t.quiet() && t.report.lines == 0:
		return day + ": nothing"
	case t.quiet():
		return fmt.Sprintf("%s: nothing new: %s, all of %s", day, count(t.report.lines, "line"), countOf(len(t.groups), "known kind", "known kinds"))
	}
	parts := slices.Concat(t.view.Attention, t.view.New)
	if n := t.view.Bans.Count; n > 0 {
		parts = append(parts, count(n, "ban"))
	}
	parts = append(parts, count(t.report.lines, "line"))
	return shorten(day+": "+strings.Join(parts, ", "), maxSummary)
}

const maxSummary = 300 // bytes

// count returns the number of lines of a table.
func (t *table) count() int {
	n := t.more
	for _, r := range t.rows {
		n += r.count
	}
	return n
}

// topNames returns the chains with the largest numbers.
func topNames(numbers map[string]int64) string {
	const most = 3
	all := slices.SortedFunc(maps.Keys(numbers), func(a, b string) int {
		return cmp.Or(cmp.Compare(numbers[b], numbers[a]), strings.Compare(a, b))
	})
	names := make([]string, 0, most+1)
	for _, name := range all[:min(len(all), most)] {
		if name == "" { // there were more of them than are told apart
			name = "other chains"
		}
		names = append(names, shorten(name, maxName))
	}
	return strings.Join(cutNames(names, len(all)), ", ")
}

// count writes a number with its noun: 1 line, 2,000 lines.
func count(n int, noun string) string { return countOf(n, noun, noun+"s") }

func countOf(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return thousands(int64(n)) + " " + many
}

// thousands writes a number with commas.
func thousands(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// shortTime writes a length of time: 0 s, 12 s, 5 min, 3 h, 2 d.
func shortTime(d time.Duration) string {
	switch {
	case d < 2*time.Minute:
		return strconv.Itoa(int(d/time.Second)) + " s"
	case d < 2*time.Hour:
		return strconv.Itoa(int(d/time.Minute)) + " min"
	case d < 48*time.Hour:
		return strconv.Itoa(int(d/time.Hour)) + " h"
	}
	return strconv.Itoa(int(d/(24*time.Hour))) + " d"
}
