package app_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pyruse/pyruse/internal/control"
	"github.com/pyruse/pyruse/internal/journal"
	"github.com/pyruse/pyruse/internal/state"
)

// hangup sends SIGHUP.
func (d *daemon) hangup() {
	d.s.t.Helper()
	if err := d.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		d.s.t.Fatal(err)
	}
}

// awaitReload waits until systemd was told that a reload began and that it is done, and returns what was told then.
func (s *station) awaitReload(d *daemon) (began, done string) {
	s.t.Helper()
	return s.awaitNote(d, "RELOADING=1"), s.awaitNote(d, "READY=1")
}

func monotonic(t testing.TB) int64 {
	t.Helper()
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		t.Fatal(err)
	}
	return now.Nano() / 1000
}

// TestSIGHUPReloads stands where systemd would: a unit with Type=notify-reload.
func TestSIGHUPReloads(t *testing.T) {
	s := newStation(t, actions(dropRules(ban4, ban6, 3600)))
	d := s.start()
	drop(t, "192.0.2.10")
	awaitBan(t, ban4, "192.0.2.10")
	s.configure(actions(`"another": []`, dropRules("inet pyruse other4", "inet pyruse other6", 3600)))
	before := monotonic(t)
	d.hangup()
	began, done := s.awaitReload(d)
	after := monotonic(t)
	m := regexp.MustCompile(`^RELOADING=1\nMONOTONIC_USEC=(\d+)$`).FindStringSubmatch(began)
	if m == nil {
		t.Fatalf("told at the beginning: %q", began)
	}
	if usec, err := strconv.ParseInt(m[1], 10, 64); err != nil || usec < before || usec > after {
		t.Errorf("MONOTONIC_USEC=%s, the reload was between %d and %d", m[1], before, after)
	}
	if !regexp.MustCompile(`^READY=1\nSTATUS=\d+ entries, 1 bans \(1 in force\), lag \d+\.\d s$`).MatchString(done) {
		t.Errorf("told at the end: %q", done)
	}
	drop(t, "192.0.2.11")
	awaitBan(t, "inet pyruse other4", "192.0.2.11")
	awaitElements(t, ban4, "192.0.2.10")
	said := d.hasSaid(journal.MsgReloaded)
	if want := s.config + ": 2 chains, 3 steps, 0 warnings"; len(said) != 1 || said[0] != "reloaded "+want {
		t.Errorf("the log says %q, want %q", said, want)
	}
	noErrors(d)
	d.stop()
}

// TestEarlySIGHUP comes while the daemon waits for its storage folder: it does not end it, and is heeded later.
func TestEarlySIGHUP(t *testing.T) {
	s := newStation(t, actions(dropRules(ban4, ban6, 3600)))
	unlock, err := state.Lock(s.storage)
	if err != nil {
		t.Fatal(err)
	}
	d := s.launch()
	eventually(t, "the daemon has opened the lock", func() bool {
		files, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", d.cmd.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(files, func(file string) bool {
			path, _ := os.Readlink(file)
			return path == filepath.Join(s.storage, "pyruse.lock")
		})
	})
	d.hangup()
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
	s.awaitNote(d, "READY=1")
	s.awaitReload(d)
	d.stop()
}

// TestFaultyReloadChangesNothing reloads a configuration with faults: they are shown as check does, and the old one stays.
func TestFaultyReloadChangesNothing(t *testing.T) {
	s := newStation(t, actions(dropRules(ban4, ban6, 3600)))
	d := s.start()
	s.configure(actions(dropRules("inet pyruse other4", "inet pyruse other6", 3600), `"more": [
	{"filter": "filter_equal", "args": {"field": "MESSAGE", "value": 1}},
	{"action": "action_log", "args": {"massage": "\u001b[31m"}}
]`))
	for _, format := range []string{"text", "json"} {
		r, want := s.run("reload", "--format", format), s.run("check", "--format", format)
		if r.code != 2 || r.stdout != want.stdout || r.stderr != want.stderr || want.code != 2 {
			t.Errorf("reload: %+v\ncheck: %+v", r, want)
		}
	}
	d.hangup()
	s.awaitReload(d)
	s.awaitReload(d)
	_, done := s.awaitReload(d)
	const told = `the configuration was not reloaded, and the one before stays in force: `
	if !strings.HasPrefix(done, "READY=1\nSTATUS=") || !strings.Contains(done, "; "+told) || !strings.HasSuffix(done, ", and 1 more") {
		t.Errorf("told at the end: %q", done)
	}
	if st := d.status(); len(st.Problems) != 1 || !strings.HasPrefix(st.Problems[0], told+s.config+":9:13: error: ") {
		t.Errorf("problems: %q", st.Problems)
	}
	if said := d.hasSaid(journal.MsgReloadFailed); len(said) != 3*3 || !strings.Contains(said[0], "filter_equal") || !strings.HasPrefix(said[2], told) {
		t.Errorf("the log says %q", said)
	}
	drop(t, "192.0.2.12")
	awaitBan(t, ban4, "192.0.2.12")

	if err := os.WriteFile(s.config, []byte(`{"actions": {`), 0o644); err != nil {
		t.Fatal(err)
	}
	if r, want := s.run("reload"), s.run("check"); r.code != 2 || r.stdout != want.stdout {
		t.Errorf("reload: %+v\ncheck: %+v", r, want)
	}
	if err := os.Remove(s.config); err != nil {
		t.Fatal(err)
	}
	if r := s.run("reload"); r.code != 2 || !strings.Contains(r.stdout+r.stderr, "no such file") {
		t.Errorf("without a configuration: %+v", r)
	}

	s.configure(`"unknown": 1,` + actions(dropRules(ban4, ban6, 3600)))
	r, want := s.run("reload"), s.run("check")
	if sound := strings.Replace(want.stdout, "no errors", "now in force", 1); r.code != 0 || r.stdout != sound || !strings.Contains(sound, "1 warning, now in force") {
		t.Errorf("reload: %+v\ncheck: %+v", r, want)
	}
	if st := d.status(); len(st.Problems) != 0 {
		t.Errorf("problems afterwards: %q", st.Problems)
	}
	d.stop()
}

// TestReloadWithoutADaemon has nobody to ask, or no such socket.
func TestReloadWithoutADaemon(t *testing.T) {
	s := newStation(t, actions(dropRules(ban4, ban6, 3600)))
	if r := s.run("reload"); r.code != 1 || !strings.Contains(r.stderr, "no daemon is running: nothing answers on "+s.socket()) {
		t.Errorf("%+v", r)
	}
	d := s.start()
	if r := s.run("reload", "--socket", s.socket()+"x"); r.code != 1 || !strings.Contains(r.stderr, "nothing answers on "+s.socket()+"x") {
		t.Errorf("%+v", r)
	}
	s.configure(`"control": {"socket": "another.sock"}, ` + actions(dropRules(ban4, ban6, 3600)))
	if r := s.run("reload"); r.code != 1 {
		t.Errorf("the socket that will be: %+v", r)
	}
	if r := s.run("reload", "--socket", s.socket()); r.code != 0 || !strings.Contains(r.stdout, `"control.socket" was changed`) {
		t.Errorf("the socket that is: %+v", r)
	}
	d.stop()
}

// proxyRules capture who stands behind a connection, and ban it when the server complains about the connection.
const proxyRules = `"proxy": [
	{"filter": "filter_pcre", "args": {"field": "MESSAGE", "re": "^conn (?P<CLIENT>\\S+) as port (?P<PORT>\\d+)$"}},
	{"action": "action_dnatCapture", "args": {"saddr": "CLIENT", "addrValue": "127.0.0.1", "port": "PORT", "keepSeconds": 600}}
],
"server": [
	{"filter": "filter_pcre", "args": {"field": "MESSAGE", "re": "^bad (?P<IP>127\\.0\\.0\\.1) port (?P<PORT>\\d+)$"}},
	{"action": "action_dnatReplace", "args": {"addr": "IP", "port": "PORT", "saddrInto": "IP"}},
	{"action": "action_nftBan", "args": {"IP": "IP", "nftSetIPv4": "inet pyruse ban4", "nftSetIPv6": "inet pyruse ban6", "banSeconds": 3600}}
]`

// TestReloadKeepsCountersAndConnections counts two failures before a reload and one after it. Other counters, and other
// fields, come before those that are kept.
func TestReloadKeepsCountersAndConnections(t *testing.T) {
	s := newStation(t, actions(sshRules, proxyRules, dropRules(ban4, ban6, 3600)))
	d := s.start()
	failedLogin(t, "192.0.2.20")
	failedLogin(t, "192.0.2.20")
	log(t, "proxy", "conn 192.0.2.21 as port 4711")
	drop(t, "192.0.2.22")
	awaitBan(t, ban4, "192.0.2.22") // all else is handled by then
	first := `"first": [
	{"filter": "filter_equals", "args": {"field": "X", "value": "1"}},
	{"action": "action_counterRaise", "args": {"counter": "new", "for": "Y", "keepSeconds": 600, "save": "n"}}
]`
	for range 3 {
		s.configure(`"limits": {"counterKeys": 100, "dnat": 10}, ` + actions(first, proxyRules, sshRules))
		s.must("reload")
		s.configure(actions(first)) // what is not named now, will be again
		s.must("reload")
		s.configure(actions(proxyRules, sshRules))
		s.must("reload")
	}
	failedLogin(t, "192.0.2.20")
	log(t, "server", "bad 127.0.0.1 port 4711")
	awaitBan(t, ban4, "192.0.2.20")
	awaitBan(t, ban4, "192.0.2.21")
	noErrors(d)
	d.stop()
	if got := count(t, s.book(), "ssh"); got["192.0.2.20"] != 3 || len(got) != 1 {
		t.Errorf("the counters in the database: %v", got)
	}
}

// TestReloadChangesReceivers mails before and after a reload; the report that was missed while nobody was named
// goes to whom the reload names, once.
func TestReloadChangesReceivers(t *testing.T) {
	first, second := newPostbox(t), newPostbox(t)
	to := func(p postbox, to string) string {
		return strings.Replace(strings.Replace(p.members(), `["root@example.org"]`, to, 1), "pyruse@example.org", "new@example.org", 1)
	}
	s := newStation(t, to(first, "[]"))
	s.note(time.Now().AddDate(0, 0, -1), "yesterday's trouble")
	d := s.start()
	log(t, "note", "today's trouble")
	log(t, "alarm", "unheard")
	d.awaitSaid(journal.MsgStepError, "there is nobody to mail to")
	s.configure(first.members())
	s.must("reload")
	report := first.await()
	if to := report.header.Get("To"); to != "<root@example.org>" || report.header.Get("Subject") != "The day" || strings.Contains(report.text, "today") {
		t.Errorf("the report: %+v", report)
	}
	log(t, "alarm", "fire")
	eventually(t, "the alarm arrives", func() bool { return len(first.letters()) == 2 })

	s.configure(to(second, `["boss@example.org", "root@example.org"]`))
	s.must("reload")
	log(t, "alarm", "flood")
	alarm := second.await()
	if to, from := alarm.header.Get("To"), alarm.header.Get("From"); to != "<boss@example.org>, <root@example.org>" || from != "<new@example.org>" {
		t.Errorf("the alarm goes to %s, from %s", to, from)
	}
	s.configure(to(second, "[]"))
	s.must("reload")
	d.stop()
	if a, b := len(first.letters()), len(second.letters()); a != 2 || b != 1 {
		t.Errorf("%d mails the first way, %d the second", a, b)
	}
	if got := reported(t, s.book()); !slices.Equal(got, []string{"today's trouble"}) {
		t.Errorf("lines for the next report: %q", got)
	}
}

// TestReloadOfSettings changes what takes effect at once: neverBan, limits, and the encoding of old texts.
func TestReloadOfSettings(t *testing.T) {
	rules := actions(dropRules(ban4, ban6, 3600), `"note": [
	{"filter": "filter_equals", "args": {"field": "SYSLOG_IDENTIFIER", "value": "note"}},
	{"action": "action_dailyReport", "args": {"level": "INFO", "message": "{MESSAGE}"}}
]`)
	s := newStation(t, rules)
	d := s.start()
	log(t, "note", "\xa4")
	drop(t, "192.0.2.30")
	awaitBan(t, ban4, "192.0.2.30")
	s.configure(`"neverBan": ["192.0.2.0/28", "192.0.2.30"], "limits": {"bans": 1, "reportLines": 2}, "8bit-message-encoding": "iso-8859-15", ` + rules)
	s.must("reload")
	drop(t, "192.0.2.1")
	d.awaitSaid(journal.MsgBanRefused, "192.0.2.1: in 192.0.2.0/28")
	if out := s.run("bans", "add", ban4, "192.0.2.2"); out.code != 1 || !strings.Contains(out.stderr, "never banned") {
		t.Errorf("a ban by hand: %+v", out)
	}
	drop(t, "192.0.2.31")
	d.awaitSaid(journal.MsgStepError, "limits.bans")
	log(t, "note", "\xa4")
	log(t, "note", "one too many")
	d.awaitSaid(journal.MsgDropped, "limits.reportLines")
	awaitElements(t, ban4, "192.0.2.30") // what holds, holds
	d.stop()
	if got := reported(t, s.book()); !slices.Equal(got, []string{"¤", "€"}) {
		t.Errorf("reported: %q", got)
	}
}

// TestSettingsForTheNextStart changes what was opened at the start: the reload goes through, with the old values.
func TestSettingsForTheNextStart(t *testing.T) {
	s := newStation(t, actions(dropRules(ban4, ban6, 3600)))
	d := s.start()
	other := filepath.Join(s.dir, "other")
	text := fmt.Sprintf(`{"storage": %q, "journal": {"namespace": "x", "maxField": 2048}, "control": {"socket": "x.sock"},
	"nftBan": {"nft": ["/bin/false", "x"]}, "ipsetBan": {"ipset": ["/bin/false", "x"]}, `, other) +
		actions(`"new": []`, dropRules(ban4, ban6, 3600)) + "}"
	if err := os.WriteFile(s.config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	keys := []string{"storage", "journal.namespace", "journal.maxField", "control.socket", "nftBan.nft", "ipsetBan.ipset"}
	for range 2 { // each reload says it again
		r := s.run("reload", "--socket", s.socket())
		if r.code != 0 || strings.Count(r.stdout, "takes effect at the next start") != len(keys) || !strings.Contains(r.stdout, "2 chains, 3 steps, 6 warnings, now in force") {
			t.Errorf("reload: %+v", r)
		}
		for _, key := range keys {
			if !strings.Contains(r.stdout, fmt.Sprintf("%q was changed", key)) {
				t.Errorf("no word of %s: %s", key, r.stdout)
			}
		}
	}
	if said := d.hasSaid(journal.MsgSettingWaits); len(said) != 2*len(keys) {
		t.Errorf("the log says %q", said)
	}
	if said := d.hasSaid(journal.MsgReloaded); len(said) != 2 {
		t.Errorf("the log says %q", said)
	}
	drop(t, "192.0.2.40")
	awaitBan(t, ban4, "192.0.2.40")
	s.configure(actions(dropRules(ban4, ban6, 3600)))
	if out := s.must("reload"); strings.Contains(out, "next start") {
		t.Errorf("all is as it was: %s", out)
	}
	d.stop()
	if _, err := os.Stat(other); !os.IsNotExist(err) {
		t.Errorf("the new storage folder: %v", err)
	}
}

// TestReloadSeesWhatWasWritten writes a configuration and asks for a reload, again and again, while others ask, too: each
// gets the result of a load that began after it had asked.
func TestReloadSeesWhatWasWritten(t *testing.T) {
	s := newStation(t, actions(dropRules(ban4, ban6, 3600)))
	d := s.start()
	ask := func() (control.Reload, error) {
		return control.NewClient(s.socket()).Reload(context.Background(), control.ReloadOptions{Format: "text"})
	}
	enough := make(chan struct{})
	var others sync.WaitGroup
	for range 3 {
		others.Go(func() {
			for {
				select {
				case <-enough:
					return
				default:
				}
				if _, err := ask(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	var chains []string
	for i := range 30 {
		chains = append(chains, fmt.Sprintf(`"chain %d": []`, i))
		s.configure(actions(chains...))
		d.hangup()
		r, err := ask()
		if want := fmt.Sprintf(": %d chain", i+1); err != nil || !r.InForce || !strings.Contains(r.Output, want) {
			t.Errorf("reload %d: %+v, %v; want %q", i, r, err, want)
		}
	}
	close(enough)
	others.Wait()
	d.stop()
}

// TestReloadWhileTheDaemonStops asks again and again while the daemon stops: each gets an answer.
func TestReloadWhileTheDaemonStops(t *testing.T) {
	s := newStation(t, actions(dropRules(ban4, ban6, 3600)))
	d := s.start()
	var asking sync.WaitGroup
	asked := make(chan struct{}, 4)
	for range cap(asked) {
		asking.Go(func() {
			for first := true; ; first = false {
				r := s.run("reload")
				if first {
					asked <- struct{}{}
				}
				if r.code == 0 {
					continue
				}
				if r.code != 1 || !strings.Contains(r.stderr, "the daemon is stopping") && !strings.Contains(r.stderr, "no daemon is running") && !strings.Contains(r.stderr, "ask the daemon") {
					t.Errorf("while it stops: %+v", r)
				}
				return
			}
		})
	}
	for range cap(asked) {
		<-asked
	}
	if took := d.stop(); took > 5*time.Second {
		t.Errorf("stopping took %v", took)
	}
	asking.Wait()
}

// The two configurations of the storm do the same with each entry, in another order and under other names.
const stormOne = `"plan": [
	{"filter": "filter_equals", "args": {"field": "SYSLOG_IDENTIFIER", "value": "plan"}},
	{"filter": "filter_pcre", "args": {"field": "MESSAGE", "re": "^hit (?P<n>\\d+) from (?P<IP>\\S+)$"}},
	{"action": "action_counterRaise", "args": {"counter": "hits", "for": "IP", "save": "sum"}},
	{"action": "action_dailyReport", "args": {"level": "INFO", "message": "{n}"}}
]`

const stormTwo = `"never": [
	{"filter": "filter_equals", "args": {"field": "NOT_THERE", "value": "x"}},
	{"action": "action_counterRaise", "args": {"counter": "others", "for": "SOMETHING", "save": "sum"}}
],
"who": [
	{"filter": "filter_pcre", "args": {"field": "MESSAGE", "re": "^hit (?P<number>\\d+) from (?P<address>\\S+)$"}, "then": "count"}
],
"count": [
	{"filter": "filter_in", "args": {"field": "SYSLOG_IDENTIFIER", "values": ["plan", "another"]}},
	{"action": "action_dailyReport", "args": {"level": "INFO", "message": "{number}"}},
	{"action": "action_counterRaise", "args": {"counter": "hits", "for": "address"}}
]`

// storm is a station in which the two configurations take turns while entries are logged.
type storm struct {
	*station
	out   stream
	calls int // of round
	sent  int // entries
}

const stormAddresses = 50

func newStorm(t *testing.T) *storm {
	s := &storm{station: newStation(t, ""), out: newStream(t)}
	s.program = plain
	s.turn()
	return s
}

// turn writes the other configuration.
func (s *storm) turn() {
	gate := dropRules(ban4, ban6, 3600)
	s.configure([]string{`"limits": {"counterKeys": 60, "reportLines": 2000000}, ` + actions(stormTwo, gate), actions(gate, stormOne)}[s.calls%2])
	s.calls++
}

// round has a daemon reload, and logs entries meanwhile.
func (s *storm) round(d *daemon, entries int) {
	s.t.Helper()
	s.turn()
	d.hangup()
	for range entries {
		if err := s.out.log("plan", fmt.Sprintf("hit %d from 198.18.0.%d", s.sent, s.sent%stormAddresses)); err != nil {
			s.t.Fatal(err)
		}
		s.sent++
	}
}

// settle waits until all entries are handled, and stops the daemon.
func (s *storm) settle(d *daemon) {
	s.t.Helper()
	drop(s.t, "192.0.2.50")
	awaitBan(s.t, ban4, "192.0.2.50")
	noErrors(d)
	d.stop()
}

// check wants each entry reported and counted exactly once.
func (s *storm) check() {
	s.t.Helper()
	db, seen := s.book(), map[string]int{}
	for _, line := range reported(s.t, db) {
		seen[line]++
	}
	for i := range s.sent {
		if n := seen[strconv.Itoa(i)]; n != 1 {
			s.t.Errorf("entry %d is reported %d times", i, n)
		}
	}
	hits := count(s.t, db, "hits")
	for i := range stormAddresses {
		address := fmt.Sprintf("198.18.0.%d", i)
		if want := int64((s.sent - i + stormAddresses - 1) / stormAddresses); hits[address] != want {
			s.t.Errorf("%s is counted %d times, want %d", address, hits[address], want)
		}
	}
	if len(seen) != s.sent || len(hits) != stormAddresses {
		s.t.Errorf("%d lines for %d entries, %d addresses of %d", len(seen), s.sent, len(hits), stormAddresses)
	}
}

// TestReloadStorm reloads a hundred times while thousands of entries are logged: each is counted and reported exactly once.
func TestReloadStorm(t *testing.T) {
	s := newStorm(t)
	d := s.start("WATCHDOG_USEC=2000000")
	const reloads, each = 100, 200
	began := time.Now()
	for range reloads {
		s.round(d, each)
		s.awaitReload(d)
	}
	took := time.Since(began)
	s.settle(d)
	t.Logf("%d reloads within %v while %d entries were logged", reloads, took, s.sent)
	if said := d.hasSaid(journal.MsgReloaded); len(said) != reloads {
		t.Errorf("%d reloads are logged", len(said))
	}
	s.check()
}

// TestReloadStormWithKills kills the daemon in the middle of reloads, while entries wait to be handled or committed.
func TestReloadStormWithKills(t *testing.T) {
	s := newStorm(t)
	s.start().stop() // from here on, no entry is missed
	const kills, each = 10, 500
	for range kills {
		d := s.startAgain()
		for range 3 {
			s.round(d, each)
		}
		d.kill()
	}
	s.settle(s.startAgain())
	s.check()
}

// startAgain starts a daemon after one that was killed, whose last notes may still be on their way.
func (s *station) startAgain() *daemon {
	s.t.Helper()
	d := s.launch()
	eventually(s.t, "the daemon answers", func() bool {
		_, err := control.NewClient(s.socket()).Status(context.Background())
		return err == nil
	})
	return d
}
