package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pyruse/pyruse/internal/ban"
	"github.com/pyruse/pyruse/internal/state"
)

// Bounds of a request.
const (
	maxBody        = 64 << 10
	requestTimeout = 10 * time.Second
	reloadTimeout  = 60 * time.Second         // far more than the largest configuration takes
	reportTimeout  = 60 * time.Second         // the largest report takes some 10 seconds
	maxSeconds     = 100 * 366 * 24 * 60 * 60 // of a ban: a hundred years, far below what a time.Duration holds
)

// ErrRunning means that a daemon listens on the socket already.
var ErrRunning = errors.New("another daemon answers on it")

// Listen makes the socket with mode 0660, and its folder if that is missing. A socket that a
// dead daemon left behind is replaced; one that answers is ErrRunning.
func Listen(path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("make the folder of the control socket: %w", err)
	}
	if c, err := net.Dial("unix", path); err == nil {
		return nil, errors.Join(fmt.Errorf("open the control socket %s: %w", path, ErrRunning), c.Close())
	} else if errors.Is(err, unix.ECONNREFUSED) {
		if err := removeSocket(path); err != nil {
			return nil, fmt.Errorf("remove the old control socket: %w", err)
		}
	}
	// The mode is set before anybody can connect: the socket is made under the umask.
	old := unix.Umask(0o117)
	l, err := net.Listen("unix", path)
	unix.Umask(old)
	if err != nil {
		return nil, fmt.Errorf("open the control socket: %w", err)
	}
	return l, nil
}

// removeSocket removes a socket. Connecting to a file of another kind is refused in the same way, and
// a configuration that names one by mistake is no reason to delete it.
func removeSocket(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if info.Mode().Type() != os.ModeSocket {
		return fmt.Errorf("%s is not a socket", path)
	}
	return os.Remove(path)
}

// Server answers requests on the socket.
type Server struct {
	daemon   Daemon
	reloader Reloader
	mailer   Mailer
	http     *http.Server
}

type peerKey struct{}

// NewServer returns a server for the daemon.
func NewServer(d Daemon, r Reloader, m Mailer) *Server {
	s := &Server{daemon: d, reloader: r, mailer: m}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, _ *http.Request) { reply(w, d.Status()) })
	mux.HandleFunc("GET /v1/bans", s.list)
	mux.HandleFunc("POST /v1/bans", s.only("change bans", s.add))
	mux.HandleFunc("DELETE /v1/bans", s.only("change bans", s.remove))
	mux.HandleFunc("POST /v1/reload", s.only("reload", s.reload))
	mux.HandleFunc("POST /v1/mail/{id}/retry", s.only("change the outbox", s.mail(m.RetryMail)))
	mux.HandleFunc("DELETE /v1/mail/{id}", s.only("change the outbox", s.mail(m.DropMail)))
	mux.HandleFunc("POST /v1/report", s.only("have a report mailed", s.report))
	s.http = &http.Server{
		Handler:           http.MaxBytesHandler(mux, maxBody),
		ReadHeaderTimeout: requestTimeout,
		ReadTimeout:       requestTimeout,
		WriteTimeout:      3 * requestTimeout,
		IdleTimeout:       requestTimeout,
		MaxHeaderBytes:    maxBody,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, peerKey{}, peerUID(c))
		},
	}
	return s
}

// Serve answers until Shutdown is called.
func (s *Server) Serve(l net.Listener) error {
	if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve the control socket: %w", err)
	}
	return nil
}

// Shutdown ends the server; requests under way may finish until ctx is done. The socket is removed.
func (s *Server) Shutdown(ctx context.Context) error { return s.http.Shutdown(ctx) }

// peerUID returns the user on the other side, -1 if that is not known.
func peerUID(c net.Conn) int {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return -1
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return -1
	}
	uid := -1
	err = raw.Control(func(fd uintptr) {
		if cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			uid = int(cred.Uid)
		}
	})
	if err != nil {
		return -1
	}
	return uid
}

// only lets nobody through but root and the daemon's own user.
func (s *Server) only(what string, h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if uid, _ := r.Context().Value(peerKey{}).(int); uid != 0 && uid != os.Getuid() {
			refuse(w, http.StatusForbidden, fmt.Errorf("only root and the daemon's own user may %s", what))
			return
		}
		h(w, r)
	}
}

func (s *Server) list(w http.ResponseWriter, _ *http.Request) { reply(w, fromStates(s.daemon.Bans())) }

func fromStates(bans []state.Ban) []Ban {
	list := make([]Ban, len(bans))
	for i := range bans {
		list[i] = FromState(bans[i])
	}
	return list
}

func (s *Server) add(w http.ResponseWriter, r *http.Request) {
	var q banRequest
	if !read(w, r, &q) {
		return
	}
	if q.Seconds < 0 || q.Seconds > maxSeconds {
		refuse(w, http.StatusBadRequest, fmt.Errorf("a ban of %d seconds: it must be from 1 to %d, or 0 for ever", q.Seconds, int64(maxSeconds)))
		return
	}
	b, err := NewBan(q.Set, q.Address, time.Duration(q.Seconds)*time.Second, time.Now())
	if err == nil {
		err = s.daemon.Ban(r.Context(), b)
	}
	switch {
	case errors.Is(err, ErrRefused):
		refuse(w, http.StatusConflict, err)
	case err != nil:
		refuse(w, http.StatusBadRequest, err)
	default:
		reply(w, FromState(b))
	}
}

// read reads the body of a request; if that fails, it refuses the request and returns false.
func read(w http.ResponseWriter, r *http.Request, into any) bool {
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		refuse(w, http.StatusBadRequest, fmt.Errorf("read the request: %w", err))
		return false
	}
	return true
}

func (s *Server) remove(w http.ResponseWriter, r *http.Request) {
	a, err := ban.ParseAddr(r.URL.Query().Get("address"))
	if err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	gone, err := s.daemon.Unban(r.Context(), a, r.URL.Query().Get("set"))
	if err != nil {
		refuse(w, http.StatusInternalServerError, err)
		return
	}
	reply(w, fromStates(gone))
}

// reload answers when the reload is done, which may take longer than any other request.
func (s *Server) reload(w http.ResponseWriter, r *http.Request) {
	var q ReloadOptions
	if !read(w, r, &q) {
		return
	}
	if !mayTake(w, reloadTimeout) {
		return
	}
	ctx, cancel := context.WithTimeoutCause(r.Context(), reloadTimeout, fmt.Errorf("the reload is not done after %v; it goes on", reloadTimeout))
	defer cancel()
	result, err := s.reloader.Reload(ctx, q)
	switch {
	case ctx.Err() != nil && err != nil:
		refuse(w, http.StatusGatewayTimeout, context.Cause(ctx))
	case err != nil:
		refuse(w, http.StatusServiceUnavailable, err)
	default:
		reply(w, result)
	}
}

// mayTake gives an answer more time than others have; if that fails, it refuses the request and returns false.
func mayTake(w http.ResponseWriter, limit time.Duration) bool {
	if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(limit + requestTimeout)); err != nil {
		refuse(w, http.StatusInternalServerError, err)
		return false
	}
	return true
}

// mail does something with one mail of the outbox.
func (s *Server) mail(do func(id int64) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
		if err != nil {
			refuse(w, http.StatusBadRequest, fmt.Errorf("%q is not the number of a mail", r.PathValue("id")))
			return
		}
		switch err := do(id); {
		case errors.Is(err, ErrNoMail):
			refuse(w, http.StatusNotFound, fmt.Errorf("mail %d: %w", id, err))
		case err != nil:
			refuse(w, http.StatusInternalServerError, err)
		default:
			reply(w, struct{}{})
		}
	}
}

// report mails a report.
func (s *Server) report(w http.ResponseWriter, r *http.Request) {
	var p Period
	if !read(w, r, &p) || !mayTake(w, reportTimeout) {
		return
	}
	ctx, cancel := context.WithTimeoutCause(r.Context(), reportTimeout, fmt.Errorf("the report is not done after %v", reportTimeout))
	defer cancel()
	summary, err := s.mailer.SendReport(ctx, p)
	switch {
	case ctx.Err() != nil && err != nil:
		refuse(w, http.StatusGatewayTimeout, context.Cause(ctx))
	case err != nil:
		refuse(w, http.StatusUnprocessableEntity, err)
	default:
		reply(w, Sent{summary})
	}
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the client is gone: nobody to tell
}

func refuse(w http.ResponseWriter, status int, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(failure{err.Error()}) // the client is gone: nobody to tell
}
