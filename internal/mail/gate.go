package mail

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/pyruse/pyruse/internal/state"
)

// Notes holds what is to be mailed and is in no mail yet, in the database.
type Notes interface {
	// NoteGroups returns what waits, by subject, in the order of the first note of each.
	NoteGroups() ([]state.NoteGroup, error)
	// Notes hands the notes of a subject, up to an ID, to yield, the oldest first.
	Notes(subject string, upTo int64, yield func(state.Note) bool) error
	// Post makes a mail of notes, or changes nothing. It returns state.ErrOutboxFull while too many mails wait.
	Post(p *state.Posting) error
	// Gate returns what the last Posting wanted to be remembered, "" if there was none.
	Gate() (string, error)
}

// GateSettings is how notes become mails.
type GateSettings struct {
	From string
	To   []string // without any, notes wait
	Host string   // this machine, for Message-ID and List-Id
	// Coalesce is how long notes with the subject of a mail wait behind it, to become one mail. 0: each is a mail.
	Coalesce time.Duration
	// MaxPerHour is how many mails are made in an hour. What is more becomes one digest when the hour is over.
	MaxPerHour int
}

const (
	// limitPeriod is what GateSettings.MaxPerHour is about. It begins with a mail, and not with the clock's hour.
	limitPeriod = time.Hour
	// outboxPause is how long a full outbox is left alone.
	outboxPause = time.Minute
	// minGroupText is the least that is kept of the texts of one subject in a digest, if anything is, in bytes.
	minGroupText = 1 << 10
	// timesRoom is what a text takes up beside itself, in bytes, at most: two times and a number.
	timesRoom = 72
)

// Gate makes mails of notes. The first note with a subject becomes a mail at once. Those with the same subject that come
// within Coalesce behind it are held, and become one mail, behind which again others are held. When the mails of an hour are used up,
// all is held until the hour is over, and becomes one digest. So an attack makes few mails, and nothing is
// left out but texts beyond what one mail can hold, which are counted. No note waits longer than Coalesce and an hour.
//
// It goes by the wall clock, since a flood is one of mails that arrive. What it remembers is in the database, so that
// a restart neither lets a flood through nor loses a note.
type Gate struct {
	notes Notes

	mu       sync.Mutex
	settings GateSettings

	loaded bool
	memory gateMemory
}

// gateMemory is what a gate remembers. Times are microseconds since 1970. It changes with the mails that are made; what is held, and
// why, is told by the notes.
type gateMemory struct {
	Hour    int64            `json:"hour"`              // since when Made are counted
	Made    int              `json:"made"`              // mails, the digest included
	Serial  int64            `json:"serial"`            // of the last mail
	Windows map[string]int64 `json:"windows,omitempty"` // by subject: until when notes are held
}

// NewGate returns a gate for the notes.
func NewGate(notes Notes, s GateSettings) *Gate {
	g := &Gate{notes: notes}
	g.Use(s)
	return g
}

// Use changes the settings, from the next note on.
func (g *Gate) Use(s GateSettings) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.settings = s
	g.settings.MaxPerHour = max(s.MaxPerHour, 1) // with less, nothing would ever be told
}

// Pass makes the mails that are due at time now, and returns when to call it again even if no note comes; the zero time: never.
func (g *Gate) Pass(now time.Time) (next time.Time, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.load(); err != nil {
		return time.Time{}, err
	}
	if len(g.settings.To) == 0 {
		return time.Time{}, nil
	}
	g.tidy(now)
	if g.made(now) >= g.settings.MaxPerHour {
		return g.hourEnd(), nil // amid an attack, nothing is looked up in vain
	}
	groups, err := g.notes.NoteGroups()
	if err != nil {
		return time.Time{}, fmt.Errorf("read what is to be mailed: %w", err)
	}
	g.forget(now, groups)
	switch err := g.mail(now, groups); {
	case errors.Is(err, state.ErrOutboxFull):
		g.loaded = false
		return now.Add(outboxPause), nil
	case err != nil:
		g.loaded = false // it may have changed, and nothing came of it
		return time.Time{}, err
	}
	return g.next(now, groups), nil
}

func (g *Gate) load() error {
	if g.loaded {
		return nil
	}
	text, err := g.notes.Gate()
	if err != nil {
		return fmt.Errorf("read what was mailed: %w", err)
	}
	g.memory = gateMemory{}
	if text != "" && json.Unmarshal([]byte(text), &g.memory) != nil {
		g.memory = gateMemory{} // at worst, some mails come too early
	}
	g.memory.Made = max(g.memory.Made, 0)
	if g.memory.Windows == nil {
		g.memory.Windows = map[string]int64{}
	}
	g.loaded = true
	return nil
}

// tidy ends what a clock that was set back would make endless.
func (g *Gate) tidy(now time.Time) {
	if time.UnixMicro(g.memory.Hour).After(now) {
		g.memory.Hour = now.UnixMicro()
	}
	for subject, until := range g.memory.Windows {
		if time.UnixMicro(until).After(now.Add(g.settings.Coalesce)) {
			g.memory.Windows[subject] = now.UnixMicro()
		}
	}
}

// forget forgets the windows that are over and hold nothing.
func (g *Gate) forget(now time.Time, groups []state.NoteGroup) {
	waiting := make(map[string]bool, len(groups))
	for i := range groups {
		waiting[groups[i].Subject] = true
	}
	for subject, until := range g.memory.Windows {
		if !time.UnixMicro(until).After(now) && !waiting[subject] {
			delete(g.memory.Windows, subject)
		}
	}
}

// mail makes the mails that are due, and takes what is in them off the groups.
func (g *Gate) mail(now time.Time, groups []state.NoteGroup) error {
	if g.rest(now, groups) {
		return g.digest(now, groups)
	}
	for i := range groups {
		for group := &groups[i]; waits(group) && !g.held(now, group) && g.made(now) < g.settings.MaxPerHour; {
			if err := g.one(now, group); err != nil {
				return err
			}
		}
	}
	return nil
}

func waits(group *state.NoteGroup) bool { return group.Kept > 0 || group.Counted > 0 }

// held reports whether a subject must wait for the end of its window.
func (g *Gate) held(now time.Time, group *state.NoteGroup) bool {
	return time.UnixMicro(g.memory.Windows[group.Subject]).After(now)
}

// made returns how many mails were made in the hour that is counted, 0 if it is over: the next mail begins another one.
func (g *Gate) made(now time.Time) int {
	if !g.hourEnd().After(now) {
		return 0
	}
	return g.memory.Made
}

// hourEnd returns when the hour that is counted is over.
func (g *Gate) hourEnd() time.Time { return time.UnixMicro(g.memory.Hour).Add(limitPeriod) }

// since returns when the first note of a subject was noted, the zero time if that is not known: what was noted later than now was noted
// before the clock was set back.
func since(now time.Time, group *state.NoteGroup) time.Time {
	if group.Since.After(now) {
		return time.Time{}
	}
	return group.Since
}

// rest reports whether something was due in the hour that is over, and not mailed because of the limit.
func (g *Gate) rest(now time.Time, groups []state.NoteGroup) bool {
	end := g.hourEnd()
	if end.After(now) || g.memory.Made < g.settings.MaxPerHour {
		return false
	}
	for i := range groups {
		until := time.UnixMicro(g.memory.Windows[groups[i].Subject])
		if !since(now, &groups[i]).After(end) && until.Before(end) {
			return true
		}
	}
	return false
}

// next returns when something that is left is due.
func (g *Gate) next(now time.Time, groups []state.NoteGroup) time.Time {
	var next time.Time
	for i := range groups {
		if !waits(&groups[i]) {
			continue
		}
		if g.made(now) >= g.settings.MaxPerHour {
			return g.hourEnd()
		}
		if at := time.UnixMicro(g.memory.Windows[groups[i].Subject]); next.IsZero() || at.Before(next) {
			next = at
		}
	}
	return next
}

// one makes one mail of a subject: of what a window held, or else of the first note. The others are held from now on.
func (g *Gate) one(now time.Time, group *state.NoteGroup) error {
	until, open := g.memory.Windows[group.Subject]
	wasHeld := open && since(now, group).Before(time.UnixMicro(until))
	if total(group) > 1 && wasHeld || group.Kept == 0 {
		return g.summary(now, group)
	}
	return g.single(now, group)
}

// total returns how many notes a group has.
func total(group *state.NoteGroup) int64 { return int64(group.Kept) + group.Counted }

// single mails the first note of a subject as it is.
func (g *Gate) single(now time.Time, group *state.NoteGroup) error {
	var first state.Note
	err := g.notes.Notes(group.Subject, group.Last, func(n state.Note) bool { first = n; return false })
	if err != nil {
		return fmt.Errorf("read what is to be mailed: %w", err)
	}
	err = g.post(now, Message{Subject: first.Subject, Text: first.Text, MessageID: first.MessageID},
		state.NoteGroup{Subject: group.Subject, Kept: 1, First: first.ID, Last: first.ID})
	if err == nil {
		group.Kept--
	}
	return err
}

// summary mails what waits of one subject.
func (g *Gate) summary(now time.Time, group *state.NoteGroup) error {
	t := newTold(maxText / 2)
	t.say("%s with the subject %q:\n\n", count(total(group), "message"), group.Subject)
	if err := t.group(g.notes, group); err != nil {
		return err
	}
	err := g.post(now, Message{
		Subject: fmt.Sprintf("%s (%s)", group.Subject, times(total(group))), Text: t.String(), MessageID: g.gathered(now, "summary", group.Subject),
	}, *group)
	if err == nil {
		group.Kept, group.Counted = 0, 0
	}
	return err
}

// gathered returns the Message-ID of a mail of many notes. It is another one for each mail, since notes become a mail only once, and
// those that were only counted have nothing to tell them apart.
func (g *Gate) gathered(now time.Time, seed ...string) string {
	return MessageID(g.settings.Host, append(seed, strconv.FormatInt(now.UnixNano(), 10), strconv.FormatInt(g.memory.Serial, 10))...)
}

// digest mails all that waits.
func (g *Gate) digest(now time.Time, groups []state.NoteGroup) error {
	if len(groups) == 1 && total(&groups[0]) == 1 {
		return g.one(now, &groups[0])
	}
	all := int64(0)
	for i := range groups {
		all += total(&groups[i])
	}
	t := newTold(max(maxText/2/len(groups), minGroupText))
	t.say("%s, which were too many for one hour: after %s, all others are gathered in one (email.maxPerHour).\n\n",
		count(all, "message"), count(int64(g.settings.MaxPerHour), "mail"))
	t.list(groups)
	if err := t.groups(g.notes, groups); err != nil {
		return err
	}
	err := g.post(now, Message{Subject: "Pyruse: " + count(all, "more message"), Text: t.String(), MessageID: g.gathered(now, "digest")}, groups...)
	if err == nil {
		for i := range groups {
			groups[i].Kept, groups[i].Counted = 0, 0
		}
	}
	return err
}

// count writes a number with its noun.
func count(n int64, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}

func times(n int64) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// post puts a mail that is made of notes into the outbox, and remembers it.
func (g *Gate) post(now time.Time, m Message, groups ...state.NoteGroup) error {
	mem := &g.memory
	if !g.hourEnd().After(now) {
		mem.Hour, mem.Made = now.UnixMicro(), 0
	}
	mem.Made++
	mem.Serial++
	for i := range groups {
		if g.settings.Coalesce > 0 {
			mem.Windows[groups[i].Subject] = now.Add(g.settings.Coalesce).UnixMicro()
		} else {
			delete(mem.Windows, groups[i].Subject)
		}
	}
	m.From, m.To, m.Host, m.Date = g.settings.From, g.settings.To, g.settings.Host, now
	out, err := m.Outgoing(now)
	if err != nil {
		return fmt.Errorf("compose the mail %q: %w", m.Subject, err)
	}
	memory, err := json.Marshal(g.memory)
	if err != nil {
		return fmt.Errorf("note what is mailed: %w", err)
	}
	return g.notes.Post(&state.Posting{Mail: out, Notes: groups, Gate: string(memory)})
}

// told is the text of a mail that holds many notes.
type told struct {
	strings.Builder
	room int // bytes for the texts of one subject
}

func newTold(room int) *told { return &told{room: room} }

func (t *told) say(format string, args ...any) {
	_, _ = fmt.Fprintf(t, format, args...) // a strings.Builder takes everything
}

// list writes how many notes each subject has, as far as a quarter of what a mail can hold reaches, and the sum of the others.
func (t *told) list(groups []state.NoteGroup) {
	end := t.Len() + maxText/4
	for i := range groups {
		if t.Len()+len(groups[i].Subject) > end {
			left := int64(0)
			for j := range groups[i:] {
				left += total(&groups[i+j])
			}
			t.say("%8d  with %d more subjects\n", left, len(groups)-i)
			return
		}
		t.say("%8d  %s\n", total(&groups[i]), groups[i].Subject)
	}
}

// groups writes the notes of subjects, as far as five eighths of what a mail can hold reach.
func (t *told) groups(notes Notes, groups []state.NoteGroup) error {
	end := t.Len() + maxText*5/8
	for i := range groups {
		if t.Len()+len(groups[i].Subject)+t.room > end && i > 0 {
			t.say("\nThe texts with %d more subjects were not kept.\n", len(groups)-i)
			return nil
		}
		t.say("\n--- %s\n\n", groups[i].Subject)
		if err := t.group(notes, &groups[i]); err != nil {
			return err
		}
	}
	return nil
}

// sameText is what is known of notes with the same text.
type sameText struct {
	text        string
	count       int64
	first, last time.Time
}

// group writes the notes of a subject, equal ones once.
func (t *told) group(notes Notes, group *state.NoteGroup) error {
	var order []*sameText
	byText := map[string]*sameText{}
	err := notes.Notes(group.Subject, group.Last, func(n state.Note) bool {
		x := byText[n.Text]
		if x == nil {
			x = &sameText{text: n.Text, first: n.Time}
			byText[n.Text] = x
			order = append(order, x)
		}
		x.count, x.last = x.count+1, n.Time
		return true
	})
	if err != nil {
		return fmt.Errorf("read what is to be mailed: %w", err)
	}
	room, told := t.room, int64(0)
	for _, x := range order {
		text := strings.ReplaceAll(strings.TrimRight(x.text, "\n"), "\n", "\n    ") // no line of it can pass for another one of the list
		if room -= len(text) + timesRoom; room < 0 {
			break
		}
		when := x.first.Local().Format(time.DateTime)
		if x.count > 1 {
			when = fmt.Sprintf("%s until %s, %d times", when, x.last.Local().Format(time.DateTime), x.count)
		}
		t.say("%s: %s\n", when, text)
		told += x.count
	}
	if left := total(group) - told; left > 0 {
		t.say("%d more, whose texts were not kept\n", left)
	}
	return nil
}
