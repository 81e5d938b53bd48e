package workflow

import (
	"bufio"
	"fmt"
	"io"
)

// Dump writes the compiled track as text: every chain with its steps, and where
// each step leads to. Two configurations with the same dump do the same.
//
// The dangling ends of a chain that is called (by a then or else) are written "follow-up", and
// the chain lists what that is for each top-level chain that the entry can be in.
func (g *Graph) Dump(w io.Writer) error {
	b := &textWriter{bufio.NewWriter(w)}
	b.printf("entrance: %s\n", g.name(g.entry.at))
	tops := g.topsOf()
	for i := range g.chains {
		c := &g.chains[i]
		kind := "chain"
		if c.jump {
			kind = "jump chain"
		}
		b.printf("\n%s %q\n", kind, c.config.Label)
		end := "follow-up"
		if c.called {
			for _, top := range tops[i] {
				b.printf("  follow-up from %q: %s\n", g.chains[top].config.Label, g.name(g.next[top].at))
			}
		} else {
			end = g.name(g.next[i].at)
		}
		for j := range c.steps {
			g.dumpStep(b, &g.nodes[c.first+j], end)
		}
	}
	return b.Flush()
}

// textWriter keeps its first error until Flush.
type textWriter struct{ *bufio.Writer }

func (w *textWriter) printf(format string, args ...any) {
	_, _ = fmt.Fprintf(w, format, args...) // Flush tells the error
}

func (g *Graph) dumpStep(b *textWriter, n *node, end string) {
	args := []byte("{}")
	if n.step.Args != nil {
		args = n.step.Args.AppendJSON(nil)
	}
	to := func(l link) string {
		if l == followUp {
			return end
		}
		return g.name(l)
	}
	b.printf("  [%d] %s %s\n", n.origin.Step, n.step.Module, args)
	b.printf("        then %s\n", to(n.then))
	if !n.step.IsAction {
		b.printf("        else %s\n", to(n.els))
	}
}

func (g *Graph) name(l link) string {
	if l < 0 {
		return "stop"
	}
	o := g.nodes[l].origin
	return fmt.Sprintf("%q[%d]", o.Chain, o.Step)
}

// topsOf returns, for each chain that has dangling ends and is called, the top-level chains that an
// entry in it can belong to.
func (g *Graph) topsOf() [][]int {
	out := make([][]int, len(g.chains))
	seen := make([]int, len(g.chains))
	for top := range g.chains {
		if g.chains[top].jump {
			continue
		}
		todo := []int{top}
		seen[top] = top + 1
		for len(todo) > 0 {
			i := todo[len(todo)-1]
			c := &g.chains[i]
			todo = todo[:len(todo)-1]
			if c.called && c.dangles {
				out[i] = append(out[i], top)
			}
			for _, t := range c.targets {
				if seen[t.chain] != top+1 {
					seen[t.chain] = top + 1
					todo = append(todo, t.chain)
				}
			}
		}
	}
	return out
}
