package config

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Config is a configuration as its sources add up: in order, with places, its values checked as far
// as that is possible without knowing the modules.
type Config struct {
	Chains   []Chain // in the order in which they run
	Settings Settings
	Sound    bool // the main file, the variables and the options have no errors; fragments with errors are left out

	sources *Sources
	layers  [LayerOption + 1]*Node // fragments are in that of the main file
	chains  *Node                  // merged, with the keys that were deleted
	lists   *Node                  // likewise
	byLabel map[string]*Node       // the values in chains
	guesses int                    // see instead
	listed  int                    // values of named lists, where they are asked for
}

// At returns the place of a setting, "email" or "email.to"; that of the main file's object if it is not given.
func (c *Config) At(key string) Pos {
	if n := c.setting(key); n != nil {
		return n.Pos
	}
	return c.sources.top()
}

// AtElement returns the place of an element of a setting that is a list; that of the setting if there is no such element.
func (c *Config) AtElement(key string, i int) Pos {
	if n := c.setting(key); n != nil && i >= 0 && i < len(n.Elems) {
		return n.Elems[i].Pos
	}
	return c.At(key)
}

// setting returns the value of a setting that is in force, nil if it is a built-in one.
func (c *Config) setting(key string) *Node {
	if n := c.said(key); n != nil && n.Kind != Null {
		return n
	}
	return nil
}

// said returns the last thing that was said of a setting: its value, or the null that takes it, or the object that it is in, back.
// It is nil where nobody says anything.
func (c *Config) said(key string) *Node {
	path := strings.Split(key, ".")
	for _, x := range slices.Backward(c.sources.list) {
		if x.State != Used || x.root == nil || x.Layer == LayerDefault {
			continue
		}
		n := x.root
		for _, k := range path {
			if n = n.Get(k); n != nil && n.Kind == Null {
				break
			}
		}
		if n != nil && (n.Kind != Null || x.Layer <= LayerFragment) { // only files can take back
			return n
		}
	}
	return nil
}

// Main returns the name of the main file, "" if there is none.
func (c *Config) Main() string {
	if c.sources.main == nil {
		return ""
	}
	return c.sources.main.File.Name
}

// Forget gives up what was read, but for the settings, the chains, and the names of the sources. Afterwards At, NoChain and all that prints
// the configuration must not be called.
func (c *Config) Forget() {
	for _, x := range c.sources.list {
		x.root, x.faults = nil, Diagnostics{}
	}
	c.chains, c.lists, c.byLabel = nil, nil, nil
	clear(c.layers[:])
}

// LeftOut returns the fragments that are left out because of faults.
func (c *Config) LeftOut() []*Source {
	var list []*Source
	for _, x := range c.sources.list {
		if x.State == LeftOut {
			list = append(list, x)
		}
	}
	return list
}

// String says in one line what the configuration is made of: "/etc/pyruse/pyruse.json and 2 fragments: 12 chains, 40 steps".
func (c *Config) String() string {
	var parts []string
	if main := c.Main(); main != "" {
		parts = append(parts, main)
	}
	used, steps := 0, 0
	for _, x := range c.sources.list {
		if x.Layer == LayerFragment && x.State == Used {
			used++
		}
	}
	if used > 0 {
		parts = append(parts, Count(used, "fragment"))
	}
	for _, chain := range c.Chains {
		steps += len(chain.Steps)
	}
	text := fmt.Sprintf("%s: %s, %s", strings.Join(parts, " and "), Count(len(c.Chains), "chain"), Count(steps, "step"))
	if out := len(c.LeftOut()); out > 0 {
		text += fmt.Sprintf("; %s left out because of faults", Count(out, "fragment"))
	}
	return text
}

// Count returns a number with its noun: 1 chain, 2 chains.
func Count(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}

// top returns the place of the main file's object.
func (s *Sources) top() Pos {
	if s.main == nil || s.main.root == nil {
		return Pos{}
	}
	at := s.main.root.Pos
	return Pos{at.File, at.Start, at.Start + 1}
}

// Settings is all of the configuration but the chains.
type Settings struct {
	Email    Email    `json:"email"`
	Report   Report   `json:"report"`
	Storage  string   `json:"storage"`
	Encoding string   `json:"8bit-message-encoding"`
	Debug    bool     `json:"debug"` // legal, but without effect: step names are always on
	NFTBan   NFTBan   `json:"nftBan"`
	IPSetBan IPSetBan `json:"ipsetBan"`
	NeverBan []string `json:"neverBan"`
	Journal  Journal  `json:"journal"`
	Control  Control  `json:"control"`
	Limits   Limits   `json:"limits"`
}

// Email says where mail comes from, where it goes, and how.
type Email struct {
	From     string   `json:"from"`
	To       []string `json:"to"`
	Subject  string   `json:"subject"`
	Sendmail []string `json:"sendmail"`

	SMTP            SMTP  `json:"smtp"`            // where it has a host, it is used instead of sendmail
	CoalesceSeconds int64 `json:"coalesceSeconds"` // for how long mails are gathered into one; 0: each goes on its own
	MaxPerHour      int64 `json:"maxPerHour"`      // mails that are sent in an hour
}

// SMTP says which mail server takes the mail.
type SMTP struct {
	Host       string `json:"host"`
	Port       int64  `json:"port"`       // 0: 587, or 465 with TLSImplicit, or 25 with TLSNone
	TLS        string `json:"tls"`        // TLSStart, TLSImplicit or TLSNone
	ServerName string `json:"serverName"` // that the certificate must have; "": Host
	CAFile     string `json:"caFile"`     // of those who may vouch for the server; "": those of the system
	CertFile   string `json:"certFile"`   // of the client
	KeyFile    string `json:"keyFile"`    // of CertFile
	Auth       string `json:"auth"`       // one of the mechanisms, "": the best that the server offers
	Username   string `json:"username"`

	// At most one of these is given.
	Password           string   `json:"password"`
	PasswordFile       string   `json:"passwordFile"`
	PasswordCredential string   `json:"passwordCredential"` // the name of a credential, see systemd.exec(5), LoadCredential=
	PasswordCommand    []string `json:"passwordCommand"`    // prints the password or the token; no shell is involved
}

// How the connection to a mail server is encrypted.
const (
	TLSStart    = "starttls" // from the command STARTTLS on (RFC 3207); without it, no mail is sent
	TLSImplicit = "implicit" // from its beginning (RFC 8314, 3.3)
	TLSNone     = "none"
)

// How the client says who it is: the names of SASL mechanisms.
const (
	AuthPlain       = "PLAIN"       // RFC 4616
	AuthLogin       = "LOGIN"       // draft-murchison-sasl-login
	AuthOAuthBearer = "OAUTHBEARER" // RFC 7628
	AuthExternal    = "EXTERNAL"    // RFC 4422, appendix A: by the certificate of the client
	AuthAnonymous   = "ANONYMOUS"   // RFC 4505
)

// Report says when the report is sent, and what is remembered of it.
type Report struct {
	At         string `json:"at"`         // a time of day, local time, or a calendar expression, see systemd.time(7)
	MemoryDays int64  `json:"memoryDays"` // for how long kinds of lines are remembered, to tell what is new
	KeepDays   int64  `json:"keepDays"`   // for how long reports that were sent are kept, with their lines
	SendEmpty  bool   `json:"sendEmpty"`  // also when there is nothing new; else such a day is one line of the next report
	Templates  string `json:"templates"`  // a folder with templates that override the built-in ones; "": none
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
	Label    string
	Pos      Pos // where it is first named
	Order    int64
	Disabled bool // links lead through it, as if it had no steps
	Jump     Jump
	Steps    []Step
}

// DefaultOrder is the order of a chain that does not say another.
const DefaultOrder = 500

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
	Flawed    bool // what is wrong with the form of its args was reported already
	Unfit     bool // its args cannot be worked with, which was reported already
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
		Email: Email{
			Subject:         "Pyruse Report",
			Sendmail:        []string{"/usr/bin/sendmail", "-t"},
			SMTP:            SMTP{TLS: TLSStart},
			CoalesceSeconds: 60,
			MaxPerHour:      60,
		},
		Report:   Report{At: "00:00", MemoryDays: 30, KeepDays: 30},
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

// Read checks the content of a single file, as the main file of a configuration without anything else. It is
// nil when the file has no usable structure.
func Read(f *File, diags *Diagnostics) *Config {
	main := &Source{Layer: LayerMain}
	main.read(f)
	s := &Sources{list: []*Source{defaultSource(), main}, main: main}
	diags.add(&main.faults, nil)
	if main.root == nil {
		return nil
	}
	return s.config(diags)
}

// config returns what the sources that are used add up to.
func (s *Sources) config(diags *Diagnostics) *Config {
	c := &Config{sources: s, Sound: true}
	layers := &c.layers
	for _, x := range s.list {
		if x.State != Used || x.root == nil {
			continue
		}
		layer := x.Layer
		if layer == LayerFragment {
			layer = LayerMain
		}
		layers[layer] = merge(layers[layer], x.root)
	}
	c.chains, c.lists = layers[LayerMain].Get(keyActions), layers[LayerMain].Get(keyLists)
	for i, n := range layers {
		layers[i] = settled(n)
	}
	var err error
	if c.Settings, err = settle(layers[:]...); err != nil && !s.faulty() {
		diags.Errorf(s.top(), "", "%v", err)
	}
	c.checkSettings(diags)
	c.readChains(diags)
	return c
}

// faulty reports whether a source that is used has errors of its own: values may have the wrong type then.
func (s *Sources) faulty() bool {
	return slices.ContainsFunc(s.list, func(x *Source) bool { return x.State == Used && x.faults.HasErrors() })
}

// ComparePos orders places by their files (see CompareFile), and within a file.
func ComparePos(a, b Pos) int { return cmp.Or(CompareFile(a, b), cmp.Compare(a.Start, b.Start)) }

// CompareFile orders places by their files: those of a configuration in the order in which they apply, others by name.
func CompareFile(a, b Pos) int {
	return cmp.Or(cmp.Compare(a.rank(), b.rank()), cmp.Compare(a.fileName(), b.fileName()))
}

func (p Pos) rank() int {
	if p.File == nil {
		return 0
	}
	return p.File.rank
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

// readChains reads the chains and puts them in the order in which they run: by order, then by file, then by
// place in the file.
func (c *Config) readChains(diags *Diagnostics) {
	if c.chains == nil || c.chains.Kind == Null {
		if c.sources.faulty() {
			return // what is missing may be what could not be read
		}
		diags.Warnf(c.sources.top(), `add "actions": {"label": [steps…]}`,
			`there is no "actions": nothing will be done with any entry`)
		return
	}
	for _, m := range c.chains.Members {
		if m.Value.Kind == Object {
			c.Chains = append(c.Chains, c.readChain(m, diags))
		}
	}
	slices.SortStableFunc(c.Chains, func(a, b Chain) int { return cmp.Compare(a.Order, b.Order) })
}

func (c *Config) readChain(m Member, diags *Diagnostics) Chain {
	chain := Chain{Label: m.Name, Pos: m.NamePos, Order: DefaultOrder, Jump: readJump(m.Value)}
	if n := m.Value.Get(keyOrder); n != nil && n.Kind == Number {
		if order, err := n.Int64(); err == nil {
			chain.Order = order
		}
	}
	if CompareFile(m.NamePos, m.Value.Pos) != 0 {
		c.warnLost(m, diags)
	}
	if n := m.Value.Get(keyEnabled); n != nil && n.Kind == Bool && !n.Bool {
		chain.Disabled = true
	}
	steps := m.Value.Get(keySteps)
	switch {
	case (steps == nil || steps.Kind == Null) && c.sources.faulty(): // what is missing may be what could not be read
	case steps == nil || steps.Kind == Null:
		diags.Warnf(m.Value.Pos, c.instead(keyActions, m.Name, c.chainNames), "the chain %q has no steps: no file gives it any", m.Name)
	case !chain.Disabled:
		for i, n := range steps.Elems {
			chain.Steps = append(chain.Steps, c.readStep(n, fmt.Sprintf("%s[%d]", m.Name, i), diags))
		}
	}
	return chain
}

// chainNames returns the labels of the chains that have steps.
func (c *Config) chainNames() []string {
	if c.chains == nil {
		return nil
	}
	var labels []string
	for _, m := range c.chains.Members {
		if steps := m.Value.Get(keySteps); steps != nil && steps.Kind == Array {
			labels = append(labels, m.Name)
		}
	}
	return labels
}

// warnLost warns of a chain that a list has overridden, and with its steps also what else was said of it.
func (c *Config) warnLost(m Member, diags *Diagnostics) {
	for _, key := range []string{keyOrder, keyEnabled, keyJump} {
		if m.Value.Get(key) != nil {
			continue
		}
		for _, x := range slices.Backward(c.sources.list) {
			n := x.root.Get(keyActions).Get(m.Name).Get(key)
			if x.State != Used || x.File == m.Value.Pos.File || n == nil || n.Kind == Null {
				continue
			}
			diags.Warnf(m.Value.Pos, fmt.Sprintf(`write {"steps": […]} to override the steps alone, or say %q as well`, key),
				"a list overrides all that was said of the chain %q, also its %q: %s (%s)", m.Name, key, n.AppendJSON(nil), n.Pos.FileLine())
			break
		}
	}
}

// readStep reads a step. What is wrong with its form was reported when its file was validated.
func (c *Config) readStep(n *Node, name string, diags *Diagnostics) Step {
	step := Step{Pos: n.Pos}
	if n.Kind != Object {
		return step
	}
	filter, action := n.word("filter"), n.word("action")
	switch {
	case filter == nil && action == nil:
		if !triesToBeStep(n) {
			diags.Errorf(Pos{n.Pos.File, n.Pos.Start, n.Pos.Start + 1}, `a step has "filter": "filter_…" or "action": "action_…"`,
				"%s is neither a filter nor an action", name)
		}
		return step
	case filter != nil && action != nil:
		diags.Errorf(action.Pos, "make it two steps", "%s is both a filter and an action", name)
		return step
	case filter != nil:
		step.Module, step.ModulePos = filter.Text, filter.Pos
	default:
		step.IsAction, step.Module, step.ModulePos = true, action.Text, action.Pos
	}
	if args := n.Get("args"); args != nil && args.Kind != Null {
		step.Flawed = args.flawed
		c.readArgs(args, &step, name, diags)
	}
	step.Then = link(n.Get("then"))
	step.Else = link(n.Get("else"))
	step.Allow = readAllow(n.Get("allow"), name, diags)
	if step.IsAction && step.Else != nil {
		if !step.Allows(CodeSuspicious) {
			diags.Warnf(step.Else.Pos, "remove it", `%s: an action has no "else"; it is ignored`, name)
		}
		step.Else = nil
	}
	return step
}

func (c *Config) readArgs(args *Node, step *Step, name string, diags *Diagnostics) {
	if args.Kind == Object {
		var ok bool
		if step.Args, ok = c.withLists(args, name, diags); ok {
			return
		}
	} else if !args.flawed {
		diags.Errorf(args.Pos, "", `%s: "args" is %s; it must be an object`, name, args.Kind)
	}
	step.Unfit = true
}

// word returns the value of a key if it is a text, and not empty.
func (n *Node) word(key string) *Node {
	if v := n.Get(key); v != nil && v.Kind == String && v.Text != "" {
		return v
	}
	return nil
}

// readAllow reads a list of "code: reason".
func readAllow(n *Node, name string, diags *Diagnostics) []Allow {
	if n == nil || n.Kind != Array {
		return nil
	}
	var list []Allow
	for _, e := range n.Elems {
		if e.Kind != String {
			continue
		}
		code, reason, _ := strings.Cut(e.Text, ":")
		a := Allow{Code(strings.TrimSpace(code)), strings.TrimSpace(reason), e.Pos}
		switch {
		case !IsRule(a.Code):
			diags.Errorf(e.Pos, ruleHint(a.Code), `%s: "allow": there is no warning %q that can be switched off`, name, a.Code)
		case a.Reason == "":
			diags.Errorf(e.Pos, fmt.Sprintf(`write "%s: why it is right here"`, a.Code), `%s: "allow": the reason is missing`, name)
		default:
			list = append(list, a)
		}
	}
	return list
}

// ruleHint returns what may be meant by a code that is none.
func ruleHint(code Code) string {
	var known []string
	for _, r := range Rules {
		known = append(known, string(r.Code))
	}
	if hint := DidYouMean(string(code), known); hint != "" {
		return hint
	}
	return "these can: " + strings.Join(known, ", ")
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

// Overridden returns the chains of all files that are used which are not in force, because another file overrides or deletes them: what is
// wrong with their steps is a fault of their file all the same. Steps with named lists are not among them, since the lists are those that
// are in force, and links are not looked at, since where they lead is another file's affair.
func (c *Config) Overridden() []Chain {
	inForce := map[*Node]bool{}
	if c.chains != nil {
		for _, m := range c.chains.Members {
			inForce[m.Value.Get(keySteps)] = true
		}
	}
	var list []Chain
	for _, x := range c.sources.list {
		actions := x.root.Get(keyActions)
		if x.State != Used || actions == nil {
			continue
		}
		for _, m := range actions.Members {
			steps := m.Value.Get(keySteps)
			if enabled := m.Value.Get(keyEnabled); steps == nil || inForce[steps] || enabled != nil && !enabled.Bool {
				continue
			}
			chain := Chain{Label: m.Name, Pos: m.NamePos}
			for i, n := range steps.Elems {
				chain.Steps = append(chain.Steps, c.readStep(n, fmt.Sprintf("%s[%d]", m.Name, i), &Diagnostics{}))
				if n.word("then") != nil {
					break // what follows is never reached
				}
			}
			list = append(list, chain)
		}
	}
	return list
}

// HasLists reports whether named lists stand in the arguments of the step.
func (s *Step) HasLists() bool {
	return s.Args != nil && slices.ContainsFunc(s.Args.Members, func(m Member) bool { return m.Value.Named })
}
