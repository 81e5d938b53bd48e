package report

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pyruse/pyruse/internal/state"
)

func TestParseLegacy(t *testing.T) {
	warn := state.ReportLine{Level: state.ReportWarn, Time: time.UnixMicro(1542000000_000000), Message: "message", Details: All}
	info := state.ReportLine{Level: state.ReportInfo, Time: time.UnixMicro(1542000001_123457), Message: "a\n|é", Details: FirstLast}
	other := state.ReportLine{Level: state.ReportOther, Time: time.UnixMicro(1542000002_500000), Message: "", Details: All}
	const (
		warnText  = `{"L": 1, "T": 1542000000.0, "M": "message", "D": "ALL"},` + "\n"
		infoText  = `{"L": 2, "T": 1542000001.1234567, "M": "a\n|\u00e9", "D": "FIRSTLAST"},` + "\n"
		otherText = `{"L": 0, "T": 1542000002.5, "M": ""},` + "\n"
	)
	for _, c := range []struct {
		name, text string
		want       []state.ReportLine
		wantErr    string
	}{
		{"nothing", "", nil, ""},
		{"new day", "[\n", nil, ""},
		{"running day", "[\n" + warnText + infoText + otherText, []state.ReportLine{warn, info, other}, ""},
		{"closed day", "[" + warnText + otherText + "{}]", []state.ReportLine{warn, other}, ""},
		{"closed day with line end", "[\n" + warnText + "{}]\n", []state.ReportLine{warn}, ""},
		{"empty day", "[{}]", nil, ""},
		{"DOS lines", "[\r\n" + strings.ReplaceAll(warnText, "\n", "\r\n"), []state.ReportLine{warn}, ""},
		{"all on one line", "[" + strings.ReplaceAll(warnText+otherText, "\n", ""), []state.ReportLine{warn, other}, ""},
		{"cut off in an object", "[\n" + warnText + infoText[:40], []state.ReportLine{warn}, ""},
		{"cut off in a character", "[\n" + warnText + infoText[:46], []state.ReportLine{warn}, ""},
		{"cut off before the comma", "[\n" + warnText + otherText[:len(otherText)-2], []state.ReportLine{warn, other}, ""},
		{"zeros after power loss", "[\n" + warnText + "\x00\x00\x00\x00", []state.ReportLine{warn}, ""},
		{
			"unknown details", `[` + strings.Replace(warnText, "ALL", "SOME", 1), []state.ReportLine{warn}, "",
		},
		{
			"damage amid the file", "[\n" + warnText[:20] + "\n" + infoText + "oops\n" + otherText,
			[]state.ReportLine{info, other},
			"read the report journal of Pyruse 2: line 2: the object has no end\n" +
				"line 4: invalid character 'o' looking for beginning of value",
		},
		{
			"bad values", `{"L": 3, "T": 1, "M": ""},` + "\n" + `{"L": 1, "M": ""},` + "\n" + `{"L": 1, "T": 1e300, "M": ""},` + "\n",
			nil,
			"read the report journal of Pyruse 2: line 1: the level L is 3, not 0, 1 or 2\n" +
				"line 2: one of L, T and M is missing\nline 3: the time T is 1e+300, which is no time",
		},
		{
			"much damage", strings.Repeat("?\n", 1000), nil,
			"read the report journal of Pyruse 2: " + func() string {
				var b strings.Builder
				for _, n := range []string{"1", "2", "3", "4", "5", "6", "7", "8", "9", "10"} {
					b.WriteString("line " + n + ": invalid character '?' looking for beginning of value\n")
				}
				return b.String() + "and 990 more"
			}(),
		},
		{
			"endless line", warnText + strings.Repeat("x", maxLegacyLine+1), []state.ReportLine{warn},
			"read the report journal of Pyruse 2: line 2: bufio.Scanner: token too long",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := ParseLegacy(strings.NewReader(c.text))
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			message := ""
			if err != nil {
				message = err.Error()
			}
			if message != c.wantErr {
				t.Errorf("error %q, want %q", message, c.wantErr)
			}
		})
	}
}

func FuzzParseLegacy(f *testing.F) {
	f.Add([]byte(`[{"L": 1, "T": 1542000000.0, "M": "message", "D": "ALL"},` + "\n{}]"))
	f.Add([]byte("[\n{\"L\": 2, \"T\": 1.5, \"M\": \"\\ud800\"},\n{\"L\": 0, \"T"))
	f.Add([]byte("[[,]]{}null\"\"\n1"))
	f.Fuzz(func(t *testing.T, data []byte) {
		lines, err := ParseLegacy(bytes.NewReader(data))
		for _, l := range lines {
			if l.Level < state.ReportOther || l.Level > state.ReportInfo || !slices.Contains(detailsOrder, l.Details) ||
				l.Time.Unix() < 0 || l.Time.Year() > 10000 {
				t.Errorf("bad line %+v", l)
			}
		}
		if again, err2 := ParseLegacy(bytes.NewReader(data)); len(again) != len(lines) || (err == nil) != (err2 == nil) {
			t.Errorf("%d lines, %v, and then %d, %v", len(lines), err, len(again), err2)
		}
	})
}
