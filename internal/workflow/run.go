package workflow

import (
	"fmt"

	"github.com/pyruse/pyruse/internal/entry"
)

// StepError is a run-time error of one step on one entry.
type StepError struct {
	Origin Origin
	Err    error
}

// Error returns "label[index]: what went wrong".
func (e *StepError) Error() string { return e.Origin.String() + ": " + e.Err.Error() }

// Unwrap returns the error of the step.
func (e *StepError) Unwrap() error { return e.Err }

// Run sends one entry over the track, and marks it with the chains that it was meant for. Errors of steps are handed to fail, which
// must not keep the entry; they never stop the caller. A step that panics has
// failed, and the processing of the entry ends there.
func (g *Graph) Run(e *entry.Entry, fail func(*StepError)) {
	at, top := g.entry.at, g.entry.chain
	defer func() {
		if r := recover(); r != nil && at >= 0 {
			fail(&StepError{g.nodes[at].origin, fmt.Errorf("internal error: %v", r)})
		}
	}()
	for at >= 0 {
		n := &g.nodes[at]
		next := n.els
		if n.filter != nil {
			ok, err := n.filter.Match(e)
			if err != nil {
				fail(&StepError{n.origin, err})
			} else if ok {
				next = n.then
				if n.mark != unmarked {
					e.Mark(n.mark)
				}
			}
		} else {
			if n.mark != unmarked {
				e.Mark(n.mark)
			}
			if err := n.action.Do(e); err != nil {
				fail(&StepError{n.origin, err})
				return
			}
			next = n.then
		}
		if next == followUp {
			f := g.next[top]
			next, top = f.at, f.chain
		}
		at = next
	}
}
