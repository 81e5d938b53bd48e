package report

import (
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"
)

// What is looked at of a line. What comes behind is in no template, which ends with anyTail then.
const (
	maxLooked = 2000 // bytes; more than nearly all lines have
	maxWords  = 200
)

// mask makes the text of a template of a line: what is a variable by its form becomes a wildcard with a type, all else stays literal. What is
// a variable only by its meaning (users, hosts, files) is left to the comparison of lines.
//
//   - Numbers, with sign and decimals, are <num>; a unit behind it stays ("<num>ms", "<num>%").
//   - Addresses are <ip>; a port or prefix length behind it is a number of its own. <mac>, <uuid>, <email> and <pci> (0000:00:1f.2) are whole.
//   - <time> is a date or a clock time without a blank in it, <date> one of RFC 3164, asctime or RFC 9110 with blanks in it.
//   - <hex> is 0x… and everything of at least 8 hexadecimal digits of which one is below "a" and one is not.
//   - <id> is what mixes letters and digits like nothing that was meant to be read, see opaque.
//   - <agent> is a User-Agent in double quotes: free text that says as much as a number.
//   - Words of letters with few digits stay (ssh2, eth0, sda1, sha256, TLSv1.3). Lines that differ in these digits only are found later.
//   - In paths and URLs the parts are masked one by one ("/run/user/<num>"). Other quoted texts are as telling as unquoted ones.
type masker struct {
	out   []byte
	words int
}

// mask returns a buffer that is valid until the next call.
func (m *masker) mask(message string) []byte {
	m.out, m.words = m.out[:0], 0
	text, cut := looked(message)
	for i := 0; i < len(text); {
		end := wordEnd(text, i)
		if m.words == maxWords && end > i {
			cut = true
			break
		}
		if n := m.agent(text, i); n > 0 {
			i += n
			continue
		}
		if n := m.whole(text, i); n > 0 {
			m.words++
			i += n
			continue
		}
		if end == i {
			end = i + max(1, separator(text, i))
			m.out = append(m.out, text[i:end]...)
			i = end
			continue
		}
		m.words++
		m.word(text[i:end])
		i = end
	}
	if cut {
		m.out = append(m.out, anyTail...)
	}
	return m.out
}

// looked returns what is looked at of a message, escaped and in UTF-8. It does not end within a word.
func looked(message string) (text string, cut bool) {
	if len(message) > maxLooked {
		message, cut = message[:maxLooked], true
		message = message[:endOfSpace(message)]
	}
	if !utf8.ValidString(message) {
		var b []byte
		for _, r := range message { // one U+FFFD for each byte, as regular expressions see it
			b = utf8.AppendRune(b, r)
		}
		message = string(b)
	}
	if strings.ContainsAny(message, `<\`) {
		message = string(appendEscaped(nil, message))
	}
	return message, cut
}

// endOfSpace returns where the last white space of the text ends.
func endOfSpace(text string) int {
	i := strings.LastIndexFunc(text, func(r rune) bool {
		return unicode.IsSpace(r) || r >= '\x1c' && r <= '\x1f'
	})
	if i < 0 {
		return 0
	}
	_, n := utf8.DecodeRuneInString(text[i:])
	return i + n
}

// The separators. Words end at white space, quotes, angle brackets and bars; outside of the query of a URL also at the other
// brackets, commas and semicolons; outside of paths and URLs also at colons and equals signs.
const (
	inWord = iota
	endsAll
	endsPath
	endsPlain
)

var separators = func() (s [utf8.RuneSelf]byte) {
	for _, c := range "\t\n\v\f\r \x1c\x1d\x1e\x1f\"'`>|" { // the white space is that of Python
		s[c] = endsAll
	}
	for _, c := range "()[]{},;" {
		s[c] = endsPath
	}
	s[':'], s['='] = endsPlain, endsPlain
	return s
}()

// separator returns the length of the separator that the text has at i, and 0 if there is none.
func separator(text string, i int) int {
	switch c := text[i]; {
	case c == '\\':
		if strings.HasPrefix(text[i:], `\<`) {
			return 2
		}
		return 0
	case c < utf8.RuneSelf:
		return min(1, int(separators[c]))
	default:
		r, n := utf8.DecodeRuneInString(text[i:])
		if unicode.IsSpace(r) {
			return n
		}
		return 0
	}
}

// wordEnd returns where the word that begins at i ends, and i if there is no word. The dots that end a sentence are no part of a word.
// The text is escaped and may have wildcards in it.
func wordEnd(text string, i int) int {
	ends := byte(endsPlain)
	path := text[i] == '/' || hasScheme(text[i:])
	if path {
		ends = endsPath
	}
	j := i
scan:
	for j < len(text) {
		c := text[j]
		switch {
		case c == '<':
			end := strings.IndexByte(text[j:], '>')
			if end < 0 {
				return len(text) // no template; nobody asks
			}
			j += end + 1
		case c == '\\':
			if separator(text, j) > 0 {
				break scan
			}
			j += 2
		case c >= utf8.RuneSelf:
			r, n := utf8.DecodeRuneInString(text[j:])
			if unicode.IsSpace(r) {
				break scan
			}
			j += n
		case separators[c] != inWord && separators[c] <= ends:
			break scan
		default:
			if c == '?' && path {
				ends = endsAll
			}
			j++
		}
	}
	trim := ".!?"
	if path {
		trim = ".!?:;,="
	}
	for j > i && strings.IndexByte(trim, text[j-1]) >= 0 {
		j--
	}
	return j
}

// hasScheme reports whether the text begins like a URL.
func hasScheme(text string) bool {
	const longest = 10
	for i := 0; i < len(text) && i <= longest; i++ {
		if !isLetter(text[i]) {
			return i > 0 && strings.HasPrefix(text[i:], "://")
		}
	}
	return false
}

func (m *masker) wildcard(name string) { m.out = append(append(append(m.out, '<'), name...), '>') }

// agent masks a User-Agent: a quoted text that begins with a product and its version (RFC 9110, section 10.1.5).
func (m *masker) agent(text string, i int) int {
	if text[i] != '"' || i+1 == len(text) || !isLetter(text[i+1]) {
		return 0
	}
	j := i + 1
	for j < len(text) && (isAlnum(text[j]) || text[j] == '-' || text[j] == '.') {
		j++
	}
	if j+1 >= len(text) || text[j] != '/' || !isDigit(text[j+1]) || text[i+1:j] == "HTTP" {
		return 0
	}
	n := strings.IndexByte(text[j:], '"')
	if n < 0 {
		return 0
	}
	m.out = append(m.out, `"<agent>"`...)
	return j + n + 1 - i
}

// whole masks the variables that have separators in them. It returns the length of what it masked.
func (m *masker) whole(text string, i int) int {
	if m.words == maxWords || i > 0 && !isBoundary(text[i-1]) {
		return 0
	}
	s := text[i:]
	switch c := s[0]; {
	case c >= 'A' && c <= 'Z':
		if n := dateLen(s); n > 0 {
			m.wildcard("date")
			return n
		}
	case isDigit(c):
		if n := dateLen(s); n > 0 {
			m.wildcard("date")
			return n
		}
		if n := timeLen(s); n > 0 && (i < 2 || text[i-1] != ':' || !isDigit(text[i-2])) {
			m.wildcard("time")
			return n
		}
	}
	if !isHex(s[0]) && s[0] != ':' {
		return 0
	}
	name, n := colons(s)
	if n > 0 {
		m.wildcard(name)
	}
	return n
}

// colons finds what is written in hexadecimal digits with colons between them.
func colons(s string) (name string, n int) {
	count := 0
	for n < len(s) && (isHex(s[n]) || s[n] == ':' || s[n] == '.') {
		if s[n] == ':' {
			count++
		}
		n++
	}
	if count < 2 || n < len(s) && (isAlnum(s[n]) || s[n] == '_') {
		return "", 0
	}
	for _, end := range []int{n, len(strings.TrimRight(s[:n], ".")), len(strings.TrimRight(s[:n], ".:"))} {
		switch run := s[:end]; {
		case isMAC(run):
			return "mac", end
		case isPCI(run):
			return "pci", end
		case run == "::" && n < len(s) && s[n] == ':':
		default:
			if _, err := netip.ParseAddr(run); err == nil {
				return "ip", end
			}
		}
	}
	return "", 0
}

// isMAC reports whether s is at least six groups of two digits.
func isMAC(s string) bool {
	if len(s) < 17 || len(s)%3 != 2 {
		return false
	}
	for i := range len(s) {
		if i%3 == 2 && s[i] != s[2] || i%3 != 2 && !isHex(s[i]) {
			return false
		}
	}
	return s[2] == ':' || s[2] == '-'
}

// isPCI reports whether s is domain, bus, device and function.
func isPCI(s string) bool {
	return fits(s, "hhhh:hh:hh.d") && s[11] < '8'
}

// fits reports whether s has the form: d is a digit, h a hexadecimal digit, a a letter, all else is itself.
func fits(s, form string) bool { return len(s) == len(form) && begins(s, form) }

func begins(s, form string) bool {
	if len(s) < len(form) {
		return false
	}
	for i := range len(form) {
		switch c := s[i]; form[i] {
		case 'd':
			if !isDigit(c) {
				return false
			}
		case 'h':
			if !isHex(c) {
				return false
			}
		case 'a':
			if !isLetter(c) {
				return false
			}
		default:
			if c != form[i] {
				return false
			}
		}
	}
	return true
}

// timeLen returns the length of the date, the time, or both joined, that s begins with, and 0 if it begins with none.
func timeLen(s string) int {
	n := 0
	switch {
	case begins(s, "dddd-dd-dd"), begins(s, "dddd/dd/dd"):
		n = 10
		if n+1 < len(s) && (s[n] == 'T' || s[n] == '_') {
			if c := clockLen(s[n+1:]); c > 0 {
				n += 1 + c
			}
		}
	case begins(s, "dd/aaa/dddd:"): // the Common Log Format
		if c := clockLen(s[12:]); c > 0 {
			n = 12 + c
		}
	default:
		n = clockLen(s)
	}
	if n < len(s) && (isWordByte(s[n]) || s[n] == ':') {
		return 0
	}
	return n
}

// clockLen returns the length of hours, minutes, seconds, their fraction, and the zone, and 0 if they are none.
func clockLen(s string) int {
	n := 8
	if begins(s, "d:dd:dd") {
		n = 7
	} else if !begins(s, "dd:dd:dd") {
		return 0
	}
	if begins(s[n:], ".d") || begins(s[n:], ",d") {
		n += 1 + digitsLen(s[n+1:])
	}
	switch zone := s[n:]; {
	case strings.HasPrefix(zone, "Z"):
		return n + 1
	case begins(zone, "+dd:dd"), begins(zone, "-dd:dd"):
		return n + 6
	case begins(zone, "+dddd"), begins(zone, "-dddd"):
		return n + 5
	}
	return n
}

func digitsLen(s string) int {
	n := 0
	for n < len(s) && isDigit(s[n]) {
		n++
	}
	return n
}

const (
	monthNames = "JanFebMarAprMayJunJulAugSepOctNovDec"
	dayNames   = "SunMonTueWedThuFriSat"
)

func nameOf(s, names string) bool {
	return len(s) >= 3 && strings.Index(names, s[:3])%3 == 0
}

// dateLen returns the length of a date with blanks in it that s begins with, and 0 if it begins with none:
// "Jan  2 03:04:05" (RFC 3164), "Mon Jan  2 03:04:05 2006" (asctime), "Mon, 02 Jan 2006 03:04:05" (RFC 9110, RFC 5322).
func dateLen(s string) int {
	n := 0
	if nameOf(s, dayNames) {
		n = 3
		if strings.HasPrefix(s[n:], ",") {
			n++
		}
		if !strings.HasPrefix(s[n:], " ") {
			return 0
		}
		n++
	}
	switch d := s[n:]; {
	case nameOf(d, monthNames) && (begins(d[3:], " dd ") || begins(d[3:], "  d ")):
		n += 7
	case nameOf(d, monthNames) && begins(d[3:], " d "):
		n += 6
	case begins(d, "dd aaa dddd ") && nameOf(d[3:], monthNames):
		n += 12
	default:
		return 0
	}
	if !begins(s[n:], "dd:dd:dd") {
		return 0
	}
	n += 8
	if begins(s[n:], ".d") {
		n += 1 + digitsLen(s[n+1:])
	}
	if begins(s[n:], " dddd") && (n+5 == len(s) || isBoundary(s[n+5])) {
		n += 5
	}
	if n < len(s) && separator(s, n) == 0 {
		return 0
	}
	return n
}

// word masks a word without separators in it, or a path.
func (m *masker) word(s string) {
	switch {
	case isEmail(s):
		m.wildcard("email")
		return
	case isBase64(s):
		m.wildcard("id")
		return
	}
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case isWordByte(c):
			i += m.atom(s[i:])
		case i == 0 && (c == '-' || c == '+') && len(s) > 1 && isDigit(s[1]) && !isMAC(s):
			i += 1 + m.number(s[1:], s[:1])
		case c == '\\':
			m.out = append(m.out, s[i:i+2]...)
			i += 2
		default:
			m.out = append(m.out, c)
			i++
		}
	}
}

// number masks the digits that s begins with, or the atom if they are no number. The sign is in the wildcard if there is one.
func (m *masker) number(s, sign string) int {
	n := numberLen(s)
	if n > 0 {
		m.out = append(m.out, "<num>"...)
		return n
	}
	m.out = append(m.out, sign...)
	return m.atom(s)
}

// atom masks the letters and digits that s begins with. It returns their length, which is more if a variable goes further.
func (m *masker) atom(s string) int {
	end := 1
	for end < len(s) && isWordByte(s[end]) {
		end++
	}
	if end == 8 && len(s) >= 36 && fits(s[:36], "hhhhhhhh-hhhh-hhhh-hhhh-hhhhhhhhhhhh") && !wordGoesOn(s, 36) {
		m.wildcard("uuid")
		return 36
	}
	if end == 2 && len(s) >= 17 && isMAC(s[:17]) && !wordGoesOn(s, 17) {
		m.wildcard("mac")
		return 17
	}
	if isDigit(s[0]) {
		if n := timeLen(s); n > 0 {
			m.wildcard("time")
			return n
		}
		if n := addressLen(s); n > 0 {
			m.wildcard("ip")
			return n
		}
	}
	a := s[:end]
	switch {
	case isHexID(a):
		m.wildcard("hex")
	case wellKnown(s, a):
		n := wellKnownLen(s, a)
		m.out = append(m.out, s[:n]...)
		return n
	case isDigit(a[0]) && numberLen(s) > 0:
		n := numberLen(s)
		m.out = append(m.out, "<num>"...)
		return n + m.unit(s[n:])
	case opaque(a):
		m.wildcard("id")
	default:
		return m.plain(s, a)
	}
	return end
}

// plain writes an atom that is neither a number nor an ID. A long number behind letters is masked; a short one says something.
func (m *masker) plain(s, a string) int {
	const longest = 5 // curve25519, and no process or request ID of a busy machine
	end := len(a)
	for end > 0 && isDigit(a[end-1]) {
		end--
	}
	letters := a[:end]
	if len(a)-end > longest {
		m.out = append(append(m.out, letters...), "<num>"...)
		return len(a)
	}
	m.out = append(m.out, a...)
	if end == len(a) || end == 0 {
		return len(a)
	}
	n := len(a) // a version that is glued to its word, as in TLSv1.3
	for n+1 < len(s) && s[n] == '.' && isDigit(s[n+1]) {
		v := n + 1 + digitsLen(s[n+1:])
		if v-n > 3 || v < len(s) && isWordByte(s[v]) {
			break
		}
		m.out = append(m.out, s[n:v]...)
		n = v
	}
	return n
}

// numberLen returns the length of the number that s begins with, and 0 if the digits are the beginning of something else.
func numberLen(s string) int {
	n, dot := 0, 0
	for n < len(s) && (isDigit(s[n]) || s[n] == '.' && n > 0 && n+1 < len(s) && isDigit(s[n+1])) {
		if s[n] == '.' && dot == 0 {
			dot = n
		}
		n++
	}
	if wordGoesOn(s, n) && unitLen(s[n:]) == 0 {
		return dot
	}
	return n
}

// units are the letters that may follow a number without a blank.
var units = wordSet(`ns us µs μs ms s sec secs m min mins h hr hrs d day days w week weeks month months y
	B b K k KB kB kb KiB M MB Mb MiB G GB Gb GiB T TB Tb TiB P PB PiB bit bits byte bytes bps kbps Kbps Mbps Gbps KBps MBps
	Hz kHz KHz MHz GHz V mV kV A mA W mW kW kWh Wh C F K dB dBm px x th st nd rd pages`)

// unitLen returns the length of the unit that s begins with; numbers with units may follow, as in 1h2min3.5s.
func unitLen(s string) int {
	n := 0
	for n < len(s) && isWordByte(s[n]) && !isDigit(s[n]) {
		n++
	}
	if !units[s[:n]] || n < len(s) && isWordByte(s[n]) && numberLen(s[n:]) == 0 {
		return 0
	}
	return n
}

// unit writes the unit, with the numbers and units that follow.
func (m *masker) unit(s string) int {
	n := unitLen(s)
	m.out = append(m.out, s[:n]...)
	if n > 0 && n < len(s) && isDigit(s[n]) {
		d := numberLen(s[n:])
		m.out = append(m.out, "<num>"...)
		return n + d + m.unit(s[n+d:])
	}
	return n
}

// addressLen returns the length of the IPv4 address that s begins with.
func addressLen(s string) int {
	n, dots := 0, 0
	for n < len(s) && n < len("255.255.255.255")+1 && (isDigit(s[n]) || s[n] == '.') {
		if s[n] == '.' {
			dots++
		}
		n++
	}
	if n > 0 && s[n-1] == '.' {
		n--
		dots--
	}
	if dots != 3 || wordGoesOn(s, n) || n+1 < len(s) && s[n] == '.' && isDigit(s[n+1]) {
		return 0
	}
	if _, err := netip.ParseAddr(s[:n]); err != nil {
		return 0
	}
	return n
}

// isHexID reports whether an atom is 0x…, or hexadecimal digits so many that nobody reads them.
func isHexID(a string) bool {
	const shortest = 8
	prefixed := len(a) > 2 && a[0] == '0' && (a[1] == 'x' || a[1] == 'X')
	if prefixed {
		a = a[2:]
	}
	letter, digit := false, false
	for i := range len(a) {
		if !isHex(a[i]) {
			return false
		}
		letter = letter || !isDigit(a[i])
		digit = digit || isDigit(a[i])
	}
	return prefixed || len(a) >= shortest && letter && digit
}

// readable are words that have the form of an ID, or of a number behind punctuation, and are none. In lower case.
var readable = wordSet(`x86_64 http/1.0 http/1.1 http/2.0 http/3.0 sha256sum sha512sum sha512crypt utf8mb3 utf8mb4
	secp256r1 secp384r1 secp521r1 prime256v1 sntrup761x25519 mlkem768x25519 aes128gcm aes256gcm aes128cbc aes256cbc`)

const longestReadable = len("sntrup761x25519")

// wellKnown reports whether an atom is readable, or the beginning of something that is.
func wellKnown(s, a string) bool { return wellKnownLen(s, a) > 0 }

func wellKnownLen(s, a string) int {
	if len(a) > longestReadable {
		return 0
	}
	switch a[0] | 0x20 {
	case 'x', 'h':
		for _, n := range []int{len("x86_64"), len("http/1.1")} {
			if len(s) >= n && len(a) < n && readable[strings.ToLower(s[:n])] && !wordGoesOn(s, n) {
				return n
			}
		}
	}
	if len(a) >= len("utf8mb4") && readable[strings.ToLower(a)] || isDevice(a) {
		return len(a)
	}
	return 0
}

// isDevice reports whether an atom is the name of a network interface (systemd.net-naming-scheme(7)) or of an NVMe disk: short
// numbers, each with one or few letters before it.
func isDevice(a string) bool {
	if !strings.HasPrefix(a, "nvme") && !strings.HasPrefix(a, "en") && !strings.HasPrefix(a, "wl") && !strings.HasPrefix(a, "ww") {
		return false
	}
	digits, letters := 0, 0
	for i := range len(a) {
		if isDigit(a[i]) {
			digits, letters = digits+1, 0
		} else {
			digits, letters = 0, letters+1
		}
		if digits > 3 || letters > 4 || a[i] < '0' || a[i] > 'z' {
			return false
		}
	}
	return digits > 0
}

// opaque reports whether an atom is an ID: letters and digits mixed as no word has them. A word with a number behind it is none.
func opaque(a string) bool {
	const (
		long, longDigits            = 8, 3    // queue IDs, short container IDs
		short, shortDigits, changes = 6, 2, 3 // abbreviated commits: letters and digits change places at least three times
		longest                     = 64      // no word without a digit has more
	)
	if len(a) < short {
		return false
	}
	n := sorts(a)
	if n.others > 0 {
		return false
	}
	if n.digits == 0 {
		return len(a) > longest
	}
	changed := 0
	for i := range len(a) - 1 {
		if isDigit(a[i+1]) != isDigit(a[i]) {
			changed++
		}
	}
	if changed == 1 && isLetter(a[0]) {
		return false
	}
	mixed := n.upper > 0 && n.lower > 0
	return len(a) >= long && (n.digits >= longDigits || mixed) || n.digits >= shortDigits && changed >= changes
}

// characters is how many characters of each sort a word has; what is neither a digit nor an ASCII letter is another one.
type characters struct{ digits, upper, lower, others int }

func sorts(s string) (n characters) {
	for i := range len(s) {
		switch c := s[i]; {
		case isDigit(c):
			n.digits++
		case c >= 'a' && c <= 'z':
			n.lower++
		case c >= 'A' && c <= 'Z':
			n.upper++
		default:
			n.others++
		}
	}
	return n
}

// isEmail reports whether a word is a mail address with a dotted domain. The template units of systemd look alike.
func isEmail(s string) bool {
	at := strings.IndexByte(s, '@')
	if at < 1 || at != strings.LastIndexByte(s, '@') || s[0] == '/' {
		return false
	}
	for i := range at {
		if !isWordByte(s[i]) && strings.IndexByte("._%+~$!#&*-", s[i]) < 0 {
			return false
		}
	}
	domain := s[at+1:]
	dot := strings.LastIndexByte(domain, '.')
	if dot < 1 || len(domain)-dot < 3 || unitKinds[domain[dot+1:]] {
		return false
	}
	for i := range len(domain) {
		if !isWordByte(domain[i]) && domain[i] != '.' && domain[i] != '-' || i > dot && isDigit(domain[i]) {
			return false
		}
	}
	return true
}

// unitKinds are the kinds of units (systemd.unit(5)).
var unitKinds = wordSet("service socket device mount automount swap target path timer slice scope")

// isBase64 reports whether a word is a key, a fingerprint or a token.
func isBase64(s string) bool {
	const shortest = 32
	if len(s) < shortest || s[0] == '/' {
		return false
	}
	n := sorts(s)
	signs := 0
	for i := range len(s) {
		if strings.IndexByte("+/-_", s[i]) >= 0 {
			signs++
		}
	}
	return min(n.upper, n.lower, n.digits) > 2 && n.others == signs && signs <= len(s)/10
}

func wordSet(words string) map[string]bool {
	set := map[string]bool{}
	for _, w := range strings.Fields(words) {
		set[w] = true
	}
	return set
}

func isDigit(c byte) bool  { return c >= '0' && c <= '9' }
func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
func isAlnum(c byte) bool  { return isDigit(c) || isLetter(c) }
func isHex(c byte) bool    { return isDigit(c) || c|0x20 >= 'a' && c|0x20 <= 'f' }

// isWordByte reports whether c is a letter or a digit, or a part of one; what is not ASCII counts as letters.
func isWordByte(c byte) bool { return isAlnum(c) || c >= utf8.RuneSelf }

func wordGoesOn(s string, n int) bool { return n < len(s) && isWordByte(s[n]) }

// isBoundary reports whether c ends a separator.
func isBoundary(c byte) bool {
	return c < utf8.RuneSelf && (separators[c] != inWord || c == '<' || strings.IndexByte(".!?", c) >= 0)
}
