package workflow

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// sender is a way in which every user can write to the journal.
type sender struct {
	transport string
	adds      fieldMap // fields that it sends without being asked to
	command   func(m *parcel) string
	takes     func(name, text string) bool // whether it sends a field that has no _
}

// senders are those that every machine has, the handiest first.
var senders = []sender{
	{"syslog", fieldMap{"PRIORITY": "5", "SYSLOG_FACILITY": "1", "SYSLOG_IDENTIFIER": "user"}, loggerCommand, loggerTakes},
	{"journal", fieldMap{}, journaldCommand, journaldTakes},
	{"stdout", fieldMap{"PRIORITY": "6", "SYSLOG_IDENTIFIER": "cat"}, catCommand, catTakes},
}

// parcel is what a command sends.
type parcel struct {
	fields map[string]string // without _
	comm   string            // the program's name, if it matters
	unit   string            // the user unit, if it matters
}

// without returns the fields of an entry that an ordinary user sends without anything in particular.
func (s sender) without() fieldMap {
	fields := fieldMap{
		"MESSAGE": "x", "_TRANSPORT": s.transport, "_UID": "1000", "_GID": "1000", "_PID": "4711", "_COMM": "logger", "_EXE": "/usr/bin/logger", "_CMDLINE": "logger",
		"_CAP_EFFECTIVE": "0", "_SELINUX_CONTEXT": "unconfined", "_AUDIT_LOGINUID": "1000", "_AUDIT_SESSION": "1",
		"_SYSTEMD_UNIT": "session-1.scope", "_SYSTEMD_SLICE": "user-1000.slice", "_SYSTEMD_SESSION": "1", "_SYSTEMD_OWNER_UID": "1000",
		"_SYSTEMD_CGROUP": "/user.slice/user-1000.slice/session-1.scope", "_RUNTIME_SCOPE": "system",
	}
	maps.Copy(fields, s.adds)
	return fields
}

var (
	programName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.+-]{0,14}$`) // the kernel keeps 15 bytes
	serviceName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.:+-]*\.service$`)
	tagName     = regexp.MustCompile(`^[A-Za-z0-9_.+/-]+$`) // what journald reads as one word
)

// want adds a field to the parcel and to the entry that it makes, and reports whether a user can have it set so.
func (m *parcel) want(s sender, fields fieldMap, name, text string) bool {
	switch {
	case name == "_TRANSPORT":
		return text == s.transport
	case name == "_COMM" && s.transport != "stdout" && programName.MatchString(text):
		m.comm = text
		fields["_EXE"] = "/tmp/" + text
	case name == "_SYSTEMD_USER_UNIT" && s.transport != "stdout" && serviceName.MatchString(text):
		m.unit = text
		fields["_SYSTEMD_UNIT"] = "user@1000.service"
		fields["_SYSTEMD_CGROUP"] = "/user.slice/user-1000.slice/user@1000.service/app.slice/" + text
		delete(fields, "_SYSTEMD_SESSION")
	case !strings.HasPrefix(name, "_") && s.takes(name, text):
		m.fields[name] = text
	default:
		return false
	}
	fields[name] = text
	return true
}

func loggerTakes(name, text string) bool {
	n, err := strconv.Atoi(text)
	switch name {
	case "SYSLOG_IDENTIFIER":
		return tagName.MatchString(text)
	case "PRIORITY":
		return err == nil && n >= 0 && n < len(priorities)
	case "SYSLOG_FACILITY":
		return err == nil && n > 0 && n < len(facilities) // 0 is the kernel's
	case "MESSAGE":
		return text != "" && text == strings.TrimSpace(text) && len(text) <= 1000 // logger cuts at 1 KiB
	}
	return false
}

// journaldTakes: logger --journald drops blanks at the end of a line.
func journaldTakes(name, text string) bool {
	return isJournalName(name) && text == strings.TrimSpace(text)
}

func catTakes(name, text string) bool {
	return name != "SYSLOG_FACILITY" && loggerTakes(name, text)
}

// The names that logger(1) has for numbers.
var (
	priorities = []string{"emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"}
	facilities = []string{
		"kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp", "security", "console", "solaris-cron",
		"local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
	}
)

func named(names []string, number, otherwise string) string {
	n, err := strconv.Atoi(number)
	if err != nil || n < 0 || n >= len(names) {
		return otherwise
	}
	return names[n]
}

// program returns what to call instead of logger, and what to do before.
func (m *parcel) program(input bool) (before, program string) {
	program = "logger"
	if m.comm != "" {
		program = quote("/tmp/" + m.comm)
		before = "cp /usr/bin/logger " + program + " && "
	}
	if m.unit != "" {
		pipe := ""
		if input {
			pipe = " --pipe"
		}
		program = "systemd-run --user" + pipe + " --unit=" + quote(m.unit) + " " + program
	}
	return before, program
}

func loggerCommand(m *parcel) string {
	before, command := m.program(false)
	if tag, ok := m.fields["SYSLOG_IDENTIFIER"]; ok {
		command += " -t " + quote(tag)
	}
	priority, ranked := m.fields["PRIORITY"]
	facility, sorted := m.fields["SYSLOG_FACILITY"]
	if ranked || sorted {
		command += " -p " + named(facilities, facility, "user") + "." + named(priorities, priority, "notice")
	}
	return before + command + " -- " + quote(m.message())
}

func (m *parcel) message() string {
	if text, ok := m.fields["MESSAGE"]; ok {
		return text
	}
	return "x"
}

func journaldCommand(m *parcel) string {
	before, program := m.program(true)
	lines := []string{quote("MESSAGE=" + m.message())}
	for _, name := range slices.Sorted(maps.Keys(m.fields)) {
		if name != "MESSAGE" {
			lines = append(lines, quote(name+"="+m.fields[name]))
		}
	}
	return before + `printf '%s\n' ` + strings.Join(lines, " ") + " | " + program + " --journald"
}

func catCommand(m *parcel) string {
	command := `printf '%s\n' ` + quote(m.message()) + " | systemd-cat"
	if tag, ok := m.fields["SYSLOG_IDENTIFIER"]; ok {
		command += " -t " + quote(tag)
	}
	if priority, ok := m.fields["PRIORITY"]; ok {
		command += " -p " + named(priorities, priority, "info")
	}
	return command
}

// quote returns a word for the shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// isPlain reports whether a text can be shown and sent as it is: one line, with nothing that steers a terminal.
func isPlain(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
}
