package config

import (
	"fmt"
	"slices"
	"strconv"
)

const smtpTable = "email.smtp"

// The keys of email.smtp that say what the password is.
const (
	keyPassword           = "password"
	keyPasswordFile       = "passwordFile"
	keyPasswordCredential = "passwordCredential"
	keyPasswordCommand    = "passwordCommand"
)

var passwordKeys = []string{keyPassword, keyPasswordFile, keyPasswordCredential, keyPasswordCommand}

// checkSMTP reports settings of the mail server that do not go together.
func (c *Config) checkSMTP(diags *Diagnostics) {
	builtIn := Defaults().Email.SMTP
	s := smtpCheck{cfg: c, diags: diags, given: given(&c.Settings.Email.SMTP, &builtIn)}
	s.literals()
	c.exclusive(smtpTable, passwordKeys, s.given, diags)
	if len(s.given) == 0 {
		return
	}
	if !s.has("host") {
		if n := c.setting(smtpTable + ".host"); n != nil && n.Kind != String {
			return // which is told of already
		}
		s.errorf(slices.Concat(s.given, []string{"host"}), `name the server with "host"; without it, mail goes to the sendmail program`, "%s without %q has no effect", strconv.Quote(s.given[0]), "host")
		return
	}
	if c.Settings.Email.From == "" {
		diags.Errorf(c.Cause(smtpTable, "email.from"), `write "from": "pyruse@example.org" in "email"`,
			`mail that goes to a mail server needs a sender: "from" is missing in "email"`)
	}
	s.encryption()
	if s.has("certFile") != s.has("keyFile") {
		s.errorf([]string{"certFile", "keyFile"}, "the one is the certificate, the other its private key", `"certFile" and "keyFile" are only given together`)
	}
	s.auth()
}

// smtpCheck is a look at the settings of the mail server.
type smtpCheck struct {
	cfg   *Config
	diags *Diagnostics
	given []string // keys
}

func (s *smtpCheck) has(keys ...string) bool {
	return slices.ContainsFunc(keys, func(key string) bool { return slices.Contains(s.given, key) })
}

// errorf reports an error in which these keys have a part.
func (s *smtpCheck) errorf(keys []string, hint, format string, args ...any) {
	whole := make([]string, len(keys))
	for i, key := range keys {
		whole[i] = smtpTable + "." + key
	}
	s.diags.Errorf(s.cfg.Cause(whole...), hint, format, args...)
}

// encryption reports credentials that would be readable on the network.
func (s *smtpCheck) encryption() {
	if s.cfg.Settings.Email.SMTP.TLS != TLSNone {
		return
	}
	credentials := slices.Concat([]string{"auth", "username", "certFile"}, passwordKeys)
	credentials = slices.DeleteFunc(credentials, func(key string) bool { return !s.has(key) })
	if len(credentials) == 0 {
		return
	}
	s.errorf(slices.Concat(credentials, []string{"tls"}), `use "tls": "starttls" or "implicit"`,
		`"tls" is "none", and %s is given: credentials are never sent unencrypted`, strconv.Quote(credentials[0]))
}

// auth reports what is missing to log in, or what is given and cannot be meant.
func (s *smtpCheck) auth() {
	name, password := s.has("username"), s.has(passwordKeys...)
	mechanism := s.cfg.Settings.Email.SMTP.Auth
	missing := func(what, hint string) {
		s.errorf(slices.Concat(passwordKeys, []string{"auth", "username"}), hint, `"auth" is %q: %s is missing`, mechanism, what)
	}
	const passwordHint = `give "passwordCredential", "passwordFile" or "passwordCommand"`
	switch mechanism {
	case AuthPlain, AuthLogin:
		if !name {
			missing(`"username"`, "")
		}
		if !password {
			missing("a password", passwordHint)
		}
	case AuthOAuthBearer:
		if !password {
			missing("the token", passwordHint)
		}
	case AuthExternal, AuthAnonymous:
		if mechanism == AuthExternal && !s.has("certFile", "keyFile") {
			s.errorf([]string{"auth", "certFile", "keyFile"}, "", `"auth" is %q: "certFile" and "keyFile" are missing`, mechanism)
		}
		if password {
			s.errorf(slices.Concat(passwordKeys, []string{"auth"}), "leave the password out", `"auth" is %q, which knows no password`, mechanism)
		}
	case "":
		if name != password {
			what, hint := `a password without "username"`, `"OAUTHBEARER" is the only "auth" that needs none`
			if name {
				what, hint = `"username" without a password`, passwordHint
			}
			s.errorf(slices.Concat(passwordKeys, []string{"auth", "username"}), hint, "%s: nobody can log in with that", what)
		}
	}
}

const literalHint = `better: "passwordCredential", with LoadCredential= in the unit, or "passwordFile"`

// literals tells of each password that stands in a source itself, also of one that another source overrides. The place is that
// of the key: the extent of the value would tell how long it is.
func (s *smtpCheck) literals() {
	for _, x := range s.cfg.sources.list {
		if x.State != Used || x.Layer == LayerDefault {
			continue
		}
		for _, m := range x.root.Get("email").Get("smtp").members() {
			if m.Name != keyPassword || m.Value.Kind != String || m.Value.Text == "" {
				continue
			}
			switch {
			case m.Value.Text == hiddenText:
				s.diags.Errorf(m.NamePos, "pyruse config does not print the password", "%s is no password: it stands for one", hiddenText)
			case x.Layer == LayerOption:
				s.diags.Errorf(m.NamePos, literalHint, "the password is given on the command line, where every user of the machine can read it")
			case x.readableByAll():
				s.diags.Errorf(m.NamePos, fmt.Sprintf("chmod o-r %s; %s", x.File.Name, literalHint), "the password stands in a file that every user of the machine can read")
			default:
				s.diags.Warnf(m.NamePos, literalHint, "the password stands in the configuration itself")
			}
		}
	}
}

// readableByAll reports whether the source is a file that everybody can read.
func (x *Source) readableByAll() bool {
	const readByOthers = 0o004
	return x.mode.IsRegular() && x.mode&readByOthers != 0
}

func (n *Node) members() []Member {
	if n == nil {
		return nil
	}
	return n.Members
}
