package action

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/pyruse/pyruse/internal/entry"
	"github.com/pyruse/pyruse/internal/state"
)

const second = int64(1_000_000)

func raise(t testing.TB, c *Category, key string, now, keep int64) int64 {
	t.Helper()
	n, err := c.Raise(entry.StringValue(key), now*second, keep*second)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestRaisesLiveForKeepSeconds(t *testing.T) {
	c := NewCounters(100).Category("ssh")
	for i, want := range []int64{1, 2, 3} {
		if got := raise(t, c, "a", int64(i), 10); got != want {
			t.Errorf("raise %d: %d", i+1, got)
		}
	}
	if got := raise(t, c, "a", 11, 10); got != 2 { // those of 0 and 1 have ended
		t.Errorf("after 11 s: %d, want 2", got)
	}
	if got := raise(t, c, "a", 30, 0); got != 1 {
		t.Errorf("after a pause: %d, want 1", got)
	}
	if got := raise(t, c, "a", 1_000_000_000, 1); got != 2 { // for ever is for ever
		t.Errorf("a raise without end has ended: %d, want 2", got)
	}
}

func TestKeysKeepTheirType(t *testing.T) {
	c := NewCounters(100).Category("x")
	for _, v := range []entry.Value{entry.IntValue(33), entry.StringValue("33"), entry.FloatValue(33.5)} {
		if n, err := c.Raise(v, 0, 0); n != 1 || err != nil {
			t.Errorf("%v: %d, %v; want its own counter", v.Kind(), n, err)
		}
	}
	if n, err := c.Raise(entry.FloatValue(33), 0, 0); n != 2 || err != nil {
		t.Errorf("33.0 is not 33: %d, %v", n, err)
	}
}

func TestCategoriesAreApart(t *testing.T) {
	table := NewCounters(100)
	raise(t, table.Category("a"), "k", 0, 0)
	if got := raise(t, table.Category("b"), "k", 0, 0); got != 1 {
		t.Errorf("%d", got)
	}
	if got := raise(t, table.Category("a"), "k", 0, 0); got != 2 {
		t.Errorf("%d", got)
	}
}

func TestGrace(t *testing.T) {
	c := NewCounters(100).Category("x")
	raise(t, c, "a", 0, 100)
	if err := c.Reset(entry.StringValue("a"), 1*second, 10*second); err != nil {
		t.Fatal(err)
	}
	for _, at := range []int64{1, 5, 10} {
		if got := raise(t, c, "a", at, 100); got != 0 {
			t.Errorf("at %d s, in the grace period: %d", at, got)
		}
	}
	if got := raise(t, c, "a", 11, 100); got != 1 {
		t.Errorf("after the grace period: %d, want 1: nothing was counted in it", got)
	}
	if err := c.Reset(entry.StringValue("a"), 12*second, 0); err != nil {
		t.Fatal(err)
	}
	if got := raise(t, c, "a", 12, 100); got != 1 {
		t.Errorf("after a reset without grace: %d", got)
	}
}

// TestFullTableGivesWay fills the table: the key that ends first leaves, and one that never ends stays.
func TestFullTableGivesWay(t *testing.T) {
	table := NewCounters(3)
	c := table.Category("x")
	raise(t, c, "forever", 0, 0)
	raise(t, c, "soon", 0, 10)
	raise(t, c, "late", 0, 1000)
	raise(t, c, "new", 1, 500)
	if table.Live() != 3 || table.Evicted() != 1 {
		t.Errorf("live %d, evicted %d", table.Live(), table.Evicted())
	}
	for key, want := range map[string]int64{"forever": 1, "soon": 0, "late": 1, "new": 1} {
		if got := c.Value(entry.StringValue(key), 2*second); got != want {
			t.Errorf("%s: %d, want %d", key, got, want)
		}
	}
	full := NewCounters(1).Category("x")
	raise(t, full, "a", 0, 0)
	if _, err := full.Raise(entry.StringValue("b"), 0, 0); !errors.Is(err, ErrCountersFull) {
		t.Errorf("a table full of endless keys: %v", err)
	}
}

// TestEndedKeysLeave raises many keys that end: the table does not grow.
func TestEndedKeysLeave(t *testing.T) {
	table := NewCounters(1_000_000)
	c := table.Category("x")
	for i := range int64(50_000) {
		raise(t, c, fmt.Sprint(i), i, 100)
	}
	if table.Live() > 110 {
		t.Errorf("%d keys are kept, about 100 are live", table.Live())
	}
}

// TestManyRaisesOfOneKey bounds the memory of one counter.
func TestManyRaisesOfOneKey(t *testing.T) {
	table := NewCounters(10)
	c := table.Category("x")
	for i := range int64(100_000) {
		if got := raise(t, c, "a", i, 1_000_000); got != i+1 {
			t.Fatalf("raise %d: %d", i+1, got)
		}
	}
	var b state.Batch
	table.Collect(&b)
	if n := len(b.Counters[0].Runs); n > maxRuns {
		t.Errorf("%d runs are kept, the bound is %d", n, maxRuns)
	}
}

// modelCounter is the simplest right counter: a list of ends.
type modelCounter struct {
	ends  []int64
	grace int64
}

// TestAgainstModel does the same with the table and with the simplest right counters, with commits, reloads and jumps of the
// clock in between.
func TestAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table := NewCounters(1000)
		rows := map[[2]string]state.Counter{}
		model := map[string]*modelCounter{}
		now := int64(1000)
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			key := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "key")
			m := model[key]
			if m == nil {
				m = &modelCounter{}
				model[key] = m
			}
			now += rapid.Int64Range(0, 5).Draw(t, "pause")
			c := table.Category("x")
			switch rapid.IntRange(0, 9).Draw(t, "what") {
			case 0:
				grace := rapid.Int64Range(0, 8).Draw(t, "grace")
				if err := c.Reset(entry.StringValue(key), now, grace); err != nil {
					t.Fatal(err)
				}
				m.ends, m.grace = nil, now+grace
			case 1:
				commitTo(table, rows)
				table = NewCounters(1000)
				for _, row := range rows {
					if err := table.Load(row); err != nil {
						t.Fatal(err)
					}
				}
			case 2:
				commitTo(table, rows)
			case 3:
				if rapid.Bool().Draw(t, "lost") {
					clear(rows)
					table.MarkAllDirty()
				}
			default:
				keep := rapid.Int64Range(0, 12).Draw(t, "keep")
				got, err := c.Raise(entry.StringValue(key), now, keep)
				if err != nil {
					t.Fatal(err)
				}
				if want := m.raise(now, keep); got != want {
					t.Fatalf("%s at %d: %d, want %d", key, now, got, want)
				}
			}
		}
	})
}

func (m *modelCounter) raise(now, keep int64) int64 {
	if now < m.grace {
		return 0
	}
	end := state.Forever
	if keep > 0 {
		end = now + keep
	}
	m.ends = append(slices.DeleteFunc(m.ends, func(e int64) bool { return e <= now }), end)
	return int64(len(m.ends))
}

func commitTo(table *Counters, rows map[[2]string]state.Counter) {
	var b state.Batch
	table.Collect(&b)
	for _, c := range b.Counters {
		id := [2]string{c.Category, c.Key}
		if len(c.Runs) == 0 && c.Grace == 0 {
			delete(rows, id)
			continue
		}
		c.Runs = slices.Clone(c.Runs)
		rows[id] = c
	}
	table.Committed()
}

// fill returns a table with n live keys.
func fill(tb testing.TB, n int) (*Counters, *Category) {
	table := NewCounters(2 * n)
	c := table.Category("ssh")
	for i := range n {
		raise(tb, c, fmt.Sprintf("2001:db8::%x", i), 0, 1_000_000)
	}
	return table, c
}

// TestMemoryOfAKey holds the figure of 200 bytes a key.
func TestMemoryOfAKey(t *testing.T) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	const n = 1_000_000
	table, _ := fill(t, n)
	table.Committed()
	runtime.GC()
	runtime.ReadMemStats(&after)
	perKey := float64(after.HeapAlloc-before.HeapAlloc) / n
	t.Logf("%.0f bytes a key", perKey)
	if perKey > 200 {
		t.Errorf("a counter takes %.0f bytes, want 200 at most", perKey)
	}
	runtime.KeepAlive(table)
}

func BenchmarkCounterRaise(b *testing.B) {
	for _, n := range []int{10, 10_000, 1_000_000} {
		b.Run(fmt.Sprintf("keys=%d", n), func(b *testing.B) {
			table, c := fill(b, n)
			table.Committed()
			keys := make([]entry.Value, 4096)
			for i := range keys {
				keys[i] = entry.StringValue(fmt.Sprintf("2001:db8::%x", (i*7919)%n))
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if _, err := c.Raise(keys[i%len(keys)], int64(i), 600*second); err != nil {
					b.Fatal(err)
				}
				if i++; i%1000 == 0 {
					table.Committed()
				}
			}
		})
	}
}
