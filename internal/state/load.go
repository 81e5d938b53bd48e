package state

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
)

// Cursor returns the journal cursor of the last committed batch, "" before the first one.
func (d *DB) Cursor() (string, error) { return d.meta("cursor") }

func (d *DB) meta(key string) (string, error) {
	var value string
	err := d.query(key, func(rows *sql.Rows) error { return rows.Scan(&value) }, "SELECT value FROM meta WHERE key = ?", key)
	return value, err
}

// query runs a read beside the writer and hands each row to scan.
func (d *DB) query(what string, scan func(*sql.Rows) error, query string, args ...any) (err error) {
	d.mu.Lock()
	reader := d.reader
	d.mu.Unlock()
	if reader == nil { // a full disk without a database: see openFull
		return nil
	}
	rows, err := reader.QueryContext(context.Background(), query, args...)
	if err != nil {
		return fmt.Errorf("read %s: %w", what, classify(err))
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return fmt.Errorf("read %s: %w", what, classify(err))
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read %s: %w", what, classify(err))
	}
	return nil
}

// Bans returns all remembered bans, those that have ended included until they are forgotten.
func (d *DB) Bans() ([]Ban, error) {
	var bans []Ban
	err := d.query("bans", func(rows *sql.Rows) error {
		var b Ban
		var addr string
		var since, until int64
		if err := rows.Scan(&b.Backend, &b.Set, &addr, &since, &until, &b.Chain, &b.Step); err != nil {
			return err
		}
		a, err := netip.ParseAddr(addr)
		if err != nil {
			return errors.Join(ErrDamaged, err)
		}
		b.Addr, b.Since, b.Until = a, fromMicros(since), fromMicros(until)
		bans = append(bans, b)
		return nil
	}, "SELECT backend, name, addr, since, until, chain, step FROM bans")
	return bans, err
}

// Counters hands all counters to yield.
func (d *DB) Counters(yield func(Counter)) error {
	return d.query("counters", func(rows *sql.Rows) error {
		var c Counter
		var runs []byte
		if err := rows.Scan(&c.Category, &c.Key, &runs, &c.Grace); err != nil {
			return err
		}
		for len(runs) > 0 {
			until, n := binary.Varint(runs)
			count, m := binary.Varint(runs[max(n, 0):])
			if n <= 0 || m <= 0 {
				return fmt.Errorf("counter %q of %q: %w", c.Key, c.Category, ErrDamaged)
			}
			c.Runs = append(c.Runs, Run{until, count})
			runs = runs[n+m:]
		}
		yield(c)
		return nil
	}, "SELECT category, key, runs, grace FROM counters")
}

// DNAT hands all remembered mappings to yield, oldest first.
func (d *DB) DNAT(yield func(DNAT)) error {
	return d.query("DNAT mappings", func(rows *sql.Rows) error {
		var x DNAT
		var until int64
		if err := rows.Scan(&x.ID, &x.Mapping, &until); err != nil {
			return err
		}
		x.Until = fromMicros(until)
		yield(x)
		return nil
	}, "SELECT id, mapping, until FROM dnat ORDER BY id")
}

// Seen returns the event ids of own log lines that were processed, the oldest first.
func (d *DB) Seen() ([]string, error) {
	var seen []string
	err := d.query("event ids", func(rows *sql.Rows) error {
		var id string
		if err := rows.Scan(&id); err != nil {
			return err
		}
		seen = append(seen, id)
		return nil
	}, "SELECT event FROM seen ORDER BY id")
	return seen, err
}
