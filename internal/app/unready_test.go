package app

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/pyruse/pyruse/internal/config"
	"github.com/pyruse/pyruse/internal/state"
)

// Before there is a configuration, it is not known where the state is.
func TestUnreadyWithoutConfiguration(t *testing.T) {
	var s service
	if err := s.unready(fs.ErrPermission); !errors.Is(err, ErrUnready) || !errors.Is(err, fs.ErrPermission) {
		t.Errorf("%v, want ErrUnready", err)
	}
}

func TestUnready(t *testing.T) {
	denied := &fs.PathError{Op: "open", Path: "/var/lib/pyruse/pyruse.lock", Err: fs.ErrPermission}
	full := errors.New("no space left on device")
	for _, c := range []struct {
		name    string
		err     error
		unready bool
		says    string
	}{
		{"wrong owner", fmt.Errorf("lock the storage folder: %w", denied), true, "must belong: chown -R "},
		{"another daemon", fmt.Errorf("lock the storage folder: %w", state.ErrLocked), true, "stop that one first"},
		{"full disk", full, false, "no space left on device"},
		{"faulty configuration", ErrConfig, false, ErrConfig.Error()},
	} {
		t.Run(c.name, func(t *testing.T) {
			var s service
			s.current.Store(&loaded{prog: &program{cfg: &config.Config{}}})
			err := s.unready(c.err)
			if !errors.Is(err, c.err) || errors.Is(err, ErrUnready) != c.unready || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, want …%s, and ErrUnready: %v", err, c.says, c.unready)
			}
		})
	}
}
