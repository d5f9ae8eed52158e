package linalg

import "fmt"

// Cholesky solves small symmetric positive definite systems one after the other, in memory of its own; it is for one goroutine.
type Cholesky struct {
	factor  factor
	rows    int // of the system at hand
	padded  int // rows up to the next multiple of step, by the unit matrix
	a       []float64
	initial []float64
	x       []float64
}

// NewCholesky returns a solver of systems of up to so many rows.
func NewCholesky(rows int) *Cholesky {
	most := (rows + step - 1) / step * step
	return &Cholesky{factor: newFactor(most), a: make([]float64, most*most), initial: make([]float64, most), x: make([]float64, most)}
}

// Begin starts a system of so many rows whose matrix is zero.
func (c *Cholesky) Begin(rows int) {
	c.rows, c.padded = rows, (rows+step-1)/step*step
	clear(c.a[:c.padded*c.padded])
	for i := rows; i < c.padded; i++ {
		c.a[i*c.padded+i] = 1
	}
}

// Row returns row i of the matrix up to the diagonal, to be filled.
func (c *Cholesky) Row(i int) []float64 { return c.a[i*c.padded : i*c.padded+i+1] }

// Solve puts the solution of the system in the place of its right side b. The matrix is gone then. The error wraps
// ErrNotPositive.
func (c *Cholesky) Solve(b []float64) error {
	n := c.padded
	for i := range n {
		c.initial[i] = c.a[i*n+i]
	}
	c.factor.rows = n
	if row := c.factor.cholesky(c.a, n, c.initial); row >= 0 {
		return fmt.Errorf("solve system: row %d of %d is a combination of those before it: %w", row, c.rows, ErrNotPositive)
	}
	x := c.x[:c.rows]
	copy(x, b)
	for i := range x {
		row := c.Row(i)
		for j, v := range row[:i] {
			x[i] -= float64(v * x[j]) // not fused, as it would be on some processors
		}
		x[i] /= row[i]
	}
	for i := c.rows - 1; i >= 0; i-- {
		row := c.Row(i)
		x[i] /= row[i]
		for j, v := range row[:i] {
			x[j] -= float64(v * x[i])
		}
	}
	copy(b, x)
	return nil
}
