package workflow

import (
	"bufio"
	"fmt"
	"io"
)

// Dump writes the compiled track as text: every chain with its steps, and where
// each step leads to. Two configurations with the same dump do the same.
//
// Ends of a jump chain that lead back to the caller's side are written
// "follow-up", and the chain lists what that is for each top-level chain it can be reached from.
func (g *Graph) Dump(w io.Writer) error {
	b := &textWriter{bufio.NewWriter(w)}
	b.printf("entrance: %s\n", g.name(g.entry))
	callers := g.callers()
	for i := range g.chains {
		c := &g.chains[i]
		kind := "chain"
		if c.jump {
			kind = "jump chain"
		}
		b.printf("\n%s %q\n", kind, c.config.Label)
		for _, top := range callers[i] {
			b.printf("  follow-up from %q: %s\n", g.chains[top].config.Label, g.name(g.followOf(top)))
		}
		for j := range c.steps {
			g.dumpStep(b, &g.nodes[c.first+j])
		}
	}
	return b.Flush()
}

// textWriter keeps its first error until Flush.
type textWriter struct{ *bufio.Writer }

func (w *textWriter) printf(format string, args ...any) {
	_, _ = fmt.Fprintf(w, format, args...) // Flush tells the error
}

func (g *Graph) dumpStep(b *textWriter, n *node) {
	args := []byte("{}")
	if n.step.Args != nil {
		args = n.step.Args.AppendJSON(nil)
	}
	b.printf("  [%d] %s %s\n", n.origin.Step, n.step.Module, args)
	b.printf("        then %s\n", g.name(n.then))
	if !n.step.IsAction {
		b.printf("        else %s\n", g.name(n.els))
	}
}

func (g *Graph) name(l link) string {
	switch l {
	case stop:
		return "stop"
	case followUp:
		return "follow-up"
	}
	o := g.nodes[l].origin
	return fmt.Sprintf("%q[%d]", o.Chain, o.Step)
}

// followOf returns what follows a top-level chain.
func (g *Graph) followOf(top int) link {
	c := &g.chains[top]
	if len(c.steps) > 0 {
		return g.nodes[c.first].follow
	}
	return stop
}

// callers returns, for each jump chain that uses its follow-up, the top-level chains that
// it can be reached from.
func (g *Graph) callers() [][]int {
	out := make([][]int, len(g.chains))
	seen := make([]int, len(g.chains))
	for top := range g.chains {
		if g.chains[top].jump {
			continue
		}
		todo := []int{top}
		for len(todo) > 0 {
			c := &g.chains[todo[len(todo)-1]]
			todo = todo[:len(todo)-1]
			for _, t := range c.targets {
				if to := &g.chains[t.chain]; to.jump && seen[t.chain] != top+1 {
					seen[t.chain] = top + 1
					todo = append(todo, t.chain)
					if to.dangles {
						out[t.chain] = append(out[t.chain], top)
					}
				}
			}
		}
	}
	return out
}
