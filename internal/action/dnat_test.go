package action

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/pyruse/pyruse/internal/entry"
	"github.com/pyruse/pyruse/internal/state"
)

// seenAs is a mapping of a client that appears as an address and a port.
func seenAs(client, address string, port entry.Value) [6]entry.Value {
	return [6]entry.Value{iSaddr: entry.StringValue(client), iAddr: entry.StringValue(address), iPort: port}
}

// clientOf looks an address up, and returns the client, "" if there is none.
func clientOf(t *DNAT, address string, now int64) string {
	m := t.find(addr, lookupKey{addr: address}, now)
	if m == nil {
		return ""
	}
	return m.parts[iSaddr].Text()
}

func addressTable(limit int) *DNAT {
	t := NewDNAT(limit)
	t.index(addr)
	return t
}

func TestDNATFullTableGivesUpWhatEndsFirst(t *testing.T) {
	table := addressTable(2)
	table.capture(seenAs("client 1", "10.0.0.1", entry.Value{}), 0, 100*second)
	table.capture(seenAs("client 2", "10.0.0.2", entry.Value{}), 0, 50*second)
	table.capture(seenAs("client 3", "10.0.0.3", entry.Value{}), 0, 70*second)
	got := []string{clientOf(table, "10.0.0.1", second), clientOf(table, "10.0.0.2", second), clientOf(table, "10.0.0.3", second)}
	if want := []string{"client 1", "", "client 3"}; !slices.Equal(got, want) {
		t.Errorf("clients %q, want %q", got, want)
	}
	if table.Live() != 2 || table.Evicted() != 1 {
		t.Errorf("%d live, %d evicted", table.Live(), table.Evicted())
	}
}

// A mapping that is captured again ends later than it did: it is not the first to go.
func TestDNATFullTableKeepsWhatWasCapturedAgain(t *testing.T) {
	table := addressTable(2)
	table.capture(seenAs("client 1", "10.0.0.1", entry.Value{}), 0, 10*second)
	table.capture(seenAs("client 2", "10.0.0.2", entry.Value{}), 0, 20*second)
	table.capture(seenAs("client 1", "10.0.0.1", entry.Value{}), 5*second, 100*second)
	table.capture(seenAs("client 3", "10.0.0.3", entry.Value{}), 6*second, 100*second)
	got := []string{clientOf(table, "10.0.0.1", 7*second), clientOf(table, "10.0.0.2", 7*second), clientOf(table, "10.0.0.3", 7*second)}
	if want := []string{"client 1", "", "client 3"}; !slices.Equal(got, want) {
		t.Errorf("clients %q, want %q", got, want)
	}
}

// A mapping that is captured again for a shorter time lives as long as the first capture said.
func TestDNATCapturedAgainForAShorterTime(t *testing.T) {
	table := addressTable(2)
	table.capture(seenAs("client 1", "10.0.0.1", entry.Value{}), 0, 100*second)
	table.capture(seenAs("client 1", "10.0.0.1", entry.Value{}), 1*second, 10*second)
	if got := clientOf(table, "10.0.0.1", 100*second-1); got != "client 1" {
		t.Errorf("client %q before the end", got)
	}
	if got := clientOf(table, "10.0.0.1", 100*second); got != "" {
		t.Errorf("client %q at the end", got)
	}
}

func TestDNATComparesAddressesAndPortsByMeaning(t *testing.T) {
	table := NewDNAT(10)
	table.index(addr | port)
	table.capture(seenAs("client", "2001:DB8::01", entry.IntValue(443)), 0, second)
	for _, x := range []struct {
		address string
		port    entry.Value
		found   bool
	}{
		{"2001:db8::1", entry.StringValue("443"), true},
		{"2001:db8:0::1%eth0", entry.IntValue(443), true},
		{"2001:db8::1", entry.StringValue("0443"), false},
		{"2001:db8::2", entry.IntValue(443), false},
	} {
		key := lookupKey{addr: textOf(entry.StringValue(x.address)), port: textOf(x.port)}
		if m := table.find(addr|port, key, 0); (m != nil) != x.found {
			t.Errorf("%s port %s: found %v, want %v", x.address, x.port.Text(), m != nil, x.found)
		}
	}
}

// An index that is asked for late finds what was captured before, newest first.
func TestDNATIndexOfAFullTable(t *testing.T) {
	table := NewDNAT(10)
	table.capture(seenAs("client 1", "10.0.0.1", entry.Value{}), 0, second)
	table.capture(seenAs("client 2", "10.0.0.1", entry.Value{}), 0, second)
	table.index(addr)
	if got := clientOf(table, "10.0.0.1", 0); got != "client 2" {
		t.Errorf("client %q, want the newest", got)
	}
}

// modelMapping is a mapping of the model: a list, in the order of the captures.
type modelMapping struct {
	parts [6]entry.Value
	until int64
}

// model is what the table means, without indexes, heaps and batches.
type model struct {
	limit int
	list  []modelMapping
}

func (m *model) capture(parts [6]entry.Value, now, keep int64) {
	until := now + keep
	m.list = slices.DeleteFunc(m.list, func(x modelMapping) bool {
		if x.parts == parts && x.until > now {
			until = max(until, x.until)
		}
		return x.until <= now || x.parts == parts
	})
	if len(m.list) == m.limit {
		first := 0
		for i := range m.list {
			if m.list[i].until < m.list[first].until {
				first = i
			}
		}
		m.list = slices.Delete(m.list, first, first+1)
	}
	m.list = append(m.list, modelMapping{parts, until})
}

func (m *model) find(by part, key lookupKey, now int64) *[6]entry.Value {
	for i := len(m.list) - 1; i >= 0; i-- {
		x := &m.list[i]
		fits := x.until > now
		for _, p := range []struct {
			part part
			at   int
			want string
		}{{addr, iAddr, key.addr}, {port, iPort, key.port}, {daddr, iDaddr, key.daddr}, {dport, iDport, key.dport}} {
			if by&p.part != 0 && (x.parts[p.at].IsNone() || textOf(x.parts[p.at]) != p.want) {
				fits = false
			}
		}
		if fits {
			return &x.parts
		}
	}
	return nil
}

// TestDNATModel lets the table and the model live through the same captures, look-ups, commits and
// restarts. Each capture ends at a moment of its own, so that it is clear which one ends first.
func TestDNATModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 5).Draw(t, "limit")
		lookups := rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) part { return part(rapid.IntRange(1, 15).Draw(t, "by")) }), 1, 3, rapid.ID).Draw(t, "lookups")
		table, m := NewDNAT(limit), &model{limit: limit}
		for _, by := range lookups {
			table.index(by)
		}
		rows := map[int64]state.DNAT{}
		value := rapid.SampledFrom([]entry.Value{{}, entry.NullValue, entry.StringValue("1"), entry.IntValue(1), entry.StringValue("::1"), entry.StringValue("0::1")})
		connection := rapid.Custom(func(t *rapid.T) (parts [6]entry.Value) {
			for i := range parts {
				parts[i] = value.Draw(t, "part")
			}
			return parts
		})
		known := rapid.SampledFrom(rapid.SliceOfN(connection, 4, 4).Draw(t, "connections")) // so that some come again
		text := rapid.SampledFrom([]string{"1", "::1", "2"})
		now, tick := int64(0), int64(0)
		t.Repeat(map[string]func(*rapid.T){
			"time passes": func(t *rapid.T) { now += rapid.Int64Range(0, 20).Draw(t, "seconds") * second },
			"capture": func(t *rapid.T) {
				parts := rapid.OneOf(known, known, connection).Draw(t, "connection")
				tick++
				keep := rapid.Int64Range(1, 60).Draw(t, "keep")*second + tick
				table.capture(parts, now, keep)
				m.capture(parts, now, keep)
				if table.Live() > limit {
					t.Fatalf("%d mappings live, at most %d may", table.Live(), limit)
				}
			},
			"look up": func(t *rapid.T) {
				by := rapid.SampledFrom(lookups).Draw(t, "by")
				var key lookupKey
				for p, into := range map[part]*string{addr: &key.addr, port: &key.port, daddr: &key.daddr, dport: &key.dport} {
					if by&p != 0 {
						*into = text.Draw(t, "text")
					}
				}
				var got *[6]entry.Value
				if found := table.find(by, key, now); found != nil {
					got = &found.parts
				}
				if want := m.find(by, key, now); !cmp.Equal(want, got, cmp.Comparer(func(a, b entry.Value) bool { return a == b })) {
					t.Fatalf("by %d, %v: found %v, want %v", by, key, got, want)
				}
			},
			"commit": func(t *rapid.T) { commitDNAT(t, table, rows) },
			"restart": func(t *rapid.T) {
				commitDNAT(t, table, rows)
				table = restartDNAT(t, limit, lookups, rows)
			},
		})
	})
}

// commitDNAT stores in rows what a batch would store in the database.
func commitDNAT(t *rapid.T, table *DNAT, rows map[int64]state.DNAT) {
	var b state.Batch
	if err := table.Collect(&b); err != nil {
		t.Fatal(err)
	}
	for _, id := range b.ForgetDNAT {
		delete(rows, id)
	}
	for _, row := range b.DNAT {
		rows[row.ID] = row
	}
	table.Committed()
	if table.Changed() {
		t.Fatal("there is something to commit right behind a commit")
	}
}

// restartDNAT returns a new table with the rows of the database.
func restartDNAT(t *rapid.T, limit int, lookups []part, rows map[int64]state.DNAT) *DNAT {
	table := NewDNAT(limit)
	for _, by := range lookups {
		table.index(by)
	}
	var ids []int64
	for id := range rows {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		if err := table.Load(rows[id]); err != nil {
			t.Fatal(err)
		}
	}
	return table
}
