package filter

import (
	"strconv"
	"strings"
	"unicode"
)

// simpleEscapes are the escapes that stand for one character, in a class and outside.
var simpleEscapes = map[rune]rune{
	'a': '\a', 'e': 0x1b, 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t', 'v': '\v',
}

// escape reads what follows a backslash outside of a class.
func (p *parser) escape() *node {
	start := p.pos - 1
	if !p.more() {
		p.fail(start, `write \\ for the character itself`, "the pattern ends with a backslash")
	}
	position := func(a assertion) *node {
		p.pos++
		return &node{kind: nodeAssert, assert: a, ascii: p.has(flagASCII)}
	}
	switch c := p.src[p.pos]; c {
	case 'A':
		return position(textStart)
	case 'Z', 'z':
		return position(textEnd)
	case 'b':
		return position(wordBoundary)
	case 'B':
		return position(noBoundary)
	case 'R':
		p.pos++
		line := runeSet{{'\n', '\r'}, {0x85, 0x85}, {0x2028, 0x2029}}
		crlf := &node{kind: nodeConcat, subs: []*node{{kind: nodeRune, r: '\r'}, {kind: nodeRune, r: '\n'}}}
		return &node{kind: nodeAlternate, subs: []*node{crlf, {kind: nodeSet, set: line}}}
	case 'N':
		if !strings.HasPrefix(p.src[p.pos+1:], "{") {
			p.pos++
			return &node{kind: nodeSet, set: notLine}
		}
	case 'E':
		p.pos++
		return nil
	case 'g':
		return p.gReference(start)
	case 'k':
		p.pos++
		for _, q := range []string{"<>", "{}", "''"} {
			if p.accept(q[:1]) {
				return p.reference(start, p.until(q[1:], "the backreference"))
			}
		}
		p.fail(start, `write \k<name>`, `bad escape \k`)
	case '1', '2', '3', '4', '5', '6', '7', '8', '9':
		if r, ok := p.octal(); ok {
			return p.literal(r)
		}
		end := p.pos + 1
		if end < len(p.src) && p.src[end] >= '0' && p.src[end] <= '9' {
			end++
		}
		ref := p.src[p.pos:end]
		p.pos = end
		return p.reference(start, ref)
	}
	if s, ok := p.classEscape(start); ok {
		return &node{kind: nodeSet, set: s}
	}
	return p.literal(p.charEscape(start))
}

// gReference reads \g1, \g{1}, \g{-1} or \g{name}, standing on the g.
func (p *parser) gReference(start int) *node {
	p.pos++
	var ref string
	if p.accept("{") {
		ref = p.until("}", "the backreference")
	} else {
		from := p.pos
		for p.more() && (p.src[p.pos] >= '0' && p.src[p.pos] <= '9' || p.pos == from && p.src[p.pos] == '-') {
			p.pos++
		}
		ref = p.src[from:p.pos]
	}
	if back, err := strconv.Atoi(ref); err == nil && back < 0 {
		ref = strconv.Itoa(len(p.groups) + back)
	}
	return p.reference(start, ref)
}

// classEscape reads an escape that stands for a set of characters, standing behind
// the backslash. It reports whether there was one.
func (p *parser) classEscape(start int) (runeSet, bool) {
	c := p.src[p.pos]
	if s, ok := escapeClass(c, p.has(flagASCII)); ok {
		p.pos++
		return s, true
	}
	if c != 'p' && c != 'P' {
		return nil, false
	}
	p.pos++
	name := ""
	if p.accept("{") {
		name = p.until("}", "the Unicode property")
	} else if p.more() {
		name = string(p.next())
	}
	negated := c == 'P'
	if bare, caret := strings.CutPrefix(name, "^"); caret {
		name, negated = bare, !negated
	}
	s, ok := property(name)
	if !ok {
		p.fail(start, `a category (\p{Lu}), a script (\p{Greek}) or a property (\p{White_Space}) of Unicode`,
			"there is no Unicode property %q", name)
	}
	if negated {
		s = s.negate()
	}
	return s, true
}

// charEscape reads an escape that stands for one character, standing behind the backslash.
func (p *parser) charEscape(start int) rune {
	if r, ok := p.octal(); ok {
		return r
	}
	r := p.next()
	if c, ok := simpleEscapes[r]; ok {
		return c
	}
	switch r {
	case 'x':
		if p.accept("{") {
			return p.code(start, p.until("}", "the character code"), 1, 8)
		}
		return p.code(start, p.take(2), 2, 2)
	case 'u':
		return p.code(start, p.take(4), 4, 4)
	case 'U':
		return p.code(start, p.take(8), 8, 8)
	case 'c':
		if p.more() && p.src[p.pos] < unicode.MaxASCII && unicode.IsLetter(rune(p.src[p.pos])) {
			return p.next() & 0x1f
		}
	}
	if r < unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r)) {
		p.fail(start, `write \\ for a backslash`, `bad escape \%c`, r)
	}
	return r
}

// take consumes at most n bytes of ASCII.
func (p *parser) take(n int) string {
	from := p.pos
	for p.more() && p.pos < from+n && p.src[p.pos] <= unicode.MaxASCII {
		p.pos++
	}
	return p.src[from:p.pos]
}

// code returns the character with the hexadecimal number digits, of which there must be least to most.
func (p *parser) code(start int, digits string, least, most int) rune {
	n, err := strconv.ParseUint(digits, 16, 32)
	if err != nil || len(digits) < least || len(digits) > most {
		p.fail(start, "", "%q is no character code of %d hexadecimal digits", digits, most)
	}
	if n > unicode.MaxRune || n >= firstSurrogate && n <= lastSurrogate {
		p.fail(start, "", "there is no character with the code %s", digits)
	}
	return rune(n)
}

// octal reads \0, \0d, \0dd or \ddd, standing behind the backslash.
func (p *parser) octal() (rune, bool) {
	end := p.pos
	for end < len(p.src) && end < p.pos+3 && p.src[end] >= '0' && p.src[end] <= '7' {
		end++
	}
	digits := p.src[p.pos:end]
	if digits == "" || digits[0] != '0' && len(digits) < 3 {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 8, 8)
	if err != nil {
		p.fail(p.pos-1, "", `the octal character code \%s is above \377`, digits)
	}
	p.pos = end
	return rune(n), true
}

// class reads a character class behind its opening bracket. listed says that it is neither negated, nor takes in a class such as \w or \S, nor
// spans all that \S has in ASCII: whoever wrote it knows what may stand there.
func (p *parser) class() (set runeSet, listed bool) {
	start := p.pos - 1
	negated := p.accept("^")
	var chars, classes runeSet
	quoted := false
	for first := true; ; first = false {
		if !p.more() {
			p.fail(start, `write \[ for the character itself`, "the character class lacks its closing bracket")
		}
		switch {
		case quoted && p.accept(`\E`):
			quoted = false
			continue
		case quoted:
			r := p.next()
			chars = append(chars, runeRange{r, r})
			continue
		case p.accept(`\Q`):
			quoted = true
			continue
		case !first && p.accept("]"):
			if p.has(flagFold) {
				chars = normalize(chars).fold(p.has(flagASCII))
			}
			s := union(chars, classes)
			listed = !negated && !classes.contains('_') && !s.spans('!', '~')
			if negated {
				s = s.negate()
			}
			return s, listed
		}
		from := p.pos
		lo, set := p.member()
		if !strings.HasPrefix(p.src[p.pos:], "-") || strings.HasPrefix(p.src[p.pos:], "-]") {
			if chars = append(chars, runeRange{lo, lo}); set != nil {
				chars = chars[:len(chars)-1]
				classes = append(classes, set...)
			}
			continue
		}
		p.pos++
		if !p.more() {
			continue // reported above
		}
		hi, upper := p.member()
		if set != nil || upper != nil || lo > hi {
			p.fail(from, `write \- for the character itself`, "bad character range %s", p.src[from:p.pos])
		}
		chars = append(chars, runeRange{lo, hi})
	}
}

// member reads one element of a class: a character, or a set of them.
func (p *parser) member() (rune, runeSet) {
	start := p.pos
	if p.accept("[:") {
		if name, _, found := strings.Cut(p.src[p.pos:], ":]"); found && strings.Trim(name, "^abcdefghijklmnopqrstuvwxyz") == "" {
			p.pos += len(name) + len(":]")
			bare, negated := strings.CutPrefix(name, "^")
			s, ok := posixClass(bare, p.has(flagASCII))
			if !ok {
				p.fail(start, "alnum, alpha, ascii, blank, cntrl, digit, graph, lower, print, punct, space, upper, word or xdigit",
					"there is no character class [:%s:]", bare)
			}
			if negated {
				s = s.negate()
			}
			return 0, s
		}
		p.pos = start
	}
	r := p.next()
	if r != '\\' {
		return r, nil
	}
	if !p.more() {
		p.fail(start, "", "the character class lacks its closing bracket")
	}
	if p.accept("b") {
		return '\b', nil
	}
	if s, ok := p.classEscape(start); ok {
		return 0, s
	}
	return p.charEscape(start), nil
}
