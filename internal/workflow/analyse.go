package workflow

import (
	"fmt"
	"slices"

	"github.com/pyruse/pyruse/internal/config"
	"github.com/pyruse/pyruse/internal/entry"
)

// analysis finds out what holds at each step of a compiled workflow, whatever entries may come, and warns of
// what is odd there; docs/reference/analysis.md.
type analysis struct {
	g     *Graph
	cfg   *config.Config
	names *entry.Names
	diags *config.Diagnostics

	// What the steps say of themselves, by node.
	queries []query
	works   []Work
	chainOf []int32
	bans    bool // some step bans

	// The order of the chains.
	order    []int32 // callers before what they call
	position []int32 // by chain: its place in order
	leads    []bool  // by chain: an entry can get to a follow-up from there
	entered  []bool  // by chain: default links lead there

	// Terms of the facts.
	values    *values
	zero      valueID
	tests     map[string]int32
	depth     int // of trees by slot
	nodeDepth int // of trees by node
	anything  *known
	journal   []*known // by slot: what is known of a field that no step has set
	storedBy  []int32  // by slot: the first step that stores it, -1 if there is none

	shared  []*state
	visits  int
	results []result
	judge   *judge
}

// analyse warns of what is odd in a linked graph without faults.
func analyse(g *Graph, cfg *config.Config, names *entry.Names, diags *config.Diagnostics) {
	a := &analysis{g: g, cfg: cfg, names: names, diags: diags, values: newValues(), tests: map[string]int32{}}
	a.listen()
	a.sortChains()
	a.prepare()
	a.unreachableChains()
	if complete := a.walk(); complete {
		a.constantFilters()
		a.unsetFields()
	} else {
		diags.Warnf(cfg.At("actions"), "chains with dangling ends are looked at once for each top-level chain that leads there; give them explicit links",
			"the analysis has looked at %d steps, and not at all that can be done: filters that always decide the same, and fields that are never set, are not told", maxVisits)
	}
	a.unusedCounters()
	a.looseAddresses()
	a.forgeableBans()
}

// listen asks all steps what they do.
func (a *analysis) listen() {
	nodes := len(a.g.nodes)
	a.queries, a.works, a.chainOf = make([]query, nodes), make([]Work, nodes), make([]int32, nodes)
	for c := range a.g.chains {
		for j := range a.g.chains[c].steps {
			a.chainOf[a.g.chains[c].first+j] = int32(c)
		}
	}
	for i := range a.g.nodes {
		n := &a.g.nodes[i]
		if f, ok := n.filter.(Asker); ok {
			a.queries[i] = a.query(f.Asks(a.names))
		}
		if w, ok := n.action.(Worker); ok {
			a.works[i] = w.Works(a.names)
			a.bans = a.bans || slices.ContainsFunc(a.works[i].Reads, func(r Read) bool { return r.As == AsBanned })
		}
	}
}

func (a *analysis) query(x Question) query {
	q := query{Question: x, asked: true}
	for _, v := range x.Values {
		q.ids = append(q.ids, a.values.id(v))
		q.kinds |= 1 << v.Kind()
	}
	slices.Sort(q.ids)
	q.ids = slices.Compact(q.ids)
	if x.Test == Opaque {
		if _, ok := a.tests[x.Same]; !ok {
			a.tests[x.Same] = int32(len(a.tests))
		}
		q.test = a.tests[x.Same]
	}
	return q
}

// sortChains puts callers before what they call, and finds out from where there is a way to a follow-up.
func (a *analysis) sortChains() {
	type frame struct{ chain, edge int }
	chains := a.g.chains
	a.leads, a.entered = make([]bool, len(chains)), make([]bool, len(chains))
	seen := make([]bool, len(chains))
	for start := range chains {
		if seen[start] {
			continue
		}
		seen[start] = true
		path := []frame{{start, 0}}
		for len(path) > 0 { // without recursion, since the nesting of a configuration is not bounded
			top := &path[len(path)-1]
			c := &chains[top.chain]
			if top.edge < len(c.targets) {
				t := c.targets[top.edge].chain
				top.edge++
				if !seen[t] {
					seen[t] = true
					path = append(path, frame{t, 0})
				}
				continue
			}
			a.leads[top.chain] = c.dangles || slices.ContainsFunc(c.targets, func(t target) bool { return a.leads[t.chain] })
			a.order = append(a.order, int32(top.chain))
			path = path[:len(path)-1]
		}
	}
	slices.Reverse(a.order)
	a.position = make([]int32, len(chains))
	for i, c := range a.order {
		a.position[c] = int32(i)
	}
}

// prepare sets up the terms of the facts.
func (a *analysis) prepare() {
	a.depth, a.nodeDepth = depthFor(a.names.Len()), depthFor(len(a.g.nodes))
	a.results = make([]result, len(a.g.nodes))
	a.anything = &known{kinds: anyKind}
	a.zero = a.values.id(entry.IntValue(0))
	a.storedBy = slices.Repeat([]int32{-1}, a.names.Len())
	for i := range a.queries {
		for _, c := range a.queries[i].Stores {
			a.storesFirst(c.Field, int32(i))
		}
		for _, s := range a.works[i].Stores {
			a.storesFirst(s.Field, int32(i))
		}
	}
	a.journal = make([]*known, a.names.Len())
	for slot := range a.journal {
		a.journal[slot] = a.fromJournal(a.names.Name(entry.Slot(slot)))
	}
	a.judge = newJudge(a)
}

func (a *analysis) storesFirst(slot entry.Slot, i int32) {
	if a.storedBy[slot] < 0 {
		a.storedBy[slot] = i
	}
}

// fromJournal returns what is known of a field as the journal has it.
func (a *analysis) fromJournal(name string) *known {
	switch {
	case !isJournalName(name):
		return known{}.listed(a.values, a.values.none[:1])
	case name == entry.RealtimeField:
		return &known{kinds: kindsOf(entry.Time)}
	}
	return &known{kinds: kindsOf(entry.Missing, entry.String, entry.KindOf(name))}
}

// warn reports a warning at a place in a step.
func (a *analysis) warn(i int32, code Code, pos Pos, hint, format string, args ...any) {
	n := &a.g.nodes[i]
	warnRule(a.diags, n.step, code, pos, hint, n.origin.String()+": "+fmt.Sprintf(format, args...))
}

// argPos returns the place of an argument of a step.
func (a *analysis) argPos(i int32, arg string) Pos {
	step := a.g.nodes[i].step
	if n := step.Args.Get(arg); n != nil {
		return n.Pos
	}
	return step.ModulePos
}

// origin returns the name of a step.
func (a *analysis) origin(i int32) string { return a.g.nodes[i].origin.String() }
