package mail

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pyruse/pyruse/internal/state"
)

// script returns the command line of a sendmail that runs these shell commands. The
// script is given to the shell by name: executing a file that was just written can
// fail while another test forks.
func script(t *testing.T, commands string, args ...string) []string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "sendmail")
	if err := os.WriteFile(name, []byte(commands), 0o600); err != nil {
		t.Fatal(err)
	}
	return append([]string{"/bin/sh", name}, args...)
}

func TestSendmailGetsTheMessage(t *testing.T) {
	dir := t.TempDir()
	odd := "$(touch " + dir + "/shell) ; *"
	s := Sendmail{Argv: script(t, `cat >"$1/data"; printf %s "$2" >"$1/arg"`, dir, odd)}
	data := compose(t, plain())
	if err := s.Send(t.Context(), state.Mail{Data: data}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"data": string(data), "arg": odd} {
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || string(got) != want {
			t.Errorf("%s: %q, %v, want %q", name, got, err, want)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "shell")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the arguments went through a shell: %v", err)
	}
}

func TestSendmailExitStatus(t *testing.T) {
	big := state.Mail{Data: []byte(strings.Repeat("x\n", 1<<20))}
	for _, c := range []struct{ name, commands, want string }{
		{"accepts without reading", "exit 0", ""},
		{"accepts with a warning", "cat >/dev/null; echo queued >&2", ""},
		{"refuses without reading", "echo no >&2; exit 1", "run /bin/sh: exit status 1: no"},
		{"says why on two lines", "cat >/dev/null; echo temporary; echo failure >&2; exit 75", `run /bin/sh: exit status 75: temporary\nfailure`},
		{"attacks the terminal", `printf '\033[2J' >&2; exit 1`, `run /bin/sh: exit status 1: \x1b[2J`},
		{"says nothing", "exit 67", "run /bin/sh: exit status 67"},
		{"is killed", "kill -TERM $$", "run /bin/sh: signal: terminated"},
		{
			"says too much", "yes | head -c 1000000 >&2; exit 1",
			"run /bin/sh: exit status 1: " + strings.Repeat(`y\n`, outputKept/2-1) + "y…",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := Sendmail{Argv: script(t, c.commands)}
			got := ""
			if err := s.Send(t.Context(), big); err != nil {
				got = err.Error()
				if !errors.As(err, new(*exec.ExitError)) {
					t.Errorf("%#v does not wrap the exit status", err)
				}
			}
			if got != c.want {
				t.Errorf("error %q, want %q", got, c.want)
			}
		})
	}
}

func TestSendmailMissing(t *testing.T) {
	s := Sendmail{Argv: []string{filepath.Join(t.TempDir(), "sendmail"), "-t"}}
	if err := s.Send(t.Context(), state.Mail{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v, want that it does not exist", err)
	}
}

func TestSendmailHangs(t *testing.T) {
	s := Sendmail{Argv: script(t, "exec sleep 1000"), Timeout: time.Millisecond}
	if err := s.Send(t.Context(), state.Mail{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want %v", err, context.DeadlineExceeded)
	}
}

// The children of a sendmail that is stopped are stopped with it. The pipe ends when the child does.
func TestSendmailStopped(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s := Sendmail{Argv: script(t, `sleep 1000 >"$1" & wait`, pipe)}
	done := make(chan error)
	go func() { done <- s.Send(ctx, state.Mail{}) }()
	child, err := os.Open(pipe) // returns when the child has started
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = child.Close() }() // it was only read
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
	if _, err := io.ReadAll(child); err != nil {
		t.Error(err)
	}
}

// A child that goes on delivering, with the output still open, is neither waited for nor killed.
func TestSendmailLeavesChild(t *testing.T) {
	pidFile := filepath.Join(t.TempDir(), "pid")
	s := Sendmail{Argv: script(t, `cat >/dev/null; sleep 1000 & echo $! >"$1"`, pidFile)}
	if err := s.Send(t.Context(), state.Mail{}); err != nil {
		t.Error(err)
	}
	text, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Errorf("end the child: %v", err)
	}
}
