package filter

import (
	"errors"
	"fmt"

	"github.com/pyruse/pyruse/internal/entry"
	"github.com/pyruse/pyruse/internal/workflow"
)

// search is a regular expression with the fields that its captures are stored in.
type search struct {
	re     *pattern
	pos    workflow.Pos // of the expression
	groups []span
	stores []store
}

// store says where a captured text goes.
type store struct {
	group int // from 0
	field entry.Slot
}

// newSearch compiles a regular expression; a fault is reported at n. save names fields for groups 1 to len(save).
func newSearch(b *workflow.Build, n *workflow.Arg, save []string) (search, bool) {
	re, err := compile(n.Text)
	if err != nil {
		hint := ""
		var fault *patternError
		if errors.As(err, &fault) {
			hint = fault.hint
		}
		b.FaultAt(n.Pos, hint, "the regular expression is faulty %v", err)
		return search{}, false
	}
	if why := re.backtracks(); why != "" {
		b.WarnRule(workflow.Backtracking, n.Pos, "a text on which it takes more than 1,000,000 steps is an error",
			"the regular expression %s cannot run in linear time, because of %s", quoted(n.Text), why)
	}
	if re.matchesEmpty() {
		b.WarnRule(workflow.EmptyMatch, n.Pos, "ask for at least one character, as .+ does; or for the empty text alone, with ^$",
			"the regular expression %s matches the empty text, so it also passes for a missing field", quoted(n.Text))
	}
	if len(save) > len(re.groups) {
		b.Fault("save", "", `"save" names %d fields; groups in the regular expression: %d`, len(save), len(re.groups))
		return search{}, false
	}
	s := search{re: re, pos: n.Pos}
	last := 0 // the number of groups that somebody wants to know
	for i, name := range re.groups {
		if i < len(save) && save[i] != "" {
			s.stores = append(s.stores, store{i, b.Slot(save[i])})
			last = i + 1
		}
		if name != "" {
			s.stores = append(s.stores, store{i, b.Slot(name)})
			last = i + 1
		}
	}
	s.groups = make([]span, last)
	return s, true
}

// match searches the field and stores the captures in the entry if there is a match.
func (s *search) match(e *entry.Entry, field entry.Slot, text string) (bool, error) {
	matched, err := s.re.search(text, s.groups)
	if err != nil {
		return false, fmt.Errorf("search field %s: %w", e.Names().Name(field), err)
	}
	if !matched {
		return false, nil
	}
	for _, st := range s.stores {
		v := entry.NullValue
		if g := s.groups[st.group]; g != unset {
			v = entry.StringValue(text[g.start:g.end])
		}
		e.Set(st.field, v)
	}
	return true, nil
}

// newPCRE makes a filter_pcre. With a named list, it is the first expression of the list that matches.
func newPCRE(b *workflow.Build) workflow.Filter {
	var args struct {
		Field string        `json:"field" need:"true"`
		Re    *workflow.Arg `json:"re" need:"true"`
		Save  []string      `json:"save"`
	}
	if !b.Args(&args) {
		return nil
	}
	expressions, ok := b.Strings("re")
	if !ok {
		return nil
	}
	return newSearches(b, args.Field, expressions, args.Save)
}

// newPCREAny makes a filter_pcreAny.
func newPCREAny(b *workflow.Build) workflow.Filter {
	var args struct {
		Field string   `json:"field" need:"true"`
		Re    []string `json:"re" need:"true"`
	}
	if !b.Args(&args) {
		return nil
	}
	return newSearches(b, args.Field, b.Arg("re").Elems, nil)
}

// pcre is filter_pcre and filter_pcreAny.
type pcre struct {
	field    entry.Slot
	searches []search
}

func newSearches(b *workflow.Build, name string, expressions []*workflow.Arg, save []string) workflow.Filter {
	field, ok := fieldSlot(b, name)
	if len(expressions) == 0 {
		warnEmpty(b, "re")
	}
	f := &pcre{field: field}
	for _, n := range expressions {
		s, compiled := newSearch(b, n, save)
		f.searches = append(f.searches, s)
		ok = ok && compiled
	}
	if !ok {
		return nil
	}
	return f
}

// Match reports whether one of the expressions is found in the field, and then stores the captures
// of the first that is.
func (f *pcre) Match(e *entry.Entry) (bool, error) {
	text := e.Get(f.field).Text()
	for i := range f.searches {
		if matched, err := f.searches[i].match(e, f.field, text); matched || err != nil {
			return matched, err
		}
	}
	return false, nil
}
