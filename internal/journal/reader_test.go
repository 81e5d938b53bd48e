package journal_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/pyruse/pyruse/internal/journal"
	"github.com/pyruse/pyruse/internal/journal/journaltest"
)

// patience bounds the waits of the tests; only a failure uses it up.
const patience = 20 * time.Second

func open(t testing.TB, o journal.Options) *journal.Reader {
	t.Helper()
	r, err := journal.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return r
}

func follow(t testing.TB, r *journal.Reader) <-chan struct{} {
	t.Helper()
	changed, err := r.Follow()
	if err != nil {
		t.Fatal(err)
	}
	return changed
}

// message returns the current entry's MESSAGE if the test sent it, else "": journald
// logs things of its own.
func message(r *journal.Reader) string {
	if id, _ := r.Field("SYSLOG_IDENTIFIER"); strings.HasPrefix(string(id), "systemd") {
		return ""
	}
	b, _ := r.Field("MESSAGE")
	return string(b)
}

// rest reads to the end of what is there.
func rest(t testing.TB, r *journal.Reader) []string {
	t.Helper()
	var all []string
	for {
		ok, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return all
		}
		if m := message(r); m != "" {
			all = append(all, m)
		}
	}
}

// await reads n messages, waiting for them as the daemon does.
func await(t testing.TB, r *journal.Reader, changed <-chan struct{}, n int) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var all []string
	for {
		all = append(all, rest(t, r)...)
		if len(all) >= n {
			return all
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("got %d of %d messages: %q", len(all), n, all)
		}
	}
}

func send(t testing.TB, messages ...string) {
	t.Helper()
	for _, m := range messages {
		journaltest.Message(t, m)
	}
}

func numbered(prefix string, from, to int) []string {
	var all []string
	for i := from; i < to; i++ {
		all = append(all, prefix+strconv.Itoa(i))
	}
	return all
}

func want(t testing.TB, got, want []string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("messages (-want +got):\n%s", diff)
	}
}

func TestReaderFields(t *testing.T) {
	journaltest.Fresh(t)
	long := strings.Repeat("é", 3000) // 6000 bytes
	journaltest.Send(t,
		journaltest.F("MESSAGE", "first"), journaltest.F("MESSAGE", "second"),
		journaltest.F("BINARY", "a\x00b\nc\xff"), journaltest.F("EMPTY", ""),
		journaltest.F("LONG", "x"+long), journaltest.F("RAW", strings.Repeat("\xbf", 2000)), journaltest.F("PRIORITY", "4"))
	journaltest.Sync(t)
	r := open(t, journal.Options{MaxField: 1000})
	found := false
	for !found {
		ok, err := r.Next()
		if err != nil || !ok {
			t.Fatalf("Next: %v, %v", ok, err)
		}
		_, found = r.Field("BINARY")
	}
	for _, c := range []struct {
		field, want string
		ok          bool
	}{
		{"MESSAGE", "first", true},
		{"BINARY", "a\x00b\nc\xff", true},
		{"EMPTY", "", true},
		{"LONG", "x" + long[:998], true}, // not 999: that would split the é
		{"RAW", strings.Repeat("\xbf", 1000), true},
		{"PRIORITY", "4", true},
		{"_UID", "0", true},
		{"__REALTIME_TIMESTAMP", strconv.FormatInt(r.UnixMicro(), 10), true},
		{"__CURSOR", r.Cursor(), true},
		{"__SEQNUM", "", false},
		{"MISSING", "", false},
		{"", "", false},
		{"not a name", "", false},
		{"A=B", "", false},
	} {
		got, ok := r.Field(c.field)
		if string(got) != c.want || ok != c.ok {
			t.Errorf("Field(%q) = %q, %v; want %q, %v", c.field, got, ok, c.want, c.ok)
		}
	}
	if _, ok := r.Field("__MONOTONIC_TIMESTAMP"); !ok {
		t.Error("no __MONOTONIC_TIMESTAMP")
	}
	if s := r.Stats(); s != (journal.Stats{}) {
		t.Errorf("stats %+v", s)
	}
}

// Pyruse 2 stopped at an entry without MESSAGE.
func TestPyruse2EntryWithoutMessage(t *testing.T) {
	journaltest.Fresh(t)
	journaltest.Send(t, journaltest.F("OTHER", "thing"))
	send(t, "behind")
	journaltest.Sync(t)
	r := open(t, journal.Options{})
	want(t, rest(t, r), []string{"behind"})
}

func TestReaderHugeMessage(t *testing.T) {
	journaltest.Fresh(t)
	huge := strings.Repeat("0123456789abcdef", 1<<20) // 16 MiB
	r := open(t, journal.Options{})
	changed := follow(t, r)
	send(t, huge, "behind")
	got := await(t, r, changed, 2)
	want(t, got, []string{huge[:journal.DefaultMaxField], "behind"})
}

func TestReaderTail(t *testing.T) {
	journaltest.Fresh(t)
	send(t, numbered("old", 0, 10)...)
	journaltest.Rotate(t)
	send(t, numbered("old", 10, 20)...)
	journaltest.Sync(t)
	r := open(t, journal.Options{})
	if err := r.SeekTail(); err != nil {
		t.Fatal(err)
	}
	if r.Position() == "" {
		t.Error("no position at the tail")
	}
	if got, ok := r.Field("MESSAGE"); ok {
		t.Errorf("a field before Next: %q", got)
	}
	changed := follow(t, r)
	want(t, rest(t, r), nil)
	send(t, "new1")
	want(t, await(t, r, changed, 1), []string{"new1"})
	journaltest.Rotate(t)
	send(t, "new2", "new3")
	want(t, await(t, r, changed, 2), []string{"new2", "new3"})
}

func TestReaderTailOfEmptyJournal(t *testing.T) {
	journaltest.Fresh(t)
	dir := t.TempDir()
	r := open(t, journal.Options{Directory: dir})
	if err := r.SeekTail(); err != nil {
		t.Fatal(err)
	}
	changed := follow(t, r)
	want(t, rest(t, r), nil)
	journaltest.AppendFile(t, filepath.Join(dir, "a.journal"), history(0, 3))
	want(t, await(t, r, changed, 3), numbered("entry ", 0, 3))
}

// history returns entries of one second each, from to to.
func history(from, to int) []journaltest.Entry {
	var all []journaltest.Entry
	for i := from; i < to; i++ {
		all = append(all, journaltest.Entry{UnixMicro: epoch + int64(i)*1e6, Fields: []journaltest.Field{
			journaltest.F("MESSAGE", fmt.Sprint("entry ", i)), journaltest.F("_SYSTEMD_UNIT", "ssh.service"),
		}})
	}
	return all
}

const epoch = 1_700_000_000_000_000

func TestReaderSeek(t *testing.T) {
	dir := t.TempDir()
	path := journaltest.WriteFile(t, dir, history(0, 10))
	for name, o := range map[string]journal.Options{
		"directory": {Directory: dir, MustExist: true},
		"file":      {Files: []string{path}, MustExist: true},
		"pattern":   {Files: []string{filepath.Join(dir, "t*.journal")}, MustExist: true},
	} {
		t.Run(name, func(t *testing.T) {
			r := open(t, o)
			want(t, rest(t, r), numbered("entry ", 0, 10))
			if ok, err := r.Next(); ok || err != nil {
				t.Fatalf("Next at the end: %v, %v", ok, err)
			}
			last := r.Cursor()
			if err := r.SeekTime(time.UnixMicro(epoch + 6_500_000)); err != nil {
				t.Fatal(err)
			}
			want(t, rest(t, r), numbered("entry ", 7, 10))
			if err := r.SeekTime(time.Unix(-5, 0)); err != nil {
				t.Fatal(err)
			}
			if ok, err := r.Next(); !ok || err != nil || r.UnixMicro() != epoch {
				t.Fatalf("Next: %v, %v at %d", ok, err, r.UnixMicro())
			}
			first := r.Cursor()
			if found, err := r.SeekCursor(last); !found || err != nil {
				t.Fatalf("SeekCursor: %v, %v", found, err)
			}
			want(t, rest(t, r), nil)
			if r.Cursor() != last {
				t.Errorf("cursor %q, want %q", r.Cursor(), last)
			}
			if found, err := r.SeekCursor(first); !found || err != nil {
				t.Fatalf("SeekCursor: %v, %v", found, err)
			}
			want(t, rest(t, r), numbered("entry ", 1, 10))
			if err := r.SeekHead(); err != nil {
				t.Fatal(err)
			}
			want(t, rest(t, r), numbered("entry ", 0, 10))
			if _, err := r.SeekCursor("nonsense"); err == nil {
				t.Error("no error for a cursor that is none")
			}
		})
	}
}

func TestReaderCursorOfDeletedEntry(t *testing.T) {
	journaltest.Fresh(t)
	send(t, "a", "b")
	journaltest.Sync(t)
	r := open(t, journal.Options{})
	want(t, rest(t, r), []string{"a", "b"})
	seen := r.Cursor()
	send(t, "c")
	journaltest.Rotate(t)
	send(t, "d", "e")
	journaltest.Vacuum(t) // takes d and e as well: the active files have just been archived
	send(t, "f", "g")
	journaltest.Sync(t)

	r = open(t, journal.Options{})
	found, err := r.SeekCursor(seen)
	if found || err != nil {
		t.Fatalf("SeekCursor: %v, %v", found, err)
	}
	got := rest(t, r)
	if len(got) < 2 || got[len(got)-2] != "f" || slices.Contains(got, "a") || slices.Contains(got, "b") {
		t.Fatalf("behind the deleted entry: %q", got)
	}
}

// A cursor that is later than all there is (the clock was ahead when it was
// written, and its file is gone) must not keep new entries from being seen.
func TestReaderCursorOfTheFuture(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.journal")
	journaltest.AppendFile(t, path, history(0, 3))
	r := open(t, journal.Options{Directory: dir})
	found, err := r.SeekCursor("s=00112233445566778899aabbccddeeff;i=1;b=00112233445566778899aabbccddee00;m=1;t=7fffffffffffff;x=1")
	if found || err != nil {
		t.Fatalf("SeekCursor: %v, %v", found, err)
	}
	changed := follow(t, r)
	want(t, rest(t, r), nil)
	journaltest.AppendFile(t, path, history(3, 5))
	want(t, await(t, r, changed, 2), numbered("entry ", 3, 5))
}

// Journald announces entries 250 ms after it wrote them, or later. While they keep
// coming, they must be seen sooner.
func TestReaderIsQuickUnderAttack(t *testing.T) {
	journaltest.Fresh(t)
	r := open(t, journal.Options{})
	changed := follow(t, r)
	send(t, "first")
	await(t, r, changed, 1)
	const rounds = 30
	begin := time.Now()
	for i := range rounds {
		send(t, strconv.Itoa(i))
		select {
		case <-changed:
		case <-time.After(patience):
			t.Fatal("no token")
		}
		await(t, r, changed, 1)
	}
	each := time.Since(begin) / rounds
	t.Logf("%v from sending to reading", each)
	if each > 125*time.Millisecond {
		t.Errorf("%v from sending to reading, as late as journald's announcements", each)
	}
}

func TestReaderFollowsThroughEverything(t *testing.T) {
	journaltest.Fresh(t)
	r := open(t, journal.Options{})
	if err := r.SeekTail(); err != nil {
		t.Fatal(err)
	}
	changed := follow(t, r)
	var all, got []string
	n := 0
	for _, step := range []struct {
		name string
		do   func()
	}{
		{"nothing", func() {}},
		{"rotation", func() { journaltest.Rotate(t) }},
		{"vacuum", func() { journaltest.Vacuum(t) }},
		{"restart of journald", func() { journaltest.RestartJournald(t) }},
		{"move to the persistent journal", func() {
			if err := os.MkdirAll(journaltest.PersistentDir, 0o755); err != nil {
				t.Fatal(err)
			}
			journaltest.Flush(t)
		}},
		{"rotation of the persistent journal", func() { journaltest.Rotate(t) }},
		{"vacuum of the persistent journal", func() { journaltest.Vacuum(t) }},
		{"the directory removed and made again", func() {
			journaltest.StopJournald(t)
			if err := os.RemoveAll(journaltest.PersistentDir); err != nil {
				t.Fatal(err)
			}
			if err := os.MkdirAll(journaltest.PersistentDir, 0o755); err != nil {
				t.Fatal(err)
			}
			journaltest.StartJournald(t)
		}},
	} {
		step.do()
		batch := numbered(step.name+" ", 0, 5)
		send(t, batch...)
		all, n = append(all, batch...), n+5
		got = append(got, await(t, r, changed, 5)...)
		if !slices.Equal(got, all) {
			t.Fatalf("after %s:\n%s", step.name, cmp.Diff(all, got))
		}
	}
	t.Logf("%+v", r.Stats())
}

// What is in the journal's files when they are rotated and deleted between two reads
// is either read or gone, but nothing is read twice, and nothing behind is missed.
func TestReaderResumesExactly(t *testing.T) {
	journaltest.Fresh(t)
	var got []string
	cursor := ""
	total := 0
	for round := range 12 {
		switch round % 4 {
		case 1:
			journaltest.Rotate(t)
		case 2:
			journaltest.RestartJournald(t)
		case 3:
			if err := os.MkdirAll(journaltest.PersistentDir, 0o755); err != nil {
				t.Fatal(err)
			}
			journaltest.Flush(t)
		}
		send(t, numbered("m", total, total+7)...)
		total += 7
		journaltest.Sync(t)
		r := open(t, journal.Options{})
		if cursor != "" {
			if found, err := r.SeekCursor(cursor); !found || err != nil {
				t.Fatalf("round %d: SeekCursor: %v, %v", round, found, err)
			}
		}
		got = append(got, rest(t, r)...)
		cursor = r.Cursor()
	}
	want(t, got, numbered("m", 0, total))
}

func TestReaderWaitsForAJournal(t *testing.T) {
	for _, c := range []struct {
		name string
		o    func(dir string) journal.Options
	}{
		{"directory", func(dir string) journal.Options { return journal.Options{Directory: dir} }},
		{"file", func(dir string) journal.Options {
			return journal.Options{Files: []string{filepath.Join(dir, "a.journal")}}
		}},
		{"pattern", func(dir string) journal.Options {
			return journal.Options{Files: []string{filepath.Join(dir, "*.journal")}}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			base := t.TempDir()
			dir := filepath.Join(base, "not", "there", "yet")
			r := open(t, c.o(dir))
			if err := r.SeekTail(); err != nil {
				t.Fatal(err)
			}
			changed := follow(t, r)
			want(t, rest(t, r), nil)
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, "a.journal")
			journaltest.AppendFile(t, path, history(0, 3))
			want(t, await(t, r, changed, 3), numbered("entry ", 0, 3))
			journaltest.AppendFile(t, path, history(3, 6))
			want(t, await(t, r, changed, 3), numbered("entry ", 3, 6))
			if err := os.RemoveAll(filepath.Join(base, "not")); err != nil {
				t.Fatal(err)
			}
			want(t, rest(t, r), nil)
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			journaltest.AppendFile(t, path, history(6, 9))
			want(t, await(t, r, changed, 3), numbered("entry ", 6, 9))
		})
	}
}

func TestReaderWaitsForTheSystemJournal(t *testing.T) {
	journaltest.Fresh(t)
	journaltest.StopJournald(t)
	if err := os.RemoveAll("/run/log"); err != nil {
		t.Fatal(err)
	}
	r := open(t, journal.Options{})
	if err := r.SeekTail(); err != nil {
		t.Fatal(err)
	}
	changed := follow(t, r)
	want(t, rest(t, r), nil)
	journaltest.StartJournald(t)
	send(t, "a", "b")
	want(t, await(t, r, changed, 2), []string{"a", "b"})
}

func TestReaderNamespace(t *testing.T) {
	id := journaltest.MachineID(t)
	volatile := filepath.Join(journaltest.VolatileDir, id+".web")
	persistent := filepath.Join(journaltest.PersistentDir, id+".web")
	t.Cleanup(func() { _, _ = os.RemoveAll(volatile), os.RemoveAll(journaltest.PersistentDir) })
	mkdir := func(dir string) {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	mkdir(volatile)
	journaltest.AppendFile(t, filepath.Join(volatile, "system.journal"), history(0, 3))
	r := open(t, journal.Options{Namespace: "web"})
	changed := follow(t, r)
	want(t, await(t, r, changed, 3), numbered("entry ", 0, 3))
	mkdir(persistent)
	journaltest.AppendFile(t, filepath.Join(persistent, "system.journal"), history(3, 6))
	want(t, await(t, r, changed, 3), numbered("entry ", 3, 6))
	journaltest.AppendFile(t, filepath.Join(persistent, "system.journal"), history(6, 8))
	want(t, await(t, r, changed, 2), numbered("entry ", 6, 8))
}

func TestReaderSkipsWhatIsDamaged(t *testing.T) {
	dir := t.TempDir()
	good := filepath.Join(dir, "good.journal")
	bad := filepath.Join(dir, "bad.journal")
	journaltest.AppendFile(t, good, history(0, 5))
	if err := os.WriteFile(bad, []byte("LPKSHHRH and then nothing of use"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]journal.Options{
		"directory": {Directory: dir}, "files": {Files: []string{good, bad}},
	} {
		t.Run(name, func(t *testing.T) {
			r := open(t, o)
			changed := follow(t, r)
			want(t, rest(t, r), numbered("entry ", 0, 5))
			_ = changed
		})
	}
	if _, err := journal.Open(journal.Options{Files: []string{bad}}); err == nil {
		t.Error("no error for a file that is no journal")
	}
}

// Damage in the middle of a file ends the reading of that file at worst. It is no
// error, and keeps no other file from being followed.
func TestReaderSurvivesDamageInside(t *testing.T) {
	for _, at := range []int{1, 500, 1000, 1999} {
		t.Run(strconv.Itoa(at), func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "a.journal")
			journaltest.AppendFile(t, path, history(0, 2000))
			damage(t, path, fmt.Sprintf("MESSAGE=entry %d", at))
			r := open(t, journal.Options{Directory: dir})
			changed := follow(t, r)
			n := len(rest(t, r))
			if n < at {
				t.Errorf("%d entries, want at least the %d before the damage", n, at)
			}
			t.Logf("%d of 2000 entries, %+v", n, r.Stats())
			journaltest.AppendFile(t, filepath.Join(dir, "b.journal"), history(3000, 3003))
			want(t, await(t, r, changed, 3), numbered("entry ", 3000, 3003))
		})
	}
}

// damage overwrites some hundred bytes from where a file says text.
func damage(t *testing.T, path, text string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	i := bytes.Index(data, []byte(text))
	if i < 0 {
		t.Fatalf("%s does not say %q", path, text)
	}
	copy(data[i:], bytes.Repeat([]byte{0xa5}, 600))
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// While a service logs as fast as it can and the journal is rotated, a reader that
// is closed and opened again all the time gets each entry once, in order.
func TestReaderUnderLoad(t *testing.T) {
	journaltest.Fresh(t)
	const total = 20_000
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for i := range total {
			if i%4000 == 3999 {
				journaltest.Rotate(t)
			}
			journaltest.Message(t, strconv.Itoa(i))
		}
	}()
	t.Cleanup(func() { <-sent })
	ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
	defer cancel()
	next, place, opened := 0, "", 0
	for next < total {
		r, err := journal.Open(journal.Options{})
		if err != nil {
			t.Fatal(err)
		}
		opened++
		if place != "" {
			if found, err := r.SeekCursor(place); !found || err != nil {
				t.Fatalf("SeekCursor: %v, %v", found, err)
			}
		}
		changed := follow(t, r)
		for end := min(total, next+997); next < end; {
			ok, err := r.Next()
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				select {
				case <-changed:
				case <-ctx.Done():
					t.Fatalf("waiting for %d", next)
				}
				continue
			}
			if m := message(r); m == strconv.Itoa(next) {
				next++
			} else if m != "" {
				t.Fatalf("read %s, want %d", m, next)
			}
		}
		place = r.Position()
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("opened %d times", opened)
}

// A handle does not last for ever (renewAfter); that must not show.
func TestReaderReadsLongHistory(t *testing.T) {
	dir := t.TempDir()
	const total = 90_000
	full := journaltest.WriteFile(t, dir, history(0, total/2))
	if err := os.Rename(full, filepath.Join(dir, "test@1.journal")); err != nil { // as a full file is
		t.Fatal(err)
	}
	journaltest.WriteFile(t, dir, history(total/2, total))
	r := open(t, journal.Options{Directory: dir})
	for i := range total {
		if ok, err := r.Next(); !ok || err != nil {
			t.Fatalf("entry %d: %v, %v", i, ok, err)
		}
		if want := epoch + int64(i)*1e6; r.UnixMicro() != want {
			t.Fatalf("entry %d: time %d, want %d", i, r.UnixMicro(), want)
		}
	}
	if ok, err := r.Next(); ok || err != nil {
		t.Fatalf("the end: %v, %v", ok, err)
	}
	if s := r.Stats(); s != (journal.Stats{}) {
		t.Errorf("stats %+v", s)
	}
	if m := mappedMiB(t); m > 16 {
		t.Errorf("%.0f MiB of the journal are in memory", m)
	}
}

// libsystemd shows a journal that may not be read as an empty one.
func TestOpenWithoutPermission(t *testing.T) {
	dir := t.TempDir()
	path := journaltest.WriteFile(t, dir, history(0, 3))
	if err := os.Chmod(path, 0); err != nil {
		t.Fatal(err)
	}
	errs := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: the thread has no privileges any more, and ends with the goroutine
		none := make([]unix.CapUserData, 2)
		if err := unix.Capset(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &none[0]); err != nil {
			errs <- err
			return
		}
		r, err := journal.Open(journal.Options{Directory: dir})
		if err == nil {
			_ = r.Close()
		}
		errs <- err
	}()
	if err := <-errs; !errors.Is(err, fs.ErrPermission) {
		t.Errorf("error %v, want one about permission", err)
	}
}

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		name string
		o    journal.Options
		is   error
	}{
		{"two places", journal.Options{Directory: dir, Namespace: "x"}, nil},
		{"bad namespace", journal.Options{Namespace: "../x"}, nil},
		{"bad pattern", journal.Options{Files: []string{"[" + dir}}, nil},
		{"no file", journal.Options{Files: []string{filepath.Join(dir, "none.journal")}, MustExist: true}, fs.ErrNotExist},
		{"empty directory", journal.Options{Directory: dir, MustExist: true}, fs.ErrNotExist},
	} {
		r, err := journal.Open(c.o)
		if err == nil {
			_ = r.Close()
			t.Errorf("%s: no error", c.name)
		} else if c.is != nil && !errors.Is(err, c.is) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// remote returns entries of another host.
func remote(boot string, from, to int) []journaltest.Entry {
	all := history(from, to)
	for i := range all {
		all[i].BootID = strings.Repeat(boot, 32)
	}
	return all
}

// In a directory that systemd-journal-remote fills, hosts do not send in the order of time.
func TestReaderSeveralHosts(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "remote-a.journal"), filepath.Join(dir, "remote-b.journal")
	journaltest.AppendFile(t, a, append(remote("a", 0, 2), remote("a", 4, 6)...))
	journaltest.AppendFile(t, b, remote("b", 2, 4))
	r := open(t, journal.Options{Directory: dir})
	changed := follow(t, r)
	want(t, rest(t, r), numbered("entry ", 0, 6))
	journaltest.AppendFile(t, a, remote("a", 100, 103))
	want(t, await(t, r, changed, 3), numbered("entry ", 100, 103))
	journaltest.AppendFile(t, b, remote("b", 50, 53)) // late
	want(t, await(t, r, changed, 3), numbered("entry ", 50, 53))

	// Stopped in the middle of one host, with the other one's entries loaded.
	journaltest.AppendFile(t, b, remote("b", 200, 204))
	journaltest.AppendFile(t, a, remote("a", 202, 206))
	if ok, err := r.Next(); !ok || err != nil || message(r) != "entry 200" {
		t.Fatalf("Next: %v, %v: %q", ok, err, message(r))
	}
	place := r.Position()
	var left []string
	for _, i := range []int{201, 202, 202, 203, 203, 204, 205} {
		left = append(left, fmt.Sprint("entry ", i))
	}
	want(t, rest(t, r), left)

	journaltest.AppendFile(t, filepath.Join(dir, "remote-c.journal"), remote("c", 7, 8))
	again := open(t, journal.Options{Directory: dir})
	if found, err := again.SeekCursor(place); !found || err != nil {
		t.Fatalf("SeekCursor(%q): %v, %v", place, found, err)
	}
	want(t, rest(t, again), append([]string{"entry 7"}, left...)) // a new host: all of it
	want(t, await(t, r, changed, 1), []string{"entry 7"})
	end := again.Position()
	if err := os.Remove(a); err != nil {
		t.Fatal(err)
	}
	again = open(t, journal.Options{Directory: dir})
	if found, err := again.SeekCursor(end); found || err != nil {
		t.Fatalf("SeekCursor without a: %v, %v", found, err)
	}
	want(t, rest(t, again), nil)
	if got := again.Position(); got != end {
		t.Errorf("position %q, want %q", got, end)
	}
	if _, err := again.SeekCursor("s=1;i=1 unquoted"); err == nil {
		t.Error("no error for a position that is none")
	}
}

// The clock of one machine decides nothing: the order is the one of its journal.
func TestReaderClockJumps(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.journal")
	r := open(t, journal.Options{Directory: dir})
	changed := follow(t, r)
	journaltest.AppendFile(t, path, history(1000, 1003))
	want(t, await(t, r, changed, 3), numbered("entry ", 1000, 1003))
	journaltest.AppendFile(t, path, history(10, 13))
	want(t, await(t, r, changed, 3), numbered("entry ", 10, 13))
	cursor := r.Cursor()
	journaltest.AppendFile(t, path, history(5, 8))
	again := open(t, journal.Options{Directory: dir})
	if found, err := again.SeekCursor(cursor); !found || err != nil {
		t.Fatalf("SeekCursor: %v, %v", found, err)
	}
	want(t, rest(t, again), numbered("entry ", 5, 8))
	want(t, await(t, r, changed, 3), numbered("entry ", 5, 8))
}

func TestFollowEndsAtOnce(t *testing.T) {
	r, err := journal.Open(journal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	changed := follow(t, r)
	for range 3 {
		rest(t, r)
		select {
		case <-changed:
		default:
		}
	}
	done := make(chan error)
	go func() { done <- r.Close() }()
	select {
	case err := <-done:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(patience):
		t.Fatal("Close does not return")
	}
}
