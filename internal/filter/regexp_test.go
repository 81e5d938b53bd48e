package filter

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// find compiles a pattern, searches s and returns the captured texts; "∅" is a group that took no part.
func find(t *testing.T, re, s string) ([]string, bool) {
	t.Helper()
	p, err := compile(re)
	if err != nil {
		t.Fatalf("compile(%q): %v", re, err)
	}
	groups := make([]span, len(p.groups))
	matched, err := p.search(s, groups)
	if err != nil {
		t.Fatalf("%q in %q: %v", re, s, err)
	}
	if !matched {
		return nil, false
	}
	texts := make([]string, len(groups))
	for i, g := range groups {
		if texts[i] = "∅"; g != unset {
			texts[i] = s[g.start:g.end]
		}
	}
	return texts, true
}

// TestPatternSyntax covers what Python's re does not know, or what is easily read differently.
func TestPatternSyntax(t *testing.T) {
	tests := []struct {
		re, subject string
		want        []string // nil: no match
	}{
		{`(?P<a>x)(y)(?<b>z)(?'c'!)`, "xyz!", []string{"x", "y", "z", "!"}},
		{`(y)(?P<n>x)\1(?P=n)`, "yxyx", []string{"y", "x"}}, // numbered in their order, also in the backtracking engine
		{`(?P<n>x)(y)\2\1`, "xyyx", []string{"x", "y"}},
		{`(a)|(b)`, "b", []string{"∅", "b"}},
		{`(a)|(?=b)(b)`, "b", []string{"∅", "b"}},
		{`(?P<n>x)\g1\g{1}\g{-1}\k<n>\k{n}\k'n'`, "xxxxxxx", []string{"x"}},
		{`(\Qa.b*\E+)`, "a.b**", []string{"a.b**"}},
		{`([\Q]^-\E]+)`, "x]-^", []string{"]-^"}},
		{`(\h+)x`, "a \t\u00a0x", []string{" \t\u00a0"}},
		{`(\R)x`, "\r\nx", []string{"\r\n"}},
		{`(\N+)`, "\nab\n", []string{"ab"}},
		{`(\x{e9}\xe9\u00e9\U000000e9\351)`, "ééééé", []string{"ééééé"}},
		{`(\e\cA\a\f\v\0)`, "\x1b\x01\a\f\v\x00", []string{"\x1b\x01\a\f\v\x00"}},
		{`([[:alpha:]]+)([[:^digit:]])([[:digit:][:punct:]]+)`, "aé-1.", []string{"aé", "-", "1."}},
		{`(\p{Lu})(\pL)(\P{L})(\p{Greek})(\p{^L})`, "Aé1α2", []string{"A", "é", "1", "α", "2"}},
		{`([\p{Lu}\d]+)`, "aB3", []string{"B3"}},
		{`(a{,2})(b{,})(c{,x})`, "aabbc{,x}", []string{"aa", "bb", "c{,x}"}},
		{`(?x) ( a \  b ) # comment
			( c )`, "a bc", []string{"a b", "c"}},
		{`(?i:(a))(?-i:(b))`, "Ab", []string{"A", "b"}},
		{`x(?i)(a)|(b)`, "B", []string{"∅", "B"}}, // a flag holds up to the end of the group
		{`(?#a comment)(a)(?#another)*`, "aa", []string{"a"}},
		{`(?i)(straße)`, "STRAẞE", []string{"STRAẞE"}},
		{`(?i)(ſ)(k)(i)`, "S\u212aİ", []string{"S", "\u212a", "İ"}},
		{`(?i)([^k])`, "\u212akx", []string{"x"}},
		{`(?a)(\w+)`, "éa", []string{"a"}},
		{`(a++)(b)`, "aab", []string{"aa", "b"}},
		{`(?>(a+))(b)`, "aab", []string{"aa", "b"}},
		{`(?(1)x|(y))`, "y", []string{"y"}},
		{`(<)?(a)(?(1)>|$)`, "<a>", []string{"<", "a"}},
		{`(?P<o><)?(a)(?(o)>|$)`, "<a", []string{"∅", "a"}},
		{`(?<=a|bc)(d)`, "bcd", []string{"d"}},
		{`(?<!\d{3})(x)`, "123xx", []string{"x"}},
		{`(a{1,2000})$`, strings.Repeat("a", 1500), []string{strings.Repeat("a", 1500)}},
		{`((?:ab){1500})`, strings.Repeat("ab", 1500), []string{strings.Repeat("ab", 1500)}},
		{`((?:a{50}){1,600})`, strings.Repeat("a", 120), []string{strings.Repeat("a", 100)}},
		{`(.)$`, "a\n", []string{"a"}},
		{`(.)\Z`, "a\n", nil},
		{`(.)\z`, "a\n", nil},
		{`(a)(?=b)\Z|(b)$`, "ab\n", []string{"∅", "b"}},
		{`\b(\w+)\b`, "— é̄t", []string{"é"}}, // a combining mark is no word character in Python
		{`(a$|b\n)`, "b\n", []string{"b\n"}},
		{`(?m)(a$)`, "a\nb", []string{"a"}},
		{`(x$)(?m:$)`, "x\n", []string{"x"}}, // two meanings of $ in one pattern
		{`(é\b)(?a:\b)`, "é a", nil},
		{`(\bé)(?a:\B)`, "é a", []string{"é"}},
		{`(\p{Cs})`, "\ufffd", nil},
		{`(\B)`, "", []string{""}},
		{`()`, "", []string{""}},
	}
	for _, tt := range tests {
		got, matched := find(t, tt.re, tt.subject)
		if matched != (tt.want != nil) || !slices.Equal(got, tt.want) {
			t.Errorf("%q in %q: %q (matched: %v), want %q", tt.re, tt.subject, got, matched, tt.want)
		}
	}
}

func TestPatternFaults(t *testing.T) {
	tests := []struct {
		re     string
		offset int
		want   string
	}{
		{`ab(cd`, 2, "lacks its closing parenthesis"},
		{`abc)`, 3, "unbalanced parenthesis"},
		{`a**`, 2, "a quantifier follows another"},
		{`a|*b`, 2, "nothing to repeat"},
		{`^*`, 1, "nothing to repeat"},
		{`x[abc`, 1, "lacks its closing bracket"},
		{`x[c-a]`, 2, "bad character range c-a"},
		{`[\w-z]`, 1, `bad character range \w-z`},
		{`a{3,2}`, 1, "least repeat count 3 is above"},
		{`a{70000}`, 1, "above 65535"},
		{`é\y`, 2, `bad escape \y`},
		{`a\`, 1, "ends with a backslash"},
		{`\xg1`, 0, "no character code"},
		{`\x{d800}`, 0, "no character with the code"},
		{`\477`, 0, "octal"},
		{`(a)\2`, 3, `no group "2"`},
		{`(a\1)`, 2, "inside of its own group"},
		{`(?P=b)`, 0, `no group "b"`},
		{`(?<=(a)\1)`, 7, "in the same lookbehind"},
		{`(?P<1a>x)`, 0, `"1a" is no group name`},
		{`(?P<>x)`, 0, `"" is no group name`},
		{`(?P<a>x)(?P<a>y)`, 8, `"a" is taken by group 1`},
		{`(?<=a+)b`, 0, "no fixed width"},
		{`(?(2)a|b)`, 0, "no group 2"},
		{`(a)(?(1)a|b|c)`, 11, "more than two branches"},
		{`(?R)`, 0, "unknown extension"},
		{`(?|a|b)`, 0, "unknown extension"},
		{`(*UTF8)a`, 0, "verbs"},
		{`a\Kb`, 1, `bad escape \K`},
		{`\p{Klingon}`, 0, `no Unicode property "Klingon"`},
		{`[[:foo:]]`, 1, "no character class [:foo:]"},
		{"a\xff", 0, "not valid UTF-8"},
		{strings.Repeat("(", 300), maxDepth, "nested more than 200 deep"},
		{strings.Repeat("(?(1)", 300), maxDepth * 5, "nested more than 200 deep"},
		{strings.Repeat("()", 300), 2 * maxGroups, "more than 200 groups"},
		{strings.Repeat("a", maxPatternLen+1), maxPatternLen, "longer than 65536 bytes"},
	}
	for _, tt := range tests {
		_, err := compile(tt.re)
		var fault *patternError
		if !errors.As(err, &fault) {
			t.Errorf("compile(%.40q): %v, want a fault", tt.re, err)
			continue
		}
		if fault.offset != tt.offset || !strings.Contains(fault.message, tt.want) {
			t.Errorf("compile(%.40q): %v, want offset %d and %q", tt.re, err, tt.offset, tt.want)
		}
	}
}

func TestPatternEngines(t *testing.T) {
	tests := []struct{ re, why string }{
		{`^(\w+) \b(?i:failed)$`, ""},
		{`a(?=b)`, "a lookahead"},
		{`(?<!a)b`, "a lookbehind"},
		{`(a)\1`, "a backreference"},
		{`a++`, "a possessive quantifier"},
		{`(?>a)`, "an atomic group"},
		{`(a)?(?(1)b)`, "a conditional group"},
		{`a{1001}`, "its repeat counts"},
		{`(?:(?:a{10}){10}){10}`, ""},
		{`(?:(?:a{10})?){101,}`, "its repeat counts"},
		{`(?:abcdefghijklmnopqrstuvwxyz){1000}`, "its repeat counts"},
	}
	for _, tt := range tests {
		p, err := compile(tt.re)
		if err != nil {
			t.Errorf("compile(%q): %v", tt.re, err)
		} else if p.backtracks() != tt.why {
			t.Errorf("%q backtracks because of %q, want %q", tt.re, p.backtracks(), tt.why)
		}
	}
}

func TestPatternPrefilter(t *testing.T) {
	exactly := func(texts ...string) (list []literal) {
		for _, text := range texts {
			list = append(list, literal{text: text})
		}
		return list
	}
	tests := []struct {
		re, prefix string
		needed     []literal
	}{
		{`^Failed password for (\S+)`, "Failed password for ", nil},
		{`^(?:a|b) from`, "", exactly(" from")},
		{`for .* from (\S+) port`, "", exactly(" from ")},
		{`(?:error|warning): x`, "", exactly("error", "warning")},
		{`a(?:bcd)+e`, "", exactly("bcd")},
		{`a(?:bcd)*e`, "", exactly("a")},
		{`(?i)Disk 5é`, "", []literal{{"disk 5", true}}},
		{`(?i:a)bc[12]xyz9`, "", exactly("xyz9")},
		{`^a(?i)b`, "a", []literal{{"ab", true}}},
		{`(?i)é`, "", nil},
		{`(?i)ſ`, "", nil}, // matches "s"
		{`(?m)^abc`, "", exactly("abc")},
		{`^abc|d`, "", exactly("abc", "d")},
		{`[ab]|c`, "", nil},
		{`a|b|c|d|e|f|g|h|i|j|k|l|m|n|o|p|q`, "", nil},
		{`x(?!yes)(?=yeah)`, "", exactly("yeah")},
		{`\w+`, "", nil},
	}
	for _, tt := range tests {
		p, err := compile(tt.re)
		if err != nil {
			t.Fatalf("compile(%q): %v", tt.re, err)
		}
		if p.prefix != tt.prefix || !slices.Equal(p.needed, tt.needed) {
			t.Errorf("%q: prefix %q, needed %v, want %q, %v", tt.re, p.prefix, p.needed, tt.prefix, tt.needed)
		}
	}
	for s, want := range map[string]bool{"xDISKy": true, "dIsK": true, "dis": false, "d\x09sk": false, "": false, "\u212a": true} {
		if got := (literal{"disk", true}).in(s); got != want {
			t.Errorf("disk in %q: %v", s, got)
		}
	}
}

// TestPatternBudget gives each engine what would run away: linear engines answer, the other one gives up.
func TestPatternBudget(t *testing.T) {
	hostile := strings.Repeat("a", 40)
	for _, tt := range []struct {
		re, subject string
		err         error
	}{
		{`^(a+)+$`, hostile + "!", nil},
		{`^(a+)+$`, hostile + "é", nil},         // pike
		{`\b(\w+\s?)+\b$`, hostile + "é!", nil}, // pike
		{`^(a|aa)+(?=$)`, hostile + "!", errBudget},
	} {
		p, err := compile(tt.re)
		if err != nil {
			t.Fatal(err)
		}
		matched, err := p.search(tt.subject, make([]span, len(p.groups)))
		if matched || !errors.Is(err, tt.err) {
			t.Errorf("%q: matched %v, error %v, want %v", tt.re, matched, err, tt.err)
		}
	}
}

// TestPatternLongMessage matches a group once per character of a long message in the backtracking engine.
func TestPatternLongMessage(t *testing.T) {
	got, matched := find(t, `^((?:(?!foo).)*)bar$`, strings.Repeat("x", 60_000)+"bar")
	if !matched || len(got[0]) != 60_000 {
		t.Error("no match")
	}
}

// TestPatternDoublingGroups compiles groups each of which is twice as wide as the one before it; a lookbehind
// asks for the width of the last.
func TestPatternDoublingGroups(t *testing.T) {
	var re strings.Builder
	re.WriteString("(a)")
	for i := 1; i < 90; i++ {
		fmt.Fprintf(&re, `(\%d\%d)`, i, i)
	}
	if _, matched := find(t, re.String()+`(?<=\90)`, strings.Repeat("a", 1000)); matched {
		t.Error("a match of 2^89 characters")
	}
	if _, matched := find(t, `(a)(\1\1)(\2\2)(?<=baaa\3)c`, "baaaaaaac"); !matched {
		t.Error("no match")
	}
}

// FuzzPattern looks for panics, and compares the engines where more than one is exact.
func FuzzPattern(f *testing.F) {
	for _, re := range []string{
		`^(?P<a>\w+)\b[^\s:]*$`, `(?i)(a|b)*?\1(?=c)`, `(?<!a)\d{2,3}+`, `(?(1)a|b)(c)?`, `[[:alpha:]\Q-\E]\p{L}`,
		`(?:a{30}){1,50}`, `(`, `(?s-i:.)(?m)^$`, `(?x) a # b`, `\Z\B`,
	} {
		f.Add(re, "aé b\n")
	}
	f.Fuzz(func(t *testing.T, re, s string) {
		if len(re) > 200 || len(s) > 200 {
			return
		}
		p, err := compile(re)
		if err != nil {
			if _, _, fault := parse(re); fault == nil {
				t.Fatalf("compile(%q): an engine refuses what was written for it: %v", re, err)
			}
			var fault *patternError
			if !errors.As(err, &fault) || fault.offset > len(re) {
				t.Fatalf("compile(%q): %v", re, err)
			}
			return
		}
		groups, other := make([]span, len(p.groups)), make([]span, len(p.groups))
		matched, err := p.search(s, groups)
		if err != nil && !errors.Is(err, errBudget) {
			t.Fatalf("%q in %q: %v", re, s, err)
		}
		if matched && err != nil {
			t.Fatalf("%q in %q: a match and an error", re, s)
		}
		for _, g := range groups {
			if matched && g != unset && (g.start < 0 || g.end < g.start || g.end > len(s)) {
				t.Fatalf("%q in %q: span %v", re, s, g)
			}
		}
		if _, backtracks := p.wide.(*backtracker); backtracks || !isNarrow(s) {
			return // FuzzBacktrack compares that one
		}
		if wide, err := p.wide.search(s, other); err == nil && (wide != matched && p.mayMatch(s) || matched && !slices.Equal(groups, other)) {
			t.Fatalf("%q in %q: %v %v, in the wide engine %v %v", re, s, matched, groups, wide, other)
		}
	})
}

const sshLine = "Failed password for invalid user admin from 203.0.113.77 port 41712 ssh2"

func BenchmarkPattern(b *testing.B) {
	for _, bm := range []struct{ name, re, subject string }{
		{"miss-prefix", `^Accepted publickey for (?P<user>\S+) from (?P<ip>\S+)`, sshLine},
		{"miss-needed", `authentication failure.* rhost=(?P<ip>\S+)`, sshLine},
		{"miss-two-needed", `(?:error|fatal): (?P<ip>\S+)`, sshLine},
		{"miss-fold", `(?i)authentication failure`, sshLine},
		{"miss-alternatives", `\b(?:error|fatal|crit|alert|panic)\b`, sshLine},
		{"miss-none-needed", `(?i)^\w+ closed by (?P<ip>[\d.]+)$`, sshLine},
		{"miss-backtracking", `^(?!Failed)\w+ .* ssh2$`, sshLine},
		{"hit", `^Failed \S+ for (?:invalid user )?(?P<user>.*) from (?P<ip>\S+) port \d+ ssh2$`, sshLine},
		{"hit-non-ascii", `^Failed \S+ for (?:invalid user )?(?P<user>.*) from (?P<ip>\S+) port \d+ ssh2$`, strings.Replace(sshLine, "admin", "ädmin", 1)},
		{"hit-backtracking", `^Failed (?!none)\S+ for (?:invalid user )?(?P<user>.*) from (?P<ip>\S+) port \d+ ssh2$`, sshLine},
	} {
		b.Run(bm.name, func(b *testing.B) {
			p, err := compile(bm.re)
			if err != nil {
				b.Fatal(err)
			}
			groups := make([]span, len(p.groups))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.search(bm.subject, groups); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("go-regexp-hit", func(b *testing.B) {
		re := regexp.MustCompile(`^Failed \S+ for (?:invalid user )?(?P<user>.*) from (?P<ip>\S+) port \d+ ssh2$`)
		b.ReportAllocs()
		for b.Loop() {
			re.FindStringSubmatchIndex(sshLine)
		}
	})
}

func BenchmarkPatternCompile(b *testing.B) {
	for b.Loop() {
		if _, err := compile(`^Failed \S+ for (?:invalid user )?(?P<user>\w*) from (?P<ip>\S+) port \d+ ssh2$`); err != nil {
			b.Fatal(err)
		}
	}
}
