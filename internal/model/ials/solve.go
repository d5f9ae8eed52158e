package ials

import (
	"github.com/millrace/millrace/internal/linalg"
	"github.com/millrace/millrace/internal/model"
)

// conjugate solves rows by conjugate gradients. The matrix of a row is
//
//	Unobserved * Gram + sum over the items met of w y y' + ridge
//
// and its right side the sum of w y. Only the products of the matrix are needed, and each is one pass over the factors of what was
// met.
type conjugate struct {
	steps                        int
	gram                         []float32 // times Unobserved
	factors                      []float32 // of the other side
	residual, direction, product []float32
}

func newConjugate(cfg Config, gram, factors []float32) *conjugate {
	d := cfg.Dimensions
	return &conjugate{
		steps: cfg.Steps, gram: gram, factors: factors,
		residual: make([]float32, d), direction: make([]float32, d), product: make([]float32, d),
	}
}

// solve moves the factor x of row r toward the solution.
func (c *conjugate) solve(x []float32, met *model.Interactions, r int, ridge float32) {
	items, weights := met.Row(r)
	if len(items) == 0 {
		clear(x) // what the right side of nothing is solved by
		return
	}
	// The gradient of half the loss; the residual is its negative.
	c.multiply(c.residual, x, items, weights, ridge, 1)
	for i, g := range c.residual {
		c.residual[i], c.direction[i] = -g, -g
	}
	size := linalg.Dot(c.residual, c.residual)
	for step := 0; step < c.steps && size > tiny; step++ {
		c.multiply(c.product, c.direction, items, weights, ridge, 0)
		length := size / linalg.Dot(c.direction, c.product)
		linalg.AddScaled(x, c.direction, length)
		linalg.AddScaled(c.residual, c.product, -length)
		before := size
		size = linalg.Dot(c.residual, c.residual)
		turn := size / before
		for i, g := range c.residual {
			c.direction[i] = g + turn*c.direction[i]
		}
	}
}

// tiny is the square of a residual that is solved: below what single precision can tell from none.
const tiny = 1e-20

// multiply sets dst to the product of a row's matrix with p, less shift times its right side.
func (c *conjugate) multiply(dst, p []float32, items []int32, weights []float32, ridge, shift float32) {
	linalg.DotRows(dst, c.gram, p)
	linalg.AddScaled(dst, p, ridge)
	linalg.AddProjected(dst, c.factors, items, weights, p, shift)
}
