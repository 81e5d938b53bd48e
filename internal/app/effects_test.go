package app

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pyruse/pyruse/internal/action"
	"github.com/pyruse/pyruse/internal/ban"
	"github.com/pyruse/pyruse/internal/entry"
	"github.com/pyruse/pyruse/internal/state"
)

// nowhere is an entry without fields.
type nowhere struct{}

func (nowhere) Field(string) ([]byte, bool) { return nil, false }
func (nowhere) Cursor() string              { return "s=1;i=1" }

// TestFullOfBans reaches limits.bans: a further address is refused, a ban that holds is renewed.
func TestFullOfBans(t *testing.T) {
	keeper := ban.NewKeeper(ban.Options{Now: time.Now})
	first := state.Ban{Backend: state.BackendNFT, Set: "inet pyruse ban4", Addr: netip.MustParseAddr("192.0.2.1")}
	keeper.Load([]state.Ban{first})
	f := &effects{maxBans: 1, running: keeper.Len, holds: keeper.Has, now: time.Now}
	e := entry.New(entry.NewNames(nil))
	e.Reset(nowhere{}, 0)
	if err := f.Ban(action.Cause{Entry: e}, first); err != nil {
		t.Errorf("renewing a ban: %v", err)
	}
	second := first
	second.Addr = netip.MustParseAddr("192.0.2.2")
	if err := f.Ban(action.Cause{Entry: e}, second); err == nil || !strings.Contains(err.Error(), "limits.bans") {
		t.Errorf("a ban too many: %v", err)
	}
	if len(f.batch.Bans) != 1 {
		t.Errorf("%d bans to commit, want the renewed one", len(f.batch.Bans))
	}
}
