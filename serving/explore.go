package serving

import (
	"cmp"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/model/content"
	"github.com/millrace/millrace/internal/parallel"
)

const (
	// maxUnmet bounds the items of a site that a list of new ones is chosen from, the newest: some 100 µs a request.
	maxUnmet = 500
	// newFor is for how long an item counts as new.
	newFor = 30 * 24 * time.Hour
	// An item is met when visitors have wanted it so much, which some five views make, or when so many events have named it that
	// it had its chance.
	metInterest = 5
	metEvents   = 200
	// newestBonus is what being the newest counts beside affinity, which is a cosine: it decides between items that a visitor
	// likes alike, and alone where nothing is known of the visitor.
	newestBonus = 0.1
	// bonusHalf is the place at which half of that is left.
	bonusHalf = 10
)

// unmet is an item that hardly anybody has met, and since when it is there in Unix milliseconds, 0 for unknown.
type unmet struct {
	id    string
	since int64
}

// newestUnmet orders by newness.
func newestUnmet(a, b unmet) int {
	return cmp.Or(cmp.Compare(b.since, a.since), cmp.Compare(a.id, b.id))
}

// isMet reports whether visitors have had to do with the item.
func (s *said) isMet() bool {
	return s != nil && (s.interest >= metInterest || s.events >= metEvents)
}

// since is when the item of a row came into the shop, in Unix milliseconds; 0 where nobody knows.
func (r *Row) since(now time.Time) int64 {
	switch {
	case r.published != 0 && r.published <= momentOf(now):
		return r.published.unixMilli()
	case r.created != 0:
		return r.created.unixMilli()
	}
	return 0
}

// isUnmet reports whether the item of a row is new and nobody has met it.
func (q *query) isUnmet(r *Row) bool {
	return !q.trends.items[r.ItemID].isMet() && r.since(q.now) >= q.now.Add(-newFor).UnixMilli()
}

// sortUnmet lists the items that may be shown and that hardly anybody has met, the newest first: those of events, and rows that no
// event named. Thousands of newer ones that are sold out must not take their places.
func (s *siteTrends) sortUnmet(gently *parallel.Gently, catalogue *Catalogue, site string, now time.Time) {
	var all []unmet
	catalogue.all(site, func(row *Row) bool {
		gently.Step()
		if row.eligible(now) && !s.items[row.ItemID].isMet() {
			all = append(all, unmet{row.ItemID, row.since(now)})
		}
		return true
	})
	for id, it := range s.items {
		gently.Step()
		if !it.isMet() && catalogue.row(site, id) == nil {
			all = append(all, unmet{id, it.firstAt})
		}
	}
	parallel.SortGently(gently, all, newestUnmet)
	s.unmet = slices.Clone(all[:min(len(all), maxUnmet)])
}

// unmetItems are those of the last reading of trends and those that have come since, the newest first, without what the visitor has
// seen.
func (q *query) unmetItems() []unmet {
	all := slices.Clone(q.trends.unmet)
	listed := make(map[string]bool, len(all))
	for _, u := range all {
		listed[u.id] = true
	}
	for _, id := range q.catalogue.arrivals(q.site) {
		if row := q.catalogue.row(q.site, id); row != nil && !listed[id] && !q.trends.items[id].isMet() {
			listed[id] = true
			all = append(all, unmet{id, row.since(q.now)})
		}
	}
	slices.SortFunc(all, newestUnmet)
	return slices.DeleteFunc(all, func(u unmet) bool { return q.visitor.profile.HasSeen(u.id) })
}

// fromUnmet brings items that hardly anybody has met: those that are most like what the visitor has looked at first, and of those
// alike the newest.
func (q *query) fromUnmet() source {
	all := q.unmetItems()
	s := source{family: sourceUnmet, weight: 1, items: make([]proposal, 0, len(all))}
	ids := make([]string, len(all))
	for i, u := range all {
		ids[i] = u.id
	}
	for place, like := range q.similar.Compare(nil, content.Query{Items: q.items, Now: q.now}, ids) {
		s.items = append(s.items, proposal{
			id: like.ID, origin: like.Because, score: float64(like.Score) + newestBonus*bonusHalf/float64(bonusHalf+place),
		})
	}
	slices.SortFunc(s.items, bestProposal)
	s.items = s.items[:min(len(s.items), q.reach())]
	return s
}

// bestProposal orders by score, ties by id.
func bestProposal(a, b proposal) int {
	return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.id, b.id))
}
