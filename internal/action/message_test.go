package action_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pyruse/pyruse/internal/action"
	"github.com/pyruse/pyruse/internal/config"
	"github.com/pyruse/pyruse/internal/entry"
	"github.com/pyruse/pyruse/internal/state"
	"github.com/pyruse/pyruse/internal/workflow"
)

// witness keeps the lines of the report, and lets everything else happen.
type witness struct{ lines []state.ReportLine }

func (w *witness) Report(_ action.Cause, l state.ReportLine) error {
	w.lines = append(w.lines, l)
	return nil
}
func (*witness) Ban(action.Cause, state.Ban) error            { return nil }
func (*witness) Refuse(action.Cause, state.Ban, string) error { return nil }
func (*witness) Mail(action.Cause, string, string) error      { return nil }
func (*witness) Log(action.Cause, int, string) error          { return nil }

// nobody guards nothing.
type nobody struct{}

func (nobody) Refuse(netip.Addr) (string, bool) { return "", false }

type fields map[string]string

func (f fields) Field(name string) ([]byte, bool) {
	v, ok := f[name]
	return []byte(v), ok
}

func (fields) Cursor() string { return "s=1" }

// linesFor returns the lines that an entry leads to, by a chain of these steps.
func linesFor(t *testing.T, steps string, src fields) []state.ReportLine {
	t.Helper()
	var diags config.Diagnostics
	cfg := config.Read(config.NewFile("pyruse.json", []byte(`{"actions": {"a": [`+steps+`]}}`)), &diags)
	names := entry.NewNames(nil)
	var w witness
	r := workflow.NewRegistry()
	action.Register(r, &action.World{Effects: &w, Guard: nobody{}, Counters: action.NewCounters(10), DNAT: action.NewDNAT(10)})
	g := workflow.Compile(cfg, r, names, &diags)
	if g == nil {
		t.Fatal(diags.Sorted())
	}
	e := entry.New(names)
	e.Reset(src, noon.UnixMicro())
	g.Run(e, func(err *workflow.StepError) { t.Error(err) })
	clear(src) // what the lines hold is their own
	e.Reset(fields{"SYSLOG_IDENTIFIER": "xxxx", "_SYSTEMD_UNIT": "xxxxxxxxxxxx", "MESSAGE": "xxxxxxxxxxxxxxxx"}, 0)
	return w.lines
}

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func report(level, message string) string {
	return `{"action": "action_dailyReport", "args": {"level": "` + level + `", "message": "` + message + `"}}`
}

// TestLinesOfOther carry what is known of their entries; others do not.
func TestLinesOfOther(t *testing.T) {
	sshd := func() fields {
		return fields{"SYSLOG_IDENTIFIER": "sshd", "_SYSTEMD_UNIT": "ssh.service", "MESSAGE": "Grüße from 192.0.2.1", "_HOSTNAME": "h", "N": "ü"}
	}
	other := state.ReportLine{Level: state.ReportOther, Details: "ALL", Service: "sshd", Unit: "ssh.service"}
	for _, c := range []struct {
		name, level, message string
		src                  fields
		want                 state.ReportLine
	}{
		{"message alone", "OTHER", "{MESSAGE}", sshd(), state.ReportLine{Message: "Grüße from 192.0.2.1", Length: 22}},
		{"message inside", "OTHER", "{N}: {MESSAGE} on {_HOSTNAME}", sshd(), state.ReportLine{Message: "ü: Grüße from 192.0.2.1 on h", Start: 4, Length: 22}},
		{"message shortened", "OTHER", "{MESSAGE:.5}", sshd(), state.ReportLine{Message: "Grüße"}},
		{"no message", "OTHER", "something", sshd(), state.ReportLine{Message: "something"}},
		{"an empty message", "OTHER", "x{MESSAGE}", fields{"MESSAGE": "", "SYSLOG_IDENTIFIER": "sshd", "_SYSTEMD_UNIT": "ssh.service"}, state.ReportLine{Message: "x"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := linesFor(t, report(c.level, c.message), c.src)
			want := other
			want.Message, want.Start, want.Length, want.Time = c.want.Message, c.want.Start, c.want.Length, noon
			if diff := cmp.Diff([]state.ReportLine{want}, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
	for level, n := range map[string]int{"WARN": state.ReportWarn, "INFO": state.ReportInfo} {
		want := []state.ReportLine{{Level: n, Time: noon, Message: "Grüße from 192.0.2.1", Details: "ALL"}}
		if diff := cmp.Diff(want, linesFor(t, report(level, "{MESSAGE}"), sshd())); diff != "" {
			t.Errorf("%s (-want +got):\n%s", level, diff)
		}
	}
	want := []state.ReportLine{{Level: state.ReportOther, Time: noon, Message: "x", Details: "ALL"}}
	if diff := cmp.Diff(want, linesFor(t, report("OTHER", "x"), fields{})); diff != "" {
		t.Errorf("an entry without any field (-want +got):\n%s", diff)
	}
}

// TestActed: a line says whether something came of its entry before.
func TestActed(t *testing.T) {
	for step, want := range map[string]bool{
		`{"action": "action_noop"}`: false,
		`{"action": "action_counterRaise", "args": {"counter": "c", "for": "IP", "keepSeconds": 60}}`:                                             true,
		`{"action": "action_counterReset", "args": {"counter": "c", "for": "IP", "graceSeconds": 60}}`:                                            true,
		`{"action": "action_nftBan", "args": {"IP": "IP", "nftSetIPv4": "inet pyruse ban4", "nftSetIPv6": "inet pyruse ban6", "banSeconds": 60}}`: true,
		`{"action": "action_ipsetBan", "args": {"IP": "IP", "ipSetIPv4": "ban4", "ipSetIPv6": "ban6", "banSeconds": 60}}`:                         true,
		`{"action": "action_dnatCapture", "args": {"saddr": "IP", "addrValue": "192.0.2.9"}}`:                                                     true,
		`{"action": "action_dnatReplace", "args": {"addr": "IP", "saddrInto": "client"}}`:                                                         false,
		`{"action": "action_email", "args": {"message": "x"}}`:                                                                                    true,
		`{"action": "action_log", "args": {"message": "x"}}`:                                                                                      true,
		report("WARN", "x"): false,
	} {
		lines := linesFor(t, step+", "+report("OTHER", "first")+", "+report("OTHER", "second"), fields{"IP": "192.0.2.1"})
		lines = lines[len(lines)-2:]
		if lines[0].Acted != want || lines[1].Acted != want {
			t.Errorf("after %s: %v, %v; want %v", step, lines[0].Acted, lines[1].Acted, want)
		}
	}
	// What comes after a line is not known to it.
	lines := linesFor(t, report("OTHER", "x")+`, {"action": "action_log", "args": {"message": "x"}}`, fields{})
	if len(lines) != 1 || lines[0].Acted {
		t.Errorf("before: %+v", lines)
	}
}
