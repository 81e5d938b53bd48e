package workflow

import (
	"maps"
	"slices"
	"strings"
)

// isJournalName reports whether journald accepts a field of that name: capital letters, digits and _, not beginning with
// a digit (systemd.journal-fields(7), sd_journal_print(3)).
func isJournalName(name string) bool {
	for i, r := range name {
		if (r < 'A' || r > 'Z') && r != '_' && (r < '0' || r > '9' || i == 0) {
			return false
		}
	}
	return name != ""
}

// clientFields are the fields without _ that systemd.journal-fields(7) and systemd's own programs know.
var clientFields = map[string]bool{
	"MESSAGE": true, "MESSAGE_ID": true, "PRIORITY": true, "CODE_FILE": true, "CODE_LINE": true, "CODE_FUNC": true, "ERRNO": true,
	"INVOCATION_ID": true, "USER_INVOCATION_ID": true, "SYSLOG_FACILITY": true, "SYSLOG_IDENTIFIER": true, "SYSLOG_PID": true,
	"SYSLOG_TIMESTAMP": true, "SYSLOG_RAW": true, "DOCUMENTATION": true, "TID": true, "UNIT": true, "USER_UNIT": true,
	"LEADER": true, "SESSION_ID": true, "USER_ID": true, "SEAT_ID": true, "EXIT_CODE": true, "EXIT_STATUS": true, "JOB_ID": true, "JOB_TYPE": true, "JOB_RESULT": true,
	"KERNEL_USEC": true, "INITRD_USEC": true, "USERSPACE_USEC": true,
}

// mayBeInJournal reports whether a name is that of a field which the journal is known to have.
func mayBeInJournal(name string) bool {
	return strings.HasPrefix(name, "_") || clientFields[name] ||
		strings.HasPrefix(name, "COREDUMP_") || strings.HasPrefix(name, "OBJECT_")
}

// journalNames are candidates for what a misspelled name of a journal field means.
var journalNames = slices.Sorted(maps.Keys(clientFields))
