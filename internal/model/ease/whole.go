package ease

import (
	"context"
	"fmt"
	"math"

	"github.com/millrace/millrace/internal/linalg"
	"github.com/millrace/millrace/internal/parallel"
	"github.com/millrace/millrace/internal/topk"
)

// whole solves for all items at once: with P the inverse of the Gram matrix of X with the ridge, B(i,j) = -P(i,j) / P(j,j).
func (f *fitter) whole(ctx context.Context) ([]pairs, error) {
	gram, err := f.gram(ctx)
	if err != nil {
		return nil, err
	}
	f.progress(0)
	if err := gram.Invert(ctx, f.progress); err != nil {
		return nil, fmt.Errorf("%w; a larger L2 than %g helps", err, f.cfg.L2)
	}
	n := gram.Len()
	rows, scale := make([]pairs, n), make([]float64, n)
	for j := range scale {
		scale[j] = -math.Pow(gram.At(j, j), -f.cfg.DiagonalExponent)
	}
	err = parallel.For(ctx, n, itemsATurn, func() func(lo, hi int) {
		row, all, best := make([]float64, n), pairs{}, &topk.Best{}
		return func(lo, hi int) {
			for i := lo; i < hi; i++ {
				gram.Row(row, i)
				all.items, all.weights = all.items[:0], all.weights[:0]
				for j, v := range row {
					if weight := float32(v * scale[j]); j != i && weight != 0 {
						all.add(int32(j), weight)
					}
				}
				rows[i] = f.strongest(best, all)
			}
		}
	})
	return rows, err
}

// gram is the Gram matrix of X, with the ridge.
func (f *fitter) gram(ctx context.Context) (*linalg.Symmetric, error) {
	n := len(f.o.items)
	gram := linalg.NewSymmetric(n)
	err := parallel.For(ctx, n, itemsATurn, func() func(lo, hi int) {
		row := make([]float64, n)
		return func(lo, hi int) {
			for i := lo; i < hi; i++ {
				f.o.products(row[:i+1], i)
				row[i] += f.o.ridge[i]
				gram.SetRow(i, row[:i+1])
			}
		}
	})
	return gram, err
}
