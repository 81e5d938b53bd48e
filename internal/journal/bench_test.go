package journal_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/pyruse/pyruse/internal/journal"
	"github.com/pyruse/pyruse/internal/journal/journaltest"
)

const benchEntries = 200_000

// benchDir holds a journal of benchEntries entries as services log them.
func benchDir(b *testing.B) string {
	b.Helper()
	dir := b.TempDir()
	entries := make([]journaltest.Entry, benchEntries)
	for i := range entries {
		pid := strconv.Itoa(1000 + i%3000)
		entries[i] = journaltest.Entry{UnixMicro: epoch + int64(i)*1000, Fields: []journaltest.Field{
			journaltest.F("MESSAGE", fmt.Sprintf("Failed password for invalid user u%d from 192.0.2.%d port %d ssh2", i, i%250, i%60000)),
			journaltest.F("PRIORITY", strconv.Itoa(i%8)), journaltest.F("SYSLOG_FACILITY", "4"),
			journaltest.F("SYSLOG_IDENTIFIER", "sshd"), journaltest.F("SYSLOG_PID", pid),
			journaltest.F("_PID", pid), journaltest.F("_UID", "0"), journaltest.F("_GID", "0"), journaltest.F("_COMM", "sshd"),
			journaltest.F("_EXE", "/usr/sbin/sshd"), journaltest.F("_CMDLINE", "sshd: [accepted]"),
			journaltest.F("_SYSTEMD_UNIT", "ssh.service"), journaltest.F("_SYSTEMD_CGROUP", "/system.slice/ssh.service"),
			journaltest.F("_SYSTEMD_SLICE", "system.slice"), journaltest.F("_TRANSPORT", "syslog"),
			journaltest.F("_HOSTNAME", "server"), journaltest.F("_MACHINE_ID", strings.Repeat("ab", 16)),
		}}
	}
	journaltest.WriteFile(b, dir, entries)
	return dir
}

func BenchmarkReader(b *testing.B) {
	dir := benchDir(b)
	for _, c := range []struct {
		name   string
		fields []string
	}{
		{"Next", nil},
		{"Next+MESSAGE", []string{"MESSAGE"}},
		{"Next+4fields", []string{"MESSAGE", "PRIORITY", "SYSLOG_IDENTIFIER", "_SYSTEMD_UNIT"}},
		{"Next+missing", []string{"MISSING"}},
		{"Next+cursor", []string{"__CURSOR"}},
	} {
		b.Run(c.name, func(b *testing.B) {
			r := open(b, journal.Options{Directory: dir, MustExist: true})
			b.ReportAllocs()
			for b.Loop() {
				ok, err := r.Next()
				if err != nil {
					b.Fatal(err)
				}
				if !ok {
					if err := r.SeekHead(); err != nil {
						b.Fatal(err)
					}
					continue
				}
				for _, f := range c.fields {
					r.Field(f)
				}
			}
			b.ReportMetric(mappedMiB(b), "mapped-MiB")
		})
	}
}

// mappedMiB returns how much of the journal's files counts as memory of the process.
func mappedMiB(tb testing.TB) float64 {
	tb.Helper()
	maps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		tb.Fatal(err)
	}
	kib, inJournal := 0, false
	for line := range strings.Lines(string(maps)) {
		f := strings.Fields(line)
		if strings.Contains(f[0], "-") {
			inJournal = strings.HasSuffix(f[len(f)-1], ".journal")
		}
		if inJournal && f[0] == "Rss:" {
			n, err := strconv.Atoi(f[1])
			if err != nil {
				tb.Fatal(err)
			}
			kib += n
		}
	}
	return float64(kib) / 1024
}

func BenchmarkLines(b *testing.B) {
	dir := benchDir(b)
	args := []string{"-o", "json", "--quiet", "--lines", "20000"}
	files, err := filepath.Glob(filepath.Join(dir, "*.journal"))
	if err != nil {
		b.Fatal(err)
	}
	for _, f := range files {
		args = append(args, "--file", f)
	}
	text := journaltest.Journalctl(b, args...)
	for _, fields := range [][]string{nil, {"MESSAGE", "PRIORITY", "SYSLOG_IDENTIFIER", "_SYSTEMD_UNIT"}} {
		b.Run(fmt.Sprintf("Next+%dfields", len(fields)), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(text) / 20000))
			l := journal.NewLines(bytes.NewReader(text), 0)
			for b.Loop() {
				ok, err := l.Next()
				if err != nil {
					b.Fatal(err)
				}
				if !ok {
					l = journal.NewLines(bytes.NewReader(text), 0)
					continue
				}
				for _, f := range fields {
					l.Field(f)
				}
			}
		})
	}
}

func BenchmarkLogger(b *testing.B) {
	journaltest.Fresh(b)
	l := newLogger(b, journal.LoggerOptions{Version: "3.0"})
	r := journal.Record{Priority: 5, Message: "192.0.2.1 is banned", MessageID: journal.MsgBanApplied, Fields: []journal.Field{
		{Name: journal.FieldIP, Value: "192.0.2.1"}, {Name: journal.FieldSet, Value: "ip Inet4 mail_ban"},
		{Name: journal.FieldChain, Value: "ssh"}, {Name: journal.FieldStep, Value: "4"}}}
	b.ReportAllocs()
	for b.Loop() {
		mustSend(b, l, r)
	}
}
