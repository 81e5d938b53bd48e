package entry

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// MaxRendered bounds the text that a template renders, in bytes; a longer one is
// cut at a character, and ends in "…".
const MaxRendered = 256 << 10

// maxWidth bounds the width and the precision of a format spec.
const maxWidth = 4096

// TemplateError is a fault of a template, found when it is parsed.
type TemplateError struct {
	Offset int // byte offset in the template
	Msg    string
	Hint   string // what to do; may be empty
}

// Error returns the message with the offset.
func (e *TemplateError) Error() string { return fmt.Sprintf("at offset %d: %s", e.Offset, e.Msg) }

// Template is a compiled message template in the format language of Python's
// str.format (docs.python.org/3/library/string.html#formatstrings).
type Template struct {
	parts []part
	size  int // of the literal text
}

// part is literal text, or a field behind it.
type part struct {
	text       string
	slot       Slot // NoSlot: only text
	field      string
	conversion byte // 0, 'r', 's' or 'a'
	spec       formatSpec
}

// ParseTemplate compiles a template; the fields it names get slots in names. Errors are of type *TemplateError.
func ParseTemplate(src string, names *Names) (*Template, error) {
	t := &Template{}
	var text strings.Builder
	for i := 0; i < len(src); {
		c := src[i]
		switch {
		case c != '{' && c != '}':
			text.WriteByte(c)
			i++
		case i+1 < len(src) && src[i+1] == c:
			text.WriteByte(c)
			i += 2
		case c == '}':
			return nil, &TemplateError{i, "a single '}'", "write }} for a brace"}
		default:
			end := strings.IndexByte(src[i:], '}')
			if end < 0 {
				return nil, &TemplateError{i, "'{' is never closed", "write {{ for a brace"}
			}
			p, err := parseField(src[i+1:i+end], i+1)
			if err != nil {
				return nil, err
			}
			p.slot, p.text = names.Slot(p.field), text.String()
			text.Reset()
			t.add(p)
			i += end + 1
		}
	}
	t.add(part{text: text.String(), slot: NoSlot})
	return t, nil
}

func (t *Template) add(p part) {
	t.size += len(p.text)
	t.parts = append(t.parts, p)
}

// parseField reads what stands between the braces; at is its offset in the template.
func parseField(src string, at int) (part, error) {
	p := part{spec: plain}
	rest := ""
	end := strings.IndexAny(src, "!:")
	if end < 0 {
		end = len(src)
	}
	p.field, rest = src[:end], src[end:]
	switch {
	case strings.ContainsRune(src, '{'):
		return p, &TemplateError{at + strings.IndexByte(src, '{'), "a field within a field", "write the width or the precision as a number; {{ is a brace"}
	case p.field == "":
		return p, &TemplateError{at, "a field without a name", "name a field of the entry, such as {MESSAGE}; {{}} is a pair of braces"}
	case strings.ContainsAny(p.field, ".["):
		return p, &TemplateError{at, fmt.Sprintf("%q is not the name of a field", p.field), "fields have neither attributes nor elements"}
	case strings.Trim(p.field, "0123456789") == "":
		return p, &TemplateError{at, fmt.Sprintf("the field %q has a number instead of a name", p.field), "name a field of the entry, such as {MESSAGE}"}
	}
	at += end
	if strings.HasPrefix(rest, "!") {
		if len(rest) < 2 || !strings.ContainsRune("rsa", rune(rest[1])) || len(rest) > 2 && rest[2] != ':' {
			return p, &TemplateError{at, fmt.Sprintf("%q is not a conversion", rest), "!r, !s and !a are the conversions"}
		}
		p.conversion, rest, at = rest[1], rest[2:], at+2
	}
	if rest == "" {
		return p, nil
	}
	var ok bool
	p.spec, ok = parseSpec(rest[1:])
	if !ok && !strings.Contains(rest, "%") {
		return p, &TemplateError{at + 1, fmt.Sprintf("%q is not a format", rest[1:]),
			"[[fill]align][sign][#][0][width][grouping][.precision][type], or strftime codes for a time"}
	}
	return p, nil
}

// Fields returns the names of the fields that the template asks for, in the order of first use.
func (t *Template) Fields() []string {
	var names []string
	for _, p := range t.parts {
		if p.slot != NoSlot && !slices.Contains(names, p.field) {
			names = append(names, p.field)
		}
	}
	return names
}

// Render returns the text of the template for an entry. A format that does not fit the value is an error.
func (t *Template) Render(e *Entry) (string, error) {
	b, err := t.Append(make([]byte, 0, t.size+64*len(t.parts)), e)
	if err != nil {
		return "", err
	}
	return view(b), nil
}

// Append appends the text of the template for an entry, at most MaxRendered bytes of it.
func (t *Template) Append(dst []byte, e *Entry) ([]byte, error) {
	start := len(dst)
	for i := range t.parts {
		p := &t.parts[i]
		dst = append(dst, p.text...)
		if p.slot != NoSlot {
			var err error
			if dst, err = p.append(dst, e.Get(p.slot)); err != nil {
				return dst[:start], fmt.Errorf("format %q of field %q: %w", p.spec.text, p.field, err)
			}
		}
		if len(dst)-start > MaxRendered {
			const more = "…"
			end := start + MaxRendered - len(more)
			for end > start && !utf8.RuneStart(dst[end]) {
				end--
			}
			return append(dst[:end], more...), nil
		}
	}
	return dst, nil
}

func (p *part) append(dst []byte, v Value) ([]byte, error) {
	switch {
	case p.conversion != 0:
		text := v.Text()
		switch {
		case v.IsNone():
			text = "None"
		case p.conversion != 's':
			text = repr(v, p.conversion == 'a')
		}
		return p.spec.appendString(dst, text)
	case p.spec.text == "":
		return appendPlain(dst, v), nil
	}
	switch v.kind {
	case Time:
		return appendStrftime(dst, v.Time(), p.spec.text), nil
	case Int:
		return p.spec.appendInt(dst, v.Int())
	case Float:
		return p.spec.appendFloat(dst, v.Float())
	case Missing, Null:
		return p.spec.appendNone(dst), nil
	}
	return p.spec.appendString(dst, v.str)
}

func appendPlain(dst []byte, v Value) []byte {
	switch v.kind {
	case String, UUID:
		return append(dst, v.str...)
	case Int:
		return strconv.AppendInt(dst, v.Int(), 10)
	case Missing, Null:
		return append(dst, "None"...)
	}
	return append(dst, v.Text()...)
}
