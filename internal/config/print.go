package config

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
)

// Whole returns the configuration as one object: all settings, also the built-in ones, the lists, and the chains in the order in which
// they run. In the place of a password is hiddenText.
func (c *Config) Whole() *Node {
	var root *Node
	for _, n := range c.layers {
		root = merge(root, n)
	}
	whole := *root
	whole.Members = nil
	var actions []Member // what is longest comes last
	for _, m := range root.Members {
		if m.Name == keyActions {
			actions = []Member{{m.Name, m.NamePos, c.wholeChains(m.Value)}}
		} else {
			whole.Members = append(whole.Members, m)
		}
	}
	whole.Members = append(whole.Members, actions...)
	return withoutSecrets(&whole)
}

// wholeChains returns the chains in the order in which they run; those that say nothing but their steps are lists. What makes a chain a jump
// chain may not be in force, and so not be shown; then the chain says it itself.
func (c *Config) wholeChains(merged *Node) *Node {
	out := *merged
	out.Members = make([]Member, 0, len(c.Chains))
	named := map[string]bool{}
	for i := range c.Chains {
		chain := &c.Chains[i]
		n := settled(c.chain(chain.Label))
		if n.Get(keySteps) == nil { // no file gives it any
			continue
		}
		if chain.Jump == JumpAlways && !named[chain.Label] && n.Get(keyJump) == nil {
			jump := &Node{Kind: Bool, Bool: true, Pos: c.builtIn()}
			n = merge(n, &Node{Kind: Object, Pos: n.Pos, Members: []Member{{keyJump, n.Pos, jump}}})
		}
		if !chain.Disabled {
			for _, label := range linksIn(n.Get(keySteps)) {
				named[label] = true
			}
		}
		if steps := n.Get(keySteps); steps != nil && len(n.Members) == 1 {
			n = steps
		}
		out.Members = append(out.Members, Member{chain.Label, chain.Pos, n})
	}
	return &out
}

// builtIn returns the place of what no file says.
func (c *Config) builtIn() Pos { return Pos{File: c.sources.list[0].File} }

// Value is one value of a configuration with the place that it comes from.
type Value struct {
	Key       string // "email.to", "lists.trusted[0]", "actions.\"ssh: ban\".steps[2]"
	Value     *Node
	Overrides []Pos // where files give values that do not apply, the highest last
}

// Values returns all values in the order of Whole: each setting, each element of a list and each step is one.
func (c *Config) Values() []Value {
	var list []Value
	for _, m := range c.Whole().Members {
		switch m.Name {
		case keyActions:
			for _, chain := range m.Value.Members {
				list = c.chainValues(list, chain)
			}
		case keyLists:
			for _, named := range m.Value.Members {
				list = c.elements(list, []string{keyLists, named.Name}, named.Value)
			}
		default:
			list = c.values(list, []string{m.Name}, m.Value)
		}
	}
	return list
}

func (c *Config) chainValues(list []Value, chain Member) []Value {
	path := []string{keyActions, chain.Name}
	if chain.Value.Kind == Array {
		return c.elements(list, append(path, keySteps), chain.Value)
	}
	for _, m := range chain.Value.Members {
		at := append(append([]string(nil), path...), m.Name)
		if m.Name == keySteps {
			list = c.elements(list, at, m.Value)
		} else {
			list = c.values(list, at, m.Value)
		}
	}
	return list
}

// values appends a setting, or the settings in an object.
func (c *Config) values(list []Value, path []string, n *Node) []Value {
	if n.Kind != Object || len(n.Members) == 0 {
		return append(list, Value{keyOf(path), n, c.overridden(path, n)})
	}
	for _, m := range n.Members {
		list = c.values(list, append(append([]string(nil), path...), m.Name), m.Value)
	}
	return list
}

// elements appends the elements of a list, which may come from several files. What the list overrides stands with the first.
func (c *Config) elements(list []Value, path []string, n *Node) []Value {
	over := c.overridden(path, n)
	if len(n.Elems) == 0 {
		return append(list, Value{keyOf(path), n, over})
	}
	for i, e := range n.Elems {
		list = append(list, Value{fmt.Sprintf("%s[%d]", keyOf(path), i), e, over})
		over = nil
	}
	return list
}

// overridden returns where files give a value to a key that n has the value of, and that does not apply.
func (c *Config) overridden(path []string, n *Node) []Pos {
	var list []Pos
	if n.Pos.rank() == 0 { // a built-in value is in force again: none of the files' applies
		n = nil
	}
	for _, x := range slices.Backward(c.sources.list) {
		if x.State != Used || x.root == nil || x.Layer == LayerDefault {
			continue
		}
		v := x.root
		for _, key := range path {
			v = v.Get(key)
		}
		switch {
		case v == nil || v.Kind == Null || v.appends && n != nil:
		case n == nil: // the one that applies was found: this one does not
			list = append(list, v.Pos)
		default:
			n = nil
		}
	}
	slices.Reverse(list)
	return list
}

// plainKey is a key that needs no quotes.
var plainKey = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

func keyOf(path []string) string {
	parts := make([]string, len(path))
	for i, key := range path {
		if parts[i] = key; !plainKey.MatchString(key) {
			parts[i] = string(appendString(nil, key))
		}
	}
	return strings.Join(parts, ".")
}

// WriteWhole writes the configuration as one file, which is itself a configuration; comments on top say what it was made of.
func (c *Config) WriteWhole(w io.Writer) error {
	b := bufio.NewWriter(w)
	for _, x := range c.sources.list {
		if x.Layer == LayerDefault {
			continue
		}
		line := x.File.Name
		if x.State != Used {
			line = fmt.Sprintf("%s: %s: %s", x.State, x.File.Name, x.Why)
		}
		_, _ = fmt.Fprintf(b, "// %s\n", Printable(line)) // Flush tells the error, here and below
	}
	for _, v := range c.Values() {
		for _, p := range v.Overrides {
			_, _ = fmt.Fprintf(b, "// %s of %s overrides %s\n", Printable(v.Key), Printable(v.Value.Pos.FileLine()), Printable(p.FileLine()))
		}
	}
	_, _ = b.Write(append(c.Whole().appendIndented(nil, 0, 0), '\n'))
	if err := b.Flush(); err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	return nil
}

// FileLine returns "file:line", without what is not known.
func (p Pos) FileLine() string {
	if p.File == nil || len(p.File.Data) == 0 || p.File.rank == 0 {
		return p.fileName()
	}
	return fmt.Sprintf("%s:%d", p.File.Name, p.Line())
}

// lineWidth is how long a line of an indented value may become.
const lineWidth = 110

// appendIndented appends the value as JSON: on one line where it is short, else with a line for each member. used is how much of the
// line is used already.
func (n *Node) appendIndented(b []byte, depth, used int) []byte {
	line := n.appendJSON(nil, spaced)
	empty := len(n.Members)+len(n.Elems) == 0
	if depth > 0 && used+2*depth+len(line) <= lineWidth || empty {
		return append(b, line...)
	}
	indent := "\n" + strings.Repeat("  ", depth+1)
	open, end := byte('{'), byte('}')
	if n.Kind == Array {
		open, end = '[', ']'
	}
	b = append(b, open)
	for i, m := range n.Members {
		if i > 0 {
			b = append(b, ',')
		}
		key := append(appendString([]byte(indent), m.Name), ": "...)
		b = m.Value.appendIndented(append(b, key...), depth+1, len(key))
	}
	for i, e := range n.Elems {
		if i > 0 {
			b = append(b, ',')
		}
		b = e.appendIndented(append(b, indent...), depth+1, 0)
	}
	return append(b, indent[:len(indent)-2]+string(end)...)
}

// WriteOrigins writes each value on a line, behind the file and the line that it comes from.
func (c *Config) WriteOrigins(w io.Writer) error {
	b := bufio.NewWriter(w)
	for _, x := range c.sources.list {
		if x.State != Used {
			_, _ = fmt.Fprintf(b, "# %s: %s: %s\n", x.State, Printable(x.File.Name), Printable(x.Why)) // Flush tells the error
		}
	}
	for _, v := range c.Values() {
		_, _ = fmt.Fprintf(b, "%s\t%s = %s", Printable(v.Value.Pos.FileLine()), Printable(v.Key), Printable(string(v.Value.AppendJSON(nil))))
		for i, p := range v.Overrides {
			if i == 0 {
				_, _ = b.WriteString("\toverrides")
			}
			_, _ = b.WriteString(" " + Printable(p.FileLine()))
		}
		_ = b.WriteByte('\n')
	}
	if err := b.Flush(); err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	return nil
}

type placeJSON struct {
	File string `json:"file"`
	Line int    `json:"line,omitempty"` // 0: built in, or not from a file
}

type valueJSON struct {
	Key   string          `json:"key"`
	Value json.RawMessage `json:"value"`
	placeJSON
	Overrides []placeJSON `json:"overrides,omitempty"`
}

type sourceJSON struct {
	Source string `json:"source"`
	State  string `json:"state"`
	Why    string `json:"why,omitempty"`
}

func (p Pos) json() placeJSON {
	if p.File == nil || p.File.rank == 0 {
		return placeJSON{File: p.fileName()}
	}
	return placeJSON{p.fileName(), p.Line()}
}

// WriteOriginsJSON writes the sources and then the values, one JSON object a line.
func (c *Config) WriteOriginsJSON(w io.Writer) error {
	b := bufio.NewWriter(w)
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	for _, x := range c.sources.list {
		if err := enc.Encode(sourceJSON{x.File.Name, x.State.String(), x.Why}); err != nil {
			return fmt.Errorf("write the sources: %w", err)
		}
	}
	for _, v := range c.Values() {
		out := valueJSON{Key: v.Key, Value: v.Value.AppendJSON(nil), placeJSON: v.Value.Pos.json()}
		for _, p := range v.Overrides {
			out.Overrides = append(out.Overrides, p.json())
		}
		if err := enc.Encode(out); err != nil {
			return fmt.Errorf("write the configuration: %w", err)
		}
	}
	if err := b.Flush(); err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	return nil
}
