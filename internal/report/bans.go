package report

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/pyruse/pyruse/internal/state"
)

// Networks are counted by these lengths of their prefixes: what is commonly handed out to one network or one customer.
const (
	networkBits4 = 24
	networkBits6 = 48
)

// topBanned is how many addresses, networks and chains are shown.
const topBanned = 10

// bans is what was banned. Its size is bounded by the log of bans.
type bans struct {
	count   int
	byAddr  map[netip.Addr]*bannedAddr
	logged  map[banHour]int
	counted map[banHour]int // also what the log had no room for
}

type bannedAddr struct {
	count  int
	chains []string // in the order in which they came
}

// banHour is an hour of a chain.
type banHour struct {
	hour  int64 // its beginning, in seconds since 1970
	chain string
}

func (b *bans) add(e state.BanEvent) {
	if b.byAddr == nil {
		b.byAddr, b.logged = map[netip.Addr]*bannedAddr{}, map[banHour]int{}
	}
	b.count++
	x := b.byAddr[e.Addr]
	if x == nil {
		x = &bannedAddr{}
		b.byAddr[e.Addr] = x
	}
	x.count++
	if !slices.Contains(x.chains, e.Chain) {
		x.chains = append(x.chains, e.Chain)
	}
	b.logged[banHour{startOfHour(e.Time).Unix(), e.Chain}]++
}

// tally adds what was counted in an hour, whether or not it is in the log.
func (b *bans) tally(k state.TallyKey, n int64) {
	if b.counted == nil {
		b.counted = map[banHour]int{}
	}
	b.counted[banHour{k.Hour, k.Name}] += int(n)
}

// startOfHour returns the beginning of the hour of the local clock.
func startOfHour(t time.Time) time.Time {
	_, offset := t.Local().Zone()
	zone := time.Duration(offset) * time.Second
	return t.Add(zone).Truncate(time.Hour).Add(-zone)
}

// view returns the section of the time of a report.
func (b *bans) view(since, until time.Time) Bans {
	hours, chains := map[int64]int{}, map[string]int{}
	v := Bans{Count: b.count, Addresses: len(b.byAddr)}
	for k, n := range b.logged {
		hours[k.hour] += n
		chains[k.chain] += n
	}
	for k, n := range b.counted {
		// An hour that is only in part in the time of the report has bans of another one.
		if n -= b.logged[k]; n > 0 && k.hour >= since.Unix() && k.hour+3600 <= until.Unix() {
			hours[k.hour] += n
			chains[k.chain] += n
			v.Count += n
		}
	}
	if v.Count == 0 {
		return v
	}
	if n := v.Count - b.count; n > 0 {
		v.Note = fmt.Sprintf("The addresses of %s are not known: there were more bans than the log of bans has room for.", thousands(int64(n)))
	}
	v.Hours = hourBars(hours, since, until)
	v.Top = first(b.addresses())
	if n := len(b.byAddr) - len(v.Top); n > 0 {
		v.More = "… and " + countOf(n, "more address", "more addresses")
	}
	v.Networks = first(b.networks())
	var list []Banned
	for c, n := range chains {
		list = append(list, Banned{Name: chainName(c), Count: n})
	}
	v.Chains = first(list)
	return v
}

// addresses returns those that were banned most often.
func (b *bans) addresses() []Banned {
	all := slices.Collect(maps.Keys(b.byAddr))
	slices.SortFunc(all, func(x, y netip.Addr) int {
		return cmp.Or(cmp.Compare(b.byAddr[y].count, b.byAddr[x].count), x.Compare(y))
	})
	var list []Banned
	for _, a := range all[:min(len(all), topBanned)] {
		x := b.byAddr[a]
		list = append(list, Banned{Name: a.String(), Count: x.count, Note: chainNames(x.chains)})
	}
	return list
}

// networks returns those of which more than one address was banned: of others, it would say no more than the address.
func (b *bans) networks() []Banned {
	type network struct{ count, addresses int }
	networks := map[netip.Prefix]network{}
	for a, x := range b.byAddr {
		bits := networkBits4
		if a.Is6() {
			bits = networkBits6
		}
		if p, err := a.Prefix(bits); err == nil {
			n := networks[p]
			networks[p] = network{n.count + x.count, n.addresses + 1}
		}
	}
	var list []Banned
	for p, n := range networks {
		if n.addresses > 1 {
			list = append(list, Banned{Name: p.String(), Count: n.count, Note: countOf(n.addresses, "address", "addresses")})
		}
	}
	return list
}

// chainName returns the label of a chain as it is shown; a ban by hand has none.
func chainName(chain string) string {
	if chain == "" {
		return "by hand"
	}
	return shorten(chain, maxName)
}

// chainNames writes the labels of the first chains, and how many there are more.
func chainNames(chains []string) string {
	const most = 3
	names := make([]string, 0, most+1)
	for _, c := range chains[:min(len(chains), most)] {
		names = append(names, chainName(c))
	}
	return strings.Join(cutNames(names, len(chains)), ", ")
}

// cutNames adds to some of all names how many there are more.
func cutNames(names []string, all int) []string {
	if n := all - len(names); n > 0 {
		return append(names, fmt.Sprintf("and %d more", n))
	}
	return names
}

// first returns the largest, with their bars.
func first(list []Banned) []Banned {
	slices.SortFunc(list, func(a, b Banned) int { return cmp.Or(cmp.Compare(b.Count, a.Count), compareNames(a.Name, b.Name)) })
	list = list[:min(len(list), topBanned)]
	for i := range list {
		list[i].Size = max(1, list[i].Count*100/list[0].Count)
		list[i].Bar = bar(list[i].Count, list[0].Count)
	}
	return list
}

// compareNames orders addresses and networks by their numbers, and all else by its text.
func compareNames(a, b string) int {
	x, errX := netip.ParseAddr(strings.SplitN(a, "/", 2)[0])
	y, errY := netip.ParseAddr(strings.SplitN(b, "/", 2)[0])
	if errX == nil && errY == nil {
		return x.Compare(y)
	}
	return strings.Compare(a, b)
}

// blocks are the parts of a character, from an eighth to the whole: first growing from below, then from the left.
var (
	lowerBlocks = []rune("▁▂▃▄▅▆▇█")
	leftBlocks  = []rune("▏▎▍▌▋▊▉█")
)

const barWidth = 10 // characters

// bar returns a horizontal bar.
func bar(n, largest int) string {
	eighths := max(1, n*8*barWidth/max(1, largest))
	text := strings.Repeat("█", eighths/8)
	if rest := eighths % 8; rest > 0 {
		text += string(leftBlocks[rest-1])
	}
	return text
}

// maxHours is how many hours the chart of a report has at most: two days.
const maxHours = 48

// hourBars returns one bar for each hour of the report's time. numbers are by the beginning of the hour, in seconds since 1970.
func hourBars(numbers map[int64]int, since, until time.Time) []Hour {
	if until.Sub(since) > maxHours*time.Hour {
		return nil
	}
	var hours []Hour
	largest := 1
	for t := startOfHour(since); t.Before(until); t = startOfHour(t.Add(time.Hour)) {
		// Where the clock is changed by half an hour, the hour that it has at its end counts.
		h := Hour{Label: t.Add(time.Hour - time.Second).Local().Format("15"), Count: numbers[t.Unix()], Bar: " "}
		hours = append(hours, h)
		largest = max(largest, h.Count)
	}
	for i := range hours {
		if h := &hours[i]; h.Count > 0 {
			h.Size = max(1, h.Count*100/largest)
			h.Bar = string(lowerBlocks[(h.Count*8-1)/largest])
		}
	}
	return hours
}
