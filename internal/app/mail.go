package app

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/pyruse/pyruse/internal/config"
	"github.com/pyruse/pyruse/internal/mail"
)

// transport returns how mail is sent. dialogue gets what is said meanwhile, without secrets; nil: nobody.
func transport(c *config.Email, dialogue io.Writer) mail.Transport {
	if c.SMTP.Host == "" {
		return &mail.Local{Sendmail: mail.Sendmail{Argv: c.Sendmail, Dialogue: dialogue}}
	}
	return smtp(&c.SMTP, c.From, dialogue)
}

func smtp(c *config.SMTP, from string, dialogue io.Writer) *mail.SMTP {
	s := &mail.SMTP{
		Host: c.Host, Port: int(c.Port), TLS: c.TLS, ServerName: c.ServerName, CAFile: c.CAFile, CertFile: c.CertFile, KeyFile: c.KeyFile,
		Auth: c.Auth, Username: c.Username, Sender: senderAddress(from), Dialogue: dialogue,
	}
	switch {
	case c.PasswordFile != "":
		s.Secret = mail.SecretFile(c.PasswordFile)
	case c.PasswordCredential != "":
		s.Secret = mail.SecretCredential(c.PasswordCredential)
	case len(c.PasswordCommand) > 0:
		s.Secret = mail.SecretCommand(c.PasswordCommand...)
	case c.Password != "":
		s.Secret = mail.SecretText(c.Password)
	}
	return s
}

// receivers returns the addresses that mail goes to. A mail server knows no users of this machine: those get the domain of the sender.
func receivers(c *config.Email) []string {
	if c.SMTP.Host == "" {
		return c.To
	}
	sender := senderAddress(c.From)
	domain := sender[strings.LastIndexByte(sender, '@')+1:]
	list := make([]string, len(c.To))
	for i, to := range c.To {
		list[i] = mail.QualifyAddress(to, domain)
	}
	return list
}

// senderAddress returns the address of the sender without the name.
func senderAddress(from string) string {
	a, err := mail.ParseAddress(from)
	if err != nil {
		return "" // there is none, or it was told when the configuration was loaded
	}
	return a.Address
}

// gateSettings returns how what is to be mailed becomes mails.
func gateSettings(c *config.Email) mail.GateSettings {
	return mail.GateSettings{
		From: c.From, To: receivers(c), Host: hostName(),
		Coalesce: time.Duration(c.CoalesceSeconds) * time.Second, MaxPerHour: int(c.MaxPerHour),
	}
}

// letter returns what all reports have in common.
func letter(c *config.Email) mail.Message {
	return mail.Message{From: c.From, To: receivers(c), Subject: c.Subject, Host: hostName()}
}

// serverName names the mail server, or the program, for people.
func serverName(c *config.Email) string {
	if c.SMTP.Host == "" {
		return c.Sendmail[0]
	}
	return fmt.Sprintf("the mail server %s", c.SMTP.Host)
}
