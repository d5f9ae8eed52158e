package ials

import (
	"context"
	"slices"
	"sync"

	"github.com/millrace/millrace/internal/linalg"
	"github.com/millrace/millrace/internal/model"
	"github.com/millrace/millrace/internal/topk"
)

// Name is the name under which the model answers queries.
const Name = "ials"

// Model is the factors of the items and their Gram matrix.
type Model struct {
	cfg     Config
	factors []float32 // Dimensions numbers for each item; zero for one that nobody met
	gram    []float32
	pool    sync.Pool // of *scratch
}

// Model returns the factors of the items as they are; the next iteration does not change them.
func (t *Training) Model(ctx context.Context) (*Model, error) {
	gram, err := gramOf(ctx, t.items.factors, t.cfg.Dimensions)
	if err != nil {
		return nil, err
	}
	return &Model{cfg: t.cfg, factors: slices.Clone(t.items.factors), gram: gram}, nil
}

// Name implements model.Scorer.
func (m *Model) Name() string { return Name }

// Config returns the configuration that the model was fitted with.
func (m *Model) Config() Config { return m.cfg }

func (m *Model) numItems() int { return len(m.factors) / m.cfg.Dimensions }

// row returns the factors of an item.
func (m *Model) row(item int32) []float32 {
	return m.factors[int(item)*m.cfg.Dimensions:][:m.cfg.Dimensions]
}

// scratch is the working memory of one query.
type scratch struct {
	folded
	scores []float32 // by item
	best   topk.Heap
	shares []float32 // by query item, of the score of one item
	solved []float32
}

func (m *Model) scratch() *scratch {
	if s, ok := m.pool.Get().(*scratch); ok {
		return s
	}
	return &scratch{scores: make([]float32, m.numItems()), solved: make([]float32, m.cfg.Dimensions), folded: newFolded(m.cfg)}
}

// Score implements model.Scorer: the visitor is folded in, and every item of the vocabulary is looked at. An item that speaks
// against the visitor, or that nobody met, is not recommended. A set is folded in without what its visitor met before: what
// belongs to a cart or a product does not hang on who looks at it.
func (m *Model) Score(dst []model.Scored, q model.Query, k int) []model.Scored {
	s := m.scratch()
	defer m.pool.Put(s)
	if k <= 0 || !s.fold(m, q) {
		return dst
	}
	linalg.DotRows(s.scores, m.factors, s.visitor)
	for _, items := range q.Excluded(m.cfg.Repeats) {
		for _, item := range items {
			if item >= 0 && int(item) < len(s.scores) {
				s.scores[item] = 0
			}
		}
	}
	for _, e := range s.top(k) {
		dst = append(dst, model.Scored{Item: e.ID, Score: e.Score, Because: s.because(m.row(e.ID))})
	}
	return dst
}

// top returns the k items of the highest scores above zero. Only what beats the worst one that is kept is offered to the heap.
func (s *scratch) top(k int) []topk.Entry {
	s.best.Reset(k)
	floor := float32(0)
	for item, score := range s.scores {
		if score > floor {
			s.best.Push(int32(item), score)
			if s.best.Len() == k {
				floor = s.best.Unsorted()[0].Score
			}
		}
	}
	return s.best.Sorted()
}

// because returns the query item that gives most to the score of an item. The score is the sum over the query of w y'inv(A)y_j,
// A being the visitor's matrix, so each item of the query has its share in it.
func (s *scratch) because(item []float32) int32 {
	s.triangle.Solve(s.solved, item)
	s.shares = slices.Grow(s.shares[:0], len(s.items))[:len(s.items)]
	linalg.DotRows(s.shares, s.factors, s.solved)
	most := 0
	for j := range s.shares {
		s.shares[j] *= s.weights[j]
		if s.shares[j] > s.shares[most] {
			most = j
		}
	}
	return s.items[most]
}
