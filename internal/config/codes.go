package config

import "slices"

// Code names a kind of fault, for tools and for the key "allow" of a step.
type Code string

// The kinds of faults that have no name of their own.
const (
	CodeInvalid    Code = "invalid"    // an error
	CodeSuspicious Code = "suspicious" // a warning; if it is about a step, it can be switched off as those below
)

// The warnings of the static analysis. Each can be switched off at its step: "allow": ["forgeable-ban: the reason"].
const (
	CodeUnreachableChain Code = "unreachable-chain"
	CodeUnreachableStep  Code = "unreachable-step"
	CodeConstantFilter   Code = "constant-filter"
	CodeUnsetField       Code = "unset-field"
	CodeUnusedCounter    Code = "unused-counter"
	CodeBacktracking     Code = "backtracking"
	CodeEmptyMatch       Code = "empty-match"
	CodeLooseAddress     Code = "loose-address"
	CodeForgeableBan     Code = "forgeable-ban"
)

// Rule is a kind of warning about a step.
type Rule struct {
	Code Code
	Text string // what it means, one sentence
}

// Rules lists the kinds of warnings that a step can switch off; docs/reference/analysis.md explains them.
var Rules = []Rule{
	{CodeUnreachableChain, "No entry can get to this chain."},
	{CodeUnreachableStep, "The step stands behind an explicit then, which leaves the chain."},
	{CodeConstantFilter, "The filter can only pass, or only fail, because of what is known on every path to it."},
	{CodeUnsetField, "A field is used that no path to this step has set."},
	{CodeUnusedCounter, "A counter is raised, and nothing looks at its value."},
	{CodeBacktracking, "The regular expression cannot run in linear time."},
	{CodeEmptyMatch, "The regular expression matches the empty text, and so a missing field."},
	{CodeLooseAddress, "Other text of the log, which a stranger may have chosen, can be captured as the address."},
	{CodeForgeableBan, "Any local user can have any address banned, because nothing on the way to the ban asks for a field that journald vouches for."},
	{CodeSuspicious, "Something is legal, but hardly meant."},
}

// IsRule reports whether a code is that of a Rule.
func IsRule(code Code) bool {
	return slices.ContainsFunc(Rules, func(r Rule) bool { return r.Code == code })
}
