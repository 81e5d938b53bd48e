package workflow

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pyruse/pyruse/internal/config"
	"github.com/pyruse/pyruse/internal/entry"
)

// unreachableChains warns of chains that no link leads to, once for each cause: not of those that are only reached
// from such a chain.
func (a *analysis) unreachableChains() {
	reached := make([]bool, len(a.g.chains))
	a.reach(a.g.entry, reached)
	caller := slices.Repeat([]int{-1}, len(a.g.chains)) // one that is not reached either
	before := slices.Clone(caller)                      // the top-level chain before this one
	top := -1
	for c := range a.g.chains {
		before[c] = top
		if x := &a.g.chains[c]; !x.jump && len(x.steps) > 0 {
			top = c
		}
		for _, t := range a.g.chains[c].targets {
			if !reached[c] {
				caller[t.chain] = c
			}
		}
	}
	for _, called := range []bool{false, true} {
		for c := range a.g.chains {
			x := &a.g.chains[c]
			if len(x.steps) == 0 || reached[c] || (caller[c] >= 0) != called {
				continue
			}
			reason, hint := fmt.Sprintf("no entry gets to the chain %q, which leads to it", a.label(caller[c])), ""
			switch {
			case called:
			case x.closed:
				reason = "no \"then\" or \"else\" that is in force names it, and it begins with an action that works with what only another chain can have stored"
				hint = `name it in a link; or say "enabled": false if it is not needed, "jump": false if every entry is to go through it`
			case x.jump:
				reason, hint = "it is entered by name only, and no \"then\" or \"else\" names it", "name it in a link, or remove it"
			default:
				reason = fmt.Sprintf("every entry that gets to the chain before it, %q, ends there, and no \"then\" or \"else\" names it", a.label(before[c]))
				hint = fmt.Sprintf("move it before %q, or name it in a \"then\" or \"else\"", a.label(before[c]))
			}
			warnRule(a.diags, &x.steps[0], config.CodeUnreachableChain, x.config.Pos, hint,
				fmt.Sprintf("chain %q is never reached: %s", x.config.Label, reason))
			a.reach(follower{link(x.first), int32(c)}, reached)
		}
	}
}

func (a *analysis) label(chain int) string {
	if chain < 0 {
		return ""
	}
	return a.g.chains[chain].config.Label
}

// reach marks all chains that an entry can get to from a top-level chain, whatever filters say. Where it
// has been before, it does not go again.
func (a *analysis) reach(from follower, reached []bool) {
	for from.at >= 0 && !a.entered[from.chain] {
		a.entered[from.chain] = true
		todo := []int{int(from.chain)}
		for len(todo) > 0 {
			c := todo[len(todo)-1]
			todo = todo[:len(todo)-1]
			if reached[c] {
				continue
			}
			reached[c] = true
			for _, t := range a.g.chains[c].targets {
				todo = append(todo, t.chain)
			}
		}
		if !a.leads[from.chain] {
			return
		}
		from = a.g.next[from.chain]
	}
}

// constantFilters warns of filters that decide the same on every way to them.
func (a *analysis) constantFilters() {
	for i := range a.queries {
		q, r := &a.queries[i], &a.results[i]
		if !q.asked || !r.reached || r.canPass && r.canFail || q.Test == OneOf && len(q.Values) == 0 {
			continue
		}
		reason, hint := a.reason(int32(i))
		if reason == "" {
			continue
		}
		only := "fail"
		if r.canPass {
			only = "pass"
		}
		if hint == "" && r.canPass {
			hint = "it decides nothing: remove it, or correct one of the two"
		} else if hint == "" {
			hint = "what follows when it passes is never reached: correct one of the two, or remove it"
		}
		a.warn(int32(i), config.CodeConstantFilter, a.g.nodes[i].step.ModulePos, hint, "the filter can only %s: %s", only, reason)
	}
}

// reason returns why a filter always decides the same, and what to do; "" if that is told elsewhere.
func (a *analysis) reason(i int32) (reason, hint string) {
	q, r := &a.queries[i], &a.results[i]
	name := a.names.Name(q.Field)
	if _, set := r.fields.get(a.depth, int32(q.Field)); !set && a.decides(a.journal[q.Field], i) {
		switch {
		case !isJournalName(name):
			return fmt.Sprintf("no step on the way here stores %q", name), a.meant(i, name)
		case slices.ContainsFunc(q.Values, entry.Value.IsNone):
			return fmt.Sprintf("the journal's %s may be missing, but it is never null", name), `filter_in with "values": [null] passes for a missing field`
		case entry.KindOf(name) == entry.Time: // the module has warned of it
			return "", ""
		case entry.KindOf(name) == entry.Int && slices.ContainsFunc(q.Values, beyondInts): // likewise
			return "", ""
		case entry.KindOf(name) == entry.Int:
			return fmt.Sprintf("the journal's %s is a whole number, or a text", name), "compare it with a whole number"
		}
		return fmt.Sprintf("the journal's %s is a text", name), "compare it with a text, in quotes"
	}
	from := a.bearing(i)
	if len(from) == 0 {
		return fmt.Sprintf("on every way to it, %s is settled already", q.Text), ""
	}
	var told []string
	for _, s := range from {
		told = append(told, a.tell(s, q))
	}
	if s := from[0]; len(from) == 1 && s.how == stored && a.queries[s.node].asked && slices.ContainsFunc(q.Values, entry.Value.IsNumber) {
		hint = "what is captured is a text, even where it looks like a number; compare it with a text, in quotes"
	}
	return strings.Join(told, ", and "), hint
}

// beyondInts reports whether a value is a number, and beyond all integers of 64 bits.
func beyondInts(v entry.Value) bool {
	if !v.IsNumber() {
		return false
	}
	_, _, beyond := floorOf(v)
	return beyond != 0
}

// bearing returns steps on every way to a filter that together decide it, and no more than are needed; none if that takes what
// differs from way to way.
func (a *analysis) bearing(i int32) []source {
	field := a.queries[i].Field
	from := slices.Clone(a.results[i].known.from)
	if !a.decides(a.gathered(from, field), i) {
		return nil
	}
	for j := 0; j < len(from); {
		if rest := slices.Delete(slices.Clone(from), j, j+1); a.decides(a.gathered(rest, field), i) {
			from = rest
		} else {
			j++
		}
	}
	return from
}

// decides reports whether a filter always passes, or never, where this is known of its field.
func (a *analysis) decides(k *known, i int32) bool {
	q := &a.queries[i]
	return a.narrow(k, q, true) == nil || a.narrow(k, q, false) == nil
}

// gathered returns what some steps tell of a field.
func (a *analysis) gathered(from []source, field entry.Slot) *known {
	k := a.anythingAt(field)
	for _, s := range from {
		if s.how == stored {
			k = a.storedAt(s.node, field)
		} else if k = a.narrow(k, &a.queries[s.node], s.how == passed); k == nil {
			return a.anythingAt(field)
		}
	}
	return k
}

// storedAt returns what is known of a field that a step has stored.
func (a *analysis) storedAt(i int32, field entry.Slot) *known {
	if a.queries[i].asked {
		return &known{kinds: capturedKinds}
	}
	var behind flow
	for _, x := range a.works[i].Stores {
		if x.Field == field {
			a.store(i, x, &behind)
		}
	}
	k, _ := behind.facts.get(a.depth, int32(field))
	return k
}

func (a *analysis) anythingAt(field entry.Slot) *known {
	if a.storedBy[field] >= 0 {
		return a.anything
	}
	return a.journal[field]
}

// tell says from which step something is known that bears on a question.
func (a *analysis) tell(s source, about *query) string {
	q := &a.queries[s.node]
	origin, name := a.origin(s.node), strconv.Quote(a.names.Name(about.Field))
	switch {
	case s.how == stored && q.asked:
		return fmt.Sprintf("%s has captured %s, as a text", origin, name)
	case s.how == stored && slices.Contains(a.works[s.node].Stores, Storing{about.Field, StoresZero}):
		return fmt.Sprintf("%s has set %s to 0", origin, name)
	case s.how == stored:
		return fmt.Sprintf("%s has stored a count in %s", origin, name)
	case s.how == failed:
		return fmt.Sprintf("%s has ruled out %s", origin, q.Text)
	}
	return fmt.Sprintf("%s has asked for %s", origin, q.Text)
}

// unsetFields warns of fields that are shown, counted by, banned or remembered, and that no way to the step has set.
func (a *analysis) unsetFields() {
	for i := range a.works {
		r := &a.results[i]
		if !r.reached {
			continue
		}
		var told []entry.Slot
		for j, read := range a.works[i].Reads {
			name := a.names.Name(read.Field)
			if r.set[j] || read.As == AsOther || slices.Contains(told, read.Field) {
				continue
			}
			if isJournalName(name) && (a.storedBy[read.Field] < 0 || mayBeInJournal(name)) {
				if other := a.otherCase(int32(i), read); other != "" {
					told = append(told, read.Field)
					a.warn(int32(i), config.CodeUnsetField, a.argPos(int32(i), read.Arg), fmt.Sprintf("did you mean %q?", other),
						"%q is stored by no step on the way here, but %q is", name, other)
				}
				continue
			}
			told = append(told, read.Field)
			reason := "no step on the way here stores it"
			if from := a.storedBy[read.Field]; from >= 0 {
				reason += "; " + a.origin(from) + " does, elsewhere"
			}
			a.warn(int32(i), config.CodeUnsetField, a.argPos(int32(i), read.Arg), a.meant(int32(i), name), "%q has no value: %s", name, reason)
		}
	}
}

// otherCase returns the field that steps on the way to a step store, and whose name differs only by case from that of one that is counted by,
// banned, or remembered; "" if there is none. That the journal has the field is only taken for granted where it is known.
func (a *analysis) otherCase(i int32, read Read) string {
	name := a.names.Name(read.Field)
	if read.As == AsText || read.As == AsKey && mayBeInJournal(name) { // no known field is an address
		return ""
	}
	var others []string
	a.results[i].fields.each(a.depth, func(slot int32, _ *tree[bool]) {
		if other := a.names.Name(entry.Slot(slot)); strings.EqualFold(other, name) {
			others = append(others, other)
		}
	})
	if len(others) == 0 {
		return ""
	}
	return slices.Min(others)
}

// meant returns a hint with the field that is meant by a name which nothing on the way to a step sets.
func (a *analysis) meant(i int32, name string) string {
	var set []string
	a.results[i].fields.each(a.depth, func(slot int32, _ *tree[bool]) { set = append(set, a.names.Name(entry.Slot(slot))) })
	if hint := config.DidYouMean(name, append(set, journalNames...)); hint != "" {
		return hint
	}
	if len(set) == 0 {
		return "nothing is stored on the way here"
	}
	slices.Sort(set)
	const most = 8
	more := ""
	if len(set) > most {
		set, more = set[:most], ", …"
	}
	return "stored on the way here: " + strings.Join(set, ", ") + more
}

// unusedCounters warns of counters that are raised, and whose value nothing looks at.
func (a *analysis) unusedCounters() {
	used := make([]bool, a.names.Len()) // by slot
	for i := range a.queries {
		if a.queries[i].asked {
			used[a.queries[i].Field] = true
		}
		for _, r := range a.works[i].Reads {
			used[r.Field] = true
		}
	}
	looked, saves := map[string]bool{}, map[string]string{}
	for i := range a.works {
		for _, s := range a.works[i].Stores {
			if c := a.works[i].Counter; c != "" {
				looked[c] = looked[c] || used[s.Field]
				saves[c] = a.names.Name(s.Field)
			}
		}
	}
	for i := range a.works {
		c := a.works[i].Counter
		if !a.works[i].Raises || looked[c] {
			continue
		}
		hint := `store the value with "save", and compare that field with filter_greaterOrEquals`
		if saves[c] != "" {
			hint = fmt.Sprintf("no filter asks for %q, and no message shows it; compare it with filter_greaterOrEquals", saves[c])
		}
		a.warn(int32(i), config.CodeUnusedCounter, a.argPos(int32(i), "counter"), hint, "the counter %q is raised, but nothing looks at its value", c)
	}
}

// looseAddresses warns of expressions in which other text can be captured as an address that is banned.
func (a *analysis) looseAddresses() {
	type capture struct {
		node  int32
		field entry.Slot
	}
	seen := map[capture]bool{}
	for i := range a.works {
		for _, read := range a.works[i].Reads {
			if read.As != AsBanned && read.As != AsClient {
				continue
			}
			a.results[i].captures.each(a.nodeDepth, func(node int32, _ bool) {
				x := capture{node, read.Field}
				f, ok := a.g.nodes[node].filter.(Capturer)
				if !ok || seen[x] {
					return
				}
				seen[x] = true
				for _, loose := range f.Loose(read.Field) {
					a.warn(node, config.CodeLooseAddress, loose.Pos, loose.Hint,
						"other text of the log can be taken for the address in %q, which %s works with, because %s",
						a.names.Name(read.Field), a.origin(int32(i)), loose.Reason)
				}
			})
		}
	}
}
