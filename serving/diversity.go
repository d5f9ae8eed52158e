package serving

import "github.com/millrace/millrace/internal/model/content"

const (
	// poolShare and poolSlack say how many candidates a diverse list is chosen from, by its length; maxPool bounds them. A list of 12
	// from 56 takes some 50 µs more than the best 12 of them.
	poolShare = 4
	poolSlack = 8
	maxPool   = 200
)

// pool is what a diverse list is chosen from, by maximal marginal relevance (Carbonell and Goldstein 1998): the next item is the one
// for which its score, less how much it is like one that is chosen already, is greatest.
type pool struct {
	items   []shownItem
	nearest []float32 // by item: how much it is like the most similar one that is chosen
	ids     []string  // of what is chosen before, and of the items
	vectors []content.Vector
}

func (p *pool) reset() {
	clear(p.items[:cap(p.items)])
	clear(p.ids[:cap(p.ids)])
	clear(p.vectors[:cap(p.vectors)])
	p.items = p.items[:0]
}

// addDiverse is add for a list whose items should differ.
func (s *selection) addDiverse(ranked *ranking, row func(string) *Row) {
	p := &s.query.mem.pool
	p.items = p.items[:0]
	for want := min(poolSlack+poolShare*(s.query.limit-len(s.shown)), maxPool); len(p.items) < want; {
		c := ranked.next()
		if c == nil {
			break
		}
		r := row(c.id)
		s.query.mem.trace.sawRow(s.query, c.id, r)
		if s.mayShow(c, r) {
			p.items = append(p.items, shownItem{candidate: c, row: r})
		}
		s.consider(c)
	}
	if len(p.items) == 0 {
		return
	}
	s.compare(p)
	for best := p.items[0].score; !s.full(); {
		next := p.choose(best, s.query.diversity)
		if next < 0 {
			return
		}
		item := p.items[next]
		p.items[next].candidate = nil
		if s.admit(item.candidate, item.row) {
			first := len(p.ids) - len(p.items)
			p.near(s.query, p.vectors[first+next], item, first)
		}
	}
}

// compare looks up what is said of the items, and how much they are like what earlier stages have shown.
func (s *selection) compare(p *pool) {
	p.ids = p.ids[:0]
	for _, item := range s.shown {
		p.ids = append(p.ids, item.id)
	}
	for _, item := range p.items {
		p.ids = append(p.ids, item.id)
	}
	p.vectors = s.query.vectorsOf(p.vectors[:0], p.ids)
	p.nearest = append(p.nearest[:0], make([]float32, len(p.items))...)
	first := len(s.shown)
	for i, item := range s.shown {
		p.near(s.query, p.vectors[i], item, first)
	}
}

// near notes how much the items that are left are like one that is chosen. Their vectors begin at first.
func (p *pool) near(q *query, vector content.Vector, chosen shownItem, first int) {
	for i := range p.items {
		if p.items[i].candidate != nil {
			p.nearest[i] = max(p.nearest[i], q.alike(vector, p.vectors[first+i], chosen, p.items[i]))
		}
	}
}

// choose returns the place of the next item, below 0 when none is left; ties go to the better score.
func (p *pool) choose(best, diversity float64) int {
	next, most := -1, 0.0
	for i, item := range p.items {
		if item.candidate == nil {
			continue
		}
		relevance := 0.0
		if best > 0 {
			relevance = item.score / best
		}
		if worth := (1-diversity)*relevance - diversity*float64(p.nearest[i]); next < 0 || worth > most {
			next, most = i, worth
		}
	}
	return next
}

// alike tells how much two items are alike, 0 to 1: by what is said of them, or where that is not known of both by whether they share
// categories and brand.
func (q *query) alike(a, b content.Vector, one, other shownItem) float32 {
	if len(a) > 0 && len(b) > 0 {
		return a.Cosine(b)
	}
	shared := 0
	mine, theirs := categoriesOf(one.row, q.trends.items[one.id]), categoriesOf(other.row, q.trends.items[other.id])
	for _, category := range mine {
		for _, c := range theirs {
			if c == category {
				shared++
			}
		}
	}
	like := float32(0)
	if all := len(mine) + len(theirs) - shared; all > 0 {
		like = float32(shared) / float32(all)
	}
	if brand := brandOf(one.row, q.trends.items[one.id]); brand != "" && brand == brandOf(other.row, q.trends.items[other.id]) {
		like = (1 + like) / 2
	}
	return like
}
