package vmisknn

import (
	"math"

	"github.com/millrace/millrace/internal/model"
)

// Name implements model.Scorer: "vmisknn" or "vstan", by scoring.
func (m *Model) Name() string {
	if m.cfg.Scoring == VSTAN {
		return "vstan"
	}
	return "vmisknn"
}

// Config returns the configuration of the model.
func (m *Model) Config() Config { return m.cfg }

// Index returns the index below the model.
func (m *Model) Index() *Index { return m.index }

// Score implements model.Scorer.
func (m *Model) Score(dst []model.Scored, q model.Query, k int) []model.Scored {
	s := m.pool.Get().(*scratch)
	defer m.pool.Put(s)
	s.load(m, q)
	s.findCandidates(m.index, m.cfg.M)
	m.weighCandidates(s)
	s.chooseNeighbours(m.cfg.K)
	m.vote(s)
	for _, items := range q.Excluded(m.cfg.Repeats) {
		for _, item := range items {
			if item >= 0 && int(item) < len(s.scores) {
				s.scores[item] = 0
			}
		}
	}
	dst = m.rank(s, dst, k)
	s.clear()
	return dst
}

// weighCandidates turns the sums of shared weights into VSTAN similarities; those of VMIS are the sums themselves.
func (m *Model) weighCandidates(s *scratch) {
	if m.cfg.Scoring != VSTAN || len(s.candidates) == 0 {
		return
	}
	squares := 0.0
	for _, w := range s.weights {
		squares += float64(w) * float64(w)
	}
	// Ages are taken relative to the newest candidate: the same ranking, and no underflow where all candidates are old.
	norm := math.Sqrt(squares)
	if m.ageDecay != nil {
		norm *= m.age(s.candidates[0].session)
	}
	for i := range s.candidates {
		c := &s.candidates[i]
		similarity := float64(c.similarity) / (norm * math.Sqrt(float64(len(m.index.session(int(c.session))))))
		if m.ageDecay != nil {
			similarity *= m.age(c.session)
		}
		c.similarity = float32(similarity)
	}
}

// vote adds up the items of the neighbours. What idf makes of an item is the same for all its votes and comes later.
func (m *Model) vote(s *scratch) {
	for i := range s.neighbours {
		n := &s.neighbours[i]
		items := m.index.session(int(n.session))
		if m.cfg.Scoring == VSTAN {
			n.lastShared = s.lastShared(items)
			n.similarity *= s.itemWeight[s.position[items[n.lastShared]]-1]
		} else {
			n.similarity *= vmisMatch(len(s.query) - int(n.position))
		}
		for at, item := range items {
			vote := m.voteOf(n, at)
			if vote == 0 { // underflow; a zero score marks an untouched item
				continue
			}
			if s.scores[item] == 0 {
				s.touched = append(s.touched, item)
			}
			s.scores[item] += vote
		}
	}
}

// voteOf is what neighbour n adds to the item at a place of it.
func (m *Model) voteOf(n *candidate, at int) float32 {
	d := at - int(n.lastShared)
	if d < 0 {
		d = -d
	}
	return n.similarity * m.distance[d]
}

// vmisMatch is VMIS' weight of a neighbour whose most recent shared item is d steps before the end of the query.
func vmisMatch(d int) float32 { return max(0, 1-0.1*float32(d)) }

// rank appends the k best items with the query item that brought each.
func (m *Model) rank(s *scratch, dst []model.Scored, k int) []model.Scored {
	s.best.Reset(k)
	for _, item := range s.touched {
		if score := s.scores[item] * m.itemGain[item]; score > 0 {
			s.best.Push(item, score)
		}
	}
	first := len(dst)
	for _, e := range s.best.Sorted() {
		dst = append(dst, model.Scored{Item: e.ID, Score: e.Score, Because: model.NoCause})
	}
	m.explain(s, dst[first:])
	return dst
}

// explain finds the query item that contributed most to each result. A neighbour's vote counts for the most recent item
// that it shares with the query, which is the one that weighs most in its similarity. It runs over the neighbours once
// more, for the few items that are returned only.
func (m *Model) explain(s *scratch, results []model.Scored) {
	width := len(s.query)
	if width == 1 {
		for i := range results {
			results[i].Because = s.query[0]
		}
		return
	}
	s.causes = append(s.causes[:0], make([]float32, len(results)*width)...)
	for i, r := range results {
		s.slot[r.Item] = int32(i) + 1
	}
	for i := range s.neighbours {
		n := &s.neighbours[i]
		for at, item := range m.index.session(int(n.session)) {
			if slot := s.slot[item]; slot > 0 {
				s.causes[(int(slot)-1)*width+int(n.position)-1] += m.voteOf(n, at)
			}
		}
	}
	for i := range results {
		s.slot[results[i].Item] = 0
		most := float32(0)
		for p := width - 1; p >= 0; p-- { // ties to the more recent item
			if c := s.causes[i*width+p]; c > most {
				most, results[i].Because = c, s.query[p]
			}
		}
	}
}
