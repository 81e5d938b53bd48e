package workflow

import (
	"slices"

	"github.com/pyruse/pyruse/internal/config"
	"github.com/pyruse/pyruse/internal/entry"
)

// Analyse gives the warnings of the static analysis once more.
func (g *Graph) Analyse(cfg *config.Config, names *entry.Names, diags *config.Diagnostics) {
	analyse(g, cfg, names, diags)
}

// Quote returns a word for the shell.
var Quote = quote

// Watch has each filter of the graph tell how it decides.
func (g *Graph) Watch(tell func(o Origin, passed bool)) {
	for i := range g.nodes {
		n := &g.nodes[i]
		if f := n.filter; f != nil {
			n.filter = filterFunc(func(e *entry.Entry) (bool, error) {
				ok, err := f.Match(e)
				tell(n.origin, ok && err == nil)
				return ok, err
			})
		}
	}
}

// WatchBans has each action that bans tell that an entry has got there, instead of doing it.
func (g *Graph) WatchBans(names *entry.Names, tell func(o Origin)) {
	for i := range g.nodes {
		n := &g.nodes[i]
		w, ok := n.action.(Worker)
		if ok && slices.ContainsFunc(w.Works(names).Reads, func(r Read) bool { return r.As == AsBanned }) {
			n.action = actionFunc(func(*entry.Entry) error {
				tell(n.origin)
				return nil
			})
		}
	}
}
