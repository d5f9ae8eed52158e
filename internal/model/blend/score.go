package blend

import (
	"fmt"
	"sync"

	"github.com/millrace/millrace/internal/model"
	"github.com/millrace/millrace/internal/topk"
)

// Model is a blend with its members.
type Model struct {
	cfg     Config
	members []model.Scorer
	pool    *sync.Pool // of *scratch
}

// New puts a blend over the families that it names. Scorers may hold more than those.
func New(cfg Config, scorers map[string]model.Scorer) (*Model, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	m := &Model{cfg: cfg, pool: &sync.Pool{New: func() any { return &scratch{} }}}
	for _, name := range cfg.Members {
		scorer := scorers[name]
		if scorer == nil {
			return nil, fmt.Errorf("blend needs the family %q, which is not there", name)
		}
		m.members = append(m.members, scorer)
	}
	return m, nil
}

// Name implements model.Scorer.
func (m *Model) Name() string { return Name }

// Config returns the configuration of the blend.
func (m *Model) Config() Config { return m.cfg }

// Blended is an item with what each member of the blend adds to its score, in the order of Config.Members.
type Blended struct {
	model.Scored
	Parts [MaxMembers]float32
	// Causes are, by member, the query items that brought it; model.NoCause where none did, or the member said nothing.
	Causes [MaxMembers]int32
}

// scratch is the working memory of one query.
type scratch struct {
	list   []model.Scored
	items  []Blended
	places table
	best   topk.Best
}

// Score implements model.Scorer. Which items that were met may be recommended again is each member's choice.
func (m *Model) Score(dst []model.Scored, q model.Query, k int) []model.Scored {
	s := m.pool.Get().(*scratch)
	defer m.pool.Put(s)
	for _, e := range m.join(s, q, k) {
		dst = append(dst, s.items[e.ID].Scored)
	}
	return dst
}

// Blend is Score with everything that speaks for each item.
func (m *Model) Blend(dst []Blended, q model.Query, k int) []Blended {
	s := m.pool.Get().(*scratch)
	defer m.pool.Put(s)
	for _, e := range m.join(s, q, k) {
		dst = append(dst, s.items[e.ID])
	}
	return dst
}

// join asks the members and returns the k best places of s.items. Those of weight 0 are asked, all alike, where the others have
// nothing to say: of somebody who comes back and has not clicked yet, say, where the session alone was worth a weight.
func (m *Model) join(s *scratch, q model.Query, k int) []topk.Entry {
	s.items = s.items[:0]
	s.places.reset(len(m.members) * max(m.cfg.Depth, k))
	weights := m.weights(&q)
	for i, w := range weights {
		if w > 0 {
			m.add(s, i, w, q, k)
		}
	}
	for i, silent := 0, len(s.items) == 0; silent && i < len(weights); i++ {
		if weights[i] == 0 {
			m.add(s, i, 1, q, k)
		}
	}
	s.best.Reset(k) // by item and not by place, so that ties go to the lower item
	for i := range s.items {
		s.best.Push(s.items[i].Item, s.items[i].Score)
	}
	entries := s.best.Sorted()
	for i := range entries {
		place := s.places.find(entries[i].ID)
		entries[i].ID = place
		s.items[place].explain()
	}
	return entries
}

// weights are those of the first context that a query fits.
func (m *Model) weights(q *model.Query) []float32 {
	for i := range m.cfg.Contexts {
		if c := &m.cfg.Contexts[i]; c.fits(q) {
			return c.Weights
		}
	}
	return nil // not of a valid configuration
}

// add lets one member speak.
func (m *Model) add(s *scratch, member int, weight float32, q model.Query, k int) {
	s.list = m.members[member].Score(s.list[:0], q, max(m.cfg.Depth, k))
	for place, scored := range s.list {
		part := weight * m.cfg.value(s.list[0].Score, scored.Score, place)
		if !(part > 0) {
			break // lists are best first
		}
		at, added := s.places.put(scored.Item, int32(len(s.items)))
		if added {
			s.items = append(s.items, Blended{Scored: model.Scored{Item: scored.Item, Because: model.NoCause}, Causes: noCauses()})
		}
		item := &s.items[at]
		item.Score += part
		item.Parts[member], item.Causes[member] = part, scored.Because
	}
}

// explain chooses the cause that most of the score follows from.
func (b *Blended) explain() {
	most := float32(0)
	for i, part := range b.Parts {
		if part > most && b.Causes[i] != model.NoCause {
			most, b.Because = part, b.Causes[i]
		}
	}
}

func noCauses() (c [MaxMembers]int32) {
	for i := range c {
		c[i] = model.NoCause
	}
	return c
}

// value brings a score of a list to the common scale: 0 to 1, the first of the list 1.
func (c *Config) value(top, score float32, place int) float32 {
	switch {
	case c.Scale == ScaleRank:
		return float32(1 / (1 + float64(place)/c.RankScale))
	case top > 0:
		return score / top
	default:
		return 0
	}
}
