package config

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// parsed returns a file in the form in which files are merged.
func parsed(t interface{ Fatalf(string, ...any) }, name, text string) *Node {
	var diags Diagnostics
	root := Parse(NewFile(name, []byte(text)), &diags)
	if root == nil {
		t.Fatalf("%s: %q", text, texts(&diags))
	}
	return canonical(root, &diags)
}

// show returns all that there is to know of a value: also its marks, and the places of its parts.
func show(n *Node) string {
	if n == nil {
		return "nothing"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s@%s", n.Kind, n.Pos)
	if n.fresh {
		b.WriteString(" fresh")
	}
	if n.appends {
		b.WriteString(" appends")
	}
	switch n.Kind {
	case Object:
		for _, m := range n.Members {
			fmt.Fprintf(&b, "\n%s@%s: %s", m.Name, m.NamePos, strings.ReplaceAll(show(m.Value), "\n", "\n  "))
		}
	case Array:
		for _, e := range n.Elems {
			fmt.Fprintf(&b, "\n- %s", strings.ReplaceAll(show(e), "\n", "\n  "))
		}
	default:
		fmt.Fprintf(&b, " %v %s", n.Bool, n.Text)
	}
	return b.String()
}

func TestMerge(t *testing.T) {
	for _, x := range []struct{ name, a, b, want string }{
		{"objects merge by key", `{"email": {"from": "a", "to": ["a"]}}`, `{"email": {"to": ["b"]}, "debug": true}`,
			`{"email":{"from":"a","to":["b"]},"debug":true}`},
		{"lists and scalars replace", `{"neverBan": ["a", "b"], "storage": "a"}`, `{"neverBan": ["c"], "storage": "b"}`, `{"neverBan":["c"],"storage":"b"}`},
		{"null deletes", `{"email": {"from": "a"}, "debug": true, "storage": "a"}`, `{"email": null, "debug": null}`, `{"storage":"a"}`},
		{"null deletes in an object", `{"email": {"from": "a", "subject": "a"}}`, `{"email": {"from": null}}`, `{"email":{"subject":"a"}}`},
		{"a chain as a list replaces one as an object", `{"actions": {"a": {"order": 1, "steps": [1]}}}`, `{"actions": {"a": [2]}}`, `{"actions":{"a":{"steps":[2]}}}`},
		{"a chain as an object merges with one as a list", `{"actions": {"a": [1]}}`, `{"actions": {"a": {"order": 1}}}`, `{"actions":{"a":{"steps":[1],"order":1}}}`},
		{"both forms of actions", `{"actions": {"a": [1], "b": [2]}}`, `{"actions": [{"label": "b", "order": 7}, {"label": "c", "steps": []}]}`,
			`{"actions":{"a":{"steps":[1]},"b":{"steps":[2],"order":7},"c":{"steps":[]}}}`},
		{"a list that appends", `{"lists": {"x": [1]}}`, `{"lists": {"x": {"append": [2]}, "y": {"append": [3]}}}`, `{"lists":{"x":[1,2],"y":[3]}}`},
		{"a list that replaces", `{"lists": {"x": [1]}}`, `{"lists": {"x": [2]}}`, `{"lists":{"x":[2]}}`},
		{"what is the administrator's own is no chain", `{"actions": {"comment": "a", "_x": {"a": 1}, "x-y": [1]}}`, `{}`, `{"actions":{"x-y":{"steps":[1]}}}`},
	} {
		t.Run(x.name, func(t *testing.T) {
			got := string(settled(merge(parsed(t, "a", x.a), parsed(t, "b", x.b))).AppendJSON(nil))
			if got != x.want {
				t.Errorf("%s over %s is %s, want %s", x.b, x.a, got, x.want)
			}
		})
	}
}

// drawFile draws a file of few keys, so that files have much in common.
func drawFile(t *rapid.T, name string) *Node {
	scalar := rapid.SampledFrom([]string{"1", "2", `"a"`, "true", "null", "null"})
	list := rapid.Map(rapid.SliceOfN(scalar, 0, 3), func(l []string) string { return "[" + strings.Join(l, ", ") + "]" })
	object := func(keys []string, value *rapid.Generator[string]) *rapid.Generator[string] {
		return rapid.Custom(func(t *rapid.T) string {
			var members []string
			for _, key := range rapid.Permutation(keys).Draw(t, "keys")[:rapid.IntRange(0, len(keys)).Draw(t, "n")] {
				members = append(members, fmt.Sprintf("%q: %s", key, value.Draw(t, key)))
			}
			return "{" + strings.Join(members, ", ") + "}"
		})
	}
	inner := object([]string{"p", "q"}, rapid.OneOf(scalar, list))
	value := rapid.OneOf(scalar, list, inner, object([]string{"i", "j"}, rapid.OneOf(scalar, inner)))
	chain := rapid.OneOf(list, rapid.Just("null"), object([]string{"order", "steps", "enabled"}, rapid.OneOf(scalar, list)))
	more := rapid.Map(list, func(l string) string { return `{"append": ` + l + `}` })
	text := fmt.Sprintf(`{"k": %s, "l": %s, "actions": %s, "lists": %s}`, value.Draw(t, "k"), value.Draw(t, "l"),
		rapid.OneOf(rapid.Just("null"), object([]string{"a", "b", "c"}, chain)).Draw(t, "actions"),
		rapid.OneOf(rapid.Just("null"), object([]string{"x", "y"}, rapid.OneOf(list, more, more, rapid.Just("null")))).Draw(t, "lists"))
	return parsed(t, name, text)
}

// TestMergeIsAssociative also holds for the places of all values and for the order of keys.
func TestMergeIsAssociative(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := drawFile(t, "a"), drawFile(t, "b"), drawFile(t, "c")
		before := show(a) + show(b) + show(c)
		left, right := merge(merge(a, b), c), merge(a, merge(b, c))
		if diff := cmp.Diff(show(left), show(right)); diff != "" {
			t.Errorf("(a+b)+c and a+(b+c):\n%s", diff)
		}
		if diff := cmp.Diff(show(settled(left)), show(settled(right))); diff != "" {
			t.Errorf("settled: (a+b)+c and a+(b+c):\n%s", diff)
		}
		if merge(nil, a) != a || merge(a, nil) != a {
			t.Error("nothing is not neutral")
		}
		if show(a)+show(b)+show(c) != before {
			t.Error("merging changed what it was given")
		}
	})
}

// TestLayersAgree holds koanf's merge of the layers of settings to that of the files: what `pyruse config` prints is what is in force.
func TestLayersAgree(t *testing.T) {
	sources, err := Gather(Layers{
		Config:  write(t, t.TempDir(), "main", `{"email": {"from": "a", "subject": "x"}, "limits": {"bans": 5, "dnat": 6}, "journal": {"files": ["a"]}, "neverBan": ["10.0.0.0/8"]}`),
		Dirs:    []string{folder(t, map[string]string{"1.json": `{"email": {"subject": null, "to": ["b"]}, "limits": {"dnat": 7}, "neverBan": []}`})},
		Environ: []string{"PYRUSE_LIMITS_DNAT=8", "HOME=/root", "PYRUSE_LIMITS_OUTBOX=9"},
		Set:     []string{"limits.outbox=10", "debug=true"},
	})
	if err != nil {
		t.Fatal(err)
	}
	c, diags := sources.Settle(noChecks)
	if !c.Sound {
		t.Fatalf("%q", texts(diags))
	}
	want := Defaults()
	want.Email.From, want.Email.To = "a", []string{"b"}
	want.Limits.Bans, want.Limits.DNAT, want.Limits.Outbox = 5, 8, 10
	want.Journal.Files, want.NeverBan, want.Debug = []string{"a"}, []string{}, true
	if diff := cmp.Diff(want, c.Settings); diff != "" {
		t.Errorf("-want +in force:\n%s", diff)
	}
	printed := Read(NewFile("printed", c.Whole().AppendJSON(nil)), diags)
	if diff := cmp.Diff(want, printed.Settings); diff != "" {
		t.Errorf("-want +printed:\n%s", diff)
	}
}
