package mail

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	// maxSecret is the longest secret, in bytes. Tokens have a few KiB; more is the wrong file.
	maxSecret = 64 << 10
	// secretTimeout is how long a command has to print a secret. It works on this machine, or asks
	// a token server once.
	secretTimeout = 10 * time.Second
	// credentialsDir is where systemd puts the credentials of Pyruse's unit (systemd.exec(5),
	// LoadCredential=). The daemon knows it from its environment, a command that root runs does not.
	credentialsDir = "/run/credentials/pyruse.service"
)

// Secret is a password or a token, and where it comes from. No error of it contains the secret.
type Secret interface {
	// Read returns the secret, without the one newline that it may end in. It is called for each
	// connection, so that a secret that has changed is used at once. A secret that is empty, has
	// a NUL byte or is longer than 64 KiB is an error.
	Read(ctx context.Context) (string, error)
	// String says where the secret comes from, never the secret.
	String() string
}

// trimSecret checks what was read, and cuts off the newline at its end.
func trimSecret(b []byte) (string, error) {
	if len(b) > maxSecret {
		return "", fmt.Errorf("longer than %d bytes", maxSecret)
	}
	b = bytes.TrimSuffix(bytes.TrimSuffix(b, []byte("\n")), []byte("\r"))
	if len(b) == 0 {
		return "", errors.New("empty")
	}
	if bytes.IndexByte(b, 0) >= 0 {
		return "", errors.New("has a NUL byte")
	}
	return string(b), nil
}

// SecretText returns a secret that is known already.
func SecretText(s string) Secret { return secretText{s} }

type secretText struct{ text string }

func (s secretText) Read(context.Context) (string, error) {
	text, err := trimSecret([]byte(s.text))
	if err != nil {
		return "", fmt.Errorf("read %s: %w", s, err)
	}
	return text, nil
}

func (secretText) String() string   { return "secret given as text" }
func (secretText) GoString() string { return "mail.SecretText(***)" }

// SecretFile returns a secret that a file holds. It is an error if others than its owner and group have any
// right to the file.
func SecretFile(name string) Secret { return secretFile(name) }

type secretFile string

func (s secretFile) Read(context.Context) (string, error) {
	text, err := readSecretFile(string(s))
	if err != nil {
		return "", fmt.Errorf("read %s: %w", s, err)
	}
	return text, nil
}

func (s secretFile) String() string { return "secret file " + Visible(string(s), "") }

func readSecretFile(name string) (_ string, err error) {
	// A FIFO would block until somebody writes to it.
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return "", pathReason(err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := private(f); err != nil {
		return "", err
	}
	b, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return "", pathReason(err)
	}
	return trimSecret(b)
}

// private returns an error if f is no file, or others may use it.
func private(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return pathReason(err)
	}
	if !info.Mode().IsRegular() {
		return errors.New("not a regular file")
	}
	if mode := info.Mode().Perm(); mode&0o007 != 0 {
		return fmt.Errorf("others have rights to it (mode %#o): run chmod o= %s", mode, Visible(f.Name(), ""))
	}
	return nil
}

// pathReason takes the name of the file out of an error whose text will have it anyway.
func pathReason(err error) error {
	if p := new(os.PathError); errors.As(err, &p) {
		return p.Err
	}
	return err
}

// SecretCredential returns a secret that systemd hands over as the credential of this name (systemd.exec(5),
// LoadCredential=): in $CREDENTIALS_DIRECTORY, or, where that is not set, in /run/credentials/pyruse.service.
func SecretCredential(name string) Secret { return secretCredential{name: name, dir: credentialsDir} }

type secretCredential struct{ name, dir string }

func (s secretCredential) Read(context.Context) (string, error) {
	if s.name == "" || s.name == "." || strings.ContainsAny(s.name, "/\x00") || strings.Contains(s.name, "..") {
		return "", fmt.Errorf("read %s: %q is no name of a credential", s, s.name)
	}
	dir := os.Getenv("CREDENTIALS_DIRECTORY")
	if dir == "" {
		dir = s.dir
	}
	text, err := readSecretFile(filepath.Join(dir, s.name))
	if errors.Is(err, os.ErrNotExist) {
		err = fmt.Errorf("%w in %s; the unit needs LoadCredential=%s:FILE, and Pyruse must be running", err, dir, s.name)
	}
	if err != nil {
		return "", fmt.Errorf("read %s: %w", s, err)
	}
	return text, nil
}

func (s secretCredential) String() string { return "systemd credential " + Visible(s.name, "") }

// SecretCommand returns a secret that a command prints to its standard output; no shell is involved. The command
// must end with status 0 within 10 seconds; when they are over, it and its children are killed.
func SecretCommand(argv ...string) Secret { return secretCommand{argv, secretTimeout} }

type secretCommand struct {
	argv    []string
	timeout time.Duration
}

func (s secretCommand) String() string {
	return "output of " + Visible(strings.Join(s.argv[:min(1, len(s.argv))], ""), "")
}

func (s secretCommand) Read(ctx context.Context) (string, error) {
	if len(s.argv) == 0 {
		return "", errors.New("read a secret: no command")
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	var secret secretOutput
	var said output
	cmd := exec.CommandContext(ctx, s.argv[0], s.argv[1:]...)
	cmd.Stdout, cmd.Stderr = &secret, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	killGroup := func() error {
		if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); !errors.Is(err, syscall.ESRCH) {
			return err
		}
		return os.ErrProcessDone
	}
	cmd.Cancel, cmd.WaitDelay = killGroup, pipeDelay
	err := cmd.Run()
	if errors.Is(err, exec.ErrWaitDelay) {
		_ = killGroup() // children that keep the output open; that one of them is gone is no error
		err = nil
	}
	var text string
	switch {
	case secret.over:
		err = fmt.Errorf("longer than %d bytes", maxSecret)
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		err = fmt.Errorf("not done after %v: %w", s.timeout, ctx.Err())
	case ctx.Err() != nil:
		err = ctx.Err()
	case err == nil:
		text, err = trimSecret(secret.kept)
	}
	if err != nil {
		return "", fmt.Errorf("read %s: %w%s", s, err, secret.hide(said.suffix()))
	}
	return text, nil
}

// secretOutput keeps a secret of a command, and stops one that prints more.
type secretOutput struct {
	kept []byte
	over bool
}

func (o *secretOutput) Write(p []byte) (int, error) {
	if len(o.kept)+len(p) > maxSecret {
		o.over = true
		return 0, errors.New("too much")
	}
	o.kept = append(o.kept, p...)
	return len(p), nil
}

// hide takes the secret out of a text: the command may have printed it on both of its outputs.
func (o *secretOutput) hide(text string) string {
	if secret := Visible(strings.TrimSpace(string(o.kept)), ""); secret != "" {
		return strings.ReplaceAll(text, secret, "***")
	}
	return text
}
