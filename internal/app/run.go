package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/pyruse/pyruse/internal/action"
	"github.com/pyruse/pyruse/internal/ban"
	"github.com/pyruse/pyruse/internal/config"
	"github.com/pyruse/pyruse/internal/control"
	"github.com/pyruse/pyruse/internal/entry"
	"github.com/pyruse/pyruse/internal/journal"
	"github.com/pyruse/pyruse/internal/mail"
	"github.com/pyruse/pyruse/internal/report"
	"github.com/pyruse/pyruse/internal/state"
	"github.com/pyruse/pyruse/internal/workflow"
)

// RunOptions say how the daemon runs.
type RunOptions struct {
	Source  Source
	Version string
	Stderr  io.Writer
	Colour  bool // of Stderr
	// Reload brings a signal for each wish to load the configuration again. What comes while that is being done is
	// left in the channel, whose capacity is 1. May be nil.
	Reload <-chan os.Signal
}

// gcPercent is GOGC of the daemon. It lets the heap grow less before it is collected than Go does otherwise; there is little on it,
// and entries are handled without allocating.
const gcPercent = 50

// stopTime bounds how long the workers may take to end.
const stopTime = 10 * time.Second

// service is the daemon: its parts, in the order in which they are opened.
type service struct {
	opts    RunOptions
	current atomic.Pointer[loaded] // the configuration in force; stored by the engine's goroutine once that runs
	effects *effects
	log     *journal.Logger
	unlock  func() error
	db      *state.DB
	keeper  *ban.Keeper
	reader  *journal.Reader
	changed <-chan struct{}
	mailer  *mail.Worker
	gate    *mail.Gate
	reports chan report.Settings // new settings of the reports; capacity 1, filled by the reloader
	reload  *reloader
	engine  *engine
	socket  net.Listener
	control *control.Server
	started time.Time
	heart   heartbeat
	byHand  sync.Map // state.BanKey of a ban by hand that is waited for -> error, why its set does not take it
}

// Run is the daemon: it handles the entries of the journal until ctx ends, and then stops
// within a bounded time, with everything committed.
func Run(ctx context.Context, o RunOptions) error {
	// A panic would end the process with exit status 2, that of a faulty configuration, after which systemd does not start it again. So
	// it ends by a signal.
	debug.SetTraceback("crash")
	debug.SetGCPercent(gcPercent)
	s := &service{
		opts: o, started: time.Now(), log: journal.NewLogger(journal.LoggerOptions{Version: o.Version}),
		effects: &effects{host: hostName(), now: time.Now}, reports: make(chan report.Settings, 1),
	}
	s.reload = newReloader(s)
	err := s.open()
	if err == nil {
		err = s.serve(ctx)
	}
	return errors.Join(err, s.close())
}

// open opens all parts; what was opened is closed by close, whatever open returns.
func (s *service) open() error {
	for _, step := range []func() error{
		s.openConfig, s.openState, s.openKeeper, s.openJournal, s.openControl,
	} {
		if err := step(); err != nil {
			return s.unready(err)
		}
	}
	return nil
}

func (s *service) openConfig() error {
	l, err := mustLoad(s.opts.Source, s.newWorld, s.opts.Stderr, s.opts.Colour)
	if err != nil {
		return err
	}
	s.current.Store(l)
	s.effects.configure(s.settings())
	l.forget()
	return nil
}

func (s *service) settings() *config.Settings { return &s.current.Load().prog.cfg.Settings }

// newWorld returns the real world, with empty tables.
func (s *service) newWorld(c *config.Settings) (*action.World, error) {
	guard, err := ban.NewGuard(c.NeverBanNets(), ban.OwnAddresses, time.Now)
	if err != nil {
		return nil, err
	}
	return &action.World{
		Effects:  s.effects,
		Guard:    guard,
		Counters: action.NewCounters(int(c.Limits.CounterKeys)),
		DNAT:     action.NewDNAT(int(c.Limits.DNAT)),
	}, nil
}

func hostName() string {
	name, err := os.Hostname()
	if err != nil {
		return "localhost"
	}
	return name
}

// openState takes the storage folder, and opens the database with what Pyruse 2 left there.
func (s *service) openState() error {
	c := s.settings()
	var err error
	if s.unlock, err = state.Lock(c.Storage); err != nil {
		return err
	}
	var aside string
	s.db, aside, err = state.Open(c.Storage, stateLimits(c), time.Now())
	if err != nil {
		return err
	}
	if aside != "" {
		s.say(journal.MsgStateSetAside, 1, "the database was damaged; it is kept as "+aside+", and a new one is begun",
			journal.Field{Name: journal.FieldFile, Value: aside})
	}
	return takeOver(s.db, c.Storage, s.sayTakenOver)
}

func stateLimits(c *config.Settings) state.Limits {
	return state.Limits{ReportLines: c.Limits.ReportLines, Outbox: c.Limits.Outbox}
}

func (s *service) sayTakenOver(text, file string) {
	s.say(journal.MsgStateTakenOver, 5, text, journal.Field{Name: journal.FieldFile, Value: file})
}

// openKeeper gives the keeper the bans that are to hold.
func (s *service) openKeeper() error {
	firewalls, err := firewalls(s.settings())
	if err != nil {
		return err
	}
	s.keeper = ban.NewKeeper(ban.Options{Firewalls: firewalls, Now: time.Now, Events: s.banEvent})
	s.effects.running, s.effects.holds = s.keeper.Len, s.keeper.Has
	return nil
}

// openJournal loads the state and goes to the place in the journal that it belongs to.
func (s *service) openJournal() error {
	now := s.current.Load()
	c := &now.prog.cfg.Settings
	var err error
	if s.reader, err = journal.Open(journalOptions(&c.Journal)); err != nil {
		return err
	}
	s.gate = mail.NewGate(s.db, gateSettings(&c.Email))
	s.mailer = mail.NewWorker(s.db, transport(&c.Email, nil), mail.Options{Gate: s.gate, Failed: s.mailFailed, Broken: s.mailBroken})
	s.effects.tally.Use(now.prog.graph.Chain)
	s.engine = &engine{
		prog: now.prog, entries: s.reader, entry: entry.New(now.prog.names), world: now.world, effects: s.effects,
		errors: stepErrors{byStep: map[workflow.Origin]*stepError{}},
		db:     s.db, keeper: s.keeper, log: s.log, mail: s.mailer, uid: os.Getuid(),
		calls: make(chan func()), ended: make(chan struct{}), seen: map[string]bool{}, forgetAt: time.Now(),
	}
	err = s.engine.load()
	if errors.Is(err, state.ErrDamaged) {
		err = s.engine.replaceDB(time.Now(), err)
	}
	if err != nil {
		return err
	}
	if err := s.position(); err != nil {
		return err
	}
	s.changed, err = s.reader.Follow()
	return err
}

// position goes behind the last entry that was committed; at the very first start to the end.
func (s *service) position() error {
	cursor, err := s.db.Cursor()
	if err != nil {
		return err
	}
	if cursor == "" {
		if err := s.reader.SeekTail(); err != nil {
			return err
		}
		s.engine.uncommitted = time.Now()
		_ = s.engine.commit(time.Now()) // from here on, nothing is missed; a failure was logged, and it is tried again
		return nil
	}
	found, err := s.reader.SeekCursor(cursor)
	if err != nil {
		return err
	}
	if !found {
		s.say(journal.MsgJournalGap, 4, "the last entry that was handled is gone from the journal: entries may have been missed; going on with the next one that is left")
	}
	return nil
}

func (s *service) openControl() error {
	path := socketPath(s.settings())
	l, err := control.Listen(path)
	if err != nil {
		return err
	}
	s.socket, s.control = l, control.NewServer(s, s.reload, s)
	return nil
}

// socketPath returns where the control socket is.
func socketPath(c *config.Settings) string {
	dir := os.Getenv("RUNTIME_DIRECTORY")
	if dir == "" {
		dir = "/run/pyruse"
	}
	name := c.Control.Socket
	if name == "" {
		name = "control.sock"
	}
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(dir, name)
}

// serve runs the engine with its workers until ctx ends.
func (s *service) serve(ctx context.Context) error {
	workers, stopWorkers := context.WithCancel(context.Background())
	defer stopWorkers()
	var running sync.WaitGroup
	start := func(f func(context.Context)) {
		running.Add(1)
		go func() { defer running.Done(); f(workers) }()
	}
	start(func(ctx context.Context) {
		if err := s.keeper.Run(ctx); err != nil && ctx.Err() == nil {
			s.say(journal.MsgSetFailed, 2, "the firewall cannot be reached: "+err.Error())
		}
	})
	start(s.mailer.Run)
	start(s.scheduler().Run)
	start(func(context.Context) {
		if err := s.control.Serve(s.socket); err != nil {
			s.say(journal.MsgControlFailed, 3, err.Error())
		}
	})
	now := s.current.Load()
	s.reload.problem.Store(now.problem())
	s.tellLeftOut(now)
	s.say(journal.MsgStarted, 6, "started with "+now.summary(), journal.Field{Name: journal.FieldFile, Value: now.prog.cfg.Main()})
	s.missReceiver()
	close(s.reload.ready)
	interval := s.notifyReady()
	start(s.reload.run)
	err := s.engine.run(ctx, s.changed, interval, s.beat)
	s.notify(daemon.SdNotifyStopping)
	s.say(journal.MsgStopping, 6, fmt.Sprintf("stopping after %d entries", s.engine.handled.Load()))
	return errors.Join(err, s.stop(stopWorkers, &running))
}

// stop ends the workers, within stopTime.
func (s *service) stop(stopWorkers func(), running *sync.WaitGroup) error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	stopWorkers()
	err := s.control.Shutdown(ctx)
	ended := make(chan struct{})
	go func() { running.Wait(); close(ended) }()
	select {
	case <-ended:
		return err
	case <-ctx.Done():
		return errors.Join(err, fmt.Errorf("stop: the workers did not end within %v", stopTime))
	}
}

// close closes what open opened, in reverse order.
func (s *service) close() error {
	var errs []error
	if s.socket != nil {
		if err := s.socket.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if s.reader != nil {
		errs = append(errs, s.reader.Close())
	}
	if s.db != nil {
		errs = append(errs, s.db.Close())
	}
	if s.unlock != nil {
		errs = append(errs, s.unlock())
	}
	return errors.Join(append(errs, s.log.Close())...)
}

func (s *service) scheduler() *report.Scheduler {
	return &report.Scheduler{
		Maker:   report.Maker{Book: s.db, Settings: reportSettings(s.current.Load()), Health: s.health},
		Changes: s.reports,
		Done: func(made *report.Made, out *state.Mail) {
			debug.FreeOSMemory() // a big day takes some 200 MiB to report
			if out == nil {
				s.say(journal.MsgReportSent, 6, "the report is made, and told in a line of the next one: "+mail.Visible(made.Summary, ""))
				return
			}
			s.say(journal.MsgReportSent, 6, "the report is made, and on its way to "+strings.Join(out.To, ", ")+": "+mail.Visible(made.Summary, ""))
			s.mailer.Wake()
		},
		Broken: func(err error) { s.say(journal.MsgMailFailed, 3, err.Error()) },
	}
}

// health returns how Pyruse is, for the reports.
func (s *service) health() report.Health {
	problems := s.keeper.Problems()
	if p := s.engine.problem.Load(); p != nil {
		problems = append(problems, *p)
	}
	if p := s.reload.problem.Load(); p != nil && s.current.Load().problem() == nil { // else health tells it
		problems = append(problems, *p)
	}
	return health(s.db, s.current.Load(), problems...)
}

// tellLeftOut logs which fragments are left out of what was loaded, and why.
func (s *service) tellLeftOut(l *loaded) {
	out := l.prog.cfg.LeftOut()
	for _, x := range out[:min(len(out), maxFaultsLogged)] {
		text := fmt.Sprintf("left out %s: %s", x.File.Name, x.Why)
		s.say(journal.MsgFragmentLeftOut, 3, config.Printable(text), journal.Field{Name: journal.FieldFile, Value: x.File.Name})
	}
}

// missReceiver says so if the configuration in force wants to mail, and names nobody to mail to.
func (s *service) missReceiver() {
	now := s.current.Load()
	if err := receiver(&now.prog.cfg.Settings, now.world); err != nil {
		s.say(journal.MsgMailFailed, 4, err.Error())
	}
}

// say writes a line that no entry led to.
func (s *service) say(id string, priority int, text string, fields ...journal.Field) {
	sayTo(s.log, s.opts.Stderr, journal.Record{Priority: priority, Message: text, MessageID: id, Fields: fields})
}

// sayTo writes a line to the journal; where that is not possible, why it was not.
func sayTo(log *journal.Logger, stderr io.Writer, r journal.Record) {
	if err := log.Send(r); err != nil {
		_, _ = fmt.Fprintf(stderr, "<3>pyruse: %v\n", err) // there is no other place left
	}
}

func (s *service) mailFailed(m state.Mail, err error) {
	if !m.Failed.IsZero() {
		s.say(journal.MsgMailGivenUp, 2, fmt.Sprintf("mail %d (%s, %q) is given up after %s, and kept: pyruse mail show %[1]d: %[5]v",
			m.ID, m.MessageID, m.Subject, tries(m.Attempts), err))
		return
	}
	s.say(journal.MsgMailFailed, 3, fmt.Sprintf("mail %d (%s, %q) was not sent (try %d), next try at %s: %v",
		m.ID, m.MessageID, m.Subject, m.Attempts, m.NextTry.Local().Format(time.DateTime), err))
}

func (s *service) mailBroken(err error) { s.say(journal.MsgMailFailed, 3, err.Error()) }

// RetryMail, DropMail and SendReport are what the control socket asks.
var _ control.Mailer = (*service)(nil)

func (s *service) RetryMail(id int64) error {
	err := retryMail(s.db, id, time.Now())
	s.mailer.Wake()
	return err
}

func (s *service) DropMail(id int64) error { return dropMail(s.db, id) }

func (s *service) SendReport(_ context.Context, p control.Period) (string, error) {
	a := newArchive(s.db, s.current.Load())
	a.maker.Health = s.health
	summary, err := a.mail(p, time.Now())
	s.mailer.Wake()
	return summary, err
}

// Bans, Ban, Unban and Status are what the control socket asks.
var _ control.Daemon = (*service)(nil)

func (s *service) Bans() []state.Ban { return s.keeper.Bans() }

func (s *service) Ban(ctx context.Context, b state.Ban) error {
	if reason, refused := s.current.Load().world.Guard.Refuse(b.Addr); refused {
		return fmt.Errorf("%w: %s is never banned: %s", control.ErrRefused, b.Addr, reason)
	}
	s.byHand.Store(b.Key(), nil)
	defer s.byHand.Delete(b.Key())
	err := s.engine.do(ctx, func() {
		s.effects.put(b)
		s.effects.banned(b)
		s.engine.touch()
		s.say(journal.MsgBanApplied, 5, fmt.Sprintf("banned %s in %s %q by hand", b.Addr, b.Backend, b.Set), banFields(b)...)
	})
	if err != nil {
		return err
	}
	return s.inForce(ctx, b)
}

// inForce waits until a ban by hand has reached the firewall, and returns what is in its way.
func (s *service) inForce(ctx context.Context, b state.Ban) error {
	fault := s.keeper.Flush(ctx)
	if rejection, _ := s.byHand.Load(b.Key()); rejection != nil {
		return notTaken(b, rejection.(error))
	}
	if fault == nil {
		return nil
	}
	for _, set := range s.keeper.Stats() { // the fault may be that of another set
		if set.Backend == b.Backend && set.Set == b.Set && set.Err != nil {
			return notTaken(b, set.Err)
		}
	}
	return nil
}

func notTaken(b state.Ban, err error) error {
	return fmt.Errorf("%s is remembered as banned, but the firewall does not take it: %w", b.Addr, err)
}

func (s *service) Unban(ctx context.Context, address netip.Addr, set string) ([]state.Ban, error) {
	var gone []state.Ban
	err := s.engine.do(ctx, func() { gone = s.engine.unban(address, set) })
	for _, b := range gone {
		s.say(journal.MsgBanRemoved, 5, fmt.Sprintf("unbanned %s in %s %q", b.Addr, b.Backend, b.Set), banFields(b)...)
	}
	if len(gone) > 0 {
		_ = s.keeper.Flush(ctx) // a set that does not work holds nobody up either
	}
	return gone, err
}

func (s *service) Status() control.Status {
	g := s.engine
	st := control.Status{
		Version: s.opts.Version, Since: s.started, Entries: g.handled.Load(), Bans: g.bans.Load(), Running: s.keeper.Len(),
		Errors: g.failed.Load(), Lag: float64(g.lag.Load()) / 1e6, Problems: s.keeper.Problems(),
	}
	var err error
	if st.Mails, st.Failed, err = s.db.MailCounts(); err != nil {
		st.Problems = append(st.Problems, err.Error())
	}
	if st.Failed > 0 {
		st.Problems = append(st.Problems, config.Count(st.Failed, "mail")+" could not be delivered: pyruse mail list")
	}
	if p := g.problem.Load(); p != nil {
		st.Problems = append(st.Problems, *p)
	}
	if p := s.reload.problem.Load(); p != nil {
		st.Problems = append(st.Problems, *p)
	}
	return st
}
