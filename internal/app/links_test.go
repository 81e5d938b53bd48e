package app

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/pyruse/pyruse/internal/config"
	"github.com/pyruse/pyruse/internal/entry"
	"github.com/pyruse/pyruse/internal/workflow"
)

// modelStep is a step that logs its place, or a filter that passes when the field of its number is "1".
type modelStep struct {
	filter     bool
	field      int
	then, els  int // chains; -1: not given
	chain, pos int
}

// linkModel follows section 2 of the language to the letter, one entry at a time.
type linkModel struct {
	chains [][]modelStep
	jump   []bool
}

func newLinkModel(chains [][]modelStep) *linkModel {
	m := &linkModel{chains: slices.Clone(chains), jump: make([]bool, len(chains))}
	targeted := map[int]bool{}
	for i, steps := range chains {
		// An explicit then ends its chain.
		if end := slices.IndexFunc(steps, func(s modelStep) bool { return s.then >= 0 }); end >= 0 {
			m.chains[i] = steps[:end+1]
		}
		m.jump[i] = targeted[i]
		for _, s := range m.chains[i] {
			targeted[s.then], targeted[s.els] = true, true
		}
	}
	return m
}

// next is the next available chain behind a top-level chain, -1 if there is none.
func (m *linkModel) next(top int) int {
	for i := top + 1; i < len(m.chains); i++ {
		if !m.jump[i] {
			return i
		}
	}
	return -1
}

// place is where an entry is: in a chain, called from a top-level chain.
type place struct{ chain, top int }

// follow is the place that a default link leads to, from a chain that was called from top.
func (m *linkModel) follow(top int) place { return place{m.next(top), m.next(top)} }

// exits returns the places that a chain can lead to.
func (m *linkModel) exits(p place) []place {
	var out []place
	add := func(to place) {
		if to.chain >= 0 {
			out = append(out, to)
		}
	}
	steps := m.chains[p.chain]
	if len(steps) == 0 {
		add(m.follow(p.top))
	}
	for i, s := range steps {
		add(place{s.then, p.top})
		add(place{s.els, p.top})
		if s.filter && (s.els < 0 || s.then < 0 && i == len(steps)-1) {
			add(m.follow(p.top))
		}
	}
	return out
}

// loops reports whether an entry can come to a place twice.
func (m *linkModel) loops() bool {
	const open, done = 1, 2
	state := map[place]int{}
	var visit func(place) bool
	visit = func(p place) bool {
		if state[p] != 0 {
			return state[p] == open
		}
		state[p] = open
		for _, to := range m.exits(p) {
			if visit(to) {
				return true
			}
		}
		state[p] = done
		return false
	}
	for i := range m.chains {
		if !m.jump[i] && visit(place{i, i}) {
			return true
		}
	}
	return false
}

// run returns the places of the actions that an entry with these fields goes through.
func (m *linkModel) run(fields []bool) []string {
	var trace []string
	for p := (place{0, 0}); p.chain >= 0; {
		to := m.follow(p.top)
	steps:
		for i, s := range m.chains[p.chain] {
			last := i == len(m.chains[p.chain])-1
			switch {
			case !s.filter:
				trace = append(trace, fmt.Sprintf("c%d[%d]", s.chain, s.pos))
				if to = (place{s.then, p.top}); s.then >= 0 || last {
					break steps
				}
			case fields[s.field]:
				if to = m.follow(p.top); s.then >= 0 {
					to = place{s.then, p.top}
				}
				if s.then >= 0 || last {
					break steps
				}
			default:
				if to = m.follow(p.top); s.els >= 0 {
					to = place{s.els, p.top}
				}
				break steps
			}
		}
		p = to
	}
	return trace
}

// source writes the chains as a configuration.
func source(chains [][]modelStep) []byte {
	var b bytes.Buffer
	b.WriteString(`{"actions":{`)
	for i, steps := range chains {
		fmt.Fprintf(&b, "\n%q:[", fmt.Sprint("c", i))
		for _, s := range steps {
			if s.filter {
				fmt.Fprintf(&b, `{"filter":"filter_equals","args":{"field":"F%d","value":"1"}`, s.field)
			} else {
				fmt.Fprintf(&b, `{"action":"action_log","args":{"message":"c%d[%d]"}`, s.chain, s.pos)
			}
			for key, to := range map[string]int{"then": s.then, "else": s.els} {
				if to >= 0 {
					fmt.Fprintf(&b, `,%q:"c%d"`, key, to)
				}
			}
			b.WriteString("},")
		}
		b.WriteString("],")
	}
	b.WriteString("}}")
	return b.Bytes()
}

const modelFields = 4

func drawChains(t *rapid.T) [][]modelStep {
	n := rapid.IntRange(1, 8).Draw(t, "chains")
	chains := make([][]modelStep, n)
	for i := range chains {
		for pos := range rapid.IntRange(0, 3).Draw(t, "steps") {
			s := modelStep{filter: rapid.Bool().Draw(t, "filter"), field: rapid.IntRange(0, modelFields-1).Draw(t, "field"), then: -1, els: -1, chain: i, pos: pos}
			target := rapid.IntRange(-3, 2) // mostly forwards, or every second configuration would loop
			link := func(name string) int {
				d := target.Draw(t, name)
				if to := i + d + 2; d >= -1 && to < n {
					return to
				}
				if d == -2 && rapid.IntRange(0, 9).Draw(t, "back") == 0 {
					return rapid.IntRange(0, i).Draw(t, name)
				}
				return -1
			}
			if s.then = link("then"); s.filter {
				s.els = link("else")
			}
			chains[i] = append(chains[i], s)
		}
	}
	return chains
}

// modelEntry has the fields that are true.
type modelEntry []bool

func (e modelEntry) Field(name string) ([]byte, bool) {
	var n int
	if _, err := fmt.Sscanf(name, "F%d", &n); err != nil || n >= len(e) || !e[n] {
		return nil, false
	}
	return []byte("1"), true
}

func (modelEntry) Cursor() string { return "" }

// checkLinks compares the compiled workflow with the model: the same loops are found, and every possible entry
// takes the same way.
func checkLinks(t *rapid.T) {
	chains := drawChains(t)
	text := source(chains)
	m := newLinkModel(chains)
	var diags config.Diagnostics
	p := newProgram(config.Read(config.NewFile("links.json", text), &diags), &diags)
	var out bytes.Buffer
	printer := newPrinter(bufio.NewWriter(&out), JSON, false)
	world, err := replayWorld(&p.cfg.Settings, printer)
	if err != nil {
		t.Fatal(err)
	}
	p.compile(world, &diags)
	if loops := m.loops(); diags.HasErrors() != loops {
		t.Fatalf("%s\nthere is a loop: %v; the compiler says %v", text, loops, diags.Sorted())
	} else if loops {
		return
	}
	e := entry.New(p.names)
	for bits := range 1 << modelFields {
		fields := make(modelEntry, modelFields)
		for i := range fields {
			fields[i] = bits>>i&1 == 1
		}
		e.Reset(fields, 0)
		p.graph.Run(e, func(err *workflow.StepError) { t.Fatalf("%s\n%v", text, err) })
		if err := printer.out.Flush(); err != nil {
			t.Fatal(err)
		}
		var got []string
		for line := range strings.Lines(out.String()) {
			var x effect
			if err := json.Unmarshal([]byte(line), &x); err != nil {
				t.Fatal(err)
			}
			got = append(got, *x.Message)
		}
		out.Reset()
		if want := m.run(fields); !slices.Equal(got, want) {
			t.Fatalf("%s\nentry %v goes through %v, want %v", text, fields, got, want)
		}
	}
}

func TestLinksAgainstTheModel(t *testing.T) { rapid.Check(t, checkLinks) }

func FuzzLinks(f *testing.F) { f.Fuzz(rapid.MakeFuzz(checkLinks)) }
