package filter

import (
	"regexp"
	"regexp/syntax"
	"unicode/utf8"
)

// re2 runs Go's regexp.
type re2 struct{ re *regexp.Regexp }

func (r re2) search(s string, groups []span) (bool, error) {
	if len(groups) == 0 {
		return r.re.MatchString(s), nil
	}
	at := r.re.FindStringSubmatchIndex(s)
	if at == nil {
		return false, nil
	}
	for i := range groups {
		groups[i] = span{at[2*i+2], at[2*i+3]}
	}
	return true, nil
}

// pike runs a program of regexp/syntax in time linear in the subject, as Go's
// regexp does, but with the assertions that Go cannot express: \b and \B over Unicode
// words, and a $ that also matches before a final newline. It is slower than
// Go's regexp, and runs only where that would not be exact.
//
// All threads stand on the same character; they are kept in order of priority, as
// Russ Cox describes in "Regular Expression Matching: the Virtual Machine Approach".
type pike struct {
	prog      *syntax.Prog
	asciiWord bool // \b is about ASCII words
	dollar    bool // the program's (?m:$) stands for $ without the flag m
	anchored  bool

	registers  int // per thread
	now, later threads
	onNow      []uint32 // generation in which an instruction got onto now
	generation uint32
	current    []int // registers of the thread that is being followed
	best       []int // registers of the best match so far
}

// threads is a list of program counters, each with its registers.
type threads struct {
	pcs       []uint32
	registers []int
}

func (t *threads) reset() { t.pcs, t.registers = t.pcs[:0], t.registers[:0] }

func (t *threads) push(pc uint32, registers []int) {
	t.pcs = append(t.pcs, pc)
	t.registers = append(t.registers, registers...)
}

// newPike compiles a pattern in the syntax of Go's regexp.
func newPike(expr string, asciiWord, dollar bool) (*pike, error) {
	tree, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return nil, err
	}
	groups := tree.MaxCap()
	prog, err := syntax.Compile(tree.Simplify())
	if err != nil {
		return nil, err
	}
	start := prog.StartCond()
	return &pike{
		prog:      prog,
		asciiWord: asciiWord,
		dollar:    dollar,
		anchored:  start != ^syntax.EmptyOp(0) && start&syntax.EmptyBeginText != 0,
		registers: 2 * (groups + 1),
		onNow:     make([]uint32, len(prog.Inst)),
		current:   make([]int, 2*(groups+1)),
		best:      make([]int, 2*(groups+1)),
	}, nil
}

func (m *pike) search(s string, groups []span) (bool, error) {
	m.later.reset()
	matched := false
	before := rune(-1)
	for pos := 0; ; {
		here, size := rune(-1), 0
		if pos < len(s) {
			here, size = utf8.DecodeRuneInString(s[pos:])
		}
		m.enter(pos, m.conditions(before, here, pos, len(s)), !matched && (pos == 0 || !m.anchored))
		matched = m.step(here) || matched
		if size == 0 || len(m.later.pcs) == 0 && (matched || m.anchored) {
			break
		}
		pos += size
		before = here
	}
	if !matched {
		return false, nil
	}
	for i := range groups {
		groups[i] = span{m.best[2*i+2], m.best[2*i+3]}
	}
	return true, nil
}

// enter puts the threads that came over the last character onto now, and a new
// one behind them, which has the lowest priority.
func (m *pike) enter(pos int, holds syntax.EmptyOp, fresh bool) {
	m.now.reset()
	if m.generation++; m.generation == 0 { // wrapped: forget all marks
		clear(m.onNow)
		m.generation = 1
	}
	for i, pc := range m.later.pcs {
		copy(m.current, m.later.registers[i*m.registers:])
		m.follow(pc, pos, holds)
	}
	if fresh {
		for i := range m.current {
			m.current[i] = -1
		}
		m.follow(uint32(m.prog.Start), pos, holds)
	}
}

// follow adds the threads that are reached from pc without consuming anything.
// The depth of its recursion is bounded by the program.
func (m *pike) follow(pc uint32, pos int, holds syntax.EmptyOp) {
	if m.onNow[pc] == m.generation {
		return
	}
	m.onNow[pc] = m.generation
	switch in := &m.prog.Inst[pc]; in.Op {
	case syntax.InstAlt, syntax.InstAltMatch:
		m.follow(in.Out, pos, holds)
		m.follow(in.Arg, pos, holds)
	case syntax.InstEmptyWidth:
		if syntax.EmptyOp(in.Arg)&^holds == 0 {
			m.follow(in.Out, pos, holds)
		}
	case syntax.InstNop:
		m.follow(in.Out, pos, holds)
	case syntax.InstCapture:
		saved := m.current[in.Arg]
		m.current[in.Arg] = pos
		m.follow(in.Out, pos, holds)
		m.current[in.Arg] = saved
	case syntax.InstFail:
	default:
		m.now.push(pc, m.current)
	}
}

// step lets the threads consume a character, -1 at the end of the subject. It reports
// whether one of them matched; those with a lower priority are given up then.
func (m *pike) step(here rune) bool {
	m.later.reset()
	for i, pc := range m.now.pcs {
		registers := m.now.registers[i*m.registers:][:m.registers]
		in := &m.prog.Inst[pc]
		if in.Op == syntax.InstMatch {
			copy(m.best, registers)
			return true
		}
		if here >= 0 && in.MatchRune(here) {
			m.later.push(in.Out, registers)
		}
	}
	return false
}

// conditions returns what holds between two characters; -1 is none.
func (m *pike) conditions(before, after rune, pos, end int) syntax.EmptyOp {
	holds := syntax.EmptyNoWordBoundary
	if m.word(before) != m.word(after) {
		holds = syntax.EmptyWordBoundary
	}
	if pos == 0 {
		holds |= syntax.EmptyBeginText | syntax.EmptyBeginLine
	}
	if before == '\n' {
		holds |= syntax.EmptyBeginLine
	}
	if pos == end {
		holds |= syntax.EmptyEndText | syntax.EmptyEndLine
	}
	if after == '\n' && (!m.dollar || pos+1 == end) {
		holds |= syntax.EmptyEndLine
	}
	return holds
}

func (m *pike) word(r rune) bool {
	if m.asciiWord {
		return syntax.IsWordChar(r)
	}
	return isWord(r)
}
