package report

import (
	"context"
	"fmt"
	"sort"
	"time"

	"github.com/pyruse/pyruse/internal/mail"
	"github.com/pyruse/pyruse/internal/state"
)

// Book holds the lines that were not reported yet, in the database.
type Book interface {
	// LastReport returns the before of the last CloseReport, the zero time if there was none.
	LastReport() (time.Time, error)
	// ReportLines gives yield the lines from before a point in time, in the order of
	// their times, until there are no more or yield returns false. upTo marks the
	// newest line that the book had then.
	ReportLines(before time.Time, yield func(state.ReportLine) bool) (upTo int64, err error)
	// CloseReport removes the lines from before that time, up to the mark, and
	// puts m, unless it is nil, into the outbox: both or nothing.
	// Lines that were added since the mark was given stay.
	CloseReport(before time.Time, upTo int64, m *state.Mail) error
}

const (
	// settle is how long after midnight the report is made, so that the last entries of the day
	// have found their way into it.
	settle = 10 * time.Second
	// recheck is how often the wall clock is looked at. A timer alone would miss that it
	// was set, or that the machine was asleep.
	recheck = time.Minute
	// retryAfter is how long a broken book is left alone.
	retryAfter = 5 * time.Minute
	// clockSlack is how far in the future the last report may be. Further away, it was
	// made by a clock that was wrong, and says nothing.
	clockSlack = 24 * time.Hour
)

// Scheduler makes the report of the day when the day is over, in local time, whether
// or not entries arrive. A report whose midnight has passed while the program was not running is made at the start; one
// report then holds all that was missed. A day without lines makes no mail.
//
// Without a receiver, no report is made, and the lines are kept until there is one.
//
// A line belongs to the day of its entry. One that comes after the report of its day, because
// the journal was read late, is in the next report.
type Scheduler struct {
	Book    Book
	Message mail.Message          // From, To and Subject of the mail
	Changes <-chan mail.Message   // takes the place of Message from the next report on; may be nil
	Host    string                // the right side of its Message-ID
	Queued  func(m *mail.Message) // is told that a mail is in the outbox; may be nil
	Broken  func(err error)       // is told that a report could not be made, and is tried again; may be nil
}

// Run makes reports until ctx ends.
func (s *Scheduler) Run(ctx context.Context) {
	var last time.Time
	known := false // last is what the book says
	for {
		s.change()
		wait := retryAfter
		if err := s.check(&last, &known); err == nil {
			wait = untilNext(time.Now())
		} else if s.Broken != nil {
			s.Broken(err)
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case s.Message = <-s.Changes:
			t.Stop()
		case <-ctx.Done():
			t.Stop()
			return
		}
	}
}

// change takes a new message that waits: a report that becomes due at the same moment has it.
func (s *Scheduler) change() {
	select {
	case s.Message = <-s.Changes:
	default:
	}
}

// check makes the report if it is due, and keeps in last which one was made last.
func (s *Scheduler) check(last *time.Time, known *bool) error {
	if len(s.Message.To) == 0 {
		return nil
	}
	if !*known {
		var err error
		if *last, err = s.Book.LastReport(); err != nil {
			return fmt.Errorf("look up the last report: %w", err)
		}
		*known = true
	}
	now := time.Now()
	before, ok := due(now, *last)
	if !ok {
		return nil
	}
	if err := s.send(before, now); err != nil {
		return fmt.Errorf("make the report of the time before %s: %w", formatTime(before), err)
	}
	*last = before
	return nil
}

// due returns the midnight up to which a report is to be made at time now, when the last
// one went up to last, and whether there is one at all.
func due(now, last time.Time) (before time.Time, ok bool) {
	before = startOfDay(now.Add(-settle), 0)
	return before, last.Before(before) || last.After(now.Add(clockSlack))
}

// untilNext returns how long to wait until looking at the clock again.
func untilNext(now time.Time) time.Duration {
	next := startOfDay(now.Add(-settle), 1).Add(settle).Sub(now)
	if next <= 0 || next > recheck {
		return recheck
	}
	return next
}

// startOfDay returns the first moment of the day that is so many days after that of t,
// in the zone of t. Where a change of daylight saving time skips midnight or repeats
// it, that is not always what the clock shows as 0:00, and time.Date would leave
// open which moment it returns; so the change of the date is searched, to the second.
func startOfDay(t time.Time, days int) time.Time {
	year, month, day := t.Date()
	noon := time.Date(year, month, day+days, 12, 0, 0, 0, t.Location())
	const before = 14 * 60 * 60 // two hours of change at most
	seconds := sort.Search(before, func(s int) bool {
		return noon.Add(time.Duration(s-before)*time.Second).Day() == noon.Day()
	})
	return noon.Add(time.Duration(seconds-before) * time.Second)
}

// send makes the report of the time before a midnight.
func (s *Scheduler) send(before, now time.Time) error {
	var r Report
	upTo, err := s.Book.ReportLines(before, func(l state.ReportLine) bool {
		r.Add(l)
		return true
	})
	if err != nil {
		return fmt.Errorf("read the lines: %w", err)
	}
	if r.Empty() {
		if err := s.Book.CloseReport(before, upTo, nil); err != nil {
			return fmt.Errorf("close the day: %w", err)
		}
		return nil
	}
	m := s.Message
	m.Date = now
	m.MessageID = mail.MessageID(s.Host, "report", before.UTC().Format(time.RFC3339))
	if m.Text, m.HTML, err = r.Render(); err != nil {
		return err
	}
	out, err := m.Outgoing(now)
	if err != nil {
		return err
	}
	if err := s.Book.CloseReport(before, upTo, &out); err != nil {
		return fmt.Errorf("put the mail into the outbox: %w", err)
	}
	if s.Queued != nil {
		s.Queued(&m)
	}
	return nil
}
