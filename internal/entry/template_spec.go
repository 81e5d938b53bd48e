package entry

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// formatSpec is a format spec: [[fill]align][sign][z][#][0][width][grouping][.precision][type].
type formatSpec struct {
	text      string
	valid     bool // it has that form; else it may be strftime codes
	fill      rune
	align     byte // '<', '>', '^', '=', or 0: the default of the type
	sign      byte // '+', '-', ' ', or 0
	noNegZero bool
	alternate bool
	width     int
	grouping  byte // ',', '_' or 0
	precision int  // -1: not given
	kind      byte // the type, 0: not given
}

// plain is the empty spec.
var plain = formatSpec{valid: true, fill: ' ', precision: -1}

// parseSpec reads a spec and reports whether it is one.
func parseSpec(text string) (formatSpec, bool) {
	s := formatSpec{text: text, fill: ' ', precision: -1}
	rest := text
	first, size := utf8.DecodeRuneInString(rest)
	switch {
	case len(rest) > size && isAlign(rest[size]):
		s.fill, s.align, rest = first, rest[size], rest[size+1:]
	case rest != "" && isAlign(rest[0]):
		s.align, rest = rest[0], rest[1:]
	}
	take := func(set string) byte {
		if rest != "" && strings.IndexByte(set, rest[0]) >= 0 {
			c := rest[0]
			rest = rest[1:]
			return c
		}
		return 0
	}
	s.sign = take("+- ")
	s.noNegZero = take("z") != 0
	s.alternate = take("#") != 0
	if take("0") != 0 {
		if s.align == 0 {
			s.fill, s.align = '0', 'z' // '=' for numbers, '<' for text
		} else if s.fill == ' ' && !strings.HasPrefix(text, " ") {
			s.fill = '0'
		}
	}
	number := func() (int, bool) {
		end := 0
		for end < len(rest) && rest[end] >= '0' && rest[end] <= '9' {
			end++
		}
		n, err := strconv.Atoi(rest[:end])
		rest = rest[end:]
		return n, err == nil && n <= maxWidth
	}
	if rest != "" && rest[0] >= '0' && rest[0] <= '9' {
		var ok bool
		if s.width, ok = number(); !ok {
			return s, false
		}
	}
	s.grouping = take(",_")
	if take(".") != 0 {
		var ok bool
		if s.precision, ok = number(); !ok {
			return s, false
		}
	}
	s.kind = take("bcdeEfFgGnosxX%")
	s.valid = rest == ""
	return s, s.valid
}

func isAlign(c byte) bool { return c == '<' || c == '>' || c == '^' || c == '=' }

// pad appends text within the width. head of it (the sign and the prefix of a number) stays
// in front of the padding that the alignment '=' puts in.
func (s *formatSpec) pad(dst []byte, head, text string, align byte) []byte {
	missing := s.width - utf8.RuneCountInString(head) - utf8.RuneCountInString(text)
	if missing <= 0 {
		return append(append(dst, head...), text...)
	}
	fill := func(n int) {
		for range n {
			dst = utf8.AppendRune(dst, s.fill)
		}
	}
	switch align {
	case '<':
		dst = append(append(dst, head...), text...)
		fill(missing)
	case '^':
		fill(missing / 2)
		dst = append(append(dst, head...), text...)
		fill(missing - missing/2)
	case '=':
		dst = append(dst, head...)
		fill(missing)
		dst = append(dst, text...)
	default:
		fill(missing)
		dst = append(append(dst, head...), text...)
	}
	return dst
}

func (s *formatSpec) appendString(dst []byte, text string) ([]byte, error) {
	switch {
	case !s.valid:
		return dst, errors.New("these are codes for a time, but the value is a string")
	case s.kind != 0 && s.kind != 's':
		return dst, fmt.Errorf("type %q is for numbers, but the value is a string", s.kind)
	case s.sign != 0 || s.noNegZero:
		return dst, errors.New("a sign is for numbers, but the value is a string")
	case s.alternate || s.grouping != 0 || s.align == '=':
		return dst, errors.New("'#', '=' and grouping are for numbers, but the value is a string")
	}
	return s.appendText(dst, text), nil
}

// appendNone renders a missing value: whatever the spec asks for, it is the string "None".
func (s *formatSpec) appendNone(dst []byte) []byte {
	if !s.valid {
		return append(dst, "None"...)
	}
	t := *s
	if s.kind != 0 && s.kind != 's' {
		t.precision = -1 // of a number
	}
	return t.appendText(dst, "None")
}

func (s *formatSpec) appendText(dst []byte, text string) []byte {
	if s.precision >= 0 {
		n := 0
		for i := range text {
			if n == s.precision {
				text = text[:i]
				break
			}
			n++
		}
	}
	align := s.align
	if align == 0 || align == 'z' || align == '=' {
		align = '<'
	}
	return s.pad(dst, "", text, align)
}

func (s *formatSpec) numberAlign() byte {
	switch s.align {
	case 0:
		return '>'
	case 'z':
		return '='
	}
	return s.align
}

func (s *formatSpec) appendInt(dst []byte, v int64) ([]byte, error) {
	if !s.valid {
		return dst, errors.New("these are codes for a time, but the value is a number")
	}
	switch s.kind {
	case 'e', 'E', 'f', 'F', 'g', 'G', '%':
		return s.appendFloat(dst, float64(v))
	case 's':
		return dst, errors.New("type 's' is for strings, but the value is a number")
	}
	if s.precision >= 0 {
		return dst, errors.New("a whole number has no precision")
	}
	if s.noNegZero {
		return dst, errors.New("'z' is for numbers with a fraction")
	}
	if s.kind == 'c' {
		return s.appendCharacter(dst, v)
	}
	base, prefix := 10, ""
	switch s.kind {
	case 'b':
		base, prefix = 2, "0b"
	case 'o':
		base, prefix = 8, "0o"
	case 'x':
		base, prefix = 16, "0x"
	case 'X':
		base, prefix = 16, "0X"
	}
	if base != 10 && s.grouping == ',' || s.kind == 'n' && s.grouping != 0 {
		return dst, fmt.Errorf("grouping %q does not go with type %q", s.grouping, s.kind)
	}
	magnitude := uint64(v)
	if v < 0 {
		magnitude = -magnitude
	}
	digits := strconv.FormatUint(magnitude, base)
	if s.kind == 'X' {
		digits = strings.ToUpper(digits)
	}
	if !s.alternate {
		prefix = ""
	}
	group := 3
	if base != 10 {
		group = 4
	}
	return s.appendNumber(dst, signOf(v < 0, s.sign)+prefix, digits, "", group), nil
}

func (s *formatSpec) appendCharacter(dst []byte, v int64) ([]byte, error) {
	switch {
	case s.sign != 0 || s.alternate || s.grouping != 0:
		return dst, errors.New("type 'c' takes neither sign, '#' nor grouping")
	case v < 0 || v > utf8.MaxRune:
		return dst, fmt.Errorf("%d is not a character", v)
	}
	align := s.align
	switch align {
	case 0:
		align = '<'
	case 'z':
		align = '='
	}
	return s.pad(dst, "", string(rune(v)), align), nil
}

func signOf(negative bool, sign byte) string {
	switch {
	case negative:
		return "-"
	case sign == '+' || sign == ' ':
		return string(sign)
	}
	return ""
}

// appendNumber groups the digits and pads the number. Zeros that fill the width are grouped, too.
func (s *formatSpec) appendNumber(dst []byte, head, digits, tail string, group int) []byte {
	align := s.numberAlign()
	if s.grouping == 0 {
		return s.pad(dst, head, digits+tail, align)
	}
	if align == '=' && s.fill == '0' {
		room := s.width - len(head) - len(tail)
		for len(digits)+(len(digits)-1)/group < room {
			digits = "0" + digits
		}
	}
	var b strings.Builder
	for i := range len(digits) {
		if i > 0 && (len(digits)-i)%group == 0 {
			b.WriteByte(s.grouping)
		}
		b.WriteByte(digits[i])
	}
	return s.pad(dst, head, b.String()+tail, align)
}

func (s *formatSpec) appendFloat(dst []byte, v float64) ([]byte, error) {
	if !s.valid {
		return dst, errors.New("these are codes for a time, but the value is a number")
	}
	switch s.kind {
	case 0, 'e', 'E', 'f', 'F', 'g', 'G', 'n', '%':
	default:
		return dst, fmt.Errorf("type %q is not for a number with a fraction", s.kind)
	}
	if s.kind == 'n' && s.grouping != 0 {
		return dst, fmt.Errorf("grouping %q does not go with type 'n'", s.grouping)
	}
	text := s.floatText(math.Abs(v))
	negative := math.Signbit(v) && !math.IsNaN(v)
	if s.noNegZero && strings.Trim(strings.TrimSuffix(strings.ToLower(text), "%"), "0.e+") == "" {
		negative = false
	}
	head := signOf(negative, s.sign)
	end := strings.IndexFunc(text, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		end = len(text)
	}
	if end == 0 { // inf, nan: nothing to group
		return s.pad(dst, head, text, s.numberAlign()), nil
	}
	return s.appendNumber(dst, head, text[:end], text[end:], 3), nil
}

// floatText returns the digits of v >= 0.
func (s *formatSpec) floatText(v float64) string {
	percent := ""
	if s.kind == '%' {
		v *= 100
		percent = "%"
	}
	if math.IsInf(v, 0) || math.IsNaN(v) {
		text := FormatFloat(v)
		if s.kind == 'E' || s.kind == 'F' || s.kind == 'G' {
			text = strings.ToUpper(text)
		}
		return text + percent
	}
	precision := s.precision
	if precision < 0 {
		if s.kind == 0 {
			return FormatFloat(v)
		}
		precision = 6
	}
	flag := ""
	if s.alternate {
		flag = "#"
	}
	switch s.kind {
	case 'f', 'F', '%':
		return fmt.Sprintf("%"+flag+".*f", precision, v) + percent
	case 'e':
		return fmt.Sprintf("%"+flag+".*e", precision, v)
	case 'E':
		return fmt.Sprintf("%"+flag+".*E", precision, v)
	case 'G':
		return fmt.Sprintf("%"+flag+".*G", max(precision, 1), v)
	case 0:
		return generalWithPoint(v, max(precision, 1), flag)
	}
	return fmt.Sprintf("%"+flag+".*g", max(precision, 1), v)
}

// generalWithPoint is the format without a type but with a precision: like 'g', but one digit
// of the precision is kept for behind the point, so that the exponent comes earlier.
func generalWithPoint(v float64, precision int, flag string) string {
	text := fmt.Sprintf("%"+flag+".*g", precision, v)
	if strings.Contains(text, "e") {
		return text
	}
	whole, fraction, _ := strings.Cut(text, ".")
	if len(whole) >= precision && (v == 0 || v >= 1) {
		digits := precision - 1
		if flag == "" {
			digits = max(0, len(strings.TrimRight(whole, "0"))-1)
		}
		return fmt.Sprintf("%"+flag+".*e", digits, v)
	}
	if fraction == "" {
		return whole + ".0"
	}
	return text
}
