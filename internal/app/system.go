package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/pyruse/pyruse/internal/action"
	"github.com/pyruse/pyruse/internal/ban"
	"github.com/pyruse/pyruse/internal/config"
	"github.com/pyruse/pyruse/internal/journal"
	"github.com/pyruse/pyruse/internal/mail"
)

// ErrSystem is returned when the configuration is sound, but the machine is not ready for it.
var ErrSystem = errors.New("the machine is not ready for this configuration")

// finding is one result of the check of the machine.
type finding struct {
	What    string `json:"check"`
	Problem string `json:"problem,omitempty"` // "": all is well
}

// system checks what the configuration needs of the machine.
func (o *CheckOptions) system(ctx context.Context, p *program, world *action.World) error {
	c := &p.cfg.Settings
	findings := []finding{
		{"storage " + c.Storage, problem(checkStorage(c.Storage))},
		{"journal", problem(checkJournal(&c.Journal))},
		{"name service", problem(checkNameService())},
	}
	if u, err := user.Lookup(serviceUser); err == nil { // there is one where a package was installed
		findings = append(findings, finding{"user " + u.Username, problem(checkUser(u, c))})
	}
	if err := receiver(c, world); err != nil {
		findings = append(findings, finding{"email", err.Error()})
	}
	if len(c.Email.To) > 0 {
		u, err := readUnit(ctx)
		if err != nil {
			findings = append(findings, finding{"unit " + unitName, err.Error()})
		}
		findings = append(findings, checkMail(ctx, &c.Email, u))
	}
	walls, err := firewalls(c)
	if err != nil {
		return err
	}
	for _, s := range world.Sets() {
		_, err := ban.Check(ctx, walls, s.Backend, s.Set, s.IPv6)
		findings = append(findings, finding{fmt.Sprintf("%s set %q of %s", s.Backend, s.Set, s.Origin), problem(err)})
	}
	return o.printFindings(findings)
}

func (o *CheckOptions) printFindings(findings []finding) error {
	ready := true
	for _, f := range findings {
		ready = ready && f.Problem == ""
		if err := o.printFinding(f); err != nil {
			return err
		}
	}
	if !ready {
		return ErrSystem
	}
	return nil
}

func (o *CheckOptions) printFinding(f finding) error {
	if o.Format == JSON {
		return json.NewEncoder(o.Stdout).Encode(f)
	}
	if f.Problem == "" {
		f.Problem = "ok"
	}
	_, err := fmt.Fprintf(o.Stdout, "%s: %s\n", config.Printable(f.What), config.Printable(f.Problem))
	return err
}

// receiver returns an error if the steps want to mail, and nobody is named to mail to.
func receiver(c *config.Settings, world *action.World) error {
	if len(c.Email.To) > 0 || !world.Mails() {
		return nil
	}
	return errors.New(`there is nobody to mail to: add "email": {"to": ["…"]}`)
}

func problem(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// checkStorage checks that the storage folder can be written; where it is missing, that it can be made.
func checkStorage(dir string) error {
	at := dir
	for {
		err := unix.Access(at, unix.W_OK|unix.X_OK)
		if err == nil {
			return nil
		}
		if !errors.Is(err, fs.ErrNotExist) || at == filepath.Dir(at) {
			return fmt.Errorf("%s cannot be written: %w", at, err)
		}
		at = filepath.Dir(at)
	}
}

// checkJournal checks that there is a journal, and that who runs the check may read it.
func checkJournal(c *config.Journal) error {
	options := journalOptions(c)
	options.MustExist = true
	r, err := journal.Open(options)
	if err != nil {
		return err
	}
	err = r.SeekHead()
	if err == nil {
		var ok bool
		if ok, err = r.Next(); err == nil && !ok {
			err = errors.New("there is no entry that can be read: run this as root, or in the group systemd-journal")
		}
	}
	return errors.Join(err, r.Close())
}

// checkNameService checks that users can be looked up, as filter_userExists does.
func checkNameService() error {
	if _, err := user.Lookup("root"); err != nil {
		return fmt.Errorf("users cannot be looked up: %w", err)
	}
	return nil
}

// serviceUser is the user that the packages run the daemon as, and journalGroup the group that may read the journal.
const (
	serviceUser  = "pyruse"
	journalGroup = "systemd-journal"
)

// checkUser checks that the daemon's user may read the journal and what it logs in with, and write its state.
func checkUser(u *user.User, c *config.Settings) error {
	var faults []error
	if g, err := user.LookupGroup(journalGroup); err == nil {
		if ids, err := u.GroupIds(); err == nil && !slices.Contains(ids, g.Gid) {
			faults = append(faults, fmt.Errorf("it is not in the group %s (the unit may add it: SupplementaryGroups=)", journalGroup))
		}
	}
	if info, err := os.Stat(c.Storage); err == nil {
		owner := info.Sys().(*syscall.Stat_t).Uid
		if u.Uid != "0" && strconv.FormatUint(uint64(owner), 10) != u.Uid && info.Mode().Perm()&0o022 == 0 {
			faults = append(faults, fmt.Errorf("it cannot write %s, which belongs to the user ID %d: chown %s %[1]s", c.Storage, owner, u.Username))
		}
	}
	for _, secret := range []string{c.Email.SMTP.PasswordFile, c.Email.SMTP.KeyFile} {
		if secret != "" && !mayRead(u, secret) {
			faults = append(faults, fmt.Errorf("it cannot read %s: chown %s %[1]s", secret, u.Username))
		}
	}
	return errors.Join(faults...)
}

// mayRead reports whether the owner, group and mode of a file let a user read it. What cannot be looked at is left to the check of
// what it is for.
func mayRead(u *user.User, name string) bool {
	info, err := os.Stat(name)
	if err != nil || u.Uid == "0" {
		return true
	}
	const owner, group, others = 0o400, 0o040, 0o004
	st, mode := info.Sys().(*syscall.Stat_t), info.Mode().Perm()
	if strconv.FormatUint(uint64(st.Uid), 10) == u.Uid {
		return mode&owner != 0
	}
	if ids, err := u.GroupIds(); err != nil || slices.Contains(ids, strconv.FormatUint(uint64(st.Gid), 10)) {
		return mode&group != 0
	}
	return mode&others != 0
}

// checkMail asks the mail server whether it would take mail, or looks whether the sendmail program is there, and whether the unit of the
// daemon, which may be nil, lets them do their work. No mail is sent.
func checkMail(ctx context.Context, c *config.Email, u *unit) finding {
	if c.SMTP.Host == "" {
		return finding{"sendmail " + c.Sendmail[0], problem(checkSendmail(ctx, c.Sendmail, u))}
	}
	err := checkServer(ctx, c)
	if err == nil && u != nil {
		err = checkReach(ctx, c.SMTP.Host, u)
	}
	return finding{"mail server " + c.SMTP.Host, problem(err)}
}

// dropIns is where packages put the drop-ins for the unit that its sandbox may need.
const dropIns = "/usr/share/pyruse/drop-ins/"

// dropIn says how to put a drop-in in place.
func dropIn(name string) string {
	return fmt.Sprintf("install -D -m 644 -t /etc/systemd/system/%s.d %s%s && systemctl daemon-reload && systemctl restart pyruse", unitName, dropIns, name)
}

// checkSendmail looks whether the way that mail.Local takes is open.
func checkSendmail(ctx context.Context, argv []string, u *unit) error {
	way := mail.WayOf(argv)
	confined := way == mail.WayRights && (u != nil && u.confined || mail.Confined())
	if (confined || way == mail.WayServer) && mail.LocalServer(ctx) {
		return nil
	}
	if err := checkProgram(mail.FindSendmail(argv[0])); err != nil {
		return err
	}
	if confined {
		return fmt.Errorf("the sandbox of %s keeps it from raising its rights, and no mail server listens on port 25 of this machine. "+
			`If it needs them (msmtp does not), use "smtp", or the drop-in that opens the sandbox: %s`, unitName, dropIn("sendmail.conf"))
	}
	return nil
}

// checkReach looks whether the unit lets the daemon talk to a mail server.
func checkReach(ctx context.Context, host string, u *unit) error {
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(addrs, u.reaches) {
		return nil
	}
	return fmt.Errorf("it would take mail, but %s lets the daemon talk to this machine only: %s", unitName, dropIn("network.conf"))
}

func checkServer(ctx context.Context, c *config.Email) error {
	s := smtp(&c.SMTP, c.From, nil)
	if c.SMTP.PasswordCredential != "" {
		if _, err := s.Secret.Read(ctx); err != nil {
			return fmt.Errorf("it was not tried, since the password is only there while the service runs, and only for root: %w", err)
		}
	}
	err := s.Probe(ctx)
	if cause := errors.Unwrap(err); cause != nil {
		return cause // the finding names the server already
	}
	return err
}

// checkProgram checks that a program is there and can be started, with its interpreter if it is a script. It is not run, since
// nobody knows what it would do.
func checkProgram(name string) error {
	path, err := exec.LookPath(name)
	if err != nil {
		return err
	}
	interpreter, err := interpreterOf(path)
	if err != nil || interpreter == "" {
		return err
	}
	if err := unix.Access(interpreter, unix.X_OK); err != nil {
		return fmt.Errorf("%s cannot be started: it needs %s: %w", path, interpreter, err)
	}
	return nil
}

// interpreterOf returns the interpreter of a script; "" for a program that needs none.
func interpreterOf(path string) (string, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrPermission) {
		return "", nil // such as a setuid sendmail, which may be started all the same
	}
	if err != nil {
		return "", fmt.Errorf("%s cannot be read: %w", path, err)
	}
	defer func() { _ = f.Close() }() // it was only read
	const longest = 256              // bytes that the kernel reads of a script's first line: BINPRM_BUF_SIZE of Linux
	head := make([]byte, longest)
	n, err := io.ReadFull(f, head)
	if n == 0 {
		return "", fmt.Errorf("%s is no program: %w", path, err)
	}
	line, _, _ := strings.Cut(string(head[:n]), "\n")
	script, ok := strings.CutPrefix(line, "#!")
	if words := strings.Fields(script); ok && len(words) > 0 {
		return words[0], nil
	}
	switch {
	case ok:
		return "", fmt.Errorf("%s is a script that names no interpreter", path)
	case !strings.HasPrefix(line, "\x7fELF"):
		return "", fmt.Errorf("%s is neither a script nor a program of this system", path)
	}
	return "", nil
}
