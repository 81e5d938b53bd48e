package mail

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// maxDomain is the longest domain, in characters (RFC 5321, 4.5.3.1.2). Punycode of a longer one could take long.
const maxDomain = 255

// domains writes domains in ASCII as a look-up needs them, and checks the length of their labels.
var domains = idna.New(idna.MapForLookup(), idna.BidiRule(), idna.VerifyDNSLength(true))

// ASCIIAddress returns a mail address with its domain in ASCII, as IDNA (RFC 5890) writes it, for mail servers
// that know no other domains. The local part stays as it is.
func ASCIIAddress(addr string) (string, error) {
	at := strings.LastIndexByte(addr, '@')
	if at <= 0 || at == len(addr)-1 {
		return "", fmt.Errorf("%q is no mail address", addr)
	}
	domain, err := asciiDomain(addr[at+1:])
	if err != nil {
		return "", fmt.Errorf("mail address %q: %w", addr, err)
	}
	return addr[:at+1] + domain, nil
}

func asciiDomain(domain string) (string, error) {
	if ascii(domain) {
		return domain, nil
	}
	if utf8.RuneCountInString(domain) > maxDomain {
		return "", fmt.Errorf("domain has more than %d characters", maxDomain)
	}
	domain, err := domains.ToASCII(domain)
	if err != nil {
		return "", fmt.Errorf("write domain in ASCII: %w", err)
	}
	return domain, nil
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// plainDomain reports whether a domain, or an address in brackets, can stand in a command.
func plainDomain(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r > '~' || strings.ContainsRune(`<>()"\,;@`, r)
	})
}

// mailbox returns an address, without a name, as MAIL and RCPT have it (RFC 5321, 4.1.2; RFC 6531, 3.3): the domain is in ASCII, and
// the local part quoted if need be. Nothing in it can end the address or the command.
func mailbox(addr string) (string, error) {
	addr, err := ASCIIAddress(addr)
	if err != nil {
		return "", err
	}
	at := strings.LastIndexByte(addr, '@')
	local, domain := addr[:at], addr[at+1:]
	if !plainDomain(domain) || !utf8.ValidString(local) || Visible(local, "") != local {
		return "", fmt.Errorf("%q is no mail address", addr)
	}
	if !dotString(local) && !quotedString(local) {
		local = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(local) + `"`
	}
	return local + "@" + domain, nil
}

// dotString reports whether a local part needs no quotes.
func dotString(s string) bool {
	for atom := range strings.SplitSeq(s, ".") {
		if atom == "" || strings.ContainsFunc(atom, func(r rune) bool {
			return r < utf8.RuneSelf && (r <= ' ' || strings.ContainsRune(`()<>[]:;@\,"`, r))
		}) {
			return false
		}
	}
	return true
}

// quotedString reports whether a local part is in quotes already.
func quotedString(s string) bool {
	inner, ok := strings.CutPrefix(s, `"`)
	if inner, ok = cutLast(inner, ok); !ok {
		return false
	}
	for i := 0; i < len(inner); i++ {
		switch inner[i] {
		case '"':
			return false
		case '\\':
			if i++; i == len(inner) {
				return false
			}
		}
	}
	return true
}

func cutLast(s string, ok bool) (string, bool) {
	inner, closed := strings.CutSuffix(s, `"`)
	return inner, ok && closed
}
