package mail

import (
	"bytes"
	"context"
	"fmt"
	"net"
	netmail "net/mail"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/pyruse/pyruse/internal/state"
)

// program returns where a program is that the test needs.
func program(t *testing.T, name, debianPackage string) string {
	t.Helper()
	for _, dir := range []string{"", "/usr/sbin", "/usr/bin"} {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path
		}
	}
	t.Fatalf("this test needs %s (Debian package %s)", name, debianPackage)
	return ""
}

// eximConf is a mail server that knows one user, and puts the mail for everybody into one file. It
// delivers only when it is told to, with -qf, which waits for the end. DIR stands for its folder.
const eximConf = `
primary_hostname = mail.example.org
spool_directory = DIR/spool
log_file_path = DIR/spool/log-%s
keep_environment =
smtp_accept_max = 0
queue_only = true
host_lookup =
rfc1413_query_timeout = 0s
tls_advertise_hosts = *
tls_certificate = DIR/cert
tls_privatekey = DIR/key
auth_advertise_hosts = ${if def:tls_in_cipher{*}{}}
message_size_limit = 100K
acl_smtp_rcpt = rcpt
acl_smtp_data = data
begin acl
rcpt:
  deny ! authenticated = *
       message = authenticate first
  deny local_parts = nobody
       message = no such user
  accept
data:
  accept
begin routers
all:
  driver = accept
  transport = file
begin transports
file:
  driver = appendfile
  file = DIR/inbox/all
  envelope_to_add
  return_path_add
  user = Debian-exim
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${if and{{eq{$auth2}{bob}}{eq{$auth3}{two words}}}}
  server_set_id = $auth2
login:
  driver = plaintext
  public_name = LOGIN
  server_prompts = Username:: : Password::
  server_condition = ${if and{{eq{$auth1}{bob}}{eq{$auth2}{two words}}}}
  server_set_id = $auth1
`

// exim is a real mail server. It is started for each connection, as inetd does it, so that nobody waits for a daemon.
type exim struct {
	path, dir string
	port      int
}

func startExim(t *testing.T, ca *authority, args ...string) *exim {
	t.Helper()
	e := &exim{path: program(t, "exim4", "exim4-daemon-light"), dir: eximFolder(t, ca)}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e.port = l.Addr().(*net.TCPAddr).Port
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if out, err := e.serve(conn.(*net.TCPConn), args); err != nil {
				t.Errorf("%v:\n%s", err, out)
			}
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
	})
	return e
}

func (e *exim) serve(conn *net.TCPConn, args []string) ([]byte, error) {
	file, err := conn.File()
	if err != nil {
		return nil, err
	}
	_ = conn.Close() // file is the same connection
	defer func() { _ = file.Close() }()
	var said bytes.Buffer
	cmd := exec.Command(e.path, append([]string{"-C", filepath.Join(e.dir, "conf"), "-bs"}, args...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = file, file, &said
	err = cmd.Run()
	return said.Bytes(), err
}

// eximFolder makes the folder of a mail server; its user must be able to reach it, which t.TempDir does not allow.
func eximFolder(t *testing.T, ca *authority) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "exim")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"spool", "inbox"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
		owner, err := user.Lookup("Debian-exim")
		if err != nil {
			t.Fatalf("exim has no user of its own: %v", err)
		}
		var uid, gid int
		if _, err := fmt.Sscan(owner.Uid+" "+owner.Gid, &uid, &gid); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(filepath.Join(dir, name), uid, gid); err != nil {
			t.Fatalf("exim runs as two users, so this test must be run by root: %v", err)
		}
	}
	cert, key := ca.serverPEM(t, validNow)
	for name, text := range map[string][]byte{"conf": []byte(strings.ReplaceAll(eximConf, "DIR", dir)), "cert": cert, "key": key} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// deliver makes the server put what it has accepted into the inbox, and returns that.
func (e *exim) deliver(t *testing.T) []byte {
	t.Helper()
	out, err := exec.Command(e.path, "-C", filepath.Join(e.dir, "conf"), "-qf").CombinedOutput()
	if err != nil {
		t.Fatalf("run the queue: %v: %s", err, out)
	}
	inbox, err := os.ReadFile(filepath.Join(e.dir, "inbox", "all"))
	if err != nil {
		log, _ := os.ReadFile(filepath.Join(e.dir, "spool", "log-main"))
		t.Fatalf("%v; the log of exim:\n%s", err, log)
	}
	return inbox
}

func TestSMTPWithExim(t *testing.T) {
	ca := newAuthority(t)
	for _, c := range []struct{ kind, auth, password, want string }{
		{StartTLS, "PLAIN", "two words", ""},
		{StartTLS, "LOGIN", "two words", ""},
		{ImplicitTLS, "", "two words", ""},
		{ImplicitTLS, "PLAIN", "wrong", `authenticate as "bob" with PLAIN: 535 Incorrect authentication data`},
		{StartTLS, "LOGIN", "wrong", `authenticate as "bob" with LOGIN: 535 Incorrect authentication data`},
	} {
		t.Run(c.kind+c.auth+c.want, func(t *testing.T) {
			var args []string
			if c.kind == ImplicitTLS {
				args = append(args, "-tls-on-connect")
			}
			e := startExim(t, ca, args...)
			var said bytes.Buffer
			s := &SMTP{
				Host: "127.0.0.1", Port: e.port, TLS: c.kind, ServerName: "mail.example.org", CAFile: ca.file, LocalName: "host.example.org",
				Auth: c.auth, Username: "bob", Secret: SecretText(c.password), Dialogue: &said,
			}
			m := plain()
			m.Text = ".\n..\nEnd of the text, ä\n\n.\n"
			mail := state.Mail{From: "pyruse@example.org", To: []string{"root@example.org", "nobody@example.org"}, Data: compose(t, m)}
			err := s.Send(t.Context(), mail)
			checkDialogue(t, said.String())
			if c.want != "" {
				if want := fmt.Sprintf("mail server 127.0.0.1:%d: %s", e.port, c.want); err == nil || err.Error() != want {
					t.Errorf("error %v, want %s", err, want)
				}
				return
			}
			if got, want := outcome(err), "refused nobody@example.org: RCPT TO: 550 no such user\n"; got != want {
				t.Errorf("%swant %sin the dialogue:\n%s", got, want, &said)
			}
			checkDelivered(t, e.deliver(t), mail.Data, m.Text)
		})
	}
}

// TestSMTPWithEximInTheForeground talks to a running exim, which delivers by itself.
func TestSMTPWithEximInTheForeground(t *testing.T) {
	ca := newAuthority(t)
	dir := eximFolder(t, ca)
	port := freePort(t)
	inbox := filepath.Join(dir, "inbox", "all")
	if err := syscall.Mkfifo(inbox, 0o666); err != nil { // who reads it waits for exim, and nobody has to ask again and again
		t.Fatal(err)
	}
	if err := os.Chmod(inbox, 0o666); err != nil {
		t.Fatal(err)
	}
	conf := filepath.Join(dir, "conf")
	text, err := os.ReadFile(conf)
	if err != nil {
		t.Fatal(err)
	}
	running := strings.NewReplacer(
		"queue_only = true\n", fmt.Sprintf("local_interfaces = 127.0.0.1\ndaemon_smtp_ports = %d\npid_file_path = %s/spool/pid\n", port, dir),
		"  driver = appendfile\n  file = "+inbox+"\n", "  driver = pipe\n  command = /usr/bin/tee "+inbox+"\n",
	).Replace(string(text))
	if err := os.WriteFile(conf, []byte(running), 0o644); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	cmd := exec.Command(program(t, "exim4", "exim4-daemon-light"), "-C", conf, "-bdf")
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() { // before its folder is removed, and also its children, which tidy up behind a delivery
		for syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) == nil {
			<-time.After(5 * time.Millisecond)
		}
	})
	awaitPort(t, port, ended, &said)

	m := plain()
	mail := state.Mail{From: "pyruse@example.org", To: []string{"root@example.org"}, Data: compose(t, m)}
	s := &SMTP{
		Host: "127.0.0.1", Port: port, ServerName: "mail.example.org", CAFile: ca.file, LocalName: "host.example.org",
		Username: "bob", Secret: SecretText("two words"),
	}
	if err := s.Send(t.Context(), mail); err != nil {
		t.Fatalf("%v; exim says:\n%s", err, &said)
	}
	got, err := os.ReadFile(inbox)
	if err != nil {
		t.Fatal(err)
	}
	checkDelivered(t, got, mail.Data, m.Text)
}

// freePort returns a port of the loopback address that nobody listens on.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}

// awaitPort waits until a program listens on a port; it tells nobody when it does.
func awaitPort(t *testing.T, port int, ended <-chan error, said fmt.Stringer) {
	t.Helper()
	for {
		conn, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			_ = conn.Close()
			return
		}
		select {
		case err := <-ended:
			t.Fatalf("the mail server has ended: %v: %s", err, said)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// checkDelivered compares what exim has put into an inbox with what was sent.
func checkDelivered(t *testing.T, inbox, sent []byte, text string) {
	t.Helper()
	_, got, _ := bytes.Cut(inbox, []byte("\n")) // the line of the mbox format that separates messages
	head := read(t, got).Header
	for field, want := range map[string]string{"Return-Path": "<pyruse@example.org>", "Envelope-To": "root@example.org"} {
		if head.Get(field) != want {
			t.Errorf("%s: %s, want %s", field, head.Get(field), want)
		}
	}
	if via := head.Get("Received"); !strings.Contains(via, "host.example.org") || !strings.Contains(via, "esmtpsa") {
		t.Errorf("received: %s", via)
	}
	original, err := netmail.ReadMessage(bytes.NewReader(sent))
	if err != nil {
		t.Fatal(err)
	}
	for field := range original.Header {
		if head.Get(field) != original.Header.Get(field) {
			t.Errorf("%s: %q, sent %q", field, head.Get(field), original.Header.Get(field))
		}
	}
	if got := body(t, read(t, got).Body); strings.TrimRight(got, "\n") != strings.TrimRight(text, "\n") {
		t.Errorf("text: %q, sent %q", got, text)
	}
}

// exim says what it takes; a message above that is not even begun.
func TestSMTPTooLargeForExim(t *testing.T) {
	ca := newAuthority(t)
	e := startExim(t, ca)
	s := &SMTP{
		Host: "127.0.0.1", Port: e.port, ServerName: "mail.example.org", CAFile: ca.file, Username: "bob", Secret: SecretText("two words"),
	}
	m := hello("root@example.org")
	m.Data = append(m.Data, strings.Repeat("0123456789\n", 10000)...)
	want := "refused root@example.org: message has 120025 bytes, but the server takes 102400 at most\n"
	if got := outcome(s.Send(t.Context(), m)); got != want {
		t.Errorf("%swant %s", got, want)
	}
}

// msmtp is a sendmail that talks SMTP itself.
func TestSendmailMsmtp(t *testing.T) {
	ca := newAuthority(t)
	server := startServer(t, ca.server(t, validNow), false, nil, "PLAIN")
	refusing := startServer(t, ca.server(t, validNow), false, func(s *smtp.Server) { s.MaxMessageBytes = 10 }, "PLAIN")
	for _, c := range []struct {
		port     int
		password string
		want     string // a piece of the error
	}{
		{server.port, thePassword, ""},
		{server.port, "wrong", "Authentication failed"},
		{refusing.port, thePassword, "size"},
	} {
		conf := filepath.Join(t.TempDir(), "msmtprc")
		text := fmt.Sprintf("account default\nhost 127.0.0.1\nport %d\nfrom pyruse@example.org\ntls on\ntls_starttls on\n"+
			"tls_trust_file %s\ntls_host_override mail.example.org\nauth plain\nuser %s\npasswordeval cat %s\n",
			c.port, ca.file, theName, writeSecret(t, c.password+"\n", 0o600))
		if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s := Sendmail{Argv: []string{program(t, "msmtp", "msmtp"), "--file=" + conf, "-t"}}
		m := plain()
		m.To = []string{"a@example.org", "Zoë <b@example.org>"}
		before := len(server.got())
		ctx, cancel := context.WithCancel(t.Context())
		err := s.Send(ctx, state.Mail{Data: compose(t, m)})
		cancel()
		if (err == nil) != (c.want == "") || !strings.Contains(fmt.Sprint(err), c.want) && c.want != "" {
			t.Errorf("error %v, want %q", err, c.want)
		}
		if got := server.got()[before:]; c.want == "" {
			if len(got) != 1 || got[0].From != "pyruse@example.org" || got[0].To != "a@example.org b@example.org " || got[0].As != "PLAIN "+theName {
				t.Errorf("received %+v", got)
			}
			if len(got) == 1 && got[0].Data != strings.ReplaceAll(string(compose(t, m)), "\n", "\r\n") {
				t.Errorf("received:\n%s", got[0].Data)
			}
		}
	}
}
