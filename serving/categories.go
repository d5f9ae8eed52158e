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
	// minPerAffinity is how many items each of them brings at least: a short list shows several.
	minPerAffinity = 10
)

// fromCategories brings the wanted items of the visitor's categories, in proportion to the visitor's interest in them; of each those
// first that the visitor has not seen, where the placement cares.
func (q *query) fromCategories(weight float64) source {
	s := source{family: sourceCategory, rung: rungCategory, weight: weight}
	each := max(minPerAffinity, q.limit)
	affinities := q.affinities()
	s.items = q.mem.proposals.take(each * len(affinities))
	for _, a := range affinities {
		ids := q.trends.categories[a.category]
		if len(ids) == 0 {
			ids = q.modelCategory(a.category, each)
		}
		ids = q.unexcluded(ids, each)
		place := 0
		for _, seen := range [...]bool{false, true} {
			for _, id := range ids {
				if q.mem.seen.has(id) == seen {
					s.items = append(s.items, proposal{id: id, score: a.share * placeWeight(place), origin: a.category})
					s.scale = max(s.scale, s.items[len(s.items)-1].score)
					place++
				}
			}
		}
	}
	return s
}

// placeWeight is what a place in a category's list is worth: the head stands for the category, the tail fills up.
func placeWeight(place int) float64 { return 0.3 + 0.7/(1+float64(place)/2) }

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

// affinities are the categories that the list follows from, strongest first. For a visitor they are shares of the
// decayed counts, averaged over the half-lives: an hour of interest in one category weighs as much as the taste of
// weeks. Categories that only the catalogue knows count through the items that were met.
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
		for h := feature.Hour; h <= feature.Fortnight; h++ {
			s.add(&q.visitor.profile, h)
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

// add counts the interest of one half-life.
func (s *shares) add(p *feature.Profile, h feature.HalfLife) {
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
	const halfLives = 3
	for number, v := range s.counts {
		s.whole[number] += v / sum / halfLives
	}
}
