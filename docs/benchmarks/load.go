package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// What is loaded: so many fragments, with so many chains each.
const (
	fragments         = 200
	chainsPerFragment = 5
)

// measureLoad runs the built `pyruse check` over many fragments, from its start to its end: it reads, validates, merges, links,
// builds and analyses them, as the daemon does.
func measureLoad(o *options) (figures, error) {
	dir, err := os.MkdirTemp(o.work, "fragments-")
	if err != nil {
		return nil, fmt.Errorf("make a folder of fragments: %w", err)
	}
	if err := writeFragments(dir); err != nil {
		return nil, fmt.Errorf("write the fragments: %w", err)
	}
	cmd := exec.Command(filepath.Join(o.work, binPyruse), "check", "--config", filepath.Join(dir, "main"), "--config-dir", dir)
	began := time.Now()
	out, err := cmd.CombinedOutput()
	elapsed := time.Since(began)
	if err == nil && !bytes.Contains(out, fmt.Appendf(nil, "%d fragments: %d chains, ", fragments, fragments*chainsPerFragment+2)) {
		err = errors.New("not all chains were loaded")
	}
	if err != nil {
		return nil, fmt.Errorf("run pyruse check: %w: %s", err, out)
	}
	cpu := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return figures{"load": 1e3 * cpu.Seconds(), "load elapsed": 1e3 * elapsed.Seconds()}, os.RemoveAll(dir)
}

// writeFragments writes a main file, and fragments with chains as services have them: a filter for the unit, a
// regular expression of its own, a counter, a limit, and a ban that all share.
func writeFragments(dir string) error {
	const main = `{"actions": {
  "everything else": {"order": 900, "steps": [
    { "action": "action_dailyReport", "args": { "level": "OTHER", "message": "{SYSLOG_IDENTIFIER}: {MESSAGE}" } }
  ]},
  "ban": {"order": 950, "steps": [
    { "action": "action_nftBan", "args": { "IP": "IP", "banSeconds": 3600, "nftSetIPv4": "inet pyruse ban4", "nftSetIPv6": "inet pyruse ban6" } }
  ]}
}}`
	if err := os.WriteFile(filepath.Join(dir, "main"), []byte(main), 0o600); err != nil {
		return err
	}
	for i := range fragments {
		chains := make([]string, chainsPerFragment)
		for j := range chains {
			chains[j] = fmt.Sprintf(`    "service %[1]d: %[2]d": [
      { "filter": "filter_equals", "args": { "field": "_SYSTEMD_UNIT", "value": "s%[1]d.service" } },
      { "filter": "filter_pcre", "args": { "field": "MESSAGE", "re": "^case %[2]d: login of .* from (?P<IP>[0-9A-Fa-f:.]+) failed$" } },
      { "action": "action_counterRaise", "args": { "counter": "s%[1]d", "for": "IP", "keepSeconds": 600, "save": "n" } },
      { "filter": "filter_greaterOrEquals", "args": { "field": "n", "value": 3 }, "then": "ban" }
    ]`, i, j)
		}
		text := "{\n  \"actions\": {\n" + strings.Join(chains, ",\n") + "\n  }\n}\n"
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%03d.json", i)), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}
