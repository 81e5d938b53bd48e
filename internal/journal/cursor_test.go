package journal

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

const someCursor = "s=7f6bb6d1e1e74b3cb2f1bb6c8ea9c0d1;i=1a;b=5a1f0d6f0c5b4b63a7d5f1f5e1c9a0b7;m=3f;t=60a24181e4000;x=deadbeef"

func TestSameEntry(t *testing.T) {
	for _, c := range []struct {
		name, a, b   string
		same, nextTo bool
	}{
		{"the same", someCursor, someCursor, true, false},
		{"the next one", "s=a;i=ff;b=b;m=1;t=1;x=1", "s=a;i=100;b=b;m=1;t=1;x=1", false, true},
		{"one further", "s=a;i=ff;b=b;m=1;t=1;x=1", "s=a;i=101;b=b;m=1;t=1;x=1", false, false},
		{"a copy in another file", "s=a;i=1;b=b;m=1;t=1;x=1", "s=c;i=9;b=b;m=1;t=1;x=1", true, false},
		{"other contents", "s=a;i=1;b=b;m=1;t=1;x=1", "s=c;i=2;b=b;m=1;t=1;x=2", false, false},
		{"another boot", "s=a;i=1;b=b;m=1;t=1;x=1", "s=c;i=1;b=c;m=1;t=1;x=1", false, false},
		{"times only", "t=1", "t=1", false, false},
	} {
		a, err := parseCursor(c.a)
		if err != nil {
			t.Fatal(err)
		}
		b, err := parseCursor(c.b)
		if err != nil {
			t.Fatal(err)
		}
		if sameEntry(a, b) != c.same || nextTo(a, b) != c.nextTo {
			t.Errorf("%s: same %v, next %v", c.name, sameEntry(a, b), nextTo(a, b))
		}
	}
}

func FuzzPositions(f *testing.F) {
	for _, s := range []string{
		"", someCursor, "x", "s=1;i=2;t=zz", "i=1", someCursor + ` "remote-a"`, "@" + someCursor + ` "a\nb"` + "\n" + someCursor + ` ""`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		_, _ = parseCursor(s)
		ps, err := parsePositions(s)
		if err != nil {
			return
		}
		again, err := parsePositions(ps.String())
		if err != nil {
			t.Fatalf("%q from %q: %v", ps.String(), s, err)
		}
		if diff := cmp.Diff(ps, again, cmp.AllowUnexported(position{})); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestCut(t *testing.T) {
	for _, c := range []struct {
		in    string
		limit int
		want  string
	}{
		{"abc", 3, "abc"}, {"abcd", 3, "abc"}, {"aé", 2, "a"}, {"aéb", 3, "aé"}, {"a€b", 3, "a"}, {"a😀b", 4, "a"},
		{"a😀b", 5, "a😀"}, {"\xbf\xbf\xbf\xbf\xbf\xbf", 5, "\xbf\xbf\xbf\xbf\xbf"}, {"é", 1, ""},
	} {
		if got := cut([]byte(c.in), c.limit); string(got) != c.want {
			t.Errorf("cut(%q, %d) = %q, want %q", c.in, c.limit, got, c.want)
		}
	}
}
