package state

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

const (
	// maxNotes and maxNoteBytes bound the notes of one subject whose texts are kept, and the bytes of these: more than that is in no
	// mail. Of further ones, only the number is kept.
	maxNotes     = 1_000
	maxNoteBytes = 1 << 20
	// maxFailed bounds the mails that are kept although they were given up.
	maxFailed = 1_000
)

// ErrOutboxFull means that as many mails wait as may wait (Limits.Outbox).
var ErrOutboxFull = errors.New("too many mails wait to be sent (limits.outbox)")

// putNotes keeps notes with their texts as far as the bounds allow, and counts the others. One that is there already is the same.
func (t *Tx) putNotes(notes []Note, counted map[string]int64) error {
	kept := map[string]*noteRoom{}
	for i := range notes {
		x := &notes[i]
		room := kept[x.Subject]
		if room == nil {
			room = new(noteRoom)
			row := t.tx.QueryRow("SELECT count(*), coalesce(sum(size), 0) FROM notes WHERE subject = ?", x.Subject)
			if err := row.Scan(&room.notes, &room.bytes); err != nil {
				return err
			}
			kept[x.Subject] = room
		}
		if err := t.putNote(x, room); err != nil {
			return err
		}
	}
	for subject, n := range counted {
		if _, err := t.exec(countNote, subject, n); err != nil {
			return err
		}
	}
	return nil
}

// noteRoom is what is kept of one subject.
type noteRoom struct{ notes, bytes int64 }

// putNote keeps a note, or counts it if there is no room. The text of a first one is kept however long it is.
func (t *Tx) putNote(x *Note, room *noteRoom) error {
	size := int64(len(x.Text))
	if room.notes >= maxNotes || room.notes > 0 && room.bytes+size > maxNoteBytes {
		_, err := t.exec(countNote, x.Subject, 1)
		return err
	}
	n, err := t.exec(putNote, x.MessageID, x.Subject, x.Text, micros(x.Time), micros(x.Created), size)
	room.notes += n
	room.bytes += n * size
	return err
}

// NoteGroup is what waits under one subject.
type NoteGroup struct {
	Subject string
	Kept    int       // notes whose texts are kept
	Counted int64     // further ones, of which only the number is known
	First   int64     // the ID of the first one, 0 if none is kept
	Last    int64     // the ID of the last one, likewise
	Since   time.Time // when the first one was noted, the zero time if none is kept
}

// NoteGroups returns what waits to become mails, in the order of the first note of each.
func (d *DB) NoteGroups() ([]NoteGroup, error) {
	var list []NoteGroup
	err := d.query("notes", func(rows *sql.Rows) error {
		var g NoteGroup
		var since int64
		if err := rows.Scan(&g.Subject, &g.Kept, &g.First, &g.Last, &since, &g.Counted); err != nil {
			return err
		}
		g.Since = fromMicros(since)
		list = append(list, g)
		return nil
	}, `SELECT subject, count(*), min(id), max(id), min(created), coalesce((SELECT n FROM counted_notes c WHERE c.subject = notes.subject), 0)
		FROM notes GROUP BY subject
		UNION ALL SELECT subject, 0, 0, 0, 0, n FROM counted_notes WHERE subject NOT IN (SELECT subject FROM notes)
		ORDER BY 3, 1`)
	return list, err
}

// Notes hands the notes of a subject, up to an ID, to yield, the oldest first, until there are no more or yield returns false.
func (d *DB) Notes(subject string, upTo int64, yield func(Note) bool) error {
	err := d.query("notes", func(rows *sql.Rows) error {
		n := Note{Subject: subject}
		var usec, created int64
		if err := rows.Scan(&n.ID, &n.MessageID, &n.Text, &usec, &created); err != nil {
			return err
		}
		n.Time, n.Created = time.UnixMicro(usec), fromMicros(created)
		if !yield(n) {
			return errStop
		}
		return nil
	}, "SELECT id, message_id, text, time, created FROM notes WHERE subject = ? AND id <= ? ORDER BY id", subject, upTo)
	if errors.Is(err, errStop) {
		return nil
	}
	return err
}

// Posting makes a mail of notes.
type Posting struct {
	Mail  Mail
	Notes []NoteGroup // those that are in it: up to Last each, and so many of those that were counted
	Gate  string      // what is to be remembered of it: see DB.Gate
}

// Post makes a mail of notes, in one transaction. It returns ErrOutboxFull, and changes nothing, if too many mails wait.
func (d *DB) Post(p *Posting) error {
	return d.update("put a mail into the outbox", func(tx *Tx) error {
		var waiting int64
		if err := tx.tx.QueryRow("SELECT count(*) FROM outbox WHERE failed = 0").Scan(&waiting); err != nil {
			return err
		}
		if waiting >= d.limits.Outbox {
			return ErrOutboxFull
		}
		if err := tx.addMail(&p.Mail); err != nil {
			return err
		}
		for _, g := range p.Notes {
			if _, err := tx.exec("DELETE FROM notes WHERE subject = ? AND id <= ?", g.Subject, g.Last); err != nil {
				return err
			}
			if g.Counted == 0 {
				continue
			}
			if _, err := tx.exec("UPDATE counted_notes SET n = n - ? WHERE subject = ?", g.Counted, g.Subject); err != nil {
				return err
			}
			if _, err := tx.exec("DELETE FROM counted_notes WHERE subject = ? AND n <= 0", g.Subject); err != nil {
				return err
			}
		}
		_, err := tx.exec(putMeta, "mail_gate", p.Gate)
		return err
	})
}

// Gate returns what the last Posting wanted to be remembered, "" if there was none.
func (d *DB) Gate() (string, error) { return d.meta("mail_gate") }

// addMail puts a mail into the outbox, unless one with its Message-ID is there already.
func (t *Tx) addMail(m *Mail) error {
	receivers, err := json.Marshal(m.To)
	if err != nil {
		return err
	}
	_, err = t.exec(`INSERT INTO outbox (message_id, data, created, next_try, subject, sender, receivers) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (message_id) DO NOTHING`,
		m.MessageID, m.Data, micros(m.Created), micros(m.NextTry), m.Subject, m.From, receivers)
	return err
}

// AddMail puts a mail into the outbox, whatever the limits say: for those who make few.
func (d *DB) AddMail(m *Mail) error {
	return d.update("put a mail into the outbox", func(tx *Tx) error { return tx.addMail(m) })
}

// NextMail returns the mail that is to be tried next, due or not; ok is false when there is none.
func (d *DB) NextMail() (m Mail, ok bool, err error) {
	list, err := d.mail("data", "WHERE failed = 0 ORDER BY next_try, id LIMIT 1")
	if err != nil || len(list) == 0 {
		return Mail{}, false, err
	}
	return list[0], true, nil
}

// Mail returns a mail of the outbox; ok is false if it is not there.
func (d *DB) Mail(id int64) (m Mail, ok bool, err error) {
	list, err := d.mail("data", "WHERE id = ?", id)
	if err != nil || len(list) == 0 {
		return Mail{}, false, err
	}
	return list[0], true, nil
}

// Mails returns the mails of the outbox without their Data, in the order in which they came, those that were given up included.
func (d *DB) Mails() ([]Mail, error) { return d.mail("NULL", "ORDER BY id") }

// mailColumns are what scanMail reads, behind the data.
const mailColumns = `, length(data), id, message_id, created, attempts, next_try, last_error, subject, sender, receivers, refused, failed FROM outbox `

func (d *DB) mail(data, where string, args ...any) ([]Mail, error) {
	var list []Mail
	err := d.query("outbox", func(rows *sql.Rows) error {
		m, err := scanMail(rows)
		list = append(list, m)
		return err
	}, "SELECT "+data+mailColumns+where, args...)
	return list, err
}

func scanMail(row interface{ Scan(into ...any) error }) (Mail, error) {
	var m Mail
	var created, next, failed int64
	var receivers, refused []byte
	err := row.Scan(&m.Data, &m.Size, &m.ID, &m.MessageID, &created, &m.Attempts, &next, &m.LastError,
		&m.Subject, &m.From, &receivers, &refused, &failed)
	if err != nil {
		return m, err
	}
	if err := errors.Join(json.Unmarshal(receivers, &m.To), json.Unmarshal(refused, &m.Refused)); err != nil {
		return m, fmt.Errorf("mail %d: %w: %w", m.ID, ErrDamaged, err)
	}
	m.Created, m.NextTry, m.Failed = fromMicros(created), fromMicros(next), fromMicros(failed)
	return m, nil
}

// MailSent removes a mail from the outbox. One that is not there is no error.
func (d *DB) MailSent(id int64) error {
	_, err := d.DropMail(id)
	return err
}

// DropMail removes a mail from the outbox. There is false if it is not there.
func (d *DB) DropMail(id int64) (there bool, err error) {
	err = d.update("remove a mail", func(tx *Tx) error {
		n, err := tx.exec("DELETE FROM outbox WHERE id = ?", id)
		there = n > 0
		return err
	})
	return there, err
}

// MailTried notes what became of a try: all but the message itself is taken over from m. The oldest of too many mails that
// were given up are forgotten.
func (d *DB) MailTried(m Mail) error {
	return d.update("note a failed mail", func(tx *Tx) error { return tx.mailTried(m) })
}

func (t *Tx) mailTried(m Mail) error {
	receivers, err := json.Marshal(m.To)
	if err != nil {
		return err
	}
	refused, err := json.Marshal(m.Refused)
	if err != nil {
		return err
	}
	_, err = t.exec("UPDATE outbox SET attempts = ?, next_try = ?, last_error = ?, receivers = ?, refused = ?, created = ?, failed = ? WHERE id = ?",
		m.Attempts, micros(m.NextTry), m.LastError, receivers, refused, micros(m.Created), micros(m.Failed), m.ID)
	if err != nil || m.Failed.IsZero() {
		return err
	}
	_, err = t.exec(`DELETE FROM outbox WHERE id IN
		(SELECT id FROM outbox WHERE failed > 0 ORDER BY failed DESC, id DESC LIMIT -1 OFFSET ?)`, maxFailed)
	return err
}

// ReviseMail puts what f makes of a mail into its place, without its message, which stays. There is false if the mail is not there.
func (d *DB) ReviseMail(id int64, f func(Mail) Mail) (there bool, err error) {
	err = d.update("change a mail", func(tx *Tx) error {
		m, err := scanMail(tx.tx.QueryRow("SELECT NULL"+mailColumns+"WHERE id = ?", id))
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		there = true
		return tx.mailTried(f(m))
	})
	return there, err
}

// MailCounts returns how many mails wait to be sent, notes that are in none yet not counted, and how many were given up.
func (d *DB) MailCounts() (waiting, failed int, err error) {
	err = d.query("outbox", func(rows *sql.Rows) error { return rows.Scan(&waiting, &failed) },
		"SELECT coalesce(sum(failed = 0), 0), coalesce(sum(failed > 0), 0) FROM outbox")
	return waiting, failed, err
}
