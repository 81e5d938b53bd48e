package config

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// Decode reads an object strictly into the struct that into points to, and
// reports whether the struct can be worked with: nothing is missing or of the wrong type. An unknown key is an error, but not in
// the way. Struct fields are named by their `json` tag; a
// tag `need:"true"` makes the key mandatory. Field types are string, int64, []string, and
// *Node for a value of any type.
//
// A null counts as absent, except for *Node. Unknown keys are errors, but for
// those that are legal everywhere (comment, description, $schema, x-…, _…).
// what names the object in messages, which all begin with prefix; owner is the place that a missing key is reported at.
func Decode(n *Node, into any, prefix, what string, owner Pos, diags *Diagnostics) bool {
	d := decoder{prefix: prefix, what: what, owner: owner, diags: diags}
	d.object(n, reflect.ValueOf(into).Elem())
	return !d.unfit
}

type decoder struct {
	prefix string
	what   string
	owner  Pos
	diags  *Diagnostics
	unfit  bool // something is missing or of the wrong type
}

func (d *decoder) errorf(pos Pos, format string, args ...any) {
	d.unfit = true
	d.diags.Errorf(pos, "", "%s%s", d.prefix, fmt.Sprintf(format, args...))
}

func (d *decoder) object(n *Node, v reflect.Value) {
	if n != nil && n.Kind == Null {
		n = nil
	}
	if n != nil && n.Kind != Object {
		d.errorf(n.Pos, "%s is %s; it must be an object", d.what, n.Kind)
		return
	}
	known := make([]string, 0, v.NumField())
	fields := make(map[string]int, v.NumField())
	for i := range v.NumField() {
		if name := v.Type().Field(i).Tag.Get("json"); name != "" {
			known = append(known, name)
			fields[name] = i
		}
	}
	given, misspelt := map[string]bool{}, map[string]bool{}
	if n != nil {
		for _, m := range n.Members {
			i, ok := fields[m.Name]
			switch {
			case ok:
				given[m.Name] = d.value(m.Name, m.Value, v.Field(i))
			case !ownKey(m.Name):
				misspelt[d.unknownKey(m, known)] = true
			}
		}
	}
	for i, name := range known {
		if v.Type().Field(i).Tag.Get("need") != "true" || given[name] {
			continue
		}
		d.unfit = true
		if !misspelt[name] { // which is a fault of its own
			at := d.owner
			if n != nil {
				at = Pos{n.Pos.File, n.Pos.Start, n.Pos.Start + 1}
			}
			d.errorf(at, "the mandatory key %q is missing in %s", name, d.what)
		}
	}
}

// unknownKey reports a key that does not belong here, and returns the one that may be meant.
func (d *decoder) unknownKey(m Member, known []string) (meant string) {
	meant = nearest(m.Name, known)
	d.diags.Errorf(m.NamePos, unknownKeyHint(meant, known), "%sunknown key %q in %s", d.prefix, m.Name, d.what)
	return meant
}

// unknownKeyHint returns what to do about an unknown key, of which meant is what may be meant, "" if nobody knows.
func unknownKeyHint(meant string, known []string) string {
	switch {
	case meant != "":
		return didYouMean(meant)
	case len(known) > 0:
		return "legal here: " + strings.Join(known, ", ")
	}
	return "no key is legal here"
}

var nodeType = reflect.TypeFor[*Node]()

// value stores n in v. It returns false when n counts as absent; a value of the
// wrong type is present, and its fault is reported.
func (d *decoder) value(name string, n *Node, v reflect.Value) bool {
	if v.Type() == nodeType {
		v.Set(reflect.ValueOf(n))
		return true
	}
	if n.Kind == Null {
		return false
	}
	switch v.Kind() {
	case reflect.String:
		if d.isKind(name, n, String) {
			v.SetString(n.Text)
		}
	case reflect.Int64:
		d.integer(name, n, v)
	case reflect.Slice:
		if d.isKind(name, n, Array) {
			v.Set(reflect.ValueOf(d.strings(name, n)))
		}
	default:
		panic("config.Decode: a struct field of type " + v.Type().String())
	}
	return true
}

func (d *decoder) isKind(name string, n *Node, want Kind) bool {
	if n.Kind != want {
		d.errorf(n.Pos, "%q is %s; it must be %s", name, n.Kind, want)
		return false
	}
	return true
}

func (d *decoder) integer(name string, n *Node, v reflect.Value) {
	if !d.isKind(name, n, Number) {
		return
	}
	i, err := n.Int64()
	if err != nil {
		d.errorf(n.Pos, "%q: %v", name, err)
		return
	}
	v.SetInt(i)
}

func (d *decoder) strings(name string, n *Node) []string {
	list := make([]string, 0, len(n.Elems))
	for i, e := range n.Elems {
		if e.Kind != String {
			d.errorf(e.Pos, "%q: element %d is %s; it must be a string", name, i, e.Kind)
			continue
		}
		list = append(list, e.Text)
	}
	return list
}

var errRange = errors.New("out of range (64 bits)")

// Int64 returns the number of a Number node; 5.0 and 5e0 are the integer 5.
func (n *Node) Int64() (int64, error) {
	if i, err := strconv.ParseInt(n.Text, 10, 64); err == nil {
		return i, nil
	}
	f, err := strconv.ParseFloat(n.Text, 64)
	switch {
	case err != nil || f < -(1<<63) || f >= 1<<63:
		return 0, fmt.Errorf("the number %s is %w", n.Text, errRange)
	case f != float64(int64(f)):
		return 0, fmt.Errorf("the number %s must be a whole number", n.Text)
	}
	return int64(f), nil
}
