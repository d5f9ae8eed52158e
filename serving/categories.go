package serving

import (
	"cmp"
	"math"
	"slices"

	"github.com/millrace/millrace/internal/feature"
	"github.com/millrace/millrace/internal/model"
)

const (
	// maxAffinities is how many of a visitor's categories bring candidates, the strongest first.
	maxAffinities = 8
	// minPerAffinity is how many items each of them brings at least; a list draws on three times its length, so that the families have
	// something to choose among.
	minPerAffinity = 10
	// runningShare is what an hour's interest counts beside the taste of weeks while the visitor's session runs, and a day's
	// likewise. When it is over, the last visit is one of many.
	runningShare = 0.5
	// evenInterest is what every item of a category has beside what events tell, in views: a category with little traffic has no sure
	// favourite, and what one visitor has looked at is not what everybody wants.
	evenInterest = 5
)

// fromCategories brings the wanted items of the visitor's categories, in proportion to the visitor's interest in the category times
// the item's share of all interest in it: how likely the visitor's next choice is this item, if the category decides. An item of a
// brand that the visitor leans to counts more.
func (q *query) fromCategories(weight float64) source {
	s := source{family: sourceCategory, rung: rungCategory, weight: weight}
	each := max(minPerAffinity, 3*q.limit)
	affinities := q.affinities()
	s.items = q.mem.proposals.take(each * len(affinities))
	leanings := &q.mem.leanings
	leanings.begin(q)
	for _, a := range affinities {
		items := q.trends.categories[a.category]
		if len(items.ids) == 0 {
			items.ids = q.modelCategory(a.category, each)
		}
		for place, id := range q.unexcluded(items, each) {
			score := a.share * q.shareOf(a.category, place, id) * leanings.of(q, affinities, id)
			s.items = append(s.items, proposal{id: id, score: score, origin: a.category})
			s.scale = max(s.scale, score)
		}
	}
	return s
}

// shareOf is an item's share of the interest in its category, of which some more for every item (evenInterest) is a part. Where events tell
// nothing, the place in the category's list must do.
func (q *query) shareOf(category string, place int, id string) float64 {
	it, all := q.trends.items[id], len(q.trends.categories[category].ids)
	if all == 0 {
		return 1 / float64(place+2)
	}
	if it == nil {
		return evenInterest / (q.trends.wanted[category] + evenInterest*float64(all))
	}
	return (it.interest + evenInterest) / (q.trends.wanted[category] + evenInterest*float64(all))
}

// modelCategory is the category's list as of the last training, for a store without item aggregates: what rises there, at most half of
// it, and what is wanted most.
func (q *query) modelCategory(category string, k int) []string {
	if q.model == nil {
		return nil
	}
	ask := model.Query{Only: q.only(), Now: q.now}
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

// shares are what categories get of a visitor's interest, in memory that is kept from one request to the next.
type shares struct {
	names  idTable
	whole  []float64 // by number of the name
	counts []float64 // likewise, of the half-life at hand
	met    []metCategory
}

// metCategory is a category that only the catalogue names for an interaction.
type metCategory struct {
	interaction int
	number      int32
}

func (s *shares) reset() {
	s.names.reset()
	s.whole, s.counts, s.met = s.whole[:0], s.counts[:0], s.met[:0]
}

func (s *shares) number(name string) int32 {
	n, added := s.names.put(name)
	if added {
		s.whole, s.counts = append(s.whole, 0), append(s.counts, 0)
	}
	return n
}

// affinities are the categories that the list follows from, strongest first. For a visitor they are shares of the counts that decay
// within weeks and, while the session runs, of those that decay within an hour and a day (runningShare). Categories that only the
// catalogue knows count through the items that were met.
func (q *query) affinities() []affinity {
	s := &q.mem.shares
	s.reset()
	if q.set || !q.visitor.known {
		for _, id := range q.items {
			for _, category := range categoriesOf(q.catalogue.row(q.site, id), q.trends.items[id]) {
				s.whole[s.number(category)] += 1 / float64(len(q.items))
			}
		}
	} else {
		q.meet(s)
		p := &q.visitor.profile
		s.add(p, feature.Fortnight, 1)
		if q.sessionRuns() {
			s.add(p, feature.Hour, runningShare)
			s.add(p, feature.Day, runningShare)
		}
	}
	list := q.mem.affinities[:0]
	for number, category := range s.names.ids {
		if share := s.whole[number]; share > 0 {
			list = append(list, affinity{category, share})
		}
	}
	slices.SortFunc(list, func(a, b affinity) int {
		return cmp.Or(cmp.Compare(b.share, a.share), cmp.Compare(a.category, b.category))
	})
	q.mem.affinities = list
	return list[:min(len(list), maxAffinities)]
}

// meet looks up which categories the catalogue names for what was met, beside those of the events, which are counted already.
func (q *query) meet(s *shares) {
	p := &q.visitor.profile
	for i := range p.Categories {
		s.number(p.Categories[i].Name)
	}
	q.catalogue.read(q.site, func(row func(string) *Row) {
		for i := range p.Interactions {
			in := &p.Interactions[i]
			for _, category := range categoriesOf(row(in.ItemID), nil) {
				if category != in.Category {
					s.met = append(s.met, metCategory{i, s.number(category)})
				}
			}
		}
	})
}

// add counts the interest of one half-life with a weight.
func (s *shares) add(p *feature.Profile, h feature.HalfLife, weight float64) {
	clear(s.counts)
	sum := 0.0
	count := func(number int32, v float64) {
		s.counts[number] += v
		sum += v
	}
	for i := range p.Categories { // numbered in their order
		count(int32(i), p.Categories[i].Value(h, p.LastAt))
	}
	for _, met := range s.met {
		one := feature.Decayed{}
		one.Add(1, p.Interactions[met.interaction].OccurredAt)
		count(met.number, one.Value(h, p.LastAt))
	}
	if sum < math.SmallestNonzeroFloat32 {
		return
	}
	for number, v := range s.counts {
		s.whole[number] += weight * v / sum
	}
}
