package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"weak"

	"github.com/santhosh-tekuri/jsonschema/v5"

	"github.com/pyruse/pyruse/schema"
)

// published is a schema with the document that it was compiled from.
type published struct {
	compiled *jsonschema.Schema
	document any
}

// keptSchema is compiled when it is asked for, and kept as long as somebody works with it, and then until its memory is wanted: a daemon has no use for
// it between two loads.
type keptSchema struct {
	text func() []byte
	mu   sync.Mutex
	kept weak.Pointer[published]
}

var (
	mainSchema     = keptSchema{text: schema.Main}
	fragmentSchema = keptSchema{text: schema.Fragment}
)

func (s *keptSchema) get() *published {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.kept.Value()
	if p == nil {
		p = compileSchema(s.text())
		s.kept = weak.Make(p)
	}
	return p
}

// compileSchema compiles one of the embedded schemas, which tests hold to be valid. What only an editor shows is left out before, since
// the library checks each part of a schema against its own schema: that takes half of the time.
func compileSchema(text []byte) *published {
	const name = "urn:pyruse:schema"
	p := &published{}
	if err := json.Unmarshal(text, &p.document); err != nil {
		panic(err)
	}
	p.document = withoutAnnotations(p.document, false)
	bare, err := json.Marshal(p.document)
	c := jsonschema.NewCompiler()
	if err := errors.Join(err, c.AddResource(name, bytes.NewReader(bare))); err != nil {
		panic(err)
	}
	p.compiled = c.MustCompile(name)
	return p
}

// annotations are the keywords of a schema that validate nothing.
var annotations = map[string]bool{
	"title": true, "description": true, "examples": true, "default": true, "deprecated": true, "$comment": true,
	"defaultSnippets": true, "enumDescriptions": true, "allowComments": true, "allowTrailingCommas": true,
}

// withoutAnnotations returns a schema without its annotations. The keys of properties and the like are names, whatever they are.
func withoutAnnotations(schema any, names bool) any {
	switch x := schema.(type) {
	case map[string]any:
		out := make(map[string]any, len(x))
		for key, value := range x {
			if !names && annotations[key] {
				continue
			}
			inner := !names && (key == "properties" || key == "patternProperties" || key == "$defs" || key == "dependentSchemas")
			out[key] = withoutAnnotations(value, inner)
		}
		return out
	case []any:
		out := make([]any, len(x))
		for i, value := range x {
			out[i] = withoutAnnotations(value, false)
		}
		return out
	}
	return schema
}

// validate holds the root of a file against the published schema and reports what does not fit: one mistake, one
// message, in the words of the language. Flawed steps are marked, so that nobody reports the same again.
func validate(root *Node, layer Layer, diags *Diagnostics) {
	warnUnknown(root, diags)
	which := &fragmentSchema
	if layer == LayerMain {
		which = &mainSchema
	}
	p := which.get()
	v := validator{schema: p, root: root, diags: diags}
	value := v.value(root)
	var fault *jsonschema.ValidationError
	if err := p.compiled.Validate(value); errors.As(err, &fault) {
		v.collect(fault)
		v.report()
	}
	checkIntegers(root, diags)
}

// checkIntegers reports the numbers beyond 64 bits in settings and orders, which is no question to a schema.
func checkIntegers(root *Node, diags *Diagnostics) {
	check := func(key string, n *Node) {
		if n == nil || n.Kind != Number {
			return
		}
		if _, err := n.Int64(); errors.Is(err, errRange) {
			diags.Errorf(n.Pos, "", "%q: %v", key, err)
		}
	}
	for _, s := range settings {
		n := root
		for _, key := range s.path {
			n = n.Get(key)
		}
		if s.kind == reflect.Int64 {
			check(s.path[len(s.path)-1], n)
		}
	}
	actions := root.Get(keyActions)
	if actions == nil {
		return
	}
	for _, m := range actions.Members {
		check(keyOrder, m.Value.Get(keyOrder))
	}
	for _, e := range actions.Elems {
		check(keyOrder, e.Get(keyOrder))
	}
}

// warnUnknown warns of top-level keys that Pyruse does not know: they may be the
// settings of a custom module, or a slip of the pen.
func warnUnknown(root *Node, diags *Diagnostics) {
	known := []string{keyActions, keyLists}
	for _, s := range settings {
		if len(s.path) == 1 {
			known = append(known, s.path[0])
		}
	}
	for _, m := range root.Members {
		if !ownKey(m.Name) && !slices.Contains(known, m.Name) {
			diags.Warnf(m.NamePos, DidYouMean(m.Name, known), "unknown key %q is left alone", m.Name)
		}
	}
}

type validator struct {
	schema *published
	root   *Node
	diags  *Diagnostics
	leaves []leaf
	index  map[*Node]map[string]*Node // of large objects
	meant  map[string][]string        // by place of an object: the keys that unknown ones are likely to mean
}

// leaf is one violation of the schema.
type leaf struct {
	keyword string
	wanted  any    // the value of the keyword in the schema
	parent  any    // the schema that the keyword stands in
	at      string // the place of the value, as a JSON pointer
	path    []string
	message string // of the library, for keywords that are not known here
}

// value returns a node as the library wants it. Numbers that no Go type can hold are reported.
func (v *validator) value(n *Node) any {
	switch n.Kind {
	case Number:
		if i, err := strconv.ParseInt(n.Text, 10, 64); err == nil {
			return i
		}
		f, err := strconv.ParseFloat(n.Text, 64)
		if err != nil && n.Pos.File.hides(n.Pos) {
			return math.MaxFloat64 // it has the wrong type, too
		}
		if err != nil {
			v.diags.reportWeak(n.Pos, n.Pos, "", fmt.Sprintf("the number %s is out of range", n.Text))
			return math.MaxFloat64
		}
		return f
	case Array:
		list := make([]any, len(n.Elems))
		for i, e := range n.Elems {
			list[i] = v.value(e)
		}
		return list
	case Object:
		object := make(map[string]any, len(n.Members))
		for _, m := range n.Members {
			object[m.Name] = v.value(m.Value)
		}
		return object
	}
	return n.plain()
}

// collect gathers the violations. Where one of several forms would do, what is wrong with each of them is of no interest.
func (v *validator) collect(e *jsonschema.ValidationError) {
	_, fragment, _ := strings.Cut(e.AbsoluteKeywordLocation, "#")
	where := pointer(fragment)
	keyword := ""
	if len(where) > 0 {
		keyword = where[len(where)-1]
	}
	if len(e.Causes) > 0 && keyword != "anyOf" && keyword != "oneOf" {
		for _, cause := range e.Causes {
			v.collect(cause)
		}
		return
	}
	x := leaf{keyword: keyword, at: e.InstanceLocation, path: pointer(e.InstanceLocation), message: e.Message}
	x.wanted = lookUp(v.schema.document, where)
	x.parent = lookUp(v.schema.document, where[:max(0, len(where)-1)])
	v.leaves = append(v.leaves, x)
}

// pointer splits a JSON pointer as the library writes it.
func pointer(s string) []string {
	if s == "" {
		return nil
	}
	path := strings.Split(strings.TrimPrefix(s, "/"), "/")
	for i, token := range path {
		if plain, err := url.PathUnescape(token); err == nil {
			token = plain
		}
		path[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(token)
	}
	return path
}

// lookUp returns a part of a JSON document, nil if there is none.
func lookUp(document any, path []string) any {
	for _, token := range path {
		switch x := document.(type) {
		case map[string]any:
			document = x[token]
		case []any:
			i, err := strconv.Atoi(token)
			if err != nil || i < 0 || i >= len(x) {
				return nil
			}
			document = x[i]
		default:
			return nil
		}
	}
	return document
}

// report reports all violations: unknown keys first, since a key that is missing may only be misspelt.
func (v *validator) report() {
	v.meant = map[string][]string{}
	last := func(x leaf) bool { return x.keyword == "required" }
	for _, missing := range []bool{false, true} {
		for _, x := range v.leaves {
			if last(x) == missing {
				v.reportLeaf(x)
			}
		}
	}
}

func (v *validator) reportLeaf(x leaf) {
	place := v.place(x.path)
	if place.isModule {
		if place.node.Kind == String || place.node.Kind == Null {
			return // those who know the modules say what is meant
		}
		x.keyword, x.wanted = "type", "string"
	}
	if place.args != nil && place.step.word("filter") != nil && place.step.word("action") != nil {
		return // nobody knows whose args these are
	}
	switch x.keyword {
	case "type":
		v.wrongType(x, place)
	case "additionalProperties", "unevaluatedProperties":
		v.unknownKeys(x, place)
	case "required":
		v.missingKeys(x, place)
	case "minimum":
		v.weak(place, fmt.Sprintf("is %s; it must be at least %v", place.node.Text, number(x.wanted)), "")
	case "maximum":
		v.weak(place, fmt.Sprintf("is %s; it must be at most %v", place.node.Text, number(x.wanted)), "")
	default:
		what, hint := "is not what is expected here", x.advice()
		if hint == "" {
			what += ": " + x.message
		}
		v.weak(place, what, hint)
	}
	place.mark()
}

// advice returns what the schema has editors say of a violation, "" if it has nothing.
func (x leaf) advice() string {
	parent, _ := x.parent.(map[string]any)
	for _, keyword := range []string{"patternErrorMessage", "errorMessage"} {
		if text, ok := parent[keyword].(string); ok {
			return text
		}
	}
	return ""
}

// weak reports a violation of which the steps themselves usually have more to say.
func (v *validator) weak(p place, what, hint string) {
	span := p.node.Pos
	if p.node == p.args { // what is wrong may be what is not there
		span = p.step.Pos
	}
	v.diags.reportWeak(p.node.Pos, span, hint, fmt.Sprintf("%s%s %s", p.prefix, p.name, what))
}

// number returns a number of the schema without an exponent.
func number(x any) string {
	if f, ok := x.(float64); ok {
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	return fmt.Sprint(x)
}

// place is where a value stands in the language.
type place struct {
	node   *Node
	step   *Node  // the step that it stands in, nil if it is in none
	args   *Node  // the args of that step, if it stands in them
	prefix string // "label[3]: " in a step
	name   string // of the value: `"keepSeconds"`, or "the step"
	owner  string // the same if the value is an object: "the args of filter_equals"

	isModule bool // it names the module of a step
}

// mark notes that what is wrong with the args was reported.
func (p *place) mark() {
	if p.args != nil {
		p.args.flawed = true
	}
}

// place finds a value, and words for it.
func (v *validator) place(path []string) place {
	p := place{node: v.root, name: "the file", owner: "the file"}
	label := ""
	for i, token := range path {
		above := p.node
		if p.node = v.child(above, token); p.node == nil {
			p.node = above
			return p
		}
		p.name = strconv.Quote(token)
		if above.Kind == Array {
			p.name = fmt.Sprintf("%s: element %s", strconv.Quote(path[i-1]), token)
		}
		p.owner = p.name
		if path[0] != keyActions {
			continue
		}
		switch {
		case i == 1: // a chain
			label = token
			if above.Kind == Array {
				l := p.node.word(keyLabel)
				if l == nil {
					continue
				}
				label = l.Text
			}
			p.name = fmt.Sprintf("chain %q", label)
			p.owner = fmt.Sprintf("the chain %q", label)
		case above.Kind == Array && p.step == nil: // a step
			p.step = p.node
			p.prefix = fmt.Sprintf("%s[%s]: ", label, token)
			p.name, p.owner = "the step", "the step"
		case p.args == nil && p.step != nil && (token == "filter" || token == "action"):
			p.isModule = true
		case token == "args" && p.args == nil && p.step != nil:
			p.args = p.node
			p.owner = "the args"
			for _, key := range []string{"filter", "action"} {
				if m := above.word(key); m != nil {
					p.owner = "the args of " + m.Text
				}
			}
		}
	}
	return p
}

// child returns a member or an element of a value, nil if there is none.
func (v *validator) child(n *Node, token string) *Node {
	if n.Kind == Array {
		if i, err := strconv.Atoi(token); err == nil && i >= 0 && i < len(n.Elems) {
			return n.Elems[i]
		}
		return nil
	}
	const large = 32
	if len(n.Members) < large {
		return n.Get(token)
	}
	members := v.index[n]
	if members == nil {
		members = make(map[string]*Node, len(n.Members))
		for _, m := range n.Members {
			members[m.Name] = m.Value
		}
		if v.index == nil {
			v.index = map[*Node]map[string]*Node{}
		}
		v.index[n] = members
	}
	return members[token]
}

func (v *validator) wrongType(x leaf, p place) {
	wanted := wantedKinds(x.wanted)
	if p.args != nil && len(x.path) > 0 && listArgs[x.path[len(x.path)-1]] {
		wanted = strings.Replace(wanted, "an object", `{"list": "name"}`, 1)
	}
	if p.node.Kind == Number && wanted == "a number" {
		if _, err := p.node.Int64(); err != nil {
			v.diags.Errorf(p.node.Pos, "", "%s%s: %v", p.prefix, p.name, err)
			return
		}
	}
	hint := ""
	switch {
	case len(x.path) == 2 && x.path[0] == keyActions && strings.Contains(wanted, "list"):
		wanted, hint = "a list of steps", `or an object: {"order": 100, "steps": […]}`
	case len(x.path) == 1 && x.path[0] == keyActions:
		hint = `it maps labels to chains: {"label": [steps…]}`
	}
	message := fmt.Sprintf("%s%s is %s; it must be %s", p.prefix, p.name, p.node.Kind, wanted)
	if p.args != nil && p.node != p.args { // the module may have more to say
		v.diags.reportWeak(p.node.Pos, p.node.Pos, "", message)
		return
	}
	v.diags.Errorf(p.node.Pos, hint, "%s", message)
}

// wantedKinds returns the types that the schema allows, in words. Null is legal nearly everywhere, and not worth naming.
func wantedKinds(wanted any) string {
	words := map[string]string{
		"string": "a string", "boolean": "a boolean", "integer": "a number", "number": "a number", "array": "a list", "object": "an object",
	}
	list, _ := wanted.([]any)
	if s, ok := wanted.(string); ok {
		list = []any{s}
	}
	var out []string
	for _, t := range list {
		if word := words[fmt.Sprint(t)]; word != "" && !slices.Contains(out, word) {
			out = append(out, word)
		}
	}
	if len(out) < 2 {
		return strings.Join(out, "")
	}
	return strings.Join(out[:len(out)-1], ", ") + " or " + out[len(out)-1]
}

// unknownKeys reports the keys of an object that the schema does not name.
func (v *validator) unknownKeys(x leaf, p place) {
	parent, _ := x.parent.(map[string]any)
	properties, _ := parent["properties"].(map[string]any)
	known := make([]string, 0, len(properties))
	for name := range properties {
		if !ownKey(name) {
			known = append(known, name)
		}
	}
	slices.Sort(known)
	for _, m := range p.node.Members {
		if _, ok := properties[m.Name]; ok || ownKey(m.Name) {
			continue
		}
		meant := nearest(m.Name, known)
		v.meant[x.at] = append(v.meant[x.at], meant)
		v.diags.Errorf(m.NamePos, unknownKeyHint(meant, known), "%sunknown key %q in %s", p.prefix, m.Name, p.owner)
	}
}

// missingKeys reports the keys that an object must have. What a step must be, and arguments where a step has none at all, are
// checked by those who know the modules.
func (v *validator) missingKeys(x leaf, p place) {
	wanted, _ := x.wanted.([]any)
	for _, key := range wanted {
		name := fmt.Sprint(key)
		if p.node.Get(name) != nil || slices.Contains(v.meant[x.at], name) {
			continue
		}
		message := fmt.Sprintf("%sthe mandatory key %q is missing in %s", p.prefix, name, p.owner)
		if p.node == p.step {
			v.diags.reportWeak(p.node.Pos, p.node.Pos, "", message)
			continue
		}
		v.diags.Errorf(Pos{p.node.Pos.File, p.node.Pos.Start, p.node.Pos.Start + 1}, "", "%s", message)
	}
}
