package main

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

func generate(t *testing.T, args ...string) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := run(args, &out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestSameFlagsSameBytes(t *testing.T) {
	a := generate(t, "-n", "2000", "-seed", "7")
	if !bytes.Equal(a, generate(t, "-n", "2000", "-seed", "7")) {
		t.Error("two runs with the same flags differ")
	}
	if bytes.Equal(a, generate(t, "-n", "2000", "-seed", "8")) {
		t.Error("the seed changes nothing")
	}
}

// The sample that is shipped is what the generator writes.
func TestShippedSample(t *testing.T) {
	want, err := os.ReadFile("../sample.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	if got := generate(t, sampleFlags...); !bytes.Equal(got, want) {
		t.Errorf("docs/examples/sample.jsonl is not the output of generate %q", sampleFlags)
	}
}

var sampleFlags = []string{"-n", "500", "-attackers", "6", "-attacks", "150", "-seconds", "3600", "-seed", "2664"}

func TestEveryLineIsAnEntry(t *testing.T) {
	documentation := []netip.Prefix{
		netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("203.0.113.0/24"),
	}
	address := regexp.MustCompile(`\b[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+\b`)
	last := ""
	fields, lines := 0, 0
	for line := range bytes.Lines(generate(t, "-n", "20000", "-attackers", "600")) {
		var e map[string]string
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		if e["__REALTIME_TIMESTAMP"] <= last {
			t.Fatalf("time does not go on at %s", line)
		}
		last = e["__REALTIME_TIMESTAMP"]
		fields += len(e)
		lines++
		for _, text := range address.FindAllString(e["MESSAGE"], -1) {
			ip, err := netip.ParseAddr(text)
			if err != nil || ip.IsLoopback() {
				continue // a version number, or the proxy
			}
			known := false
			for _, p := range documentation {
				known = known || p.Contains(ip)
			}
			if !known {
				t.Fatalf("%s is not reserved for documentation: %s", ip, line)
			}
		}
	}
	if lines != 20000 {
		t.Errorf("%d lines, want 20000", lines)
	}
	if mean := fields / lines; mean < 22 || mean > 35 {
		t.Errorf("%d fields per entry, want about as many as journald writes", mean)
	}
}

func TestBadFlags(t *testing.T) {
	for _, args := range [][]string{{"-n", "0"}, {"-format", "xml"}, {"-attackers", "-1"}, {"-attacks", "1001"}} {
		if err := run(args, &bytes.Buffer{}); err == nil {
			t.Errorf("generate %q: no error", args)
		}
	}
}

// What journald's own tools say of the export format.
func TestExportIsReadBySystemd(t *testing.T) {
	const remote = "/lib/systemd/systemd-journal-remote"
	if _, err := os.Stat(remote); err != nil {
		t.Fatalf("%v: install the package systemd-journal-remote", err)
	}
	file := filepath.Join(t.TempDir(), "sample.journal")
	cmd := exec.Command(remote, "-o", file, "-")
	cmd.Stdin = bytes.NewReader(generate(t, "-n", "3000", "-format", "export"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	out, err := exec.Command("journalctl", "--file", file, "-o", "json").Output()
	if err != nil {
		t.Fatal(err)
	}
	var got, want []map[string]any
	got = entries(t, out)
	want = entries(t, generate(t, "-n", "3000"))
	if len(got) != len(want) {
		t.Fatalf("%d entries, want %d", len(got), len(want))
	}
	for i := range want {
		for _, name := range []string{"MESSAGE", "PRIORITY", "_SYSTEMD_UNIT", "__REALTIME_TIMESTAMP", "_SELINUX_CONTEXT"} {
			if got[i][name] != want[i][name] {
				t.Fatalf("entry %d: %s is %q, want %q", i, name, got[i][name], want[i][name])
			}
		}
	}
}

func entries(t *testing.T, lines []byte) (all []map[string]any) {
	t.Helper()
	for line := range bytes.Lines(lines) {
		var e map[string]any
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}
