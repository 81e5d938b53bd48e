package report

import (
	"strings"
	"time"

	"github.com/pyruse/pyruse/internal/state"
)

const (
	// maxServices and maxMatches bound what is told apart in an hour: whoever may log can choose the name of a service. What is more is
	// counted under the service "".
	maxServices = 200
	maxMatches  = 1_000
	// maxTally bounds what waits while nothing can be committed. What is more is counted without a name.
	maxTally = 20_000
)

// Tally counts what the reports tell in numbers, by hours of the time of the entries. It is made for many entries: one more costs
// two look-ups. The zero Tally is ready after Use.
type Tally struct {
	chain func(index int32) string

	from, to int64 // the hour that is counted now, in microseconds since 1970
	services map[string]*serviceTally
	other    serviceTally // of further services
	matches  int          // pairs of a chain and a service

	waiting map[state.TallyKey]int64
}

// serviceTally is what the entries of one service were in an hour.
type serviceTally struct {
	entries int64
	chains  []chainTally // those that were meant for entries of the service; nearly always one or two
}

type chainTally struct {
	chain int32
	n     int64
}

// Use says how chains are called from now on.
func (t *Tally) Use(chain func(int32) string) {
	t.close()
	t.forget()
	t.chain = chain
}

// Entry counts an entry of a service, and the chains that were meant for it.
func (t *Tally) Entry(service string, usec int64, chains []int32) {
	if usec < t.from || usec >= t.to {
		t.close()
		t.forget()
		t.from = startOfHour(time.UnixMicro(usec)).Unix() * 1e6
		t.to = t.from + 3600e6
	}
	s := t.services[service]
	if s == nil {
		s = t.newService(service)
	}
	s.entries++
	for _, c := range chains {
		t.match(s, c)
	}
}

func (t *Tally) newService(service string) *serviceTally {
	if len(t.services) >= maxServices {
		return &t.other
	}
	if t.services == nil {
		t.services = map[string]*serviceTally{}
	}
	s := &serviceTally{}
	t.services[strings.Clone(service)] = s // what the entry holds is only valid now
	return s
}

func (t *Tally) match(s *serviceTally, chain int32) {
	for i := range s.chains {
		if s.chains[i].chain == chain {
			s.chains[i].n++
			return
		}
	}
	if t.matches >= maxMatches && s != &t.other {
		t.match(&t.other, chain)
		return
	}
	t.matches++
	s.chains = append(s.chains, chainTally{chain, 1})
}

// close puts the numbers of the hour to those that wait. Which services and chains are told apart in it stays known: the bounds are
// those of an hour, however often there is a commit.
func (t *Tally) close() {
	for name, s := range t.services {
		t.closeService(name, s)
	}
	t.closeService("", &t.other)
}

// forget begins another hour, or that of other chains.
func (t *Tally) forget() {
	clear(t.services)
	t.other, t.matches = serviceTally{}, 0
}

func (t *Tally) closeService(name string, s *serviceTally) {
	hour := t.from / 1e6
	if s.entries > 0 {
		t.put(state.TallyKey{Hour: hour, Kind: state.TallyEntries, Name: name}, s.entries)
		s.entries = 0
	}
	for i := range s.chains {
		if c := &s.chains[i]; c.n > 0 {
			t.put(state.TallyKey{Hour: hour, Kind: state.TallyMatches, Name: state.MatchName(t.chain(c.chain), name)}, c.n)
			c.n = 0
		}
	}
}

func (t *Tally) put(k state.TallyKey, n int64) {
	if t.waiting == nil {
		t.waiting = map[state.TallyKey]int64{}
	}
	if len(t.waiting) >= maxTally {
		if _, known := t.waiting[k]; !known {
			k.Name = ""
		}
	}
	t.waiting[k] += n
}

// Count counts one of a kind that is rare.
func (t *Tally) Count(kind, name string, at time.Time) {
	t.put(state.TallyKey{Hour: startOfHour(at).Unix(), Kind: kind, Name: name}, 1)
}

// Lag notes how late an entry was handled, in microseconds.
func (t *Tally) Lag(usec, at int64) {
	seconds := usec / 1e6
	if seconds == 0 {
		return
	}
	k := state.TallyKey{Hour: startOfHour(time.UnixMicro(at)).Unix(), Kind: state.TallyLag}
	if t.waiting[k] < seconds {
		t.put(k, seconds-t.waiting[k])
	}
}

// Collect returns what was counted since it was committed.
func (t *Tally) Collect() map[state.TallyKey]int64 {
	t.close()
	return t.waiting
}

// Committed tells that what was collected is in the database.
func (t *Tally) Committed() { clear(t.waiting) }
