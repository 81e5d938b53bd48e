package report

import (
	"math/bits"
	"time"
)

// Calendar is a set of moments: a calendar expression of systemd, as systemd.time(7), CALENDAR EVENTS, describes it.
// It is to the second, and lies in the years from 1970 to 2199, as there. A Calendar does not change.
//
// Where the clock of a zone is changed (daylight saving time), the rule depends on the hours of the expression:
//
//   - An expression that chooses hours ("02:30", "0/6:00", "Mon..Fri 08..18:00") is a set of appointments by the clock on the wall.
//     Each happens exactly once: at the first moment at which the clock shows this time or a later one. That is the first of the
//     two, if there are two; and the moment after the gap, if the clock leaves this time out, or the whole day. So a daily
//     report is neither lost nor sent twice. Appointments that fall into one gap are one moment.
//   - An expression that has every hour of the day ("hourly", "*:0/10") is a rhythm: it happens whenever the clock shows a time of
//     the expression, twice if it does so twice, and not at all for what the clock leaves out. So an hourly report
//     stays hourly over a change by one hour, in both directions.
//
// systemd 252 decides otherwise: a timer at 02:30 has no moment on the day in spring, and an hourly one waits two hours in autumn.
type Calendar struct {
	text string         // the normalized form
	zone *time.Location // nil: the expression names none

	weekdays         valueSet // 0 is Monday
	years            valueSet // since firstYear
	months, days     valueSet // from 1
	fromEnd          bool     // days are counted from the end of the month, of which the last day is 1
	hours            valueSet
	minutes, seconds valueSet

	byWeekday [7]uint64 // for the weekday of the first day of a month: bit d says that weekdays has its day d
	rhythm    bool      // has every hour
}

const (
	firstYear = 1970
	lastYear  = 2199

	daySeconds = 24 * 60 * 60
	// maxShift is more than the clocks of two zones differ: RFC 8536, 3.2, has them between 25 hours behind and 26 ahead of UTC.
	maxShift = 52 * 60 * 60
)

// String returns the normalized form, as systemd-analyze prints it.
func (c *Calendar) String() string { return c.text }

// Next returns the first moment after t, on the clocks of loc unless the expression names a zone. ok is false if there
// is none until the end of 2199: all years of the expression are over, or its date is in no year.
func (c *Calendar) Next(t time.Time, loc *time.Location) (next time.Time, ok bool) {
	loc = c.zoneOr(loc)
	var at int64
	if c.rhythm {
		at, ok = c.nextShown(t.Unix()+1, loc)
	} else if at, ok = c.nextClock(highestShown(t.Unix(), loc) + 1); ok {
		at = firstShown(at, loc)
	}
	if !ok {
		return time.Time{}, false
	}
	return time.Unix(at, 0).In(loc), true
}

// Prev returns the last moment at or before t, on the clocks of loc unless the expression names a zone. ok is false if
// there is none since 1970.
func (c *Calendar) Prev(t time.Time, loc *time.Location) (prev time.Time, ok bool) {
	loc = c.zoneOr(loc)
	var at int64
	if c.rhythm {
		at, ok = c.prevShown(t.Unix(), loc)
	} else if at, ok = c.prevClock(highestShown(t.Unix(), loc)); ok {
		at = firstShown(at, loc)
	}
	if !ok {
		return time.Time{}, false
	}
	return time.Unix(at, 0).In(loc), true
}

func (c *Calendar) zoneOr(loc *time.Location) *time.Location {
	if c.zone != nil {
		return c.zone
	}
	return loc
}

// nextShown returns the first moment, at x or later, at which the clock of loc shows a time of c.
// Moments are in seconds since 1970-01-01 UTC, times of a clock in seconds since its own 1970-01-01 00:00.
func (c *Calendar) nextShown(x int64, loc *time.Location) (at int64, ok bool) {
	for {
		s := spanAt(x, loc)
		clock, ok := c.nextClock(x + s.offset)
		switch {
		case ok && clock-s.offset < s.end:
			return clock - s.offset, true
		case s.end <= x+maxShift: // the clock may be set back before times that it has shown
			x = s.end
		case !ok:
			return 0, false
		default:
			x = max(s.end, clock-maxShift)
		}
	}
}

// prevShown returns the last moment, at x or earlier, at which the clock of loc shows a time of c.
func (c *Calendar) prevShown(x int64, loc *time.Location) (at int64, ok bool) {
	for {
		s := spanAt(x, loc)
		clock, ok := c.prevClock(x + s.offset)
		switch {
		case ok && clock-s.offset >= s.start:
			return clock - s.offset, true
		case s.start >= x-maxShift: // the clock may have shown later times before it was set back
			x = s.start - 1
		case !ok:
			return 0, false
		default:
			x = min(s.start-1, clock+maxShift)
		}
	}
}

// span is a stretch of time in which the clock of a zone is not changed: from start, until before end. It may be shorter
// than it could be.
type span struct {
	start, end int64
	offset     int64 // what the clock shows is the moment plus offset
}

// spanAt returns a span of the zone that x lies in.
func spanAt(x int64, loc *time.Location) span {
	t := time.Unix(x, 0).In(loc)
	_, offset := t.Zone()
	const ever = 1 << 60
	s := span{-ever, ever, int64(offset)}
	start, end := t.ZoneBounds()
	if !start.IsZero() {
		s.start = start.Unix()
	}
	if !end.IsZero() {
		s.end = end.Unix()
	}
	if s.end <= x { // for years that follow a rule, package time takes every year to have 365 days
		s.end = (x/daySeconds + 1) * daySeconds
	}
	return s
}

// firstShown returns the first moment at which the clock of loc shows this time or a later one.
func firstShown(clock int64, loc *time.Location) int64 {
	s := spanAt(clock-maxShift, loc)
	for clock >= s.end+s.offset {
		s = spanAt(s.end, loc)
	}
	return max(clock-s.offset, s.start)
}

// highestShown returns the latest time that the clock of loc has shown at x or before.
func highestShown(x int64, loc *time.Location) int64 {
	s := spanAt(x, loc)
	clock := x + s.offset
	for s.start > x-maxShift {
		before := s.start - 1
		s = spanAt(before, loc)
		clock = max(clock, before+s.offset)
	}
	return clock
}

// nextClock returns the first time of c on a clock that is never changed, at clock or later.
func (c *Calendar) nextClock(clock int64) (next int64, ok bool) {
	clock = max(clock, 0)
	day, ok := c.nextDay(clock / daySeconds)
	if !ok {
		return 0, false
	}
	from := 0
	if day == clock/daySeconds {
		from = int(clock % daySeconds)
	}
	second, ok := c.nextSecond(from)
	if ok {
		return day*daySeconds + int64(second), true
	}
	if day, ok = c.nextDay(day + 1); !ok {
		return 0, false
	}
	second, _ = c.nextSecond(0)
	return day*daySeconds + int64(second), true
}

// prevClock returns the last time of c on a clock that is never changed, at clock or earlier.
func (c *Calendar) prevClock(clock int64) (prev int64, ok bool) {
	if clock < 0 {
		return 0, false
	}
	day, ok := c.prevDay(clock / daySeconds)
	if !ok {
		return 0, false
	}
	from := daySeconds - 1
	if day == clock/daySeconds {
		from = int(clock % daySeconds)
	}
	second, ok := c.prevSecond(from)
	if ok {
		return day*daySeconds + int64(second), true
	}
	if day, ok = c.prevDay(day - 1); !ok {
		return 0, false
	}
	second, _ = c.prevSecond(daySeconds - 1)
	return day*daySeconds + int64(second), true
}

// nextDay returns the first day of c that is from or later, in days since 1970-01-01.
func (c *Calendar) nextDay(from int64) (day int64, ok bool) {
	year, month, dom := time.Unix(from*daySeconds, 0).UTC().Date()
	since := year - firstYear
	for y := c.years.next(since); y >= 0; y = c.years.next(y + 1) {
		m := 1
		if y == since {
			m = int(month)
		}
		for m = c.months.next(m); m >= 0; m = c.months.next(m + 1) {
			first := dayNumber(y, m)
			days := c.daysOf(y, m, first)
			if y == since && m == int(month) {
				days &= ^uint64(0) << dom
			}
			if days != 0 {
				return first - 1 + int64(bits.TrailingZeros64(days)), true
			}
		}
	}
	return 0, false
}

// prevDay returns the last day of c that is from or earlier, in days since 1970-01-01.
func (c *Calendar) prevDay(from int64) (day int64, ok bool) {
	year, month, dom := time.Unix(from*daySeconds, 0).UTC().Date()
	since := year - firstYear
	for y := c.years.prev(since); y >= 0; y = c.years.prev(y - 1) {
		m := 12
		if y == since {
			m = int(month)
		}
		for m = c.months.prev(m); m >= 0; m = c.months.prev(m - 1) {
			first := dayNumber(y, m)
			days := c.daysOf(y, m, first)
			if y == since && m == int(month) {
				days &= ^(^uint64(0) << (dom + 1))
			}
			if days != 0 {
				return first - 1 + int64(bits.Len64(days)-1), true
			}
		}
	}
	return 0, false
}

// daysOf returns the days of c in a month, that of day 1 as bit 1. first is the number of that day.
func (c *Calendar) daysOf(sinceFirstYear, month int, first int64) uint64 {
	length := monthLength(sinceFirstYear, month)
	days := c.days[0]
	if c.fromEnd {
		days = bits.Reverse64(days) >> (62 - length) // bit 1 becomes bit length
	}
	days &= uint64(2)<<length - 2
	const weekdayOfFirstDay = 3 // 1970-01-01 was a Thursday
	return days & c.byWeekday[(first+weekdayOfFirstDay)%7]
}

// nextSecond returns the first time of day of c that is from or later, in seconds since its start.
func (c *Calendar) nextSecond(from int) (second int, ok bool) {
	hour, minute, second := from/3600, from/60%60, from%60
	for h := c.hours.next(hour); h >= 0; h = c.hours.next(h + 1) {
		if h != hour {
			minute, second = 0, 0
		}
		for m := c.minutes.next(minute); m >= 0; m = c.minutes.next(m + 1) {
			if m != minute {
				second = 0
			}
			if s := c.seconds.next(second); s >= 0 {
				return (h*60+m)*60 + s, true
			}
		}
	}
	return 0, false
}

// prevSecond returns the last time of day of c that is from or earlier, in seconds since its start.
func (c *Calendar) prevSecond(from int) (second int, ok bool) {
	hour, minute, second := from/3600, from/60%60, from%60
	for h := c.hours.prev(hour); h >= 0; h = c.hours.prev(h - 1) {
		if h != hour {
			minute, second = 59, 59
		}
		for m := c.minutes.prev(minute); m >= 0; m = c.minutes.prev(m - 1) {
			if m != minute {
				second = 59
			}
			if s := c.seconds.prev(second); s >= 0 {
				return (h*60+m)*60 + s, true
			}
		}
	}
	return 0, false
}

// monthsBefore is how many days of a year without February 29 come before a month.
var monthsBefore = [...]int{1: 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365}

// dayNumber returns the number of the first day of a month, in days since 1970-01-01. Package time could, in ten times the time.
func dayNumber(sinceFirstYear, month int) int64 {
	before := firstYear + sinceFirstYear - 1
	leaps := before/4 - before/100 + before/400 - (1969/4 - 1969/100 + 1969/400)
	if month > 2 && isLeap(before+1) {
		leaps++
	}
	return int64(sinceFirstYear*365 + leaps + monthsBefore[month])
}

// monthLength returns the number of days of a month.
func monthLength(sinceFirstYear, month int) int {
	if month == 2 && isLeap(firstYear+sinceFirstYear) {
		return 29
	}
	return monthsBefore[month+1] - monthsBefore[month]
}

func isLeap(year int) bool { return year%4 == 0 && (year%100 != 0 || year%400 == 0) }

// valueSet is a set of numbers from 0 to 255.
type valueSet [4]uint64

func (s *valueSet) add(v int) { s[v/64] |= 1 << (v % 64) }

func (s *valueSet) has(v int) bool { return s[v/64]>>(v%64)&1 != 0 }

// next returns the lowest number of s that is from or higher, -1 if there is none. from is not negative.
func (s *valueSet) next(from int) int {
	for i := from / 64; i < len(s); i++ {
		word := s[i]
		if i == from/64 {
			word &= ^uint64(0) << (from % 64)
		}
		if word != 0 {
			return i*64 + bits.TrailingZeros64(word)
		}
	}
	return -1
}

// prev returns the highest number of s that is from or lower, -1 if there is none.
func (s *valueSet) prev(from int) int {
	if from < 0 {
		return -1
	}
	from = min(from, 64*len(s)-1)
	for i := from / 64; i >= 0; i-- {
		word := s[i]
		if i == from/64 {
			word &= ^uint64(0) >> (63 - from%64)
		}
		if word != 0 {
			return i*64 + bits.Len64(word) - 1
		}
	}
	return -1
}

// finish computes what Next and Prev need of the parts.
func (c *Calendar) finish() {
	for first := range c.byWeekday {
		for d := 1; d <= 31; d++ {
			if c.weekdays.has((first + d - 1) % 7) {
				c.byWeekday[first] |= 1 << d
			}
		}
	}
	c.rhythm = c.hours[0] == 1<<24-1
}
