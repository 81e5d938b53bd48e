package config

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

type inner struct {
	Name string `json:"name" need:"true"`
}

type decoded struct {
	Text   string   `json:"text" need:"true"`
	Flag   bool     `json:"flag"`
	Whole  int64    `json:"whole"`
	Real   float64  `json:"real"`
	Maybe  *int64   `json:"maybe"`
	List   []string `json:"list"`
	Any    *Node    `json:"any"`
	Nested inner    `json:"nested"`
}

func decode(source string) (decoded, []string) {
	var diags Diagnostics
	n := Parse(NewFile("f", []byte(source)), &diags)
	d := decoded{Whole: 7, Nested: inner{"default"}}
	if n != nil {
		Decode(n, &d, "step: ", "the args", n.Pos, &diags)
	}
	return d, texts(&diags)
}

func TestDecode(t *testing.T) {
	got, faults := decode(`{"text": "\u00e4\n", "flag": true, "whole": 12e2, "real": 2.5, "maybe": -3, "list": ["a", ""],
		"any": [1], "nested": {"name": "n"}, "comment": 1, "x-y": 2, "_z": 3}`)
	if len(faults) > 0 {
		t.Fatalf("%q", faults)
	}
	if got.Any == nil || string(got.Any.AppendJSON(nil)) != "[1]" {
		t.Errorf("any = %v", got.Any)
	}
	got.Any = nil
	maybe := int64(-3)
	want := decoded{Text: "ä\n", Flag: true, Whole: 1200, Real: 2.5, Maybe: &maybe, List: []string{"a", ""}, Nested: inner{"n"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDecodeNullIsAbsent(t *testing.T) {
	got, faults := decode(`{"text": "t", "whole": null, "maybe": null, "list": null, "nested": null, "any": null}`)
	if len(faults) > 0 {
		t.Fatalf("%q", faults)
	}
	if got.Whole != 7 || got.Maybe != nil || got.List != nil || got.Nested.Name != "default" {
		t.Errorf("got %+v", got)
	}
	if got.Any == nil || got.Any.Kind != Null {
		t.Errorf("a null of any type is a value: %v", got.Any)
	}
}

func TestDecodeFaults(t *testing.T) {
	for _, x := range []struct{ source, want string }{
		{`{}`, `f:1:1: error: step: the mandatory key "text" is missing in the args`},
		{`{"text": null}`, `f:1:1: error: step: the mandatory key "text" is missing in the args`},
		{`[]`, `f:1:1: error: step: the args is a list; it must be an object`},
		{`{"text": 1}`, `f:1:10: error: step: "text" is a number; it must be a string`},
		{`{"text": "", "flag": "true"}`, `f:1:22: error: step: "flag" is a string; it must be a boolean`},
		{`{"text": "", "whole": 1.5}`, `f:1:23: error: step: "whole": the number 1.5 must be a whole number`},
		{`{"text": "", "whole": 9223372036854775808}`, `f:1:23: error: step: "whole": the number 9223372036854775808 is out of range (64 bits)`},
		{`{"text": "", "whole": 1e400}`, `f:1:23: error: step: "whole": the number 1e400 is out of range (64 bits)`},
		{`{"text": "", "real": 1e400}`, `f:1:22: error: step: "real": the number 1e400 is out of range`},
		{`{"text": "", "list": "a"}`, `f:1:22: error: step: "list" is a string; it must be a list`},
		{`{"text": "", "list": ["a", null]}`, `f:1:28: error: step: "list": element 1 is null; it must be a string`},
		{`{"text": "", "nested": {"nam": "x"}}`, `f:1:25: error: step: unknown key "nam" in "nested" (did you mean "name"?)`},
		{`{"text": "", "nested": {}}`, `f:1:24: error: step: the mandatory key "name" is missing in "nested"`},
		{`{"text": "", "zzzzzz": 1}`, `f:1:14: error: step: unknown key "zzzzzz" in the args (legal here: text, flag, whole, real, maybe, list, any, nested)`},
		{`{"text": "", "Text": "x"}`, `f:1:14: error: step: unknown key "Text" in the args (did you mean "text"?)`},
	} {
		_, faults := decode(x.source)
		if diff := cmp.Diff([]string{x.want}, faults); diff != "" {
			t.Errorf("%s (-want +got):\n%s", x.source, diff)
		}
	}
}

// All faults are told, not just the first one.
func TestDecodeReportsAllFaults(t *testing.T) {
	_, faults := decode(`{"flag": 1, "whole": "x", "list": [1, 2], "nested": [], "other": 1}`)
	if len(faults) != 7 {
		t.Errorf("%d faults: %q", len(faults), faults)
	}
}

// plain returns a value as encoding/json would decode it with UseNumber.
func plain(n *Node) any {
	switch n.Kind {
	case Bool:
		return n.Bool
	case Number:
		return json.Number(n.Text)
	case String:
		return n.Text
	case Array:
		list := []any{}
		for _, e := range n.Elems {
			list = append(list, plain(e))
		}
		return list
	case Object:
		object := map[string]any{}
		for _, m := range n.Members {
			object[m.Name] = plain(m.Value)
		}
		return object
	}
	return nil
}

// FuzzParse holds the parser to encoding/json where both can read a text, and holds places and
// AppendJSON to what they promise.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		`{"a": [1, -2.5e3, "x\u00e4\ud83d\ude00\n", true, false, null, {}], "b": {"c": []}}`,
		"// c\n{\"a\": 1, /* d */ \"b\": [1,],}", `"\ud800"`, `{"a": 1, "a": 2}`, `[`, `{"a" 1}`, "\ufeff1", "\"\xff\"", `{"<&>": "\u2028"}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, source []byte) {
		var diags Diagnostics
		n := Parse(NewFile("f", source), &diags)
		if n == nil {
			if !diags.HasErrors() {
				t.Fatal("nothing was read, and nothing is said about it")
			}
			return
		}
		if n.Pos.Start < 0 || n.Pos.End > len(source) || n.Pos.Start >= n.Pos.End {
			t.Errorf("the value is at bytes %d to %d of %d", n.Pos.Start, n.Pos.End, len(source))
		}
		if diags.HasErrors() {
			return // a key that stands twice
		}
		d := json.NewDecoder(strings.NewReader(string(n.AppendJSON(nil))))
		d.UseNumber()
		var back any
		if err := d.Decode(&back); err != nil || !reflect.DeepEqual(back, plain(n)) {
			t.Errorf("%s does not read back as %v: %v, %v", n.AppendJSON(nil), plain(n), back, err)
		}
		var want any
		d = json.NewDecoder(strings.NewReader(string(source)))
		d.UseNumber()
		if err := d.Decode(&want); err == nil && utf8.Valid(source) && !reflect.DeepEqual(want, plain(n)) {
			t.Errorf("%q reads as %v, want %v", source, plain(n), want)
		}
	})
}
