package filter

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// dialect is a variant of the language of Go's regexp that a tree can be written in.
type dialect struct {
	// ascii leaves out of all sets what is beyond ASCII: for subjects that are ASCII only.
	ascii bool
	// dollar is what $ (without the flag m) is written as.
	dollar string
}

// emitter writes a tree that runs in linear time in a dialect. Every character is escaped and no flag is needed:
// nothing is left that Python and Go understand differently.
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
		e.enclose("(", n.subs...)
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
	e.enclose("(?:", n.subs...)
	switch {
	case n.max == unlimited && n.min == 0:
		e.WriteByte('*')
	case n.max == unlimited && n.min == 1:
		e.WriteByte('+')
	case n.max == unlimited:
		fmt.Fprintf(&e.Builder, "{%d,}", n.min)
	case n.min == 0 && n.max == 1:
		e.WriteByte('?')
	default:
		fmt.Fprintf(&e.Builder, "{%d,%d}", n.min, n.max)
	}
	if n.mode == lazy {
		e.WriteByte('?')
	}
}

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
	case wordBoundary:
		e.WriteString(`\b`)
	case noBoundary:
		e.WriteString(`\B`)
	}
}

// char writes one character so that it stands for itself, in a class and outside.
func (e *emitter) char(r rune) {
	switch {
	case r <= unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r)):
		e.WriteRune(r)
	case r <= unicode.MaxASCII:
		fmt.Fprintf(&e.Builder, `\x%02x`, r)
	default:
		fmt.Fprintf(&e.Builder, `\x{%x}`, r)
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
		s = s.ascii()
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
