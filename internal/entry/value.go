// Package entry holds one journal entry on its way through the workflow: typed
// values in slots, the time of the entry, and the templates that render them.
package entry

import (
	"cmp"
	"encoding/hex"
	"math"
	"strconv"
	"strings"
	"time"
)

// Kind is the type of a Value.
type Kind uint8

// The kinds of a Value. The zero Kind is Missing, so the zero Value is a field
// that the entry does not have.
const (
	Missing Kind = iota // the entry does not have the field
	Null                // the field exists without a value: a capture group that took no part
	String
	Int
	Float
	Time
	UUID
)

// String returns the name of the kind for diagnostics.
func (k Kind) String() string {
	switch k {
	case Missing:
		return "missing"
	case Null:
		return "null"
	case String:
		return "string"
	case Int:
		return "integer"
	case Float:
		return "float"
	case Time:
		return "time"
	case UUID:
		return "UUID"
	}
	return "kind " + strconv.Itoa(int(k))
}

// Value is the typed value of one field. Values are comparable with ==, which
// tells types apart: the integer 33 and the string "33" differ.
//
// The text of a Value that was read from an Entry lives as long as the entry
// (until Entry.Reset). Clone it to keep it longer.
type Value struct {
	kind Kind
	num  uint64 // Int: int64; Float: IEEE 754 bits; Time: microseconds since 1970
	str  string // String: the text; UUID: its canonical rendering
}

// NullValue is a field that exists without a value.
var NullValue = Value{kind: Null}

// StringValue returns a string.
func StringValue(s string) Value { return Value{kind: String, str: s} }

// IntValue returns an integer.
func IntValue(i int64) Value { return Value{kind: Int, num: uint64(i)} }

// FloatValue returns a floating point number.
func FloatValue(f float64) Value { return Value{kind: Float, num: math.Float64bits(f)} }

// TimeValue returns a point in time, given in microseconds since 1970 UTC.
func TimeValue(usec int64) Value { return Value{kind: Time, num: uint64(usec)} }

// ParseUUID reads a UUID written as 32 hexadecimal digits, with or without the
// four hyphens. It reports whether s was one.
func ParseUUID(s string) (Value, bool) {
	text, ok := canonicalUUID(s)
	if !ok {
		return Value{}, false
	}
	return Value{kind: UUID, str: string(text[:])}, true
}

// UUIDValue returns the UUID with these 16 bytes.
func UUIDValue(b [16]byte) Value {
	text, _ := canonicalUUID(hex.EncodeToString(b[:]))
	return Value{kind: UUID, str: string(text[:])}
}

// canonicalUUID returns a UUID that ParseUUID accepts in lower case and with hyphens.
func canonicalUUID(s string) (text [36]byte, ok bool) {
	hyphens := len(s) == 36
	if !hyphens && len(s) != 32 {
		return text, false
	}
	from := 0
	for i := range text {
		hyphen := i == 8 || i == 13 || i == 18 || i == 23
		if hyphen && !hyphens {
			text[i] = '-'
			continue
		}
		c := s[from]
		from++
		switch {
		case c >= 'A' && c <= 'F' && !hyphen:
			c += 'a' - 'A'
		case c >= '0' && c <= '9' && !hyphen, c >= 'a' && c <= 'f' && !hyphen, c == '-' && hyphen:
		default:
			return text, false
		}
		text[i] = c
	}
	return text, true
}

// Kind returns the type of the value.
func (v Value) Kind() Kind { return v.kind }

// IsMissing reports whether the entry does not have the field.
func (v Value) IsMissing() bool { return v.kind == Missing }

// IsNone reports whether there is nothing to work with: the field is missing or null.
func (v Value) IsNone() bool { return v.kind <= Null }

// Str returns the text of a String or UUID, and "" for any other kind.
func (v Value) Str() string { return v.str }

// Int returns the number of an Int; it is meaningless for other kinds.
func (v Value) Int() int64 { return int64(v.num) }

// Float returns the number of an Int or a Float as floating point.
func (v Value) Float() float64 {
	if v.kind == Int {
		return float64(int64(v.num))
	}
	return math.Float64frombits(v.num)
}

// UnixMicro returns a Time as microseconds since 1970 UTC.
func (v Value) UnixMicro() int64 { return int64(v.num) }

// Time returns a Time in the local time zone.
func (v Value) Time() time.Time { return time.UnixMicro(int64(v.num)).Local() }

// IsNumber reports whether the value is an Int or a Float.
func (v Value) IsNumber() bool { return v.kind == Int || v.kind == Float }

// Text renders the value as a template without a format spec does, but nothing
// at all for a missing or null field: this is what regular expressions search.
func (v Value) Text() string {
	if v.kind == String || v.kind == UUID {
		return v.str
	}
	var room [32]byte
	return string(v.appendText(room[:0]))
}

// appendText appends what Text returns.
func (v Value) appendText(dst []byte) []byte {
	switch v.kind {
	case String, UUID:
		return append(dst, v.str...)
	case Int:
		return strconv.AppendInt(dst, v.Int(), 10)
	case Float:
		return append(dst, FormatFloat(v.Float())...)
	case Time:
		return appendTime(dst, v.UnixMicro())
	}
	return dst
}

// FormatFloat writes f in the shortest form that reads back as f, always with a
// decimal point or an exponent, as Python's repr does.
func FormatFloat(f float64) string {
	switch {
	case math.IsInf(f, 1):
		return "inf"
	case math.IsInf(f, -1):
		return "-inf"
	case math.IsNaN(f):
		return "nan"
	}
	if a := math.Abs(f); a != 0 && (a < 1e-4 || a >= 1e16) {
		return strconv.FormatFloat(f, 'e', -1, 64)
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if f == math.Trunc(f) {
		s += ".0"
	}
	return s
}

// FormatTime renders microseconds since 1970 as local time, the fraction left out when it is zero:
// "2026-11-22 08:01:01.000123".
func FormatTime(usec int64) string {
	var room [32]byte
	return string(appendTime(room[:0], usec))
}

func appendTime(dst []byte, usec int64) []byte {
	t := time.UnixMicro(usec).Local()
	if t.Nanosecond() == 0 {
		return t.AppendFormat(dst, time.DateTime)
	}
	return t.AppendFormat(dst, "2006-01-02 15:04:05.000000")
}

// Clone returns the value with its own copy of the text.
func (v Value) Clone() Value {
	v.str = strings.Clone(v.str)
	return v
}

// Equal reports whether two values are equal as filters understand it: numbers
// by value (2 equals 2.0), strings by their bytes, a UUID and a string where the
// string is that UUID with or without hyphens. A missing value equals nothing.
func Equal(a, b Value) bool {
	if a.kind == b.kind {
		switch a.kind {
		case Missing:
			return false
		case Float:
			return a.Float() == b.Float()
		}
		return a == b
	}
	switch {
	case a.kind == Int && b.kind == Float:
		return intEqualsFloat(a.Int(), b.Float())
	case a.kind == Float && b.kind == Int:
		return intEqualsFloat(b.Int(), a.Float())
	case a.kind == UUID && b.kind == String:
		text, ok := canonicalUUID(b.str)
		return ok && string(text[:]) == a.str
	case a.kind == String && b.kind == UUID:
		return Equal(b, a)
	}
	return false
}

// CompareNumbers returns -1, 0 or 1, as a is lower than, equal to or greater than b, without the
// rounding of a conversion. Both are an Int or a Float. A NaN is lower than all others.
func CompareNumbers(a, b Value) int {
	switch aInt, bInt := a.kind == Int, b.kind == Int; {
	case aInt && bInt:
		return cmp.Compare(a.Int(), b.Int())
	case aInt:
		return compareIntWithFloat(a.Int(), b.Float())
	case bInt:
		return -compareIntWithFloat(b.Int(), a.Float())
	}
	return cmp.Compare(a.Float(), b.Float())
}

func compareIntWithFloat(i int64, f float64) int {
	whole := math.Floor(f)
	switch {
	case math.IsNaN(f) || whole < math.MinInt64:
		return 1
	case whole >= math.MaxInt64: // which is 2^63 as a float64
		return -1
	}
	if c := cmp.Compare(i, int64(whole)); c != 0 {
		return c
	}
	return cmp.Compare(whole, f)
}

// intEqualsFloat compares without the rounding of a conversion.
func intEqualsFloat(i int64, f float64) bool {
	return f == math.Trunc(f) && f >= math.MinInt64 && f < math.MaxInt64 && int64(f) == i
}
