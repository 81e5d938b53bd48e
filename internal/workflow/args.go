package workflow

import (
	"fmt"
	"net/netip"
	"strconv"

	"github.com/pyruse/pyruse/internal/config"
	"github.com/pyruse/pyruse/internal/entry"
)

// Arg is an argument of a step as it stands in the configuration: any JSON value, with its place.
type Arg = config.Node

// Code is a warning of the static analysis that a module can give while it is built.
type Code = config.Code

// The warnings about regular expressions.
const (
	Backtracking = config.CodeBacktracking
	EmptyMatch   = config.CodeEmptyMatch
	LooseAddress = config.CodeLooseAddress
)

// Scalar turns a JSON scalar into a value; true and false are 1 and 0, as in Python.
// It reports whether n is a scalar in range; otherwise the fault is reported, with hint.
func (b *Build) Scalar(n *Arg, hint string) (entry.Value, bool) {
	switch n.Kind {
	case config.Null:
		return entry.NullValue, true
	case config.Bool:
		if n.Bool {
			return entry.IntValue(1), true
		}
		return entry.IntValue(0), true
	case config.String:
		return entry.StringValue(n.Text), true
	case config.Number:
		if i, err := strconv.ParseInt(n.Text, 10, 64); err == nil {
			return entry.IntValue(i), true
		}
		f, err := strconv.ParseFloat(n.Text, 64)
		if err != nil {
			b.FaultAt(n.Pos, "", "the number %s is out of range", n.Text)
		}
		return entry.FloatValue(f), err == nil
	}
	b.FaultAt(n.Pos, hint, "%s cannot be a value; a number, a string, a boolean or null can", n.Kind)
	return entry.Value{}, false
}

// List returns the elements of an argument that must be a list. It reports whether it is one; otherwise the fault is
// reported, with hint.
func (b *Build) List(arg, hint string) ([]*Arg, bool) {
	n := b.Arg(arg)
	if n.Kind != config.Array {
		b.Fault(arg, hint, "%q is %s; it must be a list", arg, n.Kind)
		return nil, false
	}
	return n.Elems, true
}

// Strings returns an argument that must be a text, or a named list of texts. It reports whether it is one; otherwise the
// fault is reported.
func (b *Build) Strings(arg string) ([]*Arg, bool) {
	n := b.Arg(arg)
	switch {
	case n.Kind == config.String:
		return []*Arg{n}, true
	case !n.Named:
		b.Fault(arg, "", `%q is %s; it must be a string or {"list": "name"}`, arg, n.Kind)
		return nil, false
	}
	ok := true
	for i, e := range n.Elems {
		if e.Kind != config.String {
			b.FaultAt(e.Pos, "", "%q: element %d is %s; it must be a string", arg, i, e.Kind)
			ok = false
		}
	}
	return n.Elems, ok
}

// Net turns a string into a network: 10.0.0.0/8, or a bare address. It reports whether it is one; otherwise the fault is reported.
func (b *Build) Net(n *Arg) (netip.Prefix, bool) {
	if n.Kind != config.String {
		b.FaultAt(n.Pos, "", "a network is %s; it must be a string", n.Kind)
		return netip.Prefix{}, false
	}
	p, err := config.ParseNet(n.Text)
	if err != nil {
		b.FaultAt(n.Pos, "as 192.0.2.0/24, 2001:db8::/32, or a single address", "%v", err)
	}
	return p, err == nil
}

// FaultWord reports that an argument is none of the words that are legal for it.
func (b *Build) FaultWord(arg, word string, legal []string) {
	b.Fault(arg, config.DidYouMean(word, legal), "%q is %q; it must be one of %v", arg, word, legal)
}

// Warn reports a warning at an argument, unless the step allows what is suspicious.
func (b *Build) Warn(arg, hint, format string, args ...any) {
	b.WarnAt(b.at(arg), hint, format, args...)
}

// WarnAt reports a warning at a place within an argument, unless the step allows what is suspicious.
func (b *Build) WarnAt(pos config.Pos, hint, format string, args ...any) {
	b.WarnRule(config.CodeSuspicious, pos, hint, format, args...)
}

// WarnRule reports a warning of some kind at a place within an argument, unless the step allows it.
func (b *Build) WarnRule(code Code, pos config.Pos, hint, format string, args ...any) {
	warnRule(b.diags, b.step, code, pos, hint, fmt.Sprintf("%s: %s", b.Origin, fmt.Sprintf(format, args...)))
}

// warnRule reports a warning about a step, unless the step allows it.
func warnRule(diags *config.Diagnostics, step *config.Step, code config.Code, pos config.Pos, hint, message string) {
	if !step.Allows(code) {
		diags.Report(config.Diagnostic{Severity: config.Warning, Code: code, Pos: pos, Message: message, Hint: hint})
	}
}
