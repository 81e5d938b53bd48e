package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/pyruse/pyruse/internal/action"
	"github.com/pyruse/pyruse/internal/ban"
	"github.com/pyruse/pyruse/internal/config"
	"github.com/pyruse/pyruse/internal/journal"
	"github.com/pyruse/pyruse/internal/state"
)

// BootOptions say what is restored.
type BootOptions struct {
	Source  Source
	Modules []string // empty: all that have something to restore
	Stdout  io.Writer
	Stderr  io.Writer
	Colour  bool // of Stderr
}

// bootModules are the actions with a state outside, and their firewalls.
var bootModules = map[string]string{"action_nftBan": state.BackendNFT, "action_ipsetBan": state.BackendIPSet}

// Boot sets the stage before the daemon starts: every remembered ban that has not
// expired is put back, with the time that it has left; expired ones are forgotten. A configuration with
// faults restores the bans all the same, as far as it can be read, and then returns ErrConfig.
func Boot(ctx context.Context, o BootOptions) error {
	backends, err := bootBackends(o.Modules)
	if err != nil || len(backends) == 0 && len(o.Modules) > 0 {
		return err
	}
	settings, fault := o.Source.settings(o.Stderr, o.Colour)
	db, aside, err := state.Open(settings.Storage, stateLimits(settings), time.Now())
	if err != nil {
		return errors.Join(fault, err)
	}
	if aside != "" {
		err = fmt.Errorf("the database was damaged, so no ban could be restored; it is kept as %s", aside)
		sayTo(journal.NewLogger(journal.LoggerOptions{}), o.Stderr, journal.Record{
			Priority: 1, Message: err.Error(), MessageID: journal.MsgStateSetAside,
			Fields: []journal.Field{{Name: journal.FieldFile, Value: aside}},
		})
	}
	return errors.Join(fault, err, restore(ctx, o, settings, db, backends), db.Close())
}

// bootBackends returns the firewalls of the named modules; all of them where none is named.
func bootBackends(modules []string) ([]string, error) {
	if len(modules) == 0 {
		return []string{state.BackendNFT, state.BackendIPSet}, nil
	}
	known := newRegistry(&action.World{Counters: action.NewCounters(0), DNAT: action.NewDNAT(0)}).Actions()
	var backends []string
	for _, m := range modules {
		if backend, ok := bootModules[m]; ok {
			backends = append(backends, backend)
			continue
		}
		if !slices.Contains(known, m) {
			return nil, fmt.Errorf("there is no action %q; those with a state to restore are action_nftBan and action_ipsetBan", m)
		}
	}
	return backends, nil
}

func restore(ctx context.Context, o BootOptions, c *config.Settings, db *state.DB, backends []string) error {
	var said []string
	err := takeOver(db, c.Storage, func(text, _ string) { said = append(said, text) })
	for _, text := range said {
		_, e := fmt.Fprintln(o.Stdout, text)
		err = errors.Join(err, e)
	}
	if err != nil {
		return err
	}
	all, err := db.Bans()
	if err != nil {
		return err
	}
	walls, err := firewalls(c)
	if err != nil {
		return err
	}
	now := time.Now()
	// Those that have expired are among them: a set without timeouts may still hold them.
	bans := slices.DeleteFunc(all, func(b state.Ban) bool { return !slices.Contains(backends, b.Backend) })
	r, err := ban.Restore(ctx, walls, bans, now)
	if err != nil {
		err = fmt.Errorf("restore the bans: %w", err)
	}
	_, forget := db.Commit(&state.Batch{ForgetBefore: now})
	if errors.Is(forget, state.ErrFull) { // the daemon forgets them later
		_, forget = fmt.Fprintf(o.Stderr, "pyruse: bans that have ended are not forgotten yet: %v\n", forget)
	}
	_, say := fmt.Fprintf(o.Stdout, "%d bans restored (%s)\n", r.Restored, strings.Join(backends, ", "))
	return errors.Join(err, forget, say)
}
