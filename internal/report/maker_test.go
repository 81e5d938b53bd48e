package report

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pyruse/pyruse/internal/state"
)

// usualLine is one that comes every day.
func usualLine(at time.Time) state.ReportLine {
	const message = "the usual"
	return state.ReportLine{Time: at, Message: message, Details: All, Service: "cron", Length: len(message)}
}

// closeDay closes the report of the day that begins then, and returns it with the text of its mail, "" if there is none.
func closeDay(t *testing.T, m *Maker, day time.Time) (made *Made, letter string) {
	t.Helper()
	until := day.AddDate(0, 0, 1)
	made, out, err := m.Close(until, until.Add(settle))
	if err != nil {
		t.Fatal(err)
	}
	if out != nil {
		letter = made.Text
	}
	return made, letter
}

// Days with nothing new are not mailed, but told in the next report that is, each in a line, and only there.
func TestQuietDays(t *testing.T) {
	db := openState(t)
	m := &Maker{Book: db, Settings: settings(t, "root@example.org")}
	day := time.Date(2026, 11, 1, 0, 0, 0, 0, time.Local)
	if _, letter := closeDay(t, m, day.AddDate(0, 0, -1)); letter != "" {
		t.Errorf("the first start: a mail:\n%s", letter)
	}
	var mails []string
	for n := range 7 {
		at := day.AddDate(0, 0, n)
		b := &state.Batch{Report: []state.ReportLine{usualLine(at.Add(time.Hour))}}
		switch n {
		case 2:
			b.Report = nil
		case 4:
			b.Report = append(b.Report, state.ReportLine{Level: state.ReportInfo, Time: at.Add(2 * time.Hour), Message: "information", Details: All})
		case 5:
			b.Report = nil
			b.Banned = []state.BanEvent{banEvent(at.Add(time.Hour), "192.0.2.1", "ssh")}
		}
		commit(t, db, b)
		if _, letter := closeDay(t, m, at); letter != "" {
			mails = append(mails, letter)
		}
	}
	if len(mails) != 3 {
		t.Fatalf("%d mails, want those of the first day, of the one with information, and of the one with a ban", len(mails))
	}
	const quiet = ".Quiet days before, not mailed\n....\n" +
		" 2026-11-02: nothing new: 1 line, all of 1 known kind\n 2026-11-03: nothing\n 2026-11-04: nothing new: 1 line, all of 1 known kind\n....\n"
	if !strings.Contains(mails[1], quiet) {
		t.Errorf("want %q in:\n%s", quiet, mails[1])
	}
	for _, i := range []int{0, 2} {
		if strings.Contains(mails[i], "Quiet") {
			t.Errorf("mail %d tells of quiet days:\n%s", i, mails[i])
		}
	}
	reports, err := db.Reports()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := reports[6].Summary, "2026-11-06: 1 ban, 0 lines"; got != want {
		t.Errorf("the summary of the day with a ban is %q, want %q", got, want)
	}
	if waiting, _, err := db.MailCounts(); err != nil || waiting != 3 {
		t.Errorf("%d mails wait, %v", waiting, err)
	}
}

func TestSendEmpty(t *testing.T) {
	db := openState(t)
	m := &Maker{Book: db, Settings: settings(t, "root@example.org")}
	m.Settings.SendEmpty = true
	for n, want := range []bool{false, true, true} { // the day before the first start is of no interest to anybody
		_, letter := closeDay(t, m, time.Date(2026, 11, 1+n, 0, 0, 0, 0, time.Local))
		if got := strings.Contains(letter, "\nNothing needs attention.\n"); got != want || !got && letter != "" {
			t.Errorf("day %d: %q", n, letter)
		}
	}
}

// A report that is not the one of the day changes nothing, and tells the same when it is asked for again.
func TestPreviewAndBetween(t *testing.T) {
	db := openState(t)
	m := &Maker{Book: db, Settings: settings(t, "root@example.org")}
	day := time.Date(2026, 11, 1, 0, 0, 0, 0, time.Local)
	commit(t, db, &state.Batch{Report: []state.ReportLine{usualLine(day.Add(time.Hour))}})
	closeDay(t, m, day)
	day = day.AddDate(0, 0, 1)
	fresh := usualLine(day.Add(2 * time.Hour))
	fresh.Message, fresh.Length = "something else", len("something else")
	commit(t, db, &state.Batch{Report: []state.ReportLine{usualLine(day.Add(time.Hour)), fresh}})
	preview, err := m.Pending(day.Add(12*time.Hour), true)
	if err != nil {
		t.Fatal(err)
	}
	if preview.Lines != 2 || !strings.Contains(preview.Text, "This is a preview") || !strings.Contains(preview.Text, " + 1 new kind of lines\n") {
		t.Errorf("the preview:\n%s", preview.Text)
	}
	made, letter := closeDay(t, m, day)
	if made.Lines != 2 || strings.Contains(letter, "preview") {
		t.Errorf("the report:\n%s", letter)
	}
	again, err := m.Between(day, day.AddDate(0, 0, 1))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(made.Text, again.Text); diff != "" {
		t.Errorf("the report of the day, made again, -want +got:\n%s", diff)
	}
}

// Reports of one day know what the ones before them had.
func TestHourlyReports(t *testing.T) {
	db := openState(t)
	m := &Maker{Book: db, Settings: settings(t, "root@example.org")}
	start := time.Date(2026, 11, 1, 8, 0, 0, 0, time.Local)
	var got []string
	for n := range 4 {
		at := start.Add(time.Duration(n) * time.Hour)
		commit(t, db, &state.Batch{Report: []state.ReportLine{usualLine(at)}})
		made, _, err := m.Close(at.Add(time.Hour), at.Add(time.Hour+settle))
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, made.Summary)
	}
	const usual = "2026-11-01: nothing new: 1 line, all of 1 known kind"
	want := []string{"2026-11-01: nothing is known of the days before: what is new is marked from the next report on, 1 line", usual, usual, usual}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// The report of a replay has no days before it, and does not talk of them.
func TestTell(t *testing.T) {
	r := reportOf(usualLine(today), usualLine(today.Add(time.Hour)))
	r.AddBan(banEvent(today, "192.0.2.1", "ssh"))
	r.Numbers.Entries = 3
	made, err := Tell(r, today, today.Add(2*time.Hour), "host.example.org", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{" host.example.org\n", "       3  entries seen\n", "       1  bans\n", "\n1 ban of 1 address.\n", "\n2 lines, like these:\n"} {
		if !strings.Contains(made.Text, want) {
			t.Errorf("%q is missing in:\n%s", want, made.Text)
		}
	}
	for _, not := range []string{"preview", "days before", "  new ", "To see more"} {
		if strings.Contains(made.Text, not) {
			t.Errorf("%q is in:\n%s", not, made.Text)
		}
	}
	if made.Lines != 2 || made.Fault != nil || !strings.Contains(made.HTML, "<b>host.example.org</b>") {
		t.Errorf("%d lines, %v", made.Lines, made.Fault)
	}
}

// Templates that fail on a report, or make it too large, do not keep it from the administrator.
func TestOwnTemplatesFail(t *testing.T) {
	for name, c := range map[string]struct{ template, want string }{
		"an error":  {"{{if eq .Other.Count 2}}{{index .Attention 99}}{{end}}", "report.adoc.tmpl:1:"},
		"too large": {"{{range .Other.Lines}}{{printf \"%0900000d\" 1}}{{end}}", "bytes even when it is cut as far as possible"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			writeFile(t, filepath.Join(dir, textName), c.template)
			templates, err := Load(dir)
			if err != nil {
				t.Fatal(err)
			}
			made, err := Tell(reportOf(usualLine(today), usualLine(today)), today, today.Add(time.Hour), "", templates)
			if err != nil {
				t.Fatal(err)
			}
			if made.Fault == nil || !strings.Contains(made.Fault.Error(), c.want) || !strings.HasPrefix(made.Fault.Error(), "use the templates of report.templates: ") {
				t.Errorf("the fault is %v", made.Fault)
			}
			if !strings.Contains(made.Text, "\n.NEEDS ATTENTION\n....\n ! the templates of report.templates cannot be used:") || !strings.Contains(made.Text, "\n== Warnings\n") {
				t.Errorf("the report:\n%s", made.Text)
			}
		})
	}
}

// failing is a book of which one method fails.
type failing struct {
	Book
	method string
}

var errBook = errors.New("disk full")

func (f failing) fail(method string) error {
	if f.method == method {
		return errBook
	}
	return nil
}

func (f failing) LastReport() (time.Time, error) {
	at, err := f.Book.LastReport()
	return at, errors.Join(err, f.fail("LastReport"))
}

func (f failing) Reports() ([]state.Report, error) {
	list, err := f.Book.Reports()
	return list, errors.Join(err, f.fail("Reports"))
}

func (f failing) ReportLines(before time.Time, yield func(state.ReportLine) bool) (int64, error) {
	upTo, err := f.Book.ReportLines(before, yield)
	return upTo, errors.Join(err, f.fail("ReportLines"))
}

func (f failing) LinesBetween(since, until time.Time, yield func(state.ReportLine) bool) error {
	return errors.Join(f.Book.LinesBetween(since, until, yield), f.fail("LinesBetween"))
}

func (f failing) Templates() ([]state.Template, error) {
	list, err := f.Book.Templates()
	return list, errors.Join(err, f.fail("Templates"))
}

func (f failing) Tally(since, until time.Time, yield func(state.TallyKey, int64)) error {
	return errors.Join(f.Book.Tally(since, until, yield), f.fail("Tally"))
}

func (f failing) BanEvents(since, until time.Time, yield func(state.BanEvent)) error {
	return errors.Join(f.Book.BanEvents(since, until, yield), f.fail("BanEvents"))
}

func (f failing) CloseReport(c *state.Closing) error {
	if err := f.fail("CloseReport"); err != nil {
		return err
	}
	return f.Book.CloseReport(c)
}

// Whatever the book cannot do, the report is not closed, and the next try has all of it.
func TestBookFails(t *testing.T) {
	until := today.AddDate(0, 0, 1)
	for _, method := range []string{"LastReport", "Reports", "ReportLines", "Templates", "Tally", "BanEvents", "CloseReport"} {
		t.Run(method, func(t *testing.T) {
			b := &book{}
			b.add(today, "kept")
			m := &Maker{Book: failing{b, method}, Settings: settings(t, "root@example.org")}
			if _, out, err := m.Close(until, until); !errors.Is(err, errBook) || out != nil {
				t.Errorf("mail %v, error %v", out, err)
			}
			if len(b.reports) > 0 || len(b.mails) > 0 {
				t.Errorf("%d reports, %d mails", len(b.reports), len(b.mails))
			}
			m.Book = b
			if made, out, err := m.Close(until, until); err != nil || out == nil || made.Lines != 1 {
				t.Errorf("the next try: mail %v, error %v", out, err)
			}
		})
	}
	m := &Maker{Book: failing{&book{}, "LinesBetween"}, Settings: settings(t)}
	if _, err := m.Between(today, until); !errors.Is(err, errBook) {
		t.Errorf("Between: %v", err)
	}
}

func TestPrune(t *testing.T) {
	b := &book{}
	m := &Maker{Book: b, Settings: settings(t, "root@example.org")}
	if err := m.Prune(today); err != nil {
		t.Fatal(err)
	}
	want := []state.Keep{{Reports: today.AddDate(0, 0, -14), Memory: today.AddDate(0, 0, -31)}}
	if diff := cmp.Diff(want, b.kept); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	b.pruneErr = errBook
	if err := m.Prune(today); !errors.Is(err, errBook) {
		t.Errorf("error %v", err)
	}
}

// The texts of a report are kept only if they are to be.
func TestKeepDays(t *testing.T) {
	for days, want := range map[int]bool{0: false, 1: true} {
		b := &book{}
		b.add(today, "w")
		m := &Maker{Book: b, Settings: settings(t, "root@example.org")}
		m.Settings.KeepDays = days
		closeDay(t, m, today)
		if r := b.reports[0]; (r.Text != "" && r.HTML != "") != want {
			t.Errorf("%d days: text of %d bytes, HTML of %d", days, len(r.Text), len(r.HTML))
		}
	}
}

// What comes from logs is nothing but text, wherever it stands.
func TestHostileEverywhere(t *testing.T) {
	for _, s := range append(slices.Clone(nasty), hostile) {
		r := NewReport(nil)
		for level := range 3 {
			for n := range 12 {
				l := state.ReportLine{ID: int64(n), Level: level, Time: today, Message: s + " and some letters", Details: s, Service: s, Unit: s}
				l.Length = len(l.Message)
				r.Add(l)
			}
		}
		r.AddBan(banEvent(today, "192.0.2.1", s))
		r.count(state.TallyKey{Hour: today.Unix(), Kind: state.TallyErrors, Name: s}, 1)
		checkSafe(t, r)
	}
}
