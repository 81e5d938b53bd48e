package filter

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of a pattern. They keep compilation cheap; no pattern for log lines comes near.
const (
	maxPatternLen = 64 << 10
	maxDepth      = 200 // nested groups
	maxGroups     = 200
	maxRepeat     = 65535
)

// patternError is a fault in a regular expression.
type patternError struct {
	offset  int // in bytes, from the start of the pattern
	message string
	hint    string
}

func (e *patternError) Error() string { return fmt.Sprintf("at offset %d: %s", e.offset, e.message) }

// flags are the switches that change what the characters of a pattern mean.
type flags uint8

const (
	flagASCII flags = 1 << iota
	flagFold
	flagMultiline
	flagDotAll
	flagVerbose
)

// parser reads the syntax of Python's re, and what Perl adds to it: \Q..\E, \h, \R, \N, \z,
// \e, \cX, \x{..}, \p{..}, \g and \k references, (?<name>..), (?'name'..), POSIX
// classes and flags that change within a group.
type parser struct {
	src    string
	pos    int
	flags  flags
	depth  int
	names  map[string]int
	groups []*node // by number; nil while the group is open
	// behind is the number of the first group that the innermost lookbehind defines, 0 outside of one.
	behind int
	// pending are conditions on groups that were not there yet.
	pending map[int]int
}

// parse reads a pattern. It returns the tree and the names of the groups, by number.
func parse(src string) (tree *node, groups []string, err error) {
	if len(src) > maxPatternLen {
		return nil, nil, &patternError{maxPatternLen, fmt.Sprintf("the pattern is longer than %d bytes", maxPatternLen), ""}
	}
	if !utf8.ValidString(src) {
		return nil, nil, &patternError{0, "the pattern is not valid UTF-8", ""}
	}
	p := &parser{src: src, names: map[string]int{}, groups: []*node{nil}, pending: map[int]int{}}
	defer func() {
		if r := recover(); r != nil {
			fault, ours := r.(*patternError)
			if !ours {
				panic(r)
			}
			tree, groups, err = nil, nil, fault
		}
	}()
	tree = p.alternatives()
	if p.pos < len(src) {
		p.fail(p.pos, "write \\) for the character itself", "unbalanced parenthesis")
	}
	for _, index := range slices.Sorted(maps.Keys(p.pending)) {
		if index >= len(p.groups) {
			p.fail(p.pending[index], "", "there is no group %d", index)
		}
	}
	groups = make([]string, len(p.groups)-1)
	for name, index := range p.names {
		groups[index-1] = name
	}
	return tree, groups, nil
}

// fail ends parsing; parse recovers.
func (p *parser) fail(offset int, hint, format string, args ...any) {
	panic(&patternError{offset, fmt.Sprintf(format, args...), hint})
}

func (p *parser) has(f flags) bool { return p.flags&f != 0 }

func (p *parser) more() bool { return p.pos < len(p.src) }

// accept consumes text if it is next.
func (p *parser) accept(text string) bool {
	if strings.HasPrefix(p.src[p.pos:], text) {
		p.pos += len(text)
		return true
	}
	return false
}

// next consumes one character; there must be one.
func (p *parser) next() rune {
	r, size := utf8.DecodeRuneInString(p.src[p.pos:])
	p.pos += size
	return r
}

// until consumes up to and with end, and returns what is before it.
func (p *parser) until(end, what string) string {
	text, _, found := strings.Cut(p.src[p.pos:], end)
	if !found {
		p.fail(p.pos, "", "%s lacks its %q", what, end)
	}
	p.pos += len(text) + len(end)
	return text
}

// alternatives reads up to the end of the group, or of the pattern.
func (p *parser) alternatives() *node {
	first := p.sequence()
	n := first
	for p.accept("|") {
		if n == first {
			n = &node{kind: nodeAlternate, subs: []*node{first}}
		}
		n.subs = append(n.subs, p.sequence())
	}
	return n
}

func (p *parser) sequence() *node {
	n := &node{kind: nodeConcat}
	for p.more() {
		start := p.pos
		c := p.src[p.pos]
		switch {
		case p.has(flagVerbose) && strings.IndexByte(" \t\n\r\v\f", c) >= 0:
			p.pos++
		case p.has(flagVerbose) && c == '#':
			p.comment()
		case c == '|' || c == ')':
			return n
		case p.accept(`\Q`):
			text, _, found := strings.Cut(p.src[p.pos:], `\E`)
			if p.pos += len(text); found {
				p.pos += len(`\E`)
			}
			for _, r := range text {
				n.subs = append(n.subs, p.literal(r))
			}
		default:
			if lo, hi, ok := p.quantifier(); ok {
				p.repeat(n, start, lo, hi)
			} else if atom := p.atom(); atom != nil {
				n.subs = append(n.subs, atom)
			}
		}
	}
	return n
}

// comment skips the rest of the line.
func (p *parser) comment() {
	if i := strings.IndexByte(p.src[p.pos:], '\n'); i >= 0 {
		p.pos += i + 1
		return
	}
	p.pos = len(p.src)
}

// quantifier reads *, +, ? or {m,n}. A brace that is no quantifier is left alone.
func (p *parser) quantifier() (lo, hi int, ok bool) {
	switch p.src[p.pos] {
	case '*':
		lo, hi = 0, unlimited
	case '+':
		lo, hi = 1, unlimited
	case '?':
		lo, hi = 0, 1
	case '{':
		return p.braces()
	default:
		return 0, 0, false
	}
	p.pos++
	return lo, hi, true
}

func (p *parser) braces() (lo, hi int, ok bool) {
	text, _, found := strings.Cut(p.src[p.pos+1:], "}")
	low, high, comma := strings.Cut(text, ",")
	if !found || text == "" || !isDigits(low) || !isDigits(high) {
		return 0, 0, false
	}
	count := func(digits string, none int) int {
		if digits == "" {
			return none
		}
		n, err := strconv.Atoi(digits)
		if err != nil || n > maxRepeat {
			p.fail(p.pos, "", "the repeat count %s is above %d", digits, maxRepeat)
		}
		return n
	}
	lo = count(low, 0)
	if hi = lo; comma {
		hi = count(high, unlimited)
	}
	if hi != unlimited && lo > hi {
		p.fail(p.pos, "", "the least repeat count %d is above the largest, %d", lo, hi)
	}
	p.pos += len(text) + 2
	return lo, hi, true
}

func isDigits(s string) bool {
	return strings.Trim(s, "0123456789") == ""
}

// repeat applies a quantifier, which begins at start, to the last element of the sequence n.
func (p *parser) repeat(n *node, start, lo, hi int) {
	if len(n.subs) == 0 || n.subs[len(n.subs)-1].kind == nodeAssert {
		p.fail(start, `write \`+p.src[start:start+1]+" for the character itself", "nothing to repeat")
	}
	last := &n.subs[len(n.subs)-1]
	if (*last).kind == nodeRepeat {
		p.fail(start, "put what is to be repeated into (?:…)", "a quantifier follows another")
	}
	rep := &node{kind: nodeRepeat, min: lo, max: hi, subs: []*node{*last}}
	switch {
	case p.accept("?"):
		rep.mode = lazy
	case p.accept("+"):
		rep.mode = possessive
	}
	*last = rep
}

// literal returns the node of a character, with its other cases if case is ignored.
func (p *parser) literal(r rune) *node {
	if p.has(flagFold) {
		if s := (runeSet{{r, r}}).fold(p.has(flagASCII)); len(s) > 1 || s[0].lo < s[0].hi {
			return &node{kind: nodeSet, set: s, r: r, fold: true}
		}
	}
	return &node{kind: nodeRune, r: r}
}

// atom reads one element; nil if it was a comment or only changed flags.
func (p *parser) atom() *node {
	switch r := p.next(); r {
	case '.':
		if p.has(flagDotAll) {
			return &node{kind: nodeSet, set: anyRune}
		}
		return &node{kind: nodeSet, set: notLine}
	case '^':
		if p.has(flagMultiline) {
			return &node{kind: nodeAssert, assert: lineStart}
		}
		return &node{kind: nodeAssert, assert: textStart}
	case '$':
		if p.has(flagMultiline) {
			return &node{kind: nodeAssert, assert: lineEnd}
		}
		return &node{kind: nodeAssert, assert: dollar}
	case '(':
		return p.group()
	case '[':
		set, listed := p.class()
		return &node{kind: nodeSet, set: set, listed: listed}
	case '\\':
		return p.escape()
	default:
		return p.literal(r)
	}
}

// group reads what follows an opening parenthesis.
func (p *parser) group() *node {
	start := p.pos - 1
	if p.depth++; p.depth > maxDepth {
		p.fail(start, "", "groups are nested more than %d deep", maxDepth)
	}
	defer func() { p.depth-- }()
	if p.more() && p.src[p.pos] == '*' {
		p.fail(start, "", "verbs like (*UTF8) are not supported")
	}
	outer := p.flags
	if !p.accept("?") {
		return p.capture(start, false, "")
	}
	switch {
	case p.accept("#"):
		p.until(")", "the comment")
		return nil
	case p.accept("P="):
		return p.reference(start, p.until(")", "the backreference"))
	case p.accept("P<"):
		return p.capture(start, true, p.until(">", "the group name"))
	case p.accept("'"):
		return p.capture(start, true, p.until("'", "the group name"))
	case p.accept(":"):
		return p.close(start, outer, p.alternatives())
	case p.accept(">"):
		return p.close(start, outer, &node{kind: nodeAtomic, subs: []*node{p.alternatives()}})
	case p.accept("="):
		return p.close(start, outer, &node{kind: nodeLook, subs: []*node{p.alternatives()}})
	case p.accept("!"):
		return p.close(start, outer, &node{kind: nodeLook, negative: true, subs: []*node{p.alternatives()}})
	case p.accept("<="):
		return p.lookbehind(start, false)
	case p.accept("<!"):
		return p.lookbehind(start, true)
	case p.accept("<"):
		return p.capture(start, true, p.until(">", "the group name"))
	case p.accept("("):
		return p.condition(start)
	}
	return p.inlineFlags(start)
}

// close expects the closing parenthesis of the group that began at start, and restores the flags.
func (p *parser) close(start int, outer flags, n *node) *node {
	if !p.accept(")") {
		p.fail(start, "", "the group lacks its closing parenthesis")
	}
	p.flags = outer
	return n
}

func (p *parser) capture(start int, named bool, name string) *node {
	index := len(p.groups)
	if index > maxGroups {
		p.fail(start, "use (?:…) where nothing is captured", "there are more than %d groups", maxGroups)
	}
	p.groups = append(p.groups, nil)
	if named {
		if !isIdentifier(name) {
			p.fail(start, "a letter or _, then letters, digits and _", "%q is no group name", name)
		}
		if other, taken := p.names[name]; taken {
			p.fail(start, "", "the name %q is taken by group %d", name, other)
		}
		p.names[name] = index
	}
	n := &node{kind: nodeCapture, index: index}
	n.subs = []*node{p.close(start, p.flags, p.alternatives())}
	n.max = unlimited
	if width, fixed := n.subs[0].width(p.groups); fixed {
		n.min, n.max = width, width
	}
	p.groups[index] = n
	return n
}

func isIdentifier(s string) bool {
	for i, r := range s {
		if r != '_' && !unicode.IsLetter(r) && (i == 0 || !unicode.IsDigit(r)) {
			return false
		}
	}
	return s != ""
}

func (p *parser) lookbehind(start int, negative bool) *node {
	outer, outerBehind := p.flags, p.behind
	if p.behind == 0 {
		p.behind = len(p.groups)
	}
	body := p.close(start, outer, p.alternatives())
	p.behind = outerBehind
	branches := []*node{body}
	if body.kind == nodeAlternate {
		branches = body.subs
	}
	for _, b := range branches {
		width, fixed := b.width(p.groups)
		if !fixed {
			p.fail(start, "each of its alternatives must match a fixed number of characters", "the lookbehind has no fixed width")
		}
		b.subs = append([]*node{{kind: nodeBack, min: width}}, b.subs...)
	}
	return &node{kind: nodeLook, behind: true, negative: negative, subs: []*node{body}}
}

// condition reads (?(group)yes|no) behind its second parenthesis.
func (p *parser) condition(start int) *node {
	ref := p.until(")", "the condition")
	if n := len(ref); n > 2 && (ref[0] == '<' && ref[n-1] == '>' || ref[0] == '\'' && ref[n-1] == '\'') {
		ref = ref[1 : n-1]
	}
	index, known := p.names[ref]
	if !known {
		var err error
		if index, err = strconv.Atoi(ref); err != nil || index <= 0 || !isDigits(ref) {
			p.fail(start, "a condition is the number or the name of a group", "there is no group %q", ref)
		}
		if index >= len(p.groups) {
			p.pending[index] = start
		}
	}
	outer := p.flags
	n := &node{kind: nodeCondition, index: index, subs: []*node{p.sequence(), {kind: nodeConcat}}}
	if p.accept("|") {
		n.subs[1] = p.sequence()
	}
	if p.more() && p.src[p.pos] == '|' {
		p.fail(p.pos, "", "a conditional group has more than two branches")
	}
	return p.close(start, outer, n)
}

// inlineFlags reads (?flags), (?flags-flags) or (?flags-flags:…) behind the question mark.
func (p *parser) inlineFlags(start int) *node {
	letters := map[byte]flags{'a': flagASCII, 'i': flagFold, 'm': flagMultiline, 's': flagDotAll, 'x': flagVerbose, 'u': 0}
	outer, set, off := p.flags, p.flags, false
	for begin := p.pos; p.more(); p.pos++ {
		c := p.src[p.pos]
		switch flag, known := letters[c]; {
		case c == '-' && !off:
			off = true
		case known && off:
			set &^= flag
		case known:
			if set |= flag; c == 'u' {
				set &^= flagASCII
			}
		case c == ')' && p.pos > begin:
			p.pos++
			p.flags = set
			return nil
		case c == ':':
			p.pos++
			p.flags = set
			return p.close(start, outer, p.alternatives())
		default:
			p.fail(start, "recursion, branch reset, callouts and the flags of other languages are not supported",
				"unknown extension %q", p.src[start:p.pos+1])
		}
	}
	p.fail(start, "", "the group lacks its closing parenthesis")
	return nil
}

// reference returns the node of a backreference, given by name or by number.
func (p *parser) reference(start int, ref string) *node {
	index, known := p.names[ref]
	if !known {
		var err error
		if index, err = strconv.Atoi(ref); err != nil || index <= 0 || index >= len(p.groups) || !isDigits(ref) {
			p.fail(start, "a backreference follows its group", "there is no group %q", ref)
		}
	}
	if p.groups[index] == nil {
		p.fail(start, "", "the backreference is inside of its own group")
	}
	if p.behind > 0 && index >= p.behind {
		p.fail(start, "", "the backreference is in the same lookbehind as its group")
	}
	return &node{kind: nodeBackref, index: index, fold: p.has(flagFold), ascii: p.has(flagASCII)}
}
