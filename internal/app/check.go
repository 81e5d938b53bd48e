package app

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/pyruse/pyruse/internal/config"
)

// CheckOptions say what is checked, and how the result is shown.
type CheckOptions struct {
	Source    Source
	Candidate *config.Candidate // a fragment that is not in its place yet; nil: none
	Strict    bool              // warnings are faults, too
	System    bool              // also what only the machine knows
	Dump      bool              // print the compiled workflow
	Format    Format
	Colour    bool
	Version   string // of Pyruse, for SARIF
	Stdout    io.Writer
}

// NewCandidate returns the fragment in a file, - for in, which will have that name; "": the name that it has.
func NewCandidate(path, name string, in io.Reader) *config.Candidate {
	return &config.Candidate{Path: path, Name: name, In: in}
}

// Check loads the configuration as Run does and prints every fault. It returns
// ErrConfig if there are errors; with Strict, also if there are warnings.
func Check(ctx context.Context, o CheckOptions) error {
	if o.System && o.Format == SARIF {
		return errors.New("the check of the machine (--system) has no SARIF form; use --format json")
	}
	collectRarely()
	l, err := o.load()
	if errors.Is(err, config.ErrNoFile) && o.Format != Text { // machines want it in their format, too
		return errors.Join(err, writeDiagnostics(o.Stdout, config.Fault(errors.New(fault(err))), o.Format, false, o.Version))
	}
	if err != nil {
		return err
	}
	if err := writeDiagnostics(o.Stdout, l.diags, o.Format, o.Colour, o.Version); err != nil {
		return err
	}
	if _, warnings := l.diags.Count(); l.diags.HasErrors() || o.Strict && warnings > 0 {
		return ErrConfig
	}
	if (o.Dump || o.System) && !l.usable() { // because of what is no fault of the candidate
		return errors.New("the configuration cannot be run: see pyruse check")
	}
	if o.Dump {
		return l.prog.graph.Dump(o.Stdout)
	}
	if err := o.sound(l); err != nil {
		return err
	}
	if o.System {
		return o.system(ctx, l.prog, l.world)
	}
	return nil
}

func (o *CheckOptions) load() (*loaded, error) {
	if o.Candidate == nil {
		return load(o.Source, noWorld)
	}
	return loadCandidate(o.Source, o.Candidate, noWorld)
}

// sound says that there is nothing to complain about.
func (o *CheckOptions) sound(l *loaded) error {
	if o.Format != Text {
		return nil
	}
	_, err := fmt.Fprintf(o.Stdout, "%s, no errors\n", l.summary())
	return err
}
