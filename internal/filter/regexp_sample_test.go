package filter

import (
	"bufio"
	"encoding/json"
	"os"
	"strings"
	"testing"
)

func TestSample(t *testing.T) {
	ip := map[int]string{0: "203.0.113.5"}
	tests := []struct {
		re     string
		values map[int]string
		want   string
	}{
		{`^Failed password for .* from (?P<IP>[0-9A-Fa-f:.]+) port [0-9]+ ssh2$`, ip, "Failed password for x from 203.0.113.5 port 0 ssh2"},
		{`^Invalid user (?P<user>\S*) from (?P<IP>\S+)`, map[int]string{0: "root", 1: "2001:db8::1"}, "Invalid user root from 2001:db8::1"},
		{`^Invalid user (?P<user>.*) from (?P<IP>\S+)$`, map[int]string{1: "192.0.2.7"}, "Invalid user x from 192.0.2.7"},
		{`^(?:error|fatal): (?P<IP>\S+): [a-z]{3}\.\d{2,}[^\w\s]?$`, ip, "error: 203.0.113.5: xxx.00"},
		{`(?i)Client (?P<IP>\S+) [A-F]+[G-Z]`, ip, "Client 203.0.113.5 ax"},
		{`a+?b*?c?(?:de)?(?:fg){2}`, nil, "afgfg"},
		{`^from "?(?P<IP>\S+)"?$`, ip, "from 203.0.113.5"},
		{`(?:no|from (?P<IP>\S+)|x)`, ip, "from 203.0.113.5"},
		{`^(?:user \S+ )?(?:from (?P<IP>\S+))?$`, ip, "from 203.0.113.5"},
		{`^.*\bfrom (?P<IP>\S+)`, ip, "from 203.0.113.5"},
		{`^Invalid.*\bfrom (?P<IP>\S+)`, ip, "Invalid from 203.0.113.5"},
		{`(?P<q>["'])(?P<IP>[^"']+)\1`, map[int]string{0: "'", 1: "::1"}, "'::1'"},
		{`(?P<q>["'])(?P<IP>[^"']+)\1`, map[int]string{1: "::1"}, `"::1"`},
		{`^(<)?(?P<IP>[\d.]+)(?(1)>|$)`, map[int]string{1: "192.0.2.1"}, "192.0.2.1"},
		{`^(<)?(?P<IP>[\d.]+)(?(1)>|$)`, map[int]string{0: "<", 1: "192.0.2.1"}, "<192.0.2.1>"},
		{`^(<)?x(?(1)(?P<IP>\S+)|$)`, map[int]string{1: "192.0.2.1"}, "<x192.0.2.1"},
		{`(?P<IP>[\d.]+)(?= port)`, ip, "203.0.113.5 port"},
		{`(?<=from )(?P<IP>[\d.]+)`, ip, "from 203.0.113.5"},
		{`^from (?<=m )(?P<IP>[\d.]+)`, ip, "from 203.0.113.5"},
		{`^from (?!10\.)(?P<IP>\S+)`, ip, "from 203.0.113.5"},
		{`(?P<net>(?P<IP>[\d.]+)/\d+)`, map[int]string{0: "192.0.2.0/24", 1: "192.0.2.0"}, "192.0.2.0/24"},
		{`(?P<net>(?P<IP>[\d.]+)/\d+)`, map[int]string{1: "192.0.2.0"}, "192.0.2.0/0"},
		{`(?:(?P<IP>\S+),){3}`, ip, "203.0.113.5,203.0.113.5,203.0.113.5,"},
		{`(?:[^\s\S]|b)c`, nil, "bc"},
		{`(?!a)(?:a|b)c`, nil, "bc"},
		{`^(a)?(?!c)b?(?(1)d|e)`, map[int]string{0: "a"}, "ad"},
		{`\s\t[\x00-\x1f]é\p{Greek}[^\x00-\x7f]`, nil, " \t\x00éͰ\u0080"},
		{`a{300}`, nil, strings.Repeat("a", 300)},
		{`(?P<empty>\d*)x`, map[int]string{0: ""}, "x"},
		{``, nil, ""},
		{`^$`, nil, ""},
		{`(?m)a$\n^b`, nil, "a\nb"},
		{`(?P<IP>.+)\Z`, map[int]string{0: "any \"text\"\tétc."}, "any \"text\"\tétc."},
	}
	for _, tt := range tests {
		p := mustCompile(t, tt.re)
		if got, ok := p.sample(tt.values); !ok || got != tt.want {
			t.Errorf("%q with %v: %q (%v), want %q", tt.re, tt.values, got, ok, tt.want)
		}
	}
}

// TestNoSample asks for what there is not, or what would be too long.
func TestNoSample(t *testing.T) {
	tests := []struct {
		re     string
		values map[int]string
	}{
		{`(?P<IP>[\d.]+)`, map[int]string{0: "not an address"}},
		{`(?P<IP>[\d.]+)`, map[int]string{1: "192.0.2.1"}},
		{`(?P<IP>[\d.]+)`, map[int]string{-1: "192.0.2.1"}},
		{`(?P<IP>[\d.]*)`, map[int]string{0: strings.Repeat("1", maxSample+1)}},
		{`^.*(?P<IP>[\d.]+)$`, map[int]string{0: "203.0.113.5"}}, // the .* takes all but the last digit
		{`^Refused .*? from (?P<IP>\S+)$`, map[int]string{0: "a b"}},
		{`(?P<a>x)|(?P<b>y)`, map[int]string{0: "x", 1: "y"}},
		{`(?:(?P<IP>\S+)){0}`, map[int]string{0: "x"}},
		{`(?!.*(?P<IP>\S+))`, map[int]string{0: "x"}},
		{`[^\s\S]`, nil},
		{`\p{Cs}`, nil},
		{`a^b`, nil},
		{`(?!)`, nil},
		{`a{10000}`, nil},
		{`(?:(?:(?:a{10000}){10000}){10000}){10000}`, nil},
		{`\p{Greek}{65535}`, nil},
		{`(?:(?:(?:){65535}|b){65535}c{0}){65535}(?=)`, nil}, // the search runs out of steps
		{`(?:(?:(?:|b)(?:|b)){65535}(?:)){65535}a^`, nil},
		{`^(a|aa)+\1b(?=$)c`, nil},
	}
	for _, tt := range tests {
		p := mustCompile(t, tt.re)
		if got, ok := p.sample(tt.values); ok || got != "" {
			t.Errorf("%q with %v: %.80q", tt.re, tt.values, got)
		}
	}
}

// analyse calls all of the analysis, and fails where an answer contradicts itself, or takes more work than it may.
func analyse(t *testing.T, p *pattern, values map[int]string) (sampled bool) {
	t.Helper()
	p.matchesEmpty()
	for i := -1; i <= len(p.groups); i++ {
		if (p.looseGroup(i) == "") != (p.pinHint(i) == "") {
			t.Fatalf("%q: group %d is loose because %q, and the hint is %q", p.source, i, p.looseGroup(i), p.pinHint(i))
		}
	}
	for _, wanted := range []map[int]string{nil, values} {
		text, ok, work := p.sampleCounting(wanted)
		if work > 3*maxSampleWork/2 { // the last search was begun within the bound, and ran out of steps
			t.Errorf("%.80q with %v takes %d of work", p.source, wanted, work)
		}
		if again, same := p.sample(wanted); again != text || same != ok {
			t.Fatalf("%q with %v: %q, and then %q", p.source, wanted, text, again)
		}
		if !ok {
			continue
		}
		sampled = true
		groups := make([]span, len(p.groups))
		matched, err := p.search(text, groups)
		if !matched || err != nil || len(text) > maxSample {
			t.Fatalf("%q with %v: the sample %q does not match", p.source, wanted, text)
		}
		for i, value := range wanted {
			if g := groups[i]; g == unset || text[g.start:g.end] != value {
				t.Fatalf("%q with %v: the sample %q captures something else in group %d", p.source, wanted, text, i)
			}
		}
	}
	return sampled
}

// TestAnalyseHostile analyses what is large, deep or costly.
func TestAnalyseHostile(t *testing.T) {
	for _, re := range []string{
		strings.Repeat("(", 199) + "a*" + strings.Repeat(")*", 199),
		strings.Repeat("(?:", 199) + "a|" + strings.Repeat("b){999}|", 199),
		strings.Repeat("(?=(", 99) + `\w*` + strings.Repeat("))", 99),
		strings.Repeat("(?>(?:|", 99) + `(\w+)` + strings.Repeat("))+", 99),
		strings.Repeat(".*", maxPatternLen/2),
		strings.Repeat(`\w`, maxPatternLen/2),
		strings.Repeat("a|", maxPatternLen/2),
		strings.Repeat("a?", 9000) + "$",
		"^" + strings.Repeat("g*h*,?", maxPatternLen/8) + ",(?P<IP>.)", // delimiters are far away
		"^(?:" + strings.Repeat("[^,]*|", 9000) + ")" + strings.Repeat(",?", 4000) + ",(?P<IP>.)",
		strings.Repeat("(?:[^,]*", 199) + strings.Repeat(",?)*", 199) + ",(?P<IP>.)",
		"(.)" + strings.Repeat(`\1`, 30000),
		`(?:[ab]{19}?){1000}`,
		`(?:a?b?c?d?e?f?g?h?){1000}^z`,
		`([^\W\x00-\x7f]{60}){60}`,
		`((((a{1000}){60})b?){999}c*)*`,
		`(((a|b)*|c)*|(d|(?P<IP>\S+)*))*(?(3)\3\3|(?<=a)b)`,
		`(?i)(?:[\W]{0,9}\p{^L}+)*(\x{10ffff}|[\x{d7ff}-\x{e000}])`,
	} {
		p := mustCompile(t, re)
		values := map[int]string{}
		if len(p.groups) > 0 {
			values[len(p.groups)-1] = "192.0.2.1"
		}
		analyse(t, p, values)
	}
	for _, tt := range hostile {
		p := mustCompile(t, tt.re)
		analyse(t, p, nil)
	}
}

// TestAnalyseOracle analyses the random expressions of the comparison with Python. Of those that match some text there,
// most must have a sample, with what the groups captured there or without.
func TestAnalyseOracle(t *testing.T) {
	f, err := os.Open("testdata/regexp.json")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()        // it was only read
	captures := map[string]map[int]string{} // by pattern, of its first match; nil without one
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var c oracleCase
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			t.Fatal(err)
		}
		values := captures[c.Pattern]
		if c.Matched && values == nil {
			values = map[int]string{}
			for i, g := range c.Groups {
				if g != nil {
					values[i] = *g
				}
			}
		}
		captures[c.Pattern] = values
	}
	sampled, matching := 0, 0
	for re, values := range captures {
		ok := analyse(t, mustCompile(t, re), values)
		if values == nil {
			continue
		}
		if matching++; ok {
			sampled++
		}
	}
	t.Logf("%d expressions; %d match, %d of them have a sample", len(captures), matching, sampled)
	if sampled < matching*9/10 {
		t.Errorf("only %d of %d have a sample", sampled, matching)
	}
}

// FuzzAnalysis looks for panics, and for samples that do not match.
func FuzzAnalysis(f *testing.F) {
	for _, re := range []string{
		`^(?P<IP>\w+)\b[^\s:]*$`, `(?i)(a|b)*?\1(?=c)`, `(?<!a)\d{2,3}+`, `(?(1)a|b)(c)?`, `[[:alpha:]\Q-\E]\p{L}`,
		`(?:a{30}){1,50}`, `(?s-i:.)(?m)^$`, `(?x) a # b`, `\Z\B`, `(?<=a(b))(?>(c)|d)*+`,
	} {
		f.Add(re, "192.0.2.1", 0)
	}
	f.Fuzz(func(t *testing.T, re, value string, group int) {
		if len(re) > 200 || len(value) > 200 {
			return
		}
		p, err := compile(re)
		if err != nil {
			return
		}
		analyse(t, p, map[int]string{group: value})
	})
}

func BenchmarkAnalysis(b *testing.B) {
	p := mustCompile(b, `^Failed \S+ for (?:invalid user )?(?P<user>.*) from (?P<IP>\S+) port \d+ ssh2$`)
	values := map[int]string{1: "192.0.2.1"}
	b.ReportAllocs()
	for b.Loop() {
		p.matchesEmpty()
		p.looseGroup(1)
		if _, ok := p.sample(values); !ok {
			b.Fatal("no sample")
		}
	}
}
