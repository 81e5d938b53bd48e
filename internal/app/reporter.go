package app

import (
	"fmt"
	"time"

	"github.com/pyruse/pyruse/internal/action"
	"github.com/pyruse/pyruse/internal/config"
	"github.com/pyruse/pyruse/internal/entry"
	"github.com/pyruse/pyruse/internal/report"
	"github.com/pyruse/pyruse/internal/state"
	"github.com/pyruse/pyruse/internal/workflow"
)

// reporter is the world of a replay that shows the report of the time that is replayed.
type reporter struct {
	options     *ReplayOptions
	report      *report.Report
	lines       int64
	first, last time.Time // of what was reported
}

var _ sink = (*reporter)(nil)

func newReporter(o *ReplayOptions) *reporter {
	return &reporter{options: o, report: report.NewReport(nil)}
}

// count counts one of a kind that the numbers of the report tell.
func (r *reporter) count(kind, name string, e *entry.Entry) {
	r.report.Numbers.Add(state.TallyKey{Kind: kind, Name: name}, 1)
	t := e.Time()
	if r.first.IsZero() || t.Before(r.first) {
		r.first = t
	}
	if t.After(r.last) {
		r.last = t
	}
}

func (r *reporter) Ban(c action.Cause, b state.Ban) error {
	r.count(state.TallyBans, b.Chain, c.Entry)
	r.report.AddBan(state.BanEvent{Time: b.Since, Addr: b.Addr, Chain: b.Chain})
	return nil
}

func (r *reporter) Refuse(c action.Cause, _ state.Ban, _ string) error {
	r.count(state.TallyRefused, c.Origin.Chain, c.Entry)
	return nil
}

func (r *reporter) Mail(c action.Cause, subject, _ string) error {
	r.count(state.TallyNotes, subject, c.Entry)
	return nil
}

func (r *reporter) Report(c action.Cause, line state.ReportLine) error {
	r.count("", "", c.Entry)
	r.lines++
	line.ID = r.lines
	r.report.Add(line)
	return nil
}

func (r *reporter) Log(action.Cause, int, string) error { return nil }

func (r *reporter) fail(e *entry.Entry, err *workflow.StepError) {
	r.count(state.TallyErrors, err.Origin.Chain, e)
}

func (r *reporter) broken() error { return nil }

// end shows the report.
func (r *reporter) end(p *program, entries int) error {
	o := r.options
	r.report.Numbers.Entries = int64(entries)
	since, until := o.Since, o.Until
	if since.IsZero() {
		since = r.first
	}
	if until.IsZero() {
		until = r.last
	}
	made, err := report.Tell(r.report, since, until, hostName(), p.templates)
	if err != nil {
		return err
	}
	if made.Fault != nil {
		if _, err := fmt.Fprintln(o.Stderr, config.Printable(made.Fault.Error())); err != nil {
			return err
		}
	}
	return writeReport(o.Stdout, o.HTML, made.Text, made.HTML)
}
