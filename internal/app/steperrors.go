package app

import (
	"fmt"
	"time"

	"github.com/pyruse/pyruse/internal/action"
	"github.com/pyruse/pyruse/internal/entry"
	"github.com/pyruse/pyruse/internal/journal"
	"github.com/pyruse/pyruse/internal/workflow"
)

// errorWindow is how long errors of one step are counted before they are summed up.
const errorWindow = time.Minute

// stepErrors logs the run-time errors of steps, without ever flooding the journal: the first error of a step
// at once, what follows within a minute in one line. There is one element for each step that ever failed.
type stepErrors struct {
	byStep map[workflow.Origin]*stepError
	total  int64
}

type stepError struct {
	since time.Time // the beginning of the window
	more  int       // errors in the window, after the first
	last  string
	own   bool // an error on one of Pyruse's own lines was logged
}

// add notes an error and logs it where that is due. An error on one of Pyruse's own lines is
// logged once for each step, since its line could lead to the same error again.
func (s *stepErrors) add(f *effects, e *entry.Entry, err *workflow.StepError, own bool, now time.Time) {
	s.total++
	x := s.byStep[err.Origin]
	if x == nil {
		x = &stepError{}
		s.byStep[err.Origin] = x
	}
	switch {
	case own && x.own:
		return
	case own:
		x.own = true
	case !x.since.IsZero() && now.Sub(x.since) < errorWindow:
		x.more++
		x.last = err.Err.Error()
		return
	default:
		x.since = now
	}
	f.log(action.Cause{Origin: err.Origin, Entry: e}, journal.MsgStepError, 3, err.Error())
}

// sumUp returns lines for the steps whose window has ended, and when it is to be called again; zero: not before the
// next error.
func (s *stepErrors) sumUp(now time.Time) (lines []journal.Record, next time.Time) {
	for origin, x := range s.byStep {
		if x.more == 0 {
			continue
		}
		end := x.since.Add(errorWindow)
		if end.After(now) {
			if next.IsZero() || end.Before(next) {
				next = end
			}
			continue
		}
		lines = append(lines, journal.Record{
			Priority: 3, MessageID: journal.MsgStepErrorsSummed,
			Message: fmt.Sprintf("%s: %d more errors since %s, the last: %s", origin, x.more, x.since.Local().Format(time.TimeOnly), x.last),
			Fields: []journal.Field{
				{Name: journal.FieldChain, Value: origin.Chain},
				{Name: journal.FieldStep, Value: fmt.Sprint(origin.Step)},
			},
		})
		x.more, x.since = 0, now
	}
	return lines, next
}
