package mail

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pyruse/pyruse/internal/state"
)

// authority signs the certificates of a test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
	file string // its certificate, PEM
}

// validity says when a certificate is valid, relative to now.
type validity struct{ from, to time.Duration }

var (
	validNow = validity{-time.Hour, time.Hour}
	expired  = validity{-2 * time.Hour, -time.Hour}
)

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{key: newKey(t), pool: x509.NewCertPool()}
	a.cert = &x509.Certificate{
		Subject: pkix.Name{CommonName: "Test CA"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	a.cert = a.sign(t, a.cert, validity{-10 * time.Hour, 10 * time.Hour}, a.key)
	a.pool.AddCert(a.cert)
	a.file = writePEM(t, "CERTIFICATE", a.cert.Raw)
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (a *authority) sign(t *testing.T, cert *x509.Certificate, v validity, key *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	cert.SerialNumber, cert.NotBefore, cert.NotAfter = big.NewInt(1), time.Now().Add(v.from), time.Now().Add(v.to)
	der, err := x509.CreateCertificate(rand.Reader, cert, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// server returns the configuration of mail.example.org.
func (a *authority) server(t *testing.T, v validity) *tls.Config {
	t.Helper()
	pair, err := tls.X509KeyPair(a.serverPEM(t, v))
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}}
}

// serverPEM returns a certificate of mail.example.org and its key.
func (a *authority) serverPEM(t *testing.T, v validity) (cert, key []byte) {
	t.Helper()
	private := newKey(t)
	signed := a.sign(t, &x509.Certificate{DNSNames: []string{"mail.example.org", "smtp.example.org"}}, v, private)
	return encodePEM("CERTIFICATE", signed.Raw), encodePEM("PRIVATE KEY", keyBytes(t, private))
}

// clientFiles writes a certificate of a client and its key.
func (a *authority) clientFiles(t *testing.T) (certFile, keyFile string) {
	t.Helper()
	key := newKey(t)
	cert := a.sign(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "host.example.org"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, validNow, key)
	return writePEM(t, "CERTIFICATE", cert.Raw), writePEM(t, "PRIVATE KEY", keyBytes(t, key))
}

func keyBytes(t *testing.T, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	b, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func encodePEM(kind string, b []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b})
}

func writePEM(t *testing.T, kind string, b []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "pem")
	if err := os.WriteFile(name, encodePEM(kind, b), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// An error about a certificate says what is wrong and what can be done.
func TestSMTPCertificates(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	for _, c := range []struct {
		name   string
		conf   *tls.Config
		change func(*SMTP)
		want   []string // pieces of the error; none: it works
	}{
		{"good", ca.server(t, validNow), nil, nil},
		{"second name", ca.server(t, validNow), func(s *SMTP) { s.ServerName = "smtp.example.org" }, nil},
		{
			"wrong name", ca.server(t, validNow), func(s *SMTP) { s.ServerName = "mail.example.com" },
			[]string{"TLS handshake: ", "valid for mail.example.org, smtp.example.org, not mail.example.com", `set "serverName"`},
		},
		{"address", ca.server(t, validNow), func(s *SMTP) { s.ServerName = "" }, []string{"127.0.0.1", `set "serverName"`}},
		{"expired", ca.server(t, expired), nil, []string{"expired", "new certificate"}},
		{"other authority", other.server(t, validNow), nil, []string{"unknown authority", `not in "caFile" (` + ca.file}},
		{"authorities of the system", ca.server(t, validNow), func(s *SMTP) { s.CAFile = "" }, []string{"unknown authority", `set "caFile"`}},
		{
			"old TLS", &tls.Config{Certificates: ca.server(t, validNow).Certificates, MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10},
			nil, []string{"TLS handshake: ", "protocol version"},
		},
	} {
		for _, kind := range []string{StartTLS, ImplicitTLS} {
			t.Run(c.name+" "+kind, func(t *testing.T) {
				server := startServer(t, c.conf, kind == ImplicitTLS, nil, "PLAIN")
				s := server.client(ca)
				s.TLS, s.Username, s.Secret = kind, theName, SecretText(thePassword)
				if c.change != nil {
					c.change(s)
				}
				err := s.Send(t.Context(), hello("a@example.org"))
				if works := len(c.want) == 0; works != (err == nil) || works != (len(server.got()) == 1) || errors.As(err, new(*SendError)) {
					t.Errorf("error %v, received %+v", err, server.got())
				}
				for _, want := range c.want {
					if !strings.Contains(fmt.Sprint(err), want) {
						t.Errorf("%v, without %q", err, want)
					}
				}
			})
		}
	}
}

// The two kinds of TLS are taken for each other: each error names the other.
func TestSMTPWrongKindOfTLS(t *testing.T) {
	ca := newAuthority(t)
	server := startServer(t, ca.server(t, validNow), false, nil)
	s := server.client(ca)
	s.TLS = ImplicitTLS
	if err := s.Probe(t.Context()); err == nil || !strings.Contains(err.Error(), `set "tls" to "starttls"`) {
		t.Error(err)
	}
	// The other way round the server waits for the client: see "greeting" in TestSMTPHangs.
}

// stageTCP is stage with a real connection, on which a server can say more than the client reads.
func stageTCP(t *testing.T, a *actor) (*SMTP, func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if conn, err := l.Accept(); err == nil {
			a.serve(conn)
		}
	}()
	t.Cleanup(func() { _ = l.Close() })
	return &SMTP{Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port}, func() { <-done }
}

// Without the offer of STARTTLS, which somebody in between can take out, nothing is said but EHLO.
func TestSMTPNoStartTLS(t *testing.T) {
	for _, c := range []struct{ ehlo, startTLS, want string }{
		{"250-hi\r\n250 AUTH PLAIN", "", "server does not offer STARTTLS, and nothing is sent in clear; " +
			`if it expects TLS from the start, set "tls" to "implicit"`},
		{"250-hi\r\n250 STARTTLS", "454 4.7.0 not now", "STARTTLS: 454 4.7.0 not now"},
		{"250-hi\r\n250 STARTTLS", "502 5.5.1 what?", "STARTTLS: 502 5.5.1 what?"},
		{"250-hi\r\n250 STARTTLS", leave, "STARTTLS: server closed the connection"},
		{"250-hi\r\n250 STARTTLS", "220 go\r\n220 hello\r\n250 all well", "TLS handshake: tls: first record does not look like a TLS handshake"},
	} {
		a := &actor{says: map[string]string{"EHLO": c.ehlo, "STARTTLS": c.startTLS}}
		s, wait := stageTCP(t, a)
		s.TLS, s.Username, s.Secret = StartTLS, theName, SecretText(thePassword)
		err := s.Send(t.Context(), hello("a@example.org"))
		wait()
		if !strings.HasPrefix(outcome(err), "later: mail server "+s.address()+": "+c.want) {
			t.Errorf("error %v\nwant  %s", err, c.want)
		}
		for _, command := range a.heard {
			if verb, _, _ := strings.Cut(command, " "); verb == "AUTH" || verb == "MAIL" {
				t.Errorf("in clear: %q", command)
			}
		}
	}
}

// What somebody in between says before TLS is forgotten with TLS: offers of the server, and replies in advance.
func TestSMTPInjection(t *testing.T) {
	ca := newAuthority(t)
	conf := ca.server(t, validNow)
	for _, c := range []struct{ name, ehlo, want string }{
		{"offers", "250-hi\r\n250-SIZE 1\r\n250-AUTH LOGIN\r\n250 STARTTLS\r\n", ""},
		// With the reply to EHLO comes more, which is taken for no reply to any command.
		{"replies", "250-hi\r\n250 STARTTLS\r\n500 no\r\n500 no\r\n500 no\r\n", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			heard := make(chan string, 100)
			s := &SMTP{Host: "mail.example.org", CAFile: ca.file}
			s.dial = func(context.Context, string, string) (net.Conn, error) {
				client, server := net.Pipe()
				go func() {
					defer close(heard)
					in := bufio.NewReader(server)
					for _, say := range []string{"220 hi\r\n", c.ehlo, "220 go\r\n"} {
						if say != "220 hi\r\n" {
							line, _ := in.ReadString('\n')
							heard <- strings.TrimSpace(line)
						}
						_, _ = io.WriteString(server, say)
					}
					(&actor{says: map[string]string{"greeting": "", "EHLO": "250 only this"}}).serveTLS(tls.Server(server, conf), heard)
				}()
				return client, nil
			}
			err := s.Send(t.Context(), state.Mail{From: "p@example.org", To: []string{"a@example.org"}, Data: []byte("Hello\n")})
			var commands []string
			for command := range heard {
				commands = append(commands, strings.Fields(command)[0])
			}
			if got := strings.Join(commands, " "); err != nil || got != "EHLO STARTTLS EHLO MAIL RCPT DATA QUIT" {
				t.Errorf("%v after %s", err, got)
			}
		})
	}
}

// serveTLS is serve for a conversation that continues without a greeting.
func (a *actor) serveTLS(conn net.Conn, heard chan<- string) {
	in := bufio.NewReader(conn)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			_ = conn.Close()
			return
		}
		command := strings.TrimSpace(line)
		heard <- command
		reply := a.reply(command)
		_, _ = io.WriteString(conn, reply+"\r\n")
		if command == "DATA" && a.listen(in) {
			_, _ = io.WriteString(conn, a.reply(".")+"\r\n")
		}
	}
}

func TestSMTPHangsInTLS(t *testing.T) {
	for _, c := range []struct {
		kind, want string
		says       map[string]string
	}{
		{StartTLS, "STARTTLS: not done after 30s", map[string]string{"EHLO": "250-hi\r\n250 STARTTLS", "STARTTLS": hang}},
		{StartTLS, "TLS handshake: not done after 30s", map[string]string{"EHLO": "250-hi\r\n250 STARTTLS", "STARTTLS": "220 go\r\n" + hang}},
		{ImplicitTLS, "TLS handshake: not done after 30s", map[string]string{"greeting": hang}},
	} {
		synctest.Test(t, func(t *testing.T) {
			a := &actor{says: c.says}
			s, wait := stage(a)
			s.TLS, s.Port = c.kind, 25
			err := s.Probe(t.Context())
			wait()
			if want := "mail server mail.example.org:25: " + c.want; err == nil || err.Error() != want || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error %v\nwant  %s", err, want)
			}
		})
	}
}
