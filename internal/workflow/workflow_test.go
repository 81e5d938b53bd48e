package workflow

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"github.com/pyruse/pyruse/internal/config"
	"github.com/pyruse/pyruse/internal/entry"
)

var update = flag.Bool("update", false, "write the golden files anew")

// fakes returns a registry of steps that leave a trace: filter_is passes when the field with
// its name is "y", filter_still always passes, filter_fails and action_fails fail, filter_panics panics.
func fakes(trace *[]string) *Registry {
	r := NewRegistry()
	r.Filter("filter_is", func(b *Build) Filter {
		var args struct {
			Field string `json:"field" need:"true"`
		}
		b.Args(&args)
		slot := b.Slot(args.Field)
		return filterFunc(func(e *entry.Entry) (bool, error) {
			*trace = append(*trace, b.Origin.String())
			return e.Get(slot).Str() == "y", nil
		})
	})
	r.Filter("filter_fails", func(b *Build) Filter {
		return filterFunc(func(*entry.Entry) (bool, error) {
			*trace = append(*trace, b.Origin.String())
			return true, errors.New("filter failed")
		})
	})
	r.Filter("filter_still", func(*Build) Filter { // leaves no trace
		return filterFunc(func(*entry.Entry) (bool, error) { return true, nil })
	})
	r.Filter("filter_panics", func(*Build) Filter {
		return filterFunc(func(*entry.Entry) (bool, error) { panic("bug") })
	})
	r.Action("action_do", func(b *Build) Action {
		return actionFunc(func(*entry.Entry) error {
			*trace = append(*trace, b.Origin.String())
			return nil
		})
	})
	r.Action("action_fails", func(b *Build) Action {
		return actionFunc(func(*entry.Entry) error {
			*trace = append(*trace, b.Origin.String())
			return errors.New("action failed")
		})
	})
	return r
}

type filterFunc func(*entry.Entry) (bool, error)

func (f filterFunc) Match(e *entry.Entry) (bool, error) { return f(e) }

type actionFunc func(*entry.Entry) error

func (f actionFunc) Do(e *entry.Entry) error { return f(e) }

// fields is an entry for tests.
type fields map[string]string

func (f fields) Field(name string) ([]byte, bool) {
	v, ok := f[name]
	return []byte(v), ok
}

func (fields) Cursor() string { return "" }

func compile(t testing.TB, name, source string, trace *[]string) (*Graph, *entry.Names, *config.Diagnostics) {
	t.Helper()
	var diags config.Diagnostics
	cfg := config.Read(config.NewFile(name, []byte(source)), &diags)
	if cfg == nil {
		return nil, nil, &diags
	}
	names := entry.NewNames(nil)
	return Compile(cfg, fakes(trace), names, &diags), names, &diags
}

// TestGolden compiles each testdata file and compares the diagnostics, the compiled
// graph, and the path of some entries with what the file says. An entry is a line of fields
// that are "y".
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) { golden(t, file) })
	}
}

func golden(t *testing.T, file string) {
	a, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	part := map[string]string{}
	for _, f := range a.Files {
		part[f.Name] = string(f.Data)
	}
	var trace []string
	g, names, diags := compile(t, "pyruse.json", part["pyruse.json"], &trace)
	got := map[string]string{"pyruse.json": part["pyruse.json"]}
	var b bytes.Buffer
	if err := diags.WriteText(&b, false); err != nil {
		t.Fatal(err)
	}
	got["diagnostics"] = b.String()
	order := []string{"pyruse.json", "diagnostics"}
	if g != nil {
		var dump bytes.Buffer
		if err := g.Dump(&dump); err != nil {
			t.Fatal(err)
		}
		got["graph"] = dump.String()
		got["entries"] = part["entries"]
		got["paths"] = paths(g, names, part["entries"], &trace)
		order = append(order, "graph", "entries", "paths")
	}
	if *update {
		a.Files = nil
		for _, name := range order {
			if got[name] != "" {
				a.Files = append(a.Files, txtar.File{Name: name, Data: []byte(got[name])})
			}
		}
		if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	for _, name := range order {
		if diff := cmp.Diff(part[name], got[name]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// paths returns the steps that each entry went through, and the errors on its way.
func paths(g *Graph, names *entry.Names, entries string, trace *[]string) string {
	var b strings.Builder
	for line := range strings.Lines(entries) {
		*trace = nil
		src := fields{}
		for _, name := range strings.Fields(line) {
			src[name] = "y"
		}
		e := entry.New(names)
		e.Reset(src, 0)
		var faults []string
		g.Run(e, func(err *StepError) { faults = append(faults, err.Error()) })
		fmt.Fprintf(&b, "%s: %s", strings.TrimSpace(line), strings.Join(*trace, " "))
		for _, f := range faults {
			fmt.Fprintf(&b, " (%s)", f)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// chainsOf writes a configuration with many callers of one jump chain, and nested jump chains.
func chainsOf(callers, depth int) string {
	var b strings.Builder
	b.WriteString(`{"actions": {`)
	for i := range callers {
		fmt.Fprintf(&b, `"c%d": [{"filter": "filter_is", "args": {"field": "F%d"}, "then": "j0"}],`, i, i)
	}
	for i := range depth {
		fmt.Fprintf(&b, `"j%d": [{"filter": "filter_is", "args": {"field": "J"}, "then": "j%d"}],`, i, i+1)
	}
	fmt.Fprintf(&b, `"j%d": [{"filter": "filter_is", "args": {"field": "J"}}], "end": [{"action": "action_do"}]}}`, depth)
	return b.String()
}

// TestLinearMemory compares a configuration with one that is ten times as large.
func TestLinearMemory(t *testing.T) {
	bytesFor := func(n int) uint64 {
		source := chainsOf(n, n)
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		var trace []string
		g, _, diags := compile(t, "c.json", source, &trace)
		runtime.ReadMemStats(&after)
		if g == nil {
			t.Fatalf("it does not compile: %v", diags.Sorted())
		}
		return after.TotalAlloc - before.TotalAlloc
	}
	small, large := bytesFor(100), bytesFor(1000)
	if large > 15*small {
		t.Errorf("ten times the configuration takes %.1f times the memory", float64(large)/float64(small))
	}
}

// TestFollowUpIsTheCallers sends an entry through each of 200 callers of one jump chain.
func TestFollowUpIsTheCallers(t *testing.T) {
	var trace []string
	g, names, diags := compile(t, "c.json", chainsOf(200, 3), &trace)
	if g == nil {
		t.Fatal(diags.Sorted())
	}
	e := entry.New(names)
	for i := range 200 {
		trace = nil
		e.Reset(fields{fmt.Sprintf("F%d", i): "y"}, 0)
		g.Run(e, func(err *StepError) { t.Error(err) })
		want := fmt.Sprintf("c%d[0]", i+1)
		if i == 199 {
			want = "end[0]"
		}
		if got := trace[i+2]; trace[i+1] != "j0[0]" || got != want {
			t.Fatalf("from caller %d, j0 goes on to %s, want %s", i, got, want)
		}
	}
}

func TestPanicIsAnError(t *testing.T) {
	var trace []string
	g, names, diags := compile(t, "c.json", `{"actions": {"a": [{"filter": "filter_panics"}], "b": [{"action": "action_do"}]}}`, &trace)
	if g == nil {
		t.Fatal(diags.Sorted())
	}
	e := entry.New(names)
	e.Reset(fields{}, 0)
	var got string
	g.Run(e, func(err *StepError) { got = err.Error() })
	if got != "a[0]: internal error: bug" {
		t.Errorf("error %q", got)
	}
}
