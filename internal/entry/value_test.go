package entry

import (
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestParseUUID(t *testing.T) {
	const canonical = "fc2e22bc-6ee6-47b6-b907-29ab34de6d9e"
	for _, s := range []string{
		canonical, strings.ToUpper(canonical), strings.ReplaceAll(canonical, "-", ""), "FC2E22bc6ee647b6b90729ab34de6d9e",
	} {
		if v, ok := ParseUUID(s); !ok || v.Kind() != UUID || v.Str() != canonical {
			t.Errorf("%q: %v %q", s, ok, v.Str())
		}
	}
	for _, s := range []string{
		"", "-", canonical[1:], canonical + "0", "{" + canonical[2:] + "}", strings.Replace(canonical, "-", "0", 1), strings.Replace(canonical, "e", "g", 1),
		strings.Replace(canonical, "2", "-", 1), "fc2e22bc-6ee647b6b90729ab34de6d9e", strings.Repeat("-", 36), strings.Repeat("é", 16), strings.Repeat(" ", 32),
	} {
		if v, ok := ParseUUID(s); ok || v != (Value{}) {
			t.Errorf("%q is taken for the UUID %q", s, v.Str())
		}
	}
	if v := UUIDValue([16]byte{0xfc, 0x2e, 0x22, 0xbc, 0x6e, 0xe6, 0x47, 0xb6, 0xb9, 0x07, 0x29, 0xab, 0x34, 0xde, 0x6d, 0x9e}); v.Str() != canonical {
		t.Errorf("from bytes: %q", v.Str())
	}
}

func TestText(t *testing.T) {
	inZone(t, "Europe/Paris")
	uuid := UUIDValue([16]byte{15: 1})
	for _, c := range []struct {
		v    Value
		kind string
		text string
	}{
		{Value{}, "missing", ""},
		{NullValue, "null", ""},
		{StringValue("a\nb"), "string", "a\nb"},
		{IntValue(math.MinInt64), "integer", "-9223372036854775808"},
		{FloatValue(2), "float", "2.0"},
		{TimeValue(1_795_334_461_000_123), "time", "2026-11-22 09:01:01.000123"},
		{TimeValue(1_795_334_461_000_000), "time", "2026-11-22 09:01:01"},
		{TimeValue(-1), "time", "1970-01-01 00:59:59.999999"},
		{uuid, "UUID", "00000000-0000-0000-0000-000000000001"},
	} {
		if c.v.Kind().String() != c.kind || c.v.Text() != c.text {
			t.Errorf("%v %q, want %s %q", c.v.Kind(), c.v.Text(), c.kind, c.text)
		}
		if c.v.Kind() == Time && FormatTime(c.v.UnixMicro()) != c.text {
			t.Errorf("%q, want %q", FormatTime(c.v.UnixMicro()), c.text)
		}
		if clone := c.v.Clone(); clone != c.v {
			t.Errorf("the clone of %v is %v", c.v, clone)
		}
	}
}

// TestFormatFloat has what Python's repr writes (docs.python.org/3/library/functions.html#repr).
func TestFormatFloat(t *testing.T) {
	for _, c := range []struct {
		f    float64
		want string
	}{
		{0, "0.0"},
		{math.Copysign(0, -1), "-0.0"},
		{1, "1.0"},
		{-1.5, "-1.5"},
		{0.1, "0.1"},
		{0.30000000000000004, "0.30000000000000004"},
		{1e-4, "0.0001"},
		{1e-5, "1e-05"},
		{1.23e-5, "1.23e-05"},
		{1e15, "1000000000000000.0"},
		{9999999999999998, "9999999999999998.0"},
		{1e16, "1e+16"},
		{123456789012345680, "1.2345678901234568e+17"},
		{1e100, "1e+100"},
		{5e-324, "5e-324"},
		{math.MaxFloat64, "1.7976931348623157e+308"},
		{math.Inf(1), "inf"},
		{math.Inf(-1), "-inf"},
		{math.NaN(), "nan"},
	} {
		if got := FormatFloat(c.f); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

func TestEqual(t *testing.T) {
	uuid, _ := ParseUUID("fc2e22bc6ee647b6b90729ab34de6d9e")
	for _, c := range []struct {
		a, b Value
		want bool
	}{
		{IntValue(2), FloatValue(2), true},
		{IntValue(2), FloatValue(2.5), false},
		{IntValue(1 << 62), FloatValue(1 << 62), true},
		{IntValue(1<<62 + 1), FloatValue(1 << 62), false},
		{IntValue(math.MaxInt64), FloatValue(1 << 63), false},
		{IntValue(math.MinInt64), FloatValue(-1 << 63), true},
		{IntValue(0), FloatValue(math.NaN()), false},
		{IntValue(0), FloatValue(math.Copysign(0, -1)), true},
		{FloatValue(0), FloatValue(math.Copysign(0, -1)), true},
		{FloatValue(math.NaN()), FloatValue(math.NaN()), false},
		{FloatValue(math.Inf(1)), FloatValue(math.Inf(1)), true},
		{StringValue("2"), IntValue(2), false},
		{StringValue("2"), FloatValue(2), false},
		{StringValue("a"), StringValue("a"), true},
		{StringValue("a"), StringValue("A"), false},
		{StringValue(""), NullValue, false},
		{uuid, uuid, true},
		{uuid, UUIDValue([16]byte{}), false},
		{uuid, StringValue("fc2e22bc-6ee6-47b6-b907-29ab34de6d9e"), true},
		{uuid, StringValue("FC2E22BC6EE647B6B90729AB34DE6D9E"), true},
		{uuid, StringValue("x"), false},
		{NullValue, NullValue, true},
		{Value{}, Value{}, false},
		{Value{}, NullValue, false},
		{TimeValue(2), TimeValue(2), true},
		{TimeValue(2), IntValue(2), false},
	} {
		if Equal(c.a, c.b) != c.want || Equal(c.b, c.a) != c.want {
			t.Errorf("%v %q and %v %q: want %v", c.a.Kind(), c.a.Text(), c.b.Kind(), c.b.Text(), c.want)
		}
	}
}

func TestEqualOfNumbersIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		i := rapid.Int64().Draw(t, "i")
		f := float64(i)
		want := f < 1<<63 && int64(f) == i // nothing was lost
		if Equal(IntValue(i), FloatValue(f)) != want {
			t.Errorf("%d and %v: want %v", i, f, want)
		}
	})
}

func TestEqualDoesNotAllocate(t *testing.T) {
	uuid, text := UUIDValue([16]byte{}), StringValue(strings.Repeat("0", 32))
	if n := testing.AllocsPerRun(100, func() { Equal(uuid, text) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
