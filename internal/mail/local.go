package mail

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/pyruse/pyruse/internal/state"
)

// Local hands messages to the mail system of this machine: to the sendmail program or, where the program could not raise its rights, to
// the mail server that listens on the loopback address. A program like exim's is setuid, the one of Postfix calls another that is
// setgid; both fail under no_new_privs (prctl(2)), which the sandbox of the service sets.
type Local struct {
	Sendmail

	// For tests.
	confined func() bool // whether programs cannot raise their rights; nil: asks the kernel
	servers  []string    // where the mail server of the machine may listen; nil: localServers
	mailname string      // file with the mail domain of the machine; "": /etc/mailname
}

var _ Transport = (*Local)(nil)

// localServers are the addresses on which the mail server of a machine takes mail of the machine itself.
var localServers = []string{"127.0.0.1:25", "[::1]:25"}

// ErrConfined is why a program failed that might not have failed without the sandbox.
var ErrConfined = errors.New("the sandbox of the service keeps the program from raising its rights, and no mail server listens on port 25 of this machine: " +
	"use the drop-in sendmail.conf, or \"smtp\"")

// Send hands over one message, as Transport says.
func (l *Local) Send(ctx context.Context, m state.Mail) error {
	confined := l.confined
	if confined == nil {
		confined = Confined
	}
	way := WayOf(l.Argv)
	if way == WayProgram || way == WayRights && !confined() {
		return l.Sendmail.Send(ctx, m)
	}
	if conn := l.dial(ctx); conn != nil {
		return l.submit(ctx, conn, m)
	}
	err := l.Sendmail.Send(ctx, m) // it may do without rights: msmtp does, if it may read its configuration
	if err != nil && ctx.Err() == nil && way == WayRights {
		return fmt.Errorf("%w; %w", err, ErrConfined)
	}
	return err
}

// dial returns a connection to the mail server of this machine, or nil if there is none.
func (l *Local) dial(ctx context.Context) net.Conn {
	servers := l.servers
	if servers == nil {
		servers = localServers
	}
	for _, address := range servers {
		conn, err := (&net.Dialer{Timeout: commandTimeout}).DialContext(ctx, "tcp", address)
		if err == nil {
			return conn
		}
	}
	return nil
}

// submit sends a message over a connection to the mail server of this machine.
func (l *Local) submit(ctx context.Context, conn net.Conn, m state.Mail) error {
	host, _, err := net.SplitHostPort(conn.RemoteAddr().String())
	if err != nil {
		return errors.Join(fmt.Errorf("find the mail server of this machine: %w", err), conn.Close())
	}
	server := SMTP{Host: host, TLS: NoTLS, Timeout: l.Timeout, Dialogue: l.Dialogue}
	server.dial = func(context.Context, string, string) (net.Conn, error) { return conn, nil }
	given := m.To
	l.qualify(&m)
	err = server.Send(ctx, m)
	var parts *SendError
	if errors.As(err, &parts) {
		for _, list := range [][]state.Recipient{parts.Refused, parts.Waiting} {
			for i, r := range list {
				list[i].Address = given[slices.Index(m.To, r.Address)]
			}
		}
	}
	return err
}

// qualify gives all addresses a domain, as a mail server wants them, in the envelope and in the header (exim refuses others with "550
// header syntax"). It does what the sendmail program would.
func (l *Local) qualify(m *state.Mail) {
	to := make([]string, len(m.To))
	for i, a := range m.To {
		to[i] = QualifyAddress(a, "localhost") // a user of this machine, whatever domain the sender has
	}
	if !slices.Equal(to, m.To) {
		m.Data = setField(m.Data, "To", strings.Join(to, ",\n "))
		m.To = to
	}
	if strings.Contains(m.From, "@") {
		return
	}
	if m.From == "" {
		m.From = l.user()
	}
	m.From += "@" + l.domain()
	m.Data = setField(m.Data, "From", m.From)
}

// setField gives the header of a message a field in the place of those of that name.
func setField(data []byte, name, value string) []byte {
	header, body, _ := bytes.Cut(data, []byte("\n\n"))
	out := []byte(name + ": " + value + "\n")
	skip := false
	for line := range bytes.Lines(slices.Concat(header, []byte("\n"))) {
		if line[0] != ' ' && line[0] != '\t' { // not the rest of the field before
			skip = len(line) > len(name) && line[len(name)] == ':' && strings.EqualFold(string(line[:len(name)]), name)
		}
		if !skip {
			out = append(out, line...)
		}
	}
	return slices.Concat(out, []byte("\n"), body)
}

// user is who runs this.
func (*Local) user() string {
	if u, err := user.Current(); err == nil && dotString(u.Username) {
		return u.Username
	}
	return "pyruse"
}

// domain is the mail domain of the machine.
func (l *Local) domain() string {
	file := l.mailname
	if file == "" {
		file = "/etc/mailname" // mailname(5) of Debian: what its mail servers put in
	}
	content, _ := os.ReadFile(file) // where there is none, the name of the machine will do
	for _, domain := range []string{string(bytes.TrimSpace(content)), hostname()} {
		if plainDomain(domain) && ascii(domain) && strings.Contains(domain, ".") {
			return domain
		}
	}
	return "localhost"
}

// LocalServer reports whether a mail server listens on this machine.
func LocalServer(ctx context.Context) bool {
	conn := new(Local).dial(ctx)
	return conn != nil && conn.Close() == nil
}

func hostname() string {
	name, _ := os.Hostname() // without a name, it is as without a good one
	return name
}

// Way is how the mail system of this machine takes a message.
type Way int

// The ways.
const (
	WayProgram Way = iota // by the program, wherever it runs
	WayRights             // by the program, if it may have more rights than its caller; else by the server
	WayServer             // by the server, as there is no such program
)

// WayOf looks at the command that takes a message. A program needs rights if it is setuid or setgid, or is called sendmail: that of
// Postfix calls another one. With arguments that a mail server cannot be told, only the program will do.
func WayOf(argv []string) Way {
	if len(argv) == 0 {
		argv = defaultSendmail
	}
	for _, arg := range argv[1:] {
		if !slices.Contains([]string{"-t", "-i", "-oi"}, arg) {
			return WayProgram
		}
	}
	named := filepath.Base(argv[0]) == "sendmail"
	info, err := os.Stat(FindSendmail(argv[0]))
	switch {
	case errors.Is(err, fs.ErrNotExist) && named:
		return WayServer
	case err == nil && (named || info.Mode()&(fs.ModeSetuid|fs.ModeSetgid) != 0):
		return WayRights
	}
	return WayProgram
}

// Confined reports whether programs that this process starts cannot raise their rights (no_new_privs, prctl(2)).
func Confined() bool {
	set, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)
	return err == nil && set == 1
}
