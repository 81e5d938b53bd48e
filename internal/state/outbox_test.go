package state

import (
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func note(id, subject, text string) Note {
	return Note{MessageID: id, Subject: subject, Text: text, Time: noon, Created: noon}
}

func groups(t *testing.T, db *DB) []NoteGroup {
	t.Helper()
	list, err := db.NoteGroups()
	must(t, err)
	return list
}

func TestNotesAreGrouped(t *testing.T) {
	db := open(t, t.TempDir(), roomy)
	if list := groups(t, db); len(list) != 0 {
		t.Errorf("at first: %+v", list)
	}
	late := note("4", "b", "four")
	late.Created = noon.Add(-time.Hour) // the clock was set back
	commit(t, db, &Batch{
		Notes:        []Note{note("1", "b", "one"), note("2", "a", "two"), note("3", "b", "three"), late, note("2", "a", "the same again")},
		CountedNotes: map[string]int64{"a": 5, "z": 2, "y": 1},
	})
	commit(t, db, &Batch{CountedNotes: map[string]int64{"z": 3}})
	want := []NoteGroup{
		{Subject: "y", Counted: 1}, {Subject: "z", Counted: 5},
		{Subject: "b", Kept: 3, First: 1, Last: 4, Since: noon.Add(-time.Hour)}, {Subject: "a", Kept: 1, Counted: 5, First: 2, Last: 2, Since: noon},
	}
	if diff := cmp.Diff(want, groups(t, db), byValue); diff != "" {
		t.Errorf("groups (-want +got):\n%s", diff)
	}
	var first []string
	must(t, db.Notes("b", 3, func(n Note) bool { first = append(first, n.Text); return len(first) < 2 }))
	if diff := cmp.Diff([]string{"one", "three"}, first); diff != "" {
		t.Errorf("notes (-want +got):\n%s", diff)
	}
}

// TestNotesAreBounded by number and by bytes, in one batch and over many; the others are counted.
func TestNotesAreBounded(t *testing.T) {
	big := strings.Repeat("ü", maxNoteBytes/8) // a quarter of the room
	for name, size := range map[string]struct {
		text string
		kept int
	}{"number": {"x", maxNotes}, "bytes": {big, 4}} {
		for _, batches := range []int{1, 3} {
			t.Run(fmt.Sprintf("%s, in %d batches", name, batches), func(t *testing.T) {
				db := open(t, t.TempDir(), roomy)
				all := []Note{note("other", "b", big)}
				for i := range size.kept + 5 {
					all = append(all, note(fmt.Sprint(i), "a", size.text), note(fmt.Sprint(i), "a", size.text)) // the second one is the same
				}
				for i := range batches {
					commit(t, db, &Batch{Notes: all[len(all)*i/batches : len(all)*(i+1)/batches]})
				}
				list := groups(t, db)
				if len(list) != 2 || list[1].Kept != size.kept || list[1].Counted == 0 || list[0].Kept != 1 {
					t.Errorf("groups: %+v, want %d notes kept", list, size.kept)
				}
			})
		}
	}
	t.Run("a first one that is too big", func(t *testing.T) {
		db := open(t, t.TempDir(), roomy)
		huge := strings.Repeat("x", maxNoteBytes+1)
		commit(t, db, &Batch{Notes: []Note{note("1", "a", huge), note("2", "a", "")}})
		if list := groups(t, db); len(list) != 1 || list[0].Kept != 1 || list[0].Counted != 1 {
			t.Errorf("groups: %+v", list)
		}
	})
}

// TestPostTakesWhatItSays has notes come between the look and the mail.
func TestPostTakesWhatItSays(t *testing.T) {
	db := open(t, t.TempDir(), roomy)
	commit(t, db, &Batch{
		Notes:        []Note{note("1", "a", "one"), note("2", "b", "two"), note("3", "a", "three"), note("4", "c", "four")},
		CountedNotes: map[string]int64{"a": 5, "z": 2},
	})
	seen := groups(t, db)
	commit(t, db, &Batch{Notes: []Note{note("5", "a", "five"), note("6", "b", "six")}, CountedNotes: map[string]int64{"a": 1, "z": 7}})
	var taken []NoteGroup
	for _, g := range seen {
		if g.Subject != "c" {
			taken = append(taken, g)
		}
	}
	mail := Mail{MessageID: "m", Data: []byte("data"), Created: noon, NextTry: noon, Subject: "s", From: "f@b", To: []string{"a@b", "c@d"}}
	must(t, db.Post(&Posting{Mail: mail, Notes: taken, Gate: "remember"}))
	want := []NoteGroup{
		{Subject: "z", Counted: 7}, {Subject: "c", Kept: 1, First: 4, Last: 4, Since: noon},
		{Subject: "a", Kept: 1, Counted: 1, First: 5, Last: 5, Since: noon}, {Subject: "b", Kept: 1, First: 6, Last: 6, Since: noon},
	}
	if diff := cmp.Diff(want, groups(t, db), byValue); diff != "" {
		t.Errorf("what is left (-want +got):\n%s", diff)
	}
	if text, err := db.Gate(); text != "remember" || err != nil {
		t.Errorf("remembered: %q, %v", text, err)
	}
	mail.ID, mail.Size, mail.Refused = 1, 4, []Recipient{}
	if m, ok, err := db.Mail(1); !ok || err != nil || !cmp.Equal(mail, m, byValue) {
		t.Errorf("mail: %v, %v, %s", ok, err, cmp.Diff(mail, m, byValue))
	}
	must(t, db.Post(&Posting{Mail: Mail{MessageID: "n", Data: []byte("x")}, Notes: []NoteGroup{{Subject: "z", Counted: 7}}}))
	for _, g := range groups(t, db) {
		if g.Subject == "z" {
			t.Errorf("left: %+v", g)
		}
	}
}

func TestPostIntoAFullOutbox(t *testing.T) {
	db := open(t, t.TempDir(), Limits{ReportLines: 10, Outbox: 1})
	commit(t, db, &Batch{Notes: []Note{note("1", "a", "one"), note("2", "a", "two")}, CountedNotes: map[string]int64{"a": 5}})
	must(t, db.Post(&Posting{Mail: Mail{MessageID: "m", Data: []byte("x")}, Gate: "first"}))
	before := groups(t, db)
	if err := db.Post(&Posting{Mail: Mail{MessageID: "n", Data: []byte("x")}, Notes: before, Gate: "second"}); !errors.Is(err, ErrOutboxFull) {
		t.Errorf("Post: %v, want ErrOutboxFull", err)
	}
	if diff := cmp.Diff(before, groups(t, db), byValue); diff != "" {
		t.Errorf("it changed the notes (-want +got):\n%s", diff)
	}
	if text, err := db.Gate(); text != "first" || err != nil {
		t.Errorf("it is remembered: %q, %v", text, err)
	}
	if waiting, _, err := db.MailCounts(); waiting != 1 || err != nil {
		t.Errorf("%d mails, %v", waiting, err)
	}
	// A mail that was given up takes no room, and a report always has some.
	must(t, db.MailTried(Mail{ID: 1, Failed: noon}))
	must(t, db.Post(&Posting{Mail: Mail{MessageID: "n", Data: []byte("x")}, Notes: before, Gate: "second"}))
	must(t, db.AddMail(&Mail{MessageID: "report", Data: []byte("x")}))
	if waiting, failed, err := db.MailCounts(); waiting != 2 || failed != 1 || err != nil || len(groups(t, db)) != 0 {
		t.Errorf("%d mails wait, %d failed, %v; notes: %+v", waiting, failed, err, groups(t, db))
	}
}

func TestOutbox(t *testing.T) {
	db := open(t, t.TempDir(), roomy)
	if _, ok, err := db.NextMail(); ok || err != nil {
		t.Errorf("an empty outbox has a next mail: %v, %v", ok, err)
	}
	for _, id := range []string{"1", "2"} {
		must(t, db.AddMail(&Mail{MessageID: id, Data: []byte("x"), NextTry: noon, To: []string{"a@b", "c@d"}}))
	}
	tried := Mail{
		ID: 1, Attempts: 1, NextTry: noon.Add(time.Minute), LastError: "busy", To: []string{"c@d"}, Refused: []Recipient{{"a@b", "unknown"}},
	}
	must(t, db.MailTried(tried))
	m, ok, err := db.NextMail()
	if err != nil || !ok || m.ID != 2 {
		t.Errorf("next mail: %+v, %v, %v", m, ok, err)
	}
	must(t, db.MailSent(2))
	m, ok, err = db.NextMail()
	tried.MessageID, tried.Data, tried.Size = "1", []byte("x"), 1
	if diff := cmp.Diff(tried, m, byValue); err != nil || !ok || diff != "" {
		t.Errorf("next mail: %v, %v; -want +got:\n%s", ok, err, diff)
	}
	tried.Failed, tried.To, tried.Refused = noon, nil, append(tried.Refused, Recipient{"c@d", "busy"})
	must(t, db.MailTried(tried))
	if _, ok, err := db.NextMail(); ok || err != nil {
		t.Errorf("a mail that was given up is tried: %v, %v", ok, err)
	}
	tried.Data = nil
	if list, err := db.Mails(); err != nil || !cmp.Equal([]Mail{tried}, list, byValue) {
		t.Errorf("mails: %v, %s", err, cmp.Diff([]Mail{tried}, list, byValue))
	}
	// What is not there any more is no error, and does not come back.
	for _, want := range []bool{true, false} {
		if there, err := db.DropMail(1); there != want || err != nil {
			t.Errorf("a mail that is removed was there: %v, %v, want %v", there, err, want)
		}
	}
	must(t, errors.Join(db.MailSent(1), db.MailTried(tried)))
	if _, ok, err := db.Mail(1); ok || err != nil {
		t.Errorf("a mail that was removed: %v, %v", ok, err)
	}
	must(t, db.AddMail(&Mail{MessageID: "1", Data: []byte("x")}))
	if list, err := db.Mails(); err != nil || len(list) != 1 || list[0].ID != 3 {
		t.Errorf("mails: %+v, %v; want one with an ID that none had", list, err)
	}
}

func TestFailedMailsAreBounded(t *testing.T) {
	db := open(t, t.TempDir(), roomy)
	must(t, db.update("fill the outbox", func(tx *Tx) error {
		for i := range maxFailed + 3 {
			if err := tx.addMail(&Mail{MessageID: fmt.Sprint(i), Data: []byte("x")}); err != nil {
				return err
			}
		}
		// All but three have failed, the one with ID 5 first.
		_, err := tx.exec("UPDATE outbox SET failed = CASE id WHEN 5 THEN 1 ELSE 1000 + id END WHERE id <= ?", maxFailed)
		return err
	}))
	for i, gone := range []int64{5, 1} {
		must(t, db.MailTried(Mail{ID: int64(maxFailed + 1 + i), Failed: noon}))
		if _, ok, err := db.Mail(gone); ok || err != nil {
			t.Errorf("the oldest one, %d, is there: %v", gone, err)
		}
		if waiting, failed, err := db.MailCounts(); waiting != 2-i || failed != maxFailed || err != nil {
			t.Errorf("%d wait, %d failed, %v", waiting, failed, err)
		}
	}
}

// TestMigrationFromSchema1 builds a database as the first schema had it.
func TestMigrationFromSchema1(t *testing.T) {
	dir := t.TempDir()
	old, err := sql.Open("sqlite3", filepath.Join(dir, FileName))
	must(t, err)
	for _, statement := range []string{
		migrations[0], "PRAGMA user_version = 1",
		`INSERT INTO report (id, level, time, message, details) VALUES (3, 1, 1000000, 'warn', 'ALL'), (7, 0, 2000000, 'other', 'FIRST')`,
		`INSERT INTO outbox (id, message_id, data, created, attempts, next_try, last_error) VALUES (4, 'm@h', x'780a', 1000000, 2, 3000000, 'busy')`,
		`INSERT INTO meta VALUES ('cursor', 's=1'), ('last_report', '2026-11-21T23:00:00Z')`,
		`INSERT INTO seen (event) VALUES ('e')`,
	} {
		if _, err := old.Exec(statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	must(t, old.Close())
	db := open(t, dir, Limits{ReportLines: 3, Outbox: 10})
	want := []ReportLine{
		{ID: 3, Level: ReportWarn, Time: time.UnixMicro(1000000), Message: "warn", Details: "ALL"},
		{ID: 7, Level: ReportOther, Time: time.UnixMicro(2000000), Message: "other", Details: "FIRST"},
	}
	if diff := cmp.Diff(want, pendingLines(t, db), byValue); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	m, _, err := db.NextMail()
	wantMail := Mail{
		ID: 4, MessageID: "m@h", Data: []byte("x\n"), Size: 2, Created: time.UnixMicro(1000000), Attempts: 2, NextTry: time.UnixMicro(3000000),
		LastError: "busy", To: []string{}, Refused: []Recipient{},
	}
	if diff := cmp.Diff(wantMail, m, byValue); err != nil || diff != "" {
		t.Errorf("mail: %v (-want +got):\n%s", err, diff)
	}
	if last, err := db.LastReport(); err != nil || !last.Equal(time.Date(2026, 11, 21, 23, 0, 0, 0, time.UTC)) {
		t.Errorf("last report: %v, %v", last, err)
	}
	if cursor, err := db.Cursor(); cursor != "s=1" || err != nil {
		t.Errorf("cursor: %q, %v", cursor, err)
	}
	if seen, err := db.Seen(); len(seen) != 1 || err != nil {
		t.Errorf("seen: %v, %v", seen, err)
	}
	// The bounds count what was there, and IDs go on behind it.
	line := ReportLine{Time: noon, Message: "new", Details: "ALL"}
	if r := commit(t, db, &Batch{Report: []ReportLine{line, line}}); r != (Result{DroppedLines: 1}) {
		t.Errorf("dropped %+v, want one line", r)
	}
	must(t, db.MailSent(4))
	must(t, db.AddMail(&Mail{MessageID: "m@h", Data: []byte("x")}))
	if list := pendingLines(t, db); len(list) != 3 || list[2].ID != 8 {
		t.Errorf("lines: %+v", list)
	}
	if list, err := db.Mails(); err != nil || len(list) != 1 || list[0].ID != 5 {
		t.Errorf("mails: %+v, %v", list, err)
	}
}
