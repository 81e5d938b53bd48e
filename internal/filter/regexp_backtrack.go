package filter

import (
	"errors"
	"math"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of one search in the backtracking engine; messages name maxSteps. A step is an instruction, a register that is set, a character that is
// given back, or some bytes that are read or moved at once. It takes 5 to 20 ns, and puts at most
// one frame of 16 bytes on the stack. Each byte of the subject adds steps, so that a long one is not too long in itself.
const (
	maxSteps     = 1_000_000
	stepsPerByte = 4
)

// keptFrames bounds the stack that is kept from one search to the next.
const keptFrames = 4096

// errBudget is returned when a search needs more steps than it may take.
var errBudget = errors.New("the regular expression takes more than 1,000,000 steps on this text")

// backtracker searches by trying one way after the other, for what has no linear-time algorithm. The order of
// the ways, and what a repetition does with an empty round, are those of Python's re.
//
// All it has to undo or try later is on a stack of its own; the number of steps bounds it. That number depends
// on nothing but the program and the subject: a search that is repeated ends in the same way.
type backtracker struct {
	program
	anchored bool         // a match begins where the subject does
	lead     *instruction // the first to read something if that is an opText or opSet, otherwise nil

	// The state of a search.
	subject string
	pc, pos int
	steps   int     // that are left
	values  []int32 // of the registers; the spans of groups are unset with -1
	stack   []frame
}

// frameKind says what going back to a frame does.
type frameKind uint8

const (
	frameChoice  frameKind = iota // go on at pc and pos
	frameRestore                  // set register pc to arg, and go back further
	frameShorter                  // the loop at pc may end before pos, but not before arg
	frameLonger                   // the loop at pc may read arg more characters from pos on
)

// frame is something to try later, or to undo.
type frame struct {
	kind         frameKind
	pc, pos, arg int32
}

func newBacktracker(tree *node, groups int) *backtracker {
	m := &backtracker{program: compileProgram(tree, groups)}
	m.values = make([]int32, m.registers)
	m.anchored = tree.startsText()
	i := 0
	for m.code[i].op == opSave {
		i++
	}
	if op := m.code[i].op; op == opText || op == opSet {
		m.lead = &m.code[i]
	}
	return m
}

func (m *backtracker) search(s string, groups []span) (bool, error) {
	if len(s) > math.MaxInt32/(4*stepsPerByte) {
		return false, errBudget // positions and heights of the stack are kept in 32 bits
	}
	m.subject, m.steps, m.stack = s, maxSteps+stepsPerByte*len(s), m.stack[:0]
	for i := range m.values {
		m.values[i] = -1
	}
	defer m.release()
	for start := m.next(0); start >= 0; start = m.next(start) {
		m.pc, m.pos = 0, start
		if matched, err := m.run(); err != nil {
			return false, err
		} else if matched {
			for i := range groups {
				groups[i] = span{int(m.values[2*i]), int(m.values[2*i+1])}
			}
			return true, nil
		}
		if m.anchored || start == len(s) {
			break
		}
		start += max(1, anyChar.width(s, start))
	}
	return false, nil
}

// release lets go of the subject, and of a large stack.
func (m *backtracker) release() {
	m.subject = ""
	if cap(m.stack) > keptFrames {
		m.stack = nil
	}
}

// next returns the first place from start on where a match may begin, -1 if there is none.
func (m *backtracker) next(start int) int {
	switch {
	case m.anchored || m.lead == nil:
	case m.lead.op == opText:
		i := strings.Index(m.subject[start:], m.lead.text)
		if i < 0 {
			return -1
		}
		return start + i
	case m.lead.op == opSet:
		for m.lead.set.width(m.subject, start) == 0 {
			if start >= len(m.subject) {
				return -1
			}
			start += anyChar.width(m.subject, start)
		}
	}
	return start
}

// anyChar measures characters.
var anyChar = newCharSet(anyRune)

// run goes through the program from pc and pos. Without a match everything is as it was before.
func (m *backtracker) run() (matched bool, err error) {
	for {
		if m.steps--; m.steps < 0 {
			return false, errBudget
		}
		in := &m.code[m.pc]
		m.pc++
		ok := true
		switch in.op {
		case opMatch:
			return true, nil
		case opText:
			if ok = strings.HasPrefix(m.subject[m.pos:], in.text); ok {
				m.pos += len(in.text)
			}
		case opSet:
			size := in.set.width(m.subject, m.pos)
			ok = size > 0
			m.pos += size
		case opSetLoop:
			ok = m.setLoop(in)
		case opAssert:
			ok = m.holds(in)
		case opBack:
			ok = m.goBack(in.min)
		case opBackref:
			ok = m.backref(in)
		case opIfGroup:
			if _, took := m.group(in.index); !took {
				m.pc = in.x
			}
		case opSave:
			m.set(in.register, m.pos)
		case opJump:
			m.pc = in.x
		case opSplit:
			m.choice(in.y)
			m.pc = in.x
		default:
			ok = m.control(in)
		}
		if !ok && !m.backtrack() {
			return false, nil
		}
	}
}

// control runs the instructions of loops and of what is matched on its own.
func (m *backtracker) control(in *instruction) bool {
	switch in.op {
	case opLoopInit:
		m.set(in.register, 0)
		m.set(in.register+1, -1)
	case opLoop:
		m.loop(in)
	case opRound:
		m.set(in.register, int(m.values[in.register])+1)
		m.set(in.register+1, m.pos)
	case opMark: // is not undone: nobody reads it after the part that it belongs to
		m.values[in.register], m.values[in.register+1] = int32(len(m.stack)), int32(m.pos)
	case opCut:
		m.cut(int(m.values[in.register]))
	case opCutBack:
		m.cut(int(m.values[in.register]))
		m.pos = int(m.values[in.register+1])
	case opForget:
		for len(m.stack) > int(m.values[in.register]) {
			m.pop()
		}
		return false
	}
	return true
}

// loop decides on the next round. Like in Python, rounds that are optional end where the round before them
// began: one may be empty, but no more.
func (m *backtracker) loop(in *instruction) {
	count, began := int(m.values[in.register]), int(m.values[in.register+1])
	switch {
	case count < in.min:
		m.set(in.register, count+1)
		m.pc++ // not to opRound: where a round begins matters only if it is optional
	case in.max != unlimited && count >= in.max || m.pos == began:
		m.pc = in.x
	case in.mode == lazy:
		m.choice(m.pc)
		m.pc = in.x
	default:
		m.choice(in.x)
	}
}

// choice remembers an instruction to go on with from here if nothing else leads to a match.
func (m *backtracker) choice(pc int) {
	m.stack = append(m.stack, frame{frameChoice, int32(pc), int32(m.pos), 0})
}

// set changes a register until the search goes back.
func (m *backtracker) set(register, value int) {
	m.steps--
	m.stack = append(m.stack, frame{frameRestore, int32(register), 0, m.values[register]})
	m.values[register] = int32(value)
}

// pop takes the topmost frame off the stack, and undoes what it is there to undo.
func (m *backtracker) pop() frame {
	f := m.stack[len(m.stack)-1]
	m.stack = m.stack[:len(m.stack)-1]
	if f.kind == frameRestore {
		m.values[f.pc] = f.arg
	}
	return f
}

// cut drops what there is to try above height, and keeps what there is to undo.
func (m *backtracker) cut(height int) {
	kept := m.stack[:height]
	for _, f := range m.stack[height:] {
		if f.kind == frameRestore {
			kept = append(kept, f)
		}
	}
	m.steps -= (len(m.stack) - height) / 4
	m.stack = kept
}

// backtrack goes back to the last choice, and reports whether there is one.
func (m *backtracker) backtrack() bool {
	for len(m.stack) > 0 {
		f := m.pop()
		m.pc, m.pos = int(f.pc), int(f.pos)
		switch f.kind {
		case frameChoice:
			return true
		case frameShorter:
			if m.shorter(int(f.arg)) {
				return true
			}
		case frameLonger:
			in := &m.code[m.pc]
			if size := in.set.width(m.subject, m.pos); size > 0 {
				m.pos += size
				m.longer(int(f.arg) - 1)
				m.pc++
				return true
			}
		}
	}
	return false
}

// setLoop repeats a set of characters. Standing behind the instruction, it reads what it must and, unless it is
// lazy, what it can.
func (m *backtracker) setLoop(in *instruction) bool {
	most := in.max
	if most == unlimited {
		most = len(m.subject)
	}
	limit := most
	if in.mode == lazy {
		limit = in.min
	}
	start, least, count := m.pos, m.pos, 0
	for ; count < limit; count++ {
		if count == in.min {
			least = m.pos
		}
		size := in.set.width(m.subject, m.pos)
		if size == 0 {
			break
		}
		m.pos += size
	}
	m.steps -= (m.pos - start) / 4
	switch {
	case count < in.min:
		return false
	case in.mode == lazy:
		m.pc--
		m.longer(most - count)
		m.pc++
	case in.mode == greedy && count > in.min:
		m.stack = append(m.stack, frame{frameShorter, int32(m.pc - 1), int32(m.pos), int32(least)})
	}
	return true
}

// longer remembers that the loop at pc may read up to left more characters.
func (m *backtracker) longer(left int) {
	if left > 0 {
		m.stack = append(m.stack, frame{frameLonger, int32(m.pc), int32(m.pos), int32(left)})
	}
}

// shorter gives back characters of the loop at pc, at least one, and goes on behind the loop. It does not stop
// where the text that must follow cannot begin. It reports whether there is a place at or behind least.
func (m *backtracker) shorter(least int) bool {
	follow := &m.code[m.pc+1]
	for m.pos > least {
		m.steps--
		m.pos -= m.widthBefore()
		if follow.op == opText && m.subject[m.pos] != follow.text[0] {
			continue
		}
		if m.pos > least {
			m.stack = append(m.stack, frame{frameShorter, int32(m.pc), int32(m.pos), int32(least)})
		}
		m.pc++
		return true
	}
	return false
}

// goBack moves n characters towards the start, and reports whether there are as many.
func (m *backtracker) goBack(n int) bool {
	if n > m.pos {
		return false
	}
	m.steps -= n
	for ; n > 0 && m.pos > 0; n-- {
		m.pos -= m.widthBefore()
	}
	return n == 0
}

// widthBefore returns the number of bytes of the character before pos; there must be one.
func (m *backtracker) widthBefore() int {
	if m.subject[m.pos-1] < utf8.RuneSelf {
		return 1
	}
	_, size := utf8.DecodeLastRuneInString(m.subject[:m.pos])
	return size
}

// group returns the text of a group, and whether it took part.
func (m *backtracker) group(index int) (string, bool) {
	start, end := m.values[2*index-2], m.values[2*index-1]
	if start < 0 || end < start {
		return "", false // also if it began again and has not ended yet
	}
	return m.subject[start:end], true
}

// backref consumes the text of a group.
func (m *backtracker) backref(in *instruction) bool {
	text, took := m.group(in.index)
	rest := m.subject[m.pos:]
	switch {
	case !took, !in.fold && len(text) > len(rest):
		return false
	case !in.fold:
		m.steps -= len(text) / 128
		m.pos += len(text)
		return rest[:len(text)] == text
	}
	for _, want := range text {
		r, size := utf8.DecodeRuneInString(rest)
		if m.steps--; size == 0 || lower(r, in.ascii) != lower(want, in.ascii) {
			return false
		}
		rest = rest[size:]
	}
	m.pos = len(m.subject) - len(rest)
	return true
}

// lower returns r in lower case. Python compares backreferences by that, sets by all cases.
func lower(r rune, ascii bool) rune {
	if ascii && r > unicode.MaxASCII {
		return r
	}
	return unicode.ToLower(r)
}

// holds reports whether an assertion is true here.
func (m *backtracker) holds(in *instruction) bool {
	s, pos := m.subject, m.pos
	switch in.assert {
	case textStart:
		return pos == 0
	case textEnd:
		return pos == len(s)
	case dollar:
		return pos == len(s) || pos == len(s)-1 && s[pos] == '\n'
	case lineStart:
		return pos == 0 || s[pos-1] == '\n'
	case lineEnd:
		return pos == len(s) || s[pos] == '\n'
	}
	before, _ := utf8.DecodeLastRuneInString(s[:pos])
	after, _ := utf8.DecodeRuneInString(s[pos:])
	boundary := isWordIn(before, in.ascii) != isWordIn(after, in.ascii)
	return boundary == (in.assert == wordBoundary)
}

// isWordIn reports whether r, U+FFFD outside of the subject, is in \w.
func isWordIn(r rune, ascii bool) bool {
	return isWord(r) && (!ascii || r <= unicode.MaxASCII)
}
