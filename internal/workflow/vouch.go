package workflow

import (
	"path"
	"strings"

	"github.com/pyruse/pyruse/internal/entry"
)

// vouching says how a field that journald sets tells processes of ordinary users apart from others.
type vouching struct {
	// ordinary are values that an ordinary user's process can have.
	ordinary []string
	// isOrdinary reports whether a value that a filter names is one of those; nil: whoever names one means just that.
	isOrdinary func(string) bool
	// always says that every process has the field.
	always bool
}

var (
	userIDs  = []string{"1000", "1001", "60000", "65534", "4000000000"}
	groupIDs = append([]string{"27", "100"}, userIDs...) // of Debian: sudo, users
)

// vouchers are the fields that journald vouches for; docs/reference/analysis.md has the reasons.
var vouchers = map[string]vouching{
	"_UID":               {ordinary: userIDs, always: true},
	"_GID":               {ordinary: groupIDs, always: true},
	"_AUDIT_LOGINUID":    {ordinary: userIDs},
	"_SYSTEMD_OWNER_UID": {ordinary: userIDs},
	"_TRANSPORT":         {ordinary: ordinaryTransports, isOrdinary: isOrdinaryTransport},
	"_KERNEL_DEVICE":     {},
	"_KERNEL_SUBSYSTEM":  {},
	"_UDEV_SYSNAME":      {},
	"_UDEV_DEVNODE":      {},
	"_UDEV_DEVLINK":      {},
	"_EXE": {
		ordinary:   []string{"/usr/bin/logger", "/bin/bash", "/usr/bin/bash", "/usr/bin/python3", "/usr/bin/perl", "/home/user/program", "/tmp/program"},
		isOrdinary: isOrdinaryProgram,
	},
	"_SYSTEMD_UNIT": {
		ordinary:   []string{"user@1000.service", "session-1.scope", "session-c1.scope", "cron.service", "crond.service", "atd.service"},
		isOrdinary: isOrdinaryUnit,
	},
	"_SYSTEMD_SLICE": {
		ordinary:   []string{"user.slice", "user-1000.slice"},
		isOrdinary: func(s string) bool { return s == "user.slice" || strings.HasPrefix(s, "user-") },
	},
	"_SYSTEMD_CGROUP": {
		ordinary:   []string{"/user.slice/user-1000.slice/session-1.scope", "/user.slice/user-1000.slice/user@1000.service/app.slice/x.service", "/system.slice/cron.service"},
		isOrdinary: func(s string) bool { return strings.HasPrefix(s, "/user.slice") || isOrdinaryUnit(path.Base(s)) },
	},
	"_SELINUX_CONTEXT": { // AppArmor's label stands there, too
		ordinary:   []string{"unconfined", "unconfined_u:unconfined_r:unconfined_t:s0-s0:c0.c1023", "user_u:user_r:user_t:s0"},
		isOrdinary: func(s string) bool { return strings.HasPrefix(s, "unconfined") || strings.HasPrefix(s, "user_u:") },
	},
}

var ordinaryTransports = []string{"syslog", "journal", "stdout"}

// isOrdinaryTransport reports whether every process can send in that way.
func isOrdinaryTransport(s string) bool { return s != "kernel" && s != "audit" && s != "driver" }

// isOrdinaryUnit reports whether a unit runs programs of ordinary users: their sessions, and their jobs.
func isOrdinaryUnit(s string) bool {
	return strings.HasPrefix(s, "user@") || strings.HasPrefix(s, "session-") ||
		s == "cron.service" || s == "crond.service" || s == "atd.service"
}

// isOrdinaryProgram reports whether everybody can make a program log whatever they like.
func isOrdinaryProgram(s string) bool {
	if !strings.HasPrefix(s, "/usr/") && !strings.HasPrefix(s, "/bin/") && !strings.HasPrefix(s, "/sbin/") && !strings.HasPrefix(s, "/opt/") {
		return true
	}
	for _, name := range []string{"logger", "systemd-cat", "bash", "dash", "sh", "zsh", "ksh", "busybox", "python", "perl", "ruby", "node", "php", "lua", "java", "gawk", "nc", "ncat", "socat"} {
		rest, found := strings.CutPrefix(path.Base(s), name)
		if found && strings.Trim(rest, "0123456789.-") == "" {
			return true
		}
	}
	return false
}

// judge tries filters on entries that are made up.
type judge struct {
	a        *analysis
	entry    *entry.Entry
	verdicts map[source]bool
}

func newJudge(a *analysis) *judge {
	return &judge{a, entry.New(a.names), map[source]bool{}}
}

// fieldMap is an entry that is made up.
type fieldMap map[string]string

// Field returns a field of the entry.
func (m fieldMap) Field(name string) ([]byte, bool) {
	v, ok := m[name]
	return []byte(v), ok
}

// Cursor returns "": the entry stands in no journal.
func (fieldMap) Cursor() string { return "" }

// made is the time of entries that are made up: 2026-01-01.
const made = 1_767_225_600_000_000

func (j *judge) reset(fields fieldMap) { j.entry.Reset(fields, made) }

// passes reports whether a filter passes for the entry.
func (j *judge) passes(i int32) (ok bool) {
	defer func() {
		if recover() != nil { // Run makes an error of it as well
			ok = false
		}
	}()
	ok, err := j.a.g.nodes[i].filter.Match(j.entry)
	return ok && err == nil
}

// vouched reports whether no entry of an ordinary user's process leaves a step in that way.
func (a *analysis) vouched(s source) bool {
	q := &a.queries[s.node]
	if !q.asked || q.Outside || a.storedBy[q.Field] >= 0 {
		return false
	}
	v, ok := vouchers[a.names.Name(q.Field)]
	if !ok {
		return false
	}
	verdict, known := a.judge.verdicts[s]
	if !known {
		verdict = a.judge.vouches(s, v)
		a.judge.verdicts[s] = verdict
	}
	return verdict
}

func (j *judge) vouches(s source, v vouching) bool {
	q, name := &j.a.queries[s.node], j.a.names.Name(j.a.queries[s.node].Field)
	leaves := func(fields fieldMap) bool {
		j.reset(fields)
		return j.passes(s.node) == (s.how == passed)
	}
	if s.how == failed && !v.always || s.how == passed && leaves(fieldMap{}) {
		return false
	}
	if s.how == passed && q.Test == OneOf {
		for _, x := range q.Values {
			if v.isOrdinary != nil && v.isOrdinary(x.Text()) {
				return false
			}
		}
		return true
	}
	for _, text := range v.ordinary {
		if leaves(fieldMap{name: text}) {
			return false
		}
	}
	return true
}
