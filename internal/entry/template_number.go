package entry

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"
)

// number is a number in the pieces that a format spec lays out.
type number struct {
	negative bool
	prefix   string // of the base
	digits   []byte // of the integer part
	rest     []byte // what follows them
	group    int    // how many digits a group has
}

// appendInt renders an integer.
func (s *formatSpec) appendInt(dst []byte, v int64) (text []byte, reason string) {
	if s.isFloat() {
		return s.appendFloat(dst, float64(v)), ""
	}
	var room [64]byte
	n := number{negative: v < 0, group: 4}
	magnitude := uint64(v)
	if n.negative {
		magnitude = -magnitude
	}
	base := 10
	switch s.kind {
	case 'c':
		if v != int64(rune(v)) || !utf8.ValidRune(rune(v)) {
			return dst, fmt.Sprintf("%d is not the number of a character", v)
		}
		return s.appendNumber(dst, number{rest: utf8.AppendRune(room[:0], rune(v))}), ""
	case 'b':
		base, n.prefix = 2, "0b"
	case 'o':
		base, n.prefix = 8, "0o"
	case 'x':
		base, n.prefix = 16, "0x"
	case 'X':
		base, n.prefix = 16, "0X"
	default:
		n.group = 3
	}
	if !s.alternate {
		n.prefix = ""
	}
	n.digits = strconv.AppendUint(room[:0], magnitude, base)
	if s.kind == 'X' {
		upper(n.digits)
	}
	return s.appendNumber(dst, n), ""
}

// appendFloat renders a floating point number.
func (s *formatSpec) appendFloat(dst []byte, v float64) []byte {
	var room [64]byte
	if s.kind == '%' {
		v *= 100
	}
	text := s.appendMagnitude(room[:0], math.Abs(v))
	if s.kind == 'E' || s.kind == 'F' || s.kind == 'G' {
		upper(text)
	}
	if s.kind == '%' {
		text = append(text, '%')
	}
	end := 0
	for end < len(text) && text[end] >= '0' && text[end] <= '9' {
		end++
	}
	n := number{negative: math.Signbit(v) && !math.IsNaN(v), digits: text[:end], rest: text[end:], group: 3}
	if s.noNegZero && n.negative && !math.IsInf(v, 0) {
		mantissa, _, _ := bytes.Cut(bytes.ToLower(text), []byte("e"))
		n.negative = bytes.ContainsAny(mantissa, "123456789")
	}
	return s.appendNumber(dst, n)
}

// appendMagnitude appends v >= 0 in lower case. The layouts are those of
// PyOS_double_to_string (docs.python.org/3/c-api/conversion.html).
func (s *formatSpec) appendMagnitude(dst []byte, v float64) []byte {
	if math.IsInf(v, 0) || math.IsNaN(v) {
		return append(dst, FormatFloat(v)...)
	}
	precision := s.precision
	if precision < 0 {
		precision = 6
	}
	switch s.kind {
	case 'f', 'F', '%':
		dst = strconv.AppendFloat(dst, v, 'f', precision, 64)
		if s.alternate && precision == 0 {
			dst = append(dst, '.')
		}
		return dst
	case 'e', 'E':
		dst = strconv.AppendFloat(dst, v, 'e', precision, 64)
		if s.alternate && precision == 0 {
			dst = bytes.Replace(dst, []byte("e"), []byte(".e"), 1)
		}
		return dst
	}
	return s.appendGeneral(dst, v)
}

// appendGeneral appends v >= 0 in the form of type 'g', or of no type: that is like
// 'g', but has a digit behind the point, and all the digits it takes to read v back
// if there is no precision.
func (s *formatSpec) appendGeneral(dst []byte, v float64) []byte {
	precision := s.precision // -1: as many digits as it takes
	if precision < 0 && s.kind != 0 {
		precision = 6
	}
	limit := 16 // from this exponent on, it is shown
	if precision >= 0 {
		precision = max(1, precision)
		limit = precision
		if s.kind == 0 {
			limit--
		}
	}
	var room [32]byte
	text := strconv.AppendFloat(room[:0], v, 'e', max(-1, precision-1), 64)
	mantissa, exponent, _ := bytes.Cut(text, []byte("e"))
	digits := append(bytes.Clone(mantissa[:1]), bytes.TrimPrefix(mantissa[1:], []byte("."))...)
	if !s.alternate {
		digits = append(digits[:1], bytes.TrimRight(digits[1:], "0")...)
	}
	if exp, _ := strconv.Atoi(string(exponent)); exp >= -4 && exp < limit { // no error: strconv wrote it
		return s.appendPositional(dst, digits, exp+1)
	}
	return s.appendExponential(dst, digits, exponent)
}

// appendExponential appends digits with the decimal point behind the first of them.
func (s *formatSpec) appendExponential(dst, digits, exponent []byte) []byte {
	dst = append(dst, digits[0])
	if len(digits) > 1 || s.alternate {
		dst = append(dst, '.')
	}
	dst = append(dst, digits[1:]...)
	dst = append(dst, 'e')
	return append(dst, exponent...)
}

// appendPositional appends digits with the decimal point where the number point says,
// counted from the first digit.
func (s *formatSpec) appendPositional(dst, digits []byte, point int) []byte {
	if point <= 0 {
		dst = append(dst, "0."...)
		dst = append(dst, bytes.Repeat([]byte("0"), -point)...)
		return append(dst, digits...)
	}
	if point < len(digits) {
		dst = append(dst, digits[:point]...)
		dst = append(dst, '.')
		return append(dst, digits[point:]...)
	}
	dst = append(dst, digits...)
	dst = append(dst, bytes.Repeat([]byte("0"), point-len(digits))...)
	switch {
	case s.kind == 0:
		return append(dst, ".0"...)
	case s.alternate:
		return append(dst, '.')
	}
	return dst
}

// appendNumber lays a number out.
func (s *formatSpec) appendNumber(dst []byte, n number) []byte {
	sign := s.sign
	switch {
	case n.negative:
		sign = '-'
	case sign == '-':
		sign = 0
	}
	length := len(n.prefix) + utf8.RuneCount(n.rest)
	if sign != 0 {
		length++
	}
	inner := s.align == '=' || s.zero && s.align == 0 // padding goes behind sign and prefix
	zeros, separators := 0, 0
	if digits := len(n.digits); s.grouping != 0 && digits > 0 {
		if inner && (s.zero || s.fill == '0') { // these zeros are grouped like digits
			for digits+(digits-1)/n.group < s.width-length {
				digits++
			}
		}
		zeros, separators = digits-len(n.digits), (digits-1)/n.group
	}
	before, after := s.padding(length+zeros+len(n.digits)+separators, '>')
	if !inner {
		dst = s.appendFill(dst, before)
	}
	if sign != 0 {
		dst = append(dst, sign)
	}
	dst = append(dst, n.prefix...)
	if inner {
		dst = s.appendFill(dst, before)
	}
	dst = n.appendDigits(dst, zeros, s.grouping)
	dst = append(dst, n.rest...)
	return s.appendFill(dst, after)
}

// appendDigits appends zeros and the digits, in groups if grouping is a separator.
func (n *number) appendDigits(dst []byte, zeros int, grouping byte) []byte {
	if grouping == 0 {
		return append(dst, n.digits...)
	}
	for left := zeros + len(n.digits); left > 0; left-- {
		if left <= len(n.digits) {
			dst = append(dst, n.digits[len(n.digits)-left])
		} else {
			dst = append(dst, '0')
		}
		if left > 1 && (left-1)%n.group == 0 {
			dst = append(dst, grouping)
		}
	}
	return dst
}

// upper makes the ASCII letters of b upper case.
func upper(b []byte) {
	for i, c := range b {
		if c >= 'a' && c <= 'z' {
			b[i] = c - 'a' + 'A'
		}
	}
}

// lower makes the ASCII letters of b lower case.
func lower(b []byte) {
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c - 'A' + 'a'
		}
	}
}
