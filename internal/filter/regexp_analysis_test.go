package filter

import (
	"slices"
	"testing"
)

func mustCompile(t testing.TB, re string) *pattern {
	t.Helper()
	p, err := compile(re)
	if err != nil {
		t.Fatalf("compile(%.80q): %v", re, err)
	}
	return p
}

func TestMatchesEmpty(t *testing.T) {
	tests := []struct {
		re   string
		want bool
	}{
		{`.*`, true},
		{`(foo)?`, true},
		{`^.*$`, true},
		{`a*`, true},
		{`a|`, true},
		{`(?:a|b?)c*`, true},
		{`\A\s*\Z`, true},
		{`^(?=.*$)`, true},
		{`(?>a*)b*+`, true},
		{`(a)?(?(1)b|)`, true},
		{`^$|^-$`, true}, // more than the empty text; allow it if that is meant
		{`^(?:a{0}|b)?$`, true},

		// Nothing is consumed, and yet other texts match.
		{``, true},
		{`^`, true},
		{`$`, true},
		{`()`, true},
		{`^(?!foo)`, true},
		{`(?!foo)$`, true},
		{`\B`, true},
		{`(?:^$)?`, true},
		{`^|$`, true},
		{`(?!^$)|^$|$`, true},
		{`(?<=)^`, true},

		// The empty text alone.
		{`^$`, false},
		{`\A\Z`, false},
		{`$^`, false},
		{`(?m)^$`, false},
		{`^(?:)()$`, false},
		{`(^)($)`, false},
		{`(?:^$)+`, false},
		{`^a{0}$`, false},
		{`^$|\A\z`, false},
		{`^(?=$)`, false},
		{`(?<=^)$`, false},

		{`.`, false},
		{`a+`, false},
		{`^.+$`, false},
		{`a|b`, false},
		{`^(?!$)`, false},
		{`(?=a)`, false},
		{`^(?!)`, false},
		{`\b`, false},
		{`(a)?\1`, false},
		{`[^\s\S]*a`, false},
		{`(?:(?:(?:){65535}){65535}){65535}(?=)`, false}, // runs out of steps
	}
	for _, tt := range tests {
		if got := mustCompile(t, tt.re).matchesEmpty(); got != tt.want {
			t.Errorf("%q matches the empty text by mistake: %v, want %v", tt.re, got, tt.want)
		}
	}
}

// addressGroup returns the index of the group IP, or of the only group.
func (p *pattern) addressGroup() int {
	return max(slices.Index(p.groups, "IP"), 0)
}

func TestLooseGroup(t *testing.T) {
	const (
		openStart, wildStart = "nothing ties it to the beginning of the text", "others may choose text before it"
		openEnd, wildEnd     = ", and nothing ties it to the end of the text", ", and others may choose text behind it"
		blanks               = ", and it can contain blanks itself"
		repeated             = "it is in a part that is repeated, of which the last round counts"
	)
	tests := []struct{ re, want string }{
		// Pinned to the end.
		{`^Failed password for .* from (?P<IP>[0-9A-Fa-f:.]+) port [0-9]+ ssh2$`, ""},
		{`^Invalid user (?P<user>\S+) from (?P<IP>\S+) port \d+$`, ""},
		{`from (?P<IP>\S+)$`, ""},
		{`from (?P<IP>\S+)\Z`, ""},
		{`from (?P<IP>\S+)\z`, ""},
		{`from (?P<IP>[^ ]+) port \d+( \[preauth\])?$`, ""},
		{`.* <(?P<IP>[\d.]+)> (?:for reading|for writing)?(?: at [\d:]+)?$`, ""},
		{`.* from (?P<IP>\S+)(?= port \d+$)`, ""},
		{`.*(?: from (?P<IP>\S+)| nowhere) end$`, ""},
		{`^(?=.* from (?P<IP>\S+)$)`, ""},
		{`\w+ (?P<IP>\S+)(?: ok$| nok$)`, ""},
		{`x(?<=(?P<IP>\S))$`, ""},
		{`.*(?>from (?P<IP>\S+)) $`, ""},
		{`.* (?P<IP>\S+) [a-z]{15}$`, ""},
		{`.* (?P<IP>\S+) \bend\b$`, ""},
		{`.*(?P<IP>(?=.* x)\S+)$`, ""},
		{`.* (?P<IP>\S+)(?:, retry)?+$`, ""},

		// Pinned to the beginning.
		{`^Connection from (?P<IP>\S+) port`, ""},
		{`\AConnection from (?P<IP>\S+)`, ""},
		{`^\[\d+\] x (?P<IP>.+)$`, ""},
		{`^\[\d+\] x (?P<IP>.*)`, ""},
		{`^ *\S{1,15}: (?P<IP>.*)`, ""},
		{`^(?:error|warn(?:ing)?): (?i)Client (?P<IP>\S+) .*`, ""},
		{`(^)(?:a|b)(?P<IP>\S+)`, ""},
		{`(?:^a |^b )(?P<IP>\S+)`, ""},
		{`^[0-9A-Fa-f:.]+ -> (?P<IP>\S+)`, ""},
		{`(?!x)^(?<!y)\b(?P<IP>\S+)`, ""},
		{`(?<=^from )(?P<IP>\S+)`, ""},
		{`^"?(?P<IP>\S+)"? .* \1`, ""},
		{`^(?:x (?P<IP>\S+)|.*)`, ""},
		{`^(?:(?P<IP>\S+)){1}`, ""},
		{`^(a)?(?(1)b|c) (?P<IP>\S+)`, ""},
		{`^(?:[a-z]{3} ){3}(?P<IP>\S+)`, ""},
		{`^\s+(?P<IP>\S+)`, ""},
		{`^(?:ab|cd)*(?P<IP>\S+)`, ""},
		{`^.{0}(?:.*){0}(?P<IP>\S+)`, ""},
		{`^from.(?P<IP>\S+)`, ""},

		// What is between ends at a delimiter, towards the address.
		{`^warning: [^\[ ]+\[(?P<IP>[0-9A-Fa-f:.]+)\]: SASL LOGIN authentication failed`, ""},
		{`^connect from [A-Za-z0-9._-]+\[(?P<IP>[0-9A-Fa-f:.]+)\]`, ""},
		{`^connect from \w+\[(?P<IP>[0-9A-Fa-f:.]+)\]`, ""},
		{`^nft: IN=[a-z0-9.]+ OUT=[a-z0-9.]* MAC=[0-9a-f:]* SRC=(?P<IP>[0-9A-Fa-f:.]+) DST=`, ""},
		{`^\[[^\]]+\] \[auth_basic:error\] \[pid \d+\] \[client (?P<IP>[0-9.]+):\d+\] AH01617: `, ""},
		{`^\{"reqId":"[^"]*","level":2,"time":"[^"]*","remoteAddr":"(?P<IP>[^"]+)","user":`, ""},
		{`^<(?P<user>[^>]*)> (?P<IP>\S+)`, ""},
		{`^(?:id=[^,]*|no id), (?P<IP>\S+)`, ""},
		{`^[^,]*(?:, again)?, (?P<IP>\S+)`, ""},
		{`^[^\[]*(?:\[(?P<IP>\S+)\])`, ""},
		{`^[^\[(]*[\[(](?P<IP>\S+)`, ""},
		{`^(?:<[^>]*>)*(?P<IP>\S+)`, ""},
		{`^(?:[^:])*:(?P<IP>\S+)`, ""},
		{`^[^,]*?\b,(?P<IP>\S+)`, ""},
		{`^(?i)host=[a-z.-]+ ip=(?P<IP>\S+)`, ""},
		{`^[[:alpha:]]+ (?P<IP>\S+)`, ""},
		{`^imap-login: Disconnected .*: user=<[^>]*>, method=(?:PLAIN|LOGIN), rip=(?P<IP>[0-9a-f.:]+), lip=[0-9a-f.:]+(?:, TLS)?, session=<[A-Za-z0-9+/]*>$`, ""},
		{`.* rip=(?P<IP>\S+), session=<[^<]*$`, ""},
		{`.* from (?P<IP>\S+) [a-z]+$`, ""},
		{`.* from (?P<IP>\S+)(?:: [^:]*|;)$`, wildStart + wildEnd}, // the delimiter is the blank
		{`.* from (?P<IP>\S+) \([^(]*\)$`, ""},

		// And here it does not, or at none that others cannot write.
		{`^user \w+ failed from (?P<IP>[0-9.]+) `, wildStart + openEnd},
		{`^user [^ ]+ failed from (?P<IP>[0-9.]+) `, wildStart + openEnd},
		{`^user [\w.-]+ failed from (?P<IP>[0-9.]+) `, wildStart + openEnd},
		{`^user [!-~]+ failed from (?P<IP>[0-9.]+) `, wildStart + openEnd},
		{`^user [^"]+ failed from (?P<IP>[0-9.]+) `, wildStart + openEnd},
		{`^user [a-z ]+ failed from (?P<IP>[0-9.]+) `, wildStart + openEnd},
		{`^user [^f]+failed from (?P<IP>[0-9.]+) `, wildStart + openEnd},
		{`^\S+\[(?P<IP>\S+)\]`, wildStart + openEnd},
		{`^.*?\[(?P<IP>\S+)\]`, wildStart + openEnd},
		{`^[^\[]+(?:\[|x)(?P<IP>\S+)`, wildStart + openEnd},
		{`^[^\[]+x?\[(?P<IP>\S+)`, wildStart + openEnd},
		{`^[^\[]+(?:\[(?P<IP>\S+))?`, ""}, // it is not stored without the bracket
		{`^[^\[]+(?:(?P<IP>\S+)\[)?`, wildStart + openEnd},
		{`^[^,]*(?P<IP>\S+)`, wildStart + openEnd},
		{`^(?:a[^>]*)*>(?P<IP>\S+)`, wildStart + openEnd},
		{`^(?P<q>x)[^x]*(?P=q)(?P<IP>\S+)`, wildStart + openEnd},
		{`.* rip=(?P<IP>\S+), session=<[^>]*>$`, wildStart + wildEnd}, // rip=192.0.2.1, session=<x> may stand there
		{`.* from (?P<IP>\S+) because [^>]*$`, wildStart + wildEnd},

		// It captures nothing.
		{`(?!.*(?P<IP>\S+))`, ""},
		{`.*(?:(?P<IP>\S+)){0}`, ""},

		{`from (?P<IP>\S+)`, openStart + openEnd},
		{`(?P<IP>.*)`, openStart + openEnd},
		{`(?m)^from (?P<IP>\S+)$`, openStart + openEnd},
		{`(?:^|, )(?P<IP>\S+)`, openStart + openEnd},
		{`(?:^x )?(?P<IP>\S+)`, openStart + openEnd},
		{`(?:^x)??(?P<IP>\S+)`, openStart + openEnd},
		{`^x|(?P<IP>\S+)`, openStart + openEnd},
		{`(?P<IP>\S+)(?:$| )`, openStart + openEnd},
		{`(?!^)(?P<IP>\S+)(?!$)`, openStart + openEnd},
		{`(?=(?P<IP>\S+) )x$`, openStart + openEnd}, // the $ is behind x, not behind the group
		{`^(?<=(?P<IP>.))x`, openStart + openEnd},
		{`(?<=^)*(?P<IP>\S+)`, openStart + openEnd},
		{`from (?P<IP>\S+) .*$`, openStart + wildEnd},
		{`from (?P<IP>\S+)\s\w{16}$`, openStart + wildEnd},
		{`from (?P<IP>.*) port \d+$`, openStart + blanks},
		{`from (?P<IP>(?:a|b c))$`, openStart + blanks},
		{`(.)(?P<IP>\1)$`, openStart + blanks},
		{`^Failed password for .* from (?P<IP>[^ ]+)`, wildStart + openEnd},
		{`^Invalid user (?P<user>\S+) from (?P<IP>\S+) port \d+`, wildStart + openEnd},
		{`^.*(?<=from )(?P<IP>\S+)`, wildStart + openEnd},
		{`^(?P<q>["'])\1(?P<IP>\S+)`, wildStart + openEnd},
		{`^(?:x .*|y) (?P<IP>\S+)`, wildStart + openEnd},
		{`^(?:[0-9]+ )*(?P<IP>\S+)`, wildStart + openEnd}, // as many words as one likes
		{`^(?:\w{4}){4}(?P<IP>\S+)`, wildStart + openEnd},
		{`^(?:\s+\d+)*(?P<IP>\S+)`, wildStart + openEnd},
		{`^(?:no )*(?P<IP>\S+)`, wildStart + openEnd},
		{`(?:^x )*(?P<IP>\S+)`, wildStart + openEnd},
		{`(?i)^[g]*(?P<IP>\S+)`, wildStart + openEnd},
		{`^\p{Greek}+(?P<IP>\S+)`, wildStart + openEnd},
		{`^[^x]++(?P<IP>\S+)`, wildStart + openEnd},
		{`^.{0,16}(?P<IP>\S+)`, wildStart + openEnd},
		{`^.* (?P<IP>\S+)(?=.*$)`, wildStart + openEnd},
		{`^(?=.*(?P<IP>\S+))$`, wildStart + openEnd},
		{`^.* from (?P<IP>\S+), .* end$`, wildStart + wildEnd},
		{`^.* from (?P<IP>\S+)(?: end$|.*$)`, wildStart + wildEnd},
		{`^.* from (?P<IP>.*)$`, wildStart + blanks},
		{`^.* from (?P<IP>[\d. ]+)$`, wildStart + blanks},
		{`^(?:(?P<IP>\S+) )+$`, repeated},
		{`^(?:(?P<IP>\S+) ){2}$`, repeated},
		{`^(?:(?:(?P<IP>\S+))? ){0,2}$`, repeated},
	}
	for _, tt := range tests {
		p := mustCompile(t, tt.re)
		group := p.addressGroup()
		if got := p.looseGroup(group); got != tt.want {
			t.Errorf("%q is loose because %q, want %q", tt.re, got, tt.want)
		}
		if (p.pinHint(group) == "") != (tt.want == "") {
			t.Errorf("%q is loose because %q, and the hint is %q", tt.re, tt.want, p.pinHint(group))
		}
	}
	for _, group := range []int{-2, -1, 1, 200} {
		if p := mustCompile(t, `(a)`); p.looseGroup(group) != "" || p.pinHint(group) != "" {
			t.Errorf("group %d, which is not there, is loose", group)
		}
	}
}

// TestPinHint follows each hint, after which the group is pinned.
func TestPinHint(t *testing.T) {
	tests := []struct{ re, hint, better string }{
		{
			`Connection from (?P<IP>\S+) port`,
			"begin the expression with ^ if the text begins with what it asks for, or end the expression with $ behind it, with only fixed text and numbers between",
			`^Connection from (?P<IP>\S+) port`,
		},
		{
			`^Bad login: .* from (?P<IP>\S+)`,
			"end the expression with $ behind it, with only fixed text and numbers between",
			`^Bad login: .* from (?P<IP>\S+) port [0-9]+$`,
		},
		{
			`^Bad login: .* from (?P<IP>.*)`,
			"end the expression with $ behind it, with only fixed text and numbers between, and capture no blanks, as with [0-9A-Fa-f:.]+",
			`^Bad login: .* from (?P<IP>[0-9A-Fa-f:.]+)$`,
		},
		{
			`^Bad login: .* from (?P<IP>\S+) because .*$`,
			"put only fixed text and numbers between it and a $ at the end of the expression",
			`^Bad login: .* from (?P<IP>\S+) because (?:expired|locked)$`,
		},
		{
			`^Bad login: .* from (?P<IP>.*)$`,
			"capture no blanks, as with [0-9A-Fa-f:.]+",
			`^Bad login: .* from (?P<IP>[0-9A-Fa-f:.]+)$`,
		},
		{
			`^hops(?: (?P<IP>\S+))+$`,
			"capture it outside of the part that is repeated",
			`^hops(?: \S+)* (?P<IP>\S+)$`,
		},
	}
	for _, tt := range tests {
		p, better := mustCompile(t, tt.re), mustCompile(t, tt.better)
		if got := p.pinHint(p.addressGroup()); got != tt.hint {
			t.Errorf("%q: %q, want %q", tt.re, got, tt.hint)
		}
		if got := better.looseGroup(better.addressGroup()); got != "" {
			t.Errorf("%q is still loose because %q", tt.better, got)
		}
	}
}

// TestPinnedHolds has a stranger choose a user name that looks like the rest of the message, to have another address captured.
func TestPinnedHolds(t *testing.T) {
	tests := []struct {
		re      string
		pinned  bool
		message string
	}{
		{`^Refused .* from (?P<IP>\S+) port \d+$`, true, "Refused x from 192.0.2.1 port 1 from 203.0.113.5 port 7"},
		{`^Refused .*? from (?P<IP>\S+) port \d+$`, true, "Refused x from 192.0.2.1 port 1 from 203.0.113.5 port 7"},
		{`^Refused .*? from (?P<IP>\S+) port \d+`, false, "Refused x from 192.0.2.1 port 1 from 203.0.113.5 port 7"},
		{`^Refused \S+ from (?P<IP>\S+) port \d+`, false, "Refused x from 192.0.2.1 port 1 from 203.0.113.5 port 7"},
		{`^From (?P<IP>\S+) port \d+: `, true, "From 203.0.113.5 port 7: From 192.0.2.1 port 1: "},
		{`^.*From (?P<IP>\S+) port \d+: `, false, "From 203.0.113.5 port 7: From 192.0.2.1 port 1: "},
	}
	for _, tt := range tests {
		p := mustCompile(t, tt.re)
		if pinned := p.looseGroup(0) == ""; pinned != tt.pinned {
			t.Errorf("%q: pinned is %v", tt.re, pinned)
		}
		if got, matched := find(t, tt.re, tt.message); !matched || (got[0] == "203.0.113.5") != tt.pinned {
			t.Errorf("%q captures %q of %q", tt.re, got, tt.message)
		}
	}
}
