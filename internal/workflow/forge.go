package workflow

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/pyruse/pyruse/internal/config"
	"github.com/pyruse/pyruse/internal/entry"
)

// Bounds of the search for commands that show how a ban is forged.
const (
	maxAttempts = 16     // in one report; further warnings go without
	maxWayShown = 200    // steps of a way, the last ones, whose fields are named
	maxWayTried = 20_000 // steps of a way for which a command is sought
)

// victim is the address that forged entries have banned; it belongs to nobody (RFC 5737).
const victim = "203.0.113.1"

// forgeableBans warns of bans that ordinary users can have.
func (a *analysis) forgeableBans() {
	attempts := 0
	for i := range a.works {
		at := slices.IndexFunc(a.works[i].Reads, func(r Read) bool { return r.As == AsBanned })
		if at < 0 || len(a.results[i].ways) == 0 {
			continue
		}
		ways := a.results[i].ways
		shown, command := -1, ""
		for j := 0; j < len(ways) && command == "" && attempts < maxAttempts; j++ {
			attempts++
			f, ok := a.newForgery(ways[j], a.works[i].Reads[at].Field)
			if !ok {
				continue // nobody can go that way
			}
			if command = f.command(); command != "" || shown < 0 {
				shown = j
			}
		}
		asked, needs := a.describe(ways[max(shown, 0)])
		hint := "ask on the way for a field that journald vouches for, such as _SYSTEMD_UNIT"
		if command != "" {
			hint += ". This has " + victim + " banned: " + command
		} else if needs != "" {
			hint += ". A forged entry needs " + needs
		}
		a.warn(int32(i), config.CodeForgeableBan, a.g.nodes[i].step.ModulePos, hint,
			"any local user can have any address banned: a way here asks for %s", asked)
	}
}

// steps returns the steps of a way, first one first; nil if it is too long.
func (w *way) steps() []source {
	path := []source{}
	for ; w.prev != nil; w = w.prev {
		if len(path) == maxWayTried {
			return nil
		}
		path = append(path, w.source)
	}
	slices.Reverse(path)
	return path
}

// describe names the fields of the entry that filters on a way have asked for and found, and says in words what an entry needs to
// get along it.
func (a *analysis) describe(w *way) (asked, needs string) {
	var names, passes []string
	for range maxWayShown {
		if w.prev == nil {
			break
		}
		if q := &a.queries[w.node]; q.asked && w.how == passed {
			if name := a.names.Name(q.Field); a.storedBy[q.Field] < 0 && !slices.Contains(names, name) {
				names = append(names, name)
			}
			if !a.isCount(q.Field) {
				passes = append(passes, q.Text)
			}
		}
		w = w.prev
	}
	const most = 6
	asked = "no field of the entry"
	if len(names) > 0 {
		asked = "nothing but " + lastOf(names, most, w.prev != nil)
	}
	return asked, lastOf(passes, most, w.prev != nil)
}

// lastOf lists what comes last on a way; the list begins with the last.
func lastOf(list []string, most int, more bool) string {
	if len(list) > most {
		list, more = list[:most], true
	}
	list = slices.Clone(list)
	slices.Reverse(list)
	if more && len(list) > 0 {
		list = slices.Insert(list, 0, "…")
	}
	return strings.Join(list, ", ")
}

// isCount reports whether the first step that stores a field is that of a counter.
func (a *analysis) isCount(field entry.Slot) bool {
	by := a.storedBy[field]
	return by >= 0 && a.works[by].Counter != ""
}

// forgery is the attempt to write an entry that goes a given way.
type forgery struct {
	a      *analysis
	path   []source
	banned entry.Slot
	facts  map[entry.Slot]*known // at the end of the way
	steps  map[entry.Slot]bool   // fields that steps store on the way
	counts map[entry.Slot]bool   // of those: counters

	outside bool // some filter must not be asked
}

// newForgery returns what is needed to write an entry that goes a way, and whether there can be one.
func (a *analysis) newForgery(w *way, banned entry.Slot) (*forgery, bool) {
	f := &forgery{a: a, path: w.steps(), banned: banned, facts: map[entry.Slot]*known{}, steps: map[entry.Slot]bool{}, counts: map[entry.Slot]bool{}}
	return f, f.follow()
}

// command returns a command that sends an entry along the way, "" if none could be found and confirmed.
func (f *forgery) command() string {
	if f.path == nil || f.outside {
		return ""
	}
	for _, s := range senders {
		if command := f.send(s); command != "" {
			return command + f.repetition()
		}
	}
	return ""
}

// follow collects what is known at the end of the way, and reports whether the way can be gone.
func (f *forgery) follow() bool {
	a := f.a
	for _, s := range f.path {
		q := &a.queries[s.node]
		for _, x := range a.works[s.node].Stores {
			var behind flow
			a.store(s.node, x, &behind)
			k, _ := behind.facts.get(a.depth, int32(x.Field))
			f.facts[x.Field], f.counts[x.Field] = k, x.What != StoresSometimes
			f.steps[x.Field] = f.steps[x.Field] || x.What != StoresSometimes
		}
		if !q.asked {
			continue
		}
		before := f.facts[q.Field]
		if before == nil {
			before = a.journal[q.Field]
		}
		k := a.narrow(before, q, s.how == passed)
		if k == nil {
			return false
		}
		f.outside = f.outside || q.Outside
		f.facts[q.Field] = k
		if s.how == passed {
			for _, c := range q.Stores {
				f.facts[c.Field], f.steps[c.Field], f.counts[c.Field] = &known{kinds: capturedKinds}, true, false
			}
		}
	}
	return true
}

// send returns the command of a sender, "" if it cannot send an entry that goes the way.
func (f *forgery) send(s sender) string {
	fields := s.without()
	wants, ok := f.choose(fields)
	if !ok || !f.writeTexts(wants) {
		return ""
	}
	m := &parcel{fields: map[string]string{}}
	for _, slot := range slices.Sorted(maps.Keys(wants)) {
		name, text := f.a.names.Name(slot), wants[slot]
		if !isPlain(text) || !m.want(s, fields, name, text) {
			return ""
		}
	}
	if !f.arrives(fields) {
		return ""
	}
	return s.command(m)
}

// choose returns what fields must hold on the way, where they do not hold it without being asked to; the texts that
// opaque tests want come later. Fields are what the sender sends without being asked to.
func (f *forgery) choose(fields fieldMap) (map[entry.Slot]string, bool) {
	j := f.a.judge
	wants := map[entry.Slot]string{}
	j.reset(fields)
	for _, slot := range slices.Sorted(maps.Keys(f.facts)) {
		k := f.facts[slot]
		if k.only == nil && slices.ContainsFunc(k.answers, func(x answer) bool { return x.pass }) {
			continue
		}
		if f.counts[slot] || f.steps[slot] && k.only == nil || !f.steps[slot] && k.contains(f.a.values, f.a.values.id(j.entry.Get(slot).Clone())) {
			continue
		}
		text, ok := f.a.values.witness(k)
		if !ok && !f.steps[slot] {
			return nil, false
		}
		if ok {
			wants[slot] = text
		}
	}
	if _, ok := wants[f.banned]; !ok {
		wants[f.banned] = victim
	}
	return wants, true
}

// writeTexts replaces what is wanted of captures by texts in which it is captured.
func (f *forgery) writeTexts(wants map[entry.Slot]string) bool {
	for _, s := range slices.Backward(f.path) {
		q := &f.a.queries[s.node]
		c, ok := f.a.g.nodes[s.node].filter.(Capturer)
		if !ok || s.how != passed {
			continue
		}
		captures := map[entry.Slot]string{}
		for _, x := range q.Stores {
			if text, wanted := wants[x.Field]; wanted {
				captures[x.Field] = text
				delete(wants, x.Field)
			}
		}
		if _, settled := wants[q.Field]; settled {
			continue
		}
		text, ok := c.Sample(captures)
		if !ok {
			return false
		}
		wants[q.Field] = text
	}
	return true
}

// arrives sends an entry along the way, and reports whether it gets to the end, to have the right address
// banned. Filters that ask for a counter are left out: the entry may come more than once. No action is run.
func (f *forgery) arrives(fields fieldMap) bool {
	j := f.a.judge
	j.reset(fields)
	for _, s := range f.path {
		n := &f.a.g.nodes[s.node]
		if n.filter == nil {
			continue
		}
		if q := &f.a.queries[s.node]; !q.asked {
			return false
		} else if !f.counts[q.Field] && j.passes(s.node) != (s.how == passed) {
			return false
		}
	}
	return j.entry.Get(f.banned).Text() == victim
}

// repetition says how often a command must be given for the counters on the way.
func (f *forgery) repetition() string {
	times := int64(1)
	for slot := range f.counts {
		if k := f.facts[slot]; f.counts[slot] && k.kinds&numberKinds != 0 {
			low, _ := k.span(f.a.values, numberKinds, func(k *known) span { return k.numbers }).ints()
			times = max(times, low)
		}
	}
	if times == 1 {
		return ""
	}
	return fmt.Sprintf(" (%d times)", times)
}

// witness returns the text of a value that a field may have by what is known, but for the answers of opaque tests.
func (vals *values) witness(k *known) (string, bool) {
	if k.only != nil {
		for _, id := range k.only {
			if v := vals.list[id]; !v.IsNone() {
				return v.Text(), true
			}
		}
		return "", false
	}
	var candidates []entry.Value
	for _, bound := range []entry.Value{k.texts.low, k.texts.high} {
		candidates = append(candidates, bound, entry.StringValue(bound.Str()+"x"))
	}
	low, high := k.numbers.ints()
	for n := low; n <= high && n-low <= maxListed && low > math.MinInt64; n++ {
		candidates = append(candidates, entry.IntValue(n))
	}
	for n := high; n >= low && high-n <= maxListed && high < math.MaxInt64; n-- {
		candidates = append(candidates, entry.IntValue(n))
	}
	candidates = append(candidates, entry.IntValue(0), entry.StringValue("x"), entry.StringValue("y"))
	for _, v := range candidates {
		if !v.IsNone() && k.contains(vals, vals.id(v)) {
			return v.Text(), true
		}
	}
	return "", false
}
