package config

import (
	"fmt"
	"slices"
)

// listArgs are the arguments of filters that a named list can stand for: {"list": "trusted"}.
var listArgs = map[string]bool{"values": true, "nets": true, "re": true}

// withLists returns args with the named lists in the places of their references, and reports whether all of them exist. The elements
// keep their own places, so that what is wrong with them is reported where they stand.
func (c *Config) withLists(args *Node, name string, diags *Diagnostics) (*Node, bool) {
	out, ok := args, true
	for i, m := range args.Members {
		if !listArgs[m.Name] || m.Value.Kind != Object {
			continue
		}
		if out == args {
			copied := *args
			copied.Members = slices.Clone(args.Members)
			out = &copied
		}
		list := c.list(m.Value.Get(keyList), name, diags)
		if list == nil {
			ok = false
			continue
		}
		out.Members[i].Value = &Node{Kind: Array, Pos: m.Value.Pos, Elems: list.Elems, Named: true}
	}
	return out, ok
}

// list returns a named list; nil if the reference is none, or leads nowhere, which is reported.
func (c *Config) list(ref *Node, name string, diags *Diagnostics) *Node {
	if ref == nil || ref.Kind != String {
		return nil
	}
	n := c.lists.Get(ref.Text)
	switch {
	case n != nil && n.Kind == Array:
		if c.listed += len(n.Elems); c.listed > MaxValues {
			diags.Errorf(ref.Pos, "a filter has a copy of the list that it asks for; use one filter, and lead to it", "%s: all named lists, where they are asked for, have more than %d values", name, MaxValues)
			return nil
		}
		return n
	case n != nil && CompareFile(n.Pos, ref.Pos) > 0:
		diags.Errorf(n.Pos, `write [] for an empty list`, "the list %q is deleted here, but %s asks for it (%s)", ref.Text, name, ref.Pos)
		return nil
	}
	hint := c.instead(keyLists, ref.Text, c.listNames)
	if hint == "" {
		hint = fmt.Sprintf(`add "lists": {%q: […]}`, ref.Text)
	}
	diags.Errorf(ref.Pos, hint, "%s: there is no list %q", name, ref.Text)
	return nil
}

func (c *Config) listNames() []string {
	if c.lists == nil {
		return nil
	}
	var names []string
	for _, m := range c.lists.Members {
		if m.Value.Kind == Array {
			names = append(names, m.Name)
		}
	}
	return names
}
