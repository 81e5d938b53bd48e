package report

import (
	"context"
	"fmt"
	"time"

	"github.com/pyruse/pyruse/internal/state"
)

const (
	// settle is how long after its time the report is made, so that the last entries of the day
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

// Scheduler makes the report when its time has come, whether
// or not entries arrive. One whose time has passed while the program was not running is made at the start; one
// report then holds all that was missed. When there is nothing new, it is not mailed, but told in one line of the next one.
//
// Without a receiver, no report is made, and the lines are kept until there is one.
//
// A line belongs to the time of its entry. One that comes after the report of its time, because
// the journal was read late, is in the next report.
type Scheduler struct {
	Maker
	Changes <-chan Settings                   // take the place of the settings from the next report on; may be nil
	Done    func(made *Made, out *state.Mail) // is told that a report is made, and its mail in the outbox, nil if there is none; may be nil
	Broken  func(err error)                   // is told that a report could not be made, and is tried again; may be nil

	last   time.Time // the end of the last report, if known
	known  bool      // last is what the book says
	pruned time.Time // when the old was forgotten last
}

// Run makes reports until ctx ends.
func (s *Scheduler) Run(ctx context.Context) {
	for {
		s.change()
		now := time.Now()
		wait := s.untilNext(now)
		if err := s.check(now); err != nil {
			s.broken(err)
			wait = retryAfter
		} else {
			s.tidy(now)
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case s.Settings = <-s.Changes:
			t.Stop()
		case <-ctx.Done():
			t.Stop()
			return
		}
	}
}

func (s *Scheduler) broken(err error) {
	if s.Broken != nil {
		s.Broken(err)
	}
}

// change takes new settings that wait: a report that becomes due at the same moment has them.
func (s *Scheduler) change() {
	select {
	case s.Settings = <-s.Changes:
	default:
	}
}

// check makes the report if it is due.
func (s *Scheduler) check(now time.Time) error {
	if len(s.Settings.Message.To) == 0 {
		return nil
	}
	if !s.known {
		var err error
		if s.last, err = s.Book.LastReport(); err != nil {
			return fmt.Errorf("look up the last report: %w", err)
		}
		s.known = true
	}
	before, ok := s.due(now, s.last)
	if !ok {
		return nil
	}
	made, out, err := s.Close(before, now)
	if err != nil {
		return fmt.Errorf("make the report of the time before %s: %w", FormatTime(before), err)
	}
	s.last, s.pruned = before, time.Time{}
	if made.Fault != nil {
		s.broken(made.Fault)
	}
	if s.Done != nil {
		s.Done(made, out)
	}
	return nil
}

// tidy forgets what is not to be kept, after each report, and once a day if there are none.
func (s *Scheduler) tidy(now time.Time) {
	const day = 24 * time.Hour
	if age := now.Sub(s.pruned); age >= 0 && age < day {
		return
	}
	s.pruned = now
	if err := s.Prune(now); err != nil {
		s.broken(err)
	}
}

// due returns the moment up to which a report is to be made at time now, when the last
// one went up to last, and whether there is one at all.
func (s *Scheduler) due(now, last time.Time) (before time.Time, ok bool) {
	before, ok = s.Settings.Calendar.Prev(now.Add(-settle), time.Local)
	return before, ok && (last.Before(before) || last.After(now.Add(clockSlack)))
}

// untilNext returns how long to wait until looking at the clock again.
func (s *Scheduler) untilNext(now time.Time) time.Duration {
	next, ok := s.Settings.Calendar.Next(now.Add(-settle), time.Local)
	if wait := next.Add(settle).Sub(now); ok && wait > 0 && wait < recheck {
		return wait
	}
	return recheck
}
