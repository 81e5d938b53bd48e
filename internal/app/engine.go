package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/pyruse/pyruse/internal/action"
	"github.com/pyruse/pyruse/internal/ban"
	"github.com/pyruse/pyruse/internal/entry"
	"github.com/pyruse/pyruse/internal/journal"
	"github.com/pyruse/pyruse/internal/state"
	"github.com/pyruse/pyruse/internal/workflow"
)

// A batch ends when the journal is drained, or at one of these bounds.
const (
	batchEntries = 1000
	batchTime    = 100 * time.Millisecond
)

const (
	// cursorDelay is how long a batch that changed nothing but the cursor may wait for its commit:
	// handling it again after a crash would change nothing again.
	cursorDelay = time.Second
	// commitRetry is the time between two tries while nothing can be committed.
	commitRetry = time.Second
	// freeAfter is how many entries are handled before an idle engine gives unused memory back to
	// the system: catching up after a long stop must not leave a large process behind.
	freeAfter = 10_000
	// forgetEvery is the time between two removals of ended bans from the database.
	forgetEvery = 10 * time.Minute
)

// entries is what the engine reads: a journal that can be resumed.
type entries interface {
	journal.Entries
	// Position returns where to go on after a restart: behind the current entry.
	Position() string
}

// engine drives the entries over the track: one goroutine, which owns all that is here.
type engine struct {
	prog    *program
	entries entries
	entry   *entry.Entry
	world   *action.World
	effects *effects
	errors  stepErrors
	db      *state.DB
	keeper  *ban.Keeper
	log     *journal.Logger
	mail    interface{ Wake() }
	uid     int
	calls   chan func()   // run between two batches
	ended   chan struct{} // closed when run ends: nothing is called any more

	seen      map[string]bool
	seenOrder []string
	own       int8 // of the current entry: 0 not known yet, 1 Pyruse's own line, -1 not

	uncommitted time.Time // since when there is something to commit; zero: nothing
	retryAt     time.Time // while nothing can be committed
	failing     string    // why nothing can be committed
	forgetAt    time.Time
	nextSum     time.Time
	readFailed  bool

	handled atomic.Int64
	bans    atomic.Int64
	failed  atomic.Int64
	lag     atomic.Int64 // microseconds
	problem atomic.Pointer[string]
}

// run drives entries until ctx ends; changed tells that there may be new ones. beat is
// called whenever the engine shows that it is alive, at least once in interval.
func (g *engine) run(ctx context.Context, changed <-chan struct{}, interval time.Duration, beat func()) error {
	defer close(g.ended)
	fail := g.fail
	freed := int64(0) // the entries that were handled when unused memory was last given back
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		drained := g.batch(fail)
		g.finish(time.Now())
		beat()
		if ctx.Err() != nil {
			break
		}
		if !drained {
			select {
			case call := <-g.calls:
				call()
			default:
			}
			continue
		}
		if n := g.handled.Load(); n-freed >= freeAfter {
			freed = n
			debug.FreeOSMemory()
		}
		timer.Reset(g.idleFor(time.Now(), interval))
		select {
		case <-ctx.Done():
		case <-changed:
		case call := <-g.calls:
			call()
		case <-timer.C:
		}
	}
	// Errors that wait for their minute to be over are told now.
	lines, _ := g.errors.sumUp(time.Now().Add(errorWindow))
	g.effects.lines = append(g.effects.lines, lines...)
	g.deliver()
	g.retryAt = time.Time{}
	return g.commit(time.Now())
}

// batch handles the entries that are there, up to the bounds of a batch, and reports whether
// there are no more.
func (g *engine) batch(fail func(*workflow.StepError)) (drained bool) {
	end := time.Now().Add(batchTime)
	for n := range batchEntries {
		if n%16 == 15 && time.Now().After(end) {
			return false
		}
		ok, err := g.entries.Next()
		if err != nil {
			g.journalFailed(err)
			return true
		}
		if !ok {
			g.lag.Store(0)
			return true
		}
		if g.readFailed {
			g.readFailed = false
			g.say(journal.MsgJournalUnreadable, 5, "the journal can be read again")
		}
		g.handle(fail)
	}
	return false
}

func (g *engine) handle(fail func(*workflow.StepError)) {
	usec := g.entries.UnixMicro()
	g.entry.Reset(g.entries, usec)
	g.handled.Add(1)
	g.own = 0
	g.effects.depth = 0
	if g.uncommitted.IsZero() {
		g.uncommitted = time.Now()
		lag := max(0, g.uncommitted.UnixMicro()-usec)
		g.lag.Store(lag)
		g.effects.tally.Lag(lag, usec)
	}
	if g.isOwn() && g.repeated() {
		return
	}
	g.prog.graph.Run(g.entry, fail)
	g.effects.tally.Entry(g.entry.Get(g.prog.ident).Str(), usec, g.entry.Marks())
}

// isOwn reports whether the current entry is a line of Pyruse's own.
func (g *engine) isOwn() bool {
	if g.own == 0 {
		g.own = -1
		if g.entry.Get(g.prog.ident).Str() == "pyruse" && journal.IsOwn(g.entries, g.uid) {
			g.own = 1
		}
	}
	return g.own == 1
}

// repeated reports whether the current entry, one of Pyruse's own lines, was handled
// before: the daemon died after writing it, and wrote it again.
func (g *engine) repeated() bool {
	event, ok := g.entries.Field(journal.FieldEvent)
	if !ok {
		return false
	}
	if g.seen[string(event)] {
		return true
	}
	g.see(string(event))
	if b := &g.effects.batch; len(b.Seen) < 2*state.SeenKept {
		b.Seen = append(b.Seen, string(event))
	} else { // nothing could be committed for long: only the newest would be kept
		b.Seen = append(b.Seen[:0], g.seenOrder...)
	}
	if depth, ok := g.entries.Field(journal.FieldDepth); ok {
		if n, err := strconv.Atoi(string(depth)); err == nil {
			g.effects.depth = n
		}
	}
	return false
}

func (g *engine) see(event string) {
	g.seen[event] = true
	g.seenOrder = append(g.seenOrder, event)
	if len(g.seenOrder) > state.SeenKept {
		delete(g.seen, g.seenOrder[0])
		g.seenOrder = g.seenOrder[1:]
	}
}

func (g *engine) fail(err *workflow.StepError) {
	g.failed.Add(1)
	g.effects.tally.Count(state.TallyErrors, err.Origin.Chain, g.entry.Time())
	g.errors.add(g.effects, g.entry, err, g.isOwn(), time.Now())
	if g.nextSum.IsZero() {
		g.nextSum = time.Now().Add(errorWindow)
	}
}

// finish ends a batch: bans go to the firewalls, lines to the journal, and everything is committed. Lines are
// written before the commit: dying in between, the daemon handles the entries again, and the repeated lines are recognised.
func (g *engine) finish(now time.Time) {
	if !g.nextSum.IsZero() && !now.Before(g.nextSum) {
		var lines []journal.Record
		lines, g.nextSum = g.errors.sumUp(now)
		g.effects.lines = append(g.effects.lines, lines...)
	}
	g.deliver()
	if !g.forgetAt.After(now) {
		g.forgetAt = now.Add(forgetEvery)
		g.effects.batch.ForgetBefore = now.Add(-forgetEvery) // by now, they have left the firewall, too
		if g.uncommitted.IsZero() {
			g.uncommitted = now
		}
	}
	if g.uncommitted.IsZero() || g.retryAt.After(now) {
		return
	}
	if g.changedState() || now.Sub(g.uncommitted) >= cursorDelay {
		_ = g.commit(now) // it is tried again, and was logged
	}
}

// deliver hands the bans to the firewalls, and the lines to the journal.
func (g *engine) deliver() {
	f := g.effects
	if len(f.newBans) > 0 {
		g.bans.Add(int64(len(f.newBans)))
		g.keeper.Ban(f.newBans)
		f.newBans = f.newBans[:0]
	}
	for i := range f.lines {
		g.send(f.lines[i])
	}
	clear(f.lines)
	f.lines = f.lines[:0]
}

// changedState reports whether there is more to commit than the cursor.
func (g *engine) changedState() bool {
	return !g.effects.batch.Empty() || g.world.Counters.Changed() || g.world.DNAT.Changed()
}

// commit writes everything in one transaction, and sets a damaged database aside.
func (g *engine) commit(now time.Time) error {
	if g.uncommitted.IsZero() {
		return nil
	}
	err := g.tryCommit()
	if errors.Is(err, state.ErrDamaged) {
		err = g.replaceDB(now, err)
	}
	if err != nil {
		g.retryAt = now.Add(commitRetry)
		g.commitFailed(err)
		return err
	}
	g.uncommitted, g.retryAt = time.Time{}, time.Time{}
	if g.failing != "" {
		g.failing = ""
		g.problem.Store(nil)
		g.say(journal.MsgCommitRecovered, 5, "everything is committed again")
	}
	return nil
}

func (g *engine) tryCommit() error {
	b := &g.effects.batch
	b.Cursor = g.entries.Position()
	b.Tally = g.effects.tally.Collect()
	g.world.Counters.Collect(b)
	if err := g.world.DNAT.Collect(b); err != nil {
		return err
	}
	dropped, err := g.db.Commit(b)
	if err != nil {
		return err
	}
	dropped.DroppedLines += g.effects.dropped.DroppedLines
	if dropped != (state.Result{}) {
		g.say(journal.MsgDropped, 3, fmt.Sprintf("left out %d report lines: too many wait (limits.reportLines)", dropped.DroppedLines))
	}
	g.world.Counters.Committed()
	g.world.DNAT.Committed()
	if len(b.Notes)+len(b.CountedNotes) > 0 {
		g.mail.Wake()
	}
	g.effects.committed()
	return nil
}

// replaceDB begins a new database with all that is in memory.
func (g *engine) replaceDB(now time.Time, damage error) error {
	aside, err := g.db.SetAside(now)
	if err != nil {
		return errors.Join(damage, err)
	}
	g.say(journal.MsgStateSetAside, 2, fmt.Sprintf("the database is damaged (%v); it is kept as %s, and a new one is begun with what is in memory. Report lines and mails that waited are only in the old one", damage, aside))
	g.world.Counters.MarkAllDirty()
	g.world.DNAT.MarkAllDirty()
	for _, b := range g.keeper.Bans() {
		if _, ok := g.effects.places[b.Key()]; !ok {
			g.effects.batch.Bans = append(g.effects.batch.Bans, b)
		}
	}
	g.effects.batch.Seen = append(g.effects.batch.Seen[:0], g.seenOrder...)
	return g.tryCommit()
}

func (g *engine) commitFailed(err error) {
	text := err.Error()
	if text == g.failing {
		return
	}
	g.failing = text
	problem := "nothing can be committed: " + text
	g.problem.Store(&problem)
	g.say(journal.MsgCommitFailed, 2, "the state cannot be committed; watching and banning go on, and it is tried again every second: "+text)
}

func (g *engine) journalFailed(err error) {
	if !g.readFailed {
		g.readFailed = true
		g.say(journal.MsgJournalUnreadable, 3, fmt.Sprintf("the journal cannot be read; it is tried again: %v", err))
	}
}

// idleFor returns how long the engine may sleep when nothing happens.
func (g *engine) idleFor(now time.Time, interval time.Duration) time.Duration {
	at := now.Add(interval)
	sooner := func(t time.Time) {
		if !t.IsZero() && t.Before(at) {
			at = t
		}
	}
	sooner(g.forgetAt)
	sooner(g.nextSum)
	if !g.uncommitted.IsZero() {
		if g.retryAt.IsZero() {
			sooner(g.uncommitted.Add(cursorDelay))
		} else {
			sooner(g.retryAt)
		}
	}
	return max(0, at.Sub(now))
}

// errStopping is returned to those who ask for something while the daemon stops.
var errStopping = errors.New("the daemon is stopping")

// do runs f between two batches, and returns when what f brought about is committed. If that is
// not possible now, f has taken effect all the same, and the error says why it is not remembered yet.
func (g *engine) do(ctx context.Context, f func()) error {
	var notYet error
	err := g.call(ctx, func() {
		f()
		g.finish(time.Now())
		if g.failing != "" {
			notYet = errors.New("it is done, but not committed yet: " + g.failing)
		}
	})
	return errors.Join(err, notYet)
}

// call runs f between two batches, and returns when it has run.
func (g *engine) call(ctx context.Context, f func()) error {
	done := make(chan struct{})
	call := func() { defer close(done); f() }
	select {
	case g.calls <- call:
		<-done
		return nil
	case <-g.ended:
		return errStopping
	case <-ctx.Done():
		return ctx.Err()
	}
}

// swap puts another program into the place of the one that runs; e has the fields of the new one. What the tables
// hold goes over to the new world, and all else stays: the batch that is not committed yet, the errors
// that are counted, the lines that are recognised. It is called between two entries.
func (g *engine) swap(prog *program, world *action.World, e *entry.Entry) {
	world.TakeOver(g.world)
	g.effects.tally.Use(prog.graph.Chain)
	g.prog, g.world, g.entry = prog, world, e
	if g.changedState() { // a lower limit may have removed something
		g.touch()
	}
}

// say writes a line that no entry led to.
func (g *engine) say(id string, priority int, text string) {
	g.send(journal.Record{Priority: priority, Message: text, MessageID: id})
}

// send writes a line; where that is not possible, to stderr.
func (g *engine) send(r journal.Record) {
	if err := g.log.Send(r); err != nil {
		fmt.Fprintf(os.Stderr, "<3>pyruse: write to the journal: %v\n", err)
	}
}
