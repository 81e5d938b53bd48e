package report

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/pyruse/pyruse/internal/state"
)

const (
	// maxLegacyLine is the longest line that is read, in bytes; Pyruse 2 had no bound.
	maxLegacyLine = 16 << 20
	// maxLegacyErrors is how many damaged lines are named.
	maxLegacyErrors = 10
)

// legacyLine is one object of the file; the fields are pointers to tell what is missing.
type legacyLine struct {
	Level   *int     `json:"L"`
	Time    *float64 `json:"T"` // seconds since 1970
	Message *string  `json:"M"`
	Details string   `json:"D"`
}

// ParseLegacy reads action_dailyReport.py.journal, in which Pyruse 2 collected the lines of the
// day: "[", then one object a line, each followed by a comma,
//
//	{"L": 1, "T": 1542000000.0, "M": "message", "D": "ALL"}
//
// (L: 1 WARN, 2 INFO, 0 OTHER; T: seconds since 1970), and "{}]" at the end of the day. The file of a
// running day has no end, and a last line that was cut off by a crash is left out. Any other line that is
// damaged is named in the error; the lines that could be read are returned all the same.
func ParseLegacy(r io.Reader) ([]state.ReportLine, error) {
	var lines []state.ReportLine
	var damaged []error
	s := bufio.NewScanner(r)
	s.Buffer(nil, maxLegacyLine)
	s.Split(scanWholeLines)
	number, skipped := 0, 0
	for s.Scan() {
		number++
		parsed, err := parseLegacyLine(s.Text())
		lines = append(lines, parsed...)
		switch {
		case err == nil:
		case errors.Is(err, errCutOff) && !strings.HasSuffix(s.Text(), "\n"):
		case len(damaged) < maxLegacyErrors:
			damaged = append(damaged, fmt.Errorf("line %d: %w", number, err))
		default:
			skipped++
		}
	}
	if skipped > 0 {
		damaged = append(damaged, fmt.Errorf("and %d more", skipped))
	}
	if err := s.Err(); err != nil {
		damaged = append(damaged, fmt.Errorf("line %d: %w", number+1, err))
	}
	if len(damaged) > 0 {
		return lines, fmt.Errorf("read the report journal of Pyruse 2: %w", errors.Join(damaged...))
	}
	return lines, nil
}

// scanWholeLines is bufio.ScanLines, but leaves the end of the line on.
func scanWholeLines(data []byte, atEOF bool) (int, []byte, error) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1, data[:i+1], nil
	}
	if atEOF && len(data) > 0 {
		return len(data), data, nil
	}
	return 0, nil, nil
}

// errCutOff says that a line ends within an object.
var errCutOff = errors.New("the object has no end")

// parseLegacyLine reads the objects of one line.
func parseLegacyLine(text string) ([]state.ReportLine, error) {
	var lines []state.ReportLine
	for {
		text = strings.TrimLeft(text, "[],\x00 \t\r\n")
		if text == "" {
			return lines, nil
		}
		var l legacyLine
		d := json.NewDecoder(strings.NewReader(text))
		if err := d.Decode(&l); errors.Is(err, io.ErrUnexpectedEOF) {
			return lines, errCutOff
		} else if err != nil {
			return lines, err
		}
		text = text[d.InputOffset():]
		if l == (legacyLine{}) {
			continue // the closing {}
		}
		line, err := l.line()
		if err != nil {
			return lines, err
		}
		lines = append(lines, line)
	}
}

func (l legacyLine) line() (state.ReportLine, error) {
	switch {
	case l.Level == nil || l.Time == nil || l.Message == nil:
		return state.ReportLine{}, errors.New("one of L, T and M is missing")
	case *l.Level < state.ReportOther || *l.Level > state.ReportInfo:
		return state.ReportLine{}, fmt.Errorf("the level L is %d, not 0, 1 or 2", *l.Level)
	}
	const year10000 = 253402300800
	if *l.Time < 0 || *l.Time >= year10000 {
		return state.ReportLine{}, fmt.Errorf("the time T is %g, which is no time", *l.Time)
	}
	if !slices.Contains(detailsOrder, l.Details) {
		l.Details = All
	}
	return state.ReportLine{
		Level:   *l.Level,
		Time:    time.UnixMicro(int64(math.Round(*l.Time * 1e6))),
		Message: *l.Message,
		Details: l.Details,
	}, nil
}
