package app_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pyruse/pyruse/internal/journal"
	"github.com/pyruse/pyruse/internal/state"
)

// parts returns the text and the HTML of a mail.
func (l letter) parts(t testing.TB) (text, html string) {
	t.Helper()
	kind, params, err := mime.ParseMediaType(l.header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		t.Fatalf("the mail is %q, %v", kind, err)
	}
	r := multipart.NewReader(strings.NewReader(l.text), params["boundary"])
	var bodies []string
	for {
		part, err := r.NextPart() // decodes quoted-printable
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(part)
		if err != nil {
			t.Fatal(err)
		}
		bodies = append(bodies, strings.ReplaceAll(string(body), "\r\n", "\n"))
	}
	if len(bodies) != 2 {
		t.Fatalf("the mail has %d parts", len(bodies))
	}
	return bodies[0], bodies[1]
}

// awaitMany waits for so many letters.
func (p postbox) awaitMany(n int) {
	p.t.Helper()
	eventually(p.t, fmt.Sprintf("%d mails have arrived", n), func() bool { return len(p.letters()) >= n })
}

// awaitReport waits until `pyruse report` has all the texts in it, and returns it.
func (s *station) awaitReport(texts ...string) string {
	s.t.Helper()
	var report string
	s.t.Cleanup(func() {
		if s.t.Failed() {
			s.t.Log(report)
		}
	})
	eventually(s.t, fmt.Sprintf("the report has %q in it", texts), func() bool {
		report = s.must("report")
		for _, text := range texts {
			if !strings.Contains(report, text) {
				return false
			}
		}
		return true
	})
	return report
}

const preview = "This is a preview"

// busyRules let entries ban, mail, be reported, and make steps fail.
func busyRules(p postbox) string {
	fails := `"fails": [
	{"filter": "filter_equals", "args": {"field": "SYSLOG_IDENTIFIER", "value": "fails"}},
	{"filter": "filter_pcre", "args": {"field": "MESSAGE", "re": "^(?P<IP>.*)$"}, "allow": ["loose-address: it is to fail"]},
	{"action": "action_nftBan", "args": {"IP": "IP", "nftSetIPv4": "inet pyruse ban4", "nftSetIPv6": "inet pyruse ban6"}, "allow": ["forgeable-ban: it is to fail"]}
]`
	return strings.Replace(p.members(), `"alarm": [`, dropRules(ban4, ban6, 3600)+",\n"+fails+",\n\"alarm\": [", 1)
}

// TestReportShowsWhatIsPending holds that it is the same with the daemon and without, and that nothing changes by looking.
func TestReportShowsWhatIsPending(t *testing.T) {
	p := newPostbox(t)
	s := newStation(t, busyRules(p))
	if r := s.run("report"); r.code != 1 || r.stdout != "" || r.stderr != "pyruse: there is nothing yet: the daemon has not run with this configuration\n" {
		t.Errorf("before the first start: %+v", r)
	}
	d := s.start()
	log(t, "note", "trouble | with pipes")
	drop(t, "203.0.113.5")
	drop(t, "127.0.0.1") // is refused
	log(t, "fails", "no address")
	log(t, "alarm", "fire")
	log(t, "note", "the last one")
	numbers := []string{
		"the last one", preview, `trouble \| with pipes`, "        1  bans (1 refused)\n", "        1  mails", "        2  report lines\n",
		"!       1  errors of Pyruse\n", "1 error of Pyruse itself, in fails", "203.0.113.5", "drop\n",
	}
	s.awaitReport(numbers...)
	p.await()
	raw := s.must("report", "--raw")
	if lines := strings.Split(raw, "\n"); len(lines) != 3 || !strings.HasSuffix(lines[0], "  WARN   trouble | with pipes") {
		t.Errorf("the lines as they were: %q", raw)
	}
	if raw != s.must("report", "--raw", "--since", "-1h") || s.must("report", "--raw", "--since", "-2h", "--until", "-1h") != "" {
		t.Error("the lines of the last hour and of the hour before are not what they should be")
	}
	var line struct{ Time, Level, Message, Details string }
	first, _, _ := strings.Cut(s.must("report", "--raw", "--format", "json"), "\n")
	if err := json.Unmarshal([]byte(first), &line); err != nil || line.Level != "WARN" || line.Message != "trouble | with pipes" || line.Details != "ALL" {
		t.Errorf("as JSON: %s, %v", first, err)
	}
	d.stop()
	s.awaitReport(numbers...)
	if got := s.must("report", "--since", "-1h"); strings.Contains(got, preview) || !strings.Contains(got, "the last one") {
		t.Errorf("the last hour: %s", got)
	}
	if got := s.must("report", "--since", "-2h", "--until", "-1h"); strings.Contains(got, "the last one") {
		t.Errorf("the hour before: %s", got)
	}
	file := filepath.Join(s.dir, "report.html")
	if got := s.must("report", "--html", file); got != "" {
		t.Errorf("with --html FILE, it prints %q", got)
	}
	info, err := os.Stat(file)
	data, errRead := os.ReadFile(file)
	if err != nil || errRead != nil || info.Mode().Perm() != 0o600 || !strings.Contains(string(data), "the last one") {
		t.Errorf("the file: %v, %v, %v", info, err, errRead)
	}
	if n := len(p.letters()); n != 1 {
		t.Errorf("%d mails, want that of the alarm", n)
	}
}

// TestReportIsShownAsItWasMailed compares, byte for byte, what is shown of yesterday with the mail; and tells when it is not kept any more.
func TestReportIsShownAsItWasMailed(t *testing.T) {
	p := newPostbox(t)
	s := newStation(t, p.members())
	yesterday := time.Now().UTC().AddDate(0, 0, -1)
	s.note(yesterday, "yesterday's trouble", "=2E €")
	d := s.start()
	log(t, "note", "today's trouble")
	text, html := p.await().parts(t)
	s.awaitReport("today's trouble")
	for _, running := range []bool{true, false} {
		if !running {
			d.stop()
		}
		if diff := cmp.Diff(text, s.must("report", "--date", "yesterday")); diff != "" {
			t.Errorf("running: %v: the text (-mailed +shown):\n%s", running, diff)
		}
		if diff := cmp.Diff(html, s.must("report", "--date", yesterday.Format(time.DateOnly), "--html", "-")); diff != "" {
			t.Errorf("running: %v: the HTML (-mailed +shown):\n%s", running, diff)
		}
		if raw := s.must("report", "--date", "yesterday", "--raw"); strings.Count(raw, "\n") != 2 || !strings.Contains(raw, "=2E €") {
			t.Errorf("running: %v: the lines: %q", running, raw)
		}
		got := s.must("report", "--date", yesterday.AddDate(0, 0, -2).Format(time.DateOnly))
		if strings.Contains(got, "trouble") || strings.Contains(got, preview) || !strings.Contains(got, "        0  report lines") {
			t.Errorf("running: %v: a day without a report: %s", running, got)
		}
	}
	db := s.book()
	if err := db.Prune(state.Keep{Reports: time.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{}, {"--raw"}, {"--html", "-"}, {"--send"}} {
		r := s.run(append([]string{"report", "--date", "yesterday"}, args...)...)
		if r.code != 1 || r.stdout != "" || !strings.Contains(r.stderr, "2 lines of that day's report are not kept any more") {
			t.Errorf("%q of what is not kept: %+v", args, r)
		}
	}
}

// TestReportWithoutItsTextIsMadeAnew has report.keepDays be 0: of a day, the lines of its report are told, which began the morning before.
func TestReportWithoutItsTextIsMadeAnew(t *testing.T) {
	s := newStation(t, actions())
	morning := time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -1).Add(6 * time.Hour)
	s.note(morning.Add(-10*time.Hour), "the evening's trouble")
	s.note(morning.Add(time.Hour), "the trouble behind it")
	db := s.book()
	upTo, err := db.ReportLines(morning, func(state.ReportLine) bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	c := &state.Closing{Report: state.Report{
		Since: morning.AddDate(0, 0, -1), Until: morning, UpTo: upTo, Made: morning, Lines: 1, Summary: "one line", MessageID: "x@example.org",
	}}
	if err := errors.Join(db.CloseReport(c), db.Close()); err != nil {
		t.Fatal(err)
	}
	day := morning.Format(time.DateOnly)
	for _, got := range []string{s.must("report", "--date", day), s.must("report", "--date", day, "--raw")} {
		if !strings.Contains(got, "the evening's trouble") || strings.Contains(got, "behind") {
			t.Errorf("the report of that day: %s", got)
		}
	}
}

// TestReportIsMailedByHand has it sent with the daemon and without, and by somebody who may not.
func TestReportIsMailedByHand(t *testing.T) {
	p := newPostbox(t)
	s := newStation(t, p.members())
	d := s.start()
	log(t, "note", "trouble")
	s.awaitReport("trouble")
	shown := s.run("report", "--send", "--text")
	if shown.code != 0 || !strings.HasPrefix(shown.stdout, "= ") || !strings.HasPrefix(shown.stderr, "on its way: ") {
		t.Errorf("with --text: %+v", shown)
	}
	text, _ := p.await().parts(t)
	if strings.Contains(text+shown.stdout, preview) || !strings.Contains(text, "trouble") {
		t.Errorf("the mail: %s", text)
	}
	for path, mode := range map[string]os.FileMode{s.dir: 0o755, filepath.Dir(s.program): 0o755, s.socket(): 0o666} { // so that nobody may ask
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := asNobody(t, s.command("report", "--send")).CombinedOutput(); err == nil || !strings.Contains(string(out), "only root") {
		t.Errorf("nobody may send: %v: %s", err, out)
	}
	d.stop()
	if got := s.must("report", "--send"); !strings.HasPrefix(got, "in the outbox, for the next start of the daemon: ") {
		t.Errorf("without a daemon: %q", got)
	}
	if n := len(p.letters()); n != 1 {
		t.Errorf("%d mails before the next start", n)
	}
	d = s.start()
	p.awaitMany(2)
	s.awaitReport("trouble", preview) // it is still in the next one
	d.stop()
}

// TestQuietDayIsToldInTheNextReport has a day without a line, which is not mailed, and one with trouble behind it.
func TestQuietDayIsToldInTheNextReport(t *testing.T) {
	p := newPostbox(t)
	s := newStation(t, p.members())
	quiet := time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -1) // the midnight at which it ends
	db := s.book()
	c := &state.Closing{Report: state.Report{
		Since: quiet.AddDate(0, 0, -2), Until: quiet.AddDate(0, 0, -1), Made: quiet, Summary: "some day: one warning", MessageID: "x@example.org",
	}}
	if err := db.CloseReport(c); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	d := s.start()
	d.awaitSaid(journal.MsgReportSent, "told in a line of the next one")
	d.stop()
	if n := len(p.letters()); n != 0 {
		t.Fatalf("%d mails of quiet days", n)
	}
	log(t, "note", "trouble")
	d = s.start()
	got := s.awaitReport("trouble")
	if !strings.Contains(got, "Quiet days before, not mailed") || !strings.Contains(got, quiet.Format(time.DateOnly)+": nothing") {
		t.Errorf("the next report: %s", got)
	}
	d.stop()
}

// TestReportTemplates has one of the administrator's own, and then a broken one: the built-in one helps out, and the report says so.
func TestReportTemplates(t *testing.T) {
	p := newPostbox(t)
	s := newStation(t, "")
	dir := filepath.Join(s.dir, "templates")
	s.configure(fmt.Sprintf("\"report\": {\"templates\": %q},\n%s", dir, p.members()))
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	template := func(text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "report.adoc.tmpl"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	template("our own: {{len .Warnings.Rows}} warnings\n")
	s.note(time.Now().AddDate(0, 0, -1), "yesterday's trouble")
	d := s.start()
	if text, _ := p.await().parts(t); text != "our own: 1 warnings\n" {
		t.Errorf("the mail: %s", text)
	}
	if got := s.must("report"); got != "our own: 0 warnings\n" {
		t.Errorf("the report: %s", got)
	}
	d.stop()

	for what, text := range map[string]string{"a template that is none": "{{", "one that fails when it is used": "{{index .Advice 99}}"} {
		template(text)
		r := s.run("report")
		if r.code != 0 || !strings.Contains(strings.Join(strings.Fields(r.stdout), " "), "report.templates cannot be used") {
			t.Errorf("%s: the report does not say so: %+v", what, r)
		}
	}
	template("{{")
	if r := s.run("check"); r.code != 0 || !strings.Contains(r.stdout, "warning: \"templates\": ") {
		t.Errorf("check says %+v", r)
	}
	s.note(time.Now(), "today's trouble")
	d = s.start()
	if got := s.must("report", "--send"); !strings.HasPrefix(got, "on its way: ") {
		t.Errorf("of the daemon: %q", got)
	}
	p.awaitMany(2)
	d.stop()
}

// TestHourlyReport has the full hour pass while no daemon runs.
func TestHourlyReport(t *testing.T) {
	p := newPostbox(t)
	s := newStation(t, `"report": {"at": "hourly"},`+"\n"+p.members())
	hour := time.Now().Truncate(time.Hour)
	s.note(hour.Add(-time.Minute), "the last hour's trouble")
	d := s.start()
	text, _ := p.await().parts(t)
	if !strings.Contains(text, "the last hour's trouble") {
		t.Errorf("the report: %s", text)
	}
	d.stop()
}
