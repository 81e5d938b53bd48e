package report

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/pyruse/pyruse/internal/mail"
	"github.com/pyruse/pyruse/internal/state"
)

func TestDue(t *testing.T) {
	const at = "2006-01-02 15:04:05 -0700"
	never := time.Time{}
	for _, c := range []struct {
		name, zone, now string
		last            string // "": never
		before          string
		due             bool
		wait            time.Duration
	}{
		{"first start", "Europe/Paris", "2026-11-22 15:00:00 +0100", "", "2026-11-22 00:00:00 +0100", true, recheck},
		{"done today", "Europe/Paris", "2026-11-22 15:00:00 +0100", "2026-11-22 00:00:00 +0100", "2026-11-22 00:00:00 +0100", false, recheck},
		{"missed a day", "Europe/Paris", "2026-11-22 15:00:00 +0100", "2026-11-21 00:00:00 +0100", "2026-11-22 00:00:00 +0100", true, recheck},
		{"missed a month", "Europe/Paris", "2026-11-22 15:00:00 +0100", "2026-10-20 00:00:00 +0200", "2026-11-22 00:00:00 +0100", true, recheck},
		{"not settled", "Europe/Paris", "2026-11-22 00:00:03 +0100", "2026-11-21 00:00:00 +0100", "2026-11-21 00:00:00 +0100", false, 7 * time.Second},
		{"settled", "Europe/Paris", "2026-11-22 00:00:10 +0100", "2026-11-21 00:00:00 +0100", "2026-11-22 00:00:00 +0100", true, recheck},
		{"just before midnight", "Europe/Paris", "2026-11-22 23:59:58.5 +0100", "2026-11-22 00:00:00 +0100", "2026-11-22 00:00:00 +0100", false, 11500 * time.Millisecond},
		{"spring, 23 hours", "Europe/Paris", "2026-03-30 00:00:10 +0200", "2026-03-29 00:00:00 +0100", "2026-03-30 00:00:00 +0200", true, recheck},
		{"spring, not yet", "Europe/Paris", "2026-03-29 23:59:55 +0200", "2026-03-29 00:00:00 +0100", "2026-03-29 00:00:00 +0100", false, 15 * time.Second},
		{"autumn, 25 hours", "Europe/Paris", "2026-10-25 23:30:00 +0100", "2026-10-25 00:00:00 +0200", "2026-10-25 00:00:00 +0200", false, recheck},
		{"autumn, over", "Europe/Paris", "2026-10-26 00:00:10 +0100", "2026-10-25 00:00:00 +0200", "2026-10-26 00:00:00 +0100", true, recheck},
		{"no midnight", "America/Sao_Paulo", "2018-11-04 01:00:10 -0200", "2018-11-03 00:00:00 -0300", "2018-11-04 01:00:00 -0200", true, recheck},
		{"no midnight, not yet", "America/Sao_Paulo", "2018-11-03 23:59:59 -0300", "2018-11-03 00:00:00 -0300", "2018-11-03 00:00:00 -0300", false, 11 * time.Second},
		{"two midnights, the first", "America/Havana", "2026-11-01 00:00:10 -0400", "2026-10-31 00:00:00 -0400", "2026-11-01 00:00:00 -0400", true, recheck},
		{"two midnights, the second", "America/Havana", "2026-11-01 00:00:10 -0500", "2026-11-01 00:00:00 -0400", "2026-11-01 00:00:00 -0400", false, recheck},
		{"half an hour", "Australia/Lord_Howe", "2026-04-05 12:00:00 +1030", "2026-04-05 00:00:00 +1100", "2026-04-05 00:00:00 +1100", false, recheck},
		{"before a day that was skipped", "Pacific/Apia", "2011-12-29 23:59:59 -1000", "2011-12-29 00:00:00 -1000", "2011-12-29 00:00:00 -1000", false, 11 * time.Second},
		{"after a day that was skipped", "Pacific/Apia", "2011-12-31 00:00:10 +1400", "2011-12-29 00:00:00 -1000", "2011-12-31 00:00:00 +1400", true, recheck},
		{"clock set back a little", "UTC", "2026-11-21 23:59:58 +0000", "2026-11-22 00:00:00 +0000", "2026-11-21 00:00:00 +0000", false, 12 * time.Second},
		{"clock was wrong", "UTC", "2026-11-21 23:00:00 +0000", "2030-01-01 00:00:00 +0000", "2026-11-21 00:00:00 +0000", true, recheck},
	} {
		t.Run(c.name, func(t *testing.T) {
			zone, err := time.LoadLocation(c.zone)
			if err != nil {
				t.Fatal(err)
			}
			parse := func(s string) time.Time {
				p, err := time.Parse(at, s)
				if err != nil {
					t.Fatal(err)
				}
				return p.In(zone)
			}
			now, last := parse(c.now), never
			if c.last != "" {
				last = parse(c.last)
			}
			local := time.Local
			time.Local = zone
			defer func() { time.Local = local }()
			s := &Scheduler{Maker: Maker{Settings: Settings{Calendar: daily(t)}}}
			before, ok := s.due(now, last)
			if got := before.Format(at); got != c.before || ok != c.due {
				t.Errorf("due: %s, %v, want %s, %v", got, ok, c.before, c.due)
			}
			if got := s.untilNext(now); got != c.wait {
				t.Errorf("next look after %v, want %v", got, c.wait)
			}
		})
	}
}

// daily is the calendar of one report a day, at midnight.
func daily(t testing.TB) *Calendar { return calendar(t, "00:00") }

func calendar(t testing.TB, text string) *Calendar {
	t.Helper()
	c, err := ParseCalendar(text)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// book is a book in memory. Its methods fail while err is set; Prune fails while pruneErr is.
type book struct {
	mu        sync.Mutex
	lines     []state.ReportLine
	last      time.Time
	log       []string // one line for each report: when, for the time before when, messages
	mails     []state.Mail
	reports   []state.Report
	templates []state.Template
	tally     map[state.TallyKey]int64
	bans      []state.BanEvent
	kept      []state.Keep
	err       error
	pruneErr  error
	late      *state.ReportLine // is added after the lines were read
}

func (b *book) Reports() ([]state.Report, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.reports), b.err
}

func (b *book) LinesBetween(since, until time.Time, yield func(state.ReportLine) bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, l := range b.lines {
		if !l.Time.Before(since) && l.Time.Before(until) && !yield(l) {
			break
		}
	}
	return b.err
}

func (b *book) Templates() ([]state.Template, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.templates), b.err
}

func (b *book) Tally(since, until time.Time, yield func(state.TallyKey, int64)) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for k, n := range b.tally {
		if k.Hour >= since.Unix() && k.Hour < until.Unix() {
			yield(k, n)
		}
	}
	return b.err
}

func (b *book) BanEvents(since, until time.Time, yield func(state.BanEvent)) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, x := range b.bans {
		if !x.Time.Before(since) && x.Time.Before(until) {
			yield(x)
		}
	}
	return b.err
}

func (b *book) Prune(k state.Keep) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.kept = append(b.kept, k)
	return cmp.Or(b.pruneErr, b.err)
}

func (b *book) LastReport() (time.Time, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.last, b.err
}

func (b *book) ReportLines(before time.Time, yield func(state.ReportLine) bool) (int64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return 0, b.err
	}
	upTo := int64(len(b.lines))
	for _, l := range b.lines {
		if l.Time.Before(before) && !yield(l) {
			break
		}
	}
	if b.late != nil {
		b.lines = append(b.lines, *b.late)
		b.late = nil
	}
	return upTo, nil
}

func (b *book) CloseReport(c *state.Closing) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return b.err
	}
	var sent, left []state.ReportLine
	for i, l := range b.lines {
		if int64(i) < c.Report.UpTo && l.Time.Before(c.Report.Until) {
			sent = append(sent, l)
		} else {
			left = append(left, l)
		}
	}
	line := c.Report.Made.Format(time.DateTime) + " before " + c.Report.Until.Format("01-02 15:04 MST") + ":"
	for _, l := range sent {
		line += " " + l.Message
	}
	if c.Mail != nil {
		b.mails = append(b.mails, *c.Mail)
	} else {
		line += " no mail"
	}
	b.log, b.lines, b.last = append(b.log, line), left, c.Report.Until
	b.reports = append(b.reports, c.Report)
	same := func(x state.Template) func(state.Template) bool {
		return func(y state.Template) bool { return x.Service == y.Service && x.Text == y.Text }
	}
	for _, x := range slices.Concat(c.Forget, c.Templates) {
		b.templates = slices.DeleteFunc(b.templates, same(x))
	}
	b.templates = append(b.templates, c.Templates...)
	return nil
}

func (b *book) add(at time.Time, message string) {
	b.set(func(b *book) {
		b.lines = append(b.lines, state.ReportLine{Level: state.ReportWarn, Time: at, Message: message, Details: All})
	})
}

func (b *book) set(f func(*book)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f(b)
}

func (b *book) check(t *testing.T, want ...string) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if diff := gocmp.Diff(want, b.log); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// start runs a scheduler in a synctest bubble, in which it is 2000-01-01 01:00 in Paris at first.
func start(t *testing.T, b *book) (stop func()) { return startWith(t, b, nil) }

// settings are those of a report a day, mailed to somebody.
func settings(t testing.TB, to ...string) Settings {
	return Settings{
		Message:  mail.Message{From: "pyruse@example.org", To: to, Subject: "Pyruse Report", Host: "host.example.org"},
		Calendar: daily(t), Templates: Builtin(), MemoryDays: 30, KeepDays: 14,
	}
}

// startWith is start with a scheduler whose settings change.
func startWith(t *testing.T, b *book, changes <-chan Settings) (stop func()) {
	s := &Scheduler{
		Maker:   Maker{Book: b, Settings: settings(t, "root@example.org")},
		Changes: changes,
		Done: func(_ *Made, out *state.Mail) {
			if out != nil {
				b.set(func(b *book) { b.log = append(b.log, "queued") })
			}
		},
		Broken: func(err error) { b.set(func(b *book) { b.log = append(b.log, err.Error()) }) },
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Run(ctx)
	}()
	stop = func() {
		cancel()
		<-done
	}
	t.Cleanup(stop)
	return stop
}

// until lets the time pass until then.
func until(t *testing.T, then string) {
	t.Helper()
	at, err := time.ParseInLocation(time.DateTime, then, time.Local)
	if err != nil {
		t.Fatal(err)
	}
	<-time.After(time.Until(at))
	synctest.Wait()
}

// No entry arrives at midnight, and yet there is a report.
func TestSchedulerSendsAtMidnight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &book{last: time.Now().Add(-time.Hour)}
		stop := start(t, b)
		until(t, "2000-01-01 23:59:59")
		b.add(time.Now(), "late")
		b.add(time.Now().Add(time.Second), "tomorrow")
		until(t, "2000-01-02 12:00:00")
		b.check(t, "2000-01-02 00:00:10 before 01-02 00:00 CET: late", "queued")
		until(t, "2000-01-04 12:00:00")
		stop()
		b.check(t, "2000-01-02 00:00:10 before 01-02 00:00 CET: late", "queued",
			"2000-01-03 00:00:10 before 01-03 00:00 CET: tomorrow", "queued",
			"2000-01-04 00:00:10 before 01-04 00:00 CET: no mail")
		first, second := string(b.mails[0].Data), b.mails[1]
		for _, want := range []string{
			"Subject: Pyruse Report\n", "To: <root@example.org>\n", "Content-Type: multipart/alternative;",
			"Date: Sun, 02 Jan 2000 00:00:10 +0100\n", "| late\n| 2000-01-01 23:59:59\n", ">late</td>",
		} {
			if !strings.Contains(first, want) {
				t.Errorf("%q is missing in:\n%s", want, first)
			}
		}
		if id := mail.MessageID("host.example.org", "report", "2000-01-02T23:00:00Z"); second.MessageID != id {
			t.Errorf("message ID %q, want %q", second.MessageID, id)
		}
	})
}

// Midnight is where the clock says so, on the days with 23 and with 25 hours too.
func TestSchedulerDaylightSaving(t *testing.T) {
	for name, days := range map[string][]string{
		"spring": {"03-25 00:00 CET", "03-26 00:00 CET", "03-27 00:00 CEST", "03-28 00:00 CEST"},
		"autumn": {"10-28 00:00 CEST", "10-29 00:00 CEST", "10-30 00:00 CET", "10-31 00:00 CET"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				until(t, "2000-"+days[0][:5]+" 00:00:00")
				b := &book{}
				start(t, b)
				until(t, "2000-"+days[len(days)-1][:5]+" 12:00:00")
				var want []string
				for _, d := range days {
					want = append(want, "2000-"+d[:5]+" 00:00:10 before "+d+": no mail")
				}
				// It started before the first midnight had settled.
				want = slices.Insert(want, 0, map[string]string{
					"spring": "2000-03-25 00:00:00 before 03-24 00:00 CET: no mail",
					"autumn": "2000-10-28 00:00:00 before 10-27 00:00 CEST: no mail",
				}[name])
				b.check(t, want...)
			})
		})
	}
}

// The machine was off for two midnights: one report at the start, and no second one
// for what the journal still brings of those days.
func TestSchedulerMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &book{last: time.Now().AddDate(0, 0, -3)}
		b.add(time.Now().Add(-40*time.Hour), "two days ago")
		b.add(time.Now().Add(-20*time.Hour), "yesterday")
		b.add(time.Now(), "today")
		stop := start(t, b)
		synctest.Wait()
		want := []string{"2000-01-01 01:00:00 before 01-01 00:00 CET: two days ago yesterday", "queued"}
		b.check(t, want...)
		b.add(time.Now().Add(-2*time.Hour), "straggler")
		until(t, "2000-01-01 15:00:00")
		stop()
		start(t, b)
		until(t, "2000-01-02 01:00:00")
		b.check(t, append(want, "2000-01-02 00:00:10 before 01-02 00:00 CET: today straggler", "queued")...)
	})
}

// A line of yesterday that comes while the report is made is in the next one.
func TestSchedulerLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		yesterday := time.Now().Add(-20 * time.Hour)
		b := &book{late: &state.ReportLine{Time: yesterday, Message: "late"}}
		b.add(yesterday, "first")
		start(t, b)
		until(t, "2000-01-02 01:00:00")
		b.check(t, "2000-01-01 01:00:00 before 01-01 00:00 CET: first", "queued",
			"2000-01-02 00:00:10 before 01-02 00:00 CET: late", "queued")
	})
}

// A report that could not be noted is made again, and nothing was lost.
func TestSchedulerBrokenBook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &book{last: time.Now().Add(-time.Hour)}
		b.add(time.Now(), "kept")
		start(t, b)
		until(t, "2000-01-01 12:00:00")
		b.set(func(b *book) { b.err = errors.New("disk full") })
		until(t, "2000-01-02 00:06:00")
		b.set(func(b *book) { b.err = nil })
		until(t, "2000-01-02 12:00:00")
		const broken = "make the report of the time before 2000-01-02 00:00:00: look up the last report: disk full"
		b.check(t, broken, broken, "2000-01-02 00:10:10 before 01-02 00:00 CET: kept", "queued")
	})
}

func TestSchedulerBrokenAtStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &book{err: errors.New("disk full")}
		stop := start(t, b)
		synctest.Wait()
		b.set(func(b *book) { b.err = nil })
		until(t, "2000-01-01 02:00:00")
		stop()
		b.check(t, "look up the last report: disk full", "2000-01-01 01:05:00 before 01-01 00:00 CET: no mail")
	})
}

// Receivers go and come, as a reload may have it. While there is none, no report is made, and the lines stay; the report
// that was missed is made as soon as there is one, and none is made twice.
func TestSchedulerReceiversChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &book{last: time.Now().Add(-time.Hour)}
		changes := make(chan Settings, 1)
		startWith(t, b, changes)
		b.add(time.Now(), "kept")
		synctest.Wait()
		changes <- settings(t)
		until(t, "2000-01-03 12:00:00")
		b.check(t)
		changes <- settings(t, "first@example.org")
		synctest.Wait()
		want := []string{"2000-01-03 12:00:00 before 01-03 00:00 CET: kept", "queued"}
		b.check(t, want...)
		changes <- settings(t, "second@example.org")
		b.add(time.Now(), "next")
		until(t, "2000-01-04 12:00:00")
		b.check(t, append(want, "2000-01-04 00:00:10 before 01-04 00:00 CET: next", "queued")...)
		for i, want := range []string{"To: <first@example.org>\n", "To: <second@example.org>\n"} {
			if got := string(b.mails[i].Data); !strings.Contains(got, want) {
				t.Errorf("%q is missing in:\n%s", want, got)
			}
		}
	})
}

// TestSchedulerChangesBeforeItLooks lets a change and the time of the report come together: the report has the change.
func TestSchedulerChangesBeforeItLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &book{}
		b.add(time.Now().Add(-20*time.Hour), "yesterday")
		changes := make(chan Settings, 1)
		changes <- settings(t, "new@example.org")
		startWith(t, b, changes)
		synctest.Wait()
		if got := string(b.mails[0].Data); !strings.Contains(got, "To: <new@example.org>\n") {
			t.Errorf("the report:\n%s", got)
		}
	})
}
