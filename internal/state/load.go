package state

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"
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

// NextMail returns the mail that is to be tried next, due or not; ok is false when the outbox is empty.
func (d *DB) NextMail() (m Mail, ok bool, err error) {
	list, err := d.mail("ORDER BY next_try, id LIMIT 1")
	if err != nil || len(list) == 0 {
		return Mail{}, false, err
	}
	return list[0], true, nil
}

func (d *DB) mail(where string, args ...any) ([]Mail, error) {
	var list []Mail
	err := d.query("outbox", func(rows *sql.Rows) error {
		var m Mail
		var created, next int64
		if err := rows.Scan(&m.ID, &m.MessageID, &m.Data, &created, &m.Attempts, &next, &m.LastError); err != nil {
			return err
		}
		m.Created, m.NextTry = fromMicros(created), fromMicros(next)
		list = append(list, m)
		return nil
	}, "SELECT id, message_id, data, created, attempts, next_try, last_error FROM outbox "+where, args...)
	return list, err
}

// MailSent removes a mail from the outbox.
func (d *DB) MailSent(id int64) error {
	return d.update("note a sent mail", func(tx *Tx) error {
		n, err := tx.exec("DELETE FROM outbox WHERE id = ?", id)
		tx.mails -= n
		return err
	})
}

// MailFailed notes that a mail was tried in vain, and when it is to be tried next.
func (d *DB) MailFailed(id int64, attempts int, next time.Time, reason string) error {
	return d.update("note a failed mail", func(tx *Tx) error {
		_, err := tx.exec("UPDATE outbox SET attempts = ?, next_try = ?, last_error = ? WHERE id = ?",
			attempts, micros(next), reason, id)
		return err
	})
}

// ReportLines hands the lines from before a point in time to yield, in the order of their times, until
// there are no more or yield returns false. upTo marks the newest line that there was then.
func (d *DB) ReportLines(before time.Time, yield func(ReportLine) bool) (upTo int64, err error) {
	err = d.query("report lines", func(rows *sql.Rows) error { return rows.Scan(&upTo) }, "SELECT coalesce(max(id), 0) FROM report")
	if err != nil {
		return 0, err
	}
	err = d.query("report lines", func(rows *sql.Rows) error {
		var l ReportLine
		var usec int64
		if err := rows.Scan(&l.Level, &usec, &l.Message, &l.Details); err != nil {
			return err
		}
		l.Time = time.UnixMicro(usec)
		if !yield(l) {
			return errStop
		}
		return nil
	}, "SELECT level, time, message, details FROM report WHERE time < ? AND id <= ? ORDER BY time, id", micros(before), upTo)
	if errors.Is(err, errStop) {
		err = nil
	}
	return upTo, err
}

// errStop ends a query early.
var errStop = errors.New("stop")

// LastReport returns up to when reports were closed; the zero time: never.
func (d *DB) LastReport() (time.Time, error) {
	text, err := d.meta("last_report")
	if err != nil || text == "" {
		return time.Time{}, err
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}, fmt.Errorf("read the time of the last report: %w", errors.Join(ErrDamaged, err))
	}
	return t, nil
}

// CloseReport ends a report in one transaction: the lines from before that time, up to the mark, leave,
// and the mail with them, if there is one, goes into the outbox.
func (d *DB) CloseReport(before time.Time, upTo int64, m *Mail) error {
	return d.update("close the report", func(tx *Tx) error {
		n, err := tx.exec("DELETE FROM report WHERE time < ? AND id <= ?", micros(before), upTo)
		if err != nil {
			return err
		}
		tx.lines -= n
		if m != nil {
			if err := tx.addMail(m); err != nil {
				return err
			}
		}
		_, err = tx.exec(putMeta, "last_report", before.UTC().Format(time.RFC3339Nano))
		return err
	})
}
