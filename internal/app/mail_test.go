package app

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pyruse/pyruse/internal/config"
	"github.com/pyruse/pyruse/internal/mail"
)

// TestTransport compares what is configured with what is used.
func TestTransport(t *testing.T) {
	c := config.Defaults().Email
	c.Sendmail = []string{"/usr/sbin/sendmail", "-t"}
	if got, ok := transport(&c, nil).(*mail.Local); !ok || !cmp.Equal(got.Argv, c.Sendmail) {
		t.Errorf("without a mail server: %+v", got)
	}
	c.SMTP = config.SMTP{
		Host: "mail.example.org", Port: 2525, TLS: config.TLSImplicit, ServerName: "smtp.example.org", CAFile: "/ca.pem", CertFile: "/cert.pem",
		KeyFile: "/key.pem", Auth: config.AuthPlain, Username: "pyruse",
	}
	want := &mail.SMTP{
		Host: "mail.example.org", Port: 2525, TLS: mail.ImplicitTLS, ServerName: "smtp.example.org", CAFile: "/ca.pem", CertFile: "/cert.pem",
		KeyFile: "/key.pem", Auth: "PLAIN", Username: "pyruse",
	}
	got, ok := transport(&c, nil).(*mail.SMTP)
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(mail.SMTP{})); !ok || diff != "" {
		t.Errorf("with a mail server (-want +got):\n%s", diff)
	}
	for _, x := range []struct {
		c    config.SMTP
		want string
	}{
		{config.SMTP{Password: "secret"}, "secret given as text"},
		{config.SMTP{PasswordFile: "/etc/pyruse/password"}, "secret file /etc/pyruse/password"},
		{config.SMTP{PasswordCredential: "mail"}, "systemd credential mail"},
		{config.SMTP{PasswordCommand: []string{"/usr/bin/token", "mail"}}, "output of /usr/bin/token"},
	} {
		if got := smtp(&x.c, "", nil).Secret.String(); got != x.want {
			t.Errorf("the secret is the %s, want %s", got, x.want)
		}
	}
}

func TestReceivers(t *testing.T) {
	c := config.Email{From: "Pyruse <pyruse@example.org>", To: []string{"root", "Root <root>", "Admin <admin@example.net>"}}
	if diff := cmp.Diff(c.To, receivers(&c)); diff != "" {
		t.Errorf("sendmail knows the users of the machine (-want +got):\n%s", diff)
	}
	c.SMTP.Host = "mail.example.org"
	var got []string
	for _, to := range receivers(&c) {
		a, err := mail.ParseAddress(to)
		if err != nil {
			t.Fatalf("%q: %v", to, err)
		}
		got = append(got, a.Address)
	}
	if diff := cmp.Diff([]string{"root@example.org", "root@example.org", "admin@example.net"}, got); diff != "" {
		t.Errorf("a mail server (-want +got):\n%s", diff)
	}
}

func TestGateSettings(t *testing.T) {
	c := config.Email{From: "a@example.org", To: []string{"root"}, CoalesceSeconds: 90, MaxPerHour: 7}
	want := mail.GateSettings{From: "a@example.org", To: []string{"root"}, Host: hostName(), Coalesce: 90 * time.Second, MaxPerHour: 7}
	if diff := cmp.Diff(want, gateSettings(&c)); diff != "" {
		t.Errorf("the gate (-want +got):\n%s", diff)
	}
}
