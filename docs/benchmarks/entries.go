package main

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"time"

	"github.com/pyruse/pyruse/internal/action"
	"github.com/pyruse/pyruse/internal/ban"
	"github.com/pyruse/pyruse/internal/config"
	"github.com/pyruse/pyruse/internal/entry"
	"github.com/pyruse/pyruse/internal/filter"
	"github.com/pyruse/pyruse/internal/journal"
	"github.com/pyruse/pyruse/internal/state"
	"github.com/pyruse/pyruse/internal/workflow"
)

// batchEntries is how often the changes are collected, as the daemon does at least.
const batchEntries = 1000

// track is the compiled example with a world that collects what is to be committed, as the daemon's does, and then
// throws it away.
type track struct {
	graph *workflow.Graph
	entry *entry.Entry
	ident entry.Slot
	world *action.World
	batch state.Batch

	n      int
	totals totals
}

// totals are how many effects there were: the proof that all rounds did the same work.
type totals struct{ bans, mails, lines, logs, refused, failed, counters int }

func newTrack() (*track, error) {
	var diags config.Diagnostics
	text, err := os.ReadFile(exampleConfig)
	if err != nil {
		return nil, fmt.Errorf("read the example: %w", err)
	}
	cfg := config.Read(config.NewFile(exampleConfig, text), &diags)
	if cfg == nil || diags.HasErrors() {
		return nil, fmt.Errorf("read %s: it has errors: see pyruse check", exampleConfig)
	}
	guard, err := ban.NewGuard(cfg.Settings.NeverBanNets(), func() ([]netip.Addr, error) { return nil, nil }, time.Now)
	if err != nil {
		return nil, err
	}
	t := &track{}
	t.world = &action.World{
		Effects:  t,
		Guard:    guard,
		Counters: action.NewCounters(int(cfg.Settings.Limits.CounterKeys)),
		DNAT:     action.NewDNAT(int(cfg.Settings.Limits.DNAT)),
	}
	names := entry.NewNames(nil)
	t.ident = names.Slot("SYSLOG_IDENTIFIER")
	reg := workflow.NewRegistry()
	filter.Register(reg)
	action.Register(reg, t.world)
	t.graph = workflow.Compile(cfg, reg, names, &diags)
	if t.graph == nil {
		return nil, fmt.Errorf("compile %s: it has errors: see pyruse check", exampleConfig)
	}
	t.entry = entry.New(names)
	return t, nil
}

// handle does with an entry what the daemon's engine does: the look for an own line, and the workflow.
func (t *track) handle(src entry.Source, usec int64) error {
	t.entry.Reset(src, usec)
	if t.entry.Get(t.ident).Str() != "pyruse" || !journal.IsOwn(src, 0) {
		t.graph.Run(t.entry, t.fail)
	}
	if t.n++; t.n%batchEntries == 0 {
		return t.collect()
	}
	return nil
}

// collect makes a batch complete and forgets it, as if it were committed.
func (t *track) collect() error {
	t.world.Counters.Collect(&t.batch)
	if err := t.world.DNAT.Collect(&t.batch); err != nil {
		return err
	}
	t.totals.bans += len(t.batch.Bans)
	t.totals.lines += len(t.batch.Report)
	t.totals.counters += len(t.batch.Counters)
	t.world.Counters.Committed()
	t.world.DNAT.Committed()
	t.batch = state.Batch{
		Bans: t.batch.Bans[:0], Report: t.batch.Report[:0],
		Counters: t.batch.Counters[:0], DNAT: t.batch.DNAT[:0], ForgetDNAT: t.batch.ForgetDNAT[:0],
	}
	return nil
}

func (t *track) fail(*workflow.StepError) { t.totals.failed++ }

// Ban and Report collect; what else happens outside is only counted.
func (t *track) Ban(_ action.Cause, b state.Ban) error {
	t.batch.Bans = append(t.batch.Bans, b)
	return nil
}

func (t *track) Report(_ action.Cause, line state.ReportLine) error {
	t.batch.Report = append(t.batch.Report, line)
	return nil
}

func (t *track) Refuse(action.Cause, state.Ban, string) error { t.totals.refused++; return nil }
func (t *track) Mail(action.Cause, string, string) error      { t.totals.mails++; return nil }
func (t *track) Log(action.Cause, int, string) error          { t.totals.logs++; return nil }

// tape is what the workflow asked of each entry, in order, with the answers. It holds no pointers,
// so that the garbage collector has nothing to look at.
type tape struct {
	names   []string
	answers []answer
	ends    []int // of each entry's answers
	usec    []int64
	data    []byte
}

type answer struct {
	name   uint8
	length int32 // -1: the entry has no such field
	at     int64
}

// recorder writes a tape while the workflow reads an entry.
type recorder struct {
	*journal.Reader
	tape *tape
}

func (r recorder) Field(name string) ([]byte, bool) {
	data, ok := r.Reader.Field(name)
	t := r.tape
	i := slices.Index(t.names, name)
	if i < 0 {
		i = len(t.names)
		t.names = append(t.names, name)
	}
	a := answer{name: uint8(i), length: -1, at: int64(len(t.data))}
	if ok {
		a.length = int32(len(data))
		t.data = append(t.data, data...)
	}
	t.answers = append(t.answers, a)
	return data, ok
}

// player gives the answers of a tape again: a source of entries that costs next to nothing.
type player struct {
	tape *tape
	next int
}

func (p *player) Field(name string) ([]byte, bool) {
	a := &p.tape.answers[p.next]
	p.next++
	if p.tape.names[a.name] != name {
		panic("the workflow asks for other fields than the first time: " + name)
	}
	if a.length < 0 {
		return nil, false
	}
	return p.tape.data[a.at:][:a.length], true
}

func (p *player) Cursor() string { return "" }

func openJournal(o *options) (*journal.Reader, error) {
	return journal.Open(journal.Options{Directory: filepath.Join(o.work, journalDir), MustExist: true})
}

// eachEntry calls f for every entry of the journal, and returns the CPU time that it all takes.
func eachEntry(o *options, f func(*journal.Reader) error) (time.Duration, error) {
	r, err := openJournal(o)
	if err != nil {
		return 0, err
	}
	n := 0
	cpu, _, err := timed(func() error {
		for {
			ok, err := r.Next()
			if err != nil || !ok {
				return err
			}
			n++
			if err := f(r); err != nil {
				return err
			}
		}
	})
	if err == nil && n != o.entries {
		err = fmt.Errorf("read the journal: there are %d entries, not %d", n, o.entries)
	}
	if closeErr := r.Close(); err == nil {
		err = closeErr
	}
	return cpu, err
}

// record runs the workflow once, and remembers what it asks for.
func record(o *options) (*tape, totals, error) {
	t, err := newTrack()
	if err != nil {
		return nil, totals{}, err
	}
	rec := &tape{}
	_, err = eachEntry(o, func(r *journal.Reader) error {
		rec.usec = append(rec.usec, r.UnixMicro())
		err := t.handle(recorder{r, rec}, r.UnixMicro())
		rec.ends = append(rec.ends, len(rec.answers))
		return err
	})
	return rec, t.totals, err
}

// measureWorkflow takes turns with: reading alone, reading and the workflow, the workflow alone.
func measureWorkflow(o *options) (figures, error) {
	rec, want, err := record(o)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(os.Stderr, "%d entries, %.1f fields asked for per entry; effects: %+v\n",
		o.entries, float64(len(rec.answers))/float64(o.entries), want)
	var rounds []figures
	for range o.rounds {
		f, err := measureRound(o, rec, want)
		if err != nil {
			return nil, err
		}
		rounds = append(rounds, f)
	}
	if o.profile != "" {
		if err := profile(o, rec, want); err != nil {
			return nil, err
		}
	}
	return medians(rounds), nil
}

func measureRound(o *options, rec *tape, want totals) (figures, error) {
	i, at := 0, 0
	reading, err := eachEntry(o, func(r *journal.Reader) error {
		for ; at < rec.ends[i]; at++ {
			r.Field(rec.names[rec.answers[at].name])
		}
		i++
		return nil
	})
	if err != nil {
		return nil, err
	}
	t, err := newTrack()
	if err != nil {
		return nil, err
	}
	both, err := eachEntry(o, func(r *journal.Reader) error { return t.handle(r, r.UnixMicro()) })
	if err == nil && t.totals != want {
		err = fmt.Errorf("run the workflow: its effects are %+v, not %+v", t.totals, want)
	}
	if err != nil {
		return nil, err
	}
	memory, err := play(rec, want)
	return figures{
		"read rate":       float64(o.entries) / reading.Seconds(),
		"both rate":       float64(o.entries) / both.Seconds(),
		"workflow":        micros(both-reading, o.entries),
		"workflow memory": micros(memory, o.entries),
	}, err
}

// play runs the workflow over the tape.
func play(rec *tape, want totals) (time.Duration, error) {
	t, err := newTrack()
	if err != nil {
		return 0, err
	}
	p := &player{tape: rec}
	cpu, _, err := timed(func() error {
		for _, usec := range rec.usec {
			if err := t.handle(p, usec); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil && t.totals != want {
		err = fmt.Errorf("run the workflow: its effects are %+v, not %+v", t.totals, want)
	}
	return cpu, err
}

// profile writes a CPU profile of some rounds over the tape.
func profile(o *options, rec *tape, want totals) error {
	f, err := os.Create(o.profile)
	if err != nil {
		return fmt.Errorf("write the profile: %w", err)
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return fmt.Errorf("write the profile: %w", err)
	}
	for range 2 * o.rounds {
		if _, err := play(rec, want); err != nil {
			return err
		}
	}
	pprof.StopCPUProfile()
	return f.Close()
}
