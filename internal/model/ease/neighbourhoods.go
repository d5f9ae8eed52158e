package ease

import (
	"context"
	"errors"
	"math"
	"slices"

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
	lower, err := f.lower(ctx, near)
	if err != nil {
		return nil, err
	}
	columns := make([]pairs, len(near))
	failed := make([]error, len(near))
	err = f.each(ctx, 0.4, 1, func() func(j int) {
		s := newSolver(f, near, lower)
		return func(j int) { columns[j], failed[j] = s.column(j) }
	})
	if err := errors.Join(append(failed, err)...); err != nil {
		return nil, err
	}
	rows := transposed(columns)
	err = parallel.For(ctx, len(rows), itemsATurn, func() func(lo, hi int) {
		best := &topk.Best{}
		return func(lo, hi int) {
			for i := lo; i < hi; i++ {
				rows[i] = f.strongest(best, rows[i])
			}
		}
	})
	return rows, err
}

// each calls work for every item on all processors, and tells the progress from one share to another.
func (f *fitter) each(ctx context.Context, from, to float64, worker func() func(i int)) error {
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
		f.progress(from + (to-from)*float64(s+1)/stretches)
	}
	return nil
}

// keep is how many pairs of an item are kept.
func (f *fitter) keep() int { return max(f.cfg.Candidates, f.pairs/max(len(f.o.items), 1)) }

// nearest returns, by item, the products of its column of X with those of the items that go with it, best first: how well two
// items go together is their product over the roots of what either has with itself, the ridge included, so that a few visitors
// in common do not make two items one.
func (f *fitter) nearest(ctx context.Context) ([]pairs, error) {
	n := len(f.o.items)
	keep := f.keep()
	root := make([]float64, n)
	for i := range root {
		root[i] = math.Sqrt(f.o.degrees[i] + f.o.ridge[i])
	}
	near := make([]pairs, n)
	err := f.each(ctx, 0, 0.4, func() func(i int) {
		row, touched, best := make([]float64, n), []int32{}, &topk.Best{}
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

// lower returns the products below the diagonal of those that either item of a pair has kept, by row in the order of the items.
// Of near it leaves the candidates, in the order of the items.
func (f *fitter) lower(ctx context.Context, near []pairs) ([]pairs, error) {
	keep, counts := f.keep(), make([]int, len(near))
	each := func(do func(row int, other int32, product float32)) {
		for i := range near {
			for at, other := range near[i].items {
				switch product := near[i].weights[at]; {
				case int(other) < i:
					do(i, other, product)
				case len(near[other].items) == keep: // it may have cut this pair
					do(int(other), int32(i), product)
				}
			}
		}
	}
	each(func(row int, _ int32, _ float32) { counts[row]++ })
	rows := empty(counts)
	each(func(row int, other int32, product float32) { rows[row].add(other, product) })
	err := parallel.For(ctx, len(near), itemsATurn, func() func(lo, hi int) {
		return func(lo, hi int) {
			for i := lo; i < hi; i++ {
				rows[i] = inOrder(rows[i])
				n := min(len(near[i].items), f.cfg.Candidates)
				near[i] = inOrder(pairs{near[i].items[:n], near[i].weights[:n]})
			}
		}
	})
	return rows, err
}

// empty returns rows with room for so many pairs each.
func empty(counts []int) []pairs {
	rows := make([]pairs, len(counts))
	for i, count := range counts {
		rows[i] = pairs{make([]int32, 0, count), make([]float32, 0, count)}
	}
	return rows
}

// inOrder returns pairs in the order of their items, each once.
func inOrder(p pairs) pairs {
	order := make([]uint64, len(p.items)) // an item and its place, to be sorted together
	for at, item := range p.items {
		order[at] = uint64(item)<<32 | uint64(at)
	}
	slices.Sort(order)
	out := pairs{make([]int32, 0, len(order)), make([]float32, 0, len(order))}
	for at, o := range order {
		if at == 0 || o>>32 != order[at-1]>>32 {
			out.add(int32(o>>32), p.weights[uint32(o)])
		}
	}
	return out
}

// transposed makes rows of columns, each in the order of its items.
func transposed(columns []pairs) []pairs {
	counts := make([]int, len(columns))
	for _, column := range columns {
		for _, i := range column.items {
			counts[i]++
		}
	}
	rows := empty(counts)
	for j := range columns {
		for at, i := range columns[j].items {
			rows[i].add(int32(j), columns[j].weights[at])
		}
		columns[j] = pairs{}
	}
	return rows
}
