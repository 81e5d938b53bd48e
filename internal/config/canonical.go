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
	keyJump    = "jump"
	keyAppend  = "append"
	keyList    = "list"
)

func canonicalActions(n *Node, diags *Diagnostics) *Node {
	switch n.Kind {
	case Object:
	case Array:
		return labelled(n, diags)
	default:
		return nil
	}
	out := *n
	out.Members = make([]Member, 0, len(n.Members))
	for _, m := range n.Members {
		if ownKey(m.Name) && !isChain(m.Value) {
			continue
		}
		m.Value = canonicalChain(m.Value)
		out.Members = append(out.Members, m)
	}
	return &out
}

// isChain reports whether the value of a key that may be the administrator's own is a chain, or says something of one.
func isChain(n *Node) bool {
	for _, key := range []string{keySteps, keyOrder, keyEnabled, keyJump} {
		if n.Get(key) != nil {
			return true
		}
	}
	return n.Kind == Array || n.Kind == Null
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

// canonicalChain returns the object form of a chain.
func canonicalChain(n *Node) *Node {
	switch n.Kind {
	case Array:
		return chainOf(n)
	case Object, Null:
		return n
	}
	return chainOf(&Node{Kind: Array, Pos: n.Pos}) // it was reported; links to it need not be
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
		case ownKey(m.Name) && m.Value.Get(keyAppend) == nil && m.Value.Kind != Null:
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
