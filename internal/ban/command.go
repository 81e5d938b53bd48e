package ban

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	// commandTime is how long one run of a firewall command may take.
	commandTime = 10 * time.Second
	// commandOutput is how much is kept of what a command writes to each of stdout and stderr, in bytes.
	commandOutput = 64 << 10
	// commandQuote is how much of stderr an error shows, in bytes.
	commandQuote = 400
)

// commandChange is what one run of a command is to do.
type commandChange struct {
	set      string
	elems    []Element
	untimed  bool // the set takes no timeouts
	deleting bool
}

// invocation is one run: the arguments behind the configured list, and what is written to stdin.
type invocation struct {
	args  []string
	stdin string
}

// dialect is what a firewall command understands.
type dialect interface {
	valid(set string) error
	chunk() int                                   // how many elements go into one run
	change(c commandChange) invocation            // changes elements
	contains(set string, a netip.Addr) invocation // exits with 0 if the set, or a wider element of it, has the address
	inspect(set string) invocation
	parse(set string, out []byte) (SetInfo, error)        // the output of inspect
	create(set string, ipv6 bool) (i invocation, ok bool) // not ok: such a set is the administrator's to make
}

// command is a firewall behind a command of the administrator's, such as nft in another network namespace. The arguments
// are handed over as a list, without a shell. Changes that others make to its sets go unnoticed until the daemon starts again.
type command struct {
	argv    []string
	d       dialect
	limit   time.Duration
	untimed map[string]bool // sets that were found to take no timeouts
}

var _ Firewall = (*command)(nil)

func newCommand(argv []string, d dialect) (Firewall, error) {
	if argv[0] == "" || slices.ContainsFunc(argv, func(s string) bool { return strings.ContainsRune(s, 0) }) {
		return nil, fmt.Errorf("use firewall command %q: an empty name, or a NUL character", argv)
	}
	return &command{argv: argv, d: d, limit: commandTime, untimed: map[string]bool{}}, nil
}

// commandError says that a command ran and did not succeed.
type commandError struct {
	name   string
	stderr string // shortened, printable
	err    error
}

func (e *commandError) Error() string {
	if e.stderr == "" {
		return fmt.Sprintf("run %s: %v", quoted(e.name), e.err)
	}
	return fmt.Sprintf("run %s: %v: %s", quoted(e.name), e.err, e.stderr)
}

func (e *commandError) Unwrap() error { return e.err }

// denied reports whether err is that of a command that ran to its end and did not exit with 0.
func denied(err error) bool {
	var exit *exec.ExitError
	return errors.As(err, &exit) && exit.Exited()
}

// run runs the command and returns what it wrote to stdout. It ends with the whole process group of the command.
func (c *command) run(ctx context.Context, i invocation) ([]byte, error) {
	limited, cancel := context.WithTimeout(ctx, c.limit)
	defer cancel()
	cmd := exec.CommandContext(limited, c.argv[0], slices.Concat(c.argv[1:], i.args)...)
	var stdout, stderr bounded
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if i.stdin != "" {
		cmd.Stdin = strings.NewReader(i.stdin)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	if err == nil {
		return stdout.Bytes(), nil
	}
	if ctx.Err() == nil && limited.Err() != nil {
		err = fmt.Errorf("no end within %v: %w", c.limit, limited.Err())
	}
	return nil, &commandError{name: c.argv[0], stderr: printable(stderr.Bytes()), err: err}
}

// bounded keeps the first commandOutput bytes that are written to it.
type bounded struct{ bytes.Buffer }

func (b *bounded) Write(p []byte) (int, error) {
	b.Buffer.Write(p[:min(len(p), commandOutput-b.Len())])
	return len(p), nil
}

// printable returns output of a program on one line, without control characters, shortened.
func printable(b []byte) string {
	s := strings.Join(strings.Fields(strings.ToValidUTF8(string(b), "?")), " ")
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029' || r >= '\u202a' && r <= '\u202e' {
			return '?'
		}
		return r
	}, s)
	if len(s) > commandQuote {
		s = strings.ToValidUTF8(s[:commandQuote], "") + "..."
	}
	return s
}

// Close implements Firewall.
func (c *command) Close() error { return nil }

// Inspect implements Firewall.
func (c *command) Inspect(ctx context.Context, set string) (SetInfo, error) {
	if err := c.d.valid(set); err != nil {
		return SetInfo{}, err
	}
	out, err := c.run(ctx, c.d.inspect(set))
	if denied(err) {
		return SetInfo{}, fmt.Errorf("set %q: %w: %w", set, ErrNoSet, err)
	}
	if err != nil {
		return SetInfo{}, err
	}
	return c.d.parse(set, out)
}

// Missing implements Firewall: what the set holds is not known.
func (c *command) Missing(_ context.Context, set string, want []Element) ([]Element, Outcome, error) {
	return want, c.outcome(set), nil
}

func (c *command) outcome(set string) Outcome { return Outcome{Expires: !c.untimed[set]} }

// Add implements Firewall. In the normal case a chunk of elements is one run of the command; only after one
// that failed it is asked what kind of set it is.
func (c *command) Add(ctx context.Context, set string, elems []Element) (Outcome, error) {
	if err := c.d.valid(set); err != nil {
		return Outcome{}, err
	}
	var rejected []Rejection
	for chunk := range slices.Chunk(elems, c.d.chunk()) {
		err := c.add(ctx, set, chunk)
		if denied(err) {
			var some []Rejection
			some, err = c.addAgain(ctx, set, chunk, err)
			rejected = append(rejected, some...)
		}
		if err != nil {
			return c.outcome(set), fmt.Errorf("add to set %q: %w", set, err)
		}
	}
	out := c.outcome(set)
	out.Rejected = rejected
	return out, nil
}

func (c *command) add(ctx context.Context, set string, elems []Element) error {
	_, err := c.run(ctx, c.d.change(commandChange{set: set, elems: elems, untimed: c.untimed[set]}))
	return err
}

// addAgain finds out why elements could not be added. If the set was missing and is ours to make, it is made. Otherwise
// elements are added one by one, so that one that the set does not take holds up no others.
func (c *command) addAgain(ctx context.Context, set string, elems []Element, first error) ([]Rejection, error) {
	info, err := c.Inspect(ctx, set)
	if errors.Is(err, ErrNoSet) {
		create, ok := c.d.create(set, elems[0].Addr.Is6())
		if !ok {
			return nil, fmt.Errorf("%w: %w", ErrNoSet, first)
		}
		if _, err := c.run(ctx, create); err != nil {
			return nil, fmt.Errorf("make the set: %w", err)
		}
		return nil, c.add(ctx, set, elems)
	}
	if err != nil {
		return nil, errors.Join(first, err)
	}
	c.untimed[set] = !info.Timeouts
	fit, rejected := info.fits(set, elems)
	for _, e := range fit {
		err := c.add(ctx, set, []Element{e})
		if !denied(err) {
			if err != nil {
				return rejected, err
			}
			continue
		}
		switch _, absent := c.run(ctx, c.d.contains(set, e.Addr)); {
		case denied(absent):
			rejected = append(rejected, Rejection{e.Addr, err})
		case absent != nil:
			return rejected, absent
		}
	}
	return rejected, nil
}

// Remove implements Firewall.
func (c *command) Remove(ctx context.Context, set string, addrs []netip.Addr) error {
	if err := c.d.valid(set); err != nil {
		return err
	}
	for chunk := range slices.Chunk(addrs, c.d.chunk()) {
		remove := func(part []netip.Addr) error {
			elems := make([]Element, len(part))
			for i, a := range part {
				elems[i].Addr = a
			}
			_, err := c.run(ctx, c.d.change(commandChange{set: set, elems: elems, deleting: true}))
			return err
		}
		notThere := func(netip.Addr, error) {} // there is no other reason to refuse a deletion
		if err := halve(chunk, remove, denied, notThere); err != nil {
			return fmt.Errorf("delete from set %q: %w", set, err)
		}
	}
	return nil
}
