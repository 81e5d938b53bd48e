package app

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/pyruse/pyruse/internal/ban"
	"github.com/pyruse/pyruse/internal/config"
	"github.com/pyruse/pyruse/internal/control"
	"github.com/pyruse/pyruse/internal/state"
)

// BansOptions are what the commands on bans have in common.
type BansOptions struct {
	Source Source
	Format Format
	Stdout io.Writer
	Stderr io.Writer
	Colour bool // of Stderr
}

// keeping is where bans are listed and changed: the running daemon, or the database and
// the firewalls themselves.
type keeping interface {
	list(ctx context.Context) ([]state.Ban, error)
	add(ctx context.Context, b state.Ban, length time.Duration) (state.Ban, error)
	remove(ctx context.Context, a netip.Addr, set string) ([]state.Ban, error)
}

// Bans lists what is banned.
func Bans(ctx context.Context, o BansOptions) error {
	return o.with(ctx, reading, func(k keeping) error {
		list, err := k.list(ctx)
		if err != nil {
			return err
		}
		slices.SortFunc(list, func(a, b state.Ban) int {
			return cmp.Or(cmp.Compare(a.Backend, b.Backend), cmp.Compare(a.Set, b.Set), a.Addr.Compare(b.Addr))
		})
		return o.print(list)
	})
}

// AddBan bans an address by hand; length 0 is for ever.
func AddBan(ctx context.Context, o BansOptions, set, address string, length time.Duration) error {
	b, err := control.NewBan(set, address, length, time.Now())
	if err != nil {
		return err
	}
	return o.with(ctx, making, func(k keeping) error {
		b, err := k.add(ctx, b, length)
		if err != nil {
			return err
		}
		return o.print([]state.Ban{b})
	})
}

// RemoveBan lifts the bans of an address, in all sets if set is "". It is an error if there is none.
func RemoveBan(ctx context.Context, o BansOptions, address, set string) error {
	a, err := ban.ParseAddr(address)
	if err != nil {
		return err
	}
	return o.with(ctx, making, func(k keeping) error {
		gone, err := k.remove(ctx, a, set)
		if err != nil {
			return err
		}
		if len(gone) == 0 {
			where := ""
			if set != "" {
				where = fmt.Sprintf(" in %q", set)
			}
			return fmt.Errorf("%s is not banned%s", a, where)
		}
		return o.print(gone)
	})
}

// with calls f with the running daemon, or with the state itself if none is running.
func (o *BansOptions) with(ctx context.Context, a access, f func(keeping) error) error {
	return withState(ctx, o.Source, o.Stderr, o.Colour, a,
		func(c *control.Client) error { return f(viaDaemon{c}) },
		func(db *state.DB, settings *config.Settings) error {
			if db == nil {
				return o.print(nil)
			}
			return f(&direct{db, settings})
		})
}

type viaDaemon struct{ client *control.Client }

func (d viaDaemon) list(ctx context.Context) ([]state.Ban, error) {
	list, err := d.client.Bans(ctx)
	return toStates(list), err
}

func (d viaDaemon) add(ctx context.Context, b state.Ban, length time.Duration) (state.Ban, error) {
	x, err := d.client.Ban(ctx, b.Set, b.Addr.String(), length)
	return x.State(), err
}

func (d viaDaemon) remove(ctx context.Context, a netip.Addr, set string) ([]state.Ban, error) {
	list, err := d.client.Unban(ctx, a, set)
	return toStates(list), err
}

func toStates(list []control.Ban) []state.Ban {
	bans := make([]state.Ban, len(list))
	for i, b := range list {
		bans[i] = b.State()
	}
	return bans
}

// direct works on the database and the firewalls while no daemon is running.
type direct struct {
	db       *state.DB
	settings *config.Settings
}

func (d *direct) list(context.Context) ([]state.Ban, error) {
	list, err := d.db.Bans()
	now := time.Now()
	return slices.DeleteFunc(list, func(b state.Ban) bool { return b.Expired(now) }), err
}

func (d *direct) add(ctx context.Context, b state.Ban, _ time.Duration) (state.Ban, error) {
	guard, err := ban.NewGuard(d.settings.NeverBanNets(), ban.OwnAddresses, time.Now)
	if err != nil {
		return b, err
	}
	if reason, refused := guard.Refuse(b.Addr); refused {
		return b, fmt.Errorf("%w: %s is never banned: %s", control.ErrRefused, b.Addr, reason)
	}
	if _, err := d.db.Commit(&state.Batch{Bans: []state.Ban{b}}); err != nil {
		return b, err
	}
	walls, err := firewalls(d.settings)
	if err != nil {
		return b, err
	}
	if _, err := ban.Restore(ctx, walls, []state.Ban{b}, time.Now()); err != nil {
		return b, notTaken(b, err)
	}
	return b, nil
}

func (d *direct) remove(ctx context.Context, a netip.Addr, set string) ([]state.Ban, error) {
	list, err := d.list(ctx)
	if err != nil {
		return nil, err
	}
	gone := slices.DeleteFunc(list, func(b state.Ban) bool { return b.Addr != a || set != "" && b.Set != set })
	if len(gone) == 0 {
		return nil, nil
	}
	var batch state.Batch
	for _, b := range gone {
		batch.Unbans = append(batch.Unbans, b.Key())
	}
	if _, err := d.db.Commit(&batch); err != nil {
		return nil, err
	}
	walls, err := firewalls(d.settings)
	if err != nil {
		return gone, err
	}
	return gone, ban.Lift(ctx, walls, gone)
}

// print writes bans as a table, or as one JSON object a line.
func (o *BansOptions) print(list []state.Ban) error {
	out := bufio.NewWriter(o.Stdout)
	if o.Format == JSON {
		enc := json.NewEncoder(out)
		enc.SetEscapeHTML(false)
		for _, b := range list {
			if err := enc.Encode(control.FromState(b)); err != nil {
				return err
			}
		}
		return out.Flush()
	}
	if len(list) == 0 {
		if _, err := fmt.Fprintln(out, "nothing is banned"); err != nil {
			return err
		}
		return out.Flush()
	}
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, err := fmt.Fprintln(t, "BACKEND\tSET\tADDRESS\tSINCE\tUNTIL\tBY")
	for _, b := range list {
		by := "hand"
		if b.Chain != "" {
			by = fmt.Sprintf("%s[%d]", config.Printable(b.Chain), b.Step)
		}
		_, e := fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", b.Backend, b.Set, b.Addr, timeOr(b.Since, "unknown"), timeOr(b.Until, "for ever"), by)
		err = errors.Join(err, e)
	}
	return errors.Join(err, t.Flush(), out.Flush())
}

func timeOr(t time.Time, none string) string {
	if t.IsZero() {
		return none
	}
	return t.Local().Format(time.DateTime)
}
