package app

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/pyruse/pyruse/internal/config"
	"github.com/pyruse/pyruse/internal/control"
	"github.com/pyruse/pyruse/internal/mail"
	"github.com/pyruse/pyruse/internal/state"
)

// MailOptions are what the commands on mail have in common.
type MailOptions struct {
	Source Source
	Format Format
	Stdout io.Writer
	Stderr io.Writer
	Colour bool // of Stderr
}

// mailJSON is a mail of the outbox as it is printed.
type mailJSON struct {
	ID        int64             `json:"id"`
	State     string            `json:"state"` // "waiting" or "failed"
	Subject   string            `json:"subject"`
	From      string            `json:"from"`
	To        []string          `json:"to"`      // that have not accepted it yet
	Refused   []state.Recipient `json:"refused"` // and why
	Created   time.Time         `json:"created"`
	Attempts  int               `json:"attempts"`
	NextTry   *time.Time        `json:"nextTry"` // null: never
	LastError string            `json:"lastError"`
	MessageID string            `json:"messageId"`
	Size      int               `json:"size"` // bytes
	Message   string            `json:"message,omitempty"`
}

func newMailJSON(m *state.Mail) mailJSON {
	x := mailJSON{
		ID: m.ID, State: mailState(m), Subject: m.Subject, From: m.From, To: m.To, Refused: m.Refused, Created: m.Created.UTC(), Attempts: m.Attempts,
		LastError: m.LastError, MessageID: m.MessageID, Size: m.Size, Message: string(m.Data),
	}
	if x.To == nil {
		x.To = []string{}
	}
	if x.Refused == nil {
		x.Refused = []state.Recipient{}
	}
	if m.Failed.IsZero() {
		next := m.NextTry.UTC()
		x.NextTry = &next
	}
	return x
}

func mailState(m *state.Mail) string {
	if m.Failed.IsZero() {
		return "waiting"
	}
	return "failed"
}

// MailList prints what is in the outbox, and what waits to become a mail.
func MailList(_ context.Context, o MailOptions) error {
	var mails []state.Mail
	var groups []state.NoteGroup
	err := o.read(func(db *state.DB) error {
		var errMails, errNotes error
		mails, errMails = db.Mails()
		groups, errNotes = db.NoteGroups()
		return errors.Join(errMails, errNotes)
	})
	if err != nil {
		return err
	}
	out := bufio.NewWriter(o.Stdout)
	if o.Format == JSON {
		enc := json.NewEncoder(out)
		enc.SetEscapeHTML(false)
		for i := range mails {
			if err := enc.Encode(newMailJSON(&mails[i])); err != nil {
				return err
			}
		}
		for _, g := range groups {
			if err := enc.Encode(heldJSON{"held", g.Subject, int64(g.Kept) + g.Counted}); err != nil {
				return err
			}
		}
		return out.Flush()
	}
	return errors.Join(printMails(out, mails, groups), out.Flush())
}

// heldJSON is what waits to become a mail.
type heldJSON struct {
	State    string `json:"state"` // "held"
	Subject  string `json:"subject"`
	Messages int64  `json:"messages"`
}

const noMailWaits = "no mail waits"

func printMails(w io.Writer, mails []state.Mail, groups []state.NoteGroup) error {
	if len(mails)+len(groups) == 0 {
		_, err := fmt.Fprintln(w, noMailWaits)
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, err := fmt.Fprintln(t, "ID\tSTATE\tSINCE\tTRIES\tNEXT\tSUBJECT\tPROBLEM")
	for i := range mails {
		m := &mails[i]
		next := "never"
		if m.Failed.IsZero() {
			next = timeOr(m.NextTry, "now")
		}
		_, e := fmt.Fprintf(t, "%d\t%s\t%s\t%d\t%s\t%s\t%s\n", m.ID, mailState(m), timeOr(m.Created, "unknown"), m.Attempts, next,
			config.Printable(m.Subject), oneLine(m.LastError))
		err = errors.Join(err, e)
	}
	for _, g := range groups {
		_, e := fmt.Fprintf(t, "-\theld\t\t\t\t%s\t%s\n", config.Printable(g.Subject),
			config.Count(int(int64(g.Kept)+g.Counted), "message")+" for the next mail (email.coalesceSeconds, email.maxPerHour)")
		err = errors.Join(err, e)
	}
	return errors.Join(err, t.Flush())
}

// MailShow prints one mail: what is known of it, and the message; with source, as it is sent.
func MailShow(_ context.Context, o MailOptions, id int64, source bool) error {
	var m state.Mail
	found := false // stays so without a database
	err := o.read(func(db *state.DB) (err error) {
		m, found, err = db.Mail(id)
		return err
	})
	if err == nil && !found {
		err = noMail(id)
	}
	if err != nil {
		return err
	}
	if o.Format == JSON {
		enc := json.NewEncoder(o.Stdout)
		enc.SetEscapeHTML(false)
		return enc.Encode(newMailJSON(&m))
	}
	if source {
		_, err := o.Stdout.Write(m.Data)
		return err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "State: %s since %s, %s\n", mailState(&m), timeOr(m.Created, "unknown"), tries(m.Attempts))
	for _, to := range m.To {
		fmt.Fprintf(&b, "Waits for: %s, next try at %s\n", config.Printable(to), timeOr(m.NextTry, "once"))
	}
	for _, r := range m.Refused {
		fmt.Fprintf(&b, "Refused: %s: %s\n", config.Printable(r.Address), oneLine(r.Reason))
	}
	if m.LastError != "" {
		fmt.Fprintf(&b, "Last error: %s\n", oneLine(m.LastError))
	}
	text, err := mail.Readable(m.Data)
	if err != nil {
		return err
	}
	_, err = io.WriteString(o.Stdout, b.String()+text)
	return err
}

func tries(n int) string {
	if n == 1 {
		return "1 try"
	}
	return fmt.Sprintf("%d tries", n)
}

func noMail(id int64) error { return fmt.Errorf("mail %d: %w", id, control.ErrNoMail) }

// MailRetry has mails sent at once; without IDs, all that wait or were given up.
func MailRetry(ctx context.Context, o MailOptions, ids []int64) error {
	return o.change(ctx, ids, "is tried again",
		func(c *control.Client, id int64) error { return c.RetryMail(ctx, id) },
		func(db *state.DB, id int64) error { return retryMail(db, id, time.Now()) })
}

// MailDrop removes mails from the outbox.
func MailDrop(ctx context.Context, o MailOptions, ids []int64) error {
	return o.change(ctx, ids, "is removed",
		func(c *control.Client, id int64) error { return c.DropMail(ctx, id) },
		dropMail)
}

// retryMail makes a mail due.
func retryMail(db *state.DB, id int64, now time.Time) error {
	there, err := db.ReviseMail(id, func(m state.Mail) state.Mail { return mail.Retry(m, now) })
	if err == nil && !there {
		err = control.ErrNoMail
	}
	return err
}

func dropMail(db *state.DB, id int64) error {
	there, err := db.DropMail(id)
	if err == nil && !there {
		err = control.ErrNoMail
	}
	return err
}

// change does something with mails, and says what it has done with each.
func (o *MailOptions) change(ctx context.Context, ids []int64, done string, ask func(*control.Client, int64) error, do func(*state.DB, int64) error) error {
	if len(ids) == 0 {
		err := o.read(func(db *state.DB) error {
			mails, err := db.Mails()
			for i := range mails {
				ids = append(ids, mails[i].ID)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	if len(ids) == 0 && o.Format == Text {
		_, err := fmt.Fprintln(o.Stdout, noMailWaits)
		return err
	}
	changed := func(id int64) error {
		if o.Format == JSON {
			return json.NewEncoder(o.Stdout).Encode(struct {
				ID   int64  `json:"id"`
				Done string `json:"done"`
			}{id, done})
		}
		_, err := fmt.Fprintf(o.Stdout, "mail %d %s\n", id, done)
		return err
	}
	each := func(do func(id int64) error) error {
		var errs []error
		for _, id := range ids {
			err := do(id)
			if errors.Is(err, control.ErrNoMail) {
				err = noMail(id)
			}
			if err == nil {
				err = changed(id)
			}
			errs = append(errs, err)
		}
		return errors.Join(errs...)
	}
	return withState(ctx, o.Source, o.Stderr, o.Colour, changing,
		func(c *control.Client) error { return each(func(id int64) error { return ask(c, id) }) },
		func(db *state.DB, _ *config.Settings) error {
			return each(func(id int64) error {
				if db == nil {
					return control.ErrNoMail
				}
				return do(db, id)
			})
		})
}

// read reads the database, whether the daemon is running or not. Without a database, f is not called.
func (o *MailOptions) read(f func(*state.DB) error) error {
	_, err := readState(o.Source, o.Stderr, o.Colour, func(db *state.DB, _ *loaded) error { return f(db) })
	return err
}

// MailTest sends a mail at once, past the outbox, and prints what is said meanwhile, without secrets.
func MailTest(ctx context.Context, o MailOptions, to []string) error {
	l, err := mustLoad(o.Source, noWorld, o.Stderr, o.Colour)
	if err != nil {
		return err
	}
	c := l.prog.cfg.Settings.Email
	if len(to) > 0 {
		c.To = to
	}
	if len(c.To) == 0 {
		return errors.New(`there is nobody to mail to: add "email": {"to": ["…"]}, or name an address with --to`)
	}
	now := time.Now()
	m := letter(&c)
	m.Subject = "Pyruse test mail from " + m.Host
	m.Text = fmt.Sprintf("This mail was sent by \"pyruse mail test\" on %s at %s, through %s.\n"+
		"If you can read it, the mails and reports of Pyruse will arrive, too.\n", m.Host, now.Format(time.DateTime), serverName(&c))
	m.Date, m.MessageID = now, mail.MessageID(m.Host, "test", now.Format(time.RFC3339Nano))
	out, err := m.Outgoing(now)
	if err != nil {
		return err
	}
	dialogue := o.Stdout
	if o.Format == JSON {
		dialogue = o.Stderr
	}
	fault := transport(&c, dialogue).Send(ctx, out)
	if o.Format == JSON {
		answer := struct {
			Accepted bool     `json:"accepted"`
			To       []string `json:"to"`
			Message  string   `json:"messageId"`
			Error    string   `json:"error,omitempty"`
		}{fault == nil, out.To, out.MessageID, problem(fault)}
		return errors.Join(json.NewEncoder(o.Stdout).Encode(answer), fault)
	}
	if fault != nil {
		return fault
	}
	_, err = fmt.Fprintf(o.Stdout, "accepted by %s, for %s\n", config.Printable(serverName(&c)), config.Printable(strings.Join(out.To, ", ")))
	return err
}
