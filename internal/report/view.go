package report

// View is what the templates render: all of a report in the words and in the order in which it is told. What is in it comes in part from
// logs, and so from strangers. The templates escape it: html/template all by itself, those of the text with the functions
// line and cell; both make control and bidirectional characters visible.
//
// Templates of an administrator's own (report.templates) rely on these fields: they are only added to.
type View struct {
	Title        string // "Pyruse Report"
	Host         string // the machine; "" if it is not known
	Since, Until string // the time that the report is about; Since is "" if nobody knows
	Preview      bool   // it is not the report of the day, but what that would be now

	Attention []string // what needs the administrator, the most urgent first; empty: nothing does
	New       []string // what there was not before, in few words: "4 new kinds of lines"; may be empty
	Totals    []Total

	Quiet []string // reports before that were not mailed because there was nothing new, a line each

	Warnings    Table // level WARN: what to check
	Information Table // level INFO: what happened
	Other       Other // level OTHER: what nobody expected

	Bans     Bans
	Sleeping Sleepers  // chains that do not match any more
	Advice   []Advice  // what would make the next reports shorter
	LeftOut  []string  // what is not shown for want of room, and how to see it
	Commands []Command // how to see more
}

// Total is a number of the head.
type Total struct {
	Name  string // "bans"
	Value string // "1,234"
	Note  string // what is to be said of it; may be empty
	Alarm bool   // it needs attention
}

// Table has one row for each distinct message.
type Table struct {
	Rows []Row
	More string // says how much is not shown; "": nothing
}

// Row is one distinct message.
type Row struct {
	Count   int
	Message string
	Times   [][]string // paragraphs of lines
}

// Other is what nobody expected: grouped, and line by line.
type Other struct {
	Count  int // lines
	Groups []Kind
	More   string // how many groups are not shown; "": none
	Gone   []Gone // kinds that are usual, and did not come
	Lines  []Line // the first lines as they were, in the order of their times
	Rest   string // how many lines are not shown, and how to see them; "": none
}

// Mark says what a kind of lines has in common with the days before.
type Mark string

// The marks.
const (
	Usual  Mark = ""
	New    Mark = "new"    // not once in report.memoryDays
	Rising Mark = "rising" // far more often than usual
)

// Kind is a kind of lines: those that differ only in numbers, addresses, ids and names.
type Kind struct {
	Mark     Mark
	Note     string // of a rising kind: "12 times its usual 3"; may be empty
	Count    int
	Share    int    // of the lines of OTHER, in percent, 1 at least
	Service  string // SYSLOG_IDENTIFIER; "" if the entries have none, or differ
	Template string // with <*>, <num>, <ip>… in the place of what differs
	Example  string // one of the lines as it was
	First    string // when the first came
	Last     string // when the last came; "" if there was only one
}

// Gone is a kind of lines that did not come.
type Gone struct {
	Service, Template string
	Note              string // "on 28 of 30 days, 12 lines a day; last on 2026-11-23"
}

// Line is one line as it was.
type Line struct{ Time, Message string }

// Bans is what was banned.
type Bans struct {
	Count     int    // bans
	Addresses int    // different ones; at least, if Count is beyond what is kept
	Note      string // what is to be said of the numbers; may be empty
	Hours     []Hour // in order; empty if there were no bans, or the report is about more than two days
	Top       []Banned
	Networks  []Banned
	Chains    []Banned
	More      string // how many addresses are not shown; "": none
}

// Hour is a bar of a small chart.
type Hour struct {
	Label string // "08"
	Count int
	Bar   string // one character: " " for none, ▁ to █
	Size  int    // 0 to 100, of the largest
}

// Banned is who or what was banned, or banned most.
type Banned struct {
	Name  string // an address, a network, or the label of a chain
	Count int
	Size  int    // 1 to 100, of the largest
	Bar   string // as many █ as fit, with a part of one at the end; 10 characters at most
	Note  string // "ssh, postfix": the chains; may be empty
}

// Sleepers are chains that used to match, and have not for unusually long while their service still logs.
type Sleepers []Sleeper

// Sleeper is one of them.
type Sleeper struct {
	Chain string
	Note  string // "matched on 20 of the 30 days before, at most 2 days apart; not for 6 days, while sshd has logged 1,234 entries"
}

// Advice is a fragment of configuration for a frequent kind of lines that nobody has dealt with.
type Advice struct {
	Service, Template string
	Count             int
	File              string // where to put it: "/etc/pyruse.d/40-known-sshd-1a2b3c.json"
	Fragment          string // JSON that discards such lines
	Instead           string // the step that reports them in a row of their own, in the place of the one that discards
}

// Command is a command that shows more.
type Command struct{ What, Line string }
