package content

import "github.com/millrace/millrace/internal/model"

// Name is the name under which the model answers queries.
const Name = "content"

// Name implements model.Scorer.
func (m *Model) Name() string { return Name }

// Score implements model.Scorer: the items nearest to the decayed sum of the query's. A query without a running session is
// answered by the history before it.
func (m *Model) Score(dst []model.Scored, q model.Query, k int) []model.Scored {
	s := m.pool.Get().(*scratch)
	defer m.pool.Put(s)
	items := q.Items
	if len(items) == 0 {
		items = q.History
	}
	x := m.asked()
	if !s.ask(&m.cfg, x, len(items), q.Set, func(i int) int32 { return items[i] }) {
		return dst
	}
	s.search(x)
	for _, a := range s.items {
		s.leave(a.place)
	}
	for _, excluded := range q.Excluded(m.cfg.Repeats) {
		for _, item := range excluded {
			s.leave(item)
		}
	}
	s.answers(&m.cfg, x, k, q.Only.Allows, func(a answer) {
		dst = append(dst, model.Scored{Item: a.place, Score: a.score, Because: a.because})
	})
	return dst
}
