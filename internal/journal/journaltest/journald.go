package journaltest

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	journaldPath = "/lib/systemd/systemd-journald"
	notifySocket = "/run/journaltest.notify"

	// patience bounds every wait for something that another process does; it is
	// only ever used up by a failure.
	patience = 30 * time.Second
)

// theJournald is the one of this process's namespace.
var theJournald journald

// journald is the running daemon.
type journald struct {
	mu     sync.Mutex
	cmd    *exec.Cmd
	exited chan struct{} // closed when cmd has ended
}

// start starts the daemon and returns when it has reported to be ready.
func (d *journald) start() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cmd != nil {
		return errors.New("start journald: it is running")
	}
	if _, err := os.Stat(journaldPath); err != nil {
		return fmt.Errorf("find journald (Debian package systemd): %w", err)
	}
	_ = os.Remove(notifySocket)
	ready, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: notifySocket, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("listen for the readiness of journald: %w", err)
	}
	defer func() { _ = ready.Close() }()

	var out bytes.Buffer
	cmd := exec.Command(journaldPath)
	// Why it does not start would otherwise go to the kernel's log.
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+notifySocket, "SYSTEMD_LOG_TARGET=console")
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
	started, exited := make(chan error), make(chan struct{})
	go func() {
		// Pdeathsig goes by the thread that started the process, so that thread
		// has to last as long as the process may.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // however it ended: whoever waits for its readiness or its work notices
			_ = ready.SetReadDeadline(time.Unix(1, 0))
		}
		close(exited)
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("start journald: %w", err)
	}
	if err := awaitReady(ready); err != nil {
		_ = cmd.Process.Kill()
		<-exited
		return fmt.Errorf("wait until journald is ready: %w; it said: %s", err, &out)
	}
	d.cmd, d.exited = cmd, exited
	return nil
}

func awaitReady(ready *net.UnixConn) error {
	if err := ready.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	buf := make([]byte, 4096)
	for {
		n, err := ready.Read(buf)
		if err != nil {
			return err
		}
		if bytes.Contains(buf[:n], []byte("READY=1")) {
			return nil
		}
	}
}

// stop ends the daemon with a signal and returns when it has gone.
func (d *journald) stop(sig os.Signal) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cmd == nil {
		return errors.New("stop journald: it is not running")
	}
	err := d.cmd.Process.Signal(sig)
	<-d.exited
	d.cmd = nil
	if err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop journald: %w", err)
	}
	return nil
}

func (d *journald) kill() { _ = d.stop(os.Kill) } // at the end; it may be stopped already

// StopJournald ends the daemon in good order. What is sent afterwards fails or is lost.
func StopJournald(tb testing.TB) {
	tb.Helper()
	if err := theJournald.stop(unix.SIGTERM); err != nil {
		tb.Fatal(err)
	}
}

// StartJournald starts the daemon after StopJournald.
func StartJournald(tb testing.TB) {
	tb.Helper()
	if err := theJournald.start(); err != nil {
		tb.Fatal(err)
	}
}

// RestartJournald ends the daemon and starts it again. Its sockets are new ones.
func RestartJournald(tb testing.TB) {
	tb.Helper()
	StopJournald(tb)
	StartJournald(tb)
}

// FreezeJournald stops the daemon's execution (SIGSTOP) until the returned
// function is called, so that its sockets fill up.
func FreezeJournald(tb testing.TB) (thaw func()) {
	tb.Helper()
	theJournald.mu.Lock()
	defer theJournald.mu.Unlock()
	if theJournald.cmd == nil {
		tb.Fatal("freeze journald: it is not running")
	}
	process := theJournald.cmd.Process
	if err := process.Signal(unix.SIGSTOP); err != nil {
		tb.Fatalf("freeze journald: %v", err)
	}
	return func() {
		if err := process.Signal(unix.SIGCONT); err != nil {
			tb.Errorf("thaw journald: %v", err)
		}
	}
}

// Fresh throws the whole journal away, starts the daemon anew with volatile
// storage, and does the same at the end of the test. It is how a test that fills,
// breaks or moves the journal leaves the others alone.
func Fresh(tb testing.TB) {
	tb.Helper()
	renew(tb)
	tb.Cleanup(func() { renew(tb) })
}

func renew(tb testing.TB) {
	tb.Helper()
	theJournald.kill()
	for _, dir := range []string{VolatileDir, PersistentDir} {
		if err := os.RemoveAll(dir); err != nil {
			tb.Fatalf("remove the journal: %v", err)
		}
	}
	// A flush leaves its mark here, by which the next daemon goes straight to the persistent storage.
	if err := os.RemoveAll("/run/systemd/journal/flushed"); err != nil {
		tb.Fatalf("remove the mark of a flush: %v", err)
	}
	if err := os.MkdirAll(VolatileDir, 0o755); err != nil {
		tb.Fatalf("make the journal's directory: %v", err)
	}
	StartJournald(tb)
}

// MachineID returns the name of the subdirectory in which journald keeps this machine's files.
func MachineID(tb testing.TB) string {
	tb.Helper()
	id, err := os.ReadFile("/etc/machine-id")
	if err != nil {
		tb.Fatalf("read the machine ID: %v", err)
	}
	return strings.TrimSpace(string(id))
}

// Files returns the journal files of the running daemon, archived ones included.
func Files(tb testing.TB) []string {
	tb.Helper()
	var all []string
	for _, dir := range []string{VolatileDir, PersistentDir} {
		files, err := filepath.Glob(filepath.Join(dir, MachineID(tb), "*.journal"))
		if err != nil {
			tb.Fatal(err)
		}
		all = append(all, files...)
	}
	return all
}

// Journalctl runs journalctl and returns what it prints.
func Journalctl(tb testing.TB, args ...string) []byte {
	tb.Helper()
	return run(tb, nil, "systemd", "journalctl", args...)
}

// Sync returns when all that was sent before is in the journal's files.
func Sync(tb testing.TB) { tb.Helper(); Journalctl(tb, "--sync") }

// Rotate makes the daemon archive its files and begin new ones.
func Rotate(tb testing.TB) { tb.Helper(); Journalctl(tb, "--rotate") }

// Vacuum archives the files and deletes all archived ones.
func Vacuum(tb testing.TB) {
	tb.Helper()
	Rotate(tb)
	Journalctl(tb, "--vacuum-files=1")
}

// Flush moves the journal to PersistentDir, if that exists.
func Flush(tb testing.TB) { tb.Helper(); Journalctl(tb, "--flush") }

// run runs a command and returns its standard output.
func run(tb testing.TB, stdin []byte, debianPackage, name string, args ...string) []byte {
	tb.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		tb.Fatalf("find %s (Debian package %s): %v", name, debianPackage, err)
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(path, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(stdin), &stdout, &stderr
	if err := cmd.Run(); err != nil {
		tb.Fatalf("run %s %s: %v; it said: %s", name, strings.Join(args, " "), err, &stderr)
	}
	return stdout.Bytes()
}
