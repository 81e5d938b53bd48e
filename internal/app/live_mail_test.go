package app_test

import (
	"encoding/binary"
	"fmt"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pyruse/pyruse/internal/journal"
	"github.com/pyruse/pyruse/internal/state"
)

// mailRules mail what "alarm" says, and report what "note" says.
const mailRules = `"alarm": [
	{"filter": "filter_equals", "args": {"field": "SYSLOG_IDENTIFIER", "value": "alarm"}},
	{"action": "action_email", "args": {"subject": "Alarm", "message": "it says: {MESSAGE}"}}
],
"note": [
	{"filter": "filter_equals", "args": {"field": "SYSLOG_IDENTIFIER", "value": "note"}},
	{"action": "action_dailyReport", "args": {"level": "WARN", "message": "{MESSAGE}"}}
]`

// postbox is a sendmail that keeps what it is given, or fails.
type postbox struct {
	t      testing.TB
	dir    string
	broken string // the file by which it fails
}

func newPostbox(t testing.TB) postbox {
	t.Helper()
	p := postbox{t: t, dir: t.TempDir()}
	p.broken = filepath.Join(p.dir, "broken")
	script := fmt.Sprintf("#!/bin/sh\nif [ -e %q ]; then cat > /dev/null; echo 'no more room' >&2; exit 75; fi\n"+
		"cat > %[2]q/$$.part && mv %[2]q/$$.part %[2]q/$$.eml\n", p.broken, p.dir)
	if err := os.WriteFile(p.command(), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p postbox) command() string { return filepath.Join(p.dir, "sendmail.sh") }

// members are those of a configuration with mailRules, the mail going into the box.
func (p postbox) members() string {
	return fmt.Sprintf("\"email\": {\"from\": \"pyruse@example.org\", \"to\": [\"root@example.org\"], \"subject\": \"The day\", \"sendmail\": [%q, \"-t\"], \"coalesceSeconds\": 0},\n%s",
		p.command(), actions(mailRules))
}

func (p postbox) setBroken(broken bool) {
	p.t.Helper()
	err := os.Remove(p.broken)
	if broken {
		err = os.WriteFile(p.broken, nil, 0o644)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

// letter is a message that arrived.
type letter struct {
	header mail.Header
	text   string // the whole body, encoded as it came
}

func (p postbox) letters() []letter {
	p.t.Helper()
	files, err := filepath.Glob(filepath.Join(p.dir, "*.eml"))
	if err != nil {
		p.t.Fatal(err)
	}
	var all []letter
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			p.t.Fatal(err)
		}
		m, err := mail.ReadMessage(strings.NewReader(string(data)))
		if err != nil {
			p.t.Fatalf("%v in %s", err, data)
		}
		_, body, _ := strings.Cut(string(data), "\n\n")
		all = append(all, letter{m.Header, body})
	}
	return all
}

// await waits for the only letter.
func (p postbox) await() letter {
	p.t.Helper()
	eventually(p.t, "a mail has arrived", func() bool { return len(p.letters()) > 0 })
	return p.letters()[0]
}

// waiting returns the mail that is in the station's outbox, while no daemon runs.
func (s *station) waiting() (state.Mail, bool) {
	s.t.Helper()
	db := s.book()
	m, ok, err := db.NextMail()
	if err != nil {
		s.t.Fatal(err)
	}
	return m, ok
}

func TestMailArrives(t *testing.T) {
	p := newPostbox(t)
	s := newStation(t, p.members())
	d := s.start()
	log(t, "alarm", "the house\nBcc: evil@example.org\nis on fire")
	l := p.await()
	for name, want := range map[string]string{"Subject": "Alarm", "From": "pyruse@example.org", "To": "root@example.org", "Bcc": ""} {
		if got := strings.Trim(l.header.Get(name), "<>"); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if !strings.Contains(l.text, "it says: the house") || l.header.Get("Message-ID") == "" {
		t.Errorf("the mail: %+v", l)
	}
	noErrors(d)
	d.stop()
	if m, ok := s.waiting(); ok {
		t.Errorf("mail %s is still in the outbox", m.MessageID)
	}
}

// TestFailedMailIsKeptAndSentAfterARestart has sendmail fail, kills the daemon, and repairs sendmail.
func TestFailedMailIsKeptAndSentAfterARestart(t *testing.T) {
	p := newPostbox(t)
	p.setBroken(true)
	s := newStation(t, p.members())
	d := s.start()
	log(t, "alarm", "fire")
	d.awaitSaid(journal.MsgMailFailed, "no more room")
	d.kill()
	db := s.book()
	kept, ok, err := db.NextMail()
	if err != nil || !ok || kept.Attempts != 1 || !strings.Contains(kept.LastError, "no more room") || time.Until(kept.NextTry) < 30*time.Second {
		t.Fatalf("the outbox has %+v, %v, %v", kept, ok, err)
	}
	kept.NextTry = time.Now() // the minute is over
	if err := db.MailTried(kept); err != nil {
		t.Fatal(err)
	}
	p.setBroken(false)
	d = s.start()
	if got := strings.Trim(p.await().header.Get("Message-ID"), "<>"); got != kept.MessageID {
		t.Errorf("sent as %q, was kept as %q", got, kept.MessageID)
	}
	d.stop()
	if _, ok := s.waiting(); ok || len(p.letters()) != 1 {
		t.Errorf("%d mails arrived; one is still waiting: %v", len(p.letters()), ok)
	}
}

// note puts report lines of the past into the database, while no daemon runs.
func (s *station) note(at time.Time, messages ...string) {
	s.t.Helper()
	var b state.Batch
	for _, m := range messages {
		b.Report = append(b.Report, state.ReportLine{Level: state.ReportWarn, Time: at, Message: m, Details: "ALL"})
	}
	db := s.book()
	if _, err := db.Commit(&b); err != nil {
		s.t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		s.t.Fatal(err)
	}
}

// TestReportOfYesterdayIsSentAtTheStart has the midnight pass while no daemon runs.
func TestReportOfYesterdayIsSentAtTheStart(t *testing.T) {
	p := newPostbox(t)
	s := newStation(t, p.members())
	s.note(time.Now().AddDate(0, 0, -1), "yesterday's trouble")
	d := s.start()
	log(t, "note", "today's trouble")
	l := p.await()
	if l.header.Get("Subject") != "The day" || !strings.Contains(l.text, "trouble") || strings.Contains(l.text, "today") {
		t.Errorf("the report: %+v", l)
	}
	d.stop()
	d = s.start() // what was sent is not sent again
	d.stop()
	if n := len(p.letters()); n != 1 {
		t.Errorf("%d reports were sent", n)
	}
	if got := reported(t, s.book()); len(got) != 1 || got[0] != "today's trouble" {
		t.Errorf("lines for the next report: %q", got)
	}
}

// TestReportIsNotDeletedBeforeItIsMailed is for a fault of Pyruse 2: when sendmail failed, the day's report was lost.
func TestReportIsNotDeletedBeforeItIsMailed(t *testing.T) {
	p := newPostbox(t)
	p.setBroken(true)
	s := newStation(t, p.members())
	s.note(time.Now().AddDate(0, 0, -1), "yesterday's trouble")
	d := s.start()
	d.awaitSaid(journal.MsgMailFailed, "no more room")
	d.kill()
	m, ok := s.waiting()
	if !ok || !strings.Contains(string(m.Data), "trouble") {
		t.Fatalf("the report is not in the outbox: %+v, %v", m, ok)
	}
	m.NextTry = time.Now()
	if err := s.book().MailTried(m); err != nil {
		t.Fatal(err)
	}
	p.setBroken(false)
	d = s.start()
	p.await()
	d.stop()
}

// TestReportIsSentAtMidnightWithoutAnyEntry is for a fault of Pyruse 2: it sent the report only when an entry
// happened to arrive after midnight. The daemon lives in a time zone in which it has just been midnight.
func TestReportIsSentAtMidnightWithoutAnyEntry(t *testing.T) {
	p := newPostbox(t)
	s := newStation(t, p.members())
	now := time.Now()
	// Seven seconds past midnight: the report comes ten seconds past.
	offset := (7 - now.Unix()%86400 + 86400) % 86400
	if offset > 43200 {
		offset -= 86400
	}
	zone := filepath.Join(s.dir, "zone")
	if err := os.WriteFile(zone, fixedZone(int32(offset)), 0o644); err != nil {
		t.Fatal(err)
	}
	s.note(now.Add(-time.Minute), "last minute's trouble")
	d := s.start("TZ=:" + zone)
	if n := len(p.letters()); n != 0 {
		t.Fatalf("%d reports before the day had settled", n)
	}
	p.await()
	d.stop()
}

// fixedZone is a time zone file (RFC 8536, version 1) with one offset, in seconds east of UTC.
func fixedZone(offset int32) []byte {
	b := append([]byte("TZif"), make([]byte, 16)...)
	for _, n := range []uint32{0, 0, 0, 0, 1, 4} { // isut, isstd, leap, transitions, types, letters
		b = binary.BigEndian.AppendUint32(b, n)
	}
	b = binary.BigEndian.AppendUint32(b, uint32(offset))
	return append(b, 0, 0, 'L', 'O', 'C', 0)
}
