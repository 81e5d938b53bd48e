package report

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"unicode/utf8"
)

// The comparison of the masked lines of a bucket follows Drain (He, Zhu, Zheng, Lyu: "Drain: An Online Log Parsing Approach with Fixed
// Depth Tree", ICWS 2017): a line joins the most similar template, which then loses the words that differ. What is different:
//
//   - All lines are there before the first is compared, and they are sorted. So the result is the same in any order.
//   - The upper levels of the tree are not the number of words and the first words, but the key of the bucket: all
//     separators, and all words that must not differ. So a name may be the first word, and "opened" never meets "closed".
//   - Lines that differ in one word only are found by hash before the similar ones are looked for. That is linear, and nearly all lines
//     are done with then. An index of words bounds the templates that the others are compared to.
//   - A word is only lost if enough different ones were seen at its place (needed).
const (
	// similarity is how many of the words that say something must be equal, in per cent, to join a template. At half (as in the paper)
	// kernel lines of different kinds meet.
	similarity = 60
	// remaining is how many per cent of these words a template must keep.
	remaining = 50
	// leastEqual is how many must be equal at least: in shorter lines similarity says little.
	leastEqual = 3
	// candidates is how many index entries are followed for each line.
	candidates = 256
	// rounds bounds the words that are lost one by one; nearly all lines have but one or two names.
	rounds = 8
	// maxPatterns is how many different sets of wildcard places a bucket can have; templates beyond them get no line from the others.
	maxPatterns = 64
)

// needed returns how many different words there must be at a place before they are taken for names, when so many words that say something
// would be left. Fewer are chance, or another kind of line; but when the word before, or the form of the words, says that they are
// names, two are enough.
func (b *bucket) needed(place, left int, names bool) int {
	p := b.shape[b.open[place]]
	names = names || p.hinted
	switch {
	case left == 0 || p.key:
		return 50 // "<*>" says nothing: only against a flood
	case left == 1 && names:
		return 4
	case names:
		return 2
	case left == 1 || b.open[place] == 0:
		return 8 // the first word is mostly a verb or a part of the program
	}
	return 3
}

// bucket holds the masked lines and the remembered templates that have the same key.
type bucket struct {
	known []string
	lines []*minedLines

	shape []position // of one of them
	other []position // of the one that is looked at
	open  []int      // the words that are no fixedWord, as indexes of shape: the places
	fixed int        // the fixed words that say something
	words words
}

// words numbers the words of a bucket. Word 0 is anyWord.
type words struct {
	text   []string
	number map[string]int32
	stem   []int32 // the word with its digits masked
	isStem []bool  // it stands for others
	isName []bool  // its form is that of a name
	tells  []bool  // it has letters
}

func (w *words) add(text string) int32 {
	if n, ok := w.number[text]; ok {
		return n
	}
	n := int32(len(w.text))
	w.number[text] = n
	w.text = append(w.text, text)
	w.stem = append(w.stem, n)
	w.isStem = append(w.isStem, false)
	w.isName = append(w.isName, isNameLike(text))
	w.tells = append(w.tells, hasLetters(text))
	stem := stemOf(text)
	if stem == text {
		w.isStem[n] = strings.IndexByte(text, '<') >= 0
	} else {
		w.stem[n] = w.add(stem)
	}
	return n
}

// stemOf masks all digits of a word.
func stemOf(word string) string {
	if word == "<num>" || word == "<hex>" {
		return anyID
	}
	if !strings.ContainsAny(word, "0123456789") {
		return word
	}
	var b []byte
	for i := 0; i < len(word); {
		if !isDigit(word[i]) {
			b = append(b, word[i])
			i++
			continue
		}
		for i < len(word) && (isDigit(word[i]) || word[i] == '.' && i+1 < len(word) && isDigit(word[i+1])) {
			i++
		}
		b = append(b, "<num>"...)
	}
	return string(b)
}

func isNameLike(word string) bool {
	for i := range len(word) {
		if c := word[i]; isDigit(c) || c >= utf8.RuneSelf || strings.IndexByte("./@<", c) >= 0 {
			return true
		}
	}
	return false
}

// records is a set of rows of words, one word for each place of the bucket.
type records struct {
	width int
	words []int32
	index map[uint64]int32
}

func newRecords(width int) *records { return &records{width: width, index: map[uint64]int32{}} }

func (r *records) len() int           { return len(r.words) / r.width }
func (r *records) at(n int32) []int32 { return r.words[int(n)*r.width:][:r.width:r.width] }

// add returns the number of the record, which may be in the set already.
func (r *records) add(record []int32) int32 {
	n, hash := r.look(record)
	if n < 0 {
		n = int32(r.len())
		r.index[hash] = n
		r.words = append(r.words, record...)
	}
	return n
}

// look returns the number of the record, or -1 and where it would be.
func (r *records) look(record []int32) (n int32, hash uint64) {
	for place, w := range record {
		hash += mixWord(place, w)
	}
	for ; ; hash++ {
		n, ok := r.index[hash]
		if !ok {
			return -1, hash
		}
		if slices.Equal(r.at(n), record) {
			return n, hash
		}
	}
}

func mixWord(place int, word int32) uint64 { return mix(uint64(place+1)<<32 | uint64(word)) }

// mine groups the lines of the bucket.
func (b *bucket) mine() []foundTemplate {
	if len(b.lines) == 1 && len(b.known) == 0 {
		return []foundTemplate{{text: b.lines[0].text, lines: b.lines}}
	}
	b.prepare()
	if len(b.open) == 0 {
		return []foundTemplate{{text: b.lines[0].text, known: len(b.known) > 0, lines: b.lines}}
	}
	known, lines := newRecords(len(b.open)), newRecords(len(b.open))
	var record []int32
	for _, text := range b.known {
		record = b.record(record[:0], text)
		known.add(record)
	}
	for _, l := range b.lines {
		lines.words = b.record(lines.words, l.text) // they are different
	}
	fits := newCover(known, &b.words, nil)
	items := newRecords(len(b.open)) // the known, then the lines that fit none
	items.words = slices.Clone(known.words)
	itemOf := make([]int32, lines.len())
	for i := range itemOf {
		itemOf[i] = fits.find(lines.at(int32(i)), -1)
		if itemOf[i] < 0 {
			itemOf[i] = int32(items.len())
			items.words = append(items.words, lines.at(int32(i))...)
		}
	}
	t := &templates{all: newRecords(len(b.open)), known: known}
	if items.len() == known.len() {
		t.keep(known)
	} else {
		b.compare(items, t)
		t.absorb(&b.words)
	}
	return b.found(t, lines, itemOf)
}

// prepare finds the places. All lines of the bucket have the same.
func (b *bucket) prepare() {
	text := b.exemplar()
	b.shape = shapeOf(text, nil)
	b.words.number = map[string]int32{}
	b.words.add(anyWord)
	b.words.isStem[0] = false
	for i, p := range b.shape {
		switch {
		case p.class != fixedWord:
			b.open = append(b.open, i)
		case p.letters:
			b.fixed++
		}
	}
}

func (b *bucket) exemplar() string {
	if len(b.known) > 0 {
		return b.known[0]
	}
	return b.lines[0].text
}

// record appends the words of a text at the places.
func (b *bucket) record(record []int32, text string) []int32 {
	b.other = shapeOf(text, b.other[:0])
	for _, i := range b.open {
		record = append(record, b.words.add(text[b.other[i].start:b.other[i].end]))
	}
	return record
}

// text is the inverse of record.
func (b *bucket) text(record []int32) string {
	exemplar := b.exemplar()
	var s strings.Builder
	end := 0
	for place, i := range b.open {
		s.WriteString(exemplar[end:b.shape[i].start])
		s.WriteString(b.words.text[record[place]])
		end = b.shape[i].end
	}
	s.WriteString(exemplar[end:])
	return s.String()
}

// telling counts the words of a record that say something, with the fixed ones.
func (b *bucket) telling(record []int32) int {
	n := b.fixed
	for _, w := range record {
		if b.words.tells[w] {
			n++
		}
	}
	return n
}

func (b *bucket) isNumber(place int) bool { return b.shape[b.open[place]].class == numberWord }

// merge makes the record a stand for b as well.
func (w *words) merge(a, b []int32) {
	for place := range a {
		switch {
		case a[place] == b[place]:
		case w.stem[a[place]] == w.stem[b[place]]:
			a[place] = w.stem[a[place]]
		default:
			a[place] = 0
		}
	}
}

// compare finds the templates of items, of which the first are the known ones.
func (b *bucket) compare(items *records, t *templates) {
	current := items
	of := make([]int32, items.len()) // the current record of each item
	for i := range of {
		of[i] = int32(i)
	}
	follow := func(next *records, moved []int32) {
		for i := range of {
			of[i] = moved[of[i]]
		}
		current = next
	}
	for range rounds {
		follow(b.mergeStems(current))
		next, moved := b.loseOneWord(current)
		if next == nil {
			break
		}
		follow(next, moved)
	}
	follow(b.mergeStems(current))

	cluster := make([]int32, current.len())
	var merged [][]int32
	for _, joined := range b.joinSimilar(current) {
		for _, part := range b.split(current, joined) {
			record := slices.Clone(current.at(part[0]))
			for _, n := range part {
				b.words.merge(record, current.at(n))
				cluster[n] = int32(len(merged))
			}
			merged = append(merged, record)
		}
	}
	for i := range of {
		of[i] = cluster[of[i]]
	}
	t.add(items, merged, of)
}

// mergeStems makes one record of those that differ only in digits. It returns where each record went.
func (b *bucket) mergeStems(from *records) (to *records, moved []int32) {
	stems := newRecords(from.width)
	moved = make([]int32, from.len())
	stem := make([]int32, from.width)
	var joined []int32
	for i := range moved {
		record := from.at(int32(i))
		for place, w := range record {
			stem[place] = b.words.stem[w]
		}
		n := stems.add(stem)
		moved[i] = n
		if int(n) == len(joined)/from.width {
			joined = append(joined, record...)
		} else {
			b.words.merge(joined[int(n)*from.width:][:from.width], record)
		}
	}
	to = newRecords(from.width) // these are different, because their stems are
	to.words = joined
	return to, moved
}

// rivals is what is known of the records that are equal but for one place.
type rivals struct {
	count, names int32
	any          bool // one of them has lost the word there
}

// loseOneWord takes a word from each record that is equal to enough others but for that word: the one with
// the most others. It returns nil if there is none.
func (b *bucket) loseOneWord(from *records) (to *records, moved []int32) {
	count := from.len()
	hashes := make([]uint64, count)
	telling := make([]int, count)
	for i := range hashes {
		for place, w := range from.at(int32(i)) {
			hashes[i] += mixWord(place, b.words.stem[w])
		}
		telling[i] = b.telling(from.at(int32(i)))
	}
	most := make([]int32, count)
	lost := make([]int32, count)
	changed := false
	equals := map[uint64]rivals{}
	for place := range from.width {
		if b.isNumber(place) {
			continue
		}
		clear(equals)
		hash := func(i int, w int32) uint64 { return hashes[i] - mixWord(place, b.words.stem[w]) }
		for i := range count {
			w := from.at(int32(i))[place]
			c := equals[hash(i, w)]
			if w == 0 {
				c.any = true
			} else {
				c.count++
			}
			if b.words.isName[w] {
				c.names++
			}
			equals[hash(i, w)] = c
		}
		for i := range count {
			w := from.at(int32(i))[place]
			if w == 0 {
				continue
			}
			c := equals[hash(i, w)]
			if c.any {
				c.count = math.MaxInt32
			}
			if c.count > most[i] && int(c.count) >= b.needed(place, telling[i]-1, c.names > 1) {
				most[i], lost[i], changed = c.count, int32(place), true
			}
		}
	}
	if !changed {
		return nil, nil
	}
	to = newRecords(from.width)
	moved = make([]int32, count)
	for i := range count {
		record := slices.Clone(from.at(int32(i)))
		if most[i] > 0 {
			record[lost[i]] = 0
		}
		moved[i] = to.add(record)
	}
	return to, moved
}

// joinSimilar is Drain: it returns the records that go together.
func (b *bucket) joinSimilar(from *records) [][]int32 {
	entry := func(place int, w int32) uint64 { return uint64(place)<<32 | uint64(b.words.stem[w]) }
	frequency := map[uint64]int{}
	for i := range from.len() {
		for place, w := range from.at(int32(i)) {
			frequency[entry(place, w)]++
		}
	}
	index := map[uint64][]int32{} // what templates have a word at a place
	var found [][]int32
	var template [][]int32
	var rare []int
	for i := range from.len() {
		record := from.at(int32(i))
		rare = rare[:0]
		for place, w := range record {
			if w != 0 && !b.isNumber(place) && frequency[entry(place, w)] > 1 {
				rare = append(rare, place)
			}
		}
		slices.SortStableFunc(rare, func(p, q int) int {
			return cmp.Compare(frequency[entry(p, record[p])], frequency[entry(q, record[q])])
		})
		best, equal, of := int32(-1), 0, 1
		budget := candidates
		for _, place := range rare {
			entries := index[entry(place, record[place])]
			entries = entries[:min(len(entries), budget)]
			budget -= len(entries)
			for _, n := range entries {
				e, o, ok := b.similar(template[n], record)
				if ok && (best < 0 || e*of > equal*o || e*of == equal*o && (e > equal || e == equal && n < best)) {
					best, equal, of = n, e, o
				}
			}
		}
		if best >= 0 {
			found[best] = append(found[best], int32(i))
			b.words.merge(template[best], record)
			continue
		}
		for _, place := range rare {
			index[entry(place, record[place])] = append(index[entry(place, record[place])], int32(len(found)))
		}
		found = append(found, []int32{int32(i)})
		template = append(template, slices.Clone(record))
	}
	return found
}

// similar returns how many of the words that say something are equal, and of how many, and whether that is enough.
func (b *bucket) similar(template, record []int32) (equal, of int, ok bool) {
	equal, of = b.fixed, b.fixed
	all, open := b.fixed, 0
	for place, w := range template {
		if b.isNumber(place) {
			continue
		}
		all++
		if w == 0 || record[place] == 0 {
			continue
		}
		same := b.words.stem[w] == b.words.stem[record[place]]
		if same && b.words.tells[w] {
			equal++
			open++
		}
		if !same || b.words.tells[w] {
			of++
		}
	}
	return equal, of, open > 0 && equal >= leastEqual && equal*100 >= similarity*of && equal*100 >= remaining*all
}

// split parts the records of a template where a place has too few different words: by these words, the place with the fewest first.
func (b *bucket) split(from *records, joined []int32) [][]int32 {
	if len(joined) == 1 {
		return [][]int32{joined}
	}
	place := b.doubtful(from, joined)
	if place < 0 {
		return [][]int32{joined}
	}
	parts := map[int32][]int32{}
	var order []int32
	for _, n := range joined {
		stem := b.words.stem[from.at(n)[place]]
		if parts[stem] == nil {
			order = append(order, stem)
		}
		parts[stem] = append(parts[stem], n)
	}
	var found [][]int32
	for _, stem := range order {
		found = append(found, b.split(from, parts[stem])...)
	}
	return found
}

// doubtful returns the place where too few different words were lost, and -1 if there is none.
func (b *bucket) doubtful(from *records, joined []int32) int {
	record := slices.Clone(from.at(joined[0]))
	for _, n := range joined {
		b.words.merge(record, from.at(n))
	}
	left := b.telling(record)
	worst, fewest := -1, math.MaxInt
	seen := map[int32]bool{}
	for place, w := range record {
		if w != 0 || b.isNumber(place) {
			continue
		}
		clear(seen)
		names := 0
		for _, n := range joined {
			stem := b.words.stem[from.at(n)[place]]
			if !seen[stem] && b.words.isName[from.at(n)[place]] {
				names++
			}
			seen[stem] = true
		}
		if !seen[0] && len(seen) < b.needed(place, left, names > 1) && len(seen) < fewest {
			worst, fewest = place, len(seen)
		}
	}
	return worst
}

// templates are the templates of a bucket while they are decided on.
type templates struct {
	all     *records
	known   *records
	of      []int32 // the template of each item
	into    []int32 // the template that one was absorbed by, or itself
	isKnown []bool
}

// keep makes the known ones the templates.
func (t *templates) keep(known *records) {
	for i := range known.len() {
		t.of = append(t.of, t.addOne(known.at(int32(i))))
	}
}

func (t *templates) addOne(record []int32) int32 {
	n := t.all.add(record)
	if int(n) == len(t.into) {
		t.into = append(t.into, n)
		k, _ := t.known.look(record)
		t.isKnown = append(t.isKnown, k >= 0)
	}
	return n
}

// add takes the clusters over. One that has no new line in it is no news: the known templates stay as they are.
func (t *templates) add(items *records, merged [][]int32, cluster []int32) {
	hasNew := make([]bool, len(merged))
	for i := t.known.len(); i < len(cluster); i++ {
		hasNew[cluster[i]] = true
	}
	for i, c := range cluster {
		if hasNew[c] {
			t.of = append(t.of, t.addOne(merged[c]))
		} else {
			t.of = append(t.of, t.addOne(items.at(int32(i))))
		}
	}
}

// absorb gives up the templates that another one stands for, too; but not a known one for a known one.
func (t *templates) absorb(w *words) {
	covers := newCover(t.all, w, nil)
	for i := range t.into {
		n := covers.find(t.all.at(int32(i)), int32(i))
		if n >= 0 && (!t.isKnown[i] || !t.isKnown[n]) {
			t.into[i] = n
		}
	}
}

// root returns what a template became. Each step is to a more general one, so there is an end.
func (t *templates) root(n int32) int32 {
	for t.into[n] != n {
		n = t.into[n]
	}
	return n
}

// found gives each line the template that fits best, which is the one with the most words.
func (b *bucket) found(t *templates, lines *records, itemOf []int32) []foundTemplate {
	fits := newCover(t.all, &b.words, t.into)
	found := make([]foundTemplate, t.all.len())
	for i, l := range b.lines {
		n := fits.find(lines.at(int32(i)), -1)
		if n < 0 {
			n = t.root(t.of[itemOf[i]])
		}
		found[n].lines = append(found[n].lines, l)
	}
	for k, text := range b.known { // sorted
		if n := t.root(t.of[k]); !slices.Equal(t.all.at(n), t.known.at(int32(k))) {
			found[n].replaces = append(found[n].replaces, text)
		}
	}
	for n := range found {
		found[n].text, found[n].known = b.text(t.all.at(int32(n))), t.isKnown[n]
	}
	return slices.DeleteFunc(found, func(f foundTemplate) bool { return len(f.lines) == 0 })
}

// cover finds the templates that a record fits.
type cover struct {
	words    *words
	patterns []*pattern
	probe    []int32
}

// pattern holds the templates that have wildcards at the same places.
type pattern struct {
	modes     []byte
	any, stem int // how many places have these modes
	records   *records
	number    []int32 // of each record, in the set that it comes from
}

// The modes of a place, in the order of patterns.
const (
	modeWord = iota // the word itself
	modeStem        // a word that differs in digits only
	modeAny         // each word
)

// newCover indexes the records; with into, only those that went nowhere.
func newCover(from *records, w *words, into []int32) *cover {
	c := &cover{words: w, probe: make([]int32, from.width)}
	byModes := map[string]*pattern{}
	modes := make([]byte, from.width)
	for i := range from.len() {
		if into != nil && into[i] != int32(i) {
			continue
		}
		record := from.at(int32(i))
		for place, word := range record {
			modes[place] = w.mode(word)
		}
		p := byModes[string(modes)]
		if p == nil {
			p = &pattern{modes: slices.Clone(modes), records: newRecords(from.width)}
			for _, mode := range modes {
				switch mode {
				case modeAny:
					p.any++
				case modeStem:
					p.stem++
				}
			}
			byModes[string(modes)] = p
			c.patterns = append(c.patterns, p)
		}
		p.records.add(record)
		p.number = append(p.number, int32(i))
	}
	c.sort()
	return c
}

// sort puts the pattern with the most words first, of the maxPatterns with the most templates.
func (c *cover) sort() {
	slices.SortFunc(c.patterns, func(p, q *pattern) int {
		return cmp.Or(cmp.Compare(len(q.number), len(p.number)), slices.Compare(p.modes, q.modes))
	})
	c.patterns = c.patterns[:min(len(c.patterns), maxPatterns)]
	slices.SortFunc(c.patterns, func(p, q *pattern) int {
		return cmp.Or(cmp.Compare(p.any, q.any), cmp.Compare(p.stem, q.stem), slices.Compare(p.modes, q.modes))
	})
}

func (w *words) mode(word int32) byte {
	switch {
	case word == 0:
		return modeAny
	case w.isStem[word]:
		return modeStem
	}
	return modeWord
}

// find returns the template with the most words that a record fits, other than itself, and -1 if there is none.
func (c *cover) find(record []int32, itself int32) int32 {
	for _, p := range c.patterns {
		for place, w := range record {
			switch p.modes[place] {
			case modeWord:
				c.probe[place] = w
			case modeStem:
				c.probe[place] = c.words.stem[w]
			default:
				c.probe[place] = 0
			}
		}
		if n, _ := p.records.look(c.probe); n >= 0 && p.number[n] != itself {
			return p.number[n]
		}
	}
	return -1
}
