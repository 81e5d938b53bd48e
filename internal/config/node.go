package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tailscale/hujson"
)

// Kind is the JSON type of a Node.
type Kind uint8

// The JSON types.
const (
	Null Kind = iota
	Bool
	Number
	String
	Array
	Object
)

// String returns the name of the type as it stands in diagnostics.
func (k Kind) String() string {
	return [...]string{"null", "a boolean", "a number", "a string", "a list", "an object"}[k]
}

// Node is one JSON value with its place. The members of an object keep their order.
type Node struct {
	Kind    Kind
	Pos     Pos
	Bool    bool
	Text    string // String: the text; Number: the literal
	Elems   []*Node
	Members []Member
	Named   bool // an Array: a named list, which stands in the place of a reference to it

	fresh   bool // an object that took the place of what was below it: see merge
	appends bool // a list that is appended to the one below it
	flawed  bool // its form, or that of something in it, was reported as faulty
}

// Member is one key of an object with its value.
type Member struct {
	Name    string
	NamePos Pos
	Value   *Node
}

// Get returns the value of a key, nil when the object does not have it.
func (n *Node) Get(name string) *Node {
	if n == nil {
		return nil
	}
	for _, m := range n.Members {
		if m.Name == name {
			return m.Value
		}
	}
	return nil
}

// AppendJSON appends the value as compact JSON, keys in their order.
func (n *Node) AppendJSON(b []byte) []byte { return n.appendJSON(b, compact) }

// marks are what stands between the parts of a value on one line.
type marks struct{ comma, colon, open, end string }

var (
	compact = marks{",", ":", "{", "}"}
	spaced  = marks{", ", ": ", "{ ", " }"}
)

func (n *Node) appendJSON(b []byte, m marks) []byte {
	switch n.Kind {
	case Bool:
		return strconv.AppendBool(b, n.Bool)
	case Number:
		return append(b, n.Text...)
	case String:
		return appendString(b, n.Text)
	case Array:
		b = append(b, '[')
		for i, e := range n.Elems {
			if i > 0 {
				b = append(b, m.comma...)
			}
			b = e.appendJSON(b, m)
		}
		return append(b, ']')
	case Object:
		if len(n.Members) == 0 {
			return append(b, "{}"...)
		}
		b = append(b, m.open...)
		for i, x := range n.Members {
			if i > 0 {
				b = append(b, m.comma...)
			}
			b = append(appendString(b, x.Name), m.colon...)
			b = x.Value.appendJSON(b, m)
		}
		return append(b, m.end...)
	}
	return append(b, "null"...)
}

func appendString(b []byte, s string) []byte {
	var w strings.Builder
	enc := json.NewEncoder(&w)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil { // a string always encodes
		return append(b, `""`...)
	}
	return append(b, strings.TrimSuffix(w.String(), "\n")...)
}

// Bounds of a configuration file; beyond them it is refused with a message.
const (
	MaxFileSize = 16 << 20 // bytes
	MaxValues   = 200_000  // of objects, lists and scalars; a value takes some 500 bytes while it is read
	maxDepth    = 100      // levels of objects and lists
)

// Parse reads one file: JSON, with comments and trailing commas allowed. It
// returns nil when the file is not readable as JSON; the fault is in diags.
func Parse(f *File, diags *Diagnostics) *Node {
	if !parsable(f, diags) {
		f.secrets = likelySecrets(f.Data)
		return nil
	}
	v, err := hujson.Parse(append(slices.Clip(f.Data), '\n')) // which ends a comment on the last line
	if err != nil {
		f.secrets = likelySecrets(f.Data)
		pos, message := syntaxError(f, err)
		diags.Errorf(pos, "", "%s", message)
		return nil
	}
	f.secrets = secrets(f.Data, &v)
	return convert(f, &v, "", diags)
}

// parsable reports faults that concern the bytes rather than the syntax.
func parsable(f *File, diags *Diagnostics) bool {
	nothing := Pos{File: nowhere(f.Name)}
	switch {
	case len(f.Data) > MaxFileSize:
		diags.Errorf(nothing, tooLargeHint, "%v", errTooLarge)
		return false
	case len(strings.TrimSpace(string(f.Data))) == 0:
		diags.Errorf(nothing, `a configuration is a JSON object: {"actions": {…}}`, "the file is empty")
		return false
	case strings.HasPrefix(string(f.Data), "\uFEFF"):
		diags.Errorf(Pos{f, 0, 3}, "save the file as UTF-8 without BOM", "the file begins with a byte order mark")
		return false
	}
	if !utf8.Valid(f.Data) {
		at := 0
		for at < len(f.Data) {
			r, size := utf8.DecodeRune(f.Data[at:])
			if r == utf8.RuneError && size == 1 {
				break
			}
			at += size
		}
		diags.Errorf(Pos{f, at, at + 1}, "save the file as UTF-8", "byte 0x%02x is not valid UTF-8", f.Data[at])
		return false
	}
	depth, values := shape(f.Data)
	switch {
	case depth >= 0:
		diags.Errorf(Pos{f, depth, depth + 1}, "", "objects and lists are nested deeper than %d levels", maxDepth)
	case values > MaxValues:
		diags.Errorf(nothing, tooLargeHint, "the file has more than %d values", MaxValues)
	default:
		return true
	}
	return false
}

// shape returns the offset of the bracket that exceeds maxDepth, -1 if there is none, and about how many values there are.
func shape(data []byte) (tooDeep, values int) {
	depth := 0
	for i := 0; i < len(data); i++ {
		switch data[i] {
		case '"':
			for i++; i < len(data) && data[i] != '"' && data[i] != '\n'; i++ {
				if data[i] == '\\' {
					i++
				}
			}
		case '/':
			i = skipComment(data, i)
		case '{', '[':
			values++
			if depth++; depth > maxDepth {
				return i, values
			}
		case '}', ']':
			depth--
		case ',':
			values++
		}
	}
	return -1, values
}

// skipComment returns the offset of the last byte of the comment that begins at i, or i.
func skipComment(data []byte, i int) int {
	var end string
	switch {
	case bytes.HasPrefix(data[i:], []byte("//")):
		end = "\n"
	case bytes.HasPrefix(data[i:], []byte("/*")):
		end = "*/"
	default:
		return i
	}
	i += 2
	length := bytes.Index(data[i:], []byte(end))
	if length < 0 {
		return len(data)
	}
	return i + length + len(end) - 1
}

// hujsonError is the form of hujson's syntax errors; it has no error type.
var hujsonError = regexp.MustCompile(`^hujson: line (\d+), column (\d+): (?s:(.*))$`)

func syntaxError(f *File, err error) (Pos, string) {
	m := hujsonError.FindStringSubmatch(err.Error())
	if m == nil {
		return Pos{f, 0, 0}, "this is not JSON: " + err.Error()
	}
	line, _ := strconv.Atoi(m[1])
	column, _ := strconv.Atoi(m[2])
	at := len(f.Data)
	if line >= 1 && line <= len(f.lines) {
		at = min(at, f.lines[line-1]+column-1)
	}
	pos, what := Pos{f, at, min(at+1, len(f.Data))}, strings.TrimPrefix(m[3], "jsontext: ")
	if f.hides(pos) || len(f.secrets) > 0 && strings.HasPrefix(what, "invalid literal") { // it shows what is wrong
		what = "invalid value"
	}
	return pos, "this is not JSON: " + what
}

// ownKey reports whether a key is legal everywhere and means nothing to Pyruse.
func ownKey(name string) bool {
	return name == "comment" || name == "description" || name == "$schema" ||
		strings.HasPrefix(name, "x-") || strings.HasPrefix(name, "_")
}

// convert returns a value as a Node; key is the one that it stands under. The administrator's own keys may be there twice, but
// not chains, which may have any label.
func convert(f *File, v *hujson.Value, key string, diags *Diagnostics) *Node {
	n := &Node{Pos: Pos{f, v.StartOffset, v.EndOffset}}
	switch t := v.Value.(type) {
	case *hujson.Object:
		n.Kind = Object
		seen := make(map[string]Pos, len(t.Members))
		for i := range t.Members {
			m := &t.Members[i]
			name := m.Name.Value.(hujson.Literal).String()
			at := Pos{f, m.Name.StartOffset, m.Name.EndOffset}
			if first, dup := seen[name]; dup && (key == keyActions || !ownKey(name)) {
				diags.Errorf(at, fmt.Sprintf("it was first given in line %d; keep one of the two", first.Line()),
					"the key %q stands twice in this object", name)
				continue
			}
			seen[name] = at
			n.Members = append(n.Members, Member{name, at, convert(f, &m.Value, name, diags)})
		}
	case *hujson.Array:
		n.Kind = Array
		for i := range t.Elements {
			n.Elems = append(n.Elems, convert(f, &t.Elements[i], "", diags))
		}
	case hujson.Literal:
		convertLiteral(n, t)
	}
	return n
}

func convertLiteral(n *Node, l hujson.Literal) {
	switch l.Kind() {
	case '"':
		n.Kind, n.Text = String, l.String()
	case '0':
		n.Kind, n.Text = Number, string(l)
	case 't', 'f':
		n.Kind, n.Bool = Bool, l.Bool()
	}
}
