package state

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// fatal is what tests and rapid's checks have in common.
type fatal interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

func pendingLines(t fatal, db *DB) (list []ReportLine) {
	t.Helper()
	if err := db.PendingLines(func(l ReportLine) bool { list = append(list, l); return true }); err != nil {
		t.Fatal(err)
	}
	return list
}

func messagesOf(list []ReportLine) string {
	var parts []string
	for _, l := range list {
		parts = append(parts, l.Message)
	}
	return strings.Join(parts, " ")
}

func pendingText(t fatal, db *DB) string {
	t.Helper()
	return messagesOf(pendingLines(t, db))
}

func linesOf(t fatal, db *DB, r Report) string {
	t.Helper()
	var list []ReportLine
	if err := db.LinesOfReport(r, func(l ReportLine) bool { list = append(list, l); return true }); err != nil {
		t.Fatal(err)
	}
	return messagesOf(list)
}

func reportsOf(t fatal, db *DB) []Report {
	t.Helper()
	list, err := db.Reports()
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// closeAt ends a report as the maker does, and returns what it is of, sorted.
func closeAt(t fatal, db *DB, until time.Time) (lines []string) {
	t.Helper()
	upTo, err := db.ReportLines(until, func(l ReportLine) bool { lines = append(lines, l.Message); return true })
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(lines)
	r := Report{Until: until, UpTo: upTo, Made: until, Lines: len(lines), Text: "text", HTML: "html", MessageID: fmt.Sprint("report ", until)}
	if err := db.CloseReport(&Closing{Report: r}); err != nil {
		t.Fatal(err)
	}
	return lines
}

func lines(at time.Time, messages ...string) *Batch {
	b := &Batch{}
	for i, m := range messages {
		b.Report = append(b.Report, ReportLine{Level: ReportInfo, Time: at.Add(time.Duration(i) * time.Second), Message: m, Details: "ALL"})
	}
	return b
}

var (
	midnight = noon.Truncate(24 * time.Hour).Add(24 * time.Hour)
	day      = 24 * time.Hour
)

func check(t fatal, what, got, want string) {
	t.Helper()
	if got != want {
		t.Fatalf("%s: %q, want %q", what, got, want)
	}
}

// TestLateLinesGoIntoTheNextReport adds lines of yesterday after the report of yesterday.
func TestLateLinesGoIntoTheNextReport(t *testing.T) {
	db := open(t, t.TempDir(), roomy)
	commit(t, db, lines(noon, "a", "b"))
	commit(t, db, lines(midnight, "tomorrow"))
	check(t, "first report", fmt.Sprint(closeAt(t, db, midnight)), "[a b]")
	commit(t, db, lines(noon.Add(-time.Hour), "late"))
	check(t, "pending", pendingText(t, db), "late tomorrow")
	check(t, "second report", fmt.Sprint(closeAt(t, db, midnight.Add(day))), "[late tomorrow]")
	check(t, "pending", pendingText(t, db), "")
	r := reportsOf(t, db)
	check(t, "lines of the first", linesOf(t, db, r[0]), "a b")
	check(t, "lines of the second", linesOf(t, db, r[1]), "late tomorrow")
	var between []ReportLine
	must(t, db.LinesBetween(noon.Add(-time.Hour), noon.Add(time.Second), func(l ReportLine) bool { between = append(between, l); return true }))
	check(t, "lines between", messagesOf(between), "late a")
	between = nil
	must(t, db.LinesBetween(noon, midnight, func(l ReportLine) bool { between = append(between, l); return false }))
	check(t, "lines between, the first one", messagesOf(between), "a")
}

// TestReportComesBack with all that is known of it; the list is without the texts.
func TestReportComesBack(t *testing.T) {
	db := open(t, t.TempDir(), roomy)
	want := Report{
		ID: 1, Since: noon.Add(-day), Until: noon, UpTo: 0, Made: noon.Add(time.Second), Lines: 0, Quiet: true, Summary: "nothing new", MessageID: "m@h",
		Text: "text", HTML: "<p>html",
	}
	must(t, db.CloseReport(&Closing{Report: want}))
	if r, ok, err := db.ReportText(1); !ok || err != nil || !cmp.Equal(want, r, byValue) {
		t.Errorf("report: %v, %v, %s", ok, err, cmp.Diff(want, r, byValue))
	}
	want.Text, want.HTML = "", ""
	if diff := cmp.Diff([]Report{want}, reportsOf(t, db), byValue); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if _, ok, err := db.ReportText(2); ok || err != nil {
		t.Errorf("an unknown report: %v, %v", ok, err)
	}
}

// TestReportOfAWrongClock closes reports in the year 2030, and then again in 2026.
func TestReportOfAWrongClock(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir, roomy)
	future := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	commit(t, db, lines(noon, "a"))
	commit(t, db, lines(future.Add(-time.Hour), "wrong"))
	check(t, "report of 2030", fmt.Sprint(closeAt(t, db, future)), "[a wrong]")
	commit(t, db, lines(noon, "b"))
	commit(t, db, lines(midnight, "c"))
	check(t, "pending", pendingText(t, db), "b c")
	check(t, "report of 2026", fmt.Sprint(closeAt(t, db, midnight)), "[b]")
	commit(t, db, lines(future.Add(-2*time.Hour), "d"))
	check(t, "pending", pendingText(t, db), "c d")
	r := reportsOf(t, db)
	check(t, "lines of 2030", linesOf(t, db, r[0]), "a wrong")
	check(t, "lines of 2026", linesOf(t, db, r[1]), "b")
	must(t, db.Prune(Keep{Reports: midnight.Add(100 * day), Memory: midnight.Add(100 * day)}))
	check(t, "pending, when the report of 2026 is forgotten", pendingText(t, db), "c d")
	if db.lines != 2 {
		t.Errorf("%d lines are counted", db.lines)
	}
	must(t, db.Close())
	if db = open(t, dir, roomy); db.lines != 2 {
		t.Errorf("%d lines are counted when it is opened", db.lines)
	}
}

// TestLineIDsAreNotUsedAgain after all lines were pruned, and the database was opened anew: a new line is in no old report.
func TestLineIDsAreNotUsedAgain(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir, roomy)
	commit(t, db, lines(noon, "a", "b", "c"))
	closeAt(t, db, midnight)
	must(t, db.Prune(Keep{Reports: midnight.Add(1), Memory: noon}))
	closeAt(t, db, midnight.Add(day)) // without any line
	must(t, db.Prune(Keep{Reports: midnight.Add(2 * day), Memory: midnight.Add(2 * day)}))
	must(t, db.Close())
	db = open(t, dir, roomy)
	commit(t, db, lines(noon, "d"))
	if list := pendingLines(t, db); len(list) != 1 || list[0].ID != 4 {
		t.Errorf("pending: %+v", list)
	}
}

func TestPruneByDays(t *testing.T) {
	db := open(t, t.TempDir(), Limits{ReportLines: 30_000, Outbox: 1})
	b := &Batch{}
	for range 2*pruneRows + 1 {
		b.Report = append(b.Report, ReportLine{Time: noon, Message: "a", Details: "ALL"})
	}
	commit(t, db, b)
	closeAt(t, db, midnight)
	commit(t, db, lines(midnight, "b"))
	closeAt(t, db, midnight.Add(day))
	commit(t, db, lines(midnight.Add(-time.Hour), "late"))
	must(t, db.Prune(Keep{Reports: midnight.Add(time.Second), Memory: noon}))
	r := reportsOf(t, db)
	if len(r) != 2 || r[0].Kept != 0 || r[0].Lines != 2*pruneRows+1 || r[1].Kept != 1 {
		t.Fatalf("reports: %+v", r)
	}
	check(t, "lines of the first", linesOf(t, db, r[0]), "")
	check(t, "lines of the second", linesOf(t, db, r[1]), "b")
	check(t, "pending", pendingText(t, db), "late")
	for id, want := range map[int64]string{1: "", 2: "text"} { // the row is kept for the memory, without its text
		if x, ok, err := db.ReportText(id); !ok || x.Text != want || x.HTML != strings.ReplaceAll(want, "text", "html") || err != nil {
			t.Errorf("report %d: %v, %+v, %v", id, ok, x, err)
		}
	}
	must(t, db.Prune(Keep{Reports: midnight.Add(time.Second), Memory: midnight.Add(time.Second)}))
	if r := reportsOf(t, db); len(r) != 1 || r[0].ID != 2 {
		t.Errorf("reports: %+v, want the second", r)
	}
	must(t, db.Prune(Keep{Reports: midnight.Add(9 * day), Memory: midnight.Add(9 * day)}))
	if r := reportsOf(t, db); len(r) != 1 || r[0].ID != 2 || r[0].Kept != 0 {
		t.Errorf("reports: %+v, want the newest, without lines", r)
	}
	check(t, "pending", pendingText(t, db), "late")
}

// TestPruneByNumber keeps as many lines that were reported as may wait.
func TestPruneByNumber(t *testing.T) {
	db := open(t, t.TempDir(), Limits{ReportLines: 5, Outbox: 1})
	for i, messages := range [][]string{{"a", "b"}, {"c"}, {"d", "e", "f"}, {"g"}} {
		commit(t, db, lines(noon.Add(time.Duration(i)*day), messages...))
		closeAt(t, db, midnight.Add(time.Duration(i)*day))
	}
	commit(t, db, lines(noon, "late"))
	must(t, db.Prune(Keep{Reports: noon, Memory: noon}))
	var got []string
	for _, r := range reportsOf(t, db) {
		got = append(got, linesOf(t, db, r))
	}
	check(t, "lines", fmt.Sprintf("%q", got), `["" "c" "d e f" "g"]`)
	check(t, "pending", pendingText(t, db), "late")
	if x, _, err := db.ReportText(1); x.Text != "text" || err != nil {
		t.Errorf("the report whose lines had no room: %+v, %v", x, err)
	}
}

// TestDamagedSpanIsNone: a place in the message that it has not got.
func TestDamagedSpanIsNone(t *testing.T) {
	db := open(t, t.TempDir(), roomy)
	for _, span := range [][2]int{{-1, 2}, {0, -1}, {3, 1}, {1, 3}, {1 << 60, 1 << 60}} {
		commit(t, db, &Batch{Report: []ReportLine{{Time: noon, Message: "abc", Start: span[0], Length: span[1]}}})
	}
	commit(t, db, &Batch{Report: []ReportLine{{Time: noon.Add(time.Second), Message: "abc", Start: 1, Length: 2}}})
	list := pendingLines(t, db)
	for i, l := range list {
		if want := [2]int{0, 0}; i < len(list)-1 && [2]int{l.Start, l.Length} != want || i == len(list)-1 && l.Length != 2 {
			t.Errorf("line %d: %+v", i, l)
		}
	}
}

func TestTemplatesComeBack(t *testing.T) {
	db := open(t, t.TempDir(), roomy)
	want := []Template{
		{Service: "", Text: "", Days: nil},
		{Service: "a", Text: "x …", Days: []DayCount{{-3, 1}, {20_000, 1 << 60}, {20_001, 0}}},
		{Service: "b", Text: "a\x00b\n", Days: []DayCount{{1, 1}}},
	}
	must(t, db.CloseReport(&Closing{Report: Report{Until: noon}, Templates: []Template{want[2], {Service: "b", Text: "gone"}, {Service: "a", Text: "x …"}, want[0]}}))
	must(t, db.CloseReport(&Closing{Report: Report{Until: noon}, Templates: []Template{want[1]}, Forget: []Template{{Service: "b", Text: "gone"}, {Text: "unknown"}}}))
	got, err := db.Templates()
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v; -want +got:\n%s", err, diff)
	}
	must(t, db.update("damage", func(tx *Tx) error {
		_, err := tx.exec("UPDATE templates SET days = x'80'")
		return err
	}))
	if _, err := db.Templates(); !errors.Is(err, ErrDamaged) {
		t.Errorf("damaged days: %v", err)
	}
}

func TestTally(t *testing.T) {
	db := open(t, t.TempDir(), roomy)
	hour := noon.Unix() - noon.Unix()%3600
	lag, bans := TallyKey{hour, TallyLag, ""}, TallyKey{hour, TallyBans, "ssh"}
	match := TallyKey{hour + 3600, TallyMatches, MatchName("ssh", "sshd")}
	for _, b := range []map[TallyKey]int64{{lag: 5, bans: 2}, {lag: 9, bans: 3, match: 1}, {lag: 7, {hour - 3600, TallyBans, "ssh"}: 100}} {
		commit(t, db, &Batch{Tally: b})
	}
	read := func(since, until int64) map[TallyKey]int64 {
		got := map[TallyKey]int64{}
		must(t, db.Tally(time.Unix(since, 0), time.Unix(until, 0), func(k TallyKey, n int64) { got[k] = n }))
		return got
	}
	if diff := cmp.Diff(map[TallyKey]int64{lag: 9, bans: 5, match: 1}, read(hour, hour+3601)); diff != "" {
		t.Errorf("sums, and the largest lag (-want +got):\n%s", diff)
	}
	if got := read(hour, hour+3600); len(got) != 2 {
		t.Errorf("of one hour: %v", got)
	}
	must(t, db.Prune(Keep{Memory: time.Unix(hour+1, 0)}))
	if diff := cmp.Diff(map[TallyKey]int64{match: 1}, read(0, hour+7200)); diff != "" {
		t.Errorf("after pruning (-want +got):\n%s", diff)
	}
}

// TestBanLogIsBounded fills the log but for one place; what was pruned makes room.
func TestBanLogIsBounded(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir, roomy)
	must(t, db.update("fill", func(tx *Tx) error {
		_, err := tx.exec(`WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < ?)
			INSERT INTO ban_log (time, addr, chain) SELECT ?, '192.0.2.1', 'old' FROM c`, maxBanLog-1, micros(noon.Add(-time.Hour)))
		return err
	}))
	must(t, db.Close())
	db = open(t, dir, roomy)
	event := func(chain string) BanEvent { return BanEvent{noon, netip.MustParseAddr("2001:db8::1"), chain} }
	logged := func() string {
		var chains []string
		must(t, db.BanEvents(noon, noon.Add(time.Second), func(x BanEvent) { chains = append(chains, x.Chain) }))
		return strings.Join(chains, " ")
	}
	commit(t, db, &Batch{Banned: []BanEvent{event("a"), event("b")}})
	commit(t, db, &Batch{Banned: []BanEvent{event("c")}})
	check(t, "in the log", logged(), "a")
	must(t, db.Prune(Keep{Memory: noon}))
	commit(t, db, &Batch{Banned: []BanEvent{event("d"), event("e")}})
	check(t, "in the log, after pruning", logged(), "a d e")
	if db.banned != 3 {
		t.Errorf("%d bans are counted", db.banned)
	}
}

func TestOpenReader(t *testing.T) {
	dir := t.TempDir()
	if _, err := OpenReader(dir); err == nil {
		t.Error("it opens what is not there")
	}
	db := open(t, dir, roomy)
	commit(t, db, &Batch{Cursor: "first"})
	reader := func() *DB {
		t.Helper()
		r, err := OpenReader(dir)
		must(t, err)
		return r
	}
	beside := reader()
	commit(t, db, &Batch{Cursor: "second"})
	if cursor, err := beside.Cursor(); cursor != "second" || err != nil {
		t.Errorf("beside a writer: %q, %v", cursor, err)
	}
	if _, err := beside.Commit(&Batch{Cursor: "third"}); err == nil {
		t.Error("it writes")
	}
	must(t, beside.Close())
	must(t, db.Close())
	alone := reader()
	if cursor, err := alone.Cursor(); cursor != "second" || err != nil {
		t.Errorf("without a writer: %q, %v", cursor, err)
	}
	db = open(t, dir, roomy) // a writer comes
	commit(t, db, &Batch{Cursor: "fourth"})
	if cursor, err := alone.Cursor(); cursor != "fourth" || err != nil {
		t.Errorf("when a writer came: %q, %v", cursor, err)
	}
	must(t, alone.Close())
	for _, version := range []int{0, 1, len(migrations) + 1} {
		if _, err := db.writer.Exec(fmt.Sprint("PRAGMA user_version = ", version)); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenReader(dir); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("it has schema %d", version)) {
			t.Errorf("schema %d: %v", version, err)
		}
	}
}

// TestReportsModel: whatever happens, each line is in one report, or in none yet, until it is pruned.
func TestReportsModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newLedger(t)
		defer m.close()
		t.Repeat(map[string]func(*rapid.T){
			"commit": func(t *rapid.T) {
				var b Batch
				for range rapid.IntRange(1, 4).Draw(t, "lines") {
					m.last++
					at := m.now.Add(time.Duration(rapid.IntRange(-200, 10).Draw(t, "age")) * time.Minute)
					b.Report = append(b.Report, ReportLine{Time: at, Message: fmt.Sprint(m.last), Details: "ALL"})
					m.pending[fmt.Sprint(m.last)] = at
				}
				if r, err := m.db.Commit(&b); err != nil || r != (Result{}) {
					t.Fatalf("dropped %+v, %v", r, err)
				}
			},
			"time passes": func(t *rapid.T) {
				m.now = m.now.Add(time.Duration(rapid.IntRange(1, 100).Draw(t, "minutes")) * time.Minute)
			},
			"the clock is set": func(t *rapid.T) {
				m.now = m.now.Add(time.Duration(rapid.IntRange(-500, 500).Draw(t, "minutes")) * time.Minute)
			},
			"report": func(t *rapid.T) {
				m.report(t, m.now.Add(time.Duration(rapid.IntRange(-60, 5).Draw(t, "until"))*time.Minute))
			},
			"prune": func(t *rapid.T) {
				keep := m.now.Add(-time.Duration(rapid.IntRange(0, 300).Draw(t, "minutes")) * time.Minute)
				if err := m.db.Prune(Keep{Reports: keep, Memory: keep.Add(-time.Duration(rapid.IntRange(-60, 60).Draw(t, "memory")) * time.Minute)}); err != nil {
					t.Fatal(err)
				}
				m.forget(keep)
			},
			"restart": m.restart,
			"":        m.check,
		})
	})
}

// ledger is a database, and which lines are in which report.
type ledger struct {
	dir     string
	db      *DB
	now     time.Time
	last    int
	pending map[string]time.Time
	reports []ledgerReport // all that were ever made
}

type ledgerReport struct {
	until time.Time
	lines []string // nil: forgotten
}

func newLedger(t *rapid.T) *ledger {
	m := &ledger{now: noon, pending: map[string]time.Time{}}
	var err error
	if m.dir, err = os.MkdirTemp("", "ledger"); err != nil {
		t.Fatal(err)
	}
	m.open(t)
	return m
}

func (m *ledger) open(t *rapid.T) {
	var err error
	if m.db, _, err = Open(m.dir, roomy, noon); err != nil {
		t.Fatal(err)
	}
}

func (m *ledger) close() {
	_ = m.db.Close()
	_ = os.RemoveAll(m.dir)
}

func (m *ledger) restart(t *rapid.T) {
	if err := m.db.Close(); err != nil {
		t.Fatal(err)
	}
	m.open(t)
}

func (m *ledger) report(t *rapid.T, until time.Time) {
	want := []string{}
	for message, at := range m.pending {
		if at.Before(until) {
			want = append(want, message)
			delete(m.pending, message)
		}
	}
	slices.Sort(want)
	if got := closeAt(t, m.db, until); !slices.Equal(got, want) {
		t.Fatalf("the report is of %q, want %q", got, want)
	}
	m.reports = append(m.reports, ledgerReport{until, want})
}

// forget forgets the lines of old reports. There are always fewer than Limits.ReportLines.
func (m *ledger) forget(keep time.Time) {
	for i := range m.reports {
		if m.reports[i].until.Before(keep) {
			m.reports[i].lines = nil
		}
	}
}

func (m *ledger) check(t *rapid.T) {
	got := strings.Fields(pendingText(t, m.db))
	slices.Sort(got)
	if want := slices.Sorted(maps.Keys(m.pending)); !slices.Equal(got, want) {
		t.Fatalf("pending: %q, want %q", got, want)
	}
	if m.db.lines != int64(len(m.pending)) {
		t.Fatalf("%d lines are counted, want %d", m.db.lines, len(m.pending))
	}
	there := map[int64]bool{}
	for _, r := range reportsOf(t, m.db) {
		there[r.ID] = true
		got := strings.Fields(linesOf(t, m.db, r))
		slices.Sort(got)
		if want := m.reports[r.ID-1].lines; !slices.Equal(got, want) || r.Kept != len(want) {
			t.Fatalf("report %d: %q, %d kept, want %q", r.ID, got, r.Kept, want)
		}
	}
	for i, r := range m.reports {
		if !there[int64(i+1)] && (len(r.lines) > 0 || i == len(m.reports)-1) {
			t.Fatalf("report %d is gone", i+1)
		}
	}
}
