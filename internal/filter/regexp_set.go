package filter

import (
	"slices"
	"sync"
	"unicode"
)

// runeRange is a range of code points, both ends included.
type runeRange struct{ lo, hi rune }

// runeSet is a set of code points: ranges in ascending order that neither overlap nor touch.
// The functions here return an empty set as such, not as nil. Sets are shared: don't modify them.
type runeSet []runeRange

const (
	firstSurrogate = 0xd800
	lastSurrogate  = 0xdfff
)

var (
	anyRune = runeSet{{0, unicode.MaxRune}}
	notLine = runeSet{{'\n', '\n'}}.negate()
)

// normalize sorts the ranges and joins those that overlap or touch. It works in place.
func normalize(s runeSet) runeSet {
	slices.SortFunc(s, func(a, b runeRange) int { return int(a.lo - b.lo) })
	out := s[:0]
	for _, r := range s {
		if n := len(out); n > 0 && r.lo <= out[n-1].hi+1 {
			out[n-1].hi = max(out[n-1].hi, r.hi)
			continue
		}
		out = append(out, r)
	}
	return out
}

// union returns the code points that are in any of the sets.
func union(sets ...runeSet) runeSet { return normalize(slices.Concat(sets...)) }

// negate returns the code points that are not in s.
func (s runeSet) negate() runeSet {
	out := runeSet{}
	next := rune(0)
	for _, r := range s {
		if r.lo > next {
			out = append(out, runeRange{next, r.lo - 1})
		}
		next = r.hi + 1
	}
	if next <= unicode.MaxRune {
		out = append(out, runeRange{next, unicode.MaxRune})
	}
	return out
}

// ascii returns the members of s that are in ASCII.
func (s runeSet) ascii() runeSet {
	out := runeSet{}
	for _, r := range s {
		if r.lo <= unicode.MaxASCII {
			out = append(out, runeRange{r.lo, min(r.hi, unicode.MaxASCII)})
		}
	}
	return out
}

func (s runeSet) contains(r rune) bool {
	_, found := slices.BinarySearchFunc(s, r, func(x runeRange, r rune) int {
		switch {
		case x.hi < r:
			return -1
		case x.lo > r:
			return 1
		}
		return 0
	})
	return found
}

// spans reports whether all code points from lo to hi are in s.
func (s runeSet) spans(lo, hi rune) bool {
	return slices.ContainsFunc(s, func(x runeRange) bool { return x.lo <= lo && hi <= x.hi })
}

// fromTables returns the union of Unicode tables. Surrogates are no characters and left out.
func fromTables(tables ...*unicode.RangeTable) runeSet {
	out := runeSet{}
	add := func(lo, hi, stride rune) {
		if lo >= firstSurrogate && hi <= lastSurrogate {
			return
		}
		if stride == 1 {
			out = append(out, runeRange{lo, hi})
			return
		}
		for r := lo; r <= hi; r += stride {
			out = append(out, runeRange{r, r})
		}
	}
	for _, t := range tables {
		for _, r := range t.R16 {
			add(rune(r.Lo), rune(r.Hi), rune(r.Stride))
		}
		for _, r := range t.R32 {
			add(rune(r.Lo), rune(r.Hi), rune(r.Stride))
		}
	}
	return normalize(out)
}

// The classes as Python defines them: \w is str.isalnum() or "_", \d is
// str.isdecimal(), \s is str.isspace(), which includes the separators U+001C to U+001F.
var (
	wordSet  = sync.OnceValue(func() runeSet { return union(fromTables(unicode.L, unicode.N), runeSet{{'_', '_'}}) })
	digitSet = sync.OnceValue(func() runeSet { return fromTables(unicode.Nd) })
	spaceSet = sync.OnceValue(func() runeSet {
		return union(fromTables(unicode.Zs), runeSet{{'\t', '\r'}, {0x1c, ' '}, {0x85, 0x85}, {0x2028, 0x2029}})
	})
	blankSet = sync.OnceValue(func() runeSet { return union(fromTables(unicode.Zs), runeSet{{'\t', '\t'}}) })
)

// isWord reports whether r is in \w.
func isWord(r rune) bool {
	if r < unicode.MaxASCII {
		return r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
	}
	return unicode.IsLetter(r) || unicode.IsNumber(r)
}

// escapeClass returns the set of \d, \w, \s, \h or their negations; ascii restricts
// it (before negation) to ASCII, as the flag "a" asks for.
func escapeClass(letter byte, ascii bool) (runeSet, bool) {
	var s runeSet
	switch letter | 0x20 {
	case 'd':
		s = digitSet()
	case 'w':
		s = wordSet()
	case 's':
		s = spaceSet()
	case 'h':
		s = blankSet()
	default:
		return nil, false
	}
	switch {
	case ascii && letter|0x20 == 's':
		s = runeSet{{'\t', '\r'}, {' ', ' '}}
	case ascii:
		s = s.ascii()
	}
	if letter < 'a' {
		s = s.negate()
	}
	return s, true
}

// posixClass returns the set of [:name:], with the meaning it has in Perl for Unicode texts.
func posixClass(name string, ascii bool) (runeSet, bool) {
	var s runeSet
	switch name {
	case "alpha":
		s = fromTables(unicode.L)
	case "digit":
		s = digitSet()
	case "alnum":
		s = fromTables(unicode.L, unicode.Nd)
	case "upper":
		s = fromTables(unicode.Lu)
	case "lower":
		s = fromTables(unicode.Ll)
	case "space":
		s = spaceSet()
	case "blank":
		s = blankSet()
	case "punct":
		s = union(fromTables(unicode.P), runeSet{{'!', '/'}, {':', '@'}, {'[', '`'}, {'{', '~'}})
	case "cntrl":
		s = fromTables(unicode.Cc)
	case "graph":
		s = union(fromTables(unicode.Z, unicode.C), runeSet{{firstSurrogate, lastSurrogate}}).negate()
	case "print":
		s = union(fromTables(unicode.Zl, unicode.Zp, unicode.C), runeSet{{firstSurrogate, lastSurrogate}}).negate()
	case "word":
		s = wordSet()
	case "xdigit":
		s = runeSet{{'0', '9'}, {'A', 'F'}, {'a', 'f'}}
	case "ascii":
		s = runeSet{{0, unicode.MaxASCII}}
	default:
		return nil, false
	}
	if ascii {
		s = s.ascii()
	}
	return s, true
}

// property returns the set of \p{name}: a general category, a script or a property of Unicode.
func property(name string) (runeSet, bool) {
	if name == "Any" {
		return anyRune, true
	}
	if alias, ok := unicode.CategoryAliases[name]; ok {
		name = alias
	}
	for _, tables := range []map[string]*unicode.RangeTable{unicode.Categories, unicode.Scripts, unicode.Properties} {
		if t, ok := tables[name]; ok {
			return fromTables(t), true
		}
	}
	return nil, false
}

// pythonFolds are the case equivalences of Python's re that Unicode's simple case
// folding lacks: dotted and dotless i, and letters whose full upper case is the same.
var pythonFolds = [][]rune{
	{'I', 'i', 0x130, 0x131}, {0x390, 0x1fd3}, {0x3b0, 0x1fe3}, {0xfb05, 0xfb06},
}

// foldOrbits lists the sets of code points that are equal when case is ignored.
var foldOrbits = sync.OnceValue(func() [][]rune {
	orbits := slices.Clone(pythonFolds)
	for _, x := range fromTables(unicode.L, unicode.M, unicode.N, unicode.S) {
		for r := x.lo; r <= x.hi; r++ {
			if r == 'I' {
				continue // in pythonFolds
			}
			orbit := []rune{r}
			for f := unicode.SimpleFold(r); f > r; f = unicode.SimpleFold(f) {
				orbit = append(orbit, f)
			}
			if len(orbit) > 1 && unicode.SimpleFold(orbit[len(orbit)-1]) == r {
				orbits = append(orbits, orbit)
			}
		}
	}
	return orbits
})

// fold adds the other cases of the members of s; with ascii only those of ASCII letters.
func (s runeSet) fold(ascii bool) runeSet {
	out := slices.Clone(s)
	if ascii {
		for c := 'a'; c <= 'z'; c++ {
			if upper := c - 'a' + 'A'; s.contains(c) != s.contains(upper) {
				out = append(out, runeRange{c, c}, runeRange{upper, upper})
			}
		}
		return normalize(out)
	}
	for _, orbit := range foldOrbits() {
		if slices.ContainsFunc(orbit, s.contains) {
			for _, r := range orbit {
				out = append(out, runeRange{r, r})
			}
		}
	}
	return normalize(out)
}
