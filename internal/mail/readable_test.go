package mail

import (
	"fmt"
	"maps"
	"mime"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/pyruse/pyruse/internal/state"
)

func TestListID(t *testing.T) {
	for host, want := range map[string]string{
		"":                             "",
		"a.example.org":                "<pyruse.a.example.org>",
		"a>\r\nBcc: x@example.org":     "<pyruse.a---Bcc--x-example.org>",
		"\u2028\x00.":                  "<pyruse.localhost>",
		strings.Repeat("long.", 2000):  "<pyruse." + strings.Repeat("long.", 50) + "lon>",
		"=?utf-8?q?=0D=0ABcc:_x?=":     "<pyruse.utf-8-q--0D-0ABcc--x>",
		"übersee.example.org\tX: yes ": "<pyruse.bersee.example.org-X--yes>",
	} {
		m := plain()
		m.Host = host
		data := compose(t, m)
		checkFields(t, data, host != "")
		if got := read(t, data).Header.Get("List-Id"); got != want {
			t.Errorf("host %q: List-Id %q, want %q", host, got, want)
		}
	}
}

// checkFields checks that a message has the expected header fields, each once, and no line of 998 bytes or more (RFC 5322, 2.1.1).
func checkFields(t *testing.T, data []byte, listID bool) {
	t.Helper()
	want := []string{
		"Auto-Submitted", "Content-Transfer-Encoding", "Content-Type", "Date", "From", "Message-Id", "Mime-Version", "Subject", "To",
	}
	if listID {
		want = append(want, "List-Id")
	}
	slices.Sort(want)
	got := read(t, data).Header
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(got))); diff != "" {
		t.Errorf("header fields, -want +got:\n%s", diff)
	}
	for name, values := range got {
		if len(values) != 1 {
			t.Errorf("%s is there %d times", name, len(values))
		}
	}
	for line := range strings.Lines(string(data)) {
		if len(line) >= 998 || strings.ContainsAny(line, "\r\x00") || strings.TrimSpace(line) == "" && line != "\n" {
			t.Errorf("a line of %d bytes: %.100q", len(line), line)
		}
	}
}

var hostile = []string{
	"", "Pyruse Notification", "x\r\nBcc: x@example.org", "x\r\n Bcc: x@example.org\r\n\r\nbody", "\r\n", "\n\n", "\r", "a\rb", "a\x00b", "\x00",
	" \r\n \r\n", "x\r\n\tfolded", "a\u2028Bcc: b\u2029c\u0085d\ve\ff", "=?utf-8?q?=0D=0ABcc:_x?=", "=?utf-8?b?DQpCY2M6IHg=?=", "=?", "?=",
	".", ".\r\n", "\xff\xfe", "\u202ex", strings.Repeat("x", 3000), strings.Repeat("ü ", 1500), strings.Repeat("\r\n ", 500), "\x1b[2J", "%d %s",
}

// TestInjection has hostile subjects and texts go through a gate, each as a mail of its own, as a summary, and in a digest.
func TestInjection(t *testing.T) {
	for _, s := range hostile {
		t.Run(fmt.Sprintf("%.40q", s), func(t *testing.T) { throughGate(t, s, s) })
	}
}

func FuzzInjection(f *testing.F) {
	for _, s := range hostile {
		f.Add(s, s)
		f.Add("subject", s)
	}
	f.Fuzz(throughGate)
}

func throughGate(t *testing.T, subject, text string) {
	var p pile
	put := func(at time.Time) {
		p.put(subject, text, at)
		p.put(subject, text+".", at)
	}
	s := settings(time.Minute, 2)
	s.Host = "host\r\nBcc: x." + strings.ToValidUTF8(subject, "")
	g, now := NewGate(&p, s), noon
	for _, after := range []time.Duration{0, 30 * time.Second, 30 * time.Second, time.Minute, time.Hour} {
		now = now.Add(after)
		put(now)
		if _, err := g.Pass(now); err != nil {
			t.Fatal(err)
		}
	}
	if len(p.mails) != 3 { // the first, a summary, a digest
		t.Fatalf("%d mails, want 3", len(p.mails))
	}
	for _, m := range p.mails {
		checkComposed(t, m)
	}
}

// checkComposed checks a mail in the outbox, and how it is shown.
func checkComposed(t *testing.T, m state.Mail) {
	t.Helper()
	checkFields(t, m.Data, true)
	h := read(t, m.Data).Header
	subject, err := new(mime.WordDecoder).DecodeHeader(h.Get("Subject"))
	if err != nil || subject != m.Subject {
		t.Errorf("the subject is %q, %v; the outbox has %q", subject, err, m.Subject)
	}
	shown, err := Readable(m.Data)
	if err != nil {
		t.Fatal(err)
	}
	if !utf8.ValidString(shown) || shown != Visible(shown, "\n\t") {
		t.Errorf("not safe to show: %q", shown)
	}
	head, text, _ := strings.Cut(shown, "\n\n")
	var names []string
	for line := range strings.Lines(head) {
		name, _, _ := strings.Cut(line, ":")
		names = append(names, name)
	}
	want := []string{"From", "To", "Subject", "Date", "Message-ID"}
	if subject == "" {
		want = slices.DeleteFunc(want, func(s string) bool { return s == "Subject" })
	}
	if !slices.Equal(names, want) {
		t.Errorf("shown: %q, want %q", names, want)
	}
	if want := body(t, read(t, m.Data).Body); text != want {
		t.Errorf("shown is %q, want %q", text, want)
	}
}

func TestReadable(t *testing.T) {
	m := plain()
	m.Subject, m.Text, m.HTML = "Überfluß", "Grüße\n", "<p>nobody reads this"
	want := "From: \"Pyruse\" <pyruse@example.org>\nTo: <root@example.org>, Zoë <zoe@example.org>\nSubject: Überfluß\n" +
		"Date: Sun, 22 Nov 2026 12:00:00 +0100\nMessage-ID: <" + m.MessageID + ">\n\nGrüße\n"
	if got, err := Readable(compose(t, m)); err != nil {
		t.Error(err)
	} else if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for _, data := range []string{"no header", "Content-Type: multipart/mixed; boundary=x\n\n--x--\n", "Content-Transfer-Encoding: rot13\n\nx\n"} {
		if text, err := Readable([]byte(data)); err == nil {
			t.Errorf("%q is shown as %q", data, text)
		}
	}
}

// FuzzReadable: whatever is in the outbox, it is safe to show.
func FuzzReadable(f *testing.F) {
	m := plain()
	data, err := m.Compose()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	m.HTML = "<p>x"
	if data, err = m.Compose(); err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte("Subject: =?utf-8?q?=1B[2J?=\n\n\x1b[2J\r\n"))
	f.Add([]byte("Content-Type: text/plain; charset=latin1\n\n\xff\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if text, err := Readable(data); err == nil && (!utf8.ValidString(text) || text != Visible(text, "\n\t")) {
			t.Errorf("not safe to show: %q", text)
		}
	})
}
