package filter

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// hostile are patterns in each of which a subject costs more than the budget, in a different kind of work.
var hostile = []struct{ name, re, subject string }{
	{"alternatives", `^(a|aa)+(?=$)`, strings.Repeat("a", 60) + "!"},
	{"nested", `^(a+)+\1$`, strings.Repeat("a", 60) + "b"},
	{"counted", `^(?:a?){60}(?=$)\b!`, strings.Repeat("a", 60)},
	{"sets", `(?=a)\w*\w*\w*\w*\w*!`, strings.Repeat("a", 300)},
	{"lazy sets", `(?=a)\w*?\w*?\w*?\w*?\w*?!`, strings.Repeat("a", 300)},
	{"wide sets", `(?=é)\w*\w*\w*\w*\w*!`, strings.Repeat("é", 300)},
	{"lookahead", `(?:(?=(\w*))\w)+!`, strings.Repeat("a", 65536)},
	{"lookbehind", `(?<=\w{5000}!)`, strings.Repeat("a", 65536)},
	{"atomic", `(?:(?>(?:(a)|b)*)|a)+!`, strings.Repeat("a", 65536)},
	{"backreferences", `(\w+)\1!`, strings.Repeat("a", 65536)},
	{"backreferences in any case", `(?i)(\w+)\1!`, strings.Repeat("aA", 32768)},
	{"empty rounds", `(?:(?:(?:){65535}){65535}){65535}(?=a)`, "b"},
}

func TestBacktrackBudget(t *testing.T) {
	for _, tt := range hostile {
		p := mustBacktrack(t, tt.re)
		for range 2 {
			if matched, err := p.search(tt.subject, nil); matched || !errors.Is(err, errBudget) {
				t.Errorf("%s: matched %v, error %v", tt.name, matched, err)
			}
		}
		if cap(p.stack) > keptFrames {
			t.Errorf("%s: %d frames are kept", tt.name, cap(p.stack))
		}
	}
}

func mustBacktrack(t testing.TB, re string) *backtracker {
	t.Helper()
	tree, groups, err := parse(re)
	if err != nil {
		t.Fatal(err)
	}
	return newBacktracker(tree, len(groups))
}

// TestBacktrackSteps holds that what a search costs depends on nothing but pattern and subject, and that a
// message of the default greatest length is no problem in itself.
func TestBacktrackSteps(t *testing.T) {
	long := strings.Repeat("x", 65_533) + "bar"
	for _, re := range []string{`^((?:(?!foo).)*)bar$`, `(?<!foo)bar$`, `^(?:(x)|(y))*+bar`, `(?:(?!foo)\w){1,65535}?bar`} {
		p := mustBacktrack(t, re)
		var left [2]int
		for i := range left {
			if matched, err := p.search(long, nil); !matched || err != nil {
				t.Errorf("%s: matched %v, error %v", re, matched, err)
			}
			left[i] = p.steps
		}
		if left[0] != left[1] {
			t.Errorf("%s: %d steps are left, then %d", re, left[0], left[1])
		}
	}
}

// TestBacktrackUndo covers what must be as it was before after a way that led to nothing.
func TestBacktrackUndo(t *testing.T) {
	tests := []struct {
		re, subject string
		want        []string
	}{
		{`(?:(a)x|a)(?(1)c|b)`, "ab", []string{"∅"}},
		{`(?:(a)|b)*(?!x)(?<=b)`, "ab", []string{"a"}},
		{`(?!(a)b)(a)(?(1)x|c)`, "ac", []string{"∅", "a"}},
		{`(?!(?:(a)|b)c)(.)`, "ad", []string{"∅", "a"}},
		{`(?=(a+))a*b\1`, "baaabac", []string{"a"}},
		{`(?>(a)|(b))+c|(.)`, "abd", []string{"∅", "∅", "a"}},
		{`(?:(a(?(1)b|c)))+(?=$)`, "acab", []string{"ab"}}, // in its own condition, group 1 took part in the second round
		{`(?:(a|ab)(?=c|bcd)){2}?`, "aabcd", nil},
		{`(?<=(a)|(bc))(?=d)(?(1)x|d)`, "bcd", []string{"∅", "bc"}},
		{`((?:a{2,3}?){2})(?=b)`, "aaaaaab", []string{"aaaaaa"}},
		{`(?i)(k)\1(?a:(k)\2)`, "k\u212akK", []string{"k", "k"}},
		{`(?i)(s)\1`, "sſ", nil}, // not the same in lower case
		{`(?<=a{30000})b`, strings.Repeat("a", 30_000) + "b", []string{}},
		{`(?<=é.\x{1f600})b`, "é\xff\U0001f600b", []string{}},
		{`(?=)(|a)+`, "aa", []string{""}},
		{`(?=)(a|b*)*`, "ab", []string{""}},
	}
	for _, tt := range tests {
		got, matched := find(t, tt.re, tt.subject)
		if matched != (tt.want != nil) || !slices.Equal(got, tt.want) {
			t.Errorf("%q in %q: %q (matched: %v), want %q", tt.re, tt.subject, got, matched, tt.want)
		}
	}
}

func TestBacktrackAllocates(t *testing.T) {
	p := mustBacktrack(t, `^Failed (?!none)\S+ for (?:invalid user )?(?P<user>.*) from (?P<ip>\S+) port \d+ ssh2$`)
	groups := make([]span, 2)
	if n := testing.AllocsPerRun(100, func() { _, _ = p.search(sshLine, groups) }); n != 0 {
		t.Errorf("%v allocations for each search", n)
	}
}

// emptyRounds reports whether something is repeated that can match the empty text: there Go and Python differ.
func (n *node) emptyRounds() bool {
	return n.kind == nodeRepeat && n.max != 1 && n.subs[0].mayBeEmpty() || slices.ContainsFunc(n.subs, (*node).emptyRounds)
}

// FuzzBacktrack compares with the linear engines on what they can run, too. Both prefer the same match.
func FuzzBacktrack(f *testing.F) {
	for _, re := range []string{
		`^(?P<a>\w+)\b[^\s:]*$`, `(?i)(a|b)*?(c)`, `(?m)^(\d{2,3})|(?:x?y){1,3}?$`, `(?:(a)|(b))+?é`, `[[:alpha:]\Q-\E]\p{L}\B`,
		`(?s)(.*)(.+?)(.{2,})`, `a*(ab)?(b|$)`, `[\Q\E]*a`,
	} {
		f.Add(re, "aé b\n12ab")
	}
	f.Fuzz(func(t *testing.T, re, s string) {
		if len(re) > 200 || len(s) > 200 {
			return
		}
		p, err := compile(re)
		if err != nil {
			return
		}
		tree, _, err := parse(re)
		if err != nil {
			t.Fatal(err)
		}
		m := newBacktracker(tree, len(p.groups))
		got, want := make([]span, len(p.groups)), make([]span, len(p.groups))
		matched, err := m.search(s, got)
		if err != nil && !errors.Is(err, errBudget) {
			t.Fatalf("%q in %q: %v", re, s, err)
		}
		if !matched && err == nil && len(m.stack) > 0 {
			t.Fatalf("%q in %q: the stack is not empty", re, s)
		}
		if err != nil || p.backtracks() != "" || tree.emptyRounds() {
			return
		}
		linear := p.wide
		if isNarrow(s) {
			linear = p.narrow
		}
		wanted, err := linear.search(s, want)
		if err != nil || matched != wanted || matched && !slices.Equal(got, want) {
			t.Fatalf("%q in %q: %v %v, in linear time %v %v (%v)", re, s, matched, got, wanted, want, err)
		}
	})
}

func BenchmarkBacktrackBudget(b *testing.B) {
	for _, bm := range hostile {
		b.Run(bm.name, func(b *testing.B) {
			p := mustBacktrack(b, bm.re)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.search(bm.subject, nil); !errors.Is(err, errBudget) {
					b.Fatal(err)
				}
			}
		})
	}
}
