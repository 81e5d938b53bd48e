package app

import (
	"bufio"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/pyruse/pyruse/internal/config"
	"github.com/pyruse/pyruse/internal/entry"
	"github.com/pyruse/pyruse/internal/journal"
	"github.com/pyruse/pyruse/internal/workflow"
)

// fuzzConfigs are seeds: each construct of the language once.
var fuzzConfigs = []string{
	`{"actions":{"a":[{"filter":"filter_equals","args":{"field":"PRIORITY","value":2.0},"then":"b","else":"c"}],"b":[{"action":"action_noop"}],"c":[]}}`,
	`{"actions":{"a":[{"filter":"filter_in","args":{"field":"M","values":[null,"x",1,true]}},{"filter":"filter_lowerOrEquals","args":{"field":"_UID","value":1e3}},{"filter":"filter_greaterOrEquals","args":{"field":"M","value":"x"}}]}}`,
	`{"actions":{"a":[{"filter":"filter_pcre","args":{"field":"M","re":"(?i)^(a|b)+?(?P<IP>\\d[^ ]*)(?=x)?\\b$","save":["x"]}},{"filter":"filter_pcreAny","args":{"field":"IP","re":["(?P<z>.)\\1",".*"]}},{"action":"action_log","args":{"message":"{IP!r:*^9.3}{{}}{x:>{_UID}}","level":"ERR"}}]}}`,
	`{"neverBan":["10.0.0.0/8"],"actions":{"a":[{"filter":"filter_inNetworks","args":{"field":"M","nets":["192.0.2.0/24","::/0"]}},{"action":"action_nftBan","args":{"IP":"M","nftSetIPv4":"ip a b","nftSetIPv6":"ip6 a b","banSeconds":9}},{"action":"action_ipsetBan","args":{"IP":"M","ipSetIPv4":"a","ipSetIPv6":"b"}}]}}`,
	`{"actions":{"a":[{"action":"action_counterRaise","args":{"counter":"c","for":"M","keepSeconds":60,"save":"n"}},{"action":"action_counterReset","args":{"counter":"c","for":"n","graceSeconds":1}},{"action":"action_email","args":{"message":"{n:08.2f}{__REALTIME_TIMESTAMP:%c}"}},{"action":"action_dailyReport","args":{"level":"OTHER","message":"{MESSAGE_ID}"}}]}}`,
	`{"actions":{"a":[{"action":"action_dnatCapture","args":{"saddr":"M","sport":"_UID","addrValue":"::1","port":"P","portValue":1}},{"action":"action_dnatReplace","args":{"addr":"M","port":"P","saddrInto":"x","sportInto":"M"}}]}}`,
	"// \n{\"8bit-message-encoding\":\"utf_16\",\"limits\":{\"dnat\":1,\"counterKeys\":1},\"email\":{\"to\":[]},\"actions\":{\"\":[{},null]},}",
	`{"actions":{"a":[{"action":"action_noop","then":"b"}],"b":[{"action":"action_noop","then":"a"}]}}`,
}

var fuzzEntries = []string{
	`{"__REALTIME_TIMESTAMP":"1795334461000000","M":"ab1x","_UID":"1000","PRIORITY":"2","MESSAGE_ID":"39f53479d3a045ac8e11786248231fbf"}`,
	`{"__REALTIME_TIMESTAMP":"1795334462000000","M":[195,40,255],"P":["1","2"],"_UID":null}`,
	`{"__REALTIME_TIMESTAMP":"0","M":"::ffff:192.0.2.1%eth0"}`,
	`{"__REALTIME_TIMESTAMP":"9223372036854775807","M":"\ud800\u0000","_UID":-9223372036854775808}`,
	"\x1e{}\n[]\n{\"__REALTIME_TIMESTAMP\":1,\"M\":{\"a\":[]}}",
}

// compiled returns what `replay` would run, nil if the configuration has errors.
func compiled(t *testing.T, source []byte, out io.Writer) (*program, *printer, *config.Diagnostics) {
	t.Helper()
	var diags config.Diagnostics
	cfg := config.Read(config.NewFile("fuzz.json", source), &diags)
	if cfg == nil {
		return nil, nil, &diags
	}
	p := newProgram(cfg, &diags)
	printer := newPrinter(bufio.NewWriter(out), JSON, false)
	world, err := replayWorld(&p.cfg.Settings, printer)
	if err != nil {
		t.Fatalf("a world of checked settings: %v", err)
	}
	p.compile(world, &diags)
	return p, printer, &diags
}

// FuzzConfig reads and compiles any bytes: it must not panic, what is said about them must be bounded, and
// a configuration without errors must have a graph.
func FuzzConfig(f *testing.F) {
	for _, s := range fuzzConfigs {
		f.Add([]byte(s))
	}
	f.Add([]byte("\ufeff{}"))
	f.Add([]byte("{\"actions\":\xff}"))
	f.Add([]byte(strings.Repeat("[", 200)))
	f.Add([]byte(`{"a":"\ud800","a":"/*"}/*`))
	f.Fuzz(func(t *testing.T, source []byte) {
		p, _, diags := compiled(t, source, io.Discard)
		if diags.HasErrors() != (p == nil || p.graph == nil) {
			t.Fatalf("errors: %v, but the graph is %v", diags.Sorted(), p)
		}
		var text strings.Builder
		if err := diags.WriteText(&text, false); err != nil {
			t.Fatal(err)
		}
		// A fault needs a byte of its own, and shows at most an excerpt, its message, and a hint.
		if bound := 4096 + 64*1024*len(source); text.Len() > bound {
			t.Errorf("%d bytes of diagnostics for %d bytes", text.Len(), len(source))
		}
		for _, d := range diags.Sorted() {
			if d.Pos.File != nil && len(d.Pos.File.Data) > 0 && (d.Pos.Start < 0 || d.Pos.End > len(source) || d.Pos.Start > d.Pos.End) {
				t.Errorf("%q is at bytes %d to %d of %d", d.Message, d.Pos.Start, d.Pos.End, len(source))
			}
		}
	})
}

// FuzzEntries reads any bytes as entries, and asks each for fields of all types.
func FuzzEntries(f *testing.F) {
	for _, s := range fuzzEntries {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		names := entry.NewNames(nil)
		var slots []entry.Slot
		for _, name := range []string{"M", "P", "_UID", "MESSAGE_ID", "COREDUMP_TIMESTAMP", entry.RealtimeField} {
			slots = append(slots, names.Slot(name))
		}
		e := entry.New(names)
		lines := journal.NewLines(strings.NewReader(string(input)), 1<<16)
		for n := 0; ; n++ {
			ok, err := lines.Next()
			var bad *journal.LineError
			if errors.As(err, &bad) {
				continue
			}
			if err != nil {
				t.Fatalf("a reader that never fails failed: %v", err)
			}
			if !ok {
				return
			}
			if n > len(input) {
				t.Fatal("more entries than bytes")
			}
			e.Reset(lines, lines.UnixMicro())
			for _, s := range slots {
				if text := e.Get(s).Text(); strings.ToValidUTF8(text, "") != text {
					t.Errorf("field %s is not UTF-8: %q", names.Name(s), text)
				}
			}
		}
	})
}

// FuzzCompileAndRun sends any entry through any configuration: no panic, which Run would tell as an
// "internal error", and every error belongs to a step.
func FuzzCompileAndRun(f *testing.F) {
	for _, c := range fuzzConfigs {
		for _, e := range fuzzEntries {
			f.Add([]byte(c), []byte(e))
		}
	}
	f.Fuzz(func(t *testing.T, source, input []byte) {
		p, printer, diags := compiled(t, source, io.Discard)
		if diags.HasErrors() {
			return
		}
		lines := journal.NewLines(strings.NewReader(string(input)), 1<<16)
		e := entry.New(p.names)
		for {
			ok, err := lines.Next()
			var bad *journal.LineError
			if errors.As(err, &bad) {
				continue
			}
			if err != nil || !ok {
				break
			}
			e.Reset(lines, lines.UnixMicro())
			p.graph.Run(e, func(err *workflow.StepError) {
				if err.Origin.Step < 0 || strings.Contains(err.Error(), "internal error") {
					t.Errorf("%v", err)
				}
				printer.fail(e, err)
			})
		}
		if printer.err != nil {
			t.Errorf("print: %v", printer.err)
		}
	})
}
