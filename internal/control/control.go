// Package control is the unix socket of the running daemon: what it can be asked,
// with server and client. The protocol is HTTP with JSON:
//
//	GET    /v1/bans                            all running bans
//	POST   /v1/bans   {"set","address","seconds"}   bans an address; 0 seconds: for ever
//	DELETE /v1/bans?address=ADDRESS&set=SET    lifts bans; without set in all sets; returns those lifted
//	GET    /v1/status                          what the daemon is doing
//	POST   /v1/reload {"format","colour"}      loads the configuration anew, and returns what became of it
//	POST   /v1/mail/ID/retry                   sends a mail of the outbox at once
//	DELETE /v1/mail/ID                         removes a mail from the outbox
//	POST   /v1/report {"date","since","until"} mails a report
//
// Whoever may open the socket may ask; only root and the daemon's own user may change
// anything. Errors come as {"error": "…"} with a status of 400 or more.
package control

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"time"

	"github.com/pyruse/pyruse/internal/ban"
	"github.com/pyruse/pyruse/internal/state"
)

// Daemon is what the server needs of the daemon. The methods may be called concurrently.
type Daemon interface {
	Bans() []state.Ban
	Ban(ctx context.Context, b state.Ban) error
	// Unban lifts the bans of an address in a set, in all sets if set is "", and returns them.
	Unban(ctx context.Context, address netip.Addr, set string) ([]state.Ban, error)
	Status() Status
}

// Reloader is what loads the configuration anew. It may be called concurrently.
type Reloader interface {
	// Reload returns when the load that began after the call is in force, or is known not to be usable. An error means
	// that there was none.
	Reload(ctx context.Context, o ReloadOptions) (Reload, error)
}

// Mailer is what has to do with mail. Its methods may be called concurrently.
type Mailer interface {
	// RetryMail sends a mail of the outbox at once, also one that was given up. ErrNoMail: it is not there.
	RetryMail(id int64) error
	// DropMail removes a mail from the outbox. ErrNoMail: it is not there.
	DropMail(id int64) error
	// SendReport mails a report, and returns what it is about, in one line.
	SendReport(ctx context.Context, p Period) (string, error)
}

// ErrNoMail is returned for a mail that is not in the outbox.
var ErrNoMail = errors.New("there is no such mail in the outbox")

// Period says which report is meant: that of a day, that of a time, or, without anything, that of what was not reported yet.
type Period struct {
	Date  string    `json:"date,omitempty"` // 2006-01-02
	Since time.Time `json:"since,omitzero"`
	Until time.Time `json:"until,omitzero"`
}

// Sent is the answer to a wish to mail a report.
type Sent struct {
	Summary string `json:"summary"`
}

// ReloadOptions say how the diagnostics are to be written.
type ReloadOptions struct {
	Format string `json:"format"` // as in --format
	Colour bool   `json:"colour"`
}

// Reload is what became of a reload.
type Reload struct {
	InForce bool   `json:"inForce"` // the new configuration is; otherwise the old one stays
	Output  string `json:"output"`  // the diagnostics, as they are to be printed
	Fault   string `json:"fault"`   // why there was nothing to load, "" if there was
}

// ErrRefused is returned by Daemon.Ban for an address that must not be banned.
var ErrRefused = errors.New("refused")

// Status says what the daemon is doing.
type Status struct {
	Version  string    `json:"version"`
	Since    time.Time `json:"since"`    // when it was started
	Entries  int64     `json:"entries"`  // handled since then
	Bans     int64     `json:"bans"`     // applied since then
	Running  int       `json:"running"`  // bans in force
	Errors   int64     `json:"errors"`   // run-time errors of steps since then
	Lag      float64   `json:"lag"`      // seconds that the last entry was old when it was handled; 0 when nothing waits
	Mails    int       `json:"mails"`    // that wait to be sent
	Failed   int       `json:"failed"`   // mails that were given up
	Problems []string  `json:"problems"` // what needs the administrator's attention
}

// Ban is a ban as it is printed and sent.
type Ban struct {
	Backend string     `json:"backend"` // "nft" or "ipset"
	Set     string     `json:"set"`
	Address netip.Addr `json:"address"`
	Since   *time.Time `json:"since"` // null: not known
	Until   *time.Time `json:"until"` // null: for ever
	Chain   string     `json:"chain"` // "" for a ban by hand
	Step    int        `json:"step"`
}

// FromState returns the form in which a ban is printed and sent.
func FromState(b state.Ban) Ban {
	return Ban{b.Backend, b.Set, b.Addr, optional(b.Since), optional(b.Until), b.Chain, b.Step}
}

// State returns the ban as the rest of the program knows it.
func (b Ban) State() state.Ban {
	x := state.Ban{Backend: b.Backend, Set: b.Set, Addr: b.Address, Chain: b.Chain, Step: b.Step}
	if b.Since != nil {
		x.Since = *b.Since
	}
	if b.Until != nil {
		x.Until = *b.Until
	}
	return x
}

func optional(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

type banRequest struct {
	Set     string `json:"set"`
	Address string `json:"address"`
	Seconds int64  `json:"seconds"`
}

type failure struct {
	Error string `json:"error"`
}

// NewBan checks the parts of a ban by hand and returns it. A set with spaces is one of
// nftables ("inet filter banned"); any other is an ipset. length 0 is for ever.
func NewBan(set, address string, length time.Duration, now time.Time) (state.Ban, error) {
	b := state.Ban{Backend: state.BackendIPSet, Set: set, Since: now}
	if err := checkSet(&b); err != nil {
		return b, err
	}
	a, err := ban.ParseAddr(address)
	if err != nil {
		return b, err
	}
	b.Addr = a
	if length < 0 {
		return b, errors.New("the length of a ban must not be negative")
	}
	if length > 0 {
		b.Until = now.Add(length)
	}
	return b, nil
}

// checkSet sets the backend of a ban by the form of its set's name.
func checkSet(b *state.Ban) error {
	if strings.ContainsAny(b.Set, " \t") {
		b.Backend = state.BackendNFT
		_, err := ban.ParseNFTSet(b.Set)
		return err
	}
	return ban.ValidIPSetName(b.Set)
}
