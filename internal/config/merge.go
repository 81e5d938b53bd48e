package config

// merge returns what comes of a file's value b on top of a, the value of the files below: objects merge by key, lists and
// scalars replace, null deletes, and a list that appends is appended. Neither a nor b is changed; nil is a value that is not given.
//
// Merging is associative, so that it does not matter in which groups files are merged. That is why a null stays in
// the result, as a mark that deletes what is further below, and why an object that took the place of something else
// keeps that in mind (Node.fresh). settled removes the marks at the end.
//
// A key keeps the place at which it was first given: so a chain that a later file overrides stays where it was.
func merge(a, b *Node) *Node {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	case b.Kind == Array && b.appends:
		return appended(a, b)
	case b.Kind != Object || b.fresh:
		return b
	case a.Kind != Object:
		out := *b
		out.fresh = true
		return &out
	}
	out := *b
	out.fresh = a.fresh
	out.Members = mergeMembers(a.Members, b.Members)
	return &out
}

// mergeMembers returns a's members, merged with those of b of the same name, and then b's others.
func mergeMembers(a, b []Member) []Member {
	out := make([]Member, len(a), len(a)+len(b))
	copy(out, a)
	find := finder(a, len(b))
	for _, m := range b {
		if i := find(m.Name); i >= 0 {
			out[i].Value = merge(out[i].Value, m.Value)
		} else {
			out = append(out, m)
		}
	}
	return out
}

// finder returns a function that finds a member by its name, made for that many calls.
func finder(members []Member, calls int) func(name string) int {
	const few = 16
	if calls <= few || len(members) <= few {
		return func(name string) int {
			for i := range members {
				if members[i].Name == name {
					return i
				}
			}
			return -1
		}
	}
	index := make(map[string]int, len(members))
	for i := range members {
		index[members[i].Name] = i
	}
	return func(name string) int {
		if i, ok := index[name]; ok {
			return i
		}
		return -1
	}
}

// appended returns the list b, which appends, behind the list a.
func appended(a, b *Node) *Node {
	out := *b
	if a.Kind != Array { // it deleted or replaced what is below it
		out.appends = false
		return &out
	}
	out.appends = a.appends
	out.Elems = make([]*Node, 0, len(a.Elems)+len(b.Elems))
	out.Elems = append(append(out.Elems, a.Elems...), b.Elems...)
	return &out
}

// settled returns a merged object without the keys that were deleted, in it and in the objects in it.
func settled(n *Node) *Node {
	if n == nil || n.Kind != Object {
		return n
	}
	out := *n
	out.Members = make([]Member, 0, len(n.Members))
	for _, m := range n.Members {
		if m.Value.Kind != Null {
			m.Value = settled(m.Value)
			out.Members = append(out.Members, m)
		}
	}
	return &out
}
