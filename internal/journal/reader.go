package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"syscall"
	"time"
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

// Reader reads a systemd journal. Entries of one journald come in the order in which
// it wrote them, whatever the clock did. Where the journals of several hosts are read
// (Directory and Files), their entries are mixed by time, as far as they have arrived: one that arrives late
// is returned late, not left out.
//
// Before the first Next, one of the Seek methods says where to begin; the default
// is the oldest entry.
type Reader struct {
	place    place
	maxField int

	origins []*origin
	cur     *origin // the one with the current entry, nil if there is none
	last    string  // the cursor of the last entry, once there is no current one
	stale   bool    // idle origins may have something new
	busy    bool    // entries were returned since the last time that there was none
	sought  sought  // for origins that turn up later

	watch *watch // nil unless following
	stats Stats
}

// sought is where the last Seek method went to.
type sought struct {
	all   position
	named positions
}

func (s sought) in(name string) position {
	if p, ok := s.named[name]; ok {
		return p
	}
	return s.all
}

// Stats counts what a Reader met with.
type Stats struct {
	Damaged  uint64 // entries, fields and files that could not be read, and were left out
	Reopened uint64 // times that a journal was opened again: it had appeared, moved, been rotated or failed
	Gaps     uint64 // times that the entry to go on behind was gone then
}

// Open opens a journal. It fails if libsystemd is missing or if the journal may not be read (fs.ErrPermission).
func Open(o Options) (*Reader, error) {
	p, err := newPlace(o)
	if err != nil {
		return nil, err
	}
	r := &Reader{place: p, maxField: o.MaxField, stale: true}
	if r.maxField <= 0 {
		r.maxField = DefaultMaxField
	}
	if o.MustExist && len(p.files()) == 0 {
		return nil, fmt.Errorf("open the journal: no journal file in %s: %w", p, fs.ErrNotExist)
	}
	if !p.grouped {
		r.add("")
	}
	if err := r.refresh(); err != nil {
		_ = r.Close() // the first error says it
		return nil, err
	}
	return r, nil
}

func (r *Reader) add(name string) *origin {
	o := &origin{
		name: name, system: r.place.system, maxField: r.maxField,
		watched: r.watch != nil, stats: &r.stats, start: r.sought.in(name),
	}
	r.origins = append(r.origins, o)
	return o
}

// refresh opens what has turned up. It is an error if nothing can be opened, although
// there is something; where only some of several journals cannot, it counts as damage.
func (r *Reader) refresh() error {
	if err := r.place.readable(); err != nil {
		return err
	}
	present := r.place.present()
	var errs []error
	for _, o := range r.origins {
		if err := o.refresh(present[o.name]); err != nil {
			errs = append(errs, err)
		}
		delete(present, o.name)
	}
	for name, files := range present {
		if err := r.add(name).refresh(files); err != nil {
			errs = append(errs, err)
		}
	}
	r.stale = true
	if len(errs) == len(r.origins) {
		return errors.Join(errs...)
	}
	r.stats.Damaged += uint64(len(errs))
	return nil
}

// SeekHead goes to the beginning: Next returns the oldest entry.
func (r *Reader) SeekHead() error { return r.seekAll(position{}) }

// SeekTime goes to the time t: Next returns the first entry that is not older.
func (r *Reader) SeekTime(t time.Time) error {
	return r.seekAll(position{usec: max(0, t.UnixMicro())})
}

func (r *Reader) seekAll(p position) error {
	_, err := r.seek(sought{all: p})
	return err
}

func (r *Reader) seek(s sought) (complete bool, err error) {
	r.sought, r.cur, r.last, r.stale = s, nil, "", true
	complete = true
	missing := len(s.named)
	for _, o := range r.origins {
		if _, ok := s.named[o.name]; ok {
			missing--
		}
		ok, err := o.seek(s.in(o.name))
		if err != nil {
			return false, err
		}
		complete = complete && ok
	}
	return complete && missing == 0, nil
}

// SeekCursor goes to a place that Position returned, or to the entry of a cursor: Next returns the
// one behind it. It reports whether that entry, or the one directly behind it, is still
// there. If not, entries may have been missed; Next then returns the first one that is left of those
// behind it, and what is logged from now on if none is left. It is an error if the text
// is no such place.
func (r *Reader) SeekCursor(cursor string) (found bool, err error) {
	if strings.Contains(cursor, " ") {
		named, err := parsePositions(cursor)
		if err != nil {
			return false, err
		}
		return r.seek(sought{named: named})
	}
	if _, err := parseCursor(cursor); err != nil {
		return false, err
	}
	found, err = r.seek(sought{all: position{cursor: cursor}})
	r.last = cursor
	return found && len(r.origins) > 0, err
}

// SeekTail goes to the end: Next returns what is logged from now on. A journal that is
// empty or not there yet counts as new as a whole.
func (r *Reader) SeekTail() error {
	r.sought, r.cur, r.last, r.stale = sought{}, nil, "", true
	for _, o := range r.origins {
		if err := o.seekTail(); err != nil {
			return fmt.Errorf("go to the end of the journal: %w", err)
		}
	}
	return nil
}

// Position returns the place behind the current entry (or behind the last one, once
// Next has returned false; or the place that was sought) for SeekCursor: the cursor of that
// entry, or where there may be several journals, a text with a cursor of each, that is some
// hundred bytes long for each. It is "" if there is no entry to be behind of.
func (r *Reader) Position() string {
	if !r.place.grouped {
		o := r.origins[0]
		o.keepPlace()
		return o.start.cursor
	}
	ps := positions{}
	for name, p := range r.sought.named {
		ps[name] = p // of those that are not there now
	}
	for _, o := range r.origins {
		o.keepPlace()
		if o.start.cursor != "" {
			ps[o.name] = o.start
		}
	}
	return ps.String()
}

// Follow makes the Reader notice what is added to the journal. Whenever Next has
// returned false, a token of the returned channel tells that it is worth calling again. The
// first token is there at once; there are more tokens than changes. While entries come, there is one
// every 10 ms, because journald is late to announce them (see watch); 3 seconds after the last one nothing
// runs any more, but for a look every 5 seconds. Follow is called once.
//
// A following Reader goes on through rotation, vacuum, a restart of journald and a
// move of the journal to other directories, and waits for a journal that is not there.
// An error of Next is not final either: the next call opens the journal again.
func (r *Reader) Follow() (<-chan struct{}, error) {
	if r.watch != nil {
		return nil, errors.New("follow the journal: it is followed already")
	}
	w, err := newWatch(safetyTick)
	if err != nil {
		return nil, err
	}
	if err := w.set(r.place.dirs()); err != nil {
		_ = w.close() // the first error says it
		return nil, err
	}
	r.watch = w
	for _, o := range r.origins {
		o.watched = true
		if o.j == nil {
			continue
		}
		if err := o.process(o.j); err != nil {
			return nil, err
		}
	}
	return w.changed, nil
}

// Next makes the next entry the current one. It reports false at the end of what there is by now.
// An entry that is damaged is left out (see Stats).
func (r *Reader) Next() (bool, error) {
	if o := r.cur; o != nil {
		r.cur = nil
		err := o.advance()
		if o.state == idle {
			r.last = o.start.cursor
		}
		if err != nil {
			return false, err
		}
	}
	if len(r.origins) > 1 && r.watch != nil && r.watch.dirty.Load() {
		// One that always has more must not keep the others waiting.
		if _, err := r.catchUp(); err != nil {
			return false, err
		}
	}
	for {
		if err := r.poll(); err != nil {
			return false, err
		}
		if r.pick() {
			return true, nil
		}
		if r.busy && r.watch != nil {
			r.watch.expectMore()
		}
		r.busy, r.stale = false, true
		again, err := r.catchUp()
		if !again || err != nil {
			return false, err
		}
	}
}

// poll loads the next entry of each origin that may have one.
func (r *Reader) poll() error {
	if !r.stale {
		return nil
	}
	r.stale = false
	for _, o := range r.origins {
		if o.state == idle || o.state == landed {
			if err := o.advance(); err != nil {
				r.stale = true
				return err
			}
		}
	}
	return nil
}

// pick makes the oldest of the loaded entries the current one.
func (r *Reader) pick() bool {
	for _, o := range r.origins {
		if o.state == loaded && (r.cur == nil || o.usec < r.cur.usec) {
			r.cur = o
		}
	}
	if r.cur == nil {
		return false
	}
	r.cur.state = taken
	r.busy = true
	return true
}

// catchUp takes notice of what the watch has seen, and of what failed. It reports
// whether there may be more to read.
func (r *Reader) catchUp() (bool, error) {
	broken := r.broken()
	dirty, structure := false, false
	if r.watch != nil {
		dirty, structure = r.watch.dirty.Swap(false), r.watch.structure.Swap(false)
	}
	switch {
	case structure:
		// What cannot be watched is still seen at the next tick.
		_ = r.watch.set(r.place.dirs())
		fallthrough
	case broken > 0:
		if err := r.refresh(); err != nil {
			return false, err
		}
		if !dirty && r.broken() == broken {
			return false, nil
		}
	case !dirty:
		return false, nil
	}
	for _, o := range r.origins {
		if o.j == nil || o.broken {
			continue
		}
		if err := o.process(o.j); err != nil {
			o.keepPlace()
			o.broken, o.state = true, idle
			return false, err
		}
	}
	r.stale = true
	return true, nil
}

// broken returns how many origins have to be opened again.
func (r *Reader) broken() int {
	n := 0
	for _, o := range r.origins {
		if o.broken {
			n++
		}
	}
	return n
}

// UnixMicro returns the time of the current entry: when journald received it, in
// microseconds since 1970.
func (r *Reader) UnixMicro() int64 {
	if r.cur == nil {
		return 0
	}
	return r.cur.usec
}

// Cursor returns the cursor of the current entry; once Next has returned false that
// of the last entry, if there was one.
func (r *Reader) Cursor() string {
	if r.cur == nil {
		return r.last
	}
	return r.cur.entryCursor()
}

// Field returns the first value of a field of the current entry, cut to
// Options.MaxField. The address fields (__CURSOR, __REALTIME_TIMESTAMP, __MONOTONIC_TIMESTAMP) are
// fields, too. A field that is damaged counts as missing (see Stats).
func (r *Reader) Field(name string) ([]byte, bool) {
	if r.cur == nil || name == "" {
		return nil, false
	}
	if len(name) > 2 && name[:2] == "__" {
		return r.addressField(name)
	}
	data, err := r.cur.j.GetDataBytes(name)
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
		return strconv.AppendInt(nil, r.cur.usec, 10), true
	case monotonicField:
		usec, err := r.cur.j.GetMonotonicUsec()
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
	for _, o := range r.origins {
		errs = append(errs, o.close())
	}
	r.cur = nil
	return errors.Join(errs...)
}
