package mail

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	netmail "net/mail"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.FixedZone("CET", 3600))

// plain returns a message that composes, to be changed by the test.
func plain() Message {
	return Message{
		From: "Pyruse <pyruse@example.org>", To: []string{"root@example.org", "Zoë <zoe@example.org>"},
		Subject: "Pyruse Notification", Text: "Hello\n", Date: noon,
		MessageID: MessageID("host.example.org", "s=1", "ssh", "3"),
	}
}

func compose(t *testing.T, m Message) []byte {
	t.Helper()
	data, err := m.Compose()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// read parses a message as a mail reader does.
func read(t *testing.T, data []byte) *netmail.Message {
	t.Helper()
	m, err := netmail.ReadMessage(bytes.NewReader(data))
	if err != nil {
		t.Fatalf("%v in:\n%s", err, data)
	}
	return m
}

// body decodes a quoted-printable body.
func body(t *testing.T, r io.Reader) string {
	t.Helper()
	b, err := io.ReadAll(quotedprintable.NewReader(r))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestComposeText(t *testing.T) {
	m := plain()
	m.Text = "Grüße = 1\n.\nno newline at the end"
	want := `From: "Pyruse" <pyruse@example.org>
To: <root@example.org>, =?utf-8?q?Zo=C3=AB?= <zoe@example.org>
Subject: Pyruse Notification
Date: Sun, 22 Nov 2026 12:00:00 +0100
Message-Id: <` + m.MessageID + `>
Auto-Submitted: auto-generated
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: quoted-printable

Gr=C3=BC=C3=9Fe =3D 1
=2E
no newline at the end
`
	got := strings.Replace(string(compose(t, m)), "Mime-Version: 1.0\n", "", 1)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestComposeAlternative(t *testing.T) {
	m := plain()
	m.HTML = "<p style=\"color:red\">Grüße</p>\n.\n"
	first := compose(t, m)
	if !bytes.Equal(first, compose(t, m)) {
		t.Error("the same message has different bytes")
	}
	got := read(t, first)
	mediaType, params, err := mime.ParseMediaType(got.Header.Get("Content-Type"))
	if err != nil || mediaType != "multipart/alternative" {
		t.Fatalf("content type %q: %v", mediaType, err)
	}
	r := multipart.NewReader(got.Body, params["boundary"])
	for _, want := range []struct{ mediaType, body string }{
		{"text/plain; charset=utf-8", m.Text}, {"text/html; charset=utf-8", m.HTML},
	} {
		p, err := r.NextPart() // decodes quoted-printable
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(p)
		if err != nil || string(b) != want.body || p.Header.Get("Content-Type") != want.mediaType {
			t.Errorf("part %v: %q, %v, want %q", p.Header, b, err, want)
		}
	}
	if _, err := r.NextPart(); !errors.Is(err, io.EOF) {
		t.Errorf("after the last part: %v", err)
	}
}

func TestComposeWithoutSender(t *testing.T) {
	m := plain()
	m.From = ""
	if h := read(t, compose(t, m)).Header; h.Get("From") != "" {
		t.Errorf("From: %q", h.Get("From"))
	}
}

func TestComposeRefuses(t *testing.T) {
	for name, change := range map[string]func(*Message){
		"no receiver":           func(m *Message) { m.To = nil },
		"bad receiver":          func(m *Message) { m.To = []string{"root@example.org", "nobody@"} },
		"injection by receiver": func(m *Message) { m.To = []string{"root@example.org>\nBcc: <x@example.org"} },
		"bad sender":            func(m *Message) { m.From = "Pyruse at example.org" },
		"no message ID":         func(m *Message) { m.MessageID = "" },
		"injection by ID":       func(m *Message) { m.MessageID = "a@b>\r\nBcc: <x@example.org" },
	} {
		t.Run(name, func(t *testing.T) {
			m := plain()
			change(&m)
			if data, err := m.Compose(); err == nil {
				t.Errorf("composed:\n%s", data)
			}
		})
	}
}

func TestSubject(t *testing.T) {
	long := strings.Repeat("long ", 100)
	for _, c := range []struct{ name, in, want string }{
		{"plain", "sshd: 3 failures", "sshd: 3 failures"},
		{"empty", "", ""},
		{"8 bit", "Überfluß an Fehlern", "Überfluß an Fehlern"},
		{"wide", strings.Repeat("日本語", 30), strings.Repeat("日本語", 30)},
		{"not UTF-8", "caf\xe9", "caf\ufffd"},
		{"header injection", "x\r\nBcc: evil@example.org\r\n\r\nbody", `x\r\nBcc: evil@example.org\r\n\r\nbody`},
		{"body injection", "x\n\nbody", `x\n\nbody`},
		{"other line ends", "a\u2028b\u0085c\vd\fe", `a\u2028b\x85c\x0bd\x0ce`},
		{"terminal", "\x1b]0;owned\x07", `\x1b]0;owned\x07`},
		{"bidi", "user \u202etoor", `user \u202etoor`},
		{"NUL", "a\x00b", `a\x00b`},
		{"encoded word", "=?utf-8?q?=1B[2J?=", "=?utf-8?q?=1B[2J?="},
		{"spaces", strings.Repeat(" ", 2000) + "a" + strings.Repeat(" ", 2000) + "b", "a b"},
		{"long words", long, long[:maxSubject-1] + "…"},
		{"one long word", strings.Repeat("x", 3000), strings.Repeat("x", maxSubject-1) + "…"},
		{"longest word", strings.Repeat("x", maxSubject), strings.Repeat("x", maxSubject)},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := plain()
			m.Subject = c.in
			data := compose(t, m)
			checkWire(t, data)
			got, err := new(mime.WordDecoder).DecodeHeader(read(t, data).Header.Get("Subject"))
			if err != nil || got != c.want {
				t.Errorf("got %q, %v; want %q", got, err, c.want)
			}
		})
	}
}

func TestBody(t *testing.T) {
	big := strings.Repeat("ü", maxText/2) + "end"
	for _, c := range []struct{ name, in, want string }{
		{"empty", "", ""},
		{"long line", strings.Repeat("x", 5000), strings.Repeat("x", 5000) + "\n"},
		{"dots", ".\n..\n.\n", ".\n..\n.\n"},
		{"dot at the wrap", strings.Repeat("x", 75) + ".\n", strings.Repeat("x", 75) + ".\n"},
		{"spaces at the end", "a  \n", "a  \n"},
		{"control", "a\tb\x1b[2J\x00\r\n", "a\tb\\x1b[2J\\x00\\r\n"},
		{"emoji", "👩\u200d💻\n", "👩\u200d💻\n"},
		{"tags", "a\U000e0041", "a\\U000e0041\n"},
		{"not UTF-8", "\xff\n", "\ufffd\n"},
		{"too long", big, strings.Repeat("ü", maxText/2) + "\n[3 bytes left out]\n"},
		{"too long amid a character", "x" + big, "x" + strings.Repeat("ü", maxText/2-1) + "\n[5 bytes left out]\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := plain()
			m.Text = c.in
			data := compose(t, m)
			checkWire(t, data)
			if got := body(t, read(t, data).Body); got != c.want {
				t.Errorf("got %.200q, want %.200q", got, c.want)
			}
		})
	}
}

// checkWire checks what holds for every message, whatever a log put into it.
func checkWire(t *testing.T, data []byte) {
	t.Helper()
	inHeader := true
	for s := bufio.NewScanner(bytes.NewReader(data)); s.Scan(); {
		line := s.Text()
		switch {
		case len(line) >= 998:
			t.Errorf("line of %d bytes", len(line))
		case line == ".":
			t.Error("a line is a single dot")
		case inHeader && line != "" && strings.TrimSpace(line) == "":
			t.Error("a line of the header is blank")
		case strings.ContainsFunc(line, func(r rune) bool { return r != '\t' && (r < ' ' || r > '~') }):
			t.Errorf("not plain ASCII: %q", line)
		}
		inHeader = inHeader && line != ""
	}
	if bytes.ContainsRune(data, '\r') || !bytes.HasSuffix(data, []byte("\n")) {
		t.Error("lines do not end in LF")
	}
	var names []string
	for name := range read(t, data).Header {
		names = append(names, name)
	}
	slices.Sort(names)
	want := []string{
		"Auto-Submitted", "Content-Transfer-Encoding", "Content-Type", "Date",
		"From", "Message-Id", "Mime-Version", "Subject", "To",
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("header fields, -want +got:\n%s", diff)
	}
}

func FuzzCompose(f *testing.F) {
	f.Add("Pyruse Notification", "text\n")
	f.Add("a\r\nBcc: x@example.org", ".\n")
	f.Add("=?utf-8?b?Gw==?= ü", "\xff\x00\u202e")
	f.Add(strings.Repeat("=", 300), strings.Repeat("=\t", 300))
	f.Fuzz(func(t *testing.T, subject, text string) {
		m := plain()
		m.Subject, m.Text = subject, text
		data := compose(t, m)
		checkWire(t, data)
		got := read(t, data)
		for _, s := range []string{body(t, got.Body), got.Header.Get("Subject")} {
			if !utf8.ValidString(s) || strings.ContainsAny(s, "\x1b\x00\u202e\u2028") {
				t.Errorf("not safe to show: %q", s)
			}
		}
	})
}

func TestParseAddress(t *testing.T) {
	for s, want := range map[string]netmail.Address{
		"root@localhost":                {Address: "root@localhost"},
		"Root <root@example.org>":       {Name: "Root", Address: "root@example.org"},
		"用户@例え.jp":                      {Address: "用户@例え.jp"},
		"root":                          {Address: "root"},
		" root ":                        {Address: "root"},
		"first.last+tag":                {Address: "first.last+tag"},
		"<root>":                        {Address: "root"},
		"Root <root>":                   {Name: "Root", Address: "root"},
		`"a <b" < root >`:               {Name: "a <b", Address: "root"},
		"用户":                            {Address: "用户"},
		"":                              {},
		"<>":                            {},
		"@":                             {},
		"root@":                         {},
		"@example.org":                  {},
		".root":                         {},
		"root.":                         {},
		"a..b":                          {},
		"a b":                           {},
		"a, b":                          {},
		"a, <b>":                        {},
		"a: b;":                         {},
		`"a b"`:                         {},
		"root (the admin)":              {},
		"root\nBcc: b":                  {},
		"Root\n <root>":                 {},
		"a@example.org <root>":          {},
		"a@example.org, b@example.org":  {},
		"a@example.org\nBcc: b@example": {},
	} {
		a, err := ParseAddress(s)
		if err != nil {
			a = &netmail.Address{}
		}
		if *a != want {
			t.Errorf("ParseAddress(%q): %v, %v, want %v", s, *a, err, want)
		}
	}
}

func TestQualifyAddress(t *testing.T) {
	for s, want := range map[string]string{
		"root":                    "root@example.org",
		"Root <root>":             `"Root" <root@example.org>`,
		"Zoë <zoe>":               "=?utf-8?q?Zo=C3=AB?= <zoe@example.org>",
		"root@example.net":        "root@example.net",
		"Root <root@example.net>": "Root <root@example.net>",
		`"a b"@example.net`:       `"a b"@example.net`,
		"no address":              "no address",
	} {
		if got := QualifyAddress(s, "example.org"); got != want {
			t.Errorf("QualifyAddress(%q): %q, want %q", s, got, want)
		}
	}
}

// TestComposeLocalAddresses: users of the machine have no domain, and are written without an @.
func TestComposeLocalAddresses(t *testing.T) {
	m := plain()
	m.From, m.To = "Pyruse <pyruse>", []string{"root", "Zoë <zoe>", "admin@example.org"}
	h := read(t, compose(t, m)).Header
	if got, want := h.Get("From"), `"Pyruse" <pyruse>`; got != want {
		t.Errorf("From: %s, want %s", got, want)
	}
	if got, want := h.Get("To"), "<root>, =?utf-8?q?Zo=C3=AB?= <zoe>, <admin@example.org>"; got != want {
		t.Errorf("To: %s, want %s", got, want)
	}
}

// FuzzParseAddress: what is an address can be written into a header, and a domain makes it one that everybody reads.
func FuzzParseAddress(f *testing.F) {
	for _, s := range []string{"root", "Root <root>", "Zoë <zoe@example.org>", `"a <b" <c>`, `"a\"@b"@c`, "a@b\nBcc: c", "用户", "=?utf-8?q?a?= <b>"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseAddress(s)
		if err != nil || len(s) > 500 {
			return
		}
		m := plain()
		m.To = []string{s}
		if data := compose(t, m); strings.IndexFunc(a.Address, func(r rune) bool { return r >= utf8.RuneSelf }) < 0 {
			checkWire(t, data)
		}
		whole, err := netmail.ParseAddress(QualifyAddress(s, "example.org"))
		if err != nil {
			t.Fatalf("%q with a domain is none: %v", s, err)
		}
		if !strings.HasPrefix(whole.Address, a.Address) || whole.Name != a.Name {
			t.Errorf("%q with a domain is %q", s, whole)
		}
	})
}

func TestMessageID(t *testing.T) {
	base := MessageID("host", "cursor", "chain", "3")
	if again := MessageID("host", "cursor", "chain", "3"); again != base {
		t.Errorf("%q is not %q", again, base)
	}
	for _, other := range []string{
		MessageID("host", "cursor", "chain", "4"),
		MessageID("host", "cursor", "chain3"),
		MessageID("host", "cursorchain", "3"),
		MessageID("other", "cursor", "chain", "3"),
	} {
		if other == base {
			t.Errorf("%q twice", other)
		}
	}
	for host, want := range map[string]string{
		"":                "localhost",
		"a.example.org":   "a.example.org",
		"b_c>\r\nBcc: x.": "b-c---Bcc--x",
	} {
		if _, got, _ := strings.Cut(MessageID(host, "s"), "@"); got != want {
			t.Errorf("host %q becomes %q, want %q", host, got, want)
		}
	}
}

func BenchmarkCompose(b *testing.B) {
	m := plain()
	for b.Loop() {
		if _, err := m.Compose(); err != nil {
			b.Fatal(err)
		}
	}
}

// TestDomainsBeyondASCII: any mail server can take them, as header and envelope have them in ASCII. A local part cannot be changed.
func TestDomainsBeyondASCII(t *testing.T) {
	m := plain()
	m.From, m.To = "Zoë <pyruse@bücher.example>", []string{"root@bücher.example", "zoë@example.org"}
	out, err := m.Outgoing(time.Unix(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	if want := "pyruse@xn--bcher-kva.example"; out.From != want {
		t.Errorf("envelope sender %q, want %q", out.From, want)
	}
	if want := []string{"root@xn--bcher-kva.example", "zoë@example.org"}; !slices.Equal(out.To, want) {
		t.Errorf("envelope receivers %q, want %q", out.To, want)
	}
	head := read(t, out.Data).Header
	if got, want := head.Get("To"), "<root@xn--bcher-kva.example>, <zoë@example.org>"; got != want {
		t.Errorf("To: %s, want %s", got, want)
	}
	if got := head.Get("From"); !strings.HasSuffix(got, "<pyruse@xn--bcher-kva.example>") {
		t.Errorf("From: %s", got)
	}
}
