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
	Source Source
	System bool // also what only the machine knows
	Dump   bool // print the compiled workflow
	Format Format
	Colour bool
	Stdout io.Writer
}

// ErrSystem is returned when the configuration is sound, but the machine is not ready for it.
var ErrSystem = errors.New("the machine is not ready for this configuration")

// Check loads the configuration as Run does and prints every fault. It returns
// ErrConfig if there are errors.
func Check(ctx context.Context, o CheckOptions) error {
	l, err := load(o.Source, func(s *config.Settings) (*action.World, error) { return replayWorld(s, nil) })
	if err != nil {
		return err
	}
	if err := writeDiagnostics(o.Stdout, &l.diags, o.Format, o.Colour); err != nil {
		return err
	}
	if l.diags.HasErrors() {
		return ErrConfig
	}
	p := l.prog
	if o.Dump {
		return p.graph.Dump(o.Stdout)
	}
	if err := o.sound(p, &l.diags); err != nil {
		return err
	}
	if o.System {
		return o.system(ctx, p, l.world)
	}
	return nil
}

// sound says that there is nothing to complain about.
func (o *CheckOptions) sound(p *program, diags *config.Diagnostics) error {
	if o.Format == JSON {
		return nil
	}
	steps := 0
	for _, c := range p.cfg.Chains {
		steps += len(c.Steps)
	}
	_, warnings := diags.Count()
	_, err := fmt.Fprintf(o.Stdout, "%s: %d chains, %d steps, %d warnings, no errors\n", p.path, len(p.cfg.Chains), steps, warnings)
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
