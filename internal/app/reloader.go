package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/pyruse/pyruse/internal/config"
	"github.com/pyruse/pyruse/internal/control"
	"github.com/pyruse/pyruse/internal/entry"
	"github.com/pyruse/pyruse/internal/journal"
)

// reloader loads the configuration again when somebody asks for it: beside the engine, which goes on meanwhile, and one
// load at a time.
type reloader struct {
	s       *service
	read    func() (*loaded, error)
	asked   chan chan<- *outcome // not buffered: who asks is heard when a load is about to begin
	ready   chan struct{}        // closed when the daemon is ready, before anybody is told so
	ended   chan struct{}        // closed when it stops
	problem atomic.Pointer[string]
}

func newReloader(s *service) *reloader {
	return &reloader{
		s: s, read: s.loadAgain,
		asked: make(chan chan<- *outcome), ready: make(chan struct{}), ended: make(chan struct{}),
	}
}

// loadAgain loads the configuration. That the main file is there no more is a fault: at a start, fragments can do without one, but what
// is in force does not vanish because a file was moved.
func (s *service) loadAgain() (*loaded, error) {
	l, err := load(s.opts.Source, s.newWorld)
	if err != nil {
		return nil, err
	}
	if main := s.current.Load().prog.cfg.Main(); main != "" && l.prog.cfg.Main() == "" {
		return nil, errors.Join(ErrConfig, fmt.Errorf("%s, which is in force, is gone; to do without it, restart the daemon", main))
	}
	return l, nil
}

// outcome is what came of a load.
type outcome struct {
	loaded  *loaded             // nil if there was an error
	waiting []config.Diagnostic // the warnings of what takes effect at the next start
	err     error               // why it could not be loaded, or not be put in force
}

// inForce reports whether what was loaded is in force.
func (o *outcome) inForce() bool { return o.err == nil && o.loaded.usable() }

var (
	errNotReady                  = errors.New("the daemon is not ready yet")
	_           control.Reloader = (*reloader)(nil)
)

// Reload loads the configuration and returns what came of it. The load begins after the call; those who call while another
// one is under way share the next.
func (r *reloader) Reload(ctx context.Context, o control.ReloadOptions) (control.Reload, error) {
	if f := Format(o.Format); f != "" && f != Text && f != JSON {
		return control.Reload{}, fmt.Errorf("the format is %q; it must be text or json", o.Format)
	}
	select {
	case <-r.ready:
	default:
		return control.Reload{}, errNotReady
	}
	answer := make(chan *outcome, 1)
	select {
	case r.asked <- answer:
	case <-r.ended:
		return control.Reload{}, errStopping
	case <-ctx.Done():
		return control.Reload{}, ctx.Err()
	}
	select {
	case out := <-answer:
		return out.answer(Format(o.Format), o.Colour)
	case <-ctx.Done():
		return control.Reload{}, ctx.Err()
	}
}

// run loads whenever it is asked to, until ctx ends.
func (r *reloader) run(ctx context.Context) {
	defer close(r.ended)
	for {
		var askers []chan<- *outcome
		select {
		case <-ctx.Done():
			return
		case <-r.s.opts.Reload:
		case a := <-r.asked:
			askers = append(askers, a)
		}
		askers = r.gather(askers)
		out := r.reload(ctx)
		for _, a := range askers {
			a <- out
		}
	}
}

// gather adds all who have asked by now: one load is enough for them.
func (r *reloader) gather(askers []chan<- *outcome) []chan<- *outcome {
	for {
		select {
		case <-r.s.opts.Reload:
		case a := <-r.asked:
			askers = append(askers, a)
		default:
			return askers
		}
	}
}

// reload loads once, and tells systemd and the journal. systemd knows that the reload is done before those who asked do: a
// unit whose ExecReload= is `pyruse reload` is not left in between.
func (r *reloader) reload(ctx context.Context) *outcome {
	r.s.notify(fmt.Sprintf("%s\nMONOTONIC_USEC=%d", daemon.SdNotifyReloading, monotonic()))
	out := r.load(ctx)
	if errors.Is(out.err, errStopping) {
		return out
	}
	r.problem.Store(out.problem())
	r.log(out)
	r.s.notify(daemon.SdNotifyReady + "\n" + r.s.statusLine())
	return out
}

// monotonic returns CLOCK_MONOTONIC in microseconds, as sd_notify(3) wants it.
func monotonic() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		return 0 // it cannot fail: the clock exists
	}
	return t.Nano() / 1000
}

// load loads the configuration, and puts it in force if it can be run.
func (r *reloader) load(ctx context.Context) *outcome {
	var out outcome
	out.loaded, out.err = r.beside(ctx)
	if !out.inForce() {
		return &out
	}
	out.waiting = keepLasting(out.loaded, r.s.settings())
	out.loaded.forget()
	out.err = r.s.putInForce(ctx, out.loaded)
	return &out
}

// beside runs the load in a goroutine of its own: a file system that hangs does not keep the daemon from stopping. A load
// that is given up goes on until it ends; nobody takes what comes of it.
func (r *reloader) beside(ctx context.Context) (*loaded, error) {
	type result struct {
		loaded *loaded
		err    error
	}
	done := make(chan result, 1)
	go func() {
		l, err := safely(r.s.opts.Stderr, r.read)
		done <- result{l, err}
	}()
	select {
	case x := <-done:
		return x.loaded, x.err
	case <-ctx.Done():
		return nil, errStopping
	}
}

// safely runs a load. A fault of the program in it does not end the daemon.
func safely(stderr io.Writer, read func() (*loaded, error)) (l *loaded, err error) {
	defer func() {
		if p := recover(); p != nil {
			_, _ = fmt.Fprintf(stderr, "pyruse: panic: %v\n%s", p, debug.Stack()) // the error is told in any case
			l, err = nil, fmt.Errorf("load the configuration: internal error: %v", p)
		}
	}()
	return read()
}

// putInForce makes what was loaded take effect, between two entries.
func (s *service) putInForce(ctx context.Context, l *loaded) error {
	c := &l.prog.cfg.Settings
	e := entry.New(l.prog.names)
	err := s.engine.call(ctx, func() {
		s.engine.swap(l.prog, l.world, e)
		s.effects.configure(c)
		s.current.Store(l)
	})
	if err != nil {
		return errStopping // nothing else can be in the way
	}
	s.db.SetLimits(stateLimits(c))
	s.mailer.Use(transport(&c.Email, nil))
	s.gate.Use(gateSettings(&c.Email))
	s.mailer.Wake()
	replace(s.reports, reportSettings(l))
	s.missReceiver()
	return nil
}

// replace puts a value into a channel of capacity 1, in the place of one that nobody has taken. Only one goroutine may do so.
func replace[T any](c chan T, v T) {
	select {
	case <-c:
	default:
	}
	c <- v
}

// maxFaultsLogged bounds the lines about one load.
const maxFaultsLogged = 20

// log tells of each error, of what takes effect later, and what is in force now.
func (r *reloader) log(out *outcome) {
	id, priority := journal.MsgReloadFailed, 3
	var text string
	if out.inForce() {
		id, priority, text = journal.MsgReloaded, 5, "reloaded "+out.loaded.summary()
	} else {
		text = *out.problem()
	}
	for _, d := range out.waiting {
		r.s.say(journal.MsgSettingWaits, 4, config.Printable(d.String()), out.fields()...)
	}
	faults := out.faults()
	for _, d := range faults[:min(len(faults), maxFaultsLogged)] {
		r.s.say(journal.MsgReloadFailed, 3, config.Printable(d.String()), out.fields()...)
	}
	if out.inForce() {
		r.s.tellLeftOut(out.loaded)
	}
	r.s.say(id, priority, text, out.fields()...)
}

// faults returns the errors because of which the configuration is not in force. Fragments that are left out of one that is are told by
// tellLeftOut.
func (o *outcome) faults() []config.Diagnostic {
	if o.err != nil || o.inForce() {
		return nil
	}
	return o.errors()
}

// errors returns the errors of the configuration.
func (o *outcome) errors() []config.Diagnostic {
	var list []config.Diagnostic
	for _, d := range o.loaded.diags.Sorted() {
		if d.Severity == config.Error {
			list = append(list, d)
		}
	}
	return list
}

func (o *outcome) fields() []journal.Field {
	if o.loaded == nil {
		return nil
	}
	return []journal.Field{{Name: journal.FieldFile, Value: o.loaded.prog.cfg.Main()}}
}

// problem is what the administrator has to attend to, nil if there is nothing.
func (o *outcome) problem() *string {
	const stays = "the configuration was not reloaded, and the one before stays in force: "
	var text string
	switch {
	case o.err != nil:
		text = stays + fault(o.err)
	case !o.loaded.usable():
		text = stays + firstOf(o.errors())
	default:
		return o.loaded.problem()
	}
	return &text
}

// firstOf returns the first of some diagnostics, and how many more there are.
func firstOf(list []config.Diagnostic) string {
	if len(list) == 0 {
		return "it cannot be run"
	}
	text := config.Printable(list[0].String())
	if more := len(list) - 1; more > 0 {
		text += fmt.Sprintf(", and %d more", more)
	}
	return text
}

// fault returns the text of an error without the mark of ErrConfig.
func fault(err error) string {
	return strings.TrimPrefix(err.Error(), ErrConfig.Error()+"\n")
}

// answer is what those who asked get.
func (o *outcome) answer(format Format, colour bool) (control.Reload, error) {
	if errors.Is(o.err, ErrConfig) {
		return control.Reload{Fault: fault(o.err)}, nil
	}
	if o.err != nil {
		return control.Reload{}, o.err
	}
	var b strings.Builder
	if err := writeDiagnostics(&b, o.loaded.diags, format, colour, ""); err != nil {
		return control.Reload{}, err
	}
	if o.inForce() && format != JSON {
		fmt.Fprintf(&b, "%s, now in force\n", o.loaded.summary())
	}
	return control.Reload{InForce: o.inForce(), Output: b.String()}, nil
}
