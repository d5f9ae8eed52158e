package transitions

import (
	"slices"

	"github.com/millrace/millrace/internal/model"
	"github.com/millrace/millrace/internal/topk"
)

// Name is the name under which the model answers queries.
const Name = "transitions"

// scratch is the working memory of one query. The dense arrays are all zero between queries.
type scratch struct {
	scores  []float32 // by item
	largest []float32 // largest single contribution, by item
	because []int32   // the query item that made it, by item
	touched []int32   // items with a score
	recent  []int32   // distinct query items, newest first
	best    topk.Heap
}

func (m *Model) initPool() {
	numItems := m.numItems()
	m.pool.New = func() any {
		return &scratch{
			scores: make([]float32, numItems), largest: make([]float32, numItems), because: make([]int32, numItems),
		}
	}
}

func (m *Model) numItems() int { return len(m.rows) - 1 }

// Name implements model.Scorer.
func (m *Model) Name() string { return Name }

// Config returns the configuration that the model was fitted with.
func (m *Model) Config() Config { return m.cfg }

// Score implements model.Scorer: the sum of the rows of the recent items, each weighted by its age in the query.
func (m *Model) Score(dst []model.Scored, q model.Query, k int) []model.Scored {
	s := m.pool.Get().(*scratch)
	defer m.pool.Put(s)
	m.addRows(s, q)
	for _, item := range q.Excluded(m.cfg.Repeats) {
		if item >= 0 && int(item) < m.numItems() {
			s.scores[item] = 0
		}
	}
	s.best.Reset(k)
	for _, item := range s.touched {
		if s.scores[item] > 0 {
			s.best.Push(item, s.scores[item])
		}
	}
	for _, e := range s.best.Sorted() {
		dst = append(dst, model.Scored{Item: e.ID, Score: e.Score, Because: s.because[e.ID]})
	}
	for _, item := range s.touched {
		s.scores[item], s.largest[item] = 0, 0
	}
	s.touched, s.recent = s.touched[:0], s.recent[:0]
	return dst
}

func (m *Model) addRows(s *scratch, q model.Query) {
	weight := float32(1)
	for i := len(q.Items) - 1; i >= 0 && len(s.recent) < m.cfg.LastItems; i-- {
		item := q.Items[i]
		if item < 0 || int(item) >= m.numItems() || slices.Contains(s.recent, item) {
			continue
		}
		s.recent = append(s.recent, item)
		for at := m.rows[item]; at < m.rows[item+1]; at++ {
			to, add := m.neighbours[at], weight*m.weights[at]
			if add == 0 { // underflow; a zero score marks an untouched item
				continue
			}
			if s.scores[to] == 0 {
				s.touched = append(s.touched, to)
			}
			s.scores[to] += add
			if add > s.largest[to] {
				s.largest[to], s.because[to] = add, item
			}
		}
		if !q.Set {
			weight *= float32(m.cfg.HistoryDecay)
		}
	}
}
