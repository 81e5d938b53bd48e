package app

import (
	"fmt"

	"github.com/pyruse/pyruse/internal/ban"
	"github.com/pyruse/pyruse/internal/journal"
)

// banEvent logs what the keeper tells. That a ban took effect was logged with its cause already.
func (s *service) banEvent(e ban.Event) {
	set := journal.Field{Name: journal.FieldSet, Value: e.Set}
	backend := journal.Field{Name: journal.FieldBackend, Value: e.Backend}
	name := fmt.Sprintf("%s set %q", e.Backend, e.Set)
	switch e.Kind {
	case ban.Expired:
		s.say(journal.MsgBanExpired, 6, fmt.Sprintf("the ban of %s in %s is over", e.Ban.Addr, name), banFields(e.Ban)...)
	case ban.Rejected:
		s.byHand.CompareAndSwap(e.Ban.Key(), nil, e.Err)
		s.say(journal.MsgSetFailed, 3, fmt.Sprintf("%s does not take %s: %v", name, e.Ban.Addr, e.Err), banFields(e.Ban)...)
	case ban.Failed:
		s.say(journal.MsgSetFailed, 3, fmt.Sprintf("%s: %v; %d bans wait for it, and it is tried again", name, e.Err, e.Count), set, backend)
	case ban.Recovered:
		s.say(journal.MsgBansRestored, 5, fmt.Sprintf("%s can be used; %d bans are in force", name, e.Count), set, backend)
	case ban.Restored:
		s.say(journal.MsgBansRestored, 5, fmt.Sprintf("%d bans had vanished from %s, and are back", e.Count, name), set, backend)
	case ban.Unwatched:
		s.say(journal.MsgSetFailed, 3, fmt.Sprintf("changes of %s by others cannot be watched: %v", e.Backend, e.Err), backend)
	case ban.Banned, ban.Unbanned:
	}
}
