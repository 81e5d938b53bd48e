package entry

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the zones of the cases, on every machine
	"unicode/utf8"
)

// fakeSource is an entry for tests.
type fakeSource map[string]string

func (s fakeSource) Field(name string) ([]byte, bool) {
	v, ok := s[name]
	return []byte(v), ok
}

func (fakeSource) Cursor() string { return "s=1;i=1" }

// inZone changes the local time zone for a test.
func inZone(t testing.TB, name string) {
	t.Helper()
	zone, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	old := time.Local
	time.Local = zone
	t.Cleanup(func() { time.Local = old })
}

// render renders a template for an entry with these fields.
func render(src string, fields map[string]Value) (string, error) {
	names := NewNames(nil)
	t, err := ParseTemplate(src, names)
	if err != nil {
		return "", err
	}
	slots := map[string]Slot{}
	for name := range fields {
		slots[name] = names.Slot(name)
	}
	e := New(names)
	e.Reset(fakeSource{}, 0)
	for name, v := range fields {
		e.Set(slots[name], v)
	}
	return t.Render(e)
}

func renderV(src string, v Value) (string, error) { return render(src, map[string]Value{"v": v}) }

// goldenCase is a line of testdata/template.jsonl, which testdata/template.py describes.
type goldenCase struct {
	Template, Zone string
	V, W           *goldenValue
	Text           *string
}

// goldenValue is a kind, and the value as text.
type goldenValue [2]string

func (g *goldenValue) value(t *testing.T) Value {
	t.Helper()
	if g[0] == "string" {
		return StringValue(g[1])
	}
	if g[0] == "float" {
		f, err := strconv.ParseFloat(g[1], 64)
		if err != nil {
			t.Fatal(err)
		}
		return FloatValue(f)
	}
	i, err := strconv.ParseInt(g[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	if g[0] == "time" {
		return TimeValue(i)
	}
	return IntValue(i)
}

// TestAgainstPython renders what Python 3.11 was given, and refuses what it refused.
func TestAgainstPython(t *testing.T) {
	inZone(t, "UTC")
	data, err := os.ReadFile("testdata/template.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	cases, refused := 0, 0
	for line := range bytes.Lines(data) {
		c := goldenCase{Zone: "UTC"}
		if err := json.Unmarshal(line, &c); err != nil {
			t.Fatal(err)
		}
		if time.Local.String() != c.Zone {
			inZone(t, c.Zone)
		}
		fields := map[string]Value{"v": c.V.value(t)}
		if c.W != nil {
			fields["w"] = c.W.value(t)
		}
		cases++
		switch got, err := render(c.Template, fields); {
		case c.Text == nil:
			refused++
			if err == nil {
				t.Errorf("%s: rendered %q, but Python refuses it", bytes.TrimSpace(line), got)
			}
		case err != nil || got != *c.Text:
			t.Errorf("%s: rendered %q, error %v", bytes.TrimSpace(line), got, err)
		}
	}
	if cases < 1000 || refused > cases*3/4 {
		t.Errorf("only %d cases, of which Python refused %d", cases, refused)
	}
}

// TestTemplateOfNone renders what Python has no formats for: nothing at all.
func TestTemplateOfNone(t *testing.T) {
	for src, want := range map[string]string{
		"{v}": "None", "{v!r}": "None", "{v!a}": "None", "{v!s:6}": "None  ", "{v:6}": "None  ", "{v:>8}": "    None",
		"{v:*^8d}": "**None**", "{v:+d}": "None", "{v:#x}": "None", "{v:8,}": "None    ", "{v:*=6d}": "**None", "{v:08.2f}": "None0000",
		"{v:.2}": "No", "{v:.2s}": "No", "{v:.2f}": "None", "{v:%H:%M}": "None", "{v:%<6}": "None%%", "{v:{w}}": "None", "{v:>{v!s:.0}6}": "  None",
	} {
		for _, v := range []Value{{}, NullValue} {
			if got, err := render(src, map[string]Value{"v": v, "w": v}); src != "{v:{w}}" && (got != want || err != nil) {
				t.Errorf("%s of a %v value: %q, %v; want %q", src, v.Kind(), got, err, want)
			}
		}
	}
}

func TestTemplateOfUUID(t *testing.T) {
	uuid, _ := ParseUUID("fc2e22bc6ee647b6b90729ab34de6d9e")
	for src, want := range map[string]string{
		"{v}": "fc2e22bc-6ee6-47b6-b907-29ab34de6d9e", "{v!s:.8}": "fc2e22bc", "{v!r}": "UUID('fc2e22bc-6ee6-47b6-b907-29ab34de6d9e')",
		"{v:>38}": "  fc2e22bc-6ee6-47b6-b907-29ab34de6d9e", "{v:.8s}": "fc2e22bc",
	} {
		if got, err := renderV(src, uuid); got != want || err != nil {
			t.Errorf("%s: %q, %v; want %q", src, got, err, want)
		}
	}
}

// TestTemplateFaults has each fault with its place: what stands before the mark ¶ is in front of it.
func TestTemplateFaults(t *testing.T) {
	for src, want := range map[string]string{
		"a ¶} b":           "'}' without a '{' before it",
		"a ¶{":             "the '{' is never closed",
		"ä¶{v":             "the '{' is never closed",
		"¶{v:>5":           "the '{' is never closed",
		"{v¶{w}}":          "'{' within the name of a field",
		"{¶}":              "a field without a name",
		"{¶0}":             "field number 0: fields have no numbers",
		"{v:{¶}}":          "a field without a name",
		"{v¶.year}":        `"v.year" asks for an attribute, but the values of fields have none`,
		"{v¶[0]}":          `"v[0]" asks for an element, but the values of fields have none`,
		"{¶ v}":            `" v" is not the name of a field`,
		"{¶a\nb}":          `"a\nb" is not the name of a field`,
		"{v¶!x}":           "'!' is not followed by a conversion",
		"{v¶!}":            "'!' is not followed by a conversion",
		"{v!r¶x}":          "a conversion must be followed by '}' or ':'",
		"{v:{w:¶{x}}}":     "the fields are nested too deep",
		"{v:¶5000}":        `the format spec "5000" asks for more than 4096 characters`,
		"{v:¶.4097f}":      `the format spec ".4097f" asks for more than 4096 characters`,
		"{v:¶%99999999Y}":  `the format spec "%99999999Y" is faulty: a width is more than 4096 characters`,
		"{v:5¶y}":          `the format spec "5y" is faulty: 'y' has no meaning here`,
		"ä{v:é<5¶ö}":       `the format spec "é<5ö" is faulty: 'ö' has no meaning here`,
		"{v:5.¶f}":         `the format spec "5.f" is faulty: the precision is missing behind '.'`,
		"{v:5,¶_d}":        `the format spec "5,_d" is faulty: '_' has no meaning here`,
		"{v:¶+s}":          `the format spec "+s" is faulty: a sign is for numbers, not for a string`,
		"{v:¶,x}":          `the format spec ",x" is faulty: the grouping ',' does not go with type 'x'`,
		"{v:¶,n}":          `the format spec ",n" is faulty: the grouping ',' does not go with type 'n'`,
		"{v:¶.2d}":         `the format spec ".2d" is faulty: a precision is not for an integer, except with one of the types e f g %`,
		"{v!r:¶5d}":        `the format spec "5d" does not suit a string, which !r makes of the value: type 'd' is for numbers, not for a string`,
		"{v!s:¶%H:%M}":     `the format spec "%H:%M" does not suit a string, which !s makes of the value: the codes of strftime are for times`,
		"{v:¶{{<5}}}":      `the format spec "{<5}" is faulty: '}' has no meaning here`,
		"{MESSAGE} ¶} {v}": "'}' without a '{' before it",
	} {
		before, after, _ := strings.Cut(src, "¶")
		_, err := ParseTemplate(before+after, NewNames(nil))
		var fault *TemplateError
		if !errors.As(err, &fault) {
			t.Errorf("%s: %v", src, err)
			continue
		}
		if fault.Msg != want || !strings.HasSuffix(src, "{{<5}}}") && fault.Offset != len(before) {
			t.Errorf("%s: at %d, %s\nwant at %d, %s", src, fault.Offset, fault.Msg, len(before), want)
		}
		if !strings.Contains(err.Error(), strconv.Itoa(fault.Offset)) || !strings.Contains(err.Error(), fault.Msg) {
			t.Errorf("%s: the error is %q", src, err)
		}
	}
}

// TestMisfits has formats that are legal, but not for the value which the field has.
func TestMisfits(t *testing.T) {
	uuid := UUIDValue([16]byte{})
	for _, c := range []struct {
		src  string
		v    Value
		want string
	}{
		{"{v:d}", StringValue("12"), `format "d" of field "v": type 'd' is for numbers, not for a string`},
		{"{v:05d}", uuid, `format "05d" of field "v": type 'd' is for numbers, not for a string`},
		{"{v:s}", IntValue(1), `format "s" of field "v": type 's' is for strings, not for an integer`},
		{"{v:x}", FloatValue(1), `format "x" of field "v": type 'x' is not for a floating point number`},
		{"{v:c}", IntValue(-1), `format "c" of field "v": -1 is not the number of a character`},
		{"{v:c}", IntValue(1<<32 + 65), `format "c" of field "v": 4294967361 is not the number of a character`},
		{"{v:c}", IntValue(0xD800), `format "c" of field "v": 55296 is not the number of a character`},
		{"{v:%H}", IntValue(1), `format "%H" of field "v": the codes of strftime are for times`},
		{"{v:%H}", StringValue("soon"), `format "%H" of field "v": the codes of strftime are for times`},
		{"{v:{v}}", StringValue(strings.Repeat("x", 300)), `format "…" of field "v": the format spec has more than 256 bytes`},
		{"{v:>{v}}", IntValue(5000), `format ">5000" of field "v": the format spec ">5000" asks for more than 4096 characters`},
		{"{v:{v:s}}", IntValue(1), `format "s" of field "v": type 's' is for strings, not for an integer`},
	} {
		_, err := renderV("text {v} "+c.src, c.v)
		var misfit *FormatError
		if !errors.As(err, &misfit) || err.Error() != c.want {
			t.Errorf("%s of %v %q: %v\nwant %s", c.src, c.v.Kind(), c.v.Text(), err, c.want)
		}
	}
}

func TestAppendLeavesDstWithAnError(t *testing.T) {
	names := NewNames(nil)
	tmpl, err := ParseTemplate("text {A:d}", names)
	if err != nil {
		t.Fatal(err)
	}
	e := New(names)
	e.Reset(fakeSource{"A": "x"}, 0)
	if dst, err := tmpl.Append([]byte("before"), e); err == nil || string(dst) != "before" {
		t.Errorf("%q, %v", dst, err)
	}
	e.Reset(fakeSource{}, 0)
	if dst, err := tmpl.Append([]byte("before "), e); err != nil || string(dst) != "before text None" {
		t.Errorf("%q, %v", dst, err)
	}
}

func TestTemplateFields(t *testing.T) {
	names := NewNames(nil)
	names.Slot("other")
	tmpl, err := ParseTemplate("{{X}} {B} {A:>{C}} {B!r} {größe} {my-count} {a b}", names)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"B", "A", "C", "größe", "my-count", "a b"}
	if got := tmpl.Fields(); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	for i, name := range want {
		if names.Name(Slot(i+1)) != name {
			t.Errorf("slot %d is %q, want %q", i+1, names.Name(Slot(i+1)), name)
		}
	}
}

// TestTimeKnowsItsZone is where templates go beyond Python, whose times here had no zone.
func TestTimeKnowsItsZone(t *testing.T) {
	inZone(t, "America/St_Johns")
	const src = "{v:%Y-%m-%d %H:%M %z %Z %s}"
	if got, err := renderV(src, TimeValue(1_795_334_461_000_123)); got != "2026-11-22 04:31 -0330 NST 1795334461" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := renderV("{v:%z}", TimeValue(-3_000_000_000_000_000)); got != "-033052" || err != nil {
		t.Errorf("with the mean time of the place: %q, %v", got, err)
	}
}

// TestAnyTimeRenders goes beyond the years that Python knows.
func TestAnyTimeRenders(t *testing.T) {
	inZone(t, "UTC")
	for _, usec := range []int64{math.MinInt64, -1, 0, math.MaxInt64} {
		for code := byte(' '); code < 0x7f; code++ {
			if code >= '0' && code <= '9' || strings.IndexByte("%{}EO-_^#", code) >= 0 {
				continue
			}
			if got, err := renderV("{v:%"+string(code)+"}", TimeValue(usec)); got == "" || err != nil {
				t.Errorf("%%%c of %d: %q, %v", code, usec, got, err)
			}
		}
	}
}

func TestRenderedTextIsBounded(t *testing.T) {
	long := StringValue(strings.Repeat("é€", MaxRendered))
	for _, src := range []string{
		"{v}", "a{v}", "ab{v}{v}", "abc{v:>9}", "{v!r}", "{v!a}", "a{v!r:5}", strings.Repeat("a", 2*MaxRendered),
		strings.Repeat("{x:4096}", 100), strings.Repeat("{x:.4096f}", 100), "{t:" + strings.Repeat("%4096d", 2000) + "}",
	} {
		got, err := render(src, map[string]Value{"v": long, "x": FloatValue(1), "t": TimeValue(0)})
		if err != nil || len(got) > MaxRendered || len(got) < MaxRendered-utf8.UTFMax || !utf8.ValidString(got) || !strings.HasSuffix(got, "…") {
			t.Errorf("%.20s: %d bytes, ending in %q; %v", src, len(got), got[max(0, len(got)-6):], err)
		}
	}
	exact := strings.Repeat("a", MaxRendered)
	if got, err := renderV("{v}", StringValue(exact)); got != exact || err != nil {
		t.Errorf("a text of exactly the bound is cut to %d bytes; %v", len(got), err)
	}
	if got, err := renderV("{v:.3}", long); got != "é€é" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

func TestRenderAllocatesOnlyTheText(t *testing.T) {
	names, e := benchEntry()
	for _, src := range []string{
		"{SYSLOG_IDENTIFIER}: {MESSAGE}", "{SYSLOG_IDENTIFIER:>12}[{_PID:06d}]", "{__REALTIME_TIMESTAMP} {_PID:,}", "{__REALTIME_TIMESTAMP:%d/%b %T}",
	} {
		tmpl, err := ParseTemplate(src, names)
		if err != nil {
			t.Fatal(err)
		}
		if n := testing.AllocsPerRun(100, func() { _, err = tmpl.Render(e) }); n > 1 || err != nil {
			t.Errorf("%s: %v allocations, error %v", src, n, err)
		}
	}
}

func FuzzTemplate(f *testing.F) {
	for _, src := range []string{
		"{v}: {w}", "{v!r:>20.3s}", "{v:%Y-%m}", "{v:+#010_x}", "{{}}{v:é^+z#08,.3f}", "{v:>{w}}", "{v:%-5d%^Ec%}", "{v:{", "}", "{v[0]!r:{{", "{v:.4096e}",
	} {
		f.Add(src, "it's \x00\xff", int64(-5), 1.5)
	}
	inZone(f, "Europe/Paris")
	f.Fuzz(func(t *testing.T, src, text string, i int64, x float64) {
		for _, v := range []Value{{}, NullValue, StringValue(text), IntValue(i), FloatValue(x), TimeValue(i), UUIDValue([16]byte{byte(i)})} {
			got, err := render(src, map[string]Value{"v": v, "w": IntValue(i & 63)})
			var fault *TemplateError
			var misfit *FormatError
			switch {
			case errors.As(err, &fault):
				if fault.Offset < 0 || fault.Offset > len(src) || fault.Msg == "" {
					t.Errorf("%q: %v at %d", src, err, fault.Offset)
				}
				return
			case errors.As(err, &misfit):
				if v.IsNone() && strings.HasPrefix(src, "{v:") && strings.Count(src, "{") == 1 {
					t.Errorf("%q of None: %v", src, err)
				}
			case err != nil:
				t.Errorf("%q: an error of another type: %v", src, err)
			case len(got) > MaxRendered:
				t.Errorf("%q renders %d bytes", src, len(got))
			case utf8.ValidString(src) && utf8.ValidString(text) && !utf8.ValidString(got):
				t.Errorf("%q renders %q, which is not UTF-8", src, got)
			}
		}
	})
}

func benchEntry() (*Names, *Entry) {
	names := NewNames(nil)
	for _, name := range []string{"SYSLOG_IDENTIFIER", "MESSAGE", "_PID", RealtimeField} {
		names.Slot(name)
	}
	e := New(names)
	e.Reset(fakeSource{
		"SYSLOG_IDENTIFIER": "sshd", "MESSAGE": "Failed password for root from 192.0.2.1 port 4711 ssh2", "_PID": "4711",
	}, 1_795_334_461_000_123)
	return names, e
}

func BenchmarkRender(b *testing.B) {
	for _, src := range []string{
		"{SYSLOG_IDENTIFIER}: {MESSAGE}", "{SYSLOG_IDENTIFIER:>12}[{_PID:06d}]", "{__REALTIME_TIMESTAMP}", "{__REALTIME_TIMESTAMP:%d/%b %T}", "{MESSAGE!r}",
	} {
		b.Run(src, func(b *testing.B) {
			names, e := benchEntry()
			t, err := ParseTemplate(src, names)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := t.Render(e); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
