// Package app wires the rooms together and runs the commands; it has no logic of its own.
package app

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/ianaindex"

	"github.com/pyruse/pyruse/internal/action"
	"github.com/pyruse/pyruse/internal/config"
	"github.com/pyruse/pyruse/internal/entry"
	"github.com/pyruse/pyruse/internal/filter"
	"github.com/pyruse/pyruse/internal/workflow"
)

// ErrConfig is returned when the configuration has errors; they were written already.
var ErrConfig = errors.New("the configuration has errors")

// Format is the form of what a command prints.
type Format string

// The formats.
const (
	Text Format = "text"
	JSON Format = "json"
)

// Source says where the configuration is.
type Source struct {
	Config string // --config, "" to look for it
	Extra  string // $PYRUSE_EXTRA
}

// program is a loaded and compiled configuration.
type program struct {
	path  string
	cfg   *config.Config
	names *entry.Names
	graph *workflow.Graph // nil when there were errors
	ident entry.Slot      // SYSLOG_IDENTIFIER
}

// newRegistry returns the registry of all modules, working with world.
func newRegistry(world *action.World) *workflow.Registry {
	r := workflow.NewRegistry()
	filter.Register(r)
	action.Register(r, world)
	return r
}

// read finds and reads the configuration. The program is nil when there is
// nothing that could be compiled; faults are in diags.
func read(src Source, diags *config.Diagnostics) (*program, error) {
	path, err := config.Find(src.Config, src.Extra)
	if err != nil {
		return nil, err
	}
	return newProgram(path, config.Load(path, diags), diags), nil
}

// newProgram returns what could be read, nil if that is nothing.
func newProgram(path string, cfg *config.Config, diags *config.Diagnostics) *program {
	if cfg == nil {
		return nil
	}
	decode, err := decoder(cfg.Settings.Encoding)
	if err != nil {
		diags.Errorf(cfg.At("8bit-message-encoding"), "use an IANA name, such as iso-8859-15 or windows-1252", "%v", err)
	}
	names := entry.NewNames(decode)
	return &program{path: path, cfg: cfg, names: names, ident: names.Slot("SYSLOG_IDENTIFIER")}
}

// compile lays the track, with steps that work with world.
func (p *program) compile(world *action.World, diags *config.Diagnostics) {
	p.graph = workflow.Compile(p.cfg, newRegistry(world), p.names, diags)
}

// mustCompile is read and compile for commands that only go on with a sound configuration:
// otherwise it writes all faults, and returns ErrConfig.
func mustCompile(src Source, world func(*config.Settings) (*action.World, error), stderr io.Writer, colour bool) (*program, *action.World, error) {
	var diags config.Diagnostics
	p, err := read(src, &diags)
	if errors.Is(err, config.ErrNoFile) {
		return nil, nil, errors.Join(ErrConfig, err)
	}
	if err != nil {
		return nil, nil, err
	}
	var w *action.World
	if p != nil {
		if w, err = world(&p.cfg.Settings); err != nil {
			return nil, nil, err
		}
		p.compile(w, &diags)
	}
	if err := diags.WriteText(stderr, colour); err != nil {
		return nil, nil, err
	}
	if diags.HasErrors() {
		return nil, nil, ErrConfig
	}
	return p, w, nil
}

// decoder returns the function that reads 8-bit text in the named charset.
func decoder(name string) (func([]byte) string, error) {
	enc, err := charset(name)
	if err != nil {
		return nil, err
	}
	return func(b []byte) string {
		out, err := enc.NewDecoder().Bytes(b)
		if err != nil {
			return entry.Latin1(b)
		}
		return strings.ToValidUTF8(string(out), "\uFFFD")
	}, nil
}

// charset finds a charset by its IANA name, or by one of the spellings that Python knows.
func charset(name string) (encoding.Encoding, error) {
	for _, spelling := range []string{name, strings.ReplaceAll(name, "_", "-"), strings.ReplaceAll(strings.ToLower(name), "iso8859", "iso-8859")} {
		if enc, err := ianaindex.IANA.Encoding(spelling); err == nil && enc != nil {
			return enc, nil
		}
		if enc, err := htmlindex.Get(spelling); err == nil {
			return enc, nil
		}
	}
	return nil, fmt.Errorf("%q is not a known charset", name)
}

// writeDiagnostics writes the faults in the wanted format.
func writeDiagnostics(w io.Writer, diags *config.Diagnostics, format Format, colour bool) error {
	if format == JSON {
		return diags.WriteJSON(w)
	}
	return diags.WriteText(w, colour)
}
