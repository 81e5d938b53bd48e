// Command pyruse watches the systemd journal: it counts, bans, mails and reports.
// This package only translates flags, signals and exit codes; see internal/app.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/pyruse/pyruse/internal/app"
)

// The exit codes; docs/reference/exit-codes.md documents them.
const (
	exitOK      = 0
	exitFailure = 1
	exitConfig  = 2 // also where another try is of no use: systemd must not start the daemon again
)

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	stderr := standardError(os.Stderr, os.Getenv("JOURNAL_STREAM"))
	root := newRoot()
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, app.ErrConfig), errors.Is(err, app.ErrUnready):
		if text := withoutMarks(err); text != "" {
			_, _ = fmt.Fprintln(stderr, "pyruse:", text) // there is no other place
		}
		return exitConfig
	default:
		_, _ = fmt.Fprintln(stderr, "pyruse:", withoutMarks(err)) // nor here
		return exitFailure
	}
}

// withoutMarks returns the text of an error without the parts that only say which kind
// it is, because everything was printed already.
func withoutMarks(err error) string {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		text := ""
		for _, e := range joined.Unwrap() {
			part := withoutMarks(e)
			if text != "" && part != "" {
				text += "; "
			}
			text += part
		}
		return text
	}
	if err == app.ErrConfig || err == app.ErrUnready { //nolint:errorlint // only the marks themselves have no text of their own
		return ""
	}
	return err.Error()
}
