package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os/exec"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/pyruse/pyruse/internal/action"
	"github.com/pyruse/pyruse/internal/ban"
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

// ErrSystem is returned when the configuration is sound, but the machine is not ready for it.
var ErrSystem = errors.New("the machine is not ready for this configuration")

// Check loads the configuration as Run does and prints every fault. It returns
// ErrConfig if there are errors; with Strict, also if there are warnings.
func Check(ctx context.Context, o CheckOptions) error {
	l, err := o.load()
	if err != nil {
		return err
	}
	if err := writeDiagnostics(o.Stdout, l.diags, o.Format, o.Colour, o.Version); err != nil {
		return err
	}
	if _, warnings := l.diags.Count(); l.diags.HasErrors() || o.Strict && warnings > 0 {
		return ErrConfig
	}
	if o.Dump && !l.usable() { // because of what is no fault of the candidate
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
	world := func(s *config.Settings) (*action.World, error) { return replayWorld(s, nil) }
	if o.Candidate == nil {
		return load(o.Source, world)
	}
	return loadCandidate(o.Source, o.Candidate, world)
}

// sound says that there is nothing to complain about.
func (o *CheckOptions) sound(l *loaded) error {
	if o.Format != Text {
		return nil
	}
	_, err := fmt.Fprintf(o.Stdout, "%s, no errors\n", l.summary())
	return err
}

// finding is one result of the check of the machine.
type finding struct {
	What    string `json:"check"`
	Problem string `json:"problem,omitempty"` // "": all is well
}

// system checks what the configuration needs of the machine.
func (o *CheckOptions) system(ctx context.Context, p *program, world *action.World) error {
	c := &p.cfg.Settings
	findings := []finding{{What: "storage " + c.Storage, Problem: problem(checkStorage(c.Storage))}}
	if err := receiver(c, world); err != nil {
		findings = append(findings, finding{"email", err.Error()})
	}
	if len(c.Email.To) > 0 {
		_, err := exec.LookPath(c.Email.Sendmail[0])
		findings = append(findings, finding{"sendmail " + c.Email.Sendmail[0], problem(err)})
	}
	walls, err := firewalls(c)
	if err != nil {
		return err
	}
	for _, s := range world.Sets() {
		_, err := ban.Check(ctx, walls, s.Backend, s.Set, s.IPv6)
		findings = append(findings, finding{fmt.Sprintf("%s set %q of %s", s.Backend, s.Set, s.Origin), problem(err)})
	}
	ready := true
	for _, f := range findings {
		ready = ready && f.Problem == ""
		if err := o.printFinding(f); err != nil {
			return err
		}
	}
	if !ready {
		return ErrSystem
	}
	return nil
}

func (o *CheckOptions) printFinding(f finding) error {
	if o.Format == JSON {
		return json.NewEncoder(o.Stdout).Encode(f)
	}
	if f.Problem == "" {
		f.Problem = "ok"
	}
	_, err := fmt.Fprintf(o.Stdout, "%s: %s\n", config.Printable(f.What), config.Printable(f.Problem))
	return err
}

// receiver returns an error if the steps want to mail, and nobody is named to mail to.
func receiver(c *config.Settings, world *action.World) error {
	if len(c.Email.To) > 0 || !world.Mails() {
		return nil
	}
	return errors.New(`there is nobody to mail to: add "email": {"to": ["…"]}`)
}

func problem(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// checkStorage checks that the storage folder can be written; where it is missing, that it can be made.
func checkStorage(dir string) error {
	at := dir
	for {
		err := unix.Access(at, unix.W_OK|unix.X_OK)
		if err == nil {
			return nil
		}
		if !errors.Is(err, fs.ErrNotExist) || at == filepath.Dir(at) {
			return fmt.Errorf("%s cannot be written: %w", at, err)
		}
		at = filepath.Dir(at)
	}
}
