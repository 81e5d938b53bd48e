package app

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pyruse/pyruse/internal/action"
	"github.com/pyruse/pyruse/internal/config"
	"github.com/pyruse/pyruse/internal/journal"
)

// root is the folder of the repository.
const root = "../.."

// example is a configuration in the documentation, and what is said about it.
type example struct {
	line    int // of the configuration
	source  string
	entries string
	effects string
	shown   bool // its effects are shown
}

// TestDocumentedConfigurations holds the documentation to what it says: every configuration in it is
// sound, and where entries are shown, replaying them gives exactly the effects that are shown. The
// last line, the summary, may be left out there.
func TestDocumentedConfigurations(t *testing.T) {
	setZone(t, "UTC")
	pages := markdown(t)
	ran := 0
	for _, page := range pages {
		for _, x := range examplesOf(t, page) {
			t.Run(fmt.Sprintf("%s:%d", strings.TrimPrefix(page, root+"/"), x.line), func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "pyruse.json")
				if err := os.WriteFile(path, []byte(x.source), 0o600); err != nil {
					t.Fatal(err)
				}
				mustBeSound(t, path)
				if x.shown {
					compareEffects(t, x, replay(t, path, x.entries))
				}
			})
			if x.shown {
				ran++
			}
		}
	}
	if ran == 0 {
		t.Error("no page shows the effects of a configuration")
	}
}

// TestEveryModuleIsDocumented wants a page with a working example for each filter and action.
func TestEveryModuleIsDocumented(t *testing.T) {
	r := newRegistry(&action.World{})
	for folder, names := range map[string][]string{"filters": r.Filters(), "actions": r.Actions()} {
		for _, name := range names {
			page := filepath.Join(root, "docs/reference", folder, name+".md")
			if _, err := os.Stat(page); err != nil {
				t.Errorf("%s has no page: %v", name, err)
				continue
			}
			found := false
			for _, x := range examplesOf(t, page) {
				found = found || x.shown && strings.Contains(x.source, `"`+name+`"`)
			}
			if !found {
				t.Errorf("%s shows no example of %s with its effects", page, name)
			}
		}
	}
}

// TestExampleConfigurations checks the configurations of docs/examples.
func TestExampleConfigurations(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, "docs/examples/*/pyruse.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no example: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(filepath.Dir(file)), func(t *testing.T) { mustBeSound(t, file) })
	}
}

// TestMessageCatalog holds docs/reference/messages.md to journal.Messages, line by line.
func TestMessageCatalog(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, "docs/reference/messages.md"))
	if err != nil {
		t.Fatal(err)
	}
	var want, got []string
	for _, m := range journal.Messages {
		want = append(want, fmt.Sprintf("| `%s` | %s | %d | %s |", m.ID, strings.TrimPrefix(m.Name, "Msg"), m.Level, m.Text))
	}
	row := regexp.MustCompile("^\\| `[0-9a-f]{32}` ")
	for line := range strings.Lines(string(page)) {
		if row.MatchString(line) {
			got = append(got, strings.TrimSpace(line))
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("messages.md (-journal.Messages +page):\n%s", diff)
	}
}

// TestSettingsAreDocumented wants every setting on the page of the settings, with its built-in value, and in the man page.
func TestSettingsAreDocumented(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, "docs/reference/configuration.md"))
	if err != nil {
		t.Fatal(err)
	}
	man, err := os.ReadFile(filepath.Join(root, "docs/man/pyruse.json.5"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.NewReplacer(",", "", "\u00a0", "").Replace(string(page)), "\n")
	eachSetting(reflect.ValueOf(config.Defaults()), func(key string, builtIn reflect.Value) {
		named := func(line string) bool {
			return strings.Contains(line, "`"+key+"`") || strings.Contains(line, "."+key+"`")
		}
		told := func(line string) bool { return named(line) && strings.Contains(line, documented(builtIn)) }
		if !slices.ContainsFunc(lines, named) {
			t.Errorf("configuration.md has no line about %q", key)
		} else if !slices.ContainsFunc(lines, told) {
			t.Errorf("configuration.md has no line with %q and its default %v", key, documented(builtIn))
		}
		if !strings.Contains(string(man), key) {
			t.Errorf("pyruse.json.5 does not name %q", key)
		}
	})
}

// eachSetting calls f for each setting, and for those in tables.
func eachSetting(table reflect.Value, f func(key string, builtIn reflect.Value)) {
	for key, v := range fieldsOf(table) {
		if f(key, v); v.Kind() == reflect.Struct {
			eachSetting(v, f)
		}
	}
}

// documented returns a part of how a built-in value is written: nothing, where there is none.
func documented(v reflect.Value) string {
	switch {
	case v.IsZero() || v.Kind() == reflect.Struct:
		return ""
	case v.Kind() == reflect.Slice:
		return fmt.Sprint(v.Index(0))
	}
	return fmt.Sprint(v.Interface())
}

func markdown(t *testing.T) []string {
	t.Helper()
	pages, err := filepath.Glob(filepath.Join(root, "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(filepath.Join(root, "docs"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && filepath.Ext(path) == ".md" {
			pages = append(pages, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return pages
}

// examplesOf reads the fenced blocks of a page: "json" with "actions" is a configuration, "json entries" and
// "text effects" belong to the configuration before them.
func examplesOf(t *testing.T, page string) []example {
	t.Helper()
	data, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	var out []example
	lines := strings.SplitAfter(string(data), "\n")
	for i := 0; i < len(lines); i++ {
		kind, fenced := strings.CutPrefix(strings.TrimSpace(lines[i]), "```")
		if !fenced {
			continue
		}
		start := i + 1
		length := slices.IndexFunc(lines[start:], func(line string) bool { return strings.TrimSpace(line) == "```" })
		if length < 0 {
			t.Fatalf("%s:%d: the block is never closed", page, start)
		}
		i = start + length
		block := strings.Join(lines[start:i], "")
		switch last := len(out) - 1; {
		case kind == "json" && strings.Contains(block, `"actions"`):
			out = append(out, example{line: start, source: block})
		case kind == "json entries" || kind == "text effects":
			if last < 0 {
				t.Fatalf("%s:%d: %s without a configuration before them", page, start, kind)
			}
			if kind == "json entries" {
				out[last].entries = block
			} else {
				out[last].effects, out[last].shown = block, true
			}
		}
	}
	return out
}

func mustBeSound(t *testing.T, path string) {
	t.Helper()
	var faults bytes.Buffer
	if err := Check(context.Background(), CheckOptions{Source: Source{Config: path, Dirs: []string{""}}, Stdout: &faults}); err != nil {
		t.Fatalf("check: %v\n%s", err, &faults)
	}
}

func compareEffects(t *testing.T, x example, got string) {
	t.Helper()
	if !strings.Contains(x.effects, `{"effect":"summary"`) {
		got = got[:strings.LastIndex(got, `{"effect":"summary"`)]
	}
	if diff := cmp.Diff(x.effects, got); diff != "" {
		t.Errorf("effects (-page +replay):\n%s", diff)
	}
}
