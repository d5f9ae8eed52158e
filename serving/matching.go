package serving

import (
	"math"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
)

// allows reports whether the filters let an item through.
func (q *query) allows(id string, row *Row) bool {
	r := &q.mem.restriction
	return r.allows(r.subject(id, row, q.trends))
}

// boost multiplies the scores of a stage's candidates.
func (q *query) boost(ranked *ranking) {
	r := &q.mem.restriction
	q.catalogue.read(q.site, func(row func(string) *Row) {
		for _, c := range ranked.heap {
			found := row(c.id)
			q.mem.trace.sawRow(q, c.id, found)
			c.score *= r.factor(r.subject(c.id, found, q.trends))
		}
	})
	ranked.order()
}

// askMatching brings what the filters allow of the whole catalogue, whoever has met it: what visitors want most first, then the
// newest. It is asked while a filtered list is not full, so that one is short only where nothing else matches.
func (q *query) askMatching() {
	s := source{family: sourcePopularity, rung: rungTrending, weight: 1}
	if candidates := q.catalogue.narrow(q.site, q.mem.restriction.narrow()); candidates != nil {
		s.items = q.wanted(candidates)
	} else {
		s.items = q.wantedOfAll()
	}
	if len(s.items) < q.limit {
		s.items = q.wantedUnlisted(s.items)
	}
	q.propose(s)
}

// wanted are the items of numbers that may be shown and that the filters allow, as many as may be needed, those that are wanted
// most first.
func (q *query) wanted(numbers *roaring.Bitmap) []proposal {
	items := q.mem.proposals.take(0)
	rows := make([]*Row, 0, allStep)
	step := make([]uint32, allStep)
	for many := numbers.ManyIterator(); ; {
		n := many.NextMany(step)
		if n == 0 {
			return q.mostWanted(items)
		}
		rows = q.catalogue.numbered(rows[:0], q.site, step[:n])
		items = q.match(items, rows)
		if len(items) > 2*allStep {
			items = q.mostWanted(items)
		}
	}
}

// wantedOfAll is wanted for filters that the index cannot narrow.
func (q *query) wantedOfAll() (items []proposal) {
	rows := make([]*Row, 0, 1)
	q.catalogue.all(q.site, func(row *Row) bool {
		items = q.match(items, append(rows[:0], row))
		if len(items) > 2*allStep {
			items = q.mostWanted(items)
		}
		return true
	})
	return q.mostWanted(items)
}

// match appends those of some rows that may be shown and that the filters allow.
func (q *query) match(items []proposal, rows []*Row) []proposal {
	r := &q.mem.restriction
	for _, row := range rows {
		if row.eligible(q.now) && r.allows(row) {
			items = append(items, proposal{id: row.ItemID, score: q.want(row.ItemID)})
		}
	}
	return items
}

// want is how much visitors want an item; next to nothing for one that nobody has met.
func (q *query) want(id string) float64 {
	if it := q.trends.items[id]; it != nil {
		return max(it.interest, math.SmallestNonzeroFloat32)
	}
	return math.SmallestNonzeroFloat32
}

// mostWanted keeps of items those that a list may need.
func (q *query) mostWanted(items []proposal) []proposal {
	slices.SortFunc(items, bestProposal)
	return items[:min(len(items), q.reach())]
}

// wantedUnlisted adds what the catalogue has no row of.
func (q *query) wantedUnlisted(items []proposal) []proposal {
	for _, it := range q.trends.popular {
		if q.allows(it.id, nil) && q.catalogue.row(q.site, it.id) == nil {
			items = append(items, proposal{id: it.id, score: q.want(it.id)})
		}
	}
	return q.mostWanted(items)
}
