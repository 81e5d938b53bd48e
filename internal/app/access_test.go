package app

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/pyruse/pyruse/internal/state"
)

// TestWithAdvice: who cannot open the state is told what to do, and what it was.
func TestWithAdvice(t *testing.T) {
	for cause, want := range map[error]string{
		state.ErrDamaged: "; pyruse run sets it aside and begins a new one", fs.ErrPermission: "; run this as root, or as the user of the daemon",
		state.ErrLocked: "",
	} {
		err := fmt.Errorf("open the database: %w", cause)
		if got := withAdvice(err); !errors.Is(got, cause) || got.Error() != err.Error()+want || strings.Contains(got.Error(), "\n") {
			t.Errorf("%v, want %v%s", got, err, want)
		}
	}
}
