package report

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pyruse/pyruse/internal/mail"
	"github.com/pyruse/pyruse/internal/state"
	"pgregory.net/rapid"
)

// shape is a report that is hard to fit into a mail.
type shape struct {
	name  string
	lines int
	least int    // bytes of the mail
	left  string // what the report says of what it leaves out; "": nothing is left out
	line  func(i int) state.ReportLine
}

var shapes = []shape{
	{"few", 1000, 1000, "", func(i int) state.ReportLine {
		return state.ReportLine{Level: 1 + i%2, Message: strconv.Itoa(i % 30), Details: All}
	}},
	{"empty other", 200_000, 1000, "… and 199,800 more: all-lines", func(int) state.ReportLine { return state.ReportLine{} }},
	{"other", 100_000, 20_000, "… and 99,800 more: all-lines", func(i int) state.ReportLine {
		return state.ReportLine{Message: "sshd: something happened to " + strconv.Itoa(i)}
	}},
	{"distinct warnings", 100_000, 300_000, " of 100,000 warnings", func(i int) state.ReportLine {
		return state.ReportLine{Level: state.ReportWarn, Message: strconv.Itoa(i), Details: None}
	}},
	{"all levels of detail", 100_000, 300_000, " of 100,000 lines of information", func(i int) state.ReportLine {
		return state.ReportLine{Level: state.ReportInfo, Message: strconv.Itoa(i / 5), Details: detailsOrder[i%5]}
	}},
	{"one message", 100_000, 1000, "the ends of long messages and of long lists of times", func(int) state.ReportLine {
		return state.ReportLine{Level: state.ReportWarn, Message: "the same", Details: All}
	}},
	{"one huge message", 1, 1000, "the ends of long messages and of long lists of times", func(int) state.ReportLine {
		return state.ReportLine{Level: state.ReportWarn, Message: strings.Repeat("ü", 4<<20)}
	}},
	{"huge messages", 60, 1000, "the ends of long messages and of long lists of times", func(i int) state.ReportLine {
		return state.ReportLine{Level: i % 3, Message: strconv.Itoa(i) + strings.Repeat("ü", 1<<17)}
	}},
	{"huge templates", 3000, 20_000, "", func(i int) state.ReportLine {
		m := strings.Repeat(string(rune('a'+i%26))+string(rune('a'+i/26%26))+"<>", 500)
		return state.ReportLine{Message: m, Service: strings.Repeat("s", 3000+i%50), Length: len(m)}
	}},
	{"entities", 20_000, 300_000, " warnings", func(i int) state.ReportLine {
		return state.ReportLine{Level: i % 3, Message: strconv.Itoa(i) + strings.Repeat(`"|=<`, 50)}
	}},
	{"bidi", 20_000, 250_000, " warnings", func(i int) state.ReportLine {
		return state.ReportLine{Level: i % 3, Message: strconv.Itoa(i) + strings.Repeat("\u202e\n", 50)}
	}},
	{"tags", 20_000, 250_000, " warnings", func(i int) state.ReportLine {
		return state.ReportLine{Level: i % 3, Message: strconv.Itoa(i) + strings.Repeat("\U000e0041", 50)}
	}},
}

// failer is what testing.TB and rapid.TB have in common.
type failer interface {
	Helper()
	Fatal(args ...any)
}

// tellWithRoom renders a report with everything else that may be long, and returns the texts and the size of the mail.
func tellWithRoom(t failer, r *Report, c *setting) (text, html string, size int) {
	t.Helper()
	letter := mail.Message{From: "pyruse@example.org", To: []string{"root@example.org"}, Subject: "Pyruse Report", Host: "example.org"}
	made, err := finish(r, c, nil, letter)
	if err != nil {
		t.Fatal(err)
	}
	size, err = mailSize(letter, made.Text, made.HTML)
	if err != nil {
		t.Fatal(err)
	}
	return made.Text, made.HTML, size
}

func plainSetting(r *Report) *setting {
	return &setting{
		since: r.first, until: r.last.Add(time.Second), memory: remember(nil, nil, r.first, 30, true), commands: []Command{{"every line", "all-lines"}},
	}
}

// A report fits into a mail, whatever its shape; one of which much is shown uses a good part of it; and what is left out is said.
func TestFit(t *testing.T) {
	start := time.Date(2026, 11, 22, 8, 1, 1, 123_000, time.Local)
	for _, c := range shapes {
		t.Run(c.name, func(t *testing.T) {
			r := NewReport(nil)
			for i := range c.lines {
				l := c.line(i)
				l.ID, l.Time = int64(i), start.Add(time.Duration(i)*time.Second)
				r.Add(l)
			}
			text, html, size := tellWithRoom(t, r, plainSetting(r))
			t.Logf("%d bytes", size)
			if size > MaxMail || size < c.least {
				t.Errorf("the mail has %d bytes, want %d to %d", size, c.least, MaxMail)
			}
			for _, out := range []string{text, html} {
				if !strings.Contains(out, c.left) {
					t.Errorf("%q is missing in %.2000s", c.left, out)
				}
			}
			if _, left, ok := strings.Cut(text, "\n== Left out\n"); c.left == "" && c.name == "few" && ok {
				t.Errorf("it says that it leaves out:\n%s", left)
			}
		})
	}
}

// What surrounds the rows may be long as well, and hostile.
func TestFitTheRest(t *testing.T) {
	r := NewReport(nil)
	long := strings.Repeat("\"<\u202e\x01", 20_000)
	c := plainSetting(r)
	c.since, c.until = today, today.AddDate(0, 0, 1)
	c.activity = newActivity()
	var known []state.Template
	for i := range 500 {
		id := strconv.Itoa(i)
		c.health.Problems = append(c.health.Problems, id+long)
		c.health.Failed = append(c.health.Failed, id+long)
		c.health.Chains = append(c.health.Chains, id+long)
		c.quiet = append(c.quiet, state.Report{Summary: shorten(id+long, maxSummary)})
		known = append(known, remembered("s"+id+long, "t"+id+long, daysFrom(10, 1, 1)))
		for d := range 20 {
			hour := today.AddDate(0, 0, -d).Unix()
			c.activity.add(state.TallyKey{Hour: hour, Kind: state.TallyEntries, Name: "sshd" + long}, 1)
			if d > 10 {
				c.activity.add(state.TallyKey{Hour: hour, Kind: state.TallyMatches, Name: state.MatchName(id+long, "sshd"+long)}, 1)
			}
		}
		r.AddBan(state.BanEvent{Time: today, Addr: netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), Chain: id + long})
		r.count(state.TallyKey{Hour: today.Unix(), Kind: state.TallyErrors, Name: id + long}, 1)
	}
	c.memory = remember(known, nil, today, 30, true)
	text, _, size := tellWithRoom(t, r, c)
	if size > MaxMail {
		t.Errorf("the mail has %d bytes", size)
	}
	for _, want := range []string{"450 of 500 usual kinds of lines that did not come", "470 of 500 sleeping rules", "… 469 more before", " ! … and "} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in:\n%.5000s", want, text)
		}
	}
	checkVisible(t, text)
}

// What is left out is counted: the rows that are shown and the rest make up the whole.
func TestLeftOut(t *testing.T) {
	r := NewReport(nil)
	for i := range 90_000 {
		r.Add(state.ReportLine{ID: int64(i), Level: i % 3, Time: time.Unix(int64(i), 0), Message: fmt.Sprintf("%06d", i/6), Details: All})
	}
	v := r.tell(plainSetting(r)).fill(50_000)
	for _, table := range []Table{v.Warnings, v.Information} {
		if want := more(30_000 - table.count()); len(table.Rows) == 0 || table.More != want {
			t.Errorf("%d rows, then %q, want %q", len(table.Rows), table.More, want)
		}
	}
	if want := more(30_000-len(v.Other.Lines)) + ": all-lines"; len(v.Other.Lines) == 0 || v.Other.Rest != want {
		t.Errorf("%d lines, then %q, want %q", len(v.Other.Lines), v.Other.Rest, want)
	}
}

// Reports of any lines fit, at once or after some tries.
func TestFitAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		lines, size, different := rapid.IntRange(0, 3000).Draw(t, "lines"), rapid.IntRange(1, 3000).Draw(t, "size"), rapid.IntRange(1, 3000).Draw(t, "different")
		alphabet := []rune(rapid.SampledFrom([]string{"abc ", `"<&|`, "ü日", "\u202e\n\x00", "\U000e0041", "{}\\", "0123 abc"}).Draw(t, "alphabet"))
		messages := make([]string, different)
		for i := range messages {
			b := make([]rune, random.IntN(size))
			for j := range b {
				b[j] = alphabet[random.IntN(len(alphabet))]
			}
			messages[i] = string(b)
		}
		r := NewReport(nil)
		for i := range lines {
			m := messages[random.IntN(different)]
			r.Add(state.ReportLine{
				ID: int64(i), Level: random.IntN(3), Time: time.Unix(int64(random.IntN(86_400)), 0), Message: m,
				Details: detailsOrder[random.IntN(len(detailsOrder))], Service: messages[0], Length: len(m),
			})
		}
		text, _, got := tellWithRoom(t, r, plainSetting(r))
		if got > MaxMail {
			t.Errorf("the mail has %d bytes", got)
		}
		if shown := r.tell(plainSetting(r)).fill(firstBudget); shown.Warnings.count()+shown.Information.count()+r.other.count < lines && !strings.Contains(text, "\n== Left out\n") {
			t.Error("it does not say what is left out")
		}
	})
}

func TestShorten(t *testing.T) {
	for _, c := range []struct {
		text string
		most int
		want string
	}{
		{"", 0, ""},
		{"abc", 3, "abc"},
		{"abcd", 3, "abc… [1 bytes left out]"},
		{"aüb", 2, "a… [3 bytes left out]"},
		{"\x80\x80\x80", 2, "… [3 bytes left out]"},
	} {
		if got := shorten(c.text, c.most); got != c.want {
			t.Errorf("%q to %d: %q, want %q", c.text, c.most, got, c.want)
		}
	}
}
