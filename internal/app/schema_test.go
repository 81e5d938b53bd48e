package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v5"
	"github.com/tailscale/hujson"
	"golang.org/x/tools/txtar"

	"github.com/pyruse/pyruse/internal/action"
	"github.com/pyruse/pyruse/internal/config"
	"github.com/pyruse/pyruse/internal/entry"
	"github.com/pyruse/pyruse/internal/workflow"
	"github.com/pyruse/pyruse/schema"
)

// published is the main schema: the document, and its compiled parts.
type published struct {
	t        *testing.T
	compiler *jsonschema.Compiler
	doc      map[string]any
	defs     map[string]any
}

func newPublished(t *testing.T) *published {
	t.Helper()
	p := &published{t: t, compiler: jsonschema.NewCompiler()}
	if err := p.compiler.AddResource(schema.MainID, bytes.NewReader(schema.Main())); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(schema.Main(), &p.doc); err != nil {
		t.Fatal(err)
	}
	p.defs = p.doc["$defs"].(map[string]any)
	return p
}

// compiled returns the schema at a JSON pointer.
func (p *published) compiled(pointer string) *jsonschema.Schema {
	p.t.Helper()
	s, err := p.compiler.Compile(schema.MainID + "#" + pointer)
	if err != nil {
		p.t.Fatal(err)
	}
	return s
}

// def returns a definition, and its properties.
func (p *published) def(name string) (def, properties map[string]any) {
	p.t.Helper()
	def, ok := p.defs[name].(map[string]any)
	if !ok {
		p.t.Fatalf("the schema has no definition %q", name)
	}
	properties, _ = def["properties"].(map[string]any)
	return def, properties
}

// settings returns the keys of the main file that are not the chains, nor the administrator's own.
func (p *published) settings() map[string]any {
	settings := maps.Clone(p.doc["properties"].(map[string]any))
	for _, key := range []string{"$schema", "comment", "description", "actions"} {
		delete(settings, key)
	}
	return settings
}

// modules returns all modules; the value is true for an action.
func modules() map[string]bool {
	r := newRegistry(&action.World{})
	all := map[string]bool{}
	for _, name := range r.Filters() {
		all[name] = false
	}
	for _, name := range r.Actions() {
		all[name] = true
	}
	return all
}

// build constructs a step with these arguments, past all that reads configurations, and returns its faults.
func build(t *testing.T, module string, isAction bool, args string) []config.Diagnostic {
	t.Helper()
	var diags config.Diagnostics
	n := config.Parse(config.NewFile("args.json", []byte(args)), &diags)
	if n == nil {
		t.Fatalf("%s: %v", args, diags.Sorted())
	}
	step := config.Step{IsAction: isAction, Module: module, Args: n}
	if n.Kind == config.Null {
		step.Args = nil
	}
	world, err := replayWorld(&config.Settings{Limits: config.Defaults().Limits}, nil)
	if err != nil {
		t.Fatal(err)
	}
	names := entry.NewNames(entry.Latin1)
	workflow.Compile(&config.Config{Chains: []config.Chain{{Label: "a", Steps: []config.Step{step}}}}, newRegistry(world), names, &diags)
	return slices.DeleteFunc(diags.Sorted(), func(d config.Diagnostic) bool { return d.Severity != config.Error })
}

// TestSchemaKnowsEveryModule: the names in the schema are those of the registry.
func TestSchemaKnowsEveryModule(t *testing.T) {
	p := newPublished(t)
	_, step := p.def("step")
	var named, defined []string
	for _, key := range []string{"filter", "action"} {
		for _, name := range step[key].(map[string]any)["enum"].([]any) {
			named = append(named, name.(string))
			if isAction, known := modules()[name.(string)]; !known || isAction != (key == "action") {
				t.Errorf("the schema names the %s %v, which does not exist", key, name)
			}
		}
	}
	for name := range p.defs {
		if strings.HasPrefix(name, "filter_") || strings.HasPrefix(name, "action_") {
			defined = append(defined, name)
		}
	}
	slices.Sort(named)
	slices.Sort(defined)
	want := slices.Sorted(maps.Keys(modules()))
	if diff := cmp.Diff(want, named); diff != "" {
		t.Errorf("names of steps (-registry +schema):\n%s", diff)
	}
	if diff := cmp.Diff(want, defined); diff != "" {
		t.Errorf("definitions of arguments (-registry +schema):\n%s", diff)
	}
}

// TestSchemaKnowsEveryArgument: the keys that a constructor decodes are those of the schema, and
// the same are mandatory. The constructors are asked: they name the legal keys when they get another.
func TestSchemaKnowsEveryArgument(t *testing.T) {
	p := newPublished(t)
	missing := regexp.MustCompile(`the mandatory key "(.*)" is missing`)
	for name, isAction := range modules() {
		const stranger = "…"
		var keys, mandatory []string
		asked := false
		for _, d := range build(t, name, isAction, `{"`+stranger+`": 1}`) {
			if m := missing.FindStringSubmatch(d.Message); m != nil {
				mandatory = append(mandatory, m[1])
			}
			if strings.Contains(d.Message, `unknown key "`+stranger+`"`) {
				asked = true
				if list, ok := strings.CutPrefix(d.Hint, "legal here: "); ok {
					keys = strings.Split(list, ", ")
				}
			}
		}
		if !asked {
			t.Errorf("%s did not tell its legal keys", name)
		}
		def, properties := p.def(name)
		var required []string
		if list, ok := def["required"].([]any); ok {
			for _, key := range list {
				required = append(required, key.(string))
			}
		}
		for _, list := range [][]string{keys, mandatory, required} {
			slices.Sort(list)
		}
		if diff := cmp.Diff(keys, slices.Sorted(maps.Keys(properties))); diff != "" {
			t.Errorf("%s: keys (-constructor +schema):\n%s", name, diff)
		}
		if diff := cmp.Diff(mandatory, required); diff != "" {
			t.Errorf("%s: mandatory keys (-constructor +schema):\n%s", name, diff)
		}
	}
}

// samples are values of all types, to be put in the place of each key.
var samples = []string{
	`null`, `true`, `""`, `"x"`, `"10"`, `"192.0.2.0/24"`, `"ip a b"`, `"WARN"`, `"ALL"`, `"INFO"`, `0`, `1`, `-1`, `1023`, `5.0`, `5e0`, `1.5`,
	`6324480000`, `6324480001`, `1e15`, `[]`, `["x"]`, `["192.0.2.1"]`, `[1]`, `[null]`, `[[]]`, `{}`, `{"x": 1}`, `{"comment": 1}`,
}

// with returns an object as JSON in which key has the value, or is missing if that is "".
func with(t *testing.T, object map[string]any, key, value string) string {
	t.Helper()
	o := maps.Clone(object)
	delete(o, key)
	if value != "" {
		o[key] = json.RawMessage(value)
	}
	b, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestSchemaAcceptsWhatConstructorsAccept puts each sample in the place of each argument of each example of a
// module: the schema and the constructor must come to the same judgement.
func TestSchemaAcceptsWhatConstructorsAccept(t *testing.T) {
	p := newPublished(t)
	tried := 0
	for name, isAction := range modules() {
		def, properties := p.def(name)
		s := p.compiled("/$defs/" + name)
		for _, example := range def["examples"].([]any) {
			b, err := json.Marshal(example)
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(b, []byte(`{"list":`)) {
				continue // a constructor never sees the name of a list
			}
			for key := range properties {
				for _, value := range append(samples, "") {
					if key == "re" && strings.HasPrefix(value, `"`) {
						continue // whether the groups suffice for "save" is beyond a schema
					}
					args := with(t, example.(map[string]any), key, value)
					compare(t, s, name+" "+args, args, build(t, name, isAction, args))
					tried++
				}
			}
		}
		for _, args := range []string{`null`, `{}`} {
			compare(t, s, name+" "+args, args, build(t, name, isAction, args))
		}
	}
	if tried < 2000 {
		t.Errorf("only %d arguments were tried", tried)
	}
}

func compare[D any](t *testing.T, s *jsonschema.Schema, what, source string, faults []D) {
	t.Helper()
	v, err := decodeConfig([]byte(source))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Validate(v); (err == nil) != (len(faults) == 0) {
		t.Errorf("%s:\nprogram: %v\nschema: %#v", what, faults, err)
	}
}

// TestSchemaKnowsEverySetting: the keys of the settings, and of the tables in them, are those of config.Settings, and the defaults
// are the built-in ones.
func TestSchemaKnowsEverySetting(t *testing.T) {
	p := newPublished(t)
	properties := p.settings()
	delete(properties, "lists") // which is no setting
	p.compareSettings("", reflect.ValueOf(config.Defaults()), properties)
}

// compareSettings compares the fields of a struct with the properties of a schema, and so on in the structs in it.
func (p *published) compareSettings(at string, table reflect.Value, properties map[string]any) {
	p.t.Helper()
	fields := fieldsOf(table)
	if diff := cmp.Diff(slices.Sorted(maps.Keys(fields)), slices.Sorted(maps.Keys(properties))); diff != "" {
		p.t.Errorf("keys of %q (-config.Settings +schema):\n%s", at, diff)
	}
	for key, v := range fields {
		property := p.resolved(properties[key])
		if v.Kind() == reflect.Struct {
			inner, _ := property["properties"].(map[string]any)
			p.compareSettings(at+key+".", v, withoutOwn(inner))
			if property["additionalProperties"] != false {
				p.t.Errorf("%s%s: the schema allows any key", at, key)
			}
			continue
		}
		compareDefault(p.t, at+key, v, property)
	}
}

// resolved returns a schema, or the definition that it refers to.
func (p *published) resolved(v any) map[string]any {
	s, _ := v.(map[string]any)
	if to, ok := s["$ref"].(string); ok {
		s, _ = p.def(strings.TrimPrefix(to, "#/$defs/"))
	}
	return s
}

// withoutOwn returns properties without those that are the administrator's own.
func withoutOwn(properties map[string]any) map[string]any {
	out := maps.Clone(properties)
	delete(out, "comment")
	delete(out, "description")
	return out
}

// fieldsOf returns the fields of a struct by their names in JSON.
func fieldsOf(v reflect.Value) map[string]reflect.Value {
	fields := map[string]reflect.Value{}
	for i := range v.NumField() {
		if name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ","); name != "" && name != "-" {
			fields[name] = v.Field(i)
		}
	}
	return fields
}

// compareDefault wants the built-in value as the default; nothing, if there is none.
func compareDefault(t *testing.T, key string, builtIn reflect.Value, property map[string]any) {
	t.Helper()
	d, given := property["default"]
	if builtIn.IsZero() {
		if given && !slices.Contains([]string{"[]", "false"}, fmt.Sprint(d)) {
			t.Errorf("%s: the schema has the default %v, the program has none", key, d)
		}
		return
	}
	want, err := json.Marshal(builtIn.Interface())
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	var a, b any
	if err := errors.Join(json.Unmarshal(want, &a), json.Unmarshal(got, &b)); err != nil {
		t.Fatal(err)
	}
	if !given || !reflect.DeepEqual(a, b) {
		t.Errorf("%s: default %s, want %s", key, got, want)
	}
}

// beyondSchema are settings of which the schema does not say which texts they may have.
var beyondSchema = []string{"8bit-message-encoding", "email.from", "email.to", "report.at"}

// company is what a setting needs beside it, as "email.smtp.port" needs a host.
var company = map[string]string{
	"email.smtp.tls":                `{"host": "h"}`,
	"email.smtp.certFile":           `{"host": "h", "keyFile": "/k"}`,
	"email.smtp.keyFile":            `{"host": "h", "certFile": "/c"}`,
	"email.smtp.auth":               `{"host": "h", "username": "u", "passwordFile": "/p"}`,
	"email.smtp.username":           `{"host": "h", "passwordFile": "/p"}`,
	"email.smtp.password":           `{"host": "h", "username": "u"}`,
	"email.smtp.passwordFile":       `{"host": "h", "username": "u"}`,
	"email.smtp.passwordCredential": `{"host": "h", "username": "u"}`,
	"email.smtp.passwordCommand":    `{"host": "h", "username": "u"}`,
}

// TestSchemaAcceptsSettingsThatCheckAccepts is TestSchemaAcceptsWhatConstructorsAccept for the settings.
func TestSchemaAcceptsSettingsThatCheckAccepts(t *testing.T) {
	p := newPublished(t)
	s := p.compiled("")
	try := func(source string) {
		t.Helper()
		compare(t, s, source, source, checkFaults(t, source))
	}
	settings := p.settings()
	delete(settings, "lists")
	p.trySettings(nil, settings, func(path []string, value string) {
		t.Helper()
		key := strings.Join(path, ".")
		if slices.Contains(beyondSchema, key) && strings.ContainsAny(value, `"`) && value != `""` {
			return
		}
		if needs(key, value) {
			return
		}
		try(nested(t, path, value))
	})
	for _, journal := range []string{
		`{"directory": "a", "namespace": "b"}`, `{"directory": "a", "files": ["b"]}`, `{"namespace": "a", "files": ["b"]}`,
		`{"directory": "a", "namespace": "", "files": []}`, `{"directory": "", "namespace": "b", "files": null}`,
		`{"directory": null, "namespace": null, "files": ["a"]}`, `{"directory": "a", "namespace": "b", "files": ["c"]}`,
	} {
		try(`{"journal": ` + journal + `}`)
	}
	for _, smtp := range []string{
		`"auth": "EXTERNAL", "certFile": "/c", "keyFile": "/k"`, `"auth": "EXTERNAL", "certFile": "/c", "keyFile": "/k", "username": "u"`,
		`"auth": "ANONYMOUS"`, `"auth": "ANONYMOUS", "username": "u"`, `"auth": "OAUTHBEARER", "passwordCommand": ["/c"]`, `"tls": "none"`,
		`"username": null, "certFile": null, "keyFile": "", "password": null, "passwordFile": "", "passwordCredential": null, "passwordCommand": null`,
	} {
		try(`{"email": {"from": "a@example.org", "smtp": {"host": "h", ` + smtp + `}}}`)
	}
}

// needs reports whether check may refuse a value only because of what is missing beside it, or does not go with it.
func needs(key, value string) bool {
	empty := value == `""` || value == "null"
	switch key {
	case "email.smtp.username", "email.smtp.certFile", "email.smtp.keyFile":
		return empty
	case "email.smtp.auth":
		return value == `"EXTERNAL"` || value == `"ANONYMOUS"`
	}
	return strings.HasPrefix(key, "email.smtp.password") && empty
}

// trySettings calls try with each sample in the place of each setting, and so on in the tables.
func (p *published) trySettings(above []string, properties map[string]any, try func(path []string, value string)) {
	p.t.Helper()
	for key, property := range withoutOwn(properties) {
		path := append(slices.Clip(above), key)
		for _, value := range samples {
			try(path, value)
		}
		s := p.resolved(property)
		for _, word := range enumOf(s) {
			try(path, word)
		}
		inner, _ := s["properties"].(map[string]any)
		p.trySettings(path, inner, try)
	}
}

// enumOf returns the texts that a schema allows, as JSON.
func enumOf(s map[string]any) []string {
	var words []string
	list, _ := s["enum"].([]any)
	for _, x := range list {
		if word, ok := x.(string); ok {
			words = append(words, fmt.Sprintf("%q", word))
		}
	}
	return words
}

// nested returns a configuration in which the setting has the value, with the company that it needs.
func nested(t *testing.T, path []string, value string) string {
	t.Helper()
	beside := map[string]any{}
	if len(path) == 3 && path[1] == "smtp" {
		beside["host"] = "h"
	}
	if text := company[strings.Join(path, ".")]; text != "" {
		if err := json.Unmarshal([]byte(text), &beside); err != nil {
			t.Fatal(err)
		}
	}
	for i, key := range slices.Backward(path) {
		value = with(t, beside, key, value)
		beside = map[string]any{}
		if i == 2 {
			beside["from"] = "a@example.org"
		}
	}
	return value
}

// checkFaults returns the errors that `check` finds, as one JSON object each.
func checkFaults(t *testing.T, source string) []string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pyruse.json")
	if err := os.WriteFile(path, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	err := Check(context.Background(), CheckOptions{Source: Source{Config: path, Dirs: []string{""}}, Format: JSON, Stdout: &out})
	if err != nil && !errors.Is(err, ErrConfig) {
		t.Fatal(err)
	}
	return slices.DeleteFunc(strings.Split(out.String(), "\n"), func(line string) bool {
		return !strings.Contains(line, `"severity":"error"`)
	})
}

// TestSchemaKnowsEveryWarning: what "allow" takes are the rules of the analysis, each with an example.
func TestSchemaKnowsEveryWarning(t *testing.T) {
	p := newPublished(t)
	_, step := p.def("step")
	items := step["allow"].(map[string]any)["items"].(map[string]any)
	var want []string
	for _, r := range config.Rules {
		want = append(want, string(r.Code))
	}
	named := regexp.MustCompile(`\(\?:(.*?)\)`).FindStringSubmatch(items["pattern"].(string))
	if diff := cmp.Diff(want, strings.Split(named[1], "|")); diff != "" {
		t.Errorf("pattern (-config.Rules +schema):\n%s", diff)
	}
	var shown []string
	for _, x := range items["examples"].([]any) {
		code, _, _ := strings.Cut(x.(string), ":")
		shown = append(shown, code)
	}
	if diff := cmp.Diff(want, shown); diff != "" {
		t.Errorf("examples (-config.Rules +schema):\n%s", diff)
	}
}

// decodeConfig reads a configuration as people write it: with comments and trailing commas.
func decodeConfig(source []byte) (any, error) {
	plain, err := hujson.Standardize(source)
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(plain))
	d.UseNumber()
	var v any
	err = d.Decode(&v)
	return v, err
}

// TestSchemaAcceptsGoldens validates the configurations of the golden files that have no errors.
func TestSchemaAcceptsGoldens(t *testing.T) {
	files, err := filepath.Glob("testdata/language/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	s := newPublished(t).compiled("")
	for _, file := range files {
		a, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		part := map[string][]byte{}
		for _, f := range a.Files {
			part[f.Name] = f.Data
		}
		if !bytes.HasSuffix(part["diagnostics"], []byte("exit 2\n")) {
			compare(t, s, file, string(part["pyruse.json"]), []string(nil))
		}
	}
}

// TestSchemaAcceptsDocumentation validates every configuration that the documentation shows.
func TestSchemaAcceptsDocumentation(t *testing.T) {
	s := newPublished(t).compiled("")
	shown := 0
	for _, page := range markdown(t) {
		for _, x := range examplesOf(t, page) {
			compare(t, s, fmt.Sprintf("%s:%d", page, x.line), x.source, []string(nil))
			shown++
		}
	}
	files, err := filepath.Glob(filepath.Join(root, "docs/examples/*/pyruse.json"))
	if err != nil || len(files) == 0 || shown == 0 {
		t.Fatalf("%d examples in pages, %d files: %v", shown, len(files), err)
	}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		compare(t, s, file, string(source), []string(nil))
	}
}
