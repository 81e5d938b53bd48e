package filter

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/pyruse/pyruse/internal/config"
	"github.com/pyruse/pyruse/internal/entry"
	"github.com/pyruse/pyruse/internal/workflow"
)

// fields is the raw side of an entry.
type fields map[string]string

func (f fields) Field(name string) ([]byte, bool) {
	v, ok := f[name]
	return []byte(v), ok
}

func (fields) Cursor() string { return "" }

var constructors = map[string]workflow.NewFilter{
	"filter_equals":          newEquals,
	"filter_in":              newIn,
	"filter_lowerOrEquals":   newLowerOrEquals,
	"filter_greaterOrEquals": newGreaterOrEquals,
	"filter_inNetworks":      newInNetworks,
	"filter_pcre":            newPCRE,
	"filter_pcreAny":         newPCREAny,
	"filter_userExists": func(b *workflow.Build) workflow.Filter {
		return newUserExists(b, newUserCache(lookupUser))
	},
}

// build makes a filter from its arguments; diags says "line:column: severity: message" without the origin.
func build(t testing.TB, name, args string) (f workflow.Filter, names *entry.Names, diags []string) {
	t.Helper()
	const prefix = `{"actions": {"c": [{"filter": "%s", "args":` + "\n"
	file := config.NewFile("f", fmt.Appendf(nil, prefix+"%s}]}}", name, args))
	var d config.Diagnostics
	cfg := config.Read(file, &d)
	if cfg == nil || len(cfg.Chains) != 1 {
		t.Fatalf("%s: %v", args, d.Sorted())
		return nil, nil, nil
	}
	names = entry.NewNames(nil)
	f = constructors[name](workflow.NewBuild(names, workflow.Origin{Chain: "c"}, &cfg.Chains[0].Steps[0], &d))
	for _, x := range d.Sorted() {
		diags = append(diags, strings.Replace(x.String(), "c[0]: ", "", 1))
	}
	if d.HasErrors() {
		f = nil
	}
	return f, names, diags
}

// run matches one entry: fields are raw, set are values that earlier steps stored.
func run(t testing.TB, name, args string, raw fields, set map[string]entry.Value) (*entry.Entry, bool, error) {
	t.Helper()
	f, names, diags := build(t, name, args)
	if f == nil {
		t.Fatalf("%s %s: %q", name, args, diags)
	}
	for field := range set {
		names.Slot(field)
	}
	e := entry.New(names)
	e.Reset(raw, 1_700_000_000_000_000)
	for field, v := range set {
		e.Set(names.Slot(field), v)
	}
	matched, err := f.Match(e)
	return e, matched, err
}

// values names the values of the field V in the tests of single filters.
func values(v entry.Value) map[string]entry.Value { return map[string]entry.Value{"V": v} }

func uuid(t *testing.T, s string) entry.Value {
	t.Helper()
	u, ok := entry.ParseUUID(s)
	if !ok {
		t.Fatalf("%q is no UUID", s)
	}
	return u
}

func TestEqualsAndIn(t *testing.T) {
	const id = "0123456789abcdef0123456789abcdef"
	tests := []struct {
		json string
		v    entry.Value
		want bool
	}{
		{`2`, entry.IntValue(2), true},
		{`2.0`, entry.IntValue(2), true},
		{`2`, entry.FloatValue(2), true},
		{`-0.0`, entry.IntValue(0), true},
		{`0`, entry.FloatValue(math.Copysign(0, -1)), true},
		{`2.5`, entry.FloatValue(2.5), true},
		{`2.5`, entry.IntValue(2), false},
		{`9007199254740993`, entry.FloatValue(9007199254740992), false}, // no rounding
		{`9223372036854775808`, entry.IntValue(math.MaxInt64), false},
		{`"2"`, entry.IntValue(2), false},
		{`2`, entry.StringValue("2"), false},
		{`"2"`, entry.StringValue("2"), true},
		{`true`, entry.IntValue(1), true},
		{`false`, entry.IntValue(0), true},
		{`true`, entry.StringValue("true"), false},
		{`null`, entry.NullValue, true},
		{`null`, entry.StringValue(""), false},
		{`""`, entry.NullValue, false},
		{`"` + id + `"`, uuid(t, id), true},
		{`"01234567-89AB-cdef-0123-456789abcdef"`, uuid(t, id), true},
		{`"` + id + `"`, entry.StringValue(id), true},
		{`"01234567-89ab-cdef-0123-456789abcdef"`, entry.StringValue(id), false},
		{`"x"`, uuid(t, id), false},
		{`1`, entry.TimeValue(1), false},
	}
	filler := strings.Repeat(`"filler", 77, `, maxListed)
	for _, tt := range tests {
		for args, filter := range map[string]string{
			`{"field": "V", "value": ` + tt.json + `}`:             "filter_equals",
			`{"field": "V", "values": [` + tt.json + `]}`:          "filter_in",
			`{"field": "V", "values": [` + filler + tt.json + `]}`: "filter_in", // as a set
		} {
			_, got, err := run(t, filter, args, nil, values(tt.v))
			if got != tt.want || err != nil {
				t.Errorf("%s %s with %s %q: %v, %v", filter, args, tt.v.Kind(), tt.v.Text(), got, err)
			}
		}
	}
}

func TestEqualsMissingField(t *testing.T) {
	for _, tt := range []struct {
		filter, args string
		want         bool
	}{
		{"filter_equals", `{"field": "V", "value": null}`, false},
		{"filter_equals", `{"field": "V", "value": ""}`, false},
		{"filter_in", `{"field": "V", "values": ["", 0, null]}`, true},
		{"filter_in", `{"field": "V", "values": ["", 0]}`, false},
	} {
		if _, got, err := run(t, tt.filter, tt.args, nil, nil); got != tt.want || err != nil {
			t.Errorf("%s %s: %v, %v", tt.filter, tt.args, got, err)
		}
	}
}

// TestInAgreesWithEqual draws values and lists: canonical values must compare as entry.Equal does.
func TestInAgreesWithEqual(t *testing.T) {
	ids := []string{"0123456789abcdef0123456789abcdef", "01234567-89ab-cdef-0123-456789abcdef"}
	value := rapid.OneOf(
		rapid.Map(rapid.Int64Range(-3, 3), entry.IntValue),
		rapid.Map(rapid.Int64(), entry.IntValue),
		rapid.Map(rapid.Int64Range(-6, 6), func(i int64) entry.Value { return entry.FloatValue(float64(i) / 2) }),
		rapid.Map(rapid.Float64(), entry.FloatValue),
		rapid.Map(rapid.SampledFrom([]string{"", "1", "a", ids[0], ids[1]}), entry.StringValue),
		rapid.Just(uuid(t, ids[0])),
		rapid.Map(rapid.Int64Range(-3, 3), entry.TimeValue),
	)
	rapid.Check(t, func(t *rapid.T) {
		v, w := value.Draw(t, "field"), value.Draw(t, "wanted")
		got := false
		for _, x := range alike(nil, w) {
			got = got || canonical(v) == x
		}
		// A UUID in the configuration is a string.
		if w.Kind() != entry.UUID && got != entry.Equal(v, w) {
			t.Fatalf("%v and %v: %v, Equal says %v", v, w, got, !got)
		}
	})
}

func TestCompare(t *testing.T) {
	const lower, greater, fails = 1, 2, 4
	tests := []struct {
		v    entry.Value
		json string
		want int // lower and greater are or-ed
	}{
		{entry.IntValue(3), `4`, lower},
		{entry.IntValue(4), `4`, lower | greater},
		{entry.IntValue(5), `4`, greater},
		{entry.IntValue(4), `4.5`, lower},
		{entry.IntValue(-4), `-4.5`, greater},
		{entry.FloatValue(4.5), `4`, greater},
		{entry.FloatValue(4), `4`, lower | greater},
		{entry.FloatValue(-0.5), `-0.25`, lower},
		{entry.IntValue(9007199254740993), `9007199254740992.0`, greater}, // no rounding
		{entry.IntValue(math.MaxInt64), `9223372036854775808`, lower},
		{entry.IntValue(math.MinInt64), `-1e300`, greater},
		{entry.IntValue(1), `true`, lower | greater},
		{entry.StringValue("b"), `"a"`, greater},
		{entry.StringValue("10"), `"9"`, lower},
		{entry.StringValue("é"), `"z"`, greater},
		{uuid(t, "0123456789abcdef0123456789abcdef"), `"01234567-89ab-cdef-0123-456789abcdef"`, lower | greater},
		{entry.Value{}, `4`, 0},
		{entry.Value{}, `"4"`, 0},
		{entry.NullValue, `4`, fails},
		{entry.StringValue("4"), `4`, fails},
		{entry.IntValue(4), `"4"`, fails},
		{entry.TimeValue(4), `4`, fails},
		{entry.TimeValue(4), `"2026-01-01"`, fails},
	}
	for _, tt := range tests {
		for filter, bit := range map[string]int{"filter_lowerOrEquals": lower, "filter_greaterOrEquals": greater} {
			args := `{"field": "V", "value": ` + tt.json + `}`
			_, got, err := run(t, filter, args, nil, values(tt.v))
			if got != (tt.want&bit != 0) || (err != nil) != (tt.want&fails != 0) {
				t.Errorf("%s %s with %s %q: %v, %v", filter, args, tt.v.Kind(), tt.v.Text(), got, err)
			}
		}
	}
	_, _, err := run(t, "filter_lowerOrEquals", `{"field": "V", "value": 4}`, nil, values(entry.StringValue("4")))
	if want := "compare field V: string with integer cannot be compared"; err == nil || err.Error() != want {
		t.Errorf("error %q, want %q", err, want)
	}
}

func TestInNetworks(t *testing.T) {
	const nets = `["10.1.2.3/8", "192.0.2.7", "198.51.100.0/24", "198.51.100.128/25", "2001:db8::1/32", "::1", "::ffff:203.0.113.0/120"]`
	tests := []struct {
		v    entry.Value
		want bool
		err  string
	}{
		{v: entry.StringValue("10.255.0.1"), want: true}, // host bits of 10.1.2.3/8 are masked off
		{v: entry.StringValue("11.0.0.0")},
		{v: entry.StringValue("9.255.255.255")},
		{v: entry.StringValue("192.0.2.7"), want: true},
		{v: entry.StringValue("192.0.2.8")},
		{v: entry.StringValue("198.51.100.1"), want: true},
		{v: entry.StringValue("198.51.100.255"), want: true},
		{v: entry.StringValue("2001:db8:ffff::"), want: true},
		{v: entry.StringValue("2001:DB8::%eth0"), want: true},
		{v: entry.StringValue("2001:db9::")},
		{v: entry.StringValue("::1"), want: true},
		{v: entry.StringValue("0.0.0.1")}, // not ::1
		{v: entry.StringValue("::ffff:10.9.9.9"), want: true},
		{v: entry.StringValue("203.0.113.9"), want: true},
		{v: entry.Value{}},
		{v: entry.NullValue},
		{v: entry.StringValue(""), err: `read the address in field V: "" is not an IP address`},
		{v: entry.StringValue("10.0.0.1:22"), err: `read the address in field V: "10.0.0.1:22" is not an IP address`},
		{v: entry.StringValue("10.0.0.1%"), err: `read the address in field V: "10.0.0.1%" is not an IP address`},
		{v: entry.StringValue("10.0.0.1%x"), err: `read the address in field V: "10.0.0.1%x" is not an IP address`},
		{v: entry.IntValue(10), err: `read the address in field V: "10" is not an IP address`},
		{v: entry.StringValue("\x1b[2J\u202e"), err: `read the address in field V: "\x1b[2J\u202e" is not an IP address`},
		{v: entry.StringValue(strings.Repeat("1", 1000)), err: `read the address in field V: "` + strings.Repeat("1", 48) + `"... is not an IP address`},
	}
	for _, tt := range tests {
		_, got, err := run(t, "filter_inNetworks", `{"field": "V", "nets": `+nets+`}`, nil, values(tt.v))
		text := ""
		if err != nil {
			text = err.Error()
		}
		if got != tt.want || text != tt.err {
			t.Errorf("%q: %v, %q, want %v, %q", tt.v.Text(), got, text, tt.want, tt.err)
		}
	}
	if _, got, _ := run(t, "filter_inNetworks", `{"field": "V", "nets": ["::/0"]}`, nil, values(entry.StringValue("192.0.2.1"))); got {
		t.Error("an IPv4 address is in an IPv6 network")
	}
}

// TestNetworks compares with a look at each network in turn.
func TestNetworks(t *testing.T) {
	addr := rapid.Custom(func(t *rapid.T) netip.Addr {
		tail := rapid.Uint16().Draw(t, "tail")
		if rapid.Bool().Draw(t, "v4") {
			return netip.AddrFrom4([4]byte{10, 0, byte(tail >> 8), byte(tail)})
		}
		return netip.AddrFrom16([16]byte{0: 0x20, 14: byte(tail >> 8), 15: byte(tail)})
	})
	prefix := rapid.Custom(func(t *rapid.T) netip.Prefix {
		a := addr.Draw(t, "net")
		return netip.PrefixFrom(a, a.BitLen()-rapid.IntRange(0, 18).Draw(t, "host bits")).Masked()
	})
	rapid.Check(t, func(t *rapid.T) {
		prefixes := rapid.SliceOfN(prefix, 0, 20).Draw(t, "nets")
		a := addr.Draw(t, "addr")
		want := false
		for _, p := range prefixes {
			want = want || p.Contains(a)
		}
		if got := newNetworks(prefixes).contain(a); got != want {
			t.Fatalf("%v in %v: %v", a, prefixes, got)
		}
	})
}

func TestPCRE(t *testing.T) {
	raw := fields{"MESSAGE": "user bob from 192.0.2.1", "_PID": "33"}
	tests := []struct {
		filter, args string
		want         bool
		stored       map[string]entry.Value
	}{
		{"filter_pcre", `{"field": "MESSAGE", "re": "bob"}`, true, nil},
		{"filter_pcre", `{"field": "MESSAGE", "re": "^bob"}`, false, nil},
		{"filter_pcre", `{"field": "_PID", "re": "^3(3)$", "save": ["A"]}`, true, map[string]entry.Value{"A": entry.StringValue("3")}},
		{"filter_pcre", `{"field": "NONE", "re": "^$"}`, true, nil}, // a missing field is searched as ""
		{"filter_pcre", `{"field": "MESSAGE", "re": "user (\\S+) from (?P<ip>\\S+)", "save": ["A", "B"]}`, true,
			map[string]entry.Value{"A": entry.StringValue("bob"), "B": entry.StringValue("192.0.2.1"), "ip": entry.StringValue("192.0.2.1")}},
		{"filter_pcre", `{"field": "MESSAGE", "re": "(root)|(?P<n>bob)(?P<m>!)?()", "save": ["A", "", "", "D"]}`, true,
			map[string]entry.Value{"A": entry.NullValue, "n": entry.StringValue("bob"), "m": entry.NullValue, "D": entry.StringValue("")}},
		{"filter_pcre", `{"field": "MESSAGE", "re": "(?P<n>user) alice"}`, false, map[string]entry.Value{"n": {}}},
		{"filter_pcre", `{"field": "MESSAGE", "re": "(?P<MESSAGE>bob)"}`, true, map[string]entry.Value{"MESSAGE": entry.StringValue("bob")}},
		{"filter_pcreAny", `{"field": "MESSAGE", "re": ["(?P<a>alice)", "(b)(?P<b>ob)(?P<c>!)?", "(?P<d>user)"]}`, true,
			map[string]entry.Value{"a": {}, "b": entry.StringValue("ob"), "c": entry.NullValue, "d": {}}},
		{"filter_pcreAny", `{"field": "MESSAGE", "re": ["(?P<a>alice)", "carol"]}`, false, map[string]entry.Value{"a": {}}},
		{"filter_pcreAny", `{"field": "MESSAGE", "re": []}`, false, nil},
	}
	for _, tt := range tests {
		e, got, err := run(t, tt.filter, tt.args, raw, nil)
		if got != tt.want || err != nil {
			t.Errorf("%s: %v, %v", tt.args, got, err)
		}
		for name, want := range tt.stored {
			if v := e.Get(e.Names().Slot(name)); v != want {
				t.Errorf("%s: %s is %s %q, want %s %q", tt.args, name, v.Kind(), v.Text(), want.Kind(), want.Text())
			}
		}
	}
}

func TestPCREBudget(t *testing.T) {
	raw := fields{"MESSAGE": strings.Repeat("a", 50) + "!"}
	for filter, re := range map[string]string{"filter_pcre": `"^(?P<x>a|aa)+(?=$)"`, "filter_pcreAny": `["^(?P<x>a|aa)+(?=$)", "a"]`} {
		e, got, err := run(t, filter, `{"field": "MESSAGE", "re": `+re+`}`, raw, nil)
		if got || !errors.Is(err, errBudget) || !strings.HasPrefix(err.Error(), "search field MESSAGE: ") {
			t.Errorf("%s: %v, %v", filter, got, err)
		}
		if v := e.Get(e.Names().Slot("x")); !v.IsMissing() {
			t.Errorf("%s: a capture was stored: %q", filter, v.Text())
		}
	}
}

func TestUserExists(t *testing.T) {
	for _, tt := range []struct {
		v    entry.Value
		want bool
	}{
		{entry.StringValue("root"), true},
		{entry.StringValue("no-such-user-here"), false},
		{entry.StringValue("root\x00x"), false},
		{entry.StringValue("-root"), false},
		{entry.StringValue(""), false},
		{entry.NullValue, false},
		{entry.Value{}, false},
	} {
		if _, got, err := run(t, "filter_userExists", `{"field": "V"}`, nil, values(tt.v)); got != tt.want || err != nil {
			t.Errorf("%q: %v, %v", tt.v.Text(), got, err)
		}
	}
}

func TestUserCache(t *testing.T) {
	const second = 1_000_000
	var asked []string
	down := errors.New("LDAP is down")
	c := newUserCache(func(name string) (bool, error) {
		asked = append(asked, name)
		if name == "down" {
			return false, down
		}
		return strings.HasPrefix(name, "u"), nil
	})
	ask := func(name string, now int64, want bool, lookups int) {
		t.Helper()
		asked = nil
		if got, _ := c.exists(name, now); got != want || len(asked) != lookups {
			t.Errorf("%q at %d: %v, asked for %q", name, now, got, asked)
		}
	}
	ask("u1", 0, true, 1)
	ask("u1", 59*second, true, 0)
	ask("u1", 60*second, true, 1)
	ask("u1", 59*second, true, 1) // the clock went back
	ask("x", 60*second, false, 1)
	ask("x", 60*second, false, 0)
	for _, name := range []string{"", strings.Repeat("u", 256), "u/../x", "-u", "u\x00", "u\n", "u:x"} {
		ask(name, 0, false, 0)
	}
	ask(strings.Repeat("u", 255), 0, true, 1)

	ask("down", 0, false, 1)
	ask("down", second, false, 0) // a name service that is down is not asked for each entry
	if _, err := c.exists("down", second); !errors.Is(err, down) || !strings.Contains(err.Error(), `look up user "down"`) {
		t.Errorf("error %v", err)
	}

	ask("u1", 60*second, true, 0)
	for i := range 10 * userCacheSize { // a flood of names, while u1 is in use
		ask(fmt.Sprint("n", i), 61*second, false, 1)
		ask("u1", 61*second, true, 0)
	}
	if n := len(c.young) + len(c.old); n > userCacheSize {
		t.Errorf("the cache holds %d names, at most %d", n, userCacheSize)
	}
}

func TestFaults(t *testing.T) {
	tests := []struct {
		filter, args string
		want         []string
	}{
		{"filter_equals", `{"field": "V"}`, []string{`f:2:1: error: the mandatory key "value" is missing in the args of filter_equals`}},
		{"filter_equals", `{"field": "", "value": 1}`, []string{`f:2:11: error: "field" is empty; it must name a field of the entry`}},
		{"filter_equals", `{"field": "V", "value": [1]}`,
			[]string{`f:2:25: error: a list cannot be a value; a number, a string, a boolean or null can (filter_in takes a list)`}},
		{"filter_equals", `{"field": "V", "value": 1e999}`, []string{`f:2:25: error: the number 1e999 is out of range`}},
		{"filter_equals", `{"field": "PRIORITY", "value": "3"}`,
			[]string{`f:2:32: warning: PRIORITY is an integer, "3" is a string: they never agree (write the number without quotes)`}},
		{"filter_equals", `{"field": "_SYSTEMD_SESSION", "value": "c1"}`, nil},
		{"filter_equals", `{"field": "_SYSTEMD_SESSION", "value": "99999999999999999999"}`, nil},
		{"filter_equals", `{"field": "PRIORITY", "value": 9223372036854775807}`, nil},
		{"filter_equals", `{"field": "PRIORITY", "value": 9223372036854775808}`, []string{`f:2:32: warning: PRIORITY is an integer, and never as far from 0 as 9223372036854775808 ` +
			`(an integer has 64 bits: -9223372036854775808 to 9223372036854775807)`}},
		{"filter_in", `{"field": "V", "values": 3}`, []string{`f:2:26: error: "values" is a number; it must be a list (filter_equals takes a single value)`}},
		{"filter_in", `{"field": "V", "values": [1, {}, [2]]}`, []string{
			`f:2:30: error: an object cannot be a value; a number, a string, a boolean or null can`,
			`f:2:34: error: a list cannot be a value; a number, a string, a boolean or null can`}},
		{"filter_in", `{"field": "_BOOT_ID", "values": ["0123456789abcdef0123456789abcdef", "abc"]}`,
			[]string{`f:2:33: warning: _BOOT_ID is a UUID, "abc" is none: they never agree (32 hexadecimal digits, with or without hyphens)`}},
		{"filter_lowerOrEquals", `{"field": "V", "value": null}`, []string{`f:2:25: error: "value" is null; it must be a number or a string`}},
		{"filter_lowerOrEquals", `{"field": "__REALTIME_TIMESTAMP", "value": 5}`,
			[]string{`f:2:44: warning: __REALTIME_TIMESTAMP is a time, which cannot be compared with "5"`}},
		{"filter_inNetworks", `{"field": "V", "nets": ["10.0.0.0/8", "10.0.0.0/33", 5, "x"]}`, []string{
			`f:2:39: error: "10.0.0.0/33" is neither an address nor a network (as 192.0.2.0/24, 2001:db8::/32, or a single address)`,
			`f:2:54: error: a network is a number; it must be a string`,
			`f:2:57: error: "x" is neither an address nor a network (as 192.0.2.0/24, 2001:db8::/32, or a single address)`}},
		{"filter_inNetworks", `{"field": "V", "nets": "10.0.0.0/8"}`, []string{`f:2:24: error: "nets" is a string; it must be a list`}},
		{"filter_pcre", `{"field": "V", "re": "a(b"}`, []string{`f:2:22: error: the regular expression is faulty at offset 1: the group lacks its closing parenthesis`}},
		{"filter_pcre", `{"field": "V", "re": "a(b)", "save": ["A", "B"]}`,
			[]string{`f:2:38: error: "save" names 2 fields; groups in the regular expression: 1`}},
		{"filter_pcre", `{"field": "V", "re": "a(?=b)"}`,
			[]string{`f:2:22: warning: the regular expression "a(?=b)" cannot run in linear time, because of a lookahead (a text on which it takes more than 1,000,000 steps is an error)`}},
		{"filter_pcreAny", `{"field": "V", "re": ["a", "**", "[z-a]"]}`, []string{
			`f:2:28: error: the regular expression is faulty at offset 0: nothing to repeat (write \* for the character itself)`,
			`f:2:34: error: the regular expression is faulty at offset 1: bad character range z-a (write \- for the character itself)`}},
		{"filter_userExists", `{"field": "V", "user": "x"}`, []string{`f:2:16: error: unknown key "user" in the args of filter_userExists (legal here: field)`}},
	}
	for _, tt := range tests {
		_, _, diags := build(t, tt.filter, tt.args)
		if diff := cmp.Diff(tt.want, diags); diff != "" {
			t.Errorf("%s %s (-want +got):\n%s", tt.filter, tt.args, diff)
		}
	}
}

// TestRegister checks that all filters are there under their names.
func TestRegister(t *testing.T) {
	r := workflow.NewRegistry()
	Register(r)
	names := r.Filters()
	if len(names) != len(constructors) {
		t.Errorf("%d filters are registered: %v", len(names), names)
	}
	for _, name := range names {
		if constructors[name] == nil {
			t.Errorf("%s is not tested", name)
		}
	}
}

func BenchmarkFilter(b *testing.B) {
	many := make([]string, 1000)
	nets := make([]string, 1000)
	for i := range many {
		many[i] = fmt.Sprintf("%q", fmt.Sprint("unit", i))
		nets[i] = fmt.Sprintf(`"10.%d.%d.0/24"`, i/256, i%256)
	}
	for _, bm := range []struct{ name, filter, args string }{
		{"equals-string", "filter_equals", `{"field": "UNIT", "value": "ssh.service"}`},
		{"equals-int", "filter_equals", `{"field": "PRIORITY", "value": 3}`},
		{"in-4", "filter_in", `{"field": "UNIT", "values": ["a", "b", "c", "d"]}`},
		{"in-1000", "filter_in", `{"field": "UNIT", "values": [` + strings.Join(many, ",") + `]}`},
		{"lowerOrEquals", "filter_lowerOrEquals", `{"field": "PRIORITY", "value": 3}`},
		{"inNetworks-3", "filter_inNetworks", `{"field": "IP", "nets": ["10.0.0.0/8", "192.168.0.0/16", "::1"]}`},
		{"inNetworks-1000", "filter_inNetworks", `{"field": "IP", "nets": [` + strings.Join(nets, ",") + `]}`},
		{"pcre-miss", "filter_pcre", `{"field": "MESSAGE", "re": "^Accepted (?P<how>\\S+) for (?P<user>\\S+)"}`},
		{"pcre-hit", "filter_pcre", `{"field": "MESSAGE", "re": "^Failed password for (?P<user>.*) from (?P<ip>\\S+) port"}`},
		{"userExists", "filter_userExists", `{"field": "USER"}`},
	} {
		b.Run(bm.name, func(b *testing.B) {
			f, names, diags := build(b, bm.filter, bm.args)
			if f == nil {
				b.Fatal(diags)
			}
			e := entry.New(names)
			e.Reset(fields{"UNIT": "nginx.service", "PRIORITY": "6", "IP": "203.0.113.7", "MESSAGE": sshLine, "USER": "root"}, 1)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := f.Match(e); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
