package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
)

// Config is a configuration as it was read: in order, with places, its values checked as far
// as that is possible without knowing the modules.
type Config struct {
	File     *File
	Chains   []Chain
	Settings Settings
	root     *Node
}

// At returns the place of a top-level value; the place of the file's object if the key is not given.
func (c *Config) At(key string) Pos {
	if n := c.root.Get(key); n != nil {
		return n.Pos
	}
	return Pos{c.File, c.root.Pos.Start, c.root.Pos.Start + 1}
}

// Settings is all of the configuration but the chains.
type Settings struct {
	Email    Email    `json:"email"`
	Storage  string   `json:"storage"`
	Encoding string   `json:"8bit-message-encoding"`
	Debug    bool     `json:"debug"` // legal, but without effect: step names are always on
	NFTBan   NFTBan   `json:"nftBan"`
	IPSetBan IPSetBan `json:"ipsetBan"`
	NeverBan []string `json:"neverBan"`
	Journal  Journal  `json:"journal"`
	Control  Control  `json:"control"`
	Limits   Limits   `json:"limits"`
	Actions  *Node    `json:"actions"`
}

// Email says where mail comes from, where it goes, and how.
type Email struct {
	From     string   `json:"from"`
	To       []string `json:"to"`
	Subject  string   `json:"subject"`
	Sendmail []string `json:"sendmail"`
}

// NFTBan holds the command to run instead of netlink.
type NFTBan struct {
	NFT []string `json:"nft"`
}

// IPSetBan holds the command to run instead of netlink.
type IPSetBan struct {
	IPSet []string `json:"ipset"`
}

// Journal chooses the journal to read; all empty: the system's.
type Journal struct {
	Directory string   `json:"directory"`
	Namespace string   `json:"namespace"`
	Files     []string `json:"files"`
	MaxField  int64    `json:"maxField"` // bytes read of one field; the rest is cut
}

// Control is the unix socket of the daemon.
type Control struct {
	Socket string `json:"socket"`
}

// Limits bound the memory of the daemon and the size of its database.
type Limits struct {
	CounterKeys int64 `json:"counterKeys"` // live keys over all counters
	DNAT        int64 `json:"dnat"`        // remembered DNAT mappings
	Bans        int64 `json:"bans"`        // running bans
	ReportLines int64 `json:"reportLines"` // lines kept for one report
	Outbox      int64 `json:"outbox"`      // mails waiting to be sent
}

// Chain is one execution chain.
type Chain struct {
	Label string
	Pos   Pos
	Steps []Step
}

// Step is one step of a chain.
type Step struct {
	Pos       Pos
	IsAction  bool
	Module    string // "filter_equals", "action_email"…
	ModulePos Pos
	Args      *Node // an object, or nil
	Then      *Link
	Else      *Link
	Allow     []Allow
}

// Allow switches a warning of the static analysis off, for one step.
type Allow struct {
	Code   Code
	Reason string // why it is right here
	Pos    Pos
}

// Allows reports whether a warning is switched off at the step.
func (s *Step) Allows(code Code) bool {
	return slices.ContainsFunc(s.Allow, func(a Allow) bool { return a.Code == code })
}

// Link is an explicit then or else.
type Link struct {
	Label string
	Pos   Pos
}

// Defaults returns the built-in settings; docs/reference/configuration.md lists them.
func Defaults() Settings {
	return Settings{
		Email:    Email{Subject: "Pyruse Report", Sendmail: []string{"/usr/bin/sendmail", "-t"}},
		Storage:  "/var/lib/pyruse",
		Encoding: "iso-8859-1",
		Journal:  Journal{MaxField: 64 << 10},
		Limits: Limits{
			CounterKeys: 1_000_000,
			DNAT:        100_000,
			Bans:        1_000_000,
			ReportLines: 1_000_000,
			Outbox:      10_000,
		},
	}
}

// ErrNoFile is returned by Find when there is no configuration anywhere.
var ErrNoFile = errors.New("there is no configuration")

// Find returns the path of pyruse.json: explicit if it is not empty, then in the
// folder extra ($PYRUSE_EXTRA), then in /etc/pyruse.
func Find(explicit, extra string) (string, error) {
	if explicit != "" {
		return explicit, nil
	}
	tried := []string{"/etc/pyruse/pyruse.json"}
	if extra != "" {
		tried = slices.Insert(tried, 0, filepath.Join(extra, "pyruse.json"))
	}
	for _, path := range tried {
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			return path, nil
		}
	}
	return "", fmt.Errorf("%w: looked for %v; name one with --config FILE", ErrNoFile, tried)
}

// Load reads and checks a file. A file that cannot be read is a diagnostic, too.
// The configuration is nil when it has no usable structure.
func Load(path string, diags *Diagnostics) *Config {
	data, err := readBounded(path)
	if err != nil {
		reason := err
		var pathErr *fs.PathError
		if errors.As(err, &pathErr) {
			reason = pathErr.Err
		}
		diags.Errorf(Pos{File: &File{Name: path, lines: []int{0}}}, "", "cannot read the configuration: %v", reason)
		return nil
	}
	return Read(NewFile(path, data), diags)
}

// readBounded reads at most one byte more than MaxFileSize, so that a huge file is noticed, not loaded.
func readBounded(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return nil, errors.New("it is a directory")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, MaxFileSize+1))
	return data, errors.Join(err, f.Close())
}

// Read checks the content of a file.
func Read(f *File, diags *Diagnostics) *Config {
	root := Parse(f, diags)
	if root == nil {
		return nil
	}
	if root.Kind != Object {
		diags.Errorf(root.Pos, `a configuration is a JSON object: {"actions": {…}}`, "the file holds %s; it must hold an object", root.Kind)
		return nil
	}
	c := &Config{File: f, Settings: Defaults(), root: root}
	d := decoder{what: "the configuration", owner: root.Pos, diags: diags}
	d.object(root, reflect.ValueOf(&c.Settings).Elem())
	warnUnknown(root, diags)
	checkSettings(root, &c.Settings, diags)
	readChains(root, c, diags)
	return c
}

// warnUnknown warns of top-level keys that Pyruse does not know: they may be the
// settings of a custom module, or a slip of the pen.
func warnUnknown(root *Node, diags *Diagnostics) {
	var known []string
	t := reflect.TypeFor[Settings]()
	for i := range t.NumField() {
		known = append(known, t.Field(i).Tag.Get("json"))
	}
	for _, m := range root.Members {
		if ownKey(m.Name) || slices.Contains(known, m.Name) {
			continue
		}
		diags.Warnf(m.NamePos, DidYouMean(m.Name, known), "unknown key %q is left alone", m.Name)
	}
}

func checkSettings(root *Node, s *Settings, diags *Diagnostics) {
	if s.Storage == "" {
		diags.Errorf(root.Get("storage").Pos, "", `"storage" is empty; it must name a folder`)
	}
	if len(s.Email.Sendmail) == 0 {
		diags.Errorf(root.Get("email").Get("sendmail").Pos, `the default is ["/usr/bin/sendmail", "-t"]`, `"sendmail" is empty; it must name a program`)
	}
	if nets := root.Get("neverBan"); nets != nil && nets.Kind == Array {
		for _, e := range nets.Elems {
			if _, err := ParseNet(e.Text); e.Kind == String && err != nil {
				diags.Errorf(e.Pos, "", `"neverBan": %v`, err)
			}
		}
	}
	journal := root.Get("journal")
	sources := 0
	for _, given := range []bool{s.Journal.Directory != "", s.Journal.Namespace != "", len(s.Journal.Files) > 0} {
		if given {
			sources++
		}
	}
	if sources > 1 {
		diags.Errorf(journal.Pos, "", `"directory", "namespace" and "files" exclude each other`)
	}
	atLeast(journal, "maxField", s.Journal.MaxField, 1024, diags)
	limits := root.Get("limits")
	atLeast(limits, "counterKeys", s.Limits.CounterKeys, 1, diags)
	atLeast(limits, "dnat", s.Limits.DNAT, 1, diags)
	atLeast(limits, "bans", s.Limits.Bans, 1, diags)
	atLeast(limits, "reportLines", s.Limits.ReportLines, 1, diags)
	atLeast(limits, "outbox", s.Limits.Outbox, 1, diags)
}

func atLeast(parent *Node, key string, value, least int64, diags *Diagnostics) {
	if n := parent.Get(key); n != nil && n.Kind == Number && value < least {
		diags.Errorf(n.Pos, "", "%q is %s; it must be at least %d", key, n.Text, least)
	}
}

// NeverBanNets returns the networks of neverBan; those that are not networks were reported by Read.
func (s *Settings) NeverBanNets() []netip.Prefix {
	var nets []netip.Prefix
	for _, text := range s.NeverBan {
		if p, err := ParseNet(text); err == nil {
			nets = append(nets, p)
		}
	}
	return nets
}

// ParseNet reads a network, "10.0.0.0/8", or a bare address, which is a network of one
// address. Host bits are masked off; an IPv4-mapped address is its IPv4 address.
func ParseNet(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q is neither an address nor a network", s)
	}
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked(), nil
}

func readChains(root *Node, c *Config, diags *Diagnostics) {
	actions := c.Settings.Actions
	if actions == nil || actions.Kind == Null {
		diags.Warnf(Pos{root.Pos.File, root.Pos.Start, root.Pos.Start + 1}, `add "actions": {"label": [steps…]}`,
			`there is no "actions": nothing will be done with any entry`)
		return
	}
	if actions.Kind != Object {
		diags.Errorf(actions.Pos, `it maps labels to chains: {"label": [steps…]}`, `"actions" is %s; it must be an object`, actions.Kind)
		return
	}
	for _, m := range actions.Members {
		if ownKey(m.Name) && m.Value.Kind != Array {
			continue // the administrator's own; a list is a chain, whatever its label
		}
		chain := Chain{Label: m.Name, Pos: m.NamePos}
		if m.Value.Kind != Array {
			diags.Errorf(m.Value.Pos, "", "chain %q is %s; it must be a list of steps", m.Name, m.Value.Kind)
		}
		for i, n := range m.Value.Elems {
			chain.Steps = append(chain.Steps, readStep(n, fmt.Sprintf("%s[%d]", m.Name, i), diags))
		}
		c.Chains = append(c.Chains, chain)
	}
}

func readStep(n *Node, name string, diags *Diagnostics) Step {
	step := Step{Pos: n.Pos}
	var raw struct {
		Filter string `json:"filter"`
		Action string `json:"action"`
		Args   *Node  `json:"args"`
		Then   string `json:"then"`
		Else   string `json:"else"`
		Allow  *Node  `json:"allow"`
	}
	before, _ := diags.Count()
	d := decoder{prefix: name + ": ", what: "the step", owner: n.Pos, diags: diags, strict: true}
	d.object(n, reflect.ValueOf(&raw).Elem())
	after, _ := diags.Count()
	if neither := raw.Filter == "" && raw.Action == ""; before != after || neither {
		if neither && (n.Kind == Object || n.Kind == Null) && !triesToBeStep(n) {
			diags.Errorf(Pos{n.Pos.File, n.Pos.Start, n.Pos.Start + 1}, `a step has "filter": "filter_…" or "action": "action_…"`,
				"%s is neither a filter nor an action", name)
		}
		return step
	}
	switch {
	case raw.Filter != "" && raw.Action != "":
		diags.Errorf(n.Get("action").Pos, "make it two steps", "%s is both a filter and an action", name)
		return step
	case raw.Filter != "":
		step.Module, step.ModulePos = raw.Filter, n.Get("filter").Pos
	default:
		step.IsAction, step.Module, step.ModulePos = true, raw.Action, n.Get("action").Pos
	}
	if raw.Args != nil && raw.Args.Kind != Null {
		step.Args = raw.Args
		if raw.Args.Kind != Object {
			diags.Errorf(raw.Args.Pos, "", `%s: "args" is %s; it must be an object`, name, raw.Args.Kind)
			step.Module = ""
		}
	}
	step.Then = link(n.Get("then"))
	step.Else = link(n.Get("else"))
	step.Allow = readAllow(raw.Allow, name, diags)
	if step.IsAction && step.Else != nil {
		diags.Warnf(step.Else.Pos, "remove it", `%s: an action has no "else"; it is ignored`, name)
		step.Else = nil
	}
	return step
}

// readAllow reads a list of "code: reason".
func readAllow(n *Node, name string, diags *Diagnostics) []Allow {
	if n == nil || n.Kind == Null {
		return nil
	}
	const hint = `it lists warnings with the reason why they are switched off: ["forgeable-ban: only root can log in here"]`
	if n.Kind != Array {
		diags.Errorf(n.Pos, hint, `%s: "allow" is %s; it must be a list`, name, n.Kind)
		return nil
	}
	var list []Allow
	for i, e := range n.Elems {
		code, reason, _ := strings.Cut(e.Text, ":")
		a := Allow{Code(strings.TrimSpace(code)), strings.TrimSpace(reason), e.Pos}
		switch {
		case e.Kind != String:
			diags.Errorf(e.Pos, hint, `%s: "allow": element %d is %s; it must be a string`, name, i, e.Kind)
		case !IsRule(a.Code):
			var known []string
			for _, r := range Rules {
				known = append(known, string(r.Code))
			}
			hint := DidYouMean(string(a.Code), known)
			if hint == "" {
				hint = "the warnings are " + strings.Join(known, ", ")
			}
			diags.Errorf(e.Pos, hint, `%s: "allow": there is no warning %q`, name, a.Code)
		case a.Reason == "":
			diags.Errorf(e.Pos, fmt.Sprintf(`write "%s: why it is right here"`, a.Code), `%s: "allow": the reason is missing`, name)
		default:
			list = append(list, a)
		}
	}
	return list
}

// triesToBeStep reports whether an object has a key that is meant to be "filter" or "action": what is
// wrong with it was reported already.
func triesToBeStep(n *Node) bool {
	return slices.ContainsFunc(n.Members, func(m Member) bool {
		return nearest(m.Name, []string{"filter", "action"}) != "" && (m.Value.Kind != String || m.Value.Text != "")
	})
}

func link(n *Node) *Link {
	if n == nil || n.Kind != String {
		return nil
	}
	return &Link{n.Text, n.Pos}
}
