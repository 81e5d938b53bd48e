//go:build vm

package testvm

import (
	"strconv"
	"strings"
	"testing"
	"time"
)

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

// With the configuration as it comes, the report of the day is in the mailbox of who reads root's mail.
func TestReportAtMidnight(t *testing.T) {
	g := installed(t)
	g.sh("systemctl start exim4; systemd-run --quiet --wait --collect -p StandardOutput=journal -p SyslogLevel=err echo a thing has broken")
	now := time.Now().UTC()
	if err := g.setClock(t.Context(), time.Date(now.Year(), now.Month(), now.Day(), 23, 59, 55, 0, time.UTC)); err != nil {
		t.Fatal(err)
	}
	mail := g.eventually(90*time.Second, "cat /var/mail/alice")
	for _, want := range []string{"\nTo: root", "\nSubject: ", "\nFrom: "} {
		if !strings.Contains(mail, want) {
			t.Errorf("the mail has no %q", want)
		}
	}
	g.sh("grep -q 'a thing has broken' /var/mail/alice || python3 -c " + `'
import mailbox, sys
m = mailbox.mbox("/var/mail/alice")[0]
sys.exit(not any(b"a thing has broken" in (p.get_payload(decode=True) or b"") for p in m.walk()))'`)
	if n := strings.Count(mail, "\nMessage-I"); n != 1 {
		t.Errorf("%d mails instead of one:\n%s", n, mail)
	}
}

// mails has a rule that mails at once, and the main file that is given.
func mails(t *testing.T, email string) guest {
	t.Helper()
	g := installed(t)
	g.fragment("10-mail.json", `{"actions": {"mail": {"order": 10, "steps": [
  {"filter": "filter_pcre", "args": {"field": "MESSAGE", "re": "^Test mail (?P<what>[a-z]+)$"}},
  {"action": "action_email", "args": {"subject": "Test", "message": "This is {what}."}}
]}}}`)
	g.put("/etc/pyruse/pyruse.json", 0o644, `{"email": `+email+`}`)
	return g
}

func (g guest) mail(what string) {
	g.t.Helper()
	g.sh("systemd-run --quiet --wait --collect echo Test mail " + what)
}

// The programs called sendmail, in the sandbox: with a mail server that listens, with one that does not and the drop-in, and one that
// needs no rights.
func TestSendmailInTheSandbox(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, email, before string }{
		{"exim listens", `{"to": ["root"]}`, "systemctl start exim4"},
		{"exim with the drop-in", `{"to": ["root"]}`,
			"install -D -m 644 -t /etc/systemd/system/pyruse.service.d /usr/share/pyruse/drop-ins/sendmail.conf; systemctl daemon-reload"},
		{"msmtp", `{"from": "pyruse@machine", "to": ["root@machine"], "sendmail": ["/usr/bin/msmtp", "--host=127.0.0.1", "--from=pyruse@machine", "-t"]}`,
			"systemctl start exim4"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := mails(t, c.email)
			g.sh(c.before)
			g.sh("systemctl restart pyruse")
			g.mail("wanted")
			// exim's queue is run as cron or its daemon would do it: what the sandbox does not let it deliver at once waits there.
			g.eventually(40*time.Second, "exim4 -qff; grep 'This is wanted' /var/mail/alice")
			if out := g.sh("pyruse mail list"); strings.Contains(out, "Test") {
				t.Errorf("it still waits: %s", out)
			}
		})
	}
}

const submission = `
primary_hostname = mail.example.org
local_interfaces = 192.0.2.25
daemon_smtp_ports = 587
spool_directory = /srv/mail/spool
log_file_path = /srv/mail/log-%s
keep_environment =
host_lookup =
rfc1413_query_timeout = 0s
tls_advertise_hosts = *
tls_certificate = /srv/mail/cert
tls_privatekey = /srv/mail/key
auth_advertise_hosts = ${if def:tls_in_cipher{*}{}}
acl_smtp_rcpt = rcpt
begin acl
rcpt:
  deny ! authenticated = *
  accept
begin routers
all:
  driver = accept
  transport = file
begin transports
file:
  driver = appendfile
  file = /srv/mail/inbox
  user = Debian-exim
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${if and{{eq{$auth2}{bob}}{eq{$auth3}{two words}}}}
  server_set_id = $auth2
`

// A mail server at another address: the sandbox keeps the daemon from it, until the drop-in lets it out. TLS, a password from systemd.
func TestSubmission(t *testing.T) {
	g := mails(t, `{"from": "pyruse@example.org", "to": ["root@example.org"],
  "smtp": {"host": "mail.example.org", "username": "bob", "passwordCredential": "mail-password"}}`)
	g.put("/etc/submission.conf", 0o644, submission)
	g.put("/root/mail-password", 0o600, "two words\n")
	g.sh(`set -e
ip link add dummy0 type dummy && ip addr add 192.0.2.25/32 dev dummy0 && ip link set dummy0 up
echo 192.0.2.25 mail.example.org >> /etc/hosts
install -d -o Debian-exim -g Debian-exim /srv/mail
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=mail.example.org \
  -addext subjectAltName=DNS:mail.example.org -keyout /srv/mail/key -out /srv/mail/cert 2>/dev/null
chown Debian-exim /srv/mail/key; chmod 0600 /srv/mail/key; chmod 0644 /srv/mail/cert
mkdir -p /etc/ssl/certs && cat /srv/mail/cert >> /etc/ssl/certs/ca-certificates.crt
systemd-run --quiet --unit=submission exim4 -C /etc/submission.conf -bdf`)
	g.dropIn("[Service]\nLoadCredential=mail-password:/root/mail-password\n")
	g.eventually(20*time.Second, "nc -z 192.0.2.25 587")
	g.sh("systemctl restart pyruse")

	g.mail("early")
	g.eventually(60*time.Second, "journalctl -q -u pyruse MESSAGE_ID=65408ba1e54947ed9c350488229fc050 | grep .")
	if r := g.try("test -e /srv/mail/inbox"); r.Code == 0 {
		t.Fatal("the mail got out of the sandbox")
	}
	g.sh(`set -e
install -D -m 644 -t /etc/systemd/system/pyruse.service.d /usr/share/pyruse/drop-ins/network.conf
systemctl daemon-reload; systemctl restart pyruse; pyruse mail retry --all`)
	g.eventually(60*time.Second, "grep 'This is early' /srv/mail/inbox")
	g.sh("grep -q 'A=plain:bob' /srv/mail/log-main && grep -q 'X=TLS' /srv/mail/log-main")
	if n := g.number("grep -c '^From ' /srv/mail/inbox"); n != 1 {
		t.Errorf("the mail came %d times", n)
	}
	if out := g.sh("journalctl -q -u pyruse; pyruse config; systemctl show pyruse"); strings.Contains(out, "two words") {
		t.Error("the password is told")
	}
}
