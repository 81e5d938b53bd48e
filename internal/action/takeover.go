package action

// evictAtOnce bounds how many keys a take-over itself removes because of a lower limit: that takes milliseconds. What
// is above the limit then leaves with the operations that follow.
const evictAtOnce = 10_000

// TakeOver moves all counters and mappings of old into the tables of w, whose steps were compiled, and have not run
// yet. The steps of old must not run any more.
func (w *World) TakeOver(old *World) {
	w.Counters.TakeOver(old.Counters)
	w.DNAT.TakeOver(old.DNAT)
}

// TakeOver moves all that old holds into t, which must not hold any key yet: the counters by the names of their
// categories, and what waits for a commit. Those of categories that t does not know are kept: a later
// table may know them again. No key is looked at, but for those that the limit of t has no room for. old is empty then.
func (t *Counters) TakeOver(old *Counters) {
	mine, limit := t.byNumber, t.limit
	*t = *old
	*old = *NewCounters(old.limit)
	t.limit, t.peak = limit, max(limit, t.peak)
	t.adopt(mine)
	for range min(t.live-limit, evictAtOnce) {
		if !t.evictFirst() {
			return
		}
	}
}

// adopt puts categories, which steps have got hold of, in the place of those of the same name. Categories
// that nobody needs any more are forgotten, or reloads that rename counters would pile them up.
func (t *Counters) adopt(mine []*Category) {
	all := t.categories
	t.categories = make(map[string]*Category, len(mine))
	for _, c := range mine {
		t.categories[c.name] = c
		if was := all[c.name]; was != nil {
			c.number, c.live = was.number, was.live
			t.byNumber[c.number] = c
			delete(all, c.name)
		}
	}
	for name, c := range all {
		if c.live == 0 {
			t.byNumber[c.number] = nil
			continue
		}
		c.table = t
		t.categories[name] = c
	}
	t.number(mine)
}

// number gives a number to the categories that have none in t yet.
func (t *Counters) number(mine []*Category) {
	vacant := 0
	for _, c := range mine {
		if int(c.number) < len(t.byNumber) && t.byNumber[c.number] == c {
			continue
		}
		for vacant < len(t.byNumber) && t.byNumber[vacant] != nil {
			vacant++
		}
		if vacant == len(t.byNumber) {
			t.byNumber = append(t.byNumber, nil)
		}
		c.number = uint32(vacant)
		t.byNumber[vacant] = c
	}
}

// TakeOver moves all that old holds into t, which must be empty but for the look-ups that were asked for: the
// mappings, and what waits for a commit. Look-ups that old did not have are built. old is empty then.
func (t *DNAT) TakeOver(old *DNAT) {
	wanted, limit := t.indexes, t.limit
	*t = *old
	*old = *NewDNAT(old.limit)
	t.limit, t.peak = limit, max(limit, t.peak)
	had := t.indexes
	t.indexes = make(map[part]map[lookupKey][]*mapping, len(wanted))
	for by := range wanted {
		if had[by] == nil {
			t.index(by)
		} else {
			t.indexes[by] = had[by]
		}
	}
	for range min(len(t.byParts)-limit, evictAtOnce) {
		t.evictFirst()
	}
}
