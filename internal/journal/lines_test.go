package journal_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/pyruse/pyruse/internal/journal"
	"github.com/pyruse/pyruse/internal/journal/journaltest"
)

const stamp = `"__REALTIME_TIMESTAMP":"1700000000000001"`

func TestLinesValues(t *testing.T) {
	for _, c := range []struct {
		value, want string // JSON, and what the field is; "-" if it is missing
	}{
		{`"text"`, "text"},
		{`""`, ""},
		{`"q\"b\\s\/n\nt\tr\rb\bf\fu\u00e9\u20AC"`, "q\"b\\s/n\nt\tr\rb\bf\fué€"},
		{`"\ud83d\ude00"`, "😀"},
		{`"\ud83dx"`, "\uFFFDx"},
		{`"\ud83d\u0041"`, "\uFFFDA"},
		{`"\ude00"`, "\uFFFD"},
		{`"` + "caf\xe9" + `"`, "caf\xe9"}, // not UTF-8: decoding is not for this package
		{`null`, "-"},
		{`12`, "12"},
		{`-1.5e+3`, "-1.5e+3"},
		{`true`, "true"},
		{`[72,105,0,255]`, "Hi\x00\xff"},
		{`[ 7 , 8 ]`, "\x07\x08"},
		{`["first","second"]`, "first"},
		{`[ "fir\u0073t" , "second" ]`, "first"},
		{`[[72,105],"second"]`, "Hi"},
		{`["text",[255]]`, "text"},
		{`[null,"second"]`, "-"},
		{`[]`, "-"},
		{`[[]]`, "-"},
		{`[true]`, "true"},
	} {
		in := "{" + stamp + `,"F":` + c.value + ` , "G":"after"}` + "\n"
		l := journal.NewLines(strings.NewReader(in), 0)
		if ok, err := l.Next(); !ok || err != nil {
			t.Errorf("%s: %v, %v", c.value, ok, err)
			continue
		}
		got, ok := l.Field("F")
		if string(got) != c.want && ok || !ok && c.want != "-" {
			t.Errorf("%s: %q, %v; want %q", c.value, got, ok, c.want)
		}
		if g, _ := l.Field("G"); string(g) != "after" {
			t.Errorf("%s: the next field is %q", c.value, g)
		}
		if _, ok := l.Field("NONE"); ok {
			t.Errorf("%s: a field that is not there", c.value)
		}
		if l.UnixMicro() != 1700000000000001 {
			t.Errorf("%s: time %d", c.value, l.UnixMicro())
		}
	}
}

func TestLinesErrors(t *testing.T) {
	for _, c := range []struct{ line, reason string }{
		{`nonsense`, "not a JSON object"},
		{`[1]`, "not a JSON object"},
		{`{`, "column 2: the name of a field: a JSON string is missing"},
		{`{"a":"b",}`, "column 10: the name of a field: a JSON string is missing"},
		{`{"a"}`, "column 5: a colon is missing"},
		{`{"a":}`, `column 6: field "a": a JSON value is missing`},
		{`{"a":"b`, `column 8: field "a": the string does not end on this line`},
		{`{"a":"b\`, `column 8: field "a": the string does not end on this line`},
		{`{"a":"\x"}`, `not an escape sequence`},
		{`{"a":"\u12g4"}`, `not an escape sequence`},
		{"{\"a\":\"\x01\"}", `a control character in a string`},
		{`{"a":{}}`, `an object is no value of a journal field`},
		{`{"a":[[["b"]]]}`, `arrays within the array of an array`},
		{`{"a":[256]}`, `not a byte value`},
		{`{"a":[01]}`, `not a byte value`},
		{`{"a":[1,"x"]}`, `holds something else`},
		{`{"a":["x",1]}`, `byte values and other values in one array`},
		{`{"a":["x"`, `the array does not end on this line`},
		{`{"a":01}`, `the object does not end on this line`},
		{`{"a":1.}`, `not a number`},
		{`{"a":tru}`, `a JSON value is missing`},
		{`{` + stamp + `} x`, `something follows the object`},
		{`{}`, `__REALTIME_TIMESTAMP is missing`},
		{`{"__REALTIME_TIMESTAMP":"soon"}`, `not a number of microseconds`},
		{`{"__REALTIME_TIMESTAMP":"-1"}`, `not a number of microseconds`},
		{`{"__REALTIME_TIMESTAMP":"9223372036854775808"}`, `not a number of microseconds`},
	} {
		in := "\n" + c.line + "\n{" + stamp + "}\n"
		l := journal.NewLines(strings.NewReader(in), 0)
		ok, err := l.Next()
		var bad *journal.LineError
		if ok || !errors.As(err, &bad) || bad.Line != 2 || !strings.Contains(bad.Reason, c.reason) {
			t.Errorf("%s: %v, %v; want %q", c.line, ok, err, c.reason)
		}
		if _, ok := l.Field("a"); ok {
			t.Errorf("%s: a field of a bad line", c.line)
		}
		if ok, err := l.Next(); !ok || err != nil {
			t.Errorf("%s: the line behind it: %v, %v", c.line, ok, err)
		}
		if ok, err := l.Next(); ok || err != nil {
			t.Errorf("%s: the end: %v, %v", c.line, ok, err)
		}
	}
}

func TestLinesForms(t *testing.T) {
	in := "\x1e{" + stamp + `,"M":"1"}` + "\r\n\n   \n{" + stamp + `,"M":"2","M":"3","\u004e":"4"}`
	l := journal.NewLines(iotest.OneByteReader(strings.NewReader(in)), 0)
	var got []string
	for {
		ok, err := l.Next()
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			break
		}
		m, _ := l.Field("M")
		n, _ := l.Field("N")
		got = append(got, string(m)+string(n))
	}
	if diff := cmp.Diff([]string{"1", "24"}, got); diff != "" {
		t.Error(diff)
	}
	if ok, err := l.Next(); ok || err != nil {
		t.Errorf("Next at the end: %v, %v", ok, err)
	}
}

func TestLinesBounds(t *testing.T) {
	long := `{` + stamp + `,"M":"` + strings.Repeat("x", 200_000) + `"}`
	in := long + "\n{" + stamp + `,"M":"ééé"}` + "\n" + long
	l := journal.NewLines(strings.NewReader(in), 100_000)
	l.MaxField = 3
	_, err := l.Next()
	if bad := (*journal.LineError)(nil); !errors.As(err, &bad) || bad.Line != 1 {
		t.Fatalf("a line that is too long: %v", err)
	}
	if ok, err := l.Next(); !ok || err != nil {
		t.Fatalf("the line behind it: %v, %v", ok, err)
	}
	if m, _ := l.Field("M"); string(m) != "é" {
		t.Errorf("a cut field: %q", m)
	}
	_, err = l.Next()
	if bad := (*journal.LineError)(nil); !errors.As(err, &bad) || bad.Line != 3 {
		t.Fatalf("a line that is too long, without an end: %v", err)
	}
	l = journal.NewLines(strings.NewReader(long), 0)
	if ok, err := l.Next(); !ok || err != nil {
		t.Fatalf("a long line: %v, %v", ok, err)
	}
	if m, _ := l.Field("M"); len(m) != journal.DefaultMaxField {
		t.Errorf("a long field has %d bytes", len(m))
	}
}

func TestLinesInputError(t *testing.T) {
	broken := errors.New("broken")
	l := journal.NewLines(io.MultiReader(strings.NewReader("{"+stamp+"}\n{"), iotest.ErrReader(broken)), 0)
	if ok, err := l.Next(); !ok || err != nil {
		t.Fatalf("%v, %v", ok, err)
	}
	if ok, err := l.Next(); ok || !errors.Is(err, broken) {
		t.Fatalf("%v, %v", ok, err)
	}
}

// What journalctl prints must read like what libsystemd reads.
func TestLinesReadWhatJournalctlPrints(t *testing.T) {
	journaltest.Fresh(t)
	journaltest.Send(t, journaltest.F("MESSAGE", "bin\x01\x02\xff\n\x00end"), journaltest.F("REPEATED", "one"),
		journaltest.F("REPEATED", "two"), journaltest.F("PRIORITY", "3"))
	journaltest.Send(t, journaltest.F("REPEATED", "\xff\xfe"), journaltest.F("REPEATED", "two"), journaltest.F("EMPTY", ""))
	journaltest.Send(t, journaltest.F("MESSAGE", "é \"quoted\" \\ \t\u2028 \x7f"), journaltest.F("LONG", strings.Repeat("l", 10_000)))
	journaltest.Logger(t, "sshd", "Failed password for root from 192.0.2.1 port 22 ssh2")
	journaltest.Sync(t)
	names := []string{"MESSAGE", "REPEATED", "PRIORITY", "EMPTY", "LONG", "SYSLOG_IDENTIFIER", "_UID", "_PID", "_BOOT_ID",
		"_TRANSPORT", "__REALTIME_TIMESTAMP", "__MONOTONIC_TIMESTAMP", "__CURSOR", "_SOURCE_REALTIME_TIMESTAMP"}
	var live, printed []string
	r := open(t, journal.Options{})
	read(t, r, names, &live)
	l := journal.NewLines(bytes.NewReader(journaltest.Journalctl(t, "-o", "json", "--all", "--quiet")), 0)
	read(t, l, names, &printed)
	if diff := cmp.Diff(live, printed); diff != "" || len(live) < 4 {
		t.Errorf("%d entries (-libsystemd +journalctl):\n%s", len(live), diff)
	}
	l = journal.NewLines(bytes.NewReader(journaltest.Journalctl(t, "-o", "json", "--quiet", "LONG="+strings.Repeat("l", 10_000))), 0)
	if ok, err := l.Next(); !ok || err != nil {
		t.Fatalf("%v, %v", ok, err)
	}
	if long, ok := l.Field("LONG"); ok {
		t.Errorf("a field that journalctl leaves out has %d bytes", len(long))
	}
}

func read(t *testing.T, e journal.Entries, names []string, into *[]string) {
	t.Helper()
	for {
		ok, err := e.Next()
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return
		}
		text := fmt.Sprintf("%d %s\n", e.UnixMicro(), e.Cursor())
		for _, n := range names {
			value, ok := e.Field(n)
			text += fmt.Sprintf("%s %v %q\n", n, ok, value)
		}
		*into = append(*into, text)
	}
}

// FuzzLines holds Lines against encoding/json: what Lines takes is JSON with the
// same values, and JSON that a journal field can be is taken.
func FuzzLines(f *testing.F) {
	for _, s := range []string{
		`{` + stamp + `,"MESSAGE":"x"}`, `{` + stamp + `,"M":["a",[1,2]],"N":null}`, `{"a":"\ud83d\ude00"}`,
		`{` + stamp + `,"M":[1,2,255]}`, `{` + stamp + `,"M":-1.5E7,"b":false} `, `{"__REALTIME_TIMESTAMP":1700000000000001}`,
		"\x1e{}\n", "{\"a\":\"\xff\"}",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		data, _, _ = bytes.Cut(data, []byte("\n"))
		l := journal.NewLines(bytes.NewReader(data), 0)
		ok, err := l.Next()
		if line := (*journal.LineError)(nil); err != nil && !errors.As(err, &line) {
			t.Fatalf("an error that is none of the line: %v", err)
		}
		data = bytes.Trim(data, " \t\r\n\x1e")
		names, fields := decode(data)
		if taken := fields != nil; ok != taken && len(data) > 0 {
			t.Fatalf("taken: %v (%v), encoding/json: %v", ok, err, taken)
		}
		if !ok || !utf8.Valid(data) {
			return
		}
		for i, name := range names {
			got, ok := l.Field(name)
			if want, wantOK := fields[i], fields[i] != nil; ok != wantOK || !bytes.Equal(got, want) {
				t.Fatalf("field %q: %q, %v; encoding/json: %q, %v", name, got, ok, want, wantOK)
			}
		}
	})
}

// decode reads a line with encoding/json. It returns nil for what is no entry; a
// field that is missing is nil.
func decode(data []byte) (names []string, fields [][]byte) {
	if !json.Valid(data) || data[0] != '{' {
		return nil, nil
	}
	d := json.NewDecoder(bytes.NewReader(data))
	_, _ = d.Token() // the brace: the data is valid
	seen := map[string]bool{}
	timely := false
	for d.More() {
		key, _ := d.Token()
		var raw json.RawMessage
		_ = d.Decode(&raw)
		value, ok := decodeValue(raw, 0)
		if !ok {
			return nil, nil
		}
		name := key.(string)
		if seen[name] {
			continue
		}
		seen[name] = true
		names, fields = append(names, name), append(fields, value)
		if name == "__REALTIME_TIMESTAMP" {
			usec, err := strconv.ParseUint(string(value), 10, 64)
			timely = err == nil && usec <= math.MaxInt64
		}
	}
	if !timely {
		return nil, nil
	}
	return names, fields
}

func decodeValue(raw json.RawMessage, depth int) (value []byte, ok bool) {
	switch raw[0] {
	case '{':
		return nil, false
	case 'n':
		return nil, true
	case '"':
		var s string
		if json.Unmarshal(raw, &s) != nil {
			return nil, false
		}
		return append([]byte{}, s...), true
	case '[':
		if depth == 2 {
			return nil, false
		}
		var items []json.RawMessage
		if json.Unmarshal(raw, &items) != nil {
			return nil, false
		}
		var numbers []int
		bytesOnly := true
		for i, item := range items {
			v, ok := decodeValue(item, depth+1)
			if !ok {
				return nil, false
			}
			if i == 0 {
				value = v
			}
			isNumber := item[0] == '-' || item[0] >= '0' && item[0] <= '9'
			if isNumber {
				n, err := strconv.Atoi(string(item))
				if err != nil || n < 0 || n > 255 || strconv.Itoa(n) != string(item) {
					return nil, false
				}
				numbers = append(numbers, n)
			}
			bytesOnly = bytesOnly && isNumber
		}
		if len(numbers) > 0 && !bytesOnly {
			return nil, false
		}
		if len(numbers) > 0 {
			value = nil
			for _, n := range numbers {
				value = append(value, byte(n))
			}
		}
		return value, true
	}
	return append([]byte{}, raw...), true
}
