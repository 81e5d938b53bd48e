package config

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

type decoded struct {
	Text  string   `json:"text" need:"true"`
	Whole int64    `json:"whole"`
	List  []string `json:"list"`
	Any   *Node    `json:"any" need:"true"`
}

func decode(source string) (decoded, []string) {
	var diags Diagnostics
	n := Parse(NewFile("f", []byte(source)), &diags)
	d := decoded{Whole: 7}
	if n != nil {
		Decode(n, &d, "step: ", "the args", n.Pos, &diags)
	}
	return d, texts(&diags)
}

func TestDecode(t *testing.T) {
	got, faults := decode(`{"text": "\u00e4\n", "whole": 12e2, "list": ["a", ""], "any": [1], "comment": 1, "x-y": 2, "_z": 3}`)
	if len(faults) > 0 {
		t.Fatalf("%q", faults)
	}
	if got.Any == nil || string(got.Any.AppendJSON(nil)) != "[1]" {
		t.Errorf("any = %v", got.Any)
	}
	got.Any = nil
	if diff := cmp.Diff(decoded{Text: "ä\n", Whole: 1200, List: []string{"a", ""}}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDecodeNullIsAbsent(t *testing.T) {
	got, faults := decode(`{"text": "t", "whole": null, "list": null, "any": null}`)
	if len(faults) > 0 {
		t.Fatalf("%q", faults)
	}
	if got.Whole != 7 || got.List != nil {
		t.Errorf("got %+v", got)
	}
	if got.Any == nil || got.Any.Kind != Null {
		t.Errorf("a null of any type is a value: %v", got.Any)
	}
}

func TestDecodeFaults(t *testing.T) {
	for _, x := range []struct{ source, want string }{
		{`{"any": 1}`, `f:1:1: error: step: the mandatory key "text" is missing in the args`},
		{`{"any": 1, "text": null}`, `f:1:1: error: step: the mandatory key "text" is missing in the args`},
		{`{"any": 1, "text": 1}`, `f:1:20: error: step: "text" is a number; it must be a string`},
		{`{"any": 1, "text": "", "whole": 1.5}`, `f:1:33: error: step: "whole": the number 1.5 must be a whole number`},
		{`{"any": 1, "text": "", "whole": 9223372036854775808}`, `f:1:33: error: step: "whole": the number 9223372036854775808 is out of range (64 bits)`},
		{`{"any": 1, "text": "", "whole": 1e400}`, `f:1:33: error: step: "whole": the number 1e400 is out of range (64 bits)`},
		{`{"any": 1, "text": "", "list": "a"}`, `f:1:32: error: step: "list" is a string; it must be a list`},
		{`{"any": 1, "text": "", "list": ["a", null]}`, `f:1:38: error: step: "list": element 1 is null; it must be a string`},
		{`{"any": 1, "text": "", "zzzzzz": 1}`, `f:1:24: error: step: unknown key "zzzzzz" in the args (legal here: text, whole, list, any)`},
		{`{"any": 1, "text": "", "Text": "x"}`, `f:1:24: error: step: unknown key "Text" in the args (did you mean "text"?)`},
	} {
		_, faults := decode(x.source)
		if diff := cmp.Diff([]string{x.want}, faults); diff != "" {
			t.Errorf("%s (-want +got):\n%s", x.source, diff)
		}
	}
}

// All faults are told, not just the first one.
func TestDecodeReportsAllFaults(t *testing.T) {
	_, faults := decode(`{"whole": "x", "list": [1, 2], "other": 1}`)
	if len(faults) != 6 {
		t.Errorf("%d faults: %q", len(faults), faults)
	}
}

// An unknown key is a fault, but what is known can be worked with: only where something is missing, misspelt or of the wrong
// type it cannot.
func TestDecodeSaysWhatCanBeWorkedWith(t *testing.T) {
	for source, want := range map[string]bool{
		`{"text": "", "any": 1}`: true, `{"text": "", "any": 1, "other": 1}`: true, `{"text": "", "any": null}`: true,
		`{"tekst": "", "any": 1}`: false, `{"text": ""}`: false, `{"text": "", "any": 1, "whole": "x"}`: false, `[]`: false,
	} {
		var diags Diagnostics
		n := Parse(NewFile("f", []byte(source)), &diags)
		var d decoded
		if got := Decode(n, &d, "", "the args", n.Pos, &diags); got != want {
			t.Errorf("%s: %v, want %v", source, got, want)
		}
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
