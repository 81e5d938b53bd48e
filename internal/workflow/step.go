// Package workflow is the track that the entries run on: the contract of the
// steps, the registry of modules, Compile (link and check), Run and Dump.
package workflow

import (
	"fmt"
	"maps"
	"slices"

	"github.com/pyruse/pyruse/internal/config"
	"github.com/pyruse/pyruse/internal/entry"
)

// Filter is a switch point. An error counts as not passing.
type Filter interface {
	Match(e *entry.Entry) (bool, error)
}

// Action is a station. An error ends the processing of the entry.
type Action interface {
	Do(e *entry.Entry) error
}

// NewFilter constructs a filter from its arguments. It reports faults through b;
// what it returns is not used when there was one.
type NewFilter func(b *Build) Filter

// NewAction constructs an action, as NewFilter does a filter.
type NewAction func(b *Build) Action

// Registry knows the modules by the names that stand in a configuration.
type Registry struct {
	filters map[string]NewFilter
	actions map[string]NewAction
}

// NewRegistry returns an empty registry.
func NewRegistry() *Registry {
	return &Registry{filters: map[string]NewFilter{}, actions: map[string]NewAction{}}
}

// Filter adds a filter module.
func (r *Registry) Filter(name string, f NewFilter) { r.filters[name] = f }

// Action adds an action module.
func (r *Registry) Action(name string, f NewAction) { r.actions[name] = f }

// Filters returns the names of all filter modules, sorted.
func (r *Registry) Filters() []string { return slices.Sorted(maps.Keys(r.filters)) }

// Actions returns the names of all action modules, sorted.
func (r *Registry) Actions() []string { return slices.Sorted(maps.Keys(r.actions)) }

// Origin is the place of a step: the label of its chain, and its index there, from 0.
type Origin struct {
	Chain string
	Step  int
}

// String returns "label[index]".
func (o Origin) String() string { return fmt.Sprintf("%s[%d]", o.Chain, o.Step) }

// Build is what the constructor of a module works with.
type Build struct {
	Origin Origin
	names  *entry.Names
	step   *config.Step
	diags  *config.Diagnostics
}

// NewBuild returns a Build for one step; Compile makes them, and so do tests of modules.
func NewBuild(names *entry.Names, origin Origin, step *config.Step, diags *config.Diagnostics) *Build {
	return &Build{origin, names, step, diags}
}

// Args decodes the arguments of the step strictly into a struct (see
// config.Decode) and reports whether they can be worked with.
func (b *Build) Args(into any) bool {
	diags := b.diags
	if b.step.Flawed { // their form: it was reported already
		diags = &config.Diagnostics{}
	}
	at := b.step.ModulePos
	if b.step.Args != nil {
		at = b.step.Args.Pos
	}
	return config.Decode(b.step.Args, into, b.Origin.String()+": ", "the args of "+b.step.Module, at, diags)
}

// Names returns the table of fields, for templates.
func (b *Build) Names() *entry.Names { return b.names }

// Slot returns the slot of a field, entry.NoSlot for the empty name.
func (b *Build) Slot(field string) entry.Slot {
	if field == "" {
		return entry.NoSlot
	}
	return b.names.Slot(field)
}

// Arg returns the argument with that name, nil if it is not given.
func (b *Build) Arg(name string) *Arg { return b.step.Args.Get(name) }

// at returns the place of an argument, that of the step itself if the argument is not given.
func (b *Build) at(arg string) config.Pos {
	if n := b.Arg(arg); n != nil {
		return n.Pos
	}
	return b.step.ModulePos
}

// Fault reports an error at an argument; at the step itself if the argument is not given.
func (b *Build) Fault(arg, hint, format string, args ...any) {
	b.FaultAt(b.at(arg), hint, format, args...)
}

// FaultAt reports an error at a place within an argument.
func (b *Build) FaultAt(pos config.Pos, hint, format string, args ...any) {
	pos, where := b.blame(pos)
	b.diags.Errorf(pos, hint, "%s: %s%s", b.Origin, fmt.Sprintf(format, args...), where)
}

// blame returns the place at which a fault is reported. An element of a named list may stand in a file below that of the step: then the
// step is to blame, which has use for the list that it is not fit for; where the element stands goes into the message.
func (b *Build) blame(pos config.Pos) (at config.Pos, where string) {
	if b.step.Args == nil || config.CompareFile(pos, b.step.Pos) >= 0 {
		return pos, ""
	}
	for _, m := range b.step.Args.Members {
		if m.Value.Named {
			return m.Value.Pos, fmt.Sprintf(" (%s)", pos)
		}
	}
	return pos, ""
}
