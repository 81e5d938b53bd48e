package mail

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pyruse/pyruse/internal/state"
)

// Transport takes one message to a mail server.
type Transport interface {
	// Send returns nil when the server has taken over the responsibility for the message, for all of m.To. A
	// *SendError tells the receivers apart; any other error is one that may pass, and concerns all of them. It
	// ends soon after ctx does.
	Send(ctx context.Context, m state.Mail) error
}

// SendError tells what became of a message that not all of its receivers got: those that it does not
// name have accepted it.
type SendError struct {
	Refused []state.Recipient // for good: to try again is of no use
	Waiting []state.Recipient // for now
}

// Error returns the reasons, each with its receivers.
func (e *SendError) Error() string {
	var parts []string
	for _, r := range slices.Concat(e.Refused, e.Waiting) {
		parts = append(parts, r.Address+": "+r.Reason)
	}
	return strings.Join(parts, "; ")
}

// Outbox holds the messages that are to be sent, in the database.
type Outbox interface {
	// NextMail returns the message with the earliest NextTry, due or not; ok is false when
	// the outbox is empty.
	NextMail() (m state.Mail, ok bool, err error)
	// MailSent removes a message. One that is not there any more is no error.
	MailSent(id int64) error
	// MailTried notes what became of a try. A message that is not there any more is no error.
	MailTried(m state.Mail) error
}

const (
	// firstRetry is the shortest time to the second try, and how long a broken outbox
	// is left alone.
	firstRetry = time.Minute
	// maxRetry is the longest time between two tries.
	maxRetry = 6 * time.Hour
	// jitter is the random part of the time between two tries, so that many machines do
	// not come back to a mail server at the same moment.
	jitter = 0.25
	// giveUpAfter is how long a message is tried, as mail servers commonly do (RFC 5321, 4.5.4.1: "at least 4-5 days").
	giveUpAfter = 5 * 24 * time.Hour
	// minTries is how often a message is tried at least: its age may be that of a clock that was wrong.
	minTries = 12
	// stopGrace is how long a try under way may last after the end was asked for. A
	// sendmail that is killed may have accepted the message already.
	stopGrace = 5 * time.Second
)

// Worker sends what is in the outbox, one message after the other. A message leaves the outbox when the
// transport has accepted it; one that failed is tried again, first after 1 minute, then
// after ever longer times, 6 hours at most. After 5 days, or when the server has refused it for good, it is given up, and
// kept as failed. A message is only sent twice when the
// program dies, or must end while the outbox is broken, between its acceptance and its removal.
type Worker struct {
	outbox  Outbox
	options Options
	wake    chan struct{}

	mu        sync.Mutex
	transport Transport
}

// Options is what a Worker can do without.
type Options struct {
	// Gate makes the messages. Without it, others do.
	Gate interface {
		// Pass makes the messages that are due now, and returns when to call it again, the zero time: when woken.
		Pass(now time.Time) (next time.Time, err error)
	}
	// Failed is told of every try that failed: m is as it is after the try, with m.Failed set if it was given up, and err is why.
	Failed func(m state.Mail, err error)
	// Broken is told when the outbox cannot be read or written.
	Broken func(err error)
	// Random returns the random numbers for the jitter, in [0, 1). Default: rand.Float64.
	Random func() float64
}

// NewWorker returns a worker, to be started with Run.
func NewWorker(outbox Outbox, transport Transport, o Options) *Worker {
	if o.Failed == nil {
		o.Failed = func(state.Mail, error) {}
	}
	if o.Broken == nil {
		o.Broken = func(error) {}
	}
	if o.Random == nil {
		o.Random = rand.Float64
	}
	return &Worker{outbox: outbox, transport: transport, options: o, wake: make(chan struct{}, 1)}
}

// Use makes the worker send by another transport from the next try on. It never waits for a try under way.
func (w *Worker) Use(t Transport) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.transport = t
}

func (w *Worker) way() Transport {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.transport
}

// Wake tells the worker that there is a new message in the outbox. It never blocks.
func (w *Worker) Wake() {
	select {
	case w.wake <- struct{}{}:
	default: // it is already told
	}
}

// Run sends messages until ctx ends. A try that is under way then may finish for 5 seconds;
// one that does not is not counted as a failure.
func (w *Worker) Run(ctx context.Context) {
	var pause time.Time
	for ctx.Err() == nil {
		due := w.pass(&pause)
		m, ok, err := w.outbox.NextMail()
		if err != nil {
			w.options.Broken(fmt.Errorf("read the outbox: %w", err))
			w.pause(ctx)
			continue
		}
		if !ok {
			w.sleep(ctx, due)
			continue
		}
		// A time further away than any retry was noted by a clock that was wrong.
		if wait := time.Until(m.NextTry); wait > 0 && wait <= maxRetry {
			if due.IsZero() || m.NextTry.Before(due) {
				due = m.NextTry
			}
			w.sleep(ctx, due)
			continue
		}
		w.try(ctx, m)
	}
}

// pass has the gate make its messages, and returns when to do so again, the zero time: when woken. A broken gate is left alone until
// the end of a pause, whoever wakes the worker; what is in the outbox already can be sent meanwhile.
func (w *Worker) pass(pause *time.Time) (due time.Time) {
	now := time.Now()
	if w.options.Gate == nil || now.Before(*pause) {
		return *pause
	}
	*pause = time.Time{}
	due, err := w.options.Gate.Pass(now)
	if err != nil {
		w.options.Broken(err)
		*pause = now.Add(firstRetry)
		return *pause
	}
	return due
}

// sleep waits until the time at, the worker is woken, or ctx ends. The zero time never comes.
func (w *Worker) sleep(ctx context.Context, at time.Time) {
	var passed <-chan time.Time
	if !at.IsZero() {
		t := time.NewTimer(time.Until(at))
		defer t.Stop()
		passed = t.C
	}
	select {
	case <-passed:
	case <-w.wake:
	case <-ctx.Done():
	}
}

// try sends one message and notes the result.
func (w *Worker) try(ctx context.Context, m state.Mail) {
	err := w.send(ctx, m)
	if err == nil && len(m.Refused) == 0 {
		w.sent(ctx, m)
		return
	}
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return // stopped, not refused: the next start tries again
	}
	m = after(m, err, time.Now(), w.options.Random())
	if err == nil {
		err = errors.New(m.LastError) // of those who have refused it in an earlier try
	}
	noted := w.outbox.MailTried(m)
	w.options.Failed(m, err)
	if noted != nil {
		w.options.Broken(fmt.Errorf("note in the outbox that message %s failed: %w", m.MessageID, noted))
		w.pause(ctx)
	}
}

// after returns a message as it is after a try that not all of its receivers have accepted.
func after(m state.Mail, err error, now time.Time, random float64) state.Mail {
	m.Attempts++
	m.NextTry = now.Add(backoff(m.Attempts, random))
	var told *SendError
	switch {
	case err == nil:
		m.To = nil
	case errors.As(err, &told):
		m = divide(m, told)
	}
	if err != nil {
		m.LastError = err.Error()
	}
	if (err == nil || told != nil) && len(m.To) == 0 || m.Attempts >= minTries && now.Sub(m.Created) >= giveUpAfter {
		m = giveUp(m, now)
	}
	return m
}

// divide leaves only those receivers to a message that have neither accepted nor refused it.
func divide(m state.Mail, told *SendError) state.Mail {
	m.To = nil
	for _, r := range told.Waiting {
		m.To = append(m.To, r.Address)
	}
	m.Refused = slices.Concat(m.Refused, told.Refused)
	return m
}

// giveUp makes a message a failed one: for those receivers that have not accepted it.
func giveUp(m state.Mail, now time.Time) state.Mail {
	m.Failed = now
	for _, a := range m.To {
		m.Refused = append(m.Refused, state.Recipient{Address: a, Reason: m.LastError})
	}
	m.To = nil
	return m
}

// Retry returns a message as it is when somebody wants it to be sent at once: one that was given up begins anew.
func Retry(m state.Mail, now time.Time) state.Mail {
	if !m.Failed.IsZero() {
		for _, r := range m.Refused {
			m.To = append(m.To, r.Address)
		}
		m.Refused, m.Failed, m.Attempts, m.Created = nil, time.Time{}, 0, now
	}
	m.NextTry = now
	return m
}

// send gives the message to the transport, which keeps running for stopGrace when ctx ends.
func (w *Worker) send(ctx context.Context, m state.Mail) error {
	sending, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		t := time.NewTimer(stopGrace)
		defer t.Stop()
		select {
		case <-t.C:
			cancel()
		case <-sending.Done():
		}
	})
	defer stop()
	return w.way().Send(sending, m)
}

// sent removes an accepted message, and sends nothing else before that is done: it would be
// the first to be sent again.
func (w *Worker) sent(ctx context.Context, m state.Mail) {
	for {
		err := w.outbox.MailSent(m.ID)
		if err == nil {
			return
		}
		w.options.Broken(fmt.Errorf("remove message %s, which was sent, from the outbox: %w", m.MessageID, err))
		if w.pause(ctx); ctx.Err() != nil {
			return
		}
	}
}

// pause leaves a broken outbox alone for a while, whoever wakes the worker.
func (w *Worker) pause(ctx context.Context) {
	t := time.NewTimer(firstRetry)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// backoff returns how long to wait after so many failed tries, the last one included: the base
// doubles from 1 minute on, and random, in [0, 1), adds up to a quarter. The result is
// between 1 minute and 6 hours.
func backoff(attempts int, random float64) time.Duration {
	const maxBase = time.Duration(float64(maxRetry) / (1 + jitter))
	base := maxBase
	if shift := max(attempts, 1) - 1; shift < 16 {
		base = min(firstRetry<<shift, maxBase)
	}
	return base + time.Duration(random*jitter*float64(base))
}
