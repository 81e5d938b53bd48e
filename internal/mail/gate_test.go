package mail

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"mime"
	netmail "net/mail"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/pyruse/pyruse/internal/state"
)

// pile holds notes in memory as the database does. Its methods fail while the error of their name is set.
type pile struct {
	notes   []state.Note
	counted map[string]int64
	lastID  int64
	gate    string
	mails   []state.Mail // all that were made
	waiting int          // of those, not sent yet
	limit   int          // of waiting; 0: none

	groupsErr, notesErr, postErr, gateErr error
}

func (p *pile) NoteGroups() ([]state.NoteGroup, error) {
	if p.groupsErr != nil {
		return nil, p.groupsErr
	}
	var list []state.NoteGroup
	places := map[string]int{}
	for _, n := range p.notes {
		i, ok := places[n.Subject]
		if !ok {
			i = len(list)
			places[n.Subject] = i
			list = append(list, state.NoteGroup{Subject: n.Subject, First: n.ID, Since: n.Created, Counted: p.counted[n.Subject]})
		}
		list[i].Kept++
		list[i].Last = n.ID
	}
	for _, subject := range slices.Sorted(maps.Keys(p.counted)) {
		if _, ok := places[subject]; !ok {
			list = slices.Insert(list, 0, state.NoteGroup{Subject: subject, Counted: p.counted[subject]})
		}
	}
	return list, nil
}

func (p *pile) Notes(subject string, upTo int64, yield func(state.Note) bool) error {
	if p.notesErr != nil {
		return p.notesErr
	}
	for _, n := range p.notes {
		if n.Subject == subject && n.ID <= upTo && !yield(n) {
			return nil
		}
	}
	return nil
}

func (p *pile) Post(x *state.Posting) error {
	switch {
	case p.postErr != nil:
		return p.postErr
	case p.limit > 0 && p.waiting >= p.limit:
		return fmt.Errorf("put a mail into the outbox: %w", state.ErrOutboxFull)
	case slices.ContainsFunc(p.mails, func(m state.Mail) bool { return m.MessageID == x.Mail.MessageID }):
		return fmt.Errorf("the mail %q is there already, and would be lost", x.Mail.MessageID)
	}
	for _, g := range x.Notes {
		p.notes = slices.DeleteFunc(p.notes, func(n state.Note) bool { return n.Subject == g.Subject && n.ID <= g.Last })
		if left := p.counted[g.Subject] - g.Counted; left > 0 {
			p.counted[g.Subject] = left
		} else {
			delete(p.counted, g.Subject)
		}
	}
	p.mails, p.gate = append(p.mails, x.Mail), x.Gate
	p.waiting++
	return nil
}

func (p *pile) Gate() (string, error) { return p.gate, p.gateErr }

// put notes something at a time; its text says which one it is.
func (p *pile) put(subject, text string, at time.Time) {
	p.lastID++
	p.notes = append(p.notes, state.Note{
		ID: p.lastID, MessageID: fmt.Sprintf("note%d@host", p.lastID), Subject: subject, Text: text, Time: at, Created: at,
	})
}

func (p *pile) count(subject string, n int64) {
	if p.counted == nil {
		p.counted = map[string]int64{}
	}
	p.counted[subject] += n
}

// letter is a mail as its reader sees it.
type letter struct {
	subject, text string
	at            time.Time
	id            string
}

// letters returns the mails from the one with an index on.
func (p *pile) letters(t interface{ Fatal(...any) }, from int) []letter {
	var list []letter
	for _, m := range p.mails[from:] {
		list = append(list, letterOf(t, m))
	}
	return list
}

func letterOf(t interface{ Fatal(...any) }, m state.Mail) letter {
	got, err := netmail.ReadMessage(bytes.NewReader(m.Data))
	if err != nil {
		t.Fatal(err)
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(got.Header.Get("Subject"))
	if err != nil {
		t.Fatal(err)
	}
	readable, err := Readable(m.Data)
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(readable, "\n\n")
	return letter{subject, text, m.Created, m.MessageID}
}

var (
	timesInSubject = regexp.MustCompile(` \((\d+) times\)$| \((once)\)$`)
	moreInSubject  = regexp.MustCompile(`^Pyruse: (\d+) more messages?$`)
)

// tells returns how many notes a mail tells of, by its subject.
func (l letter) tells() int64 {
	for _, re := range []*regexp.Regexp{timesInSubject, moreInSubject} {
		if m := re.FindStringSubmatch(l.subject); m != nil {
			if n, err := strconv.ParseInt(m[1], 10, 64); err == nil {
				return n
			}
		}
	}
	return 1
}

func settings(coalesce time.Duration, perHour int) GateSettings {
	return GateSettings{From: "pyruse@example.org", To: []string{"root@example.org"}, Host: "host.example.org", Coalesce: coalesce, MaxPerHour: perHour}
}

// gateBench is a gate at work on a pile, and the clock.
type gateBench struct {
	*testing.T
	pile pile
	g    *Gate
	now  time.Time
	next time.Time
}

func newGateBench(t *testing.T, s GateSettings) *gateBench {
	b := &gateBench{T: t, now: noon}
	b.g = NewGate(&b.pile, s)
	return b
}

func (b *gateBench) put(subject string, texts ...string) {
	for _, text := range texts {
		b.pile.put(subject, text, b.now)
	}
}

func (b *gateBench) pass() {
	b.Helper()
	var err error
	if b.next, err = b.g.Pass(b.now); err != nil {
		b.Fatal(err)
	}
}

// after lets a time pass and has the gate do what it can.
func (b *gateBench) after(d time.Duration) {
	b.Helper()
	b.now = b.now.Add(d)
	b.pass()
}

// made checks the mails that were made since the last call, by "subject|text" with the clock's times left out, and when the gate wants
// to be called again.
func (b *gateBench) made(next time.Duration, want ...string) {
	b.Helper()
	var got []string
	for _, l := range b.pile.letters(b, 0) {
		got = append(got, l.subject+"|"+noTime.ReplaceAllString(l.text, "T"))
	}
	b.pile.mails = nil
	if diff := cmp.Diff(want, got); diff != "" {
		b.Errorf("mails (-want +got):\n%s", diff)
	}
	switch {
	case next < 0 && !b.next.IsZero():
		b.Errorf("the gate wants to be called at %v, and nothing waits", b.next)
	case next >= 0 && !b.next.Equal(b.now.Add(next)):
		b.Errorf("the gate wants to be called at %v, want %v", b.next, b.now.Add(next))
	}
}

const never = -1

var noTime = regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d`)

func TestGateFirstAtOnceOthersHeld(t *testing.T) {
	b := newGateBench(t, settings(time.Minute, 100))
	b.pass()
	b.made(never)
	b.put("disk", "one", "two")
	b.put("fan", "stuck")
	b.pass()
	b.made(time.Minute, "disk|one\n", "fan|stuck\n")
	b.after(20 * time.Second)
	b.put("disk", "three", "two")
	b.pass()
	b.made(40 * time.Second)
	b.after(40 * time.Second)
	b.made(never, "disk (3 times)|3 messages with the subject \"disk\":\n\nT until T, 2 times: two\nT: three\n")
	// Behind the summary, others are held again: one alone is mailed as it is.
	b.put("disk", "four")
	b.pass()
	b.made(time.Minute)
	b.after(time.Minute)
	if len(b.pile.mails) != 1 || b.pile.mails[0].MessageID != "note6@host" {
		t.Errorf("mails: %+v, want the sixth note's", b.pile.mails)
	}
	b.made(never, "disk|four\n")
	// A window that ends empty: the next note is a first one, and others that came with it are held.
	b.after(2 * time.Minute)
	b.put("disk", "five", "six")
	b.pass()
	b.made(time.Minute, "disk|five\n")
	b.after(time.Minute)
	b.made(never, "disk|six\n")
}

// TestGateForgetsWindows has many subjects come one after the other: those that hold nothing are not remembered.
func TestGateForgetsWindows(t *testing.T) {
	b := newGateBench(t, settings(time.Minute, 1000))
	for i := range 500 {
		b.put(fmt.Sprint("subject ", i), "1")
		b.after(20 * time.Second)
		if n := len(b.g.memory.Windows); n > 4 {
			t.Fatalf("%d windows are remembered, want those of a minute", n)
		}
	}
	if len(b.pile.mails) != 500 || len(b.pile.gate) > 200 {
		t.Errorf("%d mails; remembered: %s", len(b.pile.mails), b.pile.gate)
	}
}

// TestGateWindowsEndTogether has two subjects that are due at once: to mail one does not make the other a new one.
func TestGateWindowsEndTogether(t *testing.T) {
	b := newGateBench(t, settings(time.Minute, 100))
	for _, subject := range []string{"a", "b", "c"} {
		b.put(subject, "1", "2", "3")
	}
	b.pass()
	b.made(time.Minute, "a|1\n", "b|1\n", "c|1\n")
	b.after(time.Minute)
	const two = "2 messages with the subject \"%s\":\n\nT: 2\nT: 3\n"
	b.made(never, "a (2 times)|"+fmt.Sprintf(two, "a"), "b (2 times)|"+fmt.Sprintf(two, "b"), "c (2 times)|"+fmt.Sprintf(two, "c"))
}

func TestGateWithoutCoalesce(t *testing.T) {
	b := newGateBench(t, settings(0, 4))
	b.put("a", "1", "2", "1")
	b.pile.count("a", 7)
	b.put("b", "1", "2")
	b.pass()
	b.made(time.Hour, "a|1\n", "a|2\n", "a|1\n", "a (7 times)|7 messages with the subject \"a\":\n\n7 more, whose texts were not kept\n")
	b.after(time.Hour)
	b.made(never, "Pyruse: 2 more messages|2 messages, which were too many for one hour: after 4 mails, all others are gathered in one (email.maxPerHour).\n\n"+
		"       2  b\n\n--- b\n\nT: 1\nT: 2\n")
}

func TestGateCountedOnly(t *testing.T) {
	b := newGateBench(t, settings(time.Minute, 10))
	for range 3 { // the mails have different Message-IDs: the pile sees to that
		b.pile.count("a", 1)
		b.pass()
		b.made(never, "a (once)|1 message with the subject \"a\":\n\n1 more, whose texts were not kept\n")
		b.pile.count("a", 5)
		b.pass()
		b.made(time.Minute)
		b.pile.mails = nil
		b.after(time.Minute)
		b.made(never, "a (5 times)|5 messages with the subject \"a\":\n\n5 more, whose texts were not kept\n")
		b.after(time.Minute)
	}
}

func TestGateLimit(t *testing.T) {
	b := newGateBench(t, settings(time.Minute, 3))
	b.put("a", "1")
	b.put("b", "1")
	b.put("c", "1")
	b.put("d", "1", "2", "1")
	b.put("a", "2")
	b.pass()
	b.made(time.Hour, "a|1\n", "b|1\n", "c|1\n")
	b.after(time.Minute)
	b.made(59 * time.Minute)
	b.after(58 * time.Minute)
	b.put("e", "x\ny\n")
	b.pile.count("d", 10)
	b.pass()
	b.made(time.Minute)
	b.after(time.Minute)
	b.made(never, `Pyruse: 15 more messages|15 messages, which were too many for one hour: after 3 mails, all others are gathered in one (email.maxPerHour).

      13  d
       1  a
       1  e

--- d

T until T, 2 times: 1
T: 2
10 more, whose texts were not kept

--- a

T: 2

--- e

T: x
    y
`)
	// The digest is the first mail of a new hour, and others are held behind it.
	b.put("f", "1")
	b.put("g", "1")
	b.put("h", "1")
	b.put("a", "3")
	b.pass()
	b.made(time.Hour, "f|1\n", "g|1\n")
	// An hour in which the last mail was the last that was wanted leaves no digest.
	b.after(time.Hour)
	b.made(never, "Pyruse: 2 more messages|2 messages, which were too many for one hour: after 3 mails, all others are gathered in one (email.maxPerHour).\n\n"+
		"       1  h\n       1  a\n\n--- h\n\nT: 1\n\n--- a\n\nT: 3\n")
	b.put("i", "1")
	b.put("j", "1")
	b.pass()
	b.made(never, "i|1\n", "j|1\n")
	b.after(3 * time.Hour)
	b.put("k", "1")
	b.pass()
	b.made(never, "k|1\n")
}

// TestGateOneHeldByTheLimit is mailed as it is, with its own Message-ID.
func TestGateOneHeldByTheLimit(t *testing.T) {
	b := newGateBench(t, settings(time.Minute, 1))
	b.put("a", "1")
	b.put("b", "1")
	b.pass()
	b.made(time.Hour, "a|1\n")
	b.after(time.Hour)
	if len(b.pile.mails) != 1 || b.pile.mails[0].MessageID != "note2@host" {
		t.Errorf("mails: %+v, want the second note's", b.pile.mails)
	}
	b.made(never, "b|1\n")
}

// TestGateLimitIsRaised has what was held mailed at once, and leaves no digest behind.
func TestGateLimitIsRaised(t *testing.T) {
	b := newGateBench(t, settings(time.Minute, 1))
	b.put("a", "1")
	b.put("b", "1")
	b.pass()
	b.made(time.Hour, "a|1\n")
	b.g.Use(settings(time.Minute, 10))
	b.after(time.Second)
	b.made(never, "b|1\n")
	b.after(2 * time.Hour)
	b.put("c", "1")
	b.pass()
	b.made(never, "c|1\n")
}

func TestGateLimitIsLowered(t *testing.T) {
	b := newGateBench(t, settings(0, 10))
	b.put("a", "1", "2", "3")
	b.pass()
	b.made(never, "a|1\n", "a|2\n", "a|3\n")
	b.g.Use(settings(0, -1)) // less than one is one
	b.after(time.Minute)
	b.put("a", "4")
	b.pass()
	b.made(59 * time.Minute)
	b.after(59 * time.Minute)
	b.made(never, "a|4\n")
}

func TestGateNobodyToMailTo(t *testing.T) {
	s := settings(time.Minute, 10)
	s.To = nil
	b := newGateBench(t, s)
	b.put("a", "1", "2")
	b.pass()
	b.after(time.Hour)
	b.made(never)
	b.g.Use(settings(time.Minute, 10))
	b.pass()
	b.made(time.Minute, "a|1\n")
	b.after(time.Minute)
	b.made(never, "a|2\n")
}

func TestGateSetsTheEnvelope(t *testing.T) {
	b := newGateBench(t, settings(time.Minute, 10))
	b.put("a", "1")
	b.pass()
	m := b.pile.mails[0]
	h := read(t, m.Data).Header
	if m.From != "pyruse@example.org" || !slices.Equal(m.To, []string{"root@example.org"}) || !m.NextTry.Equal(noon) || m.Subject != "a" {
		t.Errorf("mail: %+v", m)
	}
	if got := h.Get("List-Id"); got != "<pyruse.host.example.org>" {
		t.Errorf("List-Id: %s", got)
	}
}

// TestGateDamagedMemory begins anew, at once.
func TestGateDamagedMemory(t *testing.T) {
	for _, text := range []string{
		"", "{", "null", "[]", `{"hour":"noon"}`, `{"hour":1e400}`, `{"hour":-9223372036854775808,"made":3,"windows":{"a":-9223372036854775808}}`,
		`{"hour":9223372036854775807,"made":-5,"windows":{"a":9223372036854775807}}`, `{"windows":null}`, `{"windows":{"a":9223372036854775807}}`, "\x00\xff",
	} {
		t.Run(text, func(t *testing.T) {
			b := newGateBench(t, settings(time.Minute, 2))
			b.pile.gate = text
			b.put("a", "1")
			b.pass()
			b.made(never, "a|1\n")
			b.put("b", "1")
			b.put("c", "1")
			b.pass()
			b.made(time.Hour, "b|1\n")
			if !json.Valid([]byte(b.pile.gate)) {
				t.Errorf("remembered: %q", b.pile.gate)
			}
		})
	}
}

// TestGateClockIsSet has the clock jump while notes are held.
func TestGateClockIsSet(t *testing.T) {
	for name, jump := range map[string]time.Duration{
		"a year back": -365 * 24 * time.Hour, "an hour back": -time.Hour, "a second back": -time.Second, "a year forward": 365 * 24 * time.Hour,
	} {
		t.Run(name, func(t *testing.T) {
			b := newGateBench(t, settings(time.Minute, 2))
			b.put("a", "1", "2")
			b.put("b", "1", "2")
			b.pass()
			b.made(time.Hour, "a|1\n", "b|1\n")
			b.after(jump)
			for !b.next.IsZero() {
				wait := b.next.Sub(b.now)
				if wait <= 0 || wait > time.Hour {
					t.Fatalf("after %v, the gate wants to be called in %v", b.now, wait)
				}
				b.after(wait)
			}
			if passed := b.now.Sub(noon.Add(jump)); passed > time.Hour+time.Minute {
				t.Errorf("what was held took %v", passed)
			}
			sum := int64(0)
			for _, l := range b.pile.letters(t, 0) {
				sum += l.tells()
			}
			if sum != 2 {
				t.Errorf("%d notes are told, want the 2 that were held", sum)
			}
		})
	}
}

func TestGateOutboxFull(t *testing.T) {
	b := newGateBench(t, settings(time.Minute, 10))
	b.pile.limit = 1
	b.put("a", "1", "2")
	b.put("b", "1")
	b.pass()
	b.made(time.Minute, "a|1\n") // outboxPause
	b.after(time.Minute)
	b.made(time.Minute)
	b.pile.waiting = 0
	b.after(time.Minute)
	b.made(time.Minute, "a|2\n")
	b.pile.limit = 0
	b.after(time.Minute)
	b.made(never, "b|1\n")
}

// TestGateErrors fails at each place, and then goes on as if nothing had been.
func TestGateErrors(t *testing.T) {
	errBroken := errors.New("out of order")
	for name, place := range map[string]func(*pile) *error{
		"groups": func(p *pile) *error { return &p.groupsErr },
		"notes":  func(p *pile) *error { return &p.notesErr },
		"post":   func(p *pile) *error { return &p.postErr },
		"gate":   func(p *pile) *error { return &p.gateErr },
	} {
		t.Run(name, func(t *testing.T) {
			b := newGateBench(t, settings(time.Minute, 2))
			fail := func() {
				t.Helper()
				err := place(&b.pile)
				*err = errBroken
				if name == "gate" {
					b.g = NewGate(&b.pile, b.g.settings) // it is only read at first
				}
				for range 3 {
					if _, err := b.g.Pass(b.now); !errors.Is(err, errBroken) {
						t.Errorf("Pass: %v", err)
					}
				}
				*err = nil
			}
			b.put("a", "1", "2", "3")
			b.put("b", "1", "2")
			fail()
			b.pass()
			b.made(time.Hour, "a|1\n", "b|1\n")
			b.now = b.now.Add(time.Hour)
			fail()
			b.pass()
			b.made(never, "Pyruse: 3 more messages|3 messages, which were too many for one hour: after 2 mails, all others are gathered in one (email.maxPerHour).\n\n"+
				"       2  a\n       1  b\n\n--- a\n\nT: 2\nT: 3\n\n--- b\n\nT: 2\n")
			b.now = b.now.Add(2 * time.Minute)
			b.put("a", "4")
			fail()
			b.pass()
			b.made(never, "a|4\n")
		})
	}
}

// TestGateManySubjects makes one digest of 10,000 subjects. It is bounded, and says of all of them how many there are.
func TestGateManySubjects(t *testing.T) {
	b := newGateBench(t, settings(time.Minute, 1))
	b.put("first", "1")
	const subjects = 10_000
	for i := range subjects {
		b.put(fmt.Sprintf("a subject of some length, number %d", i), strings.Repeat("x", 600), strings.Repeat("y", 600))
	}
	b.pass()
	b.made(time.Hour, "first|1\n")
	b.after(time.Hour)
	l := b.pile.letters(t, 0)
	if len(l) != 1 || l[0].tells() != 2*subjects {
		t.Fatalf("%d mails, want one of all notes", len(l))
	}
	text := l[0].text
	if len(text) > maxText || strings.Contains(text, "bytes left out") {
		t.Errorf("the text has %d bytes, and was cut", len(text))
	}
	sum := int64(0)
	for _, m := range regexp.MustCompile(`(?m)^ *(\d+)  (a subject|with \d+ more subjects)`).FindAllStringSubmatch(text, -1) {
		n, err := strconv.ParseInt(m[1], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		sum += n
	}
	if sum != 2*subjects {
		t.Errorf("the list is of %d messages, want %d", sum, 2*subjects)
	}
	if !regexp.MustCompile(`\nThe texts with \d+ more subjects were not kept\.\n$`).MatchString(text) {
		t.Errorf("at its end, it says %.200q", text[len(text)-200:])
	}
}

// TestGateBigTexts: what does not fit is counted.
func TestGateBigTexts(t *testing.T) {
	b := newGateBench(t, settings(time.Minute, 100))
	b.put("a", "1")
	big := func(c string) string { return strings.Repeat(c, 200<<10) }
	b.put("a", big("x"), big("y"), big("z"), big("x"))
	b.pass()
	b.pile.mails = nil
	b.after(time.Minute)
	l := b.pile.letters(t, 0)
	if len(l) != 1 || l[0].subject != "a (4 times)" || !strings.HasSuffix(l[0].text, "\n1 more, whose texts were not kept\n") ||
		strings.Count(l[0].text, "x") < 200<<10 || strings.Contains(l[0].text, "zzz") {
		t.Errorf("%d mails, the first one %q", len(l), l[0].subject)
	}
}

// TestGateAttack has 100,000 notes come in 3 hours, of 50 subjects, in an uneven way, into a database. The mails are few, and tell of
// all of them.
func TestGateAttack(t *testing.T) {
	const notes, subjects, perHour = 100_000, 50, 60
	db, _, err := state.Open(t.TempDir(), state.Limits{ReportLines: 1, Outbox: 1000}, noon)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	g := NewGate(db, settings(time.Minute, perHour))
	now, next := noon, time.Time{}
	pass := func() {
		if next, err = g.Pass(now); err != nil {
			t.Fatal(err)
		}
	}
	const steps = 1080 // of 10 seconds
	for i, put := 0, 0; i < steps; i++ {
		var batch state.Batch
		for ; put < notes*(i+1)/steps; put++ {
			batch.Notes = append(batch.Notes, state.Note{
				MessageID: fmt.Sprintf("%d@host", put), Subject: fmt.Sprint("subject ", min(put%211, put%subjects)),
				Text: fmt.Sprintf("%d: something is wrong with the thing", put%7000), Time: now, Created: now,
			})
		}
		if _, err := db.Commit(&batch); err != nil {
			t.Fatal(err)
		}
		if i%100 == 0 {
			g = NewGate(db, settings(time.Minute, perHour)) // a restart
		}
		pass()
		now = now.Add(10 * time.Second)
	}
	for !next.IsZero() {
		now = next
		pass()
	}
	mails, err := db.Mails()
	if err != nil {
		t.Fatal(err)
	}
	sum := int64(0)
	for i := range mails {
		m, _, err := db.Mail(mails[i].ID)
		if err != nil {
			t.Fatal(err)
		}
		sum += letterOf(t, m).tells()
	}
	if sum != notes {
		t.Errorf("the mails tell of %d notes, want %d", sum, notes)
	}
	if most := 3*perHour + 1; len(mails) > most {
		t.Errorf("%d mails, want at most %d: %d in each hour, and the last digest", len(mails), most, perHour)
	}
	t.Logf("%d mails of %d notes", len(mails), notes)
}

// TestGateModel: whatever happens, each note is told once, as a mail or in one, or waits. At the end, all are told, and none has waited
// longer than allowed.
func TestGateModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &gateModel{now: noon, due: noon, coalesce: time.Minute}
		m.g = NewGate(&m.pile, settings(m.coalesce, 3))
		t.Repeat(map[string]func(*rapid.T){
			"note": func(t *rapid.T) {
				for range rapid.IntRange(1, 4).Draw(t, "notes") {
					m.put++
					m.pile.put(drawSubject(t), fmt.Sprintf("[%d]", m.put), m.now)
				}
			},
			"count": func(t *rapid.T) {
				n := rapid.Int64Range(1, 5).Draw(t, "notes")
				m.counted += n
				m.pile.count(drawSubject(t), n)
			},
			"time passes": func(t *rapid.T) {
				m.now = m.now.Add(time.Duration(rapid.IntRange(0, 4000).Draw(t, "seconds")) * time.Second)
			},
			"the gate's time": func(*rapid.T) { m.now = m.due }, // which the clock may have passed: then it is set back
			"the clock is set": func(t *rapid.T) {
				m.now = m.now.Add(time.Duration(rapid.IntRange(-4000, 4000).Draw(t, "minutes")) * time.Minute)
			},
			"pass":    func(t *rapid.T) { m.pass(t) },
			"restart": func(*rapid.T) { m.g = NewGate(&m.pile, m.g.settings) },
			"other settings": func(t *rapid.T) {
				m.coalesce = time.Duration(rapid.SampledFrom([]int{0, 1, 60, 3600}).Draw(t, "coalesce")) * time.Second
				s := settings(m.coalesce, rapid.IntRange(1, 5).Draw(t, "per hour"))
				if rapid.IntRange(0, 3).Draw(t, "nobody") == 0 {
					s.To = nil
				}
				m.g.Use(s)
			},
			"trouble": func(t *rapid.T) {
				fault := rapid.SampledFrom([]*error{&m.pile.groupsErr, &m.pile.notesErr, &m.pile.postErr, &m.pile.gateErr}).Draw(t, "where")
				*fault = errors.New("out of order")
				_, _ = m.g.Pass(m.now) // whether it notices or not, nothing is lost
				*fault = nil
			},
			"the outbox is full": func(*rapid.T) { m.pile.limit = 1 },
			"mails are sent":     func(*rapid.T) { m.pile.waiting, m.pile.limit = 0, 0 },
			"":                   m.check,
		})
		m.drain(t)
	})
}

// gateModel is a gate on a pile, and what was put there.
type gateModel struct {
	pile     pile
	g        *Gate
	coalesce time.Duration
	now, due time.Time
	put      int // notes with texts "[1]", "[2]", and so on
	counted  int64

	seen  int           // mails that were looked at
	told  map[int]int64 // by note: in how many mails it is
	total int64         // told by all mails
}

func drawSubject(t *rapid.T) string {
	return rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "subject")
}

func (m *gateModel) pass(t *rapid.T) {
	next, err := m.g.Pass(m.now)
	if err != nil {
		t.Fatal(err)
	}
	if m.due = m.now; !next.IsZero() {
		if !next.After(m.now) {
			t.Fatalf("at %v, the gate wants to be called at %v", m.now, next)
		}
		m.due = next
	}
}

var noteText = regexp.MustCompile(`\[(\d+)\]`)

func (m *gateModel) check(t *rapid.T) {
	if m.told == nil {
		m.told = map[int]int64{}
	}
	for _, l := range m.pile.letters(t, m.seen) {
		m.seen++
		m.total += l.tells()
		for _, x := range noteText.FindAllStringSubmatch(l.text, -1) {
			n, err := strconv.Atoi(x[1])
			if err != nil {
				t.Fatal(err)
			}
			m.told[n]++
		}
	}
	waiting, waitingCounted := map[string]bool{}, int64(0)
	for _, n := range m.pile.notes {
		waiting[n.Text] = true
	}
	for _, n := range m.pile.counted {
		waitingCounted += n
	}
	for i := 1; i <= m.put; i++ {
		if text := fmt.Sprintf("[%d]", i); waiting[text] == (m.told[i] == 1) || m.told[i] > 1 {
			t.Fatalf("note %s is in %d mails, and waits: %v", text, m.told[i], waiting[text])
		}
	}
	if sum := m.total + int64(len(waiting)) + waitingCounted; sum != int64(m.put)+m.counted {
		t.Fatalf("%d notes are told or wait, want %d", sum, int64(m.put)+m.counted)
	}
}

// drain lets the time pass until nothing waits.
func (m *gateModel) drain(t *rapid.T) {
	m.pile.limit = 0
	s := m.g.settings
	s.To = []string{"root@example.org"}
	m.g.Use(s)
	begin := m.now
	for m.pass(t); m.due.After(m.now); m.pass(t) {
		m.now = m.due
	}
	m.check(t)
	if len(m.pile.notes)+len(m.pile.counted) > 0 {
		t.Fatalf("at the end, there are %d notes, and %v", len(m.pile.notes), m.pile.counted)
	}
	if waited := m.now.Sub(begin); waited > m.coalesce+time.Hour {
		t.Fatalf("it took %v until nothing waited", waited)
	}
}

// TestGateRestarts: a gate that is begun anew before each pass makes the same mails.
func TestGateRestarts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := settings(time.Duration(rapid.IntRange(0, 120).Draw(t, "coalesce"))*time.Second, rapid.IntRange(1, 4).Draw(t, "per hour"))
		stays, restarts := new(pile), new(pile)
		g, now := NewGate(stays, s), noon
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.SampledFrom([]int{0, 1, 30, 60, 90, 1000, 3600, 7000}).Draw(t, "seconds")) * time.Second)
			for range rapid.IntRange(0, 3).Draw(t, "notes") {
				subject := drawSubject(t)
				stays.put(subject, "x", now)
				restarts.put(subject, "x", now)
			}
			next, err := g.Pass(now)
			again, errAgain := NewGate(restarts, s).Pass(now)
			if err != nil || errAgain != nil || !next.Equal(again) {
				t.Fatalf("next %v, %v; after a restart %v, %v", next, err, again, errAgain)
			}
			if diff := cmp.Diff(stays.mails, restarts.mails); diff != "" {
				t.Fatalf("mails (-without +with restarts):\n%s", diff)
			}
			stays.mails, restarts.mails = nil, nil
		}
	})
}

// BenchmarkGateManySubjects mails the notes of 1,000 subjects out of a database, three each: one mail for each subject at once, and, a
// minute later, a summary for each.
func BenchmarkGateManySubjects(b *testing.B) {
	for b.Loop() {
		db, _, err := state.Open(b.TempDir(), state.Limits{ReportLines: 1, Outbox: 1_000_000}, noon)
		if err != nil {
			b.Fatal(err)
		}
		var batch state.Batch
		for i := range 3000 {
			batch.Notes = append(batch.Notes, state.Note{
				MessageID: fmt.Sprint(i), Subject: fmt.Sprint("subject ", i%1000), Text: strings.Repeat("x", 500), Time: noon, Created: noon,
			})
		}
		if _, err := db.Commit(&batch); err != nil {
			b.Fatal(err)
		}
		g := NewGate(db, settings(time.Minute, 100_000))
		for _, now := range []time.Time{noon, noon.Add(time.Minute)} {
			if _, err := g.Pass(now); err != nil {
				b.Fatal(err)
			}
		}
		if waiting, _, err := db.MailCounts(); waiting != 2000 || err != nil {
			b.Fatalf("%d mails, %v", waiting, err)
		}
		if err := db.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
