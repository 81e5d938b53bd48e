// Package action holds the stations: all actions, the tables of counters and of
// DNAT mappings, and the interfaces through which actions have an effect outside.
package action

import (
	"net/netip"
	"slices"

	"github.com/pyruse/pyruse/internal/entry"
	"github.com/pyruse/pyruse/internal/state"
	"github.com/pyruse/pyruse/internal/workflow"
)

// Cause says what an effect comes from: a step, and the entry that it worked on, which
// is valid only during the call.
type Cause struct {
	Origin workflow.Origin
	Entry  *entry.Entry
}

// Effects is the world outside: `run` plugs in the real one, `replay` one that prints.
type Effects interface {
	// Ban bans an address, which Guard has let through.
	Ban(c Cause, b state.Ban) error
	// Refuse notes that a ban was refused by Guard.
	Refuse(c Cause, b state.Ban, reason string) error
	// Mail sends a text.
	Mail(c Cause, subject, text string) error
	// Report adds a line to the daily report.
	Report(c Cause, line state.ReportLine) error
	// Log writes a line to the journal, with a syslog priority.
	Log(c Cause, priority int, message string) error
}

// Guard knows what must never be banned.
type Guard interface {
	// Refuse returns why the address must not be banned.
	Refuse(a netip.Addr) (reason string, refused bool)
}

// World is what the actions work with.
type World struct {
	Effects  Effects
	Guard    Guard
	Counters *Counters
	DNAT     *DNAT

	sets  []Set
	mails bool
}

// Mails reports whether one of the compiled steps mails, or reports.
func (w *World) Mails() bool { return w.mails }

// Set is a set of a firewall that a step bans into.
type Set struct {
	Backend string // state.BackendNFT or state.BackendIPSet
	Set     string
	IPv6    bool // it holds IPv6 addresses; else IPv4
	Origin  workflow.Origin
}

// Sets returns the sets that the compiled steps ban into, each once.
func (w *World) Sets() []Set { return w.sets }

func (w *World) addSets(b *workflow.Build, backend, set4, set6 string) {
	for _, s := range []Set{{backend, set4, false, b.Origin}, {backend, set6, true, b.Origin}} {
		if !slices.ContainsFunc(w.sets, func(x Set) bool { return x.Backend == s.Backend && x.Set == s.Set }) {
			w.sets = append(w.sets, s)
		}
	}
}

// Register adds all actions to the registry.
func Register(r *workflow.Registry, w *World) {
	for name, f := range map[string]func(*World, *workflow.Build) workflow.Action{
		"action_noop":         newNoop,
		"action_counterRaise": newCounterRaise,
		"action_counterReset": newCounterReset,
		"action_dnatCapture":  newDNATCapture,
		"action_dnatReplace":  newDNATReplace,
		"action_email":        newEmail,
		"action_dailyReport":  newDailyReport,
		"action_log":          newLog,
		"action_nftBan":       newNFTBan,
		"action_ipsetBan":     newIPSetBan,
	} {
		r.Action(name, func(b *workflow.Build) workflow.Action { return f(w, b) })
	}
}

// maxSeconds bounds durations in the configuration: two hundred years.
const maxSeconds = 200 * 366 * 86400

// seconds checks a duration argument and returns it in microseconds.
func seconds(b *workflow.Build, arg string, n int64) int64 {
	switch {
	case n < 0:
		b.Fault(arg, "", "%q is %d; it must not be negative", arg, n)
	case n > maxSeconds:
		b.Fault(arg, "leave it out: then it is for ever", "%q is %d seconds, which is more than two hundred years", arg, n)
	}
	return n * 1_000_000
}

// field returns the slot of a mandatory field, and reports a fault if its name is empty.
func field(b *workflow.Build, arg, name string) entry.Slot {
	if name == "" {
		b.Fault(arg, "", "%q is empty; it must name a field of the entry", arg)
	}
	return b.Slot(name)
}

// template compiles a message template.
func template(b *workflow.Build, arg, source string) *entry.Template {
	t, err := entry.ParseTemplate(source, b.Names())
	if err != nil {
		hint := ""
		if e, ok := asTemplateError(err); ok {
			hint = e.Hint
		}
		b.Fault(arg, hint, "%q: %v", arg, err)
	}
	return t
}

// noop ends a chain and does nothing.
type noop struct{}

func newNoop(_ *World, b *workflow.Build) workflow.Action {
	if !b.Args(&struct{}{}) {
		return nil
	}
	return noop{}
}

func (noop) Do(*entry.Entry) error { return nil }
