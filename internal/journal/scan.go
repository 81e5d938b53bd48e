package journal

import (
	"errors"
	"unicode/utf16"
	"unicode/utf8"
)

// scanner reads the JSON (RFC 8259) of one line of `journalctl -o json` without
// making anything of it. encoding/json would build a map and a string for each of some
// thirty fields, of which a workflow asks for three or four.
type scanner struct {
	data []byte
	pos  int
}

var (
	errNoValue     = errors.New("a JSON value is missing")
	errNoText      = errors.New("a JSON string is missing")
	errOpenText    = errors.New("the string does not end on this line")
	errControl     = errors.New("a control character in a string")
	errEscape      = errors.New("not an escape sequence of JSON")
	errObject      = errors.New("an object is no value of a journal field")
	errNested      = errors.New("arrays within the array of an array are no value of a journal field")
	errByteValue   = errors.New("not a byte value (0 to 255)")
	errMixed       = errors.New("byte values and other values in one array")
	errOpenArray   = errors.New("the array does not end on this line")
	errNumber      = errors.New("not a number")
	errNotAllBytes = errors.New("an array of byte values holds something else")
)

func (s *scanner) space() {
	for s.pos < len(s.data) {
		switch s.data[s.pos] {
		case ' ', '\t', '\r', '\n':
			s.pos++
		default:
			return
		}
	}
}

// take skips the byte c if it is the next one.
func (s *scanner) take(c byte) bool {
	if s.pos < len(s.data) && s.data[s.pos] == c {
		s.pos++
		return true
	}
	return false
}

// text skips a string and returns it with its quotes.
func (s *scanner) text() ([]byte, error) {
	start := s.pos
	if !s.take('"') {
		return nil, errNoText
	}
	for s.pos < len(s.data) {
		switch c := s.data[s.pos]; {
		case c == '"':
			s.pos++
			return s.data[start:s.pos], nil
		case c == '\\':
			if err := s.escape(); err != nil {
				return nil, err
			}
		case c < ' ':
			return nil, errControl
		default:
			s.pos++
		}
	}
	return nil, errOpenText
}

func (s *scanner) escape() error {
	rest := s.data[s.pos+1:]
	if len(rest) == 0 {
		return errOpenText
	}
	switch rest[0] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.pos += 2
		return nil
	case 'u':
		if _, ok := hex4(rest[1:]); ok {
			s.pos += 6
			return nil
		}
	}
	return errEscape
}

// hex4 returns the number that the first four bytes are hexadecimal digits of.
func hex4(b []byte) (rune, bool) {
	if len(b) < 4 {
		return 0, false
	}
	var n rune
	for _, c := range b[:4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		n = n<<4 | rune(c)
	}
	return n, true
}

// value skips one value of a field; depth is how many arrays it is in.
func (s *scanner) value(depth int) error {
	if s.pos == len(s.data) {
		return errNoValue
	}
	switch c := s.data[s.pos]; {
	case c == '"':
		_, err := s.text()
		return err
	case c == '[':
		if depth == 2 {
			return errNested
		}
		return s.array(depth + 1)
	case c == '{':
		return errObject
	case c == '-' || c >= '0' && c <= '9':
		return s.number()
	}
	for _, word := range [...]string{"null", "true", "false"} {
		if len(s.data)-s.pos >= len(word) && string(s.data[s.pos:s.pos+len(word)]) == word {
			s.pos += len(word)
			return nil
		}
	}
	return errNoValue
}

// array skips an array: either of byte values, or of values of a repeated field.
func (s *scanner) array(depth int) error {
	s.pos++
	s.space()
	if s.take(']') {
		return nil
	}
	allBytes := s.pos < len(s.data) && s.data[s.pos] >= '0' && s.data[s.pos] <= '9'
	for {
		var err error
		switch next := s.pos < len(s.data) && (s.data[s.pos] == '-' || s.data[s.pos] >= '0' && s.data[s.pos] <= '9'); {
		case allBytes && next:
			err = s.byteValue()
		case allBytes:
			err = errNotAllBytes
		case next:
			err = errMixed
		default:
			err = s.value(depth)
		}
		if err != nil {
			return err
		}
		s.space()
		if s.take(']') {
			return nil
		}
		if !s.take(',') {
			return errOpenArray
		}
		s.space()
	}
}

func (s *scanner) byteValue() error {
	start, n := s.pos, 0
	for s.pos < len(s.data) && s.data[s.pos] >= '0' && s.data[s.pos] <= '9' && s.pos-start < 4 {
		n = 10*n + int(s.data[s.pos]-'0')
		s.pos++
	}
	if s.pos == start || n > 255 || s.data[start] == '0' && s.pos-start > 1 {
		return errByteValue
	}
	return nil
}

func (s *scanner) number() error {
	s.take('-')
	if !s.take('0') && !s.digits() {
		return errNumber
	}
	if s.take('.') && !s.digits() {
		return errNumber
	}
	if s.take('e') || s.take('E') {
		if !s.take('+') {
			s.take('-')
		}
		if !s.digits() {
			return errNumber
		}
	}
	return nil
}

func (s *scanner) digits() bool {
	start := s.pos
	for s.pos < len(s.data) && s.data[s.pos] >= '0' && s.data[s.pos] <= '9' {
		s.pos++
	}
	return s.pos > start
}

// appendText appends what a checked JSON string, given with its quotes, stands
// for. Half a surrogate pair becomes U+FFFD.
func appendText(b, text []byte) []byte {
	text = text[1 : len(text)-1]
	for i := 0; i < len(text); {
		if text[i] != '\\' {
			b = append(b, text[i])
			i++
			continue
		}
		c := text[i+1]
		i += 2
		switch c {
		case 'b':
			c = '\b'
		case 'f':
			c = '\f'
		case 'n':
			c = '\n'
		case 'r':
			c = '\r'
		case 't':
			c = '\t'
		case 'u':
			r, _ := hex4(text[i:])
			i += 4
			if utf16.IsSurrogate(r) {
				low := rune(-1)
				if len(text)-i >= 6 && text[i] == '\\' && text[i+1] == 'u' {
					low, _ = hex4(text[i+2:])
				}
				if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
					i += 6
				}
			}
			b = utf8.AppendRune(b, r)
			continue
		}
		b = append(b, c)
	}
	return b
}

// appendByteValues appends the bytes of a checked array of byte values.
func appendByteValues(b, array []byte) []byte {
	n, in := 0, false
	for _, c := range array {
		switch {
		case c >= '0' && c <= '9':
			n, in = 10*n+int(c-'0'), true
		case in:
			b = append(b, byte(n))
			n, in = 0, false
		}
	}
	return b
}
