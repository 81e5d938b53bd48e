package mail

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	// maxReceived is how many bytes a server may send on one connection. A whole dialogue has a few KiB;
	// go-smtp limits the length of a line of a reply, but not the number of lines.
	maxReceived = 1 << 20
	// maxServerText is how much of a text of the server is shown, in bytes, in an error or a line of the dialogue.
	maxServerText = 500
	// maxChallenge is how much of a challenge of a SASL mechanism is shown, in bytes.
	maxChallenge = 60
)

var errTooMuch = fmt.Errorf("server sent more than %d bytes", maxReceived)

// wire is the connection to a mail server, above TLS where there is some: it keeps count of what the server sends,
// knows what is being done, and writes the dialogue.
type wire struct {
	net.Conn
	dialogue
	ahead []byte // is read before what the server sends
	left  int    // how many bytes the server may still send
	last  byte   // the last that was received
	err   error  // why reading or writing has failed
}

// torn reports whether the connection failed before the end of a line. What came of it is no reply, although
// net/textproto takes it for a line.
func (w *wire) torn() bool { return w.err != nil && w.last != '\n' }

// Read returns what the server sends, up to maxReceived bytes.
func (w *wire) Read(p []byte) (int, error) {
	if len(w.ahead) > 0 {
		n := copy(p, w.ahead)
		w.ahead = w.ahead[n:]
		return n, nil
	}
	if w.left == 0 {
		w.failed(errTooMuch)
		return 0, errTooMuch
	}
	n, err := w.Conn.Read(p[:min(len(p), w.left)])
	w.failed(err)
	if n > 0 {
		w.left -= n
		w.last = p[n-1]
		w.received(p[:n])
	}
	return n, err
}

// Write sends a command, or a part of the message.
func (w *wire) Write(p []byte) (int, error) {
	w.sending(p)
	n, err := w.Conn.Write(p)
	w.failed(err)
	return n, err
}

func (w *wire) failed(err error) {
	if w.err == nil {
		w.err = err
	}
}

// mode says what the client sends.
type mode int

const (
	commands mode = iota
	secrets       // the AUTH command and the answers to its challenges
	content       // the message
)

// dialogue writes down what client and server say, line by line: "-> " before what the client says,
// "<- " before what the server says. Secrets are replaced, control characters spelled out, long lines cut.
type dialogue struct {
	out   io.Writer // nil: nobody wants to know
	mode  mode
	step  string // what is being done, for errors
	since time.Time
	line  []byte   // what has been received of a line
	hide  []string // secrets that a server could repeat, in the forms that it knows them
}

// begin notes what is being done from now on.
func (d *dialogue) begin(step string) { d.step, d.since = step, time.Now() }

// sending notes what the client is about to send: one command, with its CRLF, unless it is the message.
func (d *dialogue) sending(p []byte) {
	line := strings.TrimSpace(string(p))
	switch d.mode {
	case content:
		return
	case secrets:
		line = hideResponse(line)
	default:
		d.begin(verb(line))
	}
	d.flush()
	d.note("-> " + line)
}

// hideResponse replaces what a client sends for a SASL mechanism (RFC 4954, 4): base64 of secrets. The name of the
// mechanism, the "=" of an empty response and the "*" that cancels are none.
func hideResponse(line string) string {
	fields := strings.SplitN(line, " ", 3)
	switch {
	case line == "*":
	case fields[0] != "AUTH":
		return "***"
	case len(fields) == 3 && fields[2] != "=":
		return "AUTH " + fields[1] + " ***"
	}
	return line
}

// verb returns the command without its arguments.
func verb(line string) string {
	if i := strings.IndexAny(line, " :"); i >= 0 {
		switch line[:i] {
		case "MAIL":
			return "MAIL FROM"
		case "RCPT":
			return "RCPT TO"
		}
		return line[:i]
	}
	return line
}

// received notes what the server has sent, as soon as a line of it is complete.
func (d *dialogue) received(p []byte) {
	if d.out == nil {
		return
	}
	for len(p) > 0 {
		end := bytes.IndexByte(p, '\n')
		part := p[:max(end, 0)]
		if end < 0 {
			part = p
		}
		d.line = append(d.line, part...) // maxReceived bounds it
		if end < 0 {
			return
		}
		d.flushLine()
		p = p[end+1:]
	}
}

// flush notes a line of the server that is not complete.
func (d *dialogue) flush() {
	if len(d.line) > 0 {
		d.flushLine()
	}
}

func (d *dialogue) flushLine() {
	line, limit := strings.TrimRight(string(d.line), "\r"), maxServerText
	d.line = d.line[:0]
	if d.mode == secrets && strings.HasPrefix(line, "334") {
		limit = maxChallenge
	}
	d.note("<- " + d.show(line, limit))
}

// note writes one line. That it cannot be written is no reason to send no mail.
func (d *dialogue) note(line string) {
	if d.out != nil {
		_, _ = io.WriteString(d.out, line+"\n")
	}
}

// show returns a text of the server as it can be shown: without secrets, control characters spelled out,
// limit bytes at most and an ellipsis.
func (d *dialogue) show(text string, limit int) string {
	for _, secret := range d.hide {
		text = strings.ReplaceAll(text, secret, "***")
	}
	begin, cut := beginning(text, limit)
	begin, again := beginning(Visible(begin, ""), limit)
	if cut || again {
		begin += "…"
	}
	return begin
}

// beginning returns at most limit bytes of s, whole characters of it, and whether that is not all.
func beginning(s string, limit int) (string, bool) {
	if len(s) <= limit {
		return s, false
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit], true
}

// shownError is an error whose text may contain that of a server.
type shownError struct {
	text string
	err  error
}

func (e *shownError) Error() string { return e.text }
func (e *shownError) Unwrap() error { return e.err }

// reply is an answer of the server that is not the one hoped for.
type reply struct {
	code int
	text string // with the code, fit to be shown
}

func (r *reply) Error() string { return r.text }

// code returns the code of the reply that an error is about, or 0.
func code(err error) int {
	if r := new(reply); errors.As(err, &r) {
		return r.code
	}
	return 0
}
