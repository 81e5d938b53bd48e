// Package journaltest gives tests a real systemd-journald of their own, in a
// private mount and network namespace, so that they can rotate, vacuum, stop
// and fill it without touching the machine's journal.
//
// A test package asks for it in its TestMain:
//
//	func TestMain(m *testing.M) { journaltest.Main(m) }
//
// The test binary then runs itself again inside new namespaces (as root of a
// user namespace where it is not root already). In there /run and /var/log are
// empty tmpfs, the loopback interface is up, no other interface and no nftables
// rule exists, and a journald with volatile storage is running. The other
// functions act on that journald and may be used by any test of the package.
//
// Nothing is skipped: what is missing, a privilege or a tool, fails with its name.
package journaltest

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// The directories in which journald keeps its files.
const (
	VolatileDir   = "/run/log/journal"
	PersistentDir = "/var/log/journal" // not there at first; make it and call Flush to have it used
)

// envStage tells a process of the test binary where it is: unset outside,
// stageEnter in the process that has to furnish the namespaces, stageInside in
// that process afterwards and in all that it starts.
const (
	envStage    = "JOURNALTEST_STAGE"
	stageEnter  = "enter"
	stageInside = "inside"
)

// TestingM is the part of *testing.M that is needed.
type TestingM interface{ Run() int }

// Main runs the tests of m beside a journald of their own, and ends the process.
func Main(m TestingM) { Run(m.Run) }

// Run calls body in the namespaces described above and ends the process with its
// result. Body may end the process itself (as testscript.Main does): journald dies
// with it. In a process that is started from within body, Run only calls body.
func Run(body func() int) {
	switch os.Getenv(envStage) {
	case "":
		os.Exit(report(reexec()))
	case stageEnter:
		if err := furnish(); err != nil {
			os.Exit(report(1, err))
		}
		code := body()
		theJournald.kill()
		os.Exit(code)
	default:
		os.Exit(body())
	}
}

func report(code int, err error) int {
	if err != nil {
		fmt.Fprintln(os.Stderr, "FAIL: journaltest:", err)
		return 1
	}
	return code
}

// reexec runs this binary again, with the same arguments, in new namespaces, and
// returns its exit code.
func reexec() (int, error) {
	self, err := os.Executable()
	if err != nil {
		return 0, fmt.Errorf("find the test binary: %w", err)
	}
	attr := &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWNET, Pdeathsig: unix.SIGKILL}
	if os.Getuid() != 0 {
		attr.Cloneflags |= unix.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), envStage+"="+stageEnter)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = attr

	// Pdeathsig is sent when the thread that started the child ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("start the tests in new namespaces (needs root, or unprivileged user namespaces): %w", err)
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM, unix.SIGQUIT)
	go func() {
		for s := range signals {
			_ = cmd.Process.Signal(s) // it may have ended meanwhile
		}
	}()
	err = cmd.Wait()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.Exited() {
		return exit.ExitCode(), nil
	} else if err != nil {
		return 0, fmt.Errorf("run the tests: %w", err)
	}
	return 0, nil
}

// furnish sets up the namespaces and starts journald.
func furnish() error {
	if err := os.Setenv(envStage, stageInside); err != nil {
		return err
	}
	if err := unix.Mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make the mounts private (in a chroot, make test can): %w", err)
	}
	for _, dir := range []string{"/run", "/var/log"} {
		if err := unix.Mount("journaltest", dir, "tmpfs", 0, "mode=0755"); err != nil {
			return fmt.Errorf("mount a tmpfs on %s: %w", dir, err)
		}
	}
	if err := loopbackUp(); err != nil {
		return err
	}
	if err := configure(); err != nil {
		return err
	}
	return theJournald.start()
}

// configure writes journald's settings: no kernel messages (they are not the
// test's), no rate limit, and nothing forwarded.
func configure() error {
	const settings = "[Journal]\nReadKMsg=no\nAudit=no\nRateLimitBurst=0\nRateLimitIntervalSec=0\n" +
		"ForwardToSyslog=no\nForwardToWall=no\nForwardToKMsg=no\nForwardToConsole=no\n"
	for _, dir := range []string{"/run/systemd/journal", "/run/systemd/journald.conf.d", VolatileDir} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("make the directories of journald: %w", err)
		}
	}
	path := filepath.Join("/run/systemd/journald.conf.d", "journaltest.conf")
	if err := os.WriteFile(path, []byte(settings), 0o644); err != nil {
		return fmt.Errorf("write the settings of journald: %w", err)
	}
	return nil
}

func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("bring the loopback interface up: %w", err)
	}
	defer func() { _ = unix.Close(fd) }()
	req, err := unix.NewIfreq("lo")
	if err != nil {
		return fmt.Errorf("bring the loopback interface up: %w", err)
	}
	req.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, req); err != nil {
		return fmt.Errorf("bring the loopback interface up: %w", err)
	}
	if _, err := net.InterfaceByName("lo"); err != nil {
		return fmt.Errorf("bring the loopback interface up: %w", err)
	}
	return nil
}
