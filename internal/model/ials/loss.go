package ials

import (
	"context"

	"github.com/millrace/millrace/internal/linalg"
	"github.com/millrace/millrace/internal/parallel"
)

// Loss returns what the fit makes small, as Config says, of the factors as they are.
func (t *Training) Loss(ctx context.Context) (float64, error) {
	d := t.cfg.Dimensions
	grams := [2][]float32{}
	for i, s := range []*side{&t.rows, &t.items} {
		gram, err := gramOf(ctx, s.factors, d)
		if err != nil {
			return 0, err
		}
		grams[i] = gram
	}
	// The sum of (x·y)^2 over all pairs is the product of the two Gram matrices, number by number.
	loss := 0.0
	for i, x := range grams[0] {
		loss += t.cfg.Unobserved * float64(x) * float64(grams[1][i])
	}
	for _, s := range []*side{&t.rows, &t.items} {
		for r, ridge := range s.ridges {
			row := s.row(r, d)
			loss += float64(ridge) * float64(linalg.Dot(row, row))
		}
	}
	observed, err := t.observed(ctx)
	return loss + observed, err
}

// observed returns the part of the loss that the interactions make.
func (t *Training) observed(ctx context.Context) (float64, error) {
	d, n := t.cfg.Dimensions, t.rows.met.Rows()
	parts := make([]float64, (n+rowsATurn-1)/rowsATurn)
	err := parallel.For(ctx, n, rowsATurn, func() func(lo, hi int) {
		return func(lo, hi int) {
			for r := lo; r < hi; r++ {
				items, weights := t.rows.met.Row(r)
				for i, item := range items {
					miss := 1 - float64(linalg.Dot(t.rows.row(r, d), t.items.row(int(item), d)))
					parts[lo/rowsATurn] += float64(weights[i]) * miss * miss
				}
			}
		}
	})
	sum := 0.0
	for _, part := range parts {
		sum += part
	}
	return sum, err
}
