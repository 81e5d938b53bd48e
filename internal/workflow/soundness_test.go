package workflow_test

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/pyruse/pyruse/internal/config"
	"github.com/pyruse/pyruse/internal/entry"
	"github.com/pyruse/pyruse/internal/workflow"
)

// Parts of random configurations: few fields and few values, so that questions meet.
var (
	someFields = []string{"A", "PRIORITY", "_UID", "_SYSTEMD_UNIT", "MESSAGE_ID", "x", "n", "N"}
	someValues = []string{`0`, `1`, `2`, `3`, `1.5`, `2.0`, `-1`, `"a"`, `"b"`, `"ab"`, `""`, `"1"`, `null`, `true`, `"fc2e22bc6ee647b6b90729ab34a250b1"`}
	someBounds = []string{`0`, `1`, `2`, `3`, `1.5`, `2.0`, `-1`, `1e300`, `"a"`, `"ab"`, `"b"`, `""`}
	someRegexp = []string{`a`, `b`, `^$`, `.*`, `(?P<x>a)`, `(?P<x>a)|b`, `(?P<A>b*)`, `(?P<PRIORITY>1)`, `[0-9]`}
	someNets   = []string{`"192.0.2.0/24"`, `"0.0.0.0/0"`}
	someTexts  = []string{"a", "b", "ab", "1", "", "0", "2", "192.0.2.1", "x", "fc2e22bc-6ee6-47b6-b907-29ab34a250b1", "FC2E22BC6EE647B6B90729AB34A250B1"}
)

const banStep = `"action": "action_nftBan", "args": {"IP": "A", "nftSetIPv4": "inet pyruse ban4", "nftSetIPv6": "inet pyruse ban6"}`

func randomStep(t *rapid.T, chain, chains int) string {
	pick := func(list []string, what string) string { return rapid.SampledFrom(list).Draw(t, what) }
	field := pick(someFields, "field")
	var step string
	isFilter := true
	switch rapid.IntRange(0, 12).Draw(t, "kind") {
	case 0, 1:
		step = fmt.Sprintf(`"filter": "filter_equals", "args": {"field": %q, "value": %s}`, field, pick(someValues, "value"))
	case 2, 3:
		values := rapid.SliceOfN(rapid.SampledFrom(someValues), 0, 4).Draw(t, "values")
		step = fmt.Sprintf(`"filter": "filter_in", "args": {"field": %q, "values": [%s]}`, field, strings.Join(values, ", "))
	case 4, 5:
		step = fmt.Sprintf(`"filter": "filter_lowerOrEquals", "args": {"field": %q, "value": %s}`, field, pick(someBounds, "value"))
	case 6, 7:
		step = fmt.Sprintf(`"filter": "filter_greaterOrEquals", "args": {"field": %q, "value": %s}`, field, pick(someBounds, "value"))
	case 8:
		step = fmt.Sprintf(`"filter": "filter_pcre", "args": {"field": %q, "re": %q}`, field, pick(someRegexp, "re"))
	case 9:
		step = fmt.Sprintf(`"filter": "filter_pcreAny", "args": {"field": %q, "re": [%q, %q]}`, field, pick(someRegexp, "re"), pick(someRegexp, "re"))
	case 10:
		step = fmt.Sprintf(`"filter": "filter_inNetworks", "args": {"field": %q, "nets": [%s]}`, field, pick(someNets, "net"))
	default:
		isFilter = false
		step = pick([]string{
			`"action": "action_noop"`,
			banStep,
			`"action": "action_counterRaise", "args": {"counter": "c", "for": "A", "save": "n"}`,
			`"action": "action_counterRaise", "args": {"counter": "c", "for": "_UID", "save": "PRIORITY"}`,
			`"action": "action_counterReset", "args": {"counter": "c", "for": "A", "save": "n", "graceSeconds": 2}`,
			`"action": "action_dnatCapture", "args": {"saddr": "A", "addrValue": "192.0.2.1"}`,
			`"action": "action_dnatReplace", "args": {"addr": "N", "saddrInto": "x", "sportInto": "n"}`,
		}, "action")
	}
	for _, key := range []string{"then", "else"} {
		if key == "else" && !isFilter || rapid.IntRange(0, 3).Draw(t, "linked") > 0 {
			continue
		}
		to := rapid.IntRange(0, chains-1).Draw(t, "to")
		if rapid.IntRange(0, 3).Draw(t, "forward") > 0 && chain+1 < chains { // few loops
			to = rapid.IntRange(chain+1, chains-1).Draw(t, "to")
		}
		step += fmt.Sprintf(`, %q: "c%d"`, key, to)
	}
	return "{" + step + "}"
}

func randomConfig(t *rapid.T) string {
	chains := rapid.IntRange(1, 6).Draw(t, "chains")
	var b strings.Builder
	b.WriteString(`{"actions": {`)
	for c := range chains {
		var steps []string
		for range rapid.IntRange(0, 4).Draw(t, "steps") {
			steps = append(steps, randomStep(t, c, chains+1))
		}
		fmt.Fprintf(&b, "\n  \"c%d\": [\n    %s\n  ],", c, strings.Join(steps, ",\n    "))
	}
	fmt.Fprintf(&b, "\n  \"c%d\": [{%s}],", chains, banStep)
	b.WriteString("\n}}")
	return b.String()
}

type someEntry map[string]string

func (e someEntry) Field(name string) ([]byte, bool) {
	v, ok := e[name]
	return []byte(v), ok
}

func (someEntry) Cursor() string { return "" }

// drawSome adds some of the named fields to an entry.
func drawSome(t *rapid.T, e someEntry, names ...string) someEntry {
	for _, name := range names {
		if rapid.Bool().Draw(t, "has "+name) {
			e[name] = rapid.SampledFrom(someTexts).Draw(t, name)
		}
	}
	return e
}

// sendSome sends 40 entries through the workflow, one each second.
func sendSome(t *rapid.T, g *workflow.Graph, names *entry.Names, draw func() someEntry) {
	t.Helper()
	e := entry.New(names)
	for i := range 40 {
		e.Reset(draw(), int64(i)*1_000_000)
		g.Run(e, func(*workflow.StepError) {})
	}
}

// TestSoundness holds what the analysis says against what entries do: a filter that can only pass, or only fail, never does
// otherwise, and nothing gets to a chain that is never reached.
func TestSoundness(t *testing.T) {
	told := 0
	rapid.Check(t, func(t *rapid.T) {
		source := randomConfig(t)
		g, _, names, diags := compile(t, source)
		if g == nil {
			return // a loop
		}
		only := map[string]string{}
		unreached := map[string]bool{}
		for _, d := range diags.Sorted() {
			switch d.Code {
			case config.CodeConstantFilter:
				origin, rest, _ := strings.Cut(d.Message, ": the filter can only ")
				only[origin], _, _ = strings.Cut(rest, ":")
				told++
			case config.CodeUnreachableChain:
				unreached[strings.Split(d.Message, `"`)[1]] = true
			}
		}
		g.Watch(func(o workflow.Origin, passed bool) {
			if unreached[o.Chain] {
				t.Fatalf("%s is reached\n%s", o, source)
			}
			if want := only[o.String()]; want == "pass" && !passed || want == "fail" && passed {
				t.Fatalf("%s can only %s, but does not\n%s", o, want, source)
			}
		})
		g.WatchBans(names, func(workflow.Origin) {})
		sendSome(t, g, names, func() someEntry {
			return drawSome(t, someEntry{}, "A", "PRIORITY", "_UID", "_SYSTEMD_UNIT", "MESSAGE_ID", "N")
		})
	})
	if told == 0 {
		t.Error("nothing was told")
	}
	t.Logf("%d filters that decide the same", told)
}

// TestForgeableBansAreTold sends entries of ordinary users: those that get to a ban must have been warned of.
func TestForgeableBansAreTold(t *testing.T) {
	told := 0
	rapid.Check(t, func(t *rapid.T) {
		source := randomConfig(t)
		g, _, names, diags := compile(t, source)
		if g == nil {
			return // a loop
		}
		warned := map[string]bool{}
		for _, d := range diags.Sorted() {
			if d.Code == config.CodeForgeableBan {
				origin, _, _ := strings.Cut(d.Message, ": any local user")
				warned[origin] = true
				told++
			}
		}
		g.WatchBans(names, func(o workflow.Origin) {
			if !warned[o.String()] {
				t.Fatalf("an ordinary user gets to %s\n%s", o, source)
			}
		})
		sendSome(t, g, names, func() someEntry {
			fields := someEntry{"_UID": rapid.SampledFrom([]string{"1000", "1001", "65534"}).Draw(t, "_UID")}
			if unit := rapid.SampledFrom([]string{"", "user@1000.service", "session-1.scope"}).Draw(t, "_SYSTEMD_UNIT"); unit != "" {
				fields["_SYSTEMD_UNIT"] = unit
			}
			return drawSome(t, fields, "A", "PRIORITY", "MESSAGE_ID", "N")
		})
	})
	if told == 0 {
		t.Error("nothing was told")
	}
	t.Logf("%d bans that can be forged", told)
}
