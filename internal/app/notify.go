package app

import (
	"fmt"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/pyruse/pyruse/internal/journal"
)

// quiet is the longest time between two signs of life.
const quiet = time.Minute

// statusEvery bounds how often systemd is told the status.
const statusEvery = 5 * time.Second

// notifyReady tells systemd that the daemon is ready, and returns the longest time
// that may pass between two signs of life.
func (s *service) notifyReady() time.Duration {
	s.notify(daemon.SdNotifyReady + "\n" + s.statusLine())
	watchdog, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		s.say(journal.MsgStarted, 4, "the watchdog of systemd cannot be served: "+err.Error())
	}
	if err != nil || watchdog == 0 {
		return quiet
	}
	s.heart.watchdog = watchdog
	return min(quiet, watchdog/2)
}

func (s *service) notify(text string) {
	// Without systemd there is nobody to tell, and a lost message does no harm.
	_, _ = daemon.SdNotify(false, text)
}

// statusLine is what `systemctl status` shows.
func (s *service) statusLine() string {
	st := s.Status()
	text := fmt.Sprintf("STATUS=%d entries, %d bans (%d in force), lag %.1f s", st.Entries, st.Bans, st.Running, st.Lag)
	if st.Errors > 0 {
		text += fmt.Sprintf(", %d errors", st.Errors)
	}
	if len(st.Problems) > 0 {
		text += "; " + strings.ReplaceAll(strings.Join(st.Problems, "; "), "\n", " ")
	}
	return text
}

// heartbeat tells systemd that the engine is alive, and what it is doing when that has changed.
type heartbeat struct {
	watchdog time.Duration // 0: nobody watches
	beaten   time.Time
	told     time.Time
	status   string
	journal  journal.Stats // as they were told last
}

// beat is called by the engine after each batch.
func (s *service) beat() {
	h := &s.heart
	now := time.Now()
	if h.watchdog > 0 && now.Sub(h.beaten) >= h.watchdog/4 {
		h.beaten = now
		s.notify(daemon.SdNotifyWatchdog)
	}
	if now.Sub(h.told) < statusEvery {
		return
	}
	h.told = now
	s.tellJournal()
	if line := s.statusLine(); line != h.status {
		h.status = line
		s.notify(line)
	}
}

// tellJournal logs what of the journal could not be read since the last time.
func (s *service) tellJournal() {
	stats, told := s.reader.Stats(), &s.heart.journal
	if n := stats.Gaps - told.Gaps; n > 0 {
		s.say(journal.MsgJournalGap, 4, "the last entry that was handled is gone from the journal: entries may have been missed; going on with the next one that is left")
	}
	if n := stats.Damaged - told.Damaged; n > 0 {
		s.say(journal.MsgJournalUnreadable, 3, fmt.Sprintf("%d entries or fields of the journal are damaged, and were left out", n))
	}
	*told = stats
}
