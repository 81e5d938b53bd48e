package app

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the files name time zones that the machine may not have

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "write the golden files anew")

// firstEntry is the time of a golden file's first entry, if the file does not say another.
var firstEntry = time.Date(2026, 11, 22, 8, 1, 1, 0, time.UTC)

// TestLanguage holds the rules of the configuration language, one golden file each:
//
//	pyruse.json  the configuration
//	env          "TZ=zone", if it is not UTC
//	entries      what is replayed, in the form that expandEntries reads
//	effects      what `replay --format json` prints, line by line
//	diagnostics  what `check` prints, if there is something to complain about, and its exit code
func TestLanguage(t *testing.T) {
	folder, err := filepath.Abs("testdata/language") // the tests change the directory
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(folder, "*.txtar"))
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
	zone := "UTC"
	if env, ok := part["env"]; ok {
		zone = strings.TrimSpace(strings.TrimPrefix(env, "TZ="))
	}
	setZone(t, zone)
	entries, err := expandEntries(part["entries"])
	if err != nil {
		t.Fatal(err)
	}
	got := evaluate(t, part["pyruse.json"], entries)
	if *update {
		writeGolden(t, file, a, got)
		return
	}
	for _, name := range []string{"diagnostics", "effects"} {
		if diff := cmp.Diff(part[name], got[name]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	for name := range part {
		if !slices.Contains([]string{"env", "pyruse.json", "entries", "diagnostics", "effects"}, name) {
			t.Errorf("the file has a part %q, which nothing reads", name)
		}
	}
}

// setZone makes zone the local time zone until the end of the test.
func setZone(t *testing.T, zone string) {
	t.Helper()
	local := time.Local
	t.Cleanup(func() { time.Local = local })
	loc, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	time.Local = loc
}

// expandEntries returns lines of `journalctl -o json`. Each line of text is a JSON
// object, which needs no __REALTIME_TIMESTAMP: the first entry is at firstEntry, each other one
// a second after the one before it, or so much later as a duration before the object says.
func expandEntries(text string) (string, error) {
	var b strings.Builder
	now := firstEntry.Add(-time.Second)
	for line := range strings.Lines(text) {
		length, object, prefixed := strings.Cut(line, " ")
		step := time.Second
		if prefixed && strings.HasPrefix(line, "+") {
			var err error
			if step, err = time.ParseDuration(length); err != nil {
				return "", fmt.Errorf("entry %q: %w", line, err)
			}
			line = object
		}
		now = now.Add(step)
		if rest, ok := strings.CutPrefix(line, "{"); ok && !strings.Contains(line, `"__REALTIME_TIMESTAMP"`) {
			comma := ","
			if strings.TrimSpace(rest) == "}" {
				comma = ""
			}
			line = `{"__REALTIME_TIMESTAMP":"` + strconv.FormatInt(now.UnixMicro(), 10) + `"` + comma + rest
		}
		b.WriteString(line)
	}
	return b.String(), nil
}

// evaluate runs `check` and, on a sound configuration, `replay`.
func evaluate(t *testing.T, source, entries string) map[string]string {
	t.Helper()
	t.Chdir(t.TempDir())
	if err := os.WriteFile("pyruse.json", []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	var diagnostics bytes.Buffer
	err := Check(context.Background(), CheckOptions{Source: Source{Config: "pyruse.json", Dirs: []string{""}}, Format: Text, Stdout: &diagnostics})
	switch {
	case errors.Is(err, ErrConfig):
		got["diagnostics"] = diagnostics.String() + "exit 2\n"
		return got
	case err != nil:
		t.Fatalf("check: %v", err)
	case !strings.HasSuffix(diagnostics.String(), " 0 warnings, no errors\n"):
		got["diagnostics"] = diagnostics.String() + "exit 0\n"
	}
	got["effects"] = replay(t, "pyruse.json", entries)
	return got
}

// replay returns what `replay --format json` prints for a sound configuration.
func replay(t *testing.T, path, entries string) string {
	t.Helper()
	var effects bytes.Buffer
	err := Replay(context.Background(), ReplayOptions{
		Source: Source{Config: path, Dirs: []string{""}}, Entries: "-", Stdin: strings.NewReader(entries),
		Format: JSON, Stdout: &effects, Stderr: io.Discard,
	})
	if err != nil {
		t.Errorf("replay: %v", err)
	}
	return effects.String()
}

func writeGolden(t *testing.T, file string, a *txtar.Archive, got map[string]string) {
	t.Helper()
	var parts []txtar.File
	for _, f := range a.Files {
		if f.Name != "effects" && f.Name != "diagnostics" {
			parts = append(parts, f)
		}
	}
	for _, name := range []string{"diagnostics", "effects"} {
		if got[name] != "" {
			parts = append(parts, txtar.File{Name: name, Data: []byte(got[name])})
		}
	}
	a.Files = parts
	if err := os.WriteFile(file, txtar.Format(a), 0o600); err != nil {
		t.Fatal(err)
	}
}
