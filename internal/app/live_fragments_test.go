package app_test

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pyruse/pyruse/internal/journal"
)

// TestFragmentWithAFaultIsLeftOut is about a daemon with fragments: one that has a fault, and one that depends on it, are left out
// loudly, and the rest is in force; at the start, and at a reload.
func TestFragmentWithAFaultIsLeftOut(t *testing.T) {
	s := newStation(t, `"actions": {"rest": {"order": 900, "steps": [{"action": "action_noop"}]}}`)
	s.fragment("10-drop.json", "{"+actions(dropRules(ban4, ban6, 3600))+"}")
	bad := s.fragment("20-bad.json", `{"actions": {"bad": [{"action": "action_noop"}],,}}`)
	depends := s.fragment("30-depends.json", `{"actions": {"depends": [{"action": "action_noop", "then": "bad"}]}}`)
	d := s.start()
	drop(t, "192.0.2.20")
	awaitBan(t, ban4, "192.0.2.20")
	const why = `: line 1: depends[0]: there is no chain "bad"; it may be defined in 20-bad.json, which cannot be read: mend that first`
	want := []string{"left out " + bad + ": line 1: this is not JSON: invalid character ',' at start of value", "left out " + depends + why}
	if diff := cmp.Diff(want, d.hasSaid(journal.MsgFragmentLeftOut)); diff != "" {
		t.Errorf("the log (-want +got):\n%s", diff)
	}
	problem := "left out because of faults: " + bad + ", " + depends
	if st := d.status(); len(st.Problems) != 1 || st.Problems[0] != problem {
		t.Errorf("problems %q, want %q", st.Problems, problem)
	}
	if r := s.run("check"); r.code != 2 {
		t.Errorf("check: %+v", r)
	}
	if text := s.must("config"); !strings.Contains(text, "\n// left out: "+bad+": line 1: ") || !strings.Contains(text, "\n// left out: "+depends+why) {
		t.Errorf("config does not say what is left out:\n%s", text)
	}

	// Mended, both are in force after a reload, and nothing is said of them any more.
	s.fragment("20-bad.json", `{"actions": {"bad": {"order": 800, "steps": [{"action": "action_noop"}]}}}`)
	if r := s.run("reload"); r.code != 0 || !strings.Contains(r.stdout, "and 3 fragments: 4 chains") {
		t.Errorf("reload: %+v", r)
	}
	if st := d.status(); len(st.Problems) != 0 {
		t.Errorf("problems afterwards: %q", st.Problems)
	}

	// A fault that comes with a reload: the fragment is left out, the rest is in force.
	s.fragment("20-bad.json", `{"actions": {"bad": 5}}`)
	r := s.run("reload")
	if r.code != 0 || !strings.Contains(r.stdout, bad+":1:21: error: ") || !strings.Contains(r.stdout, "2 fragments left out because of faults") {
		t.Errorf("reload: %+v", r)
	}
	s.awaitNote(d, "left out because of faults: "+bad)
	drop(t, "192.0.2.21")
	awaitBan(t, ban4, "192.0.2.21")

	// So it is at the next start.
	d.stop()
	d = s.start()
	drop(t, "192.0.2.22")
	awaitBan(t, ban4, "192.0.2.22")
	d.stop()

	// A fault in the main file stops.
	if err := os.WriteFile(s.config, []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	d = s.launch()
	<-d.exited
	if code := d.cmd.ProcessState.ExitCode(); code != 2 || !strings.Contains(d.stderr.String(), s.config+":1:2: error: this is not JSON") {
		t.Errorf("with a faulty main file: exit code %d, %s", code, d.stderr.String())
	}
}

// TestMainFileThatIsGone is about a main file that is found, not named: what is in force does not vanish with it, though fragments could do without.
func TestMainFileThatIsGone(t *testing.T) {
	s := newStation(t, actions(dropRules(ban4, ban6, 3600)))
	s.fragment("50-rest.json", `{"actions": {"rest": [{"action": "action_noop"}]}}`)
	s.found = true
	d := s.start()
	if err := os.Rename(s.config, s.config+".away"); err != nil {
		t.Fatal(err)
	}
	if r := s.run("reload", "--socket", s.socket()); r.code != 2 || !strings.Contains(r.stdout+r.stderr, s.config+", which is in force, is gone") {
		t.Errorf("reload: %+v", r)
	}
	drop(t, "192.0.2.23")
	awaitBan(t, ban4, "192.0.2.23")
	if st := d.status(); len(st.Problems) != 1 || !strings.Contains(st.Problems[0], "is gone") {
		t.Errorf("problems: %q", st.Problems)
	}
	d.stop()
}
