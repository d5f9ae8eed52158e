package serving

import (
	"slices"
	"sync/atomic"

	"github.com/millrace/millrace/internal/model"
)

// maxPageLists is how many lists of product pages are remembered of each family of a version, of some 1 KiB each: the pages of an
// hour.
const maxPageLists = 16_384

// pageLists remember what the families of a version say to product pages. That hangs on the item and on nothing else for as long as
// the families do not change: a version that comes into force, and one that sessions are laid over, begin with none, so that no list
// is ever out of date. What may be shown is decided after that, on the newest rows.
type pageLists struct{ session, transitions familyLists }

// familyLists are those of one family. They are safe for concurrent use.
type familyLists [maxPageLists]atomic.Pointer[pageList]

// pageList is one answer. It never changes, and the garbage collector finds nothing to follow in it.
type pageList struct {
	of     int32
	reach  int
	scored []model.Scored
}

// score is family.Score of one item as a set, with nothing left out. Callers only read what it returns. Scratch is memory for the
// answer while it is made.
func (l *familyLists) score(family model.Scorer, scratch []model.Scored, q model.Query, reach int) []model.Scored {
	of := q.Items[0]
	slot := &l[int(of)%len(l)]
	if list := slot.Load(); list != nil && list.of == of && list.reach == reach {
		return list.scored
	}
	list := &pageList{of: of, reach: reach, scored: slices.Clone(family.Score(scratch[:0], q, reach))}
	slot.Store(list)
	return list.scored
}
