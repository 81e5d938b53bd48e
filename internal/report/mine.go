package report

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/pyruse/pyruse/internal/state"
)

// The bounds of what a Miner keeps. What is beyond them is only counted (Left).
const (
	maxMined   = 80 << 20 // bytes for distinct masked lines with what goes with them, by estimate: 100,000 to 200,000 usual ones
	minedLine  = 280      // of maxMined for each, on top of the texts
	minedWord  = 8        // of maxMined for each word of it, for the comparison
	minedDay   = 16       // of maxMined for each further day that it came on
	maxExample = 1000     // bytes
	maxKnown   = 10_000   // remembered templates

	// shelves are what services share maxMined by: a flood of one service leaves the groups of nearly all others whole.
	shelves = 256
)

// Miner groups lines that differ only in numbers, addresses, IDs and names. It is not safe for concurrent use.
//
// Each line is masked (see masker). Equal masked lines are counted as one. Groups compares the distinct ones, in sorted order, so that
// the order of the lines plays no part. What is beyond the bounds is chosen by hash and not by order, too.
type Miner struct {
	masker masker
	known  map[string][]string // texts by service, sorted
	shelf  [shelves]shelf
	quota  int // what one shelf may hold at most
	left   int
}

// shelf holds the lines of some services.
type shelf struct {
	lines map[lineKey]*minedLines
	size  int    // by the estimate of maxMined
	limit uint64 // the highest hash that is kept
	full  bool   // it has held more than the quota
	last  string // the service of the line that came last
}

type lineKey struct{ service, text string }

// minedLines are lines that are equal when masked.
type minedLines struct {
	lineKey
	example     string
	number      int64 // of the example
	first, last int64 // microseconds since 1970, as the journal has them
	count       int
	days        []state.DayCount
	longest     int // of the examples so far
	origin      Origin
}

// Origin is what is known of the entries of lines.
type Origin struct {
	Unit  string // _SYSTEMD_UNIT; "" if they have none, or not all the same
	Acted bool   // something came of one of them, such as a counter that was raised
}

// and returns what is known of the entries of both.
func (o Origin) and(x Origin) Origin {
	if o.Unit != x.Unit {
		o.Unit = ""
	}
	o.Acted = o.Acted || x.Acted
	return o
}

// Group is one template with the lines that it stands for.
type Group struct {
	Template    Template
	Known       bool       // it is one of the remembered templates
	Replaces    []Template // remembered templates that became this more general one, sorted
	Count       int
	First, Last time.Time        // to the microsecond
	Example     string           // the first line, of those at the same time the one with the lowest number; cut to maxExample bytes
	Days        []state.DayCount // ascending
	Variants    int              // distinct masked lines
	Origin      Origin
}

// NewMiner takes the templates that are remembered from former days: a line that fits one stays with it. Those that are no templates are
// ignored, and those behind the first maxKnown in the order of service and text.
func NewMiner(known []Template) *Miner {
	m := &Miner{known: map[string][]string{}, quota: maxMined}
	for i := range m.shelf {
		m.shelf[i] = shelf{lines: map[lineKey]*minedLines{}, limit: math.MaxUint64}
	}
	sorted := slices.SortedFunc(slices.Values(known), compareTemplates)
	sorted = slices.Compact(sorted)
	for _, t := range sorted[:min(len(sorted), maxKnown)] {
		if _, err := ParseTemplate(t.Text); err == nil {
			m.known[t.Service] = append(m.known[t.Service], t.Text)
		}
	}
	return m
}

func compareTemplates(a, b Template) int {
	return cmp.Or(strings.Compare(a.Service, b.Service), strings.Compare(a.Text, b.Text))
}

// Add counts a line. The number tells lines of the same time apart.
func (m *Miner) Add(service, message string, at time.Time, number int64, origin Origin) {
	text := m.masker.mask(message)
	s := &m.shelf[hashText(0, service)%shelves]
	if hashText(1, text) > s.limit {
		m.left++
		return
	}
	before := 0
	l := s.lines[lineKey{service, string(text)}]
	if l == nil {
		l = &minedLines{lineKey: lineKey{s.name(service), string(text)}, first: math.MaxInt64, last: math.MinInt64}
		l.origin = Origin{Unit: strings.Clone(origin.Unit), Acted: origin.Acted}
		s.lines[l.lineKey] = l
	} else {
		before = l.size()
	}
	l.origin = l.origin.and(origin)
	l.add(message, at, number)
	m.grow(s, l.size()-before)
}

func (l *minedLines) add(message string, at time.Time, number int64) {
	l.longest = max(l.longest, min(len(message), maxExample))
	usec := at.UnixMicro()
	if l.count == 0 || usec < l.first || usec == l.first && number < l.number {
		l.example, l.number, l.first = example(message), number, usec
	}
	l.last = max(l.last, usec)
	l.count++
	l.days = addDay(l.days, state.DayCount{Day: localDay(at), Count: 1})
}

// name returns the name of a service, the same string for all its lines.
func (s *shelf) name(service string) string {
	if s.last != service {
		s.last = strings.Clone(service)
	}
	return s.last
}

// size is what goes from maxMined. It never shrinks, and does not depend on the order of the lines.
func (l *minedLines) size() int {
	words := 1 + strings.Count(l.text, " ")
	return minedLine + len(l.service) + len(l.text) + l.longest + minedWord*words + minedDay*(len(l.days)-1)
}

// example returns a copy of the message, cut between two characters if it is long.
func example(message string) string {
	const ellipsis = "…"
	if len(message) <= maxExample {
		return strings.Clone(message)
	}
	end := maxExample - len(ellipsis)
	for back := 0; back < utf8.UTFMax && !utf8.RuneStart(message[end]); back++ {
		end--
	}
	return message[:end] + ellipsis
}

func localDay(at time.Time) int {
	const day = 24 * 60 * 60
	_, offset := at.Local().Zone()
	seconds := at.Unix() + int64(offset)
	days := seconds / day
	if seconds%day < 0 {
		days--
	}
	return int(days)
}

func addDay(days []state.DayCount, d state.DayCount) []state.DayCount {
	i, found := slices.BinarySearchFunc(days, d.Day, func(e state.DayCount, day int) int { return cmp.Compare(e.Day, day) })
	if found {
		days[i].Count += d.Count
		return days
	}
	return slices.Insert(days, i, d)
}

// grow counts size more bytes for a shelf, and makes room if they are too many.
//
// What is kept in the end does not depend on the order of the lines: the quota is the largest (of maxMined, a half, a quarter…) with which the
// shelves, each counted with all its lines but not above the quota, are within maxMined. The limit of a shelf is the largest hash (of all, a
// half, a quarter…) with which it is within the quota. Both can only become smaller with each line. With all shelves full
// there is room for each.
func (m *Miner) grow(s *shelf, size int) {
	if size == 0 {
		return
	}
	s.size += size
	m.shrink(s)
	for m.quota > maxMined/shelves && m.held() > maxMined {
		m.quota /= 2
		for i := range m.shelf {
			m.shrink(&m.shelf[i])
		}
	}
}

// held is what the shelves hold, or would hold.
func (m *Miner) held() int {
	sum := 0
	for i := range m.shelf {
		if m.shelf[i].full {
			sum += m.quota
		} else {
			sum += m.shelf[i].size
		}
	}
	return sum
}

// shrink drops lines of a shelf until it is within the quota.
func (m *Miner) shrink(s *shelf) {
	for s.size > m.quota {
		s.full = true
		s.limit /= 2
		for key, l := range s.lines {
			if hashText(1, key.text) > s.limit {
				s.size -= l.size()
				m.left += l.count
				delete(s.lines, key)
			}
		}
	}
}

// Left returns how many lines no group could be made for.
func (m *Miner) Left() (lines int) { return m.left }

// hashText is FNV-1a with the last step of MurmurHash3 behind it, because the highest bits count here. It has no random seed: the
// same lines shall give the same report.
func hashText[T string | []byte](seed uint64, text T) uint64 {
	h := seed ^ 14695981039346656037
	for i := range len(text) {
		h = (h ^ uint64(text[i])) * 1099511628211
	}
	return mix(h)
}

func mix(h uint64) uint64 {
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

// Groups returns what was added, the largest group first, then by service and text.
func (m *Miner) Groups() []Group {
	byService := map[string][]*minedLines{}
	for i := range m.shelf {
		for key, l := range m.shelf[i].lines {
			byService[key.service] = append(byService[key.service], l)
		}
	}
	var groups []Group
	for service, lines := range byService {
		groups = append(groups, mineService(service, lines, m.known[service])...)
	}
	slices.SortFunc(groups, func(a, b Group) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), compareTemplates(a.Template, b.Template))
	})
	return groups
}

// mineService groups the lines of one service.
func mineService(service string, lines []*minedLines, known []string) []Group {
	slices.SortFunc(lines, func(a, b *minedLines) int { return strings.Compare(a.text, b.text) })
	buckets := map[string]*bucket{}
	var key []byte
	var shape []position
	of := func(text string) *bucket {
		shape = shapeOf(text, shape[:0])
		key = appendBucketKey(key[:0], text, shape)
		b := buckets[string(key)]
		if b == nil {
			b = &bucket{}
			buckets[string(key)] = b
		}
		return b
	}
	for _, text := range known {
		b := of(text)
		b.known = append(b.known, text)
	}
	for _, l := range lines {
		b := of(l.text)
		b.lines = append(b.lines, l)
	}
	var groups []Group
	for _, b := range buckets {
		if len(b.lines) == 0 {
			continue
		}
		for _, f := range b.mine() {
			groups = append(groups, f.group(service))
		}
	}
	return groups
}

// foundTemplate is a group before its lines are added up.
type foundTemplate struct {
	text     string
	known    bool
	replaces []string
	lines    []*minedLines
}

func (f foundTemplate) group(service string) Group {
	first, last := f.lines[0], int64(math.MinInt64)
	g := Group{Template: Template{service, f.text}, Known: f.known, Variants: len(f.lines), Origin: first.origin}
	for _, text := range f.replaces {
		g.Replaces = append(g.Replaces, Template{service, text})
	}
	for _, l := range f.lines {
		g.Count += l.count
		g.Origin = g.Origin.and(l.origin)
		if l.first < first.first || l.first == first.first && l.number < first.number {
			first = l
		}
		last = max(last, l.last)
		for _, d := range l.days {
			g.Days = addDay(g.Days, d)
		}
	}
	g.First, g.Last, g.Example = time.UnixMicro(first.first), time.UnixMicro(last), first.example
	return g
}
