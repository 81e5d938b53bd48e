package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/pyruse/pyruse/internal/ban"
	"github.com/pyruse/pyruse/internal/state"
)

const (
	manyBans  = 100_000
	stormBans = 10_000
	oneByOne  = 1000 // bans, each on its own, of which the mean counts
	banSet    = "inet pyruse ban4"
	banTime   = 24 * time.Hour
)

// bans returns n bans; those of different first numbers are different.
func bans(first, n int) []state.Ban {
	now := time.Now()
	list := make([]state.Ban, n)
	for i := range list {
		a := first + i
		list[i] = state.Ban{
			Backend: state.BackendNFT, Set: banSet, Addr: netip.AddrFrom4([4]byte{11, byte(a >> 16), byte(a >> 8), byte(a)}),
			Since: now, Until: now.Add(banTime), Chain: "ssh: failed", Step: 3,
		}
	}
	return list
}

// fortress is a keeper with real nftables, and a database.
type fortress struct {
	dir    string
	db     *state.DB
	keeper *ban.Keeper
	stop   context.CancelFunc
	ended  chan error
}

func newFortress(o *options) (*fortress, error) {
	dir, err := os.MkdirTemp(o.work, "storage-")
	if err != nil {
		return nil, fmt.Errorf("make a storage folder: %w", err)
	}
	db, err := openState(dir)
	if err != nil {
		return nil, err
	}
	nft, err := ban.NewNFT(nil)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	f := &fortress{dir: dir, db: db, stop: stop, ended: make(chan error, 1), keeper: ban.NewKeeper(ban.Options{
		Firewalls: map[string]ban.Firewall{state.BackendNFT: nft}, Now: time.Now,
	})}
	go func() { f.ended <- f.keeper.Run(ctx) }()
	return f, nil
}

func openState(dir string) (*state.DB, error) {
	db, _, err := state.Open(dir, state.Limits{ReportLines: 1000, Outbox: 1000}, time.Now())
	return db, err
}

func (f *fortress) close() error {
	f.stop()
	return errors.Join(<-f.ended, f.db.Close(), os.RemoveAll(f.dir))
}

// put does with a batch of bans what the daemon's engine does: to the keeper, and into the database.
func (f *fortress) put(list []state.Ban) error {
	f.keeper.Ban(list)
	_, err := f.db.Commit(&state.Batch{Bans: list, Cursor: "s=0;i=1"})
	return err
}

// putAll puts many bans, in batches, and waits until the kernel has them.
func (f *fortress) putAll(list []state.Ban) error {
	for i := 0; i < len(list); i += batchEntries {
		if err := f.put(list[i:min(i+batchEntries, len(list))]); err != nil {
			return err
		}
	}
	return f.keeper.Flush(context.Background())
}

// measureOneBan puts bans one by one, each until the kernel and the database have it, while others are running.
func measureOneBan(o *options) (figures, error) {
	f, err := newFortress(o)
	if err != nil {
		return nil, err
	}
	if err := f.putAll(bans(0, o.running)); err != nil {
		return nil, err
	}
	more := bans(1<<20, 2*oneByOne)
	alone := func(list []state.Ban) error {
		for i := range list {
			if err := f.putAll(list[i : i+1]); err != nil {
				return err
			}
		}
		return nil
	}
	if err := alone(more[:oneByOne]); err != nil {
		return nil, err
	}
	cpu, _, err := timed(func() error { return alone(more[oneByOne:]) })
	return figures{"ban": micros(cpu, oneByOne)}, errors.Join(err, f.close())
}

// measureStorm puts many new bans at once.
func measureStorm(o *options) (figures, error) {
	f, err := newFortress(o)
	if err != nil {
		return nil, err
	}
	if err := f.putAll(bans(1<<20, 1)); err != nil { // the table, the sets and the rules are there
		return nil, err
	}
	list := bans(0, stormBans)
	cpu, elapsed, err := timed(func() error { return f.putAll(list) })
	if n := f.keeper.Len(); err == nil && n != stormBans+1 {
		err = fmt.Errorf("ban %d addresses: %d bans are running", stormBans, n)
	}
	return figures{"storm": micros(cpu, stormBans), "storm elapsed": micros(elapsed, stormBans)}, errors.Join(err, f.close())
}

// measureRestore runs `pyruse boot` with a database full of bans, and empty sets in the kernel.
func measureRestore(o *options) (figures, error) {
	dir, err := os.MkdirTemp(o.work, "storage-")
	if err != nil {
		return nil, fmt.Errorf("make a storage folder: %w", err)
	}
	db, err := openState(dir)
	if err != nil {
		return nil, err
	}
	if _, err := db.Commit(&state.Batch{Bans: bans(0, manyBans)}); err != nil {
		return nil, err
	}
	if err := db.Close(); err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "pyruse.json")
	if err := writeConfig(config, dir, filepath.Join(dir, "none")); err != nil {
		return nil, err
	}
	cmd := exec.Command(filepath.Join(o.work, binPyruse), "boot", "--config", config)
	began := time.Now()
	out, err := cmd.CombinedOutput()
	elapsed := time.Since(began)
	if err == nil && !bytes.Contains(out, fmt.Appendf(nil, "%d bans restored", manyBans)) {
		err = errors.New("not all bans were restored")
	}
	if err != nil {
		return nil, fmt.Errorf("run pyruse boot: %w: %s", err, out)
	}
	cpu := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return figures{"restore": cpu.Seconds(), "restore elapsed": elapsed.Seconds()}, os.RemoveAll(dir)
}
