package main

import (
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf8"
)

// field is one field of an entry; an entry is a list of them, the pseudo fields first.
type field struct{ name, value string }

// appendJSON renders an entry as one line of `journalctl -o json`, where every value is a string.
func appendJSON(dst []byte, fields []field) []byte {
	dst = append(dst, '{')
	for i, f := range fields {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(dst, f.name)
		dst = append(dst, ':')
		dst = appendString(dst, f.value)
	}
	return append(dst, '}', '\n')
}

// appendString quotes valid UTF-8 as JSON.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r == '\n':
			dst = append(dst, '\\', 'n')
		case r < ' ':
			dst = fmt.Appendf(dst, `\u%04x`, r)
		default:
			dst = utf8.AppendRune(dst, r)
		}
	}
	return append(dst, '"')
}

// appendExport renders an entry in the Journal Export Format
// (https://systemd.io/JOURNAL_EXPORT_FORMATS): NAME=value lines, or, for a value with a newline,
// NAME, a newline, the length as 64 bit little endian, the value, a newline; an empty line ends the entry.
func appendExport(dst []byte, fields []field) []byte {
	for _, f := range fields {
		dst = append(dst, f.name...)
		if strings.Contains(f.value, "\n") {
			dst = append(dst, '\n')
			dst = binary.LittleEndian.AppendUint64(dst, uint64(len(f.value)))
		} else {
			dst = append(dst, '=')
		}
		dst = append(dst, f.value...)
		dst = append(dst, '\n')
	}
	return append(dst, '\n')
}
