package serving

import (
	"slices"
	"sync/atomic"

	"github.com/millrace/millrace/internal/model"
)

// maxPageLists is how many lists of product pages are remembered of each family of a version, of some 700 bytes each: the pages of an
// hour. A version of fewer items has a place for each.
const maxPageLists = 32_768

// maxPageRenewals is for how many renewals of the sessions over a version a list is kept: about a minute of a shop where sessions close
// every second.
const maxPageRenewals = 60

// pageLists remember what the families of a version say to product pages. That hangs on the item and on the sessions that it is in, and
// a little on how common the items of the list are elsewhere. So a version that comes into force begins with none; when closed sessions
// come over it, lists of items that are in them go, and the others stay for a while (keep), in which only the commonness that they were
// weighed by is that of then. What may be shown is decided after that, on the newest rows.
type pageLists struct{ session, transitions familyLists }

// newPageLists are lists, none yet, of a version that was trained on so many items.
func newPageLists(items int) *pageLists {
	return &pageLists{newFamilyLists(items), newFamilyLists(items)}
}

// familyLists are those of one family. They are safe for concurrent use.
type familyLists struct {
	renewals int // of the sessions over the version
	slots    []atomic.Pointer[pageList]
}

func newFamilyLists(items int) familyLists {
	return familyLists{slots: make([]atomic.Pointer[pageList], min(max(items, 1), maxPageLists))}
}

// pageList is one answer. It never changes, and the garbage collector finds nothing to follow in it.
type pageList struct {
	of      int32
	reach   int
	made    int   // renewals of then
	highest int32 // of the items that it names
	scored  []model.Scored
}

// score is family.Score of one item as a set, with nothing left out. Callers only read what it returns. Scratch is memory for the
// answer while it is made.
func (l *familyLists) score(family model.Scorer, scratch []model.Scored, q model.Query, reach int) []model.Scored {
	of := q.Items[0]
	slot := l.slot(of)
	if list := slot.Load(); list != nil && list.of == of && list.reach == reach {
		return list.scored
	}
	list := &pageList{of: of, reach: reach, made: l.renewals, highest: of, scored: slices.Clone(family.Score(scratch[:0], q, reach))}
	for _, sc := range list.scored {
		list.highest = max(list.highest, sc.Item)
	}
	slot.Store(list)
	return list.scored
}

func (l *familyLists) slot(of int32) *atomic.Pointer[pageList] { return &l.slots[int(of)%len(l.slots)] }

// keep takes over the lists of before, which has as many places: of and with items below known alone, whose numbers stay, and without those that moved.
func (l *familyLists) keep(before *familyLists, known int, moved []int32) {
	l.renewals = before.renewals + 1
	for i := range before.slots {
		if list := before.slots[i].Load(); list != nil && int(list.highest) < known && l.renewals-list.made <= maxPageRenewals {
			l.slots[i].Store(list)
		}
	}
	for _, of := range moved {
		if list := l.slot(of).Load(); list != nil && list.of == of {
			l.slot(of).Store(nil)
		}
	}
}
