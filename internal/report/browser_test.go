package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	htmltemplate "html/template"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// measured is what testdata/render/measure.js says of a page.
type measured struct {
	Name          string
	Width, Needed int     // pixels: of the window, and of the page
	Dark          bool    // the reader wants dark colours
	Page          float64 // relative luminance of the background, 0 to 1
	Texts         int
	Faint         []string // texts that can hardly be read
}

// In a browser that wants light or dark colours, wide or narrow, with and without its style element, the page fits and can be read.
func TestBrowser(t *testing.T) {
	browser, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatalf("%v; .ci/setup test installs it", err)
	}
	for _, scheme := range []struct {
		name string
		dark bool
		flag string // of Chromium's blink::mojom::PreferredColorScheme
	}{{"light", false, "1"}, {"dark", true, "0"}} {
		t.Run(scheme.name, func(t *testing.T) {
			t.Parallel()
			for _, m := range measure(t, browser, scheme.flag) {
				if m.Dark != scheme.dark {
					t.Fatalf("%s: the browser wants dark colours: %v", m.Name, m.Dark)
				}
				if m.Needed > m.Width {
					t.Errorf("%s: the page is %d pixels wide", m.Name, m.Needed)
				}
				isDark := scheme.dark && !strings.Contains(m.Name, "unstyled")
				if isDark && m.Page > 0.05 || !isDark && m.Page < 0.8 {
					t.Errorf("%s: the luminance of the page is %.2f", m.Name, m.Page)
				}
				if m.Texts < 10 || len(m.Faint) > 0 {
					t.Errorf("%s: of %d texts are faint:\n%s", m.Name, m.Texts, strings.Join(m.Faint, "\n"))
				}
			}
		})
	}
}

// measure shows all goldens in frames of several widths.
func measure(t *testing.T, browser, scheme string) []measured {
	t.Helper()
	script, err := os.ReadFile("testdata/render/measure.js")
	if err != nil {
		t.Fatal(err)
	}
	frames, n := &bytes.Buffer{}, 0
	style := regexp.MustCompile(`(?s)<style>.*</style>`)
	for _, name := range renderGoldens {
		v, _, _ := viewOf(t, name)
		_, styled := render(t, Builtin(), v)
		styled = strings.Replace(styled, "<details>", "<details open>", 1)
		for kind, page := range map[string]string{"styled": styled, "unstyled": style.ReplaceAllString(styled, "")} {
			for _, width := range []int{320, 1200} {
				n++
				fmt.Fprintf(frames, `<iframe title="%s %s %d" width="%[3]d" height="800" srcdoc="%s"></iframe>`,
					name, kind, width, htmltemplate.HTMLEscapeString(page))
			}
		}
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "frames.html")
	writeFile(t, file, fmt.Sprintf("<!DOCTYPE html><meta name=color-scheme content='light dark'><script>%s</script><body>%s", script, frames))
	cmd := exec.CommandContext(t.Context(), browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
		"--user-data-dir="+filepath.Join(dir, "profile"), "--blink-settings=preferredColorScheme="+scheme, "--dump-dom", "file://"+file)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	_, rest, _ := strings.Cut(string(out), "<pre>")
	text, _, _ := strings.Cut(rest, "</pre>")
	var results []measured
	if err := json.Unmarshal([]byte(html.UnescapeString(text)), &results); err != nil || len(results) != n {
		t.Fatalf("%d results, want %d: %v in %.1000s", len(results), n, err, text)
	}
	return results
}
