package transitions

import (
	"slices"
	"sync"

	"github.com/millrace/millrace/internal/model"
	"github.com/millrace/millrace/internal/topk"
)

// Name is the name under which the model answers queries.
const Name = "transitions"

// scratch is the working memory of one query. The dense arrays are all zero between queries.
type scratch struct {
	scores  []float32 // by item
	largest []float32 // largest contribution of one query item, by item
	because []int32   // the query item that made it, by item
	touched []int32   // items with a score
	recent  []recent
	best    topk.Heap
}

// recent is a distinct item of the query and what its row counts.
type recent struct {
	item   int32
	weight float32
}

func (m *Model) initPool() { m.pool = &sync.Pool{New: func() any { return &scratch{} }} }

// Name implements model.Scorer.
func (m *Model) Name() string { return Name }

// Config returns the configuration that the model was fitted with.
func (m *Model) Config() Config { return m.cfg }

// Score implements model.Scorer: the sum of the rows of the recent items, each weighted by its age in the query.
func (m *Model) Score(dst []model.Scored, q model.Query, k int) []model.Scored {
	s := m.pool.Get().(*scratch)
	defer m.pool.Put(s)
	s.begin(m.cfg, q, m.numItems())
	for _, r := range s.recent {
		s.addRow(&m.matrix, m.weights, r.item, r.weight)
	}
	return s.answer(dst, q.Excluded(m.cfg.Repeats), k, nil)
}

// begin takes the query's last distinct items of a vocabulary, newest first.
func (s *scratch) begin(cfg Config, q model.Query, numItems int) {
	if len(s.scores) < numItems {
		room := numItems + numItems/8 // for the new items of later overlays
		s.scores, s.largest, s.because = make([]float32, room), make([]float32, room), make([]int32, room)
	}
	s.recent = s.recent[:0]
	weight := float32(1)
	for i := len(q.Items) - 1; i >= 0 && len(s.recent) < cfg.LastItems; i-- {
		item := q.Items[i]
		if item < 0 || int(item) >= numItems || slices.ContainsFunc(s.recent, func(r recent) bool { return r.item == item }) {
			continue
		}
		s.recent = append(s.recent, recent{item, weight})
		if !q.Set {
			weight *= float32(cfg.HistoryDecay)
		}
	}
}

// addRow adds an item's row of a matrix, times a weight. Of each pair, wholes says all that the item has to say, where this
// matrix has only a part of it.
func (s *scratch) addRow(m *matrix, wholes []float32, item int32, weight float32) {
	lo, hi := m.row(item)
	for at := lo; at < hi; at++ {
		to, add := m.neighbours[at], weight*m.weights[at]
		if add == 0 { // underflow; a zero score marks an untouched item
			continue
		}
		if s.scores[to] == 0 {
			s.touched = append(s.touched, to)
		}
		s.scores[to] += add
		if whole := weight * wholes[at]; whole > s.largest[to] {
			s.largest[to], s.because[to] = whole, item
		}
	}
}

// answer appends the k best items and clears the scratch. gains are by item, what its score is multiplied by; nil for 1.
func (s *scratch) answer(dst []model.Scored, excluded model.Excluded, k int, gains []float32) []model.Scored {
	for _, items := range excluded {
		for _, item := range items {
			if item >= 0 && int(item) < len(s.scores) {
				s.scores[item] = 0
			}
		}
	}
	s.best.Reset(k)
	for _, item := range s.touched {
		score := s.scores[item]
		if gains != nil {
			score *= gains[item]
		}
		if score > 0 {
			s.best.Push(item, score)
		}
	}
	for _, e := range s.best.Sorted() {
		dst = append(dst, model.Scored{Item: e.ID, Score: e.Score, Because: s.because[e.ID]})
	}
	for _, item := range s.touched {
		s.scores[item], s.largest[item] = 0, 0
	}
	s.touched = s.touched[:0]
	return dst
}
