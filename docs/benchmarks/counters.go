package main

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"

	"github.com/pyruse/pyruse/internal/action"
	"github.com/pyruse/pyruse/internal/entry"
	"github.com/pyruse/pyruse/internal/state"
)

// liveKeys are the sizes of the counter table that are compared.
var liveKeys = []int{10, 10_000, 1_000_000}

const (
	countersKeep = int64(600e6) // microseconds that a raise lives
	raises       = 1_000_000    // per size and round
	raiseBlock   = 1000         // raises between two collections, as in a batch of entries
	// raisesPerKey is how often a key is raised while one raise lives: so that counters hold a few raises, some
	// end, and come back.
	raisesPerKey = 3
)

// counterTable is a table with a number of live keys, and the clock of its entries.
type counterTable struct {
	keys     int
	counters *action.Counters
	category *action.Category
	rand     *rand.Rand
	now      int64
	batch    state.Batch
	text     []byte // of the keys of a block
}

func newCounterTable(keys int) (*counterTable, error) {
	t := &counterTable{keys: keys, counters: action.NewCounters(2 * keys), rand: rand.New(rand.NewPCG(1, 2)), now: 1795305600e6}
	t.category = t.counters.Category("ssh")
	for i := range keys {
		key := entry.StringValue(string(appendKey(nil, i)))
		if _, err := t.category.Raise(key, t.now, countersKeep); err != nil {
			return nil, err
		}
		t.step()
		if i%raiseBlock == raiseBlock-1 {
			t.collect()
		}
	}
	t.collect()
	return t, nil
}

func (t *counterTable) step() { t.now += countersKeep / int64(t.keys*raisesPerKey) }

// collect is what the daemon does at the end of a batch.
func (t *counterTable) collect() {
	t.counters.Collect(&t.batch)
	t.counters.Committed()
	t.batch.Counters = t.batch.Counters[:0]
}

// appendKey appends the text of a key: an address, as counters usually have.
func appendKey(b []byte, i int) []byte {
	return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}).AppendTo(b)
}

// randomKeys fills keys with live keys. As in an entry, their texts lie side by side, and are at hand.
func (t *counterTable) randomKeys(keys []entry.Value) {
	ends := make([]int, len(keys))
	t.text = t.text[:0]
	for i := range keys {
		t.text = appendKey(t.text, t.rand.IntN(t.keys))
		ends[i] = len(t.text)
	}
	text, start := string(t.text), 0
	for i, end := range ends {
		keys[i] = entry.StringValue(text[start:end])
		start = end
	}
}

// round returns the microseconds of one raise of a random live key.
func (t *counterTable) round() (float64, error) {
	runtime.GC()
	keys := make([]entry.Value, raiseBlock)
	var sum float64
	for range raises / raiseBlock {
		t.randomKeys(keys)
		before, err := cpuTime()
		if err != nil {
			return 0, err
		}
		for _, key := range keys {
			if _, err := t.category.Raise(key, t.now, countersKeep); err != nil {
				return 0, err
			}
			t.step()
		}
		after, err := cpuTime()
		if err != nil {
			return 0, err
		}
		sum += micros(after-before, raises)
		t.collect()
	}
	return sum, nil
}

// measureCounters lets the sizes take turns, and weighs the largest table.
func measureCounters(o *options) (figures, error) {
	var tables []*counterTable
	var bytes float64
	for _, keys := range liveKeys {
		before := heap()
		t, err := newCounterTable(keys)
		if err != nil {
			return nil, err
		}
		bytes = float64(heap()-before) / float64(t.counters.Live())
		tables = append(tables, t)
	}
	var rounds []figures
	for range o.rounds {
		f := figures{}
		for _, t := range tables {
			cost, err := t.round()
			if err != nil {
				return nil, err
			}
			f[fmt.Sprintf("raise %d", t.keys)] = cost
		}
		rounds = append(rounds, f)
	}
	all := medians(rounds)
	all["counter bytes"] = bytes
	return all, nil
}

// heap returns the bytes in use.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
