package entry

import (
	"slices"
	"strconv"
	"strings"
	"testing"
)

// namesOf returns a table in which the fields have the slots 0, 1 and so on.
func namesOf(decode func([]byte) string, fields ...string) *Names {
	names := NewNames(decode)
	for _, f := range fields {
		names.Slot(f)
	}
	return names
}

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
		{"_PID", "-", StringValue("-")},
		{"_PID", "4 7", StringValue("4 7")},
		{"_SYSTEMD_SESSION", "c1", StringValue("c1")},
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

// TestGetDoesNotAllocate reads a field of each type, and those that are not what their name says.
func TestGetDoesNotAllocate(t *testing.T) {
	names := namesOf(nil, "MESSAGE", "_PID", "_SYSTEMD_SESSION", "MESSAGE_ID", "_SOURCE_REALTIME_TIMESTAMP", "MISSING", RealtimeField)
	e := New(names)
	var src Source = bytesSource{
		"MESSAGE": []byte("Failed password for root from 192.0.2.1"), "_PID": []byte("4711"), "_SYSTEMD_SESSION": []byte("c1"),
		"MESSAGE_ID": []byte("fc2e22bc6ee647b6b90729ab34de6d9e"), "_SOURCE_REALTIME_TIMESTAMP": []byte("1795334461000123"),
	}
	want := []Kind{String, Int, String, UUID, Time, Missing, Time}
	n := testing.AllocsPerRun(100, func() {
		e.Reset(src, 0)
		for i, kind := range want {
			if e.Get(Slot(i)).Kind() != kind {
				t.Errorf("%s is no %v", names.Name(Slot(i)), kind)
			}
		}
	})
	if n > 0 {
		t.Errorf("%v allocations per entry", n)
	}
}

// bytesSource is an entry whose fields do not have to be copied to be handed out.
type bytesSource map[string][]byte

func (s bytesSource) Field(name string) ([]byte, bool) {
	v, ok := s[name]
	return v, ok
}

func (bytesSource) Cursor() string { return "" }

// countingSource counts how often it is asked, and uses one buffer for all its answers.
type countingSource struct {
	fields fakeSource
	buffer []byte
	asked  int
}

func (s *countingSource) Field(name string) ([]byte, bool) {
	s.asked++
	v, ok := s.fields[name]
	s.buffer = append(s.buffer[:0], v...)
	return s.buffer, ok
}

func (s *countingSource) Cursor() string { return s.fields.Cursor() }

// TestFieldsAreReadOnce has a source that overwrites its answers, as libsystemd does.
func TestFieldsAreReadOnce(t *testing.T) {
	names := namesOf(nil, "A", "B", "MESSAGE_ID", "NONE", "UNUSED")
	e := New(names)
	src := &countingSource{fields: fakeSource{"A": "first", "B": "later", "MESSAGE_ID": "fc2e22bc6ee647b6b90729ab34de6d9e", "UNUSED": "x"}}
	e.Reset(src, 7)
	for range 3 {
		a, b, id, none := e.Get(0), e.Get(1), e.Get(2), e.Get(3)
		if a.Str() != "first" || b.Str() != "later" || id.Str() != "fc2e22bc-6ee6-47b6-b907-29ab34de6d9e" || !none.IsMissing() {
			t.Errorf("%q %q %q %v", a.Str(), b.Str(), id.Str(), none.Kind())
		}
	}
	if src.asked != 4 {
		t.Errorf("the source was asked %d times, want 4", src.asked)
	}
	if e.Cursor() != "s=1;i=1" || e.UnixMicro() != 7 || e.Time().UnixMicro() != 7 || e.Names() != names {
		t.Errorf("cursor %q, time %d", e.Cursor(), e.UnixMicro())
	}
}

func TestNamesGiveOneSlotPerField(t *testing.T) {
	names := NewNames(nil)
	a, b := names.Slot("A"), names.Slot("B")
	if a == b || names.Slot("A") != a || names.Len() != 2 || names.Name(b) != "B" {
		t.Errorf("slots %d and %d of %d", a, b, names.Len())
	}
}

// TestOtherEncodings decodes only what is not UTF-8 already.
func TestOtherEncodings(t *testing.T) {
	names := namesOf(func(b []byte) string { return "<" + Latin1(b) + ">" }, "MESSAGE", "OTHER")
	e := New(names)
	e.Reset(fakeSource{"MESSAGE": "caf\xe9", "OTHER": "café"}, 0)
	if m, o := e.Get(0).Str(), e.Get(1).Str(); m != "<café>" || o != "café" {
		t.Errorf("%q and %q", m, o)
	}
}

// TestLongTextsAreNotKept lets go of the buffer that an entry with a huge text needed.
func TestLongTextsAreNotKept(t *testing.T) {
	e := New(namesOf(nil, "MESSAGE"))
	e.Reset(fakeSource{"MESSAGE": strings.Repeat("a", 4*arenaKeep)}, 0)
	if n := len(e.Get(0).Str()); n != 4*arenaKeep {
		t.Errorf("the text has %d bytes", n)
	}
	e.Reset(fakeSource{}, 0)
	if cap(e.arena) > arenaKeep {
		t.Errorf("a buffer of %d bytes is kept", cap(e.arena))
	}
}

func TestMarksAndActed(t *testing.T) {
	e, _ := entryOf(fakeSource{})
	if len(e.Marks()) != 0 || e.Acted() {
		t.Errorf("at first: %v, %v", e.Marks(), e.Acted())
	}
	for _, m := range []int32{7, 0, 7, 3, 0} {
		e.Mark(m)
	}
	e.Act()
	if want := []int32{7, 0, 3}; !slices.Equal(e.Marks(), want) || !e.Acted() {
		t.Errorf("marks %v, acted %v, want %v, each once", e.Marks(), e.Acted(), want)
	}
	e.Reset(fakeSource{}, 0)
	if len(e.Marks()) != 0 || e.Acted() {
		t.Errorf("of the entry before: %v, %v", e.Marks(), e.Acted())
	}
	n := testing.AllocsPerRun(100, func() {
		e.Reset(nil, 0)
		e.Mark(1)
		e.Mark(2)
		e.Act()
	})
	if n > 0 {
		t.Errorf("%v allocations per entry", n)
	}
}
