package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// write writes a file and returns its path.
func write(t testing.TB, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// folder returns a folder with these files.
func folder(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		write(t, dir, name, text)
	}
	return dir
}

// states lists the files of a configuration, with what became of each.
func states(s *Sources) []string {
	var list []string
	for _, x := range s.list {
		if x.Layer == LayerMain || x.Layer == LayerFragment {
			list = append(list, fmt.Sprintf("%s: %s", filepath.Base(x.File.Name), x.State))
		}
	}
	return list
}

func TestFragmentsInTheOrderOfTheirNames(t *testing.T) {
	const empty = `{}`
	low := folder(t, map[string]string{"30-c.json": empty, "10-a.json": empty, "20-b.json": empty, "B.json": empty, ".json": "[", "40.json.rpmsave": "["})
	high := folder(t, map[string]string{"20-b.json": empty, "15-x.json": empty, "30-c.json": "", "a.json": "", "Ä.json": empty})
	s, err := Gather(Layers{Config: write(t, t.TempDir(), "main", `{"actions": {}}`), Dirs: []string{low, "", filepath.Join(low, "none"), high}})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"main: used", "none: missing", "10-a.json: used", "15-x.json: used", "20-b.json: overruled", "20-b.json: used", "30-c.json: overruled", "30-c.json: masked",
		"B.json: used", "a.json: masked", "Ä.json: used",
	}
	if diff := cmp.Diff(want, states(s)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestNoMainFileIsNeededWhereThereAreFragments(t *testing.T) {
	setMainFile(t, filepath.Join(t.TempDir(), "pyruse.json"))
	s, err := Gather(Layers{Dirs: []string{folder(t, map[string]string{"a.json": `{"actions": {}}`})}})
	if err != nil || s.main != nil || len(s.list) != 2 {
		t.Errorf("%v, %v", states(s), err)
	}
	for _, files := range []map[string]string{{}, {"masked.json": ""}} {
		if _, err := Gather(Layers{Dirs: []string{folder(t, files)}}); !errors.Is(err, ErrNoFile) {
			t.Errorf("%v: error %v, want ErrNoFile", files, err)
		}
	}
}

// TestBounds holds the bounds of the number of fragments and of the bytes in all of them: what is beyond is not used, and that is said.
func TestBounds(t *testing.T) {
	many := map[string]string{}
	for i := range MaxFragments + 2 {
		many[fmt.Sprintf("%04d.json", i)] = "{}"
	}
	large := "{}" + strings.Repeat(" ", 6<<20)
	for name, x := range map[string]struct {
		files map[string]string
		out   int
	}{
		"files": {many, 2},
		"bytes": {map[string]string{"1.json": large, "2.json": large, "3.json": large, "4.json": "{}"}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := Gather(Layers{Config: write(t, t.TempDir(), "main", `{"actions": {}}`), Dirs: []string{folder(t, x.files)}})
			if err != nil {
				t.Fatal(err)
			}
			c, diags := s.Settle(noChecks)
			if n, _ := diags.Count(); !c.Sound || n != x.out || len(c.LeftOut()) != x.out {
				t.Errorf("sound %v, %d errors, %d left out; want %d: %.300q", c.Sound, n, len(c.LeftOut()), x.out, texts(diags))
			}
		})
	}
}

// FuzzLayers merges any three files: nothing panics, each fault has its place in one of them, and what is printed of
// the result reads back as the same.
func FuzzLayers(f *testing.F) {
	f.Add([]byte(`{"actions": {"a": [{"action": "action_noop", "then": "b"}]}, "lists": {"x": [1]}}`),
		[]byte(`{"actions": [{"label": "b", "order": 3, "steps": []}], "lists": {"x": {"append": ["y"]}}}`), []byte(`{"actions": {"a": null}}`))
	f.Add([]byte(`{"email": {"to": ["a"]}, "limits": null}`), []byte(`{"email": null}`), []byte(`[`))
	f.Add([]byte(`{"actions": {"a": {"steps": [], "enabled": false}}}`), []byte(`{"lists": {"x": null, "y": 3}}`), []byte("\xff"))
	f.Add([]byte(`{"limits": {"bans": 1e999}, "debug": 1e-999, "actions": {"": [[]]}}`), []byte(`{"actions": {"a": {"order": 99999999999999999999}}}`), []byte(`{"journal": {"files": [1, "a"]}}`))
	f.Add([]byte(`{"email": {"from": "a@b", "smtp": {"host": "h", "auth": "PLAIN", "username": "u", "passwordFile": "/p"}}}`),
		[]byte(`{"email": {"smtp": {"auth": null, "passwordFile": null, "passwordCredential": "c"}}, "report": {"at": "1:00"}}`), []byte(`{"email": {"smtp": null}}`))
	f.Fuzz(func(t *testing.T, main, low, high []byte) {
		if len(main)+len(low)+len(high) > 1<<16 {
			return
		}
		s := &Sources{list: []*Source{defaultSource()}}
		for i, data := range [][]byte{main, low, high} {
			x := &Source{Layer: LayerFragment}
			if i == 0 {
				x.Layer, s.main = LayerMain, x
			}
			x.read(NewFile(fmt.Sprint(i), data))
			s.list = append(s.list, x)
		}
		s.number()
		c, diags := s.Settle(noChecks)
		if c.Sound && s.main.faults.HasErrors() || !c.Sound && !diags.HasErrors() {
			t.Errorf("sound: %v, %q", c.Sound, texts(diags))
		}
		for _, d := range diags.Sorted() {
			if d.Pos.File == nil || d.Pos.Start < 0 || d.Pos.End > len(d.Pos.File.Data) && len(d.Pos.File.Data) > 0 {
				t.Errorf("%s is nowhere", d)
			}
		}
		if !c.Sound || c.Settings.Email.SMTP.Password != "" { // which is not printed
			return
		}
		var again Diagnostics
		printed := Read(NewFile("printed", c.Whole().AppendJSON(nil)), &again)
		if again.HasErrors() {
			t.Fatalf("%s: %q", c.Whole().AppendJSON(nil), texts(&again))
		}
		if diff := cmp.Diff(c.Settings, printed.Settings); diff != "" {
			t.Errorf("settings (-in force +printed):\n%s", diff)
		}
		if got, want := chainNames(printed), chainNames(c); got != want {
			t.Errorf("chains %s, want %s", got, want)
		}
	})
}

func chainNames(c *Config) string {
	var b strings.Builder
	for _, chain := range c.Chains {
		fmt.Fprintf(&b, "%q %v %d; ", chain.Label, chain.Disabled, len(chain.Steps))
	}
	return b.String()
}
