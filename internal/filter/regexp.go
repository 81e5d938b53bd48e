package filter

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

// pattern is a compiled regular expression with the semantics of Python's re.search, and
// most of Perl's syntax. It holds scratch memory, so it is not safe for concurrent use.
//
// Three engines share the work. What RE2 can run, and be it under other names, runs in
// linear time: in Go's regexp where that is exact, otherwise in pike. Lookaround,
// backreferences, atomic groups, possessive quantifiers, conditional groups and
// huge repeat counts run in the backtracking engine, which gives up after a number of steps.
//
// Three differences to Python are left. Where something is repeated that can match the empty text, as in
// (a*)+ or (|a)*, Python may end with an empty round, which the linear engines avoid: the
// group's capture, and rarely the match, can differ. \B matches in the empty text, as in Perl
// and in Python from 3.14 on. And x{m,n}+ is (?>x{m,n}), as Python documents it; Python 3.11
// differs in rounds that must be, into which it does not go back, and in empty ones.
type pattern struct {
	source string
	tree   *node    // for the analysis; searches do not look at it
	groups []string // their names by number, from 1 at index 0; "" for a group without a name

	// prefix is what every matching subject begins with; it contains at least one of needed, if there are any.
	prefix string
	needed []literal

	// narrow searches subjects of ASCII that do not end in a newline, wide searches all. They
	// are the same where one program serves both.
	narrow, wide engine
	same         bool
	why          string
}

// engine searches a subject. On a match it sets groups[i] to the span of group i+1.
type engine interface {
	search(s string, groups []span) (bool, error)
}

// span is a part of a subject, in bytes.
type span struct{ start, end int }

// unset is the span of a group that took no part in the match.
var unset = span{-1, -1}

// compile reads a pattern. The error is a *patternError where the fault has a place.
func compile(src string) (*pattern, error) {
	tree, groups, err := parse(src)
	if err != nil {
		return nil, err
	}
	f := tree.inspect()
	p := &pattern{source: src, tree: tree, groups: groups, prefix: tree.prefix(), needed: tree.needed(), why: f.backtracking}
	if p.why == "" && (f.repeat > maxLinearRepeat || f.size > maxSize) {
		p.why = "its repeat counts"
	}
	if len(p.needed) == 1 && !p.needed[0].fold && strings.Contains(p.prefix, p.needed[0].text) {
		p.needed = nil
	}
	if p.why != "" {
		p.wide = newBacktracker(tree, len(groups))
		p.narrow, p.same = p.wide, true
		return p, nil
	}
	p.same = !f.dollar && !f.unicodeWord && !f.wide
	if err := p.compileLinear(tree, f); err != nil {
		return nil, &patternError{0, err.Error(), ""}
	}
	return p, nil
}

func (p *pattern) compileLinear(tree *node, f features) error {
	re, err := regexp.Compile(dialect{ascii: !p.same, dollar: `\z`}.emit(tree))
	if err != nil {
		return err
	}
	p.narrow = re2{re}
	if p.same {
		p.wide = p.narrow
		return nil
	}
	switch {
	case f.unicodeWord && f.asciiWord, f.dollar && f.lineEnd:
		// Two meanings of one assertion in one pattern: pike knows only one at a time.
		p.wide = newBacktracker(tree, len(p.groups))
	case f.unicodeWord, f.dollar:
		p.wide, err = newPike(dialect{dollar: `(?m:$)`}.emit(tree), f.asciiWord, f.dollar)
	default:
		re, err = regexp.Compile(dialect{}.emit(tree))
		p.wide = re2{re}
	}
	return err
}

// backtracks returns the construct because of which the pattern runs in the
// backtracking engine, "" if it runs in linear time.
func (p *pattern) backtracks() string { return p.why }

// search looks for the first match of the pattern in s and reports whether there is one. Then
// groups[i] is set to the span of group i+1; groups may be shorter than
// the pattern's groups, and is undefined without a match. The error is errBudget.
func (p *pattern) search(s string, groups []span) (bool, error) {
	if !strings.HasPrefix(s, p.prefix) || !p.mayMatch(s) {
		return false, nil
	}
	if !p.same && isNarrow(s) {
		return p.narrow.search(s, groups)
	}
	return p.wide.search(s, groups)
}

// mayMatch reports whether s contains what every match contains.
func (p *pattern) mayMatch(s string) bool {
	for _, l := range p.needed {
		if l.in(s) {
			return true
		}
	}
	return len(p.needed) == 0
}

// isNarrow reports whether s is of ASCII only and does not end in a newline.
func isNarrow(s string) bool { return isASCII(s) && !strings.HasSuffix(s, "\n") }

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
