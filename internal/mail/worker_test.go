package mail

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
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
	waiting := slices.DeleteFunc(slices.Clone(b.mails), func(m state.Mail) bool { return !m.Failed.IsZero() })
	if b.nextErr != nil || len(waiting) == 0 {
		return state.Mail{}, false, b.nextErr
	}
	return slices.MinFunc(waiting, func(x, y state.Mail) int { return x.NextTry.Compare(y.NextTry) }), true, nil
}

func (b *box) MailSent(id int64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.sentErr == nil {
		b.mails = slices.DeleteFunc(b.mails, func(m state.Mail) bool { return m.ID == id })
	}
	return b.sentErr
}

func (b *box) MailTried(m state.Mail) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range b.mails {
		if b.mails[i].ID == m.ID && b.fail == nil {
			b.mails[i] = m
		}
	}
	return b.fail
}

func (b *box) put(id int64, next time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mails = append(b.mails, state.Mail{
		ID: id, MessageID: strconv.FormatInt(id, 10), NextTry: next, Created: time.Now(), To: []string{"root@example.org", "zoe@example.org"},
	})
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

// After 5 days, a message is given up, and others are sent.
func TestWorkerGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var failed []state.Mail
		b := start(t, func(_ context.Context, m state.Mail) error {
			if m.ID == 1 {
				return errors.New("no route")
			}
			return nil
		}, func(b *bench, o *Options) {
			b.box.put(1, time.Now())
			o.Failed = func(m state.Mail, _ error) { failed = append(failed, m) }
		})
		begin := time.Now()
		pass(6 * 24 * time.Hour)
		last := failed[len(failed)-1]
		if age := last.Failed.Sub(begin); age < giveUpAfter || age > giveUpAfter+maxRetry || last.Attempts != len(failed) || last.Attempts < minTries {
			t.Errorf("given up after %v and %d tries", age, last.Attempts)
		}
		want := []state.Recipient{{Address: "root@example.org", Reason: "no route"}, {Address: "zoe@example.org", Reason: "no route"}}
		if diff := cmp.Diff(want, last.Refused); diff != "" || len(last.To) != 0 {
			t.Errorf("waits for %v; refused (-want +got):\n%s", last.To, diff)
		}
		for i, m := range failed[:len(failed)-1] {
			if !m.Failed.IsZero() || len(m.To) != 2 {
				t.Errorf("after try %d: %+v", i+1, m)
			}
		}
		b.box.put(2, time.Now())
		b.w.Wake()
		pass(24 * time.Hour)
		if tries := len(failed); tries != last.Attempts || len(b.box.mails) != 1 {
			t.Errorf("it was tried %d times, and %d messages are left, want only the failed one", tries, len(b.box.mails))
		}
	})
}

// TestWorkerAgeOfAWrongClock: a message that seems to be a year old is tried often all the same.
func TestWorkerAgeOfAWrongClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		b := start(t, func(context.Context, state.Mail) error { tries++; return errors.New("no route") }, func(b *bench, _ *Options) {
			b.box.put(1, time.Now())
			b.box.mails[0].Created = time.Now().AddDate(-1, 0, 0)
		})
		pass(5 * 24 * time.Hour)
		if tries != minTries || b.box.mails[0].Failed.IsZero() {
			t.Errorf("%d tries, want %d; then given up: %+v", tries, minTries, b.box.mails[0])
		}
	})
}

// TestWorkerRefused tells receivers apart: who has refused for good is not asked again, and who has accepted gets nothing twice.
func TestWorkerRefused(t *testing.T) {
	root, zoe := state.Recipient{Address: "root@example.org", Reason: "unknown"}, state.Recipient{Address: "zoe@example.org", Reason: "busy"}
	for _, c := range []struct {
		name    string
		answers []error // to the tries
		want    []string
		refused []state.Recipient // nil: the message is gone
	}{
		{"all, at once", []error{&SendError{Refused: []state.Recipient{root, zoe}}},
			[]string{"00:00:00 failed 1: root@example.org: unknown; zoe@example.org: busy"}, []state.Recipient{root, zoe}},
		{"one, the other accepts", []error{&SendError{Refused: []state.Recipient{root}}},
			[]string{"00:00:00 failed 1: root@example.org: unknown"}, []state.Recipient{root}},
		{"one, the other later accepts", []error{&SendError{Refused: []state.Recipient{root}, Waiting: []state.Recipient{zoe}}, nil},
			[]string{
				"00:00:00 failed 1: root@example.org: unknown; zoe@example.org: busy",
				"00:01:00 failed 1: root@example.org: unknown; zoe@example.org: busy",
			}, []state.Recipient{root}},
		{"one, the other later refuses", []error{
			&SendError{Refused: []state.Recipient{root}, Waiting: []state.Recipient{zoe}}, errors.New("no route"), &SendError{Refused: []state.Recipient{zoe}},
		}, []string{
			"00:00:00 failed 1: root@example.org: unknown; zoe@example.org: busy", "00:01:00 failed 1: no route", "00:03:00 failed 1: zoe@example.org: busy",
		}, []state.Recipient{root, zoe}},
		{"one waits and then accepts", []error{&SendError{Waiting: []state.Recipient{zoe}}, nil}, []string{"00:00:00 failed 1: zoe@example.org: busy"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var asked [][]string
				b := start(t, func(_ context.Context, m state.Mail) error {
					if asked = append(asked, m.To); len(asked) > len(c.answers) {
						return errors.New("asked too often")
					}
					return c.answers[len(asked)-1]
				}, func(b *bench, _ *Options) { b.box.put(1, time.Now()) })
				pass(10 * 24 * time.Hour)
				b.log = slices.DeleteFunc(b.log, func(line string) bool { return strings.Contains(line, " try ") })
				b.check(t, min(len(c.refused), 1), c.want...)
				for _, to := range asked[1:] {
					if !slices.Equal(to, []string{"zoe@example.org"}) {
						t.Errorf("asked again: %v", to)
					}
				}
				if c.refused == nil {
					return
				}
				m := b.box.mails[0]
				if diff := cmp.Diff(c.refused, m.Refused); diff != "" || len(m.To) != 0 || m.Failed.IsZero() {
					t.Errorf("noted: %+v; refused (-want +got):\n%s", m, diff)
				}
			})
		})
	}
}

func TestRetry(t *testing.T) {
	root, zoe := state.Recipient{Address: "root@example.org", Reason: "unknown"}, state.Recipient{Address: "zoe@example.org", Reason: "busy"}
	failed := state.Mail{
		ID: 1, Created: noon.AddDate(0, 0, -6), Attempts: 30, NextTry: noon.Add(time.Hour), LastError: "busy", Refused: []state.Recipient{root, zoe}, Failed: noon,
	}
	want := state.Mail{ID: 1, Created: noon, NextTry: noon, LastError: "busy", To: []string{root.Address, zoe.Address}}
	if diff := cmp.Diff(want, Retry(failed, noon)); diff != "" {
		t.Errorf("one that was given up (-want +got):\n%s", diff)
	}
	waiting := state.Mail{
		ID: 1, Created: noon.AddDate(0, 0, -1), Attempts: 3, NextTry: noon.Add(time.Hour), To: []string{zoe.Address}, Refused: []state.Recipient{root},
	}
	want = waiting
	want.NextTry = noon
	if diff := cmp.Diff(want, Retry(waiting, noon)); diff != "" {
		t.Errorf("one that waits (-want +got):\n%s", diff)
	}
}

// gateFunc is a gate for tests.
type gateFunc func(now time.Time) (time.Time, error)

func (f gateFunc) Pass(now time.Time) (time.Time, error) { return f(now) }

// TestWorkerWithGate wakes at the gate's time, and at that of a retry, whichever is earlier.
func TestWorkerWithGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		passes := 0
		b := start(t, nil, func(b *bench, o *Options) {
			b.box.put(1, time.Now().Add(30*time.Second))
			o.Gate = gateFunc(func(now time.Time) (time.Time, error) {
				b.note("pass")
				switch passes++; passes {
				case 1, 2:
					return now.Add(20 * time.Second), nil
				case 4:
					b.box.put(2, now)
					return now.Add(time.Hour), nil
				case 6:
					return time.Time{}, nil // nothing waits
				}
				return now.Add(15 * time.Second), nil
			})
		})
		pass(2 * time.Hour)
		b.w.Wake()
		pass(0)
		b.check(t, 0, "00:00:00 pass", "00:00:20 pass", "00:00:30 pass", "00:00:30 try 1", "00:00:30 pass", "00:00:30 try 2",
			"00:00:30 pass", "00:00:45 pass", "02:00:00 pass")
	})
}

// TestWorkerWithBrokenGate sends what there is, and leaves the gate alone for a while, whoever wakes the worker.
func TestWorkerWithBrokenGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		passes := 0
		b := start(t, nil, func(b *bench, o *Options) {
			b.box.put(1, time.Now())
			o.Gate = gateFunc(func(time.Time) (time.Time, error) {
				if passes++; passes < 3 {
					return time.Time{}, errors.New("out of order")
				}
				b.note("pass")
				return time.Time{}, nil
			})
		})
		pass(10 * time.Second)
		b.box.put(2, time.Now())
		b.w.Wake()
		pass(time.Second)
		b.w.Wake()
		pass(time.Hour)
		b.check(t, 0, "00:00:00 broken: out of order", "00:00:00 try 1", "00:00:10 try 2", "00:01:00 broken: out of order", "00:02:00 pass")
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
