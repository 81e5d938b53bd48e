package config

import (
	"fmt"
	"path/filepath"
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
	all := &Diagnostics{}
	for _, x := range s.list {
		all.add(&x.faults, nil)
	}
	if s.brokenFragments() {
		// What else is wrong with them is told, too.
		var found Diagnostics
		checks.All(s.config(&found), &found)
		all.add(&found, func(p Pos) bool {
			x := s.of(p)
			return x != nil && x.Layer == LayerFragment && x.faults.HasErrors()
		})
	}
	for _, x := range s.list {
		if x.Layer == LayerFragment && x.State == Used && x.faults.HasErrors() {
			x.leaveOut(&x.faults)
		}
	}
	for {
		var found Diagnostics
		c := s.config(&found)
		checks.All(c, &found)
		blamed := s.blamed(&found)
		if len(blamed) == 0 {
			all.add(&found, nil)
			c.Sound = !found.HasErrors() && !s.faulty()
			return c, all
		}
		all.add(&found, func(p Pos) bool { return blamed[s.of(p)] })
		for x := range blamed {
			x.leaveOut(&found)
		}
		s.leaveOutDependents(checks, all)
	}
}

// leaveOutDependents leaves out the fragments that refer to what is no longer there.
func (s *Sources) leaveOutDependents(checks Checks, all *Diagnostics) {
	for {
		var found Diagnostics
		checks.Links(s.config(&found), &found)
		blamed := s.blamed(&found)
		if len(blamed) == 0 {
			return
		}
		all.add(&found, func(p Pos) bool { return blamed[s.of(p)] })
		for x := range blamed {
			x.leaveOut(&found)
		}
	}
}

// leaveOut leaves the source out because of the first error in it.
func (x *Source) leaveOut(found *Diagnostics) {
	x.State = LeftOut
	for _, d := range found.Sorted() {
		if d.Severity == Error && d.Pos.fileName() == x.File.Name {
			x.Why = d.Message
			if d.Pos.Line() > 0 && len(d.Pos.File.Data) > 0 {
				x.Why = fmt.Sprintf("line %d: %s", d.Pos.Line(), d.Message)
			}
			if d.Hint != "" {
				x.Why += "; " + d.Hint
			}
			return
		}
	}
}

func (s *Sources) brokenFragments() bool {
	for _, x := range s.list {
		if x.Layer == LayerFragment && x.State == Used && x.root != nil && x.faults.HasErrors() {
			return true
		}
	}
	return false
}

// blamed returns the fragments in which errors were found.
func (s *Sources) blamed(found *Diagnostics) map[*Source]bool {
	blamed := map[*Source]bool{}
	for _, d := range found.list {
		if x := s.of(d.Pos); d.Severity == Error && x != nil && x.Layer == LayerFragment {
			blamed[x] = true
		}
	}
	return blamed
}

// of returns the source that a place is in, nil if there is none.
func (s *Sources) of(p Pos) *Source {
	if r := p.rank(); r < len(s.list) && s.list[r].File == p.File {
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
// where it would have been, "" if nobody knows.
func (c *Config) NoChain(label string) (deleted Pos, hint string) {
	if n := c.chains.Get(label); n != nil && n.Kind == Null {
		return n.Pos, ""
	}
	return Pos{}, c.sources.leftOut(keyActions, label)
}
