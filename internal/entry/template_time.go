package entry

import (
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// A strftime directive is '%', flags, a width, a modifier and a code. The codes are
// those of the GNU C library in its C locale (strftime(3)) and Python's %f. As there,
// a directive that does not exist is text.
type directive struct {
	text     string // all of it
	pad      byte   // '-', '_' or '0'; 0: as the code has it
	upper    bool   // the flag '^'
	swap     bool   // the flag '#'
	width    int
	modifier byte // 'E', 'O' or 0; they change nothing in the C locale
	code     rune
}

// layouts are the codes for which package time has a layout. Its names of days and
// months are those of the C locale.
var layouts = map[rune]string{
	'a': "Mon", 'A': "Monday", 'b': "Jan", 'h': "Jan", 'B': "January", 'p': "PM", 'P': "PM", 'Z': "MST",
	'c': "Mon Jan _2 15:04:05 2006", 'D': "01/02/06", 'x': "01/02/06", 'F': "2006-01-02",
	'r': "03:04:05 PM", 'R': "15:04", 'T': "15:04:05", 'X': "15:04:05",
}

// The codes that may follow a modifier. With any other code, glibc takes the
// directive for text.
const (
	codesWithE = "cCxXyYprRTntsuPZ%"
	codesWithO = "bBhdeHIjklmMSuUVwWyCgGpPrRTnts%"
)

// nextDirective reads the directive at the beginning of format.
func nextDirective(format string) directive {
	var d directive
	i := 1
	for ; i < len(format); i++ {
		switch c := format[i]; c {
		case '-', '_', '0':
			d.pad = c
			continue
		case '^':
			d.upper = true
			continue
		case '#':
			d.swap = true
			continue
		}
		break
	}
	for ; i < len(format) && format[i] >= '0' && format[i] <= '9'; i++ {
		d.width = min(10*d.width+int(format[i]-'0'), maxWidth+1)
	}
	if i < len(format) && (format[i] == 'E' || format[i] == 'O') {
		d.modifier = format[i]
		i++
	}
	code, size := utf8.DecodeRuneInString(format[i:])
	if size > 0 {
		d.code = code
	}
	d.text = format[:i+size]
	return d
}

// checkStrftime tells where and why a format spec does not suit a time.
func checkStrftime(format string) (at int, fault string) {
	for i := 0; i < len(format); {
		if format[i] != '%' {
			i++
			continue
		}
		d := nextDirective(format[i:])
		if d.width > maxWidth {
			return i, "a width is more than " + strconv.Itoa(maxWidth) + " characters"
		}
		i += len(d.text)
	}
	return 0, ""
}

// appendStrftime renders a time, and ends soon after MaxRendered.
func appendStrftime(dst []byte, format string, t time.Time) []byte {
	for start := len(dst); format != "" && len(dst)-start <= MaxRendered; {
		text := strings.IndexByte(format, '%')
		if text < 0 {
			return append(dst, format...)
		}
		dst = append(dst, format[:text]...)
		d := nextDirective(format[text:])
		dst = d.append(dst, t)
		format = format[text+len(d.text):]
	}
	return dst
}

// append renders the directive.
func (d *directive) append(dst []byte, t time.Time) []byte {
	start := len(dst)
	up, down := d.upper, false
	switch d.code {
	case 'a', 'A', 'b', 'B', 'h':
		up = up || d.swap
	case 'p', 'Z':
		down = d.swap
	case 'P':
		down = true
	}
	if d.modifier == 'E' && !strings.ContainsRune(codesWithE, d.code) || d.modifier == 'O' && !strings.ContainsRune(codesWithO, d.code) {
		dst = append(dst, d.text...)
	} else {
		dst = d.appendCode(dst, t)
	}
	switch {
	case down:
		lower(dst[start:])
	case up:
		upper(dst[start:])
	}
	for missing := d.width - utf8.RuneCount(dst[start:]); missing > 0; missing-- {
		pad := byte(' ')
		if d.pad == '0' {
			pad = '0'
		}
		dst = slices.Insert(dst, start, pad)
	}
	return dst
}

// appendCode renders the code of the directive.
func (d *directive) appendCode(dst []byte, t time.Time) []byte {
	if layout, ok := layouts[d.code]; ok {
		return t.AppendFormat(dst, layout)
	}
	switch d.code {
	case 's':
		return strconv.AppendInt(dst, t.Unix(), 10)
	case 'z':
		if _, offset := t.Zone(); offset%60 != 0 {
			return t.AppendFormat(dst, "-070000")
		}
		return t.AppendFormat(dst, "-0700")
	case 'n':
		return append(dst, '\n')
	case 't':
		return append(dst, '\t')
	case '%':
		return append(dst, '%')
	}
	if n, digits, pad := numeric(d.code, t); digits > 0 {
		return d.appendNumber(dst, n, digits, pad)
	}
	return append(dst, d.text...)
}

// numeric returns the value of a numeric code, how many digits it has at least, and
// what fills them up. No digits: there is no such code.
func numeric(code rune, t time.Time) (n, digits int, pad byte) {
	num := func(n, digits int) (int, int, byte) { return n, digits, '0' }
	weekday := int(t.Weekday())
	switch code {
	case 'C':
		return num(t.Year()/100, 2)
	case 'd':
		return num(t.Day(), 2)
	case 'e':
		return t.Day(), 2, '_'
	case 'f':
		return num(t.Nanosecond()/1000, 6)
	case 'g', 'G':
		year, _ := t.ISOWeek()
		if code == 'G' {
			return num(year, 1)
		}
		return num(year%100, 2)
	case 'H':
		return num(t.Hour(), 2)
	case 'k':
		return t.Hour(), 2, '_'
	case 'I':
		return num((t.Hour()+11)%12+1, 2)
	case 'l':
		return (t.Hour()+11)%12 + 1, 2, '_'
	case 'j':
		return num(t.YearDay(), 3)
	case 'm':
		return num(int(t.Month()), 2)
	case 'M':
		return num(t.Minute(), 2)
	case 'S':
		return num(t.Second(), 2)
	case 'u':
		return num((weekday+6)%7+1, 1)
	case 'U':
		return num((t.YearDay()+6-weekday)/7, 2)
	case 'V':
		_, week := t.ISOWeek()
		return num(week, 2)
	case 'w':
		return num(weekday, 1)
	case 'W':
		return num((t.YearDay()+6-(weekday+6)%7)/7, 2)
	case 'y':
		return num(t.Year()%100, 2)
	case 'Y':
		return num(t.Year(), 1)
	}
	return 0, 0, 0
}

// appendNumber renders a number with at least that many digits.
func (d *directive) appendNumber(dst []byte, n, digits int, pad byte) []byte {
	if d.pad != 0 {
		pad = d.pad
	}
	if pad == '-' {
		return strconv.AppendInt(dst, int64(n), 10)
	}
	var room [20]byte
	text := strconv.AppendInt(room[:0], int64(n), 10)
	missing := max(digits, d.width) - len(text)
	if pad == '0' && n < 0 {
		dst, text = append(dst, '-'), text[1:]
	}
	fill := byte('0')
	if pad == '_' {
		fill = ' '
	}
	for ; missing > 0; missing-- {
		dst = append(dst, fill)
	}
	return append(dst, text...)
}
