package workflow

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pyruse/pyruse/internal/entry"
)

// TestMarks: a chain is meant for an entry that gets to its first action, or, if it has none, past its last filter.
func TestMarks(t *testing.T) {
	is := func(field string) string { return `{"filter": "filter_is", "args": {"field": "` + field + `"}}` }
	then := func(field, to string) string {
		return `{"filter": "filter_is", "args": {"field": "` + field + `"}, "then": "` + to + `"}`
	}
	const do, fails = `{"action": "action_do"}`, `{"action": "action_fails"}`
	type chain struct{ label, steps string }
	for _, c := range []struct {
		name   string
		chains []chain
		want   map[string]string // by the fields of an entry that are "y": the chains
	}{
		{"first action", []chain{{"a", is("A") + do + is("B") + do}}, map[string]string{"": "", "A": "a", "A B": "a"}},
		{"action without a filter", []chain{{"a", do}}, map[string]string{"": "a"}},
		{"filters alone", []chain{{"a", is("A") + is("B")}}, map[string]string{"": "", "A": "", "B": "", "A B": "a"}},
		{"one after the other", []chain{{"a", is("A") + do}, {"b", is("B") + do}},
			map[string]string{"A": "a", "B": "b", "": ""}},
		{"jump", []chain{{"a", then("A", "j")}, {"j", is("B") + do}, {"c", do}},
			map[string]string{"": "c", "A": "a c", "A B": "a j", "B": "c"}},
		{"a chain twice", []chain{{"a", then("A", "j")}, {"b", then("B", "j")}, {"j", is("J")}, {"c", do}},
			map[string]string{"A J": "a j c", "B J": "b j c", "A B J": "a j b c"}},
		{"a step that is never reached", []chain{{"a", then("A", "j") + do}, {"j", do}}, map[string]string{"A": "a j", "": ""}},
		{"else", []chain{{"a", `{"filter": "filter_is", "args": {"field": "A"}, "else": "j"}` + do}, {"j", do}}, map[string]string{"A": "a", "": "j"}},
		{"a filter that fails", []chain{{"a", `{"filter": "filter_fails"}`}, {"b", do}}, map[string]string{"": "b"}},
		{"an action that fails", []chain{{"a", fails + do}, {"b", do}}, map[string]string{"": "a"}},
		{"no steps", []chain{{"a", ""}, {"b", do}}, map[string]string{"": "b"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var source []string
			for _, x := range c.chains {
				source = append(source, `"`+x.label+`": [`+strings.ReplaceAll(x.steps, "}{", "}, {")+`]`)
			}
			var trace []string
			g, names, diags := compile(t, "c.json", `{"actions": {`+strings.Join(source, ", ")+`}}`, &trace)
			if g == nil {
				t.Fatal(diags.Sorted())
			}
			e, got := entry.New(names), map[string]string{}
			for present := range c.want { // one entry after the other: each begins without marks
				src := fields{}
				for _, name := range strings.Fields(present) {
					src[name] = "y"
				}
				e.Reset(src, 0)
				g.Run(e, func(*StepError) {})
				var labels []string
				for _, m := range e.Marks() {
					labels = append(labels, g.Chain(m))
				}
				got[present] = strings.Join(labels, " ")
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("marks (-want +got):\n%s", diff)
			}
		})
	}
}

// TestMarksDoNotAllocate: only the first entries need room for marks.
func TestMarksDoNotAllocate(t *testing.T) {
	var trace []string
	g, names, diags := compile(t, "c.json", `{"actions": {"a": [{"filter": "filter_still"}], "b": [{"filter": "filter_still"}], "c": [{"filter": "filter_still"}]}}`, &trace)
	if g == nil {
		t.Fatal(diags.Sorted())
	}
	e := entry.New(names)
	var src entry.Source = fields{}
	n := testing.AllocsPerRun(100, func() {
		e.Reset(src, 0)
		g.Run(e, func(err *StepError) { t.Error(err) })
	})
	if n > 0 || len(e.Marks()) != 3 {
		t.Errorf("%v allocations per entry, marks %v", n, e.Marks())
	}
}
