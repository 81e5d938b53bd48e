package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/sdjournal"
)

// safetyTick is how often a following Reader looks at the journal without having
// been told to. See watch.
const safetyTick = 5 * time.Second

// Options choose the journal that a Reader reads. Directory, Namespace and Files
// exclude each other; without any, it is the system's journal.
type Options struct {
	// Directory is read with its subdirectories that are named after machine IDs,
	// whatever machine the files are from.
	Directory string
	// Namespace is the name of a journal namespace (systemd-journald@NAME.service).
	Namespace string
	// Files are journal files, or patterns of them (path/filepath.Match).
	Files []string
	// MaxField bounds a field's value, in bytes; 0 means DefaultMaxField. What
	// is longer is cut. (A value that journald stored uncompressed is copied
	// whole before, so that for a moment it takes as much memory as the journal allows:
	// 32 MiB from an unprivileged sender.)
	MaxField int
	// MustExist makes it an error of Open if there is no journal. Otherwise a Reader
	// that follows waits until there is one.
	MustExist bool
}

// Reader reads a systemd journal, in the order of libsystemd: that in which one
// journald wrote the entries, whatever the clock did, and by time where several journals are mixed.
//
// Before the first Next, one of the Seek methods says where to begin; the default
// is the oldest entry.
type Reader struct {
	place    place
	maxField int

	j       *sdjournal.Journal // nil while there is no journal
	known   map[fileID]found   // what j was opened with
	useless map[fileID]found   // files that could not be opened, to be tried again when they change
	start   position           // where to go on in a newly opened journal
	pending bool               // j stands on an entry that Next has not returned yet
	broken  bool               // j failed, it has to be opened again

	current bool // there is a current entry, and j stands on it
	usec    int64
	cursor  string // of the current or else of the last entry; "": not asked for yet, or none

	watch *watch // nil unless following
	stats Stats
}

// Stats counts what a Reader met with.
type Stats struct {
	Damaged  uint64 // entries and fields that could not be read, and were left out
	Reopened uint64 // times that the journal was opened again: it had appeared, moved or failed
	Gaps     uint64 // times that the entry to go on behind was gone after opening again
}

// position is a place in the journal to go on from: behind the entry cursor if that
// is given, else the first entry not before usec.
type position struct {
	cursor string
	usec   int64
}

// Open opens a journal. It fails if libsystemd is missing or if the journal may not be read (fs.ErrPermission).
func Open(o Options) (*Reader, error) {
	p, err := newPlace(o)
	if err != nil {
		return nil, err
	}
	r := &Reader{place: p, maxField: o.MaxField}
	if r.maxField <= 0 {
		r.maxField = DefaultMaxField
	}
	if o.MustExist && len(p.files()) == 0 {
		return nil, fmt.Errorf("open the journal: no journal file in %s: %w", p, fs.ErrNotExist)
	}
	if err := r.open(); err != nil {
		return nil, err
	}
	return r, nil
}

// open opens what is there, if anything is, and goes to r.start.
func (r *Reader) open() error {
	known := r.place.present()
	if len(known) == 0 {
		return nil
	}
	if err := r.place.readable(); err != nil {
		return err
	}
	j, err := r.openFiles(known)
	if err != nil || j == nil {
		return err
	}
	if err := r.prepare(j); err != nil {
		j.Close()
		return err
	}
	if r.j != nil {
		r.j.Close()
		r.stats.Reopened++
	}
	r.j, r.known, r.broken = j, known, false
	ok, err := r.seek(r.start)
	if err != nil {
		r.broken = true
		return err
	}
	if !ok && r.start.cursor != "" {
		r.stats.Gaps++
	}
	return nil
}

func (r *Reader) prepare(j *sdjournal.Journal) error {
	// The threshold counts the name and "=", too, which are 65 bytes at most, and
	// cut wants to see the character behind the last byte.
	if err := j.SetDataThreshold(uint64(r.maxField) + 65 + 4); err != nil {
		return fmt.Errorf("open the journal: %w", err)
	}
	if r.watch != nil {
		return r.process(j)
	}
	return nil
}

// openFiles opens the journal. Of files that were listed, those which cannot be
// opened (just being made, or damaged beyond use) move from known to r.useless.
func (r *Reader) openFiles(known map[fileID]found) (*sdjournal.Journal, error) {
	if r.place.patterns == nil {
		j, err := r.place.open(nil)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil // gone again
		}
		if err != nil {
			return nil, fmt.Errorf("open the journal: %w", err)
		}
		return j, nil
	}
	files := make([]string, 0, len(known))
	for _, f := range known {
		files = append(files, f.path)
	}
	r.useless = nil
	if j, err := r.place.open(files); err == nil {
		return j, nil
	}
	files, r.useless = files[:0], map[fileID]found{}
	var errs []error
	for id, f := range known {
		j, err := r.place.open([]string{f.path})
		if err != nil {
			r.useless[id] = f
			delete(known, id)
			errs = append(errs, fmt.Errorf("open the journal: %w", err))
			continue
		}
		j.Close()
		files = append(files, f.path)
	}
	if len(files) == 0 {
		return nil, errors.Join(errs...)
	}
	j, err := r.place.open(files)
	if err != nil {
		return nil, fmt.Errorf("open the journal: %w", err)
	}
	return j, nil
}

// process has libsystemd look at what changed in its directories.
func (r *Reader) process(j *sdjournal.Journal) error {
	if r.place.patterns != nil {
		return nil // no directories: libsystemd sees by itself that a file has grown
	}
	if code := j.Wait(0); code < 0 {
		return fmt.Errorf("look for changes of the journal: %w", syscall.Errno(-code))
	}
	return nil
}

// SeekHead goes to the beginning: Next returns the oldest entry.
func (r *Reader) SeekHead() error {
	_, err := r.seek(position{})
	return err
}

// SeekTime goes to the time t: Next returns the first entry that is not older.
func (r *Reader) SeekTime(t time.Time) error {
	_, err := r.seek(position{usec: max(0, t.UnixMicro())})
	return err
}

// SeekCursor goes to the entry of that cursor: Next returns the one behind it. If that
// entry is gone, found is false, and Next returns the first one that is left of those
// behind it. If none is left, Next returns what is logged from now on. It is an error if
// cursor is not the text of a cursor.
func (r *Reader) SeekCursor(cursor string) (found bool, err error) {
	if _, err := parseCursor(cursor); err != nil {
		return false, err
	}
	return r.seek(position{cursor: cursor})
}

// SeekTail goes to the end: Next returns what is logged from now on. Cursor returns
// the last entry's; it is "" if the journal is empty (or not there yet; all that it turns out to hold then counts
// as new).
func (r *Reader) SeekTail() error {
	if r.j == nil {
		return r.SeekHead()
	}
	// After sd_journal_seek_tail alone, sd_journal_next would begin anywhere.
	if err := r.j.SeekTail(); err != nil {
		return fmt.Errorf("go to the end of the journal: %w", err)
	}
	n, err := r.j.Previous()
	if err != nil {
		return fmt.Errorf("go to the end of the journal: %w", err)
	}
	if n == 0 {
		return r.SeekHead()
	}
	cursor, err := r.j.GetCursor()
	if err != nil {
		return fmt.Errorf("go to the end of the journal: %w", err)
	}
	r.pending, r.current = false, false
	r.start, r.cursor = position{cursor: cursor}, cursor
	return nil
}

func (r *Reader) seek(p position) (found bool, err error) {
	r.start, r.cursor = p, p.cursor
	r.pending, r.current = false, false
	switch {
	case r.j == nil:
		return false, nil
	case p.cursor != "":
		return r.seekBehind(p.cursor)
	case p.usec > 0:
		err = r.j.SeekRealtimeUsec(uint64(p.usec))
	default:
		err = r.j.SeekHead()
	}
	if err != nil {
		return false, fmt.Errorf("go to a place in the journal: %w", err)
	}
	return true, nil
}

func (r *Reader) seekBehind(text string) (found bool, err error) {
	wanted, err := parseCursor(text)
	if err != nil {
		return false, err
	}
	if err := r.j.SeekCursor(text); err != nil {
		return false, fmt.Errorf("go to a place in the journal: %w", err)
	}
	n, err := r.j.Next()
	if err != nil {
		return false, fmt.Errorf("go to a place in the journal: %w", err)
	}
	if n == 0 {
		// Without this, whatever counts as older than the cursor (because it was
		// logged while the clock was ahead) would never be returned.
		return false, r.SeekTail()
	}
	text, err = r.j.GetCursor()
	if err != nil {
		return false, fmt.Errorf("go to a place in the journal: %w", err)
	}
	landed, err := parseCursor(text)
	if err != nil {
		return false, err
	}
	found = sameEntry(wanted, landed)
	r.pending = !found
	return found, nil
}

// Follow makes the Reader notice what is added to the journal. Whenever Next has
// returned false, a token of the returned channel tells that it is worth calling again. The
// first token is there at once; there may be more tokens than changes. While nothing
// changes, nothing runs, but for a look every 5 seconds. Follow is called once.
//
// A following Reader goes on through rotation, vacuum, a restart of journald and a
// move of the journal to other directories, and waits for a journal that is not there.
// An error of Next is not final either: the next call opens the journal again.
func (r *Reader) Follow() (<-chan struct{}, error) { return r.follow(safetyTick) }

func (r *Reader) follow(tick time.Duration) (<-chan struct{}, error) {
	w, err := newWatch(tick)
	if err != nil {
		return nil, err
	}
	if err := w.set(r.place.dirs()); err != nil {
		_ = w.close() // the first error says it
		return nil, err
	}
	r.watch = w
	if r.j != nil {
		if err := r.process(r.j); err != nil {
			return nil, err
		}
	}
	return w.changed, nil
}

// Next makes the next entry the current one. It reports false at the end of what there is by now.
// An entry that is damaged is left out (see Stats).
func (r *Reader) Next() (bool, error) {
	for {
		if r.j != nil && !r.broken {
			ok, err := r.advance()
			if ok || err != nil {
				return ok, err
			}
		}
		again, err := r.catchUp()
		if !again || err != nil {
			return false, err
		}
	}
}

// advance goes to the next readable entry of r.j.
func (r *Reader) advance() (bool, error) {
	for {
		if !r.pending {
			n, err := r.j.Next()
			if n == 0 || err != nil {
				r.rest()
				r.broken = err != nil
				if err != nil {
					return false, fmt.Errorf("read the next journal entry: %w", err)
				}
				return false, nil
			}
		}
		r.pending, r.cursor = false, ""
		usec, err := r.j.GetRealtimeUsec()
		if err != nil {
			r.stats.Damaged++
			continue
		}
		r.usec, r.current = int64(usec), true
		return true, nil
	}
}

// rest remembers the last entry's cursor while libsystemd still stands on it: it
// may be vacuumed next.
func (r *Reader) rest() {
	if !r.current {
		return
	}
	if cursor := r.Cursor(); cursor != "" {
		r.start = position{cursor: cursor}
	}
	r.current = false
}

// catchUp takes notice of what the watch has seen. It reports whether there may be more to read.
func (r *Reader) catchUp() (bool, error) {
	if r.watch == nil {
		if !r.broken {
			return false, nil
		}
		err := r.open()
		return !r.broken, err
	}
	if !r.watch.dirty.Swap(false) && !r.broken {
		return false, nil
	}
	if !r.watch.structure.Swap(false) && !r.broken {
		if r.j == nil {
			return false, nil
		}
		return true, r.breakOn(r.process(r.j))
	}
	// What cannot be watched is still seen at the next tick.
	_ = r.watch.set(r.place.dirs())
	if r.broken || r.j == nil || r.hasNew() {
		if err := r.open(); err != nil {
			return false, err
		}
		return r.j != nil && !r.broken, nil
	}
	return true, r.breakOn(r.process(r.j))
}

func (r *Reader) breakOn(err error) error {
	if err != nil {
		r.broken = true
	}
	return err
}

// hasNew reports whether there is something that libsystemd does not find by itself.
func (r *Reader) hasNew() bool {
	present := r.place.present()
	for id, f := range present {
		if _, ok := r.known[id]; ok {
			continue
		}
		if before, ok := r.useless[id]; !ok || before.modified != f.modified {
			return true
		}
		delete(present, id)
	}
	r.known = present // what is gone is forgotten: it may come back as the same directory
	return false
}

// UnixMicro returns the time of the current entry: when journald received it, in
// microseconds since 1970.
func (r *Reader) UnixMicro() int64 { return r.usec }

// Cursor returns the position of the current entry; once Next has returned false
// that of the last entry, and after a Seek method the one that was sought, if any.
func (r *Reader) Cursor() string {
	if r.cursor == "" && r.current {
		cursor, err := r.j.GetCursor()
		if err != nil {
			r.stats.Damaged++
			return ""
		}
		r.cursor = cursor
	}
	return r.cursor
}

// Field returns the first value of a field of the current entry, cut to
// Options.MaxField. The address fields (__CURSOR, __REALTIME_TIMESTAMP, __MONOTONIC_TIMESTAMP) are
// fields, too. A field that is damaged counts as missing (see Stats).
func (r *Reader) Field(name string) ([]byte, bool) {
	if !r.current || name == "" {
		return nil, false
	}
	if len(name) > 2 && name[:2] == "__" {
		return r.addressField(name)
	}
	data, err := r.j.GetDataBytes(name)
	if err != nil {
		if !errors.Is(err, syscall.ENOENT) && !errors.Is(err, syscall.EINVAL) { // EINVAL: not a name that a field can have
			r.stats.Damaged++
		}
		return nil, false
	}
	if len(data) <= len(name) {
		r.stats.Damaged++
		return nil, false
	}
	return cut(data[len(name)+1:], r.maxField), true
}

func (r *Reader) addressField(name string) ([]byte, bool) {
	switch name {
	case cursorField:
		c := r.Cursor()
		return []byte(c), c != ""
	case realtimeField:
		return strconv.AppendInt(nil, r.usec, 10), true
	case monotonicField:
		usec, err := r.j.GetMonotonicUsec()
		return strconv.AppendUint(nil, usec, 10), err == nil
	}
	return nil, false
}

// Stats returns the counts since Open.
func (r *Reader) Stats() Stats { return r.stats }

// Close ends following and closes the journal.
func (r *Reader) Close() error {
	var errs []error
	if r.watch != nil {
		errs = append(errs, r.watch.close())
		r.watch = nil
	}
	if r.j != nil {
		errs = append(errs, r.j.Close())
		r.j, r.current = nil, false
	}
	return errors.Join(errs...)
}
