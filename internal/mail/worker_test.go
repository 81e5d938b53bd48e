package mail

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pyruse/pyruse/internal/state"
)

// box is an outbox in memory. Its methods fail while the error of their name is set.
type box struct {
	mu                     sync.Mutex
	mails                  []state.Mail
	nextErr, sentErr, fail error
}

func (b *box) NextMail() (state.Mail, bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.nextErr != nil || len(b.mails) == 0 {
		return state.Mail{}, false, b.nextErr
	}
	return slices.MinFunc(b.mails, func(x, y state.Mail) int { return x.NextTry.Compare(y.NextTry) }), true, nil
}

func (b *box) MailSent(id int64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.sentErr == nil {
		b.mails = slices.DeleteFunc(b.mails, func(m state.Mail) bool { return m.ID == id })
	}
	return b.sentErr
}

func (b *box) MailFailed(id int64, attempts int, next time.Time, reason string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range b.mails {
		if m := &b.mails[i]; m.ID == id && b.fail == nil {
			m.Attempts, m.NextTry, m.LastError = attempts, next, reason
		}
	}
	return b.fail
}

func (b *box) put(id int64, next time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mails = append(b.mails, state.Mail{ID: id, MessageID: strconv.FormatInt(id, 10), NextTry: next})
}

func (b *box) set(f func(*box)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f(b)
}

type transport func(ctx context.Context, m state.Mail) error

func (f transport) Send(ctx context.Context, m state.Mail) error { return f(ctx, m) }

// bench is a worker at work, and what it has done: one line for each try and each complaint.
type bench struct {
	box  box
	w    *Worker
	stop func()
	log  []string
}

func (b *bench) note(line string) {
	b.box.set(func(*box) { b.log = append(b.log, time.Now().Format(time.TimeOnly)+" "+line) })
}

// start puts a worker to work, within a synctest bubble, whose clock starts at midnight. send may be nil.
func start(t *testing.T, send transport, change func(*bench, *Options)) *bench {
	b := &bench{}
	o := Options{
		Failed: func(m state.Mail, err error) { b.note("failed " + m.MessageID + ": " + err.Error()) },
		Broken: func(err error) { b.note("broken: " + err.Error()) },
		Random: func() float64 { return 0 },
	}
	if change != nil {
		change(b, &o)
	}
	b.w = NewWorker(&b.box, transport(func(ctx context.Context, m state.Mail) error {
		b.note("try " + m.MessageID)
		if send == nil {
			return nil
		}
		return send(ctx, m)
	}), o)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.w.Run(ctx)
	}()
	b.stop = func() {
		cancel()
		<-done
	}
	t.Cleanup(b.stop)
	return b
}

// pass lets the time pass, and the worker do what it can.
func pass(d time.Duration) {
	if d > 0 {
		<-time.After(d)
	}
	synctest.Wait()
}

func (b *bench) check(t *testing.T, left int, want ...string) {
	t.Helper()
	b.box.mu.Lock()
	defer b.box.mu.Unlock()
	if diff := cmp.Diff(want, b.log); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if len(b.box.mails) != left {
		t.Errorf("%d messages left, want %d", len(b.box.mails), left)
	}
}

func TestWorkerSends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, nil, func(b *bench, _ *Options) { b.box.put(1, time.Now()) })
		pass(0)
		b.box.put(2, time.Now().Add(time.Second))
		b.box.put(3, time.Now())
		b.w.Wake()
		b.w.Wake()
		pass(time.Hour)
		b.check(t, 0, "00:00:00 try 1", "00:00:00 try 3", "00:00:01 try 2")
	})
}

func TestWorkerRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := true
		b := start(t, func(context.Context, state.Mail) error {
			if down {
				return errors.New("no route")
			}
			return nil
		}, func(b *bench, _ *Options) { b.box.put(1, time.Now()) })
		pass(4 * time.Minute)
		if m := b.box.mails[0]; m.Attempts != 3 || m.LastError != "no route" {
			t.Errorf("noted: %+v", m)
		}
		down = false
		b.box.put(2, time.Now())
		b.w.Wake() // a new message does not wait for the old one, nor the other way round
		pass(time.Hour)
		b.check(t, 0, "00:00:00 try 1", "00:00:00 failed 1: no route", "00:01:00 try 1", "00:01:00 failed 1: no route",
			"00:03:00 try 1", "00:03:00 failed 1: no route", "00:04:00 try 2", "00:07:00 try 1")
	})
}

// The transport changes during a try: that one is finished, and its retry goes the new way.
func TestWorkerUsesAnotherTransport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, func(context.Context, state.Mail) error {
			<-time.After(10 * time.Second)
			return errors.New("no route")
		}, func(b *bench, _ *Options) { b.box.put(1, time.Now()) })
		pass(time.Second)
		b.w.Use(transport(func(_ context.Context, m state.Mail) error {
			b.note("the other way " + m.MessageID)
			return nil
		}))
		pass(time.Hour)
		b.check(t, 0, "00:00:00 try 1", "00:00:10 failed 1: no route", "00:01:10 the other way 1")
	})
}

func TestBackoff(t *testing.T) {
	for _, c := range []struct {
		attempts int
		random   float64
		want     time.Duration
	}{
		{0, 0, time.Minute},
		{1, 0, time.Minute},
		{1, 1, 75 * time.Second},
		{2, 0, 2 * time.Minute},
		{5, 0.5, 18 * time.Minute},
		{9, 0, 256 * time.Minute},
		{10, 0, 288 * time.Minute},
		{1000, 0, 288 * time.Minute},
		{1000, 1, 6 * time.Hour},
	} {
		if got := backoff(c.attempts, c.random); got != c.want {
			t.Errorf("backoff(%d, %v): %v, want %v", c.attempts, c.random, got, c.want)
		}
	}
}

// The clock was a year ahead when the next try was noted.
func TestWorkerAfterWrongClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, nil, func(b *bench, _ *Options) { b.box.put(1, time.Now().AddDate(1, 0, 0)) })
		pass(0)
		b.check(t, 0, "00:00:00 try 1")
	})
}

func TestWorkerStops(t *testing.T) {
	for _, c := range []struct {
		name  string
		takes time.Duration // until the transport is done
		ends  time.Duration // the worker, after it was stopped
		left  int
	}{
		{"in time", 3 * time.Second, 3 * time.Second, 0},
		{"too late", time.Hour, stopGrace, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := start(t, func(ctx context.Context, _ state.Mail) error {
					select {
					case <-time.After(c.takes):
						return nil
					case <-ctx.Done():
						return ctx.Err()
					}
				}, func(b *bench, _ *Options) {
					b.box.put(1, time.Now())
					b.box.put(2, time.Now())
				})
				pass(0)
				begin := time.Now()
				b.stop()
				if ends := time.Since(begin); ends != c.ends {
					t.Errorf("ended after %v, want %v", ends, c.ends)
				}
				b.check(t, c.left+1, "00:00:00 try 1")
				if m := b.box.mails[0]; m.Attempts != 0 {
					t.Errorf("the stop counts as a failure: %+v", m)
				}
			})
		})
	}
}

func TestWorkerStopsWhileWaiting(t *testing.T) {
	for name, next := range map[string]time.Duration{"for a retry": time.Hour, "for a message": -1} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := start(t, nil, func(b *bench, _ *Options) {
					if next > 0 {
						b.box.put(1, time.Now().Add(next))
					}
				})
				pass(0)
				begin := time.Now()
				b.stop()
				if ends := time.Since(begin); ends != 0 {
					t.Errorf("ended after %v", ends)
				}
			})
		})
	}
}

func TestWorkerBrokenOutbox(t *testing.T) {
	errFull := errors.New("disk full")
	t.Run("read", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := start(t, nil, func(b *bench, _ *Options) { b.box.nextErr = errFull })
			pass(0)
			b.w.Wake()
			b.box.set(func(x *box) { x.nextErr = nil })
			b.box.put(1, time.Now())
			pass(time.Hour)
			b.check(t, 0, "00:00:00 broken: read the outbox: disk full", "00:01:00 try 1")
		})
	})
	t.Run("sent", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := start(t, nil, func(b *bench, _ *Options) {
				b.box.sentErr = errFull
				b.box.put(1, time.Now())
				b.box.put(2, time.Now())
			})
			pass(90 * time.Second)
			b.w.Wake()
			b.box.set(func(x *box) { x.sentErr = nil })
			pass(time.Hour)
			const broken = " broken: remove message 1, which was sent, from the outbox: disk full"
			b.check(t, 0, "00:00:00 try 1", "00:00:00"+broken, "00:01:00"+broken, "00:02:00 try 2")
		})
	})
	t.Run("sent, then stopped", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := start(t, nil, func(b *bench, _ *Options) {
				b.box.sentErr = errFull
				b.box.put(1, time.Now())
			})
			pass(0)
			b.stop()
			b.check(t, 1, "00:00:00 try 1", "00:00:00 broken: remove message 1, which was sent, from the outbox: disk full")
		})
	})
	t.Run("failed", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := start(t, func(context.Context, state.Mail) error { return errors.New("no route") },
				func(b *bench, _ *Options) {
					b.box.fail = errFull
					b.box.put(1, time.Now())
				})
			pass(30 * time.Second)
			b.check(t, 1, "00:00:00 try 1", "00:00:00 failed 1: no route",
				"00:00:00 broken: note in the outbox that message 1 failed: disk full")
		})
	})
}

// The whole way: a message that sendmail first refuses leaves the outbox when it is accepted.
func TestWorkerWithSendmail(t *testing.T) {
	b := box{}
	m, err := plain().Outgoing(time.Unix(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	m.ID = 1
	b.mails = []state.Mail{m}
	failed, removed := make(chan state.Mail, 1), make(chan struct{})
	s := &Sendmail{Argv: script(t, `cat >/dev/null; [ -e "$1" ] || { : >"$1"; echo busy >&2; exit 75; }`, t.TempDir()+"/tried")}
	ctx, cancel := context.WithCancel(t.Context())
	w := NewWorker(&b, transport(func(ctx context.Context, m state.Mail) error {
		err := s.Send(ctx, m)
		if err == nil {
			defer close(removed)
		}
		return err
	}), Options{Failed: func(m state.Mail, _ error) { failed <- m }})
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.Run(ctx)
	}()
	if m := <-failed; m.Attempts != 1 || m.LastError != "run /bin/sh: exit status 75: busy" {
		t.Errorf("noted: %+v", m)
	}
	b.set(func(x *box) { x.mails[0].NextTry = time.Time{} })
	w.Wake()
	<-removed
	cancel()
	<-done
	if len(b.mails) != 0 {
		t.Errorf("left: %+v", b.mails)
	}
}
