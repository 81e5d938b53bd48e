package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

const (
	// journaldSocket takes the native protocol, https://systemd.io/JOURNAL_NATIVE_PROTOCOL.
	journaldSocket = "/run/systemd/journal/socket"

	// sendPatience is how long Send waits for a journald whose queue is full. After
	// that, no Send waits until one has succeeded.
	sendPatience = 500 * time.Millisecond

	// fallbackBytes bounds a line on standard error: that much goes into a pipe
	// (PIPE_BUF) or a stream socket in one piece and without blocking, once it is writable.
	fallbackBytes = 4096
)

// Field is one field of a Record.
type Field struct{ Name, Value string }

// Record is one log line.
type Record struct {
	Priority  int     // syslog's: 0 (emergency) to 7 (debug)
	Message   string  // any bytes; a line feed or a control character does no harm
	MessageID string  // one of the catalog; "" leaves it out
	Fields    []Field // names as journald takes them: A-Z, 0-9 and _, 64 bytes at most, no leading _; an empty value leaves the field out
}

// LoggerOptions say where a Logger writes; the zero value is right for the daemon.
type LoggerOptions struct {
	Version string    // the value of PYRUSE_VERSION; "" is "devel"
	Socket  string    // journald's native socket; "" is the system's
	Stderr  io.Writer // takes the lines that journald does not; nil is os.Stderr
}

// Logger sends log lines to journald, and to standard error while there is no
// journald. It may be used by several goroutines. It keeps one socket, which it
// makes anew when journald has made its own anew.
type Logger struct {
	version  string
	addr     unix.SockaddrUnix
	stderr   io.Writer
	patience time.Duration

	mu      sync.Mutex
	fd      int // connected; -1 while it is not
	buf     []byte
	stalled bool // journald's queue was full for as long as may be waited
}

// NewLogger returns a Logger. It connects at the first Send.
func NewLogger(o LoggerOptions) *Logger {
	l := &Logger{version: o.Version, stderr: o.Stderr, fd: -1, patience: sendPatience}
	l.addr.Name = o.Socket
	if l.version == "" {
		l.version = "devel"
	}
	if l.addr.Name == "" {
		l.addr.Name = journaldSocket
	}
	if l.stderr == nil {
		l.stderr = os.Stderr
	}
	return l
}

// Send writes one line. It takes half a second at most: if journald does not take
// the line within that time, or is not there, it goes to standard error in the
// form of sd-daemon(3), "<6>text FIELD=value", control characters escaped, 4096 bytes at most.
// An error means that it went nowhere.
func (l *Logger) Send(r Record) error {
	if r.Priority < 0 || r.Priority > 7 {
		return fmt.Errorf("send a log line: %d is no syslog priority", r.Priority)
	}
	for _, f := range r.Fields {
		if !isFieldName(f.Name) {
			return fmt.Errorf("send a log line: %q is no name of a journal field", f.Name)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.encode(r)
	err := l.transmit()
	if err == nil {
		return nil
	}
	if fallback := l.fallback(r); fallback != nil {
		return fmt.Errorf("send a log line: %w", errors.Join(err, fallback))
	}
	return nil
}

// Close closes the socket. A Logger that is used afterwards makes a new one.
func (l *Logger) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.disconnect()
}

func isFieldName(s string) bool {
	if s == "" || len(s) > 64 || s[0] == '_' || s[0] >= '0' && s[0] <= '9' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c != '_' && (c < 'A' || c > 'Z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// bufferKeep is the largest buffer that is kept for the next line.
const bufferKeep = 64 << 10

func (l *Logger) encode(r Record) {
	if cap(l.buf) > bufferKeep {
		l.buf = nil
	}
	b := appendField(l.buf[:0], "MESSAGE", r.Message)
	b = append(b, "PRIORITY="...)
	b = append(b, byte('0'+r.Priority), '\n')
	b = appendField(b, "SYSLOG_IDENTIFIER", identifier)
	b = appendField(b, "MESSAGE_ID", r.MessageID)
	b = appendField(b, FieldVersion, l.version)
	for _, f := range r.Fields {
		b = appendField(b, f.Name, f.Value)
	}
	l.buf = b
}

// appendField writes a field of the native protocol: a value with a line feed in
// the form that gives its length.
func appendField(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	b = append(b, name...)
	if strings.IndexByte(value, '\n') < 0 {
		b = append(b, '=')
	} else {
		b = append(b, '\n')
		b = binary.LittleEndian.AppendUint64(b, uint64(len(value)))
	}
	b = append(b, value...)
	return append(b, '\n')
}

// transmit hands l.buf to journald.
func (l *Logger) transmit() error {
	if l.fd >= 0 {
		// A connected socket does not notice by itself that journald has
		// closed its end: the first line after that fails, and is sent again.
		if err := l.sendBuffer(); err == nil || errors.Is(err, unix.EAGAIN) {
			return err
		}
	}
	if err := l.connect(); err != nil {
		return err
	}
	return l.sendBuffer()
}

func (l *Logger) connect() error {
	_ = l.disconnect() // it was of no use any more
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("make a socket: %w", err)
	}
	if err := unix.Connect(fd, &l.addr); err != nil {
		_ = unix.Close(fd)
		return fmt.Errorf("reach journald: %w", err)
	}
	l.fd = fd
	return nil
}

func (l *Logger) disconnect() error {
	if l.fd < 0 {
		return nil
	}
	err := unix.Close(l.fd)
	l.fd = -1
	return err
}

func (l *Logger) sendBuffer() error {
	err := l.sendDatagram(l.buf, nil)
	if errors.Is(err, unix.EMSGSIZE) || errors.Is(err, unix.ENOBUFS) {
		err = l.sendMemfd()
	}
	l.stalled = errors.Is(err, unix.EAGAIN)
	if err != nil {
		return fmt.Errorf("write to journald: %w", err)
	}
	return nil
}

// sendDatagram waits for room in journald's queue, for as long as is bearable.
func (l *Logger) sendDatagram(data, control []byte) error {
	deadline := time.Now().Add(l.patience)
	for {
		err := unix.Sendmsg(l.fd, data, control, nil, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
		left := time.Until(deadline)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case !errors.Is(err, unix.EAGAIN) || l.stalled || left <= 0:
			return err
		}
		if err := waitWritable(l.fd, left); err != nil {
			return err
		}
	}
}

// waitWritable returns when fd is writable or the time is over.
func waitWritable(fd int, limit time.Duration) error {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
	_, err := unix.Poll(fds, int((limit+time.Millisecond-1)/time.Millisecond))
	if errors.Is(err, unix.EINTR) {
		return nil
	}
	return err
}

// sendMemfd hands over what is too large for a datagram: a sealed memfd, which
// journald reads without copying.
func (l *Logger) sendMemfd() error {
	fd, err := unix.MemfdCreate("pyruse-log", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return fmt.Errorf("make a memfd: %w", err)
	}
	f := os.NewFile(uintptr(fd), "memfd")
	defer func() { _ = f.Close() }()
	if _, err := f.Write(l.buf); err != nil {
		return fmt.Errorf("fill a memfd: %w", err)
	}
	const seals = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE | unix.F_SEAL_SEAL
	if _, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, seals); err != nil {
		return fmt.Errorf("seal a memfd: %w", err)
	}
	return l.sendDatagram(nil, unix.UnixRights(int(f.Fd())))
}

// fallback writes the line to standard error. That may be a pipe or a socket that
// nobody reads, so it is asked first.
func (l *Logger) fallback(r Record) error {
	line := appendFallback(nil, r)
	if f, ok := l.stderr.(*os.File); ok {
		fds := []unix.PollFd{{Fd: int32(f.Fd()), Events: unix.POLLOUT}}
		if _, err := unix.Poll(fds, 0); err == nil && fds[0].Revents != unix.POLLOUT {
			// Full, or without a reader: then a write would raise SIGPIPE.
			return errors.New("write to standard error: it is not ready")
		}
	}
	if _, err := l.stderr.Write(line); err != nil {
		return fmt.Errorf("write to standard error: %w", err)
	}
	return nil
}

func appendFallback(b []byte, r Record) []byte {
	b = append(b, '<', byte('0'+r.Priority), '>')
	b = appendVisible(b, r.Message)
	for _, f := range r.Fields {
		if f.Value != "" {
			b = append(append(append(b, ' '), f.Name...), '=')
			b = appendVisible(b, f.Value)
		}
	}
	if len(b) >= fallbackBytes {
		b = append(cut(b, fallbackBytes-4), "..."...)
	}
	return append(b, '\n')
}

// appendVisible escapes what is not printable, as Go does in a quoted string.
func appendVisible(b []byte, s string) []byte {
	for i := 0; i < len(s) && len(b) < fallbackBytes; {
		c, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case c == utf8.RuneError && size == 1:
			b = append(b, `\x`...)
			b = append(b, "0123456789abcdef"[s[i]>>4], "0123456789abcdef"[s[i]&15])
		case strconv.IsPrint(c):
			b = append(b, s[i:i+size]...)
		default:
			quoted := strconv.AppendQuoteRune(nil, c)
			b = append(b, quoted[1:len(quoted)-1]...)
		}
		i += size
	}
	return b
}
