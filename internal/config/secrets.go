package config

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/tailscale/hujson"
)

// A password may stand in the configuration, where nobody but its reader has to see it. So nothing that is printed shows it: neither the
// configuration itself, nor the line of a fault, whatever is wrong there.

// hiddenText stands for a secret in all that is printed.
const hiddenText = "***"

// stretch is a part of a file, from byte start up to but not including byte end.
type stretch struct{ start, end int }

// hides reports whether all of a place is secret.
func (f *File) hides(p Pos) bool {
	return slices.ContainsFunc(f.hidden(p.Start, p.End), func(s stretch) bool { return s.start <= p.Start && p.End <= s.end })
}

// secrets returns where in a file are values that must not be shown: those of the key "password", wherever it stands and even if it is
// misspelt, and those of all unknown keys beside it in email.smtp. Comments may hold what was a value once.
func secrets(data []byte, root *hujson.Value) []stretch {
	w := secretWalk{list: quotedSecrets(data)}
	w.object(root, "")
	return inOrder(w.list)
}

type secretWalk struct{ list []stretch }

// object looks at a value, which is at that place: "", "email", "email.smtp", or "…" for others.
func (w *secretWalk) object(v *hujson.Value, place string) {
	switch t := v.Value.(type) {
	case *hujson.Object:
		for i := range t.Members {
			w.member(&t.Members[i], place)
		}
	case *hujson.Array:
		for i := range t.Elements {
			w.object(&t.Elements[i], "…")
		}
	case hujson.Literal: // a table that was given as text, as a variable can be
		if (place == "email" || place == smtpTable) && strings.Contains(strings.ToLower(string(t)), "pass") {
			w.hide(v)
		}
	}
}

func (w *secretWalk) member(m *hujson.ObjectMember, place string) {
	name := m.Name.Value.(hujson.Literal).String()
	_, scalar := m.Value.Value.(hujson.Literal)
	switch {
	case scalar && likelyPassword(name), place == smtpTable && secretInSMTP(name):
		w.hide(&m.Value)
	case place == "" && (name == keyActions || name == keyLists): // there are too many, and none of them is a password
	case place == "" && name == "email":
		w.object(&m.Value, name)
	case place == "email" && name == "smtp":
		w.object(&m.Value, smtpTable)
	default:
		w.object(&m.Value, "…")
	}
}

// hide adds a value, unless it is one that tells nothing.
func (w *secretWalk) hide(v *hujson.Value) {
	if l, ok := v.Value.(hujson.Literal); !ok || !tellsNothing(l) {
		w.list = append(w.list, stretch{v.StartOffset, v.EndOffset})
	}
}

func tellsNothing(literal []byte) bool {
	return slices.Contains([]string{`""`, "null", "true", "false"}, string(literal))
}

// secretInSMTP reports whether the value of a key of email.smtp must not be shown.
func secretInSMTP(name string) bool {
	return name == keyPassword || !slices.Contains(smtpKeys, name) && !ownKey(name)
}

// smtpKeys are the keys that email.smtp may have.
var smtpKeys = func() []string {
	var keys []string
	for _, s := range settings {
		if table, ok := strings.CutSuffix(s.key(), "."+lastKey(s.key())); ok && table == smtpTable {
			keys = append(keys, lastKey(s.key()))
		}
	}
	return keys
}()

// likelyPassword reports whether a key is "password", or likely to be meant so.
func likelyPassword(name string) bool {
	const misspelt = 2 // letters
	more := len(name) - len(keyPassword)
	switch {
	case strings.EqualFold(name, "pass"), strings.EqualFold(name, "pwd"), strings.EqualFold(name, "passphrase"):
		return true
	case more < -misspelt || more > misspelt || !strings.ContainsAny(name, "sSwW"): // which are too many to be forgotten
		return false
	}
	return distance(strings.ToLower(name), keyPassword) <= misspelt
}

// farthest is how many bytes of white space and comments may stand between a key and its value, so that not all of them are looked
// through again and again.
const farthest = 4096

// longestQuoted is how long a misspelt key "password" may be, in bytes: ten characters, each written as \u0061, and the quotes.
const longestQuoted = 62

// quotedSecrets returns the texts and numbers behind a key "password" wherever one seems to stand, also in comments.
func quotedSecrets(data []byte) []stretch {
	var list []stretch
	for i := 0; i < len(data); i++ {
		next := bytes.IndexByte(data[i:], '"')
		if next < 0 {
			break
		}
		i += next
		length := bytes.IndexByte(data[i+1:min(len(data), i+longestQuoted)], '"')
		if length < 0 {
			continue
		}
		end := i + 1 + length + 1
		if !likelyPassword(unescaped(string(data[i+1 : end-1]))) {
			continue
		}
		near := data[:min(len(data), end+farthest)]
		at := skipSpace(near, end)
		if at == len(near) || near[at] != ':' {
			continue
		}
		if at = skipSpace(near, at+1); at == len(near) || strings.IndexByte("{[]},", near[at]) >= 0 {
			continue
		}
		if end := scalarEnd(data, at); !tellsNothing(data[at:end]) {
			list = append(list, stretch{at, end})
		}
	}
	return list
}

// skipSpace returns the offset of what follows white space and comments from i on.
func skipSpace(data []byte, i int) int {
	for i < len(data) {
		switch data[i] {
		case ' ', '\t', '\r', '\n':
			i++
		case '/':
			end := skipComment(data, i)
			if end == i {
				return i
			}
			i = min(end+1, len(data))
		default:
			return i
		}
	}
	return i
}

// scalarEnd returns the offset behind the text or the number that begins at i. A text ends with its line, if it is not closed.
func scalarEnd(data []byte, i int) int {
	if data[i] != '"' {
		if length := bytes.IndexAny(data[i:], ",]} \t\r\n"); length >= 0 {
			return i + length
		}
		return len(data)
	}
	for i++; i < len(data) && data[i] != '\n'; i++ {
		switch data[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return min(i, len(data))
}

// likelySecrets returns what may be a password in a file that is not JSON: all that is behind a word that is likely to mean one, up to
// the end of the line. Where nothing is there, it is the next line.
func likelySecrets(data []byte) []stretch {
	var list []stretch
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		if !unicode.IsLetter(r) {
			i += size
			continue
		}
		end := i
		for end < len(data) && wordByte(data[end]) {
			end++
		}
		end = max(end, i+size)
		if word := string(data[i:end]); likelyPassword(word) || likelyPassword(unescaped(word)) {
			at := skip(data, skip(data, end, "\"'`\\"), ":= \t\r\n")
			lineEnd := len(data)
			if length := bytes.IndexByte(data[at:], '\n'); length >= 0 {
				lineEnd = at + length
			}
			if at < lineEnd {
				list = append(list, stretch{at, lineEnd})
			}
			end = lineEnd
		}
		i = end
	}
	return list
}

// skip returns the offset of the first byte from i on that is none of these.
func skip(data []byte, i int, these string) int {
	for i < len(data) && strings.IndexByte(these, data[i]) >= 0 {
		i++
	}
	return i
}

// wordByte reports whether a byte may be in a word, or in one that is written with escapes.
func wordByte(c byte) bool {
	return c == '\\' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// unescaped returns a word without its escapes.
func unescaped(word string) string {
	if !strings.Contains(word, `\`) {
		return word
	}
	var s string
	if err := json.Unmarshal([]byte(`"`+word+`"`), &s); err != nil {
		return word
	}
	return s
}

// inOrder sorts stretches, and joins those that overlap.
func inOrder(list []stretch) []stretch {
	slices.SortFunc(list, func(a, b stretch) int { return a.start - b.start })
	var out []stretch
	for _, s := range list {
		if last := len(out) - 1; last >= 0 && s.start <= out[last].end {
			out[last].end = max(out[last].end, s.end)
		} else {
			out = append(out, s)
		}
	}
	return out
}

// shown returns the line around a place as it may be shown, and where in it the place begins and ends.
func (f *File) shown(p Pos, line int) (text []byte, at, end int) {
	text = f.lineText(line)
	begin := f.lines[line-1]
	at = min(p.Start-begin, len(text))
	end = max(at, min(p.End-begin, len(text)))
	hidden := f.hidden(begin, begin+len(text))
	if len(hidden) == 0 {
		return text, at, end
	}
	// Of a long line, no more is copied than could be shown.
	const around = 4096 // bytes
	from, to := max(0, at-around), min(len(text), at+around)
	for _, s := range hidden {
		if s = (stretch{s.start - begin, s.end - begin}); s.start < from && from < s.end {
			from = max(0, s.start-around)
		} else if s.start < to && to < s.end {
			to = min(len(text), s.end+around)
		}
	}
	mark := `"` + hiddenText + `"`
	var out []byte
	var cuts []stretch
	rest := from
	for _, s := range hidden {
		s = stretch{max(s.start-begin, from), min(s.end-begin, to)}
		if s.start >= s.end {
			continue
		}
		cuts = append(cuts, s)
		out = append(append(out, text[rest:s.start]...), mark...)
		rest = s.end
	}
	moved := func(i int) int { // to where it is in out
		m := i - from
		for _, s := range cuts {
			switch {
			case i >= s.end:
				m += len(mark) - (s.end - s.start)
			case i > s.start:
				m -= i - s.start
			}
		}
		return m
	}
	return append(out, text[rest:to]...), moved(at), moved(min(end, to))
}

// hidden returns the secrets in a part of the file.
func (f *File) hidden(start, end int) []stretch {
	i, _ := slices.BinarySearchFunc(f.secrets, start, func(s stretch, at int) int { return cmp.Compare(s.end, at+1) })
	n := i
	for n < len(f.secrets) && f.secrets[n].start < end {
		n++
	}
	return f.secrets[i:n]
}

// withoutSecrets returns a value in which hiddenText stands for what must not be shown. Nothing is changed, nor copied without need.
func withoutSecrets(n *Node) *Node {
	if f := n.Pos.File; f != nil && len(f.secrets) > 0 && f.hides(n.Pos) {
		return &Node{Kind: String, Text: hiddenText, Pos: n.Pos}
	}
	out := n
	own := func() *Node {
		if out == n {
			c := *n
			c.Members, c.Elems = slices.Clone(n.Members), slices.Clone(n.Elems)
			out = &c
		}
		return out
	}
	for i, m := range n.Members {
		if v := withoutSecrets(m.Value); v != m.Value {
			own().Members[i].Value = v
		}
	}
	for i, e := range n.Elems {
		if v := withoutSecrets(e); v != e {
			own().Elems[i] = v
		}
	}
	return out
}
