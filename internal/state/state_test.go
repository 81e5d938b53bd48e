package state

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var (
	noon    = time.Date(2026, 11, 22, 12, 0, 0, 123000, time.UTC)
	byValue = cmp.Options{cmpopts.EquateComparable(netip.Addr{}), cmpopts.EquateApproxTime(0)}
)

func open(t *testing.T, dir string, limits Limits) *DB {
	t.Helper()
	db, aside, err := Open(dir, limits, noon)
	if err != nil || aside != "" {
		t.Fatalf("Open: set aside %q, error %v", aside, err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return db
}

var roomy = Limits{ReportLines: 1000, Outbox: 1000}

func commit(t *testing.T, db *DB, b *Batch) Result {
	t.Helper()
	r, err := db.Commit(b)
	if err != nil {
		t.Fatalf("Commit: %v", err)
	}
	return r
}

func TestBatchComesBack(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "folder")
	db := open(t, dir, roomy)
	want := Batch{
		Cursor: "s=1;i=2",
		Bans: []Ban{
			{BackendIPSet, "mail", netip.MustParseAddr("2001:db8::1"), noon, time.Time{}, "", 0},
			{BackendNFT, "ip Inet4 mail_ban", netip.MustParseAddr("192.0.2.1"), noon, noon.Add(time.Hour), "… ban", 3},
		},
		Counters: []Counter{
			{"ssh", "s192.0.2.1", []Run{{noon.UnixMicro(), 2}, {Forever, 1}}, 0},
			{"ssh", "s192.0.2.2", nil, noon.UnixMicro()},
		},
		DNAT:   []DNAT{{1, `["a"]`, noon}},
		Notes:  []Note{{MessageID: "a@b", Subject: "s", Text: "x\n", Time: noon, Created: noon.Add(time.Second)}},
		Banned: []BanEvent{{noon, netip.MustParseAddr("192.0.2.1"), "… ban"}},
		Seen:   []string{"e1", "e2", "e1"},
	}
	want.Report = []ReportLine{{
		Level: ReportOther, Time: noon, Message: "a m", Details: "ALL", Service: "sshd", Unit: "ssh.service", Start: 2, Length: 1, Acted: true,
	}}
	commit(t, db, &want)

	got := Batch{}
	var err error
	if got.Cursor, err = db.Cursor(); err != nil {
		t.Fatal(err)
	}
	if got.Bans, err = db.Bans(); err != nil {
		t.Fatal(err)
	}
	if err := db.Counters(func(c Counter) { got.Counters = append(got.Counters, c) }); err != nil {
		t.Fatal(err)
	}
	if err := db.DNAT(func(x DNAT) { got.DNAT = append(got.DNAT, x) }); err != nil {
		t.Fatal(err)
	}
	if err := db.Notes("s", 1, func(n Note) bool { got.Notes = append(got.Notes, n); return true }); err != nil {
		t.Fatal(err)
	}
	if err := db.BanEvents(noon, noon.Add(time.Second), func(x BanEvent) { got.Banned = append(got.Banned, x) }); err != nil {
		t.Fatal(err)
	}
	if _, err := db.ReportLines(noon.Add(time.Second), func(l ReportLine) bool { got.Report = append(got.Report, l); return true }); err != nil {
		t.Fatal(err)
	}
	want.Notes[0].ID, want.Report[0].ID = 1, 1
	ignore := cmpopts.IgnoreFields(Batch{}, "Seen")
	if diff := cmp.Diff(want, got, byValue, ignore); diff != "" {
		t.Errorf("what came back differs (-want +got):\n%s", diff)
	}
	if seen, err := db.Seen(); err != nil || !cmp.Equal(seen, []string{"e1", "e2"}) {
		t.Errorf("Seen: %v, %v", seen, err)
	}

	commit(t, db, &Batch{
		Counters:     []Counter{{Category: "ssh", Key: "s192.0.2.1"}},
		Unbans:       []BanKey{want.Bans[0].Key()},
		ForgetDNAT:   []int64{1},
		ForgetBefore: noon.Add(2 * time.Hour),
	})
	if bans, err := db.Bans(); err != nil || len(bans) != 0 {
		t.Errorf("bans after removal: %v, %v", bans, err)
	}
	n := 0
	if err := db.Counters(func(Counter) { n++ }); err != nil || n != 1 {
		t.Errorf("%d counters after a deletion, want 1; %v", n, err)
	}
	if cursor, err := db.Cursor(); err != nil || cursor != "s=1;i=2" {
		t.Errorf("a batch without cursor changed it to %q; %v", cursor, err)
	}
}

// A counter that was reset for a while, and counts nothing, may be the first of a batch.
func TestGraceAlone(t *testing.T) {
	db := open(t, t.TempDir(), roomy)
	want := Counter{Category: "ssh", Key: "s192.0.2.2", Grace: noon.UnixMicro()}
	commit(t, db, &Batch{Counters: []Counter{want}})
	var got []Counter
	if err := db.Counters(func(c Counter) { got = append(got, c) }); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Counter{want}, got); diff != "" {
		t.Error(diff)
	}
}

// Boot mode and the daemon may start at the same time, and both find a database that is not there yet.
func TestOpenedByTwoAtOnce(t *testing.T) {
	for range 20 {
		dir := t.TempDir()
		var both sync.WaitGroup
		for range 4 {
			both.Go(func() {
				db, aside, err := Open(dir, roomy, noon)
				if err != nil || aside != "" {
					t.Errorf("Open: set aside %q, error %v", aside, err)
					return
				}
				if err := db.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		both.Wait()
	}
}

func TestFilesArePrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "s")
	db := open(t, dir, roomy)
	commit(t, db, &Batch{Cursor: "c"})
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		info, err := f.Info()
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, want 0600", f.Name(), info.Mode().Perm())
		}
	}
}

// Root looks after the bans while the daemon, which is another user, does not run.
func TestFilesOfRootAreTheDaemons(t *testing.T) {
	const daemon, group = 1234, 1235
	dir := t.TempDir()
	if err := os.Chown(dir, daemon, group); err != nil {
		t.Fatalf("this test needs root: %v", err)
	}
	unlock, err := Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	db := open(t, dir, roomy)
	commit(t, db, &Batch{Cursor: "s=1"}) // now the files beside it are there
	files, err := os.ReadDir(dir)
	if err != nil || len(files) < 3 {
		t.Fatalf("files: %v, error %v", files, err)
	}
	for _, file := range files {
		info, err := file.Info()
		if err != nil {
			t.Fatal(err)
		}
		if owner := info.Sys().(*syscall.Stat_t); owner.Uid != daemon || owner.Gid != group {
			t.Errorf("%s belongs to %d:%d", file.Name(), owner.Uid, owner.Gid)
		}
	}
	if err := unlock(); err != nil {
		t.Error(err)
	}
}

func TestLinkIsNoPlaceToMakeAFile(t *testing.T) {
	dir, elsewhere := t.TempDir(), filepath.Join(t.TempDir(), "made")
	if err := os.Symlink(elsewhere, filepath.Join(dir, FileName)); err != nil {
		t.Fatal(err)
	}
	if db, _, err := Open(dir, roomy, noon); err == nil {
		t.Error("a database was opened", db.Close())
	}
	if _, err := os.Lstat(elsewhere); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("there is a file behind the link: %v", err)
	}
}

func TestBoundsDropAndCount(t *testing.T) {
	db := open(t, t.TempDir(), Limits{ReportLines: 3, Outbox: 2})
	b := &Batch{}
	for i := range 5 {
		b.Report = append(b.Report, ReportLine{Time: noon, Message: fmt.Sprint(i), Details: "ALL"})
	}
	if r := commit(t, db, b); r != (Result{DroppedLines: 2}) {
		t.Errorf("dropped %+v, want 2 lines", r)
	}
	post := func(id string) error {
		return db.Post(&Posting{Mail: Mail{MessageID: id, Data: []byte("x"), Created: noon, NextTry: noon}})
	}
	for i, want := range []error{nil, nil, ErrOutboxFull} {
		if err := post(fmt.Sprint(i)); !errors.Is(err, want) {
			t.Errorf("mail %d: %v, want %v", i, err, want)
		}
	}
	if err := db.MailSent(1); err != nil {
		t.Fatal(err)
	}
	if err := post("9"); err != nil {
		t.Errorf("after room was made: %v", err)
	}
}

func TestBoundsChange(t *testing.T) {
	db := open(t, t.TempDir(), Limits{ReportLines: 2, Outbox: 1})
	line := ReportLine{Time: noon, Message: "m", Details: "ALL"}
	b := &Batch{Report: []ReportLine{line, line}}
	commit(t, db, b)
	db.SetLimits(Limits{ReportLines: 3, Outbox: 1})
	if r := commit(t, db, b); r != (Result{DroppedLines: 1}) {
		t.Errorf("with more room: dropped %+v, want 1 line", r)
	}
	db.SetLimits(Limits{ReportLines: 1, Outbox: 1})
	if r := commit(t, db, b); r != (Result{DroppedLines: 2}) || db.lines != 3 {
		t.Errorf("with less room: dropped %+v, want 2 lines; %d lines, want the 3 from before", r, db.lines)
	}
}

func TestSameMailIsOneMail(t *testing.T) {
	db := open(t, t.TempDir(), roomy)
	for range 2 {
		if err := db.Post(&Posting{Mail: Mail{MessageID: "same", Data: []byte("x"), NextTry: noon}}); err != nil {
			t.Fatal(err)
		}
	}
	if waiting, failed, err := db.MailCounts(); waiting != 1 || failed != 0 || err != nil {
		t.Errorf("%d mails, %d failed, %v; want 1", waiting, failed, err)
	}
}

func TestDamagedFileIsSetAside(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, FileName), []byte(strings.Repeat("not a database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	db, aside, err := Open(dir, roomy, noon)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	if data, err := os.ReadFile(aside); err != nil || !strings.HasPrefix(string(data), "not a database") {
		t.Errorf("the damaged file is not under %q: %v", aside, err)
	}
	commit(t, db, &Batch{Cursor: "c"})
}

// TestDamageAtRunTime overwrites the pages of the open file: the next commit or read finds out.
func TestDamageAtRunTime(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir, roomy)
	b := &Batch{}
	for i := range 5000 {
		b.Counters = append(b.Counters, Counter{"c", fmt.Sprintf("s%d", i), []Run{{Forever, 1}}, 0})
	}
	commit(t, db, b)
	if _, err := db.writer.Exec("PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, FileName)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(make([]byte, info.Size()-4096), 4096); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	err = db.Counters(func(Counter) {})
	if !errors.Is(err, ErrDamaged) {
		t.Fatalf("reading damaged pages: %v, want ErrDamaged", err)
	}
	aside, err := db.SetAside(noon)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(aside); err != nil {
		t.Error(err)
	}
	commit(t, db, b)
}

func TestNewerSchemaIsRefused(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir, roomy)
	if _, err := db.writer.Exec("PRAGMA user_version = 99"); err != nil {
		t.Fatal(err)
	}
	_, aside, err := Open(dir, roomy, noon)
	if err == nil || aside != "" || !strings.Contains(err.Error(), "newer Pyruse") {
		t.Errorf("Open: set aside %q, error %v", aside, err)
	}
}

func TestLockExcludes(t *testing.T) {
	dir := t.TempDir()
	unlock, err := Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Lock(dir); !errors.Is(err, ErrLocked) {
		t.Errorf("second lock: %v, want ErrLocked", err)
	}
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
	unlock, err = Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := unlock(); err != nil {
		t.Error(err)
	}
}

func TestSeenIsBounded(t *testing.T) {
	db := open(t, t.TempDir(), roomy)
	b := &Batch{}
	for i := range SeenKept + 500 {
		b.Seen = append(b.Seen, fmt.Sprint(i))
	}
	commit(t, db, b)
	seen, err := db.Seen()
	if err != nil || len(seen) != SeenKept || seen[SeenKept-1] != fmt.Sprint(SeenKept+499) {
		t.Errorf("%d ids kept, want the newest %d; %v", len(seen), SeenKept, err)
	}
}

func TestLegacyBans(t *testing.T) {
	text := `[{"IP": "192.0.2.1", "nfSet": "ip Inet4 mail_ban", "timestamp": 1542000000.5},
		{"IP": "::ffff:192.0.2.2", "nfSet": "ip Inet4 mail_ban", "timestamp": 0},
		{"IP": "; flush ruleset", "nfSet": "x", "timestamp": 0}, {"IP": 7}, {"IP": "192.0.2.3", "nfSet": "s", "timestamp": -1}]`
	bans, skipped, err := ParseLegacyBans(strings.NewReader(text), BackendNFT)
	want := []Ban{
		{Backend: BackendNFT, Set: "ip Inet4 mail_ban", Addr: netip.MustParseAddr("192.0.2.1"), Until: time.UnixMicro(1542000000500000)},
		{Backend: BackendNFT, Set: "ip Inet4 mail_ban", Addr: netip.MustParseAddr("192.0.2.2")},
	}
	if diff := cmp.Diff(want, bans, byValue); diff != "" || skipped != 3 || err != nil {
		t.Errorf("skipped %d, error %v, bans (-want +got):\n%s", skipped, err, diff)
	}
	bans, _, err = ParseLegacyBans(strings.NewReader(text[:90]), BackendNFT)
	if len(bans) != 1 || err == nil {
		t.Errorf("a file that breaks off: %d bans, error %v", len(bans), err)
	}
}

func TestTakeOverHappensOnce(t *testing.T) {
	db := open(t, t.TempDir(), roomy)
	b := &Batch{Report: []ReportLine{{Time: noon, Message: "m", Details: "ALL"}}}
	for i, want := range []bool{true, false} {
		if done, err := db.TakeOver("f", b); done != want || err != nil {
			t.Errorf("try %d: %v, %v; want %v", i+1, done, err, want)
		}
	}
	n := 0
	if _, err := db.ReportLines(noon.Add(1), func(ReportLine) bool { n++; return true }); err != nil || n > 1 {
		t.Errorf("%d lines; %v", n, err)
	}
}

func FuzzParseLegacyBans(f *testing.F) {
	f.Add(`[{"IP": "192.0.2.1", "nfSet": "ip t s", "timestamp": 1e9}]`)
	f.Add(`[{"IP": "::1", "nfSet": "s", "timestamp": 1e300},`)
	f.Add(`{}`)
	f.Fuzz(func(t *testing.T, text string) {
		bans, _, _ := ParseLegacyBans(strings.NewReader(text), BackendNFT)
		for _, b := range bans {
			if !b.Addr.IsValid() || b.Addr.Is4In6() || b.Set == "" {
				t.Errorf("%q gave %+v", text, b)
			}
		}
	})
}

func BenchmarkCommitBans(b *testing.B) {
	db, _, err := Open(b.TempDir(), roomy, noon)
	if err != nil {
		b.Fatal(err)
	}
	batch := &Batch{Cursor: "c"}
	for i := range 1000 {
		batch.Bans = append(batch.Bans, Ban{BackendNFT, "inet pyruse ban4", netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), noon, noon, "chain", 1})
	}
	for b.Loop() {
		if _, err := db.Commit(batch); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/ban")
	if err := db.Close(); err != nil {
		b.Fatal(err)
	}
}

// TestReportKeepsWhatCameMeanwhile adds a line between reading and closing.
func TestReportKeepsWhatCameMeanwhile(t *testing.T) {
	db := open(t, t.TempDir(), roomy)
	midnight := noon.Add(12 * time.Hour)
	commit(t, db, &Batch{Report: []ReportLine{
		{Level: ReportInfo, Time: noon.Add(time.Second), Message: "second", Details: "ALL"},
		{Level: ReportInfo, Time: noon, Message: "first", Details: "ALL"},
		{Level: ReportInfo, Time: midnight, Message: "tomorrow", Details: "ALL"},
	}})
	lines := func() (messages []string, upTo int64) {
		upTo, err := db.ReportLines(midnight, func(l ReportLine) bool { messages = append(messages, l.Message); return true })
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(messages) // they come in no order
		return messages, upTo
	}
	got, upTo := lines()
	if diff := cmp.Diff([]string{"first", "second"}, got); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	commit(t, db, &Batch{Report: []ReportLine{{Level: ReportInfo, Time: noon, Message: "late", Details: "ALL"}}})
	closing := &Closing{Report: Report{Until: midnight, UpTo: upTo, Lines: len(got)}, Mail: &Mail{MessageID: "r", Data: []byte("x")}}
	if err := db.CloseReport(closing); err != nil {
		t.Fatal(err)
	}
	if got, _ := lines(); len(got) != 1 || got[0] != "late" {
		t.Errorf("after closing there is %q, want only the late line", got)
	}
	if m, ok, err := db.NextMail(); !ok || m.MessageID != "r" || err != nil {
		t.Errorf("outbox: %+v, %v, %v", m, ok, err)
	}
	if last, err := db.LastReport(); !last.Equal(midnight) || err != nil {
		t.Errorf("last report %v, %v", last, err)
	}
}
