package main

import (
	"fmt"
	"strconv"
)

// chatterKinds is what a healthy server says.
var chatterKinds = []kind{
	{400, webAccess}, {150, giteaRequest}, {170, matrixRequest}, {30, proxiedSSH},
	{90, mailTraffic}, {70, imapTraffic}, {20, nextcloudInfo},
	{14, sshLogin}, {14, sshSession}, {20, unitMessage}, {6, loginSession}, {20, cronJob},
	{4, kernelInfo}, {14, resolverInfo},
}

// attackKinds is what an administrator wants to hear of.
var attackKinds = []kind{
	{330, sshFailure}, {60, sshInvalidUser}, {40, sshScan},
	{220, webProbe}, {40, webRefused},
	{110, smtpAuthFailure}, {30, smtpRelay}, {60, imapFailure},
	{25, nextcloudFailure}, {20, giteaFailure}, {15, proxiedFailure}, {20, matrixFailure},
	{15, firewallDrop}, {3, sudoUse}, {2, sudoRefused}, {2, unitFailure}, {1, coreDump},
	{1, diskError}, {1, outOfMemory}, {5, recidive},
}

func say(o *origin, priority int, format string, args ...any) event {
	return event{origin: o, priority: priority, message: fmt.Sprintf(format, args...)}
}

func (s *server) accessLine(ip, request string, status int, agent string) event {
	return say(&nginx, 6, `%s - - [%s] "%s" %d %d "-" "%s"`,
		ip, s.clock("02/Jan/2006:15:04:05 +0000"), request, status, s.rand.IntN(90000), agent)
}

func webAccess(s *server) event {
	path := s.pick("/", "/index.html", "/assets/css/main.css", "/assets/js/app.js", "/blog/2026/11/harvest/", "/favicon.ico",
		"/remote.php/dav/files/alice/", "/ocs/v2.php/apps/notifications/api/v2/notifications", "/apps/files/?dir=/Photos&fileid="+strconv.Itoa(s.rand.IntN(9000)),
		"/index.php/apps/text/session/sync", "/_matrix/client/v3/sync?timeout=30000&since=s"+strconv.Itoa(s.rand.IntN(1e6)))
	status := 200
	switch s.rand.IntN(40) {
	case 0, 1, 2:
		status = 304
	case 3:
		status = 301
	case 4:
		status, path = 404, "/apple-touch-icon.png"
	}
	return s.accessLine(s.client(), s.pick("GET ", "GET ", "GET ", "POST ", "PROPFIND ")+path+" HTTP/2.0", status,
		s.pick("Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0",
			"Mozilla/5.0 (Macintosh) mirall/3.14.2 (Nextcloud)", "Mozilla/5.0 (Android 14; Mobile; rv:132.0) Gecko/132.0 Firefox/132.0"))
}

func giteaRequest(s *server) event {
	return say(&gitea, 6, `%s HTTPRequest [I] router: completed %s /%s/%s for %s:0, 200 OK in %d.%dms @ repo/%s`,
		s.clock("2006/01/02 15:04:05"), s.pick("GET", "GET", "POST"), s.pick("alice", "bob", "team"),
		s.pick("website", "pyruse", "dotfiles/info/refs?service=git-upload-pack", "notes/git-upload-pack"), s.client(),
		s.rand.IntN(90), s.rand.IntN(10), s.pick("view.go:862(repo.Home)", "githttp.go:534(repo.GetInfoRefs)", "githttp.go:496(repo.ServiceUploadPack)"))
}

func (s *server) matrixAccess(ip, user string, status int, request string) event {
	return say(&synapse, 6, `%s - synapse.access.http.8008 - 460 - INFO - %s-%d - %s - 8008 - {%s} Processed request: 0.0%d%dsec/0.001sec (0.004sec, 0.001sec) (0.001sec/0.004sec/3) %dB %d "%s HTTP/1.1" "Element/1.11.85" [0 dbevts]`,
		s.clock("2006-01-02 15:04:05,000"), request[:3], s.n, ip, user, s.rand.IntN(10), s.rand.IntN(10), 40+s.rand.IntN(9000), status, request)
}

func matrixRequest(s *server) event {
	if s.rand.IntN(12) == 0 {
		return say(&synapse, 6, `%s - synapse.federation.sender.per_destination_queue - %d - INFO - federation_transaction_transmission_loop-%d - TX [example.net] {%d} Sending 1 PDUs, 0 EDUs`,
			s.clock("2006-01-02 15:04:05,000"), 300+s.rand.IntN(90), s.n, s.n)
	}
	return s.matrixAccess(s.client(), s.pick("@alice:example.org", "@bob:example.org", "@carol:example.org"), 200,
		s.pick("GET /_matrix/client/v3/sync?timeout=30000", "PUT /_matrix/client/v3/rooms/!abc:example.org/send/m.room.message/m1", "POST /_matrix/client/v3/keys/query"))
}

func (s *server) proxied(client string) (via int, line event) {
	via = s.port()
	return via, say(&haproxy, 6, `%s:%d via 127.0.0.1:%d to 127.0.0.1:2222`, client, s.port(), via)
}

func proxiedSSH(s *server) event {
	_, line := s.proxied(s.client())
	return line
}

func mailTraffic(s *server) event {
	id := s.id(10)
	host, ip := s.pick("mx1.example.net", "mail.example.com", "lists.example.org"), s.client()
	switch s.rand.IntN(7) {
	case 0:
		return say(&smtpd, 6, `connect from %s[%s]`, host, ip)
	case 1:
		return say(&smtpd, 6, `%s: client=%s[%s]`, id, host, ip)
	case 2:
		return say(&smtpd, 6, `disconnect from %s[%s] ehlo=2 starttls=1 mail=1 rcpt=1 data=1 quit=1 commands=7`, host, ip)
	case 3:
		return say(&qmgr, 6, `%s: from=<news@example.net>, size=%d, nrcpt=1 (queue active)`, id, 900+s.rand.IntN(90000))
	case 4:
		return say(&qmgr, 6, `%s: removed`, id)
	case 5:
		if s.rand.IntN(20) == 0 {
			return say(&lmtp, 6, `%s: to=<carol@example.net>, relay=none, delay=4, delays=0.1/0.01/3.9/0, dsn=4.4.1, status=deferred (connect to mx.example.net[192.0.2.9]:25: Connection timed out)`, id)
		}
		return say(&smtpd, 6, `Anonymous TLS connection established from %s[%s]: TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)`, host, ip)
	}
	return say(&lmtp, 6, `%s: to=<alice@example.org>, relay=server[private/dovecot-lmtp], delay=0.4, delays=0.2/0.01/0.01/0.18, dsn=2.0.0, status=sent (250 2.0.0 <alice@example.org> %s Saved)`, id, s.id(12))
}

func imapTraffic(s *server) event {
	user, session := s.pick("alice", "bob", "carol"), s.id(16)
	switch s.rand.IntN(4) {
	case 0:
		return say(&dovecot, 6, `imap-login: Login: user=<%s>, method=PLAIN, rip=%s, lip=192.0.2.1, mpid=%d, TLS, session=<%s>`, user, s.client(), s.port(), session)
	case 1:
		return say(&dovecot, 6, `imap(%s)<%d><%s>: Disconnected: Logged out in=%d out=%d deleted=0 expunged=0 trashed=0 hdr_count=0 hdr_bytes=0 body_count=0 body_bytes=0`, user, s.port(), session, s.rand.IntN(900), s.rand.IntN(9000))
	case 2:
		return say(&dovecot, 6, `lmtp(%s)<%d><%s>: msgid=<%s@example.net>: saved mail to INBOX`, user, s.port(), session, s.id(12))
	}
	return say(&dovecot, 6, `imap-login: Disconnected: Connection closed (no auth attempts in 0 secs): user=<>, rip=%s, lip=192.0.2.1, TLS handshaking, session=<%s>`, s.client(), session)
}

func (s *server) nextcloud(level int, ip, message string) event {
	return say(&php, 8-2*level, `{"reqId":"%s","level":%d,"time":"%s","remoteAddr":"%s","user":"--","app":"core","method":"POST","url":"/login","message":"%s","userAgent":"Mozilla/5.0 (X11; Linux x86_64)","version":"29.0.8","data":[]}`,
		s.id(20), level, s.clock("2006-01-02T15:04:05+00:00"), ip, message)
}

func nextcloudInfo(s *server) event {
	return s.nextcloud(1, s.client(), s.pick("User alice logged in", "File accessed: Photos", "Deprecated event type for \\\\OCP\\\\IGroup::postAddUser"))
}

func sshLogin(s *server) event {
	user := s.pick("git", "git", "git", "alice")
	return say(&sshd, 6, `Accepted publickey for %s from %s port %d ssh2: ED25519 SHA256:nThbg6kXUpJWGl7E1IGOCspRomTxdCARLviKw6E5SY8`, user, s.client(), s.port())
}

func sshSession(s *server) event {
	user := s.pick("git", "git", "alice")
	if s.rand.IntN(2) == 0 {
		return say(&sshd, 6, `pam_unix(sshd:session): session opened for user %s(uid=1000) by (uid=0)`, user)
	}
	return say(&sshd, 6, `Disconnected from user %s %s port %d`, user, s.client(), s.port())
}

// unit returns an entry of systemd about a unit, with the fields that systemd adds for it.
func (s *server) unit(priority int, messageID, unit, message, function string, line int, extra ...field) event {
	e := say(&systemd, priority, "%s", message)
	e.extra = append([]field{
		{"MESSAGE_ID", messageID}, {"UNIT", unit}, {"INVOCATION_ID", invocation(unit)},
		{"CODE_FILE", "src/core/unit.c"}, {"CODE_FUNC", function}, {"CODE_LINE", strconv.Itoa(line)},
	}, extra...)
	return e
}

func unitMessage(s *server) event {
	unit := s.pick("logrotate.service", "certbot.service", "fstrim.service", "systemd-tmpfiles-clean.service", "phpsessionclean.service")
	switch s.rand.IntN(3) {
	case 0:
		return s.unit(6, "7d4958e842da4a758f6c1cdc7b36dcc5", unit, "Starting "+unit+"...", "job_emit_start_message", 602, field{"JOB_TYPE", "start"}, field{"JOB_ID", strconv.Itoa(s.n)})
	case 1:
		return s.unit(6, "39f53479d3a045ac8e11786248231fbf", unit, "Finished "+unit+".", "job_emit_done_message", 768, field{"JOB_TYPE", "start"}, field{"JOB_RESULT", "done"}, field{"JOB_ID", strconv.Itoa(s.n)})
	}
	return s.unit(6, "7ad2d189f7e94e70a38c781354912448", unit, unit+": Deactivated successfully.", "unit_log_success", 5686)
}

func loginSession(s *server) event {
	session := strconv.Itoa(31 + s.n%900)
	e := say(&logind, 6, "New session %s of user alice.", session)
	e.extra = []field{{"MESSAGE_ID", "8d45620c1a4348dbb17410da57c60c66"}, {"SESSION_ID", session}, {"USER_ID", "alice"}, {"LEADER", strconv.Itoa(20000 + s.n%40000)},
		{"CODE_FILE", "src/login/logind-session.c"}, {"CODE_FUNC", "session_start"}, {"CODE_LINE", "839"}}
	return e
}

func cronJob(s *server) event {
	if s.rand.IntN(2) == 0 {
		return say(&cron, 6, `pam_unix(cron:session): session %s for user root%s`, s.pick("opened", "closed"), s.pick("", "(uid=0) by (uid=0)"))
	}
	return say(&cron, 6, `(%s) CMD (%s)`, s.pick("root", "www-data"), s.pick("php -f /var/www/nextcloud/cron.php", "cd / && run-parts --report /etc/cron.hourly", "command -v debian-sa1 > /dev/null && debian-sa1 1 1"))
}

func kernelInfo(s *server) event {
	return say(&kernel, 6, "%s", s.pick("TCP: eth0: Driver has suspect GRO implementation, TCP performance may be compromised.", "perf: interrupt took too long (2512 > 2500), lowering kernel.perf_event_max_sample_rate to 79500", "EXT4-fs (sda2): re-mounted. Opts: errors=remount-ro. Quota mode: none."))
}

func resolverInfo(s *server) event {
	if s.rand.IntN(60) == 0 {
		return say(&unbound, 6, `[912:0] info: validation failure <broken.example.net. A IN>: signature expired from 192.0.2.53`)
	}
	return say(&unbound, 6, `[912:%d] info: %s`, s.rand.IntN(2), s.pick("generate keytag query _ta-4f66-9728. NULL IN", "control cmd:  stats_noreset", "service stopped (unbound 1.17.1).", "start of service (unbound 1.17.1)."))
}

func sshFailure(s *server) event {
	return say(&sshd, 6, `Failed password for %s from %s port %d ssh2`,
		s.pick("root", "root", "invalid user admin", "invalid user test", "invalid user oracle", "invalid user ubuntu"), s.attacker(), s.port())
}

func sshInvalidUser(s *server) event {
	return say(&sshd, 6, `Invalid user %s from %s port %d`, s.pick("admin", "test", "pi", "user", "postgres"), s.attacker(), s.port())
}

func sshScan(s *server) event {
	ip, port := s.attacker(), s.port()
	switch s.rand.IntN(3) {
	case 0:
		return say(&sshd, 3, `banner exchange: Connection from %s port %d: invalid format`, ip, port)
	case 1:
		return say(&sshd, 6, `Unable to negotiate with %s port %d: no matching key exchange method found. Their offer: diffie-hellman-group14-sha1 [preauth]`, ip, port)
	}
	return say(&sshd, 6, `Connection closed by authenticating user root %s port %d [preauth]`, ip, port)
}

func webProbe(s *server) event {
	return s.accessLine(s.attacker(), "GET "+s.pick("/wp-login.php", "/.env", "/blog/wp-login.php", "/.git/config", "/xmlrpc.php", "/vendor/phpunit/src/Util/PHP/eval-stdin.php", "/old/.aws/credentials")+" HTTP/1.1",
		404, "Mozilla/5.0 zgrab/0.x")
}

func webRefused(s *server) event {
	head := s.clock("2006/01/02 15:04:05") + ` [error] 812#812: *` + strconv.Itoa(s.n)
	ip := s.attacker()
	tail := `, client: ` + ip + `, server: example.org, request: "GET /admin/ HTTP/1.1", host: "example.org"`
	switch s.rand.IntN(3) {
	case 0:
		return say(&nginx, 3, `%s access forbidden by rule%s`, head, tail)
	case 1:
		return say(&nginx, 3, `%s limiting requests, excess: 20.%03d by zone "login"%s`, head, s.rand.IntN(1000), tail)
	}
	return say(&nginx, 3, `%s user "admin" was not found in "/etc/nginx/htpasswd"%s`, head, tail)
}

func smtpAuthFailure(s *server) event {
	return say(&smtpd, 4, `warning: unknown[%s]: SASL LOGIN authentication failed: UGFzc3dvcmQ6, sasl_username=%s`, s.attacker(), s.pick("info", "sales", "alice@example.org"))
}

func smtpRelay(s *server) event {
	return say(&smtpd, 6, `NOQUEUE: reject: RCPT from unknown[%s]: 554 5.7.1 <victim@example.com>: Relay access denied; from=<spam@example.net> to=<victim@example.com> proto=ESMTP helo=<win-host>`, s.attacker())
}

func imapFailure(s *server) event {
	return say(&dovecot, 6, `imap-login: Disconnected: Connection closed (auth failed, %d attempts in %d secs): user=<%s>, method=PLAIN, rip=%s, lip=192.0.2.1, TLS, session=<%s>`,
		1+s.rand.IntN(3), 2+s.rand.IntN(20), s.pick("info", "office", "alice"), s.attacker(), s.id(16))
}

func nextcloudFailure(s *server) event {
	ip := s.attacker()
	return s.nextcloud(2, ip, "Login failed: "+s.pick("admin", "alice", "root")+" (Remote IP: "+ip+")")
}

func giteaFailure(s *server) event {
	name := s.pick("admin", "root", "gitea")
	return say(&gitea, 6, `%s ...ers/web/auth/auth.go:213:SignInPost() [W] Failed authentication attempt for %s from %s:0: user does not exist [uid: 0, name: %s, keyid: 0]`,
		s.clock("2006/01/02 15:04:05"), name, s.attacker(), name)
}

func proxiedFailure(s *server) event {
	via, line := s.proxied(s.attacker())
	s.queue = append(s.queue, say(&gitea, 6, `%s modules/ssh/ssh.go:233:publicKeyHandler() [W] Failed authentication attempt from 127.0.0.1:%d`, s.clock("2006/01/02 15:04:05"), via))
	return line
}

func matrixFailure(s *server) event {
	return s.matrixAccess(s.attacker(), "None", 403, "POST /_matrix/client/v3/login")
}

func firewallDrop(s *server) event {
	return say(&kernel, 4, `nft-drop: IN=eth0 OUT= MAC=52:54:00:12:34:56:52:54:00:65:43:21:08:00 SRC=%s DST=192.0.2.1 LEN=40 TOS=0x00 PREC=0x00 TTL=244 ID=54321 PROTO=TCP SPT=%d DPT=%s WINDOW=1024 RES=0x00 SYN URGP=0`,
		s.attacker(), s.port(), s.pick("23", "3389", "445", "5900"))
}

func sudoUse(s *server) event {
	return say(&sudo, 5, `   alice : TTY=pts/0 ; PWD=/home/alice ; USER=root ; COMMAND=/usr/bin/apt %s`, s.pick("update", "full-upgrade"))
}

func sudoRefused(*server) event {
	return say(&sudo, 1, `     bob : 3 incorrect password attempts ; TTY=pts/1 ; PWD=/home/bob ; USER=root ; COMMAND=/usr/bin/bash`)
}

func unitFailure(s *server) event {
	unit := s.pick("backup.service", "certbot.service")
	return s.unit(4, "d9b373ed55a64feb8242e02dbe79a49c", unit, unit+": Failed with result 'exit-code'.", "unit_log_failure", 5701, field{"UNIT_RESULT", "exit-code"})
}

func coreDump(s *server) event {
	e := say(&coredump, 2, "Process 20771 (php-fpm8.2) of user 33 dumped core.\n\nStack trace of thread 20771:\n#0  0x00005581f0c3b1a2 n/a (php-fpm8.2 + 0x2f31a2)\n#1  0x00007f3d6c84524a n/a (libc.so.6 + 0x2724a)\nELF object binary architecture: AMD x86-64")
	e.extra = []field{
		{"MESSAGE_ID", "fc2e22bc6ee647b6b90729ab34a250b1"}, {"COREDUMP_PID", "20771"}, {"COREDUMP_UID", "33"}, {"COREDUMP_GID", "33"},
		{"COREDUMP_SIGNAL", "11"}, {"COREDUMP_SIGNAL_NAME", "SIGSEGV"}, {"COREDUMP_TIMESTAMP", strconv.FormatInt(s.now-900000, 10)},
		{"COREDUMP_COMM", "php-fpm8.2"}, {"COREDUMP_EXE", "/usr/sbin/php-fpm8.2"}, {"COREDUMP_UNIT", "php8.2-fpm.service"},
		{"CODE_FILE", "src/coredump/coredump.c"}, {"CODE_FUNC", "submit_coredump"}, {"CODE_LINE", "903"},
	}
	return e
}

func diskError(s *server) event {
	return say(&kernel, 3, `I/O error, dev sdb, sector %d op 0x0:(READ) flags 0x80700 phys_seg 1 prio class 2`, s.rand.IntN(1e8))
}

func outOfMemory(s *server) event {
	return say(&kernel, 3, `Out of memory: Killed process %d (php-fpm8.2) total-vm:812344kB, anon-rss:402348kB, file-rss:0kB, shmem-rss:0kB, UID:33 pgtables:1080kB oom_score_adj:0`, s.port())
}

func recidive(s *server) event {
	return say(&pyruse, 5, `recidive: %s was banned for a day because of sshd`, s.attacker())
}
