package filter

import (
	"math/rand/v2"
	"slices"
	"strings"
	"unicode/utf8"
)

// Bounds of sample. The steps bound what is repeated without writing anything; the work, in bytes of
// text times nodes of the expression, bounds the searches, and keeps a sample of even the largest expression below a second.
const (
	maxSample      = 4096 // bytes
	maxSampleSteps = 20_000
	maxSampleWork  = 16_000_000
	maxSampleDice  = 24 // attempts with choices by dice
)

// sample returns a text that the expression matches, and in which group i (from 0) captures values[i] for every i in
// values; ok tells whether one was found, of at most maxSample bytes. Other groups capture something plausible. The
// same question has the same answer.
//
// What is written is a guess: what lookaround, a condition or a greedy neighbour makes of it is only known
// when it is searched. So each guess is searched, and where it fails there is another.
func (p *pattern) sample(values map[int]string) (text string, ok bool) {
	text, ok, _ = p.sampleCounting(values)
	return text, ok
}

// sampleCounting is sample, and counts the work, see maxSampleWork.
func (p *pattern) sampleCounting(values map[int]string) (text string, ok bool, work int) {
	wanted := map[*node]bool{}
	for group := range values {
		path := p.tree.path(group + 1)
		if path == nil {
			return "", false, 0
		}
		for _, n := range path {
			wanted[n] = true
		}
	}
	size := p.tree.inspect().size
	for _, taste := range sampleTastes() {
		w := sampler{taste: taste, values: values, wanted: wanted, captured: map[int]string{}}
		if !w.node(p.tree) {
			continue
		}
		text := w.text.String()
		cost := size * (len(text) + 1)
		if work+cost > maxSampleWork {
			continue // the next may be shorter
		}
		matched, err := p.captures(text, values)
		if work += cost; err != nil {
			work += maxSampleWork / 2 // its budget is spent, and likely to be spent again; twice is enough
		}
		if matched {
			return text, true, work
		}
	}
	return "", false, work
}

// samples returns different texts that the expression matches, as few as one or none.
func (p *pattern) samples() []string {
	const most = 12 // branches of an alternation, say
	var list []string
	size, work := p.tree.inspect().size, 0
	for _, taste := range sampleTastes() {
		w := sampler{taste: taste, captured: map[int]string{}}
		if !w.node(p.tree) || slices.Contains(list, w.text.String()) {
			continue
		}
		text := w.text.String()
		if work += size * (len(text) + 1); work > maxSampleWork {
			break
		}
		matched, err := p.captures(text, nil)
		if err != nil {
			break
		}
		if matched {
			list = append(list, text)
		}
		if len(list) == most {
			break
		}
	}
	return list
}

// captures reports whether the first match in text captures exactly these values. The error is errBudget.
func (p *pattern) captures(text string, values map[int]string) (bool, error) {
	groups := make([]span, len(p.groups))
	matched, err := p.search(text, groups)
	if !matched || err != nil {
		return false, err
	}
	for group, value := range values {
		if g := groups[group]; g == unset || text[g.start:g.end] != value {
			return false, nil
		}
	}
	return true, nil
}

// taste is what a sampler prefers where it has the choice.
type taste struct {
	fill   bool       // a repetition of characters that may be empty has one
	option bool       // so has everything else that may be left out
	look   bool       // what a lookaround asks for is written
	letter rune       // the preferred character
	dice   *rand.Rand // decides the above, and between alternatives, each time anew; may be nil
}

// sampleTastes returns the tastes to try, the one with the nicest texts first.
func sampleTastes() []taste {
	tastes := []taste{
		{fill: true, letter: 'x'},
		{letter: 'x'},
		{fill: true, look: true, letter: 'x'},
		{look: true, letter: 'x'},
		{fill: true, letter: ' '}, // a word ends there
		{fill: true, look: true, letter: ' '},
		{fill: true, option: true, letter: 'x'},
		{fill: true, option: true, look: true, letter: 'x'},
	}
	dice := rand.New(rand.NewPCG(1, 2)) // any seed, but always the same
	for range maxSampleDice {
		tastes = append(tastes, taste{letter: 'x', dice: dice})
	}
	return tastes
}

// sampler writes one text. Its methods report whether there is such a text, within the bounds.
type sampler struct {
	taste
	values   map[int]string // by group, from 0
	wanted   map[*node]bool // the groups of values, and all that they are in
	text     strings.Builder
	captured map[int]string // by group, from 1
	steps    int
}

func (w *sampler) write(s string) bool {
	w.text.WriteString(s)
	return w.text.Len() <= maxSample
}

// choose returns a choice of the taste, or of the dice.
func (w *sampler) choose(preferred bool) bool {
	if w.dice != nil {
		return w.dice.IntN(2) == 0
	}
	return preferred
}

func (w *sampler) node(n *node) bool {
	if w.steps++; w.steps > maxSampleSteps {
		return false
	}
	switch n.kind {
	case nodeRune:
		return w.write(string(n.r))
	case nodeSet:
		return w.set(n)
	case nodeRepeat:
		return w.repeat(n)
	case nodeCapture:
		return w.capture(n)
	case nodeAlternate, nodeCondition:
		return w.node(w.branch(n))
	case nodeBackref:
		return w.write(w.captured[n.index])
	case nodeLook:
		return w.lookaround(n)
	}
	for _, s := range n.subs {
		if !w.node(s) {
			return false
		}
	}
	return true
}

// capture writes the value that is wanted of a group, as it is. What groups within it capture is up to the search.
func (w *sampler) capture(n *node) bool {
	start := w.text.Len()
	value, given := w.values[n.index-1]
	if given && !w.write(value) || !given && !w.node(n.subs[0]) {
		return false
	}
	w.captured[n.index] = w.text.String()[start:]
	return true
}

// branch decides between alternatives: for what is wanted, otherwise for the first.
func (w *sampler) branch(n *node) *node {
	for _, s := range n.subs {
		if w.wanted[s] {
			return s
		}
	}
	if n.kind == nodeCondition {
		if _, took := w.captured[n.index]; took {
			return n.subs[0]
		}
		return n.subs[1]
	}
	if w.dice != nil {
		return n.subs[w.dice.IntN(len(n.subs))]
	}
	return n.subs[0]
}

// lookaround writes what a lookaround asks for, unless that is not to the taste, or already there.
func (w *sampler) lookaround(n *node) bool {
	if n.negative || !w.wanted[n] && !w.choose(w.look) {
		return true
	}
	if !n.behind {
		return w.node(n.subs[0])
	}
	before := w.text.String()
	if !w.node(n.subs[0]) {
		return false
	}
	asked := w.text.String()[len(before):]
	if strings.HasSuffix(before, asked) {
		w.text.Reset()
		return w.write(before)
	}
	return true
}

// repeat writes as few rounds as it may, or one where none would do. Rounds that write nothing end it.
func (w *sampler) repeat(n *node) bool {
	rounds := n.min
	if rounds == 0 && n.max != 0 {
		preferred := w.option
		if n.max != 1 && n.subs[0].kind == nodeSet {
			preferred = w.fill
		}
		if w.wanted[n] || w.choose(preferred) {
			rounds = 1
		}
	}
	for range rounds {
		before := w.text.Len()
		if !w.node(n.subs[0]) {
			return false
		}
		if w.text.Len() == before {
			break
		}
	}
	return true
}

// set writes a member of a set: the one that is preferred, or a letter, a digit, or whatever there is.
func (w *sampler) set(n *node) bool {
	if n.fold { // in the case in which the expression has it
		return w.write(string(n.r))
	}
	letter := w.letter
	if w.choose(false) {
		letter = ' ' + w.dice.Int32N('~'-' '+1)
	}
	if n.set.contains(letter) {
		return w.write(string(letter))
	}
	r, ok := n.set.plainest()
	return ok && w.write(string(r))
}

// plainRanges are the printable characters of ASCII, the plainest first.
var plainRanges = runeSet{{'a', 'z'}, {'A', 'Z'}, {'0', '9'}, {'!', '/'}, {':', '@'}, {'[', '`'}, {'{', '~'}, {' ', ' '}}

// plainest returns the member of s that reads best, and whether there is one that a text can contain.
func (s runeSet) plainest() (rune, bool) {
	for _, plain := range plainRanges {
		for _, r := range s {
			if r.lo > plain.hi {
				break
			}
			if lo := max(r.lo, plain.lo); lo <= r.hi {
				return lo, true
			}
		}
	}
	for _, r := range s {
		for _, c := range []rune{r.lo, lastSurrogate + 1} {
			if c >= r.lo && c <= r.hi && utf8.ValidRune(c) {
				return c, true
			}
		}
	}
	return 0, false
}
