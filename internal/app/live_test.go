package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pyruse/pyruse/internal/control"
	"github.com/pyruse/pyruse/internal/journal"
	"github.com/pyruse/pyruse/internal/journal/journaltest"
	"github.com/pyruse/pyruse/internal/state"
)

// The live tests run the built program as a process of its own, beside a real journald and a
// real nftables, in namespaces of their own (see journaltest).

// executable is the built program; plain is the same without the race detector, which the tests of memory and
// of many starts use.
var executable, plain string

// buildFlags are for executable.
var buildFlags = []string{"-tags", "libsqlite3"}

func TestMain(m *testing.M) {
	journaltest.Run(func() int {
		dir, err := os.MkdirTemp("", "pyruse-live")
		if err != nil {
			fmt.Fprintln(os.Stderr, "FAIL: make a folder for the program:", err)
			return 1
		}
		defer func() { _ = os.RemoveAll(dir) }()
		plain = filepath.Join(dir, "pyruse")
		executable = filepath.Join(dir, "pyruse-as-tested")
		return m.Run()
	})
}

// build compiles the programs, once, when the first test asks for them: unit tests and fuzzing do without.
var build = sync.OnceValue(func() error {
	for path, flags := range map[string][]string{plain: {"-tags", "libsqlite3"}, executable: buildFlags} {
		out, err := exec.Command("go", slices.Concat([]string{"build", "-o", path}, flags, []string{"../../cmd/pyruse"})...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("build the program: %w: %s", err, out)
		}
	}
	return nil
})

const (
	// patience bounds every wait; only a failure uses it up.
	patience = 30 * time.Second
	// pollEvery is how often something is looked at that tells nobody when it changes.
	pollEvery = 5 * time.Millisecond
)

// eventually waits until cond holds.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	began := time.Now()
	for !cond() {
		if time.Since(began) > patience {
			t.Fatalf("waited %v in vain until %s", patience, what)
		}
		time.Sleep(pollEvery) //nolint:forbidigo // sets of the kernel and other processes' files announce no change
	}
}

// station is where daemons of one test run, one after the other: a configuration, a storage
// folder, a control socket, and the socket on which systemd would listen.
type station struct {
	t       testing.TB
	program string
	dir     string
	config  string
	storage string
	found   bool // the configuration is not named, but found, in $PYRUSE_EXTRA
	notify  *net.UnixConn

	mu    sync.Mutex
	notes []string
	noted chan struct{} // capacity 1: there are new notes
}

// newStation makes a station with a configuration: the members of the JSON object but storage.
func newStation(t testing.TB, members string) *station {
	t.Helper()
	if err := build(); err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("/run", "station") // short, as socket paths have to be
	if err != nil {
		t.Fatal(err)
	}
	s := &station{t: t, program: executable, dir: dir, config: filepath.Join(dir, "pyruse.json"), storage: filepath.Join(dir, "state"), noted: make(chan struct{}, 1)}
	if err := os.Mkdir(s.fragments(), 0o755); err != nil {
		t.Fatal(err)
	}
	s.configure(members)
	s.notify, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	go s.listen()
	t.Cleanup(func() {
		_ = s.notify.Close()
		_ = os.RemoveAll(dir)
		nft(t, "flush", "ruleset")
	})
	return s
}

// configure writes the configuration.
func (s *station) configure(members string) {
	s.t.Helper()
	text := fmt.Sprintf("{\"storage\": %q,\n%s}", s.storage, members)
	if err := os.WriteFile(s.config, []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

// fragments is the folder of the fragments.
func (s *station) fragments() string { return filepath.Join(s.dir, "pyruse.d") }

// fragment writes a fragment, and returns its path.
func (s *station) fragment(name, text string) string {
	s.t.Helper()
	path := filepath.Join(s.fragments(), name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// listen collects what daemons tell systemd. Nobody else reads the socket, and its queue is short.
func (s *station) listen() {
	buf := make([]byte, 64<<10)
	for {
		n, err := s.notify.Read(buf)
		if err != nil {
			return
		}
		s.mu.Lock()
		s.notes = append(s.notes, string(buf[:n]))
		s.mu.Unlock()
		select {
		case s.noted <- struct{}{}:
		default:
		}
	}
}

// awaitNote waits until a daemon has told systemd something with the text in it since the last
// call, and returns what.
func (s *station) awaitNote(d *daemon, text string) string {
	s.t.Helper()
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		s.mu.Lock()
		for i, note := range s.notes {
			if strings.Contains(note, text) {
				s.notes = s.notes[i+1:]
				s.mu.Unlock()
				return note
			}
		}
		notes := slices.Clone(s.notes)
		s.mu.Unlock()
		select {
		case <-s.noted:
		case <-d.exited:
			s.t.Fatalf("the daemon ended before it told %q: %v; stderr: %s", text, d.cmd.ProcessState, d.stderr.String())
		case <-late.C:
			s.t.Fatalf("waited %v in vain for %q; the daemon told %q; stderr: %s", patience, text, notes, d.stderr.String())
		}
	}
}

func (s *station) socket() string { return filepath.Join(s.dir, "control.sock") }

// command is the program with arguments, in this station's environment.
func (s *station) command(args ...string) *exec.Cmd {
	args = append(args, "--config-dir", s.fragments())
	if !s.found {
		args = append(args, "--config", s.config)
	}
	cmd := exec.Command(s.program, args...)
	cmd.Env = append(os.Environ(), "PYRUSE_EXTRA="+filepath.Dir(s.config), "RUNTIME_DIRECTORY="+s.dir, "NOTIFY_SOCKET="+filepath.Join(s.dir, "notify"), "TZ=UTC",
		"GORACE=atexit_sleep_ms=0") // a second at each exit, otherwise
	return cmd
}

// result is how a command ended.
type result struct {
	code           int
	stdout, stderr string
}

// run runs a command to its end.
func (s *station) run(args ...string) result {
	s.t.Helper()
	cmd := s.command(args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		s.t.Fatal(err)
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// must is run for a command that is to succeed; it returns its standard output.
func (s *station) must(args ...string) string {
	s.t.Helper()
	r := s.run(args...)
	if r.code != 0 {
		s.t.Fatalf("pyruse %q: exit code %d: %s%s", args, r.code, r.stdout, r.stderr)
	}
	return r.stdout
}

// daemon is a running `pyruse run`.
type daemon struct {
	s      *station
	cmd    *exec.Cmd
	stderr *buffer
	exited chan struct{}
}

// buffer is a bytes.Buffer that may be read while a process writes.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// launch starts a daemon without waiting for anything.
func (s *station) launch(env ...string) *daemon {
	s.t.Helper()
	d := &daemon{s: s, cmd: s.command("run"), stderr: &buffer{}, exited: make(chan struct{})}
	d.cmd.Env = append(d.cmd.Env, env...)
	d.cmd.Stderr = d.stderr
	if err := d.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() {
		_ = d.cmd.Wait() // its state says how it ended
		close(d.exited)
	}()
	s.t.Cleanup(d.kill)
	return d
}

// start starts a daemon and returns when it has told systemd that it is ready.
func (s *station) start(env ...string) *daemon {
	s.t.Helper()
	d := s.launch(env...)
	s.awaitNote(d, "READY=1")
	return d
}

// kill ends the daemon with SIGKILL; it may have ended already.
func (d *daemon) kill() {
	_ = d.cmd.Process.Kill()
	<-d.exited
}

// stop ends the daemon with SIGTERM, and returns how long that took.
func (d *daemon) stop() time.Duration {
	d.s.t.Helper()
	began := time.Now()
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		d.s.t.Fatal(err)
	}
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case <-d.exited:
	case <-late.C:
		d.s.t.Fatalf("the daemon did not stop within %v; stderr: %s", patience, d.stderr.String())
	}
	if code := d.cmd.ProcessState.ExitCode(); code != 0 || d.stderr.String() != "" {
		d.s.t.Errorf("the daemon ended with %v; stderr: %s", d.cmd.ProcessState, d.stderr.String())
	}
	return time.Since(began)
}

// status asks the daemon what it is doing.
func (d *daemon) status() control.Status {
	d.s.t.Helper()
	st, err := control.NewClient(d.s.socket()).Status(context.Background())
	if err != nil {
		d.s.t.Fatal(err)
	}
	return st
}

// said returns the daemon's journal lines with a MESSAGE_ID.
func (d *daemon) said(id string) []string {
	d.s.t.Helper()
	var said []string
	dec := json.NewDecoder(bytes.NewReader(journaltest.Journalctl(d.s.t, "-o", "json", "-q",
		fmt.Sprintf("_PID=%d", d.cmd.Process.Pid), "MESSAGE_ID="+id)))
	for dec.More() {
		var line struct {
			Message string `json:"MESSAGE"`
		}
		if err := dec.Decode(&line); err != nil {
			d.s.t.Fatal(err)
		}
		said = append(said, line.Message)
	}
	return said
}

// hasSaid is said when journald has written all that it was sent by now.
func (d *daemon) hasSaid(id string) []string {
	d.s.t.Helper()
	journaltest.Sync(d.s.t)
	return d.said(id)
}

// awaitSaid waits until the daemon has said something with a MESSAGE_ID that has the text in it.
func (d *daemon) awaitSaid(id, text string) string {
	d.s.t.Helper()
	line := ""
	eventually(d.s.t, fmt.Sprintf("the journal has %q of the daemon (stderr: %s)", text, d.stderr.String()), func() bool {
		for _, line = range d.said(id) {
			if strings.Contains(line, text) {
				return true
			}
		}
		return false
	})
	return line
}

// book opens the state of the station, while no daemon runs.
func (s *station) book() *state.DB {
	s.t.Helper()
	db, aside, err := state.Open(s.storage, state.Limits{ReportLines: 1e6, Outbox: 1e4}, time.Now())
	if err != nil || aside != "" {
		s.t.Fatalf("open the database: set aside %q, %v", aside, err)
	}
	s.t.Cleanup(func() { _ = db.Close() })
	return db
}

// reported returns the messages of the report lines in the database.
func reported(t testing.TB, db *state.DB) []string {
	t.Helper()
	var lines []string
	_, err := db.ReportLines(time.Now().Add(time.Hour), func(l state.ReportLine) bool {
		lines = append(lines, l.Message)
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

// nft runs nft and returns what it prints.
func nft(t testing.TB, args ...string) string {
	t.Helper()
	out, err := exec.Command("nft", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("nft %q (Debian package nftables): %v: %s", args, err, out)
	}
	return string(out)
}

// elements returns the addresses of a set ("family table set") with the seconds that they have
// left, 0 for ever. A set that does not exist has none.
func elements(t testing.TB, set string) map[string]int64 {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.Command("nft", append([]string{"-j", "list", "set"}, strings.Fields(set)...)...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		if strings.Contains(stderr.String(), "No such file or directory") {
			return nil
		}
		t.Fatalf("list set %s: %v: %s", set, err, &stderr)
	}
	var list struct {
		NFTables []struct {
			Set struct {
				Elem []json.RawMessage `json:"elem"`
			} `json:"set"`
		} `json:"nftables"`
	}
	if err := json.Unmarshal(out, &list); err != nil {
		t.Fatalf("list set %s: %v", set, err)
	}
	left := map[string]int64{}
	for _, object := range list.NFTables {
		for _, raw := range object.Set.Elem {
			var timed struct {
				Elem struct {
					Val     string `json:"val"`
					Expires int64  `json:"expires"`
				} `json:"elem"`
			}
			var plain string
			if json.Unmarshal(raw, &plain) == nil {
				left[plain] = 0
			} else if err := json.Unmarshal(raw, &timed); err == nil {
				left[timed.Elem.Val] = timed.Elem.Expires
			} else {
				t.Fatalf("list set %s: element %s", set, raw)
			}
		}
	}
	return left
}

// awaitBan waits until an address is in a set, and returns the seconds that it has left.
func awaitBan(t testing.TB, set, address string) int64 {
	t.Helper()
	var left int64
	eventually(t, address+" is in "+set, func() bool {
		var ok bool
		left, ok = elements(t, set)[address]
		return ok
	})
	return left
}

// awaitElements waits until a set holds exactly those addresses.
func awaitElements(t testing.TB, set string, want ...string) {
	t.Helper()
	slices.Sort(want)
	eventually(t, fmt.Sprintf("%s holds exactly %q", set, want), func() bool {
		return slices.Equal(slices.Sorted(maps.Keys(elements(t, set))), want)
	})
}

// The usual sets.
const (
	ban4 = "inet pyruse ban4"
	ban6 = "inet pyruse ban6"
)

// sshRules ban an address for an hour at its third failed login within ten minutes.
const sshRules = `"ssh": [
	{"filter": "filter_equals", "args": {"field": "SYSLOG_IDENTIFIER", "value": "sshd"}},
	{"filter": "filter_pcre", "args": {"field": "MESSAGE", "re": "^Failed password for .* from (?P<IP>\\S+) port \\d+ ssh2$"}},
	{"action": "action_counterRaise", "args": {"counter": "ssh", "for": "IP", "keepSeconds": 600, "save": "n"}},
	{"filter": "filter_greaterOrEquals", "args": {"field": "n", "value": 3}},
	{"action": "action_nftBan", "args": {"IP": "IP", "nftSetIPv4": "inet pyruse ban4", "nftSetIPv6": "inet pyruse ban6", "banSeconds": 3600}}
]`

// dropRules ban at once whom a line of "gate" names, in sets of choice; seconds 0 is for ever.
func dropRules(set4, set6 string, seconds int) string {
	return fmt.Sprintf(`"drop": [
	{"filter": "filter_equals", "args": {"field": "SYSLOG_IDENTIFIER", "value": "gate"}},
	{"filter": "filter_pcre", "args": {"field": "MESSAGE", "re": "^drop (?P<IP>\\S+)$"}},
	{"action": "action_nftBan", "args": {"IP": "IP", "nftSetIPv4": %q, "nftSetIPv6": %q, "banSeconds": %d}, "allow": ["forgeable-ban: the lines are the test's"]}
]`, set4, set6, seconds)
}

// actions is the member of the configuration with those chains.
func actions(chains ...string) string {
	return "\"actions\": {\n" + strings.Join(chains, ",\n") + "\n}"
}

// failedLogin logs what sshd would.
func failedLogin(t testing.TB, address string) {
	t.Helper()
	log(t, "sshd", "Failed password for invalid user admin from "+address+" port 51234 ssh2")
}

// drop logs a line that dropRules act on.
func drop(t testing.TB, address string) { t.Helper(); log(t, "gate", "drop "+address) }

func log(t testing.TB, identifier, message string) {
	t.Helper()
	journaltest.Send(t, journaltest.F("SYSLOG_IDENTIFIER", identifier), journaltest.F("MESSAGE", message))
}

// stream is a connection to journald for many lines.
type stream struct{ conn *net.UnixConn }

func newStream(t testing.TB) stream {
	t.Helper()
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: "/run/systemd/journal/socket", Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return stream{conn}
}

func (s stream) log(identifier, message string) error {
	_, err := s.conn.Write([]byte("SYSLOG_IDENTIFIER=" + identifier + "\nMESSAGE=" + message + "\n"))
	return err
}

// count returns the sum of a counter's raises for each key.
func count(t testing.TB, db *state.DB, category string) map[string]int64 {
	t.Helper()
	sums := map[string]int64{}
	err := db.Counters(func(c state.Counter) {
		if c.Category != category {
			return
		}
		for _, r := range c.Runs {
			sums[strings.TrimPrefix(c.Key, "s")] += r.N
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return sums
}

// noErrors fails if the daemon complained about a step.
func noErrors(d *daemon) {
	d.s.t.Helper()
	if said := d.said(journal.MsgStepError); len(said) > 0 {
		d.s.t.Errorf("steps failed: %q", said)
	}
}
