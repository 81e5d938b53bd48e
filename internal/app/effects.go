package app

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/pyruse/pyruse/internal/action"
	"github.com/pyruse/pyruse/internal/config"
	"github.com/pyruse/pyruse/internal/journal"
	"github.com/pyruse/pyruse/internal/mail"
	"github.com/pyruse/pyruse/internal/report"
	"github.com/pyruse/pyruse/internal/state"
)

// Bounds of what waits in memory while nothing can be committed.
const (
	maxPendingLines = 100_000
	maxPendingNotes = 1_000
	maxPendingBans  = 100_000
	// maxPendingText bounds the texts to be mailed with one subject, in bytes: the database keeps no more of them either.
	maxPendingText = 1 << 20
)

// maxDepth is how many times a line of action_log may lead to another one before
// the chain of lines is cut: such a configuration would feed itself for ever.
const maxDepth = 10

// effects is the real world of the actions. It collects what a batch of entries brought
// about; the engine then makes it happen.
type effects struct {
	email   config.Email
	host    string
	maxBans int
	running func() int              // bans in force
	holds   func(state.BanKey) bool // whether a ban is in force
	now     func() time.Time

	batch   state.Batch          // since the last commit
	places  map[state.BanKey]int // of the bans in the batch
	texts   map[string]int       // bytes of the notes in the batch, by subject
	newBans []state.Ban          // since the last delivery to the firewalls
	lines   []journal.Record
	tally   report.Tally // what the reports tell in numbers
	dropped state.Result // because too much waits
	depth   int          // of the current entry, if it is a line of action_log; else 0
	bans    int64
}

var _ action.Effects = (*effects)(nil)

// configure makes the settings take effect.
func (f *effects) configure(c *config.Settings) {
	f.email, f.maxBans = c.Email, int(c.Limits.Bans)
}

func (f *effects) Ban(c action.Cause, b state.Ban) error {
	if f.running()+len(f.newBans) >= f.maxBans && !f.holds(b.Key()) { // what is renewed needs no room
		return fmt.Errorf("%s is not banned: there are %d bans already (limits.bans)", b.Addr, f.maxBans)
	}
	f.bans++
	f.put(b)
	f.banned(b)
	text := fmt.Sprintf("banned %s in %s %q", b.Addr, b.Backend, b.Set)
	switch {
	case b.Until.IsZero():
		text += " for ever"
	case b.Expired(f.now()):
		text += " until " + b.Until.Local().Format(time.DateTime) + ", which is over: only noted"
	default:
		text += " until " + b.Until.Local().Format(time.DateTime)
	}
	f.log(c, journal.MsgBanApplied, 5, text, banFields(b)...)
	return nil
}

// put notes a ban for the next commit and the next delivery.
func (f *effects) put(b state.Ban) {
	if f.places == nil {
		f.places = map[state.BanKey]int{}
	}
	if i, ok := f.places[b.Key()]; ok {
		f.batch.Bans[i] = b
	} else {
		f.places[b.Key()] = len(f.batch.Bans)
		f.batch.Bans = append(f.batch.Bans, b)
	}
	// In a batch, bans are lifted after others are put.
	f.batch.Unbans = slices.DeleteFunc(f.batch.Unbans, func(k state.BanKey) bool { return k == b.Key() })
	f.newBans = append(f.newBans, b)
}

// banned notes for the report that a ban took place.
func (f *effects) banned(b state.Ban) {
	f.tally.Count(state.TallyBans, b.Chain, b.Since)
	if len(f.batch.Banned) < maxPendingBans {
		f.batch.Banned = append(f.batch.Banned, state.BanEvent{Time: b.Since, Addr: b.Addr, Chain: b.Chain})
	}
}

func banFields(b state.Ban) []journal.Field {
	fields := []journal.Field{
		{Name: journal.FieldIP, Value: b.Addr.String()},
		{Name: journal.FieldSet, Value: b.Set},
		{Name: journal.FieldBackend, Value: b.Backend},
	}
	if !b.Until.IsZero() && !b.Since.IsZero() {
		fields = append(fields, journal.Field{Name: journal.FieldSeconds, Value: strconv.FormatInt(int64(b.Until.Sub(b.Since)/time.Second), 10)})
	}
	return fields
}

func (f *effects) Refuse(c action.Cause, b state.Ban, reason string) error {
	f.tally.Count(state.TallyRefused, c.Origin.Chain, b.Since)
	f.log(c, journal.MsgBanRefused, 4, fmt.Sprintf("did not ban %s: %s", b.Addr, reason), banFields(b)...)
	return nil
}

func (f *effects) Mail(c action.Cause, subject, text string) error {
	if len(f.email.To) == 0 {
		return errors.New(`there is nobody to mail to: "email": {"to": […]} is not set`)
	}
	f.tally.Count(state.TallyNotes, subject, c.Entry.Time())
	kept := f.texts[subject]
	if len(f.batch.Notes) >= maxPendingNotes || kept > 0 && kept+len(text) > maxPendingText {
		if f.batch.CountedNotes == nil {
			f.batch.CountedNotes = map[string]int64{}
		}
		f.batch.CountedNotes[subject]++
		return nil
	}
	if f.texts == nil {
		f.texts = map[string]int{}
	}
	f.texts[subject] = kept + len(text)
	f.batch.Notes = append(f.batch.Notes, state.Note{
		MessageID: mail.MessageID(f.host, c.Entry.Cursor(), c.Origin.Chain, strconv.Itoa(c.Origin.Step)),
		Subject:   subject, Text: text, Time: c.Entry.Time(), Created: f.now(),
	})
	return nil
}

func (f *effects) Report(_ action.Cause, line state.ReportLine) error {
	if len(f.batch.Report) >= maxPendingLines {
		f.dropped.DroppedLines++
		return nil
	}
	f.batch.Report = append(f.batch.Report, line)
	return nil
}

func (f *effects) Log(c action.Cause, priority int, message string) error {
	if f.depth >= maxDepth {
		return fmt.Errorf("log lines lead to log lines, %d times by now: this one is left out", f.depth)
	}
	// What a log says must not steer the terminal of whoever reads the journal.
	f.log(c, journal.MsgLogAction, priority, mail.Visible(message, "\n\t"), journal.Field{Name: journal.FieldDepth, Value: strconv.Itoa(f.depth + 1)})
	return nil
}

// log notes a line that an entry led to; it is written at the end of the batch.
func (f *effects) log(c action.Cause, id string, priority int, message string, more ...journal.Field) {
	f.lines = append(f.lines, journal.Record{
		Priority: priority, Message: message, MessageID: id,
		Fields: append(causeFields(c, id), more...),
	})
}

// causeFields say which step and entry a line comes from. The event id is the same when
// the entry is handled again after a crash, so that the repetition can be recognised.
func causeFields(c action.Cause, id string) []journal.Field {
	cursor, step := c.Entry.Cursor(), strconv.Itoa(c.Origin.Step)
	sum := sha256.Sum256([]byte(id + "\x00" + cursor + "\x00" + c.Origin.Chain + "\x00" + step))
	return []journal.Field{
		{Name: journal.FieldChain, Value: c.Origin.Chain},
		{Name: journal.FieldStep, Value: step},
		{Name: journal.FieldCursor, Value: cursor},
		{Name: journal.FieldEvent, Value: hex.EncodeToString(sum[:16])},
	}
}

// committed tells that the batch is in the database.
func (f *effects) committed() {
	clear(f.batch.Notes) // what is kept of the lists must not hold their texts, which can be long
	clear(f.batch.Report)
	f.batch = state.Batch{
		Bans: f.batch.Bans[:0], Report: f.batch.Report[:0], Notes: f.batch.Notes[:0], Banned: f.batch.Banned[:0], Seen: f.batch.Seen[:0],
		Counters: f.batch.Counters[:0], DNAT: f.batch.DNAT[:0], ForgetDNAT: f.batch.ForgetDNAT[:0],
	}
	f.tally.Committed()
	clear(f.places)
	clear(f.texts)
	f.dropped = state.Result{}
}
