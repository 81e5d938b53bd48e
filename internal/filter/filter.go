// Package filter holds the switch points: all filters, and the regular expressions that some of them run.
//
// A filter is made from its arguments once, while the workflow is compiled, and
// matches without allocating. Its faults are reported through workflow.Build; its
// run-time errors are wrapped with the step by the workflow.
package filter

import (
	"math"
	"strconv"

	"github.com/pyruse/pyruse/internal/entry"
	"github.com/pyruse/pyruse/internal/workflow"
)

// Register adds all filters to the registry.
func Register(r *workflow.Registry) {
	users := newUserCache(lookupUser)
	r.Filter("filter_equals", newEquals)
	r.Filter("filter_in", newIn)
	r.Filter("filter_lowerOrEquals", newLowerOrEquals)
	r.Filter("filter_greaterOrEquals", newGreaterOrEquals)
	r.Filter("filter_inNetworks", newInNetworks)
	r.Filter("filter_pcre", newPCRE)
	r.Filter("filter_pcreAny", newPCREAny)
	r.Filter("filter_userExists", func(b *workflow.Build) workflow.Filter { return newUserExists(b, users) })
}

// fieldSlot resolves the argument "field", and reports whether it names one.
func fieldSlot(b *workflow.Build, field string) (entry.Slot, bool) {
	if field == "" {
		b.Fault("field", "", `"field" is empty; it must name a field of the entry`)
	}
	return b.Slot(field), field != ""
}

// warnKind warns of a value, which stands at n, that a journal field of that name has no chance to be equal to, or to be compared with.
func warnKind(b *workflow.Build, arg, field string, n *workflow.Arg, v entry.Value) {
	kind := entry.KindOf(field)
	if v.Kind() == entry.Null || kind == entry.String {
		return
	}
	_, uuid := entry.ParseUUID(v.Str())
	switch {
	case kind == entry.Int && v.Kind() == entry.String: // a text that is no integer stays a text in the entry, too
		if entry.IsInt(v.Str()) {
			b.Warn(arg, "write the number without quotes", "%s is an integer, %q is a string: they never agree", field, v.Str())
		}
	case kind == entry.Int && v.Kind() == entry.Float && beyondInts(v.Float()):
		b.Warn(arg, "an integer has 64 bits: -9223372036854775808 to 9223372036854775807", "%s is an integer, and never as far from 0 as %.48s", field, n.Text)
	case kind == entry.UUID && !uuid:
		b.Warn(arg, "32 hexadecimal digits, with or without hyphens", "%s is a UUID, %s is none: they never agree", field, quoted(v.Text()))
	case kind == entry.Time:
		b.Warn(arg, "", "%s is a time, which cannot be compared with %s", field, quoted(v.Text()))
	}
}

// beyondInts reports whether a number is none of the 64-bit integers, nor between them.
func beyondInts(f float64) bool { return f < math.MinInt64 || f >= math.MaxInt64 } // as float64, which is 2^63

// warnEmpty warns of a list without elements, but not of a named one: fragments may extend it.
func warnEmpty(b *workflow.Build, arg string) {
	if n := b.Arg(arg); len(n.Elems) == 0 && !n.Named {
		b.Warn(arg, "", "%q is empty: the filter never passes", arg)
	}
}

// quoted returns text from a log for an error message: as a string literal in printable
// ASCII, of at most the first 48 bytes.
func quoted(s string) string {
	const keep = 48
	if len(s) > keep {
		return strconv.QuoteToASCII(s[:keep]) + "..."
	}
	return strconv.QuoteToASCII(s)
}
