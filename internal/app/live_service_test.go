package app_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pyruse/pyruse/internal/control"
	"github.com/pyruse/pyruse/internal/journal"
	"github.com/pyruse/pyruse/internal/journal/journaltest"
)

// TestSystemdIsToldWhatHappens stands where systemd would.
func TestSystemdIsToldWhatHappens(t *testing.T) {
	s := newStation(t, actions(dropRules(ban4, ban6, 3600)))
	d := s.launch("WATCHDOG_USEC=400000")
	if ready := s.awaitNote(d, "READY=1"); !strings.Contains(ready, "STATUS=") {
		t.Errorf("ready without a status: %q", ready)
	}
	began := time.Now()
	const beats = 5
	for range beats {
		s.awaitNote(d, "WATCHDOG=1")
	}
	if took := time.Since(began); took > beats*400*time.Millisecond {
		t.Errorf("%d signs of life took %v, with a watchdog of 400 ms", beats, took)
	}
	drop(t, "192.0.2.130")
	if status := s.awaitNote(d, "1 bans (1 in force)"); !regexp.MustCompile(`^STATUS=\d+ entries, 1 bans \(1 in force\), lag \d+\.\d s$`).MatchString(status) {
		t.Errorf("the status is %q", status)
	}
	took := d.stop()
	s.awaitNote(d, "STOPPING=1")
	t.Logf("stopped within %v", took)
	if took > 5*time.Second {
		t.Errorf("stopping took %v", took)
	}
}

// TestStopUnderLoadCommitsEverything stops the daemon while entries pour in, and goes on later.
func TestStopUnderLoadCommitsEverything(t *testing.T) {
	s := newStation(t, actions(killRules))
	s.start().stop()
	out := newStream(t)
	const many = 20000
	for i := range many {
		if err := out.log("plan", fmt.Sprintf("hit 1 from 198.18.0.%d", i%100)); err != nil {
			t.Fatal(err)
		}
	}
	d := s.start()
	if took := d.stop(); took > 5*time.Second {
		t.Errorf("stopping took %v", took)
	}
	db := s.book()
	var first int64
	for _, n := range count(t, db, "hits") {
		first += n
	}
	if got := int64(len(reported(t, db))) - int64(len(count(t, db, "offences"))); got != first {
		t.Errorf("%d entries are counted, %d reported", first, got)
	}
	d = s.start()
	log(t, "plan", "hit 1 from 203.0.113.1")
	eventually(t, "all is caught up", func() bool {
		var n int64
		for _, c := range count(t, db, "hits") {
			n += c
		}
		return n == many+1
	})
	d.stop()
	t.Logf("%d of %d entries before the stop", first, many)
}

// asNobody makes a command run as the user nobody.
func asNobody(t *testing.T, cmd *exec.Cmd) *exec.Cmd {
	t.Helper()
	if os.Getuid() != 0 {
		t.Fatal("needs root, to run something as another user")
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	return cmd
}

// TestControlSocketIsGuarded lets another user try to lift a ban.
func TestControlSocketIsGuarded(t *testing.T) {
	s := newStation(t, actions(dropRules(ban4, ban6, 3600)))
	for _, dir := range []string{s.dir, filepath.Dir(s.program)} {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	d := s.start()
	drop(t, "192.0.2.140")
	awaitBan(t, ban4, "192.0.2.140")
	info, err := os.Stat(s.socket())
	if err != nil || info.Mode().Perm() != 0o660 {
		t.Fatalf("the socket: %v, %v; want mode 0660", info.Mode(), err)
	}
	try := func(args ...string) (string, error) {
		out, err := asNobody(t, s.command(args...)).CombinedOutput()
		return string(out), err
	}
	if out, err := try("bans"); err == nil || !strings.Contains(out, "permission denied") {
		t.Errorf("nobody opens the socket: %s", out)
	}
	// An administrator may give the socket to a group, whose members then may look.
	if err := os.Chmod(s.socket(), 0o666); err != nil {
		t.Fatal(err)
	}
	if out, err := try("bans"); err != nil || !strings.Contains(out, "192.0.2.140") {
		t.Errorf("nobody may look: %v: %s", err, out)
	}
	for _, args := range [][]string{{"bans", "remove", "192.0.2.140"}, {"bans", "add", ban4, "192.0.2.141"}, {"reload"}} {
		if out, err := try(args...); err == nil || !strings.Contains(out, "only root") {
			t.Errorf("nobody may %q: %s", args, out)
		}
	}
	awaitElements(t, ban4, "192.0.2.140")
	d.stop()
	if _, err := os.Stat(s.socket()); !os.IsNotExist(err) {
		t.Errorf("the socket after the stop: %v", err)
	}
}

// TestOneDaemonForAStorage starts a second one beside it, and a third after a kill, which leaves the socket behind.
func TestOneDaemonForAStorage(t *testing.T) {
	s := newStation(t, actions(dropRules(ban4, ban6, 3600)))
	d := s.start()
	second := s.run("run")
	if second.code != 2 || strings.Count(second.stderr, "\n") != 1 || !strings.Contains(second.stderr, "another pyruse is running") {
		t.Errorf("a second daemon: %+v", second)
	}
	if st := d.status(); st.Since.IsZero() {
		t.Errorf("the first one does not answer any more: %+v", st)
	}
	d.kill()
	if _, err := os.Stat(s.socket()); err != nil {
		t.Fatal(err)
	}
	if _, err := control.NewClient(s.socket()).Status(context.Background()); err == nil {
		t.Fatal("a killed daemon answers")
	}
	s.must("bans")
	d = s.start()
	if info, err := os.Stat(s.socket()); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("the new socket: %v, %v", info, err)
	}
	d.stop()
}

// memory returns figures of /proc/PID/status, in KiB.
func (d *daemon) memory(names ...string) []int {
	d.s.t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.cmd.Process.Pid))
	if err != nil {
		d.s.t.Fatal(err)
	}
	var figures []int
	for _, name := range names {
		_, rest, _ := strings.Cut(string(data), "\n"+name+":")
		line, _, _ := strings.Cut(rest, "\n")
		n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(line), " kB"))
		if err != nil {
			d.s.t.Fatal(err)
		}
		figures = append(figures, n)
	}
	return figures
}

// TestIdleMemory is about the resident set after some work.
func TestIdleMemory(t *testing.T) {
	s := newStation(t, actions(sshRules))
	s.program = plain
	d := s.start()
	for i := range 500 {
		failedLogin(t, fmt.Sprintf("198.18.0.%d", i%200))
	}
	eventually(t, "all is handled", func() bool { return d.status().Entries >= 500 })
	m := d.memory("VmRSS", "RssAnon", "RssFile", "RssShmem")
	t.Logf("resident %d KiB: anonymous %d, files %d, shared %d", m[0], m[1], m[2], m[3])
	if m[0] >= 30<<10 {
		t.Errorf("%d KiB are resident, want less than 30 MiB", m[0])
	}
	d.stop()
}

// TestAttackOfTenThousandAddresses is one second's attack: 50,000 lines from 10,000 addresses, and a rule that fails on each.
func TestAttackOfTenThousandAddresses(t *testing.T) {
	journaltest.Fresh(t)
	const failing = `"failing": [
	{"filter": "filter_equals", "args": {"field": "SYSLOG_IDENTIFIER", "value": "plan"}},
	{"filter": "filter_inNetworks", "args": {"field": "MESSAGE", "nets": ["10.0.0.0/8"]}}
]`
	s := newStation(t, actions(failing, strings.Replace(killRules, `"third": [
	{"filter": "filter_equals", "args": {"field": "n", "value": 3}},`, `"third": [
	{"filter": "filter_greaterOrEquals", "args": {"field": "n", "value": 3}},`, 1)))
	s.program = plain
	d := s.start()
	out := newStream(t)
	const addresses, each = 10_000, 5
	began := time.Now()
	for i := range addresses * each {
		if err := out.log("plan", fmt.Sprintf("hit 1 from 198.18.%d.%d", i%addresses/200, i%200+1)); err != nil {
			t.Fatal(err)
		}
	}
	sent := time.Since(began)
	eventually(t, "all are banned", func() bool { return d.status().Running == 2*addresses })
	banned := time.Since(began)
	eventually(t, "all are in the kernel", func() bool { return len(elements(t, ban4)) == addresses })
	for range each { // when this one is banned, all else is handled
		if err := out.log("plan", "hit 1 from 203.0.113.99"); err != nil {
			t.Fatal(err)
		}
	}
	awaitBan(t, ban4, "203.0.113.99")
	eventually(t, "the last line is handled", func() bool { return d.status().Errors == (addresses+1)*each })
	m := d.memory("VmHWM", "VmRSS", "RssAnon")
	t.Logf("sent within %v, banned in two sets within %v; resident %d KiB at most, %d now, %d of it anonymous", sent, banned, m[0], m[1], m[2])
	if m[0] > 128<<10 {
		t.Errorf("%d KiB were resident", m[0])
	}
	if n := len(d.said(journal.MsgStepError)) + len(d.said(journal.MsgStepErrorsSummed)); n < 1 || n > 2*(1+int(time.Since(began)/time.Minute)) {
		t.Errorf("%d lines of a rule that fails on every entry", n)
	}
	d.stop()
	var summed int
	for _, said := range d.said(journal.MsgStepErrorsSummed) {
		_, rest, _ := strings.Cut(said, ": ")
		n, _, _ := strings.Cut(rest, " ")
		more, err := strconv.Atoi(n)
		if err != nil {
			t.Fatalf("%v in %q", err, said)
		}
		summed += more
	}
	if told := len(d.said(journal.MsgStepError)) + summed; told != (addresses+1)*each {
		t.Errorf("%d errors are told of, want %d", told, (addresses+1)*each)
	}
	var hits int64
	for _, n := range count(t, s.book(), "hits") {
		hits += n
	}
	if hits != (addresses+1)*each {
		t.Errorf("%d hits are counted, want %d", hits, (addresses+1)*each)
	}
}

// TestErrorsDoNotFeedThemselves has a filter fail on every entry, also on the lines that tell of its failure.
func TestErrorsDoNotFeedThemselves(t *testing.T) {
	s := newStation(t, actions(`"failing": [{"filter": "filter_inNetworks", "args": {"field": "MESSAGE", "nets": ["10.0.0.0/8"]}}]`, dropRules(ban4, ban6, 3600)))
	d := s.start()
	for i := range 20 { // each ban leads to a line of the daemon, too
		address := fmt.Sprintf("192.0.2.%d", 150+i)
		drop(t, address)
		awaitBan(t, ban4, address)
	}
	handled := int64(0)
	eventually(t, "the daemon has come to rest", func() bool {
		before := handled
		handled = d.status().Entries
		journaltest.Sync(t)
		return handled == before
	})
	said := d.said(journal.MsgStepError)
	if len(said) < 1 || len(said) > 2 { // one for the entries of others, one for its own
		t.Errorf("%d lines for one failing step: %q", len(said), said)
	}
	d.stop()
}

// TestLogLinesThatLeadToLogLinesAreCut has an action_log match its own lines.
func TestLogLinesThatLeadToLogLinesAreCut(t *testing.T) {
	s := newStation(t, actions(`"echo": [
	{"filter": "filter_pcre", "args": {"field": "MESSAGE", "re": "^(echo )*call$"}},
	{"action": "action_log", "args": {"message": "echo {MESSAGE}"}}
]`))
	d := s.start()
	log(t, "caller", "call")
	d.awaitSaid(journal.MsgStepError, "log lines lead to log lines")
	if n := len(d.said(journal.MsgLogAction)); n != 10 {
		t.Errorf("%d lines, want 10", n)
	}
	if st := d.status(); st.Errors != 1 {
		t.Errorf("%d errors, want 1", st.Errors)
	}
	d.stop()
}

// TestEntryWithoutMessageDoesNotStopTheDaemon is for a fault of Pyruse 2, which ended at such an entry. Others that are odd go with it.
func TestEntryWithoutMessageDoesNotStopTheDaemon(t *testing.T) {
	s := newStation(t, actions(`"any": [
	{"filter": "filter_pcre", "args": {"field": "MESSAGE", "re": "^(?P<WORD>\\w+)"}, "else": "drop"},
	{"action": "action_dailyReport", "args": {"level": "INFO", "message": "{WORD:.10}"}, "then": "drop"}
]`, dropRules(ban4, ban6, 3600)))
	d := s.start()
	journaltest.Send(t, journaltest.F("SYSLOG_IDENTIFIER", "gate"), journaltest.F("PRIORITY", "3"))
	journaltest.Send(t, journaltest.F("SYSLOG_IDENTIFIER", "gate"), journaltest.F("MESSAGE", ""))
	journaltest.Send(t, journaltest.F("SYSLOG_IDENTIFIER", "gate"), journaltest.F("MESSAGE", "\xff\xfe\x00binary\n"))
	journaltest.Send(t, journaltest.F("SYSLOG_IDENTIFIER", "gate"), journaltest.F("MESSAGE", "one"), journaltest.F("MESSAGE", "two"))
	journaltest.Send(t, journaltest.F("SYSLOG_IDENTIFIER", "gate"), journaltest.F("MESSAGE", string(bytes.Repeat([]byte("long"), 2<<20))))
	drop(t, "no address; flush ruleset") // \S+$ does not match it
	drop(t, "flush;ruleset")
	drop(t, "192.0.2.180")
	awaitBan(t, ban4, "192.0.2.180")
	if said := d.said(journal.MsgStepError); len(said) != 1 || !strings.Contains(said[0], "flush;ruleset") {
		t.Errorf("steps failed: %q; want that flush;ruleset is no address", said)
	}
	d.stop()
}

// TestJournalThatIsNotThereYet starts the daemon before there is any journal.
func TestJournalThatIsNotThereYet(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "journal")
	s := newStation(t, fmt.Sprintf("\"journal\": {\"directory\": %q}, ", dir)+actions(dropRules(ban4, ban6, 0)))
	d := s.start()
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	journaltest.WriteFile(t, dir, []journaltest.Entry{{UnixMicro: time.Now().UnixMicro(), Fields: []journaltest.Field{
		journaltest.F("SYSLOG_IDENTIFIER", "gate"), journaltest.F("MESSAGE", "drop 192.0.2.190"),
	}}})
	awaitBan(t, ban4, "192.0.2.190")
	d.stop()
}
