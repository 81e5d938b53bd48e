package mail

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// theSecret is what no error may contain.
const theSecret = "hunter2"

func writeSecret(t *testing.T, text string, mode os.FileMode) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(name, mode); err != nil { // whatever the umask is
		t.Fatal(err)
	}
	return name
}

func TestSecretText(t *testing.T) {
	long := strings.Repeat("x", maxSecret)
	for _, c := range []struct{ text, want, err string }{
		{theSecret, theSecret, ""},
		{theSecret + "\n", theSecret, ""},
		{theSecret + "\r\n", theSecret, ""},
		{theSecret + "\n\n", theSecret + "\n", ""},
		{" two words\t", " two words\t", ""},
		{"", "", "empty"},
		{"\n", "", "empty"},
		{"\r\n", "", "empty"},
		{theSecret + "\x00", "", "has a NUL byte"},
		{long, long, ""},
		{long + theSecret, "", "longer than 65536 bytes"},
	} {
		for _, s := range []Secret{SecretText(c.text), SecretFile(writeSecret(t, c.text, 0o640))} {
			got, err := s.Read(t.Context())
			if got != c.want {
				t.Errorf("%.20q from %s: %.20q", c.text, s, got)
			}
			if want := fmt.Sprintf("read %s: %s", s, c.err); c.err == "" && err != nil || c.err != "" && (err == nil || err.Error() != want) {
				t.Errorf("%.20q: error %v, want %s", c.text, err, want)
			}
		}
	}
}

// Printing a secret, or what contains it, does not show it.
func TestSecretPrinted(t *testing.T) {
	s := SMTP{Secret: SecretText(theSecret)}
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		for _, v := range []any{s, &s, s.Secret} {
			if got := fmt.Sprintf(format, v); strings.Contains(got, theSecret) {
				t.Errorf("%s: %s", format, got)
			}
		}
	}
}

func TestSecretFile(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	others := writeSecret(t, theSecret, 0o604)
	for _, c := range []struct{ name, err string }{
		{others, "others have rights to it (mode 0604): run chmod o= " + others},
		{fifo, "not a regular file"},
		{t.TempDir(), "not a regular file"},
		{"/nonexistent", "no such file or directory"},
	} {
		want := "read secret file " + c.name + ": " + c.err
		if got, err := SecretFile(c.name).Read(t.Context()); err == nil || err.Error() != want || got != "" {
			t.Errorf("%s: %q, %v, want %s", c.name, got, err, want)
		}
	}
}

// A secret that was changed is read anew.
func TestSecretFileChanges(t *testing.T) {
	name := writeSecret(t, "old", 0o600)
	s := SecretFile(name)
	for _, want := range []string{"old", "new"} {
		if err := os.WriteFile(name, []byte(want+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Read(t.Context()); got != want || err != nil {
			t.Errorf("%q, %v, want %q", got, err, want)
		}
	}
}

func TestSecretCredential(t *testing.T) {
	set, fallback := t.TempDir(), t.TempDir()
	for dir, text := range map[string]string{set: "from the environment\n", fallback: "from the unit\n"} {
		if err := os.WriteFile(filepath.Join(dir, "smtp"), []byte(text), 0o400); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ env, name, want, err string }{
		{set, "smtp", "from the environment", ""},
		{"", "smtp", "from the unit", ""},
		{set, "other", "", "no such file or directory in " + set + "; the unit needs LoadCredential=other:FILE, and Pyruse must be running"},
		{set, "", "", `"" is no name of a credential`},
		{set, ".", "", `"." is no name of a credential`},
		{set, "..", "", `".." is no name of a credential`},
		{set, "a/b", "", `"a/b" is no name of a credential`},
		{set, "../" + filepath.Base(fallback) + "/smtp", "", `"../` + filepath.Base(fallback) + `/smtp" is no name of a credential`},
	} {
		t.Setenv("CREDENTIALS_DIRECTORY", c.env)
		got, err := secretCredential{name: c.name, dir: fallback}.Read(t.Context())
		if got != c.want {
			t.Errorf("%q: %q, want %q", c.name, got, c.want)
		}
		if want := "read systemd credential " + c.name + ": " + c.err; c.err == "" && err != nil || c.err != "" && (err == nil || err.Error() != want) {
			t.Errorf("%q: error %v, want %s", c.name, err, want)
		}
	}
	if s := SecretCredential("smtp").(secretCredential); s.dir != "/run/credentials/pyruse.service" {
		t.Errorf("without the environment: %s", s.dir)
	}
}

func TestSecretCommand(t *testing.T) {
	for _, c := range []struct{ name, commands, want, err string }{
		{"prints it", `printf '%s\n' "$1"`, "$(id) hunter2", ""},
		{"warns", "echo careful >&2; echo " + theSecret, theSecret, ""},
		{"prints nothing", "exit 0", "", "empty"},
		{"fails", "echo hunter2; echo locked >&2; exit 2", "", "exit status 2: locked"},
		{"fails and talks", "echo hunter2; echo bad hunter2 >&2; exit 2", "", "exit status 2: bad ***"},
		{"attacks the terminal", `printf '\033[2J' >&2; exit 1`, "", `exit status 1: \x1b[2J`},
		{"is killed", "kill -TERM $$", "", "signal: terminated"},
		{"prints too much", "exec yes hunter2", "", "longer than 65536 bytes"},
		{"prints NUL", `printf 'hunter2\000'`, "", "has a NUL byte"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := SecretCommand(script(t, c.commands, "$(id) hunter2")...).Read(t.Context())
			if got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
			if want := "read output of /bin/sh: " + c.err; c.err == "" && err != nil || c.err != "" && (err == nil || err.Error() != want) {
				t.Errorf("error %v, want %s", err, want)
			}
		})
	}
	if _, err := SecretCommand().Read(t.Context()); err == nil {
		t.Error("there is no command")
	}
	if _, err := SecretCommand("/nonexistent").Read(t.Context()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}

// A command that hangs is killed with its children: at the end of its time, or of the context.
func TestSecretCommandHangs(t *testing.T) {
	for _, c := range []struct {
		name    string
		timeout time.Duration
		want    error
	}{
		{"own time", 200 * time.Millisecond, context.DeadlineExceeded},
		{"stopped", time.Hour, context.Canceled},
	} {
		t.Run(c.name, func(t *testing.T) {
			pipe := filepath.Join(t.TempDir(), "pipe")
			if err := syscall.Mkfifo(pipe, 0o600); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			s := secretCommand{script(t, `sleep 1000 >"$1" & wait`, pipe), c.timeout}
			done := make(chan error)
			go func() {
				_, err := s.Read(ctx)
				done <- err
			}()
			child := openFIFO(t, pipe)
			if errors.Is(c.want, context.Canceled) {
				cancel()
			}
			if err := <-done; !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
			if _, err := io.ReadAll(child); err != nil { // ends when the child does
				t.Error(err)
			}
		})
	}
}

// A child that goes on with the output of its parent is killed after it.
func TestSecretCommandLeavesChild(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	done := make(chan string)
	go func() {
		got, err := SecretCommand(script(t, `sleep 1000 2>"$1" & echo hunter2`, pipe)...).Read(t.Context())
		done <- fmt.Sprint(got, err)
	}()
	child := openFIFO(t, pipe)
	if got := <-done; got != "hunter2<nil>" && got != "hunter2 <nil>" {
		t.Error(got)
	}
	if _, err := io.ReadAll(child); err != nil {
		t.Error(err)
	}
}

// openFIFO returns when somebody has opened the other end.
func openFIFO(t *testing.T, name string) *os.File {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() }) // it was only read
	return f
}
