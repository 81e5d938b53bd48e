package action

import (
	"fmt"
	"strconv"

	"github.com/pyruse/pyruse/internal/entry"
)

// encodeValue writes a value for the database: a letter for the type, then the text.
func encodeValue(v entry.Value) string {
	switch v.Kind() {
	case entry.String:
		return "s" + v.Str()
	case entry.UUID:
		return "u" + v.Str()
	case entry.Int:
		return "i" + strconv.FormatInt(v.Int(), 10)
	case entry.Float:
		return "f" + strconv.FormatFloat(v.Float(), 'g', -1, 64)
	case entry.Time:
		return "t" + strconv.FormatInt(v.UnixMicro(), 10)
	}
	return "n"
}

// decodeValue reads what encodeValue wrote.
func decodeValue(s string) (entry.Value, error) {
	if s == "" {
		return entry.Value{}, fmt.Errorf("decode a value: it is empty")
	}
	text := s[1:]
	switch s[0] {
	case 's':
		return entry.StringValue(text), nil
	case 'n':
		return entry.NullValue, nil
	case 'u':
		if u, ok := entry.ParseUUID(text); ok {
			return u, nil
		}
	case 'i', 't':
		if i, err := strconv.ParseInt(text, 10, 64); err == nil {
			if s[0] == 't' {
				return entry.TimeValue(i), nil
			}
			return entry.IntValue(i), nil
		}
	case 'f':
		if f, err := strconv.ParseFloat(text, 64); err == nil {
			return entry.FloatValue(f), nil
		}
	}
	return entry.Value{}, fmt.Errorf("decode a value: %q is none", s)
}
