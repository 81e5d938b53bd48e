package journal

import (
	"fmt"
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
