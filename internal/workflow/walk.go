package workflow

import (
	"slices"

	"github.com/pyruse/pyruse/internal/entry"
)

// maxVisits bounds how many steps the analysis looks at. A chain with dangling ends is looked at once for each top-level
// chain that leads to it, so many of both would multiply; docs/reference/bounds.md.
const maxVisits = 200_000

// maxWays bounds how many unvouched ways to a step are remembered; each is a candidate for a command that shows it.
const maxWays = 4

// flow is what is known of the fields of the entries that get to a step.
type flow struct {
	facts *tree[*known]      // by slot: what holds on every way
	set   *tree[*tree[bool]] // by slot: fields that are set on some way, with the filters that may have captured them
}

// state is what is known at a step. It never changes.
type state struct {
	flow
	// open is what is known of entries for which nothing has been asked that journald vouches for: a filter that
	// they cannot pass is in their way, even where others pass. It means nothing without ways.
	open flow
	ways []*way // some of their ways
}

// way is how an entry got to a step, last step first; where it begins, prev is nil and there is no step.
type way struct {
	source
	prev *way
}

// query is a question in the form that the walk needs.
type query struct {
	Question
	asked bool
	ids   []valueID // of Values, sorted
	kinds kindSet   // of Values
	test  int32     // of Same
}

// result is what the walk has found out about a step.
type result struct {
	reached          bool
	canPass, canFail bool
	known            *known             // of the field that the filter asks for, joined over all visits
	set              []bool             // by read: some way sets the field
	fields           *tree[*tree[bool]] // what is set on some way
	captures         *tree[bool]        // filters that may have captured the address
	ways             []*way
}

// walk looks at each step with what is known there, and reports whether it has looked at all of them.
//
// The pairs of a step and the top-level chain that the entry is in have no loop: explicit links have none, and a follow-up leads
// forward. So each pair is looked at once, after all that lead to it. What is behind
// chains that no follow-up leaves does not depend on the top-level chain; they come last.
func (a *analysis) walk() bool {
	tops := make([]*state, len(a.g.chains))
	a.shared = make([]*state, len(a.g.chains))
	if a.g.entry.at >= 0 {
		tops[a.g.entry.chain] = &state{}
		if a.bans {
			tops[a.g.entry.chain].ways = []*way{{}}
		}
	}
	complete := true
	for t := range tops {
		if tops[t] != nil && complete {
			complete = a.walkFrom(int32(t), tops)
		}
		tops[t] = nil
	}
	for _, c := range a.order {
		if a.shared[c] != nil {
			a.walkChain(c, a.shared[c], func(to link, st *state) {
				if to >= 0 {
					a.shared[a.chainOf[to]] = a.join(a.shared[a.chainOf[to]], st)
				}
			})
			a.shared[c] = nil
		}
	}
	return complete
}

// walkFrom looks at a top-level chain and at what is called from it.
func (a *analysis) walkFrom(top int32, tops []*state) bool {
	in := map[int32]*state{} // by chain
	var todo []int32         // positions in a.order, the first one last
	enter := func(c int32, st *state) {
		if !a.leads[c] {
			a.shared[c] = a.join(a.shared[c], st)
			return
		}
		if in[c] == nil {
			at, _ := slices.BinarySearchFunc(todo, a.position[c], func(x, y int32) int { return int(y - x) })
			todo = slices.Insert(todo, at, a.position[c])
		}
		in[c] = a.join(in[c], st)
	}
	enter(top, tops[top])
	for len(todo) > 0 {
		c := a.order[todo[len(todo)-1]]
		todo = todo[:len(todo)-1]
		if a.visits += len(a.g.chains[c].steps); a.visits > maxVisits {
			return false
		}
		a.walkChain(c, in[c], func(to link, st *state) {
			switch {
			case to >= 0:
				enter(a.chainOf[to], st)
			case to == followUp && a.g.next[top].at >= 0:
				next := a.g.next[top].chain
				tops[next] = a.join(tops[next], st)
			}
		})
		delete(in, c)
	}
	return true
}

// walkChain looks at the steps of a chain; leave is called for each link that leaves it.
func (a *analysis) walkChain(c int32, st *state, leave func(to link, st *state)) {
	steps := len(a.g.chains[c].steps)
	for j := 0; j < steps && st != nil; j++ {
		i := int32(a.g.chains[c].first + j)
		n := &a.g.nodes[i]
		a.results[i].reached = true
		then := a.act
		if n.filter != nil {
			then = a.pass
			if els := a.fail(i, st); els != nil {
				leave(n.els, els)
			}
		}
		st = then(i, st)
		if j == steps-1 && st != nil {
			leave(n.then, st)
		}
	}
}

// pass returns the state behind a filter that has passed, nil if it cannot.
func (a *analysis) pass(i int32, st *state) *state {
	q, r := &a.queries[i], &a.results[i]
	if q.asked {
		before := a.knownOf(st.flow, q.Field)
		if r.known == nil {
			r.known = before
		}
		r.known = a.values.join(r.known, before)
		r.fields = a.joinSets(r.fields, st.set)
	}
	next := a.step(source{i, passed}, st)
	r.canPass = r.canPass || next != nil
	return next
}

// fail returns the state behind a filter that has not passed, nil if it always passes.
func (a *analysis) fail(i int32, st *state) *state {
	next := a.step(source{i, failed}, st)
	r := &a.results[i]
	r.canFail = r.canFail || next != nil
	return next
}

// act returns the state behind an action.
func (a *analysis) act(i int32, st *state) *state {
	w, r := &a.works[i], &a.results[i]
	if r.set == nil {
		r.set = make([]bool, len(w.Reads))
	}
	r.fields = a.joinSets(r.fields, st.set)
	for j, read := range w.Reads {
		captures, set := st.set.get(a.depth, int32(read.Field))
		r.set[j] = r.set[j] || set
		switch read.As {
		case AsBanned:
			r.ways = joinWays(r.ways, st.ways)
			r.captures = joinCaptures(a.nodeDepth, r.captures, captures)
		case AsClient:
			r.captures = joinCaptures(a.nodeDepth, r.captures, captures)
		}
	}
	return a.step(source{i, passed}, st)
}

// step returns the state behind a step that entries leave in one way, nil if none can.
func (a *analysis) step(s source, st *state) *state {
	behind, ok := a.move(s, st.flow)
	switch {
	case !ok:
		return nil
	case len(st.ways) == 0 && behind == st.flow:
		return st
	}
	next := &state{flow: behind}
	if len(st.ways) == 0 || a.vouched(s) {
		return next
	}
	next.open = behind
	if st.open != st.flow {
		if next.open, ok = a.move(s, st.open); !ok {
			return next
		}
	}
	next.ways = make([]*way, len(st.ways))
	for j, w := range st.ways {
		next.ways[j] = &way{s, w}
	}
	return next
}

// move returns what is known behind a step that entries leave in one way, and whether any can.
func (a *analysis) move(s source, f flow) (flow, bool) {
	if q := &a.queries[s.node]; q.asked {
		before := a.knownOf(f, q.Field)
		k := a.narrow(before, q, s.how == passed)
		if k == nil {
			return f, false
		}
		if a.narrow(before, q, s.how != passed) != nil { // otherwise it is nothing new
			f.facts = f.facts.set(a.depth, int32(q.Field), k.heardFrom(s))
		}
		if s.how == passed {
			for _, c := range q.Stores {
				a.capture(s.node, c, &f)
			}
		}
	}
	for _, x := range a.works[s.node].Stores {
		a.store(s.node, x, &f)
	}
	return f, true
}

// capturedKinds are the types of a field that a filter has stored.
var capturedKinds = kindsOf(entry.String, entry.Null)

// capture enters what a filter stores.
func (a *analysis) capture(i int32, c Capture, f *flow) {
	slot := int32(c.Field)
	k := &known{kinds: capturedKinds, from: []source{{i, stored}}}
	captures := (*tree[bool])(nil).set(a.nodeDepth, i, true)
	if !c.Always {
		before, _ := f.set.get(a.depth, slot)
		captures = joinCaptures(a.nodeDepth, before, captures)
		k = a.values.join(a.knownOf(*f, c.Field), k)
	}
	f.facts = f.facts.set(a.depth, slot, k)
	f.set = f.set.set(a.depth, slot, captures)
}

// store enters what an action stores.
func (a *analysis) store(i int32, s Storing, f *flow) {
	slot := int32(s.Field)
	k := &known{from: []source{{i, stored}}}
	captures := (*tree[bool])(nil)
	switch s.What {
	case StoresZero:
		k = k.listed(a.values, []valueID{a.zero})
	case StoresCount:
		k.kinds, k.numbers = kindsOf(entry.Int), span{low: entry.IntValue(0)}
	default: // and what captured the field before may still stand there
		k = a.anything
		captures, _ = f.set.get(a.depth, slot)
	}
	f.facts = f.facts.set(a.depth, slot, k)
	f.set = f.set.set(a.depth, slot, captures)
}

// narrow returns what is known of a value when a filter has passed, or has not; nil if that cannot be.
func (a *analysis) narrow(k *known, q *query, pass bool) *known {
	switch q.Test {
	case OneOf:
		if pass && k.only == nil && len(q.ids) > maxMembers {
			n := *k
			n.kinds &= q.kinds
			return n.settle(a.values)
		}
		return k.among(a.values, q.ids, pass)
	case AtMost, AtLeast:
		return k.compared(a.values, q.Test, q.Values[0], pass)
	}
	return k.answered(a.values, answer{q.test, pass}, q.OnNone)
}

// knownOf returns what is known of a field.
func (a *analysis) knownOf(f flow, slot entry.Slot) *known {
	if k, ok := f.facts.get(a.depth, int32(slot)); ok {
		return k
	}
	if _, set := f.set.get(a.depth, int32(slot)); set {
		return a.anything
	}
	return a.journal[slot]
}

// join returns the state where two ways come together.
func (a *analysis) join(x, y *state) *state {
	switch {
	case x == nil || x == y:
		return y
	case y == nil:
		return x
	}
	both := &state{flow: a.joinFlows(x.flow, y.flow), ways: joinWays(x.ways, y.ways)}
	switch {
	case len(x.ways) == 0:
		both.open = y.open
	case len(y.ways) == 0:
		both.open = x.open
	case x.open == x.flow && y.open == y.flow:
		both.open = both.flow
	default:
		both.open = a.joinFlows(x.open, y.open)
	}
	return both
}

func (a *analysis) joinFlows(x, y flow) flow {
	return flow{merge(a.depth, x.facts, y.facts, false, a.values.join), a.joinSets(x.set, y.set)}
}

func (a *analysis) joinSets(x, y *tree[*tree[bool]]) *tree[*tree[bool]] {
	return merge(a.depth, x, y, true, func(x, y *tree[bool]) *tree[bool] { return joinCaptures(a.nodeDepth, x, y) })
}

func joinCaptures(depth int, x, y *tree[bool]) *tree[bool] {
	return merge(depth, x, y, true, func(bool, bool) bool { return true })
}

func joinWays(x, y []*way) []*way {
	for _, w := range y {
		if len(x) < maxWays && !slices.Contains(x, w) {
			x = append(slices.Clip(x), w)
		}
	}
	return x
}
