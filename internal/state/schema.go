package state

import "fmt"

// migrations are applied in order; the database remembers in user_version how many it has.
// What was released is never edited: a change is a new migration at the end.
var migrations = []string{
	`CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

	-- Times are microseconds since 1970 UTC; until 0 is for ever.
	CREATE TABLE bans (
		backend TEXT NOT NULL, name TEXT NOT NULL, addr TEXT NOT NULL,
		since INTEGER NOT NULL, until INTEGER NOT NULL, chain TEXT NOT NULL, step INTEGER NOT NULL,
		PRIMARY KEY (backend, name, addr)
	) WITHOUT ROWID;
	CREATE INDEX bans_until ON bans (until) WHERE until > 0;

	-- key: the type of the value and its text, as the counter table writes it.
	-- runs: pairs of varints, the end of some raises and their number.
	CREATE TABLE counters (
		category TEXT NOT NULL, key TEXT NOT NULL, runs BLOB NOT NULL, grace INTEGER NOT NULL,
		PRIMARY KEY (category, key)
	) WITHOUT ROWID;

	CREATE TABLE dnat (
		id INTEGER PRIMARY KEY, mapping TEXT NOT NULL, until INTEGER NOT NULL
	);

	CREATE TABLE report (
		id INTEGER PRIMARY KEY, level INTEGER NOT NULL, time INTEGER NOT NULL,
		message TEXT NOT NULL, details TEXT NOT NULL
	);

	CREATE TABLE outbox (
		id INTEGER PRIMARY KEY, message_id TEXT NOT NULL UNIQUE, data BLOB NOT NULL,
		created INTEGER NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,
		next_try INTEGER NOT NULL, last_error TEXT NOT NULL DEFAULT ''
	);
	CREATE INDEX outbox_next ON outbox (next_try);

	-- The event ids of Pyruse's own log lines that were processed.
	CREATE TABLE seen (id INTEGER PRIMARY KEY, event TEXT NOT NULL UNIQUE);`,

	`-- IDs are never used again, since others remember them.
	-- receivers: a JSON list of addresses; refused: one of objects with "address" and "reason".
	DROP INDEX outbox_next;
	ALTER TABLE outbox RENAME TO old_outbox;
	CREATE TABLE outbox (
		id INTEGER PRIMARY KEY AUTOINCREMENT, message_id TEXT NOT NULL UNIQUE, data BLOB NOT NULL,
		created INTEGER NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,
		next_try INTEGER NOT NULL, last_error TEXT NOT NULL DEFAULT '',
		subject TEXT NOT NULL DEFAULT '', sender TEXT NOT NULL DEFAULT '', receivers TEXT NOT NULL DEFAULT '[]',
		refused TEXT NOT NULL DEFAULT '[]', failed INTEGER NOT NULL DEFAULT 0
	);
	INSERT INTO outbox (id, message_id, data, created, attempts, next_try, last_error)
		SELECT id, message_id, data, created, attempts, next_try, last_error FROM old_outbox;
	DROP TABLE old_outbox;
	CREATE INDEX outbox_next ON outbox (next_try) WHERE failed = 0;

	-- What is to be mailed, and is in no mail yet; of some, only the number is kept. size: bytes of text, so that the
	-- index alone says what waits.
	CREATE TABLE notes (
		id INTEGER PRIMARY KEY, message_id TEXT NOT NULL UNIQUE, subject TEXT NOT NULL,
		text TEXT NOT NULL, time INTEGER NOT NULL, created INTEGER NOT NULL, size INTEGER NOT NULL
	);
	CREATE INDEX notes_subject ON notes (subject, id, created, size);
	CREATE TABLE counted_notes (subject TEXT PRIMARY KEY, n INTEGER NOT NULL) WITHOUT ROWID;

	-- message: its bytes from start on, length of them, are the MESSAGE of the entry; length 0: it is not known.
	ALTER TABLE report RENAME TO old_report;
	CREATE TABLE report (
		id INTEGER PRIMARY KEY AUTOINCREMENT, level INTEGER NOT NULL, time INTEGER NOT NULL,
		message TEXT NOT NULL, details TEXT NOT NULL,
		service TEXT NOT NULL DEFAULT '', unit TEXT NOT NULL DEFAULT '', start INTEGER NOT NULL DEFAULT 0,
		length INTEGER NOT NULL DEFAULT 0, acted INTEGER NOT NULL DEFAULT 0
	);
	INSERT INTO report (id, level, time, message, details) SELECT id, level, time, message, details FROM old_report;
	DROP TABLE old_report;

	-- The reports that were made. The lines of one are those from before "until" up to the id "up_to" that no
	-- report before it has; kept is how many of them are still there. A quiet one was not mailed. text and html
	-- are empty once they are forgotten.
	CREATE TABLE reports (
		id INTEGER PRIMARY KEY, since INTEGER NOT NULL, until INTEGER NOT NULL, up_to INTEGER NOT NULL, made INTEGER NOT NULL,
		lines INTEGER NOT NULL, kept INTEGER NOT NULL, quiet INTEGER NOT NULL, summary TEXT NOT NULL, message_id TEXT NOT NULL,
		text TEXT NOT NULL, html TEXT NOT NULL
	);

	CREATE TABLE ban_log (id INTEGER PRIMARY KEY, time INTEGER NOT NULL, addr TEXT NOT NULL, chain TEXT NOT NULL);
	CREATE INDEX ban_log_time ON ban_log (time);

	-- Numbers by hour; hour is its beginning in seconds since 1970 UTC.
	CREATE TABLE tally (
		hour INTEGER NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL, n INTEGER NOT NULL,
		PRIMARY KEY (hour, kind, name)
	) WITHOUT ROWID;

	-- The kinds of lines that reports have had. days: pairs of varints, a day and a number of lines.
	CREATE TABLE templates (
		service TEXT NOT NULL, text TEXT NOT NULL, days BLOB NOT NULL,
		PRIMARY KEY (service, text)
	) WITHOUT ROWID;`,
}

func (d *DB) migrate() error {
	var version int
	if err := d.writer.QueryRow("PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	if version > len(migrations) {
		return fmt.Errorf("it was written by a newer Pyruse (schema %d, this one knows %d): upgrade Pyruse, or move the file away",
			version, len(migrations))
	}
	for version < len(migrations) {
		var err error
		if version, err = d.migrateOnce(); err != nil {
			return err
		}
	}
	return nil
}

// migrateOnce applies the next migration, and returns the schema that the file has then. Boot mode and the daemon may both be at it, so
// which one is next is asked under the lock of the transaction.
func (d *DB) migrateOnce() (version int, err error) {
	tx, err := d.writer.Begin()
	if err != nil {
		return 0, err
	}
	defer func() {
		if err != nil {
			_ = tx.Rollback() // the first error is the one to tell
		}
	}()
	if err := tx.QueryRow("PRAGMA user_version").Scan(&version); err != nil {
		return 0, err
	}
	if version < len(migrations) {
		if _, err := tx.Exec(migrations[version] + fmt.Sprintf("; PRAGMA user_version = %d", version+1)); err != nil {
			return 0, fmt.Errorf("migrate to schema %d: %w", version+1, err)
		}
		version++
	}
	if err := tx.Commit(); err != nil {
		return 0, fmt.Errorf("migrate to schema %d: %w", version, err)
	}
	return version, nil
}
