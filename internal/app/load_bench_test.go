package app

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pyruse/pyruse/internal/action"
	"github.com/pyruse/pyruse/internal/config"
)

// writeManyFragments writes a main file and so many fragments with five chains each, as services have them: a filter for the unit, a
// regular expression of its own, a counter, a limit, and a ban that all share.
func writeManyFragments(t testing.TB, fragments int) Source {
	t.Helper()
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("main", `{"actions": {"everything else": {"order": 900, "steps": [
		{"action": "action_dailyReport", "args": {"level": "OTHER", "message": "{SYSLOG_IDENTIFIER}: {MESSAGE}"}}]},
		"ban": {"order": 950, "steps": [{"action": "action_nftBan", "args": {"IP": "IP", "banSeconds": 3600,
		"nftSetIPv4": "inet pyruse ban4", "nftSetIPv6": "inet pyruse ban6"}}]}}}`)
	for i := range fragments {
		var b strings.Builder
		b.WriteString("{\n  \"actions\": {\n")
		for j := range 5 {
			if j > 0 {
				b.WriteString(",\n")
			}
			fmt.Fprintf(&b, `    "service %[1]d: %[2]d": [
      { "filter": "filter_equals", "args": { "field": "_SYSTEMD_UNIT", "value": "s%[1]d.service" } },
      { "filter": "filter_pcre", "args": { "field": "MESSAGE", "re": "^case %[2]d: login of .* from (?P<IP>[0-9A-Fa-f:.]+) failed$" } },
      { "action": "action_counterRaise", "args": { "counter": "s%[1]d", "for": "IP", "keepSeconds": 600, "save": "n" } },
      { "filter": "filter_greaterOrEquals", "args": { "field": "n", "value": 3 }, "then": "ban" }
    ]`, i, j)
		}
		b.WriteString("\n  }\n}\n")
		write(fmt.Sprintf("%03d.json", i), b.String())
	}
	return Source{Config: filepath.Join(dir, "main"), Dirs: []string{dir}}
}

// BenchmarkLoad reads, validates, merges, links, builds and analyses 200 fragments with 1,000 chains and 4,000 steps.
func BenchmarkLoad(b *testing.B) {
	src := writeManyFragments(b, 200)
	b.ReportAllocs()
	for b.Loop() {
		l, err := load(src, func(s *config.Settings) (*action.World, error) { return replayWorld(s, nil) })
		if err != nil || !l.usable() {
			b.Fatal(err, l.diags.Sorted())
		}
	}
}
