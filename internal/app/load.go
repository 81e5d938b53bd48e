// Package app wires the rooms together and runs the commands; it has no logic of its own.
package app

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
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

// loaded is what came of a configuration.
type loaded struct {
	prog  *program      // nil if nothing could be read; its graph is nil if it cannot be run
	world *action.World // what the steps work with; nil if prog is
	diags config.Diagnostics
}

// load reads, checks and compiles the configuration, with steps that work with what world returns. An error means that
// this was not possible; faults of the configuration are in diags.
func load(src Source, world func(*config.Settings) (*action.World, error)) (*loaded, error) {
	var l loaded
	var err error
	l.prog, err = read(src, &l.diags)
	if errors.Is(err, config.ErrNoFile) {
		return nil, errors.Join(ErrConfig, err)
	}
	if err != nil || l.prog == nil {
		return &l, err
	}
	if l.world, err = world(&l.prog.cfg.Settings); err != nil {
		return nil, err
	}
	l.prog.compile(l.world, &l.diags)
	return &l, nil
}

// usable reports whether the configuration can be run.
func (l *loaded) usable() bool { return l.prog != nil && l.prog.graph != nil }

// mustLoad is load for commands that only go on with a sound configuration: otherwise it
// writes all faults, and returns ErrConfig.
func mustLoad(src Source, world func(*config.Settings) (*action.World, error), stderr io.Writer, colour bool) (*program, *action.World, error) {
	l, err := load(src, world)
	if err != nil {
		return nil, nil, err
	}
	if err := l.diags.WriteText(stderr, colour); err != nil {
		return nil, nil, err
	}
	if !l.usable() {
		return nil, nil, ErrConfig
	}
	return l.prog, l.world, nil
}

// decoder returns the function that reads 8-bit text in the named charset.
func decoder(name string) (func([]byte) string, error) {
	enc, err := charset(name)
	if err != nil {
		return nil, err
	}
	if table, ok := enc.(*charmap.Charmap); ok {
		return func(b []byte) string { return decodeBytes(table, b) }, nil
	}
	return func(b []byte) string {
		out, err := enc.NewDecoder().Bytes(b)
		if err != nil {
			return entry.Latin1(b)
		}
		return strings.ToValidUTF8(string(out), "\uFFFD")
	}, nil
}

// decodeBytes reads text in a charset of one byte a character. Where the charset has nothing between 0x80 and 0x9f, these
// are the control characters of that number, as in Python.
func decodeBytes(table *charmap.Charmap, b []byte) string {
	out := make([]rune, len(b))
	for i, c := range b {
		if out[i] = table.DecodeByte(c); out[i] == utf8.RuneError && c >= 0x80 && c < 0xa0 {
			out[i] = rune(c)
		}
	}
	return string(out)
}

// aliases are charset names of Python (docs.python.org/3/library/codecs.html#standard-encodings)
// that neither IANA nor the web know, or that the web takes for something else.
var aliases = map[string]string{
	"latin": "iso-8859-1", "latin-1": "iso-8859-1", "l1": "iso-8859-1", "8859": "iso-8859-1", "cp819": "iso-8859-1",
	"ascii": "iso-8859-1", "us-ascii": "iso-8859-1", "646": "iso-8859-1", // 8-bit text is not ASCII in any case
	"latin2": "iso-8859-2", "latin-2": "iso-8859-2", "latin9": "iso-8859-15", "latin-9": "iso-8859-15", "latin10": "iso-8859-16",
	"mac-roman": "macintosh", "macroman": "macintosh", "eucjp": "euc-jp", "u8": "utf-8", "utf": "utf-8", "utf8": "utf-8",
}

var (
	isoName    = regexp.MustCompile(`^(?:iso-?)?8859-?(\d+)$`)
	codePage   = regexp.MustCompile(`^(?:cp|windows-?)(125\d|874)$`)
	ibmCharset = regexp.MustCompile(`^(?:cp|ibm)-?(\d{3,4})$`)
)

// charset finds a charset by its IANA name, or by one of the spellings that Python knows.
func charset(name string) (encoding.Encoding, error) {
	key := strings.ToLower(strings.NewReplacer("_", "-", " ", "-").Replace(strings.TrimSpace(name)))
	switch {
	case aliases[key] != "":
		key = aliases[key]
	case isoName.MatchString(key):
		key = isoName.ReplaceAllString(key, "iso-8859-$1")
	case codePage.MatchString(key):
		key = codePage.ReplaceAllString(key, "windows-$1")
	case ibmCharset.MatchString(key):
		key = ibmCharset.ReplaceAllString(key, "ibm$1")
	}
	if key == "iso-8859-1" {
		return charmap.ISO8859_1, nil
	}
	if enc, err := ianaindex.IANA.Encoding(key); err == nil && enc != nil {
		return enc, nil
	}
	if enc, err := htmlindex.Get(key); err == nil {
		return enc, nil
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
