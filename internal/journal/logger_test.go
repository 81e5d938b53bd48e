package journal_test

import (
	"bytes"
	"errors"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/pyruse/pyruse/internal/journal"
	"github.com/pyruse/pyruse/internal/journal/journaltest"
)

func newLogger(t testing.TB, o journal.LoggerOptions) *journal.Logger {
	t.Helper()
	l := journal.NewLogger(o)
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func mustSend(t testing.TB, l *journal.Logger, r journal.Record) {
	t.Helper()
	if err := l.Send(r); err != nil {
		t.Fatal(err)
	}
}

// nextOwn returns the next entry that a Logger of this process sent.
func nextOwn(t testing.TB, r *journal.Reader, changed <-chan struct{}) {
	t.Helper()
	for {
		ok, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if ok && journal.IsOwn(r, os.Getuid()) {
			return
		}
		if !ok {
			select {
			case <-changed:
			case <-time.After(patience):
				t.Fatal("no entry")
			}
		}
	}
}

func TestLogger(t *testing.T) {
	journaltest.Fresh(t)
	var stderr bytes.Buffer
	l := newLogger(t, journal.LoggerOptions{Version: "3.0", Stderr: &stderr})
	r := open(t, journal.Options{MaxField: 2 << 20})
	changed := follow(t, r)
	hostile := "line\nPRIORITY=0\n\x1b[2J\x00\xff\u202e"
	for _, c := range []journal.Record{
		{Priority: 6, Message: "plain", MessageID: journal.MsgStarted},
		{Priority: 4, Message: hostile, Fields: []journal.Field{
			{Name: journal.FieldChain, Value: hostile}, {Name: journal.FieldStep, Value: "3"}, {Name: journal.FieldIP}}},
		{Priority: 0, Message: strings.Repeat("large ", 200_000)}, // more than a datagram takes
		{Priority: 7, Message: "small again"},
	} {
		mustSend(t, l, c)
		nextOwn(t, r, changed)
		for _, f := range append(c.Fields,
			journal.Field{Name: "MESSAGE", Value: c.Message}, journal.Field{Name: "MESSAGE_ID", Value: c.MessageID},
			journal.Field{Name: "PRIORITY", Value: string(rune('0' + c.Priority))},
			journal.Field{Name: "SYSLOG_IDENTIFIER", Value: "pyruse"}, journal.Field{Name: journal.FieldVersion, Value: "3.0"},
		) {
			if got, ok := r.Field(f.Name); string(got) != f.Value || ok != (f.Value != "") {
				t.Errorf("%.20q: %s is %.60q, %v; want %.60q", c.Message, f.Name, got, ok, f.Value)
			}
		}
	}
	for _, bad := range []journal.Record{
		{Priority: 8}, {Priority: -1}, {Fields: []journal.Field{{Name: "lower", Value: "x"}}},
		{Fields: []journal.Field{{Name: "_UID", Value: "0"}}}, {Fields: []journal.Field{{Name: "A=B\nC", Value: "x"}}},
		{Fields: []journal.Field{{Value: "x"}}}, {Fields: []journal.Field{{Name: strings.Repeat("A", 65), Value: "x"}}},
		{Fields: []journal.Field{{Name: "1A", Value: "x"}}},
	} {
		if err := l.Send(bad); err == nil {
			t.Errorf("no error for %+v", bad)
		}
	}
	if stderr.Len() > 0 {
		t.Errorf("on standard error: %s", &stderr)
	}
}

func TestLoggerSurvivesRestartOfJournald(t *testing.T) {
	journaltest.Fresh(t)
	var stderr bytes.Buffer
	l := newLogger(t, journal.LoggerOptions{Stderr: &stderr})
	r := open(t, journal.Options{})
	changed := follow(t, r)
	mustSend(t, l, journal.Record{Priority: 6, Message: "before"})
	nextOwn(t, r, changed)
	journaltest.StopJournald(t)
	mustSend(t, l, journal.Record{Priority: 6, Message: "between"})
	if got := stderr.String(); got != "<6>between\n" {
		t.Errorf("on standard error: %q", got)
	}
	journaltest.StartJournald(t)
	mustSend(t, l, journal.Record{Priority: 6, Message: "behind"})
	nextOwn(t, r, changed)
	if got := message(r); got != "behind" {
		t.Errorf("logged: %q", got)
	}
	journaltest.RestartJournald(t)
	mustSend(t, l, journal.Record{Priority: 6, Message: strings.Repeat("l", 1<<20)})
	nextOwn(t, r, changed)
}

func TestLoggerDoesNotWaitForeverForJournald(t *testing.T) {
	journaltest.Fresh(t)
	var stderr bytes.Buffer
	l := newLogger(t, journal.LoggerOptions{Stderr: &stderr})
	thaw := journaltest.FreezeJournald(t)
	begin := time.Now()
	sent := 0
	for stderr.Len() == 0 && sent < 100_000 {
		mustSend(t, l, journal.Record{Priority: 6, Message: "into the queue"})
		sent++
	}
	for range 1000 { // only the first one has waited
		mustSend(t, l, journal.Record{Priority: 6, Message: "past the queue"})
	}
	if d := time.Since(begin); d > 10*time.Second {
		t.Errorf("blocked for %v", d)
	}
	if n := strings.Count(stderr.String(), "\n"); n != 1001 {
		t.Errorf("%d lines on standard error", n)
	}
	thaw()
	journaltest.Sync(t)
	stderr.Reset()
	mustSend(t, l, journal.Record{Priority: 6, Message: "after all"})
	if stderr.Len() > 0 {
		t.Errorf("on standard error: %s", &stderr)
	}
}

func TestLoggerFallback(t *testing.T) {
	none := filepath.Join(t.TempDir(), "socket")
	for _, c := range []struct {
		name   string
		record journal.Record
		want   string
	}{
		{"plain", journal.Record{Priority: 3, Message: "Ünïcode <b>"}, "<3>Ünïcode <b>\n"},
		{"fields", journal.Record{Priority: 5, Message: "m", MessageID: journal.MsgBanApplied, Fields: []journal.Field{
			{Name: journal.FieldIP, Value: "192.0.2.1"}, {Name: journal.FieldSet}, {Name: journal.FieldChain, Value: "a b\n"}}},
			"<5>m PYRUSE_IP=192.0.2.1 PYRUSE_CHAIN=a b\\n\n"},
		{"hostile", journal.Record{Priority: 6, Message: "a\n<0>b\x1b[2J\x00\xff\u202e\r"}, `<6>a\n<0>b\x1b[2J\x00\xff\u202e\r` + "\n"},
		{"long", journal.Record{Priority: 6, Message: strings.Repeat("é", 5000)}, "<6>" + strings.Repeat("é", 2044) + "...\n"},
		{"empty", journal.Record{Priority: 6}, "<6>\n"},
	} {
		var stderr bytes.Buffer
		l := newLogger(t, journal.LoggerOptions{Socket: none, Stderr: &stderr})
		mustSend(t, l, c.record)
		if diff := cmp.Diff(c.want, stderr.String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
		if stderr.Len() > 4096 {
			t.Errorf("%s: %d bytes", c.name, stderr.Len())
		}
	}
	broken := errors.New("broken")
	l := newLogger(t, journal.LoggerOptions{Socket: none, Stderr: failingWriter{broken}})
	if err := l.Send(journal.Record{Message: "m"}); !errors.Is(err, broken) || !errors.Is(err, unix.ENOENT) {
		t.Errorf("neither journald nor standard error: %v", err)
	}
}

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }

// A pipe that is full, or that nobody reads any more, must not block or kill.
func TestLoggerFallbackToAPipe(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	l := newLogger(t, journal.LoggerOptions{Socket: filepath.Join(t.TempDir(), "socket"), Stderr: w})
	mustSend(t, l, journal.Record{Priority: 6, Message: "there is room"})
	sent := 0
	for err == nil && sent < 10_000 {
		err = l.Send(journal.Record{Priority: 6, Message: strings.Repeat("x", 1000)})
		sent++
	}
	if err == nil {
		t.Error("no error for a full pipe")
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if err := l.Send(journal.Record{Priority: 6, Message: "nobody is there"}); err == nil {
		t.Error("no error for a pipe without a reader")
	}
}

func TestLoggerIsSafeForConcurrentUse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	l := newLogger(t, journal.LoggerOptions{Socket: path})
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 50 {
				if err := l.Send(journal.Record{Priority: 6, Message: "m", MessageID: journal.MsgStarted}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	want := "MESSAGE=m\nPRIORITY=6\nSYSLOG_IDENTIFIER=pyruse\nMESSAGE_ID=" + journal.MsgStarted + "\nPYRUSE_VERSION=devel\n"
	buf := make([]byte, 4096)
	for range 200 {
		n, err := conn.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		if string(buf[:n]) != want {
			t.Fatalf("datagram %q", buf[:n])
		}
	}
	all.Wait()
}

func TestIsOwn(t *testing.T) {
	type fields = map[string]string
	for _, c := range []struct {
		fields fields
		want   bool
	}{
		{fields{"SYSLOG_IDENTIFIER": "pyruse", "_UID": "990", "PYRUSE_VERSION": "3"}, true},
		{fields{"SYSLOG_IDENTIFIER": "pyruse", "_UID": "0", "PYRUSE_VERSION": "3"}, false},
		{fields{"SYSLOG_IDENTIFIER": "pyruse", "_UID": "1990", "PYRUSE_VERSION": "3"}, false},
		{fields{"SYSLOG_IDENTIFIER": "pyruse", "_UID": "90", "PYRUSE_VERSION": "3"}, false},
		{fields{"SYSLOG_IDENTIFIER": "pyruse", "_UID": "", "PYRUSE_VERSION": "3"}, false},
		{fields{"SYSLOG_IDENTIFIER": "pyruse", "PYRUSE_VERSION": "3"}, false},
		{fields{"SYSLOG_IDENTIFIER": "pyruse", "_UID": "990"}, false},
		{fields{"SYSLOG_IDENTIFIER": "sshd", "_UID": "990", "PYRUSE_VERSION": "3"}, false},
		{fields{}, false},
	} {
		if got := journal.IsOwn(source(c.fields), 990); got != c.want {
			t.Errorf("%v: %v", c.fields, got)
		}
	}
	if !journal.IsOwn(source{"SYSLOG_IDENTIFIER": "pyruse", "_UID": "0", "PYRUSE_VERSION": "3"}, 0) {
		t.Error("root's own")
	}
}

type source map[string]string

func (s source) Field(name string) ([]byte, bool) { v, ok := s[name]; return []byte(v), ok }
func (s source) Cursor() string                   { return "" }

func TestMessages(t *testing.T) {
	uuid := regexp.MustCompile(`^[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}$`) // random, RFC 9562 section 5.4
	ids, names := map[string]bool{}, map[string]bool{}
	for _, m := range journal.Messages {
		if !uuid.MatchString(m.ID) || ids[m.ID] || names[m.Name] || m.Level < 0 || m.Level > 7 || m.Text == "" {
			t.Errorf("%+v", m)
		}
		ids[m.ID], names[m.Name] = true, true
	}
}
