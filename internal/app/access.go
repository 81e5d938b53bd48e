package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/pyruse/pyruse/internal/config"
	"github.com/pyruse/pyruse/internal/control"
	"github.com/pyruse/pyruse/internal/state"
)

// access is what a command does with the state.
type access int

const (
	reading  access = iota // what is there
	changing               // what is there
	making                 // it, if there is none
)

// errNoState says that there is nothing to look at, or to change.
var errNoState = errors.New("there is nothing yet: the daemon has not run with this configuration")

// withState has the running daemon do something, or does it with the database if none is running: with nil if there is none, and none
// is to be made.
func withState(ctx context.Context, src Source, stderr io.Writer, colour bool, a access,
	ask func(*control.Client) error, do func(*state.DB, *config.Settings) error) error {
	var faults bytes.Buffer // of no interest while a daemon answers
	settings, fault := src.settings(&faults, colour)
	if fault != nil && !errors.Is(fault, ErrConfig) {
		return fault
	}
	client := control.NewClient(socketPath(settings))
	if _, err := client.Status(ctx); !errors.Is(err, control.ErrNotRunning) {
		if err != nil {
			return err
		}
		return ask(client)
	}
	if fault != nil && !errors.Is(fault, config.ErrNoFile) {
		_, err := stderr.Write(faults.Bytes())
		return errors.Join(fault, err)
	}
	if _, err := os.Stat(filepath.Join(settings.Storage, state.FileName)); errors.Is(err, fs.ErrNotExist) && a != making {
		return do(nil, settings)
	}
	if a != reading {
		unlock, err := state.Lock(settings.Storage)
		if errors.Is(err, state.ErrLocked) {
			return fmt.Errorf("%w, but it does not answer on %s", err, socketPath(settings))
		}
		if err != nil {
			return withAdvice(err)
		}
		defer func() { _ = unlock() }() // the lock ends with the process in any case
	}
	db, err := state.OpenSound(settings.Storage, stateLimits(settings))
	if err != nil {
		return withAdvice(err)
	}
	return errors.Join(do(db, settings), db.Close())
}

// withAdvice adds what to do about an error of opening the state.
func withAdvice(err error) error {
	switch {
	case errors.Is(err, state.ErrDamaged):
		return fmt.Errorf("%w; pyruse run sets it aside and begins a new one", err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w; run this as root, or as the user of the daemon", err)
	}
	return err
}

// readState calls f with the database, opened for reading beside the daemon or without it, and with the configuration. Without a database, it
// calls nothing, and returns false.
func readState(src Source, stderr io.Writer, colour bool, f func(*state.DB, *loaded) error) (there bool, err error) {
	l, err := mustLoad(src, noWorld, stderr, colour)
	if err != nil {
		return false, err
	}
	db, err := state.OpenReader(l.prog.cfg.Settings.Storage)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, withAdvice(err)
	}
	return true, errors.Join(f(db, l), db.Close())
}
