package report

import (
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pyruse/pyruse/internal/mail"
	"github.com/pyruse/pyruse/internal/state"
)

// bigDay makes the lines of a day on which much comes that nobody expects.
type bigDay struct {
	lines, distinct int
	wild            bool // the distinct ones are no variants of a few kinds
	more            int  // as many bans and warnings beside them, all different
	start           time.Time
}

// kindsOfLines are what usual services write; %d is a number that differs from line to line, and %s a name.
var kindsOfLines = []struct{ service, format string }{
	{"nginx", `192.0.2.%[1]d - - [22/Nov/2026:00:00:32 +0000] "GET /%[2]s/page-%[1]d HTTP/2.0" 200 %[1]d "-" "Mozilla/5.0 (X11; Linux x86_64; rv:132.0)"`},
	{"sshd", `Connection closed by authenticating user %[2]s 198.51.100.7 port %[1]d [preauth]`},
	{"postfix/smtpd", `connect from mail-%[1]d.%[2]s.example.net[203.0.113.9]`},
	{"kernel", `nft-drop: IN=eth0 OUT= SRC=203.0.113.9 DST=192.0.2.1 LEN=40 TTL=244 ID=%[1]d PROTO=TCP SPT=%[1]d DPT=23`},
	{"gitea", `2026/11/22 00:00:23 HTTPRequest [I] router: completed POST /%[2]s/project for 192.0.2.237:0, 200 OK in %[1]d.5ms @ repo/githttp.go:496`},
	{"dovecot", `imap(%[2]s)<%[1]d><3A6A4C0F8346D496>: Disconnected: Logged out in=370 out=%[1]d deleted=0 expunged=0 trashed=0`},
	{"systemd", `session-%[1]d.scope: Deactivated successfully.`},
	{"cron", `(%[2]s) CMD (run-parts --report /etc/cron.hourly/%[1]d)`},
}

// line returns a line of the day. Those whose numbers differ by a multiple of distinct have the same message.
func (d bigDay) line(i int) state.ReportLine {
	n := i % d.distinct
	kind := kindsOfLines[n%len(kindsOfLines)]
	message := fmt.Sprintf(kind.format, n, d.name(n))
	l := state.ReportLine{
		Time: d.start.Add(time.Duration(i) * 24 * time.Hour / time.Duration(d.lines)), Details: All, Message: kind.service + ": " + message,
		Service: kind.service, Unit: kind.service + ".service", Start: len(kind.service) + 2, Length: len(message),
	}
	if d.wild {
		l.Message += " " + d.name(n*7919) + " " + d.name(n*104729+1) + d.name(n)
		l.Length = len(l.Message) - l.Start
	}
	return l
}

// name returns a word: one of 300, or one of very many.
func (d bigDay) name(n int) string {
	if !d.wild {
		n %= 300
	}
	var b strings.Builder
	for h := hashText(9, strconv.Itoa(n)); b.Len() < 7; h /= 26 {
		b.WriteByte('a' + byte(h%26))
	}
	return b.String()
}

// put writes the day into a database.
func (d bigDay) put(t testing.TB) *state.DB {
	t.Helper()
	db := openState(t)
	const size = 10_000
	for i := 0; i < d.lines; i += size {
		b := &state.Batch{}
		for j := i; j < min(i+size, d.lines); j++ {
			b.Report = append(b.Report, d.line(j))
		}
		commit(t, db, b)
	}
	for i := 0; i < d.more; i += size {
		b := &state.Batch{}
		for j := i; j < min(i+size, d.more); j++ {
			at := d.start.Add(time.Duration(j) * time.Millisecond)
			b.Banned = append(b.Banned, state.BanEvent{Time: at, Addr: netip.AddrFrom4([4]byte{10, byte(j >> 16), byte(j >> 8), byte(j)}), Chain: "ssh"})
			b.Report = append(b.Report, state.ReportLine{Level: state.ReportWarn, Time: at, Message: "a warning of " + d.name(j*31), Details: All})
		}
		commit(t, db, b)
	}
	return db
}

func openState(t testing.TB) *state.DB {
	t.Helper()
	db, _, err := state.Open(t.TempDir(), state.Limits{ReportLines: 2_000_000, Outbox: 1000}, time.Unix(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func commit(t testing.TB, db *state.DB, b *state.Batch) {
	t.Helper()
	if result, err := db.Commit(b); err != nil || result.DroppedLines > 0 {
		t.Fatalf("commit: %d dropped, %v", result.DroppedLines, err)
	}
}

// A big day fits into a mail that says what it left out. The full size is measured by docs/benchmarks.
func TestBigDay(t *testing.T) {
	d := bigDay{lines: 40_000, distinct: 8_000, wild: true, more: 20_000, start: time.Date(2026, 11, 22, 0, 0, 0, 0, time.Local)}
	db := d.put(t)
	m := &Maker{Book: db, Settings: settings(t, "root@example.org")}
	until := d.start.AddDate(0, 0, 1)
	made, out, err := m.Close(until, until.Add(settle))
	if err != nil {
		t.Fatal(err)
	}
	if n := mail.Size(out.Data); n > MaxMail || n < MaxMail/3 {
		t.Errorf("the mail has %d bytes", n)
	}
	if made.Lines != d.lines+d.more {
		t.Errorf("%d lines", made.Lines)
	}
	_, left, _ := strings.Cut(made.Text, "\n== Left out\n")
	for _, want := range []string{" of 20,000 warnings\n", " kinds of other lines\n", "\n to see every line: pyruse report --date 2026-11-22 --raw\n"} {
		if !strings.Contains(left, want) {
			t.Errorf("%q is missing in what is left out:\n%s", want, left)
		}
	}
	for _, want := range []string{"\n20,000 bans of 20,000 addresses.\n", "\n … and 19,990 more addresses\n", "\n40,000 lines, like these:\n"} {
		if !strings.Contains(made.Text, want) {
			t.Errorf("%q is missing in:\n%.3000s", want, made.Text)
		}
	}
}

// What a report holds is bounded, whatever comes.
func TestReportIsBounded(t *testing.T) {
	const most = 130 << 20 // bytes; with what is garbage meanwhile, and the program, the process stays below 200 MB
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	r := NewReport(nil)
	d := bigDay{lines: 200_000, distinct: 200_000, wild: true, start: time.Date(2026, 11, 22, 0, 0, 0, 0, time.Local)}
	for i := range d.lines {
		l := d.line(i)
		r.Add(l)
		if i%4 == 0 {
			l.Level = state.ReportWarn
			r.Add(l)
		}
	}
	if n := heap() - before; n > most {
		t.Errorf("%d MiB are held", n>>20)
	} else {
		t.Logf("%d MiB are held", n>>20)
	}
	if r.other.miner.Left() == 0 || r.warnings.more == 0 {
		t.Error("the bounds were not reached")
	}
	runtime.KeepAlive(r)
}

// A report of the day a million lines came, a hundred thousand of them different, from the database to the outbox.
func BenchmarkBigDay(b *testing.B) {
	for _, d := range []struct {
		name string
		day  bigDay
	}{
		{"usual", bigDay{lines: 1_000_000, distinct: 100_000}},
		{"wild", bigDay{lines: 1_000_000, distinct: 100_000, wild: true}},
		{"everything", bigDay{lines: 1_000_000, distinct: 500_000, wild: true, more: 200_000}},
	} {
		b.Run(d.name, func(b *testing.B) {
			d.day.start = time.Date(2026, 11, 22, 0, 0, 0, 0, time.Local)
			db := d.day.put(b)
			m := &Maker{Book: db, Settings: settings(b, "root@example.org")}
			debug.FreeOSMemory()
			resetPeak(b)
			for b.Loop() {
				made, err := m.Pending(d.day.start.AddDate(0, 0, 1), false)
				if err != nil || made.Lines != d.day.lines+d.day.more {
					b.Fatalf("%d lines, %v", made.Lines, err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Seconds())/float64(b.N), "s")
			b.ReportMetric(peak(b), "MB-resident")
		})
	}
}

// resetPeak makes the largest resident memory so far that of now, and peak returns it in MiB (proc(5), VmHWM).
func resetPeak(b *testing.B) {
	b.Helper()
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		b.Fatal(err)
	}
}

func peak(b *testing.B) float64 {
	b.Helper()
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Fatal(err)
	}
	for l := range strings.Lines(string(data)) {
		if kib, ok := strings.CutPrefix(l, "VmHWM:"); ok {
			n, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(kib), " kB"), 64)
			if err != nil {
				b.Fatal(err)
			}
			return n / 1024
		}
	}
	b.Fatal("/proc/self/status has no VmHWM")
	return 0
}
