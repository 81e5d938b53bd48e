package report

import (
	"fmt"
	"slices"
	"time"

	"github.com/pyruse/pyruse/internal/mail"
	"github.com/pyruse/pyruse/internal/state"
)

// Book holds what the reports are made of, in the database.
type Book interface {
	// LastReport returns up to when the last report was, the zero time if there was none.
	LastReport() (time.Time, error)
	// Reports returns the reports that were made, without their texts, the oldest first.
	Reports() ([]state.Report, error)
	// ReportLines gives yield the lines from before a point in time that are in no report yet, in no order, until there are
	// no more or yield returns false. upTo marks the newest line that the book had then.
	ReportLines(before time.Time, yield func(state.ReportLine) bool) (upTo int64, err error)
	// LinesBetween gives yield all lines of a time that are still there.
	LinesBetween(since, until time.Time, yield func(state.ReportLine) bool) error
	// Templates returns the kinds of lines that are remembered.
	Templates() ([]state.Template, error)
	// Tally gives yield what was counted in the hours that begin in a time.
	Tally(since, until time.Time, yield func(state.TallyKey, int64)) error
	// BanEvents gives yield the bans of a time.
	BanEvents(since, until time.Time, yield func(state.BanEvent)) error
	// CloseReport ends a report: its lines do not wait any more, its mail goes into the outbox, and what it has learnt is
	// remembered: all or nothing. Lines that were added since the mark was given wait for the next one.
	CloseReport(c *state.Closing) error
	// Prune forgets what is not to be kept.
	Prune(k state.Keep) error
}

// Settings is how reports are made.
type Settings struct {
	Message    mail.Message // From, To, Subject and Host of the mail
	Calendar   *Calendar    // when
	Templates  *Templates
	MemoryDays int  // for how long kinds of lines are remembered
	KeepDays   int  // for how long reports are kept
	SendEmpty  bool // also when there is nothing new
}

// Maker makes reports out of a book.
type Maker struct {
	Book     Book
	Settings Settings
	Health   func() Health // how Pyruse is now
}

// Made is a report that is made.
type Made struct {
	Since, Until time.Time
	Lines        int
	Quiet        bool   // there is nothing new
	Summary      string // in one line
	Text, HTML   string
	Fault        error // why the administrator's own templates could not be used; the built-in ones were

	upTo        int64
	put, forget []state.Template
}

// Pending makes the report of what is in no report yet, up to a point in time. preview says that it is not the one that will be sent.
func (m *Maker) Pending(until time.Time, preview bool) (*Made, error) {
	last, err := m.Book.LastReport()
	if err != nil {
		return nil, fmt.Errorf("look up the last report: %w", err)
	}
	if last.After(until) { // made by a clock that was wrong
		last = time.Time{}
	}
	reports, err := m.Book.Reports()
	if err != nil {
		return nil, err
	}
	c := setting{since: last, until: until, pending: true, preview: preview, reports: reports, quiet: quietAtEnd(reports)}
	return m.make(c, func(r *Report) (int64, error) {
		return m.Book.ReportLines(until, func(l state.ReportLine) bool { r.Add(l); return true })
	})
}

// quietAtEnd returns the reports that were not mailed since one was.
func quietAtEnd(reports []state.Report) []state.Report {
	begin := len(reports)
	for begin > 0 && reports[begin-1].Quiet && !beforeAll(&reports[begin-1]) {
		begin--
	}
	return reports[begin:]
}

// Between makes the report of a time, of all lines of it that are still there.
func (m *Maker) Between(since, until time.Time) (*Made, error) {
	reports, err := m.Book.Reports()
	if err != nil {
		return nil, err
	}
	return m.make(setting{since: since, until: until, reports: reports}, func(r *Report) (int64, error) {
		return 0, m.Book.LinesBetween(since, until, func(l state.ReportLine) bool { r.Add(l); return true })
	})
}

// make makes a report of the lines that read adds.
func (m *Maker) make(c setting, read func(*Report) (int64, error)) (*Made, error) {
	known, err := m.Book.Templates()
	if err != nil {
		return nil, err
	}
	r := NewReport(known)
	upTo, err := read(r)
	if err != nil {
		return nil, fmt.Errorf("read the lines: %w", err)
	}
	since := c.since
	if since.IsZero() {
		if since = r.first; since.IsZero() || since.After(c.until) {
			since = c.until.AddDate(0, 0, -1)
		}
	}
	c.memory = remember(known, c.reports, since, m.Settings.MemoryDays, c.pending)
	c.activity = newActivity()
	memory := c.until.AddDate(0, 0, -m.Settings.MemoryDays)
	begin := startOfHour(since)
	err = m.Book.Tally(earlier(memory, begin), c.until, func(k state.TallyKey, n int64) {
		if k.Hour >= begin.Unix() {
			r.count(k, n)
		}
		c.activity.add(k, n)
	})
	if err != nil {
		return nil, err
	}
	if err := m.Book.BanEvents(since, c.until, r.AddBan); err != nil {
		return nil, err
	}
	c.host = m.Settings.Message.Host
	if m.Health != nil {
		c.health = m.Health()
	}
	c.commands = commands(c.until)
	made, err := finish(r, &c, m.Settings.Templates, m.Settings.Message)
	if err != nil {
		return nil, err
	}
	made.upTo = upTo
	return made, nil
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// commands says how to see more of a report.
func commands(until time.Time) []Command {
	day := until.Add(-time.Second).Local().Format(time.DateOnly)
	return []Command{
		{"every line as it was", "pyruse report --date " + day + " --raw"},
		{"the mails that wait or failed", "pyruse mail list"},
		{"what is banned", "pyruse bans"},
	}
}

// Tell makes a report that no book knows of, such as that of a replay. Of the days before, nothing is known.
func Tell(r *Report, since, until time.Time, host string, templates *Templates) (*Made, error) {
	c := &setting{host: host, since: since, until: until, memory: remember(nil, nil, until, 1, false)}
	return finish(r, c, templates, mail.Message{})
}

// finish renders a report. If the administrator's templates fail, the built-in ones are used, and the report says so.
func finish(r *Report, c *setting, templates *Templates, letter mail.Message) (*Made, error) {
	t := r.tell(c)
	made := &Made{Since: c.since, Until: c.until, Lines: r.lines, Quiet: t.quiet(), Summary: t.summary(c.until)}
	made.put, made.forget = c.memory.learn(t.groups)
	size := func(text, html string) (int, error) { return mailSize(letter, text, html) }
	var err error
	if templates != nil {
		if made.Text, made.HTML, err = t.render(templates, size); err == nil {
			return made, nil
		}
		made.Fault = fmt.Errorf("use the templates of report.templates: %w", err)
		t.view.Attention = slices.Insert(t.view.Attention, 0, "the templates of report.templates cannot be used: "+err.Error())
	}
	made.Text, made.HTML, err = t.render(Builtin(), size)
	return made, err
}

// mailSize returns how large the mail becomes, in bytes as sent: lines end in CRLF.
func mailSize(letter mail.Message, text, html string) (int, error) {
	if len(letter.To) == 0 {
		letter.To = []string{"root"}
	}
	letter.Text, letter.HTML, letter.MessageID = text, html, mail.MessageID(letter.Host, "size")
	data, err := letter.Compose()
	if err != nil {
		return 0, err
	}
	return mail.Size(data), nil
}

// Mail returns the report as a mail.
func (m *Maker) Mail(made *Made, id string, now time.Time) (state.Mail, error) {
	x := m.Settings.Message
	x.Date, x.Text, x.HTML, x.MessageID = now, made.Text, made.HTML, id
	return x.Outgoing(now)
}

// Close makes the report of the time before a point in time and ends it: its lines are reported, and its mail goes into the outbox, unless
// there is nothing new. It returns the mail that is on its way, nil if there is none.
func (m *Maker) Close(before, now time.Time) (made *Made, out *state.Mail, err error) {
	if made, err = m.Pending(before, false); err != nil {
		return nil, nil, err
	}
	first := made.Since.IsZero() && made.Lines == 0 // of a new installation: nobody wants a mail about the time before
	c := &state.Closing{Templates: made.put, Forget: made.forget, Report: state.Report{
		Since: made.Since, Until: before, UpTo: made.upTo, Made: now, Lines: made.Lines, Summary: made.Summary,
		Quiet: made.Quiet && (first || !m.Settings.SendEmpty),
	}}
	if m.Settings.KeepDays > 0 {
		c.Report.Text, c.Report.HTML = made.Text, made.HTML
	}
	if !c.Report.Quiet {
		c.Report.MessageID = mail.MessageID(m.Settings.Message.Host, "report", before.UTC().Format(time.RFC3339))
		x, err := m.Mail(made, c.Report.MessageID, now)
		if err != nil {
			return nil, nil, err
		}
		out, c.Mail = &x, &x
	}
	if err := m.Book.CloseReport(c); err != nil {
		return nil, nil, fmt.Errorf("end the report: %w", err)
	}
	return made, out, nil
}

// Prune forgets what is not to be kept any more.
func (m *Maker) Prune(now time.Time) error {
	keep := state.Keep{Reports: now.AddDate(0, 0, -m.Settings.KeepDays), Memory: now.AddDate(0, 0, -m.Settings.MemoryDays-1)}
	if err := m.Book.Prune(keep); err != nil {
		return fmt.Errorf("forget old reports: %w", err)
	}
	return nil
}
