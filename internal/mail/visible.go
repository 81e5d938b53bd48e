package mail

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Visible spells out the characters that a reader would not see, but that could deceive
// him or his terminal: control characters (as \x1b, \n), bidirectional marks and other
// format characters (as \u202e), and the separators of lines and paragraphs. The control characters in keep
// stay as they are, and so do the joiners that scripts and emoji need. What is not UTF-8 becomes U+FFFD.
func Visible(s, keep string) string {
	at := strings.IndexFunc(s, func(r rune) bool { return hidden(r, keep) })
	if at < 0 {
		return s
	}
	var b strings.Builder
	b.Grow(len(s) + 16)
	b.WriteString(s[:at])
	for _, r := range s[at:] {
		switch {
		case !hidden(r, keep) || r == utf8.RuneError:
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
	}
	return b.String()
}

// hidden reports whether r is not to be written as it is.
func hidden(r rune, keep string) bool {
	const zwnj, zwj = '\u200c', '\u200d'
	if r >= ' ' && r < 0x7f {
		return false
	}
	switch r {
	case zwnj, zwj:
		return false
	case utf8.RuneError: // may stand for bytes that are not UTF-8
		return true
	}
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) && !strings.ContainsRune(keep, r)
}
