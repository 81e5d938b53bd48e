package workflow

import "math/bits"

// tree maps numbers to values. It never changes: set and merge return a new tree, which shares with the old
// what is the same, so that what is known at one step costs no more than the difference to the step before it.
//
// The root of a tree for n numbers stands depthFor(n) levels above its leaves; a subtree without numbers is nil.
type tree[V comparable] struct {
	kids  [2]*tree[V]
	value V // of a leaf
}

// depthFor returns the depth of trees for the numbers below n.
func depthFor(n int) int { return bits.Len(uint(max(n-1, 0))) }

// get returns the value of a number, and whether there is one.
func (t *tree[V]) get(depth int, key int32) (v V, ok bool) {
	for depth--; t != nil && depth >= 0; depth-- {
		t = t.kids[key>>depth&1]
	}
	if t == nil {
		return v, false
	}
	return t.value, true
}

// set returns the tree with a value set.
func (t *tree[V]) set(depth int, key int32, v V) *tree[V] {
	if depth == 0 {
		return &tree[V]{value: v}
	}
	var n tree[V]
	if t != nil {
		n = *t
	}
	side := key >> (depth - 1) & 1
	n.kids[side] = n.kids[side].set(depth-1, key, v)
	return &n
}

// merge returns a tree of what is in both trees, joined by join, and if all, what is in one only as well.
func merge[V comparable](depth int, a, b *tree[V], all bool, join func(a, b V) V) *tree[V] {
	switch {
	case a == b:
		return a
	case a == nil || b == nil:
		if !all {
			return nil
		}
		if a == nil {
			return b
		}
		return a
	case depth == 0:
		switch v := join(a.value, b.value); v {
		case a.value:
			return a
		case b.value:
			return b
		default:
			return &tree[V]{value: v}
		}
	}
	n := tree[V]{}
	for i := range n.kids {
		n.kids[i] = merge(depth-1, a.kids[i], b.kids[i], all, join)
	}
	switch n.kids {
	case a.kids:
		return a
	case b.kids:
		return b
	case [2]*tree[V]{}:
		return nil
	}
	return &n
}

// each calls f for all numbers, in their order.
func (t *tree[V]) each(depth int, f func(key int32, v V)) { t.walk(depth, 0, f) }

func (t *tree[V]) walk(depth int, key int32, f func(int32, V)) {
	if t == nil {
		return
	}
	if depth == 0 {
		f(key, t.value)
		return
	}
	t.kids[0].walk(depth-1, key<<1, f)
	t.kids[1].walk(depth-1, key<<1|1, f)
}
