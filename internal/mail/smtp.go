package mail

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/pyruse/pyruse/internal/state"
	"golang.org/x/sys/unix"
)

const (
	// messageTimeout is how long one message may take, from the look-up of the server to its acceptance. RFC 5321,
	// 4.5.3.2 allows a server much more; but other messages wait, and the next try comes in a minute.
	messageTimeout = 60 * time.Second
	// commandTimeout is how long the connection, the TLS handshake and each command may take. The message and
	// the reply to its end have all that is left of the whole: a server may scan a message before it accepts it.
	commandTimeout = 30 * time.Second
	// quitTimeout is how long the reply to QUIT is awaited, which has no consequence.
	quitTimeout = 2 * time.Second
)

// Values of SMTP.TLS.
const (
	StartTLS    = "starttls" // the connection starts in clear, and nothing but EHLO is said before TLS (RFC 3207)
	ImplicitTLS = "implicit" // TLS from the start (RFC 8314)
	NoTLS       = "none"     // all in clear, without authentication: for a server on the same machine
)

// SMTP hands messages to a mail server (RFC 5321), normally by submission (RFC 6409). Each message has a
// connection of its own. TLS is 1.2 at least, and the certificate of the server is checked.
type SMTP struct {
	Host       string // name or address of the server
	Port       int    // 0: 587, or 465 with ImplicitTLS, or 25 with NoTLS
	TLS        string // StartTLS, ImplicitTLS or NoTLS; "": StartTLS
	ServerName string // name or address that the certificate must have; "": Host
	CAFile     string // certificates of authorities (PEM), which alone are trusted then; "": those of the system
	// CertFile and KeyFile hold a certificate of this machine and its key (PEM), for EXTERNAL or a server that knows
	// its clients by their certificates.
	CertFile, KeyFile string
	// Auth names the SASL mechanism: PLAIN, LOGIN, OAUTHBEARER, EXTERNAL or ANONYMOUS. "": the strongest that the
	// server offers and the credentials fit; none if there are no credentials.
	Auth     string
	Username string
	Secret   Secret // password, or token for OAUTHBEARER; nil: none. It is read for each connection.
	// Sender is that of messages that have none, an address alone. Receivers without a domain, which only a sendmail program knows, get its
	// domain: a message may have been written for such a program.
	Sender string
	// LocalName is the name of this machine in EHLO. "": that of the system.
	LocalName string
	// Timeout is how long one message may take. 0: 60 seconds.
	Timeout time.Duration
	// Dialogue gets what client and server say, line by line, without secrets; nil: nobody does.
	Dialogue io.Writer

	dial func(ctx context.Context, network, address string) (net.Conn, error) // for tests; nil: a net.Dialer
}

var _ Transport = (*SMTP)(nil)

// Send hands over one message. It returns nil when the server has accepted it for all of m.To, and a *SendError
// when it has refused some for good, or for now. Replies about the session and not about the message, such as those
// to a wrong password, refuse nothing: they are errors that may pass. m.Data has lines ending in LF and must
// not have any other carriage return than before them.
func (s *SMTP) Send(ctx context.Context, m state.Mail) error {
	if m.From == "" {
		m.From = s.Sender
	}
	if m.From == "" {
		return errors.New("email.from is needed with SMTP")
	}
	if len(m.To) == 0 {
		return errors.New("message has no receiver")
	}
	from, err := mailbox(m.From)
	if err != nil {
		return fmt.Errorf("email.from: %w", err)
	}
	t := &transaction{mail: m, from: from}
	t.address()
	if err := t.measure(); err != nil || len(t.to) == 0 {
		return t.end(err, true)
	}
	return s.converse(ctx, t.run)
}

// Probe does all that comes before a message: it connects, starts TLS, and authenticates.
func (s *SMTP) Probe(ctx context.Context) error {
	return s.converse(ctx, func(*session) error { return nil })
}

// converse opens a session, and closes it after do.
func (s *SMTP) converse(ctx context.Context, do func(*session) error) error {
	if err := s.check(); err != nil {
		return fmt.Errorf("mail server %s: %w", s.address(), err)
	}
	timeout := s.Timeout
	if timeout == 0 {
		timeout = messageTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	c := &session{smtp: s, ended: ctx.Err, timeout: timeout}
	defer c.close()
	if err := c.open(ctx); err != nil {
		return fmt.Errorf("mail server %s: %w", s.address(), err)
	}
	err := do(c)
	if err == nil || errors.As(err, new(*SendError)) {
		return err
	}
	return fmt.Errorf("mail server %s: %w", s.address(), err)
}

// check finds what is wrong with the settings, before anything is sent.
func (s *SMTP) check() error {
	switch {
	case s.Host == "":
		return errors.New("no host")
	case s.Port < 0 || s.Port > 65535:
		return fmt.Errorf("%d is no port", s.Port)
	case !slices.Contains([]string{"", StartTLS, ImplicitTLS, NoTLS}, s.TLS):
		return fmt.Errorf("%q is no kind of TLS", s.TLS)
	case (s.CertFile == "") != (s.KeyFile == ""):
		return errors.New("certificate and key are only of use together")
	}
	return s.checkAuth()
}

// address returns where the server is, as net.Dial wants it.
func (s *SMTP) address() string {
	port := s.Port
	if port == 0 {
		switch s.TLS {
		case ImplicitTLS:
			port = 465
		case NoTLS:
			port = 25
		default:
			port = 587
		}
	}
	return net.JoinHostPort(s.Host, strconv.Itoa(port))
}

// localName returns the name of this machine as EHLO can have it (RFC 5321, 4.1.1.1). A server that minds a
// name that is not the whole one says so.
func (s *SMTP) localName() string {
	name := s.LocalName
	if name == "" {
		name, _ = os.Hostname() // without a name, it is as without a good one
	}
	name, err := asciiDomain(name)
	if err != nil || !plainDomain(name) {
		return "localhost"
	}
	return name
}

// session is a connection to a mail server.
type session struct {
	smtp    *SMTP
	ended   func() error // why the time is over, or nil
	timeout time.Duration
	wire    *wire
	client  *smtp.Client
	stop    []func() // what is to be done at the end, last one first
}

// open connects to the server, and gets so far that a message can follow.
func (c *session) open(ctx context.Context) error {
	s := c.smtp
	conf, err := s.tlsConfig()
	if err != nil {
		return err
	}
	secret, err := s.readSecret(ctx)
	if err != nil {
		return err
	}
	if err := c.connect(ctx); err != nil {
		return err
	}
	c.wire.hide = secretForms(secret)
	if s.TLS == ImplicitTLS {
		if err := c.handshake(ctx, conf); err != nil {
			return err
		}
	}
	if err := c.hello(); err != nil {
		return err
	}
	if s.TLS == "" || s.TLS == StartTLS {
		if err := c.startTLS(ctx, conf); err != nil {
			return err
		}
	}
	if s.TLS == NoTLS {
		return nil // without TLS, there is no authentication
	}
	return c.authenticate(secret)
}

// connect opens the connection, which the end of ctx closes.
func (c *session) connect(ctx context.Context) error {
	dial := c.smtp.dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: commandTimeout}).DialContext
	}
	c.wire = &wire{left: maxReceived, dialogue: dialogue{out: c.smtp.Dialogue}}
	c.wire.begin("connect")
	raw, err := dial(ctx, "tcp", c.smtp.address())
	if err != nil {
		blocked := errors.Is(err, unix.EPERM) || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded)
		err = c.fail(err)
		if blocked && Confined() {
			err = fmt.Errorf("%w; the unit of the service may be in the way: pyruse check --system", err)
		}
		return err
	}
	c.wire.Conn = raw
	closeRaw := func() { _ = raw.Close() } // nothing is lost with what it could say
	disarm := context.AfterFunc(ctx, closeRaw)
	c.stop = append(c.stop, func() { disarm() }, closeRaw)
	c.wire.begin("greeting")
	return nil
}

// hello waits for the greeting, unless TLS was started since, and says EHLO, or HELO to a server that has no EHLO.
func (c *session) hello() error {
	c.client = smtp.NewClient(c.wire)
	c.client.CommandTimeout = commandTimeout
	c.client.SubmissionTimeout = c.timeout + commandTimeout // never reached: the time for the whole is over before
	if err := c.client.Hello(c.smtp.localName()); err != nil {
		silent := c.wire.step == "greeting" && errors.Is(c.wire.err, os.ErrDeadlineExceeded)
		err = c.fail(err)
		if silent && c.smtp.TLS != ImplicitTLS {
			err = fmt.Errorf(`%w; if the server expects TLS from the start, as on port 465, set "tls" to "implicit"`, err)
		}
		return err
	}
	return nil
}

// close says goodbye if somebody listens. What becomes of that does not matter.
func (c *session) close() {
	if c.client != nil && c.wire.err == nil && c.ended() == nil {
		c.client.CommandTimeout = quitTimeout
		_ = c.client.Quit()
	}
	if c.wire != nil {
		c.wire.flush()
	}
	for _, f := range slices.Backward(c.stop) {
		f()
	}
}

// fail says what failed, and why.
func (c *session) fail(err error) error {
	return fmt.Errorf("%s: %w", c.wire.step, c.describe(err))
}

// describe returns an error that can be shown: what the server says is shortened, with control characters
// spelled out, and a reply becomes a *reply.
func (c *session) describe(err error) error {
	var refusal *smtp.SMTPError
	var other *textproto.Error
	var nonsense textproto.ProtocolError
	show := func(text string) string {
		return c.wire.show(strings.ReplaceAll(text, "\n", " "), maxServerText)
	}
	after := time.Since(c.wire.since).Round(time.Millisecond)
	if c.wire.torn() {
		err = c.wire.err
	}
	switch {
	case errors.As(err, &refusal):
		text := refusal.Message
		if e := refusal.EnhancedCode; e != smtp.EnhancedCodeNotSet {
			text = fmt.Sprintf("%d.%d.%d %s", e[0], e[1], e[2], text)
		}
		return &reply{refusal.Code, show(fmt.Sprintf("%d %s", refusal.Code, text))}
	case errors.As(err, &other):
		return &reply{other.Code, show(fmt.Sprintf("%d %s", other.Code, other.Msg))}
	case errors.As(err, &nonsense):
		return &shownError{show(unquoted(string(nonsense))), err}
	case errors.Is(c.ended(), context.DeadlineExceeded):
		return &shownError{fmt.Sprintf("not done after %v, at the end of the %v for the whole", after, c.timeout), c.ended()}
	case c.ended() != nil:
		return c.ended()
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &shownError{fmt.Sprintf("not done after %v", after), context.DeadlineExceeded}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return &shownError{"server closed the connection", err}
	}
	return &shownError{show(err.Error()), err}
}

// unquoted returns a text such as "short response: …" with the line of the server as it came: from Go 1.26 on, net/textproto quotes it.
func unquoted(text string) string {
	what, line, _ := strings.Cut(text, ": ")
	if plain, err := strconv.Unquote(line); err == nil {
		return what + ": " + plain
	}
	return text
}

// positive returns nil for a reply whose code says that all is well, even if go-smtp expected another one: the
// first digit decides (RFC 5321, 4.3.2).
func positive(err error) error {
	if refusal := new(smtp.SMTPError); errors.As(err, &refusal) && refusal.Code/100 == 2 {
		return nil
	}
	return err
}

// transaction is the sending of one message.
type transaction struct {
	mail state.Mail
	from string   // as the command has it
	to   []string // as the commands have them, those that are still to be asked for
	left []string // the same as m.To has them; later those that have accepted
	utf8 string   // what needs SMTPUTF8 (RFC 6531), or ""
	size int      // of the message, as RFC 1870 counts
	out  SendError
}

// address finds out how the receivers are written in commands. Those that cannot be are refused.
func (t *transaction) address() {
	domain := t.from[strings.LastIndexByte(t.from, '@')+1:]
	for _, a := range t.mail.To {
		box, err := mailbox(QualifyAddress(a, domain))
		if err != nil {
			t.out.Refused = append(t.out.Refused, state.Recipient{Address: a, Reason: err.Error()})
			continue
		}
		t.to, t.left = append(t.to, box), append(t.left, a)
	}
	for _, a := range append([]string{t.from}, t.to...) {
		if !ascii(a) {
			t.utf8 = "address " + Visible(a, "")
		}
	}
	head := t.mail.Data
	for _, end := range []string{"\n\n", "\n\r\n"} {
		head, _, _ = bytes.Cut(head, []byte(end))
	}
	if t.utf8 == "" && !ascii(string(head)) {
		t.utf8 = "the header of the message"
	}
}

// measure sets the size. A carriage return within a line is an error: the message could end for the server where it
// does not end for the client (RFC 5321, 2.3.8).
func (t *transaction) measure() error {
	data := t.mail.Data
	t.size = len(data)
	for i, b := range data {
		switch {
		case b == '\r' && (i+1 == len(data) || data[i+1] != '\n'):
			return errors.New("message has a carriage return within a line")
		case b == '\n' && (i == 0 || data[i-1] != '\r'):
			t.size++
		}
	}
	if !bytes.HasSuffix(data, []byte("\n")) {
		t.size += len("\r\n")
	}
	return nil
}

// run sends the message to those receivers that the server accepts.
func (t *transaction) run(c *session) error {
	if err := t.fits(c); err != nil {
		return t.end(err, true)
	}
	opts := smtp.MailOptions{Size: int64(t.size), UTF8: t.utf8 != ""}
	if err := positive(c.client.Mail(t.from, &opts)); err != nil {
		return t.end(c.fail(err), false)
	}
	if err := t.receivers(c); err != nil || len(t.left) == 0 {
		return t.end(err, false)
	}
	return t.end(t.content(c), false)
}

// fits returns why the server cannot take this message at all.
func (t *transaction) fits(c *session) error {
	if limit, ok := c.client.MaxMessageSize(); ok && limit > 0 && t.size > limit {
		return fmt.Errorf("message has %d bytes, but the server takes %d at most", t.size, limit)
	}
	if ok, _ := c.client.Extension("SMTPUTF8"); t.utf8 != "" && !ok {
		return fmt.Errorf("%s is not ASCII, for which the server would have to offer SMTPUTF8 (RFC 6531)", t.utf8)
	}
	return nil
}

// receivers asks for each receiver, and leaves in t.left those that are accepted. An error ends the session.
func (t *transaction) receivers(c *session) error {
	asked := t.left
	t.left = nil
	for i, to := range t.to {
		err := positive(c.client.Rcpt(to, nil))
		if err == nil {
			t.left = append(t.left, asked[i])
			continue
		}
		err = c.fail(err)
		known := state.Recipient{Address: asked[i], Reason: err.Error()}
		switch n := code(err); {
		case n == 0, n == 421: // no reply, or the last one
			t.left = append(t.left, asked[i:]...)
			return err
		case n != 552 && permanent(err): // 552 means "too many receivers" here (RFC 5321, 4.5.3.1.10)
			t.out.Refused = append(t.out.Refused, known)
		default:
			t.out.Waiting = append(t.out.Waiting, known)
		}
	}
	return nil
}

// content sends the message itself, and returns nil when the server has accepted it.
func (t *transaction) content(c *session) error {
	w, err := c.client.Data()
	if err != nil {
		return c.fail(err)
	}
	c.wire.mode = content
	defer func() { c.wire.mode = commands }()
	c.wire.note(fmt.Sprintf("-> [%d bytes of message]", t.size))
	c.wire.begin("message")
	// The writer turns LF into CRLF, doubles the dots at the beginning of lines, and adds a CRLF that is missing at the end.
	if _, err := w.Write(t.mail.Data); err != nil {
		return c.fail(err)
	}
	c.wire.begin("end of message")
	if _, err := w.CloseWithResponse(); positive(err) != nil || c.wire.torn() {
		return c.fail(err)
	}
	return nil
}

// end returns what became of the message when err, or nil, came over the receivers that are left; forever says that err
// is no reply of the server, but will come again every time.
func (t *transaction) end(err error, forever bool) error {
	var rest []state.Recipient
	if err != nil {
		for _, a := range t.left {
			rest = append(rest, state.Recipient{Address: a, Reason: err.Error()})
		}
	}
	named := len(t.out.Refused)+len(t.out.Waiting) > 0
	switch {
	case err == nil && !named:
		return nil
	case err == nil:
	case forever || permanent(err):
		t.out.Refused = append(t.out.Refused, rest...)
	case !named, errors.Is(err, context.Canceled):
		return err
	default:
		t.out.Waiting = append(t.out.Waiting, rest...)
	}
	return &t.out
}

// permanent reports whether an error is a reply that refuses a message or a receiver for good.
func permanent(err error) bool {
	switch n := code(err); n {
	case 503, 530, 534, 535, 538:
		// Bad sequence of commands (RFC 5321), authentication or encryption required (RFC 4954, 6): these are about
		// the session, and another configuration or server will do.
		return false
	default:
		return n/100 == 5
	}
}
