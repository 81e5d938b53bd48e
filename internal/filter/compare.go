package filter

import (
	"cmp"
	"fmt"

	"github.com/pyruse/pyruse/internal/entry"
	"github.com/pyruse/pyruse/internal/workflow"
)

// compare is filter_lowerOrEquals and filter_greaterOrEquals.
type compare struct {
	field entry.Slot
	value entry.Value
	sign  int // of the comparison that does not pass
}

func newLowerOrEquals(b *workflow.Build) workflow.Filter { return newCompare(b, 1) }

func newGreaterOrEquals(b *workflow.Build) workflow.Filter { return newCompare(b, -1) }

func newCompare(b *workflow.Build, sign int) workflow.Filter {
	var args struct {
		Field string        `json:"field" need:"true"`
		Value *workflow.Arg `json:"value" need:"true"`
	}
	if !b.Args(&args) {
		return nil
	}
	field, ok := fieldSlot(b, args.Field)
	v, scalar := b.Scalar(args.Value, "")
	if v.Kind() == entry.Null {
		b.Fault("value", "", `"value" is null; it must be a number or a string`)
	}
	if !ok || !scalar {
		return nil
	}
	if entry.KindOf(args.Field) != entry.UUID { // a UUID is compared as its text, with any text
		warnKind(b, "value", args.Field, args.Value, v)
	}
	return &compare{field, v, sign}
}

// Match compares numbers with numbers, and texts with texts in the order of their
// code points. A missing field does not pass; whatever else is an error.
func (f *compare) Match(e *entry.Entry) (bool, error) {
	v := e.Get(f.field)
	switch {
	case v.IsMissing():
		return false, nil
	case v.IsNumber() && f.value.IsNumber():
		return entry.CompareNumbers(v, f.value) != f.sign, nil
	case isText(v) && isText(f.value):
		return cmp.Compare(v.Str(), f.value.Str()) != f.sign, nil
	}
	return false, fmt.Errorf("compare field %s: %s with %s cannot be compared", e.Names().Name(f.field), v.Kind(), f.value.Kind())
}

func isText(v entry.Value) bool { return v.Kind() == entry.String || v.Kind() == entry.UUID }
