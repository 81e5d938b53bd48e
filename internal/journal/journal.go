// Package journal is where entries come in and log lines go out: Reader follows
// or reads the systemd journal, Lines reads the output of `journalctl -o json`,
// and Logger writes Pyruse's own messages, whose catalog is Messages.
package journal

import (
	"github.com/pyruse/pyruse/internal/entry"
)

// Entries is a sequence of journal entries, of which one at a time is current.
// It is not safe for concurrent use.
type Entries interface {
	// Source gives the fields of the current entry. They are valid until the next call of any method.
	entry.Source
	// Next makes the next entry the current one, and reports false if there is
	// none (yet).
	Next() (bool, error)
	// UnixMicro returns the time of the current entry, in microseconds since 1970.
	UnixMicro() int64
	// Close releases what the sequence holds.
	Close() error
}

var (
	_ Entries = (*Reader)(nil)
	_ Entries = (*Lines)(nil)
)

// DefaultMaxField is the most bytes that one field's value has: a longer value is
// cut, at the boundary of a character. It is far above any line that a service logs,
// and low enough for a flood of over-long lines not to cost time and memory.
const DefaultMaxField = 64 << 10

// The address fields of journalctl's outputs (systemd.journal-fields(7)).
const (
	cursorField    = "__CURSOR"
	realtimeField  = entry.RealtimeField
	monotonicField = "__MONOTONIC_TIMESTAMP"
)

// cut shortens a value to at most limit bytes, without splitting a UTF-8 sequence.
func cut(b []byte, limit int) []byte {
	if len(b) <= limit {
		return b
	}
	for end := limit; end >= max(0, limit-3); end-- {
		if b[end]&0xC0 != 0x80 { // the byte behind the cut begins a character
			return b[:end]
		}
	}
	return b[:limit] // not UTF-8
}

// identifier is the SYSLOG_IDENTIFIER of all that Pyruse logs.
const identifier = "pyruse"

// IsOwn reports whether the entry was logged by a Logger of the user uid: journald
// vouches for the user, and other programs of that user carry no PYRUSE_VERSION.
// An error while such an entry is handled must not be logged again.
func IsOwn(src entry.Source, uid int) bool {
	if id, ok := src.Field("SYSLOG_IDENTIFIER"); !ok || string(id) != identifier {
		return false
	}
	owner, ok := src.Field("_UID")
	if !ok || !isDecimal(owner, uid) {
		return false
	}
	_, ok = src.Field(FieldVersion)
	return ok
}

// isDecimal reports whether b is the number n >= 0 as journald writes it.
func isDecimal(b []byte, n int) bool {
	for i := len(b) - 1; i >= 0; i-- {
		if b[i] != byte('0'+n%10) {
			return false
		}
		n /= 10
	}
	return n == 0 && len(b) > 0
}
