package report

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"
)

// calendarWord is a word of an expression, and where it stands. Columns count from 1.
type calendarWord struct {
	text   string
	column int
}

// fault returns an error about what stands after so many bytes of the word. Up to there it is ASCII, or it would be at fault earlier.
func (w calendarWord) fault(after int, format string, args ...any) error {
	return fmt.Errorf("column %d: %w", w.column+after, fmt.Errorf(format, args...))
}

// sub returns the part of the word between two places.
func (w calendarWord) sub(from, to int) calendarWord {
	return calendarWord{w.text[from:to], w.column + from}
}

// calendarField is a part of a date or a time of day: its name, bounds and width when printed.
type calendarField struct {
	name            string
	low, high, wide int
}

var (
	yearField   = calendarField{"year", firstYear, lastYear, 4}
	monthField  = calendarField{"month", 1, 12, 2}
	dayField    = calendarField{"day", 1, 31, 2}
	hourField   = calendarField{"hour", 0, 23, 2}
	minuteField = calendarField{"minute", 0, 59, 2}
	secondField = calendarField{"second", 0, 59, 2}
	// endField is a day counted from the end of the month. systemd stops at 28 so that every month has it.
	endField = calendarField{"day before the end of the month", 1, 28, 2}
)

// calendarRun is an item of a list: one value, or every step-th value from first to last. last is -1 in "first/step", which goes
// on to the end, and step is 0 for one value.
type calendarRun struct{ first, last, step int }

// calendarList is what a part of an expression says; empty for "*".
type calendarList []calendarRun

// calendarShorthands are the names of whole expressions. systemd.time(7) does not name anually and the half-yearly ones after
// semiannually, but systemd 252 takes them.
var calendarShorthands = map[string]string{
	"minutely":      "*-*-* *:*:00",
	"hourly":        "*-*-* *:00:00",
	"daily":         "*-*-* 00:00:00",
	"monthly":       "*-*-01 00:00:00",
	"weekly":        "Mon *-*-* 00:00:00",
	"yearly":        "*-01-01 00:00:00",
	"annually":      "*-01-01 00:00:00",
	"anually":       "*-01-01 00:00:00",
	"quarterly":     "*-01,04,07,10-01 00:00:00",
	"semiannually":  "*-01,07-01 00:00:00",
	"semi-annually": "*-01,07-01 00:00:00",
	"biannually":    "*-01,07-01 00:00:00",
	"bi-annually":   "*-01,07-01 00:00:00",
}

// ParseCalendar reads a calendar expression as systemd.time(7), CALENDAR EVENTS, describes it, or a time of day alone, such as
// "06:00", which is every day. The error says what is wrong and in which column, in one line.
//
// Unlike systemd 252, it refuses fractions of seconds, the abbreviations of the local time zone, such as CEST, where the IANA database
// has no zone of that name, and values out of bounds also at the end of a range that a repetition never reaches. It takes
// more than one space between words, and spaces around them; a range of seconds from one to the same; and a list of days
// before the end of the month up to the 28th, where systemd allows three days less for each next one.
func ParseCalendar(s string) (*Calendar, error) {
	words := calendarWords(s)
	if len(words) == 0 {
		return nil, errors.New("column 1: the calendar expression is empty")
	}
	var zone calendarWord
	if last := len(words) - 1; last > 0 && isLetter(words[last].text[0]) {
		zone, words = words[last], words[:last]
	}
	c, err := parseMoments(words)
	if err != nil {
		return nil, err
	}
	if zone.text != "" {
		if err := c.setZone(zone); err != nil {
			return nil, err
		}
	}
	c.finish()
	return c, nil
}

// calendarWords splits at spaces, and only there.
func calendarWords(s string) (words []calendarWord) {
	column := 1
	for word := range strings.SplitSeq(s, " ") {
		if word != "" {
			words = append(words, calendarWord{word, column})
		}
		column += len(word) + 1
	}
	return words
}

// parseMoments reads an expression without its zone.
func parseMoments(words []calendarWord) (*Calendar, error) {
	first := words[0]
	long, isShorthand := calendarShorthands[strings.ToLower(first.text)]
	isEpoch := first.text[0] == '@'
	switch {
	case len(words) > 1 && (isShorthand || isEpoch):
		return nil, words[1].fault(0, "%q is too much: nothing but a zone may follow %q", words[1].text, first.text)
	case isEpoch:
		return parseEpoch(first)
	case isShorthand:
		words = calendarWords(long)
	}
	c := &Calendar{}
	c.weekdays[0] = everyWeekday
	if first := words[0]; isLetter(first.text[0]) || first.text[0] == ',' {
		c.weekdays[0] = 0
		if err := c.parseWeekdays(first); err != nil {
			return nil, err
		}
		words = words[1:]
	}
	if err := c.parseDateAndClock(words); err != nil {
		return nil, err
	}
	return c, nil
}

// parseDateAndClock reads a date and a time of day, each of which may be left out, and completes the normalized form.
func (c *Calendar) parseDateAndClock(words []calendarWord) error {
	date, clock := calendarWord{text: "*-*"}, calendarWord{text: "00:00"}
	if len(words) > 0 && !strings.Contains(words[0].text, ":") {
		date, words = words[0], words[1:]
	}
	if len(words) > 0 {
		clock, words = words[0], words[1:]
	}
	dateText, err := c.parseDate(date)
	if err != nil {
		return err
	}
	clockText, err := c.parseClock(clock)
	if err != nil {
		return err
	}
	if len(words) > 0 {
		return words[0].fault(0, "%q is too much: weekdays, a date, a time and a zone follow each other, each at most once", words[0].text)
	}
	c.text = c.weekdayText() + dateText + " " + clockText
	return nil
}

// parseEpoch reads "@" and seconds since 1970-01-01 00:00:00 UTC.
func parseEpoch(w calendarWord) (*Calendar, error) {
	seconds, err := strconv.ParseUint(w.text[1:], 10, 63)
	if err != nil {
		return nil, w.fault(1, "%q is no number of seconds", w.text[1:])
	}
	t := time.Unix(int64(min(seconds, 1<<40)), 0).UTC()
	if t.Year() > lastYear {
		return nil, w.fault(1, "the moment is after the year %d", lastYear)
	}
	c := &Calendar{text: t.Format("2006-01-02 15:04:05 UTC"), zone: time.UTC}
	c.weekdays[0] = everyWeekday
	c.years.add(t.Year() - firstYear)
	c.months.add(int(t.Month()))
	c.days.add(t.Day())
	c.hours.add(t.Hour())
	c.minutes.add(t.Minute())
	c.seconds.add(t.Second())
	return c, nil
}

// setZone takes the zone from the end of the expression.
func (c *Calendar) setZone(w calendarWord) error {
	if strings.EqualFold(w.text, "UTC") {
		w.text = "UTC"
	}
	known := func(r rune) bool { return isLetter(byte(r)) || '0' <= r && r <= '9' || strings.ContainsRune("/_+-", r) }
	if strings.IndexFunc(w.text, func(r rune) bool { return r > '~' || !known(r) }) >= 0 || w.text == "Local" {
		return w.fault(0, "%q is no name of a time zone: UTC, or one such as Europe/Paris", w.text)
	}
	zone, err := time.LoadLocation(w.text)
	if err != nil {
		return w.fault(0, "find the time zone, UTC or one such as Europe/Paris: %w", err)
	}
	if c.zone != nil && w.text != "UTC" {
		return w.fault(0, "seconds since 1970 are in UTC")
	}
	if c.zone == nil {
		c.zone, c.text = zone, c.text+" "+w.text
	}
	return nil
}

const everyWeekday = 1<<7 - 1

var weekdayNames = [...]string{"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"}

// parseWeekdays reads a list of weekdays and ranges of them, with or without a comma behind it.
func (c *Calendar) parseWeekdays(w calendarWord) error {
	list := w
	if strings.HasSuffix(w.text, ",") {
		list = w.sub(0, len(w.text)-1)
	}
	for item := range list.split(",") {
		from, to := item, item
		for _, between := range []string{"..", "-"} { // systemd still reads the "-" of its first versions
			if i := strings.Index(item.text, between); i >= 0 {
				from, to = item.sub(0, i), item.sub(i+len(between), len(item.text))
				break
			}
		}
		first, err := weekday(from)
		if err != nil {
			return err
		}
		last, err := weekday(to)
		if err != nil {
			return err
		}
		if last < first {
			return item.fault(0, "the range %q runs backwards: a week begins on Monday", item.text)
		}
		for d := first; d <= last; d++ {
			c.weekdays.add(d)
		}
	}
	return nil
}

// split yields the parts of a word between separators.
func (w calendarWord) split(separators string) iter.Seq[calendarWord] {
	return func(yield func(calendarWord) bool) {
		start := 0
		for i := range len(w.text) {
			if strings.IndexByte(separators, w.text[i]) < 0 {
				continue
			}
			if !yield(w.sub(start, i)) {
				return
			}
			start = i + 1
		}
		yield(w.sub(start, len(w.text)))
	}
}

// weekday returns the number of a weekday, of which Monday is 0.
func weekday(w calendarWord) (int, error) {
	for i, name := range weekdayNames {
		if strings.EqualFold(w.text, name) || strings.EqualFold(w.text, name[:3]) {
			return i, nil
		}
	}
	return 0, w.fault(0, "%q is no weekday, such as Mon or Monday, and no word such as daily", w.text)
}

// weekdayText returns the weekdays as they stand in the normalized form, with the space after them.
func (c *Calendar) weekdayText() string {
	if c.weekdays[0] == everyWeekday {
		return ""
	}
	var items []string
	for d := c.weekdays.next(0); d >= 0; d = c.weekdays.next(d) {
		first := d
		for d < 7 && c.weekdays.has(d) {
			d++
		}
		name, last := weekdayNames[first][:3], weekdayNames[d-1][:3]
		switch d - first {
		case 1:
		case 2:
			name += "," + last
		default:
			name += ".." + last
		}
		items = append(items, name)
	}
	return strings.Join(items, ",") + " "
}

// parseDate reads year-month-day or month-day, and returns it in normalized form.
func (c *Calendar) parseDate(w calendarWord) (string, error) {
	parts := slices.Collect(w.split("-~"))
	if len(parts) == 1 {
		return "", w.fault(0, "%q is neither a date (month-day) nor a time (hour:minute)", w.text)
	}
	if len(parts) > 3 {
		return "", parts[3].fault(-1, "a date has three parts at most, year-month-day; a range is written with ..")
	}
	if i := strings.IndexByte(w.text, '~'); i >= 0 {
		if last := parts[len(parts)-1].column - w.column - 1; i != last {
			return "", w.fault(i, "~ stands before the day only")
		}
		c.fromEnd = true
	}
	text := "*-"
	if len(parts) == 3 {
		years, err := parseList(parts[0], yearField, false)
		if err != nil {
			return "", err
		}
		years.fill(&c.years, yearField, false)
		text, parts = years.text(yearField)+"-", parts[1:]
	} else {
		calendarList(nil).fill(&c.years, yearField, false)
	}
	months, err := parseList(parts[0], monthField, false)
	if err != nil {
		return "", err
	}
	months.fill(&c.months, monthField, false)
	return c.parseDay(parts[1], text+months.text(monthField))
}

// parseDay reads the day of a date, and returns the normalized form of the whole, of which before is the beginning.
func (c *Calendar) parseDay(w calendarWord, before string) (string, error) {
	field := dayField
	if c.fromEnd {
		field = endField
	}
	days, err := parseList(w, field, c.fromEnd)
	if err != nil {
		return "", err
	}
	if len(days) == 0 && c.fromEnd { // every day, wherever it is counted from
		c.fromEnd, field = false, dayField
	}
	days.fill(&c.days, field, c.fromEnd)
	if c.fromEnd {
		return before + "~" + days.text(field), nil
	}
	return before + "-" + days.text(field), nil
}

// parseClock reads hour:minute or hour:minute:second, and returns it in normalized form.
func (c *Calendar) parseClock(w calendarWord) (string, error) {
	parts := slices.Collect(w.split(":"))
	if len(parts) == 1 {
		return "", w.fault(0, "%q is no time (hour:minute)", w.text)
	}
	if len(parts) > 3 {
		return "", parts[3].fault(-1, "a time has three parts at most, hour:minute:second")
	}
	if len(parts) == 2 {
		parts = append(parts, calendarWord{text: "00"})
	}
	texts := make([]string, len(parts))
	for i, into := range []*valueSet{&c.hours, &c.minutes, &c.seconds} {
		field := []calendarField{hourField, minuteField, secondField}[i]
		list, err := parseList(parts[i], field, false)
		if err != nil {
			return "", err
		}
		if field == secondField && slices.Contains(list, calendarRun{0, -1, 1}) {
			list = nil // systemd shows, and has, "*" as a repetition after each second
		}
		list.fill(into, field, false)
		texts[i] = list.text(field)
	}
	return strings.Join(texts, ":"), nil
}

// parseList reads "*", or runs with commas between them, in the order of the normalized form. A down list counts towards 1
// where others count up: the days before the end of the month.
func parseList(w calendarWord, f calendarField, down bool) (calendarList, error) {
	if w.text == "*" {
		return nil, nil
	}
	var list calendarList
	for item := range w.split(",") {
		if strings.HasPrefix(item.text, "*") {
			return nil, item.fault(0, "* stands alone in the %s; a repetition begins with a value, such as %d/2", f.name, f.low)
		}
		run, err := parseRun(item, f, down)
		if err != nil {
			return nil, err
		}
		list = append(list, run)
	}
	slices.SortFunc(list, func(a, b calendarRun) int {
		return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(a.last, b.last), cmp.Compare(a.step, b.step))
	})
	return slices.Compact(list), nil
}

// parseRun reads value, first..last, value/step or first..last/step.
func parseRun(w calendarWord, f calendarField, down bool) (calendarRun, error) {
	run := calendarRun{last: -1}
	first, at, err := parseValue(w, 0, f)
	if err != nil {
		return run, err
	}
	run.first = first
	if strings.HasPrefix(w.text[at:], "..") {
		run.step = 1
		if run.last, at, err = parseValue(w, at+2, f); err != nil {
			return run, err
		}
		if run.last < run.first {
			return run, w.fault(0, "the range %q runs backwards", w.text)
		}
	}
	if strings.HasPrefix(w.text[at:], "/") {
		begin := at + 1
		if run.step, at, err = parseNumber(w, begin, f); err != nil {
			return run, err
		}
		if at == len(w.text) {
			err = checkStep(w, begin, run, f, down)
		}
	}
	if at < len(w.text) {
		err = unexpected(w, at, f)
	}
	if err != nil {
		return run, err
	}
	if run.last >= 0 {
		run.last -= (run.last - run.first) % run.step
	}
	if run.last == run.first {
		run.last, run.step = -1, 0
	}
	return run, nil
}

// checkStep reports a repetition that stands still, or never comes.
func checkStep(w calendarWord, at int, run calendarRun, f calendarField, down bool) error {
	switch {
	case run.step == 0:
		return w.fault(at, "a repetition of the %s after 0 stands still", f.name)
	case run.last >= 0:
		return nil
	case down && run.first-run.step < f.low:
		return w.fault(at, "the repetition never comes: %d-%d is less than %d", run.first, run.step, f.low)
	case !down && run.first+run.step > f.high:
		return w.fault(at, "the repetition never comes: %d+%d is more than %d", run.first, run.step, f.high)
	}
	return nil
}

// unexpected returns the error about what stands where a run should end.
func unexpected(w calendarWord, at int, f calendarField) error {
	rest := w.text[at:]
	switch {
	case f == secondField && rest[0] == '.' && !strings.HasPrefix(rest, ".."):
		return w.fault(at, "a moment is at a whole second here: leave out the fraction")
	case rest[0] == '-':
		return w.fault(at, "a range of the %s is written with .., not with -", f.name)
	}
	return w.fault(at, "%q is not part of the %s: values, first..last or value/repetition, with commas between", rest, f.name)
}

// parseValue reads a number within the bounds of the field, from some place of the word on, and returns the place behind it.
func parseValue(w calendarWord, from int, f calendarField) (value, behind int, err error) {
	value, behind, err = parseNumber(w, from, f)
	if err != nil {
		return 0, 0, err
	}
	if f == yearField && value < 100 {
		value += 1900 // two digits: from 1970 to 2069
		if value < firstYear {
			value += 100
		}
	}
	if value < f.low || value > f.high {
		return 0, 0, w.fault(from, "the %s is from %d to %d, not %d", f.name, f.low, f.high, value)
	}
	return value, behind, nil
}

// parseNumber reads digits from some place of the word on, and returns the place behind them.
func parseNumber(w calendarWord, from int, f calendarField) (number, behind int, err error) {
	behind = from
	for behind < len(w.text) && '0' <= w.text[behind] && w.text[behind] <= '9' {
		behind++
	}
	if behind == from && from == len(w.text) {
		return 0, 0, w.fault(from, "a number of the %s is missing", f.name)
	}
	if behind == from {
		return 0, 0, w.fault(from, "%q does not begin with a number, for the %s", w.text[from:], f.name)
	}
	number, err = strconv.Atoi(w.text[from:behind])
	if err != nil || number > lastYear {
		return 0, 0, w.fault(from, "the number of the %s is more than %d", f.name, min(f.high, lastYear))
	}
	return number, behind, nil
}

// fill adds the values of the list to a set; all of the field if the list is empty.
func (l calendarList) fill(set *valueSet, f calendarField, down bool) {
	base := 0
	if f == yearField {
		base = firstYear
	}
	if len(l) == 0 {
		l = calendarList{{f.low, f.high, 1}}
	}
	for _, run := range l {
		switch last := run.last; {
		case run.step == 0:
			set.add(run.first - base)
		case last < 0 && down:
			for v := run.first; v >= f.low; v -= run.step {
				set.add(v - base)
			}
		default:
			if last < 0 {
				last = f.high
			}
			for v := run.first; v <= last; v += run.step {
				set.add(v - base)
			}
		}
	}
}

// text returns the list in normalized form.
func (l calendarList) text(f calendarField) string {
	if len(l) == 0 {
		return "*"
	}
	items := make([]string, len(l))
	for i, run := range l {
		items[i] = fmt.Sprintf("%0*d", f.wide, run.first)
		if run.last >= 0 {
			items[i] += fmt.Sprintf("..%0*d", f.wide, run.last)
		}
		if run.step > 1 || run.step == 1 && run.last < 0 {
			items[i] += fmt.Sprintf("/%d", run.step)
		}
	}
	return strings.Join(items, ",")
}
