package mail

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pyruse/pyruse/internal/state"
)

// actor is a mail server that says what the test wants. The keys of says are commands in full, commands up
// to the first space or colon, "greeting", and "." for the end of the message. A reply may have several lines.
type actor struct {
	says    map[string]string
	heard   []string // commands
	message string   // as it came, without the last dot
}

// Things that an actor can do instead of a reply.
const (
	hang  = "hang"  // say nothing more, but listen; also after a reply that ends in this
	leave = "leave" // close the connection
	torn  = "torn"  // the same, but within a reply, which ends in this
)

var politeness = map[string]string{
	"greeting": "220 mail.example.org ESMTP", "EHLO": "250-mail.example.org\r\n250-SIZE 1000\r\n250 8BITMIME",
	"MAIL": "250 2.1.0 ok", "RCPT": "250 2.1.5 ok", "DATA": "354 go on", ".": "250 2.0.0 queued", "QUIT": "221 2.0.0 bye",
}

func (a *actor) reply(command string) string {
	verb := command
	if i := strings.IndexAny(command, " :"); i >= 0 {
		verb = command[:i]
	}
	for _, says := range []map[string]string{a.says, politeness} {
		for _, key := range []string{command, verb} {
			if r, ok := says[key]; ok {
				return r
			}
		}
	}
	return "500 5.5.1 unknown"
}

// serve has one conversation, until the client or the actor ends it.
func (a *actor) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }() // the client looks at the result
	in := bufio.NewReader(conn)
	for command := "greeting"; ; {
		switch r := a.reply(command); r {
		case leave:
			return
		default:
			r, away := strings.CutSuffix(r, torn)
			r, mute := strings.CutSuffix(r, hang)
			if !away && !mute {
				r += "\r\n"
			}
			if _, err := io.WriteString(conn, r); err != nil || away {
				return
			}
			if mute {
				_, _ = io.Copy(io.Discard, in) // ends with the connection
				return
			}
			if command == "DATA" && strings.HasPrefix(r, "354") {
				if !a.listen(in) {
					return
				}
				command = "."
				continue
			}
		}
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		command = strings.TrimSuffix(line, "\r\n")
		a.heard = append(a.heard, command)
	}
}

// listen reads the message, and reports whether it has an end. An actor who leaves at "message" does so after its first line.
func (a *actor) listen(in *bufio.Reader) bool {
	for {
		line, err := in.ReadString('\n')
		if err != nil || a.says["message"] == leave {
			return false
		}
		if line == ".\r\n" {
			return true
		}
		a.message += line
	}
}

// stage returns a transport to an actor, and a function that waits until the actor is done.
func stage(a *actor) (*SMTP, func()) {
	done := make(chan struct{})
	s := &SMTP{Host: "mail.example.org", TLS: NoTLS, LocalName: "host.example.org"}
	s.dial = func(_ context.Context, network, address string) (net.Conn, error) {
		if network != "tcp" || address != "mail.example.org:25" {
			return nil, fmt.Errorf("dialled %s %s", network, address)
		}
		client, server := net.Pipe()
		go func() {
			defer close(done)
			a.serve(server)
		}()
		return client, nil
	}
	return s, func() { <-done }
}

func hello(to ...string) state.Mail {
	return state.Mail{From: "pyruse@example.org", To: to, Data: []byte("Subject: Hello\n\nHello\n")}
}

// outcome tells what an error means for the receivers, one line each.
func outcome(err error) string {
	var partly *SendError
	switch {
	case err == nil:
		return "accepted\n"
	case !errors.As(err, &partly):
		return "later: " + err.Error() + "\n"
	}
	var b strings.Builder
	for _, r := range partly.Refused {
		fmt.Fprintf(&b, "refused %s: %s\n", r.Address, r.Reason)
	}
	for _, r := range partly.Waiting {
		fmt.Fprintf(&b, "waiting %s: %s\n", r.Address, r.Reason)
	}
	return b.String()
}

func TestSMTPReplies(t *testing.T) {
	const server = "later: mail server mail.example.org:25: "
	for _, c := range []struct {
		name string
		says map[string]string
		want string
	}{
		{"all well", nil, "accepted\n"},
		{"greeting 554", map[string]string{"greeting": "554 5.7.1 go away"}, server + "greeting: 554 5.7.1 go away\n"},
		{"greeting 421", map[string]string{"greeting": "421 busy"}, server + "greeting: 421 busy\n"},
		{"greeting is none", map[string]string{"greeting": "hello"}, server + "greeting: short response: hello\n"},
		{"leaves at once", map[string]string{"greeting": leave}, server + "greeting: server closed the connection\n"},
		{"EHLO 550", map[string]string{"EHLO": "550 who are you?"}, server + "EHLO: 550 who are you?\n"},
		{"EHLO 500, HELO", map[string]string{"EHLO": "500 what?", "HELO": "250 ok"}, "accepted\n"},
		{"EHLO 500, HELO 550", map[string]string{"EHLO": "500 what?", "HELO": "550 no"}, server + "HELO: 550 no\n"},
		{"MAIL 250 in other words", map[string]string{"MAIL": "251 ok"}, "accepted\n"},
		{"MAIL 451", map[string]string{"MAIL": "451 4.3.0 wait"}, server + "MAIL FROM: 451 4.3.0 wait\n"},
		{"MAIL 421", map[string]string{"MAIL": "421 4.3.2 closing"}, server + "MAIL FROM: 421 4.3.2 closing\n"},
		{"MAIL 530", map[string]string{"MAIL": "530 5.7.0 authenticate"}, server + "MAIL FROM: 530 5.7.0 authenticate\n"},
		{"MAIL 503", map[string]string{"MAIL": "503 no"}, server + "MAIL FROM: 503 no\n"},
		{"MAIL 334", map[string]string{"MAIL": "334 what?"}, server + "MAIL FROM: 334 what?\n"},
		{"MAIL 999", map[string]string{"MAIL": "999 what?"}, server + "MAIL FROM: 999 what?\n"},
		{
			"MAIL 550, two lines", map[string]string{"MAIL": "550-5.7.1 not from\r\n550 5.7.1 you"},
			"refused a@example.org: MAIL FROM: 550 5.7.1 not from you\nrefused b@example.org: MAIL FROM: 550 5.7.1 not from you\n",
		},
		{"MAIL 552", map[string]string{"MAIL": "552 full"}, "refused a@example.org: MAIL FROM: 552 full\nrefused b@example.org: MAIL FROM: 552 full\n"},
		{"RCPT 550", map[string]string{"RCPT TO:<b@example.org>": "550 5.1.1 unknown"}, "refused b@example.org: RCPT TO: 550 5.1.1 unknown\n"},
		{"RCPT 450", map[string]string{"RCPT TO:<b@example.org>": "450 greylisted"}, "waiting b@example.org: RCPT TO: 450 greylisted\n"},
		{"RCPT 552", map[string]string{"RCPT TO:<b@example.org>": "552 too many"}, "waiting b@example.org: RCPT TO: 552 too many\n"},
		{"RCPT 530", map[string]string{"RCPT TO:<b@example.org>": "530 no relay"}, "waiting b@example.org: RCPT TO: 530 no relay\n"},
		{
			"RCPT 421 ends the session", map[string]string{"RCPT TO:<b@example.org>": "421 closing"},
			server + "RCPT TO: 421 closing\n",
		},
		{
			"RCPT 550, and the session is lost", map[string]string{"RCPT TO:<a@example.org>": "550 no", "RCPT TO:<b@example.org>": leave},
			"refused a@example.org: RCPT TO: 550 no\nwaiting b@example.org: RCPT TO: server closed the connection\n",
		},
		{
			"RCPT 550 and 450", map[string]string{"RCPT TO:<a@example.org>": "550 no", "RCPT TO:<b@example.org>": "450 wait"},
			"refused a@example.org: RCPT TO: 550 no\nwaiting b@example.org: RCPT TO: 450 wait\n",
		},
		{"DATA 451", map[string]string{"DATA": "451 wait"}, server + "DATA: 451 wait\n"},
		{"DATA 250", map[string]string{"DATA": "250 what?"}, server + "DATA: 250 what?\n"},
		{"DATA 554", map[string]string{"DATA": "554 no"}, "refused a@example.org: DATA: 554 no\nrefused b@example.org: DATA: 554 no\n"},
		{"end 451", map[string]string{".": "451 4.7.1 wait"}, server + "end of message: 451 4.7.1 wait\n"},
		{"end 354", map[string]string{".": "354 what?"}, server + "end of message: 354 what?\n"},
		{"end 259", map[string]string{".": "259 ok"}, "accepted\n"},
		{
			"end 554", map[string]string{".": "554 5.7.1 spam"},
			"refused a@example.org: end of message: 554 5.7.1 spam\nrefused b@example.org: end of message: 554 5.7.1 spam\n",
		},
		{
			"RCPT 550 and end 451", map[string]string{"RCPT TO:<a@example.org>": "550 no", ".": "451 wait"},
			"refused a@example.org: RCPT TO: 550 no\nwaiting b@example.org: end of message: 451 wait\n",
		},
		{
			"RCPT 450 and end 554", map[string]string{"RCPT TO:<a@example.org>": "450 wait", ".": "554 spam"},
			"refused b@example.org: end of message: 554 spam\nwaiting a@example.org: RCPT TO: 450 wait\n",
		},
		{"leaves at DATA", map[string]string{"DATA": leave}, server + "DATA: server closed the connection\n"},
		{"leaves within the reply to the end", map[string]string{".": "250 ok" + torn}, server + "end of message: server closed the connection\n"},
		{"leaves within a refusal", map[string]string{"MAIL": "550 5.7" + torn}, server + "MAIL FROM: server closed the connection\n"},
		{"leaves after the end", map[string]string{".": leave}, server + "end of message: server closed the connection\n"},
		{"QUIT fails", map[string]string{"QUIT": "500 no"}, "accepted\n"},
		{"leaves at QUIT", map[string]string{"QUIT": leave}, "accepted\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := &actor{says: c.says}
			s, wait := stage(a)
			got := outcome(s.Send(t.Context(), hello("a@example.org", "b@example.org")))
			wait()
			if got != c.want {
				t.Errorf("-want +got:\n%s", cmp.Diff(c.want, got))
			}
			sent, asked := a.message != "", strings.Contains(strings.Join(a.heard, "\n"), "DATA")
			if taken := strings.Contains(c.want, "RCPT TO") && strings.Count(c.want, "example.org: RCPT TO") == 2; taken && asked {
				t.Error("DATA was said though no receiver is left")
			}
			if c.want == "accepted\n" && !sent {
				t.Error("nothing was sent")
			}
		})
	}
}

// The connection ends while the message is on its way: more of it than the buffers of go-smtp hold.
func TestSMTPLeftWithinMessage(t *testing.T) {
	a := &actor{says: map[string]string{"message": leave, "EHLO": "250 hi"}}
	s, wait := stage(a)
	m := hello("a@example.org")
	m.Data = append(m.Data, strings.Repeat("0123456789\n", 10000)...)
	err := s.Send(t.Context(), m)
	wait()
	if got := outcome(err); !strings.HasPrefix(got, "later: mail server mail.example.org:25: message: ") {
		t.Error(got)
	}
}

func TestSMTPCommands(t *testing.T) {
	a := &actor{}
	s, wait := stage(a)
	if err := s.Send(t.Context(), hello("a@example.org", `quoted "name"@bücher.example`)); err != nil {
		t.Fatal(err)
	}
	wait()
	want := []string{
		"EHLO host.example.org", "MAIL FROM:<pyruse@example.org> BODY=8BITMIME SIZE=25", "RCPT TO:<a@example.org>",
		`RCPT TO:<"quoted \"name\""@xn--bcher-kva.example>`, "DATA", "QUIT",
	}
	if diff := cmp.Diff(want, a.heard); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestSMTPForSendmail sends a message that was written when a sendmail program had to fill in the rest.
func TestSMTPForSendmail(t *testing.T) {
	a := &actor{}
	s, done := stage(a)
	s.Sender = "pyruse@example.org"
	m := hello("root", "admin@example.net")
	m.From = ""
	got := outcome(s.Send(t.Context(), m))
	done()
	if want := "accepted\n"; got != want {
		t.Fatalf("%swant %s", got, want)
	}
	want := []string{"MAIL FROM:<pyruse@example.org> BODY=8BITMIME SIZE=25", "RCPT TO:<root@example.org>", "RCPT TO:<admin@example.net>"}
	if heard := slices.DeleteFunc(slices.Clone(a.heard), func(line string) bool { return !strings.Contains(line, ":<") }); !slices.Equal(heard, want) {
		t.Errorf("commands %q, want %q", heard, want)
	}
}

func TestSMTPProbe(t *testing.T) {
	a := &actor{}
	s, wait := stage(a)
	if err := s.Probe(t.Context()); err != nil {
		t.Error(err)
	}
	wait()
	if got := strings.Join(a.heard, ", "); got != "EHLO host.example.org, QUIT" {
		t.Error(got)
	}
}

// The end of the message is only what the client means as such, and every byte arrives.
func TestSMTPData(t *testing.T) {
	for _, c := range []struct{ name, data, want string }{
		{"plain", "a\nb\n", "a\r\nb\r\n"},
		{"no newline at the end", "a\nb", "a\r\nb\r\n"},
		{"dots", ".\n..\n.a\nb.\n.\n", "..\r\n...\r\n..a\r\nb.\r\n..\r\n"},
		{"ends in a dot", "a\n.", "a\r\n..\r\n"},
		{"empty lines", "\n\n\n", "\r\n\r\n\r\n"},
		{"CRLF", "a\r\n.\r\nb\r\n", "a\r\n..\r\nb\r\n"},
		{"long", strings.Repeat(".", 3000) + "\n", strings.Repeat(".", 3001) + "\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := &actor{says: map[string]string{"EHLO": "250-hi\r\n250 SIZE"}}
			s, wait := stage(a)
			m := hello("a@example.org")
			m.Data = []byte(c.data)
			if err := s.Send(t.Context(), m); err != nil {
				t.Fatal(err)
			}
			wait()
			if a.message != c.want {
				t.Errorf("arrived: %q, want %q", a.message, c.want)
			}
			size := len(strings.ReplaceAll(strings.ReplaceAll(c.data, "\r\n", "\n"), "\n", "\r\n"))
			if !strings.HasSuffix(c.data, "\n") {
				size += 2
			}
			if want := fmt.Sprintf("MAIL FROM:<pyruse@example.org> SIZE=%d", size); a.heard[1] != want {
				t.Errorf("said %q, want %q", a.heard[1], want)
			}
		})
	}
}

// What cannot be sent is refused, before the command that would be wrong.
func TestSMTPUnsendable(t *testing.T) {
	raw := []byte("From: jörg@example.org\n\nHello\n")
	for _, c := range []struct {
		name, ehlo, want string
		m                state.Mail
	}{
		{
			"bare carriage return", "", "refused a@example.org: message has a carriage return within a line\n",
			state.Mail{From: "p@example.org", To: []string{"a@example.org"}, Data: []byte("a\r.\r\n")},
		},
		{
			"carriage return at the end", "", "refused a@example.org: message has a carriage return within a line\n",
			state.Mail{From: "p@example.org", To: []string{"a@example.org"}, Data: []byte("a\r")},
		},
		{"no sender", "", "later: email.from is needed with SMTP\n", state.Mail{To: []string{"a@example.org"}}},
		{"bad sender", "", "later: email.from: \"p\" is no mail address\n", state.Mail{From: "p", To: []string{"a@example.org"}}},
		{"no receiver", "", "later: message has no receiver\n", state.Mail{From: "p@example.org"}},
		{
			"commands in addresses", "", "refused a@example.org> SIZE=1: \"a@example.org> SIZE=1\" is no mail address\n" +
				"refused a\r\nDATA@example.org: \"a\\r\\nDATA@example.org\" is no mail address\n",
			state.Mail{From: "p@example.org", To: []string{"a@example.org> SIZE=1", "a\r\nDATA@example.org"}},
		},
		{
			"one bad address", "250 hi", "refused b@: \"b@\" is no mail address\n",
			state.Mail{From: "p@example.org", To: []string{"a@example.org", "b@"}, Data: []byte("x\n")},
		},
		{
			"too large", "250-hi\r\n250 SIZE 10", "refused a@example.org: message has 25 bytes, but the server takes 10 at most\n",
			hello("a@example.org"),
		},
		{"just not too large", "250-hi\r\n250 SIZE 25", "accepted\n", hello("a@example.org")},
		{"no limit", "250-hi\r\n250 SIZE 0", "accepted\n", hello("a@example.org")},
		{
			"local part", "250 hi", "refused jörg@example.org: address jörg@example.org is not ASCII, for which the server would have to " +
				"offer SMTPUTF8 (RFC 6531)\nrefused a@example.org: address jörg@example.org is not ASCII, for which the server would " +
				"have to offer SMTPUTF8 (RFC 6531)\n", hello("jörg@example.org", "a@example.org"),
		},
		{"local part, SMTPUTF8", "250-hi\r\n250 SMTPUTF8", "accepted\n", hello("jörg@example.org")},
		{"domain", "250 hi", "accepted\n", hello("joerg@bücher.example")},
		{
			"header", "250 hi", "refused a@example.org: the header of the message is not ASCII, for which the server would have to offer " +
				"SMTPUTF8 (RFC 6531)\n", state.Mail{From: "p@example.org", To: []string{"a@example.org"}, Data: raw},
		},
		{
			"header, SMTPUTF8", "250-hi\r\n250 SMTPUTF8", "accepted\n",
			state.Mail{From: "p@example.org", To: []string{"a@example.org"}, Data: raw},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := &actor{says: map[string]string{"EHLO": c.ehlo}}
			s, wait := stage(a)
			if c.ehlo == "" {
				s.dial = func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("dialled") }
				wait = func() {}
			}
			got := outcome(s.Send(t.Context(), c.m))
			wait()
			if got != c.want {
				t.Errorf("-want +got:\n%s", cmp.Diff(c.want, got))
			}
			all := strings.Join(a.heard, "\n")
			if utf8 := strings.Contains(all, "> SMTPUTF8"); utf8 != strings.Contains(c.name, "SMTPUTF8") {
				t.Errorf("SMTPUTF8 in MAIL: %v in %s", utf8, all)
			}
			if strings.HasPrefix(c.want, "refused") && c.name != "one bad address" && strings.Contains(all, "MAIL") {
				t.Errorf("MAIL was said:\n%s", all)
			}
		})
	}
}

// A server that hangs ends with the time for the command, or that for the whole.
func TestSMTPHangs(t *testing.T) {
	const server = "later: mail server mail.example.org:25: "
	for _, c := range []struct {
		step, want string
		timeout    time.Duration
	}{
		{"greeting", server + `greeting: not done after 30s; if the server expects TLS from the start, as on port 465, set "tls" to "implicit"` + "\n", 0},
		{"greeting", server + "greeting: not done after 10s, at the end of the 10s for the whole\n", 10 * time.Second},
		{"EHLO", server + "EHLO: not done after 30s\n", 0},
		{"MAIL", server + "MAIL FROM: not done after 30s\n", 0},
		{"RCPT", server + "RCPT TO: not done after 30s\n", 0},
		{"RCPT TO:<b@example.org>", server + "RCPT TO: not done after 30s\n", 0},
		{"DATA", server + "DATA: not done after 30s\n", 0},
		{".", server + "end of message: not done after 1m0s, at the end of the 1m0s for the whole\n", 0},
		{"QUIT", "accepted\n", 0},
	} {
		t.Run(c.step, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, wait := stage(&actor{says: map[string]string{c.step: hang}})
				s.Timeout = c.timeout
				begin := time.Now()
				err := s.Send(t.Context(), hello("a@example.org", "b@example.org"))
				wait()
				if got := outcome(err); got != c.want {
					t.Errorf("-want +got:\n%s", cmp.Diff(c.want, got))
				}
				if err != nil && !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%v does not wrap that the time is over", err)
				}
				if took := time.Since(begin); took > time.Minute || c.step == "QUIT" && took != quitTimeout {
					t.Errorf("took %v", took)
				}
			})
		})
	}
}

// A server that takes the message slowly, or sends its replies byte by byte, has no more time than one that hangs.
func TestSMTPSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &SMTP{Host: "mail.example.org", TLS: NoTLS}
		done := make(chan struct{})
		s.dial = func(context.Context, string, string) (net.Conn, error) {
			client, server := net.Pipe()
			go func() {
				defer close(done)
				for {
					if _, err := server.Write([]byte("2")); err != nil {
						return
					}
					<-time.After(time.Second)
				}
			}()
			return client, nil
		}
		begin := time.Now()
		err := s.Probe(t.Context())
		<-done
		if took := time.Since(begin).Round(time.Second); !errors.Is(err, context.DeadlineExceeded) || took > commandTimeout+time.Second {
			t.Errorf("%v after %v", err, took)
		}
	})
}

// The end of the context is the end of the session, whatever the server does.
func TestSMTPStopped(t *testing.T) {
	for _, step := range []string{"greeting", "EHLO", "MAIL", "RCPT", "DATA", "."} {
		t.Run(step, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, wait := stage(&actor{says: map[string]string{step: hang}})
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(time.Second, cancel)
				begin := time.Now()
				err := s.Send(ctx, hello("a@example.org"))
				wait()
				if took := time.Since(begin); !errors.Is(err, context.Canceled) || took != time.Second {
					t.Errorf("%v after %v", err, took)
				}
			})
		})
	}
}

// A server can neither fill the memory nor reach the terminal.
func TestSMTPHostileServer(t *testing.T) {
	long := strings.Repeat("x", 1900)
	for _, c := range []struct {
		name string
		says map[string]string
		want string
	}{
		{"endless line", map[string]string{"greeting": "220 " + strings.Repeat("x", 1<<21)}, "greeting: smtp: too long a line in input stream"},
		{"endless reply", map[string]string{"EHLO": strings.Repeat("250-x\r\n", 1<<18)}, "EHLO: server sent more than 1048576 bytes"},
		{"endless text", map[string]string{"MAIL": "451 " + long}, "MAIL FROM: 451 " + strings.Repeat("x", 496) + "…"},
		{"nonsense", map[string]string{"MAIL": long}, "MAIL FROM: short response: " + strings.Repeat("x", maxServerText-len("short response: ")) + "…"},
		{
			"control characters", map[string]string{"MAIL": "451 \x1b[2J\x00\u202e\xff\x1b]0;x\a"},
			`MAIL FROM: 451 \x1b[2J\x00\u202e` + "\uFFFD" + `\x1b]0;x\x07`,
		},
		{"ever longer", map[string]string{"MAIL": "451 " + strings.Repeat("\u202e", 500)}, "MAIL FROM: 451 " + strings.Repeat(`\u202e`, 82) + `\u20…`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var said strings.Builder
			s, wait := stage(&actor{says: c.says})
			s.Dialogue = &said
			err := s.Send(t.Context(), hello("a@example.org"))
			wait()
			if want := "mail server mail.example.org:25: " + c.want; err == nil || err.Error() != want {
				t.Errorf("error %q\nwant  %q", err, want)
			}
			checkDialogue(t, said.String())
		})
	}
}

// checkDialogue finds lines that no terminal should get.
func checkDialogue(t *testing.T, said string) {
	t.Helper()
	form := regexp.MustCompile(`^(?:-> |<- |   \[)[^\x00-\x1f\x7f]*$`)
	for line := range strings.Lines(said) {
		if !form.MatchString(strings.TrimSuffix(line, "\n")) || len(line) > maxServerText+len("<- …\n") {
			t.Errorf("line of the dialogue: %.600q", line)
		}
	}
}

func TestSMTPConnectFails(t *testing.T) {
	s := &SMTP{Host: "127.0.0.1", Port: 1, TLS: NoTLS}
	want := "mail server 127.0.0.1:1: connect: dial tcp 127.0.0.1:1: connect: connection refused"
	if err := s.Probe(t.Context()); err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestSMTPPorts(t *testing.T) {
	for _, c := range []struct {
		s    SMTP
		want string
	}{
		{SMTP{Host: "h"}, "h:587"},
		{SMTP{Host: "h", TLS: StartTLS}, "h:587"},
		{SMTP{Host: "h", TLS: ImplicitTLS}, "h:465"},
		{SMTP{Host: "h", TLS: NoTLS}, "h:25"},
		{SMTP{Host: "2001:db8::1", Port: 2525}, "[2001:db8::1]:2525"},
	} {
		if got := c.s.address(); got != c.want {
			t.Errorf("%s, want %s", got, c.want)
		}
	}
}

func TestSMTPLocalName(t *testing.T) {
	for name, want := range map[string]string{
		"host.example.org": "host.example.org", "a b": "localhost", "a\r\nQUIT": "localhost", "bücher.example": "xn--bcher-kva.example",
		"[192.0.2.1]": "[192.0.2.1]",
	} {
		if got := (&SMTP{LocalName: name}).localName(); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

// Whatever a server sends, the client neither panics nor stays, and takes nothing for an acceptance but one.
func FuzzSMTPServer(f *testing.F) {
	const good = "220 hi\r\n250-hi\r\n250 SIZE 1000\r\n250 ok\r\n250 ok\r\n354 go\r\n250 queued\r\n221 bye\r\n"
	for _, s := range []string{
		"", good, good[:len(good)-20], strings.Replace(good, "354 go", "354-go\r\n354 on", 1), strings.Replace(good, "queued", "2.0.0 \x1b[2J", 1),
		"220 hi\r\n500 no\r\n250 ok\r\n250 ok\r\n550 5.1.1 no\r\n221 bye\r\n", "554 no\r\n", "220-\r\n220-\r\n", "220 hi\n250 hi\n451 4.0.0 no\n",
	} {
		f.Add([]byte(s))
	}
	accepted := regexp.MustCompile(`(?s)(?:^|\n)354.*\n2\d\d.*\n`)
	f.Fuzz(func(t *testing.T, says []byte) {
		var said strings.Builder
		s := &SMTP{Host: "mail.example.org", TLS: NoTLS, Dialogue: &said}
		s.dial = func(context.Context, string, string) (net.Conn, error) {
			client, server := net.Pipe()
			go func() { _, _ = io.Copy(io.Discard, server) }()
			go func() {
				_, _ = server.Write(says)
				_ = server.Close()
			}()
			return client, nil
		}
		err := s.Send(t.Context(), hello("a@example.org"))
		if err == nil && !accepted.Match(says) {
			t.Errorf("accepted after %q", says)
		}
		if err != nil && (Visible(err.Error(), "") != err.Error() || len(err.Error()) > 2*maxServerText) {
			t.Errorf("error %q", err)
		}
		checkDialogue(t, said.String())
	})
}
