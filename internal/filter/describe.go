package filter

import (
	"slices"
	"strconv"
	"strings"

	"github.com/pyruse/pyruse/internal/entry"
	"github.com/pyruse/pyruse/internal/workflow"
)

// What the filters tell the static analysis.
var (
	_ workflow.Asker    = (*equals)(nil)
	_ workflow.Asker    = (*in)(nil)
	_ workflow.Asker    = (*compare)(nil)
	_ workflow.Asker    = (*inNetworks)(nil)
	_ workflow.Asker    = (*userExists)(nil)
	_ workflow.Capturer = (*pcre)(nil)
)

// Asks tells the static analysis what passes.
func (f *equals) Asks(names *entry.Names) workflow.Question {
	return workflow.Question{
		Field: f.field, Test: workflow.OneOf, Values: f.wanted,
		Text: names.Name(f.field) + " = " + shown(f.wanted[len(f.wanted)-1]),
	}
}

// Asks tells the static analysis what passes.
func (f *in) Asks(names *entry.Names) workflow.Question {
	values := f.wanted
	var texts []string
	for _, v := range f.wanted {
		if v == entry.NullValue { // and only null equals what is missing
			values = append(values[:len(values):len(values)], entry.Value{})
		}
		if v.Kind() != entry.UUID { // beside it stands the text that was written
			texts = append(texts, shown(v))
		}
	}
	return workflow.Question{Field: f.field, Test: workflow.OneOf, Values: values, Text: names.Name(f.field) + " in [" + listed(texts) + "]"}
}

// Asks tells the static analysis what passes.
func (f *compare) Asks(names *entry.Names) workflow.Question {
	q := workflow.Question{Field: f.field, Test: workflow.AtLeast, Values: []entry.Value{canonical(f.value)}}
	sign := " >= "
	if f.sign > 0 {
		q.Test, sign = workflow.AtMost, " <= "
	}
	q.Text = names.Name(f.field) + sign + shown(f.value)
	return q
}

// Asks tells the static analysis what passes.
func (f *inNetworks) Asks(names *entry.Names) workflow.Question {
	var nets []string
	for _, p := range f.nets {
		nets = append(nets, p.String())
	}
	return workflow.Question{
		Field: f.field, Same: "net " + strings.Join(nets, " "),
		Text: names.Name(f.field) + " in the networks " + listed(nets),
	}
}

// Asks tells the static analysis what passes.
func (f *userExists) Asks(names *entry.Names) workflow.Question {
	return workflow.Question{Field: f.field, Same: "user", Outside: true, Text: names.Name(f.field) + " is a user"}
}

// Asks tells the static analysis what passes.
func (f *pcre) Asks(names *entry.Names) workflow.Question {
	q := workflow.Question{Field: f.field, Stores: f.captures()}
	var same, texts []string
	for i := range f.searches {
		s := &f.searches[i]
		same, texts = append(same, strconv.Quote(s.re.source)), append(texts, quoted(s.re.source))
		q.OnNone = q.OnNone || s.matchesNothing()
	}
	q.Same = "re " + strings.Join(same, " ")
	q.Text = names.Name(f.field) + " ~ " + listed(texts)
	if len(texts) > 1 {
		q.Text = names.Name(f.field) + " ~ one of " + listed(texts)
	}
	return q
}

// captures returns the fields that are stored: always those that all expressions store.
func (f *pcre) captures() []workflow.Capture {
	var list []workflow.Capture
	times := map[entry.Slot]int{}
	for i := range f.searches {
		var own []entry.Slot // a field may be stored by several groups
		for _, st := range f.searches[i].stores {
			if !slices.Contains(own, st.field) {
				own = append(own, st.field)
			}
		}
		for _, field := range own {
			if times[field]++; times[field] == 1 {
				list = append(list, workflow.Capture{Field: field})
			}
		}
	}
	for i := range list {
		list[i].Always = times[list[i].Field] == len(f.searches)
	}
	return list
}

// Loose returns the expressions whose capture is loose.
func (f *pcre) Loose(field entry.Slot) []workflow.Looseness {
	var list []workflow.Looseness
	for i := range f.searches {
		list = f.searches[i].loose(list, field)
	}
	return list
}

// Sample returns a text that passes, because of the first expression for which there is one.
func (f *pcre) Sample(values map[entry.Slot]string) (string, bool) {
	for i := range f.searches {
		if text, ok := f.searches[i].sample(values); ok {
			return text, true
		}
	}
	return "", false
}

// maxSamples bounds the expressions of which there are Samples.
const maxSamples = 100

// Samples returns some texts for each of the first expressions.
func (f *pcre) Samples() []string {
	var list []string
	for i := range f.searches[:min(len(f.searches), maxSamples)] {
		list = append(list, f.searches[i].re.samples()...)
	}
	return list
}

// matchesNothing reports whether the expression is found in the empty text.
func (s *search) matchesNothing() bool {
	ok, err := s.re.search("", s.groups)
	return ok && err == nil
}

// loose appends the expression if it may store the wrong text in the field.
func (s *search) loose(list []workflow.Looseness, field entry.Slot) []workflow.Looseness {
	for _, st := range s.stores {
		if st.field != field {
			continue
		}
		if reason := s.re.looseGroup(st.group); reason != "" {
			return append(list, workflow.Looseness{Pos: s.pos, Reason: reason, Hint: s.re.pinHint(st.group)})
		}
	}
	return list
}

// sample returns a text that the expression is found in, and of which values are captured.
func (s *search) sample(values map[entry.Slot]string) (string, bool) {
	groups := map[int]string{}
	met := 0
	for _, st := range s.stores {
		if text, ok := values[st.field]; ok {
			groups[st.group] = text
			met++
		}
	}
	if met < len(values) {
		return "", false
	}
	return s.re.sample(groups)
}

// shown returns a value as it stands in a configuration.
func shown(v entry.Value) string {
	switch v.Kind() {
	case entry.Null:
		return "null"
	case entry.String:
		return quoted(v.Str())
	}
	return v.Text()
}

// listed returns the first few of a list.
func listed(items []string) string {
	const most = 3
	if len(items) > most {
		return strings.Join(items[:most], ", ") + ", …"
	}
	return strings.Join(items, ", ")
}

// Forget gives up the trees of the expressions.
func (f *pcre) Forget() {
	for i := range f.searches {
		f.searches[i].re.tree = nil
	}
}
