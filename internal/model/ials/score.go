package ials

import (
	"cmp"
	"context"
	"math"
	"runtime"
	"slices"
	"sync"

	"github.com/millrace/millrace/internal/linalg"
	"github.com/millrace/millrace/internal/model"
	"github.com/millrace/millrace/internal/topk"
)

// Name is the name under which the model answers queries.
const Name = "ials"

// Model is the factors of the items and their Gram matrix. The items of the largest factors come first: a list is full of them, and
// behind the first that are too small to reach it nobody has to look.
type Model struct {
	cfg     Config
	order   []int32   // the items by falling size of their factors
	factors []float32 // in that order, Dimensions numbers for each; zero for one that nobody met
	gram    []float32

	axes   axes      // of gram
	places []int32   // by item: its place in order
	sizes  []float32 // by turn of the scan: the largest size of a factor in it or in any later one
	pool   sync.Pool // of *scratch
	owner  any       // of the memory that what was decoded lies in
}

const (
	// scanRows is how many items are looked at before it is asked again whether any that are left can reach the list.
	scanRows = 256
	// lightest is a weight beside which an item says nothing.
	lightest = 1e-6
	// rounding is more than what single precision makes of the size of a product of MaxDimensions numbers.
	rounding = 1e-4
)

// Model returns the factors of the items as they are; the next iteration does not change them.
func (t *Training) Model(ctx context.Context) (*Model, error) {
	d, factors := t.cfg.Dimensions, t.items.factors
	gram, err := gramOf(ctx, factors, d)
	if err != nil {
		return nil, err
	}
	sizes, order := make([]float32, len(factors)/d), make([]int32, len(factors)/d)
	for item := range order {
		order[item], sizes[item] = int32(item), size(factors[item*d:][:d])
	}
	slices.SortStableFunc(order, func(a, b int32) int { return cmp.Compare(sizes[b], sizes[a]) })
	m := &Model{cfg: t.cfg, order: order, factors: make([]float32, 0, len(factors)), gram: gram}
	for _, item := range order {
		m.factors = append(m.factors, factors[int(item)*d:][:d]...)
	}
	return m, m.prepare()
}

// size is the length of a vector, squared numbers in single precision.
func size(vector []float32) float32 { return float32(math.Sqrt(float64(linalg.Dot(vector, vector)))) }

// prepare makes what follows from order, factors and their Gram matrix.
func (m *Model) prepare() (err error) {
	if m.axes, err = axesOf(m.gram, m.cfg.Dimensions); err != nil {
		return err
	}
	m.places = make([]int32, len(m.order))
	for place, item := range m.order {
		m.places[item] = int32(place)
	}
	m.sizes = make([]float32, (len(m.order)+scanRows-1)/scanRows)
	largest := float32(0)
	for place := len(m.order) - 1; place >= 0; place-- {
		largest = max(largest, size(m.at(place)))
		m.sizes[place/scanRows] = largest
	}
	return nil
}

// Name implements model.Scorer.
func (m *Model) Name() string { return Name }

// Config returns the configuration that the model was fitted with.
func (m *Model) Config() Config { return m.cfg }

func (m *Model) numItems() int { return len(m.order) }

// at returns the factors at a place of the order.
func (m *Model) at(place int) []float32 { return m.factors[place*m.cfg.Dimensions:][:m.cfg.Dimensions] }

// row returns the factors of an item.
func (m *Model) row(item int32) []float32 { return m.at(int(m.places[item])) }

// scratch is the working memory of one query.
type scratch struct {
	folded
	excluded []bool // by item; all false between queries
	scores   [scanRows]float32
	best     topk.Best
	shares   []float32 // by query item, of the score of one item
}

func (m *Model) scratch() *scratch {
	if s, ok := m.pool.Get().(*scratch); ok {
		return s
	}
	return &scratch{excluded: make([]bool, m.numItems()), folded: newFolded(m.cfg)}
}

// Score implements model.Scorer: the visitor is folded in, and the items of the whole vocabulary that they score highest are found. An
// item that speaks against the visitor, or that nobody met, is not recommended. A set is folded in without what its visitor met
// before: what belongs to a cart or a product does not hang on who looks at it.
func (m *Model) Score(dst []model.Scored, q model.Query, k int) []model.Scored {
	s := m.scratch()
	defer m.pool.Put(s)
	defer runtime.KeepAlive(m) // and the memory that it lies in
	if k <= 0 || !s.fold(m, q) {
		return dst
	}
	excluded := q.Excluded(m.cfg.Repeats)
	s.exclude(excluded, true)
	best := s.top(m, k, q.Only)
	s.exclude(excluded, false)
	solved := s.few(m) || s.solveQuery(m.cfg.Dimensions, len(best))
	for _, e := range best {
		dst = append(dst, model.Scored{Item: e.ID, Score: e.Score, Because: s.because(m.row(e.ID), solved)})
	}
	return dst
}

func (s *scratch) exclude(excluded model.Excluded, out bool) {
	for _, items := range excluded {
		for _, item := range items {
			if item >= 0 && int(item) < len(s.excluded) {
				s.excluded[item] = out
			}
		}
	}
}

// top returns the k items of the highest scores above zero. A score is at most the product of the sizes of both factors, so the
// scan ends where that does not reach the worst item that is kept. Only what reaches that is offered.
func (s *scratch) top(m *Model, k int, only *model.Mask) []topk.Entry {
	s.best.Reset(k)
	few := only.Few()
	d, floor, reach := m.cfg.Dimensions, float32(math.SmallestNonzeroFloat32), size(s.visitor)*(1+rounding)
	for turn, largest := range m.sizes {
		if reach*largest < floor {
			break
		}
		first := turn * scanRows
		items := m.order[first:min(first+scanRows, len(m.order))]
		scores := s.scores[:len(items)]
		if few {
			s.scoreAllowed(m, first, scores, only)
		} else {
			linalg.DotRows(scores, m.factors[first*d:][:len(items)*d], s.visitor)
		}
		for i, score := range scores {
			if score >= floor && !s.excluded[items[i]] && only.Allows(items[i]) {
				s.best.Push(items[i], score)
				floor = max(floor, s.best.Floor())
			}
		}
	}
	return s.best.Sorted()
}

// scoreAllowed gives items from a place on their scores, 0 where they may not be recommended.
func (s *scratch) scoreAllowed(m *Model, first int, scores []float32, only *model.Mask) {
	clear(scores)
	for i := range scores {
		if only.Allows(m.order[first+i]) {
			scores[i] = linalg.Dot(m.at(first+i), s.visitor)
		}
	}
}

// because returns the query item that gives most to the score of an item. The score is the sum over the query of the w_j y'inv(A)y_j, so
// each item of the query has its share in it. solved says that the system is solved for the query's items.
func (s *scratch) because(item []float32, solved bool) int32 {
	s.shares = slices.Grow(s.shares[:0], len(s.items))[:len(s.items)]
	if solved {
		linalg.DotRows(s.shares, s.solved, item)
	} else {
		s.solved = slices.Grow(s.solved[:0], len(item))[:len(item)]
		s.triangle.Solve(s.solved, item)
		linalg.DotRows(s.shares, s.factors, s.solved)
	}
	most := 0
	for j := range s.shares {
		s.shares[j] *= s.weights[j]
		if s.shares[j] > s.shares[most] {
			most = j
		}
	}
	return s.items[most]
}

// solveQuery solves the system for each item of the query where those are not more than the n items of the answer, as they rarely
// are: because then has only to multiply.
func (s *scratch) solveQuery(d, n int) bool {
	if len(s.items) > n {
		return false
	}
	s.solved = slices.Grow(s.solved[:0], len(s.factors))[:len(s.factors)]
	for j := range s.items {
		s.triangle.Solve(s.solved[j*d:][:d], s.factors[j*d:][:d])
	}
	return true
}
