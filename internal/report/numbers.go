package report

import (
	"strings"
	"time"

	"github.com/pyruse/pyruse/internal/state"
)

// Numbers is what was counted in the time of a report.
type Numbers struct {
	Entries int64            // entries that were seen
	Refused int64            // bans of addresses that must not be banned
	Notes   int64            // what was to be mailed
	Errors  map[string]int64 // run-time errors of steps, by chain
	Lag     time.Duration    // how late the latest entry was handled
}

// Add adds what was counted in an hour.
func (n *Numbers) Add(k state.TallyKey, count int64) {
	switch k.Kind {
	case state.TallyEntries:
		n.Entries += count
	case state.TallyRefused:
		n.Refused += count
	case state.TallyNotes:
		n.Notes += count
	case state.TallyErrors:
		addTo(&n.Errors, k.Name, count)
	case state.TallyLag:
		n.Lag = max(n.Lag, time.Duration(count)*time.Second)
	}
}

func addTo(m *map[string]int64, name string, n int64) {
	if *m == nil {
		*m = map[string]int64{}
	}
	(*m)[name] += n
}

func sum(m map[string]int64) int64 {
	total := int64(0)
	for _, n := range m {
		total += n
	}
	return total
}

// activity is when services logged, and when chains were meant for what they logged.
type activity struct {
	services map[string]map[int]int64            // by service and day: entries
	chains   map[string]map[string]map[int]int64 // by chain, service and day: entries that the chain was meant for
}

func newActivity() *activity {
	return &activity{services: map[string]map[int]int64{}, chains: map[string]map[string]map[int]int64{}}
}

// add adds what was counted in an hour.
func (a *activity) add(k state.TallyKey, count int64) {
	day := localDay(time.Unix(k.Hour, 0))
	switch k.Kind {
	case state.TallyEntries:
		addOn(a.services, k.Name, day, count)
	case state.TallyMatches:
		chain, service, _ := strings.Cut(k.Name, state.MatchName("", ""))
		if a.chains[chain] == nil {
			a.chains[chain] = map[string]map[int]int64{}
		}
		addOn(a.chains[chain], service, day, count)
	}
}

func addOn(m map[string]map[int]int64, name string, day int, n int64) {
	if m[name] == nil {
		m[name] = map[int]int64{}
	}
	m[name][day] += n
}

// dayText writes a day as 2006-01-02.
func dayText(day int) string { return time.Unix(int64(day)*86400, 0).UTC().Format(time.DateOnly) }
