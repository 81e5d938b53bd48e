package app

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/pyruse/pyruse/internal/action"
	"github.com/pyruse/pyruse/internal/config"
	"github.com/pyruse/pyruse/internal/entry"
	"github.com/pyruse/pyruse/internal/state"
	"github.com/pyruse/pyruse/internal/workflow"
)

// effect is one effect as `replay --format json` prints it. What a kind of effect does not have is left out.
type effect struct {
	Effect string `json:"effect"`
	Time   string `json:"time"` // RFC 3339 in UTC: the time of the entry
	Chain  string `json:"chain"`
	Step   int    `json:"step"` // from 0

	Backend string `json:"backend,omitempty"`
	Set     string `json:"set,omitempty"`
	IP      string `json:"ip,omitempty"`
	Seconds *int64 `json:"seconds,omitempty"` // 0: for ever
	Reason  string `json:"reason,omitempty"`

	Subject *string `json:"subject,omitempty"`
	Text    *string `json:"text,omitempty"`

	Level   string  `json:"level,omitempty"`
	Message *string `json:"message,omitempty"`
	Details string  `json:"details,omitempty"`

	Error string `json:"error,omitempty"`
}

// printer is the world of a replay: it prints the effects.
type printer struct {
	out    *bufio.Writer
	enc    *json.Encoder // nil: text
	colour bool
	err    error // of the first write that failed
	count  struct{ bans, refused, mails, reports, logs, errors int }
}

var _ sink = (*printer)(nil)

func newPrinter(out *bufio.Writer, format Format, colour bool) *printer {
	p := &printer{out: out, colour: colour}
	if format == JSON {
		p.enc = json.NewEncoder(out)
		p.enc.SetEscapeHTML(false)
	}
	return p
}

func newEffect(name string, e *entry.Entry, o workflow.Origin) effect {
	return effect{Effect: name, Time: e.Time().UTC().Format(time.RFC3339Nano), Chain: o.Chain, Step: o.Step}
}

// print writes one effect: as JSON, or as a line of text with the given tail.
func (p *printer) print(e *entry.Entry, x effect, colour, tail string) error {
	if p.err != nil {
		return nil
	}
	if p.enc != nil {
		p.err = p.enc.Encode(x)
		return nil
	}
	name := fmt.Sprintf("%-7s", x.Effect)
	if p.colour {
		name = "\x1b[" + colour + "m" + name + "\x1b[0m"
	}
	_, p.err = fmt.Fprintf(p.out, "%s  %s  %s[%d]  %s\n", entry.FormatTime(e.UnixMicro()), name, config.Printable(x.Chain), x.Step, tail)
	return nil
}

func (p *printer) Ban(c action.Cause, b state.Ban) error {
	p.count.bans++
	x := newEffect("ban", c.Entry, c.Origin)
	seconds := int64(0)
	length := "for ever"
	if !b.Until.IsZero() {
		seconds = int64(b.Until.Sub(b.Since) / time.Second)
		length = "for " + shortDuration(b.Until.Sub(b.Since))
	}
	x.Backend, x.Set, x.IP, x.Seconds = b.Backend, b.Set, b.Addr.String(), &seconds
	return p.print(c.Entry, x, "1;31", fmt.Sprintf("%s in %s %q %s", x.IP, x.Backend, x.Set, length))
}

func (p *printer) Refuse(c action.Cause, b state.Ban, reason string) error {
	p.count.refused++
	x := newEffect("refused", c.Entry, c.Origin)
	x.IP, x.Reason = b.Addr.String(), reason
	return p.print(c.Entry, x, "33", fmt.Sprintf("%s is not banned: %s", x.IP, reason))
}

func (p *printer) Mail(c action.Cause, subject, text string) error {
	p.count.mails++
	x := newEffect("mail", c.Entry, c.Origin)
	x.Subject, x.Text = &subject, &text
	return p.print(c.Entry, x, "1;36", config.Printable(subject)+": "+oneLine(text))
}

func (p *printer) Report(c action.Cause, line state.ReportLine) error {
	p.count.reports++
	x := newEffect("report", c.Entry, c.Origin)
	x.Level, x.Message, x.Details = reportLevelName(line.Level), &line.Message, line.Details
	return p.print(c.Entry, x, "34", fmt.Sprintf("%s %s", x.Level, oneLine(line.Message)))
}

func (p *printer) Log(c action.Cause, priority int, message string) error {
	p.count.logs++
	x := newEffect("log", c.Entry, c.Origin)
	x.Level, x.Message = logLevelName(priority), &message
	return p.print(c.Entry, x, "35", fmt.Sprintf("%s %s", x.Level, oneLine(message)))
}

// fail prints the run-time error of a step.
func (p *printer) fail(e *entry.Entry, err *workflow.StepError) {
	p.count.errors++
	x := newEffect("error", e, err.Origin)
	x.Error = err.Err.Error()
	_ = p.print(e, x, "1;33", oneLine(x.Error)) // print keeps its error
}

func (p *printer) broken() error { return p.err }

// end prints the last line.
func (p *printer) end(_ *program, entries int) error {
	if p.err == nil {
		p.summary(entries)
	}
	return p.err
}

func (p *printer) summary(entries int) {
	c := &p.count
	if p.enc == nil {
		_, p.err = fmt.Fprintf(p.out, "%d entries: %d bans (%d more refused), %d mails, %d report lines, %d log lines, %d errors\n",
			entries, c.bans, c.refused, c.mails, c.reports, c.logs, c.errors)
		return
	}
	p.err = p.enc.Encode(struct {
		Effect  string `json:"effect"`
		Entries int    `json:"entries"`
		Bans    int    `json:"bans"`
		Mails   int    `json:"mails"`
		Reports int    `json:"reports"`
		Logs    int    `json:"logs"`
		Errors  int    `json:"errors"`
	}{"summary", entries, c.bans, c.mails, c.reports, c.logs, c.errors})
}

func reportLevelName(level int) string { return nameOf(action.ReportLevels, level) }

func logLevelName(priority int) string { return nameOf(action.LogLevels, priority) }

func nameOf(names map[string]int, value int) string {
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if names[name] == value {
			return name
		}
	}
	return fmt.Sprint(value)
}

// oneLine returns a text of any origin so that it is one line and cannot steer a terminal.
func oneLine(s string) string {
	return config.Printable(strings.ReplaceAll(strings.TrimRight(s, "\n"), "\n", " | "))
}

// shortDuration writes a length of time as days, hours, minutes and seconds: "3d2h".
func shortDuration(d time.Duration) string {
	if d < time.Second {
		return d.String()
	}
	var b strings.Builder
	for _, unit := range []struct {
		length time.Duration
		name   string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}} {
		if n := d / unit.length; n > 0 {
			fmt.Fprintf(&b, "%d%s", n, unit.name)
			d -= n * unit.length
		}
	}
	return b.String()
}

// progress shows on a terminal how far a replay is.
type progress struct {
	w     io.Writer
	shown time.Time
	from  int64 // the first entry's time
	to    int64
	width int
}

// progressEvery bounds how often the line is written anew.
const progressEvery = 200 * time.Millisecond

func newProgress(o *ReplayOptions) *progress {
	if !o.Progress {
		return &progress{}
	}
	p := &progress{w: o.Stderr, shown: time.Now(), to: time.Now().UnixMicro()}
	if !o.Until.IsZero() {
		p.to = min(p.to, o.Until.UnixMicro())
	}
	return p
}

func (p *progress) at(usec int64, entries int) {
	if p.w == nil || entries%256 != 1 {
		return
	}
	if p.from == 0 {
		p.from = usec
	}
	if time.Since(p.shown) < progressEvery {
		return
	}
	p.shown = time.Now()
	done := 1.0
	if p.to > p.from {
		done = min(1, float64(usec-p.from)/float64(p.to-p.from))
	}
	const cells = 30
	bar := strings.Repeat("█", int(done*cells)) + strings.Repeat("░", cells-int(done*cells))
	line := fmt.Sprintf("%s %3.0f %%  %d entries, at %s", bar, done*100, entries, entry.FormatTime(usec/1e6*1e6))
	p.width = len([]rune(line))
	_, _ = fmt.Fprintf(p.w, "\r%s\x1b[K", line) // only a help for the eye
}

// clear removes the line.
func (p *progress) clear() {
	if p.width > 0 {
		_, _ = fmt.Fprint(p.w, "\r\x1b[K") // only a help for the eye
		p.width = 0
	}
}
