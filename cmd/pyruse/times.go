package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// parseTime reads a point in time as a user writes it; "" is the zero time.
func parseTime(flag, s string, now time.Time) (time.Time, error) {
	year, month, day := now.Date()
	midnight := time.Date(year, month, day, 0, 0, 0, 0, now.Location())
	switch s {
	case "":
		return time.Time{}, nil
	case "now":
		return now, nil
	case "today":
		return midnight, nil
	case "yesterday":
		return midnight.AddDate(0, 0, -1), nil
	}
	if rest, ok := strings.CutPrefix(s, "-"); ok {
		d, err := parseLength(rest)
		if err != nil {
			return time.Time{}, fmt.Errorf("--%s: %w", flag, err)
		}
		return now.Add(-d), nil
	}
	if rest, ok := strings.CutPrefix(s, "@"); ok {
		if f, err := strconv.ParseFloat(rest, 64); err == nil && f >= 0 && f < 1e11 {
			return time.UnixMicro(int64(f * 1e6)), nil
		}
	}
	for _, layout := range []string{
		time.RFC3339Nano, "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02T15:04:05", "2006-01-02",
	} {
		if t, err := time.ParseInLocation(layout, s, now.Location()); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("--%s: %q is no time; write 2026-11-22, \"2026-11-22 08:00\", yesterday, or -2h", flag, s)
}

// units of a length of time.
var units = map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour}

// maxLength is the longest length of time that a user can write: a hundred years.
const maxLength = 100 * 366 * 24 * time.Hour

// parseLength reads a length of time such as 3d, 1w2d, 90m or 3600 (seconds).
func parseLength(s string) (time.Duration, error) {
	fault := fmt.Errorf("%q is no length of time; write 3d, 12h, 1w2d, 90m, or a number of seconds", s)
	if s == "" {
		return 0, fault
	}
	var sum time.Duration
	for rest := s; rest != ""; {
		i := 0
		for i < len(rest) && rest[i] >= '0' && rest[i] <= '9' {
			i++
		}
		n, err := strconv.ParseInt(rest[:i], 10, 64)
		if err != nil {
			return 0, fault
		}
		unit := time.Second
		if i < len(rest) {
			var ok bool
			if unit, ok = units[rest[i]]; !ok {
				return 0, fault
			}
			i++
		}
		if n > int64((maxLength-sum)/unit) {
			return 0, fmt.Errorf("%q is more than a hundred years", s)
		}
		sum += time.Duration(n) * unit
		rest = rest[i:]
	}
	return sum, nil
}

// parseSpan reads --since and --until.
func parseSpan(since, until string) (from, to time.Time, err error) {
	now := time.Now()
	if from, err = parseTime("since", since, now); err == nil {
		to, err = parseTime("until", until, now)
	}
	return from, to, err
}

// parseDate reads a day, and returns it as 2006-01-02.
func parseDate(s string, now time.Time) (string, error) {
	switch s {
	case "today":
		return now.Format(time.DateOnly), nil
	case "yesterday":
		return now.AddDate(0, 0, -1).Format(time.DateOnly), nil
	}
	if _, err := time.Parse(time.DateOnly, s); err != nil {
		return "", fmt.Errorf("--date: %q is no day; write 2026-11-22, today or yesterday", s)
	}
	return s, nil
}
