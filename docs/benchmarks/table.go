package main

import (
	"fmt"
	"io"
	"math"
	"text/tabwriter"
)

// sameCost is how much more one ban may cost beside many others: what two runs of the same
// thing differ by on a busy machine.
const sameCost = 1.25

// row is a line of the table: a figure, and what it must not exceed.
type row struct {
	figure string
	title  string
	unit   string
	most   float64 // +Inf: there is no target
	digits int
}

var none = math.Inf(1)

var rows = []row{
	{"read rate", "reading alone (libsystemd)", "entries per CPU second", none, 0},
	{"both rate", "reading and workflow", "entries per CPU second", none, 0},
	{"workflow", "workflow, the difference of the two", "µs per entry", 4, 2},
	{"workflow memory", "workflow over entries in memory", "µs per entry", 4, 2},
	{"daemon", "the whole daemon, with commits and all effects", "µs per entry", none, 2},
	{"raise 10", "counter raise, 10 live keys", "µs", 1, 3},
	{"raise 10000", "counter raise, 10,000 live keys", "µs", 1, 3},
	{"raise 1000000", "counter raise, 1,000,000 live keys", "µs", 1, 3},
	{"counter bytes", "memory of a counter, 1,000,000 live keys", "bytes", 200, 0},
	{"ban 0", "one more ban, none running", "µs", none, 0},
	{"ban 100000", "one more ban, 100,000 running", "µs", none, 0},
	{"ban ratio", "the second to the first", "times", sameCost, 2},
	{"storm", "storm of 10,000 bans, kernel and state", "µs per ban", 20, 1},
	{"storm elapsed", "the same, on the clock", "µs per ban", none, 1},
	{"restore", "boot with 100,000 bans", "s", 2, 2},
	{"restore elapsed", "the same, on the clock", "s", none, 2},
	{"load", "loading 200 fragments with 1,000 chains", "ms", none, 0},
	{"load elapsed", "the same, on the clock", "ms", 200, 0},
	{"report", "report of a big day", "s", none, 2},
	{"report elapsed", "the same, on the clock", "s", 10, 2},
	{"report memory", "resident memory, peak during that report", "MiB", 200, 1},
	{"report mail", "the mail that it becomes", "MB", 1, 2},
	{"idle", "resident memory, idle", "MiB", 30, 1},
	{"caught up", "resident memory, idle again after the whole journal", "MiB", 30, 1},
	{"peak", "resident memory, peak during the whole journal", "MiB", none, 1},
}

// writeTable prints the figures and returns how many targets are missed.
func writeTable(out io.Writer, f figures, o *options) (missed int, err error) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	if _, err := fmt.Fprintf(w, "figure (median of %d rounds, CPU time)\tmeasured\ttarget\t\t\n", o.rounds); err != nil {
		return 0, fmt.Errorf("print the figures: %w", err)
	}
	for _, r := range rows {
		value, ok := f[r.figure]
		if !ok {
			return missed, fmt.Errorf("print the figures: %q was not measured", r.figure)
		}
		target, verdict := "", ""
		if !math.IsInf(r.most, 1) {
			target, verdict = fmt.Sprintf("%v", r.most), "ok"
			if value > r.most {
				verdict = "MISSED"
				missed++
			}
		}
		if _, err := fmt.Fprintf(w, "%s\t%.*f\t%s\t%s\t%s\n", r.title, r.digits, value, target, r.unit, verdict); err != nil {
			return missed, fmt.Errorf("print the figures: %w", err)
		}
	}
	return missed, w.Flush()
}
