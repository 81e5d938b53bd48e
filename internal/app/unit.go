package app

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// unitName is the unit that the packages run the daemon as.
const unitName = "pyruse.service"

// unit is what the unit of the daemon allows it, as far as mail needs it.
type unit struct {
	confined    bool           // programs that it starts cannot raise their rights
	allow, deny []netip.Prefix // addresses that it may talk to: systemd.resource-control(5), IPAddressAllow=
}

// systemctlTime is far more than systemd needs to answer.
const systemctlTime = 10 * time.Second

// readUnit asks systemd for the unit of the daemon. It is nil where there is none, or no systemd.
func readUnit(ctx context.Context) (*unit, error) {
	path, err := exec.LookPath("systemctl")
	if err != nil {
		return nil, nil //nolint:nilerr // no systemd, no unit
	}
	ctx, cancel := context.WithTimeout(ctx, systemctlTime)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, "show", "--property=LoadState,NoNewPrivileges,IPAddressAllow,IPAddressDeny", unitName).Output()
	if exit := new(exec.ExitError); errors.As(err, &exit) {
		return nil, nil // systemd is not what runs this machine
	}
	if err != nil {
		return nil, fmt.Errorf("ask systemd for %s: %w", unitName, err)
	}
	return parseUnit(string(out))
}

// parseUnit reads what `systemctl show` prints: lines of key and value.
func parseUnit(text string) (*unit, error) {
	var u unit
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		var err error
		switch key {
		case "LoadState":
			if value != "loaded" {
				return nil, nil
			}
		case "NoNewPrivileges":
			u.confined = value == "yes"
		case "IPAddressAllow":
			u.allow, err = parsePrefixes(value)
		case "IPAddressDeny":
			u.deny, err = parsePrefixes(value)
		}
		if err != nil {
			return nil, fmt.Errorf("read %s= of %s: %w", key, unitName, err)
		}
	}
	return &u, nil
}

func parsePrefixes(list string) ([]netip.Prefix, error) {
	var all []netip.Prefix
	for word := range strings.FieldsSeq(list) {
		p, err := netip.ParsePrefix(word)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

// reaches reports whether the unit lets the daemon talk to an address.
func (u *unit) reaches(a netip.Addr) bool {
	holds := func(list []netip.Prefix) bool {
		return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(a.Unmap()) })
	}
	return holds(u.allow) || !holds(u.deny)
}
