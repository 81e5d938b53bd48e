package report

import (
	"cmp"
	"container/heap"
	"slices"
	"time"

	"github.com/pyruse/pyruse/internal/state"
)

// other is what nobody expected: all lines by their kinds, and the first lines as they were.
type other struct {
	count int
	miner *Miner
	lines firstLines
}

func newOther(known []state.Template) other {
	templates := make([]Template, len(known))
	for i, t := range known {
		templates[i] = Template{Service: t.Service, Text: t.Text}
	}
	return other{miner: NewMiner(templates)}
}

func (o *other) add(l state.ReportLine) {
	o.count++
	o.lines.add(l)
	service, message := l.Service, l.Message
	if l.Length > 0 {
		message = l.Message[l.Start : l.Start+l.Length]
	} else {
		service = "" // what the configuration has made of the entry tells nothing of its MESSAGE
	}
	o.miner.Add(service, message, l.Time, l.ID, Origin{Unit: l.Unit, Acted: l.Acted})
}

// firstLines are the first lines in the order of their times, as a heap with the last of them on top.
type firstLines []state.ReportLine

func (f *firstLines) add(l state.ReportLine) {
	if len(*f) == maxLines && compareLines(l, (*f)[0]) >= 0 {
		return
	}
	l.Message = shorten(l.Message, maxLine)
	if len(*f) == maxLines {
		(*f)[0] = l
		heap.Fix(f, 0)
		return
	}
	heap.Push(f, l)
}

func compareLines(a, b state.ReportLine) int {
	return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.ID, b.ID))
}

func (f firstLines) sorted() []state.ReportLine {
	return slices.SortedFunc(slices.Values(f), compareLines)
}

func (f firstLines) Len() int           { return len(f) }
func (f firstLines) Less(i, j int) bool { return compareLines(f[i], f[j]) > 0 }
func (f firstLines) Swap(i, j int)      { f[i], f[j] = f[j], f[i] }
func (f *firstLines) Push(x any)        { *f = append(*f, x.(state.ReportLine)) }
func (f *firstLines) Pop() any {
	last := (*f)[len(*f)-1]
	*f = (*f)[:len(*f)-1]
	return last
}

// when writes the times of the first and the last of some lines; the last is "" if it is the first.
func when(from, until time.Time) (a, b string) {
	a = FormatTime(from)
	if b = FormatTime(until); a == b {
		b = ""
	}
	return a, b
}
