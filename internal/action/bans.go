package action

import (
	"net/netip"
	"time"

	"github.com/pyruse/pyruse/internal/ban"
	"github.com/pyruse/pyruse/internal/entry"
	"github.com/pyruse/pyruse/internal/state"
	"github.com/pyruse/pyruse/internal/workflow"
)

// banAddress bans the address of a field, with either firewall.
type banAddress struct {
	world   *World
	origin  workflow.Origin
	backend string
	slot    entry.Slot
	field   string
	set4    string
	set6    string
	length  time.Duration // 0: for ever
}

func newNFTBan(w *World, b *workflow.Build) workflow.Action {
	var args struct {
		IP         string `json:"IP" need:"true"`
		SetIPv4    string `json:"nftSetIPv4" need:"true"`
		SetIPv6    string `json:"nftSetIPv6" need:"true"`
		BanSeconds int64  `json:"banSeconds"`
	}
	if !b.Args(&args) {
		return nil
	}
	for arg, set := range map[string]string{"nftSetIPv4": args.SetIPv4, "nftSetIPv6": args.SetIPv6} {
		if _, err := ban.ParseNFTSet(set); err != nil {
			b.Fault(arg, `a set is named "family table set", as in "inet filter banned"`, "%q: %v", arg, err)
		}
	}
	w.addSets(b, state.BackendNFT, args.SetIPv4, args.SetIPv6)
	return &banAddress{
		w, b.Origin, state.BackendNFT, field(b, "IP", args.IP), args.IP, args.SetIPv4, args.SetIPv6,
		time.Duration(seconds(b, "banSeconds", args.BanSeconds)) * time.Microsecond,
	}
}

func newIPSetBan(w *World, b *workflow.Build) workflow.Action {
	var args struct {
		IP         string `json:"IP" need:"true"`
		SetIPv4    string `json:"ipSetIPv4" need:"true"`
		SetIPv6    string `json:"ipSetIPv6" need:"true"`
		BanSeconds int64  `json:"banSeconds"`
	}
	if !b.Args(&args) {
		return nil
	}
	for arg, set := range map[string]string{"ipSetIPv4": args.SetIPv4, "ipSetIPv6": args.SetIPv6} {
		if err := ban.ValidIPSetName(set); err != nil {
			b.Fault(arg, "", "%q: %v", arg, err)
		}
	}
	w.addSets(b, state.BackendIPSet, args.SetIPv4, args.SetIPv6)
	return &banAddress{
		w, b.Origin, state.BackendIPSet, field(b, "IP", args.IP), args.IP, args.SetIPv4, args.SetIPv6,
		time.Duration(seconds(b, "banSeconds", args.BanSeconds)) * time.Microsecond,
	}
}

func (a *banAddress) Do(e *entry.Entry) error {
	e.Act()
	v := e.Get(a.slot)
	if v.IsNone() {
		return missing(a.field)
	}
	address, err := ban.ParseAddr(v.Text())
	if err != nil {
		return err
	}
	x := state.Ban{
		Backend: a.backend, Set: a.setFor(address), Addr: address,
		Since: e.Time(), Chain: a.origin.Chain, Step: a.origin.Step,
	}
	if a.length > 0 {
		x.Until = x.Since.Add(a.length)
	}
	c := Cause{a.origin, e}
	if reason, refused := a.world.Guard.Refuse(address); refused {
		return a.world.Effects.Refuse(c, x, reason)
	}
	return a.world.Effects.Ban(c, x)
}

func (a *banAddress) setFor(address netip.Addr) string {
	if address.Is4() {
		return a.set4
	}
	return a.set6
}
