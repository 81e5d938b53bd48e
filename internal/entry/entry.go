package entry

import (
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
	"unsafe"
)

// Slot is the number of a field within one workflow. Field names are resolved to
// slots once, when the workflow is compiled.
type Slot int32

// NoSlot stands for an optional field that was not named.
const NoSlot Slot = -1

// Names is the table of the fields that a workflow can ask for.
type Names struct {
	slots  map[string]Slot
	names  []string
	kinds  []Kind
	decode func([]byte) string
}

// NewNames returns an empty table. decode turns the bytes of a text that is not
// UTF-8 into UTF-8; nil means ISO 8859-1.
func NewNames(decode func([]byte) string) *Names {
	if decode == nil {
		decode = Latin1
	}
	return &Names{slots: map[string]Slot{}, decode: decode}
}

// Latin1 reads bytes as ISO 8859-1.
func Latin1(b []byte) string {
	r := make([]rune, len(b))
	for i, c := range b {
		r[i] = rune(c)
	}
	return string(r)
}

// Slot returns the slot of a field name, a new one when the name is new.
func (n *Names) Slot(name string) Slot {
	if s, ok := n.slots[name]; ok {
		return s
	}
	s := Slot(len(n.names))
	n.slots[name] = s
	n.names = append(n.names, name)
	n.kinds = append(n.kinds, KindOf(name))
	return s
}

// Name returns the field name of a slot.
func (n *Names) Name(s Slot) string { return n.names[s] }

// Len returns the number of slots.
func (n *Names) Len() int { return len(n.names) }

// RealtimeField is the pseudo field with the time of the entry.
const RealtimeField = "__REALTIME_TIMESTAMP"

// fieldKinds lists the fields that are not plain strings; see systemd.journal-fields(7).
var fieldKinds = map[string]Kind{
	"PRIORITY": Int, "LEADER": Int, "SESSION_ID": Int,
	"USERSPACE_USEC": Int, "INITRD_USEC": Int, "KERNEL_USEC": Int,
	"_UID": Int, "_GID": Int, "_PID": Int, "SYSLOG_FACILITY": Int, "SYSLOG_PID": Int,
	"_AUDIT_SESSION": Int, "_AUDIT_LOGINUID": Int, "_SYSTEMD_SESSION": Int, "_SYSTEMD_OWNER_UID": Int,
	"CODE_LINE": Int, "ERRNO": Int, "EXIT_STATUS": Int,
	"COREDUMP_PID": Int, "COREDUMP_UID": Int, "COREDUMP_GID": Int, "COREDUMP_SESSION": Int, "COREDUMP_SIGNAL": Int,
	RealtimeField: Time, "_SOURCE_REALTIME_TIMESTAMP": Time, "COREDUMP_TIMESTAMP": Time,
	"MESSAGE_ID": UUID, "_MACHINE_ID": UUID, "_BOOT_ID": UUID,
}

// KindOf returns the type that a journal field of that name has: Int, Time, UUID or String.
func KindOf(name string) Kind {
	if k, ok := fieldKinds[name]; ok {
		return k
	}
	return String
}

// Source gives the raw fields of the entry that is being processed.
type Source interface {
	// Field returns the first value of the field, and whether the entry has it.
	// The bytes need only stay valid until the next call.
	Field(name string) (data []byte, ok bool)
	// Cursor returns the position of the entry in the journal, "" if there is none.
	Cursor() string
}

// Entry is one journal entry. It reads a field from its source when the field is
// first asked for, and only then. It is made once per workflow and used again for
// each entry; it is not safe for concurrent use.
type Entry struct {
	names  *Names
	src    Source
	usec   int64
	values []Value
	seen   []uint32 // the round in which a slot was filled
	round  uint32
	arena  []byte
	marks  []int32
	acted  bool
}

// New returns an entry with the slots of names, which must be complete by now.
func New(names *Names) *Entry {
	return &Entry{names: names, values: make([]Value, names.Len()), seen: make([]uint32, names.Len())}
}

// arenaKeep is the largest text buffer that an entry keeps for the next one.
const arenaKeep = 256 << 10

// Reset makes e the entry that src stands on. usec is its time in microseconds since 1970.
// All values of the entry before become invalid.
func (e *Entry) Reset(src Source, usec int64) {
	e.src, e.usec = src, usec
	e.round++
	if e.round == 0 { // wrapped: forget all marks
		clear(e.seen)
		e.round = 1
	}
	if cap(e.arena) > arenaKeep {
		e.arena = nil
	}
	e.arena = e.arena[:0]
	e.marks, e.acted = e.marks[:0], false
}

// Mark notes that the entry came by something that is counted, once however often it does: see Marks.
func (e *Entry) Mark(what int32) {
	if !slices.Contains(e.marks, what) {
		e.marks = append(e.marks, what)
	}
}

// Marks returns what the entry came by, in the order of the first times. It is valid until the next entry.
func (e *Entry) Marks() []int32 { return e.marks }

// Act notes that something came of the entry that others rely on, such as a counter that was raised.
func (e *Entry) Act() { e.acted = true }

// Acted reports whether Act was called for the entry.
func (e *Entry) Acted() bool { return e.acted }

// Names returns the table of the entry's fields.
func (e *Entry) Names() *Names { return e.names }

// UnixMicro returns the time of the entry, in microseconds since 1970.
func (e *Entry) UnixMicro() int64 { return e.usec }

// Time returns the time of the entry.
func (e *Entry) Time() time.Time { return time.UnixMicro(e.usec) }

// Cursor returns the position of the entry in the journal.
func (e *Entry) Cursor() string { return e.src.Cursor() }

// Get returns the value in a slot.
func (e *Entry) Get(s Slot) Value {
	if e.seen[s] == e.round {
		return e.values[s]
	}
	return e.read(s)
}

// Set stores a value in a slot; it stays until the end of the entry.
func (e *Entry) Set(s Slot, v Value) {
	e.values[s] = v
	e.seen[s] = e.round
}

func (e *Entry) read(s Slot) Value {
	v := e.parse(s)
	e.Set(s, v)
	return v
}

func (e *Entry) parse(s Slot) Value {
	name := e.names.names[s]
	if name == RealtimeField {
		return TimeValue(e.usec)
	}
	data, ok := e.src.Field(name)
	if !ok {
		return Value{}
	}
	switch e.names.kinds[s] {
	case Int:
		if i, ok := parseInt(data); ok {
			return IntValue(i)
		}
	case Time:
		if i, ok := parseInt(data); ok {
			return TimeValue(i)
		}
	case UUID:
		if text, ok := canonicalUUID(view(data)); ok {
			return Value{kind: UUID, str: e.keep(text[:])}
		}
	}
	if !utf8.Valid(data) {
		return StringValue(e.names.decode(data))
	}
	return StringValue(e.keep(data))
}

// IsInt reports whether a text is that of an integer, which an integer field takes for the number.
func IsInt(s string) bool {
	_, ok := parseInt([]byte(s))
	return ok
}

// parseInt reads a decimal integer. Fields that often are none, such as
// _SYSTEMD_SESSION=c1, do not cost the error that strconv makes of them.
func parseInt(data []byte) (int64, bool) {
	if len(data) == 0 || data[len(data)-1] < '0' || data[len(data)-1] > '9' || data[0] > '9' {
		return 0, false
	}
	i, err := strconv.ParseInt(view(data), 10, 64)
	return i, err == nil
}

// keep copies data into the entry's arena. A full arena is replaced, not moved, so
// that texts handed out before stay what they are.
func (e *Entry) keep(data []byte) string {
	if cap(e.arena)-len(e.arena) < len(data) {
		e.arena = make([]byte, 0, max(4096, 2*cap(e.arena), len(data)))
	}
	start := len(e.arena)
	e.arena = append(e.arena, data...)
	return view(e.arena[start:])
}

// view returns b as a string that shares its memory; b must not change while it is used.
func view(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	return unsafe.String(&b[0], len(b))
}
