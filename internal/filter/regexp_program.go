package filter

import (
	"unicode/utf8"
)

// opcode says what an instruction does. "Fails" means that the search goes back to the last choice.
type opcode uint8

const (
	opMatch    opcode = iota
	opText            // consume text
	opSet             // consume one character of set
	opSetLoop         // consume min to max characters of set, in the order of mode
	opBack            // go back min characters
	opAssert          // fail unless assert holds
	opBackref         // consume the text of group index; fail if it took no part
	opIfGroup         // go to the next instruction if group index took part, otherwise to x
	opSave            // set register to the position
	opJump            // go to x
	opSplit           // go to x, and to y if that fails
	opLoop            // begin a round of a counted loop, or leave it for x; the next instruction is its opRound
	opLoopInit        // set the registers of a counted loop: no rounds yet
	opRound           // count a round of the loop
	opMark            // remember the height of the stack and the position, for the next three
	opCut             // drop the choices since opMark
	opCutBack         // the same, and return to the position of opMark
	opForget          // undo all since opMark, and fail
)

// instruction is a step of a program. The next one follows it, unless the opcode says something else.
type instruction struct {
	op       opcode
	assert   assertion
	mode     mode
	fold     bool // opBackref
	ascii    bool // opAssert, opBackref
	index    int
	register int // the first of those that are used
	x, y     int // instructions
	min, max int
	text     string
	set      *charSet
}

// charSet is a runeSet that knows its members in ASCII by their bits.
type charSet struct {
	ascii [2]uint64
	all   runeSet
}

func newCharSet(all runeSet) *charSet {
	s := &charSet{all: all}
	for _, r := range all.ascii() {
		for c := r.lo; c <= r.hi; c++ {
			s.ascii[c>>6] |= 1 << (c & 63)
		}
	}
	return s
}

// width returns the number of bytes of the character at pos, 0 if that is not in the set, or at the end.
func (s *charSet) width(text string, pos int) int {
	if pos >= len(text) {
		return 0
	}
	if c := text[pos]; c < utf8.RuneSelf {
		return int(s.ascii[c>>6] >> (c & 63) & 1)
	}
	if r, size := utf8.DecodeRuneInString(text[pos:]); s.all.contains(r) {
		return size
	}
	return 0
}

// program is a tree, compiled for the backtracker. It is at most a few times as long as its pattern: repetitions count.
type program struct {
	code      []instruction
	registers int // the first two of each group are its start and its end, from group 1
}

// compileProgram compiles a tree with that number of groups.
func compileProgram(tree *node, groups int) program {
	p := program{registers: 2 * groups}
	p.node(tree)
	p.add(instruction{op: opMatch})
	return p
}

// add appends an instruction and returns its place.
func (p *program) add(in instruction) int {
	p.code = append(p.code, in)
	return len(p.code) - 1
}

// reserve returns the first of two new registers.
func (p *program) reserve() int {
	p.registers += 2
	return p.registers - 2
}

func (p *program) node(n *node) {
	switch n.kind {
	case nodeConcat:
		p.sequence(n.subs)
	case nodeAlternate:
		p.alternatives(n.subs)
	case nodeRune, nodeSet:
		p.sequence([]*node{n})
	case nodeAssert:
		p.add(instruction{op: opAssert, assert: n.assert, ascii: n.ascii})
	case nodeRepeat:
		p.repeat(n)
	case nodeCapture:
		register := 2 * (n.index - 1)
		p.add(instruction{op: opSave, register: register})
		p.node(n.subs[0])
		p.add(instruction{op: opSave, register: register + 1})
	case nodeAtomic:
		p.enclose(n.subs[0], opCut)
	case nodeLook:
		p.look(n)
	case nodeBack:
		p.add(instruction{op: opBack, min: n.min})
	case nodeBackref:
		p.add(instruction{op: opBackref, index: n.index, fold: n.fold, ascii: n.ascii})
	case nodeCondition:
		test := p.add(instruction{op: opIfGroup, index: n.index})
		p.node(n.subs[0])
		skip := p.add(instruction{op: opJump})
		p.code[test].x = len(p.code)
		p.node(n.subs[1])
		p.code[skip].x = len(p.code)
	}
}

// sequence joins neighbouring characters to one text.
func (p *program) sequence(subs []*node) {
	text := ""
	flush := func() {
		if text != "" {
			p.add(instruction{op: opText, text: text})
			text = ""
		}
	}
	for _, n := range subs {
		// What is not UTF-8 in a subject reads as U+FFFD, and is no text.
		if n.kind == nodeRune && n.r != utf8.RuneError {
			text += string(n.r)
			continue
		}
		flush()
		if s, ok := n.one(); ok {
			p.add(instruction{op: opSet, set: newCharSet(s)})
		} else {
			p.node(n)
		}
	}
	flush()
}

func (p *program) alternatives(subs []*node) {
	var ends []int
	for _, n := range subs[:len(subs)-1] {
		split := p.add(instruction{op: opSplit})
		p.code[split].x = len(p.code)
		p.node(n)
		ends = append(ends, p.add(instruction{op: opJump}))
		p.code[split].y = len(p.code)
	}
	p.node(subs[len(subs)-1])
	for _, end := range ends {
		p.code[end].x = len(p.code)
	}
}

// enclose runs n on its own: once it matched there is no way back into it.
func (p *program) enclose(n *node, end opcode) {
	register := p.reserve()
	p.add(instruction{op: opMark, register: register})
	p.node(n)
	p.add(instruction{op: end, register: register})
}

func (p *program) look(n *node) {
	if !n.negative {
		p.enclose(n.subs[0], opCutBack)
		return
	}
	register := p.reserve()
	p.add(instruction{op: opMark, register: register})
	split := p.add(instruction{op: opSplit})
	p.code[split].x = len(p.code)
	p.node(n.subs[0])
	p.add(instruction{op: opForget, register: register})
	p.code[split].y = len(p.code)
}

// repeat compiles a repetition: of one character without any choice on the stack, and without
// a counter where none is needed.
func (p *program) repeat(n *node) {
	body := n.subs[0]
	if s, ok := body.one(); ok {
		p.add(instruction{op: opSetLoop, set: newCharSet(s), min: n.min, max: n.max, mode: n.mode})
		return
	}
	if n.mode == possessive {
		again := *n
		again.mode = greedy
		p.enclose(&again, opCut)
		return
	}
	switch {
	case n.min == 0 && n.max == 1:
		p.leave(p.enter(body), n.mode)
	case n.min == 0 && n.max == unlimited && !body.mayBeEmpty():
		split := p.enter(body)
		p.add(instruction{op: opJump, x: split})
		p.leave(split, n.mode)
	case n.min == 1 && n.max == unlimited && !body.mayBeEmpty():
		start := len(p.code)
		p.node(body)
		split := p.add(instruction{op: opSplit, x: start, y: start})
		p.leave(split, n.mode)
	default:
		register := p.reserve()
		p.add(instruction{op: opLoopInit, register: register})
		loop := p.add(instruction{op: opLoop, register: register, min: n.min, max: n.max, mode: n.mode})
		p.add(instruction{op: opRound, register: register})
		p.node(body)
		p.add(instruction{op: opJump, x: loop})
		p.code[loop].x = len(p.code)
	}
}

// enter adds the choice between n and what is behind it, and n. Then leave sets where that is.
func (p *program) enter(n *node) (split int) {
	split = p.add(instruction{op: opSplit})
	p.code[split].x, p.code[split].y = len(p.code), len(p.code)
	p.node(n)
	return split
}

// leave sets where a choice goes that does not enter: the preferred way if it is lazy.
func (p *program) leave(split int, m mode) {
	if m == lazy {
		p.code[split].x = len(p.code)
	} else {
		p.code[split].y = len(p.code)
	}
}

// one returns the set of which n matches exactly one character, and whether it is such a node.
func (n *node) one() (runeSet, bool) {
	switch {
	case n.kind == nodeSet:
		return n.set, true
	case n.kind == nodeRune:
		return runeSet{{n.r, n.r}}, true
	case n.kind == nodeConcat && len(n.subs) == 1:
		return n.subs[0].one()
	}
	return nil, false
}

// mayBeEmpty reports whether n can match the empty text.
func (n *node) mayBeEmpty() bool {
	switch n.kind {
	case nodeRune, nodeSet:
		return false
	case nodeCapture, nodeAtomic:
		return n.subs[0].mayBeEmpty()
	case nodeRepeat:
		return n.min == 0 || n.subs[0].mayBeEmpty()
	case nodeAlternate, nodeCondition:
		for _, s := range n.subs {
			if s.mayBeEmpty() {
				return true
			}
		}
		return false
	case nodeConcat:
		for _, s := range n.subs {
			if !s.mayBeEmpty() {
				return false
			}
		}
	}
	return true
}
