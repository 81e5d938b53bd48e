package report

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pyruse/pyruse/internal/state"
	"pgregory.net/rapid"
)

var mineStart = time.Date(2026, 11, 22, 8, 1, 1, 0, time.UTC)

// mineLine is an input line of the tests.
type mineLine struct {
	service, message string
	at               time.Time
	number           int64
}

// mineLines reads lines of "service: message"; one is a second after the other.
func mineLines(t *testing.T, text string) []mineLine {
	t.Helper()
	var lines []mineLine
	for l := range strings.Lines(text) {
		service, message, ok := strings.Cut(strings.TrimSuffix(l, "\n"), ": ")
		if !ok {
			t.Fatalf("bad line %q", l)
		}
		n := len(lines)
		lines = append(lines, mineLine{service, message, mineStart.Add(time.Duration(n) * time.Second), int64(n)})
	}
	return lines
}

func mine(known []Template, lines []mineLine) []Group {
	m := NewMiner(known)
	for _, l := range lines {
		m.Add(l.service, l.message, l.at, l.number, Origin{})
	}
	return m.Groups()
}

func templatesOf(groups []Group) []Template {
	var known []Template
	for _, g := range groups {
		known = append(known, g.Template)
	}
	return known
}

func TestMineGolden(t *testing.T) {
	names, err := filepath.Glob("testdata/mine/*.txtar")
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
			groups := mine(nil, mineLines(t, want["lines"]))
			slices.SortFunc(groups, func(a, b Group) int { return compareTemplates(a.Template, b.Template) })
			var got strings.Builder
			for _, g := range groups {
				fmt.Fprintf(&got, "%d %s: %s\n", g.Count, g.Template.Service, g.Template.Text)
			}
			if *update {
				data := fmt.Sprintf("%s-- lines --\n%s-- groups --\n%s", comment, want["lines"], got.String())
				if err := os.WriteFile(name, []byte(data), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(want["groups"], got.String()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			checkPatterns(t, mineLines(t, want["lines"]), groups)
		})
	}
}

// checkPatterns checks that each line matches the expression of its group, and no other group of its service.
func checkPatterns(t *testing.T, lines []mineLine, groups []Group) {
	t.Helper()
	matched := map[Template]int{}
	for _, g := range groups {
		re, err := regexp.Compile(g.Template.Regexp())
		if err != nil {
			t.Errorf("%q: %v", g.Template.Text, err)
			continue
		}
		for _, l := range lines {
			if l.service == g.Template.Service && re.MatchString(l.message) {
				matched[g.Template]++
			}
		}
		if !re.MatchString(g.Example) {
			t.Errorf("%s does not match its example %q", re, g.Example)
		}
		if matched[g.Template] != g.Count {
			t.Errorf("%s matches %d lines, want %d", re, matched[g.Template], g.Count)
		}
	}
}

// kinds are the forms of the lines that drawLines draws; each letter after % stands for a variable.
var kinds = []string{
	"session opened for user %n", "session closed for user %n", "disk %n is full", "%n says hello to %n", "Worker %n finished in %dms",
	"%n", "%n %n", "%d", "a=%n b=%n", "id %i: from=<%n>, size=%d", "link %n is up", "eth%d renamed to veth%d", "%n: x y z %n", "job %i done by %n at %n with %n",
	`<%n> \ <ip> %d`, "/var/lib/%n/%d: not found", "queue %i of %n", "one two three four %n %n", "%n two %n four %n six", "from %n to host %n", "rhost=%n",
}

var names = strings.Fields("alice bob carol dave eve error started root a.example.org b.example.org x1 x2 x33 192.0.2.1 2001:db8::1 bob@example.org <*> <num> \\ é \xff , ...")

// drawLines draws lines of few kinds with few names, so that all comes together that can.
func drawLines(t *rapid.T) []mineLine {
	var lines []mineLine
	for n := range rapid.IntRange(1, 80).Draw(t, "count") {
		message := rapid.SampledFrom(kinds).Draw(t, "kind")
		for {
			before, after, ok := strings.Cut(message, "%")
			if !ok {
				break
			}
			var v string
			switch after[0] {
			case 'n':
				v = rapid.SampledFrom(names).Draw(t, "name")
			case 'd':
				v = strconv.Itoa(rapid.IntRange(0, 99).Draw(t, "number"))
			default:
				v = fmt.Sprintf("%08X", rapid.Uint32().Draw(t, "id"))
			}
			message = before + v + after[1:]
		}
		seconds := rapid.IntRange(0, 200_000).Draw(t, "second")
		service := rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "service")
		lines = append(lines, mineLine{service, message, mineStart.Add(time.Duration(seconds) * time.Second), int64(n)})
	}
	return lines
}

func TestMineInAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lines := drawLines(t)
		known := templatesOf(mine(nil, drawLines(t)))
		want := mine(known, lines)
		got := mine(rapid.Permutation(known).Draw(t, "known"), rapid.Permutation(lines).Draw(t, "lines"))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("-in order +permuted:\n%s", diff)
		}
	})
}

func TestMineCountsAndMatches(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lines := drawLines(t)
		known := templatesOf(mine(nil, drawLines(t)))
		sum := 0
		for _, g := range mine(known, lines) {
			sum += g.Count
			days := int64(0)
			for _, d := range g.Days {
				days += d.Count
			}
			re := regexp.MustCompile(g.Template.Regexp())
			if int(days) != g.Count || g.Variants < 1 || g.Last.Before(g.First) || !re.MatchString(g.Example) {
				t.Errorf("bad group %+v", g)
			}
			for _, old := range g.Replaces {
				if !slices.Contains(known, old) || old == g.Template {
					t.Errorf("%v replaces %v", g.Template, old)
				}
			}
			if g.Known != slices.Contains(known, g.Template) {
				t.Errorf("%v: known %v", g.Template, g.Known)
			}
			// The lines of the group alone: each must match.
			for _, l := range lines {
				if alone := mine([]Template{g.Template}, []mineLine{l}); alone[0].Template == g.Template && !re.MatchString(l.message) {
					t.Errorf("%s does not match %q", re, l.message)
				}
			}
		}
		if sum != len(lines) {
			t.Errorf("%d lines in groups, want %d", sum, len(lines))
		}
	})
}

// secondDay mines the same lines with what is known of the first day.
func secondDay(t rapid.TB, first []Group, lines []mineLine) {
	t.Helper()
	want := slices.Clone(first)
	for i := range want {
		want[i].Known, want[i].Replaces = true, nil
	}
	if diff := cmp.Diff(want, mine(templatesOf(first), lines)); diff != "" {
		t.Fatalf("-first day, known +second day:\n%s", diff)
	}
}

func TestMineSecondDay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lines := drawLines(t)
		secondDay(t, mine(nil, lines), lines)
	})
}

// After a day with new lines, the caller has the templates that are left and the new ones. With these, the same day is no news.
func TestMineThirdDay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		known, lines := templatesOf(mine(nil, drawLines(t))), drawLines(t)
		second := mine(known, lines)
		for _, g := range second {
			known = slices.DeleteFunc(known, func(old Template) bool { return slices.Contains(g.Replaces, old) })
		}
		want := slices.Clone(second)
		for i := range want {
			want[i].Known, want[i].Replaces = true, nil
		}
		if diff := cmp.Diff(want, mine(append(known, templatesOf(second)...), lines)); diff != "" {
			t.Fatalf("-second day, known +third day:\n%s", diff)
		}
	})
}

func TestMineSecondDayOfGoldens(t *testing.T) {
	data, err := os.ReadFile("testdata/mine/services.txtar")
	if err != nil {
		t.Fatal(err)
	}
	_, files := archive(string(data))
	lines := mineLines(t, files["lines"])
	secondDay(t, mine(nil, lines), lines)
}

// messages makes lines of one service.
func messages(texts ...string) []mineLine {
	var lines []mineLine
	for i, text := range texts {
		lines = append(lines, mineLine{"app", text, mineStart, int64(i)})
	}
	return lines
}

func TestMineKnown(t *testing.T) {
	app := func(texts ...string) []Template {
		var known []Template
		for _, text := range texts {
			known = append(known, Template{"app", text})
		}
		return known
	}
	for _, c := range []struct {
		name  string
		known []Template
		lines []mineLine
		want  []string // template, "known", what it replaces
	}{
		{"one variant stays literal", nil, messages("Disk alpha is full", "Disk alpha is full"), []string{"2 Disk alpha is full"}},
		{"two are not enough", nil, messages("Disk alpha is full", "Disk beta is full"), []string{"1 Disk alpha is full", "1 Disk beta is full"}},
		{"the third one", app("Disk alpha is full", "Disk beta is full"), messages("Disk gamma is full", "Disk alpha is full"),
			[]string{"2 Disk <*> is full < Disk alpha is full < Disk beta is full"}},
		{"a name that is new", app("Disk <*> is full"), messages("Disk gamma is full"), []string{"1 known Disk <*> is full"}},
		{"a number that is new", app("eth<num> is up"), messages("eth7 is up"), []string{"1 known eth<num> is up"}},
		{"a number that was none", app("eth0 is up"), messages("eth7 is up"), []string{"1 eth<num> is up < eth0 is up"}},
		{"an ID that looks like a number", app("mail <id> removed"), messages("mail 1234567890 removed"), []string{"1 known mail <id> removed"}},
		{"the closest one", app("copy <*> to <*>", "copy alpha to <*>"), messages("copy alpha to x"), []string{"1 known copy alpha to <*>"}},
		{"nothing new, nothing replaced", app("Disk a1 is full", "Disk <*> is full"), messages("Disk a1 is full"), []string{"1 known Disk a1 is full"}},
		{"another service", []Template{{"other", "Disk <*> is full"}}, messages("Disk gamma is full"), []string{"1 Disk gamma is full"}},
		{"a literal that looks like a wildcard", app("Disk <*> is full"), messages("Disk <*> is full", "Disk x is full"),
			[]string{`1 Disk \<*> is full`, "1 known Disk <*> is full"}},
		{"a number for a name", nil, messages("for invalid user alpha x", "for invalid user beta x", "for invalid user 123 x"),
			[]string{"3 for invalid user <*> x"}},
		{"no template", app("Disk <x> is full"), messages("Disk <x> is full"), []string{`1 Disk \<x> is full`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, g := range mine(c.known, c.lines) {
				s := fmt.Sprint(g.Count, " ")
				if g.Known {
					s += "known "
				}
				s += g.Template.Text
				for _, old := range g.Replaces {
					s += " < " + old.Text
				}
				got = append(got, s)
			}
			slices.Sort(got)
			slices.Sort(c.want)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// What says the opposite is never in one group, however many names there are.
func TestMineTellsApart(t *testing.T) {
	for _, pair := range [][2]string{
		{"session opened for user %s", "session closed for user %s"}, {"Started %s", "Stopped %s"}, {"%s accepted", "%s rejected"},
		{"check of %s: error", "check of %s: ok"}, {"link of %s is Up", "link of %s is Down"}, {"%s GET /x", "%s POST /x"},
	} {
		var lines []mineLine
		for i := range 100 {
			for _, form := range pair {
				lines = append(lines, mineLine{"app", fmt.Sprintf(form, string(rune('a'+i%26))+string(rune('a'+i/26))), mineStart, int64(2 * i)})
			}
		}
		groups := mine(nil, lines)
		if len(groups) != 2 || groups[0].Count != 100 || groups[1].Count != 100 {
			t.Errorf("%v: %v", pair, templatesOf(groups))
		}
		checkPatterns(t, lines, groups)
	}
}

func TestMineExampleAndDays(t *testing.T) {
	at := func(s string) time.Time {
		v, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	groups := mine(nil, []mineLine{
		{"a", "took 3 s", at("2026-11-22T22:59:59Z"), 3},
		{"a", "took 2 s", at("2026-11-22T22:59:59Z"), 2},
		{"a", "took 4 s", at("2026-11-22T23:00:00Z"), 1}, // the next day in the zone of the tests
		{"a", strings.Repeat("é", 600) + " long", at("2026-11-22T23:00:00Z"), 4},
	})
	if len(groups) != 2 || groups[0].Example != "took 2 s" || !groups[0].First.Equal(at("2026-11-22T22:59:59Z")) || !groups[0].Last.Equal(at("2026-11-22T23:00:00Z")) {
		t.Errorf("%+v", groups)
	}
	if diff := cmp.Diff([]state.DayCount{{Day: 20779, Count: 2}, {Day: 20780, Count: 1}}, groups[0].Days); diff != "" {
		t.Error(diff)
	}
	if e := groups[1].Example; len(e) > maxExample || !strings.HasSuffix(e, "é…") {
		t.Errorf("example %q", e)
	}
}

// Lines that are made to be slow or large: a quadratic step would take minutes.
func TestMineHostile(t *testing.T) {
	word := func(n int) string { return strconv.FormatUint(mix(uint64(n)+1)>>30, 26) }
	letters := func(n int) string { // without digits
		return strings.Map(func(r rune) rune {
			if r <= '9' {
				return r - '0' + 'q'
			}
			return r
		}, word(n))
	}
	for _, c := range []struct {
		name   string
		count  int
		line   func(n int) string
		groups int // at most; what has the endings of a participle stays apart
	}{
		{"one position", 100_000, func(n int) string { return "user " + letters(n) + " is gone" }, 200},
		{"only names", 50_000, letters, 200},
		{"all different", 30_000, func(n int) string {
			return fmt.Sprintf("%s %s %s %s %s %s %s", letters(7*n), letters(7*n+1), letters(7*n+2), letters(7*n+3), letters(7*n+4), letters(7*n+5), letters(7*n+6))
		}, 30_000},
		{"few words in all places", 30_000, func(n int) string {
			var b strings.Builder
			for i := range 12 {
				b.WriteString(letters(int(mix(uint64(n*12+i))%40)) + " ")
			}
			return b.String()
		}, 30_000},
		{"pairs", 30_000, func(n int) string { return "alpha beta gamma delta " + letters(n) + " epsilon " + letters(n+1) }, 200},
		{"long lines", 2_000, func(n int) string { return strings.Repeat(letters(n)+" ", 199) }, 2_000},
		{"megabytes", 20, func(n int) string { return strings.Repeat("x", 1<<20) + word(n) }, 1},
		{"megabytes of words", 20, func(n int) string { return strings.Repeat("x ", 1<<19) + word(n) }, 1},
		{"brackets", 20, func(int) string { return strings.Repeat("<", 1<<20) }, 1},
		{"only wildcards", 1_000, func(int) string { return "<*> <num> <...> <*" }, 1},
		{"NULs", 1_000, func(n int) string { return "\x00\x00 \x00" + word(n%3) }, 3},
		{"keys", 50_000, func(n int) string { return letters(n) + "=x" }, 200},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := NewMiner(nil)
			for n := range c.count {
				m.Add("app", c.line(n), mineStart, int64(n), Origin{})
			}
			groups := m.Groups()
			sum := m.Left()
			for _, g := range groups {
				sum += g.Count
			}
			if len(groups) > c.groups || sum != c.count {
				t.Errorf("%d groups, want at most %d; %d lines, want %d", len(groups), c.groups, sum, c.count)
			}
		})
	}
}

// Beyond the bound, what is kept depends on the lines and not on their order, and a flood of one service leaves the others whole.
func TestMineBound(t *testing.T) {
	line := func(n int) mineLine {
		service := "flood"
		if n%1000 == 0 {
			service = "quiet"
		}
		at := mineStart.Add(time.Duration(n%50) * time.Hour)
		return mineLine{service, "started " + strings.Repeat(string(rune('a'+n%26)), 1+n%700) + fmt.Sprintf("%cx", rune('一'+n%20000)), at, int64(n)}
	}
	const count = 120_000
	run := func(of func(i int) int) ([]Group, int) {
		m := NewMiner(nil)
		for i := range count {
			l := line(of(i))
			m.Add(l.service, l.message, l.at, l.number, Origin{})
		}
		return m.Groups(), m.Left()
	}
	forward, left := run(func(i int) int { return i })
	backward, leftToo := run(func(i int) int { return (i*77_777 + 5) % count })
	if left == 0 || left != leftToo {
		t.Errorf("left %d, want more than none and the same in another order: %d", left, leftToo)
	}
	if !reflect.DeepEqual(forward, backward) {
		t.Errorf("%d groups, in another order other %d", len(forward), len(backward))
	}
	quiet := 0
	for _, g := range forward {
		if g.Template.Service == "quiet" {
			quiet += g.Count
		}
	}
	if quiet != count/1000 {
		t.Errorf("%d lines of the quiet service, want %d", quiet, count/1000)
	}
}

// benchmarkMiner mines a million lines and reports the time for each, and the heap while the groups are made.
func benchmarkMiner(b *testing.B, distinct func(n int) string) {
	const count = 1_000_000
	services := strings.Fields("sshd postfix dovecot nginx systemd kernel sudo cron dhcpd named docker smartd")
	lines := make([]string, 100_000)
	for i := range lines {
		lines[i] = distinct(i)
	}
	var before, after runtime.MemStats
	for b.Loop() {
		runtime.GC()
		runtime.ReadMemStats(&before)
		m := NewMiner(nil)
		for n := range count {
			m.Add(services[n%len(lines)%12], lines[n%len(lines)], mineStart.Add(time.Duration(n)*10*time.Millisecond), int64(n), Origin{})
		}
		groups := m.Groups()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(len(groups)), "groups")
		b.ReportMetric(float64(after.HeapSys-before.HeapSys+before.HeapIdle-before.HeapReleased)/(1<<20), "MB-heap")
		b.ReportMetric(float64(m.Left()), "left")
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/count, "ns/line")
}

func BenchmarkMine1M(b *testing.B) {
	users := strings.Fields("alice bob carol dave eve mallory trent peggy victor walter oscar")
	b.Run("raw", func(b *testing.B) {
		benchmarkMiner(b, func(n int) string {
			return fmt.Sprintf("Failed password for invalid user %s from 192.0.%d.%d port %d ssh2", users[n%11], n%256, n/256%256, n)
		})
	})
	b.Run("masked", func(b *testing.B) {
		benchmarkMiner(b, func(n int) string {
			name := strings.Map(func(r rune) rune { return r - '0' + 'a' }, strconv.Itoa(n))
			return fmt.Sprintf("Failed password for invalid user %s from 192.0.%d.%d port %d ssh2: kind %s", name, n%256, n/256%256, n, users[n/7%11])
		})
	})
	b.Run("groups", func(b *testing.B) {
		benchmarkMiner(b, func(n int) string {
			name := strings.Map(func(r rune) rune { return r - '0' + 'a' }, strconv.Itoa(n))
			return fmt.Sprintf("%sed the password of an invalid user from 192.0.%d.%d port %d ssh2", name, n%256, n/256%256, n)
		})
	})
}
