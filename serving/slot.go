package serving

import (
	"math/rand/v2"
	"slices"

	"github.com/millrace/millrace/internal/control"
)

const (
	// DefaultExploration is the share of lists that give one place to an item that hardly anybody has met. What a shop never shows
	// nobody can like, and what was shown by chance is the only measure of lists that were never made.
	DefaultExploration = 0.05
	// maxDrawn bounds the items that one is drawn from, the newest that may be shown: looking at them takes some 50 µs.
	maxDrawn = 100
	// explorationSeed keeps these lots apart from others that are drawn by the id of a list.
	explorationSeed = 0x6578706c
)

// slot is the place that a list may give to an item that hardly anybody has met: any place of its second half, where a visitor loses
// least, with the same probability. The item is drawn uniformly. All lots follow from the id of the list, so that it is made again
// as it was.
type slot struct {
	share  float64 // of the lists that give a place away
	first  int     // the first place that may be given away
	places int     // how many may be; 0 for a list that never gives one
	taken  bool    // whether it did
	place  int     // which
	drawn  int     // how many items the one was drawn from
}

// propensity is the probability with which what stands at a place stands there, over the lots of the list.
func (t *slot) propensity(place int) float64 {
	switch given := t.share / float64(t.places); {
	case t.places == 0 || place < t.first:
		return 1
	case t.taken && place == t.place:
		return given / float64(t.drawn)
	default:
		return 1 - given
	}
}

// exploration is the share of a kind's lists that give a place away under its settings, usual being that of kinds which recommend.
func (s *Settings) exploration(kind string, usual float64) float64 {
	if s.Exploration != nil {
		return *s.Exploration
	}
	switch kind {
	case control.KindHome, control.KindSession, control.KindItem, control.KindCart:
		return usual
	}
	return 0
}

// explore gives a place of the list that is made to an item that hardly anybody has met, if the lots of its id say so.
func (s *selection) explore(recID string) {
	q := s.query
	if q.exploration == 0 || q.request.DryRun || len(s.shown) < 2 {
		return
	}
	var source rand.PCG
	source.Seed(lot(recID), explorationSeed)
	lots := rand.New(&source)
	explores, want := lots.Float64() < q.exploration, 1 // one tells that there is something to draw, which propensities depend on
	if explores {
		want = maxDrawn
	}
	pool := s.unmetFit(want)
	if len(pool) == 0 {
		return
	}
	free := s.freePlaces((len(s.shown) + 1) / 2)
	if len(free) == 0 {
		return
	}
	s.slot = slot{share: q.exploration, first: free[0], places: len(free)}
	if explores {
		s.slot.taken, s.slot.place, s.slot.drawn = true, free[lots.IntN(len(free))], len(pool)
		s.replace(s.slot.place, pool[lots.IntN(len(pool))])
	}
}

// freePlaces are the places from one on that no rule has given away.
func (s *selection) freePlaces(from int) []int {
	free := make([]int, 0, len(s.shown)-from)
	for place := from; place < len(s.shown); place++ {
		if !s.shown[place].pinned {
			free = append(free, place)
		}
	}
	return free
}

// unmetFit are the newest items that hardly anybody has met, this visitor least of all, and that may stand beside all items of the list:
// beside the one whose place they take too, so that they are the same for every place.
func (s *selection) unmetFit(want int) []shownItem {
	q := s.query
	arrived := q.catalogue.arrivals(q.site)
	fit := make([]shownItem, 0, want)
	q.catalogue.read(q.site, func(row func(string) *Row) {
		for _, id := range slices.Backward(arrived) {
			if len(fit) == want {
				return
			}
			if r := row(id); r != nil && !q.trends.items[id].isMet() {
				fit = s.tryUnmet(fit, id, r)
			}
		}
		for i := 0; i < len(q.trends.unmet) && len(fit) < want; i++ {
			id := q.trends.unmet[i].id
			fit = s.tryUnmet(fit, id, row(id))
		}
	})
	return fit
}

// tryUnmet appends an item to those that may be drawn, if it may.
func (s *selection) tryUnmet(fit []shownItem, id string, row *Row) []shownItem {
	q := s.query
	listed := func(item shownItem) bool { return item.id == id }
	if slices.ContainsFunc(fit, listed) || slices.ContainsFunc(s.shown, listed) || q.visitor.profile.HasSeen(id) {
		return fit
	}
	q.mem.trace.sawRow(q, id, row)
	q.mem.trace.sawUnmet(id)
	c := q.mem.ranking.memory.one()
	c.id = id
	if s.mayShow(c, row) && s.fits(c, row) {
		fit = append(fit, shownItem{candidate: c, row: row})
	}
	return fit
}

// replace gives a place to an item, with the score of what stood there: a list's scores fall.
func (s *selection) replace(place int, item shownItem) {
	before := s.shown[place]
	before.dropped = droppedExploration
	item.score, item.told = before.score, true
	item.parts = append(s.query.mem.ranking.parts.take(1), contribution{family: sourceUnmet, score: before.score, rung: rungStatic})
	s.shown[place] = item
	s.consider(item.candidate)
}
