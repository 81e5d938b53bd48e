package app

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"time"

	"github.com/pyruse/pyruse/internal/config"
	"github.com/pyruse/pyruse/internal/control"
	"github.com/pyruse/pyruse/internal/mail"
	"github.com/pyruse/pyruse/internal/report"
	"github.com/pyruse/pyruse/internal/state"
)

// ReportOptions say which report is shown, and how.
type ReportOptions struct {
	Source Source
	Date   string    // 2006-01-02; "": no date
	Since  time.Time // with Until: a time; both zero: what was not reported yet
	Until  time.Time
	Raw    bool   // the lines as they were
	HTML   string // the file that the HTML is written to, "-" is Stdout; "": the text is printed
	Send   bool   // mail it; it is shown only with Text or HTML
	Text   bool   // with Send: print the text, too
	Format Format // of Raw and Send
	Stdout io.Writer
	Stderr io.Writer
	Colour bool // of Stderr
}

// ShowReport shows a report, or mails it.
func ShowReport(ctx context.Context, o ReportOptions) error {
	debug.SetGCPercent(gcPercent) // a big day has much to keep
	p := control.Period{Date: o.Date, Since: o.Since, Until: o.Until}
	if o.Send {
		if err := o.send(ctx, p); err != nil || !o.Text && o.HTML == "" {
			return err
		}
	}
	there, err := readState(o.Source, o.Stderr, o.Colour, func(db *state.DB, l *loaded) error {
		if o.Raw {
			return o.raw(db, p)
		}
		found, err := newArchive(db, l).find(p, time.Now(), !o.Send)
		if err != nil {
			return err
		}
		for _, remark := range found.remarks {
			if _, err := fmt.Fprintln(o.Stderr, config.Printable(remark)); err != nil {
				return err
			}
		}
		return writeReport(o.Stdout, o.HTML, found.text, found.html)
	})
	if err == nil && !there {
		return errNoState
	}
	return err
}

// writeReport writes the text of a report, or its HTML into a file.
func writeReport(stdout io.Writer, file, text, html string) error {
	switch file {
	case "":
		_, err := io.WriteString(stdout, text)
		return err
	case "-":
		_, err := io.WriteString(stdout, html)
		return err
	}
	const mode = 0o600 // what logs say is not for everybody
	if err := os.WriteFile(file, []byte(html), mode); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

// archive is what a database knows of reports.
type archive struct {
	db       *state.DB
	settings *config.Settings
	maker    report.Maker
}

func newArchive(db *state.DB, l *loaded) *archive {
	c := &l.prog.cfg.Settings
	return &archive{db, c, report.Maker{
		Book: db, Settings: reportSettings(l), Health: func() report.Health { return health(db, l) },
	}}
}

// found is a report of the archive.
type found struct {
	text, html, summary string
	remarks             []string // what is to be known of it
}

func fromMade(m *report.Made) *found {
	f := &found{text: m.Text, html: m.HTML, summary: m.Summary}
	if m.Fault != nil {
		f.remarks = append(f.remarks, m.Fault.Error())
	}
	return f
}

// find returns the report that is meant: as it was mailed where it is kept, else made anew of the lines that are still there. preview is
// for what was not reported yet: the report says that it is not the one of the day.
func (a *archive) find(p control.Period, now time.Time, preview bool) (*found, error) {
	since, until, err := span(p, now)
	if err != nil {
		return nil, err
	}
	if since.IsZero() && until.IsZero() {
		made, err := a.maker.Pending(now, preview)
		if err != nil {
			return nil, err
		}
		return fromMade(made), nil
	}
	if p.Date != "" {
		return a.ofDay(p.Date, since, until)
	}
	return a.between(since, until)
}

func (a *archive) between(since, until time.Time) (*found, error) {
	made, err := a.maker.Between(since, until)
	if err != nil {
		return nil, err
	}
	return fromMade(made), nil
}

// ofDay returns the one report of a day, or makes that of the day if there are several, or none.
func (a *archive) ofDay(date string, since, until time.Time) (*found, error) {
	list, err := a.of(since, until)
	if err != nil {
		return nil, err
	}
	if len(list) == 1 {
		r, ok, err := a.db.ReportText(list[0].ID)
		if err != nil {
			return nil, err
		}
		if ok && r.Text != "" {
			return &found{text: r.Text, html: r.HTML, summary: r.Summary}, nil
		}
		since, until = r.Since, r.Until // which is no whole day, if report.at is not midnight
	}
	if err := gone(list); err != nil {
		return nil, err
	}
	f, err := a.between(since, until)
	if err != nil {
		return nil, err
	}
	why := "no report of %s is kept"
	if len(list) > 1 {
		why = fmt.Sprintf("there are %d reports of %%s", len(list))
	}
	f.remarks = append(f.remarks, fmt.Sprintf(why+"; this one is made now, of the lines that are still there", date))
	return f, nil
}

// gone returns an error if reports had lines, and none is kept any more.
func gone(list []state.Report) error {
	lines, kept := 0, 0
	for i := range list {
		lines += list[i].Lines
		kept += list[i].Kept
	}
	if lines == 0 || kept > 0 {
		return nil
	}
	return fmt.Errorf("the %s of that day's report are not kept any more (report.keepDays, limits.reportLines)", config.Count(lines, "line"))
}

// of returns the reports that ended in a time, its end included and its beginning not.
func (a *archive) of(since, until time.Time) ([]state.Report, error) {
	all, err := a.db.Reports()
	var list []state.Report
	for _, r := range all {
		if r.Until.After(since) && !r.Until.After(until) {
			list = append(list, r)
		}
	}
	return list, err
}

// span returns the time that is meant; both are zero for what was not reported yet.
func span(p control.Period, now time.Time) (since, until time.Time, err error) {
	if p.Date != "" {
		if since, err = time.ParseInLocation(time.DateOnly, p.Date, time.Local); err != nil {
			return since, until, fmt.Errorf("the date is %q; it must be of the form 2006-01-02", p.Date)
		}
		if since.After(now) {
			return since, until, fmt.Errorf("%s is still to come", p.Date)
		}
		return since, since.AddDate(0, 0, 1), nil
	}
	since, until = p.Since, p.Until
	if until.IsZero() && !since.IsZero() {
		until = now
	}
	if !since.Before(until) && !until.IsZero() {
		return since, until, errors.New("the report would end before it begins")
	}
	return since, until, nil
}

// rawLine is a line of the report as `report --raw --format json` prints it.
type rawLine struct {
	Time    string `json:"time"` // RFC 3339 in UTC
	Level   string `json:"level"`
	Message string `json:"message"`
	Details string `json:"details"`
	Service string `json:"service,omitempty"`
	Unit    string `json:"unit,omitempty"`
}

// raw prints the lines of a report as they were, in the order of their times.
func (o *ReportOptions) raw(db *state.DB, p control.Period) error {
	out := bufio.NewWriterSize(o.Stdout, 64<<10)
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	var fault error
	show := func(l state.ReportLine) bool {
		if o.Format == JSON {
			fault = enc.Encode(rawLine{
				l.Time.UTC().Format(time.RFC3339Nano), reportLevelName(l.Level), l.Message, l.Details, l.Service, l.Unit,
			})
		} else {
			_, fault = fmt.Fprintf(out, "%s  %-5s  %s\n", report.FormatTime(l.Time), reportLevelName(l.Level), oneLine(l.Message))
		}
		return fault == nil
	}
	since, until, err := span(p, time.Now())
	switch {
	case err != nil:
		return err
	case since.IsZero() && until.IsZero():
		err = db.PendingLines(show)
	case p.Date != "":
		err = rawOfDay(db, since, until, show)
	default:
		err = db.LinesBetween(since, until, show)
	}
	return errors.Join(err, fault, out.Flush())
}

// rawOfDay gives show the lines of the one report of a day, or of the day if there are several, or none.
func rawOfDay(db *state.DB, since, until time.Time, show func(state.ReportLine) bool) error {
	list, err := (&archive{db: db}).of(since, until)
	if err != nil {
		return err
	}
	if err := gone(list); err != nil {
		return err
	}
	if len(list) != 1 {
		return db.LinesBetween(since, until, show)
	}
	return db.LinesOfReport(list[0], show)
}

// send has the daemon mail a report; where none is running, it puts it into the outbox.
func (o *ReportOptions) send(ctx context.Context, p control.Period) error {
	out := o.Stdout
	if o.Text || o.HTML == "-" { // the report follows there
		out = o.Stderr
	}
	said := func(summary, how string) error {
		if o.Format == JSON {
			return json.NewEncoder(out).Encode(control.Sent{Summary: summary})
		}
		_, err := fmt.Fprintf(out, "%s: %s\n", how, config.Printable(summary))
		return err
	}
	l, err := mustLoad(o.Source, noWorld, o.Stderr, o.Colour)
	if err != nil {
		return err
	}
	return withState(ctx, o.Source, o.Stderr, o.Colour, changing,
		func(c *control.Client) error {
			summary, err := c.SendReport(ctx, p)
			if err != nil {
				return err
			}
			return said(summary, "on its way")
		},
		func(db *state.DB, _ *config.Settings) error {
			if db == nil {
				return errNoState
			}
			summary, err := newArchive(db, l).mail(p, time.Now())
			if err != nil {
				return err
			}
			return said(summary, "in the outbox, for the next start of the daemon")
		})
}

// mail puts a report into the outbox, and returns what it is about.
func (a *archive) mail(p control.Period, now time.Time) (string, error) {
	x := letter(&a.settings.Email)
	if len(x.To) == 0 {
		return "", errors.New(`there is nobody to mail to: add "email": {"to": ["…"]}`)
	}
	r, err := a.find(p, now, false)
	if err != nil {
		return "", err
	}
	x.Date, x.Text, x.HTML, x.MessageID = now, r.text, r.html, mail.MessageID(x.Host, "report by hand", now.Format(time.RFC3339Nano))
	out, err := x.Outgoing(now)
	if err != nil {
		return "", err
	}
	return r.summary, a.db.AddMail(&out)
}

// reportSettings returns how reports are made. What cannot be used was told when the configuration was loaded.
func reportSettings(l *loaded) report.Settings {
	c := &l.prog.cfg.Settings
	return report.Settings{
		Message: letter(&c.Email), Calendar: l.prog.calendar, Templates: l.prog.templates,
		MemoryDays: int(c.Report.MemoryDays), KeepDays: int(c.Report.KeepDays), SendEmpty: c.Report.SendEmpty,
	}
}

// health returns how Pyruse is, as far as a report tells it. more are problems that only the daemon knows.
func health(db *state.DB, l *loaded, more ...string) report.Health {
	h := report.Health{Problems: more, LeftOut: len(l.prog.cfg.LeftOut())}
	if p := l.problem(); p != nil {
		h.Problems = append(h.Problems, "configuration "+*p)
	}
	if err := l.prog.templatesFault; err != nil {
		h.Problems = append(h.Problems, "report.templates cannot be used: "+err.Error())
	}
	mails, err := db.Mails()
	if err != nil {
		h.Problems = append(h.Problems, err.Error())
	}
	for i := range mails {
		if m := &mails[i]; m.Failed.IsZero() {
			h.Waiting++
		} else {
			h.Failed = append(h.Failed, fmt.Sprintf("%q: %s", m.Subject, m.LastError))
		}
	}
	for i := range l.prog.cfg.Chains {
		h.Chains = append(h.Chains, l.prog.cfg.Chains[i].Label)
	}
	return h
}
