package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// watch tells when files change in some directories, those that are not there yet
// included. It is the kernel that wakes it (inotify); the tick only catches what inotify
// cannot see: a file system that is mounted over a directory, or that has no inotify.
//
// libsystemd has a watch of its own, but sd_journal_wait blocks a thread and keeps
// the journal from being used or closed meanwhile.
type watch struct {
	inotify *os.File
	fd      int
	paths   map[string]int // watched path: watch descriptor; used by the owner of the watch only

	// changed gets a token when something may be new. There is room for one: a
	// token that was not taken yet stands for all changes.
	changed   chan struct{}
	dirty     atomic.Bool // something happened since it was last cleared
	structure atomic.Bool // something other than a file's growth happened

	busy chan struct{} // see expectMore
	stop chan struct{}
	done sync.WaitGroup
}

// journald announces what it wrote 250 to 500 ms later (it writes to mapped memory,
// which inotify does not see, and touches the file at the end of a timer), libsystemd's own wait
// has to live with that, too. One who is attacked wants to act sooner: as long as entries keep coming, the
// watch gives a token every eagerTick, until none has come for eagerFor. One look at
// a journal without anything new takes about a microsecond.
const (
	eagerTick = 10 * time.Millisecond
	eagerFor  = 3 * time.Second
)

const (
	journalEvents = unix.IN_MODIFY | unix.IN_CREATE | unix.IN_MOVED_TO | unix.IN_MOVED_FROM | unix.IN_DELETE |
		unix.IN_ATTRIB | unix.IN_DELETE_SELF | unix.IN_MOVE_SELF | unix.IN_ONLYDIR
	ancestorEvents = unix.IN_CREATE | unix.IN_MOVED_TO | unix.IN_ATTRIB |
		unix.IN_DELETE_SELF | unix.IN_MOVE_SELF | unix.IN_ONLYDIR
)

// newWatch returns a watch that has a first token to take.
func newWatch(tick time.Duration) (*watch, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("watch the journal's directories: inotify_init1: %w", err)
	}
	w := &watch{
		inotify: os.NewFile(uintptr(fd), "inotify"), fd: fd, paths: map[string]int{},
		changed: make(chan struct{}, 1), busy: make(chan struct{}, 1), stop: make(chan struct{}),
	}
	w.wake(true)
	w.done.Add(2)
	go w.read()
	go w.ticks(tick)
	return w, nil
}

func (w *watch) wake(structure bool) {
	if structure {
		w.structure.Store(true)
	}
	w.dirty.Store(true)
	w.nudge()
}

func (w *watch) nudge() {
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// expectMore tells that entries have come.
func (w *watch) expectMore() {
	select {
	case w.busy <- struct{}{}:
	default:
	}
}

func (w *watch) read() {
	defer w.done.Done()
	buf := make([]byte, 16<<10)
	for {
		n, err := w.inotify.Read(buf)
		if err != nil {
			return // closed; nothing else makes an inotify file fail
		}
		w.wake(hasOtherThanGrowth(buf[:n]))
	}
}

// hasOtherThanGrowth reports whether inotify's events (struct inotify_event of
// inotify(7), one behind the other) tell more than that files were written to.
func hasOtherThanGrowth(events []byte) bool {
	for len(events) >= unix.SizeofInotifyEvent {
		if binary.NativeEndian.Uint32(events[4:]) != unix.IN_MODIFY {
			return true
		}
		size := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(events[12:]))
		if size > len(events) {
			return true
		}
		events = events[size:]
	}
	return false
}

func (w *watch) ticks(tick time.Duration) {
	defer w.done.Done()
	safety, eager := time.NewTicker(tick), time.NewTicker(eagerTick)
	defer safety.Stop()
	defer eager.Stop()
	eager.Stop()
	left := 0 // eager ticks
	for {
		select {
		case <-safety.C:
			w.wake(true)
		case <-w.busy:
			if left == 0 {
				eager.Reset(eagerTick)
			}
			left = int(eagerFor / eagerTick)
		case <-eager.C:
			w.nudge()
			if left--; left <= 0 {
				left = 0
				eager.Stop()
			}
		case <-w.stop:
			return
		}
	}
}

// set makes dirs the directories to watch. For one that does not exist, the nearest
// ancestor that does is watched.
func (w *watch) set(dirs []string) error {
	wanted := map[string]int{}
	var errs []error
	for _, dir := range dirs {
		if err := w.add(wanted, dir, journalEvents); err == nil {
			continue
		} else if !isAbsent(err) {
			errs = append(errs, err)
			continue
		}
		if err := w.addAncestor(wanted, dir); err != nil {
			errs = append(errs, err)
		}
	}
	for path, wd := range w.paths {
		if now, ok := wanted[path]; !ok || now != wd {
			_, _ = unix.InotifyRmWatch(w.fd, uint32(wd)) // gone already if the directory is
		}
	}
	w.paths = wanted
	return errors.Join(errs...)
}

// addAncestor watches for dir to appear. Whoever makes it can be faster than the
// watch, so that each step ends with a look at what the watch would have told.
func (w *watch) addAncestor(wanted map[string]int, dir string) error {
	child := dir
	for child != "/" && child != "." {
		parent := filepath.Dir(child)
		events := uint32(ancestorEvents)
		if _, ok := wanted[parent]; ok {
			events |= unix.IN_MASK_ADD
		}
		err := w.add(wanted, parent, events)
		if isAbsent(err) {
			child = parent
			continue
		}
		if err != nil {
			return err
		}
		if _, err := os.Stat(child); err != nil {
			return nil
		}
		if child == dir {
			return w.add(wanted, dir, journalEvents)
		}
		child = dir // a part of the path has appeared: begin again
	}
	return nil
}

func (w *watch) add(wanted map[string]int, path string, events uint32) error {
	wd, err := unix.InotifyAddWatch(w.fd, path, events)
	if err != nil {
		return fmt.Errorf("watch the journal's directory %s: %w", path, err)
	}
	wanted[path] = wd
	return nil
}

func isAbsent(err error) bool { return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) }

func (w *watch) close() error {
	close(w.stop)
	err := w.inotify.Close()
	w.done.Wait()
	return err
}
