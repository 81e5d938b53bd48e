package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"syscall"

	"github.com/coreos/go-systemd/v22/sdjournal"
)

// origin is a journal whose entries have an order of their own: what one journald,
// or one sending host, wrote.
//
// libsystemd returns an entry only if it sorts behind the one before it. Between
// journals that have nothing else in common it sorts by time, so that in one handle for all hosts an entry
// that arrives a moment later than another host's younger one would never be
// seen. That is why each origin has its own handle.
type origin struct {
	name     string
	system   bool // libsystemd finds the files by itself
	maxField int
	watched  bool // the handle has to take notice of changes
	stats    *Stats

	j       *sdjournal.Journal // nil while there are no files
	known   map[fileID]found   // what j was opened with
	useless map[fileID]found   // files that could not be opened, to be tried again when they change
	broken  bool               // j failed, it has to be opened again

	read   int      // how many entries j has read
	start  position // where to go on in a newly opened journal
	state  standing
	usec   int64  // the time of the entry
	cursor string // the entry's; "": not asked for yet
}

// standing tells what a handle stands on.
type standing uint8

const (
	idle   standing = iota // nothing new
	landed                 // an entry that advance has not read yet
	loaded                 // an entry that Next has not returned yet
	taken                  // an entry that Next has returned
)

// renewAfter is how many entries a handle reads. libsystemd maps the files in pieces
// of 8 MiB and unmaps none of the latest 64, so that all that was read would count as the
// process's memory, up to half a GiB. A new handle costs some milliseconds.
const renewAfter = 20_000

// renewIdleAfter is the same for a handle that has come to the end: what it has mapped is
// not needed while nothing comes, and the few milliseconds delay nobody.
const renewIdleAfter = 1_000

// open opens the files, if there are any, and goes to where reading has to go on.
func (o *origin) open(files map[fileID]found) error {
	o.keepPlace()
	o.state = idle
	j, err := o.handle(files)
	if err != nil {
		o.broken = true
		return err
	}
	if o.j != nil {
		_ = o.j.Close()
		if o.read < renewIdleAfter {
			o.stats.Reopened++
		}
	}
	o.j, o.known, o.broken, o.read = j, files, false, 0
	complete, err := o.seek(o.start)
	if err != nil {
		o.broken = true
		return err
	}
	if !complete && j != nil {
		o.stats.Gaps++
	}
	return nil
}

// handle returns a handle of the files, or nil if none of them is there (any more).
func (o *origin) handle(files map[fileID]found) (*sdjournal.Journal, error) {
	if len(files) == 0 {
		return nil, nil
	}
	open := o.openFiles
	if o.system {
		open = func(map[fileID]found) (*sdjournal.Journal, error) { return sdjournal.NewJournal() }
	}
	j, err := open(files)
	if err != nil {
		return nil, fmt.Errorf("open the journal: %w", err)
	}
	if j == nil {
		return nil, nil
	}
	// The threshold counts the name and "=", too, which are 65 bytes at most, and
	// cut wants to see the character behind the last byte.
	if err := j.SetDataThreshold(uint64(o.maxField) + 65 + 4); err != nil {
		_ = j.Close()
		return nil, fmt.Errorf("open the journal: %w", err)
	}
	if o.watched {
		if err := o.process(j); err != nil {
			_ = j.Close()
			return nil, err
		}
	}
	return j, nil
}

// openFiles opens a handle of the files. Those which cannot be opened (just being
// made, or damaged beyond use) move from files to o.useless.
func (o *origin) openFiles(files map[fileID]found) (*sdjournal.Journal, error) {
	o.useless = nil
	j, err := sdjournal.NewJournalFromFiles(paths(files)...)
	if err == nil {
		return j, nil
	}
	o.useless = map[fileID]found{}
	for id, f := range files {
		one, err := sdjournal.NewJournalFromFiles(f.path)
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				o.useless[id] = f
			}
			delete(files, id)
			continue
		}
		_ = one.Close()
	}
	o.stats.Damaged += uint64(len(o.useless))
	if len(files) == 0 && len(o.useless) == 0 {
		return nil, nil
	}
	if len(files) == 0 {
		return nil, err
	}
	return sdjournal.NewJournalFromFiles(paths(files)...)
}

func paths(files map[fileID]found) []string {
	var all []string
	for f := range maps.Values(files) {
		all = append(all, f.path)
	}
	return slices.Sorted(slices.Values(all))
}

// refresh opens the journal again if there is something else than what it was
// opened with. Files that are gone are let go, so that their space is free.
func (o *origin) refresh(files map[fileID]found) error {
	for id, f := range files {
		if before, ok := o.useless[id]; ok && before.modified == f.modified {
			delete(files, id)
		}
	}
	nothingNew := !o.broken
	for id := range files {
		if _, ok := o.known[id]; !ok {
			nothingNew = false
		}
	}
	if nothingNew && o.system {
		o.known = files // libsystemd has noticed what is gone, but not if it comes back
		return nil
	}
	if nothingNew && len(files) == len(o.known) {
		return nil
	}
	return o.open(files)
}

// process has libsystemd look at what changed in its directories. It has none where
// the files are listed; that a file has grown it sees without this.
func (o *origin) process(j *sdjournal.Journal) error {
	if !o.system {
		return nil
	}
	if code := j.Wait(0); code < 0 {
		return fmt.Errorf("look for changes of the journal: %w", syscall.Errno(-code))
	}
	return nil
}

// seek goes to a position. It reports false if the entry of its cursor is gone, and
// others with it possibly.
func (o *origin) seek(p position) (complete bool, err error) {
	o.start, o.state, o.cursor = p, idle, ""
	switch {
	case o.j == nil:
		return p.cursor == "", nil
	case p.cursor != "":
		complete, err = o.seekCursor(p)
	case p.usec > 0:
		complete, err = true, o.j.SeekRealtimeUsec(uint64(p.usec))
	default:
		complete, err = true, o.j.SeekHead()
	}
	if err != nil {
		return false, fmt.Errorf("go to a place in the journal: %w", err)
	}
	return complete, nil
}

func (o *origin) seekCursor(p position) (complete bool, err error) {
	wanted, err := parseCursor(p.cursor)
	if err != nil {
		return false, err
	}
	if err := o.j.SeekCursor(p.cursor); err != nil {
		return false, err
	}
	n, err := o.j.Next()
	if err != nil {
		return false, err
	}
	if n == 0 {
		// Without this, whatever counts as older than the cursor (because it was
		// logged while the clock was ahead) would never be returned.
		return false, o.seekTail()
	}
	text, err := o.j.GetCursor()
	if err != nil {
		return false, err
	}
	here, err := parseCursor(text)
	if err != nil {
		return false, err
	}
	same := sameEntry(wanted, here)
	if same && !p.at {
		return true, nil
	}
	o.state = landed
	return same || nextTo(wanted, here), nil
}

// seekTail goes behind the last entry, or to the beginning if there is none.
func (o *origin) seekTail() error {
	o.start, o.state, o.cursor = position{}, idle, ""
	if o.j == nil {
		return nil
	}
	// After sd_journal_seek_tail alone, sd_journal_next would begin anywhere.
	if err := o.j.SeekTail(); err != nil {
		return err
	}
	n, err := o.j.Previous()
	if err != nil {
		return err
	}
	if n == 0 {
		return o.j.SeekHead()
	}
	cursor, err := o.j.GetCursor()
	if err != nil {
		return err
	}
	o.start = position{cursor: cursor}
	return nil
}

// advance loads the next readable entry. At the end of the journal, nothing is loaded.
func (o *origin) advance() error {
	if o.j == nil || o.broken {
		return nil
	}
	if o.read >= renewAfter {
		if err := o.open(o.known); err != nil || o.j == nil {
			return err
		}
	}
	for {
		if o.state != landed {
			n, err := o.j.Next()
			if err != nil {
				o.keepPlace()
				o.broken, o.state = true, idle
				return fmt.Errorf("read the next journal entry: %w", err)
			}
			if n == 0 {
				// While libsystemd still stands on the last entry: it may be vacuumed next.
				o.keepPlace()
				o.state = idle
				if o.read >= renewIdleAfter {
					return o.open(o.known)
				}
				return nil
			}
		}
		o.state, o.cursor = idle, ""
		o.read++
		usec, err := o.j.GetRealtimeUsec()
		if err != nil {
			o.stats.Damaged++
			continue
		}
		o.usec, o.state = int64(usec), loaded
		return nil
	}
}

// keepPlace makes start the place where reading has to go on.
func (o *origin) keepPlace() {
	if o.state != loaded && o.state != taken {
		return // start is that place still
	}
	if cursor := o.entryCursor(); cursor != "" {
		o.start = position{cursor: cursor, at: o.state == loaded}
	}
}

// entryCursor returns the cursor of the entry that the handle stands on.
func (o *origin) entryCursor() string {
	if o.cursor == "" && (o.state == loaded || o.state == taken) {
		cursor, err := o.j.GetCursor()
		if err != nil {
			o.stats.Damaged++
			return ""
		}
		o.cursor = cursor
	}
	return o.cursor
}

func (o *origin) close() error {
	if o.j == nil {
		return nil
	}
	err := o.j.Close()
	o.j, o.state = nil, idle
	return err
}
