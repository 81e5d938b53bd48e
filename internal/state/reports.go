package state

import (
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// covered returns the condition that a line is in one of some reports. There is nearly always one report that has all that the
// ones before it have; only after the clock was wrong there are more.
func covered(reports []Report) string {
	var terms []string
	rest := append([]Report(nil), reports...)
	for len(rest) > 0 {
		last := rest[0]
		for _, r := range rest {
			if r.Until.After(last.Until) || r.Until.Equal(last.Until) && r.UpTo > last.UpTo {
				last = r
			}
		}
		terms = append(terms, "time < "+strconv.FormatInt(micros(last.Until), 10)+" AND id <= "+strconv.FormatInt(last.UpTo, 10))
		further := rest[:0]
		for _, r := range rest {
			if r.UpTo > last.UpTo {
				further = append(further, r)
			}
		}
		rest = further
	}
	if terms == nil {
		return "0"
	}
	return strings.Join(terms, " OR ")
}

// querier is what reads: the reader, the writer, or a transaction.
type querier interface {
	Query(query string, args ...any) (*sql.Rows, error)
}

// pending returns the condition that a line is in no report yet.
func (d *DB) pending(q querier) (condition string, err error) {
	rows, err := q.Query("SELECT until, up_to FROM reports")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	var reports []Report
	for rows.Next() {
		var until, upTo int64
		if err := rows.Scan(&until, &upTo); err != nil {
			return "", err
		}
		reports = append(reports, Report{Until: time.UnixMicro(until), UpTo: upTo})
	}
	return "NOT (" + covered(reports) + ")", rows.Err()
}

// Reports returns the reports that were made and are not forgotten, without their texts, the oldest first.
func (d *DB) Reports() ([]Report, error) { return d.reports("'', ''", "ORDER BY id") }

// ReportText returns a report with its texts; ok is false if it is forgotten.
func (d *DB) ReportText(id int64) (r Report, ok bool, err error) {
	list, err := d.reports("text, html", "WHERE id = ?", id)
	if err != nil || len(list) == 0 {
		return Report{}, false, err
	}
	return list[0], true, nil
}

func (d *DB) reports(texts, where string, args ...any) ([]Report, error) {
	var list []Report
	err := d.query("reports", func(rows *sql.Rows) error {
		var r Report
		var since, until, made int64
		err := rows.Scan(&r.ID, &since, &until, &r.UpTo, &made, &r.Lines, &r.Kept, &r.Quiet, &r.Summary, &r.MessageID, &r.Text, &r.HTML)
		r.Since, r.Until, r.Made = fromMicros(since), time.UnixMicro(until), fromMicros(made)
		list = append(list, r)
		return err
	}, "SELECT id, since, until, up_to, made, lines, kept, quiet, summary, message_id, "+texts+" FROM reports "+where, args...)
	return list, err
}

// ReportLines hands the lines from before a point in time that are in no report yet to yield, in no order, until
// there are no more or yield returns false. upTo marks the newest line that there was then.
func (d *DB) ReportLines(before time.Time, yield func(ReportLine) bool) (upTo int64, err error) {
	reports, err := d.Reports()
	if err != nil {
		return 0, err
	}
	if err := d.query("report lines", func(rows *sql.Rows) error { return rows.Scan(&upTo) }, "SELECT coalesce(max(id), 0) FROM report"); err != nil {
		return 0, err
	}
	return upTo, d.lineRows(yield, "WHERE time < ? AND id <= ? AND NOT ("+covered(reports)+")", micros(before), upTo)
}

// PendingLines hands all lines that are in no report yet to yield, in the order of their times.
func (d *DB) PendingLines(yield func(ReportLine) bool) error {
	reports, err := d.Reports()
	if err != nil {
		return err
	}
	return d.lineRows(yield, "WHERE NOT ("+covered(reports)+") ORDER BY time, id")
}

// LinesOfReport hands the lines of a report that are still there to yield, in the order of their times.
func (d *DB) LinesOfReport(r Report, yield func(ReportLine) bool) error {
	reports, err := d.Reports()
	if err != nil {
		return err
	}
	return d.lineRows(yield, "WHERE "+inReport(r, reports)+" ORDER BY time, id")
}

// inReport returns the condition that a line is in one report.
func inReport(r Report, all []Report) string {
	var before []Report
	for _, x := range all {
		if x.ID < r.ID {
			before = append(before, x)
		}
	}
	return "(" + covered([]Report{r}) + ") AND NOT (" + covered(before) + ")"
}

// LinesBetween hands all lines of a time that are still there to yield, whether they were reported or not, in the
// order of their times.
func (d *DB) LinesBetween(since, until time.Time, yield func(ReportLine) bool) error {
	return d.lineRows(yield, "WHERE time >= ? AND time < ? ORDER BY time, id", micros(since), micros(until))
}

func (d *DB) lineRows(yield func(ReportLine) bool, where string, args ...any) error {
	err := d.query("report lines", func(rows *sql.Rows) error {
		var l ReportLine
		var usec int64
		if err := rows.Scan(&l.ID, &l.Level, &usec, &l.Message, &l.Details, &l.Service, &l.Unit, &l.Start, &l.Length, &l.Acted); err != nil {
			return err
		}
		l.Time = time.UnixMicro(usec)
		if l.Start < 0 || l.Length < 0 || l.Start > len(l.Message)-l.Length {
			l.Start, l.Length = 0, 0
		}
		if !yield(l) {
			return errStop
		}
		return nil
	}, "SELECT id, level, time, message, details, service, unit, start, length, acted FROM report "+where, args...)
	if errors.Is(err, errStop) {
		return nil
	}
	return err
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

// Closing is the end of a report.
type Closing struct {
	Report    Report     // its ID is given by the database
	Mail      *Mail      // nil: it is not mailed
	Templates []Template // to be put or replaced
	Forget    []Template // to be removed
}

// CloseReport ends a report in one transaction: its lines are reported now, its mail goes into the outbox, and what it
// has learnt is remembered.
func (d *DB) CloseReport(c *Closing) error {
	return d.update("close the report", func(tx *Tx) error {
		r := &c.Report
		_, err := tx.exec(`INSERT INTO reports (since, until, up_to, made, lines, kept, quiet, summary, message_id, text, html)
			VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6, ?7, ?8, ?9, ?10)`,
			micros(r.Since), micros(r.Until), r.UpTo, micros(r.Made), r.Lines, r.Quiet, r.Summary, r.MessageID, r.Text, r.HTML)
		if err != nil {
			return err
		}
		tx.lines -= int64(r.Lines)
		if c.Mail != nil {
			if err := tx.addMail(c.Mail); err != nil {
				return err
			}
		}
		if err := tx.putTemplates(c); err != nil {
			return err
		}
		_, err = tx.exec(putMeta, "last_report", r.Until.UTC().Format(time.RFC3339Nano))
		return err
	})
}

func (t *Tx) putTemplates(c *Closing) error {
	for _, x := range c.Forget {
		if _, err := t.exec("DELETE FROM templates WHERE service = ? AND text = ?", x.Service, x.Text); err != nil {
			return err
		}
	}
	var days []byte
	for _, x := range c.Templates {
		days = days[:0]
		for _, y := range x.Days {
			days = binary.AppendVarint(binary.AppendVarint(days, int64(y.Day)), y.Count)
		}
		if _, err := t.exec("INSERT OR REPLACE INTO templates (service, text, days) VALUES (?, ?, ?)", x.Service, x.Text, days); err != nil {
			return err
		}
	}
	return nil
}

// Templates returns the kinds of lines that reports have had, sorted.
func (d *DB) Templates() ([]Template, error) {
	var list []Template
	err := d.query("templates", func(rows *sql.Rows) error {
		var x Template
		var days []byte
		if err := rows.Scan(&x.Service, &x.Text, &days); err != nil {
			return err
		}
		for len(days) > 0 {
			day, n := binary.Varint(days)
			count, m := binary.Varint(days[max(n, 0):])
			if n <= 0 || m <= 0 {
				return fmt.Errorf("template %q: %w", x.Text, ErrDamaged)
			}
			x.Days = append(x.Days, DayCount{int(day), count})
			days = days[n+m:]
		}
		list = append(list, x)
		return nil
	}, "SELECT service, text, days FROM templates ORDER BY service, text")
	return list, err
}

// BanEvents hands the bans of a time to yield, the oldest first.
func (d *DB) BanEvents(since, until time.Time, yield func(BanEvent)) error {
	return d.query("the log of bans", func(rows *sql.Rows) error {
		var x BanEvent
		var usec int64
		var addr string
		if err := rows.Scan(&usec, &addr, &x.Chain); err != nil {
			return err
		}
		a, err := netip.ParseAddr(addr)
		if err != nil {
			return errors.Join(ErrDamaged, err)
		}
		x.Time, x.Addr = time.UnixMicro(usec), a
		yield(x)
		return nil
	}, "SELECT time, addr, chain FROM ban_log WHERE time >= ? AND time < ? ORDER BY time, id", micros(since), micros(until))
}

// Tally hands what was counted in the hours that begin in a time to yield, in the order of the hours.
func (d *DB) Tally(since, until time.Time, yield func(TallyKey, int64)) error {
	return d.query("numbers", func(rows *sql.Rows) error {
		var k TallyKey
		var n int64
		if err := rows.Scan(&k.Hour, &k.Kind, &k.Name, &n); err != nil {
			return err
		}
		yield(k, n)
		return nil
	}, "SELECT hour, kind, name, n FROM tally WHERE hour >= ? AND hour < ? ORDER BY hour, kind, name", since.Unix(), until.Unix())
}

// Keep says what of the past is kept. What is older, or too much, is forgotten by Prune.
type Keep struct {
	Reports time.Time // reports that end later, with their lines
	Memory  time.Time // numbers and bans from later
}

// pruneRows bounds the rows that one transaction removes, since nobody else can commit meanwhile.
const pruneRows = 5_000

// Prune forgets what is not to be kept: in many short transactions, so that it holds nobody up. Of the lines that were
// reported, not more are kept than may wait for a report (Limits.ReportLines).
func (d *DB) Prune(k Keep) error {
	reports, err := d.Reports()
	if err != nil {
		return err
	}
	d.mu.Lock()
	room := d.limits.ReportLines
	d.mu.Unlock()
	for i := len(reports) - 1; i >= 0; i-- {
		r := reports[i]
		room -= int64(r.Kept)
		if room < 0 || r.Until.Before(k.Reports) {
			if err := d.forgetLines(r, reports); err != nil {
				return err
			}
		}
	}
	if err := d.pruneRows("tally", "(hour, kind, name) IN (SELECT hour, kind, name FROM tally WHERE hour < ? LIMIT ?)", k.Memory.Unix()); err != nil {
		return err
	}
	if err := d.pruneRows("ban_log", "id IN (SELECT id FROM ban_log WHERE time < ? LIMIT ?)", micros(k.Memory)); err != nil {
		return err
	}
	oldest := k.Reports
	if k.Memory.Before(oldest) {
		oldest = k.Memory
	}
	return d.update("forget old reports", func(tx *Tx) error {
		if _, err := tx.exec("UPDATE reports SET text = '', html = '' WHERE until < ? AND text != ''", micros(k.Reports)); err != nil {
			return err
		}
		// The newest one says which lines were reported.
		_, err := tx.exec("DELETE FROM reports WHERE until < ? AND kept = 0 AND id < (SELECT max(id) FROM reports)", micros(oldest))
		return err
	})
}

// forgetLines removes the lines of a report.
func (d *DB) forgetLines(r Report, all []Report) error {
	if r.Kept == 0 {
		return nil
	}
	condition := inReport(r, all)
	if err := d.pruneRows("report", "id IN (SELECT id FROM report WHERE "+condition+" LIMIT ?)"); err != nil {
		return err
	}
	return d.update("forget the lines of a report", func(tx *Tx) error {
		_, err := tx.exec("UPDATE reports SET kept = 0 WHERE id = ?", r.ID)
		return err
	})
}

// pruneRows removes rows of a table until there are no more; the last argument of the condition is how many at once.
func (d *DB) pruneRows(table, condition string, args ...any) error {
	for {
		var n int64
		err := d.update("forget what is old", func(tx *Tx) error {
			var err error
			n, err = tx.exec("DELETE FROM "+table+" WHERE "+condition, append(args, pruneRows)...)
			if table == "ban_log" {
				tx.banned -= n
			}
			return err
		})
		if err != nil || n < pruneRows {
			return err
		}
	}
}
