package mail

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	"github.com/google/go-cmp/cmp"
)

// Credentials that the server of the tests knows. The characters are those that one of the mechanisms could mistake.
const (
	theName     = "bob,=@example.org"
	thePassword = "pass word\"%s ***ä"
	theToken    = "to.ken~+/="
)

// mailServer is a real SMTP server, from the library that the client is from.
type mailServer struct {
	mechanisms []string // what it offers
	port       int

	mu       sync.Mutex
	messages []received
}

// received is a message, and how it came.
type received struct{ From, To, Data, As string }

// startServer starts a server; change may be nil. With implicit, it speaks TLS from the start.
func startServer(t *testing.T, conf *tls.Config, implicit bool, change func(*smtp.Server), mechanisms ...string) *mailServer {
	t.Helper()
	m := &mailServer{mechanisms: mechanisms}
	s := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) { return &mailSession{server: m, conn: c}, nil }))
	s.Domain, s.TLSConfig, s.ErrorLog = "mail.example.org", conf, log.New(io.Discard, "", 0)
	if change != nil {
		change(s)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m.port = l.Addr().(*net.TCPAddr).Port
	if implicit {
		l = tls.NewListener(l, conf)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(l) // ends when the server is closed
	}()
	t.Cleanup(func() {
		_ = s.Close()
		<-done
	})
	return m
}

func (m *mailServer) got() []received {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.messages)
}

type mailSession struct {
	server *mailServer
	conn   *smtp.Conn
	now    received
}

func (s *mailSession) Reset()        {}
func (s *mailSession) Logout() error { return nil }

func (s *mailSession) Mail(from string, _ *smtp.MailOptions) error {
	s.now.From = from
	return nil
}

func (s *mailSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.now.To += to + " "
	return nil
}

func (s *mailSession) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	s.now.Data = string(b)
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	s.server.messages = append(s.server.messages, s.now)
	return err
}

func (s *mailSession) AuthMechanisms() []string { return s.server.mechanisms }

func (s *mailSession) Auth(mech string) (sasl.Server, error) {
	judge := func(ok bool, who string) error {
		if !ok {
			return smtp.ErrAuthFailed
		}
		s.now.As = mech + " " + who
		return nil
	}
	switch mech {
	case sasl.Plain:
		return sasl.NewPlainServer(func(_, name, password string) error {
			return judge(name == theName && password == thePassword, name)
		}), nil
	case sasl.Login:
		return &loginServer{judge: judge}, nil
	case sasl.OAuthBearer:
		return sasl.NewOAuthBearerServer(func(o sasl.OAuthBearerOptions) *sasl.OAuthBearerError {
			name := strings.NewReplacer("=3D", "=", "=2C", ",").Replace(o.Username)
			if judge(name == theName && strings.HasPrefix(o.Token, theToken), name) != nil {
				return &sasl.OAuthBearerError{Status: "invalid_token\x1b[2J", Schemes: "bearer"}
			}
			return nil
		}), nil
	case sasl.External:
		st, _ := s.conn.TLSConnectionState()
		return sasl.NewExternalServer(func(identity string) error {
			return judge(len(st.PeerCertificates) == 1 && identity != "mallory", identity)
		}), nil
	case sasl.Anonymous:
		return sasl.NewAnonymousServer(func(trace string) error { return judge(trace != "mallory", trace) }), nil
	}
	return nil, smtp.ErrAuthUnknownMechanism
}

// loginServer asks in words that only a human would understand.
type loginServer struct {
	answers []string
	judge   func(ok bool, who string) error
}

func (l *loginServer) Next(response []byte) ([]byte, bool, error) {
	if response != nil {
		l.answers = append(l.answers, string(response))
	}
	if len(l.answers) < 2 {
		return []byte([]string{"Your name\x00", "Your word\x00"}[len(l.answers)]), false, nil
	}
	return nil, true, l.judge(l.answers[0] == theName && l.answers[1] == thePassword, l.answers[0])
}

// client returns a transport to the server that trusts its certificate.
func (m *mailServer) client(ca *authority) *SMTP {
	return &SMTP{Host: "127.0.0.1", Port: m.port, ServerName: "mail.example.org", CAFile: ca.file, LocalName: "host.example.org"}
}

func TestSMTPMechanisms(t *testing.T) {
	ca := newAuthority(t)
	conf := ca.server(t, validNow)
	conf.ClientAuth, conf.ClientCAs = tls.VerifyClientCertIfGiven, ca.pool
	certFile, keyFile := ca.clientFiles(t)
	all := []string{sasl.Plain, sasl.Login, sasl.OAuthBearer, sasl.External, sasl.Anonymous}
	server := startServer(t, conf, false, nil, all...)
	for _, c := range []struct{ mech, name, secret, as, want string }{
		{"PLAIN", theName, thePassword, "PLAIN " + theName, ""},
		{"PLAIN", theName, "wrong secret", "", `authenticate as "bob,=@example.org" with PLAIN: 535 5.7.8 Authentication failed`},
		{"LOGIN", theName, thePassword, "LOGIN " + theName, ""},
		{"LOGIN", theName, "wrong secret", "", `authenticate as "bob,=@example.org" with LOGIN: 535 5.7.8 Authentication failed`},
		{"OAUTHBEARER", theName, theToken, "OAUTHBEARER " + theName, ""},
		{"OAUTHBEARER", theName, theToken + strings.Repeat("0", 1100), "OAUTHBEARER " + theName, ""},
		{
			"OAUTHBEARER", theName, "wrongsecret", "",
			`authenticate as "bob,=@example.org" with OAUTHBEARER: OAUTHBEARER authentication error (invalid_token\x1b[2J)`,
		},
		{"OAUTHBEARER", theName, thePassword, "", "authenticate with OAUTHBEARER: token has characters that no token can have (RFC 6750, 2.1)"},
		{"EXTERNAL", "", "", "EXTERNAL ", ""},
		{"EXTERNAL", theName, "", "EXTERNAL " + theName, ""},
		{"EXTERNAL", "mallory", "", "", `authenticate as "mallory" with EXTERNAL: 535 5.7.8 Authentication failed`},
		{"ANONYMOUS", "", "", "ANONYMOUS ", ""},
		{"ANONYMOUS", "mallory", "", "", `authenticate as "mallory" with ANONYMOUS: 535 5.7.8 Authentication failed`},
	} {
		t.Run(fmt.Sprintf("%s %.20s %.20s", c.mech, c.name, c.secret), func(t *testing.T) {
			var said bytes.Buffer
			s := server.client(ca)
			s.Auth, s.Username, s.Dialogue = c.mech, c.name, &said
			if c.secret != "" {
				s.Secret = SecretText(c.secret)
			}
			if c.mech == sasl.External {
				s.CertFile, s.KeyFile = certFile, keyFile
			}
			before := len(server.got())
			err := s.Send(t.Context(), hello("a@example.org"))
			if c.want == "" && err != nil {
				t.Fatal(err)
			}
			if want := fmt.Sprintf("mail server 127.0.0.1:%d: %s", server.port, c.want); c.want != "" && (err == nil || err.Error() != want) {
				t.Errorf("error %v\nwant  %s", err, want)
			}
			got := server.got()[before:]
			if c.want == "" && (len(got) != 1 || got[0].As != c.as) {
				t.Errorf("received %+v, want it from %q", got, c.as)
			}
			if c.want != "" && (len(got) != 0 || errors.As(err, new(*SendError))) {
				t.Errorf("received %+v, %T", got, err)
			}
			noSecret(t, c.secret, said.String(), fmt.Sprint(err))
			checkDialogue(t, said.String())
			// A long token waits for a challenge (RFC 4954, 4).
			long := len(c.secret) > maxCommand
			if later := strings.Contains(said.String(), "\n-> AUTH OAUTHBEARER\n<- 334 \n-> ***\n"); later != long {
				t.Errorf("a token of %d bytes:\n%s", len(c.secret), &said)
			}
		})
	}
}

// The server may not offer what the settings need.
func TestSMTPMechanismMissing(t *testing.T) {
	ca := newAuthority(t)
	server := startServer(t, ca.server(t, validNow), false, nil, "PLAIN", "X\x1b")
	for _, c := range []struct {
		change func(*SMTP)
		want   string
	}{
		{func(s *SMTP) { s.Auth, s.Username = "LOGIN", theName }, `server does not offer LOGIN, but only PLAIN, X\x1b`},
		{func(*SMTP) {}, "authenticate with PLAIN: there is no username"},
	} {
		s := server.client(ca)
		s.Secret = SecretText(thePassword)
		c.change(s)
		want := fmt.Sprintf("mail server 127.0.0.1:%d: %s", server.port, c.want)
		if err := s.Probe(t.Context()); err == nil || err.Error() != want {
			t.Errorf("error %v\nwant  %s", err, want)
		}
	}
}

// A challenge is only shown in short; LOGIN answers two, whatever they are.
func TestSMTPChallenges(t *testing.T) {
	var said strings.Builder
	d := dialogue{out: &said, mode: secrets}
	d.received([]byte("334 " + strings.Repeat("QUFB", 100) + "\r\n535 " + strings.Repeat("x", 100) + "\r\n"))
	want := "<- 334 " + strings.Repeat("QUFB", 14) + "…\n<- 535 " + strings.Repeat("x", 100) + "\n"
	if said.String() != want {
		t.Errorf("%s want %s", &said, want)
	}
	l := loginClient{answers: []string{"bob", "hunter2"}}
	for _, want := range []string{"bob", "hunter2"} {
		if got, err := l.Next([]byte("?")); string(got) != want || err != nil {
			t.Errorf("%s, %v, want %s", got, err, want)
		}
	}
	if got, err := l.Next(nil); err == nil {
		t.Errorf("a third answer: %s", got)
	}
}

// noSecret finds a secret in what can be read, as it is or in base64, wherever that begins.
func noSecret(t *testing.T, secret string, texts ...string) {
	t.Helper()
	if secret == "" {
		return
	}
	forms := []string{secret}
	for i := range 3 {
		b := base64.StdEncoding.EncodeToString([]byte("abc"[:i] + secret + "abc"))
		forms = append(forms, b[4:4*((i+len(secret))/3)])
	}
	for _, text := range texts {
		for _, form := range forms {
			if strings.Contains(text, form) {
				t.Errorf("%q is in:\n%s", form, text)
			}
		}
	}
}

// A server that says the secret back, in whatever form, does not bring it into an error or the dialogue.
func TestSMTPSecretRepeated(t *testing.T) {
	ca := newAuthority(t)
	for _, mech := range []string{sasl.Plain, sasl.Login, sasl.OAuthBearer} {
		for _, code := range []string{"334", "535", "5xx"} {
			t.Run(mech+code, func(t *testing.T) {
				secret := "s3cret-tok3n-that-is-long"
				var said bytes.Buffer
				s := &SMTP{
					Host: "mail.example.org", TLS: ImplicitTLS, CAFile: ca.file, Auth: mech, Username: "bob",
					Secret: SecretText(secret), Dialogue: &said,
				}
				done := make(chan struct{})
				s.dial = func(context.Context, string, string) (net.Conn, error) {
					client, server := net.Pipe()
					go func() {
						defer close(done)
						conn := tls.Server(server, ca.server(t, validNow))
						echo(conn, code)
					}()
					return client, nil
				}
				err := s.Probe(t.Context())
				<-done
				if err == nil || !strings.Contains(said.String(), "***") {
					t.Errorf("error %v, dialogue:\n%s", err, &said)
				}
				noSecret(t, secret, said.String(), fmt.Sprint(err))
			})
		}
	}
}

// echo is a server that repeats all that it hears after AUTH, as it is and decoded.
func echo(conn net.Conn, code string) {
	defer func() { _ = conn.Close() }()
	say := func(s string) { _, _ = io.WriteString(conn, s+"\r\n") }
	say("220 hi")
	buf := make([]byte, 4096)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		line := strings.TrimSpace(string(buf[:n]))
		last := line[strings.LastIndexByte(line, ' ')+1:]
		plain, _ := base64.StdEncoding.DecodeString(last)
		switch {
		case strings.HasPrefix(line, "EHLO"):
			say("250-hi\r\n250 AUTH PLAIN LOGIN OAUTHBEARER")
		case line == "*", line == "QUIT":
			return
		case line == "AUTH LOGIN":
			say("334 ")
		default:
			say(code + " " + last + " " + string(plain))
		}
	}
}

func TestChooseMechanism(t *testing.T) {
	for _, c := range []struct {
		named, offered      string
		secret, certificate bool
		want                string
	}{
		{"", "", false, false, ""},
		{"", "PLAIN LOGIN OAUTHBEARER EXTERNAL ANONYMOUS", false, false, ""},
		{"", "LOGIN PLAIN OAUTHBEARER EXTERNAL ANONYMOUS", true, false, "PLAIN"},
		{"", "OAUTHBEARER LOGIN ANONYMOUS", true, false, "LOGIN"},
		{"", "OAUTHBEARER ANONYMOUS", true, false, "OAUTHBEARER"},
		{"", "ANONYMOUS PLAIN EXTERNAL", true, true, "EXTERNAL"},
		{"", "ANONYMOUS PLAIN", true, true, "PLAIN"},
		{"", "PLAIN", false, true, ""},
		{"", "", false, true, ""},
		{"", "EXTERNAL", false, true, "EXTERNAL"},
		{"", "ANONYMOUS EXTERNAL CRAM-MD5", true, false, "error: server offers no mechanism for a secret (PLAIN, LOGIN, OAUTHBEARER), " +
			"but only ANONYMOUS, EXTERNAL, CRAM-MD5"},
		{"", "", true, false, "error: server offers no mechanism for a secret (PLAIN, LOGIN, OAUTHBEARER), but no authentication"},
		{"ANONYMOUS", "PLAIN ANONYMOUS", true, false, "ANONYMOUS"},
		{"LOGIN", "PLAIN LOGIN", true, true, "LOGIN"},
		{"OAUTHBEARER", "PLAIN OAUTHBEARER", true, false, "OAUTHBEARER"},
		{"OAUTHBEARER", "PLAIN LOGIN", true, false, "error: server does not offer OAUTHBEARER, but only PLAIN, LOGIN"},
		{"PLAIN", "", true, false, "error: server does not offer PLAIN, but no authentication"},
	} {
		got, err := choose(c.named, strings.Fields(c.offered), c.secret, c.certificate)
		if err != nil {
			got = "error: " + err.Error()
		}
		if got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

// Settings that cannot work are found before anything is sent.
func TestSMTPSettings(t *testing.T) {
	secret := SecretText("hunter2")
	ca := newAuthority(t)
	certFile, _ := ca.clientFiles(t)
	_, otherKey := ca.clientFiles(t)
	for _, c := range []struct {
		s    SMTP
		want string
	}{
		{SMTP{}, "no host"},
		{SMTP{Host: "h", Port: 65536}, "65536 is no port"},
		{SMTP{Host: "h", TLS: "ssl"}, `"ssl" is no kind of TLS`},
		{SMTP{Host: "h", CertFile: "c"}, "certificate and key are only of use together"},
		{SMTP{Host: "h", KeyFile: "k"}, "certificate and key are only of use together"},
		{SMTP{Host: "h", Auth: "CRAM-MD5"}, `"CRAM-MD5" is no SASL mechanism that is known here`},
		{SMTP{Host: "h", Auth: "PLAIN", Username: "u"}, "PLAIN needs a secret"},
		{SMTP{Host: "h", Auth: "LOGIN", Secret: secret}, "LOGIN needs a username"},
		{SMTP{Host: "h", Auth: "OAUTHBEARER"}, "OAUTHBEARER needs a secret"},
		{SMTP{Host: "h", Auth: "EXTERNAL", Secret: secret}, "EXTERNAL needs a certificate"},
		{SMTP{Host: "h", Username: "u"}, "a username alone does not authenticate: there is neither a secret nor a certificate"},
		{SMTP{Host: "h", Username: "a\x00b", Secret: secret}, `username "a\x00b" has control characters`},
		{SMTP{Host: "h", CAFile: "/nonexistent"}, "read caFile: open /nonexistent: no such file or directory"},
		{SMTP{Host: "h", CAFile: "/dev/null"}, "read caFile: /dev/null has no certificate in PEM"},
		{SMTP{Host: "h", CertFile: "/dev/null", KeyFile: "/dev/null"}, "read key /dev/null: not a regular file"},
		{
			SMTP{Host: "h", CertFile: certFile, KeyFile: otherKey},
			"use certificate " + certFile + ": tls: private key does not match public key",
		},
		{SMTP{Host: "h", CertFile: "/nonexistent", KeyFile: otherKey}, "read certificate: open /nonexistent: no such file or directory"},
		{SMTP{Host: "h", Secret: SecretFile("/nonexistent")}, "read secret file /nonexistent: no such file or directory"},
	} {
		c.s.dial = func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("dialled") }
		want := "mail server " + c.s.address() + ": " + c.want
		if err := c.s.Probe(t.Context()); err == nil || err.Error() != want {
			t.Errorf("error %v\nwant  %s", err, want)
		}
	}
	for _, s := range []SMTP{
		{Username: "u"}, {Secret: secret}, {CertFile: "c", KeyFile: "k"}, {Auth: "ANONYMOUS"}, {Auth: "PLAIN", Username: "u", Secret: secret},
	} {
		s.Host, s.TLS = "h", NoTLS
		s.dial = func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("dialled") }
		want := `mail server h:25: without TLS ("tls" is "none"), nothing is sent that authenticates: leave the credentials out`
		if err := s.Probe(t.Context()); err == nil || err.Error() != want {
			t.Errorf("%+v: error %v", s, err)
		}
	}
}

// The whole dialogue as an administrator sees it.
func TestSMTPDialogue(t *testing.T) {
	ca := newAuthority(t)
	server := startServer(t, ca.server(t, validNow), false, func(s *smtp.Server) { s.MaxMessageBytes = 1000 }, "LOGIN")
	var said bytes.Buffer
	s := server.client(ca)
	s.Username, s.Secret, s.Dialogue = theName, SecretText(thePassword), &said
	if err := s.Send(t.Context(), hello("a@example.org", "b@example.org")); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(filepath.Join("testdata", "dialogue.txt"))
	if err != nil {
		t.Fatal(err)
	}
	until := regexp.MustCompile(`valid until \d{4}-\d\d-\d\d\]`).ReplaceAllString(said.String(), "valid until DATE]")
	if diff := cmp.Diff(string(want), until); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if diff := cmp.Diff([]received{{
		"pyruse@example.org", "a@example.org b@example.org ", "Subject: Hello\r\n\r\nHello\r\n", "LOGIN " + theName,
	}}, server.got()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
