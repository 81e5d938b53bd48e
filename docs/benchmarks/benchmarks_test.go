package main

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMedians(t *testing.T) {
	got := medians([]figures{{"a": 3, "b": 1}, {"a": 1, "b": 2}, {"a": 100, "b": 3}, {"a": 2, "b": 4}})
	if diff := cmp.Diff(figures{"a": 2.5, "b": 2.5}, got); diff != "" {
		t.Errorf("medians (-want +got):\n%s", diff)
	}
}

func TestTableTellsWhatIsMissed(t *testing.T) {
	f := figures{}
	for _, r := range rows {
		if f[r.figure] = r.most; math.IsInf(r.most, 1) {
			f[r.figure] = 1e6
		}
	}
	o := &options{rounds: 1}
	var out bytes.Buffer
	if missed, err := writeTable(&out, f, o); missed != 0 || err != nil {
		t.Errorf("figures that just reach their targets: %d missed, error %v\n%s", missed, err, &out)
	}
	f["storm"] = 20.01
	out.Reset()
	missed, err := writeTable(&out, f, o)
	if missed != 1 || err != nil || strings.Count(out.String(), "MISSED") != 1 {
		t.Errorf("a slow storm: %d missed, error %v\n%s", missed, err, &out)
	}
	delete(f, "storm")
	if _, err := writeTable(&out, f, o); err == nil {
		t.Error("a figure that was not measured: no error")
	}
}

// The workflow asks for the same fields and has the same effects, whether a journal is read or the tape of one.
func TestWorkflowPart(t *testing.T) {
	t.Chdir(".") // prepare goes to the root of the module
	o := &options{entries: 3000, rounds: 1, work: t.TempDir()}
	if err := prepare(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	f, err := measureWorkflow(o)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"read rate", "both rate", "workflow memory"} {
		if f[name] <= 0 {
			t.Errorf("%s is %v", name, f[name])
		}
	}
}
