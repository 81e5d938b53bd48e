package app

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"github.com/pyruse/pyruse/internal/config"
)

// graphOf returns the compiled workflow and the settings of a configuration, as text.
func graphOf(t *testing.T, src Source) string {
	t.Helper()
	l, err := load(src, noWorld)
	if err != nil {
		t.Fatal(err)
	}
	if !l.usable() || l.diags.HasErrors() {
		t.Fatalf("it has errors: %v", l.diags.Sorted())
	}
	var b bytes.Buffer
	if err := l.prog.graph.Dump(&b); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%+v\n%s", l.prog.cfg.Settings, &b)
}

// sound returns all configurations of the documentation and of the goldens that have no errors, by their names.
func sound(t *testing.T) map[string]*config.Node {
	t.Helper()
	texts := map[string]string{}
	for _, pattern := range []string{"testdata/language/*.txtar", root + "/docs/examples/*/pyruse.json"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("no files are like %s: %v", pattern, err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if filepath.Ext(file) == ".json" {
				texts[file] = string(data)
				continue
			}
			a := txtar.Parse(data)
			for _, f := range a.Files {
				if f.Name == "pyruse.json" && !bytes.Contains(data, []byte(": error: ")) {
					texts[file] = string(f.Data)
				}
			}
		}
	}
	all := map[string]*config.Node{}
	for name, text := range texts {
		var diags config.Diagnostics
		if n := config.Parse(config.NewFile(name, []byte(text)), &diags); n != nil {
			all[name] = n
		}
	}
	if len(all) < 50 {
		t.Fatalf("only %d configurations have no errors", len(all))
	}
	return all
}

func writeConfig(t *testing.T, n *config.Node) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pyruse.json")
	if err := os.WriteFile(path, n.AppendJSON(nil), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// shuffled returns a value with the keys of all objects in another order; those of actions stay where they are, since there
// the order has a meaning.
func shuffled(n *config.Node, r *rand.Rand) *config.Node {
	out := *n
	out.Elems = make([]*config.Node, len(n.Elems))
	for i, e := range n.Elems {
		out.Elems[i] = shuffled(e, r)
	}
	out.Members = append([]config.Member(nil), n.Members...)
	for i, m := range out.Members {
		if m.Name == "actions" && m.Value.Kind == config.Object {
			chains := *m.Value
			chains.Members = append([]config.Member(nil), m.Value.Members...)
			for j := range chains.Members {
				chains.Members[j].Value = shuffled(chains.Members[j].Value, r)
			}
			out.Members[i].Value = &chains
			continue
		}
		out.Members[i].Value = shuffled(m.Value, r)
	}
	r.Shuffle(len(out.Members), func(i, j int) { out.Members[i], out.Members[j] = out.Members[j], out.Members[i] })
	return &out
}

// withoutArgs returns a dump without the arguments, whose keys it shows in their order.
func withoutArgs(dump string) string {
	var b strings.Builder
	for line := range strings.Lines(dump) {
		if rest, args, ok := strings.Cut(line, " {"); ok && strings.HasPrefix(line, "  [") {
			var value any
			if err := json.Unmarshal([]byte("{"+args), &value); err != nil {
				return line
			}
			sorted, err := json.Marshal(value)
			if err != nil {
				return line
			}
			line = rest + string(sorted) + "\n"
		}
		b.WriteString(line)
	}
	return b.String()
}

// TestKeyOrderChangesNothing holds for any object but actions.
func TestKeyOrderChangesNothing(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 1))
	for name, n := range sound(t) {
		t.Run(filepath.Base(name), func(t *testing.T) {
			want := withoutArgs(graphOf(t, Source{Config: writeConfig(t, n), Dirs: []string{""}}))
			for range 3 {
				got := withoutArgs(graphOf(t, Source{Config: writeConfig(t, shuffled(n, r)), Dirs: []string{""}}))
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("-as written +with keys in another order:\n%s", diff)
				}
			}
		})
	}
}

// usesNewForms reports whether chains are objects already, or have labels that only a list is a chain with.
func usesNewForms(actions *config.Node) bool {
	return slices.ContainsFunc(actions.Members, func(m config.Member) bool {
		return m.Value.Kind != config.Array || strings.HasPrefix(m.Name, "_") || m.Name == "description"
	})
}

// TestSortedKeysWithOrderChangeNothing is what tools do that cannot keep the order of keys: where each chain says its order, sorting all
// keys leads to the same graph.
func TestSortedKeysWithOrderChangeNothing(t *testing.T) {
	for name, n := range sound(t) {
		actions := n.Get("actions")
		if actions == nil || actions.Kind != config.Object || usesNewForms(actions) {
			continue
		}
		t.Run(filepath.Base(name), func(t *testing.T) {
			want := graphOf(t, Source{Config: writeConfig(t, n), Dirs: []string{""}})
			var plain map[string]any
			d := json.NewDecoder(bytes.NewReader(n.AppendJSON(nil)))
			d.UseNumber()
			if err := d.Decode(&plain); err != nil {
				t.Fatal(err)
			}
			chains := plain["actions"].(map[string]any)
			list := []any{}
			order := 0
			for _, m := range actions.Members {
				order += 10
				list = append(list, map[string]any{"label": m.Name, "steps": chains[m.Name]})
				chains[m.Name] = map[string]any{"order": order, "steps": chains[m.Name]}
			}
			sorted, err := json.Marshal(plain) // which sorts the keys of maps
			if err != nil {
				t.Fatal(err)
			}
			plain["actions"] = list
			asList, err := json.Marshal(plain)
			if err != nil {
				t.Fatal(err)
			}
			for form, text := range map[string][]byte{"sorted keys": sorted, "a list": asList} {
				path := filepath.Join(t.TempDir(), "pyruse.json")
				if err := os.WriteFile(path, text, 0o600); err != nil {
					t.Fatal(err)
				}
				got := graphOf(t, Source{Config: path, Dirs: []string{""}})
				if diff := cmp.Diff(withoutArgs(want), withoutArgs(got)); diff != "" {
					t.Errorf("-as written +as %s:\n%s", form, diff)
				}
			}
		})
	}
}

// TestFileNamesOnlyOrder renames fragments without changing their order: that changes nothing. Splitting a file into
// one fragment for each chain changes nothing either.
func TestFileNamesOnlyOrder(t *testing.T) {
	for name, n := range sound(t) {
		actions := n.Get("actions")
		if actions == nil || actions.Kind != config.Object || len(actions.Members) < 2 {
			continue
		}
		t.Run(filepath.Base(name), func(t *testing.T) {
			empty := t.TempDir() // what has a fragment is composed, which has a rule of its own for chains that need a caller
			if err := os.WriteFile(filepath.Join(empty, "empty.json"), []byte("{}"), 0o600); err != nil {
				t.Fatal(err)
			}
			want := graphOf(t, Source{Config: writeConfig(t, n), Dirs: []string{empty}})
			main := *n
			main.Members = nil
			for _, m := range n.Members {
				if m.Name != "actions" {
					main.Members = append(main.Members, m)
				}
			}
			path := writeConfig(t, &main)
			for _, form := range []string{"%03d.json", "%d-chain.json", "z%08d.json"} {
				low, high := t.TempDir(), t.TempDir()
				for i, m := range actions.Members {
					dir := low
					if i%3 == 0 { // the folder does not matter either
						dir = high
					}
					one := config.Node{Kind: config.Object, Members: []config.Member{m}}
					text := (&config.Node{Kind: config.Object, Members: []config.Member{{Name: "actions", Value: &one}}}).AppendJSON(nil)
					if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf(form, 100+i)), text, 0o600); err != nil {
						t.Fatal(err)
					}
				}
				if diff := cmp.Diff(want, graphOf(t, Source{Config: path, Dirs: []string{low, high}})); diff != "" {
					t.Errorf("-in one file +in fragments %s:\n%s", form, diff)
				}
			}
		})
	}
}
