package app_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pyruse/pyruse/internal/config"
	"github.com/pyruse/pyruse/internal/journal/journaltest"
)

// severalTimes is the end of the subject of a mail that stands for many.
var severalTimes = regexp.MustCompile(`^Flood [0-9]+ \((\d+) times\)$`)

// floodRules mail each line of "flood 0" to "flood n-1", under as many subjects, and the line of "last".
func floodRules(n int) string {
	var chains []string
	rule := func(chain, identifier, subject string) {
		chains = append(chains, fmt.Sprintf(`%q: [
	{"filter": "filter_equals", "args": {"field": "SYSLOG_IDENTIFIER", "value": %q}},
	{"action": "action_email", "args": {"subject": %q, "message": "{MESSAGE}"}}
]`, chain, identifier, subject))
	}
	for i := range n {
		rule(fmt.Sprintf("flood%d", i), fmt.Sprintf("flood%d", i), fmt.Sprintf("Flood %d", i))
	}
	rule("last", "last", "Last")
	return actions(chains...)
}

// told returns how many messages the mails stand for, those that came twice counted once, and how many such mails there are.
func told(t testing.TB, mails []parcel) (messages int64, different int) {
	t.Helper()
	seen := map[string]bool{}
	for _, p := range mails {
		subject := p.header.Get("Subject")
		if seen[p.messageID()] || subject == "Last" {
			continue
		}
		seen[p.messageID()] = true
		n := int64(1)
		if m := severalTimes.FindStringSubmatch(subject); m != nil {
			var err error
			if n, err = strconv.ParseInt(m[1], 10, 64); err != nil {
				t.Fatal(err)
			}
		} else if strings.Contains(subject, "(") {
			t.Fatalf("a mail with the subject %q", subject)
		}
		messages += n
	}
	return messages, len(seen)
}

// held returns how many messages wait under each subject to become a mail, while no daemon runs.
func (s *station) held() map[string]int64 {
	s.t.Helper()
	db := s.book()
	groups, err := db.NoteGroups()
	if err != nil {
		s.t.Fatal(err)
	}
	held := map[string]int64{}
	for _, g := range groups {
		held[g.Subject] = int64(g.Kept) + g.Counted
	}
	if err := db.Close(); err != nil {
		s.t.Fatal(err)
	}
	return held
}

// awaitLast waits until the mail of "last" has come: all lines before it are handled then.
func (m *mailServer) awaitLast() {
	m.t.Helper()
	eventually(m.t, "all lines are handled", func() bool {
		return slices.ContainsFunc(m.got(), func(p parcel) bool { return p.header.Get("Subject") == "Last" })
	})
}

// TestFlood mails 100,000 lines, and kills the daemon twice meanwhile: none is lost, none is told twice, and the mails are few.
func TestFlood(t *testing.T) {
	journaltest.Fresh(t)
	const lines = 100_000
	m := newMailServer(t)
	s := newStation(t, m.email(`"to": ["root@example.org"], "coalesceSeconds": 1, "maxPerHour": 1000,`)+",\n"+floodRules(1))
	s.program = plain
	began := time.Now()
	d := s.start()
	out := newStream(t)
	sent := make(chan error, 1)
	go func() {
		var err error
		for i := 0; i < lines && err == nil; i++ {
			err = out.log("flood0", fmt.Sprintf("login failed for user %d", i))
		}
		sent <- err
	}()
	var peak int
	for range 2 {
		eventually(t, "the daemon is amid the lines", func() bool { return d.status().Entries > lines/5 })
		peak = max(peak, d.memory("VmHWM")[0])
		d.kill()
		d = s.start()
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	log(t, "last", "it is over")
	m.awaitLast()
	took := time.Since(began)
	peak = max(peak, d.memory("VmHWM")[0])
	noErrors(d)
	d.stop()
	messages, mails := told(t, m.got())
	held := s.held()["Flood 0"]
	t.Logf("%d lines handled within %v: %d mails tell of %d, %d are held; %d KiB were resident", lines, took, mails, messages, held, peak)
	if bound := 2 + int(time.Since(began)/time.Second); mails > bound || mails < 1 {
		t.Errorf("%d mails in %v, want 1 to %d", mails, took, bound)
	}
	if messages+held != lines {
		t.Errorf("the mails tell of %d messages, and %d are held: together %d, want %d", messages, held, messages+held, lines)
	}
	if n := len(m.got()); n > mails+1+2 {
		t.Errorf("%d mails came, of which only %d differ: more than the two that were under way when the daemon was killed came twice", n, mails+1)
	}
	if peak > 64<<10 {
		t.Errorf("%d KiB were resident", peak)
	}
}

// TestFloodOfLongMessages has messages that take up 90 MB together.
func TestFloodOfLongMessages(t *testing.T) {
	journaltest.Fresh(t)
	m := newMailServer(t)
	s := newStation(t, m.email(`"to": ["root@example.org"], "coalesceSeconds": 1, "maxPerHour": 1000,`)+",\n"+floodRules(1))
	s.program = plain
	d := s.start()
	const lines = 1500
	for i := range lines {
		log(t, "flood0", fmt.Sprintf("%d %s", i, strings.Repeat("long ", 12_000)))
	}
	log(t, "last", "it is over")
	m.awaitLast()
	memory := d.memory("VmHWM", "RssAnon")
	noErrors(d)
	d.stop()
	messages, mails := told(t, m.got())
	held := s.held()["Flood 0"]
	t.Logf("%d mails tell of %d messages, %d are held; %d KiB were resident at most, %d KiB are anonymous", mails, messages, held, memory[0], memory[1])
	if messages+held != lines {
		t.Errorf("the mails tell of %d messages, and %d are held: together %d, want %d", messages, held, messages+held, lines)
	}
	if memory[0] > 64<<10 {
		t.Errorf("%d KiB were resident", memory[0])
	}
}

// TestFloodAboveTheLimit has six subjects, and three mails an hour.
func TestFloodAboveTheLimit(t *testing.T) {
	m := newMailServer(t)
	s := newStation(t, m.email(`"to": ["root@example.org"], "coalesceSeconds": 1, "maxPerHour": 3,`)+",\n"+floodRules(6))
	d := s.start()
	const subjects, each = 6, 100
	out := newStream(t)
	for i := range subjects * each {
		if err := out.log(fmt.Sprintf("flood%d", i%subjects), "login failed"); err != nil {
			t.Fatal(err)
		}
	}
	s.awaitListed(m, 3, subjects*each)
	d.kill()
	d = s.start() // which does not make the limit forgotten
	log(t, "flood5", "login failed")
	listed := s.awaitListed(m, 3, subjects*each+1)
	text := s.must("mail", "list")
	noErrors(d)
	d.stop()
	if held := s.held(); !maps.Equal(held, listed) {
		t.Errorf("%v are held, %v are listed", held, listed)
	}
	for subject, n := range listed {
		if line := fmt.Sprintf("%s  %s for the next mail (email.coalesceSeconds, email.maxPerHour)\n", subject, config.Count(int(n), "message")); !strings.Contains(text, line) {
			t.Errorf("%q is not listed for people: %s", line, text)
		}
	}
	if n := len(m.got()); n != 3 {
		t.Errorf("%d mails came", n)
	}
}

// awaitListed waits until so many mails have come, and tell of so many messages together with what is listed as held. It returns the latter.
func (s *station) awaitListed(m *mailServer, mails int, messages int64) map[string]int64 {
	s.t.Helper()
	m.await(mails)
	var listed map[string]int64
	eventually(s.t, fmt.Sprintf("all of %d messages are mailed or listed", messages), func() bool {
		sum, _ := told(s.t, m.got())
		listed = map[string]int64{}
		for dec := json.NewDecoder(strings.NewReader(s.must("mail", "list", "--format", "json"))); dec.More(); {
			var x struct {
				State, Subject string
				Messages       int64
			}
			if err := dec.Decode(&x); err != nil {
				s.t.Fatal(err)
			}
			if x.State == "held" {
				listed[x.Subject] = x.Messages
				sum += x.Messages
			}
		}
		return sum == messages
	})
	return listed
}
