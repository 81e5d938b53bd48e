package config

import "slices"

// Jump says whether a chain is a jump chain, which is entered by name only.
type Jump uint8

// Whether a chain is a jump chain.
const (
	JumpByLinks Jump = iota // if a link above it names it
	JumpAlways
	JumpNever
)

// readJump reads what a chain itself says.
func readJump(chain *Node) Jump {
	switch n := chain.Get(keyJump); {
	case n == nil || n.Kind != Bool:
		return JumpByLinks
	case n.Bool:
		return JumpAlways
	}
	return JumpNever
}

// Composed reports whether the configuration has parts that can be taken away without those who need them: fragments, or chains
// that are not enabled.
func (c *Config) Composed() bool {
	if c.sources != nil && slices.ContainsFunc(c.sources.list, func(x *Source) bool { return x.Layer == LayerFragment && x.State != Missing }) {
		return true
	}
	return slices.ContainsFunc(c.Chains, func(chain Chain) bool { return chain.Disabled })
}

// chain returns the merged value of a chain.
func (c *Config) chain(label string) *Node {
	if c.chains == nil {
		return nil
	}
	if c.byLabel == nil {
		c.byLabel = make(map[string]*Node, len(c.chains.Members))
		for _, m := range c.chains.Members {
			c.byLabel[m.Name] = m.Value
		}
	}
	return c.byLabel[label]
}

// linksIn returns the labels that steps name.
func linksIn(steps *Node) []string {
	if steps == nil {
		return nil
	}
	var labels []string
	for _, step := range steps.Elems {
		for _, key := range []string{"then", "else"} {
			if label := step.word(key); label != nil {
				labels = append(labels, label.Text)
			}
		}
	}
	return labels
}
