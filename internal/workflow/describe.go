package workflow

import (
	"github.com/pyruse/pyruse/internal/config"
	"github.com/pyruse/pyruse/internal/entry"
)

// Pos is a place in the configuration.
type Pos = config.Pos

// Asker is a filter that tells the static analysis what it asks for. Nothing is concluded from the answer of a
// filter that is no Asker; it must not store anything.
type Asker interface {
	Asks(names *entry.Names) Question
}

// Test is what a filter does with the value of its field.
type Test uint8

// The tests.
const (
	Opaque  Test = iota // something of its own
	OneOf               // the value is among Values
	AtMost              // the value is at most Values[0]
	AtLeast             // the value is at least Values[0]
)

// Question is what a filter asks for. The answer depends on nothing but the value of Field, in this entry; a run-time
// error is a no.
//
// A whole number in Values is an Int (the field's own value is taken so, too). OneOf means ==, so Values holds
// every form of a value that passes, Missing among them. AtMost and AtLeast compare numbers with numbers and texts with texts; all else
// does not pass.
type Question struct {
	Field  entry.Slot
	Test   Test
	Values []entry.Value
	// Same tells an Opaque test from others: those with the same text give the same answer to the same value.
	Same string
	// OnNone is the answer of an Opaque test to a field that is missing or null.
	OnNone bool
	// Outside says that the answer comes from outside of the configuration, so that the analysis must not
	// ask for it.
	Outside bool
	// Stores are the fields in which a filter that passes stores a text or null.
	Stores []Capture
	// Text is the question as a person would write it: PRIORITY >= 4.
	Text string
}

// Capture is a field in which a filter stores a text or null.
type Capture struct {
	Field entry.Slot
	// Always says that it is stored whenever the filter passes; otherwise the field may stay as it is.
	Always bool
}

// Capturer is an Asker that stores what it finds in a text.
type Capturer interface {
	Asker
	// Loose returns the expressions in which other text than the one that is meant can be captured for a field.
	Loose(field entry.Slot) []Looseness
	// Sample returns a text that passes, and of which these texts are captured.
	Sample(values map[entry.Slot]string) (text string, ok bool)
	// Samples returns texts that pass, of different forms where it knows any.
	Samples() []string
}

// Looseness is an expression with a loose capture.
type Looseness struct {
	Pos    Pos
	Reason string // a clause that fits behind "because"
	Hint   string // what to do, as an imperative
}

// Worker is an action that tells the static analysis what it works with. An action that is no
// Worker must not store anything.
type Worker interface {
	Works(names *entry.Names) Work
}

// Work is what an action does with the fields of an entry.
type Work struct {
	Reads  []Read
	Stores []Storing
	// Counter is the category of the counter that the action raises or resets.
	Counter string
	Raises  bool
	Grace   bool // after a reset, raises are ignored for a while
}

// Read is a field that an action reads.
type Read struct {
	Field entry.Slot
	Arg   string // the argument that names it
	As    Usage
}

// Usage is what a field is read for.
type Usage uint8

// The usages.
const (
	AsOther  Usage = iota
	AsText         // it is shown in a template
	AsKey          // it is what is counted by
	AsBanned       // it is the address that is banned
	AsClient       // it is the address that stands for a translated one, and so may be banned later
)

// Storing is a field that an action sets before the entry goes on.
type Storing struct {
	Field entry.Slot
	What  Stored
}

// Stored is what an action stores.
type Stored uint8

// What is stored.
const (
	StoresSometimes Stored = iota // anything, or the field stays as it is
	StoresCount                   // an Int, 0 or more
	StoresZero                    // the Int 0
)

// Forgetter is a step that keeps something for the analysis alone.
type Forgetter interface {
	// Forget gives it up. The step is not asked for the analysis any more.
	Forget()
}

// Forget gives up what only the analysis needed, which is over when Compile has returned.
func (g *Graph) Forget() {
	for i := range g.nodes {
		if f, ok := g.nodes[i].filter.(Forgetter); ok {
			f.Forget()
		}
	}
}
