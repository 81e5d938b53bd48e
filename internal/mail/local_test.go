package mail

import (
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pyruse/pyruse/internal/state"
)

// mailProgram makes a sendmail program with these shell commands and this mode.
func mailProgram(t *testing.T, name, commands string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+commands), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestWayOf(t *testing.T) {
	plain, setgid := mailProgram(t, "msmtp", "", 0o755), mailProgram(t, "exim", "", 0o755|os.ModeSetgid)
	named := mailProgram(t, "sendmail", "", 0o755)
	for _, c := range []struct {
		argv []string
		want Way
	}{
		{[]string{plain, "-t"}, WayProgram},
		{[]string{setgid, "-t"}, WayRights},
		{[]string{named, "-t", "-oi"}, WayRights},
		{[]string{named, "-t", "-f", "bounces@example.org"}, WayProgram},
		{[]string{filepath.Join(t.TempDir(), "sendmail"), "-t"}, WayServer},
		{[]string{filepath.Join(t.TempDir(), "mailer"), "-t"}, WayProgram},
	} {
		if got := WayOf(c.argv); got != c.want {
			t.Errorf("WayOf(%q) is %d, want %d", c.argv, got, c.want)
		}
	}
}

// serveActor lets an actor listen, and returns its address and what ends when its conversation has.
func serveActor(t *testing.T, a *actor) (address string, done <-chan struct{}) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if conn, err := l.Accept(); err == nil {
			a.serve(conn)
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-ended })
	return l.Addr().String(), ended
}

func TestLocalConfinedGoesToTheServer(t *testing.T) {
	mailname := filepath.Join(t.TempDir(), "mailname")
	if err := os.WriteFile(mailname, []byte("shop.example.org\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var server actor
	address, done := serveActor(t, &server)
	l := Local{
		Sendmail: Sendmail{Argv: []string{mailProgram(t, "sendmail", "exit 1", 0o755), "-t"}},
		confined: func() bool { return true }, servers: []string{"127.0.0.1:1", address}, mailname: mailname,
	}
	data := "Subject: x\nTo: root,\n =?utf-8?q?J=C3=BCrgen?= <a@example.org>\nToo: far\n\nTo: text\n"
	if err := l.Send(t.Context(), state.Mail{Data: []byte(data), To: []string{"root", "a@example.org"}}); err != nil {
		t.Fatal(err)
	}
	<-done
	said := strings.Join(server.heard, "\n")
	if ok, _ := regexp.MatchString(`(?m)^MAIL FROM:<\S+@shop\.example\.org>.*\nRCPT TO:<root@localhost>\nRCPT TO:<a@example\.org>$`, said); !ok {
		t.Errorf("the server heard\n%s", said)
	}
	want := `^From: \S+@shop\.example\.org\nTo: root@localhost,\n a@example\.org\nSubject: x\nToo: far\n\nTo: text\n$`
	if ok, _ := regexp.MatchString(want, strings.ReplaceAll(server.message, "\r", "")); !ok {
		t.Errorf("the message is %q", server.message)
	}
}

func TestLocalSenderWithoutDomain(t *testing.T) {
	var server actor
	address, done := serveActor(t, &server)
	l := Local{
		Sendmail: Sendmail{Argv: []string{mailProgram(t, "sendmail", "exit 1", 0o755)}},
		confined: func() bool { return true }, servers: []string{address}, mailname: filepath.Join(t.TempDir(), "none"),
	}
	if err := l.Send(t.Context(), state.Mail{From: "watch", Data: []byte("from: Watch <watch>\n\ntext\n"), To: []string{"a@example.org"}}); err != nil {
		t.Fatal(err)
	}
	<-done
	if ok, _ := regexp.MatchString(`^From: watch@\S+\r?\n\r?\ntext`, server.message); !ok {
		t.Errorf("the message is %q", server.message)
	}
}

func TestLocalNamesTheReceiversAsTheyWereGiven(t *testing.T) {
	server := actor{says: map[string]string{"RCPT TO:<root@localhost>": "550 5.1.1 nobody"}}
	address, _ := serveActor(t, &server)
	l := Local{
		Sendmail: Sendmail{Argv: []string{mailProgram(t, "sendmail", "exit 1", 0o755)}},
		confined: func() bool { return true }, servers: []string{address},
	}
	err := l.Send(t.Context(), state.Mail{From: "p@example.org", Data: []byte("Subject: x\n\ntext\n"), To: []string{"root", "a@example.org"}})
	parts, ok := err.(*SendError) //nolint:errorlint // that is what the interface promises
	if !ok {
		t.Fatalf("error %v, want a *SendError", err)
	}
	want := []state.Recipient{{Address: "root", Reason: parts.Refused[0].Reason}}
	if diff := cmp.Diff(want, parts.Refused); diff != "" {
		t.Error(diff)
	}
}

func TestLocalRunsTheProgram(t *testing.T) {
	for _, c := range []struct {
		name, commands string
		confined       bool
		want           string
	}{
		{"not confined", "exit 0", false, ""},
		{"confined, no server, but it does without rights", "exit 0", true, ""},
		{"confined, no server", "echo no rights >&2; exit 1", true, "no rights; " + ErrConfined.Error()},
		{"not confined, fails", "echo no >&2; exit 1", false, "exit status 1: no"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := Local{
				Sendmail: Sendmail{Argv: []string{mailProgram(t, "sendmail", c.commands, 0o755)}},
				confined: func() bool { return c.confined }, servers: []string{"127.0.0.1:1"},
			}
			err := l.Send(t.Context(), state.Mail{Data: []byte("Subject: x\n\ntext\n"), To: []string{"root"}})
			if (err == nil) != (c.want == "") || err != nil && !strings.HasSuffix(err.Error(), c.want) {
				t.Errorf("error %v, want …%s", err, c.want)
			}
		})
	}
}

func TestLocalWithoutProgramNeedsTheServer(t *testing.T) {
	var server actor
	address, done := serveActor(t, &server)
	l := Local{
		Sendmail: Sendmail{Argv: []string{filepath.Join(t.TempDir(), "sendmail"), "-t"}},
		confined: func() bool { return false }, servers: []string{address},
	}
	if err := l.Send(t.Context(), state.Mail{Data: []byte("Subject: x\n\ntext\n"), To: []string{"root"}}); err != nil {
		t.Fatal(err)
	}
	<-done
	if !strings.Contains(server.message, "text") {
		t.Errorf("the message is %q", server.message)
	}
}
