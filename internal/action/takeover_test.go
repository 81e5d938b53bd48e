package action

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/pyruse/pyruse/internal/entry"
	"github.com/pyruse/pyruse/internal/state"
)

// rows is what a database would hold of the counters.
type rows map[[2]string]state.Counter

// TestCountersTakenOver does the same with two tables: one stays, the other is taken over again and again, by
// tables that name the categories in another order, name more of them, or fewer. Nobody can tell them apart: not by the
// values, not by who gives way when it is full, and not by what is committed.
func TestCountersTakenOver(t *testing.T) {
	categories := []string{"ssh", "mail", "web", "ftp"}
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 8).Draw(t, "limit")
		stays, moves := NewCounters(limit), NewCounters(limit)
		kept, moved := rows{}, rows{}
		now := int64(0)
		t.Repeat(map[string]func(*rapid.T){
			"time passes": func(t *rapid.T) { now += rapid.Int64Range(0, 20).Draw(t, "seconds") * second },
			"raise": func(t *rapid.T) {
				category, key := rapid.SampledFrom(categories).Draw(t, "category"), drawKey(t)
				keep := rapid.Int64Range(0, 30).Draw(t, "keep") * second
				want, wantErr := stays.Category(category).Raise(key, now, keep)
				got, err := moves.Category(category).Raise(key, now, keep)
				if got != want || (err == nil) != (wantErr == nil) {
					t.Fatalf("raise: %d, %v; want %d, %v", got, err, want, wantErr)
				}
			},
			"reset": func(t *rapid.T) {
				category, key := rapid.SampledFrom(categories).Draw(t, "category"), drawKey(t)
				grace := rapid.Int64Range(0, 10).Draw(t, "grace") * second
				wantErr := stays.Category(category).Reset(key, now, grace)
				if err := moves.Category(category).Reset(key, now, grace); (err == nil) != (wantErr == nil) {
					t.Fatalf("reset: %v, want %v", err, wantErr)
				}
			},
			"commit": func(*rapid.T) {
				commitTo(stays, kept)
				commitTo(moves, moved)
			},
			"a commit fails": func(*rapid.T) {
				var a, b state.Batch
				stays.Collect(&a)
				moves.Collect(&b)
			},
			"the database is lost": func(*rapid.T) {
				clear(kept)
				clear(moved)
				stays.MarkAllDirty()
				moves.MarkAllDirty()
			},
			"take over": func(t *rapid.T) {
				next := NewCounters(limit)
				names := rapid.SliceOfNDistinct(rapid.SampledFrom(categories), 0, len(categories), rapid.ID).Draw(t, "names")
				held := map[string]*Category{}
				for _, name := range names {
					held[name] = next.Category(name)
				}
				next.TakeOver(moves)
				if moves.Live() != 0 || moves.Changed() {
					t.Fatal("the old table is not empty")
				}
				moves = next
				for name, c := range held { // what a step holds stays right
					if moves.Category(name) != c {
						t.Fatalf("category %q is another one than the steps hold", name)
					}
				}
			},
			"": func(t *rapid.T) {
				if moves.Live() != stays.Live() || moves.Evicted() != stays.Evicted() || moves.Changed() != stays.Changed() {
					t.Fatalf("live %d, evicted %d, changed %v; want %d, %d, %v",
						moves.Live(), moves.Evicted(), moves.Changed(), stays.Live(), stays.Evicted(), stays.Changed())
				}
				if diff := cmp.Diff(kept, moved); diff != "" {
					t.Fatalf("committed (-without +with taking over):\n%s", diff)
				}
				for _, name := range categories {
					for _, key := range counterKeys {
						if got, want := valueOf(moves, name, key, now), valueOf(stays, name, key, now); got != want {
							t.Fatalf("%s of %s: %d, want %d", name, key.Text(), got, want)
						}
					}
				}
			},
		})
	})
}

// valueOf is Value without making a category.
func valueOf(t *Counters, category string, key entry.Value, now int64) int64 {
	c, ok := t.categories[category]
	if !ok {
		return 0
	}
	return c.Value(key, now)
}

var counterKeys = []entry.Value{entry.StringValue("192.0.2.1"), entry.StringValue("192.0.2.2"), entry.IntValue(7), entry.FloatValue(7)}

func drawKey(t *rapid.T) entry.Value { return rapid.SampledFrom(counterKeys).Draw(t, "key") }

// TestCountersTakenOverWithALowerLimit lowers the limit and raises it again: at the end, the table holds as many
// keys as it may, and the database holds what the table holds.
func TestCountersTakenOverWithALowerLimit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const many = 60
		table, database := NewCounters(many), rows{}
		c := table.Category("ssh")
		for i := range many {
			if _, err := c.Raise(entry.StringValue(fmt.Sprint(i)), 0, int64(100+i)*second); err != nil {
				t.Fatal(err)
			}
		}
		commitTo(table, database)
		lowest := many
		for range rapid.IntRange(1, 4).Draw(t, "reloads") {
			limit := rapid.IntRange(1, many).Draw(t, "limit")
			lowest = min(lowest, limit)
			next := NewCounters(limit)
			next.TakeOver(table)
			table = next
			if table.Live() > limit {
				t.Fatalf("%d keys are live, %d may be", table.Live(), limit)
			}
			if rapid.Bool().Draw(t, "commit") {
				commitTo(table, database)
			}
		}
		commitTo(table, database)
		if table.Live() != lowest || table.Evicted() != many-lowest {
			t.Fatalf("%d are left, %d gave way; the lowest limit was %d", table.Live(), table.Evicted(), lowest)
		}
		var want []string
		for i := many - lowest; i < many; i++ { // those that end last
			want = append(want, fmt.Sprintf("s%d", i))
		}
		var got []string
		for id := range database {
			got = append(got, id[1])
		}
		slices.Sort(want)
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("rows (-want +got):\n%s", diff)
		}
	})
}

// TestSurplusLeavesBitByBit has far more keys than the new limit allows: a part leaves at once, the rest with the
// raises that follow.
func TestSurplusLeavesBitByBit(t *testing.T) {
	const many, limit = 3 * evictAtOnce, 10
	old := NewCounters(many)
	c := old.Category("ssh")
	for i := range many {
		raise(t, c, fmt.Sprint(i), 0, 1000)
	}
	table := NewCounters(limit)
	c = table.Category("ssh")
	table.TakeOver(old)
	if got := table.Live(); got != many-evictAtOnce {
		t.Errorf("%d keys are left at first", got)
	}
	raises := 0
	for ; table.Live() > limit; raises++ {
		raise(t, c, "one that comes again", 1, 1000)
	}
	if raises > many/removeBatch {
		t.Errorf("it took %d raises until the limit was kept", raises)
	}
}

// TestEndlessKeysStayAboveALowerLimit has nothing that could give way: no key is lost, and none is added.
func TestEndlessKeysStayAboveALowerLimit(t *testing.T) {
	old := NewCounters(5)
	c := old.Category("ssh")
	for i := range 5 {
		raise(t, c, fmt.Sprint(i), 0, 0)
	}
	table := NewCounters(2)
	c = table.Category("ssh")
	table.TakeOver(old)
	if got := raise(t, c, "3", 1, 0); got != 2 || table.Live() != 5 {
		t.Errorf("value %d, %d live", got, table.Live())
	}
	if _, err := c.Raise(entry.StringValue("new"), 1, 0); !errors.Is(err, ErrCountersFull) {
		t.Errorf("a key too many: %v", err)
	}
}

// TestCategoriesDoNotPileUp renames a counter at each of many reloads.
func TestCategoriesDoNotPileUp(t *testing.T) {
	table := NewCounters(10)
	stays := table.Category("stays")
	raise(t, stays, "k", 0, 0)
	for i := range 1000 {
		next := NewCounters(10)
		c := next.Category(fmt.Sprint("renamed ", i))
		next.TakeOver(table)
		raise(t, c, "k", int64(i), 1)
		raise(t, c, "k", int64(i+10), 1) // the one before has ended, and leaves
		table = next
	}
	if n := len(table.byNumber); n > 5 {
		t.Errorf("%d categories for 2 counters", n)
	}
	if got := table.Category("stays").Value(entry.StringValue("k"), 0); got != 1 {
		t.Errorf("the counter that no reload named: %d, want 1", got)
	}
}

// TestDNATTakenOver does the same with two tables: one stays, the other is taken over by tables with other look-ups.
func TestDNATTakenOver(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 5).Draw(t, "limit")
		lookups := []part{addr, addr | port, daddr | dport}
		stays := NewDNAT(limit)
		for _, by := range lookups {
			stays.index(by)
		}
		moves, named := NewDNAT(limit), []part(nil)
		kept, moved := map[int64]state.DNAT{}, map[int64]state.DNAT{}
		now, tick := int64(0), int64(0)
		text := rapid.SampledFrom([]string{"10.0.0.1", "10.0.0.2", "80"})
		t.Repeat(map[string]func(*rapid.T){
			"time passes": func(t *rapid.T) { now += rapid.Int64Range(0, 20).Draw(t, "seconds") * second },
			"capture": func(t *rapid.T) {
				var parts [6]entry.Value
				for i := range parts {
					parts[i] = entry.StringValue(text.Draw(t, "part"))
				}
				tick++ // so that it is clear which one ends first
				keep := rapid.Int64Range(1, 60).Draw(t, "keep")*second + tick
				stays.capture(parts, now, keep)
				moves.capture(parts, now, keep)
			},
			"look up": func(t *rapid.T) {
				if len(named) == 0 {
					t.Skip("no step looks anything up")
				}
				by := rapid.SampledFrom(named).Draw(t, "by")
				var key lookupKey
				for p, into := range map[part]*string{addr: &key.addr, port: &key.port, daddr: &key.daddr, dport: &key.dport} {
					if by&p != 0 {
						*into = text.Draw(t, "text")
					}
				}
				want, got := stays.find(by, key, now), moves.find(by, key, now)
				if (want == nil) != (got == nil) || want != nil && (want.id != got.id || want.parts != got.parts || want.until != got.until) {
					t.Fatalf("by %d, %v: %+v, want %+v", by, key, got, want)
				}
			},
			"commit": func(t *rapid.T) {
				commitDNAT(t, stays, kept)
				commitDNAT(t, moves, moved)
			},
			"the database is lost": func(*rapid.T) {
				clear(kept)
				clear(moved)
				stays.MarkAllDirty()
				moves.MarkAllDirty()
			},
			"take over": func(t *rapid.T) {
				next := NewDNAT(limit)
				named = rapid.SliceOfNDistinct(rapid.SampledFrom(lookups), 0, len(lookups), rapid.ID).Draw(t, "lookups")
				for _, by := range named {
					next.index(by)
				}
				next.TakeOver(moves)
				if moves.Live() != 0 || moves.Changed() {
					t.Fatal("the old table is not empty")
				}
				moves = next
			},
			"": func(t *rapid.T) {
				if moves.Live() != stays.Live() || moves.Evicted() != stays.Evicted() || moves.Changed() != stays.Changed() {
					t.Fatalf("live %d, evicted %d, changed %v; want %d, %d, %v",
						moves.Live(), moves.Evicted(), moves.Changed(), stays.Live(), stays.Evicted(), stays.Changed())
				}
				if diff := cmp.Diff(kept, moved); diff != "" {
					t.Fatalf("committed (-without +with taking over):\n%s", diff)
				}
			},
		})
	})
}

// TestDNATTakenOverWithALowerLimit keeps those that end last, in the table and in the database.
func TestDNATTakenOverWithALowerLimit(t *testing.T) {
	const many, limit = 20, 6
	old, database := addressTable(many), map[int64]bool{}
	commit := func(table *DNAT) {
		var b state.Batch
		if err := table.Collect(&b); err != nil {
			t.Fatal(err)
		}
		for _, x := range b.DNAT {
			database[x.ID] = true
		}
		for _, id := range b.ForgetDNAT {
			delete(database, id)
		}
		table.Committed()
	}
	for i := range int64(many) {
		old.capture(seenAs(fmt.Sprint("client ", i), fmt.Sprint("10.0.0.", i), entry.Value{}), 0, (100+i)*second)
	}
	commit(old)
	table := addressTable(limit)
	table.TakeOver(old)
	commit(table)
	if table.Live() != limit || table.Evicted() != many-limit {
		t.Errorf("%d live, %d evicted", table.Live(), table.Evicted())
	}
	if got := clientOf(table, "10.0.0.19", second); got != "client 19" {
		t.Errorf("the last one is %q", got)
	}
	if want := []int64{15, 16, 17, 18, 19, 20}; !slices.Equal(slices.Sorted(maps.Keys(database)), want) {
		t.Errorf("rows %v, want %v", slices.Sorted(maps.Keys(database)), want)
	}
}

// BenchmarkTakeOver is what a reload does while no entry is handled.
func BenchmarkTakeOver(b *testing.B) {
	for _, n := range []int{1000, 100_000, 1_000_000} {
		b.Run(fmt.Sprintf("keys=%d", n), func(b *testing.B) {
			table, _ := fill(b, n)
			b.ReportAllocs()
			for b.Loop() {
				next := NewCounters(2 * n)
				for i := range 100 {
					next.Category(fmt.Sprint("counter ", i))
				}
				next.Category("ssh")
				next.TakeOver(table)
				table = next
			}
			if table.Live() != n {
				b.Fatalf("%d keys, want %d", table.Live(), n)
			}
		})
	}
}

// BenchmarkTakeOverDNAT has the same look-up as before, or one that has to be built.
func BenchmarkTakeOverDNAT(b *testing.B) {
	const n = 100_000
	full := func() *DNAT {
		t := NewDNAT(n)
		t.index(addr | port)
		for i := range n {
			t.capture(seenAs("192.0.2.1", fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255), entry.IntValue(int64(i))), 0, 60*second)
		}
		return t
	}
	b.Run("same", func(b *testing.B) {
		table := full()
		for b.Loop() {
			next := NewDNAT(n)
			next.index(addr | port)
			next.TakeOver(table)
			table = next
		}
	})
	b.Run("other", func(b *testing.B) {
		table, by := full(), addr|port
		for b.Loop() {
			by ^= port // each time another one than before
			next := NewDNAT(n)
			next.index(by)
			next.TakeOver(table)
			table = next
		}
	})
}
