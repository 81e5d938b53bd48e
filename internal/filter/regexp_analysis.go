package filter

import (
	"slices"
	"sync"
	"unicode"
)

// matchesEmpty reports whether a missing field, which is searched as the empty text, passes although nobody asked for
// that: `.*` and `(foo)?` are such expressions. Those that match nothing but the empty text, or an empty line,
// as `^$` does, ask for it. A search that runs out of steps counts as no match.
func (p *pattern) matchesEmpty() bool {
	matched, err := p.search("", nil)
	return matched && err == nil && p.tree.edges() != edges{start: true, end: true}
}

// edges says what a part of an expression holds of the text around any of its matches.
type edges struct {
	consumes   bool // some match is not empty
	start, end bool // every match is where the text, or a line, begins or ends; only if it does not consume
}

// edges returns the edges of n. A backreference counts as consuming.
func (n *node) edges() edges {
	switch n.kind {
	case nodeRune, nodeSet, nodeBackref:
		return edges{consumes: true}
	case nodeAssert:
		return edges{
			start: n.assert == textStart || n.assert == lineStart,
			end:   n.assert == textEnd || n.assert == dollar || n.assert == lineEnd,
		}
	case nodeRepeat:
		if n.max == 0 {
			return edges{}
		}
		e := n.subs[0].edges()
		return edges{e.consumes, e.start && n.min > 0, e.end && n.min > 0}
	case nodeLook:
		if e := n.subs[0].edges(); !e.consumes && !n.negative {
			return e
		}
		return edges{}
	case nodeAlternate, nodeCondition:
		all := n.subs[0].edges()
		for _, s := range n.subs[1:] {
			e := s.edges()
			all = edges{all.consumes || e.consumes, all.start && e.start, all.end && e.end}
		}
		return all
	}
	var all edges
	for _, s := range n.subs {
		e := s.edges()
		all = edges{all.consumes || e.consumes, all.start || e.start, all.end || e.end}
	}
	return all
}

// looseGroup says why other text of the log can choose what group (from 0) captures, as a clause that fits behind
// "because"; "" if it cannot. The group is pinned where everything between it and the beginning of the text is
// fixed, or everything between it and the end; in the second case it must not contain blanks
// either, as it might then begin within somebody's words. Strangers choose words, so what counts as fixed is
// text that is written out, numbers, addresses, hexadecimal digits, punctuation, a run of blanks, whatever is short, and
// what ends at a delimiter, see class.
//
// The answer is about the place alone. It does not know what a program never writes; nor does it mind that `.*(?P<IP>[0-9.]+)$` leaves only the last digit to the group. A group that can
// never capture is not loose.
func (p *pattern) looseGroup(group int) string {
	a := p.place(group)
	switch {
	case a.pinned():
		return ""
	case a.repeated:
		return "it is in a part that is repeated, of which the last round counts"
	}
	reason := "nothing ties it to the beginning of the text"
	if a.before == tieWild {
		reason = "others may choose text before it"
	}
	switch a.behind {
	case tieWild:
		return reason + ", and others may choose text behind it"
	case tieNone:
		return reason + ", and nothing ties it to the end of the text"
	}
	return reason + ", and it can contain blanks itself"
}

// pinHint says how to pin a group that looseGroup has a reason for, as an imperative; "" if there is none.
func (p *pattern) pinHint(group int) string {
	a := p.place(group)
	switch {
	case a.pinned():
		return ""
	case a.repeated:
		return "capture it outside of the part that is repeated"
	}
	hint := ""
	if a.before == tieNone {
		hint = "begin the expression with ^ if the text begins with what it asks for, or "
	}
	switch a.behind {
	case tieWild:
		hint += "put only fixed text and numbers between it and a $ at the end of the expression"
	case tieNone:
		hint += "end the expression with $ behind it, with only fixed text and numbers between"
	case tieFirm:
		return hint + "capture no blanks, as with [0-9A-Fa-f:.]+"
	}
	if a.blank {
		hint += ", and capture no blanks, as with [0-9A-Fa-f:.]+"
	}
	return hint
}

// tie says what is between a group and the beginning of the text, or its end.
type tie uint8

const (
	tieWild tie = iota // on the way there is text of any form
	tieNone            // all is fixed, but does not reach so far
	tieFirm            // all is fixed, up to the beginning or the end
)

// place is what is known about where a group captures.
type place struct {
	captures       bool // it is there, and not in a negative lookaround
	repeated       bool // it can capture more than once
	blank          bool // what it captures can contain a blank
	before, behind tie
}

func (a place) pinned() bool {
	return !a.captures || !a.repeated && (a.before == tieFirm || a.behind == tieFirm && !a.blank)
}

// place looks at a group, from 0, and goes from there through all that is around it.
func (p *pattern) place(group int) place {
	path := p.tree.path(group + 1)
	if path == nil {
		return place{}
	}
	a := place{captures: true, blank: path[0].mayContain(' '), before: tieNone, behind: tieNone}
	openBefore, openBehind := true, true // what is further out has a say
	var nearBefore, nearBehind *near
	for i, n := range path[1:] {
		switch inner := path[i]; n.kind {
		case nodeConcat:
			at := slices.Index(n.subs, inner)
			if openBefore {
				a.before = sequenceTie(n.subs[:at], false, 1, nearBefore)
				nearBefore = &near{nodes: n.subs[:at], beyond: nearBefore}
			}
			if openBehind {
				a.behind = sequenceTie(n.subs[at+1:], true, 1, nearBehind)
				nearBehind = &near{nodes: n.subs[at+1:], beyond: nearBehind}
			}
		case nodeRepeat:
			a.repeated = a.repeated || n.max > 1 || n.max == unlimited
		case nodeLook:
			if n.negative {
				return place{}
			}
			// What is behind a lookahead is behind where it began, not behind what it read; and likewise for a lookbehind.
			openBefore = openBefore && !n.behind
			openBehind = openBehind && n.behind
		}
		openBefore = openBefore && a.before == tieNone
		openBehind = openBehind && a.behind == tieNone
	}
	return a
}

// path returns the group with that number and all that it is in, from the inside to the outside; nil if there
// is no such group, or if it is in a part that is repeated zero times.
func (n *node) path(index int) []*node {
	if n.kind == nodeCapture && n.index == index {
		return []*node{n}
	}
	if n.kind == nodeRepeat && n.max == 0 {
		return nil
	}
	for _, s := range n.subs {
		if path := s.path(index); path != nil {
			return append(path, n)
		}
	}
	return nil
}

// wildLength is the number of characters from which on a repetition can hold somebody's words, and the words
// of the program around them. Shorter ones are the likes of a month, a level or an id.
const wildLength = 16

// openSet holds what words are made of and numbers and addresses are not: letters that are no hexadecimal
// digits, and blanks.
var openSet = sync.OnceValue(func() runeSet {
	hex := runeSet{{'A', 'F'}, {'a', 'f'}}
	letters := union(hex, fromTables(unicode.L).negate()).negate()
	return union(letters, spaceSet())
})

// tie returns what n puts between what is beside it and the end of the text, or its beginning.
// n is repeated up to times times, see multiply; towards the group, near is beside it.
func (n *node) tie(toEnd bool, times int, beside *near) tie {
	switch n.kind {
	case nodeRune:
		if times >= wildLength && openSet().contains(n.r) {
			return tieWild
		}
	case nodeSet:
		if times >= wildLength && n.set.intersects(openSet()) {
			return tieWild
		}
	case nodeBackref:
		return tieWild
	case nodeAssert:
		if toEnd && (n.assert == dollar || n.assert == textEnd) || !toEnd && n.assert == textStart {
			return tieFirm
		}
	case nodeLook:
		// It consumes nothing, but one that reads the same way and gets to the end does tie.
		if !n.negative && n.behind != toEnd && n.subs[0].tie(toEnd, 1, beside) == tieFirm {
			return tieFirm
		}
	case nodeRepeat:
		return n.repeatTie(toEnd, times, beside)
	case nodeAlternate, nodeCondition:
		t := tieFirm
		for _, s := range n.subs {
			t = min(t, s.tie(toEnd, times, beside))
		}
		return t
	case nodeConcat, nodeCapture, nodeAtomic:
		return sequenceTie(n.subs, toEnd, times, beside)
	}
	return tieNone
}

// repeatTie is tie for a repetition.
func (n *node) repeatTie(toEnd bool, times int, beside *near) tie {
	if n.max == 0 {
		return tieNone
	}
	if n.max != 1 { // another round may be beside it
		beside = &near{nodes: n.subs, skips: true, beyond: beside}
	}
	if c, ok := n.subs[0].class(); ok && beside.delimits(c, toEnd, n.max != 1) {
		return tieNone
	}
	if !n.onlyBlanks() {
		times = multiply(times, n.max)
	}
	t := n.subs[0].tie(toEnd, times, beside)
	if n.min == 0 {
		t = min(t, tieNone)
	}
	return t
}

// onlyBlanks reports whether what n repeats is blanks and nothing else: however many, they are no words.
func (n *node) onlyBlanks() bool {
	s, ok := n.subs[0].one()
	return ok && !s.intersects(spaceSet().negate())
}

// sequenceTie is tie for a sequence of nodes.
func sequenceTie(subs []*node, toEnd bool, times int, beside *near) tie {
	for i := range subs {
		at, between := i, subs[:i]
		if !toEnd {
			at = len(subs) - 1 - i
			between = subs[at+1:]
		}
		if t := subs[at].tie(toEnd, times, &near{nodes: between, beyond: beside}); t != tieNone {
			return t
		}
	}
	return tieNone
}

// class is what a repetition of single characters takes: [^>] in [^>]*. It is fixed if it ends, towards the group, at a
// delimiter that it does not take: a stranger would have to write the delimiter, too, and programs see to it that nobody does.
// They don't with blanks and letters, so those delimit a listed class only, whose author has thought of all
// that may stand there.
type class struct {
	set    runeSet
	listed bool // its characters are listed, and no blank is among them
}

// class returns what n takes, if it is a single character.
func (n *node) class() (class, bool) {
	for n.kind == nodeConcat && len(n.subs) == 1 || n.kind == nodeCapture {
		n = n.subs[0]
	}
	s, ok := n.one()
	return class{s, ok && (n.kind == nodeRune || n.listed || n.fold) && !s.intersects(spaceSet())}, ok
}

// endsAt reports whether every member of s is a delimiter of the class.
func (c class) endsAt(s runeSet) bool {
	return !c.set.intersects(s) && (c.listed || !s.intersects(wordsAndBlanks()))
}

// wordsAndBlanks holds what delimits only what is listed.
var wordsAndBlanks = sync.OnceValue(func() runeSet { return union(wordSet(), spaceSet()) })

// near is what stands between a node and the captured group. nil is the group itself.
type near struct {
	nodes  []*node // in the order of the text
	skips  bool    // they may be missing
	beyond *near   // what comes then
}

// maxNear bounds the nodes that are looked at for one delimiter; a delimiter behind more than that is none.
const maxNear = 256

// delimits reports whether whatever begins here, coming from the class, is a delimiter of it. again says that here is another round of the
// class itself, which is no matter.
func (b *near) delimits(c class, toEnd, again bool) bool {
	if again {
		b = b.beyond
	}
	for left := maxNear; b != nil; b = b.beyond {
		ok, through := sequenceDelimits(b.nodes, c, toEnd, &left)
		if !ok {
			return false
		}
		if !through && !b.skips {
			return true
		}
	}
	return false
}

// delimits reports whether whatever n begins with, coming from the class, is a delimiter of it; and whether n can be passed through without
// a character, so that what comes then counts, too. It looks at no more than left nodes.
func (n *node) delimits(c class, toEnd bool, left *int) (ok, through bool) {
	if *left--; *left < 0 {
		return false, false
	}
	switch n.kind {
	case nodeRune:
		return c.endsAt(runeSet{{n.r, n.r}}), false
	case nodeSet:
		return c.endsAt(n.set), false
	case nodeBackref:
		return false, false
	case nodeAssert, nodeLook, nodeBack:
		return true, true
	case nodeRepeat:
		if n.max == 0 {
			return true, true
		}
		ok, through = n.subs[0].delimits(c, toEnd, left)
		return ok, through || n.min == 0
	case nodeAlternate, nodeCondition:
		ok = true
		for _, s := range n.subs {
			one, thr := s.delimits(c, toEnd, left)
			ok, through = ok && one, through || thr
		}
		return ok, through
	}
	return sequenceDelimits(n.subs, c, toEnd, left)
}

// sequenceDelimits is delimits for a sequence of nodes. Towards the end of the text, it is the last of them that comes first.
func sequenceDelimits(subs []*node, c class, toEnd bool, left *int) (ok, through bool) {
	for i := range subs {
		n := subs[i]
		if toEnd {
			n = subs[len(subs)-1-i]
		}
		if ok, through := n.delimits(c, toEnd, left); !ok || !through {
			return ok, false
		}
	}
	return true, true
}

// multiply returns the product of a number of rounds with the max of a repetition; wildLength stands for that and more.
func multiply(times, count int) int {
	if count == unlimited {
		return wildLength
	}
	return min(times*min(count, wildLength), wildLength)
}

// mayContain reports whether a match of n can contain r. A backreference may contain everything.
func (n *node) mayContain(r rune) bool {
	switch n.kind {
	case nodeRune:
		return n.r == r
	case nodeSet:
		return n.set.contains(r)
	case nodeBackref:
		return true
	case nodeLook:
		return false
	case nodeRepeat:
		if n.max == 0 {
			return false
		}
	}
	return slices.ContainsFunc(n.subs, func(s *node) bool { return s.mayContain(r) })
}

// intersects reports whether s and o have a member in common.
func (s runeSet) intersects(o runeSet) bool {
	for len(s) > 0 && len(o) > 0 {
		switch {
		case s[0].hi < o[0].lo:
			s = s[1:]
		case o[0].hi < s[0].lo:
			o = o[1:]
		default:
			return true
		}
	}
	return false
}
