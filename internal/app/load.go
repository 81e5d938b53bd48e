// Package app wires the rooms together and runs the commands; it has no logic of its own.
package app

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"runtime/debug"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/ianaindex"

	"github.com/pyruse/pyruse/internal/action"
	"github.com/pyruse/pyruse/internal/config"
	"github.com/pyruse/pyruse/internal/entry"
	"github.com/pyruse/pyruse/internal/filter"
	"github.com/pyruse/pyruse/internal/mail"
	"github.com/pyruse/pyruse/internal/report"
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
	// SARIF is the format of static analysis results, for editors and CI; only Check knows it.
	SARIF Format = "sarif"
)

// Source says where the configuration is; see config.Layers.
type Source struct {
	Config  string   // --config, "" to look for it
	Extra   string   // $PYRUSE_EXTRA
	Dirs    []string // --config-dir: the folders of fragments, the lowest first; nil: the system's
	Environ []string // of the process
	Set     []string // --set
}

func (s Source) layers() config.Layers {
	dirs := s.Dirs
	if dirs == nil {
		dirs = config.DefaultDirs()
	}
	return config.Layers{Config: s.Config, Extra: s.Extra, Dirs: dirs, Environ: s.Environ, Set: s.Set}
}

// program is a loaded and compiled configuration.
type program struct {
	cfg   *config.Config
	names *entry.Names
	graph *workflow.Graph // nil when there were errors

	calendar       *report.Calendar  // when there are reports; nil when report.at has errors
	templates      *report.Templates // the administrator's own; nil: the built-in ones
	templatesFault error             // why the administrator's own cannot be used
	ident          entry.Slot        // SYSLOG_IDENTIFIER
}

// newRegistry returns the registry of all modules, working with world.
func newRegistry(world *action.World) *workflow.Registry {
	r := workflow.NewRegistry()
	filter.Register(r)
	action.Register(r, world)
	return r
}

// newProgram returns a configuration that can be compiled.
func newProgram(cfg *config.Config, diags *config.Diagnostics) *program {
	decode, err := decoder(cfg.Settings.Encoding)
	if err != nil {
		diags.Errorf(cfg.At("8bit-message-encoding"), "use an IANA name, such as iso-8859-15 or windows-1252", "%v", err)
	}
	checkAddresses(cfg, diags)
	names := entry.NewNames(decode)
	p := &program{cfg: cfg, names: names, ident: names.Slot("SYSLOG_IDENTIFIER"), calendar: reportCalendar(cfg, diags)}
	p.loadTemplates(diags)
	return p
}

// minBetweenReports is the shortest time between two reports: each is a mail, and reads the lines and the numbers of its time.
const minBetweenReports = 5 * time.Minute

// reportCalendar returns when there are reports, nil if report.at has errors.
func reportCalendar(cfg *config.Config, diags *config.Diagnostics) *report.Calendar {
	const hint = `a time of day, "06:00", or a systemd calendar expression, "Mon *-*-* 06:00" or "hourly" (systemd.time(7))`
	at := cfg.Settings.Report.At
	if at == "" {
		return nil // which is reported with the other settings
	}
	c, err := report.ParseCalendar(at)
	if err != nil {
		diags.Errorf(cfg.At("report.at"), hint, `"at": %v`, err)
		return nil
	}
	t, ok := c.Next(time.Now(), time.Local)
	if !ok {
		diags.Errorf(cfg.At("report.at"), hint, `"at": %q never comes`, at)
		return nil
	}
	const looked = 100 // moments in a row: an expression that is sparse at first may be dense later
	for range looked {
		next, ok := c.Next(t, time.Local)
		if !ok {
			break
		}
		if next.Sub(t) < minBetweenReports {
			diags.Errorf(cfg.At("report.at"), hint, `"at": %q comes every %s; %s between two reports is the least`,
				at, shortDuration(next.Sub(t)), shortDuration(minBetweenReports))
			return nil
		}
		t = next
	}
	return c
}

// loadTemplates loads the administrator's own templates of the report. Where they cannot be used, the built-in ones do it, and so that is a warning.
func (p *program) loadTemplates(diags *config.Diagnostics) {
	dir := p.cfg.Settings.Report.Templates
	if dir == "" {
		return
	}
	if p.templates, p.templatesFault = report.Load(dir); p.templatesFault != nil {
		diags.Warnf(p.cfg.At("report.templates"), "until then, the reports are made with the built-in templates", `"templates": %v`, p.templatesFault)
	}
}

// checkAddresses reports the mail addresses that are none: nobody should find that out when the first mail is due.
func checkAddresses(cfg *config.Config, diags *config.Diagnostics) {
	const hint = `write "root@example.org" or "Root <root@example.org>"; a user of this machine needs no domain`
	c := cfg.Settings.Email
	for i, to := range c.To {
		if _, err := mail.ParseAddress(to); err != nil {
			diags.Errorf(cfg.AtElement("email.to", i), hint, `"to": element %d is not a mail address`, i)
		}
	}
	if c.From == "" {
		return
	}
	from, err := mail.ParseAddress(c.From)
	switch {
	case err != nil:
		diags.Errorf(cfg.At("email.from"), hint, `"from" is not a mail address`)
	case c.SMTP.Host != "" && !strings.Contains(from.Address, "@"):
		diags.Errorf(cfg.Cause("email.from", "email.smtp.host"), `write "from": "pyruse@example.org"`,
			`mail that goes to a mail server needs a sender with a domain; "from" has none`)
	}
}

// compile lays the track, with steps that work with world.
func (p *program) compile(world *action.World, diags *config.Diagnostics) {
	p.graph = workflow.Compile(p.cfg, newRegistry(world), p.names, diags)
}

// loaded is what came of a configuration.
type loaded struct {
	prog  *program
	world *action.World // what the steps work with
	diags *config.Diagnostics
}

// newWorld makes what the steps of a configuration work with.
type newWorld func(*config.Settings) (*action.World, error)

// collectRarely is for commands that load a configuration and end: nearly all that is allocated meanwhile is garbage in the end, and
// collecting it less often saves a third of the time. The daemon does not: its memory would stay scattered.
func collectRarely() {
	const percent = 400
	debug.SetGCPercent(percent)
}

// load reads, checks and compiles the configuration, with steps that work with what world returns. An error means that
// this was not possible; faults of the configuration are in diags.
func load(src Source, world newWorld) (*loaded, error) {
	sources, err := gather(src.layers())
	if err != nil {
		return nil, err
	}
	return compile(sources, world)
}

// loadCandidate is load with a fragment that is not in its place yet. In the diagnostics is only what it brings about: what is wrong with it,
// and with others because of it.
func loadCandidate(src Source, candidate *config.Candidate, world newWorld) (*loaded, error) {
	layers := src.layers()
	layers.Candidate = candidate
	sources, err := gather(layers)
	if err != nil {
		return nil, err
	}
	with, err := compile(sources, world)
	if err != nil {
		return nil, err
	}
	layers.Candidate = nil
	without := &config.Diagnostics{}
	if sources, err = gather(layers); err == nil {
		before, err := compile(sources, world)
		if err != nil {
			return nil, err
		}
		without = before.diags
	} else if !errors.Is(err, config.ErrNoFile) {
		return nil, err
	}
	with.diags = with.diags.Since(without)
	return with, nil
}

// gather finds and reads the sources of the configuration.
func gather(l config.Layers) (*config.Sources, error) {
	sources, err := config.Gather(l)
	if errors.Is(err, config.ErrNoFile) {
		return nil, errors.Join(ErrConfig, err)
	}
	return sources, err
}

// compile compiles what the sources add up to, without the fragments that have faults.
func compile(sources *config.Sources, world newWorld) (*loaded, error) {
	var l loaded
	var failure error
	_, l.diags = sources.Settle(config.Checks{
		All: func(cfg *config.Config, diags *config.Diagnostics) {
			l.prog = newProgram(cfg, diags)
			var err error
			if l.world, err = world(&cfg.Settings); err != nil {
				failure = err
				return
			}
			l.prog.compile(l.world, diags)
			aside, err := replayWorld(&cfg.Settings, nil)
			if err != nil {
				failure = err
				return
			}
			workflow.CheckOverridden(cfg, newRegistry(aside), entry.NewNames(nil), diags)
		},
		Links: workflow.CheckLinks,
	})
	return &l, failure
}

// usable reports whether the configuration can be run: what is left of it when the fragments with faults are left out.
func (l *loaded) usable() bool { return l.prog.cfg.Sound && l.prog.graph != nil }

// forget gives up what the daemon has no use for while it runs.
func (l *loaded) forget() {
	l.prog.cfg.Forget()
	l.prog.graph.Forget()
	debug.FreeOSMemory()
}

// summary says in one line what was loaded.
func (l *loaded) summary() string {
	_, warnings := l.diags.Count()
	return fmt.Sprintf("%s, %s", l.prog.cfg, config.Count(warnings, "warning"))
}

// problem is what the administrator has to attend to, nil if there is nothing.
func (l *loaded) problem() *string {
	var names []string
	for _, x := range l.prog.cfg.LeftOut() {
		names = append(names, x.File.Name)
	}
	if len(names) == 0 {
		return nil
	}
	const most = 3
	text := "left out because of faults: " + strings.Join(names[:min(len(names), most)], ", ")
	if more := len(names) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	text = config.Printable(text)
	return &text
}

// settings returns the settings that the daemon would run with, and writes all faults where the configuration cannot be run; then
// the error is ErrConfig, and the settings are what could be read. The whole configuration is compiled for that, since any fault of a
// fragment leaves its settings out, too.
func (s Source) settings(stderr io.Writer, colour bool) (*config.Settings, error) {
	l, err := safely(stderr, func() (*loaded, error) {
		return load(s, noWorld)
	})
	if err != nil {
		defaults := config.Defaults()
		return &defaults, err
	}
	if !l.usable() {
		err = errors.Join(ErrConfig, l.diags.WriteText(stderr, colour))
	}
	return &l.prog.cfg.Settings, err
}

// mustLoad is load for commands that only go on with a configuration that can be run. Otherwise all faults are written, and the error is
// ErrConfig.
func mustLoad(src Source, world newWorld, stderr io.Writer, colour bool) (*loaded, error) {
	l, err := load(src, world)
	if err != nil {
		return nil, err
	}
	if !l.usable() {
		return nil, errors.Join(ErrConfig, l.diags.WriteText(stderr, colour))
	}
	return l, nil
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
func writeDiagnostics(w io.Writer, diags *config.Diagnostics, format Format, colour bool, version string) error {
	switch format {
	case JSON:
		return diags.WriteJSON(w)
	case SARIF:
		return diags.WriteSARIF(w, version)
	}
	return diags.WriteText(w, colour)
}
