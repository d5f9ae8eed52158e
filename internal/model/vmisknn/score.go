package vmisknn

import (
	"math"
	"runtime"
	"slices"

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
	if k <= 0 {
		return dst
	}
	s := m.pool.Get().(*scratch)
	defer m.pool.Put(s)
	defer runtime.KeepAlive(m) // and the memory that it lies in
	s.load(m, q)
	s.findCandidates(m.index, m.cfg.M)
	if m.cfg.Scoring == VSTAN {
		m.index.gather(s.candidates)
		m.weighCandidates(s)
		s.chooseNeighbours(m.cfg.K)
	} else {
		s.chooseNeighbours(m.cfg.K)
		m.index.gather(s.neighbours)
	}
	m.vote(s)
	for _, items := range q.Excluded(m.cfg.Repeats) {
		for _, item := range items {
			if item >= 0 && int(item) < len(s.tallies) {
				s.tallies[item].score = 0
			}
		}
	}
	dst = m.rank(s, dst, k, q.Only)
	s.clear()
	return dst
}

// weighCandidates turns the sums of shared weights into VSTAN similarities, for which it needs the items of all candidates. Those of
// VMIS are the sums themselves.
func (m *Model) weighCandidates(s *scratch) {
	if len(s.candidates) == 0 {
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
		similarity := float64(c.similarity) / (norm * math.Sqrt(float64(len(c.items))))
		if m.ageDecay != nil {
			similarity *= m.age(c.session)
		}
		c.similarity = float32(similarity)
	}
}

// vote adds up the items of the neighbours. What idf makes of an item is the same for all its votes and comes later. The votes are
// written down before any is counted: counting meets items in no order, and goes on while it waits for one of them.
func (m *Model) vote(s *scratch) {
	for i := range s.neighbours {
		n := &s.neighbours[i]
		last := 0
		if m.cfg.Scoring == VSTAN {
			last = s.lastShared(n.items)
			n.similarity *= s.itemWeight[s.marks[n.items[last]]-1]
		} else {
			n.similarity *= vmisMatch(len(s.query) - int(n.position))
		}
		for at, item := range n.items {
			d := at - last
			if d < 0 {
				d = -d
			}
			if weight := n.similarity * m.distance[d]; weight > 0 { // or underflow; a zero score marks an item without votes
				s.votes = append(s.votes, vote{item: item, position: int32(n.position), weight: weight})
			}
		}
	}
	s.count()
}

// count adds up the votes, and lists the items that have any. Whether a vote is the first one for an item cannot be foreseen, so
// nothing branches on it.
func (s *scratch) count() {
	touched, tallies := slices.Grow(s.touched[:0], len(s.votes))[:len(s.votes)], s.tallies
	n := 0
	for _, v := range s.votes {
		t := &tallies[v.item]
		touched[n] = v.item
		if math.Float32bits(t.score) == 0 {
			n++
		}
		t.score += v.weight
	}
	s.touched = touched[:n]
}

// vmisMatch is VMIS' weight of a neighbour whose most recent shared item is d steps before the end of the query.
func vmisMatch(d int) float32 { return max(0, 1-0.1*float32(d)) }

// rank appends the k best items that may be recommended with the query item that brought each.
func (m *Model) rank(s *scratch, dst []model.Scored, k int, only *model.Mask) []model.Scored {
	s.best.Reset(k)
	for _, item := range s.touched {
		tally := &s.tallies[item]
		if score := tally.score * tally.gain; score > 0 && score >= s.best.Floor() && only.Allows(item) {
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
// that it shares with the query, which is the one that weighs most in its similarity. It runs over the votes once more, for the
// few items that are returned only.
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
		s.marks[r.Item] |= result
		s.tallies[r.Item].slot = int32(i)
	}
	for _, v := range s.votes {
		if s.marks[v.item]&result != 0 {
			s.causes[int(s.tallies[v.item].slot)*width+int(v.position)-1] += v.weight
		}
	}
	for i := range results {
		s.marks[results[i].Item] &^= result
		most := float32(0)
		for p := width - 1; p >= 0; p-- { // ties to the more recent item
			if c := s.causes[i*width+p]; c > most {
				most, results[i].Because = c, s.query[p]
			}
		}
	}
}
