package filter

import (
	"strings"
	"unicode"
)

// literal is a text that a subject must contain; with fold, in any case.
type literal struct {
	text string // in lower case with fold
	fold bool
}

// maxNeeded bounds the literals of needed: more of them cost more than they save.
const maxNeeded = 16

// needed returns literals of which every match contains at least one; nil if there are no such literals.
func (n *node) needed() []literal {
	switch n.kind {
	case nodeRune, nodeSet:
		return (&node{kind: nodeConcat, subs: []*node{n}}).needed()
	case nodeCapture, nodeAtomic:
		return n.subs[0].needed()
	case nodeLook:
		if !n.negative {
			return n.subs[0].needed()
		}
	case nodeRepeat:
		if n.min > 0 {
			return n.subs[0].needed()
		}
	case nodeAlternate:
		var all []literal
		for _, s := range n.subs {
			list := s.needed()
			if list == nil || len(all)+len(list) > maxNeeded {
				return nil
			}
			all = append(all, list...)
		}
		return all
	case nodeConcat:
		var best []literal
		for i := 0; i < len(n.subs); {
			var list []literal
			if run, length := n.run(i); length > 0 {
				list = []literal{run}
				i += length
			} else {
				list = n.subs[i].inner()
				i++
			}
			if worth(list) > worth(best) {
				best = list
			}
		}
		return best
	}
	return nil
}

// inner is needed for an element of a sequence that is no part of a run.
func (n *node) inner() []literal {
	if n.kind == nodeRune || n.kind == nodeSet {
		return nil
	}
	return n.needed()
}

// worth rates what needed returns: by the length of the shortest text, and a comparison
// that minds case is preferred.
func worth(list []literal) int {
	if list == nil {
		return 0
	}
	rate := func(l literal) int {
		if l.fold {
			return 2*len(l.text) - 1
		}
		return 2 * len(l.text)
	}
	w := rate(list[0])
	for _, l := range list[1:] {
		w = min(w, rate(l))
	}
	return w
}

// run returns the literal that begins at element i of a sequence, and the number of its elements.
func (n *node) run(i int) (run literal, length int) {
	var text strings.Builder
	for _, s := range n.subs[i:] {
		folded := s.kind == nodeSet && s.fold && s.r <= unicode.MaxASCII
		if s.kind != nodeRune && !folded {
			break
		}
		run.fold = run.fold || folded
		text.WriteRune(s.r)
		length++
	}
	if run.text = text.String(); run.fold {
		run.text = strings.ToLower(run.text)
	}
	return run, length
}

// prefix returns the text that every subject that matches begins with, "" if there is none.
func (n *node) prefix() string {
	if !n.startsText() {
		return ""
	}
	var text strings.Builder
	for _, s := range n.subs[1:] {
		if s.kind != nodeRune {
			break
		}
		text.WriteRune(s.r)
	}
	return text.String()
}

// in reports whether s contains the literal. Letters beyond ASCII may be other cases of
// ASCII letters, so that a subject that has them is not looked at if case does not matter.
func (l literal) in(s string) bool {
	if !l.fold {
		return strings.Contains(s, l.text)
	}
	return !isASCII(s) || containsFold(s, l.text)
}

// containsFold reports whether s contains lower, which is in lower case; both are of ASCII only.
func containsFold(s, lower string) bool {
	const caseBit = 0x20
	first := lower[0] | caseBit
	for i := 0; i+len(lower) <= len(s); i++ {
		if s[i]|caseBit == first && strings.EqualFold(s[i:i+len(lower)], lower) {
			return true
		}
	}
	return false
}
