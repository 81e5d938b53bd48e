package config

import "fmt"

// canonical returns the root of a file with the one form that each thing has when files are merged: actions is
// an object, a chain is an object with "steps", and a named list is a list. Parts that have no such form are left
// out; they were reported when the file was validated.
func canonical(root *Node, diags *Diagnostics) *Node {
	out := *root
	out.Members = make([]Member, 0, len(root.Members))
	for _, m := range root.Members {
		if m.Value.Kind != Null {
			switch m.Name {
			case keyActions:
				m.Value = canonicalActions(m.Value, diags)
			case keyLists:
				m.Value = canonicalLists(m.Value)
			}
		}
		if m.Value != nil {
			out.Members = append(out.Members, m)
		}
	}
	return &out
}

// Keys of the language that have a form of their own.
const (
	keyActions = "actions"
	keyLists   = "lists"
	keySteps   = "steps"
	keyLabel   = "label"
	keyOrder   = "order"
	keyEnabled = "enabled"
	keyAppend  = "append"
	keyList    = "list"
)

func canonicalActions(n *Node, diags *Diagnostics) *Node {
	switch n.Kind {
	case Object:
	case Array:
		n = labelled(n, diags)
	default:
		return nil
	}
	out := *n
	out.Members = make([]Member, 0, len(n.Members))
	for _, m := range n.Members {
		if m.Value = canonicalChain(m); m.Value != nil {
			out.Members = append(out.Members, m)
		}
	}
	return &out
}

// labelled returns the list form of actions as an object, in the order of the list.
func labelled(n *Node, diags *Diagnostics) *Node {
	out := &Node{Kind: Object, Pos: n.Pos, Members: make([]Member, 0, len(n.Elems))}
	seen := map[string]Pos{}
	for _, e := range n.Elems {
		label := e.Get(keyLabel)
		if label == nil || label.Kind != String {
			continue
		}
		if first, twice := seen[label.Text]; twice {
			diags.Errorf(label.Pos, fmt.Sprintf("it was first given in line %d; keep one of the two", first.Line()),
				"the chain %q stands twice in this list", label.Text)
			continue
		}
		seen[label.Text] = label.Pos
		chain := *e
		chain.Members = make([]Member, 0, len(e.Members))
		for _, m := range e.Members {
			if m.Name != keyLabel {
				chain.Members = append(chain.Members, m)
			}
		}
		out.Members = append(out.Members, Member{label.Text, label.Pos, &chain})
	}
	return out
}

// canonicalChain returns the object form of a chain; nil for what is none.
func canonicalChain(m Member) *Node {
	switch {
	case m.Value.Kind == Array: // whatever its label
		return chainOf(m.Value)
	case ownKey(m.Name):
		return nil
	case m.Value.Kind == Object || m.Value.Kind == Null:
		return m.Value
	}
	return chainOf(&Node{Kind: Array, Pos: m.Value.Pos}) // it was reported; links to it need not be
}

// chainOf returns the object form of a chain with these steps.
func chainOf(steps *Node) *Node {
	return &Node{Kind: Object, Pos: steps.Pos, fresh: true, Members: []Member{{keySteps, steps.Pos, steps}}}
}

func canonicalLists(n *Node) *Node {
	if n.Kind != Object {
		return nil
	}
	out := *n
	out.Members = make([]Member, 0, len(n.Members))
	for _, m := range n.Members {
		switch {
		case m.Value.Kind == Array:
		case ownKey(m.Name):
			continue
		case m.Value.Kind == Object:
			more := m.Value.Get(keyAppend)
			if more == nil || more.Kind != Array {
				continue
			}
			list := *more
			list.appends = true
			m.Value = &list
		case m.Value.Kind != Null:
			continue
		}
		out.Members = append(out.Members, m)
	}
	return &out
}
