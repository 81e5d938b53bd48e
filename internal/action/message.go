package action

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/pyruse/pyruse/internal/entry"
	"github.com/pyruse/pyruse/internal/state"
	"github.com/pyruse/pyruse/internal/workflow"
)

func asTemplateError(err error) (*entry.TemplateError, bool) {
	var e *entry.TemplateError
	ok := errors.As(err, &e)
	return e, ok
}

// choose looks a word up among those that are legal for an argument.
func choose[T any](b *workflow.Build, arg, word string, legal map[string]T) T {
	v, ok := legal[word]
	if !ok {
		b.FaultWord(arg, word, slices.Sorted(maps.Keys(legal)))
	}
	return v
}

// email mails a message.
type email struct {
	effects Effects
	origin  workflow.Origin
	message *entry.Template
	subject string
}

func newEmail(w *World, b *workflow.Build) workflow.Action {
	args := struct {
		Message string `json:"message" need:"true"`
		Subject string `json:"subject"`
	}{Subject: "Pyruse Notification"}
	if !b.Args(&args) {
		return nil
	}
	w.mails = true
	return &email{w.Effects, b.Origin, template(b, "message", args.Message), args.Subject}
}

func (a *email) Do(e *entry.Entry) error {
	e.Act()
	text, err := a.message.Render(e)
	if err != nil {
		return err
	}
	return a.effects.Mail(Cause{a.origin, e}, a.subject, text)
}

// dailyReport adds a line to the report.
type dailyReport struct {
	effects Effects
	origin  workflow.Origin
	message *entry.Template
	level   int
	details string

	// For lines of OTHER: what is known of their entries.
	service, unit, text entry.Slot
}

// ReportLevels are the levels of action_dailyReport.
var ReportLevels = map[string]int{"WARN": state.ReportWarn, "INFO": state.ReportInfo, "OTHER": state.ReportOther}

var reportDetails = map[string]string{"ALL": "ALL", "NONE": "NONE", "FIRST": "FIRST", "LAST": "LAST", "FIRSTLAST": "FIRSTLAST"}

func newDailyReport(w *World, b *workflow.Build) workflow.Action {
	args := struct {
		Level   string `json:"level" need:"true"`
		Message string `json:"message" need:"true"`
		Details string `json:"details"`
	}{Details: "ALL"}
	if !b.Args(&args) {
		return nil
	}
	w.mails = true
	a := &dailyReport{
		effects: w.Effects, origin: b.Origin, message: template(b, "message", args.Message),
		level: choose(b, "level", args.Level, ReportLevels), details: choose(b, "details", args.Details, reportDetails),
	}
	if a.level == state.ReportOther {
		a.service, a.unit, a.text = b.Slot("SYSLOG_IDENTIFIER"), b.Slot("_SYSTEMD_UNIT"), b.Slot("MESSAGE")
	}
	return a
}

func (a *dailyReport) Do(e *entry.Entry) error {
	text, err := a.message.Render(e)
	if err != nil {
		return err
	}
	line := state.ReportLine{Level: a.level, Time: e.Time(), Message: text, Details: a.details}
	if a.level == state.ReportOther {
		a.describe(e, &line)
	}
	return a.effects.Report(Cause{a.origin, e}, line)
}

// describe notes what is known of the entry of a line.
func (a *dailyReport) describe(e *entry.Entry, line *state.ReportLine) {
	line.Service, line.Unit = strings.Clone(e.Get(a.service).Str()), strings.Clone(e.Get(a.unit).Str())
	line.Acted = e.Acted()
	if message := e.Get(a.text).Str(); message != "" {
		if at := strings.Index(line.Message, message); at >= 0 {
			line.Start, line.Length = at, len(message)
		}
	}
}

// logLine writes a line to the journal.
type logLine struct {
	effects  Effects
	origin   workflow.Origin
	message  *entry.Template
	priority int
}

// LogLevels are the levels of action_log with their syslog priorities (RFC 5424, section 6.2.1).
var LogLevels = map[string]int{
	"EMERG": 0, "ALERT": 1, "CRIT": 2, "ERR": 3, "WARNING": 4, "NOTICE": 5, "INFO": 6, "DEBUG": 7,
}

func newLog(w *World, b *workflow.Build) workflow.Action {
	args := struct {
		Message string `json:"message" need:"true"`
		Level   string `json:"level"`
	}{Level: "INFO"}
	if !b.Args(&args) {
		return nil
	}
	return &logLine{w.Effects, b.Origin, template(b, "message", args.Message), choose(b, "level", args.Level, LogLevels)}
}

func (a *logLine) Do(e *entry.Entry) error {
	e.Act()
	text, err := a.message.Render(e)
	if err != nil {
		return err
	}
	return a.effects.Log(Cause{a.origin, e}, a.priority, text)
}
