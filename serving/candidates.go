package serving

import (
	"cmp"
	"math"
	"slices"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/feature"
	"github.com/millrace/millrace/internal/model"
)

// Names of the sources besides the model families, as they stand in served_by and in exposures.
const (
	sourceCategory   = "category"   // wanted items of the visitor's categories
	sourceTrending   = "trending"   // rising items, from item aggregates or the model
	sourcePopularity = "popularity" // most wanted items
	sourceRecent     = "recent"     // what the visitor looked at
	sourceAgain      = "again"      // what the visitor bought
	sourceStatic     = "static"     // the last list on disk
	sourceCatalogue  = "catalogue"  // anything that may be shown
	sourceUnmet      = "unmet"      // what hardly anybody has met yet
)

const (
	// maxAffinities is how many of a visitor's categories bring candidates, the strongest first.
	maxAffinities = 8
	// minPerAffinity is how many items each of them brings at least: a short list shows several.
	minPerAffinity = 10
)

// proposal is one item of one source. Origin is what brought it: an item for a model family, a category for
// sourceCategory, "" where it follows from nothing.
type proposal struct {
	id     string
	score  float64
	origin string
}

// source is one family's proposals, best first, with its weight in the blend.
type source struct {
	family string
	rung   rung
	weight float64
	scale  float64 // the score that counts as 1; 0 for that of the best item
	items  []proposal
}

// fromSession asks the session model.
func (q *query) fromSession(weight float64) source {
	if q.model == nil || q.model.session == nil {
		return source{}
	}
	return q.fromModel(q.model.session, weight)
}

// fromTransitions asks the item-to-item model.
func (q *query) fromTransitions(weight float64) source {
	if q.model == nil || q.model.transitions == nil {
		return source{}
	}
	return q.fromModel(q.model.transitions, weight)
}

// fromBaskets asks what is bought together.
func (q *query) fromBaskets(weight float64) source {
	if q.model == nil || q.model.baskets == nil {
		return source{}
	}
	return q.fromModel(q.model.baskets, weight)
}

func (q *query) fromModel(scorer model.Scorer, weight float64) source {
	s := source{family: scorer.Name(), weight: weight}
	if q.profileLost && q.placement.Kind == control.KindHome {
		s.rung = rungSession // a personal list was asked for, and only the request's own session is there
	}
	vocabulary := q.model.Vocabulary
	indices := vocabulary.Indices(make([]int32, 0, len(q.items)), q.items)
	if len(indices) == 0 {
		return s
	}
	scored := scorer.Score(nil, model.Query{Items: indices, Set: q.set, Now: q.now}, q.reach())
	s.items = make([]proposal, len(scored))
	for i, sc := range scored {
		s.items[i] = proposal{id: vocabulary.ID(sc.Item), score: float64(sc.Score)}
		if sc.Because != model.NoCause {
			s.items[i].origin = vocabulary.ID(sc.Because)
		}
	}
	return s
}

// fromCategories brings the wanted items of the visitor's categories, in proportion to the visitor's interest in them.
func (q *query) fromCategories(weight float64) source {
	s := source{family: sourceCategory, rung: rungCategory, weight: weight}
	each := max(minPerAffinity, q.limit)
	for _, a := range q.affinities() {
		ids := q.trends.categories[a.category]
		if len(ids) == 0 {
			ids = q.modelCategory(a.category, each)
		}
		for place, id := range q.unseenFirst(ids[:min(len(ids), each)]) {
			s.items = append(s.items, proposal{id: id, score: a.share * placeWeight(place), origin: a.category})
		}
	}
	slices.SortStableFunc(s.items, func(a, b proposal) int { return cmp.Compare(b.score, a.score) })
	return s
}

// unseenFirst puts what the visitor has not seen before what it has, where the placement cares.
func (q *query) unseenFirst(ids []string) []string {
	if len(q.seen) == 0 {
		return ids
	}
	ordered := make([]string, 0, len(ids))
	for _, seen := range []bool{false, true} {
		for _, id := range ids {
			if q.seen[id] == seen {
				ordered = append(ordered, id)
			}
		}
	}
	return ordered
}

// placeWeight is what a place in a category's list is worth: the head stands for the category, the tail fills up.
func placeWeight(place int) float64 { return 0.3 + 0.7/(1+float64(place)/2) }

// modelCategory is the category's list as of the last training, for a store without item aggregates: what rises there, at most half of
// it, and what is wanted most.
func (q *query) modelCategory(category string, k int) []string {
	if q.model == nil {
		return nil
	}
	ask := model.Query{Now: q.now}
	rising := q.model.Popularity.ScoreTrending(nil, category, ask, k/2)
	var ids []string
	for _, sc := range q.model.Popularity.ScoreCategory(rising, category, ask, k) {
		if id := q.model.Vocabulary.ID(sc.Item); !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids[:min(len(ids), k)]
}

// affinity is a category with its share of the visitor's interest.
type affinity struct {
	category string
	share    float64
}

// affinities are the categories that the list follows from, strongest first. For a visitor they are shares of the
// decayed counts, averaged over the half-lives: an hour of interest in one category weighs as much as the taste of
// weeks. Categories that only the catalogue knows count through the items that were met.
func (q *query) affinities() []affinity {
	shares := map[string]float64{}
	p := &q.visitor.profile
	if q.set || !q.visitor.known {
		q.shareItems(shares)
	} else {
		for h := feature.Hour; h <= feature.Fortnight; h++ {
			q.addShares(shares, p, h)
		}
	}
	list := make([]affinity, 0, len(shares))
	for category, share := range shares {
		list = append(list, affinity{category, share})
	}
	slices.SortFunc(list, func(a, b affinity) int {
		return cmp.Or(cmp.Compare(b.share, a.share), cmp.Compare(a.category, b.category))
	})
	return list[:min(len(list), maxAffinities)]
}

// shareItems counts the categories of the query's items alike.
func (q *query) shareItems(shares map[string]float64) {
	for _, id := range q.items {
		for _, category := range categoriesOf(q.catalogue.row(q.site, id), q.trends.items[id]) {
			shares[category] += 1 / float64(len(q.items))
		}
	}
}

func (q *query) addShares(shares map[string]float64, p *feature.Profile, h feature.HalfLife) {
	counts := map[string]float64{}
	sum := 0.0
	for i := range p.Categories {
		v := p.Categories[i].Value(h, p.LastAt)
		counts[p.Categories[i].Name] += v
		sum += v
	}
	for i := range p.Interactions {
		in := &p.Interactions[i]
		one := feature.Decayed{}
		one.Add(1, in.OccurredAt)
		v := one.Value(h, p.LastAt)
		for _, category := range categoriesOf(q.catalogue.row(q.site, in.ItemID), nil) {
			if category != in.Category { // the event's own is counted already
				counts[category] += v
				sum += v
			}
		}
	}
	if sum < math.SmallestNonzeroFloat32 {
		return
	}
	const halfLives = 3
	for category, v := range counts {
		shares[category] += v / sum / halfLives
	}
}

// fromTrends brings what rises now, by the item aggregates or else by the model.
func (q *query) fromTrends(weight float64) source {
	s := source{family: sourceTrending, rung: rungTrending, weight: weight}
	for _, it := range q.trends.trending[:min(len(q.trends.trending), q.reach())] {
		s.items = append(s.items, proposal{id: it.id, score: it.trend})
	}
	if len(s.items) == 0 && q.model != nil {
		s.items = q.ranking(q.model.Popularity.Trending())
	}
	return s
}

// fromPopularity brings what is wanted most, by the item aggregates or else by the model.
func (q *query) fromPopularity(weight float64) source {
	s := source{family: sourcePopularity, rung: rungTrending, weight: weight}
	for _, it := range q.trends.popular[:min(len(q.trends.popular), q.reach())] {
		if it.interest > 0 {
			s.items = append(s.items, proposal{id: it.id, score: it.interest})
		}
	}
	if len(s.items) == 0 && q.model != nil {
		s.items = q.ranking(q.model.Popularity)
	}
	return s
}

// ranking is a model's list that follows from nothing.
func (q *query) ranking(scorer model.Scorer) []proposal {
	scored := scorer.Score(nil, model.Query{Now: q.now}, q.reach())
	items := make([]proposal, len(scored))
	for i, sc := range scored {
		items[i] = proposal{id: q.model.Vocabulary.ID(sc.Item), score: float64(sc.Score)}
	}
	return items
}

// fromHistory brings back what the visitor looked at, or bought, newest first. The score is the time.
func (q *query) fromHistory() source {
	if q.placement.Kind == control.KindAgain {
		return historySource(sourceAgain, q.visitor.profile.Bought)
	}
	return historySource(sourceRecent, q.visitor.profile.Seen)
}

func historySource(family string, history []feature.Seen) source {
	s := source{family: family, weight: 1}
	for i, seen := range history {
		s.items = append(s.items, proposal{id: seen.ItemID, score: 1 / float64(i+1)})
	}
	return s
}

// fromStatic brings the last list on disk.
func (q *query) fromStatic() source {
	s := source{family: sourceStatic, rung: rungStatic, weight: 1}
	for i, id := range q.static {
		s.items = append(s.items, proposal{id: id, score: 1 / float64(i+1)})
	}
	return s
}

// fromCatalogue brings every item that anything knows of: rows newest first, then items of events, then those of the
// model. It is asked only when nothing else could fill a single place, so its cost does not matter.
func (q *query) fromCatalogue() source {
	s := source{family: sourceCatalogue, rung: rungStatic, weight: 1}
	var rows []*Row
	q.catalogue.all(q.site, func(row *Row) bool {
		if row.eligible(q.now) {
			rows = append(rows, row)
		}
		return true
	})
	slices.SortFunc(rows, newestRow)
	add := func(id string) { s.items = append(s.items, proposal{id: id, score: 1 / float64(len(s.items)+1)}) }
	for _, row := range rows {
		add(row.ItemID)
	}
	for _, it := range q.trends.popular {
		add(it.id)
	}
	if q.model != nil {
		for i := range q.model.Vocabulary.Len() {
			add(q.model.Vocabulary.ID(int32(i)))
		}
	}
	return s
}
