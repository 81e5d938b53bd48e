package schema

import (
	"encoding/json"
	"fmt"
	"testing"
)

// benchmarkSteps is how many steps the large configuration has, in benchmarkChains chains.
const (
	benchmarkChains = 1000
	benchmarkSteps  = 4000
	benchmarkFiles  = 200
)

// largeConfiguration returns fragments with 1,000 chains and 4,000 steps, as a site with many services has them: mostly
// regular expressions and comparisons, some counters, bans and reports.
func largeConfiguration(t testing.TB) []any {
	t.Helper()
	var files []any
	for f := range benchmarkFiles {
		actions := map[string]any{}
		for c := range benchmarkChains / benchmarkFiles {
			label := fmt.Sprintf("service %d.%d", f, c)
			steps := []any{
				map[string]any{"filter": "filter_equals", "args": map[string]any{"field": "_SYSTEMD_UNIT", "value": label + ".service"}},
				map[string]any{"filter": "filter_pcre", "args": map[string]any{"field": "MESSAGE", "re": "^failed login from (?P<IP>[0-9A-Fa-f:.]+)$"}},
			}
			switch c % 5 {
			case 0, 1:
				steps = append(steps,
					map[string]any{"action": "action_counterRaise", "args": map[string]any{"counter": label, "for": "IP", "keepSeconds": json.Number("600"), "save": "n"}},
					map[string]any{"filter": "filter_greaterOrEquals", "args": map[string]any{"field": "n", "value": json.Number("3")}, "then": "ban", "else": "report"})
			case 2:
				steps = append(steps,
					map[string]any{"action": "action_nftBan", "args": map[string]any{"IP": "IP", "nftSetIPv4": "inet pyruse ban4", "nftSetIPv6": "inet pyruse ban6", "banSeconds": json.Number("86400")}},
					map[string]any{"action": "action_log", "args": map[string]any{"message": "{IP} is banned", "level": "NOTICE"}})
			case 3:
				steps = append(steps,
					map[string]any{"filter": "filter_in", "args": map[string]any{"field": "PRIORITY", "values": []any{json.Number("0"), json.Number("1"), json.Number("2")}}},
					map[string]any{"action": "action_email", "args": map[string]any{"message": "{MESSAGE}", "subject": label}})
			default:
				steps = append(steps,
					map[string]any{"filter": "filter_lowerOrEquals", "args": map[string]any{"field": "PRIORITY", "value": json.Number("3")}, "else": "report"},
					map[string]any{"action": "action_dailyReport", "args": map[string]any{"level": "WARN", "message": "{MESSAGE}", "details": "FIRSTLAST"}})
			}
			actions[label] = steps
		}
		files = append(files, map[string]any{"actions": actions})
	}
	return files
}

// BenchmarkValidate is what chose the form of the step's definition. v5 copies the set of keys of an object for each schema that it
// applies to it, and builds an error for each "if" that fails; so what counts is how many schemas see a step, and
// how many of them fail. On one core, for all 4,000 steps (best of 10):
//
//	221 ms  allOf of 18 if/then
//	151 ms  if there is a filter, allOf of 8 if/then; else allOf of 10
//	119 ms  a chain of 18 if/then/else
//	 73 ms  dependentSchemas for filter and action, a chain of if/then/else in each
//	 71 ms  if there is a filter, a binary tree; else another
//	 66 ms  if there is a filter, a chain of 8 if/then/else, the usual ones first; else a chain of 10 (this is it)
//	 63 ms  the same with every $ref on the way written out, which makes the document three times as long
//
// For comparison: without if, then and else in the step 14 ms, and with the arguments of each step validated by
// the caller with #/$defs/NAME 26 ms.
func BenchmarkValidate(b *testing.B) {
	s := compile(b, compiler(b), FragmentID)
	files := largeConfiguration(b)
	b.ReportAllocs()
	for b.Loop() {
		for _, f := range files {
			if err := s.Validate(f); err != nil {
				b.Fatalf("%#v", err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/benchmarkSteps, "µs/step")
}

// BenchmarkCompile is what a program pays once for one of the documents.
func BenchmarkCompile(b *testing.B) {
	for b.Loop() {
		compile(b, compiler(b), FragmentID)
	}
}
