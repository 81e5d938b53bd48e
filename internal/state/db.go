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

	mu      sync.Mutex // serialises writers of this process
	writer  *sql.DB    // one connection
	reader  *sql.DB    // for long reads beside it; keeps no idle connection
	stmts   map[string]*sql.Stmt
	lines   int64 // rows of report
	mails   int64 // rows of outbox
	missing bool  // the file could not be opened again after it was set aside
}

// Open opens the database in the storage folder, makes both if they are missing, and brings
// the schema up to date. A damaged file is set aside first; its new name is returned.
func Open(storage string, limits Limits, now time.Time) (db *DB, setAside string, err error) {
	if err := os.MkdirAll(storage, 0o700); err != nil {
		return nil, "", fmt.Errorf("make the storage folder: %w", err)
	}
	d := &DB{path: filepath.Join(storage, FileName), limits: limits}
	err = d.open()
	if errors.Is(err, ErrDamaged) {
		setAside, err = d.setAside(now)
	}
	if err != nil {
		return nil, setAside, err
	}
	return d, setAside, nil
}

// cacheKiB is SQLite's page cache for one connection.
const cacheKiB = 1024

func (d *DB) open() error {
	f, err := os.OpenFile(d.path, os.O_RDWR|os.O_CREATE, 0o600) // SQLite gives its helper files the same mode
	if err != nil {
		return fmt.Errorf("open the database: %w", classify(err))
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("open the database: %w", err)
	}
	dsn := func(mode string) string {
		return "file:" + (&url.URL{Path: d.path}).EscapedPath() + "?mode=" + mode +
			"&_txlock=immediate&_busy_timeout=5000&_journal_mode=WAL&_synchronous=NORMAL" +
			fmt.Sprintf("&_cache_size=-%d", cacheKiB)
	}
	if d.writer, err = sql.Open("sqlite3", dsn("rw")); err != nil {
		return fmt.Errorf("open the database: %w", err)
	}
	d.writer.SetMaxOpenConns(1)
	if d.reader, err = sql.Open("sqlite3", dsn("ro")); err != nil {
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
	for table, n := range map[string]*int64{"report": &d.lines, "outbox": &d.mails} {
		if err := d.writer.QueryRow("SELECT count(*) FROM " + table).Scan(n); err != nil {
			return classify(err)
		}
	}
	return nil
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
	return errors.Join(append(errs, d.reader.Close(), d.writer.Close())...)
}

// SetAside renames the damaged database and begins an empty one. It returns the
// new name of the old file. The caller then writes anew what it has in memory.
func (d *DB) SetAside(now time.Time) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.missing {
		_ = d.closeAll() // a damaged database may not close well; it is given up anyway
	}
	name, err := d.setAside(now)
	d.missing = err != nil
	return name, err
}

func (d *DB) setAside(now time.Time) (string, error) {
	name := d.path + ".damaged-" + now.UTC().Format("20060102T150405.000000Z")
	if err := os.Rename(d.path, name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("set the damaged database aside: %w", err)
	}
	for _, suffix := range []string{"-wal", "-shm"} {
		if err := os.Rename(d.path+suffix, name+suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return name, fmt.Errorf("set the damaged database aside: %w", err)
		}
	}
	return name, d.open()
}

// classify marks SQLite's errors with the ones that callers act on.
func classify(err error) error {
	var e sqlite3.Error
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return errors.Join(ErrFull, err)
	case errors.As(err, &e):
		switch e.Code {
		case sqlite3.ErrCorrupt, sqlite3.ErrNotADB, sqlite3.ErrFormat:
			return errors.Join(ErrDamaged, err)
		case sqlite3.ErrFull:
			return errors.Join(ErrFull, err)
		}
	}
	return err
}

// update runs f in one transaction.
func (d *DB) update(what string, f func(tx *Tx) error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.missing {
		return fmt.Errorf("%s: %w", what, ErrDamaged)
	}
	tx, err := d.writer.Begin()
	if err != nil {
		return fmt.Errorf("%s: %w", what, classify(err))
	}
	t := &Tx{db: d, tx: tx, lines: d.lines, mails: d.mails}
	if err := f(t); err != nil {
		_ = tx.Rollback() // the first error is the one to tell
		return fmt.Errorf("%s: %w", what, classify(err))
	}
	if err := tx.Commit(); err != nil {
		_ = tx.Rollback()
		return fmt.Errorf("%s: %w", what, classify(err))
	}
	d.lines, d.mails = t.lines, t.mails
	return nil
}

// Tx is one transaction.
type Tx struct {
	db           *DB
	tx           *sql.Tx
	lines, mails int64
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

// Lock takes the storage folder for this process until the returned function is called,
// or returns ErrLocked.
func Lock(storage string) (unlock func() error, err error) {
	if err := os.MkdirAll(storage, 0o700); err != nil {
		return nil, fmt.Errorf("make the storage folder: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(storage, "pyruse.lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the storage folder: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = ErrLocked
		}
		return nil, fmt.Errorf("lock the storage folder %s: %w", storage, errors.Join(err, f.Close()))
	}
	return f.Close, nil
}
