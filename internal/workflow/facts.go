package workflow

import (
	"cmp"
	"math"
	"slices"

	"github.com/pyruse/pyruse/internal/entry"
)

// Bounds of what is remembered of one field. What goes beyond is forgotten, which can only cost a warning.
const (
	maxMembers = 256 // values of a filter that the field is known to be among when it has passed
	maxListed  = 64  // values that a field is known to be among where ways meet, or not to be; answers of opaque tests
	maxSources = 8   // steps from which it is known
)

// kindSet is a set of entry.Kind.
type kindSet uint8

func kindsOf(kinds ...entry.Kind) kindSet {
	var s kindSet
	for _, k := range kinds {
		s |= 1 << k
	}
	return s
}

func (s kindSet) has(k entry.Kind) bool { return s&(1<<k) != 0 }

var (
	anyKind     = kindsOf(entry.Missing, entry.Null, entry.String, entry.Int, entry.Float, entry.Time, entry.UUID)
	numberKinds = kindsOf(entry.Int, entry.Float)
	textKinds   = kindsOf(entry.String, entry.UUID)
	noneKinds   = kindsOf(entry.Missing, entry.Null)
)

// known is what is known of the value of a field: it is one of the values that only lists, or, where that is nil, any value of one of the
// kinds, but for those of not, and within the ranges. It never changes.
type known struct {
	kinds   kindSet
	only    []valueID // sorted
	not     []valueID // sorted
	numbers span      // holds for numbers
	texts   span      // holds for texts
	answers []answer  // of opaque tests, sorted by their id
	from    []source  // oldest first
}

// answer is what an opaque test has answered.
type answer struct {
	test int32
	pass bool
}

// source is a step from which something is known.
type source struct {
	node int32
	how  outcome
}

// outcome is how an entry left a step.
type outcome uint8

const (
	passed outcome = iota
	failed
	stored
)

// valueID stands for a value; the values of all questions are numbered, so that lists of them are compared quickly.
type valueID int32

type values struct {
	ids  map[entry.Value]valueID
	list []entry.Value
	none []valueID // missing and null
}

func newValues() *values {
	v := &values{ids: map[entry.Value]valueID{}}
	v.none = []valueID{v.id(entry.Value{}), v.id(entry.NullValue)}
	return v
}

func (v *values) id(x entry.Value) valueID {
	if id, ok := v.ids[x]; ok {
		return id
	}
	id := valueID(len(v.list))
	v.ids[x] = id
	v.list = append(v.list, x)
	return id
}

// span is a range of numbers, or of texts. A missing bound is none.
type span struct {
	low, high         entry.Value
	lowOpen, highOpen bool // the bound itself is outside
}

// compareValues compares two numbers, or two texts.
func compareValues(a, b entry.Value) int {
	if a.IsNumber() {
		return entry.CompareNumbers(a, b)
	}
	return cmp.Compare(a.Str(), b.Str())
}

func (s span) contains(v entry.Value) bool {
	if !s.low.IsMissing() {
		if c := compareValues(v, s.low); c < 0 || c == 0 && s.lowOpen {
			return false
		}
	}
	if !s.high.IsMissing() {
		if c := compareValues(v, s.high); c > 0 || c == 0 && s.highOpen {
			return false
		}
	}
	return true
}

// meet returns what is in both ranges.
func (s span) meet(o span) span {
	if s.low.IsMissing() {
		s.low, s.lowOpen = o.low, o.lowOpen
	} else if !o.low.IsMissing() {
		if c := compareValues(o.low, s.low); c > 0 || c == 0 && o.lowOpen {
			s.low, s.lowOpen = o.low, o.lowOpen
		}
	}
	if s.high.IsMissing() {
		s.high, s.highOpen = o.high, o.highOpen
	} else if !o.high.IsMissing() {
		if c := compareValues(o.high, s.high); c < 0 || c == 0 && o.highOpen {
			s.high, s.highOpen = o.high, o.highOpen
		}
	}
	return s
}

// hull returns the range from the lowest of both to the highest.
func (s span) hull(o span) span {
	if s.low.IsMissing() || o.low.IsMissing() {
		s.low, s.lowOpen = entry.Value{}, false
	} else if c := compareValues(o.low, s.low); c < 0 || c == 0 && s.lowOpen {
		s.low, s.lowOpen = o.low, o.lowOpen
	}
	if s.high.IsMissing() || o.high.IsMissing() {
		s.high, s.highOpen = entry.Value{}, false
	} else if c := compareValues(o.high, s.high); c > 0 || c == 0 && s.highOpen {
		s.high, s.highOpen = o.high, o.highOpen
	}
	return s
}

// empty reports whether nothing is in the range; it may miss that for texts.
func (s span) empty() bool {
	if s.low.IsMissing() || s.high.IsMissing() {
		return false
	}
	c := compareValues(s.low, s.high)
	return c > 0 || c == 0 && (s.lowOpen || s.highOpen)
}

// ints returns the lowest and the highest integer of a range of numbers; low is above high if there is none.
func (s span) ints() (low, high int64) {
	low, high = math.MinInt64, math.MaxInt64
	if !s.low.IsMissing() {
		n, exact, beyond := floorOf(s.low)
		switch {
		case beyond > 0 || n == math.MaxInt64 && (!exact || s.lowOpen):
			return 1, 0
		case beyond < 0:
		case !exact || s.lowOpen:
			low = n + 1
		default:
			low = n
		}
	}
	if !s.high.IsMissing() {
		n, exact, beyond := floorOf(s.high)
		switch {
		case beyond < 0 || n == math.MinInt64 && exact && s.highOpen:
			return 1, 0
		case beyond > 0:
		case exact && s.highOpen:
			high = n - 1
		default:
			high = n
		}
	}
	return low, high
}

// floorOf returns the largest integer that is not above a number, and whether it is the number; beyond is
// the sign of a number that is beyond all integers of 64 bits.
func floorOf(v entry.Value) (n int64, exact bool, beyond int) {
	if v.Kind() == entry.Int {
		return v.Int(), true, 0
	}
	f := v.Float()
	whole := math.Floor(f)
	switch {
	case math.IsNaN(f) || whole < math.MinInt64:
		return 0, false, -1
	case whole >= math.MaxInt64: // which is 2^63 as a float64
		return 0, false, 1
	}
	return int64(whole), whole == f, 0
}

// contains reports whether the field may have that value.
func (k *known) contains(vals *values, id valueID) bool {
	if k.only != nil {
		return hasID(k.only, id)
	}
	v := vals.list[id]
	return k.kinds.has(v.Kind()) && !hasID(k.not, id) &&
		(!v.IsNumber() || k.numbers.contains(v)) && (!isText(v) || k.texts.contains(v))
}

func isText(v entry.Value) bool { return textKinds.has(v.Kind()) }

func hasID(list []valueID, id valueID) bool {
	_, found := slices.BinarySearch(list, id)
	return found
}

// among returns what is known when the value is, or is not, one of ids, which are sorted; nil if that cannot be.
func (k known) among(vals *values, ids []valueID, is bool) *known {
	if k.only != nil || is {
		list := ids
		if k.only != nil {
			list = k.only
		}
		only := make([]valueID, 0, min(len(list), 8))
		for _, id := range list {
			if k.contains(vals, id) && hasID(ids, id) == is {
				only = append(only, id)
			}
		}
		return k.listed(vals, only)
	}
	k.not = slices.Clone(k.not)
	for _, id := range ids { // missing and null have the lowest
		switch kind := vals.list[id].Kind(); {
		case noneKinds.has(kind): // kinds of a single value
			k.kinds &^= 1 << kind
		case len(k.not) == maxListed:
			return k.settle(vals)
		case k.contains(vals, id):
			at, _ := slices.BinarySearch(k.not, id)
			k.not = slices.Insert(k.not, at, id)
		}
	}
	return k.settle(vals)
}

// listed returns what is known when the value is one of only, which is sorted; nil if there is none.
func (k known) listed(vals *values, only []valueID) *known {
	if len(only) == 0 {
		return nil
	}
	n := &known{only: only, answers: k.answers, from: k.from}
	for _, id := range only {
		n.kinds |= 1 << vals.list[id].Kind()
	}
	return n
}

// compared returns what is known when a comparison with bound has passed or not; nil if that cannot be.
func (k known) compared(vals *values, test Test, bound entry.Value, pass bool) *known {
	s := span{low: bound}
	if test == AtMost {
		s = span{high: bound}
	}
	kinds := textKinds
	if bound.IsNumber() {
		kinds = numberKinds
	}
	if k.only != nil {
		var only []valueID
		for _, id := range k.only {
			v := vals.list[id]
			if (kinds.has(v.Kind()) && s.contains(v)) == pass {
				only = append(only, id)
			}
		}
		return k.listed(vals, only)
	}
	if pass {
		k.kinds &= kinds
	} else {
		s = span{low: s.high, high: s.low, lowOpen: true, highOpen: true}
	}
	if bound.IsNumber() {
		k.numbers = k.numbers.meet(s)
	} else {
		k.texts = k.texts.meet(s)
	}
	return k.settle(vals)
}

// settle drops kinds that no value is left of, and makes a list of few integers; nil if no value is left.
func (k known) settle(vals *values) *known {
	if k.numbers.empty() {
		k.kinds &^= numberKinds
	}
	if k.texts.empty() {
		k.kinds &^= textKinds
	}
	low, high := k.numbers.ints()
	if low > high {
		k.kinds &^= kindsOf(entry.Int)
	}
	switch {
	case k.kinds == 0:
		return nil
	case k.kinds == kindsOf(entry.Int) && uint64(high)-uint64(low) < maxListed:
		var only []valueID
		for i := low; ; i++ {
			if id := vals.id(entry.IntValue(i)); !hasID(k.not, id) {
				only = append(only, id)
			}
			if i == high {
				break
			}
		}
		slices.Sort(only)
		return k.listed(vals, only)
	case k.kinds&^noneKinds == 0:
		var only []valueID
		for _, v := range []entry.Value{{}, entry.NullValue} {
			if k.kinds.has(v.Kind()) {
				only = append(only, vals.id(v))
			}
		}
		slices.Sort(only)
		return k.listed(vals, only)
	}
	return &k
}

// answered returns what is known when an opaque test has given an answer; nil if that cannot be.
func (k known) answered(vals *values, a answer, onNone bool) *known {
	at, found := slices.BinarySearchFunc(k.answers, a, func(x, y answer) int { return cmp.Compare(x.test, y.test) })
	switch {
	case found && k.answers[at].pass != a.pass:
		return nil
	case !found && len(k.answers) < maxListed:
		k.answers = slices.Insert(slices.Clone(k.answers), at, a)
	}
	if onNone == a.pass {
		return &k
	}
	return k.among(vals, vals.none, false)
}

// join returns what holds of a value of which a or b is known.
func (v *values) join(a, b *known) *known {
	if a == b {
		return a
	}
	k := &known{kinds: a.kinds | b.kinds, answers: common(a.answers, b.answers), from: common(a.from, b.from)}
	if a.only != nil && b.only != nil {
		only := slices.Compact(slices.Sorted(slices.Values(slices.Concat(a.only, b.only))))
		if len(only) <= maxListed {
			k.only = only
		}
		return k
	}
	for _, x := range [][2]*known{{a, b}, {b, a}} {
		for _, id := range x[0].not {
			if !x[1].contains(v, id) && len(k.not) < maxListed {
				k.not = append(k.not, id)
			}
		}
	}
	slices.Sort(k.not)
	k.not = slices.Compact(k.not)
	k.numbers = joinSpans(v, a, b, numberKinds, func(k *known) span { return k.numbers })
	k.texts = joinSpans(v, a, b, textKinds, func(k *known) span { return k.texts })
	return k
}

// joinSpans returns the range of a or b, for values of these kinds.
func joinSpans(vals *values, a, b *known, kinds kindSet, of func(*known) span) span {
	switch {
	case a.kinds&kinds == 0:
		return b.span(vals, kinds, of)
	case b.kinds&kinds == 0:
		return a.span(vals, kinds, of)
	}
	return a.span(vals, kinds, of).hull(b.span(vals, kinds, of))
}

// span returns the range of the values of these kinds.
func (k *known) span(vals *values, kinds kindSet, of func(*known) span) span {
	if k.only == nil {
		return of(k)
	}
	var s span
	first := true
	for _, id := range k.only {
		v := vals.list[id]
		if !kinds.has(v.Kind()) {
			continue
		}
		if first {
			s, first = span{low: v, high: v}, false
		}
		s = s.hull(span{low: v, high: v})
	}
	return s
}

// common returns what is in both lists, in the order of the first.
func common[T comparable](a, b []T) []T {
	if len(a) == len(b) && slices.Equal(a, b) {
		return a
	}
	var out []T
	for _, x := range a {
		if slices.Contains(b, x) {
			out = append(out, x)
		}
	}
	return out
}

// heardFrom returns what is known with one more source.
func (k known) heardFrom(s source) *known {
	k.from = append(slices.Clone(k.from[max(0, len(k.from)-maxSources+1):]), s)
	return &k
}
