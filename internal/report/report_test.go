package report

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pyruse/pyruse/internal/entry"
	"github.com/pyruse/pyruse/internal/mail"
	"github.com/pyruse/pyruse/internal/state"
)

var update = flag.Bool("update", false, "write the output into testdata")

// TestMain puts the tests into a zone with daylight saving time, whatever the machine has.
func TestMain(m *testing.M) {
	paris, err := time.LoadLocation("Europe/Paris")
	if err != nil {
		fmt.Fprintln(os.Stderr, "load the zone of the tests:", err)
		os.Exit(1)
	}
	time.Local = paris
	os.Exit(m.Run())
}

// parseLines reads lines of "LEVEL DETAILS TIME MESSAGE", the time with its offset, the message a Go string.
func parseLines(t *testing.T, text string) []state.ReportLine {
	t.Helper()
	var lines []state.ReportLine
	for l := range strings.Lines(text) {
		f := strings.SplitN(strings.TrimSuffix(l, "\n"), " ", 4)
		level, ok := map[string]int{"WARN": state.ReportWarn, "INFO": state.ReportInfo, "OTHER": state.ReportOther}[f[0]]
		if !ok || len(f) != 4 {
			t.Fatalf("bad line %q", l)
		}
		at, err := time.Parse(time.RFC3339, f[2])
		if err != nil {
			t.Fatal(err)
		}
		message, err := strconv.Unquote(f[3])
		if err != nil {
			t.Fatalf("bad message %s: %v", f[3], err)
		}
		lines = append(lines, state.ReportLine{Level: level, Time: at, Message: message, Details: f[1]})
	}
	return lines
}

// archive splits a golden: a comment, and then files that each begin with "-- name --".
func archive(text string) (comment string, files map[string]string) {
	files = map[string]string{}
	name := ""
	for l := range strings.Lines(text) {
		if n, ok := strings.CutPrefix(strings.TrimSuffix(l, " --\n"), "-- "); ok {
			name = n
		} else {
			files[name] += l
		}
	}
	return files[""], files
}

func TestGolden(t *testing.T) {
	names, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(names) == 0 {
		t.Fatalf("goldens: %v, %v", names, err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			comment, want := archive(string(data))
			var r Report
			for _, l := range parseLines(t, want["lines"]) {
				r.Add(l)
			}
			text, html, err := r.Render()
			if err != nil {
				t.Fatal(err)
			}
			if *update {
				data := fmt.Sprintf("%s-- lines --\n%s-- report.adoc --\n%s-- report.html --\n%s", comment, want["lines"], text, html)
				if err := os.WriteFile(name, []byte(data), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(want["report.adoc"], text); diff != "" {
				t.Errorf("text, -want +got:\n%s", diff)
			}
			if diff := cmp.Diff(want["report.html"], html); diff != "" {
				t.Errorf("HTML, -want +got:\n%s", diff)
			}
		})
	}
}

func TestFormatTimeLikeTemplates(t *testing.T) {
	for _, usec := range []int64{0, 1, 1542000000000000, 1795330861000123, 1774746000000000, -1} {
		if got, want := formatTime(time.UnixMicro(usec).UTC()), entry.FormatTime(usec); got != want {
			t.Errorf("%d: %q, want %q", usec, got, want)
		}
	}
}

// wireSize composes the mail of a report and returns its size on the wire.
func wireSize(t *testing.T, r *Report) int {
	t.Helper()
	text, html, err := r.Render()
	if err != nil {
		t.Fatal(err)
	}
	data, err := mail.Message{
		From: "pyruse@example.org", To: []string{"root@example.org"}, Subject: "Pyruse Report", Text: text, HTML: html,
		Date: time.Unix(0, 0), MessageID: mail.MessageID("example.org", "report"),
	}.Compose()
	if err != nil {
		t.Fatal(err)
	}
	return len(data) + bytes.Count(data, []byte("\n"))
}

// A large report is cut to the size of a mail, and one that is hardly cut uses most of it.
func TestBound(t *testing.T) {
	start := time.Date(2026, 11, 22, 8, 1, 1, 123_000, time.Local)
	random := rand.New(rand.NewPCG(1, 2))
	anything := func() string {
		b := make([]byte, 1+random.IntN(300))
		for i := range b {
			b[i] = byte(random.IntN(256))
		}
		return string(b)
	}
	for _, c := range []struct {
		name  string
		lines int
		least int // the size that must be used
		line  func(i int) state.ReportLine
	}{
		{"few", 1000, 1000, func(i int) state.ReportLine {
			return state.ReportLine{Level: i % 3, Message: strconv.Itoa(i % 30), Details: All}
		}},
		{"empty other", 200_000, 600_000, func(int) state.ReportLine { return state.ReportLine{} }},
		{"other", 100_000, 700_000, func(i int) state.ReportLine {
			return state.ReportLine{Message: "sshd: something happened to " + strconv.Itoa(i)}
		}},
		{"distinct warnings", 100_000, 600_000, func(i int) state.ReportLine {
			return state.ReportLine{Level: state.ReportWarn, Message: strconv.Itoa(i), Details: None}
		}},
		{"all levels of detail", 100_000, 600_000, func(i int) state.ReportLine {
			return state.ReportLine{Level: state.ReportInfo, Message: strconv.Itoa(i / 5), Details: detailsOrder[i%5]}
		}},
		{"one message", 100_000, 1000, func(int) state.ReportLine {
			return state.ReportLine{Level: state.ReportWarn, Message: "the same", Details: All}
		}},
		{"huge message", 3, 1000, func(i int) state.ReportLine {
			return state.ReportLine{Level: i, Message: strings.Repeat("ü", 4<<20)}
		}},
		{"entities", 20_000, 600_000, func(i int) state.ReportLine {
			return state.ReportLine{Level: i % 3, Message: strconv.Itoa(i) + strings.Repeat(`"|=<`, 50)}
		}},
		{"bidi", 20_000, 500_000, func(i int) state.ReportLine {
			return state.ReportLine{Level: i % 3, Message: strconv.Itoa(i) + strings.Repeat("\u202e\n", 50)}
		}},
		{"tags", 20_000, 500_000, func(i int) state.ReportLine {
			return state.ReportLine{Level: i % 3, Message: strconv.Itoa(i) + strings.Repeat("\U000e0041", 50)}
		}},
		{"anything", 50_000, 600_000, func(i int) state.ReportLine {
			return state.ReportLine{Level: i % 3, Message: anything(), Details: detailsOrder[i%5]}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var r Report
			for i := range c.lines {
				l := c.line(i)
				l.Time = start.Add(time.Duration(i) * time.Second)
				r.Add(l)
			}
			size := wireSize(t, &r)
			t.Logf("%d bytes", size)
			if size > MaxMail || size < c.least {
				t.Errorf("the mail has %d bytes, want %d to %d", size, c.least, MaxMail)
			}
		})
	}
}

// What is left out is counted: the rows that are shown and the rest make up the whole.
func TestLeftOut(t *testing.T) {
	var r Report
	for i := range 90_000 {
		r.Add(state.ReportLine{Level: i % 3, Time: time.Unix(int64(i), 0), Message: fmt.Sprintf("%06d", i/6), Details: All})
	}
	v := r.view()
	for _, table := range []tableView{v.Warnings, v.Information} {
		shown := 0
		for _, row := range table.Rows {
			shown += row.Count
		}
		if want := more(30_000 - shown); len(table.Rows) == 0 || table.More != want {
			t.Errorf("%d rows, then %q, want %q", len(table.Rows), table.More, want)
		}
	}
	if want := more(30_000 - len(v.Other.Lines)); len(v.Other.Lines) == 0 || v.Other.More != want {
		t.Errorf("%d lines, then %q, want %q", len(v.Other.Lines), v.Other.More, want)
	}
}

// Beyond the bound of the memory, lines are only counted.
func TestKeptIsBounded(t *testing.T) {
	var r Report
	long := strings.Repeat("x", 1<<20)
	for i := range 300 {
		r.Add(state.ReportLine{Level: i % 3, Time: time.Unix(int64(i), 0), Message: long + strconv.Itoa(i)})
	}
	if kept := len(r.other.lines) + len(r.warnings.rows) + len(r.information.rows); kept < 60 || kept > 64 {
		t.Errorf("%d messages of 1 MiB kept", kept)
	}
	v := r.view()
	for section, got := range map[string]string{
		"warnings":    v.Warnings.More,
		"information": v.Information.More,
		"other":       v.Other.More,
	} {
		if want := more(79); got != want {
			t.Errorf("%s: %q, want %q", section, got, want)
		}
	}
	if v.Lines != 300 {
		t.Errorf("%d lines in all, want 300", v.Lines)
	}
}

func TestShare(t *testing.T) {
	for _, c := range []struct {
		room       int
		need, want [3]int
	}{
		{90, [3]int{10, 20, 30}, [3]int{10, 20, 30}},
		{90, [3]int{100, 100, 100}, [3]int{30, 30, 30}},
		{90, [3]int{100, 0, 100}, [3]int{45, 0, 45}},
		{90, [3]int{100, 10, 20}, [3]int{60, 10, 20}},
		{90, [3]int{0, 0, 0}, [3]int{0, 0, 0}},
	} {
		if got := share(c.room, c.need); got != c.want {
			t.Errorf("share(%d, %v): %v, want %v", c.room, c.need, got, c.want)
		}
	}
}

// No message can add a line to the text, or an element to the HTML.
func FuzzRender(f *testing.F) {
	f.Add("plain", uint8(0))
	f.Add("</td><script>alert(1)</script>\n|===\n\n== Other\n....", uint8(1))
	f.Add("===", uint8(1))
	f.Add("\x1b[2J\u202e\r\n....\n\xff\u2028", uint8(2))
	f.Fuzz(func(t *testing.T, message string, level uint8) {
		if len(message) > 1000 {
			return
		}
		shape := func(message string) (marks [4]int, text, html string) {
			var r Report
			r.Add(state.ReportLine{Level: int(level % 3), Time: time.Unix(0, 0), Message: message, Details: All})
			text, html, err := r.Render()
			if err != nil {
				t.Fatal(err)
			}
			return [4]int{
				strings.Count(text, "\n"), strings.Count(text, "\n|==="), strings.Count(text, "\n...."), strings.Count(html, "<"),
			}, text, html
		}
		want, _, _ := shape("x")
		got, text, html := shape(message)
		if got != want {
			t.Errorf("the message changes the report:\n%s\n%s", text, html)
		}
		if strings.ContainsAny(text+html, "\x1b\x00\r\u202e\u2028") {
			t.Errorf("the report is not safe to show:\n%q\n%q", text, html)
		}
	})
}

func BenchmarkReport100k(b *testing.B) {
	messages := make([]string, 100_000)
	for i := range messages {
		messages[i] = fmt.Sprintf("sshd[%d]: Failed password for invalid user admin from 192.0.2.%d port %d ssh2", i%30000, i%250, i%60000)
	}
	b.ReportAllocs()
	for b.Loop() {
		var r Report
		for i, m := range messages {
			r.Add(state.ReportLine{Level: i % 3, Time: time.Unix(int64(i), 0), Message: m, Details: All})
		}
		if _, _, err := r.Render(); err != nil {
			b.Fatal(err)
		}
	}
}
