package state

import (
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/mattn/go-sqlite3"
)

// FileName is the name of the database in the storage folder.
const FileName = "pyruse.db"

// The errors that callers act on; anything else that goes wrong is to be tried again later.
var (
	// ErrDamaged means that the database cannot be relied on any more; see DB.SetAside.
	ErrDamaged = errors.New("the database is damaged")
	// ErrFull means that there is no room: try again later.
	ErrFull = errors.New("there is no room on the disk")
	// ErrLocked means that another process holds the storage folder.
	ErrLocked = errors.New("another pyruse is running on this storage folder")
)

// Limits bound the database. What exceeds them is dropped and counted in Result.
type Limits struct {
	ReportLines int64
	Outbox      int64
}

// DB is the database. It is safe for concurrent use.
type DB struct {
	path   string
	limits Limits

	mu     sync.Mutex // serialises writers of this process
	writer *sql.DB    // one connection
	reader *sql.DB    // for long reads beside it; keeps no idle connection
	stmts  map[string]*sql.Stmt
	lines  int64 // rows of report that are in no report yet
	banned int64 // rows of ban_log
	down   error // why there is no writer; nil: there is one
	opened fs.FileInfo
	looked time.Time // when the path was last compared with the opened file
}

// Open opens the database in the storage folder, makes both if they are missing, and brings
// the schema up to date. A damaged file is set aside first; its new name is returned. On a full
// disk, what the database holds can be read, and changes fail with ErrFull until there is room.
func Open(storage string, limits Limits, now time.Time) (db *DB, setAside string, err error) {
	if err := os.MkdirAll(storage, 0o700); err != nil {
		return nil, "", fmt.Errorf("make the storage folder: %w", err)
	}
	d := &DB{path: filepath.Join(storage, FileName), limits: limits}
	err = d.open()
	if errors.Is(err, ErrDamaged) {
		setAside, err = d.setAside(now)
	}
	if errors.Is(err, ErrFull) {
		err = d.openFull(err)
	}
	if err != nil {
		return nil, setAside, err
	}
	return d, setAside, nil
}

// openFull opens the file without the helper files that there is no room for. That is only right if all
// is in the file itself, as after a clean stop: otherwise it returns the cause.
func (d *DB) openFull(cause error) error {
	if info, err := os.Stat(d.path); err != nil || info.Size() == 0 {
		d.down = cause
		return nil // a new database: there is nothing to read
	}
	if info, err := os.Stat(d.path + "-wal"); err == nil && info.Size() > 0 {
		return cause
	}
	d.down = cause
	reader, err := sql.Open("sqlite3", d.dsn("ro", "&immutable=1"))
	if err != nil {
		return errors.Join(cause, err)
	}
	var version int
	if err := reader.QueryRow("PRAGMA user_version").Scan(&version); err != nil || version != len(migrations) {
		return errors.Join(cause, err, reader.Close())
	}
	d.reader = reader
	return nil
}

func (d *DB) dsn(mode, more string) string {
	return "file:" + (&url.URL{Path: d.path}).EscapedPath() + "?mode=" + mode + more + fmt.Sprintf("&_cache_size=-%d", cacheKiB)
}

// cacheKiB is SQLite's page cache for one connection.
const cacheKiB = 1024

// openOrMake opens a file in the storage folder, and makes it if it is missing. What root makes there, as with `pyruse bans add`, belongs
// to whom the folder belongs: the daemon, which could not open it otherwise. No link leads root to a place where it makes a file.
func openOrMake(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return os.OpenFile(path, os.O_RDWR, 0)
	}
	if err != nil || os.Geteuid() != 0 {
		return f, err
	}
	folder, err := os.Stat(filepath.Dir(path))
	if err == nil {
		owner := folder.Sys().(*syscall.Stat_t)
		err = f.Chown(int(owner.Uid), int(owner.Gid))
	}
	if err != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(path))
	}
	return f, nil
}

func (d *DB) open() error {
	f, err := openOrMake(d.path) // SQLite gives its helper files the same mode and owner
	if err != nil {
		return fmt.Errorf("open the database: %w", classify(err))
	}
	d.opened, err = f.Stat()
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("open the database: %w", err)
	}
	const options = "&_txlock=immediate&_busy_timeout=5000&_journal_mode=WAL&_synchronous=NORMAL"
	if d.writer, err = sql.Open("sqlite3", d.dsn("rw", options)); err != nil {
		return fmt.Errorf("open the database: %w", err)
	}
	d.writer.SetMaxOpenConns(1)
	if d.reader, err = sql.Open("sqlite3", d.dsn("ro", options)); err != nil {
		return fmt.Errorf("open the database: %w", errors.Join(err, d.writer.Close()))
	}
	d.reader.SetMaxIdleConns(0)
	d.stmts = map[string]*sql.Stmt{}
	if err := d.prepareFile(); err != nil {
		return fmt.Errorf("open the database %s: %w", d.path, errors.Join(err, d.closeAll()))
	}
	return nil
}

// prepareFile migrates the schema, prepares the statements of the batches, and counts what is bounded.
func (d *DB) prepareFile() error {
	if err := d.migrate(); err != nil {
		return classify(err)
	}
	for _, query := range hotStatements {
		s, err := d.writer.Prepare(query)
		if err != nil {
			return classify(err)
		}
		d.stmts[query] = s
	}
	pending, err := d.pending(d.writer)
	if err != nil {
		return classify(err)
	}
	for count, n := range map[string]*int64{"report WHERE " + pending: &d.lines, "ban_log": &d.banned} {
		if err := d.writer.QueryRow("SELECT count(*) FROM " + count).Scan(n); err != nil {
			return classify(err)
		}
	}
	return nil
}

// SetLimits bounds the database anew. Rows that are above a lower limit stay; no further ones are added.
func (d *DB) SetLimits(l Limits) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.limits = l
}

// Close closes the database.
func (d *DB) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.closeAll()
}

func (d *DB) closeAll() error {
	var errs []error
	for _, s := range d.stmts {
		errs = append(errs, s.Close())
	}
	d.stmts = nil
	for _, db := range []*sql.DB{d.reader, d.writer} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	d.reader, d.writer = nil, nil
	return errors.Join(errs...)
}

// SetAside renames the damaged database and begins an empty one. It returns the
// new name of the old file. The caller then writes anew what it has in memory.
func (d *DB) SetAside(now time.Time) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	_ = d.closeAll() // a damaged database may not close well; it is given up anyway
	d.down = nil
	name, err := d.setAside(now)
	if err != nil {
		d.down = ErrDamaged
	}
	return name, err
}

func (d *DB) setAside(now time.Time) (string, error) {
	if err := os.MkdirAll(filepath.Dir(d.path), 0o700); err != nil {
		return "", fmt.Errorf("make the storage folder: %w", err)
	}
	name := d.path + ".damaged-" + now.UTC().Format("20060102T150405.000000Z")
	if err := os.Rename(d.path, name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("set the damaged database aside: %w", err)
	}
	for _, suffix := range []string{"-wal", "-shm"} {
		if err := os.Rename(d.path+suffix, name+suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return name, fmt.Errorf("set the damaged database aside: %w", err)
		}
	}
	err := d.open()
	if errors.Is(err, ErrFull) { // nothing is in the new file yet: it is begun when there is room
		d.down, err = err, nil
	}
	return name, err
}

// classify marks SQLite's errors with the ones that callers act on.
func classify(err error) error {
	var e sqlite3.Error
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("%w: %w", ErrFull, err)
	case errors.As(err, &e):
		switch e.Code {
		case sqlite3.ErrCorrupt, sqlite3.ErrNotADB, sqlite3.ErrFormat:
			return fmt.Errorf("%w: %w", ErrDamaged, err)
		case sqlite3.ErrFull:
			return fmt.Errorf("%w: %w", ErrFull, err)
		}
		if e.SystemErrno == syscall.ENOSPC || e.SystemErrno == syscall.EDQUOT {
			return fmt.Errorf("%w: %w", ErrFull, err)
		}
	}
	return err
}

// update runs f in one transaction.
func (d *DB) update(what string, f func(tx *Tx) error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.revive(); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if err := d.stillThere(); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	tx, err := d.writer.Begin()
	if err != nil {
		return fmt.Errorf("%s: %w", what, classify(err))
	}
	t := &Tx{db: d, tx: tx, lines: d.lines, banned: d.banned}
	if err := f(t); err != nil {
		_ = tx.Rollback() // the first error is the one to tell
		return fmt.Errorf("%s: %w", what, classify(err))
	}
	if err := tx.Commit(); err != nil {
		_ = tx.Rollback()
		return fmt.Errorf("%s: %w", what, classify(err))
	}
	d.lines, d.banned = t.lines, t.banned
	return nil
}

// revive opens the database again if it could not be opened for want of room.
func (d *DB) revive() error {
	if d.down == nil || !errors.Is(d.down, ErrFull) {
		return d.down
	}
	if err := d.closeAll(); err != nil {
		return err
	}
	err := d.open()
	if err == nil {
		d.down = nil
		return nil
	}
	if full := d.openFull(err); full != nil {
		d.down = full
	}
	return err
}

// stillThere notices, within a second, that somebody removed or replaced the file: what is written
// then would be gone with the process.
func (d *DB) stillThere() error {
	now := time.Now()
	if now.Sub(d.looked) < time.Second {
		return nil
	}
	d.looked = now
	if info, err := os.Stat(d.path); err != nil || !os.SameFile(info, d.opened) {
		return fmt.Errorf("%w: the file %s was removed or replaced", ErrDamaged, d.path)
	}
	return nil
}

// Tx is one transaction.
type Tx struct {
	db            *DB
	tx            *sql.Tx
	lines, banned int64
}

// exec runs a statement, and returns the number of rows that it changed.
func (t *Tx) exec(query string, args ...any) (int64, error) {
	var res sql.Result
	var err error
	if s, ok := t.db.stmts[query]; ok {
		res, err = t.tx.Stmt(s).Exec(args...)
	} else {
		res, err = t.tx.Exec(query, args...)
	}
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// OpenSound is Open for those who must not change a damaged database: they get ErrDamaged.
func OpenSound(storage string, limits Limits) (*DB, error) {
	d := &DB{path: filepath.Join(storage, FileName), limits: limits}
	if _, err := os.Stat(storage); err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	err := d.open()
	if errors.Is(err, ErrFull) {
		err = d.openFull(err)
	}
	if err != nil {
		return nil, err
	}
	return d, nil
}

// OpenReader opens the database for reading only, beside the daemon or without it. It is an error if it was written by another version.
func OpenReader(storage string) (*DB, error) {
	d := &DB{path: filepath.Join(storage, FileName)}
	if _, err := os.Stat(d.path); err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	var err error
	if d.reader, err = sql.Open("sqlite3", d.dsn("ro", "&_busy_timeout=5000")); err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	d.reader.SetMaxIdleConns(0)
	d.down = errors.New("it is open for reading only")
	var version int
	err = d.reader.QueryRow("PRAGMA user_version").Scan(&version)
	if err == nil && version != len(migrations) {
		err = fmt.Errorf("it has schema %d, and this Pyruse works with %d: restart the daemon, which brings it up to date", version, len(migrations))
	}
	if err != nil {
		return nil, fmt.Errorf("open the database %s: %w", d.path, errors.Join(classify(err), d.reader.Close()))
	}
	return d, nil
}

// lockPatience is how long Lock waits for another process, such as a command that ends soon.
const lockPatience = 3 * time.Second

// Lock takes the storage folder for this process until the returned function is called,
// or returns ErrLocked.
func Lock(storage string) (unlock func() error, err error) {
	if err := os.MkdirAll(storage, 0o700); err != nil {
		return nil, fmt.Errorf("make the storage folder: %w", err)
	}
	f, err := openOrMake(filepath.Join(storage, "pyruse.lock"))
	if err != nil {
		return nil, fmt.Errorf("lock the storage folder: %w", err)
	}
	if err := flock(f, time.Now().Add(lockPatience)); err != nil {
		return nil, fmt.Errorf("lock the storage folder %s: %w", storage, errors.Join(err, f.Close()))
	}
	return f.Close, nil
}

func flock(f *os.File, until time.Time) error {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return err
		}
		if !time.Now().Before(until) {
			return ErrLocked
		}
		<-time.After(20 * time.Millisecond) // flock(2) cannot wait for a limited time
	}
}
