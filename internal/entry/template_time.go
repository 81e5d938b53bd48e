package entry

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// repr renders a value as Python's repr does; ascii escapes all that is not ASCII.
func repr(v Value, ascii bool) string {
	switch v.kind {
	case String:
		return reprString(v.str, ascii)
	case UUID:
		return "UUID('" + v.str + "')"
	case Time:
		t := v.Time()
		s := fmt.Sprintf("datetime.datetime(%d, %d, %d, %d, %d", t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute())
		usec := t.Nanosecond() / 1000
		if t.Second() != 0 || usec != 0 {
			s += ", " + strconv.Itoa(t.Second())
		}
		if usec != 0 {
			s += ", " + strconv.Itoa(usec)
		}
		return s + ")"
	}
	return v.Text()
}

func reprString(s string, ascii bool) string {
	quote := '\''
	if strings.ContainsRune(s, '\'') && !strings.ContainsRune(s, '"') {
		quote = '"'
	}
	var b strings.Builder
	b.WriteRune(quote)
	for _, r := range s {
		switch {
		case r == quote || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case unicode.IsPrint(r) && (!ascii || r < 0x80):
			b.WriteRune(r)
		case r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
	}
	b.WriteRune(quote)
	return b.String()
}

// layouts are the strftime codes that Go's time package has a layout for; the
// names of days and months are English, as in the C locale.
var layouts = map[byte]string{
	'a': "Mon", 'A': "Monday", 'b': "Jan", 'B': "January", 'h': "Jan",
	'c': "Mon Jan _2 15:04:05 2006", 'x': "01/02/06", 'X': "15:04:05", 'r': "03:04:05 PM",
	'd': "02", 'e': "_2", 'm': "01", 'y': "06", 'H': "15", 'I': "03", 'M': "04", 'S': "05",
	'p': "PM", 'P': "pm", 'Z': "MST", 'D': "01/02/06", 'F': "2006-01-02", 'T': "15:04:05", 'R': "15:04",
}

// appendStrftime renders t with the codes of strftime(3), and %f for microseconds as in Python. A code that
// does not exist stays as it is.
func appendStrftime(dst []byte, t time.Time, format string) []byte {
	for i := 0; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			dst = append(dst, format[i])
			continue
		}
		i++
		if layout, ok := layouts[format[i]]; ok {
			dst = t.AppendFormat(dst, layout)
			continue
		}
		dst = appendCode(dst, t, format[i])
	}
	return dst
}

func appendCode(dst []byte, t time.Time, code byte) []byte {
	_, week := t.ISOWeek()
	year, _ := t.ISOWeek()
	switch code {
	case 'Y':
		return strconv.AppendInt(dst, int64(t.Year()), 10)
	case 'C':
		return fmt.Appendf(dst, "%02d", t.Year()/100)
	case 'f':
		return fmt.Appendf(dst, "%06d", t.Nanosecond()/1000)
	case 'j':
		return fmt.Appendf(dst, "%03d", t.YearDay())
	case 'U':
		return fmt.Appendf(dst, "%02d", (t.YearDay()+6-int(t.Weekday()))/7)
	case 'W':
		return fmt.Appendf(dst, "%02d", (t.YearDay()+6-(int(t.Weekday())+6)%7)/7)
	case 'V':
		return fmt.Appendf(dst, "%02d", week)
	case 'G':
		return strconv.AppendInt(dst, int64(year), 10)
	case 'g':
		return fmt.Appendf(dst, "%02d", year%100)
	case 'u':
		return strconv.AppendInt(dst, int64((t.Weekday()+6)%7+1), 10)
	case 'w':
		return strconv.AppendInt(dst, int64(t.Weekday()), 10)
	case 'k':
		return fmt.Appendf(dst, "%2d", t.Hour())
	case 'l':
		return fmt.Appendf(dst, "%2d", (t.Hour()+11)%12+1)
	case 's':
		return strconv.AppendInt(dst, t.Unix(), 10)
	case 'z':
		return t.AppendFormat(dst, "-0700")
	case 'n':
		return append(dst, '\n')
	case 't':
		return append(dst, '\t')
	case '%':
		return append(dst, '%')
	}
	return append(dst, '%', code)
}
