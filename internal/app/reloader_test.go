package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pyruse/pyruse/internal/config"
	"github.com/pyruse/pyruse/internal/control"
	"github.com/pyruse/pyruse/internal/entry"
)

// TestReloadIsRefused asks a daemon that is not ready yet, one that has stopped, and one that does not come to it.
func TestReloadIsRefused(t *testing.T) {
	r := newReloader(&service{})
	if _, err := r.Reload(t.Context(), control.ReloadOptions{}); !errors.Is(err, errNotReady) {
		t.Errorf("before it is ready: %v", err)
	}
	close(r.ready)
	ctx, leave := context.WithCancel(t.Context())
	leave()
	if _, err := r.Reload(ctx, control.ReloadOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("somebody who has left: %v", err)
	}
	r.run(ctx)
	if _, err := r.Reload(t.Context(), control.ReloadOptions{}); !errors.Is(err, errStopping) {
		t.Errorf("when it has stopped: %v", err)
	}
}

// TestOneLoadForAllWhoWait has signals and askers wait: they are gathered.
func TestOneLoadForAllWhoWait(t *testing.T) {
	hangups := make(chan os.Signal, 1)
	hangups <- os.Interrupt
	r := newReloader(&service{opts: RunOptions{Reload: hangups}})
	const many = 5
	sent := make(chan struct{})
	var want, got []chan<- *outcome
	for range many {
		answer := make(chan *outcome, 1)
		want = append(want, answer)
		go func() { r.asked <- answer; sent <- struct{}{} }()
	}
	for len(got) < many { // they may come one after the other
		got = r.gather(got)
	}
	for range many {
		<-sent
	}
	if len(hangups) != 0 {
		t.Error("a signal is left")
	}
	for _, answer := range want {
		found := 0
		for _, g := range got {
			if g == answer {
				found++
			}
		}
		if found != 1 {
			t.Errorf("somebody was heard %d times", found)
		}
	}
}

// TestStopDuringALoadThatHangs has the file system hang: whoever waits is told that the daemon is stopping.
func TestStopDuringALoadThatHangs(t *testing.T) {
	r := newReloader(&service{})
	began, release := make(chan struct{}), make(chan struct{})
	defer close(release)
	r.read = func() (*loaded, error) {
		close(began)
		<-release
		return nil, errors.New("too late")
	}
	close(r.ready)
	ctx, stop := context.WithCancel(t.Context())
	answer := make(chan error)
	go func() {
		_, err := r.Reload(context.WithoutCancel(ctx), control.ReloadOptions{})
		answer <- err
	}()
	go r.run(ctx)
	<-began
	stop()
	if err := <-answer; !errors.Is(err, errStopping) {
		t.Errorf("who asked is told: %v", err)
	}
	<-r.ended
}

// TestPanicInALoad is for a fault of the program in reading a configuration.
func TestPanicInALoad(t *testing.T) {
	var stderr strings.Builder
	got, err := safely(&stderr, func() (*loaded, error) { panic("bad luck") })
	if got != nil || err == nil || !strings.Contains(err.Error(), "bad luck") || !strings.Contains(stderr.String(), "goroutine") {
		t.Errorf("%v, %v; stderr: %s", got, err, stderr.String())
	}
}

// TestLastingSettings wants a line in the table for each setting of the sections that are opened at the start.
func TestLastingSettings(t *testing.T) {
	known := map[string]bool{}
	for _, s := range lastingSettings {
		known[s.key] = true
	}
	want := map[string]bool{"storage": true}
	for section, of := range map[string]reflect.Type{
		"journal": reflect.TypeFor[config.Journal](), "control": reflect.TypeFor[config.Control](),
		"nftBan": reflect.TypeFor[config.NFTBan](), "ipsetBan": reflect.TypeFor[config.IPSetBan](),
	} {
		for i := range of.NumField() {
			want[section+"."+of.Field(i).Tag.Get("json")] = true
		}
	}
	if diff := cmp.Diff(want, known); diff != "" {
		t.Errorf("-settings +table:\n%s", diff)
	}
}

func TestKeepLasting(t *testing.T) {
	read := func(source string) *loaded {
		t.Helper()
		l := loaded{diags: &config.Diagnostics{}}
		l.prog = newProgram(config.Read(config.NewFile("pyruse.json", []byte(source)), l.diags), l.diags)
		return &l
	}
	old := read(`{"actions": {}, "storage": "/a", "journal": {"files": ["x", "y"]}, "nftBan": {"nft": []}}`)
	next := read("{\"actions\": {},\n\"journal\": {\"maxField\": 2048},\n\"email\": {\"to\": [\"root\"]}}")
	var got []string
	for _, w := range keepLasting(next, &old.prog.cfg.Settings) {
		got = append(got, w.String())
	}
	want := []string{
		`pyruse.json:1:1: warning: "storage" was changed; that takes effect at the next start (restart the daemon)`,
		`pyruse.json:1:1: warning: "journal.files" was changed; that takes effect at the next start (restart the daemon)`,
		`pyruse.json:2:25: warning: "journal.maxField" was changed; that takes effect at the next start (restart the daemon)`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if errs, warnings := next.diags.Count(); errs != 0 || warnings != len(want) {
		t.Errorf("%d errors, %d warnings", errs, warnings)
	}
	s := next.prog.cfg.Settings
	if s.Storage != "/a" || len(s.Journal.Files) != 2 || s.Journal.MaxField != config.Defaults().Journal.MaxField || len(s.Email.To) != 1 {
		t.Errorf("in force: %+v", s)
	}
}

// TestOutcomes is what is said of a load, in the log, to systemd, and to those who asked.
func TestOutcomes(t *testing.T) {
	with := func(main string, fragments map[string]string) *outcome {
		t.Helper()
		t.Chdir(t.TempDir())
		if err := errors.Join(os.WriteFile("pyruse.json", []byte(main), 0o600), os.Mkdir("d", 0o700)); err != nil {
			t.Fatal(err)
		}
		for name, text := range fragments {
			if err := os.WriteFile(filepath.Join("d", name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		l, err := load(Source{Config: "pyruse.json", Dirs: []string{"d"}}, noWorld)
		return &outcome{loaded: l, err: err}
	}
	const sound = `{"actions": {"a": []}}`
	left := with(sound, map[string]string{"1.json": "[", "2.json": "{}", "3.json": "{,}", "4\x1b.json": "", "5.json": "5", "6.json": "6", "7.json": "7"})
	for _, c := range []struct {
		name    string
		out     *outcome
		inForce bool
		problem string
		output  string
		fault   string
		err     error
	}{
		{"sound", with(sound, nil), true, "", "pyruse.json: 1 chain, 0 steps, 0 warnings, now in force\n", "", nil},
		{"cannot be run", with("{", nil), false,
			"the configuration was not reloaded, and the one before stays in force: pyruse.json:1:2: error: this is not JSON: parsing value: unexpected EOF",
			"pyruse.json:1:2: error: this is not JSON: parsing value: unexpected EOF\n    1 | {\n      |  ^\n", "", nil},
		{"parts left out", left, true, "left out because of faults: d/1.json, d/3.json, d/5.json and 2 more", "*", "", nil},
		{"nothing to load", &outcome{err: errors.Join(ErrConfig, config.ErrNoFile)}, false,
			"the configuration was not reloaded, and the one before stays in force: there is no configuration", "", "there is no configuration", nil},
		{"failed", &outcome{err: os.ErrPermission}, false,
			"the configuration was not reloaded, and the one before stays in force: permission denied", "", "", os.ErrPermission},
	} {
		t.Run(c.name, func(t *testing.T) {
			problem := ""
			if p := c.out.problem(); p != nil {
				problem = *p
			}
			if c.out.inForce() != c.inForce || problem != c.problem {
				t.Errorf("in force %v, problem %q; want %v, %q", c.out.inForce(), problem, c.inForce, c.problem)
			}
			got, err := c.out.answer(Text, false)
			if c.output == "*" && strings.HasSuffix(got.Output, "pyruse.json and 1 fragment: 1 chain, 0 steps; 5 fragments left out because of faults, 0 warnings, now in force\n") {
				got.Output = c.output
			}
			if want := (control.Reload{InForce: c.inForce, Output: c.output, Fault: c.fault}); got != want || !errors.Is(err, c.err) {
				t.Errorf("answer %+v, %v; want %+v, %v", got, err, want, c.err)
			}
		})
	}
}

// BenchmarkSwap is how long the engine stands still for a reload, with live counters and mappings.
func BenchmarkSwap(b *testing.B) {
	for _, keys := range []int{0, 100_000} {
		b.Run(fmt.Sprintf("keys=%d", keys), func(b *testing.B) {
			load := func() *loaded {
				l, err := load(Source{Config: filepath.Join(root, "docs/examples/server/pyruse.json"), Dirs: []string{""}},
					noWorld)
				if err != nil || !l.usable() {
					b.Fatalf("%v, %+v", err, l)
				}
				return l
			}
			l := load()
			g := &engine{prog: l.prog, world: l.world, entry: entry.New(l.prog.names), effects: &effects{}}
			c := g.world.Counters.Category("ssh")
			for i := range keys {
				if _, err := c.Raise(entry.StringValue(fmt.Sprintf("2001:db8::%x", i)), 0, 1e12); err != nil {
					b.Fatal(err)
				}
			}
			var still time.Duration
			rounds := 0
			for b.Loop() {
				l := load()
				e := entry.New(l.prog.names)
				began := time.Now()
				g.swap(l.prog, l.world, e)
				still += time.Since(began)
				rounds++
			}
			b.ReportMetric(float64(still.Microseconds())/float64(rounds), "µs-still/op")
			if g.world.Counters.Live() != keys {
				b.Fatalf("%d keys, want %d", g.world.Counters.Live(), keys)
			}
		})
	}
}
