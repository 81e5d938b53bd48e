package config

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
)

// A chain that is named by a then or else before it is met is a jump chain: it is entered by name only. If what names it is
// taken away, by a file that disables, overrides or deletes the caller, or because the caller's fragment is left out, it must not become
// a chain that every entry goes through: a chain that bans would ban whoever is in the log. Such a chain is passed over.

// naming is a chain that is not in force, and names others in its links.
type naming struct {
	label string
	place spot
	names []string
	why   string
}

// spot is where a chain stands among all chains.
type spot struct {
	order int64
	pos   Pos
}

func (p spot) before(q spot) bool {
	if p.order != q.order {
		return p.order < q.order
	}
	return ComparePos(p.pos, q.pos) < 0
}

// passOver disables the chains that were jump chains because of what is no longer in force.
func (c *Config) passOver(diags *Diagnostics) {
	gone := c.gone()
	if len(gone) == 0 {
		return
	}
	for again := true; again; {
		again = false
		named := c.named()
		for i := range c.Chains {
			chain := &c.Chains[i]
			if chain.Disabled || named[chain.Label] {
				continue
			}
			at := spot{chain.Order, chain.Pos}
			caller := slices.IndexFunc(gone, func(g naming) bool {
				return g.label != chain.Label && g.place.before(at) && slices.Contains(g.names, chain.Label)
			})
			if caller < 0 {
				continue
			}
			diags.Warnf(chain.Pos, "no entry gets there: name it in a link again, or delete it, too",
				"the chain %q is passed over: it was entered by name only, and what named it, %s, %s", chain.Label, gone[caller].what(), gone[caller].why)
			chain.Disabled, again = true, true
			gone = append(gone, naming{chain.Label, at, linksOf(chain.Steps), "is passed over"})
		}
	}
}

func (g naming) what() string {
	if g.label == "" {
		return g.place.pos.fileName()
	}
	return fmt.Sprintf("the chain %q in %s", g.label, g.place.pos.FileLine())
}

// named returns the labels that chains in force name.
func (c *Config) named() map[string]bool {
	named := map[string]bool{}
	for _, chain := range c.Chains {
		if chain.Disabled {
			continue
		}
		for _, label := range linksOf(chain.Steps) {
			named[label] = true
		}
	}
	return named
}

func linksOf(steps []Step) []string {
	var labels []string
	for _, s := range steps {
		for _, l := range []*Link{s.Then, s.Else} {
			if l != nil {
				labels = append(labels, l.Label)
			}
		}
	}
	return labels
}

// gone returns all chains in all files that are not in force, with the links that they have.
func (c *Config) gone() []naming {
	order := make(map[string]int64, len(c.Chains))
	disabled := map[string]bool{}
	for _, chain := range c.Chains {
		order[chain.Label], disabled[chain.Label] = chain.Order, chain.Disabled
	}
	inForce := map[*Node]bool{}
	for _, m := range c.chains.Members {
		inForce[m.Value.Get(keySteps)] = !disabled[m.Name]
	}
	var list []naming
	for _, x := range c.sources.list {
		if x.State == LeftOut && x.root == nil {
			list = append(list, naming{"", spot{orderIn(x.File.Data), Pos{File: x.File}}, namesIn(x.File.Data), "cannot be read"})
			continue
		}
		if actions := x.root.Get(keyActions); actions != nil && (x.State == Used || x.State == LeftOut) {
			for _, m := range actions.Members {
				steps := m.Value.Get(keySteps)
				if steps == nil || inForce[steps] {
					continue
				}
				if names := linksIn(steps); len(names) > 0 {
					list = append(list, naming{m.Name, c.placeOf(m, order), names, x.notInForce(m.Name, order)})
				}
			}
		}
	}
	return list
}

// placeOf returns where a chain that is not in force would stand.
func (c *Config) placeOf(m Member, order map[string]int64) spot {
	p := spot{DefaultOrder, m.NamePos}
	if n, ok := order[m.Name]; ok {
		p.order = n
		return p
	}
	if n := m.Value.Get(keyOrder); n != nil && n.Kind == Number {
		if own, err := n.Int64(); err == nil {
			p.order = own
		}
	}
	return p
}

func (x *Source) notInForce(label string, order map[string]int64) string {
	_, there := order[label]
	switch {
	case x.State == LeftOut:
		return "is left out"
	case there:
		return "is overridden or not enabled"
	}
	return "is deleted"
}

// linksIn returns the labels that steps name.
func linksIn(steps *Node) []string {
	var labels []string
	for _, step := range steps.Elems {
		for _, key := range []string{"then", "else"} {
			if label := step.word(key); label != nil {
				labels = append(labels, label.Text)
			}
		}
	}
	return labels
}

// textLink and textOrder find links and orders in a text that is no JSON.
var (
	textLink  = regexp.MustCompile(`"(?:then|else)"\s*:\s*("(?:[^"\\\n]|\\.)*")`)
	textOrder = regexp.MustCompile(`"order"\s*:\s*(-?[0-9]+)`)
)

// namesIn returns the labels that a file seems to name that cannot be parsed.
func namesIn(text []byte) []string {
	var labels []string
	for _, m := range textLink.FindAllSubmatch(text, -1) {
		var label string
		if json.Unmarshal(m[1], &label) == nil {
			labels = append(labels, label)
		}
	}
	return labels
}

// orderIn returns the lowest order that such a file seems to give a chain.
func orderIn(text []byte) int64 {
	lowest := int64(DefaultOrder)
	for _, m := range textOrder.FindAllSubmatch(text, -1) {
		if n, err := strconv.ParseInt(string(m[1]), 10, 64); err == nil {
			lowest = min(lowest, n)
		}
	}
	return lowest
}
