package report

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pyruse/pyruse/internal/state"
)

// inZone makes a zone the local one for a test.
func inZone(t *testing.T, name string) {
	t.Helper()
	zone, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	local := time.Local
	time.Local = zone
	t.Cleanup(func() { time.Local = local })
}

func parseTime(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.ParseInLocation("2006-01-02 15:04", text, time.Local)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func banEvent(at time.Time, addr, chain string) state.BanEvent {
	return state.BanEvent{Time: at, Addr: netip.MustParseAddr(addr), Chain: chain}
}

func TestBans(t *testing.T) {
	day := time.Date(2026, 11, 22, 0, 0, 0, 0, time.Local)
	var b bans
	for i := range 12 {
		for range i + 1 {
			b.add(banEvent(day.Add(8*time.Hour), fmt.Sprintf("198.51.100.%d", i), "ssh"))
		}
	}
	b.add(banEvent(day.Add(9*time.Hour), "198.51.100.11", "mail"))
	for _, chain := range []string{"a", "b", "c", "d", "e"} {
		b.add(banEvent(day.Add(10*time.Hour), "203.0.113.1", chain))
	}
	for _, a := range []string{"2001:db8:0:1::1", "2001:db8:0:2::1", "2001:db8:1::1"} {
		b.add(banEvent(day.Add(10*time.Hour), a, ""))
	}
	v := b.view(day, day.AddDate(0, 0, 1))
	if v.Count != 87 || v.Addresses != 16 || v.Note != "" || v.More != "… and 6 more addresses" {
		t.Errorf("%d bans, %d addresses, %q, %q", v.Count, v.Addresses, v.Note, v.More)
	}
	shown := func(list []Banned) (lines []string) {
		for _, x := range list {
			lines = append(lines, fmt.Sprintf("%d %s %d%% %s (%s)", x.Count, x.Bar, x.Size, x.Name, x.Note))
		}
		return lines
	}
	for _, c := range []struct {
		name      string
		got, want []string
	}{
		{"addresses", shown(v.Top), []string{
			"13 ██████████ 100% 198.51.100.11 (ssh, mail)", "11 ████████▍ 84% 198.51.100.10 (ssh)", "10 ███████▋ 76% 198.51.100.9 (ssh)",
			"9 ██████▉ 69% 198.51.100.8 (ssh)", "8 ██████▏ 61% 198.51.100.7 (ssh)", "7 █████▍ 53% 198.51.100.6 (ssh)", "6 ████▌ 46% 198.51.100.5 (ssh)",
			"5 ███▊ 38% 198.51.100.4 (ssh)", "5 ███▊ 38% 203.0.113.1 (a, b, c, and 2 more)", "4 ███ 30% 198.51.100.3 (ssh)",
		}},
		{"networks", shown(v.Networks), []string{"79 ██████████ 100% 198.51.100.0/24 (12 addresses)", "2 ▎ 2% 2001:db8::/48 (2 addresses)"}},
		{"chains", shown(v.Chains), []string{
			"78 ██████████ 100% ssh ()", "3 ▍ 3% by hand ()", "1 ▏ 1% a ()", "1 ▏ 1% b ()", "1 ▏ 1% c ()", "1 ▏ 1% d ()", "1 ▏ 1% e ()", "1 ▏ 1% mail ()",
		}},
	} {
		if diff := cmp.Diff(c.want, c.got); diff != "" {
			t.Errorf("%s, -want +got:\n%s", c.name, diff)
		}
	}
	var hours strings.Builder
	for _, h := range v.Hours {
		fmt.Fprintf(&hours, "%s%s", h.Label, h.Bar)
	}
	if want := "00 01 02 03 04 05 06 07 08█09▁10▁11 12 13 14 15 16 17 18 19 20 21 22 23 "; hours.String() != want {
		t.Errorf("hours: %q, want %q", hours.String(), want)
	}
}

// An hour is that of the local clock, on days with 23 and 25 hours and in zones that are not whole hours from UTC too.
func TestBanHours(t *testing.T) {
	for _, c := range []struct {
		zone, since, until string
		bans               []string // times, RFC 3339
		want               string   // the label, and how many
	}{
		{
			"Europe/Paris", "2026-03-29 00:00", "2026-03-30 00:00",
			[]string{"2026-03-29T01:59:59+01:00", "2026-03-29T03:00:00+02:00", "2026-03-29T23:59:59+02:00"},
			"00 01:1 03:1 04 05 06 07 08 09 10 11 12 13 14 15 16 17 18 19 20 21 22 23:1",
		},
		{
			"Europe/Paris", "2026-10-25 00:00", "2026-10-26 00:00",
			[]string{"2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00", "2026-10-25T02:31:00+01:00", "2026-10-25T03:00:00+01:00"},
			"00 01 02:1 02:2 03:1 04 05 06 07 08 09 10 11 12 13 14 15 16 17 18 19 20 21 22 23",
		},
		{
			"Asia/Kolkata", "2026-11-22 00:00", "2026-11-23 00:00",
			[]string{"2026-11-22T00:00:00+05:30", "2026-11-22T00:59:59+05:30", "2026-11-22T01:00:00+05:30"},
			"00:2 01:1 02 03 04 05 06 07 08 09 10 11 12 13 14 15 16 17 18 19 20 21 22 23",
		},
		{
			"Australia/Lord_Howe", "2026-04-05 00:00", "2026-04-05 04:00", // at 02:00, the clock is set back by half an hour
			[]string{"2026-04-05T01:10:00+11:00", "2026-04-05T01:40:00+11:00", "2026-04-05T01:40:00+10:30", "2026-04-05T02:00:00+10:30"},
			"00 01:2 01:1 02:1 03",
		},
		{
			"Australia/Lord_Howe", "2026-10-04 00:00", "2026-10-04 04:00", // at 02:00, it is set forward by half an hour
			[]string{"2026-10-04T01:59:00+10:30", "2026-10-04T02:30:00+11:00", "2026-10-04T03:00:00+11:00"},
			"00 01:1 02:1 03:1",
		},
		{
			"Europe/Paris", "2026-11-22 07:30", "2026-11-22 09:30",
			[]string{"2026-11-22T07:30:00+01:00", "2026-11-22T09:29:00+01:00"},
			"07:1 08 09:1",
		},
		{"Europe/Paris", "2026-11-20 00:00", "2026-11-22 00:01", []string{"2026-11-20T07:30:00+01:00"}, ""},
	} {
		t.Run(c.zone+" "+c.since, func(t *testing.T) {
			inZone(t, c.zone)
			var b bans
			for _, text := range c.bans {
				at, err := time.Parse(time.RFC3339, text)
				if err != nil {
					t.Fatal(err)
				}
				b.add(banEvent(at, "192.0.2.1", "c"))
			}
			var got []string
			for _, h := range b.view(parseTime(t, c.since), parseTime(t, c.until)).Hours {
				text := h.Label
				if h.Count > 0 {
					text += fmt.Sprintf(":%d", h.Count)
				}
				got = append(got, text)
			}
			if got := strings.Join(got, " "); got != c.want {
				t.Errorf("%s\nwant %s", got, c.want)
			}
		})
	}
}

// What the log of bans had no room for is known by hour and chain. An hour that is only in part in the time of the report tells nothing.
func TestBansBeyondTheLog(t *testing.T) {
	since := time.Date(2026, 11, 22, 7, 30, 0, 0, time.Local)
	counted := func(b *bans, hour int, chain string, n int64) {
		b.tally(state.TallyKey{Hour: time.Date(2026, 11, 22, hour, 0, 0, 0, time.Local).Unix(), Kind: state.TallyBans, Name: chain}, n)
	}
	var b bans
	b.add(banEvent(since.Add(time.Minute), "192.0.2.1", "ssh"))
	b.add(banEvent(since.Add(time.Hour), "192.0.2.1", "ssh"))
	counted(&b, 7, "ssh", 10) // nine of them before the report's time
	counted(&b, 8, "ssh", 1)
	v := b.view(since, since.Add(4*time.Hour))
	if v.Count != 2 || v.Note != "" {
		t.Errorf("all is in the log: %d bans, %q", v.Count, v.Note)
	}
	counted(&b, 9, "ssh", 3)
	counted(&b, 9, "mail", 1000)
	counted(&b, 11, "mail", 7) // this hour is not over
	v = b.view(since, since.Add(4*time.Hour))
	const note = "The addresses of 1,003 are not known: there were more bans than the log of bans has room for."
	if v.Count != 1005 || v.Addresses != 1 || v.Note != note || v.Hours[2].Count != 1003 {
		t.Errorf("%d bans of %d addresses, %q, hours %v", v.Count, v.Addresses, v.Note, v.Hours)
	}
	if len(v.Chains) != 2 || v.Chains[0].Name != "mail" || v.Chains[0].Count != 1000 || v.Chains[1].Count != 5 {
		t.Errorf("chains: %+v", v.Chains)
	}
	var none bans
	counted(&none, 9, "mail", 5)
	if v := none.view(since, since.Add(4*time.Hour)); v.Count != 5 || v.Addresses != 0 || v.Note == "" || len(v.Top) > 0 {
		t.Errorf("none is in the log: %+v", v)
	}
}

func TestNumbers(t *testing.T) {
	r := NewReport(nil)
	for _, c := range []struct {
		kind, name string
		n          int64
	}{
		{state.TallyEntries, "sshd", 1_000_000}, {state.TallyEntries, "cron", 234_567}, {state.TallyMatches, state.MatchName("c", "sshd"), 99},
		{state.TallyBans, "ssh", 3}, {state.TallyRefused, "ssh", 2}, {state.TallyErrors, "a", 1}, {state.TallyErrors, "b", 5}, {state.TallyErrors, "", 2},
		{state.TallyErrors, "c", 5}, {state.TallyErrors, "d", 1}, {state.TallyNotes, "subject", 4}, {state.TallyLag, "", 700}, {state.TallyLag, "", 30},
	} {
		r.count(state.TallyKey{Hour: today.Unix(), Kind: c.kind, Name: c.name}, c.n)
	}
	r.Add(state.ReportLine{Level: state.ReportWarn, Time: today, Message: "w"})
	told := r.tell(&setting{
		since: today, until: today.AddDate(0, 0, 1), memory: remember(nil, nil, today, 30, true),
		health: Health{Problems: []string{"a problem"}, Failed: []string{"f1", "f2", "f3", "f4"}, Waiting: 7, LeftOut: 2},
	})
	want := []Total{
		{Name: "entries seen", Value: "1,234,567"}, {Name: "report lines", Value: "1"}, {Name: "bans", Value: "3", Note: "2 refused"},
		{Name: "mails", Value: "4", Note: "7 waiting, 4 failed", Alarm: true},
		{Name: "errors of Pyruse", Value: "14", Alarm: true}, {Name: "longest delay", Value: "11 min", Alarm: true},
		{Name: "configuration files left out", Value: "2", Alarm: true},
	}
	if diff := cmp.Diff(want, told.view.Totals); diff != "" {
		t.Errorf("totals, -want +got:\n%s", diff)
	}
	attention := []string{
		"a problem", "4 mails could not be delivered: f1; f2; f3; and 1 more", "14 errors of Pyruse itself, in b, c, other chains, and 2 more",
		"entries were handled as late as 11 min after they were logged", "1 warning",
	}
	if diff := cmp.Diff(attention, told.view.Attention); diff != "" {
		t.Errorf("attention, -want +got:\n%s", diff)
	}
}

func TestThousandsAndShortTime(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", -1000: "-1,000", -100: "-100", 1234567: "1,234,567"} {
		if got := thousands(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{
		0: "0 s", 119 * time.Second: "119 s", 2 * time.Minute: "2 min", 119 * time.Minute: "119 min", 2 * time.Hour: "2 h", 47 * time.Hour: "47 h", 48 * time.Hour: "2 d",
	} {
		if got := shortTime(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}
