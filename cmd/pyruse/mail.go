package main

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/pyruse/pyruse/internal/app"
)

func newMail(f *flags) *cobra.Command {
	options := func(c *cobra.Command) app.MailOptions {
		return app.MailOptions{
			Source: f.source(), Format: app.Format(f.format),
			Stdout: c.OutOrStdout(), Stderr: c.ErrOrStderr(), Colour: isTerminal(c.ErrOrStderr()),
		}
	}
	m := &cobra.Command{
		Use:   "mail",
		Short: "Look after the mails that wait, and try the mail server",
		Long: `Every mail is stored until the mail server has accepted it. One that is not accepted is tried again, after a
minute at first, then after ever longer times, for 5 days; then, or when the server refuses it for good, it
is kept as failed, and the daily report says so.

With the daemon running, retry and drop ask it over its control socket; only root and the daemon's own user may
do so.

Exit codes: 0 done; 1 failure; 2 the configuration has errors.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	addFormat(m, f, app.Text, app.JSON)
	m.AddCommand(newMailList(options), newMailShow(options), newMailRetry(options), newMailDrop(options), newMailTest(options))
	return m
}

type mailOptions func(c *cobra.Command) app.MailOptions

func newMailList(options mailOptions) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the mails that wait or failed",
		Long: `List the mails of the outbox: those that wait for their next try, those that failed, and what is held back to
become one mail (email.coalesceSeconds, email.maxPerHour).

With --format json, one object is printed per mail, and one per subject of what is held:
  {"id":7,"state":"waiting","subject":"…","from":"…","to":["…"],"refused":[],"created":"…","attempts":2,
   "nextTry":"…","lastError":"…","messageId":"…","size":4711}
  {"id":5,"state":"failed",…,"to":[],"refused":[{"address":"…","reason":"550 …"}],"nextTry":null,…}
  {"state":"held","subject":"…","messages":12}`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return app.MailList(c.Context(), options(c)) },
	}
}

func newMailShow(options mailOptions) *cobra.Command {
	source := false
	c := &cobra.Command{
		Use:   "show ID",
		Short: "Show a mail of the outbox",
		Long: `Show what became of a mail so far, and the mail itself: the header fields that matter, and the text. With --source,
print the message as it is sent, and nothing else.`,
		Example: `  pyruse mail show 7
  pyruse mail show 7 --source | formail -X Subject:`,
		RunE: func(c *cobra.Command, args []string) error {
			ids, err := parseIDs(args)
			switch {
			case err != nil:
				return err
			case len(ids) != 1:
				return errors.New("name one mail by its number, as in \"pyruse mail list\"")
			}
			return app.MailShow(c.Context(), options(c), ids[0], source)
		},
	}
	c.Flags().BoolVar(&source, "source", false, "print the message as it is sent")
	return c
}

func newMailRetry(options mailOptions) *cobra.Command {
	all := false
	c := &cobra.Command{
		Use:   "retry ID...",
		Short: "Send mails now",
		Long: `Have mails tried now, also those that failed; these have 5 days again. Without a running daemon, they are due
at its next start.`,
		Example: `  pyruse mail retry 5 7
  pyruse mail retry --all`,
		RunE: func(c *cobra.Command, args []string) error {
			ids, err := parseIDs(args)
			switch {
			case err != nil:
				return err
			case len(ids) == 0 && !all:
				return errors.New("name the mails by their numbers, as in \"pyruse mail list\", or say --all")
			case len(ids) > 0 && all:
				return errors.New("either numbers or --all")
			}
			return app.MailRetry(c.Context(), options(c), ids)
		},
	}
	c.Flags().BoolVar(&all, "all", false, "all mails that wait or failed")
	return c
}

func newMailDrop(options mailOptions) *cobra.Command {
	return &cobra.Command{
		Use:     "drop ID...",
		Short:   "Remove mails from the outbox",
		Long:    `Remove mails from the outbox: they are not sent any more, and gone. One that is being sent at this moment may still arrive.`,
		Example: `  pyruse mail drop 5`,
		RunE: func(c *cobra.Command, args []string) error {
			ids, err := parseIDs(args)
			switch {
			case err != nil:
				return err
			case len(ids) == 0:
				return errors.New("name the mails by their numbers, as in \"pyruse mail list\"")
			}
			return app.MailDrop(c.Context(), options(c), ids)
		},
	}
}

func newMailTest(options mailOptions) *cobra.Command {
	var to []string
	c := &cobra.Command{
		Use:   "test",
		Short: "Send a test mail, and show the dialogue with the mail server",
		Long: `Send a mail at once, past the outbox and whether the daemon is running or not, with the configuration as it is,
and print what is said: "->" is what Pyruse says, "<-" what the server or the sendmail program answers. Passwords
and tokens are not shown.

A password that systemd gives to the daemon (passwordCredential) is found where systemd keeps it while the
service runs, for which this command must be run as root.

With --format json, the dialogue goes to standard error, and one object is printed:
  {"accepted":true,"to":["…"],"messageId":"…"}

Exit codes: 0 the mail was accepted; 1 it was not; 2 the configuration has errors.`,
		Example: `  pyruse mail test
  pyruse mail test --to me@example.org`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return app.MailTest(c.Context(), options(c), to) },
	}
	c.Flags().StringArrayVar(&to, "to", nil, "mail to this `ADDRESS` instead of email.to; may be given several times")
	return c
}

func parseIDs(args []string) ([]int64, error) {
	ids := make([]int64, len(args))
	for i, arg := range args {
		var err error
		if ids[i], err = strconv.ParseInt(arg, 10, 64); err != nil || ids[i] < 1 {
			return nil, fmt.Errorf("%q is not the number of a mail; see \"pyruse mail list\"", arg)
		}
	}
	return ids, nil
}

func newReport(f *flags) *cobra.Command {
	var o app.ReportOptions
	var since, until string
	c := &cobra.Command{
		Use:   "report",
		Short: "Show a report",
		Long: `Show the report that would be sent now, of all that is in no report yet. With --date, show that of a day: as it was
sent, if it is still kept (report.keepDays), else made anew of the lines that are still there. With --since and
--until, make the report of a time. Nothing changes: what is shown here is still in the next report.

The text is AsciiDoc. With --html, the HTML is written to a file. With --raw, the lines are printed as they were.
With --send, the report is mailed to email.to: by the daemon or, if none is running, at its next start. It is
shown as well if --text or --html says so; what was done is told on standard error then, if the report is on
standard output.

For a time before Pyruse kept records, or with another configuration, see "pyruse replay --report", which makes
the report from the journal itself.

Times are those of "pyruse replay". With --format json, --raw prints one object a line, and --send prints one:
  {"time":"…","level":"OTHER","message":"…","details":"ALL","service":"sshd","unit":"ssh.service"}
  {"summary":"…"}

Exit codes: 0 shown, or mailed; 1 failure; 2 the configuration has errors.`,
		Example: `  pyruse report
  pyruse report --date 2026-11-24 --raw | less
  pyruse report --since -7d --html week.html
  pyruse report --date yesterday --send`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			given := c.Flags().Changed
			err := exclude(c, []string{"date", "since"}, []string{"text", "html", "raw"}, []string{"raw", "send"})
			if err == nil {
				err = checkHTML(c, o.HTML)
			}
			if err == nil {
				o.Since, o.Until, err = parseSpan(since, until)
			}
			if err == nil && given("date") {
				o.Date, err = parseDate(o.Date, time.Now())
			}
			o.Source, o.Format = f.source(), app.Format(f.format)
			switch {
			case err != nil:
				return err
			case o.Since.IsZero() && given("until"):
				return errors.New("--until goes with --since")
			case o.Format != app.Text && !o.Raw && !o.Send:
				return errors.New("--format json goes with --raw or --send")
			}
			o.Stdout, o.Stderr, o.Colour = c.OutOrStdout(), c.ErrOrStderr(), isTerminal(c.ErrOrStderr())
			return app.ShowReport(c.Context(), o)
		},
	}
	addFormat(c, f, app.Text, app.JSON)
	c.Flags().StringVar(&o.Date, "date", "", "the report of this `DAY`: 2026-11-24, today or yesterday")
	c.Flags().StringVar(&since, "since", "", "the report of the time from this `TIME` on")
	c.Flags().StringVar(&until, "until", "", "with --since: up to this `TIME`; without it, up to now")
	c.Flags().BoolVar(&o.Text, "text", false, "print the text, which is what happens without any of the others")
	c.Flags().StringVar(&o.HTML, "html", "", "write the HTML to this `FILE`; - is standard output")
	c.Flags().BoolVar(&o.Raw, "raw", false, "print the lines as they were")
	c.Flags().BoolVar(&o.Send, "send", false, "mail the report")
	return c
}
