package config

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// Checks look at a configuration more closely than this package can, and report what they find.
type Checks struct {
	All   func(*Config, *Diagnostics) // everything; may be slow. It is called last for the configuration that Settle returns
	Links func(*Config, *Diagnostics) // only whether all references lead somewhere; quick
}

// Settle returns the configuration that the sources add up to, without the fragments that have faults: each of them is left
// out as a whole, and so is a fragment that depends on one that is left out. The faults of all sources are
// in the diagnostics, also of those that are left out. Config.Sound says whether what is left can be used.
//
// A fault belongs to the source that it is reported in. So whatever reports a fault in which several files have a part must report
// it in the highest of them: that is the one that came to what was there before.
func (s *Sources) Settle(checks Checks) (*Config, *Diagnostics) {
	r := rounds{sources: s}
	cfg, found := r.check(checks.All) // with the faulty ones, so that all that is wrong with them is told
	again := false
	for _, x := range s.list {
		if x.Layer == LayerFragment && x.State == Used && x.faults.HasErrors() {
			x.State, again = LeftOut, true
		}
	}
	// Links first: what other faults remain may be those of a fragment that is not used in the end.
	for again || len(s.blamed(found)) > 0 {
		r.leaveOut(checks.Links)
		r.readmit(checks.Links)
		cfg, found = r.check(checks.All)
		again = false
		for x := range s.blamed(found) {
			x.State, again = LeftOut, true
		}
	}
	cfg.Sound = !found.HasErrors() && !s.faulty()
	all := r.all()
	s.explain(all)
	return cfg, all
}

// rounds are the looks that Settle takes at the sources.
type rounds struct {
	sources  *Sources
	found    []*Diagnostics // in each round
	breaking []*Source      // left out because of their links alone
}

// check looks at what the sources that are used add up to.
func (r *rounds) check(look func(*Config, *Diagnostics)) (*Config, *Diagnostics) {
	found := &Diagnostics{}
	c := r.sources.config(found)
	look(c, found)
	r.found = append(r.found, found)
	return c, found
}

// leaveOut leaves out the fragments that refer to what is not there.
func (r *rounds) leaveOut(links func(*Config, *Diagnostics)) {
	for {
		_, found := r.check(links)
		blamed := r.sources.blamed(found)
		if len(blamed) == 0 {
			return
		}
		for x := range blamed {
			x.State = LeftOut
			r.breaking = append(r.breaking, x)
		}
	}
}

// maxReadmissions bounds how often a fragment is tried again.
const maxReadmissions = 256

// readmit takes fragments back that were left out because of their links alone, where these lead somewhere by now: it was another
// fragment that stood in their way, and is left out, too.
func (r *rounds) readmit(links func(*Config, *Diagnostics)) {
	slices.SortFunc(r.breaking, func(a, b *Source) int { return a.File.rank - b.File.rank })
	left := maxReadmissions
	for progress := true; progress; {
		progress = false
		for i, x := range r.breaking {
			if left--; left < 0 {
				return
			}
			if x == nil {
				continue
			}
			found := &Diagnostics{}
			x.State = Used
			if links(r.sources.config(found), found); len(r.sources.blamed(found)) > 0 {
				x.State = LeftOut
				continue
			}
			r.breaking[i], progress = nil, true
		}
		r.breaking = slices.DeleteFunc(r.breaking, func(x *Source) bool { return x == nil })
	}
}

// all returns what is to be told: of a source that is used what the last round found, of one that is left out whatever was found
// in it; each once.
func (r *rounds) all() *Diagnostics {
	all := &Diagnostics{}
	for _, x := range r.sources.list {
		all.add(&x.faults, nil)
	}
	type fault struct {
		pos     Pos
		message string
	}
	told := map[fault]bool{}
	for i, found := range slices.Backward(r.found) { // later ones know more
		last := i == len(r.found)-1
		all.add(found, func(d Diagnostic) bool {
			x := r.sources.of(d.Pos)
			if !last && (x == nil || x.State != LeftOut) {
				return false
			}
			f := fault{d.Pos, d.Message}
			if told[f] {
				return false
			}
			told[f] = true
			return true
		})
	}
	return all
}

// explain says of each source that is left out why, with its first error.
func (s *Sources) explain(all *Diagnostics) {
	for _, d := range all.sorted() {
		x := s.of(d.Pos)
		if x == nil || d.Severity != Error || x.State != LeftOut || x.Why != "" {
			continue
		}
		x.Why = d.Message
		if len(d.Pos.File.Data) > 0 {
			x.Why = fmt.Sprintf("line %d: %s", d.Pos.Line(), d.Message)
		}
		if d.Hint != "" {
			x.Why += "; " + d.Hint
		}
	}
}

// blamed returns the fragments in which errors were found.
func (s *Sources) blamed(found *Diagnostics) map[*Source]bool {
	blamed := map[*Source]bool{}
	for _, d := range found.list {
		if x := s.of(d.Pos); d.Severity == Error && x != nil && x.Layer == LayerFragment && x.State == Used {
			blamed[x] = true
		}
	}
	return blamed
}

// of returns the source that a place is in, nil if there is none.
func (s *Sources) of(p Pos) *Source {
	// Of some files nothing but the name is shown: they have the rank of their source.
	if r := p.rank(); r > 0 && r < len(s.list) && s.list[r].File.Name == p.File.Name {
		return s.list[r]
	}
	return nil
}

// leftOut returns a hint that a chain or a list is defined in a fragment that is not used, "" if that is not so.
func (s *Sources) leftOut(key, name string) string {
	unread := ""
	for _, x := range s.list {
		if x.State != LeftOut {
			continue
		}
		if n := x.root.Get(key).Get(name); n != nil && n.Kind != Null {
			return fmt.Sprintf("it is defined in %s:%d, which is left out: mend that first", filepath.Base(x.File.Name), n.Pos.Line())
		}
		if x.root == nil && strings.Contains(string(x.File.Data), string(appendString(nil, name))) {
			unread = fmt.Sprintf("it may be defined in %s, which cannot be read: mend that first", filepath.Base(x.File.Name))
		}
	}
	return unread
}

// NoChain tells what became of a chain that does not exist: if a file deleted it, deleted is the place. Otherwise hint may tell
// where it would have been, or what is meant; "" if nobody knows.
func (c *Config) NoChain(label string) (deleted Pos, hint string) {
	if n := c.chain(label); n != nil && n.Kind == Null {
		return n.Pos, ""
	}
	return Pos{}, c.instead(keyActions, label, c.chainNames)
}

// maxGuesses is how often it is guessed what may be meant by a name that does not exist: each time, all names and files are looked at.
const maxGuesses = 100

// instead returns a hint at where a chain or a list would have been, or else at the name that is nearest.
func (c *Config) instead(key, name string, names func() []string) string {
	if c.guesses++; c.guesses > maxGuesses {
		return ""
	}
	if hint := c.sources.leftOut(key, name); hint != "" {
		return hint
	}
	return DidYouMean(name, names())
}
