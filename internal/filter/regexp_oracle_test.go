package filter

import (
	"bufio"
	"encoding/json"
	"os"
	"testing"
)

// oracleCase is a line of testdata/regexp.json: what Python's re makes of a pattern and a subject.
type oracleCase struct {
	Pattern, Subject string
	Groups           []*string // nil: no match
	Matched          bool
}

func (c *oracleCase) UnmarshalJSON(b []byte) error {
	// A null in the list leaves Groups as it is.
	err := json.Unmarshal(b, &[]any{&c.Pattern, &c.Subject, &c.Groups})
	c.Matched = c.Groups != nil
	return err
}

// TestOracle compares with Python 3.11. PYRUSE_REGEXP_CASES names another file of cases.
func TestOracle(t *testing.T) {
	path := "testdata/regexp.json"
	if p := os.Getenv("PYRUSE_REGEXP_CASES"); p != "" {
		path = p
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }() // it was only read
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var c oracleCase
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			t.Fatal(err)
		}
		checkOracle(t, c)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
}

func checkOracle(t *testing.T, c oracleCase) {
	t.Helper()
	p, err := compile(c.Pattern)
	if err != nil {
		t.Errorf("compile(%q): %v", c.Pattern, err)
		return
	}
	p.checkOracle(t, c, p.search)
	if isNarrow(c.Subject) && !p.same {
		p.checkOracle(t, c, p.wide.search)
	}
	if p.backtracks() == "" { // the backtracking engine can run it nevertheless
		tree, groups, err := parse(c.Pattern)
		if err != nil {
			t.Fatal(err)
		}
		p.checkOracle(t, c, newBacktracker(tree, len(groups)).search)
	}
}

func (p *pattern) checkOracle(t *testing.T, c oracleCase, search func(string, []span) (bool, error)) {
	t.Helper()
	groups := make([]span, len(p.groups))
	matched, err := search(c.Subject, groups)
	if err != nil {
		t.Errorf("%q in %q: %v", c.Pattern, c.Subject, err)
		return
	}
	if matched != c.Matched {
		t.Errorf("%q in %q (%s): matched is %v, Python says %v", c.Pattern, c.Subject, p.backtracks(), matched, c.Matched)
		return
	}
	if !matched {
		return
	}
	if len(groups) != len(c.Groups) {
		t.Errorf("%q has %d groups, Python says %d", c.Pattern, len(groups), len(c.Groups))
		return
	}
	for i, g := range groups {
		switch want := c.Groups[i]; {
		case want == nil && g == unset:
		case want != nil && g != unset && c.Subject[g.start:g.end] == *want:
		case want == nil:
			t.Errorf("%q in %q (%s): group %d is %q, Python says it took no part", c.Pattern, c.Subject, p.backtracks(), i+1, c.Subject[g.start:g.end])
		case g == unset:
			t.Errorf("%q in %q (%s): group %d took no part, Python says %q", c.Pattern, c.Subject, p.backtracks(), i+1, *want)
		default:
			t.Errorf("%q in %q (%s): group %d is %q, Python says %q", c.Pattern, c.Subject, p.backtracks(), i+1, c.Subject[g.start:g.end], *want)
		}
	}
}
