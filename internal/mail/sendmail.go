package mail

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/pyruse/pyruse/internal/state"
)

const (
	// sendmailTimeout is far more than a mail server on the same machine needs to accept a
	// message, and enough for one like msmtp that talks to a distant server meanwhile.
	sendmailTimeout = 60 * time.Second
	// outputKept is how much of what sendmail says is kept for the error, in bytes.
	outputKept = 2 << 10
	// pipeDelay is how long output is awaited from a child that outlives sendmail: exim
	// leaves one that delivers the message.
	pipeDelay = time.Second
)

// defaultSendmail is the command of Pyruse 2.
var defaultSendmail = []string{"/usr/bin/sendmail", "-t"}

// FindSendmail returns where a program is. The default, /usr/bin/sendmail, is elsewhere on most systems: /usr/sbin (Debian, Fedora; hier(7)
// of old has /usr/lib), or a wrapper with more rights (NixOS).
func FindSendmail(name string) string {
	if name != defaultSendmail[0] {
		return name
	}
	for _, place := range []string{name, "/usr/sbin/sendmail", "/run/wrappers/bin/sendmail", "/usr/lib/sendmail"} {
		if _, err := os.Stat(place); err == nil {
			return place
		}
	}
	return name
}

// Sendmail hands messages to a program with sendmail's interface: the message comes on
// its standard input, and its exit status says whether it was accepted.
type Sendmail struct {
	// Argv is the command, with its arguments; no shell is involved. With -t, the program
	// finds the receivers in the message. Default: /usr/bin/sendmail -t.
	Argv []string
	// Timeout is the time that the program has; when it is over, the program and its
	// children are killed. Default: 60 seconds.
	Timeout time.Duration
	// Dialogue is told what is run, and what the program says; nil: nobody.
	Dialogue io.Writer
}

// Send runs the program with the message, and returns nil if it has accepted it, that is, has ended
// with exit status 0. An error carries what the program said, shortened, with
// control characters spelled out.
func (s *Sendmail) Send(ctx context.Context, m state.Mail) error {
	argv, timeout := s.Argv, s.Timeout
	if len(argv) == 0 {
		argv = defaultSendmail
	}
	if timeout == 0 {
		timeout = sendmailTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var said output
	cmd := exec.CommandContext(ctx, FindSendmail(argv[0]), argv[1:]...)
	cmd.Stdin = bytes.NewReader(m.Data)
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error {
		if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); !errors.Is(err, syscall.ESRCH) {
			return err
		}
		return os.ErrProcessDone
	}
	cmd.WaitDelay = pipeDelay
	err := cmd.Run()
	s.tell(argv, len(m.Data), cmd.ProcessState, &said)
	if cmd.ProcessState != nil && cmd.ProcessState.Success() {
		return nil // whatever became of the pipes: it has accepted the message
	}
	switch ctx.Err() {
	case context.DeadlineExceeded:
		err = fmt.Errorf("not done after %v: %w", timeout, context.DeadlineExceeded)
	case context.Canceled:
		err = context.Canceled
	}
	return fmt.Errorf("run %s: %w%s", argv[0], err, said.suffix())
}

// tell writes to the dialogue what was run, and what came of it.
func (s *Sendmail) tell(argv []string, size int, result *os.ProcessState, said *output) {
	if s.Dialogue == nil {
		return
	}
	text := fmt.Sprintf("-> %s\n-> [%d bytes of message]\n", Visible(strings.Join(argv, " "), ""), size)
	for line := range strings.Lines(said.kept.String()) {
		text += "<- " + Visible(strings.TrimRight(line, "\r\n"), "\t") + "\n"
	}
	if result != nil {
		text += fmt.Sprintf("   [%v]\n", result)
	}
	_, _ = io.WriteString(s.Dialogue, text) // whether anybody looks on does not matter to the mail
}

// output keeps the beginning of what a program says.
type output struct {
	kept bytes.Buffer
	more bool
}

// Write never fails, so that a program that says too much can go on.
func (o *output) Write(p []byte) (int, error) {
	n := min(len(p), outputKept-o.kept.Len())
	o.kept.Write(p[:n])
	o.more = o.more || n < len(p)
	return len(p), nil
}

// suffix returns the output as the end of an error message.
func (o *output) suffix() string {
	said := strings.TrimSpace(o.kept.String())
	if said == "" {
		return ""
	}
	if o.more {
		said += "…"
	}
	return ": " + Visible(said, "")
}
