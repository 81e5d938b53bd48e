package app

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/pyruse/pyruse/internal/action"
	"github.com/pyruse/pyruse/internal/ban"
	"github.com/pyruse/pyruse/internal/config"
	"github.com/pyruse/pyruse/internal/entry"
	"github.com/pyruse/pyruse/internal/journal"
	"github.com/pyruse/pyruse/internal/workflow"
)

// ReplayOptions say what is replayed, and how it is shown.
type ReplayOptions struct {
	Source    Source
	Directory string    // a folder with journal files
	Files     []string  // journal files
	Entries   string    // a file with lines of `journalctl -o json`; "-" is Stdin
	Since     time.Time // zero: from the beginning
	Until     time.Time // zero: to the end; entries at Until are left out
	Format    Format
	Colour    bool // of Stdout and Stderr
	Stdin     io.Reader
	Stdout    io.Writer
	Stderr    io.Writer
	Progress  bool // show on Stderr how far it is
	// Report shows, in the place of the effects, the report that they would have made; HTML is the file that its HTML is written to
	// then, "-" is Stdout, "" shows the text.
	Report bool
	HTML   string
}

// ErrInput is returned when parts of the input could not be read; they were named already.
var ErrInput = errors.New("parts of the input could not be read")

// Replay runs the workflow over history and prints every effect; nothing else happens.
func Replay(ctx context.Context, o ReplayOptions) error {
	out := bufio.NewWriterSize(o.Stdout, 64<<10)
	var sink sink = newPrinter(out, o.Format, o.Colour)
	if o.Report {
		sink = newReporter(&o)
	}
	l, err := mustLoad(o.Source, func(s *config.Settings) (*action.World, error) {
		return replayWorld(s, sink)
	}, o.Stderr, o.Colour)
	if err != nil {
		return err
	}
	if err := l.diags.WriteText(o.Stderr, o.Colour); err != nil {
		return err
	}
	p := l.prog
	source, err := o.open(&p.cfg.Settings.Journal)
	if err != nil {
		return err
	}
	err = o.replay(ctx, p, source, sink)
	return errors.Join(err, source.Close(), out.Flush())
}

// sink is what a replay shows.
type sink interface {
	action.Effects
	// fail notes the run-time error of a step.
	fail(e *entry.Entry, err *workflow.StepError)
	// broken returns why nothing can be shown any more, nil if it can.
	broken() error
	// end is told how many entries there were, and that there are no more.
	end(p *program, entries int) error
}

// replayWorld returns a world that only prints. The machine's own addresses play no
// part in it, so that the result is the same on every machine.
func replayWorld(s *config.Settings, effects action.Effects) (*action.World, error) {
	guard, err := ban.NewGuard(s.NeverBanNets(), nil, time.Now)
	if err != nil {
		return nil, err
	}
	return &action.World{
		Effects:  effects,
		Guard:    guard,
		Counters: action.NewCounters(int(s.Limits.CounterKeys)),
		DNAT:     action.NewDNAT(int(s.Limits.DNAT)),
	}, nil
}

// noWorld is the world of commands that only look at a configuration.
func noWorld(s *config.Settings) (*action.World, error) { return replayWorld(s, nil) }

// open opens what is to be replayed: what the options name, else what the configuration names.
func (o *ReplayOptions) open(cfg *config.Journal) (journal.Entries, error) {
	if o.Entries != "" {
		return o.openLines(int(cfg.MaxField))
	}
	opts := journalOptions(cfg)
	opts.MustExist = true
	if o.Directory != "" || len(o.Files) > 0 {
		opts.Directory, opts.Namespace, opts.Files = o.Directory, "", o.Files
	}
	r, err := journal.Open(opts)
	if err != nil {
		return nil, err
	}
	if o.Since.IsZero() {
		err = r.SeekHead()
	} else {
		err = r.SeekTime(o.Since)
	}
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

func (o *ReplayOptions) openLines(maxField int) (journal.Entries, error) {
	if o.Entries == "-" {
		lines := journal.NewLines(o.Stdin, 0)
		lines.MaxField = maxField
		return lines, nil
	}
	f, err := os.Open(o.Entries)
	if err != nil {
		return nil, fmt.Errorf("open the entries: %w", err)
	}
	lines := journal.NewLines(f, 0)
	lines.MaxField = maxField
	return &fileLines{lines, f}, nil
}

func journalOptions(cfg *config.Journal) journal.Options {
	return journal.Options{Directory: cfg.Directory, Namespace: cfg.Namespace, Files: cfg.Files, MaxField: int(cfg.MaxField)}
}

// fileLines closes the file below the lines.
type fileLines struct {
	*journal.Lines
	file *os.File
}

func (l *fileLines) Close() error { return errors.Join(l.Lines.Close(), l.file.Close()) }

// replay sends all entries of the wanted time over the track.
func (o *ReplayOptions) replay(ctx context.Context, p *program, source journal.Entries, sink sink) error {
	e := entry.New(p.names)
	since, until := bounds(o.Since, o.Until)
	progress := newProgress(o)
	defer progress.clear()
	var entries int
	var fault error
	fail := func(err *workflow.StepError) { sink.fail(e, err) }
	for {
		if entries%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		ok, err := source.Next()
		var bad *journal.LineError
		if errors.As(err, &bad) {
			fault = ErrInput
			if _, err := fmt.Fprintf(o.Stderr, "%s:%d: %s\n", o.inputName(), bad.Line, config.Printable(bad.Reason)); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", o.inputName(), err)
		}
		if !ok {
			break
		}
		usec := source.UnixMicro()
		if usec < since || usec >= until {
			continue
		}
		e.Reset(source, usec)
		p.graph.Run(e, fail)
		entries++
		progress.at(usec, entries)
		if err := sink.broken(); err != nil {
			return err
		}
	}
	progress.clear()
	return errors.Join(sink.end(p, entries), fault)
}

func (o *ReplayOptions) inputName() string {
	switch o.Entries {
	case "":
		return "the journal"
	case "-":
		return "standard input"
	}
	return config.Printable(o.Entries)
}

// bounds returns a span of time in microseconds since 1970.
func bounds(since, until time.Time) (from, to int64) {
	from, to = -1<<63, 1<<63-1
	if !since.IsZero() {
		from = since.UnixMicro()
	}
	if !until.IsZero() {
		to = until.UnixMicro()
	}
	return from, to
}
