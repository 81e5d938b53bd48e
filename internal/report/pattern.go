package report

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Template stands for all lines of one service that differ only in what its wildcards cover. It is its own identity.
//
// Text is the line with a "<name>" for each wildcard (see wildcards). A backslash before "<" and before a backslash makes these
// literal. What was no UTF-8 is U+FFFD. White space and punctuation are those of the lines.
type Template struct{ Service, Text string }

// Part is a piece of a template: literal text, or the name of a wildcard.
type Part struct {
	Wildcard bool
	Text     string
}

// The wildcards that more is done with than to print them.
const (
	anyWord = "<*>"   // a name: what only the comparison of lines reveals
	anyID   = "<id>"  // the only one that covers others: <num> and <hex>
	anyTail = "<...>" // what is behind the bounds, at the end only
)

// wildcards are the expressions for what each may cover. All are flat: no repetition within a repetition.
var wildcards = map[string]string{
	"*":     `\S+`,
	"...":   `[\s\S]*`,
	"num":   `[-+]?[0-9][0-9.]*`,
	"hex":   `(?:0[xX])?[0-9A-Fa-f]+`,
	"id":    `[0-9A-Za-z+/._-]+`,
	"ip":    `[0-9A-Fa-f:.]+`,
	"mac":   `[0-9A-Fa-f:-]{17,}`, // longer: the whole header of a frame, as the kernel logs it
	"uuid":  `[0-9A-Fa-f-]{36}`,
	"pci":   `[0-9A-Fa-f]{4}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-7]`,
	"email": `[^\s@]+@[^\s@]+`,
	"time":  `[0-9]{1,4}[-:/][0-9A-Za-z:.,/+-]+`,
	"date":  `[A-Z0-9][A-Za-z0-9, ]*[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?(?: [0-9]{4})?`,
	"agent": `[^"]+`,
}

// onlyTail is the expression for a line that has no end of a word within the bound: it has at least as many characters as the
// bound has bytes / 4. Without that it would match every line.
var onlyTail = fmt.Sprintf(`^\S{%d}[\s\S]*$`, min(maxLooked/utf8.UTFMax, 1000))

// ParseTemplate splits the text of a template. Written one after the other, the literal ones escaped, the parts give the same text. It is an error if the text has a
// "<" that no wildcard begins with, or a backslash before anything but "<" and a backslash.
func ParseTemplate(text string) ([]Part, error) {
	var parts []Part
	var literal strings.Builder
	flush := func() {
		if literal.Len() > 0 {
			parts = append(parts, Part{Text: literal.String()})
			literal.Reset()
		}
	}
	for i := 0; i < len(text); {
		switch text[i] {
		case '\\':
			if i+1 == len(text) || text[i+1] != '<' && text[i+1] != '\\' {
				return nil, errors.New("parse the template: a backslash before neither < nor a backslash")
			}
			literal.WriteByte(text[i+1])
			i += 2
		case '<':
			name, _, ok := strings.Cut(text[i+1:], ">")
			if _, known := wildcards[name]; !ok || !known {
				return nil, errors.New("parse the template: a < without a wildcard")
			}
			flush()
			parts = append(parts, Part{Wildcard: true, Text: name})
			i += len(name) + 2
		default:
			literal.WriteByte(text[i])
			i++
		}
	}
	flush()
	return parts, nil
}

// appendEscaped appends a literal text in the form that it has in a template.
func appendEscaped(b []byte, literal string) []byte {
	for i := range len(literal) {
		if literal[i] == '<' || literal[i] == '\\' {
			b = append(b, '\\')
		}
		b = append(b, literal[i])
	}
	return b
}

// Regexp returns an expression that matches every message the template stands for, whole, and little else. It keeps to what RE2,
// PCRE and Python have in common. A text that is no template is taken literally.
func (t Template) Regexp() string {
	if t.Text == anyTail {
		return onlyTail
	}
	parts, err := ParseTemplate(t.Text)
	if err != nil {
		parts = []Part{{Text: t.Text}}
	}
	b := []byte{'^'}
	for _, p := range parts {
		if p.Wildcard {
			b = append(b, wildcards[p.Text]...)
		} else {
			b = appendQuoted(b, p.Text)
		}
	}
	return string(append(b, '$'))
}

// appendQuoted appends an expression for a literal text. Control characters get an escape, so that the expression can be read and stored
// anywhere.
func appendQuoted(b []byte, literal string) []byte {
	for _, r := range literal { // what is no UTF-8 comes as U+FFFD, which is also what it matches
		switch {
		case r == '\t':
			b = append(b, `\t`...)
		case r == '\n':
			b = append(b, `\n`...)
		case r < ' ' || r == 0x7f:
			b = fmt.Appendf(b, `\x%02x`, r)
		case r < utf8.RuneSelf && strings.ContainsRune(`\.+*?()|[]{}^$`, r):
			b = append(b, '\\', byte(r))
		default:
			b = utf8.AppendRune(b, r)
		}
	}
	return b
}

// wordClass says what may become of a word when lines are compared.
type wordClass byte

const (
	fixedWord  wordClass = iota // lines that differ in it are never in one group
	numberWord                  // a <num>, <hex> or <id>: which of them is often chance
	openWord                    // it may turn out to be a name
)

// position is a word of a template.
type position struct {
	start, end int // in the text
	class      wordClass
	letters    bool // it says something: it is no number and no punctuation
	key        bool // an equals sign follows
	hinted     bool // what is before it says that it is a name or a value
}

// telling are the words that make another kind of line, however alike the lines are otherwise. In lower case. Further ones are those with
// the endings of isParticiple.
var telling = wordSet(`open close start stop up down on off yes no true false ok okay good bad error errors err fail failure failures
	fatal critical crit emergency emerg alert warning warn notice info debug trace success successfully unsuccessful accept reject
	allow deny drop pass block permit sent lost found invalid valid illegal known online offline active inactive idle
	busy full empty ready dead alive begin end login logout logon logoff connect disconnect reconnect connection disconnection
	reset timeout read write input output create delete remove add insert update upgrade install uninstall mount unmount umount
	load unload reload enable disable enter leave left join bind unbind lock unlock attach detach set unset get put post head patch
	suspend resume power high low in out rx tx tcp udp icmp primary secondary master slave ban unban kill exit abort quit clean
	dirty hard soft spam ham virus infected bounce defer hold discard redirect greylist pickup dhcpdiscover dhcpoffer
	dhcprequest dhcpack dhcpnak dhcprelease dhcpinform dhcpdecline solicit advertise request renew rebind reply release decline
	none never always normal degraded healthy unhealthy present absent above below enough exceeds
	a an the this that is are was were be been not to of at and or with without as than then but if when while until before after
	authenticating authenticated local remote virtual new all any some every can cannot could unable will would must may has have had does do did it its`)

// The words that a name follows, which tell as well, and what can stand before a noun that a name follows.
var (
	prepositions = wordSet("for from by via named called")
	adjectives   = wordSet("invalid illegal unknown authenticating authenticated local remote virtual new")
	nouns        = wordSet(`user users username login host client server unit service file directory path device interface account
		mailbox domain zone container image volume group process program module relay peer recipient sender owner job
		task plugin package`)
)

// naming says how sure it is that the next word is a name.
type naming byte

const (
	unnamed     naming = iota
	behindNoun         // "user bob", but also "user unknown"
	behindWord         // "for bob", "from alpha"
	surelyNamed        // "for invalid user error", "user=service"
)

// next returns what a fixed word says of the one behind it.
func (n naming) next(word string, adjective bool) naming {
	switch {
	case prepositions[word]:
		return behindWord
	case nouns[word] && (n == behindWord || adjective):
		return surelyNamed
	case nouns[word]:
		return behindNoun
	}
	return unnamed
}

// isParticiple reports whether a word ends like "opened" or "closing".
func isParticiple(word string) bool {
	const shortest = 5
	if len(word) < shortest || !strings.HasSuffix(word, "ed") && !strings.HasSuffix(word, "ing") {
		return false
	}
	for i := range len(word) {
		if !isLetter(word[i]) {
			return false
		}
	}
	return true
}

// shapeOf appends the words of the text of a template.
func shapeOf(text string, shape []position) []position {
	separated := 0 // where the separators before the word begin
	named, adjective := unnamed, false
	for i := 0; i < len(text); {
		end := wordEnd(text, i)
		if end == i {
			i += max(1, separator(text, i))
			continue
		}
		before, word := text[separated:i], lower(text[i:end])
		switch {
		case before == "=" && len(shape) > 0:
			shape[len(shape)-1].key = true
			if named != unnamed {
				named = surelyNamed
			}
		case strings.Trim(before, " :") != "":
			named = unnamed
		}
		p := position{start: i, end: end, letters: hasLetters(text[i:end])}
		p.class = classOf(text[i:end], word, p.letters, named)
		if text[i:end] == "<ip>" && (named != unnamed || before == "=") {
			p.class = openWord // elsewhere it may be a host name
		}
		p.hinted = named != unnamed || strings.ContainsAny(before, "=\"'`(@[{<")
		if p.class == fixedWord {
			named = named.next(word, adjective)
		} else {
			named = unnamed
		}
		adjective = adjectives[word]
		shape = append(shape, p)
		separated, i = end, end
	}
	return shape
}

// lower is for words of letters: others are in no set.
func lower(word string) string {
	const longest = 16
	if len(word) > longest {
		return ""
	}
	return strings.ToLower(word)
}

func classOf(word, lowered string, letters bool, named naming) wordClass {
	switch {
	case word == anyWord || word == "<email>":
		return openWord
	case word == "<num>" || word == "<hex>" || word == anyID:
		if named == surelyNamed {
			return openWord // somebody tried a user 123
		}
		return numberWord
	case !letters:
		return fixedWord
	case named == surelyNamed:
		return openWord
	case telling[lowered] || nouns[lowered] || prepositions[lowered]:
		return fixedWord
	case named != behindWord && isParticiple(lowered):
		return fixedWord
	}
	return openWord
}

// hasLetters reports whether a word has letters outside of wildcards.
func hasLetters(word string) bool {
	for i := 0; i < len(word); i++ {
		switch c := word[i]; {
		case c == '<':
			i += strings.IndexByte(word[i:], '>')
		case isLetter(c) || c >= utf8.RuneSelf:
			return true
		}
	}
	return false
}

// appendBucketKey appends what lines must have in common to be compared at all: separators, fixed words, and which words are numbers.
func appendBucketKey(b []byte, text string, shape []position) []byte {
	end := 0
	for _, p := range shape {
		b = append(b, text[end:p.start]...)
		switch p.class { // "<" and a blank is in no template
		case numberWord:
			b = append(b, "< 0"...)
		case openWord:
			b = append(b, "< a"...)
		default:
			b = append(b, text[p.start:p.end]...)
		}
		end = p.end
	}
	return append(b, text[end:]...)
}
