package filter

import (
	"cmp"
	"fmt"
	"math"

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
		warnKind(b, "value", args.Field, v)
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
		return numbers(v, f.value) != f.sign, nil
	case isText(v) && isText(f.value):
		return cmp.Compare(v.Str(), f.value.Str()) != f.sign, nil
	}
	return false, fmt.Errorf("compare field %s: %s with %s cannot be compared", e.Names().Name(f.field), v.Kind(), f.value.Kind())
}

func isText(v entry.Value) bool { return v.Kind() == entry.String || v.Kind() == entry.UUID }

// numbers returns -1, 0 or 1, as a is lower than, equal to or greater than b, without the
// rounding of a conversion. A NaN is lower than all others.
func numbers(a, b entry.Value) int {
	switch aInt, bInt := a.Kind() == entry.Int, b.Kind() == entry.Int; {
	case aInt && bInt:
		return cmp.Compare(a.Int(), b.Int())
	case aInt:
		return intWithFloat(a.Int(), b.Float())
	case bInt:
		return -intWithFloat(b.Int(), a.Float())
	}
	return cmp.Compare(a.Float(), b.Float())
}

func intWithFloat(i int64, f float64) int {
	whole := math.Floor(f)
	switch {
	case math.IsNaN(f) || whole < math.MinInt64:
		return 1
	case whole >= math.MaxInt64: // which is 2^63 as a float64
		return -1
	}
	if c := cmp.Compare(i, int64(whole)); c != 0 {
		return c
	}
	return cmp.Compare(whole, f)
}
