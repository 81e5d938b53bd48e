// Package mail composes messages and takes them from the outbox to the mail server.
//
// Nothing that comes from a log can change more than the words of a message: header
// fields are encoded, bodies are quoted-printable, and control characters are
// spelled out.
package mail

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	netmail "net/mail"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/emersion/go-message"
	gomail "github.com/emersion/go-message/mail"
	"github.com/pyruse/pyruse/internal/state"
)

const (
	// maxText is the most of Message.Text that is sent, in bytes. Mail servers commonly
	// refuse messages above 10 MB, and a log message can have many MiB.
	maxText = 1 << 20
	// maxSubject is the most of Message.Subject that is sent, in characters. With it, a
	// subject without any space still fits the 998 bytes of a line (RFC 5322, 2.1.1).
	maxSubject = 200
)

// Message is a mail as its sender thinks of it.
type Message struct {
	// From is the address of the sender. Without it the message has no From field: the
	// sendmail program puts in the one of the user that runs it, with the domain that the
	// mail server is configured for, which is a better guess than any host name.
	From string
	// To holds the addresses of the receivers, one at least.
	To []string
	// Subject is the subject. Characters that a header cannot hold are spelled out,
	// white space is reduced to single spaces, and 200 characters are the most.
	Subject string
	// Text is the message as plain text, lines ending in LF. Control characters other
	// than LF and tab are spelled out; of a text above 1 MiB the end is left out, and the
	// message says how much.
	Text string
	// HTML is the same message for graphical mail readers; "" when there is none. It must
	// be safe already.
	HTML string
	// Date is when the message was written.
	Date time.Time
	// MessageID identifies the message, without angle brackets; see the function MessageID.
	MessageID string
	// Host is the machine that the message comes from, for its List-Id (RFC 2919), by which mail readers can sort; "": none.
	Host string
}

// ParseAddress checks a mail address as the configuration has it: "root@example.org", or
// "Root <root@example.org>" (RFC 5322, 3.4). A local part beyond ASCII (RFC 6531) is an address too, and so is one
// without a domain, "root" or "Root <root>", which is a user of this machine to the sendmail program: see QualifyAddress.
func ParseAddress(s string) (*netmail.Address, error) {
	a, err := netmail.ParseAddress(s)
	if err == nil {
		return a, nil
	}
	if a := parseLocal(s); a != nil {
		return a, nil
	}
	return nil, fmt.Errorf("parse mail address %q: %w", s, err)
}

// parseLocal reads an address without a domain, whose local part is a dot-atom (RFC 5322, 3.2.3). It is nil if s is none.
func parseLocal(s string) *netmail.Address {
	const domain = "@localhost" // only lent, so that the parser takes it
	s = strings.TrimSpace(s)
	local, full := s, s+domain
	if open := strings.LastIndexByte(s, '<'); open >= 0 && strings.HasSuffix(s, ">") {
		local = strings.TrimSpace(s[open+1 : len(s)-1])
		full = s[:open+1] + local + domain + ">"
	}
	a, err := netmail.ParseAddress(full)
	if err != nil || a.Address != local+domain { // a quoted local part, or one with a comment
		return nil
	}
	a.Address = local
	return a
}

// QualifyAddress returns an address of ParseAddress with that domain, if it has none: what a mail server takes needs one
// (RFC 5321, 2.3.5). What is no address is returned as it is.
func QualifyAddress(address, domain string) string {
	a, err := ParseAddress(address)
	if err != nil || strings.Contains(a.Address, "@") {
		return address
	}
	a.Address += "@" + domain
	if a.Name == "" {
		return a.Address
	}
	return a.String()
}

// MessageID returns the Message-ID, without angle brackets, of the message that the
// parts of seed describe: the cursor of the entry, the chain and the step, for example. The same
// seed always gives the same ID, so a message that is repeated after a crash can be
// recognised. host becomes its right side; characters that have no place in one are replaced.
func MessageID(host string, seed ...string) string {
	h := sha256.New()
	for _, s := range seed {
		var size [8]byte
		binary.BigEndian.PutUint64(size[:], uint64(len(s)))
		h.Write(size[:])
		h.Write([]byte(s))
	}
	return hex.EncodeToString(h.Sum(nil)[:16]) + ".pyruse@" + domain(host)
}

// maxHost is the most of a host's name that is used, in bytes: what a domain name can have (RFC 1035, 2.3.4), written with dots.
const maxHost = 253

// domain returns the name of a host as header fields can have it: what has no place there becomes "-".
func domain(host string) string {
	host = strings.Trim(strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '-':
			return r
		}
		return '-'
	}, host), ".-")
	if host == "" {
		return "localhost"
	}
	return strings.TrimRight(host[:min(len(host), maxHost)], ".-")
}

// Outgoing composes the message for the outbox, to be sent at once. created is the time
// of the wall clock, by which the outbox counts.
func (m Message) Outgoing(created time.Time) (state.Mail, error) {
	data, err := m.Compose()
	if err != nil {
		return state.Mail{}, err
	}
	out := state.Mail{
		MessageID: m.MessageID, Data: data, Size: len(data), Created: created, NextTry: created, Subject: plainSubject(m.Subject),
	}
	if m.From != "" {
		from, err := parseAddresses([]string{m.From})
		if err != nil {
			return state.Mail{}, err
		}
		out.From = from[0].Address
	}
	to, err := parseAddresses(m.To)
	for _, a := range to {
		out.To = append(out.To, a.Address)
	}
	return out, err
}

// Compose returns the whole message (RFC 5322, MIME): text/plain, or
// multipart/alternative when there is HTML. It is ASCII but for addresses beyond ASCII; lines end in LF, as
// sendmail wants them, have less than 998 bytes, and none is a single dot, which sendmail
// without -i would take for the end. The same Message always gives the same bytes.
func (m Message) Compose() ([]byte, error) {
	var b bytes.Buffer
	if err := m.write(&b); err != nil {
		return nil, fmt.Errorf("compose message: %w", err)
	}
	return unixLines(b.Bytes()), nil
}

// address puts the header fields of an envelope above those in h, which describe the body.
func (m Message) address(h *message.Header) error {
	if len(m.To) == 0 {
		return errors.New("no receiver")
	}
	to, err := parseAddresses(m.To)
	if err != nil {
		return err
	}
	if m.MessageID == "" || strings.ContainsFunc(m.MessageID, func(r rune) bool {
		return r <= ' ' || r > '~' || r == '<' || r == '>'
	}) {
		return fmt.Errorf("%q is no message ID", m.MessageID)
	}
	// A field is inserted above those before it, so the last one comes first.
	head := gomail.Header{Header: *h}
	head.Set("Auto-Submitted", "auto-generated") // RFC 3834: no vacation notes, please
	if m.Host != "" {
		head.Set("List-Id", "<pyruse."+domain(m.Host)+">")
	}
	head.SetMessageID(m.MessageID)
	head.SetDate(m.Date)
	head.Set("Subject", encodeSubject(m.Subject))
	head.Set("To", formatAddresses(to))
	if m.From != "" {
		from, err := parseAddresses([]string{m.From})
		if err != nil {
			return err
		}
		head.Set("From", formatAddresses(from))
	}
	*h = head.Header
	return nil
}

// parseAddresses reads addresses, and writes their domains in ASCII: then any mail server can take them, unless a local part is beyond it.
func parseAddresses(list []string) ([]*netmail.Address, error) {
	parsed := make([]*netmail.Address, len(list))
	for i, s := range list {
		a, err := ParseAddress(s)
		if err != nil {
			return nil, err
		}
		if strings.Contains(a.Address, "@") {
			if a.Address, err = ASCIIAddress(a.Address); err != nil {
				return nil, err
			}
		}
		parsed[i] = a
	}
	return parsed, nil
}

// formatAddresses writes a list of addresses as a header field holds it.
func formatAddresses(list []*netmail.Address) string {
	parts := make([]string, len(list))
	for i, a := range list {
		if parts[i] = a.String(); !strings.Contains(a.Address, "@") {
			parts[i] = strings.TrimSuffix(parts[i], "@>") + ">" // net/mail knows no address without a domain
		}
	}
	return strings.Join(parts, ", ")
}

// encodeSubject writes a subject as a header field can hold it. Anything but plain ASCII becomes
// encoded words (RFC 2047), and so does a text that looks like one, lest a log
// message is decoded into what was spelled out here. Runs of spaces are reduced
// because folding could turn them into lines that look like the end of the header.
func encodeSubject(s string) string {
	s = plainSubject(s)
	plain := !strings.Contains(s, "=?")
	for i := 0; plain && i < len(s); i++ {
		plain = s[i] < utf8.RuneSelf
	}
	if plain {
		return s
	}
	// 36 bytes become a word of 60 characters: with the name of the field or the space of a
	// folded line that stays below the 76 that a line with encoded words may have.
	const wordBytes = 36
	var words []string
	for len(s) > 0 {
		n := min(wordBytes, len(s))
		for n < len(s) && !utf8.RuneStart(s[n]) {
			n--
		}
		words = append(words, "=?utf-8?b?"+base64.StdEncoding.EncodeToString([]byte(s[:n]))+"?=")
		s = s[n:]
	}
	return strings.Join(words, " ")
}

// plainSubject returns a subject on one line, shortened, with nothing in it that could deceive.
func plainSubject(s string) string {
	s = strings.Join(strings.Fields(Visible(s, "")), " ")
	if utf8.RuneCountInString(s) > maxSubject {
		s = string([]rune(s)[:maxSubject-1]) + "…"
	}
	return s
}

// write writes the header and the body, lines ending in CRLF.
func (m Message) write(w io.Writer) error {
	var h message.Header
	text := Visible(cut(m.Text, maxText), "\n\t")
	if m.HTML == "" {
		describePart(&h, "text/plain")
		if err := m.address(&h); err != nil {
			return err
		}
		mw, err := message.CreateWriter(w, h)
		if err != nil {
			return err
		}
		return writeBody(mw, text)
	}
	// "=_" cannot occur in quoted-printable, so no text can contain the boundary.
	sum := sha256.Sum256([]byte(m.MessageID))
	h.SetContentType("multipart/alternative", map[string]string{"boundary": "=_" + hex.EncodeToString(sum[:12])})
	if err := m.address(&h); err != nil {
		return err
	}
	mw, err := message.CreateWriter(w, h)
	if err != nil {
		return err
	}
	for _, part := range []struct{ mediaType, body string }{
		{"text/plain", text}, {"text/html", strings.ToValidUTF8(m.HTML, "\uFFFD")},
	} {
		var ph message.Header
		describePart(&ph, part.mediaType)
		pw, err := mw.CreatePart(ph)
		if err != nil {
			return err
		}
		if err := writeBody(pw, part.body); err != nil {
			return err
		}
	}
	return mw.Close()
}

func describePart(h *message.Header, mediaType string) {
	h.Set("Content-Transfer-Encoding", "quoted-printable")
	h.SetContentType(mediaType, map[string]string{"charset": "utf-8"})
}

func writeBody(w io.WriteCloser, body string) error {
	if body != "" && !strings.HasSuffix(body, "\n") {
		body += "\n"
	}
	if _, err := io.WriteString(w, body); err != nil {
		return err
	}
	return w.Close()
}

// cut returns at most limit bytes of s, with a line that says how much is missing.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return fmt.Sprintf("%s\n[%d bytes left out]\n", s[:limit], len(s)-limit)
}

// Size returns how large a composed message is when it is sent, in bytes: its lines end in CRLF then.
func Size(data []byte) int { return len(data) + bytes.Count(data, []byte("\n")) }

// unixLines turns CRLF into LF and writes a line that is a single dot, which only
// a quoted-printable body can have, as that encoding's "=2E".
func unixLines(b []byte) []byte {
	out := make([]byte, 0, len(b))
	for line := range bytes.Lines(b) {
		line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
		if len(line) == 1 && line[0] == '.' {
			line = []byte("=2E")
		}
		out = append(append(out, line...), '\n')
	}
	return out
}
