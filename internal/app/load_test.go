package app

import (
	"testing"

	"github.com/pyruse/pyruse/internal/entry"
)

// TestCharsets tries the spellings that Python knows, with a byte that tells similar charsets apart.
func TestCharsets(t *testing.T) {
	for name, want := range map[string]string{
		"iso-8859-1": "\u00a4\u0080", "ISO8859-1": "\u00a4\u0080", "latin-1": "\u00a4\u0080", "latin_1": "\u00a4\u0080", "latin1": "\u00a4\u0080",
		"L1": "\u00a4\u0080", "8859": "\u00a4\u0080", "ascii": "\u00a4\u0080", "cp1252": "¤€", "windows-1252": "¤€", "windows_1252": "¤€",
		"iso8859_15": "€\u0080", "iso-8859-15": "€\u0080", "latin9": "€\u0080", "iso8859-2": "¤\u0080", "mac_roman": "§Ä", "macroman": "§Ä",
		"cp437": "ñÇ", "koi8_r": "╓─", "cp1251": "¤Ђ", "iso8859-16": "€\u0080", "cp874": "ค€",
	} {
		decode, err := decoder(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := decode([]byte{0xa4, 0x80}); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	for _, name := range []string{"", "nonsense", "latin-77"} {
		if _, err := decoder(name); err == nil {
			t.Errorf("%q is accepted", name)
		}
	}
	if got := entry.Latin1([]byte{0xe9}); got != "é" {
		t.Errorf("Latin1: %q", got)
	}
}
