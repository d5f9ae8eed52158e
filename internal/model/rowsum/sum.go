package rowsum

import (
	"math"
	"slices"
	"sync"

	"github.com/millrace/millrace/internal/model"
	"github.com/millrace/millrace/internal/topk"
)

// Pool keeps the working memory of queries from one to the next. It is safe for concurrent use, and models may share one.
type Pool struct{ sums sync.Pool }

// NewPool returns an empty pool.
func NewPool() *Pool { return &Pool{sync.Pool{New: func() any { return &Sum{} }}} }

// Get returns a Sum for one query, to be given back by Put. Begin comes first, then Take of what the query's items are, then
// AddRow of their rows, then Answer.
func (p *Pool) Get() *Sum { return p.sums.Get().(*Sum) }

// Put gives back what Get returned.
func (p *Pool) Put(s *Sum) { p.sums.Put(s) }

// Sum is the working memory of one query.
type Sum struct {
	// Recent are the distinct items of the query, newest first, with what the row of each is to count.
	Recent []Recent
	// Only are the items that Answer may give, for this query; nil for all.
	Only *model.Mask

	cells   []cell // by item
	mark    uint32 // of the cells that belong to this query
	items   int    // of the vocabulary
	weight  float32
	touched []int32 // items with a score
	added   []int32 // items whose rows were added, in their order
	best    topk.Best
}

// Recent is an item of a query.
type Recent struct {
	Item   int32
	Weight float32
}

// cell is what a query knows of an item, in one place of the memory. Whether the item has a score does not follow from
// the score: weights may cancel each other out.
type cell struct {
	mark  uint32 // that of the query where the item has a score, one less where it is of the query only; others are of earlier queries
	score float32
	// most is the largest contribution of one row, and which it was: the bits of the contribution, which rise with it from zero
	// on, above the inverse of the row's place in added, so that of equal ones the first is the largest.
	most int64
}

// Begin starts a query over a vocabulary.
func (s *Sum) Begin(numItems int) {
	if len(s.cells) < numItems {
		s.cells = make([]cell, numItems+numItems/8) // room for the new items of later overlays
	}
	if s.mark >= ^uint32(0)-2 { // the marks begin anew
		clear(s.cells)
		s.mark = 0
	}
	s.mark += 2
	s.items, s.weight, s.Only = numItems, 1, nil
	s.Recent, s.touched, s.added = s.Recent[:0], s.touched[:0], s.added[:0]
}

// Take takes items, oldest first, into Recent: from the newest back, those of the vocabulary that are not there yet, until there
// are limit of all. The first of a query weighs 1, and each one after it decay times what the one before it weighs.
func (s *Sum) Take(items []int32, limit int, decay float32) {
	for i := len(items) - 1; i >= 0 && len(s.Recent) < limit; i-- {
		item := items[i]
		if item < 0 || int(item) >= s.items || s.cells[item].mark == s.mark-1 {
			continue
		}
		s.cells[item].mark = s.mark - 1
		s.Recent = append(s.Recent, Recent{item, s.weight})
		s.weight *= decay
	}
}

// AddRow adds an item's row of a matrix, times a weight. Of each pair, wholes says all that the item has to say, where this
// matrix has only a part of it; else they are the matrix' own weights.
//
// Whether an item already has a score, and whether this row says more for it than those before, cannot be foreseen, so nothing
// branches on it.
func (s *Sum) AddRow(m *Matrix, wholes []float32, item int32, weight float32) {
	lo, hi := m.Row(item)
	items := m.Items[lo:hi]
	weights, wholes := m.Weights[lo:hi][:len(items)], wholes[lo:hi][:len(items)]
	row := int64(^uint32(len(s.added)))
	s.added = append(s.added, item)
	n := len(s.touched)
	touched := slices.Grow(s.touched, len(items))[:n+len(items)]
	for at, to := range items {
		c := &s.cells[to]
		has := int64(uint64(c.mark^s.mark)-1) >> 63 // all bits where the item has a score, else none
		touched[n] = to
		n += 1 + int(has)
		score := math.Float32frombits(math.Float32bits(c.score) & uint32(has))
		says := int64(int32(math.Float32bits(weight*wholes[at])))<<32 | row
		*c = cell{mark: s.mark, score: score + weight*weights[at], most: max(c.most&has, row, says)}
	}
	s.touched = touched[:n]
}

// Answer appends the k best items with a score above zero, without the excluded ones. gains are by item, what its score is
// multiplied by; nil for 1.
func (s *Sum) Answer(dst []model.Scored, excluded model.Excluded, k int, gains []float32) []model.Scored {
	for _, items := range excluded {
		for _, item := range items {
			if item >= 0 && int(item) < len(s.cells) {
				s.cells[item].score = 0
			}
		}
	}
	s.best.Reset(k)
	for _, item := range s.touched {
		score := s.cells[item].score
		if gains != nil {
			score *= gains[item]
		}
		if score > 0 && s.Only.Allows(item) {
			s.best.Push(item, score)
		}
	}
	for _, e := range s.best.Sorted() {
		dst = append(dst, model.Scored{Item: e.ID, Score: e.Score, Because: s.cause(e.ID)})
	}
	s.Only = nil // the pool keeps no request's memory
	return dst
}

// cause is the item whose row contributed most to the score of another; the first that has any to do with it where none
// contributed above zero.
func (s *Sum) cause(item int32) int32 { return s.added[^uint32(s.cells[item].most)] }
