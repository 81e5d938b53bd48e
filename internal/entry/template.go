package entry

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxRendered bounds the text that a template renders, in bytes; a longer one is
// cut between two characters and ends in "…". It leaves room for a few fields of
// the length to which the journal's reader cuts them, 64 KiB by default.
const MaxRendered = 256 << 10

const ellipsis = "…"

// maxSpec bounds a format spec that is rendered from fields, in bytes. Those fields
// may come from a log, and the spec stands in the error if it is wrong.
const maxSpec = 256

// TemplateError is a fault of a template, found when it is parsed.
type TemplateError struct {
	Offset int    // where in the template, in bytes
	Msg    string // what is wrong
	Hint   string // what to do about it, may be empty
}

// Error returns the message and where it applies, without the hint.
func (e *TemplateError) Error() string { return fmt.Sprintf("at offset %d: %s", e.Offset, e.Msg) }

// FormatError says that a format spec does not suit the value that a field has in
// this entry. It cannot be found earlier, for a step may store any type in any field.
type FormatError struct {
	Field  string
	Spec   string
	Reason string
}

// Error names the field and the format spec.
func (e *FormatError) Error() string {
	return fmt.Sprintf("format %q of field %q: %s", e.Spec, e.Field, e.Reason)
}

// Template is a compiled message template in the format language of Python's
// str.format, as of Python 3.11 (docs.python.org/3/library/string.html#formatstrings).
// It differs from Python in this:
//
//   - A missing or null field is the string "None" for every format spec.
//   - A UUID takes the format specs of a string.
//   - A time knows its zone: %z and %Z give the offset and the name of the local one.
//   - Fields are named; they have no attributes and no elements.
//   - Width and precision are 4096 at most, and the text is bounded by MaxRendered.
//
// A Template is safe for concurrent use, the entries that it renders are not.
type Template struct {
	parts  []part
	fields []string
}

// part is literal text and the field behind it.
type part struct {
	literal    string
	slot       Slot // NoSlot: there is only the literal text
	field      string
	conversion byte        // the letter behind '!', 0 if there is none
	spec       *formatSpec // nil: there is none, or it is nested
	nested     []part      // renders the format spec of each entry
}

// ParseTemplate compiles a template; the fields that it names get slots in names.
// Errors are of type *TemplateError.
func ParseTemplate(src string, names *Names) (*Template, error) {
	p := templateParser{src: src, names: names}
	parts, err := p.parse(0, len(src), false)
	if err != nil {
		return nil, err
	}
	return &Template{parts, p.fields}, nil
}

// Fields returns the names of the fields that the template asks for, in the order
// of their first use.
func (t *Template) Fields() []string { return slices.Clone(t.fields) }

// Render returns the text of the template for an entry, which must be one of the
// names that the template was parsed with. The error is a *FormatError.
func (t *Template) Render(e *Entry) (string, error) {
	var room [512]byte
	text, err := t.Append(room[:0], e)
	return string(text), err
}

// Append appends what Render returns. With an error it returns dst as it was.
func (t *Template) Append(dst []byte, e *Entry) ([]byte, error) {
	start := len(dst)
	for i := range t.parts {
		p := &t.parts[i]
		dst = append(dst, p.literal...)
		if p.slot != NoSlot {
			spec, err := p.specFor(e)
			if err == nil {
				dst, err = p.append(dst, spec, e)
			}
			if err != nil {
				return dst[:start], err
			}
		}
		if len(dst)-start > MaxRendered {
			return cut(dst, start+MaxRendered), nil
		}
	}
	return dst, nil
}

// specFor returns the format spec for an entry, nil if there is none.
func (p *part) specFor(e *Entry) (*formatSpec, error) {
	if p.nested == nil {
		return p.spec, nil
	}
	var text []byte
	var err error
	for i := range p.nested {
		n := &p.nested[i]
		text = append(text, n.literal...)
		if n.slot != NoSlot {
			if text, err = n.append(text, n.spec, e); err != nil {
				return nil, err
			}
		}
		if len(text) > maxSpec {
			return nil, &FormatError{p.field, "…", "the format spec has more than " + strconv.Itoa(maxSpec) + " bytes"}
		}
	}
	if len(text) == 0 {
		return nil, nil
	}
	spec, fault := parseSpec(string(text))
	if fault != nil {
		return nil, &FormatError{p.field, string(text), fault.Msg}
	}
	return spec, nil
}

// cut shortens text to end, between two characters and with an ellipsis.
func cut(text []byte, end int) []byte {
	end -= len(ellipsis)
	for n := 0; n < utf8.UTFMax && !utf8.RuneStart(text[end]); n++ {
		end--
	}
	return append(text[:end], ellipsis...)
}

// append renders the field of p. No value of the entry makes it append much more
// than MaxRendered.
func (p *part) append(dst []byte, spec *formatSpec, e *Entry) ([]byte, error) {
	v := e.Get(p.slot)
	// What lies beyond the bound would only be cut off again, and need not be
	// looked at: every byte of a string becomes one byte at least, and a
	// precision cannot ask for more than the 4096 characters that are there.
	if len(v.str) > MaxRendered+1 {
		v.str = v.str[:MaxRendered+1]
	}
	if spec == nil {
		if p.conversion != 0 {
			return appendConverted(dst, v, p.conversion), nil
		}
		if v.IsNone() {
			return append(dst, "None"...), nil
		}
		return v.appendText(dst), nil
	}
	if p.conversion != 0 {
		v = StringValue(string(appendConverted(nil, v, p.conversion)))
	}
	dst, reason := spec.append(dst, v)
	if reason != "" {
		return dst, &FormatError{p.field, spec.raw, reason}
	}
	return dst, nil
}

// templateParser compiles one template.
type templateParser struct {
	src    string
	names  *Names
	fields []string
}

func (p *templateParser) fault(offset int, hint, format string, args ...any) error {
	return &TemplateError{offset, fmt.Sprintf(format, args...), hint}
}

// parse compiles src[i:end]; nested tells that this is a format spec.
func (p *templateParser) parse(i, end int, nested bool) ([]part, error) {
	var parts []part
	var literal strings.Builder
	for i < end {
		c := p.src[i]
		switch {
		case c != '{' && c != '}':
			literal.WriteByte(c)
			i++
		case i+1 < end && p.src[i+1] == c:
			literal.WriteByte(c)
			i += 2
		case c == '}':
			return nil, p.fault(i, "write }} for a brace in the text", "'}' without a '{' before it")
		default:
			f, next, err := p.field(i, end, nested)
			if err != nil {
				return nil, err
			}
			f.literal = literal.String()
			literal.Reset()
			parts = append(parts, f)
			i = next
		}
	}
	if literal.Len() > 0 {
		parts = append(parts, part{literal: literal.String(), slot: NoSlot})
	}
	return parts, nil
}

// field compiles the replacement field whose opening brace is src[open], and
// returns the offset behind its closing brace.
func (p *templateParser) field(open, end int, nested bool) (f part, next int, err error) {
	i := open + 1
	n := strings.IndexAny(p.src[i:end], "{}!:")
	if n < 0 {
		return f, 0, p.fault(open, "write {{ for a brace in the text", "the '{' is never closed")
	}
	f.field = p.src[i : i+n]
	if err := p.checkName(i, f.field); err != nil {
		return f, 0, err
	}
	if i += n; p.src[i] == '{' {
		return f, 0, p.fault(i, "write {{ for a brace in the text", "'{' within the name of a field")
	}
	if p.src[i] == '!' {
		if i+1 == end || strings.IndexByte("rsa", p.src[i+1]) < 0 {
			return f, 0, p.fault(i, "!r, !s and !a are the conversions", "'!' is not followed by a conversion")
		}
		f.conversion = p.src[i+1]
		if i += 2; i == end || p.src[i] != '}' && p.src[i] != ':' {
			return f, 0, p.fault(i, "write it as {FIELD!r} or {FIELD!r:>20}", "a conversion must be followed by '}' or ':'")
		}
	}
	p.use(&f)
	if p.src[i] == '}' {
		return f, i + 1, nil
	}
	i++
	closing := closingBrace(p.src[:end], i)
	if closing < 0 {
		return f, 0, p.fault(open, "write {{ for a brace in the text", "the '{' is never closed")
	}
	return f, closing + 1, p.spec(&f, i, closing, nested)
}

// use gives the field of f its slot.
func (p *templateParser) use(f *part) {
	f.slot = p.names.Slot(f.field)
	if !slices.Contains(p.fields, f.field) {
		p.fields = append(p.fields, f.field)
	}
}

// closingBrace returns the offset of the brace that closes the format spec which
// begins at src[i], -1 if there is none.
func closingBrace(src string, i int) int {
	for open := 1; i < len(src); i++ {
		switch src[i] {
		case '{':
			open++
		case '}':
			if open--; open == 0 {
				return i
			}
		}
	}
	return -1
}

// checkName refuses what cannot be a field. Beyond that, the names of captures
// and counters are free.
func (p *templateParser) checkName(at int, name string) error {
	switch {
	case name == "":
		return p.fault(at, "name a field of the entry, as in {MESSAGE}; {{}} is a pair of braces in the text", "a field without a name")
	case strings.Trim(name, "0123456789") == "":
		return p.fault(at, "name a field of the entry, as in {MESSAGE}", "field number %s: fields have no numbers", name)
	case strings.Contains(name, "."):
		return p.fault(at+strings.Index(name, "."), "for a part of a time, write strftime codes, as in {__REALTIME_TIMESTAMP:%Y}",
			"%q asks for an attribute, but the values of fields have none", name)
	case strings.ContainsAny(name, "[]"):
		return p.fault(at+strings.IndexAny(name, "[]"), "to get a part of a text, capture it with filter_pcre",
			"%q asks for an element, but the values of fields have none", name)
	case strings.TrimSpace(name) != name || strings.ContainsFunc(name, unicode.IsControl):
		return p.fault(at, "write {FIELD} without spaces; {{ is a brace in the text", "%q is not the name of a field", name)
	}
	return nil
}

// spec compiles the format spec src[i:end] of f.
func (p *templateParser) spec(f *part, i, end int, nested bool) error {
	text := p.src[i:end]
	if brace := strings.IndexAny(text, "{}"); brace >= 0 {
		if nested {
			return p.fault(i+brace, "a format spec may contain fields, but theirs may not", "the fields are nested too deep")
		}
		parts, err := p.parse(i, end, true)
		if err != nil {
			return err
		}
		if len(parts) != 1 || parts[0].slot != NoSlot {
			f.nested = parts
			return nil
		}
		text = parts[0].literal
	}
	if text == "" {
		return nil
	}
	spec, fault := parseSpec(text)
	if fault == nil && f.conversion != 0 && spec.textFault != "" {
		fault = &TemplateError{0, fmt.Sprintf("the format spec %q does not suit a string, which !%c makes of the value: %s",
			text, f.conversion, spec.textFault), "leave the conversion out"}
	}
	if fault != nil {
		fault.Offset = min(fault.Offset+i, end)
		return fault
	}
	f.spec = spec
	return nil
}
