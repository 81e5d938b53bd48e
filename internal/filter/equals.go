package filter

import (
	"math"
	"slices"

	"github.com/pyruse/pyruse/internal/entry"
	"github.com/pyruse/pyruse/internal/workflow"
)

// equals is filter_equals.
type equals struct {
	field  entry.Slot
	wanted []entry.Value // see alike
}

func newEquals(b *workflow.Build) workflow.Filter {
	var args struct {
		Field string        `json:"field" need:"true"`
		Value *workflow.Arg `json:"value" need:"true"`
	}
	if !b.Args(&args) {
		return nil
	}
	field, ok := fieldSlot(b, args.Field)
	v, scalar := b.Scalar(args.Value, "filter_in takes a list")
	if !ok || !scalar {
		return nil
	}
	warnKind(b, "value", args.Field, args.Value, v)
	return &equals{field, alike(nil, v)}
}

// Match reports whether the field exists and equals the value.
func (f *equals) Match(e *entry.Entry) (bool, error) {
	v := canonical(e.Get(f.field))
	return !v.IsMissing() && slices.Contains(f.wanted, v), nil
}

// in is filter_in.
type in struct {
	field  entry.Slot
	wanted []entry.Value // see alike
	set    map[entry.Value]struct{}
}

// maxListed is the number of values up to which a list is faster than a set.
const maxListed = 8

func newIn(b *workflow.Build) workflow.Filter {
	var args struct {
		Field  string        `json:"field" need:"true"`
		Values *workflow.Arg `json:"values" need:"true"`
	}
	if !b.Args(&args) {
		return nil
	}
	field, ok := fieldSlot(b, args.Field)
	values, list := b.List("values", "filter_equals takes a single value")
	if !list {
		return nil
	}
	warnEmpty(b, "values")
	f := &in{field: field}
	for _, n := range values {
		v, scalar := b.Scalar(n, "")
		if ok = ok && scalar; scalar {
			warnKind(b, "values", args.Field, n, v)
			f.wanted = alike(f.wanted, v)
		}
	}
	if !ok {
		return nil
	}
	if len(f.wanted) > maxListed {
		f.set = make(map[entry.Value]struct{}, len(f.wanted))
		for _, v := range f.wanted {
			f.set[v] = struct{}{}
		}
	}
	return f
}

// Match reports whether the field equals one of the values. A missing field equals null only.
func (f *in) Match(e *entry.Entry) (bool, error) {
	v := canonical(e.Get(f.field))
	if v.IsMissing() {
		v = entry.NullValue
	}
	if f.set != nil {
		_, found := f.set[v]
		return found, nil
	}
	return slices.Contains(f.wanted, v), nil
}

// alike appends all canonical values that are equal to v in the sense of
// entry.Equal: v itself, and the UUID that a string may stand for.
func alike(list []entry.Value, v entry.Value) []entry.Value {
	if u, ok := entry.ParseUUID(v.Str()); ok {
		list = append(list, u)
	}
	return append(list, canonical(v))
}

// canonical returns the one value that stands for all numbers equal to v, so
// that == compares as entry.Equal does, but for UUIDs and strings (see alike).
func canonical(v entry.Value) entry.Value {
	if v.Kind() == entry.Float {
		if f := v.Float(); f == math.Trunc(f) && f >= math.MinInt64 && f < math.MaxInt64 {
			return entry.IntValue(int64(f))
		}
	}
	return v
}
