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
	for ; version < len(migrations); version++ {
		tx, err := d.writer.Begin()
		if err != nil {
			return err
		}
		if _, err := tx.Exec(migrations[version] + fmt.Sprintf("; PRAGMA user_version = %d", version+1)); err != nil {
			_ = tx.Rollback() // the first error is the one to tell
			return fmt.Errorf("migrate to schema %d: %w", version+1, err)
		}
		if err := tx.Commit(); err != nil {
			return fmt.Errorf("migrate to schema %d: %w", version+1, err)
		}
	}
	return nil
}
