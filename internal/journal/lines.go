package journal

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
)

// DefaultMaxLine is the longest line that Lines takes, in bytes, if nothing else is said.
const DefaultMaxLine = 64 << 20

// lineKeep is the largest buffer that Lines keeps from one line to the next.
const lineKeep = 1 << 20

// LineError tells what is wrong with one line. The lines behind it can still be read.
type LineError struct {
	Line   int // the number of the line, from 1
	Reason string
}

func (e *LineError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Reason) }

// Lines reads entries as `journalctl -o json` prints them, one JSON object on a
// line (https://systemd.io/JOURNAL_EXPORT_FORMATS#journal-json-format): strings, or for
// what is not UTF-8 arrays of byte values, or for repeated fields arrays of those, or null
// for what was too large to print (which makes the field missing; journalctl --all
// prints it). Numbers and true and false, which journalctl never prints, are
// taken as their text. The record separators of RFC 7464 and empty lines are skipped.
//
// Of a name that is there twice the first one counts. Memory is bounded by twice the longest line that is allowed.
type Lines struct {
	// MaxField bounds a field's value, as Options.MaxField does; 0 means DefaultMaxField.
	MaxField int

	in      *bufio.Reader
	maxLine int
	number  int    // of the last line that was read
	long    []byte // the line, if it did not fit into in's buffer
	members []member
	usec    int64
	scratch []byte // the last decoded value
}

// member is one field of the current line; key and value are JSON, as parts of the line.
type member struct{ key, value []byte }

// NewLines returns Lines that reads r. maxLine is the most bytes that a line may
// have; 0 means DefaultMaxLine.
func NewLines(r io.Reader, maxLine int) *Lines {
	if maxLine <= 0 {
		maxLine = DefaultMaxLine
	}
	return &Lines{in: bufio.NewReaderSize(r, 64<<10), maxLine: maxLine}
}

// Next makes the entry of the next line the current one, and reports false at the
// end of the input. After a *LineError, the next call goes on behind that line; any
// other error is one of the input.
func (l *Lines) Next() (bool, error) {
	l.members, l.usec = l.members[:0], 0
	for {
		line, err := l.readLine()
		if err != nil {
			if errors.Is(err, io.EOF) {
				return false, nil
			}
			return false, err
		}
		line = bytes.Trim(line, " \t\r\n\x1e")
		if len(line) == 0 {
			continue
		}
		if err := l.parse(line); err != nil {
			l.members = l.members[:0]
			return false, &LineError{Line: l.number, Reason: err.Error()}
		}
		return true, nil
	}
}

// readLine returns the next line, valid until the next call, or io.EOF.
func (l *Lines) readLine() ([]byte, error) {
	if cap(l.long) > lineKeep {
		l.long = nil
	}
	l.long = l.long[:0]
	l.number++
	tooLong := false
	for {
		part, err := l.in.ReadSlice('\n')
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull) {
			return nil, fmt.Errorf("read line %d: %w", l.number, err)
		}
		tooLong = tooLong || len(l.long)+len(part) > l.maxLine
		if errors.Is(err, bufio.ErrBufferFull) {
			if tooLong {
				l.long = l.long[:0]
			} else {
				l.long = append(l.long, part...)
			}
			continue
		}
		switch {
		case tooLong:
			return nil, &LineError{Line: l.number, Reason: fmt.Sprintf("longer than %d bytes", l.maxLine)}
		case len(l.long) > 0:
			l.long = append(l.long, part...)
			return l.long, nil
		case len(part) == 0:
			return nil, io.EOF
		}
		return part, nil
	}
}

// parse checks that line is a JSON object of journal fields, and splits it.
func (l *Lines) parse(line []byte) error {
	s := scanner{data: line}
	if !s.take('{') {
		return errors.New("not a JSON object (journalctl -o json prints one on each line)")
	}
	for first := true; ; first = false {
		s.space()
		if first && s.take('}') {
			break
		}
		key, err := s.text()
		if err != nil {
			return fmt.Errorf("column %d: the name of a field: %w", s.pos+1, err)
		}
		s.space()
		if !s.take(':') {
			return fmt.Errorf("column %d: a colon is missing", s.pos+1)
		}
		s.space()
		start := s.pos
		if err := s.value(0); err != nil {
			return fmt.Errorf("column %d: field %s: %w", s.pos+1, key, err)
		}
		l.members = append(l.members, member{key, line[start:s.pos]})
		s.space()
		if s.take('}') {
			break
		}
		if !s.take(',') {
			return fmt.Errorf("column %d: the object does not end on this line (journalctl -o json prints one on each line)", s.pos+1)
		}
	}
	s.space()
	if s.pos != len(line) {
		return fmt.Errorf("column %d: something follows the object", s.pos+1)
	}
	return l.readTime()
}

func (l *Lines) readTime() error {
	text, ok := l.Field(realtimeField)
	if !ok {
		return errors.New(realtimeField + " is missing")
	}
	usec, err := strconv.ParseUint(string(text), 10, 64)
	if err != nil || usec > math.MaxInt64 {
		return fmt.Errorf("%s is %q, not a number of microseconds", realtimeField, text)
	}
	l.usec = int64(usec)
	return nil
}

// UnixMicro returns the entry's __REALTIME_TIMESTAMP, in microseconds since 1970.
func (l *Lines) UnixMicro() int64 { return l.usec }

// Cursor returns the entry's __CURSOR, or "".
func (l *Lines) Cursor() string {
	c, _ := l.Field(cursorField)
	return string(c)
}

// Field returns the first value of a field.
func (l *Lines) Field(name string) ([]byte, bool) {
	for i := range l.members {
		m := &l.members[i]
		if key := m.key[1 : len(m.key)-1]; string(key) != name {
			// A name never needs an escape, but may have one.
			if bytes.IndexByte(key, '\\') < 0 || string(appendText(nil, m.key)) != name {
				continue
			}
		}
		value, ok := l.decode(m.value)
		if !ok {
			return nil, false
		}
		limit := l.MaxField
		if limit <= 0 {
			limit = DefaultMaxField
		}
		return cut(value, limit), true
	}
	return nil, false
}

// decode returns the first value that a checked JSON value stands for.
func (l *Lines) decode(value []byte) ([]byte, bool) {
	switch value[0] {
	case 'n': // null
		return nil, false
	case '"':
		if bytes.IndexByte(value, '\\') < 0 {
			return value[1 : len(value)-1], true
		}
		l.scratch = appendText(l.scratch[:0], value)
		return l.scratch, true
	case '[':
		s := scanner{data: value, pos: 1}
		s.space()
		start := s.pos
		switch c := value[start]; {
		case c == ']':
			return nil, false
		case c >= '0' && c <= '9':
			l.scratch = appendByteValues(l.scratch[:0], value)
			return l.scratch, true
		}
		if err := s.value(1); err != nil {
			return nil, false // not after value has checked it
		}
		return l.decode(value[start:s.pos])
	}
	return value, true
}

// Close does nothing: who opened the input closes it.
func (l *Lines) Close() error { return nil }
