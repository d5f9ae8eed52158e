package ease

import (
	"context"
	"errors"
	"math"

	"github.com/millrace/millrace/internal/linalg"
	"github.com/millrace/millrace/internal/parallel"
	"github.com/millrace/millrace/internal/topk"
)

// MaxPairs bounds what the neighbourhood form keeps of the Gram matrix, at 8 bytes a pair. Where more items go together, each
// keeps those that go with it best, as many for all and Candidates at least.
const MaxPairs = 64 << 20

// stretches is how often progress is told while items are worked on.
const stretches = 20

// neighbourhoods solves for each item by itself: the column of B that predicts it, over the items that go with it best.
func (f *fitter) neighbourhoods(ctx context.Context) ([]pairs, error) {
	near, err := f.nearest(ctx)
	if err != nil {
		return nil, err
	}
	columns := make([]pairs, len(near))
	failed := make([]error, len(near))
	err = f.each(ctx, 0.5, func() func(j int) {
		s := newSolver(f, near)
		return func(j int) { columns[j], failed[j] = s.column(j) }
	})
	if err := errors.Join(append(failed, err)...); err != nil {
		return nil, err
	}
	best := &topk.Heap{}
	rows := transposed(columns)
	for i := range rows {
		rows[i] = f.strongest(best, rows[i])
	}
	return rows, nil
}

// each calls work for every item on all processors, and tells the progress from a share on, half of it in all.
func (f *fitter) each(ctx context.Context, from float64, worker func() func(i int)) error {
	n := len(f.o.items)
	for s := range stretches {
		first, end := s*n/stretches, (s+1)*n/stretches
		err := parallel.For(ctx, end-first, itemsATurn, func() func(lo, hi int) {
			work := worker()
			return func(lo, hi int) {
				for i := lo; i < hi; i++ {
					work(first + i)
				}
			}
		})
		if err != nil {
			return err
		}
		f.progress(from + 0.5*float64(s+1)/stretches)
	}
	return nil
}

// nearest returns, by item, the products of its column of X with those of the items that go with it, best first: how well two
// items go together is their product over the roots of what either has with itself, the ridge included, so that a few visitors
// in common do not make two items one.
func (f *fitter) nearest(ctx context.Context) ([]pairs, error) {
	n := len(f.o.items)
	keep := max(f.cfg.Candidates, f.pairs/max(n, 1))
	root := make([]float64, n)
	for i := range root {
		root[i] = math.Sqrt(f.o.degrees[i] + f.o.ridge[i])
	}
	near := make([]pairs, n)
	err := f.each(ctx, 0, func() func(i int) {
		row, touched, best := make([]float64, n), []int32{}, &topk.Heap{}
		return func(i int) {
			touched = f.o.allProducts(row, i, touched[:0])
			best.Reset(keep)
			for _, other := range touched {
				if int(other) != i {
					best.Push(other, float32(row[other]/root[other]))
				}
			}
			kept := best.Sorted()
			near[i] = pairs{make([]int32, 0, len(kept)), make([]float32, 0, len(kept))}
			for _, e := range kept {
				near[i].add(e.ID, float32(row[e.ID]))
			}
			for _, other := range touched {
				row[other] = 0
			}
		}
	})
	return near, err
}

// transposed makes rows of columns, each in the order of its items.
func transposed(columns []pairs) []pairs {
	rows, counts := make([]pairs, len(columns)), make([]int, len(columns))
	for _, column := range columns {
		for _, i := range column.items {
			counts[i]++
		}
	}
	for i, count := range counts {
		rows[i] = pairs{make([]int32, 0, count), make([]float32, 0, count)}
	}
	for j := range columns {
		for at, i := range columns[j].items {
			rows[i].add(int32(j), columns[j].weights[at])
		}
		columns[j] = pairs{}
	}
	return rows
}

// solver solves for one column after the other.
type solver struct {
	f      *fitter
	near   []pairs
	system *linalg.Cholesky
	place  []int32 // by item: 1 + its place in the neighbourhood at hand; 0 between neighbourhoods
	b      []float64
}

func newSolver(f *fitter, near []pairs) *solver {
	return &solver{
		f: f, near: near, system: linalg.NewCholesky(f.cfg.Candidates), place: make([]int32, len(near)), b: make([]float64, f.cfg.Candidates),
	}
}

// column solves for the weights by which the neighbourhood of item j predicts it.
func (s *solver) column(j int) (pairs, error) {
	n := min(len(s.near[j].items), s.f.cfg.Candidates)
	around, with := s.near[j].items[:n], s.near[j].weights[:n]
	b := s.b[:n]
	for at, item := range around {
		s.place[item] = int32(at) + 1
	}
	defer func() {
		for _, item := range around {
			s.place[item] = 0
		}
	}()
	// Without the pairs that were not kept, a system may be no Gram matrix any more. A larger diagonal makes up for them: one that
	// is as many times larger as there are rows always does.
	for stiff := 1.0; ; stiff *= 2 {
		s.fill(around, stiff)
		for at, product := range with {
			b[at] = float64(product)
		}
		err := s.system.Solve(b)
		if err == nil {
			break
		}
		if stiff > LargestNeighbourhood {
			return pairs{}, err
		}
	}
	return s.weights(j, around, with, b), nil
}

// fill begins the system of a neighbourhood.
func (s *solver) fill(around []int32, stiff float64) {
	s.system.Begin(len(around))
	for at, item := range around {
		s.system.Row(at)[at] = stiff * (s.f.o.degrees[item] + s.f.o.ridge[item])
		near := &s.near[item]
		for k, other := range near.items {
			if place := int(s.place[other]) - 1; place >= 0 {
				s.system.Row(max(at, place))[min(at, place)] = float64(near.weights[k])
			}
		}
	}
}

// weights are the solution b as the column of B.
func (s *solver) weights(j int, around []int32, with []float32, b []float64) pairs {
	o := s.f.o
	left := o.degrees[j] + o.ridge[j] // of what is to be explained; 1/P(j,j) in the whole form
	for at, product := range with {
		left -= float64(b[at] * float64(product))
	}
	left = max(left, o.ridge[j]) // but for rounding it is no less
	scale := math.Pow(left, s.f.cfg.DiagonalExponent-1)
	column := pairs{make([]int32, 0, len(around)), make([]float32, 0, len(around))}
	for at, item := range around {
		if weight := float32(b[at] * scale); weight != 0 {
			column.add(item, weight)
		}
	}
	return column
}
