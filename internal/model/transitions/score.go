package transitions

import (
	"runtime"

	"github.com/millrace/millrace/internal/model"
	"github.com/millrace/millrace/internal/model/rowsum"
)

// Name is the name under which the model answers queries.
const Name = "transitions"

// Name implements model.Scorer.
func (m *Model) Name() string { return Name }

// Config returns the configuration that the model was fitted with.
func (m *Model) Config() Config { return m.cfg }

// Score implements model.Scorer: the sum of the rows of the recent items, each weighted by its age in the query.
func (m *Model) Score(dst []model.Scored, q model.Query, k int) []model.Scored {
	s := m.pool.Get()
	defer m.pool.Put(s)
	defer runtime.KeepAlive(m) // and the memory that it lies in
	m.cfg.begin(s, q, m.NumItems())
	for _, r := range s.Recent {
		s.AddRow(&m.Matrix, m.Weights, r.Item, r.Weight)
	}
	s.Only = q.Only
	return s.Answer(dst, q.Excluded(m.cfg.Repeats), k, nil)
}

// begin takes the query's last distinct items of a vocabulary, newest first.
func (c Config) begin(s *rowsum.Sum, q model.Query, numItems int) {
	decay := float32(c.HistoryDecay)
	if q.Set {
		decay = 1
	}
	s.Begin(numItems)
	s.Take(q.Items, c.LastItems, decay)
}
