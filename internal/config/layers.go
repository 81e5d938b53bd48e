package config

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/v2"
)

// A setting that can be given by an environment variable or on the command line.
type setting struct {
	path []string // of keys: "email", "subject"
	kind reflect.Kind
}

// key returns the setting as it is named on the command line: "email.subject".
func (s setting) key() string { return strings.Join(s.path, ".") }

// variable returns the setting as it is named in the environment: "PYRUSE_EMAIL_SUBJECT".
func (s setting) variable() string {
	return envPrefix + strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToUpper(r)
		}
		return '_'
	}, strings.Join(s.path, "_"))
}

const envPrefix = "PYRUSE_"

// envExtra is the one variable that is no setting: the folder of the main file.
const envExtra = envPrefix + "EXTRA"

// settings lists what can be given by variables and options: all but chains and lists.
var settings = settingsOf(reflect.TypeFor[Settings](), nil)

func settingsOf(t reflect.Type, above []string) []setting {
	var list []setting
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Type == nodeType {
			continue
		}
		path := append(slices.Clip(above), f.Tag.Get("json"))
		list = append(list, setting{path, f.Type.Kind()})
		if f.Type.Kind() == reflect.Struct {
			list = append(list, settingsOf(f.Type, path)...)
		}
	}
	return list
}

// value returns the JSON text of a value that was given as plain text: strings and numbers as they are, lists and
// objects as JSON, where a list of one needs no brackets.
func (s setting) value(text string) string {
	trimmed := strings.TrimSpace(text)
	quoted := string(appendString(nil, text))
	switch {
	case s.kind == reflect.String:
		return quoted
	case s.kind == reflect.Slice && trimmed == "":
		return "[]"
	case s.kind == reflect.Slice && !strings.HasPrefix(trimmed, "["):
		return "[" + quoted + "]"
	case trimmed != "null" && json.Valid([]byte(trimmed)):
		return trimmed
	}
	return quoted // which has the wrong type, and is reported so
}

// source returns the setting with a value as a source of its own, shown under that name.
func (s setting) source(layer Layer, shown, text string) *Source {
	var b strings.Builder
	for _, key := range s.path {
		b.WriteString("{" + string(appendString(nil, key)) + ": ")
	}
	b.WriteString(s.value(text) + strings.Repeat("}", len(s.path)))
	x := &Source{Layer: layer}
	x.read(NewFile(shown, []byte(b.String())))
	return x
}

// defaultSource returns the built-in settings.
func defaultSource() *Source {
	d := Defaults()
	text, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		panic(err) // plain data always encodes
	}
	x := &Source{Layer: LayerDefault}
	x.File = NewFile("built-in", text)
	x.root = Parse(x.File, &x.faults)
	return x
}

// environment returns a source for each variable that is set, in the order of their names.
func environment(environ []string) []*Source {
	var list []*Source
	for _, e := range slices.Sorted(slices.Values(environ)) {
		name, text, _ := strings.Cut(e, "=")
		if !strings.HasPrefix(name, envPrefix) || name == envExtra || text == "" {
			continue
		}
		if i := slices.IndexFunc(settings, func(s setting) bool { return s.variable() == name }); i >= 0 {
			list = append(list, settings[i].source(LayerEnvironment, "$"+name, text))
			continue
		}
		var known []string
		for _, s := range settings {
			known = append(known, s.variable())
		}
		x := &Source{Layer: LayerEnvironment, File: nowhere("$" + name)}
		x.faults.Warnf(Pos{File: x.File}, DidYouMean(name, known), "there is no setting for this variable; it is left alone")
		list = append(list, x)
	}
	return list
}

// options returns a source for each "key=value" of the command line.
func options(set []string) []*Source {
	var list []*Source
	for _, option := range set {
		key, text, ok := strings.Cut(option, "=")
		shown := "--set " + key
		i := slices.IndexFunc(settings, func(s setting) bool { return s.key() == key })
		if ok && i >= 0 {
			list = append(list, settings[i].source(LayerOption, shown, text))
			continue
		}
		var known []string
		for _, s := range settings {
			known = append(known, s.key())
		}
		x := &Source{Layer: LayerOption, File: nowhere(shown)}
		if ok {
			x.faults.Errorf(Pos{File: x.File}, DidYouMean(key, known), "there is no setting %q", key)
		} else {
			x.faults.Errorf(Pos{File: x.File}, "write --set KEY=VALUE", "a value is missing")
		}
		list = append(list, x)
	}
	return list
}

// noKey separates keys for koanf. No key contains it, since a file is UTF-8.
const noKey = "\xff"

// settle returns the settings that the layers add up to. koanf merges the layers, and decodes the result.
//
// The files among themselves are merged by merge, which keeps what koanf's maps do not: places, and the order of the
// chains. See docs/adr/0009-layers-of-configuration.md.
func settle(layers ...*Node) (Settings, error) {
	k := koanf.New(noKey)
	for _, n := range layers {
		if n == nil {
			continue
		}
		values := map[string]any{}
		for _, m := range n.Members {
			if isSetting(m.Name) {
				values[m.Name] = m.Value.plain()
			}
		}
		if err := k.Load(confmap.Provider(values, ""), nil); err != nil {
			return Settings{}, fmt.Errorf("merge the settings: %w", err)
		}
	}
	var s Settings
	if err := k.UnmarshalWithConf("", &s, koanf.UnmarshalConf{Tag: "json"}); err != nil {
		return s, fmt.Errorf("decode the settings: %w", err)
	}
	return s, nil
}

func isSetting(name string) bool {
	return slices.ContainsFunc(settings, func(s setting) bool { return len(s.path) == 1 && s.path[0] == name })
}

// plain returns a value as Go's own types have it; numbers are int64 where they are whole, else float64.
func (n *Node) plain() any {
	switch n.Kind {
	case Bool:
		return n.Bool
	case Number:
		if i, err := n.Int64(); err == nil {
			return i
		}
		f, _ := strconv.ParseFloat(n.Text, 64) // out of range: infinite, which is no valid value anywhere
		return f
	case String:
		return n.Text
	case Array:
		list := make([]any, len(n.Elems))
		for i, e := range n.Elems {
			list[i] = e.plain()
		}
		return list
	case Object:
		object := make(map[string]any, len(n.Members))
		for _, m := range n.Members {
			object[m.Name] = m.Value.plain()
		}
		return object
	}
	return nil
}
