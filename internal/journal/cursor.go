package journal

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// cursor is a position as libsystemd writes it: "s=…;i=…;b=…;m=…;t=…;x=…", all
// values hexadecimal. The format is only documented in systemd's source
// (sd_journal_get_cursor in src/libsystemd/sd-journal/sd-journal.c).
type cursor struct {
	file      string // s: the ID of the sequence of numbers that the file belongs to
	number    string // i: the number in that sequence
	boot      string // b
	monotonic string // m: microseconds since boot
	realtime  string // t: microseconds since 1970
	hash      string // x: of the entry's fields
}

func parseCursor(s string) (cursor, error) {
	var c cursor
	for part := range strings.SplitSeq(s, ";") {
		key, value, _ := strings.Cut(part, "=")
		if value == "" || strings.Trim(value, "0123456789abcdefABCDEF") != "" {
			return cursor{}, fmt.Errorf("read the journal cursor %q: %q is no key with a hexadecimal number", s, part)
		}
		switch key {
		case "s":
			c.file = value
		case "i":
			c.number = value
		case "b":
			c.boot = value
		case "m":
			c.monotonic = value
		case "t":
			c.realtime = value
		case "x":
			c.hash = value
		}
	}
	if (c.file == "" || c.number == "") && c.realtime == "" && (c.boot == "" || c.monotonic == "") {
		return cursor{}, fmt.Errorf("read the journal cursor %q: it names no position", s)
	}
	return c, nil
}

// sameEntry reports whether two cursors point to the same entry. Within a sequence
// the number decides. Otherwise the entry may have been copied to another file, as
// `journalctl --flush` does, where it has another number; its times and contents are the same.
// (sd_journal_test_cursor does not know the copy.)
func sameEntry(a, b cursor) bool {
	if a.file != "" && a.file == b.file {
		return a.number == b.number
	}
	return a.boot != "" && a.boot == b.boot && a.monotonic == b.monotonic &&
		a.realtime == b.realtime && a.hash == b.hash
}

// nextTo reports whether b has the number behind a's, in the same sequence: then
// there was nothing between them.
func nextTo(a, b cursor) bool {
	if a.file == "" || a.file != b.file {
		return false
	}
	m, err1 := strconv.ParseUint(a.number, 16, 64)
	n, err2 := strconv.ParseUint(b.number, 16, 64)
	return err1 == nil && err2 == nil && n == m+1
}

// position is a place in one journal to go on from: the entry cursor, or the one
// behind it, if cursor is given; else the first entry not before usec.
type position struct {
	cursor string
	at     bool  // the entry itself is the next one
	usec   int64 // microseconds since 1970; 0: the oldest entry
}

// positions are the places in several journals, by the names of their origins. Their
// text has one line for each: "@" if the entry itself is the next one, the cursor, a space,
// the quoted name.
type positions map[string]position

func (ps positions) String() string {
	names := slices.Sorted(maps.Keys(ps))
	var b []byte
	for _, name := range names {
		p := ps[name]
		if len(b) > 0 {
			b = append(b, '\n')
		}
		if p.at {
			b = append(b, '@')
		}
		b = append(append(b, p.cursor...), ' ')
		b = strconv.AppendQuote(b, name)
	}
	return string(b)
}

func parsePositions(s string) (positions, error) {
	ps := positions{}
	for line := range strings.SplitSeq(s, "\n") {
		text, quoted, _ := strings.Cut(line, " ")
		name, err := strconv.Unquote(quoted)
		if err != nil {
			return nil, fmt.Errorf("read the journal position %q: the name of an origin: %w", line, err)
		}
		text, at := strings.CutPrefix(text, "@")
		if _, err := parseCursor(text); err != nil {
			return nil, err
		}
		ps[name] = position{cursor: text, at: at}
	}
	return ps, nil
}
