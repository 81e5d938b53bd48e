package control

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pyruse/pyruse/internal/state"
)

// envLook makes the test binary a client that looks at the socket of this path, and tries to change something there.
const envLook = "PYRUSE_CONTROL_TEST_SOCKET"

func TestMain(m *testing.M) {
	if path := os.Getenv(envLook); path != "" {
		os.Exit(look(path))
	}
	os.Exit(m.Run())
}

func look(path string) int {
	c := NewClient(path)
	answer := map[string]string{}
	note := func(what string, err error) {
		answer[what] = "yes"
		if err != nil {
			answer[what] = err.Error()
		}
	}
	_, err := c.Status(context.Background())
	note("status", err)
	_, err = c.Bans(context.Background())
	note("list", err)
	_, err = c.Ban(context.Background(), "banned", "192.0.2.1", 0)
	note("ban", err)
	_, err = c.Unban(context.Background(), netip.MustParseAddr("192.0.2.1"), "")
	note("unban", err)
	_, err = c.Reload(context.Background(), ReloadOptions{Format: "text"})
	note("reload", err)
	note("retry mail", c.RetryMail(context.Background(), 7))
	note("drop mail", c.DropMail(context.Background(), 7))
	_, err = c.SendReport(context.Background(), Period{Date: "2026-11-22"})
	note("report", err)
	if err := json.NewEncoder(os.Stdout).Encode(answer); err != nil {
		return 1
	}
	return 0
}

// house is a daemon that only keeps what it is asked for.
type house struct {
	mu      sync.Mutex
	bans    []state.Ban
	reloads []ReloadOptions
	mail    []string // what was asked for
}

// RetryMail knows one mail, number 7.
func (h *house) RetryMail(id int64) error { return h.change("retry", id) }

// DropMail knows the same.
func (h *house) DropMail(id int64) error { return h.change("drop", id) }

func (h *house) change(what string, id int64) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch id {
	case 7:
		h.mail = append(h.mail, what)
		return nil
	case 8:
		return errors.New("the disk is full")
	}
	return ErrNoMail
}

func (h *house) SendReport(_ context.Context, p Period) (string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.mail = append(h.mail, "report "+p.Date+p.Since.String())
	return "3 new kinds of lines <&>", nil
}

// reporter is a Mailer that only reports.
type reporter func(context.Context, Period) (string, error)

func (reporter) RetryMail(int64) error { return ErrNoMail }
func (reporter) DropMail(int64) error  { return ErrNoMail }
func (f reporter) SendReport(ctx context.Context, p Period) (string, error) {
	return f(ctx, p)
}

func (h *house) Bans() []state.Ban {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.bans
}

func (h *house) Ban(_ context.Context, b state.Ban) error {
	if b.Addr.IsLoopback() {
		return ErrRefused
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.bans = append(h.bans, b)
	return nil
}

func (h *house) Unban(_ context.Context, address netip.Addr, set string) ([]state.Ban, error) {
	if set == "broken" {
		return nil, errors.New("out of order")
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	var gone, left []state.Ban
	for _, b := range h.bans {
		if b.Addr == address && (set == "" || b.Set == set) {
			gone = append(gone, b)
		} else {
			left = append(left, b)
		}
	}
	h.bans = left
	return gone, nil
}

func (h *house) Status() Status {
	return Status{Version: "1", Running: len(h.Bans()), Problems: []string{"none"}}
}

// reload loads nothing; it says how it was asked.
type reload func(context.Context, ReloadOptions) (Reload, error)

func (f reload) Reload(ctx context.Context, o ReloadOptions) (Reload, error) { return f(ctx, o) }

func (h *house) Reload(_ context.Context, o ReloadOptions) (Reload, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.reloads = append(h.reloads, o)
	return Reload{InForce: true}, nil
}

// serve serves a daemon on a socket in a folder of its own until the end of the test.
func serve(t *testing.T, h *house) (path string) {
	t.Helper()
	return serveWith(t, NewServer(h, h, h))
}

func serveWith(t *testing.T, s *Server) (path string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "control") // short, as socket paths have to be
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path = filepath.Join(dir, "made", "control.sock")
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() { ended <- s.Serve(l) }()
	t.Cleanup(func() {
		if err := errors.Join(s.Shutdown(context.Background()), <-ended); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the socket after the end: %v", err)
		}
	})
	return path
}

func TestClientAndServer(t *testing.T) {
	var h house
	c := NewClient(serve(t, &h))
	ctx := context.Background()
	if list, err := c.Bans(ctx); err != nil || len(list) != 0 {
		t.Errorf("bans at first: %v, %v", list, err)
	}
	first, err := c.Ban(ctx, "inet pyruse ban4", "::ffff:192.0.2.1", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if until := first.State().Until; first.Address.String() != "192.0.2.1" || time.Until(until) > time.Hour || time.Until(until) < time.Hour-time.Minute {
		t.Errorf("the ban: %+v", first)
	}
	if _, err := c.Ban(ctx, "banned6", "2001:db8::1", 0); err != nil {
		t.Fatal(err)
	}
	list, err := c.Bans(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var got []state.Ban
	for _, b := range list {
		got = append(got, b.State())
	}
	want := []state.Ban{
		{Backend: state.BackendNFT, Set: "inet pyruse ban4", Addr: netip.MustParseAddr("192.0.2.1")},
		{Backend: state.BackendIPSet, Set: "banned6", Addr: netip.MustParseAddr("2001:db8::1")},
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmpopts.IgnoreFields(state.Ban{}, "Since", "Until")); diff != "" {
		t.Errorf("bans (-want +got):\n%s", diff)
	}
	if !got[1].Until.IsZero() || got[0].Until.IsZero() {
		t.Errorf("the ends of %+v", got)
	}
	if st, err := c.Status(ctx); err != nil || st.Running != 2 || len(st.Problems) != 1 {
		t.Errorf("status: %+v, %v", st, err)
	}
	if gone, err := c.Unban(ctx, netip.MustParseAddr("192.0.2.1"), "other"); err != nil || len(gone) != 0 {
		t.Errorf("lifted in another set: %v, %v", gone, err)
	}
	if gone, err := c.Unban(ctx, netip.MustParseAddr("192.0.2.1"), ""); err != nil || len(gone) != 1 || gone[0].Set != "inet pyruse ban4" {
		t.Errorf("lifted: %v, %v", gone, err)
	}
	if _, err := c.Unban(ctx, netip.MustParseAddr("192.0.2.1"), "broken"); err == nil || err.Error() != "out of order" {
		t.Errorf("an error of the daemon arrives as %v", err)
	}
}

// TestBadRequestsChangeNothing sends what the client would not.
func TestBadRequestsChangeNothing(t *testing.T) {
	var h house
	path := serve(t, &h)
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		},
	}}
	for _, c := range []struct {
		name, method, path, body string
		status                   int
		says                     string
	}{
		{"no JSON", "POST", "/v1/bans", "hello", 400, "read the request"},
		{"unknown key", "POST", "/v1/bans", `{"set":"s","address":"192.0.2.1","for":3}`, 400, "unknown field"},
		{"no address", "POST", "/v1/bans", `{"set":"inet a b","address":"192.0.2.1; flush ruleset"}`, 400, ""},
		{"no set", "POST", "/v1/bans", `{"set":"","address":"192.0.2.1"}`, 400, ""},
		{"set with a command", "POST", "/v1/bans", `{"set":"inet a b;flush","address":"192.0.2.1"}`, 400, ""},
		{"negative length", "POST", "/v1/bans", `{"set":"s","address":"192.0.2.1","seconds":-1}`, 400, "must be from 1"},
		{"length that wraps around to a second", "POST", "/v1/bans", `{"set":"s","address":"192.0.2.1","seconds":-18446744072709551}`, 400, "must be from 1"},
		{"length beyond all bounds", "POST", "/v1/bans", `{"set":"s","address":"192.0.2.1","seconds":9223372036854775807}`, 400, "must be from 1"},
		{"refused", "POST", "/v1/bans", `{"set":"s","address":"127.0.0.1"}`, 409, "refused"},
		{"endless body", "POST", "/v1/bans", `{"set":"` + strings.Repeat("s", 1<<20) + `"}`, 400, "too large"},
		{"lift no address", "DELETE", "/v1/bans?address=all", "", 400, ""},
		{"reload with an unknown key", "POST", "/v1/reload", `{"file":"/etc/shadow"}`, 400, "unknown field"},
		{"reload without a body", "POST", "/v1/reload", "", 400, "read the request"},
		{"reload by reading", "GET", "/v1/reload", "", 405, ""},
		{"retry of no number", "POST", "/v1/mail/all/retry", "", 400, `"all" is not the number of a mail`},
		{"retry of a number beyond all bounds", "POST", "/v1/mail/9223372036854775808/retry", "", 400, "is not the number of a mail"},
		{"retry of an unknown mail", "POST", "/v1/mail/6/retry", "", 404, "mail 6: there is no such mail in the outbox"},
		{"retry by reading", "GET", "/v1/mail/7/retry", "", 405, ""},
		{"retry that fails", "POST", "/v1/mail/8/retry", "", 500, "the disk is full"},
		{"drop an unknown mail", "DELETE", "/v1/mail/-7", "", 404, "mail -7: there is no such mail in the outbox"},
		{"drop no number", "DELETE", "/v1/mail/7;8", "", 400, "is not the number of a mail"},
		{"drop all mails", "DELETE", "/v1/mail", "", 404, ""},
		{"read a mail", "GET", "/v1/mail/7", "", 405, ""},
		{"report with an unknown key", "POST", "/v1/report", `{"day":"2026-11-22"}`, 400, "unknown field"},
		{"report of no time", "POST", "/v1/report", `{"since":"yesterday"}`, 400, "read the request"},
		{"report without a body", "POST", "/v1/report", "", 400, "read the request"},
		{"report by reading", "GET", "/v1/report", "", 405, ""},
		{"unknown path", "GET", "/v1/secrets", "", 404, ""},
		{"unknown method", "PUT", "/v1/bans", "", 405, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), c.method, "http://pyruse"+c.path, strings.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			res, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = res.Body.Close() }()
			var f failure
			if c.says != "" || c.status != 404 && c.status != 405 {
				if err := json.NewDecoder(res.Body).Decode(&f); err != nil {
					t.Fatal(err)
				}
			}
			if res.StatusCode != c.status || !strings.Contains(f.Error, c.says) {
				t.Errorf("status %d, %q; want %d, %q", res.StatusCode, f.Error, c.status, c.says)
			}
			if bans := h.Bans(); len(bans) != 0 || len(h.reloads) != 0 || len(h.mail) != 0 {
				t.Errorf("bans: %v, reloads: %v, mail: %v", bans, h.reloads, h.mail)
			}
		})
	}
}

// TestPeers has the test binary ask as root (or whoever runs the test), and as the user nobody.
func TestPeers(t *testing.T) {
	if os.Getuid() != 0 {
		t.Fatal("needs root, to ask as another user")
	}
	var h house
	path := serve(t, &h)
	for _, dir := range []string{filepath.Dir(filepath.Dir(path)), filepath.Dir(path)} {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o660 {
		t.Fatalf("the socket: %v, %v; want mode 0660", info, err)
	}
	self := copySelf(t)
	ask := func(uid uint32) map[string]string {
		t.Helper()
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), envLook+"="+path)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		var answer map[string]string
		if err := json.Unmarshal(out, &answer); err != nil {
			t.Fatal(err)
		}
		return answer
	}
	const nobody, only = 65534, "only root and the daemon's own user may "
	for what, said := range ask(nobody) {
		if !strings.Contains(said, "permission denied") {
			t.Errorf("nobody, with mode 0660: %s: %s", what, said)
		}
	}
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	refused := map[string]string{
		"status": "yes", "list": "yes", "ban": only + "change bans", "unban": only + "change bans", "reload": only + "reload",
		"retry mail": only + "change the outbox", "drop mail": only + "change the outbox", "report": only + "have a report mailed",
	}
	if diff := cmp.Diff(refused, ask(nobody)); diff != "" {
		t.Errorf("nobody (-want +got):\n%s", diff)
	}
	allowed := map[string]string{}
	for what := range refused {
		allowed[what] = "yes"
	}
	if diff := cmp.Diff(allowed, ask(0)); diff != "" {
		t.Errorf("root (-want +got):\n%s", diff)
	}
	if len(h.reloads) != 1 || len(h.mail) != 3 {
		t.Errorf("%d reloads, %d wishes about mail, want the one and the three of root", len(h.reloads), len(h.mail))
	}
}

func TestReload(t *testing.T) {
	var h house
	var answer Reload
	var fault error
	c := NewClient(serveWith(t, NewServer(&h, reload(func(_ context.Context, o ReloadOptions) (Reload, error) {
		if want := (ReloadOptions{Format: "json", Colour: true}); o != want {
			t.Errorf("asked with %+v, want %+v", o, want)
		}
		return answer, fault
	}), &h)))
	for _, answer = range []Reload{
		{InForce: true, Output: "pyruse.json:1:2: \x1b[1;33mwarning\x1b[0m: <&>\n"},
		{Output: strings.Repeat("a fault\n", 1<<17)},
		{Fault: "there is no configuration"},
	} {
		got, err := c.Reload(t.Context(), ReloadOptions{Format: "json", Colour: true})
		if err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(answer, got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
	fault = errors.New("the daemon is stopping")
	if _, err := c.Reload(t.Context(), ReloadOptions{Format: "json", Colour: true}); err == nil || err.Error() != fault.Error() {
		t.Errorf("an error of the daemon arrives as %v", err)
	}
}

// TestReloadMayTakeLong has the times for other requests pass while the reload is under way.
func TestReloadMayTakeLong(t *testing.T) {
	var h house
	const others = 20 * time.Millisecond
	s := NewServer(&h, reload(func(ctx context.Context, _ ReloadOptions) (Reload, error) {
		passed := time.NewTimer(5 * others)
		defer passed.Stop()
		select {
		case <-passed.C:
			return Reload{InForce: true}, nil
		case <-ctx.Done():
			return Reload{}, ctx.Err()
		}
	}), &h)
	s.http.ReadTimeout, s.http.WriteTimeout = others, others
	if r, err := NewClient(serveWith(t, s)).Reload(t.Context(), ReloadOptions{}); err != nil || !r.InForce {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestReloadEndsWithItsClient has the client go while the reload is under way.
func TestReloadEndsWithItsClient(t *testing.T) {
	var h house
	begun, ended := make(chan struct{}), make(chan struct{})
	s := NewServer(&h, reload(func(ctx context.Context, _ ReloadOptions) (Reload, error) {
		close(begun)
		<-ctx.Done()
		close(ended)
		return Reload{}, ctx.Err()
	}), &h)
	c := NewClient(serveWith(t, s))
	ctx, leave := context.WithCancel(t.Context())
	left := make(chan error)
	go func() {
		_, err := c.Reload(ctx, ReloadOptions{})
		left <- err
	}()
	<-begun
	leave()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("the client: %v", err)
	}
	<-ended
}

func TestMail(t *testing.T) {
	var h house
	c := NewClient(serve(t, &h))
	ctx := t.Context()
	if err := errors.Join(c.RetryMail(ctx, 7), c.DropMail(ctx, 7)); err != nil {
		t.Fatal(err)
	}
	since := time.Date(2026, 11, 22, 12, 0, 0, 5, time.UTC)
	for _, p := range []Period{{}, {Date: "2026-11-22"}, {Since: since, Until: since.Add(time.Hour)}} {
		if about, err := c.SendReport(ctx, p); err != nil || about != "3 new kinds of lines <&>" {
			t.Errorf("report %+v: %q, %v", p, about, err)
		}
	}
	want := []string{"retry", "drop", "report " + time.Time{}.String(), "report 2026-11-22" + time.Time{}.String(), "report " + since.String()}
	if diff := cmp.Diff(want, h.mail); diff != "" {
		t.Errorf("asked for (-want +got):\n%s", diff)
	}
	for name, do := range map[string]func(context.Context, int64) error{"retry": c.RetryMail, "drop": c.DropMail} {
		if err := do(ctx, 6); err == nil || err.Error() != "mail 6: there is no such mail in the outbox" {
			t.Errorf("%s an unknown mail: %v", name, err)
		}
		if err := do(ctx, 8); err == nil || err.Error() != "the disk is full" {
			t.Errorf("%s: an error of the daemon arrives as %v", name, err)
		}
	}
}

// TestReportMayTakeLong has the times for other requests pass while the report is made.
func TestReportMayTakeLong(t *testing.T) {
	var h house
	const others = 20 * time.Millisecond
	s := NewServer(&h, &h, reporter(func(ctx context.Context, _ Period) (string, error) {
		passed := time.NewTimer(5 * others)
		defer passed.Stop()
		select {
		case <-passed.C:
			return "done", nil
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}))
	s.http.ReadTimeout, s.http.WriteTimeout = others, others
	if about, err := NewClient(serveWith(t, s)).SendReport(t.Context(), Period{}); err != nil || about != "done" {
		t.Errorf("%q, %v", about, err)
	}
}

func TestReportErrors(t *testing.T) {
	var h house
	fault := errors.New("there is nobody to mail to")
	c := NewClient(serveWith(t, NewServer(&h, &h, reporter(func(context.Context, Period) (string, error) { return "", fault }))))
	if _, err := c.SendReport(t.Context(), Period{}); err == nil || err.Error() != fault.Error() {
		t.Errorf("an error of the daemon arrives as %v", err)
	}
}

// TestReportEndsWithItsClient has the client go while the report is made.
func TestReportEndsWithItsClient(t *testing.T) {
	var h house
	begun, ended := make(chan struct{}), make(chan struct{})
	s := NewServer(&h, &h, reporter(func(ctx context.Context, _ Period) (string, error) {
		close(begun)
		<-ctx.Done()
		close(ended)
		return "", ctx.Err()
	}))
	c := NewClient(serveWith(t, s))
	ctx, leave := context.WithCancel(t.Context())
	left := make(chan error)
	go func() {
		_, err := c.SendReport(ctx, Period{})
		left <- err
	}()
	<-begun
	leave()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("the client: %v", err)
	}
	<-ended
}

// copySelf puts the test binary where every user may run it.
func copySelf(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "control")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "client")
	if err := errors.Join(os.Chmod(dir, 0o755), os.WriteFile(path, data, 0o755)); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestListen(t *testing.T) {
	var h house
	path := serve(t, &h)
	if _, err := Listen(path); !errors.Is(err, ErrRunning) {
		t.Errorf("beside a daemon: %v", err)
	}
	left := filepath.Join(filepath.Dir(path), "left.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: left, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := NewClient(left).Status(t.Context()); !errors.Is(err, ErrNotRunning) {
		t.Errorf("a client of a dead daemon: %v", err)
	}
	again, err := Listen(left)
	if err != nil {
		t.Fatalf("in place of a dead daemon: %v", err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
	if _, err := NewClient(left).Status(t.Context()); !errors.Is(err, ErrNotRunning) {
		t.Errorf("a client without a socket: %v", err)
	}
	file := filepath.Join(filepath.Dir(path), "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(file); err == nil {
		t.Error("a file was taken for an old socket")
	}
	if data, err := os.ReadFile(file); err != nil || string(data) != "precious" {
		t.Errorf("the file: %q, %v", data, err)
	}
}
