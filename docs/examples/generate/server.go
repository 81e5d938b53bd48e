package main

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"
)

// The day that is made up, and the machine.
const (
	start     = 1795305600000000 // 2026-11-22 00:00:00 UTC, in microseconds
	bootUsec  = 3_600_000_000    // the machine has been up for an hour
	hostname  = "server"
	machineID = "8d9cf6b0b1c94c64a1b2a8a7c1f3e5d7"
	bootID    = "5f0e2f7c9a3b4c55b6d7e8f90a1b2c3d"
	seqnumID  = "c0ffee00c0de4abc9def0123456789ab"
)

// origin is a process as journald vouches for it.
type origin struct {
	unit, slice, identifier, comm, exe, cmdline string
	uid, gid                                    int
	transport                                   string // syslog, stdout, journal or kernel
	facility                                    int
}

var (
	nginx    = origin{"nginx.service", "system.slice", "nginx", "nginx", "/usr/sbin/nginx", "nginx: worker process", 33, 33, "syslog", 23}
	haproxy  = origin{"haproxy.service", "system.slice", "haproxy", "haproxy", "/usr/sbin/haproxy", "/usr/sbin/haproxy -Ws -f /etc/haproxy/haproxy.cfg -p /run/haproxy.pid", 112, 118, "syslog", 16}
	gitea    = origin{"gitea.service", "system.slice", "gitea", "gitea", "/usr/local/bin/gitea", "/usr/local/bin/gitea web --config /etc/gitea/app.ini", 110, 116, "stdout", 3}
	synapse  = origin{"matrix-synapse.service", "system.slice", "matrix-synapse", "python", "/opt/venvs/matrix-synapse/bin/python3", "/opt/venvs/matrix-synapse/bin/python -m synapse.app.homeserver --config-path=/etc/matrix-synapse/homeserver.yaml", 111, 117, "stdout", 3}
	php      = origin{"php8.2-fpm.service", "system.slice", "Nextcloud", "php-fpm8.2", "/usr/sbin/php-fpm8.2", "php-fpm: pool nextcloud", 33, 33, "syslog", 1}
	smtpd    = origin{"postfix@-.service", "system-postfix.slice", "postfix/smtpd", "smtpd", "/usr/lib/postfix/sbin/smtpd", "smtpd -n smtp -t inet -u -c -o stress=", 106, 113, "syslog", 2}
	qmgr     = origin{"postfix@-.service", "system-postfix.slice", "postfix/qmgr", "qmgr", "/usr/lib/postfix/sbin/qmgr", "qmgr -l -t unix -u", 106, 113, "syslog", 2}
	lmtp     = origin{"postfix@-.service", "system-postfix.slice", "postfix/lmtp", "lmtp", "/usr/lib/postfix/sbin/lmtp", "lmtp -t unix -u -c", 106, 113, "syslog", 2}
	dovecot  = origin{"dovecot.service", "system.slice", "dovecot", "log", "/usr/lib/dovecot/log", "dovecot/log", 0, 0, "syslog", 2}
	sshd     = origin{"ssh.service", "system.slice", "sshd", "sshd", "/usr/sbin/sshd", "sshd: [accepted]", 0, 0, "syslog", 4}
	cron     = origin{"cron.service", "system.slice", "CRON", "cron", "/usr/sbin/cron", "/usr/sbin/CRON -f", 0, 0, "syslog", 9}
	unbound  = origin{"unbound.service", "system.slice", "unbound", "unbound", "/usr/sbin/unbound", "/usr/sbin/unbound -d -p", 109, 115, "syslog", 3}
	systemd  = origin{"init.scope", "-.slice", "systemd", "systemd", "/usr/lib/systemd/systemd", "/sbin/init", 0, 0, "journal", 3}
	logind   = origin{"systemd-logind.service", "system.slice", "systemd-logind", "systemd-logind", "/usr/lib/systemd/systemd-logind", "/lib/systemd/systemd-logind", 0, 0, "journal", 4}
	coredump = origin{"systemd-coredump@1-20771-0.service", "system-systemd\\x2dcoredump.slice", "systemd-coredump", "systemd-coredum", "/usr/lib/systemd/systemd-coredump", "/lib/systemd/systemd-coredump", 0, 0, "journal", 3}
	sudo     = origin{"session-31.scope", "user-1000.slice", "sudo", "sudo", "/usr/bin/sudo", "sudo apt update", 0, 1000, "syslog", 10}
	kernel   = origin{"", "", "kernel", "", "", "", 0, 0, "kernel", 0}
	pyruse   = origin{"pyruse.service", "system.slice", "pyruse", "pyruse", "/usr/bin/pyruse", "/usr/bin/pyruse run", 990, 990, "journal", 3}
)

// event is what a process says.
type event struct {
	origin   *origin
	priority int
	message  string
	extra    []field
}

// server makes the entries, one after the other.
type server struct {
	rand      *rand.Rand
	entries   int
	attackers int
	share     int   // how many of 1,000 entries are lines that a watcher should react to
	step      int64 // microseconds between two entries, on average
	now       int64
	n         int // entries made
	chatter   []kind
	attacks   []kind
	queue     []event // what follows at once, such as the login behind a proxied connection
	fields    []field
}

// kind is one sort of line, and how often it comes in relation to the others of its table.
type kind struct {
	weight int
	make   func(*server) event
}

func newServer(seed uint64, entries, attackers, share, seconds int) *server {
	return &server{
		rand:      rand.New(rand.NewPCG(seed, 0x70797275)),
		entries:   entries,
		attackers: attackers,
		share:     share,
		step:      max(1, int64(seconds)*1_000_000/int64(entries)),
		now:       start,
		chatter:   chatterKinds,
		attacks:   attackKinds,
	}
}

// next returns the fields of the next entry; they are valid until the call after it.
func (s *server) next() []field {
	s.now += 1 + s.rand.Int64N(2*s.step)
	s.n++
	return s.describe(s.event())
}

func (s *server) event() event {
	if len(s.queue) > 0 {
		e := s.queue[0]
		s.queue = s.queue[1:]
		return e
	}
	table := s.chatter
	if s.rand.IntN(1000) < s.share {
		table = s.attacks
	}
	total := 0
	for _, k := range table {
		total += k.weight
	}
	pick := s.rand.IntN(total)
	for _, k := range table {
		if pick -= k.weight; pick < 0 {
			return k.make(s)
		}
	}
	panic("unreachable: the weights sum up to total")
}

// describe adds what journald adds.
func (s *server) describe(e event) []field {
	o := e.origin
	f := s.fields[:0]
	add := func(name, value string) { f = append(f, field{name, value}) }
	addInt := func(name string, value int64) { add(name, strconv.FormatInt(value, 10)) }

	mono := bootUsec + s.now - start
	add("__CURSOR", fmt.Sprintf("s=%s;i=%x;b=%s;m=%x;t=%x;x=%016x", seqnumID, s.n, bootID, mono, s.now, s.rand.Uint64()))
	addInt("__REALTIME_TIMESTAMP", s.now)
	addInt("__MONOTONIC_TIMESTAMP", mono)
	add("_BOOT_ID", bootID)
	add("_MACHINE_ID", machineID)
	add("_HOSTNAME", hostname)
	add("_RUNTIME_SCOPE", "system")
	add("_TRANSPORT", o.transport)
	addInt("PRIORITY", int64(e.priority))
	addInt("SYSLOG_FACILITY", int64(o.facility))
	add("SYSLOG_IDENTIFIER", o.identifier)
	if o.transport == "kernel" {
		addInt("_SOURCE_MONOTONIC_TIMESTAMP", mono-40)
	} else {
		f = s.describeProcess(f, o)
	}
	f = append(f, e.extra...)
	add("MESSAGE", e.message)
	s.fields = f
	return f
}

// describeProcess adds the fields of the process that sent the entry, and those of its way to journald.
func (s *server) describeProcess(f []field, o *origin) []field {
	add := func(name, value string) { f = append(f, field{name, value}) }
	pid := s.pid(o)
	add("_PID", pid)
	add("_UID", strconv.Itoa(o.uid))
	add("_GID", strconv.Itoa(o.gid))
	add("_COMM", o.comm)
	add("_EXE", o.exe)
	add("_CMDLINE", o.cmdline)
	add("_CAP_EFFECTIVE", capabilities(o.uid))
	add("_SELINUX_CONTEXT", "unconfined\n")
	switch o.slice {
	case "-.slice":
		add("_SYSTEMD_CGROUP", "/"+o.unit)
	case "user-1000.slice":
		add("_SYSTEMD_CGROUP", "/user.slice/user-1000.slice/"+o.unit)
		add("_SYSTEMD_OWNER_UID", "1000")
		add("_SYSTEMD_SESSION", "31")
		add("_SYSTEMD_USER_SLICE", "-.slice")
		add("_AUDIT_SESSION", "31")
		add("_AUDIT_LOGINUID", "1000")
	default:
		add("_SYSTEMD_CGROUP", "/"+o.slice+"/"+o.unit)
	}
	add("_SYSTEMD_UNIT", o.unit)
	add("_SYSTEMD_SLICE", o.slice)
	add("_SYSTEMD_INVOCATION_ID", invocation(o.unit))
	switch o.transport {
	case "syslog":
		add("SYSLOG_PID", pid)
		add("SYSLOG_TIMESTAMP", time.UnixMicro(s.now).UTC().Format("Jan _2 15:04:05 "))
		add("_SOURCE_REALTIME_TIMESTAMP", strconv.FormatInt(s.now-30, 10))
	case "stdout":
		add("_STREAM_ID", invocation("stream of "+o.unit))
	case "journal":
		add("TID", pid)
		add("_SOURCE_REALTIME_TIMESTAMP", strconv.FormatInt(s.now-20, 10))
	}
	return f
}

// pid returns a new process id where each connection has its own process, and a lasting one elsewhere.
func (s *server) pid(o *origin) string {
	switch o {
	case &sshd, &sudo, &cron, &coredump:
		return strconv.Itoa(20000 + s.n%40000)
	case &systemd:
		return "1"
	}
	return strconv.Itoa(600 + len(o.unit)*37 + len(o.identifier)*5 + s.rand.IntN(3))
}

func capabilities(uid int) string {
	if uid == 0 {
		return "1ffffffffff"
	}
	return "0"
}

// invocation returns an identifier of 32 hexadecimal digits that depends on name alone (FNV-1a).
func invocation(name string) string {
	high, low := uint64(14695981039346656037), uint64(1099511628211)
	for i := range len(name) {
		high = (high ^ uint64(name[i])) * 1099511628211
		low = (low ^ high) * 1099511628211
	}
	return fmt.Sprintf("%016x%016x", high, low)
}

// client returns the address of somebody who means well: 192.0.2.16 to .239, or one of 2001:db8:1::/48.
func (s *server) client() string {
	if s.rand.IntN(5) == 0 {
		return fmt.Sprintf("2001:db8:1:%x::%x", s.rand.IntN(40), 1+s.rand.IntN(3))
	}
	return fmt.Sprintf("192.0.2.%d", 16+s.rand.IntN(224))
}

// attacker returns one of the attackers that are at work now: each has its time of the day, in
// which it comes back again and again.
func (s *server) attacker() string {
	const atOnce = 4
	first := int(int64(s.n) * int64(s.attackers) / int64(s.entries+1))
	return attackerAddress((first + s.rand.IntN(atOnce)) % s.attackers)
}

// attackerAddress numbers the attackers: 203.0.113.0/24, 198.51.100.0/24, then 2001:db8:bad::/48.
func attackerAddress(i int) string {
	switch {
	case i < 254:
		return fmt.Sprintf("203.0.113.%d", i+1)
	case i < 508:
		return fmt.Sprintf("198.51.100.%d", i-253)
	}
	return fmt.Sprintf("2001:db8:bad:%x::%x", (i-508)>>8&0xffff, 1+(i-508)&0xff)
}

func (s *server) port() int { return 32768 + s.rand.IntN(28000) }

func (s *server) id(length int) string {
	const digits = "0123456789ABCDEF"
	b := make([]byte, length)
	for i := range b {
		b[i] = digits[s.rand.IntN(len(digits))]
	}
	return string(b)
}

func (s *server) pick(list ...string) string { return list[s.rand.IntN(len(list))] }

// clock renders the time of the entry as a program writes it into its message.
func (s *server) clock(layout string) string { return time.UnixMicro(s.now).UTC().Format(layout) }
