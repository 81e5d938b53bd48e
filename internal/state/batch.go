package state

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"time"
)

// Counter is one counter of a category.
type Counter struct {
	Category string
	Key      string // the type and the text of the key
	Runs     []Run  // empty: nothing is counted any more
	Grace    int64  // raises before this time (microseconds since 1970) do not count; 0: no grace
}

// Run is a number of raises that end together.
type Run struct {
	Until int64 // microseconds since 1970; Forever: they do not end
	N     int64
}

// Forever is the Until of raises without an end.
const Forever = int64(1<<63 - 1)

// DNAT is one remembered DNAT mapping.
type DNAT struct {
	ID      int64  // given by the DNAT table, rising with time
	Mapping string // as the DNAT table writes it
	Until   time.Time
}

// BanKey says which ban is meant.
type BanKey struct {
	Backend, Set string
	Addr         netip.Addr
}

// Key returns the key of the ban.
func (b Ban) Key() BanKey { return BanKey{b.Backend, b.Set, b.Addr} }

// Batch is everything that a batch of entries changed. It is committed as a whole, or not at all.
type Batch struct {
	Cursor       string // the last entry of the batch; "" leaves the cursor as it is
	Bans         []Ban  // put or replaced
	Unbans       []BanKey
	Counters     []Counter // put or replaced; deleted where nothing is left
	DNAT         []DNAT    // put
	ForgetDNAT   []int64   // deleted
	Report       []ReportLine
	Notes        []Note
	CountedNotes map[string]int64 // by subject: notes of which only the number is kept
	Banned       []BanEvent
	Tally        map[TallyKey]int64 // added to what was counted before
	Seen         []string           // event ids of own log lines
	ForgetBefore time.Time          // bans that ended before are deleted; zero: none
}

// Empty reports whether the batch changes nothing but the cursor and the numbers by hour.
func (b *Batch) Empty() bool {
	return len(b.Bans)+len(b.Unbans)+len(b.Counters)+len(b.DNAT)+len(b.ForgetDNAT)+len(b.Report)+len(b.Notes)+len(b.CountedNotes)+
		len(b.Banned)+len(b.Seen) == 0 && b.ForgetBefore.IsZero()
}

// Result tells what a commit had to leave out because a bound was reached.
type Result struct {
	DroppedLines int
}

// SeenKept is how many event ids of own log lines are remembered. A line can only be
// repeated by a restart, and at most as many as were written since the last commit before it.
const SeenKept = 50_000

const (
	putMeta       = "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2"
	putBan        = "INSERT OR REPLACE INTO bans (backend, name, addr, since, until, chain, step) VALUES (?, ?, ?, ?, ?, ?, ?)"
	deleteBan     = "DELETE FROM bans WHERE backend = ? AND name = ? AND addr = ?"
	expireBans    = "DELETE FROM bans WHERE until > 0 AND until < ?"
	putCounter    = "INSERT OR REPLACE INTO counters (category, key, runs, grace) VALUES (?, ?, ?, ?)"
	deleteCounter = "DELETE FROM counters WHERE category = ? AND key = ?"
	putDNAT       = "INSERT OR REPLACE INTO dnat (id, mapping, until) VALUES (?, ?, ?)"
	deleteDNAT    = "DELETE FROM dnat WHERE id = ?"
	putLine       = "INSERT INTO report (level, time, message, details, service, unit, start, length, acted) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
	putNote       = "INSERT INTO notes (message_id, subject, text, time, created, size) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (message_id) DO NOTHING"
	countNote     = "INSERT INTO counted_notes (subject, n) VALUES (?1, ?2) ON CONFLICT (subject) DO UPDATE SET n = n + ?2"
	putBanned     = "INSERT INTO ban_log (time, addr, chain) VALUES (?, ?, ?)"
	putTally      = "INSERT INTO tally (hour, kind, name, n) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (hour, kind, name) DO UPDATE SET n = n + ?4"
	putMaximum    = "INSERT INTO tally (hour, kind, name, n) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (hour, kind, name) DO UPDATE SET n = max(n, ?4)"
	putSeen       = "INSERT INTO seen (event) VALUES (?) ON CONFLICT (event) DO NOTHING"
)

var hotStatements = []string{
	putMeta, putBan, deleteBan, expireBans, putCounter, deleteCounter, putDNAT, deleteDNAT, putLine, putNote, countNote, putBanned,
	putTally, putMaximum, putSeen,
}

// Commit writes the batch in one transaction.
func (d *DB) Commit(b *Batch) (Result, error) {
	return d.write("commit", b, func(*Tx) error { return nil })
}

// write commits the batch together with what also does.
func (d *DB) write(what string, b *Batch, also func(*Tx) error) (Result, error) {
	var dropped Result
	err := d.update(what, func(tx *Tx) error {
		dropped = Result{} // of this try
		return errors.Join(
			tx.putBans(b),
			tx.putCounters(b.Counters),
			tx.putDNAT(b),
			tx.putLines(b.Report, &dropped),
			tx.putNotes(b.Notes, b.CountedNotes),
			tx.putBanned(b.Banned),
			tx.putTally(b.Tally),
			tx.putSeen(b.Seen),
			tx.putCursor(b.Cursor),
			also(tx),
		)
	})
	return dropped, err
}

func (t *Tx) putBans(b *Batch) error {
	for i := range b.Bans {
		x := &b.Bans[i]
		if _, err := t.exec(putBan, x.Backend, x.Set, x.Addr.String(), micros(x.Since), micros(x.Until), x.Chain, x.Step); err != nil {
			return err
		}
	}
	for _, k := range b.Unbans {
		if _, err := t.exec(deleteBan, k.Backend, k.Set, k.Addr.String()); err != nil {
			return err
		}
	}
	if b.ForgetBefore.IsZero() {
		return nil
	}
	_, err := t.exec(expireBans, micros(b.ForgetBefore))
	return err
}

func (t *Tx) putCounters(counters []Counter) error {
	runs := []byte{} // nil would be NULL
	for i := range counters {
		c := &counters[i]
		if len(c.Runs) == 0 && c.Grace == 0 {
			if _, err := t.exec(deleteCounter, c.Category, c.Key); err != nil {
				return err
			}
			continue
		}
		runs = runs[:0]
		for _, r := range c.Runs {
			runs = binary.AppendVarint(binary.AppendVarint(runs, r.Until), r.N)
		}
		if _, err := t.exec(putCounter, c.Category, c.Key, runs, c.Grace); err != nil {
			return err
		}
	}
	return nil
}

func (t *Tx) putDNAT(b *Batch) error {
	for _, x := range b.DNAT {
		if _, err := t.exec(putDNAT, x.ID, x.Mapping, micros(x.Until)); err != nil {
			return err
		}
	}
	for _, id := range b.ForgetDNAT {
		if _, err := t.exec(deleteDNAT, id); err != nil {
			return err
		}
	}
	return nil
}

func (t *Tx) putLines(lines []ReportLine, dropped *Result) error {
	for i := range lines {
		if t.lines >= t.db.limits.ReportLines {
			dropped.DroppedLines = len(lines) - i
			return nil
		}
		l := &lines[i]
		if _, err := t.exec(putLine, l.Level, micros(l.Time), l.Message, l.Details, l.Service, l.Unit, l.Start, l.Length, l.Acted); err != nil {
			return err
		}
		t.lines++
	}
	return nil
}

// maxBanLog bounds the bans of which the reports know each. Beyond it they are only counted, by hour and chain.
const maxBanLog = 200_000

func (t *Tx) putBanned(events []BanEvent) error {
	for i := range events {
		if t.banned >= maxBanLog {
			return nil
		}
		x := &events[i]
		if _, err := t.exec(putBanned, micros(x.Time), x.Addr.String(), x.Chain); err != nil {
			return err
		}
		t.banned++
	}
	return nil
}

func (t *Tx) putTally(tally map[TallyKey]int64) error {
	for k, n := range tally {
		query := putTally
		if k.Kind == TallyLag {
			query = putMaximum
		}
		if _, err := t.exec(query, k.Hour, k.Kind, k.Name, n); err != nil {
			return err
		}
	}
	return nil
}

func (t *Tx) putSeen(events []string) error {
	if len(events) == 0 {
		return nil
	}
	for _, e := range events {
		if _, err := t.exec(putSeen, e); err != nil {
			return err
		}
	}
	_, err := t.exec("DELETE FROM seen WHERE id <= (SELECT max(id) FROM seen) - ?", SeenKept)
	return err
}

func (t *Tx) putCursor(cursor string) error {
	if cursor == "" {
		return nil
	}
	_, err := t.exec(putMeta, "cursor", cursor)
	return err
}

// micros returns t as it stands in the database: microseconds since 1970, 0 for the zero time.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(usec int64) time.Time {
	if usec == 0 {
		return time.Time{}
	}
	return time.UnixMicro(usec)
}
