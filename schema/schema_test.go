package schema

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v5"
)

const draft = "https://json-schema.org/draft/2020-12/schema"

// documents are both schemas, by their $id.
var documents = map[string][]byte{MainID: Main(), FragmentID: Fragment()}

// compiler returns a compiler that knows both schemas, and cannot load others.
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

func compile(t testing.TB, c *jsonschema.Compiler, url string) *jsonschema.Schema {
	t.Helper()
	s, err := c.Compile(url)
	if err != nil {
		t.Fatalf("%s: %v", url, err)
	}
	return s
}

func decode(t testing.TB, text []byte) any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

func root(t testing.TB, id string) map[string]any {
	t.Helper()
	return decode(t, documents[id]).(map[string]any)
}

// TestDocuments: they are schemas of the draft that they name, and their $id carries the version.
func TestDocuments(t *testing.T) {
	meta, err := jsonschema.Compile(draft)
	if err != nil {
		t.Fatal(err)
	}
	for id := range documents {
		doc := root(t, id)
		if err := meta.Validate(doc); err != nil {
			t.Errorf("%s: %#v", id, err)
		}
		compile(t, compiler(t), id)
		if doc["$schema"] != draft || doc["$id"] != id || !strings.Contains(id, ":"+Version+":") {
			t.Errorf("$schema %v, $id %v; want draft 2020-12, and %s with version %s", doc["$schema"], doc["$id"], id, Version)
		}
	}
}

// TestSharedDefinitions: both documents hold the same $defs, all of which are in use, and refer to nothing else. What
// stands beside a $ref must not stand in its target as well: the language server of VS Code, which other
// editors use as well, replaces the one with the other, where the standard wants both.
func TestSharedDefinitions(t *testing.T) {
	used := map[string]bool{}
	defs := map[string]string{}
	for id := range documents {
		doc := root(t, id)
		b, err := json.Marshal(doc["$defs"])
		if err != nil {
			t.Fatal(err)
		}
		defs[id] = string(b)
		walk("", doc, func(at string, s map[string]any) {
			to, ok := s["$ref"].(string)
			name, local := strings.CutPrefix(to, "#/$defs/")
			if !ok || !local {
				if ok {
					t.Errorf("%s#%s refers to %s", id, at, to)
				}
				return
			}
			used[name] = true
			for key := range doc["$defs"].(map[string]any)[name].(map[string]any) {
				if _, both := s[key]; both {
					t.Errorf("%s#%s has %s beside a $ref to %s, which has it, too", id, at, key, name)
				}
			}
		})
	}
	if defs[MainID] != defs[FragmentID] {
		t.Error("the $defs of the two schemas differ")
	}
	for name := range root(t, MainID)["$defs"].(map[string]any) {
		if !used[name] {
			t.Errorf("nothing refers to the definition %q", name)
		}
	}
}

// TestExamples: what the schemas show, they accept: every example, default and snippet.
func TestExamples(t *testing.T) {
	c := compiler(t)
	for id := range documents {
		walk("", root(t, id), func(at string, s map[string]any) {
			values, _ := s["examples"].([]any)
			if d, ok := s["default"]; ok {
				values = append(values, d)
			}
			snippets, _ := s["defaultSnippets"].([]any)
			for _, x := range snippets {
				values = append(values, x.(map[string]any)["body"])
			}
			if len(values) == 0 {
				return
			}
			sub := compile(t, c, id+"#"+at)
			for _, v := range values {
				if err := sub.Validate(v); err != nil {
					t.Errorf("%s#%s: %v: %#v", id, at, v, err)
				}
			}
		})
	}
}

// TestTooltips: everything that an editor may show has a title, a description without markup, and an example; each
// word of an enum and each pattern is explained.
func TestTooltips(t *testing.T) {
	for id := range documents {
		doc := root(t, id)
		defs := doc["$defs"].(map[string]any)
		shown := func(at string, v any) {
			s, ok := v.(map[string]any)
			if !ok {
				return // true or false: not allowed, so nothing is shown
			}
			if to, ok := s["$ref"].(string); ok && s["title"] == nil {
				s = defs[strings.TrimPrefix(to, "#/$defs/")].(map[string]any)
			}
			for _, key := range []string{"title", "description"} {
				if text, _ := s[key].(string); text == "" || strings.ContainsAny(text, "`\n") || strings.Contains(text, "](") {
					t.Errorf("%s#%s: %s is %q", id, at, key, text)
				}
			}
			if text, _ := s["description"].(string); text != "" && !slices.Contains([]string{".", "*"}, text[len(text)-1:]) {
				t.Errorf("%s#%s: the description is not a sentence: %q", id, at, text)
			}
			if s["examples"] == nil {
				t.Errorf("%s#%s has no example", id, at)
			}
		}
		shown("", doc)
		walk("", doc, func(at string, s map[string]any) {
			if s["title"] != nil {
				shown(at, s)
				properties, _ := s["properties"].(map[string]any)
				for name, p := range properties {
					shown(at+"/properties/"+name, p)
				}
			}
			if words, _ := s["enum"].([]any); s["title"] != nil && words != nil {
				if texts, _ := s["enumDescriptions"].([]any); len(texts) != len(words) {
					t.Errorf("%s#%s: %d words, %d descriptions", id, at, len(words), len(texts))
				}
			}
			if s["pattern"] != nil && s["patternErrorMessage"] == nil {
				t.Errorf("%s#%s: the pattern has no patternErrorMessage", id, at)
			}
		})
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
		case "$defs", "properties", "patternProperties":
			for name, sub := range s[key].(map[string]any) {
				walk(at+"/"+key+"/"+name, sub, f)
			}
		case "items", "additionalProperties", "if", "then", "else", "not":
			walk(at+"/"+key, s[key], f)
		case "allOf":
			for i, sub := range s[key].([]any) {
				walk(fmt.Sprintf("%s/%s/%d", at, key, i), sub, f)
			}
		}
	}
}

// faults returns the place and the keyword of each fault in v, sorted.
func faults(s *jsonschema.Schema, v any) []string {
	var list []string
	var collect func(e *jsonschema.ValidationError)
	collect = func(e *jsonschema.ValidationError) {
		for _, cause := range e.Causes {
			collect(cause)
		}
		if len(e.Causes) == 0 {
			list = append(list, e.InstanceLocation+" "+e.KeywordLocation[strings.LastIndex(e.KeywordLocation, "/")+1:])
		}
	}
	var e *jsonschema.ValidationError
	if errors.As(s.Validate(v), &e) {
		collect(e)
	}
	slices.SortFunc(list, cmp.Compare)
	return list
}

// TestAccepted: what is legal in a main file, in a fragment, or in both.
func TestAccepted(t *testing.T) {
	c := compiler(t)
	mainFile, fragment := compile(t, c, MainID), compile(t, c, FragmentID)
	const both, onlyMain, onlyFragment = "both", "main", "fragment"
	for source, where := range map[string]string{
		`{}`: both,
		`{"$schema": 1, "comment": [], "description": {}, "x-a": null, "_b": 2, "custom": {"any": "thing"}}`:                                  both,
		`{"email": null, "storage": null, "debug": null, "journal": null, "limits": null, "neverBan": null, "lists": null}`:                   both,
		`{"email": {"from": null, "to": null, "subject": null, "sendmail": null, "x-why": "so"}}`:                                             both,
		`{"email": {"smtp": null}, "report": null}`:                                                                                           both,
		`{"email": {"smtp": {"host": "h", "port": null, "tls": null, "auth": "", "passwordCredential": "..a", "x-why": "so", "comment": 1}}}`: both,
		`{"report": {"at": "7:00", "memoryDays": 366, "keepDays": 0, "sendEmpty": true, "templates": "/x"}}`:                                  both,
		`{"journal": {"directory": "/x", "namespace": "", "files": []}}`:                                                                      both,
		`{"journal": {"directory": "", "namespace": "x", "files": null, "maxField": 4096.0}}`:                                                 both,
		`{"limits": {"bans": 5e0, "dnat": null}}`:                                                                                             both,
		`{"lists": {"a": ["x", 1, true, null], "b": {"append": []}, "c": null, "_own": {"x": 1}}}`:                                            both,
		`{"actions": null}`: both,
		`{"actions": {"comment": "a", "x-b": {"c": 1}, "_d": [], "a": [], "b": {"steps": []}}}`:          both,
		`{"actions": {"a": {"steps": [], "order": -1, "enabled": null, "description": ["x"], "_x": 1}}}`: both,
		`{"actions": [{"label": "a", "steps": [], "order": 5}]}`:                                         both,
		`{"actions": {"a": {"enabled": false}}}`:                                                         onlyFragment,
		`{"actions": {"a": {"order": 100}, "b": {"steps": null}, "c": {}}}`:                              onlyFragment,
		`{"actions": {"a": null}}`:                        onlyFragment,
		`{"actions": [{"label": "a", "enabled": false}]}`: onlyFragment,
		`{"actions": {"a": [{"action": "action_noop"}, {"action": "action_noop", "args": null, "then": null, "else": "b"}]}}`: both,
		`{"actions": {"a": [{"filter": "filter_in", "args": {"field": "a", "values": {"list": "b", "comment": "c"}}}]}}`:      both,
		`{"actions": {"a": [{"filter": "filter_pcre", "args": {"field": "a", "re": {"list": "b"}, "save": null}}]}}`:          both,
		`{"actions": {"a": [{"filter": "filter_userExists", "args": {"field": "a"}, "allow": ["unset-field : x"]}]}}`:         both,
	} {
		for name, s := range map[string]*jsonschema.Schema{onlyMain: mainFile, onlyFragment: fragment} {
			list := faults(s, decode(t, []byte(source)))
			if want := where == both || where == name; want != (len(list) == 0) {
				t.Errorf("%s, %s: faults %q, want it accepted: %v", name, source, list, want)
			}
		}
	}
}

// TestOneFaultForOneMistake: each mistake is told once, at its place.
func TestOneFaultForOneMistake(t *testing.T) {
	s := compile(t, compiler(t), MainID)
	step := func(text string) string { return `{"actions": {"a": [` + text + `]}}` }
	for _, x := range []struct{ source, want string }{
		{`[]`, " type"},
		{`{"email": []}`, "/email type"},
		{`{"email": {"form": "x"}}`, "/email additionalProperties"},
		{`{"email": {"sendmail": []}}`, "/email/sendmail minItems"},
		{`{"email": {"to": [""]}}`, "/email/to/0 minLength"},
		{`{"email": {"coalesceSeconds": 3601}}`, "/email/coalesceSeconds maximum"},
		{`{"email": {"maxPerHour": 0}}`, "/email/maxPerHour minimum"},
		{`{"email": {"smtp": []}}`, "/email/smtp type"},
		{`{"email": {"smtp": {"hots": "x"}}}`, "/email/smtp additionalProperties"},
		{`{"email": {"smtp": {"port": 65536}}}`, "/email/smtp/port maximum"},
		{`{"email": {"smtp": {"tls": "ssl"}}}`, "/email/smtp/tls enum"},
		{`{"email": {"smtp": {"auth": "plain"}}}`, "/email/smtp/auth enum"},
		{`{"email": {"smtp": {"caFile": "ca.pem"}}}`, "/email/smtp/caFile pattern"},
		{`{"email": {"smtp": {"passwordCredential": ".."}}}`, "/email/smtp/passwordCredential pattern"},
		{`{"email": {"smtp": {"passwordCommand": []}}}`, "/email/smtp/passwordCommand minItems"},
		{`{"report": {"at": ""}}`, "/report/at minLength"},
		{`{"report": {"when": "7:00"}}`, "/report additionalProperties"},
		{`{"report": {"templates": "x"}}`, "/report/templates pattern"},
		{`{"limits": {"bans": 0}}`, "/limits/bans minimum"},
		{`{"limits": {"bans": 1.5}}`, "/limits/bans type"},
		{`{"neverBan": ["example.org"]}`, "/neverBan/0 pattern"},
		{`{"journal": {"directory": "/x", "namespace": "y"}}`, "/journal/namespace enum"},
		{`{"journal": {"namespace": "y", "files": ["z"]}}`, "/journal/files enum"},
		{`{"lists": {"a": "x"}}`, "/lists/a type"},
		{`{"lists": {"a": {"apend": []}}}`, "/lists/a additionalProperties+/lists/a required"}, // as in Decode, the second is for the caller to drop
		{`{"lists": {"a": [[]]}}`, "/lists/a/0 type"},
		{`{"actions": "x"}`, "/actions type"},
		{`{"actions": {"a": {}}}`, "/actions/a required"},
		{`{"actions": {"_a": [1]}}`, "/actions/_a/0 type"},
		{`{"actions": [{"steps": []}]}`, "/actions/0 required"},
		{step(`5`), "/actions/a/0 type"},
		{step(`{}`), "/actions/a/0 required"},
		{step(`{"filter": 5}`), "/actions/a/0/filter enum"},
		{step(`{"action": 5}`), "/actions/a/0/action enum"},
		{step(`{"filter": null}`), "/actions/a/0/filter enum"},
		{step(`{"filter": "filter_nope", "args": {"a": 1}}`), "/actions/a/0/filter enum"},
		{step(`{"action": "filter_in", "args": {"a": 1}}`), "/actions/a/0/action enum"},
		{step(`{"filter": "filter_userExists", "args": {"field": "a"}, "action": "action_noop"}`), "/actions/a/0/action action"},
		{step(`{"filter": "filter_userExists"}`), "/actions/a/0 required"},
		{step(`{"filter": "filter_userExists", "args": []}`), "/actions/a/0/args type"},
		{step(`{"filter": "filter_userExists", "args": null}`), "/actions/a/0/args type"},
		{step(`{"filter": "filter_userExists", "args": {}}`), "/actions/a/0/args required"},
		{step(`{"filter": "filter_userExists", "args": {"field": null}}`), "/actions/a/0/args/field type"},
		{step(`{"filter": "filter_userExists", "args": {"field": "a", "value": 1}}`), "/actions/a/0/args additionalProperties"},
		{step(`{"filter": "filter_in", "args": {"field": "a", "values": "x"}}`), "/actions/a/0/args/values type"},
		{step(`{"filter": "filter_in", "args": {"field": "a", "values": {}}}`), "/actions/a/0/args/values required"},
		{step(`{"action": "action_noop", "than": "b"}`), "/actions/a/0 additionalProperties"},
		{step(`{"action": "action_noop", "then": ["b"]}`), "/actions/a/0/then type"},
		{step(`{"action": "action_noop", "args": {"x": 1}}`), "/actions/a/0/args additionalProperties"},
		{step(`{"action": "action_noop", "allow": ["forgable-ban: x"]}`), "/actions/a/0/allow/0 pattern"},
		{step(`{"action": "action_noop", "allow": ["forgeable-ban"]}`), "/actions/a/0/allow/0 pattern"},
		{step(`{"action": "action_log", "args": {"message": "x", "level": "WARN"}}`), "/actions/a/0/args/level enum"},
		{step(`{"action": "action_counterReset", "args": {"counter": "a", "for": "b", "graceSeconds": -1}}`), "/actions/a/0/args/graceSeconds minimum"},
		{step(`{"action": "action_counterReset", "args": {"counter": "a", "for": "b", "graceSeconds": 6324480001}}`), "/actions/a/0/args/graceSeconds maximum"},
		{step(`{"action": "action_dnatCapture", "args": {"saddr": "a", "addr": "", "addrValue": null}}`), "/actions/a/0/args not"},
		{step(`{"action": "action_dnatReplace", "args": {"saddrInto": "a", "dport": null}}`), "/actions/a/0/args not"},
		{step(`{"action": "action_dnatReplace", "args": {"dport": "a"}}`), "/actions/a/0/args not"},
	} {
		if got := strings.Join(faults(s, decode(t, []byte(x.source))), "+"); got != x.want {
			t.Errorf("%s: %q, want %q", x.source, got, x.want)
		}
	}
}
