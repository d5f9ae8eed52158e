package serving

import (
	"math"
	"slices"
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
	s := source{family: sourcePopularity, rung: rungTrending, weight: 1, items: q.wanted()}
	if len(s.items) < q.limit {
		s.items = q.wantedUnlisted(s.items)
	}
	q.propose(s)
}

// wanted are the items of the catalogue that may be shown and that the filters allow, as many as may be needed, those that are wanted
// most first.
func (q *query) wanted() []proposal {
	items := q.mem.proposals.take(0)
	p, r := q.permitted(), &q.mem.restriction
	q.eachPermitted(p, func(row *Row) {
		if !p.exact && !r.allows(row) {
			return
		}
		items = append(items, proposal{id: row.ItemID, score: q.want(row.ItemID)})
		if len(items) > 2*allStep {
			items = q.mostWanted(items)
		}
	})
	return q.mostWanted(items)
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
	for at, it := range q.trends.popular {
		if q.trends.places[at] == 0 && q.allows(it.id, nil) && q.catalogue.row(q.site, it.id) == nil {
			items = append(items, proposal{id: it.id, score: q.want(it.id)})
		}
	}
	return q.mostWanted(items)
}
