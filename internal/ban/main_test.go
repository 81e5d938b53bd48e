package ban

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pyruse/pyruse/internal/state"
)

// inNamespace marks the process whose network is the tests' own.
const inNamespace = "PYRUSE_BAN_TEST_NAMESPACE"

// TestMain runs the tests in a network namespace of their own: the test binary starts itself again in one. Without
// root it is in a user namespace too.
func TestMain(m *testing.M) {
	if os.Getenv(inNamespace) != "" {
		os.Exit(m.Run())
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), inNamespace+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = namespaces()
	runtime.LockOSThread() // the child dies with the thread that started it
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		os.Exit(exit.ExitCode())
	case err != nil:
		fmt.Fprintln(os.Stderr, "run the tests in a network namespace:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func namespaces() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() != 0 {
		attr.Cloneflags |= syscall.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	return attr
}

// tool runs a program and returns its output without surrounding space.
func tool(t testing.TB, argv ...string) string {
	t.Helper()
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// emptyFirewall removes all that tests before have left in the kernel.
func emptyFirewall(t testing.TB) {
	t.Helper()
	tool(t, "nft", "flush", "ruleset")
	tool(t, "ipset", "destroy")
}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// noon is the clock of tests that do not care.
var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func atNoon() time.Time { return noon }

// nftBan returns a ban that begins at noon; a length of 0 is for ever.
func nftBan(set, a string, length time.Duration) state.Ban {
	return banIn(state.BackendNFT, set, a, length)
}

func banIn(backend, set, a string, length time.Duration) state.Ban {
	b := state.Ban{Backend: backend, Set: set, Addr: addr(a), Since: noon, Chain: "ssh", Step: 3}
	if length > 0 {
		b.Until = noon.Add(length)
	}
	return b
}
