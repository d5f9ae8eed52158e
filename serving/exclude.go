package serving

import (
	"iter"
	"slices"

	"github.com/millrace/millrace/internal/model"
)

// excludes reports whether an item must not be proposed: the request names it, or its filters do not leave it.
func (q *query) excludes(id string) bool {
	return q.mem.excluded.has(id) || q.filtered && !q.permits(id)
}

// excludesNone reports whether every item may be proposed.
func (q *query) excludesNone() bool { return q.mem.excluded.len() == 0 && !q.filtered }

// excludesAny reports whether the request names any of some items of the version.
func (q *query) excludesAny(scored []model.Scored) bool {
	return q.mem.excluded.len() > 0 && slices.ContainsFunc(scored, func(s model.Scored) bool {
		return q.mem.excluded.has(q.model.Vocabulary.ID(s.Item))
	})
}

// only tells the families which items of the version they may bring, so that what is excluded, and what filters do not leave, takes no
// place among their best; nil for all of them.
func (q *query) only() *model.Mask {
	mask := &q.mem.mask
	switch {
	case q.mem.maskMade:
		return mask
	case q.excludesNone() || q.model == nil:
		return nil
	}
	q.mem.maskMade = true
	if q.filtered {
		q.maskPermitted()
	} else {
		mask.Reset(q.model.Vocabulary.Len(), true)
	}
	for _, id := range q.mem.excluded.ids {
		if item, ok := q.model.Vocabulary.Index(id); ok {
			mask.Deny(item)
		}
	}
	if q.filtered {
		q.mem.trace.keptOnly(mask, q.model.Vocabulary.Len())
	}
	return mask
}

// leavesOut is excludes of an item whose row has a number, below 0 where it had none when that was looked up. What filters leave was found
// out by numbers, so that most are decided by one bit.
func (q *query) leavesOut(number int32, id string) bool {
	if !q.filtered || number < 0 {
		return q.excludes(id)
	}
	p := q.permitted()
	return p.without(number) || (!p.exact || int(number) >= p.rows) && q.excludes(id)
}

// skip is only for what goes by ids.
func (q *query) skip() func(number int32, id string) bool {
	if q.excludesNone() {
		return nil
	}
	return q.leavesOut
}

// popularLeft are those of what visitors want that are not excluded, what is wanted most first.
func (q *query) popularLeft() iter.Seq[*said] {
	return func(yield func(*said) bool) {
		popular := q.trends.popular
		for at, place := range q.trends.places {
			if q.filtered && q.permitted().without(place-1) { // which looks at no item, of hundreds of thousands
				continue
			}
			if !q.leavesOut(place-1, popular[at].id) && !yield(popular[at]) {
				return
			}
		}
	}
}

// unexcluded are the first k of a category that are not excluded, in memory that the next call uses again.
func (q *query) unexcluded(items categoryItems, k int) []string {
	if q.excludesNone() {
		return items.ids[:min(len(items.ids), k)]
	}
	q.mem.kept = q.mem.kept[:0]
	for at, id := range items.ids {
		if len(q.mem.kept) == k {
			break
		}
		number := int32(-1)
		if at < len(items.places) {
			number = items.places[at] - 1
		}
		if !q.leavesOut(number, id) {
			q.mem.kept = append(q.mem.kept, id)
		}
	}
	return q.mem.kept
}
