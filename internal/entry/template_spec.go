package entry

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// maxWidth bounds the width and the precision of a format spec, in characters.
const maxWidth = 4096

// formatSpec is a format spec. It has the form
//
//	[[fill]align][sign][z][#][0][width][grouping][.precision][type]
//
// that strings and numbers understand, or contains strftime codes for a time, or
// is both: which it is depends on the value. The four faults say why a value of
// that type cannot be rendered; they are empty if it can.
type formatSpec struct {
	raw       string
	fill      rune // 0: not given
	align     byte // '<', '>', '^', '=', or 0: not given
	sign      byte // '+', '-', ' ', or 0: not given
	noNegZero bool // 'z': a zero has no minus
	alternate bool // '#'
	zero      bool // '0' before the width, which is about fill and align
	grouping  byte // ',', '_', or 0: none
	kind      byte // the type, 0: not given
	width     int  // 0: not given
	precision int  // -1: not given

	textFault, intFault, floatFault, timeFault string
}

const specHint = "[[fill]align][sign][#][0][width][grouping][.precision][type] with a type of s b c d o x X n e E f F g G %; " +
	"for a time strftime codes, as in %H:%M"

// parseSpec compiles a format spec, which must not be empty. The offset in the
// fault is that within the spec.
func parseSpec(text string) (*formatSpec, *TemplateError) {
	s := &formatSpec{raw: text, precision: -1}
	at, fault := s.parse()
	if fault == "" && (s.width > maxWidth || s.precision > maxWidth) {
		return nil, &TemplateError{0, fmt.Sprintf("the format spec %q asks for more than %d characters", text, maxWidth), ""}
	}
	if fault == "" {
		s.textFault, s.intFault, s.floatFault = s.checkText(), s.checkInt(), s.checkFloat()
		if s.textFault != "" && s.intFault != "" && s.floatFault != "" {
			fault = s.aptFault()
		}
	}
	if !strings.Contains(text, "%") {
		if fault != "" {
			return nil, &TemplateError{at, fmt.Sprintf("the format spec %q is faulty: %s", text, fault), specHint}
		}
		return s, nil
	}
	at, s.timeFault = checkStrftime(text)
	if fault != "" {
		if s.timeFault != "" {
			return nil, &TemplateError{at, fmt.Sprintf("the format spec %q is faulty: %s", text, s.timeFault), specHint}
		}
		s.textFault = "the codes of strftime are for times"
		s.intFault, s.floatFault = s.textFault, s.textFault
	}
	return s, nil
}

// parse reads the form for strings and numbers. If the text does not have it, it
// says from where on and why.
func (s *formatSpec) parse() (at int, fault string) {
	rest := s.raw
	take := func(set string) (c byte) {
		if rest != "" && strings.IndexByte(set, rest[0]) >= 0 {
			c, rest = rest[0], rest[1:]
		}
		return c
	}
	number := func() (n int, ok bool) {
		for ; rest != "" && rest[0] >= '0' && rest[0] <= '9'; rest = rest[1:] {
			n, ok = min(10*n+int(rest[0]-'0'), maxWidth+1), true
		}
		return n, ok
	}
	const aligns = "<>^="
	if fill, size := utf8.DecodeRuneInString(rest); len(rest) > size && strings.IndexByte(aligns, rest[size]) >= 0 {
		s.fill, rest = fill, rest[size:]
	}
	s.align = take(aligns)
	s.sign = take("+- ")
	s.noNegZero = take("z") != 0
	s.alternate = take("#") != 0
	s.zero = s.fill == 0 && take("0") != 0
	s.width, _ = number()
	s.grouping = take(",_")
	if take(".") != 0 {
		var ok bool
		if s.precision, ok = number(); !ok {
			return len(s.raw) - len(rest), "the precision is missing behind '.'"
		}
	}
	s.kind = take("sbcdoxXneEfFgG%")
	if rest != "" {
		c, _ := utf8.DecodeRuneInString(rest)
		return len(s.raw) - len(rest), fmt.Sprintf("%q has no meaning here", c)
	}
	return 0, ""
}

// aptFault picks the fault of the type of value that a spec which suits none seems to be for.
func (s *formatSpec) aptFault() string {
	if s.kind == 's' {
		return s.textFault
	}
	return s.intFault // a type for floating point numbers alone takes integers, too
}

// isFloat reports whether the type of the spec makes a floating point number of any number.
func (s *formatSpec) isFloat() bool { return s.kind != 0 && strings.IndexByte("eEfFgG%", s.kind) >= 0 }

// checkText tells why the spec does not suit a string.
func (s *formatSpec) checkText() string {
	switch {
	case s.kind != 0 && s.kind != 's':
		return fmt.Sprintf("type %q is for numbers, not for a string", s.kind)
	case s.sign != 0:
		return "a sign is for numbers, not for a string"
	case s.noNegZero:
		return "'z' is for numbers, not for a string"
	case s.alternate:
		return "'#' is for numbers, not for a string"
	case s.align == '=':
		return "the alignment '=' is for numbers, not for a string"
	case s.grouping != 0:
		return fmt.Sprintf("the grouping %q is for numbers, not for a string", s.grouping)
	}
	return ""
}

// checkInt tells why the spec does not suit an integer.
func (s *formatSpec) checkInt() string {
	switch {
	case s.isFloat():
		return ""
	case s.kind == 's':
		return "type 's' is for strings, not for an integer"
	case s.precision >= 0:
		return "a precision is not for an integer, except with one of the types e f g %"
	case s.noNegZero:
		return "'z' is not for an integer, except with one of the types e f g %"
	case s.kind == 'c' && (s.sign != 0 || s.alternate):
		return "type 'c' takes neither a sign nor '#'"
	case s.grouping == '_' && (s.kind == 'c' || s.kind == 'n'),
		s.grouping == ',' && s.kind != 0 && s.kind != 'd':
		return fmt.Sprintf("the grouping %q does not go with type %q", s.grouping, s.kind)
	}
	return ""
}

// checkFloat tells why the spec does not suit a floating point number.
func (s *formatSpec) checkFloat() string {
	switch {
	case s.kind != 0 && s.kind != 'n' && !s.isFloat():
		return fmt.Sprintf("type %q is not for a floating point number", s.kind)
	case s.grouping != 0 && s.kind == 'n':
		return fmt.Sprintf("the grouping %q does not go with type 'n'", s.grouping)
	}
	return ""
}

// append renders a value. It returns the reason if the spec does not suit the value.
func (s *formatSpec) append(dst []byte, v Value) (text []byte, reason string) {
	switch v.kind {
	case Missing, Null:
		return s.appendNone(dst), ""
	case Time:
		if s.timeFault != "" {
			return dst, s.timeFault
		}
		return appendStrftime(dst, s.raw, v.Time()), ""
	case Int:
		if s.intFault != "" {
			return dst, s.intFault
		}
		return s.appendInt(dst, v.Int())
	case Float:
		if s.floatFault != "" {
			return dst, s.floatFault
		}
		return s.appendFloat(dst, v.Float()), ""
	}
	if s.textFault != "" {
		return dst, s.textFault
	}
	return s.appendString(dst, v.str), ""
}

// appendNone renders a value that is not there as the string "None", whatever type
// the spec is for. A precision that is meant for a number does not shorten it.
func (s *formatSpec) appendNone(dst []byte) []byte {
	none := *s
	switch {
	case s.textFault != "" && s.intFault != "" && s.floatFault != "": // for times only
		return append(dst, "None"...)
	case s.kind != 0 && s.kind != 's':
		none.precision = -1
	}
	if none.align == '=' {
		none.align = '>' // no sign is there to stay in front
	}
	return none.appendString(dst, "None")
}

// appendString renders a string: the precision shortens it, the width widens it.
func (s *formatSpec) appendString(dst []byte, text string) []byte {
	length, end := 0, len(text)
	for i := range text {
		if length == s.precision {
			end = i
			break
		}
		if length++; length > maxWidth { // beyond any width or precision
			break
		}
	}
	before, after := s.padding(length, '<')
	dst = s.appendFill(dst, before)
	dst = append(dst, text[:end]...)
	return s.appendFill(dst, after)
}

// padding returns how many fill characters go before and behind a text of some
// length. usual is the alignment for a spec that names none.
func (s *formatSpec) padding(length int, usual byte) (before, after int) {
	n := max(0, s.width-length)
	align := s.align
	if align == 0 {
		align = usual
	}
	switch align {
	case '<':
		return 0, n
	case '^':
		return n / 2, n - n/2
	}
	return n, 0
}

func (s *formatSpec) appendFill(dst []byte, n int) []byte {
	fill := s.fill
	switch {
	case s.zero:
		fill = '0'
	case fill == 0:
		fill = ' '
	}
	for range n {
		dst = utf8.AppendRune(dst, fill)
	}
	return dst
}
