package app

import (
	"net/netip"
	"strings"
	"testing"
)

func TestParseUnit(t *testing.T) {
	u, err := parseUnit("LoadState=loaded\nNoNewPrivileges=yes\nIPAddressAllow=127.0.0.0/8 ::1/128\nIPAddressDeny=::/0 0.0.0.0/0\n")
	if err != nil {
		t.Fatal(err)
	}
	if !u.confined {
		t.Error("NoNewPrivileges=yes does not confine")
	}
	for addr, want := range map[string]bool{"127.0.0.2": true, "::1": true, "192.0.2.25": false, "2001:db8::25": false, "::ffff:127.0.0.1": true} {
		if got := u.reaches(netip.MustParseAddr(addr)); got != want {
			t.Errorf("reaches %s: %v, want %v", addr, got, want)
		}
	}
	open, err := parseUnit("LoadState=loaded\nNoNewPrivileges=no\nIPAddressAllow=\nIPAddressDeny=\n")
	if err != nil || open.confined || !open.reaches(netip.MustParseAddr("192.0.2.25")) {
		t.Errorf("%+v, %v: want a unit that allows all", open, err)
	}
	if none, err := parseUnit("LoadState=not-found\nNoNewPrivileges=no\n"); none != nil || err != nil {
		t.Errorf("a unit that is not there: %+v, %v", none, err)
	}
	if _, err := parseUnit("LoadState=loaded\nIPAddressDeny=everything\n"); err == nil || !strings.Contains(err.Error(), "IPAddressDeny=") {
		t.Errorf("nonsense: %v", err)
	}
}
