package serving

import "github.com/millrace/millrace/internal/model"

// excludes reports whether an item must not be proposed: the request names it, or its filters do not leave it.
func (q *query) excludes(id string) bool {
	return q.mem.excluded.has(id) || q.filtered && !q.permits(id)
}

// excludesNone reports whether every item may be proposed.
func (q *query) excludesNone() bool { return q.mem.excluded.len() == 0 && !q.filtered }

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

// skip is only for what goes by ids.
func (q *query) skip() func(id string) bool {
	if q.excludesNone() {
		return nil
	}
	return q.excludes
}

// unexcluded are the first k of a list that are not excluded, in memory that the next call uses again.
func (q *query) unexcluded(ids []string, k int) []string {
	if q.excludesNone() {
		return ids[:min(len(ids), k)]
	}
	q.mem.kept = q.mem.kept[:0]
	for _, id := range ids {
		if len(q.mem.kept) == k {
			break
		}
		if !q.excludes(id) {
			q.mem.kept = append(q.mem.kept, id)
		}
	}
	return q.mem.kept
}
