package action

import (
	"github.com/pyruse/pyruse/internal/entry"
	"github.com/pyruse/pyruse/internal/workflow"
)

// What the actions tell the static analysis.
var (
	_ workflow.Worker = (*counterRaise)(nil)
	_ workflow.Worker = (*counterReset)(nil)
	_ workflow.Worker = (*banAddress)(nil)
	_ workflow.Worker = (*dnatCapture)(nil)
	_ workflow.Worker = (*dnatReplace)(nil)
	_ workflow.Worker = (*email)(nil)
	_ workflow.Worker = (*dailyReport)(nil)
	_ workflow.Worker = (*logLine)(nil)
)

// Works tells the static analysis which fields the action works with.
func (a *counterRaise) Works(*entry.Names) workflow.Work {
	w := countWork(a.category, a.key, a.save, workflow.StoresCount)
	w.Raises = true
	return w
}

// Works tells the static analysis which fields the action works with.
func (a *counterReset) Works(*entry.Names) workflow.Work {
	w := countWork(a.category, a.key, a.save, workflow.StoresZero)
	w.Grace = a.grace > 0
	return w
}

func countWork(c *Category, key, save entry.Slot, what workflow.Stored) workflow.Work {
	w := workflow.Work{Counter: c.name, Reads: []workflow.Read{{Field: key, Arg: "for", As: workflow.AsKey}}}
	if save != entry.NoSlot {
		w.Stores = []workflow.Storing{{Field: save, What: what}}
	}
	return w
}

// Works tells the static analysis which field is banned.
func (a *banAddress) Works(*entry.Names) workflow.Work {
	return workflow.Work{Reads: []workflow.Read{{Field: a.slot, Arg: "IP", As: workflow.AsBanned}}}
}

// Works tells the static analysis which fields the action works with.
func (a *dnatCapture) Works(*entry.Names) workflow.Work {
	var w workflow.Work
	for i, arg := range [6]string{iSaddr: "saddr", iSport: "sport", iAddr: "addr", iPort: "port", iDaddr: "daddr", iDport: "dport"} {
		if slot := a.parts[i].slot; slot != entry.NoSlot {
			as := workflow.AsOther
			if i == iSaddr {
				as = workflow.AsClient
			}
			w.Reads = append(w.Reads, workflow.Read{Field: slot, Arg: arg, As: as})
		}
	}
	return w
}

// Works tells the static analysis which fields the action works with.
func (a *dnatReplace) Works(*entry.Names) workflow.Work {
	var w workflow.Work
	for i, arg := range [4]string{"addr", "port", "daddr", "dport"} {
		if a.fields[i] != entry.NoSlot {
			w.Reads = append(w.Reads, workflow.Read{Field: a.fields[i], Arg: arg})
		}
	}
	for _, slot := range [2]entry.Slot{a.saddrInto, a.sportInto} {
		if slot != entry.NoSlot {
			w.Stores = append(w.Stores, workflow.Storing{Field: slot, What: workflow.StoresSometimes})
		}
	}
	return w
}

// Works tells the static analysis which fields the message shows.
func (a *email) Works(names *entry.Names) workflow.Work { return messageWork(a.message, names) }

// Works tells the static analysis which fields the message shows.
func (a *dailyReport) Works(names *entry.Names) workflow.Work { return messageWork(a.message, names) }

// Works tells the static analysis which fields the message shows.
func (a *logLine) Works(names *entry.Names) workflow.Work { return messageWork(a.message, names) }

func messageWork(t *entry.Template, names *entry.Names) workflow.Work {
	var w workflow.Work
	for _, name := range t.Fields() {
		w.Reads = append(w.Reads, workflow.Read{Field: names.Slot(name), Arg: "message", As: workflow.AsText})
	}
	return w
}
