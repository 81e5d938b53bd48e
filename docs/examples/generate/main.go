// Command generate writes a made-up systemd journal of a small server: mostly web, git, chat and
// mail chatter, and, unless told otherwise, three lines in a hundred that a watcher should react to.
//
// The same flags give the same bytes, on every machine. All addresses are from the ranges that
// RFC 5737 and RFC 3849 reserve for documentation.
//
//	generate -n 200000 -format export | systemd-journal-remote -o sample.journal -
//	generate -n 500 -seconds 3600 > sample.jsonl
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	flags := flag.NewFlagSet("generate", flag.ContinueOnError)
	format := flags.String("format", "json", "`json` (lines of journalctl -o json) or `export` (for systemd-journal-remote)")
	entries := flags.Int("n", 1000, "how many entries")
	seed := flags.Uint64("seed", 1, "start of the random sequence")
	attackers := flags.Int("attackers", 300, "how many addresses attack")
	attacks := flags.Int("attacks", 30, "how many of 1,000 entries are of attackers, or worth a look")
	seconds := flags.Int("seconds", 86400, "the time from the first entry to the last")
	err := flags.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the command line: %w", err)
	}
	if *entries < 1 || *attackers < 1 || *seconds < 1 {
		return fmt.Errorf("-n, -attackers and -seconds must be 1 or more")
	}
	if *attacks < 0 || *attacks > 1000 {
		return fmt.Errorf("-attacks must be 0 to 1000")
	}
	render := appendJSON
	switch *format {
	case "json":
	case "export":
		render = appendExport
	default:
		return fmt.Errorf("unknown format %q: use json or export", *format)
	}

	w := bufio.NewWriterSize(out, 1<<20)
	s := newServer(*seed, *entries, *attackers, *attacks, *seconds)
	var line []byte
	for range *entries {
		line = render(line[:0], s.next())
		if _, err := w.Write(line); err != nil {
			return fmt.Errorf("write the journal: %w", err)
		}
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write the journal: %w", err)
	}
	return nil
}
