package app

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pyruse/pyruse/internal/config"
)

// analysisPage is where an example shows what is warned of; no other may be warned of.
const analysisPage = root + "/docs/reference/analysis.md"

// warnings returns the kinds of warnings that check gives for a configuration.
func warnings(t *testing.T, path string) []string {
	t.Helper()
	var out bytes.Buffer
	if err := Check(context.Background(), CheckOptions{Source: Source{Config: path, Dirs: []string{""}}, Format: JSON, Stdout: &out}); err != nil {
		t.Fatalf("check: %v\n%s", err, &out)
	}
	var codes []string
	for line := range bytes.Lines(out.Bytes()) {
		var x struct{ Code string }
		if err := json.Unmarshal(line, &x); err != nil {
			t.Fatal(err)
		}
		codes = append(codes, x.Code)
	}
	return codes
}

// TestExamplesAreNotWarnedOf checks what the documentation recommends.
func TestExamplesAreNotWarnedOf(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, "docs/examples/*/pyruse.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if codes := warnings(t, file); len(codes) > 0 {
			t.Errorf("%s is warned of: %v", file, codes)
		}
	}
	for _, page := range markdown(t) {
		if filepath.Clean(page) == filepath.Clean(analysisPage) {
			continue
		}
		for _, x := range examplesOf(t, page) {
			path := filepath.Join(t.TempDir(), "pyruse.json")
			if err := os.WriteFile(path, []byte(x.source), 0o600); err != nil {
				t.Fatal(err)
			}
			if codes := warnings(t, path); len(codes) > 0 {
				t.Errorf("%s:%d is warned of: %v", page, x.line, codes)
			}
		}
	}
}

// TestAnalysisPage wants a section for each warning of the analysis, and that the example of a section is warned of
// in this way, and in no other.
func TestAnalysisPage(t *testing.T) {
	page, err := os.ReadFile(analysisPage)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range config.Rules {
		if !strings.Contains(string(page), "\n## "+string(r.Code)+"\n") {
			t.Errorf("there is no section about %s", r.Code)
		}
	}
	lines := strings.Split(string(page), "\n")
	for _, x := range examplesOf(t, analysisPage) {
		section := ""
		for _, line := range lines[:x.line] {
			if title, ok := strings.CutPrefix(line, "## "); ok {
				section = title
			}
		}
		path := filepath.Join(t.TempDir(), "pyruse.json")
		if err := os.WriteFile(path, []byte(x.source), 0o600); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{section}, warnings(t, path)); diff != "" {
			t.Errorf("the example of line %d (-its section +its warnings):\n%s", x.line, diff)
		}
	}
}
