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
	maxCommand  = 500    // bytes of a command
	maxCounting = 50_000 // steps in which counters are tried out
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

	unknown bool // some filter must not be asked, or asks for what differs from machine to machine
}

// newForgery returns what is needed to write an entry that goes a way, and whether there can be one.
func (a *analysis) newForgery(w *way, banned entry.Slot) (*forgery, bool) {
	f := &forgery{a: a, path: w.steps(), banned: banned, facts: map[entry.Slot]*known{}, steps: map[entry.Slot]bool{}, counts: map[entry.Slot]bool{}}
	return f, f.follow()
}

// command returns a command that sends an entry along the way, "" if none could be found and confirmed.
func (f *forgery) command() string {
	if f.path == nil || f.unknown {
		return ""
	}
	times := f.repetitions()
	if times == 0 {
		return ""
	}
	for _, s := range senders {
		switch command := f.send(s); {
		case command == "" || len(command) > maxCommand:
		case times > 1:
			return fmt.Sprintf("%s (%d times)", command, times)
		default:
			return command
		}
	}
	return ""
}

// machineFields are those of the machine, and givenOut those that are given out anew all the time: nobody knows what a
// command will find there.
var (
	machineFields = []string{"_HOSTNAME", "_MACHINE_ID", "_BOOT_ID"}
	givenOut      = []string{"_PID", "_SYSTEMD_SESSION", "_AUDIT_SESSION"}
)

// isKnown reports whether the answer of a filter can be told without knowing the machine, and who sends.
func (f *forgery) isKnown(s source) bool {
	q := &f.a.queries[s.node]
	name := f.a.names.Name(q.Field)
	return !q.Outside && (f.steps[q.Field] || !slices.Contains(machineFields, name) && (s.how != passed || !slices.Contains(givenOut, name)))
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
		f.unknown = f.unknown || !f.isKnown(s)
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

// repetitions returns how often an entry must come until it gets to the end, because of counters on the way; 0 if that is too often, or if
// it never does, as a counter that was reset ignores what comes. An entry that leaves the way earlier is
// taken to change no counter any more.
func (f *forgery) repetitions() int {
	type counter struct {
		category string
		key      entry.Slot
	}
	counts, ignores := map[counter]int64{}, map[counter]bool{}
	round := func(path []source) (arrives bool) {
		j, values := f.a.judge, map[entry.Slot]int64{}
		for _, s := range path {
			w, q := &f.a.works[s.node], &f.a.queries[s.node]
			if w.Counter != "" {
				c := counter{w.Counter, w.Reads[0].Field}
				if w.Raises && !ignores[c] {
					counts[c]++
				} else if !w.Raises {
					counts[c], ignores[c] = 0, w.Grace
				}
				for _, x := range w.Stores {
					values[x.Field] = counts[c]
				}
			}
			if n, ok := values[q.Field]; ok && q.asked {
				j.reset(fieldMap{})
				j.entry.Set(q.Field, entry.IntValue(n))
				if j.passes(s.node) != (s.how == passed) {
					return false
				}
			}
			for _, x := range q.Stores {
				delete(values, x.Field)
			}
		}
		return true
	}
	path := f.counting()
	for times := 1; times*len(path) <= maxCounting; times++ {
		if round(path) {
			return times
		}
	}
	return 0
}

// counting returns the steps of the way that have to do with counters.
func (f *forgery) counting() []source {
	counted := map[entry.Slot]bool{}
	for _, s := range f.path {
		if w := &f.a.works[s.node]; w.Counter != "" {
			for _, x := range w.Stores {
				counted[x.Field] = true
			}
		}
	}
	var path []source
	for _, s := range f.path {
		q := &f.a.queries[s.node]
		if f.a.works[s.node].Counter != "" || q.asked && (counted[q.Field] || slices.ContainsFunc(q.Stores, func(c Capture) bool { return counted[c.Field] })) {
			path = append(path, s)
		}
	}
	return path
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
