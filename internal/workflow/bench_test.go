package workflow_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pyruse/pyruse/internal/action"
	"github.com/pyruse/pyruse/internal/config"
	"github.com/pyruse/pyruse/internal/entry"
	"github.com/pyruse/pyruse/internal/filter"
	"github.com/pyruse/pyruse/internal/workflow"
)

// services writes a configuration with many chains of five steps, each for the entries of a service of its own; vouched says
// whether it asks for a field that nobody can forge.
func services(chains int, vouched bool) string {
	field := "SYSLOG_IDENTIFIER"
	if vouched {
		field = "_SYSTEMD_UNIT"
	}
	var b strings.Builder
	b.WriteString(`{"actions": {`)
	for i := range chains {
		fmt.Fprintf(&b, `"c%d": [
			{"filter": "filter_equals", "args": {"field": %q, "value": "x%d.service"}},
			{"filter": "filter_pcre", "args": {"field": "MESSAGE", "re": "^refused %d (?P<IP>[0-9a-f:.]+)$"}},
			{"action": "action_counterRaise", "args": {"counter": "c%d", "for": "IP", "keepSeconds": 600, "save": "n"}},
			{"filter": "filter_greaterOrEquals", "args": {"field": "n", "value": 3}},
			{"action": "action_nftBan", "args": {"IP": "IP", "nftSetIPv4": "inet pyruse ban4", "nftSetIPv6": "inet pyruse ban6"}}],
		`, i, field, i, i, i)
	}
	b.WriteString(`}}`)
	return b.String()
}

// nest writes a configuration whose top-level chains all lead through all of many jump chains.
func nest(tops, jumps int) string {
	var b strings.Builder
	b.WriteString(`{"actions": {`)
	for i := range tops {
		fmt.Fprintf(&b, `"c%d": [{"filter": "filter_equals", "args": {"field": "F", "value": "x%d"}, "then": "j0"}],`, i, i)
	}
	for i := range jumps {
		fmt.Fprintf(&b, `"j%d": [{"filter": "filter_equals", "args": {"field": "J%d", "value": "x"}, "then": "j%d"}],`, i, i, i+1)
	}
	fmt.Fprintf(&b, `"j%d": [{"filter": "filter_equals", "args": {"field": "J", "value": "x"}}]}}`, jumps)
	return b.String()
}

func compile(t interface{ Helper() }, source string) (*workflow.Graph, *config.Config, *entry.Names, *config.Diagnostics) {
	t.Helper()
	var diags config.Diagnostics
	cfg := config.Read(config.NewFile("pyruse.json", []byte(source)), &diags)
	names := entry.NewNames(nil)
	r := workflow.NewRegistry()
	filter.Register(r)
	action.Register(r, &action.World{Counters: action.NewCounters(1000), DNAT: action.NewDNAT(1000)})
	return workflow.Compile(cfg, r, names, &diags), cfg, names, &diags
}

// BenchmarkAnalyse measures the analysis alone.
func BenchmarkAnalyse(b *testing.B) {
	for _, x := range []struct{ name, source string }{
		{"1000 chains, vouched", services(1000, true)},
		{"1000 chains, forgeable", services(1000, false)},
		{"10000 chains, vouched", services(10_000, true)},
		{"1000 callers of a nest of 1000", nest(1000, 1000)},
	} {
		b.Run(x.name, func(b *testing.B) {
			g, cfg, names, diags := compile(b, x.source)
			if g == nil {
				b.Fatal(diags.Sorted())
			}
			b.ReportAllocs()
			for b.Loop() {
				var diags config.Diagnostics
				g.Analyse(cfg, names, &diags)
			}
		})
	}
}

// TestVisitsAreBounded has the analysis say that it has not looked at everything.
func TestVisitsAreBounded(t *testing.T) {
	_, _, _, diags := compile(t, nest(1000, 1000))
	if list := diags.Sorted(); len(list) != 1 || !strings.Contains(list[0].Message, "200000 steps") {
		t.Errorf("it says: %v", list)
	}
}
