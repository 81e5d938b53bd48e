package entry

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// appendConverted appends what the conversion 's', 'r' or 'a' makes of a value.
func appendConverted(dst []byte, v Value, conversion byte) []byte {
	switch {
	case v.IsNone():
		return append(dst, "None"...)
	case conversion == 's':
		return v.appendText(dst)
	}
	switch v.kind {
	case String:
		return appendQuoted(dst, v.str, conversion == 'a')
	case UUID:
		dst = append(dst, "UUID('"...)
		dst = append(dst, v.str...)
		return append(dst, "')"...)
	case Time:
		t := v.Time()
		dst = appendStrftime(dst, "datetime.datetime(%Y, %-m, %-d, %-H, %-M", t)
		if usec := t.Nanosecond() / 1000; usec != 0 {
			dst = appendStrftime(dst, ", %-S, %-f", t)
		} else if t.Second() != 0 {
			dst = appendStrftime(dst, ", %-S", t)
		}
		return append(dst, ')')
	}
	return v.appendText(dst)
}

// appendQuoted appends a string as a Python literal: in double quotes only if it
// contains single ones and no double ones, and with escapes for all that cannot be
// printed; ascii escapes all that is not ASCII. A byte that is not UTF-8 becomes \xNN.
func appendQuoted(dst []byte, text string, ascii bool) []byte {
	quote := byte('\'')
	if strings.IndexByte(text, '\'') >= 0 && strings.IndexByte(text, '"') < 0 {
		quote = '"'
	}
	dst = append(dst, quote)
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		switch {
		case r == rune(quote) || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r == '\n':
			dst = append(dst, `\n`...)
		case r == '\r':
			dst = append(dst, `\r`...)
		case r == '\t':
			dst = append(dst, `\t`...)
		case r == utf8.RuneError && size == 1:
			dst = appendEscape(dst, rune(text[i]))
		case !unicode.IsPrint(r) || ascii && r >= utf8.RuneSelf:
			dst = appendEscape(dst, r)
		default:
			dst = append(dst, text[i:i+size]...)
		}
		i += size
	}
	return append(dst, quote)
}

// appendEscape appends the shortest of \xNN, \uNNNN and \UNNNNNNNN for a character.
func appendEscape(dst []byte, r rune) []byte {
	letter, digits := byte('x'), 2
	switch {
	case r > 0xffff:
		letter, digits = 'U', 8
	case r > 0xff:
		letter, digits = 'u', 4
	}
	dst = append(dst, '\\', letter)
	for digits--; digits >= 0; digits-- {
		dst = append(dst, "0123456789abcdef"[r>>(4*digits)&15])
	}
	return dst
}
