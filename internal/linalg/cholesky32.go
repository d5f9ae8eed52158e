package linalg

import (
	"errors"
	"fmt"
	"math"
)

// ErrNotPositive says that a matrix is not positive definite as far as its numbers can tell, so that it has no Cholesky factor.
var ErrNotPositive = errors.New("the matrix is not positive definite")

// Triangle is the Cholesky factor of a small symmetric matrix: of a system of some hundred equations that is solved within
// a request. Its memory is kept from one factor to the next.
type Triangle struct {
	d      int
	lower  []float32 // by rows; zero above the diagonal, so that whole rows can be multiplied
	column []float32
	picks  []int32
}

// Factor takes the matrix a of d rows, of which only the lower half is read; d is a multiple of Lanes. After an error, which
// wraps ErrNotPositive, there is nothing to solve with.
func (t *Triangle) Factor(a []float32, d int) error {
	checkRows(len(a), d)
	if len(a) != d*d {
		panic(fmt.Sprintf("linalg: %d numbers in a matrix of %d rows", len(a), d))
	}
	if t.d != d {
		t.d, t.lower, t.column, t.picks = d, make([]float32, d*d), make([]float32, d), make([]int32, d)
	}
	clear(t.lower)
	for j := range d {
		// Of row j all columns before this one are there, and the others are zero.
		below := t.lower[j*d:]
		column := t.column[:d-j]
		DotRows(column, below, below[:d])
		pivot := a[j*d+j] - column[0]
		if !(pivot > 0) {
			return fmt.Errorf("factor a matrix of %d rows: pivot %d is %g: %w", d, j, pivot, ErrNotPositive)
		}
		root := float32(math.Sqrt(float64(pivot)))
		for i := range column {
			below[i*d+j] = (a[(j+i)*d+j] - column[i]) / root
		}
		below[j] = root
	}
	return nil
}

// Solve sets x to the solution of the system of which Factor took the matrix, for the right side b. Both have its length.
func (t *Triangle) Solve(x, b []float32) {
	if len(x) != t.d || len(b) != t.d {
		panic(fmt.Sprintf("linalg: %d unknowns and a right side of %d in a system of %d", len(x), len(b), t.d))
	}
	d := t.d
	clear(x)
	for i := range d {
		row := t.lower[i*d:][:d]
		x[i] = (b[i] - Dot(row, x)) / row[i]
	}
	for i := d - 1; i >= 0; i-- {
		row := t.lower[i*d:][:d]
		solved := x[i] / row[i]
		AddScaled(x, row, -solved)
		x[i] = solved
	}
}

// SolveRows is Solve for many right sides at once: rows are the first of a matrix of t's rows with d columns each, the others zero, and
// every column is a right side that its solution takes the place of. d is a multiple of Lanes. What is solved for the zero rows is not
// told, so they must not hang together with the others: a system that was filled up with ones on the diagonal.
func (t *Triangle) SolveRows(rows []float32, d int) {
	checkRows(len(rows), d)
	n := len(rows) / d
	if n > t.d {
		panic(fmt.Sprintf("linalg: %d rows of right sides in a system of %d", n, t.d))
	}
	picks, factors := t.picks[:0], t.column[:0]
	for i := range n {
		picks, factors = picks[:0], factors[:0]
		for k := range i {
			picks, factors = append(picks, int32(k)), append(factors, -t.lower[i*t.d+k])
		}
		t.settle(rows, i, d, picks, factors)
	}
	for i := n - 1; i >= 0; i-- {
		picks, factors = picks[:0], factors[:0]
		for k := i + 1; k < n; k++ {
			picks, factors = append(picks, int32(k)), append(factors, -t.lower[k*t.d+i])
		}
		t.settle(rows, i, d, picks, factors)
	}
}

// settle finishes a row of SolveRows from rows that are.
func (t *Triangle) settle(rows []float32, i, d int, picks []int32, factors []float32) {
	row, pivot := rows[i*d:][:d], t.lower[i*t.d+i]
	AddRows(row, rows, picks, factors)
	for c := range row {
		row[c] /= pivot
	}
}
