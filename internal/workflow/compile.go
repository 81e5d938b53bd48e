package workflow

import (
	"fmt"
	"strings"

	"github.com/pyruse/pyruse/internal/config"
	"github.com/pyruse/pyruse/internal/entry"
)

// link is where a train goes on: the index of a node, or one of the constants.
type link int32

const (
	stop     link = -1 // the entry is done
	followUp link = -2 // the chain that follows the top-level chain the entry came through
)

// node is one step of the compiled track. Exactly one of filter and action is set.
type node struct {
	filter Filter
	action Action
	then   link
	els    link
	// enters is set on the first node of a top-level chain: the entry is in that chain now, and
	// jump chains with dangling ends continue at follow.
	enters bool
	follow link

	origin Origin
	step   *config.Step
}

// Graph is the compiled workflow: inert data that Run reads. Its size is linear in the number of steps.
type Graph struct {
	nodes  []node
	entry  link
	chains []chain
}

// chain is what the linker knows of one chain.
type chain struct {
	config  *config.Chain
	steps   []config.Step // those that can be reached
	jump    bool          // was the target of a then or else when it was met: default links skip it
	next    int           // index of the next available chain, -1 if none; of top-level chains only
	first   int           // index of its first node
	targets []target      // explicit links, in order
	dangles bool          // some end has no explicit target
}

type target struct {
	chain  int
	origin Origin
	pos    config.Pos
}

// Compile links the chains, builds every step, and reports all faults. The graph
// is nil when there was an error in the chains.
func Compile(cfg *config.Config, reg *Registry, names *entry.Names, diags *config.Diagnostics) *Graph {
	l := &linker{diags: diags, byLabel: map[string]int{}}
	l.collect(cfg.Chains)
	l.findTargets()
	l.findJumpChains()
	l.findLoops()
	g := &Graph{chains: l.chains}
	g.build(reg, names, diags)
	if diags.HasErrors() {
		return nil
	}
	l.connect(g)
	return g
}

type linker struct {
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
		for j := range steps {
			if steps[j].Then == nil || j == len(steps)-1 {
				continue
			}
			l.diags.Warnf(steps[j+1].Pos, fmt.Sprintf("the \"then\" of %s[%d] leaves the chain; an \"else\" may be meant", c.Label, j),
				"%s is never reached", Origin{c.Label, j + 1})
			steps = steps[:j+1]
			break
		}
		l.chains = append(l.chains, chain{config: c, steps: steps, next: -1})
	}
}

// findTargets resolves the explicit links and finds out which chains have dangling ends.
func (l *linker) findTargets() {
	labels := make([]string, 0, len(l.chains))
	for i := range l.chains {
		labels = append(labels, l.chains[i].config.Label)
	}
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
					l.diags.Errorf(to.Pos, config.DidYouMean(to.Label, labels), "%s: there is no chain %q",
						Origin{c.config.Label, j}, to.Label)
					continue
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

// findJumpChains reads the file top to bottom: a chain that is already a target
// when it is met is a jump chain; the others follow each other.
func (l *linker) findJumpChains() {
	targeted := make([]bool, len(l.chains))
	previous := -1
	for i := range l.chains {
		c := &l.chains[i]
		if c.jump = targeted[i]; !c.jump {
			if previous >= 0 {
				l.chains[previous].next = i
			}
			previous = i
		}
		for _, t := range c.targets {
			targeted[t.chain] = true
		}
	}
}

// findLoops reports then and else that lead back. An entry that goes through a
// top-level chain moves forward through the file, but for explicit links: so a
// loop either consists of jump chains only, or leads from a top-level chain, through
// jump chains, to itself or to an earlier top-level chain that it is reached from.
func (l *linker) findLoops() {
	done := make([]bool, len(l.chains))
	for i := range l.chains {
		if l.chains[i].jump && !done[i] && l.loopOfJumps(i, done) {
			return // the paths below would not end
		}
	}
	seen := make([]int, len(l.chains)) // the top-level chain, +1, that last visited a chain
	edges := make([][]target, len(l.chains))
	for i := range l.chains {
		if !l.chains[i].jump {
			edges[i] = l.topLevelEdges(i, seen)
		}
	}
	l.loopOfTops(edges)
}

// loopOfJumps walks the explicit links between jump chains, depth first, without recursion:
// the nesting of a configuration is not bounded.
func (l *linker) loopOfJumps(start int, done []bool) bool {
	return l.walk(start, done, func(i int) []target { return l.chains[i].targets }, func(i int) bool { return l.chains[i].jump })
}

func (l *linker) loopOfTops(edges [][]target) {
	done := make([]bool, len(l.chains))
	for i := range l.chains {
		if !l.chains[i].jump && !done[i] && l.walk(i, done, func(i int) []target { return edges[i] }, func(int) bool { return true }) {
			return
		}
	}
}

// walk goes depth first from start over the chains that within accepts, and reports the first loop.
func (l *linker) walk(start int, done []bool, edges func(int) []target, within func(int) bool) bool {
	type frame struct{ chain, edge int }
	onPath := map[int]bool{start: true}
	path := []frame{{start, 0}}
	for len(path) > 0 {
		top := &path[len(path)-1]
		out := edges(top.chain)
		if top.edge == len(out) {
			done[top.chain], onPath[top.chain] = true, false
			path = path[:len(path)-1]
			continue
		}
		t := out[top.edge]
		top.edge++
		if !within(t.chain) || done[t.chain] {
			continue
		}
		if onPath[t.chain] {
			var names []string
			for i := len(path) - 1; i >= 0; i-- {
				names = append([]string{fmt.Sprintf("%q", l.chains[path[i].chain].config.Label)}, names...)
				if path[i].chain == t.chain {
					break
				}
			}
			names = append(names, fmt.Sprintf("%q", l.chains[t.chain].config.Label))
			l.diags.Errorf(t.pos, "an entry would never get out; give one of these links another target",
				"%s: loop: %s", t.origin, strings.Join(names, " -> "))
			return true
		}
		onPath[t.chain] = true
		path = append(path, frame{t.chain, 0})
	}
	return false
}

// topLevelEdges returns the links from top-level chain i to top-level chains:
// explicit ones of the chain itself and of the jump chains it reaches, and the default link.
func (l *linker) topLevelEdges(i int, seen []int) []target {
	var out []target
	dangles := false
	todo := []int{i}
	seen[i] = i + 1
	for len(todo) > 0 {
		c := &l.chains[todo[len(todo)-1]]
		todo = todo[:len(todo)-1]
		dangles = dangles || c.dangles
		for _, t := range c.targets {
			switch {
			case !l.chains[t.chain].jump:
				out = append(out, t)
			case seen[t.chain] != i+1:
				seen[t.chain] = i + 1
				todo = append(todo, t.chain)
			}
		}
	}
	if next := l.chains[i].next; dangles && next >= 0 {
		c := l.chains[i].config
		out = append(out, target{next, Origin{c.Label, max(0, len(l.chains[i].steps)-1)}, c.Pos})
	}
	return out
}

// build constructs the steps of all chains, in document order.
func (g *Graph) build(reg *Registry, names *entry.Names, diags *config.Diagnostics) {
	for i := range g.chains {
		c := &g.chains[i]
		c.first = len(g.nodes)
		for j := range c.steps {
			s := &c.steps[j]
			n := node{origin: Origin{c.config.Label, j}, step: s}
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
	case isFilter && !b.step.IsAction:
		n.filter = newFilter(b)
	case isAction && b.step.IsAction:
		n.action = newAction(b)
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
	starts := l.starts()
	for i := range l.chains {
		c := &l.chains[i]
		end := followUp // of dangling ends
		if !c.jump {
			end = stop
			if c.next >= 0 {
				end = starts[c.next]
			}
		}
		for j := range c.steps {
			n := &g.nodes[c.first+j]
			last := j == len(c.steps)-1
			n.els = l.resolve(n.step.Else, starts, end)
			switch {
			case n.step.Then != nil:
				n.then = l.resolve(n.step.Then, starts, end)
			case !last:
				n.then = link(c.first + j + 1)
			case n.step.IsAction:
				n.then = stop
			default:
				n.then = end
			}
			if n.step.IsAction {
				n.els = stop
			}
			if j == 0 && !c.jump {
				n.enters, n.follow = true, end
			}
		}
	}
	g.entry = stop
	if len(l.chains) > 0 {
		g.entry = starts[0]
	}
}

func (l *linker) resolve(to *config.Link, starts []link, end link) link {
	if to == nil {
		return end
	}
	return starts[l.byLabel[to.Label]]
}

// starts returns where each chain begins. An empty chain begins where its dangling end leads.
func (l *linker) starts() []link {
	starts := make([]link, len(l.chains))
	for i := len(l.chains) - 1; i >= 0; i-- { // the next available chain is always a later one
		c := &l.chains[i]
		switch {
		case len(c.steps) > 0:
			starts[i] = link(c.first)
		case c.jump:
			starts[i] = followUp
		case c.next >= 0:
			starts[i] = starts[c.next]
		default:
			starts[i] = stop
		}
	}
	return starts
}
