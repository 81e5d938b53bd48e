package filter

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// dialect is a language that a tree can be written in.
type dialect struct {
	// net is the language of .NET, which the backtracking engine understands; otherwise it is that of Go's regexp.
	net bool
	// ascii leaves out of all sets what is beyond ASCII: for subjects that are ASCII only.
	ascii bool
	// dollar is what $ (without the flag m) is written as.
	dollar string
}

// emitter writes a tree in a dialect. Every character is escaped, every group
// numbered or plain, no flag is needed: nothing is left that the dialects understand differently.
type emitter struct {
	strings.Builder
	dialect
}

func (d dialect) emit(n *node) string {
	e := &emitter{dialect: d}
	e.node(n)
	return e.String()
}

func (e *emitter) node(n *node) {
	switch n.kind {
	case nodeConcat:
		for _, s := range n.subs {
			e.node(s)
		}
	case nodeAlternate:
		e.enclose("(?:", n.subs...)
	case nodeRune:
		e.char(n.r)
	case nodeSet:
		e.class(n.set)
	case nodeAssert:
		e.assertion(n)
	case nodeRepeat:
		e.repeat(n)
	case nodeCapture:
		open := "("
		if e.net {
			open = "(?<" + strconv.Itoa(n.index) + ">"
		}
		e.enclose(open, n.subs...)
	case nodeAtomic:
		e.enclose("(?>", n.subs...)
	case nodeLook:
		open := "(?"
		if n.behind {
			open += "<"
		}
		if n.negative {
			e.enclose(open+"!", n.subs...)
		} else {
			e.enclose(open+"=", n.subs...)
		}
	case nodeBackref:
		if n.fold {
			fmt.Fprintf(e, `(?i:\k<%d>)`, n.index)
		} else {
			fmt.Fprintf(e, `\k<%d>`, n.index)
		}
	case nodeCondition:
		e.enclose("(?("+strconv.Itoa(n.index)+")", n.subs...)
	}
}

// enclose writes branches in a group.
func (e *emitter) enclose(open string, branches ...*node) {
	e.WriteString(open)
	for i, b := range branches {
		if i > 0 {
			e.WriteByte('|')
		}
		e.node(b)
	}
	e.WriteByte(')')
}

func (e *emitter) repeat(n *node) {
	if n.mode == possessive {
		e.WriteString("(?>")
		defer e.WriteByte(')')
	}
	e.enclose("(?:", n.subs...)
	switch {
	case n.max == unlimited && n.min == 0:
		e.WriteByte('*')
	case n.max == unlimited && n.min == 1:
		e.WriteByte('+')
	case n.max == unlimited:
		fmt.Fprintf(e, "{%d,}", n.min)
	case n.min == 0 && n.max == 1:
		e.WriteByte('?')
	default:
		fmt.Fprintf(e, "{%d,%d}", n.min, n.max)
	}
	if n.mode == lazy {
		e.WriteByte('?')
	}
}

// netWord is \w in the language of .NET, whose own \w holds marks, and whose \b differs too.
const netWord = `[\p{L}\p{N}_]`

func (e *emitter) assertion(n *node) {
	switch n.assert {
	case textStart:
		e.WriteString(`\A`)
	case textEnd:
		e.WriteString(`\z`)
	case dollar:
		e.WriteString(e.dollar)
	case lineStart:
		e.WriteString(`(?m:^)`)
	case lineEnd:
		e.WriteString(`(?m:$)`)
	case wordBoundary, noBoundary:
		e.boundary(n)
	}
}

func (e *emitter) boundary(n *node) {
	inside := n.assert == noBoundary
	if !e.net || e.ascii {
		if inside {
			e.WriteString(`\B`)
		} else {
			e.WriteString(`\b`)
		}
		return
	}
	word := netWord
	if n.ascii {
		word = "[0-9A-Z_a-z]"
	}
	after, notAfter := "(?="+word+")", "(?!"+word+")"
	if inside {
		after, notAfter = notAfter, after
	}
	fmt.Fprintf(e, "(?:(?<=%s)%s|(?<!%s)%s)", word, notAfter, word, after)
}

// char writes one character so that it stands for itself, in a class and outside.
func (e *emitter) char(r rune) {
	switch {
	case r <= unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r)):
		e.WriteRune(r)
	case r <= unicode.MaxASCII:
		fmt.Fprintf(e, `\x%02x`, r)
	case e.net && r <= 0xffff:
		fmt.Fprintf(e, `\u%04x`, r)
	case e.net:
		e.WriteRune(r)
	default:
		fmt.Fprintf(e, `\x{%x}`, r)
	}
}

func (e *emitter) class(s runeSet) {
	switch {
	case slices.Equal(s, anyRune):
		e.WriteString(`(?s:.)`)
		return
	case slices.Equal(s, notLine):
		e.WriteByte('.')
		return
	}
	if e.ascii {
		s = s.upTo(unicode.MaxASCII)
	}
	if len(s) == 0 { // no character at all
		s = anyRune
		e.WriteString(`[^`)
	} else {
		e.WriteByte('[')
	}
	for _, r := range s {
		e.char(r.lo)
		if r.hi > r.lo {
			e.WriteByte('-')
			e.char(r.hi)
		}
	}
	e.WriteByte(']')
}
