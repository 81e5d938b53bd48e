package entry

import (
	"strconv"
	"strings"
	"testing"
)

func entryOf(src fakeSource, fields ...string) (*Entry, []Slot) {
	names := NewNames(nil)
	slots := make([]Slot, len(fields))
	for i, f := range fields {
		slots[i] = names.Slot(f)
	}
	e := New(names)
	e.Reset(src, 1_795_334_461_000_123)
	return e, slots
}

func TestTypes(t *testing.T) {
	uuid, _ := ParseUUID("fc2e22bc6ee647b6b90729ab34de6d9e")
	for _, c := range []struct {
		field, text string
		want        Value
	}{
		{"PRIORITY", "6", IntValue(6)},
		{"_PID", "-1", IntValue(-1)},
		{"SYSLOG_PID", "007", IntValue(7)},
		{"SYSLOG_PID", "12a", StringValue("12a")},
		{"SYSLOG_PID", "", StringValue("")},
		{"_UID", "99999999999999999999", StringValue("99999999999999999999")},
		{"_SOURCE_REALTIME_TIMESTAMP", "1795334461000123", TimeValue(1795334461000123)},
		{"_SOURCE_REALTIME_TIMESTAMP", "soon", StringValue("soon")},
		{"MESSAGE_ID", "fc2e22bc6ee647b6b90729ab34de6d9e", uuid},
		{"MESSAGE_ID", "FC2E22BC-6EE6-47B6-B907-29AB34DE6D9E", uuid},
		{"MESSAGE_ID", "fc2e22bc", StringValue("fc2e22bc")},
		{"MESSAGE", "42", StringValue("42")},
		{"MESSAGE", "caf\xe9", StringValue("café")},
		{"_HOSTNAME", "", StringValue("")},
	} {
		e, slots := entryOf(fakeSource{c.field: c.text}, c.field)
		if got := e.Get(slots[0]); got != c.want {
			t.Errorf("%s=%q: %v %q, want %v %q", c.field, c.text, got.Kind(), got.Text(), c.want.Kind(), c.want.Text())
		}
	}
	e, slots := entryOf(fakeSource{}, "MESSAGE", RealtimeField)
	if v := e.Get(slots[0]); !v.IsMissing() || !v.IsNone() || v.Text() != "" {
		t.Errorf("a missing field is %v", v.Kind())
	}
	if v := e.Get(slots[1]); v != TimeValue(1_795_334_461_000_123) {
		t.Errorf("the time of the entry is %v", v)
	}
}

// TestFieldsStay reads many fields: those read first keep their text, though the buffer grows.
func TestFieldsStay(t *testing.T) {
	src := fakeSource{}
	var names []string
	for i := range 300 {
		name := "F" + strconv.Itoa(i)
		names = append(names, name)
		src[name] = strings.Repeat(name, 100)
	}
	e, slots := entryOf(src, names...)
	for range 2 { // the second time in a buffer that was used before
		var values []Value
		for _, s := range slots {
			values = append(values, e.Get(s))
		}
		for i, v := range values {
			if v.Str() != src[names[i]] {
				t.Fatalf("field %s changed", names[i])
			}
		}
		e.Reset(src, 0)
	}
}

func TestResetForgets(t *testing.T) {
	e, slots := entryOf(fakeSource{"A": "x"}, "A", "B")
	e.Set(slots[1], IntValue(3))
	if e.Get(slots[0]).Str() != "x" || e.Get(slots[1]).Int() != 3 {
		t.Error("the values are not there")
	}
	e.round = 1<<32 - 1 // the marks are about to wrap
	e.Reset(fakeSource{}, 0)
	if !e.Get(slots[0]).IsMissing() || !e.Get(slots[1]).IsMissing() {
		t.Error("values of the entry before are still there")
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
		{StringValue("2"), IntValue(2), false},
		{StringValue("a"), StringValue("a"), true},
		{uuid, StringValue("fc2e22bc-6ee6-47b6-b907-29ab34de6d9e"), true},
		{uuid, StringValue("FC2E22BC6EE647B6B90729AB34DE6D9E"), true},
		{uuid, StringValue("x"), false},
		{NullValue, NullValue, true},
		{Value{}, Value{}, false},
		{Value{}, NullValue, false},
		{FloatValue(0), FloatValue(-0.0), true},
		{TimeValue(2), IntValue(2), false},
	} {
		if Equal(c.a, c.b) != c.want || Equal(c.b, c.a) != c.want {
			t.Errorf("%v %q and %v %q: want %v", c.a.Kind(), c.a.Text(), c.b.Kind(), c.b.Text(), c.want)
		}
	}
}

func TestGetDoesNotAllocate(t *testing.T) {
	var src Source = bytesSource("Failed password for root from 192.0.2.1")
	names := NewNames(nil)
	slot := names.Slot("MESSAGE")
	e := New(names)
	n := testing.AllocsPerRun(100, func() {
		e.Reset(src, 0)
		if e.Get(slot).Str() == "" {
			t.Error("no text")
		}
	})
	if n > 0 {
		t.Errorf("%v allocations per entry", n)
	}
}

// bytesSource has the same text in each field.
type bytesSource []byte

func (s bytesSource) Field(string) ([]byte, bool) { return s, true }
func (bytesSource) Cursor() string                { return "" }
