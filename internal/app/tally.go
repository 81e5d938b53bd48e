package app

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

// tally counts what the reports tell in numbers, by hours of the time of the entries. It is made for many entries: one more costs
// two look-ups. The zero tally is ready.
type tally struct {
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

// use says how chains are called from now on.
func (t *tally) use(chain func(int32) string) {
	t.close()
	t.forget()
	t.chain = chain
}

// entry counts an entry of a service, and the chains that were meant for it.
func (t *tally) entry(service string, usec int64, chains []int32) {
	if usec < t.from || usec >= t.to {
		t.close()
		t.forget()
		t.from = hourOf(usec) * 1e6
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

func (t *tally) newService(service string) *serviceTally {
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

func (t *tally) match(s *serviceTally, chain int32) {
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
func (t *tally) close() {
	for name, s := range t.services {
		t.closeService(name, s)
	}
	t.closeService("", &t.other)
}

// forget begins another hour, or that of other chains.
func (t *tally) forget() {
	clear(t.services)
	t.other, t.matches = serviceTally{}, 0
}

func (t *tally) closeService(name string, s *serviceTally) {
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

func (t *tally) put(k state.TallyKey, n int64) {
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

// add counts one of a kind that is rare.
func (t *tally) add(kind, name string, at time.Time) {
	t.put(state.TallyKey{Hour: hourOf(at.UnixMicro()), Kind: kind, Name: name}, 1)
}

// lag notes how late an entry was handled, in microseconds.
func (t *tally) lag(usec, at int64) {
	seconds := usec / 1e6
	if seconds == 0 {
		return
	}
	k := state.TallyKey{Hour: hourOf(at), Kind: state.TallyLag}
	if t.waiting[k] < seconds {
		t.put(k, seconds-t.waiting[k])
	}
}

// collect returns what was counted since it was committed.
func (t *tally) collect() map[state.TallyKey]int64 {
	t.close()
	return t.waiting
}

// committed tells that what was collected is in the database.
func (t *tally) committed() { clear(t.waiting) }

// hourOf returns the beginning of the hour of a local clock that a time is in, in seconds since 1970: zones are not all whole hours
// from UTC.
func hourOf(usec int64) int64 {
	_, offset := time.UnixMicro(usec).Zone()
	seconds := usec / 1e6
	return seconds - ((seconds+int64(offset))%3600+3600)%3600
}
