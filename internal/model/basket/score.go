package basket

import (
	"runtime"

	"github.com/millrace/millrace/internal/model"
)

// Name is the name under which the model answers queries.
const Name = "basket"

// Name implements model.Scorer.
func (m *Model) Name() string { return Name }

// Score implements model.Scorer: the sum of the rows of the query's items, those of a set alike, those of a session by their age.
func (m *Model) Score(dst []model.Scored, q model.Query, k int) []model.Scored {
	s := m.pool.Get()
	defer m.pool.Put(s)
	defer runtime.KeepAlive(m) // and the memory that it lies in
	decay := float32(m.cfg.HistoryDecay)
	if q.Set {
		decay = 1
	}
	s.Begin(m.NumItems())
	s.Take(q.Items, m.cfg.LastItems, decay)
	for _, r := range s.Recent {
		s.AddRow(&m.Matrix, m.Weights, r.Item, r.Weight)
	}
	s.Only = q.Only
	return s.Answer(dst, q.Excluded(m.cfg.Repeats), k, nil)
}
