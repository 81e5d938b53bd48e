package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/pyruse/pyruse/internal/control"
	"github.com/pyruse/pyruse/internal/state"
)

const (
	patience  = 2 * time.Minute        // for anything that the daemon does
	statusGap = 100 * time.Millisecond // between two questions for the status
	idleTime  = 3 * time.Second        // how long the daemon idles before its memory is looked at
)

// writeConfig writes the example with places of its own, and a sendmail that sends nothing. The order of the
// chains matters, so that the text is changed, not the values.
func writeConfig(path, storage, journal string) error {
	text, err := os.ReadFile(exampleConfig)
	if err != nil {
		return fmt.Errorf("read the example: %w", err)
	}
	places, err := json.Marshal(map[string]any{
		"storage": storage,
		"journal": map[string]string{"directory": journal},
		"control": map[string]string{"socket": filepath.Join(storage, "control.sock")},
	})
	if err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	text = bytes.Replace(text, []byte("{"), append(bytes.TrimSuffix(places, []byte("}")), ','), 1)
	const email = `"email": {`
	if bytes.Count(text, []byte(email)) != 1 {
		return fmt.Errorf("change the example: it does not have exactly one %s", email)
	}
	text = bytes.Replace(text, []byte(email), []byte(email+`"sendmail": ["/bin/true"],`), 1)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	return nil
}

// measureDaemon runs the built daemon twice: at the end of the journal, where there is nothing to do, and
// from its beginning, with all effects.
func measureDaemon(o *options) (figures, error) {
	idle, err := runDaemon(o, false)
	if err != nil {
		return nil, err
	}
	busy, err := runDaemon(o, true)
	if err != nil {
		return nil, err
	}
	return figures{
		"idle": idle.resident, "caught up": busy.resident, "peak": busy.peak,
		"daemon": micros(busy.cpu, o.entries),
	}, nil
}

// usage is what a run of the daemon took.
type usage struct {
	resident float64 // MiB, after idling
	peak     float64 // MiB
	cpu      time.Duration
}

func runDaemon(o *options, fromStart bool) (u usage, err error) {
	dir, err := os.MkdirTemp(o.work, "storage-")
	if err != nil {
		return u, fmt.Errorf("make a storage folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	config := filepath.Join(dir, "pyruse.json")
	if err := writeConfig(config, dir, filepath.Join(o.work, journalDir)); err != nil {
		return u, err
	}
	entries := 0
	if fromStart {
		entries = o.entries - 1
		if err := startBehindFirst(o, dir); err != nil {
			return u, err
		}
	}
	cmd, err := startDaemon(filepath.Join(o.work, binPyruse), config, dir)
	if err != nil {
		return u, err
	}
	err = u.observe(cmd.Process.Pid, filepath.Join(dir, "control.sock"), int64(entries))
	err = errors.Join(err, cmd.Process.Signal(syscall.SIGTERM), cmd.Wait())
	u.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return u, err
}

// startBehindFirst makes a database whose cursor is the first entry's.
func startBehindFirst(o *options, dir string) error {
	r, err := openJournal(o)
	if err != nil {
		return err
	}
	if _, err := r.Next(); err != nil {
		return err
	}
	db, err := openState(dir)
	if err != nil {
		return err
	}
	_, err = db.Commit(&state.Batch{Cursor: r.Position()})
	return errors.Join(err, db.Close(), r.Close())
}

// startDaemon returns when the daemon has told that it is ready.
func startDaemon(binary, config, dir string) (*exec.Cmd, error) {
	notify := filepath.Join(dir, "notify")
	ready, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: notify, Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("listen for the daemon: %w", err)
	}
	defer func() { _ = ready.Close() }() // it was only read
	cmd := exec.Command(binary, "run", "--config", config)
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+notify)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	runtime.LockOSThread() // Pdeathsig goes by the thread, which now lasts as long as this process
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the daemon: %w", err)
	}
	buf := make([]byte, 4096)
	err = ready.SetReadDeadline(time.Now().Add(patience))
	for err == nil {
		var n int
		if n, err = ready.Read(buf); bytes.Contains(buf[:n], []byte("READY=1")) {
			return cmd, nil
		}
	}
	err = fmt.Errorf("wait until the daemon is ready: %w", err)
	return nil, errors.Join(err, cmd.Process.Kill(), cmd.Wait())
}

// observe waits until the daemon has handled the entries and has idled a while, and looks at its memory.
func (u *usage) observe(pid int, socket string, entries int64) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	client := control.NewClient(socket)
	for {
		s, err := client.Status(ctx)
		if err != nil {
			return fmt.Errorf("ask the daemon: %w", err)
		}
		if s.Entries >= entries {
			break
		}
		if err := pause(ctx, statusGap); err != nil {
			return err
		}
	}
	if err := pause(ctx, idleTime); err != nil {
		return err
	}
	var err error
	if u.resident, err = memory(pid, "VmRSS"); err != nil {
		return err
	}
	u.peak, err = memory(pid, "VmHWM")
	return err
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the daemon: %w", ctx.Err())
	}
}

// memory returns a figure of /proc/PID/status (proc(5), where kB are KiB) in MiB.
func memory(pid int, name string) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("look at the daemon's memory: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		value, ok := strings.CutPrefix(line, name+":")
		if !ok {
			continue
		}
		kib, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 64)
		if err != nil {
			return 0, fmt.Errorf("look at the daemon's memory: %w", err)
		}
		return kib / 1024, nil
	}
	return 0, fmt.Errorf("look at the daemon's memory: there is no %s", name)
}
