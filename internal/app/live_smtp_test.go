package app_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	stdlog "log"
	"math/big"
	"net"
	"net/mail"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/pyruse/pyruse/internal/journal"
	"github.com/pyruse/pyruse/internal/journal/journaltest"
	"github.com/pyruse/pyruse/internal/state"
)

// mailPassword is what mailServer lets the user "pyruse" in with.
const mailPassword = "correct horse"

// mailServer takes mail by submission (RFC 6409): with STARTTLS and AUTH PLAIN, by the name mail.example.org.
type mailServer struct {
	t     testing.TB
	dir   string
	tls   *tls.Config
	port  int    // the same whenever it is up
	close func() // takes it down; nil: it is down

	mu     sync.Mutex
	mails  []parcel
	logins int
	refuse map[string]error                     // by receiver
	atData func(c *smtp.Conn, r io.Reader) bool // false: the message is not taken; nil: all are
	atDot  func()                               // between the acceptance and the reply
}

// parcel is a mail that the server has accepted.
type parcel struct {
	from string   // of the envelope
	to   []string // likewise
	letter
}

func newMailServer(t testing.TB) *mailServer {
	t.Helper()
	m := &mailServer{t: t, dir: t.TempDir(), refuse: map[string]error{}}
	m.makeCertificate()
	m.write("password", mailPassword+"\n")
	t.Cleanup(m.down)
	m.up()
	return m
}

// makeCertificate makes a certificate for mail.example.org that vouches for itself.
func (m *mailServer) makeCertificate() {
	m.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		m.t.Fatal(err)
	}
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test"}, DNSNames: []string{"mail.example.org"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, &key.PublicKey, key)
	if err != nil {
		m.t.Fatal(err)
	}
	m.tls = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	m.write("ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
}

// write writes a file that only its owner may read.
func (m *mailServer) write(name, text string) {
	m.t.Helper()
	if err := os.WriteFile(filepath.Join(m.dir, name), []byte(text), 0o600); err != nil {
		m.t.Fatal(err)
	}
}

// up makes the server listen; the first time, on a port of the system's choice.
func (m *mailServer) up() {
	m.t.Helper()
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", m.port))
	if err != nil {
		m.t.Fatal(err)
	}
	m.port = l.Addr().(*net.TCPAddr).Port
	s := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) { return &mailSession{server: m, conn: c}, nil }))
	s.Domain, s.TLSConfig, s.ErrorLog = "mail.example.org", m.tls, stdlog.New(io.Discard, "", 0)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.Serve(l) // ends when the server is closed
	}()
	m.close = func() {
		_ = l.Close() // the server may not have begun yet
		_ = s.Close() // what a client misses, it says itself
		<-ended
	}
}

// down closes the server and its connections.
func (m *mailServer) down() {
	if m.close != nil {
		m.close()
		m.close = nil
	}
}

// set changes what the server does.
func (m *mailServer) set(change func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change()
}

// got returns what was accepted.
func (m *mailServer) got() []parcel {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.mails)
}

// await waits until so many mails were accepted, and returns them.
func (m *mailServer) await(n int) []parcel {
	m.t.Helper()
	eventually(m.t, fmt.Sprintf("the mail server has %d mails", n), func() bool { return len(m.got()) >= n })
	return m.got()
}

// email is the member "email" of a configuration for this server, with other members of it.
func (m *mailServer) email(more string) string {
	return fmt.Sprintf(`"email": {"from": "Pyruse <pyruse@example.org>", %s
	"smtp": {"host": "127.0.0.1", "port": %d, "serverName": "mail.example.org", "caFile": %q, "username": "pyruse", "passwordFile": %q}}`,
		more, m.port, filepath.Join(m.dir, "ca.pem"), filepath.Join(m.dir, "password"))
}

// members are those of a configuration with mailRules, the mail going to the receivers, a JSON list.
func (m *mailServer) members(receivers string) string {
	return m.email(`"coalesceSeconds": 0, "to": `+receivers+",") + ",\n" + actions(mailRules)
}

// mailSession is a connection to the server.
type mailSession struct {
	server *mailServer
	conn   *smtp.Conn
	in     bool // somebody has logged in
	mail   parcel
}

var _ smtp.AuthSession = (*mailSession)(nil)

func (*mailSession) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *mailSession) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(identity, username, password string) error {
		if identity != "" || username != "pyruse" || password != mailPassword {
			return smtp.ErrAuthFailed
		}
		s.in = true
		s.server.set(func() { s.server.logins++ })
		return nil
	}), nil
}

func (s *mailSession) Mail(from string, _ *smtp.MailOptions) error {
	if !s.in {
		return smtp.ErrAuthRequired
	}
	s.mail = parcel{from: from}
	return nil
}

func (s *mailSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	if err := s.server.refuse[to]; err != nil {
		return err
	}
	s.mail.to = append(s.mail.to, to)
	return nil
}

func (s *mailSession) Data(r io.Reader) error {
	m := s.server
	m.mu.Lock()
	atData, atDot := m.atData, m.atDot
	m.mu.Unlock()
	if atData != nil && !atData(s.conn, r) {
		return errors.New("interrupted")
	}
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	msg, err := mail.ReadMessage(bytes.NewReader(data))
	if err != nil {
		return err
	}
	_, body, _ := strings.Cut(string(data), "\r\n\r\n")
	s.mail.letter = letter{msg.Header, body}
	m.set(func() { m.mails = append(m.mails, s.mail) })
	if atDot != nil {
		atDot()
	}
	return nil
}

func (*mailSession) Reset()        {}
func (*mailSession) Logout() error { return nil }

// messageID returns the Message-ID as the database has it.
func (l letter) messageID() string { return strings.Trim(l.header.Get("Message-ID"), "<>") }

// due makes the only mail in the outbox due, and returns it as it was; no daemon runs.
func (s *station) due() state.Mail {
	s.t.Helper()
	db := s.book()
	m, ok, err := db.NextMail()
	if err != nil || !ok {
		s.t.Fatalf("the outbox has no mail that waits: %v", err)
	}
	now := m
	now.NextTry = time.Now()
	if err := errors.Join(db.MailTried(now), db.Close()); err != nil {
		s.t.Fatal(err)
	}
	return m
}

// nothingWaits fails if there is something in the outbox, while no daemon runs.
func (s *station) nothingWaits() {
	s.t.Helper()
	if out := s.must("mail", "list"); out != "no mail waits\n" {
		s.t.Errorf("the outbox:\n%s", out)
	}
}

func TestSMTPMailArrives(t *testing.T) {
	m := newMailServer(t)
	s := newStation(t, m.members(`["root@example.org", "Ops <ops@example.com>"]`))
	d := s.start()
	log(t, "alarm", "the house\nBcc: evil@example.org\n.\nis on fire")
	p := m.await(1)[0]
	if p.from != "pyruse@example.org" || !slices.Equal(p.to, []string{"root@example.org", "ops@example.com"}) {
		t.Errorf("the envelope is from %q to %q", p.from, p.to)
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"Subject": "Alarm", "From": `"Pyruse" <pyruse@example.org>`, "To": `<root@example.org>, "Ops" <ops@example.com>`, "Bcc": "", "Auto-Submitted": "auto-generated",
	} {
		if got := p.header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if id := p.header.Get("List-Id"); !strings.Contains(id, "<pyruse."+strings.ToLower(host)) {
		t.Errorf("List-Id: %q, of the machine %q", id, host)
	}
	if at, err := p.header.Date(); err != nil || time.Since(at) > patience || time.Until(at) > time.Second {
		t.Errorf("Date: %v, %v", at, err)
	}
	if !strings.Contains(p.messageID(), "@") || !strings.Contains(p.text, "it says: the house") || !strings.Contains(p.text, "\r\n=2E\r\nis on fire") {
		t.Errorf("the mail: %+v", p)
	}
	noErrors(d)
	d.stop()
	s.nothingWaits()
}

// TestSMTPServerIsDown kills the daemon while the mail waits.
func TestSMTPServerIsDown(t *testing.T) {
	m := newMailServer(t)
	m.down()
	s := newStation(t, m.members(`["root@example.org"]`))
	d := s.start()
	log(t, "alarm", "fire")
	d.awaitSaid(journal.MsgMailFailed, "connection refused")
	d.kill()
	kept := s.due()
	if kept.Attempts != 1 || !strings.Contains(kept.LastError, "connection refused") || time.Until(kept.NextTry) < 30*time.Second {
		t.Errorf("the outbox has %+v", kept)
	}
	m.up()
	d = s.start()
	if got := m.await(1)[0].messageID(); got != kept.MessageID {
		t.Errorf("sent as %q, was kept as %q", got, kept.MessageID)
	}
	d.stop()
	s.nothingWaits()
	if n := len(m.got()); n != 1 {
		t.Errorf("%d mails arrived", n)
	}
}

// TestSMTPCutInTheMessage has the server close the connection when it has read the beginning of a long message.
func TestSMTPCutInTheMessage(t *testing.T) {
	m := newMailServer(t)
	m.atData = func(c *smtp.Conn, r io.Reader) bool {
		_, _ = io.ReadFull(r, make([]byte, 100))
		_ = c.Conn().Close()
		return false
	}
	s := newStation(t, m.members(`["root@example.org"]`))
	d := s.start()
	log(t, "alarm", strings.Repeat("fire! ", 10_000))
	said := d.awaitSaid(journal.MsgMailFailed, "message: ")
	if !strings.Contains(said, "(try 1), next try at") {
		t.Errorf("the daemon said %q", said)
	}
	if st := d.status(); st.Mails != 1 || st.Failed != 0 {
		t.Errorf("the status: %+v", st)
	}
	d.kill()
	kept := s.due()
	m.set(func() { m.atData = nil })
	d = s.start()
	if p := m.await(1)[0]; p.messageID() != kept.MessageID || strings.Count(strings.ReplaceAll(p.text, "=\r\n", ""), "fire!") != 10_000 {
		t.Errorf("sent as %q with %d bytes, was kept as %q", p.messageID(), len(p.text), kept.MessageID)
	}
	d.stop()
	s.nothingWaits()
}

// TestSMTPKilledAtTheDot kills the daemon when the server has the message, and has not said so yet. Nobody can know then that it was accepted:
// it comes twice, with one Message-ID.
func TestSMTPKilledAtTheDot(t *testing.T) {
	m := newMailServer(t)
	there, answer := make(chan struct{}), make(chan struct{})
	m.atDot = func() { there <- struct{}{}; <-answer }
	s := newStation(t, m.members(`["root@example.org"]`))
	d := s.start()
	log(t, "alarm", "fire")
	select {
	case <-there:
	case <-time.After(patience):
		t.Fatal("no message came")
	}
	d.kill()
	close(answer)
	m.set(func() { m.atDot = nil })
	d = s.start()
	mails := m.await(2)
	if mails[0].messageID() != mails[1].messageID() {
		t.Errorf("sent as %q, and then as %q", mails[0].messageID(), mails[1].messageID())
	}
	d.stop()
	s.nothingWaits()
	if n := len(m.got()); n != 2 {
		t.Errorf("%d mails arrived", n)
	}
}

// unknownUser is a refusal for good.
var unknownUser = &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such user"}

// refused starts a daemon, and has a mail to root@ and ops@example.org refused for ops.
func (m *mailServer) refused() (*station, *daemon) {
	m.t.Helper()
	m.set(func() { m.refuse["ops@example.org"] = unknownUser })
	s := newStation(m.t, m.members(`["root@example.org", "ops@example.org"]`))
	d := s.start()
	log(m.t, "alarm", "fire")
	if p := m.await(1)[0]; !slices.Equal(p.to, []string{"root@example.org"}) {
		m.t.Errorf("the mail went to %q", p.to)
	}
	d.awaitSaid(journal.MsgMailGivenUp, "ops@example.org: RCPT TO: 550 5.1.1 no such user")
	return s, d
}

// seesFailed fails if the commands that look at the outbox do not show what refused has left there.
func (m *mailServer) seesFailed(s *station) {
	m.t.Helper()
	list := strings.Split(s.must("mail", "list"), "\n")
	if len(list) != 3 || !slices.Equal(strings.Fields(list[0]), []string{"ID", "STATE", "SINCE", "TRIES", "NEXT", "SUBJECT", "PROBLEM"}) {
		m.t.Fatalf("the list: %q", list)
	}
	if f := strings.Fields(list[1]); f[0] != "1" || f[1] != "failed" || !strings.HasSuffix(list[1], "  1      never  Alarm    ops@example.org: RCPT TO: 550 5.1.1 no such user") {
		m.t.Errorf("the list: %q", list)
	}
	var x struct {
		ID             int64
		State, Subject string
		To             []string
		Refused        []struct{ Address, Reason string }
		NextTry        *string
		MessageID      string
	}
	text := s.must("mail", "list", "--format", "json")
	if err := json.Unmarshal([]byte(text), &x); err != nil {
		m.t.Fatalf("%v in %s", err, text)
	}
	if x.ID != 1 || x.State != "failed" || x.Subject != "Alarm" || x.To == nil || len(x.To) > 0 || x.NextTry != nil || x.MessageID != m.got()[0].messageID() ||
		len(x.Refused) != 1 || x.Refused[0].Address != "ops@example.org" || x.Refused[0].Reason != "RCPT TO: 550 5.1.1 no such user" {
		m.t.Errorf("the list: %s", text)
	}
	show := s.must("mail", "show", "1")
	for _, want := range []string{"State: failed since ", ", 1 try\n", "Refused: ops@example.org: RCPT TO: 550 5.1.1 no such user\n", "Subject: Alarm\n", "it says: fire\n"} {
		if !strings.Contains(show, want) {
			m.t.Errorf("%q is not in what is shown: %s", want, show)
		}
	}
	if source := s.must("mail", "show", "1", "--source"); !strings.Contains(source, "\nMessage-Id: <"+x.MessageID+">") {
		m.t.Errorf("the source: %s", source)
	}
}

// TestSMTPRefusedReceiver retries and drops what a server refuses, with the daemon running.
func TestSMTPRefusedReceiver(t *testing.T) {
	m := newMailServer(t)
	s, d := m.refused()
	m.seesFailed(s)
	const problem = "1 mail could not be delivered: pyruse mail list"
	if st := d.status(); st.Mails != 0 || st.Failed != 1 || !slices.Contains(st.Problems, problem) {
		t.Errorf("the status: %+v", st)
	}
	m.set(func() { clear(m.refuse) })
	if out := s.must("mail", "retry", "1"); out != "mail 1 is tried again\n" {
		t.Errorf("retry: %q", out)
	}
	p := m.await(2)
	if !slices.Equal(p[1].to, []string{"ops@example.org"}) || p[1].messageID() != p[0].messageID() {
		t.Errorf("the second try went to %q as %q, the first was %q", p[1].to, p[1].messageID(), p[0].messageID())
	}
	eventually(t, "nothing has failed any more", func() bool { return d.status().Failed+d.status().Mails == 0 })
	if st := d.status(); slices.Contains(st.Problems, problem) {
		t.Errorf("the status: %+v", st)
	}
	for _, command := range []string{"show", "retry", "drop"} {
		if r := s.run("mail", command, "1"); r.code != 1 || !strings.Contains(r.stderr, "mail 1: there is no such mail in the outbox") {
			t.Errorf("%s of what is gone: %+v", command, r)
		}
	}
	m.set(func() { m.refuse["ops@example.org"] = unknownUser })
	log(t, "alarm", "flood")
	eventually(t, "another has failed", func() bool { return d.status().Failed == 1 })
	if out := s.must("mail", "drop", "2"); out != "mail 2 is removed\n" {
		t.Errorf("drop: %q", out)
	}
	if st := d.status(); st.Failed != 0 {
		t.Errorf("the status: %+v", st)
	}
	noErrors(d)
	d.stop()
	s.nothingWaits()
	if n := len(m.got()); n != 3 {
		t.Errorf("%d mails arrived", n)
	}
}

// TestSMTPOutboxWithoutDaemon does the same with the database alone.
func TestSMTPOutboxWithoutDaemon(t *testing.T) {
	m := newMailServer(t)
	s, d := m.refused()
	d.stop()
	m.seesFailed(s)
	m.set(func() { clear(m.refuse) })
	if out := s.must("mail", "retry", "--all"); out != "mail 1 is tried again\n" {
		t.Errorf("retry: %q", out)
	}
	if out := s.must("mail", "list"); !strings.Contains(out, "waiting") {
		t.Errorf("the list: %s", out)
	}
	d = s.start()
	if p := m.await(2); !slices.Equal(p[1].to, []string{"ops@example.org"}) || p[1].messageID() != p[0].messageID() {
		t.Errorf("the second try went to %q as %q, the first was %q", p[1].to, p[1].messageID(), p[0].messageID())
	}
	m.set(func() { m.refuse["ops@example.org"] = unknownUser })
	log(t, "alarm", "flood")
	eventually(t, "another has failed", func() bool { return d.status().Failed == 1 })
	d.stop()
	if r := s.run("mail", "drop", "2", "99"); r.code != 1 || r.stdout != "mail 2 is removed\n" || !strings.Contains(r.stderr, "mail 99: there is no such mail in the outbox") {
		t.Errorf("drop: %+v", r)
	}
	s.nothingWaits()
}

// TestOutboxIsGuarded lets another user try to change the outbox, with the daemon and without.
func TestOutboxIsGuarded(t *testing.T) {
	m := newMailServer(t)
	s, d := m.refused()
	for path, mode := range map[string]os.FileMode{s.dir: 0o755, filepath.Dir(s.program): 0o755, s.socket(): 0o666} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	refusal := "only root and the daemon's own user may change the outbox"
	for range 2 {
		for _, args := range [][]string{{"mail", "retry", "1"}, {"mail", "drop", "1"}} {
			out, err := asNobody(t, s.command(args...)).CombinedOutput()
			if err == nil || !strings.Contains(string(out), refusal) {
				t.Errorf("nobody may %q: %v: %s", args, err, out)
			}
		}
		if _, err := os.Stat(s.socket()); err == nil {
			m.seesFailed(s)
			d.stop()
			refusal = "permission denied"
		}
	}
	m.seesFailed(s)
	if n := len(m.got()); n != 1 {
		t.Errorf("%d mails arrived", n)
	}
}

// TestSMTPAfterAReload changes from sendmail to a mail server: what waited for the one, for a user of this machine, goes through the other.
func TestSMTPAfterAReload(t *testing.T) {
	box, m := newPostbox(t), newMailServer(t)
	box.setBroken(true)
	s := newStation(t, strings.Replace(box.members(), `["root@example.org"]`, `["root"]`, 1))
	d := s.start()
	log(t, "alarm", "fire")
	d.awaitSaid(journal.MsgMailFailed, "no more room")
	s.configure(m.members(`["root"]`))
	s.must("reload")
	log(t, "alarm", "flood")
	fresh := m.await(1)[0]
	s.must("mail", "retry", "1")
	late := m.await(2)[1]
	for _, x := range []struct {
		parcel
		to, text string
	}{{fresh, "<root@example.org>", "flood"}, {late, "<root>", "fire"}} {
		if x.from != "pyruse@example.org" || !slices.Equal(x.parcel.to, []string{"root@example.org"}) || x.header.Get("To") != x.to || !strings.Contains(x.letter.text, x.text) {
			t.Errorf("the mail of the %s: %+v", x.text, x.parcel)
		}
	}
	noErrors(d)
	d.stop()
	s.nothingWaits()
	if n := len(box.letters()); n != 0 {
		t.Errorf("sendmail got %d mails", n)
	}
}

// TestSMTPCredential has the password where systemd puts it, and changes it there: the next connection uses it.
func TestSMTPCredential(t *testing.T) {
	m := newMailServer(t)
	m.write("mail-password", "wrong\n")
	s := newStation(t, strings.Replace(m.members(`["root@example.org"]`), fmt.Sprintf(`"passwordFile": %q`, filepath.Join(m.dir, "password")),
		`"passwordCredential": "mail-password"`, 1))
	d := s.start("CREDENTIALS_DIRECTORY=" + m.dir)
	log(t, "alarm", "fire")
	d.awaitSaid(journal.MsgMailFailed, `authenticate as "pyruse" with PLAIN: 535 5.7.8 Authentication failed`)
	if st := d.status(); st.Mails != 1 || st.Failed != 0 {
		t.Errorf("the status: %+v", st)
	}
	m.write("mail-password", mailPassword+"\n")
	s.must("mail", "retry", "1")
	m.await(1)
	d.stop()
	s.nothingWaits()
	if r := s.run("mail", "test"); r.code != 1 || !strings.Contains(r.stderr, "LoadCredential=mail-password:FILE") {
		t.Errorf("a test without the credential: %+v", r)
	}
}

// TestSMTPCheckSystem checks the mail server without sending anything.
func TestSMTPCheckSystem(t *testing.T) {
	m := newMailServer(t)
	s := newStation(t, m.members(`["root@example.org"]`))
	log(t, "alarm", "an entry for the check of the journal")
	journaltest.Sync(t)
	check := func(code int, want string) {
		t.Helper()
		const what = "mail server 127.0.0.1"
		r := s.run("check", "--system")
		if r.code != code || !strings.Contains(r.stdout, "\n"+what+": "+want) {
			t.Errorf("exit code %d, want %d with %q: %s%s", r.code, code, want, r.stdout, r.stderr)
		}
		text := s.run("check", "--system", "--format", "json").stdout
		var found bool
		for dec := json.NewDecoder(strings.NewReader(text)); dec.More(); {
			var x struct{ Check, Problem string }
			if err := dec.Decode(&x); err != nil {
				t.Fatalf("%v in %s", err, text)
			}
			found = found || x.Check == what && (code == 0 && x.Problem == "" || code == 1 && strings.HasPrefix(x.Problem, want))
		}
		if !found {
			t.Errorf("want %q: %s", want, text)
		}
	}
	check(0, "ok\n")
	m.write("password", "wrong\n")
	check(1, `authenticate as "pyruse" with PLAIN: 535 5.7.8 Authentication failed`)
	m.down()
	check(1, "connect: ")
	if n := len(m.got()); n != 0 || m.logins != 2 {
		t.Errorf("%d mails arrived; somebody logged in %d times, want twice", n, m.logins)
	}
}

// TestOutboxWithoutDatabase has the commands look for a mail before there was any daemon.
func TestOutboxWithoutDatabase(t *testing.T) {
	s := newStation(t, newPostbox(t).members())
	s.nothingWaits()
	for _, command := range []string{"show", "retry", "drop"} {
		if r := s.run("mail", command, "1"); r.code != 1 || r.stdout != "" || !strings.Contains(r.stderr, "mail 1: there is no such mail in the outbox") {
			t.Errorf("%s: %+v", command, r)
		}
	}
	s.must("mail", "retry", "--all")
}

// TestMailTest sends test mails, and looks for the password in what is printed.
func TestMailTest(t *testing.T) {
	m := newMailServer(t)
	s := newStation(t, m.members(`["root@example.org"]`))
	secret := base64.StdEncoding.EncodeToString([]byte("\x00pyruse\x00" + mailPassword))
	test := func(code int, args ...string) result {
		t.Helper()
		r := s.run(append([]string{"mail", "test"}, args...)...)
		if r.code != code {
			t.Errorf("%q: exit code %d, want %d: %s%s", args, r.code, code, r.stdout, r.stderr)
		}
		if all := r.stdout + r.stderr; strings.Contains(all, mailPassword) || strings.Contains(all, secret) {
			t.Errorf("%q: the password is printed: %s", args, all)
		}
		return r
	}
	out := test(0).stdout
	for _, want := range []string{
		"-> EHLO ", "-> STARTTLS\n", "<- 220 2.0.0 ", "-> AUTH PLAIN ***\n", "<- 235 2.0.0 ", "-> MAIL FROM:<pyruse@example.org> ", "-> RCPT TO:<root@example.org>\n",
		"-> DATA\n", " bytes of message]\n", "-> QUIT\n",
	} {
		_, rest, ok := strings.Cut(out, want)
		if !ok {
			t.Fatalf("%q does not follow in the dialogue: %s", want, out)
		}
		out = rest
	}
	if !strings.HasSuffix(out, "\naccepted by the mail server 127.0.0.1, for root@example.org\n") {
		t.Errorf("the end: %s", out)
	}
	var answer struct {
		Accepted         bool
		To               []string
		MessageID, Error string
	}
	decode := func(r result) {
		t.Helper()
		if err := json.Unmarshal([]byte(r.stdout), &answer); err != nil || !strings.Contains(r.stderr, "-> AUTH PLAIN ***\n") {
			t.Fatalf("%v: %+v", err, r)
		}
	}
	decode(test(0, "--to", "Me <me@example.com>", "--to", "root", "--format", "json"))
	p := m.await(2)
	if !slices.Equal(p[0].to, []string{"root@example.org"}) || !slices.Equal(p[1].to, []string{"me@example.com", "root@example.org"}) {
		t.Errorf("the mails went to %q and %q", p[0].to, p[1].to)
	}
	if !answer.Accepted || answer.Error != "" || answer.MessageID != p[1].messageID() || len(answer.To) != 2 {
		t.Errorf("the answer: %+v", answer)
	}
	m.set(func() { m.refuse["root@example.org"] = unknownUser })
	if r := test(1); !strings.Contains(r.stderr, "root@example.org: RCPT TO: 550 5.1.1 no such user") || !strings.Contains(r.stdout, "<- 550 5.1.1 no such user\n") {
		t.Errorf("refused: %+v", r)
	}
	m.write("password", "wrong\n")
	decode(test(1, "--format", "json"))
	if answer.Accepted || !strings.Contains(answer.Error, "535 5.7.8 Authentication failed") {
		t.Errorf("the answer: %+v", answer)
	}
	m.down()
	if r := test(1); !strings.Contains(r.stderr, "connect: ") {
		t.Errorf("down: %+v", r)
	}
	s.nothingWaits()
	s.configure(m.email(`"to": ["@"],`))
	test(2)
}
