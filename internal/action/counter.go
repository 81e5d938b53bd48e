package action

import (
	"fmt"

	"github.com/pyruse/pyruse/internal/entry"
	"github.com/pyruse/pyruse/internal/workflow"
)

// counterRaise raises a counter.
type counterRaise struct {
	category *Category
	key      entry.Slot
	save     entry.Slot
	keep     int64 // microseconds; 0: for ever
	field    string
}

func newCounterRaise(w *World, b *workflow.Build) workflow.Action {
	var args struct {
		Counter     string `json:"counter" need:"true"`
		For         string `json:"for" need:"true"`
		KeepSeconds int64  `json:"keepSeconds"`
		Save        string `json:"save"`
	}
	if !b.Args(&args) {
		return nil
	}
	return &counterRaise{
		w.Counters.Category(args.Counter), field(b, "for", args.For), b.Slot(args.Save),
		seconds(b, "keepSeconds", args.KeepSeconds), args.For,
	}
}

func (a *counterRaise) Do(e *entry.Entry) error {
	e.Act()
	key := e.Get(a.key)
	if key.IsNone() {
		return missing(a.field)
	}
	n, err := a.category.Raise(key, e.UnixMicro(), a.keep)
	if err != nil {
		return err
	}
	if a.save != entry.NoSlot {
		e.Set(a.save, entry.IntValue(n))
	}
	return nil
}

// counterReset zeroes a counter.
type counterReset struct {
	category *Category
	key      entry.Slot
	save     entry.Slot
	grace    int64 // microseconds
	field    string
}

func newCounterReset(w *World, b *workflow.Build) workflow.Action {
	var args struct {
		Counter      string `json:"counter" need:"true"`
		For          string `json:"for" need:"true"`
		GraceSeconds int64  `json:"graceSeconds"`
		Save         string `json:"save"`
	}
	if !b.Args(&args) {
		return nil
	}
	return &counterReset{
		w.Counters.Category(args.Counter), field(b, "for", args.For), b.Slot(args.Save),
		seconds(b, "graceSeconds", args.GraceSeconds), args.For,
	}
}

func (a *counterReset) Do(e *entry.Entry) error {
	e.Act()
	key := e.Get(a.key)
	if key.IsNone() {
		return missing(a.field)
	}
	if err := a.category.Reset(key, e.UnixMicro(), a.grace); err != nil {
		return err
	}
	if a.save != entry.NoSlot {
		e.Set(a.save, entry.IntValue(0))
	}
	return nil
}

// missing is the run-time error of an action whose mandatory field has no value.
func missing(field string) error {
	return fmt.Errorf("the entry has no field %q", field)
}
