package app

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"strconv"

	"github.com/pyruse/pyruse/internal/control"
	"github.com/pyruse/pyruse/internal/state"
)

// ErrUnready is returned when the machine does not let the daemon work, and will not on another try: somebody must mend it first.
var ErrUnready = errors.New("to start again is of no use")

// unready marks an error with ErrUnready, and adds what to do, if to start again is of no use.
func (s *service) unready(err error) error {
	switch {
	case errors.Is(err, ErrConfig):
		return err
	case errors.Is(err, state.ErrLocked), errors.Is(err, control.ErrRunning):
		return errors.Join(fmt.Errorf("%w; stop that one first: only one can keep the state", err), ErrUnready)
	case errors.Is(err, fs.ErrPermission):
		me := strconv.Itoa(os.Getuid())
		if u, e := user.LookupId(me); e == nil {
			me = u.Username
		}
		return errors.Join(fmt.Errorf("%w; the daemon runs as %s, %s", err, me, s.permission(me)), ErrUnready)
	}
	return err
}

// permission says what a user lacks that may not open the next part.
func (s *service) permission(user string) string {
	switch {
	case s.current.Load() == nil: // there is no configuration yet, and no folder of it
		return "who must be allowed to"
	case s.db == nil:
		return fmt.Sprintf("to whom the folder and all in it must belong: chown -R %s: %s", user, s.settings().Storage)
	case s.changed == nil: // the journal is not followed yet
		return "who must be in the group " + journalGroup
	}
	return "who must be able to write there"
}
