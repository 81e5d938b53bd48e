// Command benchmarks measures the figures that Pyruse promises, prints them beside their targets,
// and fails if one is missed. See README.md for what each means.
//
//	go run -tags libsqlite3 ./docs/benchmarks [-report-only]
//
// Times are CPU time (user and system) of the measured process, so that a busy machine disturbs them little. Every
// part runs in a process of its own, so that neither garbage nor memory of one part counts in another; what touches
// the firewall runs in a network namespace of its own. It needs root or unprivileged user namespaces, systemd's
// journald and journal-remote, and nf_tables in the kernel.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/pyruse/pyruse/internal/journal/journaltest"
)

// errMissed says that there are targets that were not reached; they were named already.
var errMissed = errors.New("targets were missed")

// options are the flags, for the parts too.
type options struct {
	entries    int
	rounds     int
	reportOnly bool
	profile    string
	work       string // the folder with the journal, the binaries, and what else is removed at the end
	running    int    // of part ban
}

// figures are what a part measured, by name.
type figures map[string]float64

// parts are measured each in a process of its own; those that are isolated in namespaces of their own, beside a
// journald of their own.
var parts = map[string]struct {
	measure  func(*options) (figures, error)
	isolated bool
}{
	"workflow": {measureWorkflow, false},
	"counters": {measureCounters, false},
	"ban":      {measureOneBan, true},
	"storm":    {measureStorm, true},
	"restore":  {measureRestore, true},
	"daemon":   {measureDaemon, true},
	"load":     {measureLoad, false},
	"report":   {measureReport, false},
}

func main() {
	err := run(os.Args[1:], os.Stdout)
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return
	}
	fmt.Fprintln(os.Stderr, "benchmarks:", err)
	os.Exit(1)
}

func run(args []string, out io.Writer) error {
	if len(args) > 1 && args[0] == "part" {
		return runPart(args[1], args[2:], out)
	}
	var o options
	if err := o.parse(args); err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "pyruse-benchmarks-")
	if err != nil {
		return fmt.Errorf("make a folder for the journal: %w", err)
	}
	o.work = work
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	all, err := measure(ctx, &o)
	err = errors.Join(err, os.RemoveAll(work))
	if err != nil {
		return err
	}
	missed, err := writeTable(out, all, &o)
	if err == nil && missed > 0 && !o.reportOnly {
		err = fmt.Errorf("%w: %d", errMissed, missed)
	}
	return err
}

func (o *options) parse(args []string) error {
	flags := flag.NewFlagSet("benchmarks", flag.ContinueOnError)
	flags.IntVar(&o.entries, "entries", 200_000, "how many entries the journal has")
	flags.IntVar(&o.rounds, "rounds", 5, "how often each figure is measured; the median counts")
	flags.BoolVar(&o.reportOnly, "report-only", false, "exit with 0 even if a target is missed")
	flags.StringVar(&o.profile, "profile", "", "write a CPU profile of the workflow over entries in memory to this `file`")
	flags.StringVar(&o.work, "work", "", "for the parts: the folder with the journal and the binaries")
	flags.IntVar(&o.running, "running", 0, "for part ban: how many bans are running")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if o.entries < 1000 || o.rounds < 1 || flags.NArg() > 0 {
		return errors.New("-entries must be 1000 or more, -rounds 1 or more, and there are no further arguments")
	}
	return nil
}

func (o *options) args() []string {
	return []string{
		"-entries", strconv.Itoa(o.entries), "-rounds", strconv.Itoa(o.rounds), "-profile", o.profile,
		"-work", o.work, "-running", strconv.Itoa(o.running),
	}
}

// measure runs all parts. Those that are compared with each other take turns.
func measure(ctx context.Context, o *options) (figures, error) {
	if err := prepare(ctx, o); err != nil {
		return nil, err
	}
	all := figures{}
	for _, name := range []string{"workflow", "counters"} {
		f, err := o.start(ctx, name)
		if err != nil {
			return nil, err
		}
		for k, v := range f {
			all[k] = v
		}
	}
	var rounds []figures
	for range o.rounds {
		round := figures{}
		for _, running := range []int{0, manyBans} {
			o.running = running
			f, err := o.start(ctx, "ban")
			if err != nil {
				return nil, err
			}
			round[fmt.Sprintf("ban %d", running)] = f["ban"]
		}
		round["ban ratio"] = round[fmt.Sprintf("ban %d", manyBans)] / round["ban 0"]
		for _, name := range []string{"storm", "restore", "daemon", "load", "report"} {
			f, err := o.start(ctx, name)
			if err != nil {
				return nil, err
			}
			for k, v := range f {
				round[k] = v
			}
		}
		rounds = append(rounds, round)
	}
	for k, v := range medians(rounds) {
		all[k] = v
	}
	return all, nil
}

// start runs a part in a process of its own.
func (o *options) start(ctx context.Context, name string) (figures, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	cmd := exec.CommandContext(ctx, self, append([]string{"part", name}, o.args()...)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // it takes its own children along
	cmd.Stderr = os.Stderr
	data, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("measure %s: %w", name, err)
	}
	var f figures
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, fmt.Errorf("measure %s: %w", name, err)
	}
	return f, nil
}

func runPart(name string, args []string, out io.Writer) error {
	var o options
	if err := o.parse(args); err != nil {
		return err
	}
	p, ok := parts[name]
	if !ok {
		return fmt.Errorf("there is no part %q", name)
	}
	measure := func() error {
		f, err := p.measure(&o)
		if err != nil {
			return err
		}
		return json.NewEncoder(out).Encode(f)
	}
	if !p.isolated {
		return measure()
	}
	journaltest.Run(func() int { // ends the process
		if err := measure(); err != nil {
			fmt.Fprintln(os.Stderr, "benchmarks:", err)
			return 1
		}
		return 0
	})
	return nil
}

// The files in options.work.
const (
	journalDir = "journal"
	binPyruse  = "pyruse"
	binMaker   = "generate"
)

// exampleConfig is relative to the root of the module.
const exampleConfig = "docs/examples/server/pyruse.json"

// attackers is how many addresses attack in the journal.
const attackers = 300

// prepare builds the binaries and makes the journal.
func prepare(ctx context.Context, o *options) error {
	root, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return fmt.Errorf("find the module: %w", err)
	}
	if err := os.Chdir(filepath.Dir(strings.TrimSpace(string(root)))); err != nil {
		return fmt.Errorf("find the module: %w", err)
	}
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-tags", "libsqlite3", "-o", o.work+"/", "./cmd/pyruse", "./docs/examples/generate")
	if text, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build Pyruse: %w: %s", err, text)
	}
	dir := filepath.Join(o.work, journalDir)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return fmt.Errorf("make a folder for the journal: %w", err)
	}
	return makeJournal(ctx, o, dir)
}

// makeJournal has a made-up journal written by systemd itself.
func makeJournal(ctx context.Context, o *options, dir string) error {
	maker := exec.CommandContext(ctx, filepath.Join(o.work, binMaker), "-format", "export",
		"-n", strconv.Itoa(o.entries), "-attackers", strconv.Itoa(attackers))
	remote := exec.CommandContext(ctx, "/lib/systemd/systemd-journal-remote", "-o", filepath.Join(dir, "remote.journal"), "-")
	maker.Stderr = os.Stderr
	pipe, err := maker.StdoutPipe()
	if err != nil {
		return fmt.Errorf("make the journal: %w", err)
	}
	remote.Stdin = pipe
	if err := maker.Start(); err != nil {
		return fmt.Errorf("make the journal: %w", err)
	}
	text, err := remote.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("write the journal (Debian package systemd-journal-remote): %w: %s", err, text)
	}
	return errors.Join(err, maker.Wait())
}
