package report

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/pyruse/pyruse/internal/state"
)

// chainNumber calls chains by their numbers.
func chainNumber(i int32) string { return fmt.Sprintf("chain %d", i) }

func newTally() *Tally {
	t := &Tally{}
	t.Use(chainNumber)
	return t
}

// entries is the number of entries of a service in an hour.
func entriesOf(hour time.Time, service string) state.TallyKey {
	return state.TallyKey{Hour: hour.Unix(), Kind: state.TallyEntries, Name: service}
}

func matchesOf(hour time.Time, chain, service string) state.TallyKey {
	return state.TallyKey{Hour: hour.Unix(), Kind: state.TallyMatches, Name: state.MatchName(chain, service)}
}

func compareTally(t testing.TB, got, want map[state.TallyKey]int64) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the numbers (-want +got):\n%s", diff)
	}
}

// TestTallyByHours has entries just before, at and behind the full hour, and one that comes late.
func TestTallyByHours(t *testing.T) {
	inZone(t, "UTC")
	eight := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	nine := eight.Add(time.Hour)
	c := newTally()
	for _, at := range []time.Time{nine.Add(-time.Microsecond), nine, nine.Add(time.Hour - time.Microsecond), eight} {
		c.Entry("sshd", at.UnixMicro(), []int32{1, 2})
	}
	c.Entry("cron", nine.UnixMicro(), nil)
	c.Count(state.TallyBans, "ssh", nine)
	c.Count(state.TallyBans, "ssh", nine.Add(time.Minute))
	compareTally(t, c.Collect(), map[state.TallyKey]int64{
		entriesOf(eight, "sshd"): 2, entriesOf(nine, "sshd"): 2, entriesOf(nine, "cron"): 1,
		matchesOf(eight, "chain 1", "sshd"): 2, matchesOf(eight, "chain 2", "sshd"): 2,
		matchesOf(nine, "chain 1", "sshd"): 2, matchesOf(nine, "chain 2", "sshd"): 2,
		{Hour: nine.Unix(), Kind: state.TallyBans, Name: "ssh"}: 2,
	})
}

// TestTallyHoursAreThoseOfTheLocalClock holds where zones are no whole hours from UTC, and where the clock is put forward by half an hour.
func TestTallyHoursAreThoseOfTheLocalClock(t *testing.T) {
	for _, x := range []struct{ zone, at, hour string }{
		{"UTC", "2026-11-22T08:59:59Z", "2026-11-22T08:00:00Z"},
		{"Asia/Kolkata", "2026-11-22T08:29:59Z", "2026-11-22T07:30:00Z"}, // +05:30: it is 13:59:59
		{"Asia/Kolkata", "2026-11-22T08:30:00Z", "2026-11-22T08:30:00Z"},
		{"Asia/Kathmandu", "2026-11-22T08:14:59Z", "2026-11-22T07:15:00Z"}, // +05:45
		{"Asia/Kathmandu", "2026-11-22T08:15:00Z", "2026-11-22T08:15:00Z"},
		{"America/St_Johns", "2026-11-22T08:29:59Z", "2026-11-22T07:30:00Z"}, // -03:30
		{"America/St_Johns", "2026-11-22T08:30:00Z", "2026-11-22T08:30:00Z"},
		{"Australia/Lord_Howe", "2026-10-03T15:29:59Z", "2026-10-03T14:30:00Z"}, // +10:30, a second before it is +11
		{"Australia/Lord_Howe", "2026-10-03T15:30:00Z", "2026-10-03T15:00:00Z"}, // 02:30
		{"Australia/Lord_Howe", "2026-10-03T16:00:00Z", "2026-10-03T16:00:00Z"},
		{"Asia/Kolkata", "1969-12-31T23:59:59Z", "1969-12-31T23:30:00Z"},
	} {
		inZone(t, x.zone)
		at, errAt := time.Parse(time.RFC3339, x.at)
		hour, errHour := time.Parse(time.RFC3339, x.hour)
		if errAt != nil || errHour != nil {
			t.Fatal(errAt, errHour)
		}
		c := newTally()
		c.Entry("sshd", at.UnixMicro(), nil)
		c.Count(state.TallyBans, "ssh", at)
		c.Lag(2e6, at.UnixMicro())
		compareTally(t, c.Collect(), map[state.TallyKey]int64{
			entriesOf(hour, "sshd"): 1, {Hour: hour.Unix(), Kind: state.TallyBans, Name: "ssh"}: 1, {Hour: hour.Unix(), Kind: state.TallyLag}: 2,
		})
	}
}

// commitTally adds what was counted since the last time.
func commitTally(c *Tally, got map[state.TallyKey]int64) {
	for k, n := range c.Collect() {
		got[k] += n
	}
	c.Committed()
}

// TestTallyIsBounded has somebody log under ever other names, and make ever other chains match, with many commits in the hour.
func TestTallyIsBounded(t *testing.T) {
	inZone(t, "UTC")
	hour := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	const names = 3 * maxServices
	c := newTally()
	got := map[state.TallyKey]int64{}
	for range 2 {
		for i := range names {
			c.Entry(fmt.Sprint(i), hour.UnixMicro(), nil)
			if i%10 == 0 {
				commitTally(c, got)
			}
		}
	}
	commitTally(c, got)
	if len(got) != maxServices+1 || got[entriesOf(hour, "0")] != 2 || got[entriesOf(hour, "")] != 2*(names-maxServices) {
		t.Errorf("of %d services, %d are told apart; the others have %d entries", names, len(got), got[entriesOf(hour, "")])
	}

	hour = hour.Add(time.Hour)
	const chains = 3 * maxMatches
	for i := range int32(chains) {
		c.Entry("sshd", hour.UnixMicro(), []int32{i})
		if i%100 == 0 {
			commitTally(c, got)
		}
	}
	commitTally(c, got)
	others := int64(0)
	for k, n := range got {
		if k == matchesOf(hour, chainNumber(chains-1), "") {
			others = n
		}
	}
	if got[entriesOf(hour, "sshd")] != chains || got[matchesOf(hour, "chain 0", "sshd")] != 1 || others != 1 {
		t.Errorf("%d entries, of the first chain %d, of the last %d", got[entriesOf(hour, "sshd")], got[matchesOf(hour, "chain 0", "sshd")], others)
	}
	own := 0
	for i := range int32(chains) {
		if got[matchesOf(hour, chainNumber(i), "sshd")] > 0 {
			own++
		}
	}
	if own != maxMatches {
		t.Errorf("%d chains are told apart by service, want %d", own, maxMatches)
	}
}

// TestTallyThatWaitsIsBounded has nothing committed for a long time: no more names are kept, but nothing is lost.
func TestTallyThatWaitsIsBounded(t *testing.T) {
	inZone(t, "UTC")
	hour := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	c := newTally()
	const more = 5_000
	for i := range maxTally + more {
		c.Count(state.TallyNotes, fmt.Sprint(i), hour)
	}
	c.Count(state.TallyNotes, "0", hour) // is known
	got := c.Collect()
	nameless := got[state.TallyKey{Hour: hour.Unix(), Kind: state.TallyNotes}]
	if len(got) != maxTally+1 || nameless != more || got[state.TallyKey{Hour: hour.Unix(), Kind: state.TallyNotes, Name: "0"}] != 2 {
		t.Errorf("%d numbers wait, %d of them without a name", len(got), nameless)
	}
	sum := int64(0)
	for _, n := range got {
		sum += n
	}
	if sum != maxTally+more+1 {
		t.Errorf("%d were counted, want %d", sum, maxTally+more+1)
	}
}

// TestTallyAfterAReload has chain 0 be another one from the reload on.
func TestTallyAfterAReload(t *testing.T) {
	inZone(t, "UTC")
	hour := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	c := newTally()
	c.Entry("sshd", hour.UnixMicro(), []int32{0})
	c.Use(func(int32) string { return "new" })
	c.Entry("sshd", hour.UnixMicro(), []int32{0})
	c.Entry("sshd", hour.UnixMicro(), []int32{0})
	compareTally(t, c.Collect(), map[state.TallyKey]int64{
		entriesOf(hour, "sshd"): 3, matchesOf(hour, "chain 0", "sshd"): 1, matchesOf(hour, "new", "sshd"): 2,
	})
	c.Committed()
	compareTally(t, c.Collect(), map[state.TallyKey]int64{})
}

// TestTallyOfTheLag holds the largest delay of each hour; less than a second is none.
func TestTallyOfTheLag(t *testing.T) {
	inZone(t, "UTC")
	hour := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	c := newTally()
	for _, usec := range []int64{999_999, 3_000_000, 12_500_000, 4_000_000, -5_000_000} {
		c.Lag(usec, hour.UnixMicro())
	}
	c.Lag(2e6, hour.Add(time.Hour).UnixMicro())
	compareTally(t, c.Collect(), map[state.TallyKey]int64{
		{Hour: hour.Unix(), Kind: state.TallyLag}: 12, {Hour: hour.Add(time.Hour).Unix(), Kind: state.TallyLag}: 2,
	})
}

// TestTallyCountsAsAPlainCountDoes compares it with a map, in zones of all kinds, with commits that fail and succeed between.
func TestTallyCountsAsAPlainCountDoes(t *testing.T) {
	zones := []string{"UTC", "Asia/Kolkata", "Asia/Kathmandu", "America/St_Johns", "Europe/Paris"}
	start := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	rapid.Check(t, func(rt *rapid.T) {
		inZone(t, rapid.SampledFrom(zones).Draw(rt, "zone"))
		_, offset := start.Local().Zone()
		c := newTally()
		want, sum := map[state.TallyKey]int64{}, map[state.TallyKey]int64{}
		for range rapid.IntRange(1, 100).Draw(rt, "steps") {
			switch rapid.IntRange(0, 9).Draw(rt, "step") {
			case 0: // a commit that succeeds
				for k, n := range c.Collect() {
					sum[k] += n
				}
				c.Committed()
			case 1: // one that fails
				c.Collect()
			default:
				at := start.Add(time.Duration(rapid.Int64Range(0, 3*3600e6).Draw(rt, "at")) * time.Microsecond)
				service := rapid.SampledFrom([]string{"", "sshd", "cron", "nginx"}).Draw(rt, "service")
				chains := rapid.SliceOfNDistinct(rapid.Int32Range(0, 4), 0, 3, rapid.ID).Draw(rt, "chains")
				// The hour, by what the local clock shows.
				local := at.Add(time.Duration(offset) * time.Second).UTC()
				hour := local.Truncate(time.Hour).Add(-time.Duration(offset) * time.Second)
				c.Entry(service, at.UnixMicro(), chains)
				want[entriesOf(hour, service)]++
				for _, i := range chains {
					want[matchesOf(hour, chainNumber(i), service)]++
				}
			}
		}
		for k, n := range c.Collect() {
			sum[k] += n
		}
		if !maps.Equal(sum, want) {
			rt.Fatalf("the numbers (-want +got):\n%s", cmp.Diff(want, sum))
		}
	})
}

// TestTallyDoesNotAllocate has entries of services and chains that are known, as nearly all are.
func TestTallyDoesNotAllocate(t *testing.T) {
	inZone(t, "UTC")
	hour := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC).UnixMicro()
	c := newTally()
	services, chains := []string{"sshd", "cron", "nginx", "kernel"}, [][]int32{{1}, {2, 3}, nil, {1, 2, 3}}
	i := 0
	one := func() {
		c.Entry(services[i%4], hour+int64(i), chains[i/4%4])
		c.Lag(1e6, hour)
		i++
	}
	for range 16 {
		one()
	}
	if n := testing.AllocsPerRun(1000, one); n != 0 {
		t.Errorf("%v allocations per entry", n)
	}
}
