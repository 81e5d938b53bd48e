package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/pyruse/pyruse/internal/app"
)

// version is set by the build (-ldflags "-X main.version=…").
var version = ""

// versionText returns the version of the build, or of the source that it was made from.
func versionText() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}

const rootHelp = `Pyruse reads the systemd journal and pushes every entry through a static workflow of
filters and actions. It counts, bans addresses in nftables or ipset, mails at once what cannot
wait, and reports once a day what is worth knowing.

The configuration is the file given with --config, else pyruse.json in the folder
$PYRUSE_EXTRA, else /etc/pyruse/pyruse.json; and the fragments *.json in /usr/lib/pyruse.d,
/run/pyruse.d and /etc/pyruse.d, or in the folders given with --config-dir. See pyruse.json(5).

Begin with:
  pyruse check  --config pyruse.json              is the configuration sound?
  pyruse replay --config pyruse.json --since -1d  what would it have done since yesterday?
  pyruse run    --config pyruse.json              do it

Exit codes: 0 all is well; 1 failure; 2 the configuration has errors.`

// flags are the flags that commands share.
type flags struct {
	config string
	dirs   []string
	set    []string
	format string
}

func (f *flags) source() app.Source {
	return app.Source{Config: f.config, Extra: os.Getenv("PYRUSE_EXTRA"), Dirs: f.dirs, Environ: os.Environ(), Set: f.set}
}

func newRoot() *cobra.Command {
	f := &flags{}
	root := &cobra.Command{
		Use:           "pyruse",
		Short:         "Watch the systemd journal: count, ban, mail, report",
		Long:          rootHelp,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs, // so that a misspelt command is an error, not a call for help
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.PersistentFlags().StringVarP(&f.config, "config", "c", "", "the configuration `FILE`")
	root.PersistentFlags().StringArrayVar(&f.dirs, "config-dir", nil,
		"read fragments from `DIR` instead of the system's folders; several times: a later one wins; \"\": none")
	root.PersistentFlags().StringArrayVar(&f.set, "set", nil, "give a setting another value: `KEY=VALUE`, as in limits.bans=1000")
	root.AddCommand(newRun(f), newReload(f), newCheck(f), newConfig(f), newReplay(f), newReport(f), newMail(f), newBoot(f), newBans(f), newSchema(), newVersion(f))
	return root
}

// addFormat adds --format to a command and checks its value; the first format is the default.
func addFormat(c *cobra.Command, f *flags, formats ...app.Format) {
	names := make([]string, len(formats))
	for i, x := range formats {
		names[i] = string(x)
	}
	legal := strings.Join(names[:len(names)-1], ", ") + " or " + names[len(names)-1]
	c.PersistentFlags().StringVarP(&f.format, "format", "f", names[0], "`FORMAT` of the output: "+legal)
	c.PersistentPreRunE = func(*cobra.Command, []string) error {
		if !slices.Contains(names, f.format) {
			return fmt.Errorf("--format is %q; it must be %s", f.format, legal)
		}
		return nil
	}
}

// exclude returns an error if more than one flag of a group is given.
func exclude(c *cobra.Command, groups ...[]string) error {
	for _, group := range groups {
		given := slices.DeleteFunc(slices.Clone(group), func(name string) bool { return !c.Flags().Changed(name) })
		if len(given) > 1 {
			return fmt.Errorf("--%s and --%s exclude each other", given[0], given[1])
		}
	}
	return nil
}

// checkHTML returns an error if --html names no file.
func checkHTML(c *cobra.Command, file string) error {
	if c.Flags().Changed("html") && file == "" {
		return errors.New("--html needs the name of a file; - is standard output")
	}
	return nil
}

// isTerminal reports whether w is a terminal that wants colours.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(f.Fd()))
}

func newRun(f *flags) *cobra.Command {
	return &cobra.Command{
		Use:   "run",
		Short: "Run the daemon",
		Long: `Handle the entries of the journal as they come, beginning behind the last one that was handled
(at the very first start: at the end of the journal). Stop with SIGTERM or SIGINT; everything is
committed then. No ban is lifted when the daemon stops, and what was logged meanwhile is
handled at the next start.

SIGHUP makes it load the configuration again, as "pyruse reload" does.

Under systemd, the service has Type=notify-reload (or Type=notify, before systemd 253), and
WatchdogSec= is served.

Exit codes: 0 stopped as asked; 1 failure; 2 the configuration has errors.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			// From now on: a SIGHUP that comes while the daemon starts must not end it.
			hangups := make(chan os.Signal, 1)
			signal.Notify(hangups, syscall.SIGHUP)
			defer signal.Stop(hangups)
			return app.Run(c.Context(), app.RunOptions{
				Source: f.source(), Version: versionText(), Stderr: c.ErrOrStderr(), Colour: isTerminal(c.ErrOrStderr()),
				Reload: hangups,
			})
		},
	}
}

func newReload(f *flags) *cobra.Command {
	var socket string
	c := &cobra.Command{
		Use:   "reload",
		Short: "Have the running daemon load its configuration again",
		Long: `Have the running daemon load its configuration again, wait for the result, and print every fault as "check" does.
The new configuration takes effect between two entries: none is missed or handled twice, and counters, bans,
DNAT mappings, report lines and mail are kept. Where it has errors, the old one stays in force.

The daemon is asked over its control socket; only root and the daemon's own user may do so. It loads what it was
started with: --config and --config-dir only say where the socket is found. If "control" was changed, name the
socket of the running daemon with --socket.

Exit codes: 0 the new configuration is in force (there may be warnings); 1 no daemon is running, or another
failure; 2 the configuration has errors, and the old one stays in force.`,
		Example: `  pyruse reload
  ExecReload=/usr/bin/pyruse reload            in a unit with Type=notify`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if len(f.set) > 0 {
				return errors.New("--set has no effect on a running daemon: write the setting into a file")
			}
			return app.Reload(c.Context(), app.ReloadOptions{
				Source: f.source(), Socket: socket, Format: app.Format(f.format), Stdout: c.OutOrStdout(), Colour: isTerminal(c.OutOrStdout()),
			})
		},
	}
	addFormat(c, f, app.Text, app.JSON)
	c.Flags().StringVar(&socket, "socket", "", "the control `SOCKET` of the daemon; without it, where the configuration says")
	return c
}

func newCheck(f *flags) *cobra.Command {
	var o app.CheckOptions
	var fragments []string
	var as string
	c := &cobra.Command{
		Use:   "check",
		Short: "Check the configuration",
		Long: `Load the configuration as "run" does, and print every fault with its place: file:line:column,
the line itself, and what to do. Neither root nor a journal is needed. The daemon leaves out a
fragment with faults and runs with the rest; check fails in any case.

With --fragment, check one file as if it stood in the highest folder of fragments, under its own
name or the one given with --as. Only what this file brings about is printed, and counts: faults in
it, and faults of others because of it. This is for tools that check a file before they put it in place:
in Ansible, validate: pyruse check --fragment %s --as 50-site.json

With --system, also check what only the machine knows: whether the storage folder can be written,
whether the journal can be read, whether sendmail can be started or the mail server lets Pyruse in (nothing is
sent), whether the users and the name service are there, and whether the sets exist that the configuration bans
into.

Warnings of the static analysis have names, which --format json shows. One that is not wanted is switched off at its
step, with the reason: "allow": ["forgeable-ban: only root can log in here"].

Exit codes: 0 no errors (there may be warnings); 1 failure, or the machine is not ready
(--system); 2 the configuration has errors, or with --strict warnings.`,
		Example: `  pyruse check --config pyruse.json
  pyruse check --config pyruse.json --dump     show where each step leads to
  pyruse check --format json                   one object a line, for scripts
  pyruse check --format sarif                  for editors and CI
  pyruse check --fragment new.json --as 50-site.json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			o.Source, o.Format, o.Stdout = f.source(), app.Format(f.format), c.OutOrStdout()
			o.Colour, o.Version = isTerminal(c.OutOrStdout()), versionText()
			switch {
			case len(fragments) > 1:
				return errors.New("--fragment is there twice; check one file at a time")
			case len(fragments) == 1:
				o.Candidate = app.NewCandidate(fragments[0], as, c.InOrStdin())
			case as != "":
				return errors.New("--as NAME goes with --fragment FILE")
			}
			return app.Check(c.Context(), o)
		},
	}
	addFormat(c, f, app.Text, app.JSON, app.SARIF)
	c.Flags().BoolVar(&o.Strict, "strict", false, "fail on warnings, too")
	c.Flags().BoolVar(&o.System, "system", false, "also check what only the machine knows")
	c.Flags().BoolVar(&o.Dump, "dump", false, "print the compiled workflow")
	c.Flags().StringArrayVar(&fragments, "fragment", nil, "check this `FILE` as a fragment; - is standard input")
	c.Flags().StringVar(&as, "as", "", "the `NAME` that the fragment will have")
	return c
}

func newConfig(f *flags) *cobra.Command {
	var o app.ConfigOptions
	c := &cobra.Command{
		Use:   "config",
		Short: "Print the configuration that all files add up to",
		Long: `Print all settings, lists and chains as they are in force: the built-in values, the main file, the
fragments, the variables PYRUSE_… and --set, each over the ones before it. Chains stand in the order in
which they run. The output is a configuration itself. Comments on top name the files it was made of,
those that are left out because of faults, and what overrides what.

With --origin, print one line for each value: the file and the line that it comes from, the key, the value, and
the places that it overrides.

With --format json, print one object, without comments; with --origin, one object a line:
  {"source":"/etc/pyruse.d/50-site.json","state":"used"}
  {"key":"email.to","value":["root@example.org"],"file":"/etc/pyruse.d/50-site.json","line":3,"overrides":[…]}

Exit codes: 0 the configuration can be run, maybe without fragments that have faults; 1 failure; 2 it
cannot be run.`,
		Example: `  pyruse config
  pyruse config --origin | grep email
  pyruse config --config-dir ./pyruse.d`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			o.Source, o.Format = f.source(), app.Format(f.format)
			o.Stdout, o.Stderr, o.Colour = c.OutOrStdout(), c.ErrOrStderr(), isTerminal(c.ErrOrStderr())
			return app.PrintConfig(o)
		},
	}
	addFormat(c, f, app.Text, app.JSON)
	c.Flags().BoolVar(&o.Origin, "origin", false, "show for each value where it comes from")
	return c
}

func newReplay(f *flags) *cobra.Command {
	var o app.ReplayOptions
	var since, until string
	c := &cobra.Command{
		Use:   "replay",
		Short: "Show what the configuration would have done",
		Long: `Push past entries through the workflow and print every effect; nothing is banned, mailed, logged
or stored. Without a source, the journal is read that the configuration names: the system's.

Times are "2026-11-22 08:00", "2026-11-22", RFC 3339, "today", "yesterday", "now", a length of time
before now ("-2h", "-3d"), or seconds since 1970 ("@1700000000").

With --format json, one object is printed per effect, in order, and a summary at the end:
  {"effect":"ban","time":"…","chain":"ssh","step":3,"backend":"nft","set":"…","ip":"…","seconds":86400}
  {"effect":"refused",…,"ip":"…","reason":"…"}
  {"effect":"mail",…,"subject":"…","text":"…"}
  {"effect":"report",…,"level":"WARN","message":"…","details":"ALL"}
  {"effect":"log",…,"level":"INFO","message":"…"}
  {"effect":"error",…,"error":"…"}
  {"effect":"summary","entries":9,"bans":1,"mails":0,"reports":4,"logs":0,"errors":0}

With --report, print the report of that time in the place of the effects, or write its HTML to a file (--html).
What is new is not marked: of the days before, a replay knows nothing.

Exit codes: 0 replayed to the end (errors of steps are effects, not failures); 1 failure, or
parts of the input could not be read; 2 the configuration has errors.`,
		Example: `  pyruse replay --since yesterday --until today
  pyruse replay --since 2026-11-01 --until 2026-11-02 --report --html report.html
  pyruse replay --file /var/log/journal/…/system.journal --format json
  journalctl -o json --since -1h | pyruse replay --entries -`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var err error
			if o.Since, o.Until, err = parseSpan(since, until); err != nil {
				return err
			}
			if err := exclude(c, []string{"directory", "file", "entries"}, []string{"report", "format"}); err != nil {
				return err
			}
			if c.Flags().Changed("html") && !o.Report {
				return errors.New("--html goes with --report")
			}
			if err := checkHTML(c, o.HTML); err != nil {
				return err
			}
			o.Source, o.Format = f.source(), app.Format(f.format)
			o.Stdin, o.Stdout, o.Stderr = c.InOrStdin(), c.OutOrStdout(), c.ErrOrStderr()
			o.Colour = isTerminal(o.Stdout)
			o.Progress = isTerminal(o.Stderr) && !isTerminal(o.Stdout)
			return app.Replay(c.Context(), o)
		},
	}
	addFormat(c, f, app.Text, app.JSON)
	c.Flags().StringVar(&o.Directory, "directory", "", "read the journal files in this `DIR`")
	c.Flags().StringArrayVar(&o.Files, "file", nil, "read this journal `FILE`; may be given several times")
	c.Flags().StringVar(&o.Entries, "entries", "", "read lines of \"journalctl -o json\" from `FILE`; - is standard input")
	c.Flags().StringVar(&since, "since", "", "leave out entries before this `TIME`")
	c.Flags().StringVar(&until, "until", "", "leave out entries at or after this `TIME`")
	c.Flags().BoolVar(&o.Report, "report", false, "print the report of that time instead of the effects")
	c.Flags().StringVar(&o.HTML, "html", "", "with --report: write the HTML to this `FILE`; - is standard output")
	return c
}

func newBoot(f *flags) *cobra.Command {
	return &cobra.Command{
		Use:   "boot [MODULE...]",
		Short: "Put the remembered bans back, before the network is up",
		Long: `Put every remembered ban that has not expired back into the firewall, with the time that it has
left, and forget those that have expired. Neither the daemon nor the network is needed: the
unit pyruse-boot@action_nftBan.service runs this before network-pre.target.

MODULE is action_nftBan or action_ipsetBan; without one, both are restored. Bans are restored
even if the configuration has errors (exit code 2 then).`,
		Example: `  pyruse boot
  pyruse boot action_nftBan`,
		ValidArgs: []string{"action_nftBan", "action_ipsetBan"},
		RunE: func(c *cobra.Command, args []string) error {
			return app.Boot(c.Context(), app.BootOptions{
				Source: f.source(), Modules: args, Stdout: c.OutOrStdout(), Stderr: c.ErrOrStderr(), Colour: isTerminal(c.ErrOrStderr()),
			})
		},
	}
}

func newBans(f *flags) *cobra.Command {
	options := func(c *cobra.Command) app.BansOptions {
		return app.BansOptions{
			Source: f.source(), Format: app.Format(f.format),
			Stdout: c.OutOrStdout(), Stderr: c.ErrOrStderr(), Colour: isTerminal(c.ErrOrStderr()),
		}
	}
	bans := &cobra.Command{
		Use:   "bans",
		Short: "List, add and remove bans",
		Long: `List what is banned: the set, the address, since when, until when, and by which step. With the daemon
running, it is asked over its control socket; otherwise the database is read.

With --format json, one object is printed per ban:
  {"backend":"nft","set":"inet pyruse ban4","address":"192.0.2.1","since":"…","until":"…","chain":"ssh","step":3}
until is null for a ban without end; chain is "" for a ban by hand.

Only root and the daemon's own user may add and remove bans.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return app.Bans(c.Context(), options(c)) },
	}
	addFormat(bans, f, app.Text, app.JSON)
	var length string
	add := &cobra.Command{
		Use:   "add SET ADDRESS",
		Short: "Ban an address",
		Long: `Ban an address by hand, in a set of nftables ("family table set") or in an ipset (one word). The ban is
remembered like any other: it comes back at boot, and when somebody flushes the ruleset.`,
		Example: `  pyruse bans add "inet pyruse ban4" 192.0.2.1 --for 3d
  pyruse bans add mail_ban 2001:db8::1`,
		Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			var d time.Duration
			if length != "" {
				var err error
				if d, err = parseLength(length); err != nil {
					return fmt.Errorf("--for: %w", err)
				}
			}
			return app.AddBan(c.Context(), options(c), args[0], args[1], d)
		},
	}
	add.Flags().StringVar(&length, "for", "", "how `LONG`: 3d, 12h, 1w2d, 90m, 3600; without it, for ever")
	remove := &cobra.Command{
		Use:   "remove ADDRESS [SET]",
		Short: "Lift the bans of an address",
		Long: `Lift the bans of an address in a set, or in all sets. A ban that was removed does not come back at boot. It
is a failure (exit code 1) if the address is not banned.`,
		Example: `  pyruse bans remove 192.0.2.1`,
		Args:    cobra.RangeArgs(1, 2),
		RunE: func(c *cobra.Command, args []string) error {
			set := ""
			if len(args) == 2 {
				set = args[1]
			}
			return app.RemoveBan(c.Context(), options(c), args[0], set)
		},
	}
	bans.AddCommand(add, remove)
	return bans
}

func newSchema() *cobra.Command {
	fragment := false
	c := &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of the configuration",
		Long: `Print the JSON Schema (draft 2020-12) of pyruse.json or, with --fragment, that of a drop-in fragment.
With it, an editor completes the names of filters, actions and arguments, shows what they do, and
marks mistakes while you type. The document is complete: no network is needed.

The package installs both documents:
  /usr/share/pyruse/pyruse.schema.json    the main file
  /usr/share/pyruse/fragment.schema.json  fragments

Name one of them at the top of a file, and any editor that knows JSON Schema finds it:
  { "$schema": "file:///usr/share/pyruse/pyruse.schema.json", "actions": { … } }

Or tell VS Code once for all files, in its settings.json:
  "json.schemas": [
    { "fileMatch": ["pyruse.json"], "url": "file:///usr/share/pyruse/pyruse.schema.json" },
    { "fileMatch": ["**/pyruse.d/*.json"], "url": "file:///usr/share/pyruse/fragment.schema.json" }
  ]

A schema knows names, types and limits. Whether a chain exists, a regular expression is sound, or a
template fits is told by "pyruse check".

Exit codes: 0 printed; 1 failure.`,
		Example: `  pyruse schema > pyruse.schema.json
  pyruse schema --fragment > fragment.schema.json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return app.PrintSchema(c.OutOrStdout(), fragment) },
	}
	c.Flags().BoolVar(&fragment, "fragment", false, "the schema of a drop-in fragment, in which everything is optional")
	return c
}

func newVersion(f *flags) *cobra.Command {
	c := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return app.PrintVersion(c.OutOrStdout(), versionText(), app.Format(f.format))
		},
	}
	addFormat(c, f, app.Text, app.JSON)
	return c
}
