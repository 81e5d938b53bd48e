package action

import (
	"math"

	"github.com/pyruse/pyruse/internal/entry"
	"github.com/pyruse/pyruse/internal/workflow"
)

// defaultKeep is how long a DNAT mapping is remembered, in seconds.
const defaultKeep = 63

// operand is a field, or the constant that is used where the field is absent.
type operand struct {
	slot     entry.Slot
	constant entry.Value
}

func (o operand) value(e *entry.Entry) entry.Value {
	if o.slot != entry.NoSlot {
		if v := e.Get(o.slot); !v.IsNone() {
			return v
		}
	}
	return o.constant
}

// dnatCapture remembers the true client of a translated connection.
type dnatCapture struct {
	table *DNAT
	parts [6]operand
	keep  int64 // microseconds
}

func newDNATCapture(w *World, b *workflow.Build) workflow.Action {
	var args struct {
		Saddr       string        `json:"saddr" need:"true"`
		Sport       string        `json:"sport"`
		Addr        string        `json:"addr"`
		AddrValue   *workflow.Arg `json:"addrValue"`
		Port        string        `json:"port"`
		PortValue   *workflow.Arg `json:"portValue"`
		Daddr       string        `json:"daddr"`
		DaddrValue  *workflow.Arg `json:"daddrValue"`
		Dport       string        `json:"dport"`
		DportValue  *workflow.Arg `json:"dportValue"`
		KeepSeconds int64         `json:"keepSeconds"`
	}
	if !b.Args(&args) {
		return nil
	}
	sound := true
	constant := func(n *workflow.Arg) entry.Value {
		v, ok := constantPart(b, n)
		sound = sound && ok
		return v
	}
	a := &dnatCapture{table: w.DNAT, keep: seconds(b, "keepSeconds", args.KeepSeconds)}
	if a.keep == 0 {
		a.keep = defaultKeep * 1_000_000
	}
	a.parts = [6]operand{
		iSaddr: {slot: field(b, "saddr", args.Saddr)},
		iSport: {slot: b.Slot(args.Sport)},
		iAddr:  {b.Slot(args.Addr), constant(args.AddrValue)},
		iPort:  {b.Slot(args.Port), constant(args.PortValue)},
		iDaddr: {b.Slot(args.Daddr), constant(args.DaddrValue)},
		iDport: {b.Slot(args.Dport), constant(args.DportValue)},
	}
	if o := a.parts[iAddr]; sound && o.slot == entry.NoSlot && o.constant.IsMissing() {
		b.Fault("", `add "addr": a field, or "addrValue": a constant`, `the address that the client appears as is not given`)
	}
	return a
}

// constantPart returns the constant for an address or a port, missing if there is none, and
// reports whether it is one: text, or a whole number.
func constantPart(b *workflow.Build, n *workflow.Arg) (entry.Value, bool) {
	if n == nil {
		return entry.Value{}, true
	}
	v, ok := b.Scalar(n, "")
	switch f := v.Float(); {
	case !ok || v.IsNone():
		return entry.Value{}, ok
	case v.Kind() != entry.Float:
		return v, true
	case f == math.Trunc(f) && math.Abs(f) < 1<<53:
		return entry.IntValue(int64(f)), true
	}
	b.FaultAt(n.Pos, "", "%s is neither a port nor an address", v.Text())
	return entry.Value{}, false
}

func (a *dnatCapture) Do(e *entry.Entry) error {
	e.Act()
	var parts [6]entry.Value
	for i := range a.parts {
		parts[i] = a.parts[i].value(e)
	}
	if parts[iSaddr].IsNone() || parts[iAddr].IsNone() {
		return nil
	}
	a.table.capture(parts, e.UnixMicro(), a.keep)
	return nil
}

// dnatReplace puts the true client in the place of the translated one.
type dnatReplace struct {
	table     *DNAT
	by        part
	fields    [4]entry.Slot // addr, port, daddr, dport; NoSlot where not named
	saddrInto entry.Slot
	sportInto entry.Slot
}

func newDNATReplace(w *World, b *workflow.Build) workflow.Action {
	var args struct {
		Addr      string `json:"addr"`
		Port      string `json:"port"`
		Daddr     string `json:"daddr"`
		Dport     string `json:"dport"`
		SaddrInto string `json:"saddrInto"`
		SportInto string `json:"sportInto"`
	}
	if !b.Args(&args) {
		return nil
	}
	a := &dnatReplace{
		table:     w.DNAT,
		fields:    [4]entry.Slot{b.Slot(args.Addr), b.Slot(args.Port), b.Slot(args.Daddr), b.Slot(args.Dport)},
		saddrInto: b.Slot(args.SaddrInto),
		sportInto: b.Slot(args.SportInto),
	}
	for i, by := range lookupParts {
		if a.fields[i] != entry.NoSlot {
			a.by |= by
		}
	}
	if a.by == 0 {
		b.Fault("", `name at least one of "addr", "port", "daddr", "dport"`, "there is no field to look up")
	}
	if a.saddrInto == entry.NoSlot && a.sportInto == entry.NoSlot {
		b.Fault("", `name at least one of "saddrInto", "sportInto"`, "there is no field to store the client into")
	}
	a.table.index(a.by)
	return a
}

// lookupParts are the parts in the order of dnatReplace.fields.
var lookupParts = [4]part{addr, port, daddr, dport}

func (a *dnatReplace) Do(e *entry.Entry) error {
	var texts [4]string
	for i, slot := range a.fields {
		if slot == entry.NoSlot {
			continue
		}
		v := e.Get(slot)
		if v.IsNone() {
			return nil
		}
		texts[i] = textOf(v)
	}
	m := a.table.find(a.by, lookupKey{texts[0], texts[1], texts[2], texts[3]}, e.UnixMicro())
	if m == nil {
		return nil
	}
	store := func(into entry.Slot, v entry.Value) {
		if into != entry.NoSlot && !v.IsNone() {
			e.Set(into, v)
		}
	}
	store(a.saddrInto, m.parts[iSaddr])
	store(a.sportInto, m.parts[iSport])
	return nil
}
