package entry

import (
	"bufio"
	"encoding/json"
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// fakeSource is an entry for tests.
type fakeSource map[string]string

func (s fakeSource) Field(name string) ([]byte, bool) {
	v, ok := s[name]
	return []byte(v), ok
}

func (fakeSource) Cursor() string { return "s=1;i=1" }

// inUTC makes the local time zone UTC for a test.
func inUTC(t testing.TB) {
	old := time.Local
	time.Local = time.UTC
	t.Cleanup(func() { time.Local = old })
}

// render renders a template whose field {v} has a value.
func render(src string, v Value) (string, error) {
	names := NewNames(nil)
	slot := names.Slot("v")
	t, err := ParseTemplate(src, names)
	if err != nil {
		return "", err
	}
	e := New(names)
	e.Reset(fakeSource{}, 0)
	if !v.IsMissing() {
		e.Set(slot, v)
	}
	return t.Render(e)
}

// TestAgainstPython compares with what Python 3.11 makes of the same specs (testdata/template.py).
func TestAgainstPython(t *testing.T) {
	inUTC(t)
	f, err := os.Open("testdata/template.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	n := 0
	for lines.Scan() {
		n++
		var c struct {
			Kind, Spec, Text string
			Value            json.RawMessage
			Error            bool
		}
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			t.Fatal(err)
		}
		spec := c.Spec
		if !strings.HasPrefix(spec, "!") {
			spec = ":" + spec
		}
		got, err := render("{v"+spec+"}", value(t, c.Kind, c.Value))
		if c.Error != (err != nil) || err == nil && got != c.Text {
			t.Errorf("%s %s with %q: %q, %v; Python: %q, error %v", c.Kind, c.Value, c.Spec, got, err, c.Text, c.Error)
		}
	}
	if err := lines.Err(); err != nil || n < 1000 {
		t.Errorf("%d cases; %v", n, err)
	}
}

func value(t *testing.T, kind string, raw json.RawMessage) Value {
	t.Helper()
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		text = string(raw)
	}
	switch kind {
	case "string":
		return StringValue(text)
	case "float":
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			t.Fatal(err)
		}
		return FloatValue(f)
	}
	i, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	if kind == "time" {
		return TimeValue(i)
	}
	return IntValue(i)
}

func TestNone(t *testing.T) {
	for src, want := range map[string]string{
		"{v}": "None", "{v!r}": "None", "{v:>8}": "    None", "{v:*^8d}": "**None**", "{v:08.2f}": "None0000", "{v:.2}": "No",
		"{v:%H:%M}": "None", "{v:+d}": "None", "{v!s:6}": "None  ",
	} {
		for _, v := range []Value{{}, NullValue} {
			if got, err := render(src, v); got != want || err != nil {
				t.Errorf("%s of %v: %q, %v; want %q", src, v.Kind(), got, err, want)
			}
		}
	}
}

func TestTemplateFaults(t *testing.T) {
	for src, offset := range map[string]int{
		"a } b": 2, "a {": 2, "{}": 1, "{0}": 1, "{a.b}": 1, "{a[0]}": 1, "{a!x}": 2, "{a!}": 2, "{a!rx}": 2,
		"{a:{w}}": 3, "{a:5000}": 3, "{a:.99999}": 3, "{a:y}": 3, "{a:5d5}": 3, "ä{a:<<<}": 5,
	} {
		_, err := ParseTemplate(src, NewNames(nil))
		var fault *TemplateError
		if !errors.As(err, &fault) || fault.Offset != offset {
			t.Errorf("%q: %v, want an error at offset %d", src, err, offset)
		}
	}
}

func TestTemplateText(t *testing.T) {
	for src, want := range map[string]string{
		"": "", "plain": "plain", "{{}}": "{}", "{{v}}": "{v}", "{{{v}}}": "{x}", "a{v}b{v}c": "axbxc", "{v!r}": "'x'", "{v:}": "x",
	} {
		if got, err := render(src, StringValue("x")); got != want || err != nil {
			t.Errorf("%q: %q, %v; want %q", src, got, err, want)
		}
	}
}

func TestRenderedTextIsBounded(t *testing.T) {
	got, err := render("{v}{v}", StringValue(strings.Repeat("é", MaxRendered/3)))
	if err != nil || len(got) > MaxRendered || !utf8.ValidString(got) || !strings.HasSuffix(got, "…") {
		t.Errorf("%d bytes, ends in %q; %v", len(got), got[len(got)-6:], err)
	}
}

func TestMisfitNamesFieldAndFormat(t *testing.T) {
	_, err := render("{v:d}", StringValue("12"))
	if err == nil || !strings.Contains(err.Error(), `"v"`) || !strings.Contains(err.Error(), `"d"`) {
		t.Errorf("error %v", err)
	}
}

func FuzzTemplate(f *testing.F) {
	for _, s := range []string{"{v}", "{v!r:>20.3s}", "{v:%Y-%m}", "{v:+#010_x}", "{{}}{v:é^+z#08,.3f}", "{v:{", "}"} {
		f.Add(s, "text", int64(-5), 1.5)
	}
	f.Fuzz(func(t *testing.T, src, text string, i int64, x float64) {
		for _, v := range []Value{{}, NullValue, StringValue(text), IntValue(i), FloatValue(x), TimeValue(i % (1 << 55))} {
			if got, err := render(src, v); err == nil && len(got) > MaxRendered {
				t.Errorf("%q renders %d bytes", src, len(got))
			}
		}
	})
}

func BenchmarkRender(b *testing.B) {
	names := NewNames(nil)
	t, err := ParseTemplate("{SYSLOG_IDENTIFIER}: {MESSAGE}", names)
	if err != nil {
		b.Fatal(err)
	}
	e := New(names)
	e.Reset(fakeSource{"SYSLOG_IDENTIFIER": "sshd", "MESSAGE": "Failed password for root from 192.0.2.1 port 4711 ssh2"}, 0)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := t.Render(e); err != nil {
			b.Fatal(err)
		}
	}
}
