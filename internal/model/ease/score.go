package ease

import (
	"runtime"

	"github.com/millrace/millrace/internal/model"
)

// Name is the name under which the model answers queries.
const Name = "ease"

// Name implements model.Scorer.
func (m *Model) Name() string { return Name }

// Score implements model.Scorer: the sum of the rows of the items that the visitor has met, in the session and before it, each
// once and weighted by its age. Of a set nothing but the set counts, and all of it alike.
func (m *Model) Score(dst []model.Scored, q model.Query, k int) []model.Scored {
	s := m.pool.Get()
	defer m.pool.Put(s)
	defer runtime.KeepAlive(m) // and the memory that it lies in
	s.Begin(m.NumItems())
	if q.Set {
		s.Take(q.Items, m.cfg.LastItems, 1)
	} else {
		s.Take(q.Items, m.cfg.LastItems, float32(m.cfg.HistoryDecay))
		s.Take(q.History, m.cfg.LastItems, float32(m.cfg.HistoryDecay))
	}
	for _, r := range s.Recent {
		s.AddRow(&m.Matrix, m.Weights, r.Item, r.Weight)
	}
	s.Only = q.Only
	return s.Answer(dst, q.Excluded(m.cfg.Repeats), k, nil)
}
