package mail

import (
	"strings"
	"testing"
)

func TestASCIIAddress(t *testing.T) {
	for _, c := range []struct{ addr, want string }{
		{"bob@example.org", "bob@example.org"},
		{"bob@bücher.example", "bob@xn--bcher-kva.example"},
		{"bob@BÜCHER.example", "bob@xn--bcher-kva.example"},
		{"jörg@bücher.example", "jörg@xn--bcher-kva.example"},
		{"bob@[192.0.2.1]", "bob@[192.0.2.1]"},
		{"bob@my_host", "bob@my_host"},
		{"a@b@bücher.example", "a@b@xn--bcher-kva.example"},
		{"bob", ""},
		{"bob@", ""},
		{"@example.org", ""},
		{"bob@ü..example", ""},
		{"bob@ü\u202e.example", ""},
		{"bob@-ü.example", ""},
		{"bob@" + strings.Repeat("ü", 60) + ".example", ""},
		{"bob@" + strings.Repeat("ü", 1<<20), ""},
	} {
		got, err := ASCIIAddress(c.addr)
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%q: %q, %v, want %q", c.addr, got, err, c.want)
		}
	}
}

func TestMailbox(t *testing.T) {
	for _, c := range []struct{ addr, want string }{
		{"bob@example.org", "bob@example.org"},
		{"bob.x+y=z'!#$%&*-/?^_`{|}~@example.org", "bob.x+y=z'!#$%&*-/?^_`{|}~@example.org"},
		{"bob builder@example.org", `"bob builder"@example.org`},
		{`"bob builder"@example.org`, `"bob builder"@example.org`},
		{`"a\"b"@example.org`, `"a\"b"@example.org`},
		{`"a"b"@example.org`, `"\"a\"b\""@example.org`},
		{`"a\"@example.org`, `"\"a\\\""@example.org`},
		{`"@example.org`, `"\""@example.org`},
		{"a@b@example.org", `"a@b"@example.org`},
		{"a>b@example.org", `"a>b"@example.org`},
		{"a..b@example.org", `"a..b"@example.org`},
		{".a@example.org", `".a"@example.org`},
		{"jörg@bücher.example", "jörg@xn--bcher-kva.example"},
		{"a\r\nb@example.org", ""},
		{"a\x00b@example.org", ""},
		{"a\u202eb@example.org", ""},
		{"a\xffb@example.org", ""},
		{"a@example.org\r\nDATA", ""},
		{"a@example.org> SIZE=1 <", ""},
		{"a@exa mple.org", ""},
		{"a@", ""},
		{"", ""},
	} {
		got, err := mailbox(c.addr)
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%q: %q, %v, want %q", c.addr, got, err, c.want)
		}
	}
}

// Whatever an address is, it does not end its place in a command.
func FuzzMailbox(f *testing.F) {
	for _, s := range []string{"bob@example.org", `"a b"@x`, "a>b@[::1]", "jörg@bücher.example", `"a\"@x`, "a\r\n@b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, addr string) {
		box, err := mailbox(addr)
		if err != nil {
			return
		}
		quoted, escaped, ats := false, false, 0
		for _, r := range box {
			switch {
			case r < ' ' || r == 0x7f:
				t.Fatalf("%q: control character in %q", addr, box)
			case escaped:
				escaped = false
			case quoted && r == '\\':
				escaped = true
			case r == '"':
				quoted = !quoted
			case !quoted && (r == '>' || r == '<' || r == ' '):
				t.Fatalf("%q: %q outside of quotes in %q", addr, r, box)
			case !quoted && r == '@':
				ats++
			}
		}
		if quoted || ats != 1 {
			t.Fatalf("%q: %q", addr, box)
		}
		if again, err := mailbox(box); err != nil || !strings.EqualFold(again, box) {
			t.Fatalf("%q: %q, then %q, %v", addr, box, again, err)
		}
	})
}
