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
	Data      []byte    // the whole message (RFC 5322), headers included, lines ending in LF; nil in a list
	Size      int       // bytes of Data
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
	ID      int64     // its place in the book, given by the database
	Level   int       // ReportWarn, ReportInfo or ReportOther
	Time    time.Time // the time of the entry
	Message string
	Details string // ALL, NONE, FIRST, LAST or FIRSTLAST

	// What is known of the entry of a line of ReportOther, for those who look for what is common to many lines.
	Service       string // SYSLOG_IDENTIFIER, "" if the entry has none
	Unit          string // _SYSTEMD_UNIT, likewise
	Start, Length int    // the bytes of Message that are the entry's MESSAGE; Length 0: nobody knows
	Acted         bool   // it was counted, banned, captured or logged before: no chain may keep it from that
}

// Note is what a step wants to be mailed. Notes become mails: one, or many in one.
type Note struct {
	ID        int64  // the place among the notes, given by the database
	MessageID string // of the mail, if it becomes one of its own; without angle brackets
	Subject   string
	Text      string
	Time      time.Time // of the entry
	Created   time.Time // when it was noted
}

// BanEvent is one ban that took place.
type BanEvent struct {
	Time  time.Time // of the entry
	Addr  netip.Addr
	Chain string // that asked for it; "" for a ban by hand
}

// The kinds of numbers that are kept by hour, with what their names are.
const (
	TallyEntries = "entries" // entries that were seen, by service (SYSLOG_IDENTIFIER)
	TallyMatches = "matches" // entries that a chain was meant for, by chain and service: see MatchName
	TallyBans    = "bans"    // by chain; "" for those by hand
	TallyRefused = "refused" // bans of addresses that must not be banned, by chain
	TallyErrors  = "errors"  // run-time errors of steps, by chain
	TallyNotes   = "notes"   // what was to be mailed, by subject
	TallyLag     = "lag"     // how late the latest entry was handled, in seconds: the largest counts, not the sum; no name
)

// TallyKey says what was counted.
type TallyKey struct {
	Hour int64 // its beginning, in seconds since 1970 UTC
	Kind string
	Name string
}

// MatchName returns the name of TallyMatches.
func MatchName(chain, service string) string { return chain + "\x00" + service }

// Report is a report that was made.
type Report struct {
	ID           int64
	Since, Until time.Time
	UpTo         int64 // the mark of its newest line
	Made         time.Time
	Lines        int
	Kept         int    // lines that are still there
	Quiet        bool   // there was nothing new, and so it was not mailed
	Summary      string // in one line
	MessageID    string // of the mail; "" if there was none
	Text, HTML   string // as they were mailed; "" in a list, or when they are forgotten
}

// Template is a kind of lines, as the reports remember it.
type Template struct {
	Service, Text string
	Days          []DayCount // ascending
}

// DayCount is how often something came on a day.
type DayCount struct {
	Day   int // days since 1970, in the local zone of then
	Count int64
}
