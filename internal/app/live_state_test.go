package app_test

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pyruse/pyruse/internal/journal"
	"github.com/pyruse/pyruse/internal/journal/journaltest"
	"github.com/pyruse/pyruse/internal/state"
)

// TestEntriesWhileStoppedAreNotLost is for a fault of Pyruse 2: what was logged while it was stopped was never looked at.
func TestEntriesWhileStoppedAreNotLost(t *testing.T) {
	s := newStation(t, actions(sshRules))
	failedLogin(t, "192.0.2.60")
	failedLogin(t, "192.0.2.60")
	failedLogin(t, "192.0.2.60") // before the very first start: not the daemon's business
	journaltest.Sync(t)
	d := s.start()
	failedLogin(t, "192.0.2.61")
	eventually(t, "an entry is handled", func() bool { return d.status().Entries > 0 })
	d.stop()
	failedLogin(t, "192.0.2.61")
	failedLogin(t, "192.0.2.61")
	d = s.start()
	awaitBan(t, ban4, "192.0.2.61")
	awaitElements(t, ban4, "192.0.2.61")
	noErrors(d)
	d.stop()
}

// TestCatchUpRunsOnTheEntriesTime has hours of history appear while the daemon is stopped: the windows of counters and
// the ends of bans are those of the entries. Pyruse 2 took the wall clock.
func TestCatchUpRunsOnTheEntriesTime(t *testing.T) {
	dir := t.TempDir()
	hours := func(ago float64) time.Time { return time.Now().Add(-time.Duration(ago * float64(time.Hour))) }
	login := func(at time.Time, address string) journaltest.Entry {
		return journaltest.Entry{UnixMicro: at.UnixMicro(), Fields: []journaltest.Field{
			journaltest.F("SYSLOG_IDENTIFIER", "sshd"),
			journaltest.F("MESSAGE", "Failed password for root from "+address+" port 4242 ssh2"),
		}}
	}
	file := journaltest.WriteFile(t, dir, []journaltest.Entry{login(hours(9), "192.0.2.70")})
	s := newStation(t, fmt.Sprintf("\"journal\": {\"files\": [%q]}, ", file)+
		actions(strings.Replace(sshRules, `"banSeconds": 3600`, `"banSeconds": 10800`, 1)))
	s.start().stop()
	half := hours(0.5)
	journaltest.AppendFile(t, file, []journaltest.Entry{
		// Three in a minute, but eight hours ago: their ban is over.
		login(hours(8), "192.0.2.71"), login(hours(8).Add(time.Second), "192.0.2.71"), login(hours(8).Add(2*time.Second), "192.0.2.71"),
		// Three, but never three within ten minutes.
		login(hours(3), "192.0.2.72"), login(hours(2), "192.0.2.72"), login(hours(1), "192.0.2.72"),
		// Three in two minutes, half an hour ago: two and a half hours are left.
		login(half, "192.0.2.73"), login(half.Add(time.Minute), "192.0.2.73"), login(half.Add(2*time.Minute), "192.0.2.73"),
	})
	d := s.start()
	left := awaitBan(t, ban4, "192.0.2.73")
	want := int64(10800 - 28*60)
	if left > want || left < want-60 {
		t.Errorf("%d seconds left, want about %d", left, want)
	}
	awaitElements(t, ban4, "192.0.2.73")
	d.awaitSaid(journal.MsgBanApplied, "192.0.2.71")
	noErrors(d)
	d.stop()
}

// TestJournalMovesUnderTheDaemon rotates, vacuums and restarts journald while a counter is half full.
func TestJournalMovesUnderTheDaemon(t *testing.T) {
	journaltest.Fresh(t)
	s := newStation(t, actions(sshRules, dropRules(ban4, ban6, 3600)))
	d := s.start()
	failedLogin(t, "192.0.2.80")
	marker := 0
	handled := func() { // all that was logged so far
		t.Helper()
		marker++
		address := fmt.Sprintf("203.0.113.%d", marker)
		drop(t, address)
		awaitBan(t, ban4, address)
	}
	handled()
	for round := range 3 {
		journaltest.Rotate(t)
		handled()
		journaltest.Vacuum(t)
		handled()
		if round == 0 {
			failedLogin(t, "192.0.2.80")
			handled()
		}
		journaltest.RestartJournald(t)
		handled()
	}
	if err := os.MkdirAll(journaltest.PersistentDir, 0o755); err != nil {
		t.Fatal(err)
	}
	journaltest.Flush(t) // to the disk
	handled()
	failedLogin(t, "192.0.2.80")
	awaitBan(t, ban4, "192.0.2.80")
	if n := len(elements(t, ban4)); n != marker+1 {
		t.Errorf("%d addresses are banned, want %d", n, marker+1)
	}
	noErrors(d)
	if gaps := d.said(journal.MsgJournalGap); len(gaps) != 0 {
		t.Errorf("the daemon says %q, although it had read everything", gaps)
	}
	d.stop()
}

// TestDeletedCursorIsToldAndSurvived vacuums the last handled entry away while the daemon is stopped.
func TestDeletedCursorIsToldAndSurvived(t *testing.T) {
	journaltest.Fresh(t)
	s := newStation(t, actions(dropRules(ban4, ban6, 3600)))
	d := s.start()
	drop(t, "192.0.2.90")
	awaitBan(t, ban4, "192.0.2.90")
	d.stop()
	drop(t, "192.0.2.91") // is vacuumed away with the cursor
	journaltest.Vacuum(t)
	drop(t, "192.0.2.92")
	d = s.start()
	awaitBan(t, ban4, "192.0.2.92")
	d.awaitSaid(journal.MsgJournalGap, "may have been missed")
	awaitElements(t, ban4, "192.0.2.90", "192.0.2.92")
	d.stop()
}

// killRules count, report, mail, log and ban by a plan that the test knows, and again what they themselves have logged.
const killRules = `"hit": [
	{"filter": "filter_equals", "args": {"field": "SYSLOG_IDENTIFIER", "value": "plan"}},
	{"filter": "filter_pcre", "args": {"field": "MESSAGE", "re": "^hit (?P<ID>\\d+) from (?P<IP>\\S+)$"}},
	{"action": "action_counterRaise", "args": {"counter": "hits", "for": "IP", "save": "n"}},
	{"action": "action_dailyReport", "args": {"level": "OTHER", "message": "hit {ID}"}, "then": "mailed"}
],
"mailed": [
	{"filter": "filter_pcre", "args": {"field": "ID", "re": "000$"}, "else": "third"},
	{"action": "action_email", "args": {"message": "hit {ID}"}, "then": "third"}
],
"third": [
	{"filter": "filter_equals", "args": {"field": "n", "value": 3}},
	{"action": "action_log", "args": {"message": "offender {IP}"}},
	{"action": "action_nftBan", "args": {"IP": "IP", "nftSetIPv4": "inet pyruse ban4", "nftSetIPv6": "inet pyruse ban6"}}
],
"again": [
	{"filter": "filter_equals", "args": {"field": "SYSLOG_IDENTIFIER", "value": "pyruse"}},
	{"filter": "filter_pcre", "args": {"field": "MESSAGE", "re": "^offender (?P<IP>\\S+)$"}},
	{"action": "action_counterRaise", "args": {"counter": "offences", "for": "IP"}},
	{"action": "action_dailyReport", "args": {"level": "WARN", "message": "offender {IP}"}},
	{"action": "action_nftBan", "args": {"IP": "IP", "nftSetIPv4": "inet pyruse again4", "nftSetIPv6": "inet pyruse again6"}}
]`

const kills = 220

// attackerAddress is who sends the i-th planned line: of five lines, four are of a new address, so that at any time
// there are third ones, and one is of an address that comes again and again.
func attackerAddress(i int) string {
	round := i / 5
	if i%5 == 4 {
		return fmt.Sprintf("198.19.255.%d", round%50+1)
	}
	return fmt.Sprintf("198.18.%d.%d", round/200, round%200+1)
}

// plan writes planned lines until the returned function is called, which returns how many there are.
func plan(t *testing.T) (stop func() int) {
	out := newStream(t)
	quit := make(chan struct{})
	var lines int
	var fault error
	var writing sync.WaitGroup
	writing.Go(func() {
		pace := time.NewTicker(2 * time.Millisecond)
		defer pace.Stop()
		for fault == nil {
			select {
			case <-pace.C:
				if fault = out.log("plan", fmt.Sprintf("hit %d from %s", lines, attackerAddress(lines))); fault == nil {
					lines++
				}
			case <-quit:
				return
			}
		}
	})
	return func() int {
		t.Helper()
		close(quit)
		writing.Wait()
		if fault != nil {
			t.Fatal(fault)
		}
		return lines
	}
}

// TestKilledAgainAndAgainNothingIsLostOrCountedTwice kills the daemon at random moments under load,
// and then compares counters, bans, report lines and mails with what the plan makes of the entries.
func TestKilledAgainAndAgainNothingIsLostOrCountedTwice(t *testing.T) {
	journaltest.Fresh(t)
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)
	mails := filepath.Join(t.TempDir(), "mails")
	sendmail := mails + ".sh"
	if err := os.WriteFile(sendmail, fmt.Appendf(nil, "#!/bin/sh\ngrep -i '^Message-ID:' >> %q\n", mails), 0o755); err != nil {
		t.Fatal(err)
	}
	s := newStation(t, fmt.Sprintf("\"email\": {\"from\": \"pyruse@localhost\", \"to\": [\"root@localhost\"], \"sendmail\": [%q], \"coalesceSeconds\": 0, \"maxPerHour\": 1000}, ", sendmail)+actions(killRules))
	s.program = plain
	s.start().kill()
	stop := plan(t)
	for i := range kills {
		d := s.launch()
		wait := time.Duration(random.Int64N(int64(200 * time.Millisecond)))
		select {
		case <-time.After(wait):
		case <-d.exited:
			t.Fatalf("kill %d: the daemon had ended by itself: %v; %s", i, d.cmd.ProcessState, d.stderr)
		}
		d.kill()
		if i%50 == 25 {
			journaltest.Rotate(t)
		}
		if i == kills/2 {
			nft(t, "flush", "ruleset") // the machine was booted meanwhile
		}
	}
	lines := stop()
	const last = "203.0.113.200"
	for range 3 {
		log(t, "plan", "hit 1 from "+last)
	}
	d := s.launch()
	awaitBan(t, "inet pyruse again4", last) // all else was handled before
	noErrors(d)
	d.stop()
	t.Logf("%d entries, %d kills (%d of daemons that were ready), and %d lines of offences that had to be recognised as repeated",
		lines, kills, strings.Count(string(journaltest.Journalctl(t, "-o", "cat", "-q", "MESSAGE_ID="+journal.MsgStarted)), "\n"), repeatedLines(t))
	checkPlan(t, s.book(), lines, last)
	checkMails(t, s.book(), mails, (lines-1)/1000)
}

// repeatedLines counts the lines of action_log that daemons have written more than once.
func repeatedLines(t *testing.T) int {
	events := map[string]int{}
	repeated := 0
	for line := range strings.Lines(string(journaltest.Journalctl(t, "-o", "cat", "-q", "--output-fields=PYRUSE_EVENT", "MESSAGE_ID="+journal.MsgLogAction))) {
		if events[line]++; events[line] > 1 {
			repeated++
		}
	}
	return repeated
}

// checkPlan compares the database and the kernel with what so many planned lines have to lead to.
func checkPlan(t *testing.T, db *state.DB, lines int, last string) {
	t.Helper()
	hits, offences := map[string]int64{last: 3}, map[string]int64{last: 1}
	want := []string{"hit 1", "hit 1", "hit 1", "offender " + last}
	for i := range lines {
		address := attackerAddress(i)
		hits[address]++
		want = append(want, fmt.Sprintf("hit %d", i))
		if hits[address] == 3 {
			offences[address] = 1
			want = append(want, "offender "+address)
		}
	}
	if got := count(t, db, "hits"); !maps.Equal(got, hits) {
		t.Errorf("the counters differ from the plan: %v", difference(got, hits))
	}
	if got := count(t, db, "offences"); !maps.Equal(got, offences) {
		t.Errorf("the counters of repeated offences differ from the plan: %v", difference(got, offences))
	}
	got := reported(t, db)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the report has %d lines, want %d: %v", len(got), len(want), difference(tally(got), tally(want)))
	}
	bans, err := db.Bans()
	if err != nil {
		t.Fatal(err)
	}
	remembered := map[string][]string{}
	for _, b := range bans {
		remembered[b.Set] = append(remembered[b.Set], b.Addr.String())
	}
	offenders := slices.Sorted(maps.Keys(offences))
	for _, set := range []string{ban4, "inet pyruse again4"} {
		if got := slices.Sorted(slices.Values(remembered[set])); !slices.Equal(got, offenders) {
			t.Errorf("%s: the database has %d bans, want %d", set, len(got), len(offenders))
		}
		if got := slices.Sorted(maps.Keys(elements(t, set))); !slices.Equal(got, offenders) {
			t.Errorf("%s: the kernel has %d elements, want %d", set, len(got), len(offenders))
		}
	}
}

func tally(lines []string) map[string]int64 {
	n := map[string]int64{}
	for _, l := range lines {
		n[l]++
	}
	return n
}

// difference tells the first few keys that differ.
func difference(got, want map[string]int64) []string {
	var d []string
	for _, m := range []map[string]int64{got, want} {
		for k := range m {
			text := fmt.Sprintf("%s: %d, want %d", k, got[k], want[k])
			if got[k] != want[k] && !slices.Contains(d, text) && len(d) < 10 {
				d = append(d, text)
			}
		}
	}
	return d
}

// checkMails checks that there is a mail for each planned one: sent, or still in the outbox. One that was
// accepted at the moment of a kill may have been sent twice, but with the same Message-ID.
func checkMails(t *testing.T, db *state.DB, file string, want int) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	for line := range strings.Lines(string(data)) {
		_, id, _ := strings.Cut(strings.TrimSpace(line), ":")
		ids[strings.Trim(id, " <>")] = true
	}
	sent := len(ids)
	for {
		m, ok, err := db.NextMail()
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			break
		}
		ids[m.MessageID] = true
		if err := db.MailSent(m.ID); err != nil {
			t.Fatal(err)
		}
	}
	if len(ids) != want {
		t.Errorf("%d mails (%d sent), want %d", len(ids), sent, want)
	}
}

// mountSmall puts a small tmpfs on the station's storage folder.
func (s *station) mountSmall() {
	s.t.Helper()
	if err := os.MkdirAll(s.storage, 0o700); err != nil {
		s.t.Fatal(err)
	}
	if err := unix.Mount("small", s.storage, "tmpfs", 0, "size=4m,mode=0700"); err != nil {
		s.t.Fatalf("mount a tmpfs: %v", err)
	}
	s.t.Cleanup(func() {
		if err := unix.Unmount(s.storage, unix.MNT_DETACH); err != nil {
			s.t.Error(err)
		}
	})
}

// fill writes a file until there is no room any more.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{64 << 10, 4 << 10, 1} {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
		if !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, io.ErrShortWrite) {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestFullDisk fills the storage up: bans go on, the trouble is told, and once there is room everything is committed.
func TestFullDisk(t *testing.T) {
	s := newStation(t, actions(killRules))
	s.mountSmall()
	d := s.start()
	const before, during, after = 100, 3000, 100
	out := newStream(t)
	send := func(from, to int) {
		t.Helper()
		for i := from; i < to; i++ {
			if i%1000 == 0 { // this is not about mail
				continue
			}
			if err := out.log("plan", fmt.Sprintf("hit %d from %s", i, attackerAddress(i))); err != nil {
				t.Fatal(err)
			}
		}
	}
	awaitReported := func(n int) {
		t.Helper()
		eventually(t, "the lines are committed", func() bool {
			db, _, err := state.Open(s.storage, state.Limits{ReportLines: 1e6, Outbox: 1e4}, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = db.Close() }()
			return len(reported(t, db)) >= n
		})
	}
	send(0, before)
	awaitReported(before - 1)
	filler := filepath.Join(s.storage, "filler")
	fill(t, filler)
	send(before, before+during)
	awaitBan(t, ban4, attackerAddress(before+during-5)) // its third line was among them
	d.awaitSaid(journal.MsgCommitFailed, "cannot be committed")
	s.awaitNote(d, "nothing can be committed")
	drop3 := func(address string) {
		for range 3 {
			log(t, "plan", "hit 1 from "+address)
		}
		awaitBan(t, "inet pyruse again4", address)
	}
	drop3("203.0.113.1") // bans go on, also those of one's own log lines
	if failed := d.said(journal.MsgCommitFailed); len(failed) != 1 {
		t.Errorf("the trouble is told %d times: %q", len(failed), failed)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	d.awaitSaid(journal.MsgCommitRecovered, "committed again")
	send(before+during, before+during+after)
	drop3("203.0.113.2")
	if problems := d.status().Problems; len(problems) != 0 {
		t.Errorf("the status still says %q", problems)
	}
	noErrors(d)
	d.stop()
	hits := map[string]int64{"203.0.113.1": 3, "203.0.113.2": 3}
	for i := range before + during + after {
		if i%1000 != 0 {
			hits[attackerAddress(i)]++
		}
	}
	db := s.book()
	if got := count(t, db, "hits"); !maps.Equal(got, hits) {
		t.Errorf("the counters differ from the plan: %v", difference(got, hits))
	}
	want := before + during + after - 4 + 6 + len(hits)
	if got := len(reported(t, db)); got != want {
		t.Errorf("%d report lines, want %d", got, want)
	}
}

// TestKilledOnAFullDisk kills the daemon while nothing can be committed: it goes on from the last commit.
func TestKilledOnAFullDisk(t *testing.T) {
	s := newStation(t, actions(killRules))
	s.mountSmall()
	d := s.start()
	hit := func(n int, address string) {
		t.Helper()
		for range n {
			log(t, "plan", "hit 1 from "+address)
		}
	}
	hit(3, "203.0.113.10")
	awaitBan(t, "inet pyruse again4", "203.0.113.10")
	filler := filepath.Join(s.storage, "filler")
	fill(t, filler)
	for i := range 300 { // more than the pages that the log has already
		hit(3, fmt.Sprintf("198.18.0.%d", i%250+1))
	}
	d.awaitSaid(journal.MsgCommitFailed, "cannot be committed")
	d.kill()
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	d = s.start()
	hit(3, "203.0.113.11")
	awaitBan(t, "inet pyruse again4", "203.0.113.11")
	noErrors(d)
	d.stop()
	db := s.book()
	hits, offences := map[string]int64{"203.0.113.10": 3, "203.0.113.11": 3}, map[string]int64{"203.0.113.10": 1, "203.0.113.11": 1}
	for i := range 300 {
		address := fmt.Sprintf("198.18.0.%d", i%250+1)
		hits[address] += 3
		offences[address] = 1
	}
	if got := count(t, db, "hits"); !maps.Equal(got, hits) {
		t.Errorf("the counters differ from the plan: %v", difference(got, hits))
	}
	if got := count(t, db, "offences"); !maps.Equal(got, offences) {
		t.Errorf("the counters of repeated offences differ from the plan: %v", difference(got, offences))
	}
}

// TestFullDiskAtStart boots and starts on a disk that has become full while nothing was running.
func TestFullDiskAtStart(t *testing.T) {
	s := newStation(t, actions(killRules))
	s.mountSmall()
	d := s.start()
	for range 3 {
		log(t, "plan", "hit 1 from 203.0.113.20")
	}
	awaitBan(t, "inet pyruse again4", "203.0.113.20")
	d.stop()
	filler := filepath.Join(s.storage, "filler")
	fill(t, filler)
	nft(t, "flush", "ruleset")
	s.must("boot")
	awaitBan(t, "inet pyruse again4", "203.0.113.20")
	log(t, "plan", "hit 1 from 203.0.113.21")
	d = s.start()
	d.awaitSaid(journal.MsgCommitFailed, "cannot be committed")
	for range 2 {
		log(t, "plan", "hit 1 from 203.0.113.21")
	}
	awaitBan(t, "inet pyruse again4", "203.0.113.21")
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	d.awaitSaid(journal.MsgCommitRecovered, "committed again")
	noErrors(d)
	d.stop()
	if got, want := count(t, s.book(), "hits"), map[string]int64{"203.0.113.20": 3, "203.0.113.21": 3}; !maps.Equal(got, want) {
		t.Errorf("the counters differ from the plan: %v", difference(got, want))
	}
}

// TestFirstStartOnAFullDisk has no database yet, and no room for one.
func TestFirstStartOnAFullDisk(t *testing.T) {
	s := newStation(t, actions(killRules))
	s.mountSmall()
	filler := filepath.Join(s.storage, "filler")
	fill(t, filler)
	d := s.start()
	d.awaitSaid(journal.MsgCommitFailed, "cannot be committed")
	for range 3 {
		log(t, "plan", "hit 1 from 203.0.113.30")
	}
	awaitBan(t, "inet pyruse again4", "203.0.113.30")
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	d.awaitSaid(journal.MsgCommitRecovered, "committed again")
	if said := d.said(journal.MsgStateSetAside); len(said) != 0 {
		t.Errorf("a full disk is taken for damage: %q", said)
	}
	noErrors(d)
	d.stop()
	if got, want := count(t, s.book(), "hits"), map[string]int64{"203.0.113.30": 3}; !maps.Equal(got, want) {
		t.Errorf("the counters differ from the plan: %v", difference(got, want))
	}
}

// TestDamagedOnAFullDisk damages the file while nothing runs, and leaves no room for a new one: it is set aside once.
func TestDamagedOnAFullDisk(t *testing.T) {
	s := newStation(t, actions(killRules))
	s.mountSmall()
	d := s.start()
	d.stop()
	path := filepath.Join(s.storage, state.FileName)
	if err := os.WriteFile(path, []byte(strings.Repeat("not a database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	filler := filepath.Join(s.storage, "filler")
	fill(t, filler)
	d = s.start()
	d.awaitSaid(journal.MsgCommitFailed, "cannot be committed")
	for range 3 {
		log(t, "plan", "hit 1 from 203.0.113.31")
	}
	awaitBan(t, "inet pyruse again4", "203.0.113.31")
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	d.awaitSaid(journal.MsgCommitRecovered, "committed again")
	d.stop()
	if files, err := filepath.Glob(path + ".damaged-*Z"); err != nil || len(files) != 1 {
		t.Errorf("set aside: %q, %v; want one file", files, err)
	}
}

// TestDamagedDatabaseIsSetAside damages the file while the daemon is stopped, and while it runs.
func TestDamagedDatabaseIsSetAside(t *testing.T) {
	s := newStation(t, actions(dropRules(ban4, ban6, 3600)))
	path := filepath.Join(s.storage, state.FileName)
	damage := func() {
		t.Helper()
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte(strings.Repeat("damaged!", int(info.Size())/8)), 0); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	asides := func() int {
		t.Helper()
		files, err := filepath.Glob(path + ".damaged-*")
		if err != nil {
			t.Fatal(err)
		}
		return len(slices.DeleteFunc(files, func(f string) bool { return strings.HasSuffix(f, "-wal") || strings.HasSuffix(f, "-shm") }))
	}
	d := s.start()
	drop(t, "192.0.2.100")
	awaitBan(t, ban4, "192.0.2.100")
	d.stop()
	damage()
	d = s.start()
	d.awaitSaid(journal.MsgStateSetAside, "damaged")
	drop(t, "192.0.2.101")
	awaitBan(t, ban4, "192.0.2.101")
	if n := asides(); n != 1 {
		t.Errorf("%d damaged databases are kept, want 1", n)
	}
	d.stop() // which moves everything into the main file
	d = s.start()
	damage()
	drop(t, "192.0.2.102")
	awaitBan(t, ban4, "192.0.2.102")
	d.awaitSaid(journal.MsgStateSetAside, "damaged")
	drop(t, "192.0.2.103")
	awaitBan(t, ban4, "192.0.2.103")
	d.stop()
	if n := asides(); n != 2 {
		t.Errorf("%d damaged databases are kept, want 2", n)
	}
	bans, err := s.book().Bans()
	if err != nil || len(bans) != 3 {
		t.Errorf("the new database has %v, %v; want the three bans that were in memory", bans, err)
	}
}

// TestPyruse2StateIsTakenOverOnce leaves the files of Pyruse 2 in the storage folder.
func TestPyruse2StateIsTakenOverOnce(t *testing.T) {
	s := newStation(t, actions(dropRules(ban4, ban6, 3600)))
	if err := os.MkdirAll(s.storage, 0o700); err != nil {
		t.Fatal(err)
	}
	hour, past := time.Now().Add(time.Hour).Unix(), time.Now().Add(-time.Hour).Unix()
	files := map[string]string{
		"action_nftBan.py.json": fmt.Sprintf(`[{"IP": "192.0.2.110", "nfSet": "inet pyruse ban4", "timestamp": %d.5},
			{"IP": "192.0.2.111", "nfSet": "inet pyruse ban4", "timestamp": 0}, {"IP": "192.0.2.112", "nfSet": "inet pyruse ban4", "timestamp": %d}]`, hour, past),
		"action_dailyReport.py.journal": fmt.Sprintf("[\n{\"L\": 1, \"T\": %d.0, \"M\": \"taken over\", \"D\": \"ALL\"},\n", past),
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(s.storage, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d := s.start()
	awaitElements(t, ban4, "192.0.2.110", "192.0.2.111")
	if left := elements(t, ban4); left["192.0.2.110"] < 3400 || left["192.0.2.111"] != 0 {
		t.Errorf("seconds left: %v", left)
	}
	d.awaitSaid(journal.MsgStateTakenOver, "action_nftBan.py.json")
	d.awaitSaid(journal.MsgStateTakenOver, "1 report lines")
	s.must("bans", "remove", "192.0.2.111")
	d.stop()
	for name, text := range files {
		if _, err := os.Stat(filepath.Join(s.storage, name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is still there: %v", name, err)
		}
		kept, err := os.ReadFile(filepath.Join(s.storage, name+".taken-over"))
		if err != nil || string(kept) != text {
			t.Errorf("%s was not kept: %v", name, err)
		}
		if err := os.WriteFile(filepath.Join(s.storage, name), []byte(text), 0o600); err != nil { // by a restored backup
			t.Fatal(err)
		}
	}
	d = s.start()
	awaitElements(t, ban4, "192.0.2.110")
	d.stop()
	if got := reported(t, s.book()); !slices.Equal(got, []string{"taken over"}) {
		t.Errorf("the report has %q", got)
	}
}

// TestBanFileIsNotRewritten is for a fault of Pyruse 2: at every ban it wrote the whole file of bans
// anew, in place. Here one more ban costs the same however many there are, and goes through a log.
func TestBanFileIsNotRewritten(t *testing.T) {
	s := newStation(t, actions(dropRules(ban4, ban6, 3600)))
	d := s.start()
	out := newStream(t)
	const many = 5000
	for i := range many {
		if err := out.log("gate", fmt.Sprintf("drop 198.18.%d.%d", i/250, i%250+1)); err != nil {
			t.Fatal(err)
		}
	}
	// The daemon's own lines on the bans come back as entries, and are noted, too.
	eventually(t, "all is handled", func() bool { return d.status().Entries >= 2*many })
	d.stop() // the main file has everything now
	path := filepath.Join(s.storage, state.FileName)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	d = s.start()
	drop(t, "192.0.2.120")
	eventually(t, "the ban is in the log", func() bool {
		db, _, err := state.Open(s.storage, state.Limits{ReportLines: 1e6, Outbox: 1e4}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = db.Close() }()
		bans, err := db.Bans()
		return err == nil && len(bans) == many+1
	})
	after, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	wal, err := os.Stat(path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(before, after) || wal.Size() > int64(len(before))/4 {
		t.Errorf("one ban changed the database in place, or wrote %d bytes for a database of %d", wal.Size(), len(before))
	}
	d.kill() // in the middle of anything: nothing to repair
	if bans, err := s.book().Bans(); err != nil || len(bans) != many+1 {
		t.Errorf("%d bans after a kill, %v", len(bans), err)
	}
}
