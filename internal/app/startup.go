package app

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/pyruse/pyruse/internal/ban"
	"github.com/pyruse/pyruse/internal/config"
	"github.com/pyruse/pyruse/internal/journal"
	"github.com/pyruse/pyruse/internal/report"
	"github.com/pyruse/pyruse/internal/state"
)

// load fills the tables from the database.
func (g *engine) load() error {
	bans, err := g.db.Bans()
	if err != nil {
		return err
	}
	g.keeper.Load(bans)
	var faults []error
	keep := func(err error) {
		if err != nil && len(faults) < 10 {
			faults = append(faults, err)
		}
	}
	if err := g.db.Counters(func(c state.Counter) { keep(g.world.Counters.Load(c)) }); err != nil {
		return err
	}
	if err := g.db.DNAT(func(x state.DNAT) { keep(g.world.DNAT.Load(x)) }); err != nil {
		return err
	}
	seen, err := g.db.Seen()
	if err != nil {
		return err
	}
	for _, event := range seen {
		g.see(event)
	}
	if err := errors.Join(faults...); err != nil {
		g.say(journal.MsgStateSetAside, 3, "parts of the state were not understood, and are left out: "+err.Error())
	}
	return nil
}

// touch notes that there is something to commit.
func (g *engine) touch() {
	if g.uncommitted.IsZero() {
		g.uncommitted = time.Now()
	}
}

// unban lifts the bans of an address: in the firewalls, in the database, and for the next boot.
func (g *engine) unban(address netip.Addr, set string) []state.Ban {
	gone := g.keeper.Unban(address, set)
	for _, b := range gone {
		g.effects.batch.Unbans = append(g.effects.batch.Unbans, b.Key())
	}
	if len(gone) > 0 {
		g.touch()
	}
	return gone
}

// firewalls returns the firewalls as the configuration wants them: by netlink, or by a command.
func firewalls(c *config.Settings) (map[string]ban.Firewall, error) {
	nft, err := ban.NewNFT(c.NFTBan.NFT)
	if err != nil {
		return nil, err
	}
	ipset, err := ban.NewIPSet(c.IPSetBan.IPSet)
	if err != nil {
		return nil, err
	}
	return map[string]ban.Firewall{state.BackendNFT: nft, state.BackendIPSet: ipset}, nil
}

// The state files of Pyruse 2, and the name that they get once they are taken over.
const (
	legacyNFT    = "action_nftBan.py.json"
	legacyIPSet  = "action_ipsetBan.py.json"
	legacyReport = "action_dailyReport.py.journal"
	takenSuffix  = ".taken-over"
)

// takeOver reads the state files of Pyruse 2 into the database, once, and renames them. What of them could not
// be read is told, and does not stop the daemon.
func takeOver(db *state.DB, storage string, say func(text, file string)) error {
	for _, f := range []struct {
		name string
		read func(path string, b *state.Batch) (string, error)
	}{
		{legacyNFT, readLegacyBans(state.BackendNFT)},
		{legacyIPSet, readLegacyBans(state.BackendIPSet)},
		{legacyReport, readLegacyReport},
	} {
		path := filepath.Join(storage, f.name)
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		var b state.Batch
		text, fault := f.read(path, &b)
		if errors.Is(fault, fs.ErrPermission) {
			return fmt.Errorf("take over a state file of Pyruse 2: %w", fault)
		}
		done, err := db.TakeOver(f.name, &b)
		if errors.Is(err, state.ErrFull) {
			say(fmt.Sprintf("%s is not taken over now, but at the next start: %v", path, err), path)
			continue
		}
		if err != nil {
			return err
		}
		if err := os.Rename(path, path+takenSuffix); err != nil {
			return fmt.Errorf("rename a state file of Pyruse 2: %w", err)
		}
		if !done {
			continue
		}
		if fault != nil {
			text += fmt.Sprintf("; not all of it could be read: %v", fault)
		}
		say(fmt.Sprintf("took over %s from %s, which is now %s%s", text, path, f.name, takenSuffix), path)
	}
	return nil
}

func readLegacyBans(backend string) func(string, *state.Batch) (string, error) {
	return func(path string, b *state.Batch) (string, error) {
		f, err := os.Open(path)
		if err != nil {
			return "nothing", err
		}
		bans, skipped, err := state.ParseLegacyBans(f, backend)
		b.Bans = bans
		return fmt.Sprintf("%d bans (%d more were none)", len(bans), skipped), errors.Join(err, f.Close())
	}
}

func readLegacyReport(path string, b *state.Batch) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "nothing", err
	}
	lines, err := report.ParseLegacy(f)
	b.Report = lines
	return fmt.Sprintf("%d report lines", len(lines)), errors.Join(err, f.Close())
}
