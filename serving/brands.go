package serving

import "github.com/millrace/millrace/internal/feature"

// evenBrand is what every brand has beside what a visitor met of it, in events: one look at a brand is no liking yet.
const evenBrand = 3

// brandInterest is the interest in the items of a category whose brand events name.
type brandInterest struct {
	all float64
	of  map[string]float64 // by brand
}

// addToBrand counts what an item is wanted for its brand in a category.
func (s *siteTrends) addToBrand(category string, it *said) {
	if it.brand == "" {
		return
	}
	b := s.brands[category]
	if b == nil {
		b = &brandInterest{of: map[string]float64{}}
		s.brands[category] = b
	}
	b.all += it.interest
	b.of[it.brand] += it.interest
}

// leanings are how much more, or less, than everybody in the same categories a visitor wants a brand. They are found out as brands
// come up, in memory that is kept from one request to the next.
type leanings struct {
	names idTable
	known []float64 // by number of the name
	met   float64   // what the visitor met of all brands, in events that fade within weeks
}

// begin forgets everything but the visitor.
func (l *leanings) begin(q *query) {
	l.names.reset()
	l.known, l.met = l.known[:0], 0
	if q.set || !q.visitor.known {
		return // the list follows from items, and not from somebody's taste
	}
	p := &q.visitor.profile
	for i := range p.Brands {
		l.met += p.Brands[i].Value(feature.Fortnight, p.LastAt)
	}
}

// of is the factor for an item: what the visitor met of its brand, over what somebody would have who looks into the same categories
// and does not care for brands. It is 1 where nothing tells.
func (l *leanings) of(q *query, affinities []affinity, id string) float64 {
	it := q.trends.items[id]
	if l.met == 0 || it == nil || it.brand == "" {
		return 1
	}
	number, added := l.names.put(it.brand)
	if added {
		p := &q.visitor.profile
		met := p.Brand(it.brand, feature.Fortnight, p.LastAt)
		l.known = append(l.known, (met+evenBrand)/(l.met*q.brandShare(affinities, it.brand)+evenBrand))
	}
	return l.known[number]
}

// brandShare is a brand's share of all interest in some categories, each of which counts as the visitor wants it.
func (q *query) brandShare(affinities []affinity, brand string) float64 {
	share, whole := 0.0, 0.0
	for _, a := range affinities {
		if b := q.trends.brands[a.category]; b != nil && b.all > 0 {
			share += a.share * b.of[brand] / b.all
			whole += a.share
		}
	}
	if whole == 0 {
		return 0
	}
	return share / whole
}
