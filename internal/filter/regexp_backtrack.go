package filter

import (
	"errors"
	"fmt"
	"time"

	"github.com/dlclark/regexp2/v2"
)

// Bounds of one match in the backtracking engine. The engine counts no steps, so time
// bounds them: a match that ends at all ends within microseconds. Its stack is
// bounded by the number of slots of 8 bytes; 4 MiB let a group be repeated for each
// character of a message of 64 KiB.
const (
	matchTimeout = 100 * time.Millisecond
	maxStack     = 512 << 10
)

// errBudget is returned when a match needs more steps than it may take.
var errBudget = errors.New("the regular expression needs too many steps on this text")

func init() {
	// The engine's clock ticks only while there is a deadline; its default period would double matchTimeout.
	regexp2.SetTimeoutCheckPeriod(matchTimeout / 5)
}

// backtracker runs regexp2, for what has no linear-time algorithm.
type backtracker struct{ re *regexp2.Regexp }

// newBacktracker compiles a pattern in the syntax of .NET.
func newBacktracker(expr string) (b *backtracker, err error) {
	defer recoverAs(&err, "compiling the regular expression")
	re, err := regexp2.Compile(expr, regexp2.OptionMaxBacktrackingStackSize(maxStack))
	if err != nil {
		return nil, err
	}
	re.MatchTimeout = matchTimeout
	return &backtracker{re}, nil
}

func (b *backtracker) search(s string, groups []span) (matched bool, err error) {
	defer recoverAs(&err, "matching the regular expression")
	m, err := b.re.FindStringMatch(s)
	if err != nil {
		return false, errBudget // the engine has no other error than its time and stack limits
	}
	if m == nil {
		return false, nil
	}
	for i := range groups {
		groups[i] = unset
		if g := m.GroupByNumber(i + 1); g != nil && len(g.Captures) > 0 {
			start, length := g.ByteRange()
			groups[i] = span{start, start + length}
		}
	}
	return true, nil
}

// recoverAs turns a panic of the engine, which would be a fault in it, into an
// error: one pattern must not stop the daemon.
func recoverAs(err *error, doing string) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("%s: fault in the engine: %v", doing, r)
	}
}
