package report

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"github.com/pyruse/pyruse/internal/entry"
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
		lines = append(lines, state.ReportLine{ID: int64(len(lines) + 1), Level: level, Time: at, Message: message, Details: f[1]})
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
			r := reportOf(parseLines(t, want["lines"])...)
			text, html := tellOf(t, r)
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

// reportOf returns a report of lines of which the order of the times may be any.
func reportOf(lines ...state.ReportLine) *Report {
	r := NewReport(nil)
	for _, l := range lines {
		r.Add(l)
	}
	return r
}

// tellOf renders a report as that of a replay.
func tellOf(t testing.TB, r *Report) (text, html string) {
	t.Helper()
	until := r.last
	if until.IsZero() {
		until = time.Date(2026, 11, 22, 0, 0, 0, 0, time.Local)
	}
	made, err := Tell(r, r.first, until, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	return made.Text, made.HTML
}

func TestFormatTimeLikeTemplates(t *testing.T) {
	for _, usec := range []int64{0, 1, 1542000000000000, 1795330861000123, 1774746000000000, -1} {
		if got, want := FormatTime(time.UnixMicro(usec).UTC()), entry.FormatTime(usec); got != want {
			t.Errorf("%d: %q, want %q", usec, got, want)
		}
	}
}

// Beyond the bound of the memory, lines of the tables are only counted; of OTHER, the first lines are kept.
func TestKeptIsBounded(t *testing.T) {
	r := NewReport(nil)
	long := strings.Repeat("x", 1<<20)
	for i := range 300 {
		r.Add(state.ReportLine{Level: i % 3, Time: time.Unix(int64(300-i), 0), Message: long + strconv.Itoa(i)})
	}
	if kept := len(r.warnings.rows) + len(r.information.rows); kept != 15 {
		t.Errorf("%d messages of 1 MiB kept", kept)
	}
	if r.warnings.count() != 100 || r.information.count() != 100 || r.other.count != 100 || r.Lines() != 300 {
		t.Errorf("%d warnings, %d information, %d other, %d in all", r.warnings.count(), r.information.count(), r.other.count, r.Lines())
	}
	for i, l := range r.other.lines.sorted() {
		if want := int64(3 + 3*i); l.Time.Unix() != want || len(l.Message) > maxLine+50 {
			t.Fatalf("line %d is of %d, with %d bytes", i, l.Time.Unix(), len(l.Message))
		}
	}
}

// The first lines are those of the earliest times, and of the lowest numbers, in whatever order they come.
func TestFirstLines(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	var f firstLines
	for _, i := range random.Perm(5 * maxLines) {
		f.add(state.ReportLine{ID: int64(i), Time: time.Unix(int64(i/7), 0), Message: strconv.Itoa(i)})
	}
	lines := f.sorted()
	if len(lines) != maxLines {
		t.Fatalf("%d lines", len(lines))
	}
	for i, l := range lines {
		if l.ID != int64(i) || l.Message != strconv.Itoa(i) {
			t.Fatalf("line %d is %d: %q", i, l.ID, l.Message)
		}
	}
}

func TestShare(t *testing.T) {
	for _, c := range []struct {
		room       int
		need, want [4]int
	}{
		{90, [4]int{10, 20, 30, 0}, [4]int{10, 20, 30, 0}},
		{80, [4]int{100, 100, 100, 100}, [4]int{20, 20, 20, 20}},
		{90, [4]int{100, 0, 100, 100}, [4]int{30, 0, 30, 30}},
		{90, [4]int{100, 10, 20, 0}, [4]int{60, 10, 20, 0}},
		{90, [4]int{}, [4]int{}},
	} {
		if got := share(c.room, c.need); got != c.want {
			t.Errorf("share(%d, %v): %v, want %v", c.room, c.need, got, c.want)
		}
	}
}

// No message can add structure to the text, or an element to the HTML.
func FuzzReport(f *testing.F) {
	for _, s := range nasty {
		f.Add(s, "sshd", uint8(len(s)))
		f.Add("plain", s, uint8(0))
	}
	f.Fuzz(func(t *testing.T, message, service string, level uint8) {
		if len(message) > 1000 || len(service) > 1000 {
			return
		}
		checkSafe(t, reportOf(state.ReportLine{
			Level: int(level % 3), Time: time.Unix(0, 0), Message: message, Details: All, Service: service, Length: len(message), Unit: service,
		}))
	})
}

// checkSafe checks that what a report has in common with all others is all that is structure in it.
func checkSafe(t testing.TB, r *Report) {
	t.Helper()
	lines, elements := map[string]bool{}, map[string]bool{}
	for _, v := range []*View{filled("x"), {Title: "Pyruse Report", Host: "x"}} {
		text, page := render(t, Builtin(), v)
		for _, l := range structure(t, text) {
			lines[l] = true
		}
		for _, e := range skeleton(t, page) {
			elements[values.ReplaceAllString(e, "")] = true
		}
	}
	text, page := tellOf(t, r)
	for _, l := range structure(t, text) {
		if l = strings.TrimRight(l, "\n"); !lines[l+"\n"] && !ownLine.MatchString(l) {
			t.Errorf("the text has the line %q", l)
		}
	}
	for _, e := range skeleton(t, page) {
		if e = values.ReplaceAllString(e, ""); !elements[e] {
			t.Errorf("the page has the element %q", e)
		}
	}
	for _, out := range []string{text, page} {
		for _, c := range out {
			if c != '\n' && c != '\t' && (unicode.IsControl(c) || unicode.Is(unicode.Bidi_Control, c)) || c == '\u2028' || c == '\u2029' {
				t.Fatalf("the report has the character %q", c)
			}
		}
	}
}

var (
	values = regexp.MustCompile(`="[^"]*"`)
	// ownLine is a line of the text that says a number, or is a time or a count of a table.
	ownLine = regexp.MustCompile(`^(\|([0-9,]+| .*|)|[0-9,]+ lines?(, like these:|\.)|[0-9,]+ bans? of [0-9,]+ address(es)?\.|\.By hour, at most [0-9,]+)?$`)
)
