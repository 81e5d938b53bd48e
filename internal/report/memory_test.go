package report

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pyruse/pyruse/internal/state"
)

// today is the day that the reports of these tests are about.
var today = time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)

// remembered returns a kind of lines that came so often on some days before today: 3: 5 is five times, three days ago.
func remembered(service, text string, daysAgo map[int]int64) state.Template {
	t := state.Template{Service: service, Text: text}
	for ago := 100; ago >= -1; ago-- {
		if n, ok := daysAgo[ago]; ok {
			t.Days = append(t.Days, state.DayCount{Day: localDay(today) - ago, Count: n})
		}
	}
	return t
}

// daysFrom returns the same number for each day from one to another.
func daysFrom(first, last int, n int64) map[int]int64 {
	days := map[int]int64{}
	for ago := last; ago <= first; ago++ {
		days[ago] = n
	}
	return days
}

func groupOf(text string, n int) Group {
	return Group{Template: Template{"s", text}, Count: n, Days: []state.DayCount{{Day: localDay(today), Count: int64(n)}}}
}

// quietReport is a report that was made so many days ago, of the day before.
func quietReport(ago, lines int) state.Report {
	return state.Report{Since: today.AddDate(0, 0, -ago-1), Until: today.AddDate(0, 0, -ago), Lines: lines, Quiet: true}
}

func TestMark(t *testing.T) {
	const day = 24 * time.Hour
	for _, c := range []struct {
		name    string
		known   []state.Template
		reports []state.Report
		group   Group
		period  time.Duration
		sameDay bool
		mark    Mark
		note    string
	}{
		{"the first day", nil, nil, groupOf("x", 1000), day, true, Usual, ""},
		{"the first start made an empty report", nil, []state.Report{{Until: today, Quiet: true}}, groupOf("x", 1), day, true, Usual, ""},
		{"the days before had no lines", nil, []state.Report{quietReport(0, 0)}, groupOf("x", 1), day, true, New, ""},
		{"a report of later", nil, []state.Report{quietReport(-1, 5)}, groupOf("x", 1), day, true, Usual, ""},
		{"new", []state.Template{remembered("s", "y", daysFrom(1, 1, 1))}, nil, groupOf("x", 1), day, true, New, ""},
		{"known", []state.Template{remembered("s", "x", daysFrom(1, 1, 1))}, nil, groupOf("x", 1), day, true, Usual, ""},
		{"of another service", []state.Template{remembered("t", "x", daysFrom(1, 1, 1))}, nil, groupOf("x", 1), day, true, New, ""},
		{"on the last day of the memory", []state.Template{remembered("s", "x", daysFrom(30, 30, 1)), remembered("s", "y", daysFrom(1, 1, 1))}, nil, groupOf("x", 1), day, true, Usual, ""},
		{"before the memory", []state.Template{remembered("s", "x", daysFrom(31, 31, 1)), remembered("s", "y", daysFrom(1, 1, 1))}, nil, groupOf("x", 1), day, true, New, ""},
		{"in a report of the same day", []state.Template{remembered("s", "x", daysFrom(0, 0, 1))}, nil, groupOf("x", 900), time.Hour, true, Usual, ""},
		{"the same day, looked at again", []state.Template{remembered("s", "x", daysFrom(0, 0, 1)), remembered("s", "y", daysFrom(1, 1, 1))}, nil, groupOf("x", 1), day, false, New, ""},
		{"rising", []state.Template{remembered("s", "x", daysFrom(10, 1, 5))}, nil, groupOf("x", 15), day, true, Rising, "3 times its usual 5"},
		{"not three times", []state.Template{remembered("s", "x", daysFrom(10, 1, 5))}, nil, groupOf("x", 14), day, true, Usual, ""},
		{"not by ten lines", []state.Template{remembered("s", "x", daysFrom(10, 1, 1))}, nil, groupOf("x", 10), day, true, Usual, ""},
		{"by ten lines", []state.Template{remembered("s", "x", daysFrom(10, 1, 1))}, nil, groupOf("x", 11), day, true, Rising, "11 times its usual 1"},
		{"known for two days", []state.Template{remembered("s", "x", daysFrom(2, 1, 1))}, nil, groupOf("x", 1000), day, true, Usual, ""},
		{"rare", []state.Template{remembered("s", "x", map[int]int64{10: 1, 2: 1})}, nil, groupOf("x", 20), day, true, Rising, "usually less than one a day"},
		{
			"rare in what reports know", []state.Template{remembered("s", "x", daysFrom(1, 1, 1))}, []state.Report{quietReport(9, 0)},
			groupOf("x", 20), day, true, Rising, "usually less than one a day",
		},
		{"of an hour", []state.Template{remembered("s", "x", daysFrom(10, 1, 240))}, nil, groupOf("x", 30), time.Hour, true, Rising, "3 times its usual 10"},
		{"of an hour, rare", []state.Template{remembered("s", "x", daysFrom(10, 1, 2))}, nil, groupOf("x", 30), time.Hour, true, Rising, "usually less than one an hour"},
		{"of three days", []state.Template{remembered("s", "x", daysFrom(10, 1, 5))}, nil, groupOf("x", 15), 3 * day, true, Usual, ""},
		{
			"one that takes the place of others",
			[]state.Template{remembered("s", "a", daysFrom(10, 1, 3)), remembered("s", "b", daysFrom(5, 1, 4))}, nil,
			Group{Template: Template{"s", "<*>"}, Replaces: []Template{{"s", "a"}, {"s", "b"}}, Count: 15}, day, true, Rising, "3 times its usual 5",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := remember(c.known, c.reports, today, 30, c.sameDay)
			if mark, note := m.mark(&c.group, c.period); mark != c.mark || note != c.note {
				t.Errorf("%q, %q, want %q, %q", mark, note, c.mark, c.note)
			}
		})
	}
}

func TestGone(t *testing.T) {
	const day = 24 * time.Hour
	for _, c := range []struct {
		name   string
		known  map[int]int64
		groups []Group
		period time.Duration
		want   string // "": it is not missed
	}{
		{"every day", daysFrom(10, 1, 3), nil, day, "on 10 of 10 days, 3 lines a day; last on 2026-11-21"},
		{"it came", daysFrom(10, 1, 3), []Group{groupOf("x", 1)}, day, ""},
		{"it came as a part of another", daysFrom(10, 1, 3), []Group{{Template: Template{"s", "<*>"}, Replaces: []Template{{"s", "x"}}}}, day, ""},
		{"on four days of five", map[int]int64{10: 1, 9: 1, 8: 1, 7: 1, 5: 1, 4: 1, 3: 1, 2: 1}, nil, day, "on 8 of 10 days, 1 line a day; last on 2026-11-20"},
		{"less often", map[int]int64{10: 1, 9: 1, 8: 1, 7: 1, 5: 1, 4: 1, 3: 1}, nil, day, ""},
		{"known for six days", daysFrom(6, 1, 3), nil, day, ""},
		{"known for seven", daysFrom(7, 1, 3), nil, day, "on 7 of 7 days, 3 lines a day; last on 2026-11-21"},
		{"of a night", daysFrom(10, 1, 3), nil, 12 * time.Hour, ""},
		{"also this morning, in the report before", daysFrom(10, 0, 3), nil, day, "on 10 of 10 days, 3 lines a day; last on 2026-11-22"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := remember([]state.Template{remembered("s", "x", c.known)}, nil, today, 30, true)
			var want []Gone
			if c.want != "" {
				want = []Gone{{"s", "x", c.want}}
			}
			if diff := cmp.Diff(want, m.gone(c.groups, c.period)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestLearn(t *testing.T) {
	old := []state.Template{
		remembered("s", "a", map[int]int64{3: 1, 1: 2}), remembered("s", "b", map[int]int64{3: 4, 2: 1}),
		remembered("s", "kept", map[int]int64{5: 1}), remembered("s", "too old", map[int]int64{31: 1}),
		remembered("s", "here again", map[int]int64{40: 7, 30: 1}),
	}
	m := remember(old, nil, today, 30, true)
	again := groupOf("here again", 2)
	all := groupOf("<*>", 6)
	all.Replaces = []Template{{"s", "a"}, {"s", "b"}}
	put, forget := m.learn([]Group{all, again})
	want := []state.Template{
		remembered("s", "<*>", map[int]int64{3: 5, 2: 1, 1: 2, 0: 6}),
		remembered("s", "here again", map[int]int64{30: 1, 0: 2}),
	}
	if diff := cmp.Diff(want, put); diff != "" {
		t.Errorf("put, -want +got:\n%s", diff)
	}
	if diff := cmp.Diff([]state.Template{old[0], old[1], old[3]}, forget); diff != "" {
		t.Errorf("forget, -want +got:\n%s", diff)
	}
}

// Of more kinds than are remembered, those that were not seen the longest are forgotten, whether they are new or not.
func TestLearnIsBounded(t *testing.T) {
	var old []state.Template
	for i := range maxTemplates {
		old = append(old, remembered("s", "old "+strconv.Itoa(i), map[int]int64{1 + i%20: 1}))
	}
	groups := make([]Group, 700)
	for i := range groups {
		groups[i] = groupOf("new "+strconv.Itoa(i), 1)
	}
	stale := groupOf("a straggler", 1)
	stale.Days[0].Day -= 25
	put, forget := remember(old, nil, today, 30, true).learn(append(groups, stale))
	if len(put) != 700 || len(forget) != 700 {
		t.Fatalf("%d are put, and %d forgotten", len(put), len(forget))
	}
	for _, x := range forget {
		if ago := localDay(today) - x.Days[0].Day; ago < 19 {
			t.Errorf("%q was seen %d days ago, and is forgotten", x.Text, ago)
		}
	}
}

// A machine with some daily noise. On day 20 something new comes, from day 25 on one kind comes far more often, and on day 30 another one stops.
func TestForty(t *testing.T) {
	db := openState(t)
	start := time.Date(2026, 2, 20, 0, 0, 0, 0, time.Local) // the clock changes on day 37
	m := &Maker{Book: db, Settings: settings(t, "root@example.org")}
	random := rand.New(rand.NewPCG(5, 6))
	var got strings.Builder
	for n := range 40 {
		from, until := start.AddDate(0, 0, n), start.AddDate(0, 0, n+1)
		b := &state.Batch{}
		say := func(count int, service, format string) {
			for range count {
				message := fmt.Sprintf(format, random.IntN(100_000))
				at := from.Add(time.Duration(random.Int64N(int64(until.Sub(from)))))
				b.Report = append(b.Report, state.ReportLine{
					Time: at, Message: service + ": " + message, Details: All, Service: service, Start: len(service) + 2, Length: len(message),
				})
			}
		}
		say(8+random.IntN(5), "cron", "job %d is done")
		if n < 30 {
			say(3, "backup", "wrote archive number %d")
		}
		rising := 4
		if n >= 25 {
			rising = 40
		}
		say(rising, "postfix/smtpd", "lost connection after AUTH, session %d")
		if n == 20 {
			say(2, "kernel", "disk sda: read error at sector %d")
		}
		commit(t, db, b)
		made, out, err := m.Close(until, until.Add(settle))
		if err != nil {
			t.Fatal(err)
		}
		mailed := "mailed"
		if out == nil {
			mailed = "quiet "
		}
		fmt.Fprintf(&got, "%2d %s %s\n", n, mailed, made.Summary)
		for l := range strings.Lines(made.Text) {
			if strings.Contains(l, "  new ") || strings.Contains(l, "  rising ") || strings.Contains(l, " times its usual") || strings.Contains(l, "; last on") {
				fmt.Fprintf(&got, "          %s", strings.TrimLeft(l, " "))
			}
		}
		if err := m.Prune(until); err != nil {
			t.Fatal(err)
		}
	}
	checkGolden(t, "forty.txt", got.String())
}

// checkGolden compares a text with a file of testdata.
func checkGolden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s, -want +got:\n%s", name, diff)
	}
}

func TestSleepers(t *testing.T) {
	every := func(step, first, last int) (days []int) { // days ago
		for d := first; d >= last; d -= step {
			days = append(days, d)
		}
		return days
	}
	for _, c := range []struct {
		name    string
		matched []int // days ago
		logged  map[int]int64
		chains  []string
		want    string // "": it does not sleep
	}{
		{
			"daily, and then not", every(1, 29, 6), daysFrom(29, 0, 100), []string{"c"},
			"matched on 24 of the 24 days before, at most 1 day apart; not for 6 days, while sshd has logged 600 entries",
		},
		{"daily, not for two days", every(1, 29, 2), daysFrom(29, 0, 100), []string{"c"}, ""},
		{
			"daily, not for three days", every(1, 29, 3), daysFrom(29, 0, 100), []string{"c"},
			"matched on 27 of the 27 days before, at most 1 day apart; not for 3 days, while sshd has logged 300 entries",
		},
		{"weekly", every(7, 35, 7), daysFrom(35, 0, 100), []string{"c"}, ""},
		{"weekly, late", every(7, 42, 14), daysFrom(42, 0, 100), []string{"c"}, ""},
		{
			"weekly, and then not", every(7, 43, 15), daysFrom(43, 0, 100), []string{"c"},
			"matched on 5 of the 29 days before, at most 7 days apart; not for 15 days, while sshd has logged 1,500 entries",
		},
		{"irregular", []int{29, 28, 27, 20, 19, 18, 11, 10, 9}, daysFrom(29, 0, 100), []string{"c"}, ""},
		{"on four days only", every(1, 29, 26), daysFrom(29, 0, 100), []string{"c"}, ""},
		{"the service is silent, too", every(1, 29, 6), daysFrom(29, 6, 100), []string{"c"}, ""},
		{"the service says little now", every(1, 29, 6), func() map[int]int64 { m := daysFrom(29, 6, 100); m[3] = 60; return m }(), []string{"c"}, ""},
		{"the chain is deleted", every(1, 29, 6), daysFrom(29, 0, 100), []string{"other"}, ""},
		{"it never matched", nil, daysFrom(29, 0, 100), []string{"c"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := newActivity()
			hour := func(ago int) int64 { return today.AddDate(0, 0, -ago).Add(9 * time.Hour).Unix() }
			for _, ago := range c.matched {
				a.add(state.TallyKey{Hour: hour(ago), Kind: state.TallyMatches, Name: state.MatchName("c", "sshd")}, 2)
			}
			for ago, n := range c.logged {
				a.add(state.TallyKey{Hour: hour(ago), Kind: state.TallyEntries, Name: "sshd"}, n)
			}
			var want Sleepers
			if c.want != "" {
				want = Sleepers{{"c", c.want}}
			}
			if diff := cmp.Diff(want, a.sleepers(c.chains, localDay(today))); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
