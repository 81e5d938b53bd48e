package workflow

import (
	"path"
	"slices"
	"strings"

	"github.com/pyruse/pyruse/internal/entry"
)

// vouching says how a field that journald sets tells processes of ordinary users apart from others.
type vouching struct {
	// ordinary are values that an ordinary user's process can have.
	ordinary []string
	// below are folders in which ordinary users choose the names; each ends with "/".
	below []string
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
	"_EXE":               {ordinary: ordinaryPrograms(), below: []string{"/home/user/", "/tmp/"}, isOrdinary: isOrdinaryProgram},
	"_SYSTEMD_UNIT": {
		ordinary:   append([]string{"user@1000.service", "session-1.scope", "session-c1.scope"}, jobUnits...),
		isOrdinary: isOrdinaryUnit,
	},
	"_SYSTEMD_SLICE": { // jobUnits are in system.slice
		ordinary:   []string{"user.slice", "user-1000.slice", "system.slice"},
		isOrdinary: func(s string) bool { return s == "user.slice" || s == "system.slice" || strings.HasPrefix(s, "user-") },
	},
	"_SYSTEMD_CGROUP": {
		ordinary:   ordinaryCgroups(),
		below:      []string{"/user.slice/user-1000.slice/user@1000.service/app.slice/"},
		isOrdinary: isOrdinaryCgroup,
	},
	"_SELINUX_CONTEXT": { // AppArmor's label stands there, too
		ordinary:   []string{"unconfined", "unconfined_u:unconfined_r:unconfined_t:s0-s0:c0.c1023", "user_u:user_r:user_t:s0"},
		isOrdinary: func(s string) bool { return strings.HasPrefix(s, "unconfined") || strings.HasPrefix(s, "user_u:") },
	},
}

var ordinaryTransports = []string{"syslog", "journal", "stdout"}

// isOrdinaryTransport reports whether every process can send in that way.
func isOrdinaryTransport(s string) bool { return s != "kernel" && s != "audit" && s != "driver" }

// jobUnits are the services that run jobs of ordinary users.
var jobUnits = []string{"cron.service", "crond.service", "cronie.service", "fcron.service", "dcron.service", "bcron.service", "atd.service"}

// isOrdinaryUnit reports whether a unit runs programs of ordinary users: their sessions, and their jobs.
func isOrdinaryUnit(s string) bool {
	return strings.HasPrefix(s, "user@") || strings.HasPrefix(s, "session-") || slices.Contains(jobUnits, s)
}

func ordinaryCgroups() []string {
	groups := []string{"/user.slice/user-1000.slice/session-1.scope", "/user.slice/user-1000.slice/user@1000.service/init.scope"}
	for _, unit := range jobUnits {
		groups = append(groups, "/system.slice/"+unit)
	}
	return groups
}

func isOrdinaryCgroup(s string) bool {
	return strings.HasPrefix(s, "/user.slice") || slices.ContainsFunc(strings.Split(s, "/"), isOrdinaryUnit)
}

// talkers are programs of which everybody can have a line logged that they choose: because that is what
// the programs are for, or because they print what they are told, or run another program in themselves. Versions may follow the names.
var talkers = strings.Fields(`
	logger systemd-cat
	sh ash bash csh dash elvish fish ksh mksh nu pwsh rbash rc tcsh xonsh yash zsh
	busybox coreutils toybox
	awk gawk mawk nawk original-awk
	beam.smp bun clisp deno elixir emacs erl expect ghc groovy guile iex irb java janet jimsh js jshell julia lua luajit node nodejs
	ocaml octave perl php php-cgi phpdbg pypy python R racket raku ruby sbcl scala swipl tcc tcl tclsh wish
	bc dc ed ex find gdb gmake bmake jq m4 make mysql ninja psql sed sqlite vi vim yq
	base32 base64 basenc cat comm cp curl cut dd date diff echo egrep env expand expr fgrep fmt fold grep head join less more nl numfmt
	od openssl paste pr printenv printf rev seq shuf sort split stat strings tac tail tee test tr tsort unexpand uniq wall wget xargs xxd yes zcat
	git nc nc.openbsd nc.traditional ncat netcat screen script socat stdbuf strace telnet timeout tmux watch
`)

// ordinaryPrograms are paths of programs of ordinary users.
func ordinaryPrograms() []string {
	paths := []string{"/home/user/program", "/tmp/program"}
	for _, name := range talkers {
		for _, version := range []string{"", "3", "5.4", "8.6", "8.2", "3.11"} {
			paths = append(paths, "/usr/bin/"+name+version)
		}
		paths = append(paths, "/bin/"+name, "/usr/local/bin/"+name)
	}
	return paths
}

// isOrdinaryProgram reports whether everybody can make a program log whatever they like.
func isOrdinaryProgram(s string) bool {
	if !strings.HasPrefix(s, "/usr/") && !strings.HasPrefix(s, "/bin/") && !strings.HasPrefix(s, "/sbin/") && !strings.HasPrefix(s, "/opt/") {
		return true
	}
	base := path.Base(s)
	if strings.HasPrefix(base, "ld-") || strings.HasPrefix(base, "ld.so") { // the loader, which runs any program
		return true
	}
	return slices.ContainsFunc(talkers, func(name string) bool {
		rest, found := strings.CutPrefix(base, name)
		return found && strings.Trim(rest, "0123456789.-") == ""
	})
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
	for _, text := range slices.Concat(v.ordinary, j.guesses(s.node, v.below)) {
		if leaves(fieldMap{name: text}) {
			return false
		}
	}
	return true
}

// guesses returns values that a filter may pass, and that begin with one of the folders: what the filter asks for, with a folder before it or
// instead of the first parts of its path.
func (j *judge) guesses(i int32, folders []string) []string {
	f, ok := j.a.g.nodes[i].filter.(Capturer)
	if !ok {
		return nil
	}
	var list []string
	for _, folder := range folders {
		for _, sample := range f.Samples() {
			list = append(list, folder+sample, strings.TrimSuffix(folder, "/")+sample)
			const most = 8 // parts
			rest := strings.TrimPrefix(sample, "/")
			for range most {
				list = append(list, folder+rest, folder+"x/"+rest)
				_, behind, found := strings.Cut(rest, "/")
				if !found {
					break
				}
				rest = behind
			}
		}
	}
	return list
}
