package ials

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/millrace/millrace/internal/linalg"
	"github.com/millrace/millrace/internal/model"
	"github.com/millrace/millrace/internal/parallel"
)

// Training is a fit between two iterations. It is not safe for concurrent use.
type Training struct {
	cfg         Config
	rows, items side
}

// side is one of the two sides of the matrix: visitors or items.
type side struct {
	factors []float32 // Dimensions numbers for each
	met     *model.Interactions
	ridges  []float32 // what holds each factor down
}

// Fit factors the interactions. The same interactions and configuration give the same model on one kind of processor, however
// many of them there are. A done context ends it with the context's error.
func Fit(ctx context.Context, cfg Config, x *model.Interactions) (*Model, error) {
	t, err := NewTraining(cfg, x)
	if err != nil {
		return nil, err
	}
	for i := range cfg.Iterations {
		if err := t.Iterate(ctx); err != nil {
			return nil, fmt.Errorf("fit iALS, iteration %d of %d: %w", i+1, cfg.Iterations, err)
		}
	}
	return t.Model(ctx)
}

// NewTraining draws the factors that a fit begins with. It keeps the interactions, which must not change, and makes their
// transpose: beside them it needs as much memory again, and that of the factors.
func NewTraining(cfg Config, x *model.Interactions) (*Training, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if err := x.Check(); err != nil {
		return nil, fmt.Errorf("fit iALS: %w", err)
	}
	t := &Training{cfg: cfg}
	rng := rand.New(rand.NewPCG(cfg.Seed, 0))
	t.rows = newSide(cfg, x, rng)
	t.items = newSide(cfg, x.Transposed(), rng)
	return t, nil
}

func newSide(cfg Config, met *model.Interactions, rng *rand.Rand) side {
	s := side{met: met, factors: make([]float32, met.Rows()*cfg.Dimensions), ridges: make([]float32, met.Rows())}
	deviation := 0.1 / math.Sqrt(float64(cfg.Dimensions))
	for i := range s.factors {
		s.factors[i] = float32(rng.NormFloat64() * deviation)
	}
	for r := range s.ridges {
		_, weights := met.Row(r)
		sum := 0.0
		for _, w := range weights {
			sum += float64(w)
		}
		s.ridges[r] = float32(cfg.ridge(sum, met.NumItems))
	}
	return s
}

// Iterate solves the rows for the items as they are, then the items for the rows.
func (t *Training) Iterate(ctx context.Context) error {
	if err := t.solve(ctx, &t.rows, &t.items); err != nil {
		return fmt.Errorf("solve rows: %w", err)
	}
	if err := t.solve(ctx, &t.items, &t.rows); err != nil {
		return fmt.Errorf("solve items: %w", err)
	}
	return nil
}

// solve solves one side for the other. A row depends on nothing of its own side, so who solves which does not matter.
func (t *Training) solve(ctx context.Context, s, other *side) error {
	gram, err := gramOf(ctx, other.factors, t.cfg.Dimensions)
	if err != nil {
		return err
	}
	for i := range gram {
		gram[i] *= float32(t.cfg.Unobserved)
	}
	return parallel.For(ctx, len(s.ridges), rowsATurn, func() func(lo, hi int) {
		c := newConjugate(t.cfg, gram, other.factors)
		return func(lo, hi int) {
			for r := lo; r < hi; r++ {
				c.solve(s.row(r, t.cfg.Dimensions), s.met, r, s.ridges[r])
			}
		}
	})
}

func (s *side) row(r, d int) []float32 { return s.factors[r*d:][:d] }

const (
	// rowsATurn is how many rows a goroutine takes at a time: a popular item among them costs as much as thousands of others,
	// and must not keep the last one waiting.
	rowsATurn = 32
	// gramRowsATurn is how many rows are summed in single precision; the sums of the turns are added in double.
	gramRowsATurn = 4096
)

// gramOf returns the Gram matrix of rows of d factors, the sum of the products of each with itself. It is summed turn by turn in
// their order, so that it does not depend on who came first.
func gramOf(ctx context.Context, factors []float32, d int) ([]float32, error) {
	n := len(factors) / d
	parts := make([][]float32, (n+gramRowsATurn-1)/gramRowsATurn)
	err := parallel.For(ctx, n, gramRowsATurn, func() func(lo, hi int) {
		return func(lo, hi int) {
			part := make([]float32, d*d)
			linalg.AddGram(part, factors[lo*d:hi*d], nil, d)
			parts[lo/gramRowsATurn] = part
		}
	})
	if err != nil {
		return nil, err
	}
	sums := make([]float64, d*d)
	for _, part := range parts {
		for i, x := range part {
			sums[i] += float64(x)
		}
	}
	gram := make([]float32, d*d)
	for i, x := range sums {
		gram[i] = float32(x)
	}
	return gram, nil
}
