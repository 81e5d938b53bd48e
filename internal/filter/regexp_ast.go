package filter

// nodeKind says what a node of a parsed regular expression is.
type nodeKind uint8

const (
	nodeConcat    nodeKind = iota // subs, one after the other; none: the empty expression
	nodeAlternate                 // one of subs, the first that leads to a match
	nodeRune                      // the character r
	nodeSet                       // one character of set
	nodeAssert                    // a position, see assertion
	nodeRepeat                    // subs[0], min to max times
	nodeCapture                   // subs[0], remembered as group index
	nodeAtomic                    // subs[0], without going back into it
	nodeLook                      // subs[0] as lookahead or lookbehind
	nodeBack                      // min characters back: how a branch of a lookbehind begins
	nodeBackref                   // the text of group index
	nodeCondition                 // subs[0] if group index took part, otherwise subs[1]
)

// unlimited is the max of a repetition without an upper bound.
const unlimited = -1

// assertion is a condition on a position that consumes nothing.
type assertion uint8

const (
	textStart    assertion = iota // \A, and ^ without the flag m
	textEnd                       // \Z and \z
	dollar                        // $ without the flag m: at the end, or before a final newline
	lineStart                     // ^ with the flag m
	lineEnd                       // $ with the flag m
	wordBoundary                  // \b
	noBoundary                    // \B
)

// mode says which lengths a repetition tries, in which order.
type mode uint8

const (
	greedy mode = iota
	lazy
	possessive // greedy, and never gives back
)

// node is a part of a regular expression. Flags are already applied: what ignores
// case is a set with all cases, and a dot is the set that it stands for.
type node struct {
	kind     nodeKind
	assert   assertion
	mode     mode
	fold     bool // nodeBackref: ignore case; nodeSet: the cases of r
	ascii    bool // \b, \B: words of ASCII characters; nodeBackref: with fold, ignore their case only
	negative bool // nodeLook
	behind   bool // nodeLook
	listed   bool // nodeSet: written as a list of the characters that may stand there, see parser.class
	r        rune
	index    int
	min, max int // nodeCapture: its width, if that is fixed; otherwise max is unlimited
	set      runeSet
	subs     []*node
}

// features is what of a pattern decides which engine can run it.
type features struct {
	backtracking string // the first construct that RE2 lacks, "" if there is none
	dollar       bool
	lineEnd      bool
	asciiWord    bool // \b under the flag a
	unicodeWord  bool
	wide         bool // holds a set whose members beyond ASCII are many
	repeat       int  // the largest product of nested repeat counts
	size         int  // nodes after all repetitions have been written out
}

// maxSize bounds features.size for the linear engines; RE2 writes repetitions out,
// the backtracking engine counts.
const maxSize = 20_000

// maxWidth is more than any subject has characters. Widths end there, to keep nested counts from overflowing.
const maxWidth = 1 << 30

// maxLinearRepeat is the largest features.repeat that Go's regexp takes.
const maxLinearRepeat = 1000

// inspect gathers the features of n and the nodes below.
func (n *node) inspect() features {
	f := features{repeat: 1, size: 1}
	switch n.kind {
	case nodeSet:
		f.wide = len(n.set) > 8
	case nodeAssert:
		word := n.assert == wordBoundary || n.assert == noBoundary
		f.dollar = n.assert == dollar
		f.lineEnd = n.assert == lineEnd
		f.asciiWord = word && n.ascii
		f.unicodeWord = word && !n.ascii
	case nodeAtomic:
		f.backtracking = "an atomic group"
	case nodeLook:
		f.backtracking = "a lookahead"
		if n.behind {
			f.backtracking = "a lookbehind"
		}
	case nodeBackref:
		f.backtracking = "a backreference"
	case nodeCondition:
		f.backtracking = "a conditional group"
	case nodeRepeat:
		if n.mode == possessive {
			f.backtracking = "a possessive quantifier"
		}
	}
	for _, s := range n.subs {
		f.merge(s.inspect())
	}
	if n.kind == nodeRepeat {
		count := max(n.min, n.max, 1)
		f.repeat = min(f.repeat*count, maxLinearRepeat+1)
		f.size = min(f.size*count, maxSize+1)
	}
	return f
}

func (f *features) merge(g features) {
	if f.backtracking == "" {
		f.backtracking = g.backtracking
	}
	f.dollar = f.dollar || g.dollar
	f.lineEnd = f.lineEnd || g.lineEnd
	f.asciiWord = f.asciiWord || g.asciiWord
	f.unicodeWord = f.unicodeWord || g.unicodeWord
	f.wide = f.wide || g.wide
	f.repeat = max(f.repeat, g.repeat)
	f.size = min(f.size+g.size, maxSize+1)
}

// startsText reports whether n can only match where the subject begins.
func (n *node) startsText() bool {
	return n.kind == nodeConcat && len(n.subs) > 0 && n.subs[0].kind == nodeAssert && n.subs[0].assert == textStart
}

// width returns the number of characters that n matches, if that is the same for all matches.
// groups holds the closed groups by number, for backreferences.
func (n *node) width(groups []*node) (int, bool) {
	switch n.kind {
	case nodeRune, nodeSet:
		return 1, true
	case nodeAssert, nodeLook:
		return 0, true
	case nodeCapture: // looked up, as groups that repeat each other twice double the work each time
		return n.min, n.max != unlimited
	case nodeBackref:
		if g := groups[n.index]; g != nil {
			return g.width(groups)
		}
		return 0, false
	case nodeRepeat:
		w, ok := n.subs[0].width(groups)
		return w * n.min, ok && (n.min == n.max || w == 0)
	case nodeAlternate, nodeCondition:
		w, ok := n.subs[0].width(groups)
		for _, s := range n.subs[1:] {
			v, fixed := s.width(groups)
			ok = ok && fixed && v == w
		}
		return w, ok
	}
	total := 0
	for _, s := range n.subs {
		w, ok := s.width(groups)
		if !ok {
			return 0, false
		}
		total = min(total+w, maxWidth)
	}
	return total, true
}
