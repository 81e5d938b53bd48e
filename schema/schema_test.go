package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v5"
)

// documents are both schemas, by their $id.
var documents = map[string][]byte{MainID: Main(), FragmentID: Fragment()}

// compiler returns a compiler that knows both schemas, and nothing else: it has no network.
func compiler(t testing.TB) *jsonschema.Compiler {
	t.Helper()
	c := jsonschema.NewCompiler()
	for id, text := range documents {
		if err := c.AddResource(id, bytes.NewReader(text)); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func compile(t testing.TB, url string) *jsonschema.Schema {
	t.Helper()
	s, err := compiler(t).Compile(url)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func decode(t testing.TB, text []byte) any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

// TestDocuments: they are schemas of the draft that they name, and carry the version.
func TestDocuments(t *testing.T) {
	meta, err := jsonschema.Compile("https://json-schema.org/draft/2020-12/schema")
	if err != nil {
		t.Fatal(err)
	}
	for id, text := range documents {
		v := decode(t, text)
		if err := meta.Validate(v); err != nil {
			t.Errorf("%s: %#v", id, err)
		}
		compile(t, id)
		root := v.(map[string]any)
		if root["$schema"] != "https://json-schema.org/draft/2020-12/schema" || root["$id"] != id {
			t.Errorf("$schema %v and $id %v, want draft 2020-12 and %s", root["$schema"], root["$id"], id)
		}
	}
}

// TestSharedDefinitions: both documents hold the same $defs, and refer to nothing outside of themselves.
func TestSharedDefinitions(t *testing.T) {
	defs := map[string]string{}
	for id, text := range documents {
		root := decode(t, text).(map[string]any)
		b, err := json.Marshal(root["$defs"])
		if err != nil {
			t.Fatal(err)
		}
		defs[id] = string(b)
		walk("", root, func(at string, s map[string]any) {
			if to, ok := s["$ref"].(string); ok && !strings.HasPrefix(to, "#/$defs/") {
				t.Errorf("%s#%s refers to %s", id, at, to)
			}
		})
	}
	if defs[MainID] != defs[FragmentID] || len(defs[MainID]) < 1000 {
		t.Error("the $defs of the two schemas differ")
	}
}

// walk calls f for a schema and all schemas in it, with their JSON pointers.
func walk(at string, v any, f func(at string, s map[string]any)) {
	s, ok := v.(map[string]any)
	if !ok {
		return
	}
	f(at, s)
	for _, key := range slices.Sorted(maps.Keys(s)) {
		switch key {
		case "$defs", "properties", "patternProperties", "dependentSchemas":
			for name, sub := range s[key].(map[string]any) {
				walk(at+"/"+key+"/"+escape(name), sub, f)
			}
		case "items", "additionalProperties", "if", "then", "else", "not", "contains", "propertyNames":
			walk(at+"/"+key, s[key], f)
		case "allOf", "anyOf", "oneOf":
			for i, sub := range s[key].([]any) {
				walk(fmt.Sprintf("%s/%s/%d", at, key, i), sub, f)
			}
		}
	}
}

var escaper = strings.NewReplacer("~", "~0", "/", "~1", "%", "%25", "^", "%5E", "|", "%7C", "\\", "%5C", "?", "%3F", "$)", "%24)")

func escape(name string) string { return escaper.Replace(name) }
