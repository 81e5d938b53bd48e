package report

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/pyruse/pyruse/internal/state"
)

const (
	// maxTemplates bounds the kinds of lines that are remembered. Those that were not seen the longest are forgotten first.
	maxTemplates = 10_000
	// minObserved is how many days must be known before anything is called rising, and minRegular before anything is missed.
	minObserved = 3
	minRegular  = 7
	// A kind is rising when it comes this many times as often as usual, and by this many lines: three lines instead of one are no news.
	risingTimes = 3
	risingLines = 10
	// regularShare is on how many of the days before a kind must have come to be missed when it does not.
	regularShare = 0.8
	// minGonePeriod is the shortest time of a report in which anything is missed: at night, much does not happen.
	minGonePeriod = 20 * time.Hour
)

// memory is what is known of the days before a report.
type memory struct {
	all       []state.Template // also those from before
	templates map[Template][]state.DayCount
	today     int  // the day that the report's time begins on
	observed  int  // days before it that are known
	first     bool // there was no report before that could have learnt anything
}

// remember returns what is known of the days before the time that begins at since, not longer ago than so many days. What is known of the day of
// since counts as well if it is from other reports. reports are those that were made: also days on which nothing came are known.
func remember(templates []state.Template, reports []state.Report, since time.Time, days int, sameDay bool) *memory {
	m := &memory{all: templates, templates: map[Template][]state.DayCount{}, today: localDay(since), first: true}
	oldest := m.today
	for i := range reports {
		if r := &reports[i]; !r.Until.After(since) && !beforeAll(r) {
			m.first = false
			from := r.Until.Add(-time.Second)
			if !r.Since.IsZero() {
				from = r.Since
			}
			oldest = min(oldest, max(localDay(from), m.today-days))
		}
	}
	for _, t := range templates {
		var kept []state.DayCount
		for _, d := range t.Days {
			if d.Day >= m.today-days && (d.Day < m.today || sameDay) {
				kept = append(kept, d)
				oldest = min(oldest, d.Day)
			}
		}
		if len(kept) > 0 {
			m.templates[Template{t.Service, t.Text}] = kept
		}
	}
	m.observed = m.today - oldest
	m.first = m.first && len(m.templates) == 0
	return m
}

// beforeAll reports whether a report is that of the first start, which has nothing to tell.
func beforeAll(r *state.Report) bool { return r.Since.IsZero() && r.Lines == 0 }

// before returns what is known of a group: also that of the kinds that have become a part of it.
func (m *memory) before(g *Group) []state.DayCount {
	days := slices.Clone(m.templates[g.Template])
	for _, t := range g.Replaces {
		for _, d := range m.templates[t] {
			days = addDay(days, d)
		}
	}
	return days
}

// mark compares a group with the days before. period is the time of the report.
func (m *memory) mark(g *Group, period time.Duration) (Mark, string) {
	if m.first {
		return Usual, ""
	}
	days := m.before(g)
	if len(days) == 0 {
		return New, ""
	}
	usual := m.usual(days, period)
	n := float64(g.Count)
	if m.observed >= minObserved && n >= risingTimes*usual && n-usual >= risingLines {
		if usual < 1 {
			return Rising, "usually less than one " + periodText(period)
		}
		return Rising, fmt.Sprintf("%d times its usual %d", int(math.Round(n/usual)), int(math.Round(usual)))
	}
	return Usual, ""
}

// usual returns how many lines of a kind are to be expected.
func (m *memory) usual(days []state.DayCount, period time.Duration) float64 {
	total := int64(0)
	for _, d := range days {
		if d.Day < m.today {
			total += d.Count
		}
	}
	return float64(total) / float64(max(1, m.observed)) * period.Hours() / 24
}

// periodText says what a number of lines is to be compared with: "a day", "in 3 hours".
func periodText(period time.Duration) string {
	hours := max(1, int(math.Round(period.Hours())))
	days := int(math.Round(period.Hours() / 24))
	switch {
	case days == 1:
		return "a day"
	case days > 1:
		return "in " + count(days, "day")
	case hours == 1:
		return "an hour"
	}
	return "in " + count(hours, "hour")
}

// gone returns the kinds that are usual and did not come.
func (m *memory) gone(groups []Group, period time.Duration) []Gone {
	if m.observed < minRegular || period < minGonePeriod {
		return nil
	}
	here := map[Template]bool{}
	for i := range groups {
		here[groups[i].Template] = true
		for _, t := range groups[i].Replaces {
			here[t] = true
		}
	}
	var list []Gone
	for _, t := range slices.SortedFunc(maps.Keys(m.templates), compareTemplates) {
		days := m.templates[t]
		came := 0
		for _, d := range days {
			if d.Day < m.today {
				came++
			}
		}
		if here[t] || float64(came) < regularShare*float64(m.observed) {
			continue
		}
		list = append(list, Gone{t.Service, t.Text, fmt.Sprintf("on %d of %s, %s a day; last on %s",
			came, count(m.observed, "day"), count(int(math.Ceil(m.usual(days, 24*time.Hour))), "line"), dayText(days[len(days)-1].Day))})
	}
	return list
}

// learn returns what is to be remembered from now on: what changes, and what is forgotten.
func (m *memory) learn(groups []Group) (put, forget []state.Template) {
	known := maps.Clone(m.templates)
	changed := map[Template]bool{}
	for i := range groups {
		g := &groups[i]
		days := m.before(g)
		for _, d := range g.Days {
			days = addDay(days, d)
		}
		for _, t := range g.Replaces {
			delete(known, t)
		}
		known[g.Template] = days
		changed[g.Template] = true
	}
	if n := len(known) - maxTemplates; n > 0 {
		oldest := slices.SortedFunc(maps.Keys(known), func(a, b Template) int {
			x, y := known[a], known[b]
			return cmp.Or(cmp.Compare(x[len(x)-1].Day, y[len(y)-1].Day), compareTemplates(a, b))
		})
		for _, t := range oldest[:n] {
			delete(known, t)
		}
	}
	for _, t := range slices.SortedFunc(maps.Keys(changed), compareTemplates) {
		if days := known[t]; days != nil {
			put = append(put, state.Template{Service: t.Service, Text: t.Text, Days: days})
		}
	}
	for _, t := range m.all {
		if known[Template{t.Service, t.Text}] == nil {
			forget = append(forget, t)
		}
	}
	return put, forget
}

const (
	// A chain is sleeping if it has matched on this many days at least, and then not for this many, and for this many times as long as it
	// ever was silent between.
	minMatchDays  = 5
	minSilentDays = 3
	silentTimes   = 2
	// Its service still logs if it does so this often, compared with the time when the chain matched.
	stillLogsShare = 0.25
)

// sleepers returns the chains that used to match and have not for unusually long, while their services still log. chains are
// those of the configuration; today is the last day that is known.
func (a *activity) sleepers(chains []string, today int) Sleepers {
	var list Sleepers
	for _, chain := range chains {
		byDay := map[int]int64{}
		for _, days := range a.chains[chain] {
			for day, n := range days {
				byDay[day] += n
			}
		}
		days := slices.Sorted(maps.Keys(byDay))
		if len(days) < minMatchDays {
			continue
		}
		last, gap := days[len(days)-1], 1
		for i := range days[1:] {
			gap = max(gap, days[i+1]-days[i])
		}
		silent := today - last
		if silent < minSilentDays || silent <= silentTimes*gap {
			continue
		}
		note := fmt.Sprintf("matched on %d of the %s before, at most %s apart; not for %s",
			len(days), count(last-days[0]+1, "day"), count(gap, "day"), count(silent, "day"))
		if logged := a.stillLog(chain, days[0], last, today); logged != "" {
			list = append(list, Sleeper{chain, note + ", while " + logged})
		}
	}
	return list
}

// stillLog says how much the services have logged since a chain matched last, "" if they are quiet, too.
func (a *activity) stillLog(chain string, first, last, today int) string {
	var parts []string
	for _, service := range slices.Sorted(maps.Keys(a.chains[chain])) {
		before, since := int64(0), int64(0)
		for day, n := range a.services[service] {
			switch {
			case day > last && day <= today:
				since += n
			case day >= first && day <= last:
				before += n
			}
		}
		daily := float64(before) / float64(last-first+1)
		if service != "" && since > 0 && float64(since)/float64(today-last) >= stillLogsShare*daily {
			parts = append(parts, fmt.Sprintf("%s has logged %s", service, countOf(int(since), "entry", "entries")))
		}
	}
	return strings.Join(parts, ", ")
}
