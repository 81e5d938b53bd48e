// Package state is the embedded database: bans, counters, DNAT mappings, report
// lines, outgoing mail and the journal cursor, changed together in one transaction per batch.
package state

import (
	"net/netip"
	"time"
)

// The firewalls that a ban can belong to.
const (
	BackendNFT   = "nft"
	BackendIPSet = "ipset"
)

// Ban is one address in one set.
type Ban struct {
	Backend string     // BackendNFT or BackendIPSet
	Set     string     // "ip Inet4 mail_ban" (family, table, set), or the name of an ipset
	Addr    netip.Addr // never IPv4-mapped, never with a zone
	Since   time.Time  // the time of the entry that caused it
	Until   time.Time  // the zero time: for ever
	Chain   string     // the label of the chain that asked for it; "" for a ban by hand
	Step    int        // the index of the step in that chain
}

// Expired reports whether the ban is over at time now.
func (b Ban) Expired(now time.Time) bool { return !b.Until.IsZero() && !b.Until.After(now) }

// Mail is one message of the outbox.
type Mail struct {
	ID        int64     // the place in the outbox, given by the database
	MessageID string    // without angle brackets; the same on every try
	Data      []byte    // the whole message (RFC 5322), headers included, lines ending in LF
	Created   time.Time // when it was put into the outbox
	Attempts  int       // how often it was tried
	NextTry   time.Time // when it is to be tried next
	LastError string    // why the last try failed

	Subject string      // for those who look at the outbox; white space reduced, not encoded
	From    string      // envelope sender, an address alone; "": whatever the transport puts in
	To      []string    // envelope receivers that have not accepted it yet, addresses alone
	Refused []Recipient // those that the server has refused for good, and why
	Failed  time.Time   // when it was given up; zero: it is still to be sent
}

// Recipient is a receiver of a mail, with what a server has said of it.
type Recipient struct {
	Address string `json:"address"` // without a name
	Reason  string `json:"reason"`
}

// Report levels, with the numbers that Pyruse 2 used in its journal file.
const (
	ReportOther = 0
	ReportWarn  = 1
	ReportInfo  = 2
)

// ReportLine is one line of the daily report.
type ReportLine struct {
	Level   int       // ReportWarn, ReportInfo or ReportOther
	Time    time.Time // the time of the entry
	Message string
	Details string // ALL, NONE, FIRST, LAST or FIRSTLAST
}
