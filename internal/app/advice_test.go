package app

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// catchAll reports everything.
const catchAll = `{"actions": {"everything else": [
	{"action": "action_dailyReport", "args": {"level": "OTHER", "message": "{SYSLOG_IDENTIFIER}: {MESSAGE}"}}
]}}`

// logged is one line of a service.
type logged struct{ service, unit, message string }

// journalLines writes lines in the form of `journalctl -o json`.
func journalLines(t rapid.TB, lines []logged) string {
	t.Helper()
	var b strings.Builder
	for _, l := range lines {
		fields := map[string]string{"SYSLOG_IDENTIFIER": l.service, "MESSAGE": l.message}
		if l.unit != "" {
			fields["_SYSTEMD_UNIT"] = l.unit
		}
		data, err := json.Marshal(fields)
		if err != nil {
			t.Fatal(err)
		}
		b.Write(append(data, '\n'))
	}
	entries, err := expandEntries(b.String())
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

// bench is a configuration with a folder of fragments, and entries to try them with.
type bench struct {
	t                       rapid.TB
	config, folder, entries string
}

func newBench(t rapid.TB, dir, source string, lines []logged) *bench {
	t.Helper()
	b := &bench{t: t, config: filepath.Join(dir, "pyruse.json"), folder: filepath.Join(dir, "pyruse.d"), entries: filepath.Join(dir, "entries")}
	if err := os.Mkdir(b.folder, 0o700); err != nil {
		t.Fatal(err)
	}
	b.write(b.config, source)
	b.write(b.entries, journalLines(t, lines))
	return b
}

func (b *bench) write(path, text string) {
	b.t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) source() Source { return Source{Config: b.config, Dirs: []string{b.folder}} }

func (b *bench) replay(o ReplayOptions) string {
	b.t.Helper()
	var out bytes.Buffer
	o.Source, o.Entries, o.Stdout, o.Stderr = b.source(), b.entries, &out, io.Discard
	if err := Replay(context.Background(), o); err != nil {
		b.t.Fatalf("replay: %v", err)
	}
	return out.String()
}

// reportLine is what of a line of the report matters here.
type reportLine struct{ Level, Message string }

// lines returns the lines that are reported.
func (b *bench) lines() []reportLine {
	b.t.Helper()
	var list []reportLine
	dec := json.NewDecoder(strings.NewReader(b.replay(ReplayOptions{Format: JSON})))
	for dec.More() {
		var x struct {
			Effect string `json:"effect"`
			reportLine
		}
		if err := dec.Decode(&x); err != nil {
			b.t.Fatal(err)
		}
		if x.Effect == "report" {
			list = append(list, x.reportLine)
		}
	}
	return list
}

// advised is what a report advises: fragments, the files that they belong into, and the steps that could stand there instead.
type advised struct{ file, fragment, instead string }

// advice reads what the report advises out of its text, as its reader would copy it.
func (b *bench) advice() []advised {
	b.t.Helper()
	text := b.replay(ReplayOptions{Report: true})
	_, section, found := strings.Cut(text, "\n== Advice\n")
	if !found {
		return nil
	}
	section, _, _ = strings.Cut(section, "\n== ")
	var list []advised
	block := (*strings.Builder)(nil)
	var blocks []string
	for line := range strings.Lines(section) {
		switch {
		case strings.HasPrefix(line, " /etc/pyruse.d/"):
			list = append(list, advised{file: strings.TrimSpace(line)})
		case line == "----\n" && block == nil:
			block = &strings.Builder{}
		case line == "----\n":
			blocks, block = append(blocks, block.String()), nil
		case block != nil:
			block.WriteString(line)
		}
	}
	if len(blocks) != 2*len(list) {
		b.t.Fatalf("%d pieces of advice have %d blocks:\n%s", len(list), len(blocks), section)
	}
	for i := range list {
		list[i].fragment, list[i].instead = blocks[2*i], blocks[2*i+1]
	}
	return list
}

// mustAccept checks a fragment as a candidate: strictly, so that a warning is a fault as well.
func (b *bench) mustAccept(name, fragment string) {
	b.t.Helper()
	var out bytes.Buffer
	candidate := NewCandidate("-", name, strings.NewReader(fragment))
	err := Check(context.Background(), CheckOptions{Source: b.source(), Candidate: candidate, Strict: true, Format: Text, Stdout: &out})
	if err != nil {
		b.t.Fatalf("the fragment is not accepted: %v\n%s\n%s", err, out.String(), fragment)
	}
}

// onlyAdvice returns the only advice that is given, after its fragment was accepted as a candidate.
func (b *bench) onlyAdvice() advised {
	b.t.Helper()
	list := b.advice()
	if len(list) != 1 {
		b.t.Fatalf("%d pieces of advice; the report:\n%s", len(list), b.replay(ReplayOptions{Report: true}))
	}
	list[0].file = filepath.Base(list[0].file)
	b.mustAccept(list[0].file, list[0].fragment)
	return list[0]
}

func otherLines(lines []logged) []reportLine {
	var list []reportLine
	for _, l := range lines {
		list = append(list, reportLine{"OTHER", l.service + ": " + l.message})
	}
	return list
}

// discard takes the advice: exactly the lines of the kind vanish from the report.
func (b *bench) discard(others []logged) {
	b.t.Helper()
	a := b.onlyAdvice()
	b.write(filepath.Join(b.folder, a.file), a.fragment)
	if diff := cmp.Diff(otherLines(others), b.lines()); diff != "" {
		b.t.Errorf("the lines that are left (-want +got):\n%s\nby\n%s", diff, a.fragment)
	}
	if more := b.advice(); len(more) != 0 {
		b.t.Errorf("then, it advises again: %+v", more)
	}
}

// collect takes the other step that is advised: the lines of the kind get one row in the information.
func (b *bench) collect(alike, others []logged) {
	b.t.Helper()
	a := b.onlyAdvice()
	const discards = `{ "action": "action_noop" }`
	if strings.Count(a.fragment, discards) != 1 {
		b.t.Fatalf("the step that discards is not there once:\n%s", a.fragment)
	}
	instead := strings.Replace(a.fragment, discards, a.instead, 1)
	b.mustAccept(a.file, instead)
	b.write(filepath.Join(b.folder, a.file), instead)
	rows := map[string]int{}
	got := slices.DeleteFunc(b.lines(), func(l reportLine) bool {
		if l.Level == "INFO" {
			rows[l.Message]++
		}
		return l.Level == "INFO"
	})
	if counts := slices.Collect(maps.Values(rows)); !slices.Equal(counts, []int{len(alike)}) {
		b.t.Errorf("the rows of the information: %v, want one of %d lines", rows, len(alike))
	}
	if diff := cmp.Diff(otherLines(others), got); diff != "" {
		b.t.Errorf("beside the row (-want +got):\n%s", diff)
	}
}

// frequent are kinds of lines: services, and the messages that they write with a number in them.
var frequent = []struct{ service, unit, format string }{
	{"kernel", "", `audit: type=1400 apparmor="DENIED" operation="open" profile="/usr/sbin/cupsd" pid=%d comm="cupsd"`},
	{"dhclient", "ifup@eth0.service", `DHCPREQUEST for 192.0.2.7 on eth0 to 192.0.2.1 port 67 (xid=0x%08x)`},
	{"postfix/smtpd", "postfix@-.service", `connect from unknown[203.0.113.%d]`},
	{"CRON", "cron.service", `pam_unix(cron:session): session closed for user root (uid=0) after %d seconds`},
	{"nextcloud", "php8.2-fpm.service", `{"level":3,"app":"files_versions","message":"Zu viele Versionen für „Übersicht“: %d {x}"}`},
	{"samba", "smbd.service", `check_account: no such share \\server\c$\Program Files\x^y\, attempt %d`},
	{"nginx", "nginx.service", `upstream response is buffered (100%% full?) * while reading .+ upstream, number %d`},
	{"systemd-resolved", "systemd-resolved.service", `Using degraded feature set UDP instead of UDP+EDNS0 for DNS server 192.0.2.%d.`},
	{"my app|v2.0+", "", `WARN [main] (Pool$1.java:%d) - retry? {{again}} | \d+ \Q left \E`},
	{"пример", "example.service", `соединение №%d закрыто — «таймаут» 👋`},
	{"a b", "run-u1.service", "two lines of text:\n\tthe second one has number %d, and a tab"},
	{"quote\"d'", `dash-\x2d.service`, `he said "it's 'so' \"often\"", %d times: $HOME && ${x} <b>&amp;</b>`},
}

// mixed are lines of a kind with those numbers, and others among them that are nearly alike; order says which line comes first.
func mixed(kind int, numbers []int, order func([]logged) []logged) (lines, alike, others []logged) {
	k := frequent[kind]
	for _, n := range numbers {
		alike = append(alike, logged{k.service, k.unit, fmt.Sprintf(k.format, n)})
	}
	others = []logged{
		{"stranger", k.unit, alike[0].message},
		{k.service, k.unit, alike[0].message + " and something behind it"},
		{k.service, k.unit, "before it: " + alike[0].message},
		{k.service, k.unit, "out of memory"},
		{k.service, k.unit, ""},
	}
	lines = order(slices.Concat(alike, others))
	others = slices.DeleteFunc(slices.Clone(lines), func(l logged) bool { return slices.Contains(alike, l) })
	return lines, alike, others
}

// TestAdviceIsGoodForItsLines holds for each kind: the advised fragment is accepted, makes the lines of the kind vanish from the report,
// and no other, be it of the same service, of another one, or nearly alike.
func TestAdviceIsGoodForItsLines(t *testing.T) {
	setZone(t, "UTC")
	numbers := make([]int, 20)
	for i := range numbers {
		numbers[i] = i + 1
	}
	for i := range frequent {
		t.Run(frequent[i].service, func(t *testing.T) {
			lines, alike, others := mixed(i, numbers, slices.Clone)
			newBench(t, t.TempDir(), catchAll, lines).discard(others)
			newBench(t, t.TempDir(), catchAll, lines).collect(alike, others)
		})
	}
	t.Run("in any order", func(t *testing.T) {
		rapid.Check(t, func(rt *rapid.T) {
			numbers := rapid.SliceOfN(rapid.IntRange(1, 254), 20, 20).Draw(rt, "numbers")
			lines, alike, others := mixed(rapid.IntRange(0, len(frequent)-1).Draw(rt, "kind"), numbers,
				func(lines []logged) []logged { return rapid.Permutation(lines).Draw(rt, "lines") })
			dir, err := os.MkdirTemp(t.TempDir(), "")
			if err != nil {
				rt.Fatal(err)
			}
			b := newBench(rt, dir, catchAll, lines)
			if rapid.Bool().Draw(rt, "discard") {
				b.discard(others)
			} else {
				b.collect(alike, others)
			}
		})
	})
}

// TestAdviceOfAUnitIsForThatUnit has another unit claim, later, to be the service: its lines stay in the report. Of a service that comes from
// several units, the unit does not matter.
func TestAdviceOfAUnitIsForThatUnit(t *testing.T) {
	setZone(t, "UTC")
	var lines []logged
	for i := range 20 {
		lines = append(lines, logged{"backupd", "backup.service", fmt.Sprintf("backup number %d is complete", i)})
	}
	foreign := logged{"backupd", "user@1000.service", "backup number 4 is complete"}
	b := newBench(t, t.TempDir(), catchAll, lines)
	list := b.advice()
	if len(list) != 1 {
		t.Fatalf("it advises %+v", list)
	}
	b.write(filepath.Join(b.folder, filepath.Base(list[0].file)), list[0].fragment)
	b.write(b.entries, journalLines(t, append(lines, foreign)))
	if got := b.lines(); len(got) != 1 || got[0].Message != "backupd: "+foreign.message {
		t.Errorf("the lines that are left: %v", got)
	}

	several := newBench(t, t.TempDir(), catchAll, append(lines, foreign))
	if list := several.advice(); len(list) != 1 || strings.Contains(list[0].fragment, "_SYSTEMD_UNIT") {
		t.Errorf("of several units, it advises %+v", list)
	}
}

// TestNoAdviceForWhatCounts takes the first configuration of the README: failed logins below the limit end in OTHER, but were counted
// before. A chain that discards them would keep them from that.
func TestNoAdviceForWhatCounts(t *testing.T) {
	setZone(t, "UTC")
	source, err := os.ReadFile(filepath.Join(root, "docs/examples/first/pyruse.json"))
	if err != nil {
		t.Fatal(err)
	}
	var lines []logged
	for i := range 40 {
		lines = append(lines, logged{"sshd", "ssh.service", fmt.Sprintf("Failed password for root from 192.0.2.%d port 40%d22 ssh2", i+1, i)})
	}
	b := newBench(t, t.TempDir(), string(source), lines)
	if n := len(b.lines()); n != len(lines) {
		t.Fatalf("%d lines are reported, want %d", n, len(lines))
	}
	if list := b.advice(); len(list) != 0 {
		t.Errorf("it advises %+v", list)
	}
	for i := range lines {
		lines[i].message = fmt.Sprintf("Connection closed by 192.0.2.%d port 40%d22 [preauth]", i+1, i)
	}
	b.write(b.entries, journalLines(t, lines))
	if list := b.advice(); len(list) != 1 || !strings.Contains(list[0].fragment, "preauth") {
		t.Errorf("of lines that nothing came of, it advises %+v", list)
	}
}

// TestNoAdviceForRareLines has nine lines of a kind, and twenty that are all different.
func TestNoAdviceForRareLines(t *testing.T) {
	setZone(t, "UTC")
	var lines []logged
	for i := range 9 {
		lines = append(lines, logged{"cron", "cron.service", fmt.Sprintf("the job has ended after %d seconds", i)})
	}
	for i := range 20 {
		lines = append(lines, logged{"chat", "chat.service", strings.Repeat(string(rune('a'+i)), i+3)})
	}
	if list := newBench(t, t.TempDir(), catchAll, lines).advice(); len(list) != 0 {
		t.Errorf("it advises %+v", list)
	}
}
