//go:build vm

package testvm

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/pyruse/pyruse/testvm/frame"
)

// How long a boot may take, with four other programs on the two cores.
const bootTime = 3 * time.Minute

// How long a command in the machine may take.
const commandTime = 2 * time.Minute

// machineArgs are those of qemu that must be the same when a snapshot is taken and when it is loaded. Emulation in software: KVM hangs on
// machines that are virtual themselves. AVX, and the guards against the faults of real processors, cost a quarter of the time in
// emulation. After a snapshot was loaded, the time stamp counter goes on where it was before, which the machine takes for a jump ahead;
// the HPET goes back. The network is a hub with a network of qemu's own, which leads nowhere: see reachable.
func machineArgs(i image, dir string) []string {
	return []string{
		"-accel", "tcg,thread=multi", "-cpu", "Nehalem", "-smp", "2", "-m", "512", "-display", "none", "-nodefaults", "-rtc", "base=utc",
		"-kernel", i.kernel(), "-initrd", i.initrd(),
		"-append", "root=/dev/vda rw console=ttyS0 quiet loglevel=3 net.ifnames=0 systemd.show_status=no " +
			"mitigations=off nopti tsc=unstable clocksource=hpet",
		"-netdev", "user,id=wan,restrict=on,ipv6=off", "-netdev", "hubport,id=wanport,hubid=0,netdev=wan", "-netdev", "hubport,id=lan,hubid=0", "-device", "virtio-net-pci,netdev=lan,mac=52:54:00:00:00:01",
		"-device", "virtio-serial", "-chardev", "socket,id=agent,server=on,wait=off,path=" + filepath.Join(dir, "agent"),
		"-device", "virtserialport,chardev=agent,name=pyruse.test",
		"-device", "virtio-rng-pci",
		"-serial", "file:" + filepath.Join(dir, "console"),
		"-qmp", "unix:" + filepath.Join(dir, "qmp") + ",server=on,wait=off",
	}
}

// A machine is a running qemu with a Debian in it.
type machine struct {
	cmd    *exec.Cmd
	dir    string // the sockets, what the console says, and a disk of its own
	exited chan error
	qmp    net.Conn
	said   *bufio.Reader

	mu      sync.Mutex
	line    net.Conn // to the agent
	waiting map[uint64]chan frame.Reply
	last    uint64

	installed bool // there is a snapshot of that name
}

// start starts qemu with the disk; with a snapshot, as it was when that was taken, otherwise from the beginning. The folder is for what
// belongs to it alone, and is removed by stop.
func start(ctx context.Context, i image, dir, disk, snapshot string) (*machine, error) {
	// The IDs of the last run may still be on the line.
	m := &machine{dir: dir, exited: make(chan error, 1), waiting: map[uint64]chan frame.Reply{}, last: rand.Uint64() >> 1}
	args := append(machineArgs(i, dir), "-drive", "if=virtio,format=qcow2,cache=unsafe,file="+disk)
	if snapshot != "" {
		args = append(args, "-loadvm", snapshot)
	}
	m.cmd = exec.Command("qemu-system-x86_64", args...)
	said, err := os.Create(filepath.Join(dir, "qemu"))
	if err != nil {
		return nil, err
	}
	defer func() { _ = said.Close() }()
	m.cmd.Stdout, m.cmd.Stderr = said, said
	// A run that is broken off leaves no machine behind.
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := m.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { m.exited <- m.cmd.Wait() }()
	if err := m.connectQMP(ctx); err != nil {
		m.stop()
		return nil, err
	}
	return m, nil
}

// hasEnded tells whether qemu has.
func (m *machine) hasEnded() bool {
	select {
	case err := <-m.exited:
		m.exited <- err
		return true
	default:
		return false
	}
}

// stop ends qemu, and with it the machine.
func (m *machine) stop() {
	_ = m.cmd.Process.Kill()
	<-m.exited
	_ = os.RemoveAll(m.dir)
}

func (m *machine) connectQMP(ctx context.Context) error {
	err := poll(ctx, time.Minute, func() error {
		if m.hasEnded() {
			said, _ := os.ReadFile(filepath.Join(m.dir, "qemu"))
			return fatal{fmt.Errorf("qemu has ended: %s", said)}
		}
		conn, err := net.Dial("unix", filepath.Join(m.dir, "qmp"))
		m.qmp = conn
		return err
	})
	if err != nil {
		return err
	}
	m.said = bufio.NewReader(m.qmp)
	_, err = m.tell("qmp_capabilities", nil)
	return err
}

// tell gives qemu an order, and returns what it answers.
func (m *machine) tell(order string, arguments map[string]any) (json.RawMessage, error) {
	message := map[string]any{"execute": order}
	if arguments != nil {
		message["arguments"] = arguments
	}
	if err := json.NewEncoder(m.qmp).Encode(message); err != nil {
		return nil, err
	}
	if err := m.qmp.SetReadDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		return nil, err
	}
	for {
		text, err := m.said.ReadBytes('\n')
		if err != nil {
			return nil, fmt.Errorf("qemu, %s: %w", order, err)
		}
		var answer struct {
			Return json.RawMessage `json:"return"`
			Error  *struct {
				Desc string `json:"desc"`
			} `json:"error"`
		}
		switch err := json.Unmarshal(text, &answer); {
		case err != nil:
			return nil, fmt.Errorf("qemu, %s: %w", order, err)
		case answer.Error != nil:
			return nil, fmt.Errorf("qemu, %s: %s", order, answer.Error.Desc)
		case answer.Return != nil:
			return answer.Return, nil
		}
	}
}

// monitor gives an order in the language of qemu's monitor. What it answers to savevm and loadvm is an error.
func (m *machine) monitor(line string) (string, error) {
	answer, err := m.tell("human-monitor-command", map[string]any{"command-line": line})
	if err != nil {
		return "", err
	}
	var text string
	err = json.Unmarshal(answer, &text)
	return text, err
}

func (m *machine) save(snapshot string) error { return m.snapshot("savevm", snapshot) }

func (m *machine) snapshot(order, snapshot string) error {
	text, err := m.monitor(order + " " + snapshot)
	if err == nil && strings.TrimSpace(text) != "" {
		err = fmt.Errorf("qemu, %s %s: %s", order, snapshot, text)
	}
	return err
}

// load brings the machine back to what it was when the snapshot was taken, but with the clock of today.
func (m *machine) load(ctx context.Context, snapshot string) error {
	if err := m.snapshot("loadvm", snapshot); err != nil {
		return err
	}
	if err := m.connect(ctx, time.Minute); err != nil {
		return err
	}
	return m.setClock(ctx, time.Now())
}

func (m *machine) setClock(ctx context.Context, to time.Time) error {
	r, err := m.ask(ctx, request("date", "-s", fmt.Sprintf("@%d.%09d", to.Unix(), to.Nanosecond())))
	if err == nil && r.Code != 0 {
		err = fmt.Errorf("set the machine's clock: %s", r.Stderr)
	}
	return err
}

// connect waits until the agent answers. The line is kept while the machine reboots: qemu does not notice that one was closed as long as
// nobody in the machine has the port open, and takes no other meanwhile.
func (m *machine) connect(ctx context.Context, within time.Duration) error {
	return poll(ctx, within, func() error {
		if m.hasEnded() {
			return fatal{errors.New("qemu has ended")}
		}
		if err := m.dial(); err != nil {
			return err
		}
		short, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		_, err := m.ask(short, frame.Request{})
		return err
	})
}

func (m *machine) dial() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.line != nil {
		return nil
	}
	line, err := net.Dial("unix", filepath.Join(m.dir, "agent"))
	if err == nil {
		m.line = line
		go m.receive(line)
	}
	return err
}

func (m *machine) receive(line net.Conn) {
	in := bufio.NewReader(line)
	for {
		var reply frame.Reply
		if frame.Read(in, &reply) != nil {
			return
		}
		m.mu.Lock()
		if answer := m.waiting[reply.ID]; answer != nil {
			answer <- reply
		}
		m.mu.Unlock()
	}
}

func request(argv ...string) frame.Request { return frame.Request{Argv: argv} }

// ask has the agent do something, and waits for the answer.
func (m *machine) ask(ctx context.Context, request frame.Request) (frame.Reply, error) {
	answer := make(chan frame.Reply, 1)
	m.mu.Lock()
	m.last++
	request.ID = m.last
	line := m.line
	m.waiting[request.ID] = answer
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		delete(m.waiting, request.ID)
		m.mu.Unlock()
	}()
	if line == nil {
		return frame.Reply{}, errors.New("the agent is not connected")
	}
	if err := frame.Write(line, request); err != nil {
		return frame.Reply{}, err
	}
	select {
	case reply := <-answer:
		if reply.Error != "" {
			return reply, errors.New(reply.Error)
		}
		return reply, nil
	case <-ctx.Done():
		return frame.Reply{}, fmt.Errorf("no answer from the machine: %w", ctx.Err())
	}
}

// reboot boots the machine again, through systemd, and waits until it is up.
func (m *machine) reboot(ctx context.Context) error {
	before, err := m.ask(ctx, frame.Request{Get: bootID})
	if err != nil {
		return err
	}
	// Its answer may be too late.
	short, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_, _ = m.ask(short, request("systemctl", "reboot", "--no-block"))
	err = poll(ctx, bootTime, func() error {
		if err := m.connect(ctx, bootTime); err != nil {
			return fatal{err}
		}
		short, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		now, err := m.ask(short, frame.Request{Get: bootID})
		if err == nil && string(now.Stdout) == string(before.Stdout) {
			err = errors.New("the machine has not gone down yet")
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("reboot: %w", err)
	}
	long, cancel := context.WithTimeout(ctx, bootTime)
	defer cancel()
	_, err = m.ask(long, request("systemctl", "is-system-running", "--wait"))
	return err
}

const bootID = "/proc/sys/kernel/random/boot_id"

// fatal ends a poll at once.
type fatal struct{ error }

func (f fatal) Unwrap() error { return f.error }

// poll tries until it works, or the time is over. It asks less and less often, because in the machine, asking is work.
func poll(ctx context.Context, within time.Duration, try func() error) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for pause := 50 * time.Millisecond; ; pause = min(pause*5/4, time.Second) {
		err := try()
		var end fatal
		if err == nil || errors.As(err, &end) {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return fmt.Errorf("not within %v: %w", within, err)
		}
	}
}
