package mail

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/emersion/go-sasl"
)

// maxCommand is the longest command, in bytes, with its CRLF (RFC 5321, 4.5.3.1.4). A first response that does not fit is
// sent after an empty challenge (RFC 4954, 4).
const maxCommand = 512

// checkAuth finds out whether the credentials are what the mechanism needs.
func (s *SMTP) checkAuth() error {
	needs := map[string][]string{
		"": nil, sasl.Plain: {"username", "secret"}, sasl.Login: {"username", "secret"},
		sasl.OAuthBearer: {"secret"}, sasl.External: {"certificate"}, sasl.Anonymous: nil,
	}
	has := map[string]bool{"username": s.Username != "", "secret": s.Secret != nil, "certificate": s.CertFile != ""}
	what, ok := needs[s.Auth]
	if !ok {
		return fmt.Errorf("%q is no SASL mechanism that is known here", s.Auth)
	}
	for _, n := range what {
		if !has[n] {
			return fmt.Errorf("%s needs a %s", s.Auth, n)
		}
	}
	switch some := has["username"] || has["secret"] || has["certificate"]; {
	case s.TLS == NoTLS && (some || s.Auth != ""):
		return errors.New(`without TLS ("tls" is "none"), nothing is sent that authenticates: leave the credentials out`)
	case s.Auth == "" && has["username"] && !has["secret"] && !has["certificate"]:
		return errors.New("a username alone does not authenticate: there is neither a secret nor a certificate")
	case strings.ContainsFunc(s.Username, unicode.IsControl):
		return fmt.Errorf("username %q has control characters", s.Username)
	}
	return nil
}

// readSecret returns the secret, or "" if none is going to be used.
func (s *SMTP) readSecret(ctx context.Context) (string, error) {
	if s.Secret == nil || s.Auth == sasl.External || s.Auth == sasl.Anonymous {
		return "", nil
	}
	return s.Secret.Read(ctx)
}

// authenticate uses the mechanism that is named, or the strongest one, or none.
func (c *session) authenticate(secret string) error {
	s := c.smtp
	_, list := c.client.Extension("AUTH")
	mech, err := choose(s.Auth, strings.Fields(strings.ToUpper(list)), secret != "", s.CertFile != "")
	if err != nil {
		return errors.New(c.wire.show(err.Error(), maxServerText))
	}
	if mech == "" {
		return nil
	}
	client, err := s.mechanism(mech, secret)
	if err != nil {
		return fmt.Errorf("authenticate with %s: %w", mech, err)
	}
	c.wire.mode = secrets
	c.wire.begin("AUTH " + mech)
	err = c.client.Auth(client)
	c.wire.mode = commands
	if err != nil {
		return fmt.Errorf("authenticate as %q with %s: %w", s.Username, mech, c.describe(err))
	}
	return nil
}

// choose returns the mechanism to be used, "" for none. Without a name, a certificate is stronger than a password.
// OAUTHBEARER is only guessed where no password would do, as a password is no token; ANONYMOUS never is.
func choose(named string, offered []string, secret, certificate bool) (string, error) {
	offers := func(mech string) bool { return slices.Contains(offered, mech) }
	list := "no authentication"
	if len(offered) > 0 {
		list = "only " + strings.Join(offered, ", ")
	}
	switch {
	case named != "" && offers(named):
		return named, nil
	case named != "":
		return "", fmt.Errorf("server does not offer %s, but %s", named, list)
	case certificate && offers(sasl.External):
		return sasl.External, nil
	case !secret:
		// The server may know a certificate without EXTERNAL.
		return "", nil
	case offers(sasl.Plain):
		return sasl.Plain, nil
	case offers(sasl.Login):
		return sasl.Login, nil
	case offers(sasl.OAuthBearer):
		return sasl.OAuthBearer, nil
	}
	return "", fmt.Errorf("server offers no mechanism for a secret (PLAIN, LOGIN, OAUTHBEARER), but %s", list)
}

// mechanism returns the client side of a mechanism.
func (s *SMTP) mechanism(mech, secret string) (sasl.Client, error) {
	var client sasl.Client
	switch mech {
	case sasl.External:
		client = sasl.NewExternalClient(s.Username)
	case sasl.Anonymous:
		client = sasl.NewAnonymousClient(s.Username)
	case sasl.OAuthBearer:
		if strings.ContainsFunc(secret, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return nil, errors.New("token has characters that no token can have (RFC 6750, 2.1)")
		}
		// RFC 5801, 4: a comma would end the name.
		name := strings.NewReplacer("=", "=3D", ",", "=2C").Replace(s.Username)
		client = sasl.NewOAuthBearerClient(&sasl.OAuthBearerOptions{Username: name, Token: secret})
	default:
		if s.Username == "" {
			return nil, errors.New("there is no username")
		}
		if mech == sasl.Login {
			return &loginClient{answers: []string{s.Username, secret}}, nil
		}
		client = sasl.NewPlainClient("", s.Username, secret)
	}
	return &patientClient{Client: client}, nil
}

// loginClient is LOGIN (draft-murchison-sasl-login-00), which asks for the name, then for the password. The words of the
// questions differ from server to server and mean nothing. The client of go-sasl insists on "Password:", and sends the
// name with the command, which that draft does not know.
type loginClient struct{ answers []string }

func (*loginClient) Start() (string, []byte, error) { return sasl.Login, nil, nil }

func (l *loginClient) Next([]byte) ([]byte, error) {
	if len(l.answers) == 0 {
		return nil, sasl.ErrUnexpectedServerChallenge
	}
	answer := l.answers[0]
	l.answers = l.answers[1:]
	return []byte(answer), nil
}

// patientClient keeps a first response that does not fit into a command until the server asks for it.
type patientClient struct {
	sasl.Client
	kept []byte
}

func (p *patientClient) Start() (string, []byte, error) {
	mech, first, err := p.Client.Start()
	if len("AUTH ")+len(mech)+len(" ")+base64.StdEncoding.EncodedLen(len(first))+len("\r\n") > maxCommand {
		p.kept, first = first, nil
	}
	return mech, first, err
}

func (p *patientClient) Next(challenge []byte) ([]byte, error) {
	if first := p.kept; first != nil {
		p.kept = nil
		return first, nil
	}
	return p.Client.Next(challenge)
}

// secretForms returns the forms of a secret that must not be shown when a server repeats them: as it is, quoted, and in base64 as it
// was sent, at each of the three places where a group of it can begin.
func secretForms(secret string) []string {
	if secret == "" {
		return nil
	}
	const shortest = 4 // shorter pieces of base64 occur in any text
	var forms []string
	for i := range 3 {
		// The first and the last characters depend on what is around the secret.
		raw := base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat("\x00", i) + secret))
		begin := (i*8 + 5) / 6
		end := (i + len(secret)) * 8 / 6
		if end-begin >= shortest {
			forms = append(forms, raw[begin:end])
		}
	}
	return append(forms, secret, strings.Trim(strconv.Quote(secret), `"`))
}
