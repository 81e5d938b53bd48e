package workflow

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pyruse/pyruse/internal/config"
	"github.com/pyruse/pyruse/internal/entry"
)

// link is where a train goes on: the index of a node, or one of the constants.
type link int32

const (
	stop     link = -1 // the entry is done
	followUp link = -2 // the chain that follows the top-level chain the entry is in
)

// node is one step of the compiled track. Exactly one of filter and action is set.
type node struct {
	filter Filter
	action Action
	then   link
	els    link
	mark   int32 // the index of the chain that an entry is meant for if it gets here, or past here if it is a filter; unmarked: of none
	origin Origin
	step   *config.Step
}

const unmarked = -1

// Graph is the compiled workflow: inert data that Run reads. Its size is linear in the number of steps.
//
// Default links all say the same: go on with the chain that follows the current top-level
// chain. Run keeps that chain in a register, so that a chain that is called from several places needs
// no copies to continue in different ones. See docs/adr/0001-follow-up-register.md.
type Graph struct {
	nodes  []node
	entry  follower
	next   []follower // by chain: what follows it, if it is a top-level chain
	chains []chain
}

// follower is where a top-level chain begins that has steps; at is stop if there is none.
type follower struct {
	at    link
	chain int32
}

// chain is what the linker knows of one chain.
type chain struct {
	config  *config.Chain
	steps   []config.Step // those that can be reached
	jump    bool          // was the target of a then or else when it was met: default links skip it
	called  bool          // is the target of a then or else
	closed  bool          // is a jump chain because of its first steps: see closeChains
	first   int           // index of its first node
	targets []target      // explicit links, in order
	dangles bool          // some end has no explicit target
}

type target struct {
	chain  int
	origin Origin
	pos    config.Pos
}

// Compile links the chains, builds every step, and reports all faults; then it warns of what is odd. The graph
// is nil when there was an error in the chains.
func Compile(cfg *config.Config, reg *Registry, names *entry.Names, diags *config.Diagnostics) *Graph {
	l := resolveLinks(cfg, diags)
	g := &Graph{chains: l.chains}
	g.build(reg, names, diags)
	if diags.HasErrors() {
		return nil
	}
	if cfg.Composed() {
		l.closeChains(g, names)
	}
	l.connect(g)
	g.mark()
	analyse(g, cfg, names, diags)
	return g
}

// CheckOverridden reports the errors in the steps of chains that are not in force because another file overrides or deletes them. reg and names
// are not those of the workflow: nothing of these chains is to be known to it.
func CheckOverridden(cfg *config.Config, reg *Registry, names *entry.Names, diags *config.Diagnostics) {
	var found config.Diagnostics
	for _, c := range cfg.Overridden() {
		for j := range c.Steps {
			if s := &c.Steps[j]; s.Module != "" && !s.Unfit && !s.HasLists() {
				buildStep(&node{}, reg, NewBuild(names, Origin{c.Label, j}, s, &found))
			}
		}
	}
	for _, d := range found.Sorted() {
		if d.Severity == config.Error {
			diags.Report(d)
		}
	}
}

// CheckLinks reports the links that lead nowhere, or in a loop, without building the steps.
func CheckLinks(cfg *config.Config, diags *config.Diagnostics) { resolveLinks(cfg, diags) }

func resolveLinks(cfg *config.Config, diags *config.Diagnostics) *linker {
	l := &linker{config: cfg, diags: diags, byLabel: make(map[string]int, len(cfg.Chains))}
	l.collect(cfg.Chains)
	l.findTargets()
	l.findJumpChains()
	l.findLoops()
	return l
}

type linker struct {
	config  *config.Config
	diags   *config.Diagnostics
	chains  []chain
	byLabel map[string]int
}

// collect numbers the chains and drops the steps behind an explicit then.
func (l *linker) collect(chains []config.Chain) {
	for i := range chains {
		c := &chains[i]
		l.byLabel[c.Label] = i
		steps := c.Steps
		if c.Disabled {
			steps = nil
		}
		for j := range steps {
			if steps[j].Then == nil || j == len(steps)-1 {
				continue
			}
			warnRule(l.diags, &steps[j+1], config.CodeUnreachableStep, steps[j+1].Pos,
				fmt.Sprintf("the \"then\" of %s[%d] leaves the chain; an \"else\" may be meant", c.Label, j),
				Origin{c.Label, j + 1}.String()+" is never reached")
			steps = steps[:j+1]
			break
		}
		l.chains = append(l.chains, chain{config: c, steps: steps})
	}
}

// findTargets resolves the explicit links and finds out which chains have dangling ends.
func (l *linker) findTargets() {
	for i := range l.chains {
		c := &l.chains[i]
		c.dangles = len(c.steps) == 0
		for j := range c.steps {
			s := &c.steps[j]
			for _, to := range []*config.Link{s.Then, s.Else} {
				if to == nil {
					continue
				}
				t, ok := l.byLabel[to.Label]
				if !ok {
					l.reportMissing(Origin{c.config.Label, j}, to)
					continue
				}
				if l.chains[t].config.Disabled {
					warnRule(l.diags, s, config.CodeSuspicious, to.Pos, fmt.Sprintf("entries go on with what follows the chain %q, as if %q had no steps", c.config.Label, to.Label),
						fmt.Sprintf("%s leads to the chain %q, which is not enabled", Origin{c.config.Label, j}, to.Label))
				}
				c.targets = append(c.targets, target{t, Origin{c.config.Label, j}, to.Pos})
			}
			last := j == len(c.steps)-1
			if !s.IsAction && (s.Else == nil || last && s.Then == nil) {
				c.dangles = true
			}
		}
	}
}

// reportMissing reports a link to a chain that does not exist: where the chain was deleted, if the link was there before.
func (l *linker) reportMissing(from Origin, to *config.Link) {
	deleted, hint := l.config.NoChain(to.Label)
	if config.ComparePos(deleted, to.Pos) > 0 {
		l.diags.Errorf(deleted, `write {"enabled": false} to pass the chain over, or give the link another target`,
			"the chain %q is deleted here, but %s leads to it (%s)", to.Label, from, to.Pos)
		return
	}
	l.diags.Errorf(to.Pos, hint, "%s: there is no chain %q", from, to.Label)
}

// findJumpChains reads the chains in their order: one that is already a target when it is met is a jump chain, unless
// the configuration says otherwise; default links skip it.
func (l *linker) findJumpChains() {
	for i := range l.chains {
		c := &l.chains[i]
		c.jump = c.called && c.config.Jump != config.JumpNever || c.config.Jump == config.JumpAlways
		for _, t := range l.chains[i].targets {
			l.chains[t.chain].called = true
		}
	}
}

// closeChains makes jump chains of those that need a caller: an entry that nobody has captured anything of gets there to an action that works
// with what only another chain can have stored, such as a ban, or a counter for a captured address. Where a file can be taken
// away, such a chain may be without those that name it, and made it a jump chain: then every entry would enter it, be an error,
// and go no further; or whoever is in it would be banned.
func (l *linker) closeChains(g *Graph, names *entry.Names) {
	for i := range l.chains {
		c := &l.chains[i]
		if !c.jump && len(c.steps) > 0 && c.config.Jump == config.JumpByLinks && l.needsCaller(g, c.first, names) {
			c.jump, c.closed = true, true
			c.config.Jump = config.JumpAlways
		}
	}
}

// needsCaller follows such an entry from a step. It ends where a filter asks for a field that the journal has, or that was stored on
// the way, since the answer is not known; and where the entry leaves the chain and those that it leads to.
func (l *linker) needsCaller(g *Graph, at int, names *entry.Names) bool {
	stored := map[entry.Slot]bool{}
	known := func(field entry.Slot) bool { return stored[field] || mayBeInJournal(names.Name(field)) }
	for range g.nodes { // links do not lead in a loop
		n := &g.nodes[at]
		to, next := n.step.Then, true
		if x, ok := n.action.(Worker); ok {
			w := x.Works(names)
			if slices.ContainsFunc(w.Reads, func(r Read) bool {
				return !stored[r.Field] && (r.As == AsBanned || r.As == AsKey && !known(r.Field))
			}) {
				return true
			}
			for _, s := range w.Stores {
				stored[s.Field] = true
			}
		}
		if n.filter != nil {
			asker, ok := n.filter.(Asker)
			if !ok {
				return false
			}
			q := asker.Asks(names)
			if known(q.Field) {
				return false
			}
			if !q.passesOnNone() {
				to, next = n.step.Else, false
			}
		}
		switch {
		case to != nil:
			c := &l.chains[l.byLabel[to.Label]]
			if len(c.steps) == 0 {
				return false
			}
			at = c.first
		case next && at+1 < len(g.nodes) && g.nodes[at+1].origin.Chain == n.origin.Chain:
			at++
		default:
			return false
		}
	}
	return false
}

// passesOnNone reports whether a filter passes when its field is missing.
func (q Question) passesOnNone() bool {
	return q.Test == OneOf && slices.ContainsFunc(q.Values, entry.Value.IsMissing) || q.Test == Opaque && q.OnNone
}

// findLoops reports every then or else that leads back to a chain on the way to it. Default
// links need not be looked at: they only lead forward through the file. The walk goes depth first, without
// recursion, since the nesting of a configuration is not bounded.
func (l *linker) findLoops() {
	type frame struct{ chain, edge int }
	done := make([]bool, len(l.chains))
	onPath := make([]bool, len(l.chains))
	for start := range l.chains {
		if done[start] {
			continue
		}
		path := []frame{{start, 0}}
		onPath[start] = true
		for len(path) > 0 {
			top := &path[len(path)-1]
			out := l.chains[top.chain].targets
			if top.edge == len(out) {
				done[top.chain], onPath[top.chain] = true, false
				path = path[:len(path)-1]
				continue
			}
			t := out[top.edge]
			top.edge++
			switch {
			case onPath[t.chain]:
				links, chains := []target{t}, []int{t.chain}
				for i := len(path) - 1; path[i].chain != t.chain; i-- {
					chains = append(chains, path[i].chain)
					caller := path[i-1]
					links = append(links, l.chains[caller.chain].targets[caller.edge-1])
				}
				l.reportLoop(links, append(chains, t.chain))
			case !done[t.chain]:
				onPath[t.chain] = true
				path = append(path, frame{t.chain, 0})
			}
		}
	}
}

// reportLoop reports a loop at one of its links: the one that closes it for who reads the files in their order, but
// within a file the first that was found. chains is the way around, backwards.
func (l *linker) reportLoop(links []target, chains []int) {
	at := links[0]
	for _, t := range links[1:] {
		if config.CompareFile(t.pos, at.pos) > 0 {
			at = t
		}
	}
	var way strings.Builder
	for i := len(chains) - 1; i >= 0; i-- {
		if way.Len() > 0 {
			way.WriteString(" -> ")
		}
		way.WriteString(strconv.Quote(l.chains[chains[i]].config.Label))
	}
	l.diags.Errorf(at.pos, "an entry would never get out; give one of these links another target", "%s: loop: %s", at.origin, way.String())
}

// build constructs the steps of all chains, in document order.
func (g *Graph) build(reg *Registry, names *entry.Names, diags *config.Diagnostics) {
	for i := range g.chains {
		c := &g.chains[i]
		c.first = len(g.nodes)
		for j := range c.steps {
			s := &c.steps[j]
			n := node{origin: Origin{c.config.Label, j}, step: s, mark: unmarked}
			if s.Module != "" {
				buildStep(&n, reg, NewBuild(names, n.origin, s, diags))
			}
			g.nodes = append(g.nodes, n)
		}
	}
}

func buildStep(n *node, reg *Registry, b *Build) {
	name := b.step.Module
	newFilter, isFilter := reg.filters[name]
	newAction, isAction := reg.actions[name]
	switch {
	case isFilter && !b.step.IsAction, isAction && b.step.IsAction:
		if b.step.Unfit {
			return
		}
		if isFilter {
			n.filter = newFilter(b)
		} else {
			n.action = newAction(b)
		}
	case isFilter:
		b.FaultAt(b.step.ModulePos, fmt.Sprintf("write \"filter\": %q", name), "%s is a filter, not an action", name)
	case isAction:
		b.FaultAt(b.step.ModulePos, fmt.Sprintf("write \"action\": %q", name), "%s is an action, not a filter", name)
	case b.step.IsAction:
		b.FaultAt(b.step.ModulePos, config.DidYouMean(name, reg.Actions()), "there is no action %q", name)
	default:
		b.FaultAt(b.step.ModulePos, config.DidYouMean(name, reg.Filters()), "there is no filter %q", name)
	}
}

// connect sets the links of all nodes.
func (l *linker) connect(g *Graph) {
	for i := range l.chains {
		c := &l.chains[i]
		for j := range c.steps {
			n := &g.nodes[c.first+j]
			n.then, n.els = l.resolve(n.step.Then), l.resolve(n.step.Else)
			last := j == len(c.steps)-1
			switch {
			case n.step.Then == nil && !last:
				n.then = link(c.first + j + 1)
			case n.step.Then == nil && n.step.IsAction:
				n.then = stop
			}
		}
	}
	g.entry = follower{at: stop}
	g.next = make([]follower, len(l.chains))
	for i := len(l.chains) - 1; i >= 0; i-- { // g.entry is what follows the chain
		g.next[i] = g.entry
		if c := &l.chains[i]; !c.jump && len(c.steps) > 0 {
			g.entry = follower{link(c.first), int32(i)}
		}
	}
}

// mark marks the step of each chain that only those entries get to, or past, that the chain is meant for: its first action; without
// any, its last filter.
func (g *Graph) mark() {
	for i := range g.chains {
		c := &g.chains[i]
		for j := range c.steps {
			if n := &g.nodes[c.first+j]; n.action != nil || j == len(c.steps)-1 {
				n.mark = int32(i)
				break
			}
		}
	}
}

// Chain returns the label of the chain with an index, as entries are marked with by Run.
func (g *Graph) Chain(index int32) string { return g.chains[index].config.Label }

// resolve returns where an explicit link leads; without one, and where a chain without steps
// is called, that is the follow-up.
func (l *linker) resolve(to *config.Link) link {
	if to == nil {
		return followUp
	}
	c := &l.chains[l.byLabel[to.Label]]
	if len(c.steps) == 0 {
		return followUp
	}
	return link(c.first)
}
