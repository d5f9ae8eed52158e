package ials

import (
	"slices"

	"github.com/millrace/millrace/internal/linalg"
	"github.com/millrace/millrace/internal/model"
)

// folded is a visitor as the items of a query make them. With A the matrix of their system, y_j the factors of an item of the query and
// w_j what it weighs, they are the sum of the w_j inv(A) y_j.
type folded struct {
	items   []int32 // distinct and known, newest first
	weights []float32
	factors []float32 // of the items
	seen    map[int32]struct{}
	visitor []float32

	solved   []float32       // inv(A) y_j for each item, or of one item of the answer
	matrix   []float32       // of the system that is solved
	triangle linalg.Triangle // of it

	// Of few items.
	turned  []float32 // the factors along the axes
	divided []float32 // by the system of somebody who met nothing, which is diagonal there
	sum     []float32
}

func newFolded(cfg Config) folded {
	d := cfg.Dimensions
	return folded{matrix: make([]float32, d*d), sum: make([]float32, d), visitor: make([]float32, d), seen: map[int32]struct{}{}}
}

// fold solves the visitor's row exactly, and reports whether there is anything to answer from. The ridge makes every system positive.
// One that is not, for all that single precision tells, belongs to factors out of all proportion, which have nothing to say.
func (f *folded) fold(m *Model, q model.Query) bool {
	f.gather(m, q)
	if len(f.items) == 0 {
		return false
	}
	sum := 0.0
	for _, w := range f.weights {
		sum += float64(w)
	}
	ridge := float32(m.cfg.ridge(sum, m.numItems()))
	if f.few(m) {
		return f.foldFew(m, ridge)
	}
	return f.foldMany(m, ridge)
}

// few reports whether the items are so few that their own system is solved faster than that of the factors.
func (f *folded) few(m *Model) bool { return len(f.items) <= m.cfg.Dimensions/2 }

// foldMany solves the system of the factors.
func (f *folded) foldMany(m *Model, ridge float32) bool {
	d := m.cfg.Dimensions
	for i, x := range m.gram {
		f.matrix[i] = float32(m.cfg.Unobserved) * x
	}
	linalg.AddGram(f.matrix[:d*d], f.factors, f.weights, d)
	for i := range d {
		f.matrix[i*d+i] += ridge
	}
	if err := f.triangle.Factor(f.matrix[:d*d], d); err != nil {
		return false
	}
	clear(f.sum)
	for j, w := range f.weights {
		linalg.AddScaled(f.sum, f.factors[j*d:][:d], w)
	}
	f.triangle.Solve(f.visitor, f.sum)
	return true
}

// foldFew solves the system of the items. With B what A is without them, Y their factors by rows and W their weights,
// inv(A) Y'W = inv(B) Y' inv(K), where K = inv(W) + Y inv(B) Y'. Along the axes B is diagonal.
func (f *folded) foldFew(m *Model, ridge float32) bool {
	d, n := m.cfg.Dimensions, len(f.items)
	f.turned, f.divided = resize(f.turned, n*d), resize(f.divided, n*d)
	f.solved = resize(f.solved, n*d)
	for j := range n {
		turned, divided := f.turned[j*d:][:d], f.divided[j*d:][:d]
		linalg.DotRows(turned, m.axes.rows, f.factors[j*d:][:d])
		for i, x := range turned {
			divided[i] = x / (float32(m.cfg.Unobserved)*m.axes.spread[i] + ridge)
		}
	}
	if !f.factorFew(d, n) {
		return false
	}
	f.triangle.SolveRows(f.divided, d) // now w_j inv(A) y_j, along the axes
	clear(f.sum)
	for j, w := range f.weights {
		row := f.divided[j*d:][:d]
		linalg.AddScaled(f.sum, row, 1)
		solved := f.solved[j*d:][:d]
		linalg.DotRows(solved, m.axes.back, row)
		for i := range solved {
			solved[i] /= w
		}
	}
	linalg.DotRows(f.visitor, m.axes.back, f.sum)
	return true
}

// factorFew factors K, filled up to a multiple of linalg.Lanes rows.
func (f *folded) factorFew(d, n int) bool {
	rows := (n + linalg.Lanes - 1) / linalg.Lanes * linalg.Lanes
	f.matrix = resize(f.matrix, max(rows*rows, d*d))
	k := f.matrix[:rows*rows]
	clear(k)
	for j := range rows {
		if k[j*rows+j] = 1; j < n {
			linalg.DotRows(k[j*rows:][:n], f.divided, f.turned[j*d:][:d])
			k[j*rows+j] += 1 / f.weights[j]
		}
	}
	return f.triangle.Factor(k, rows) == nil
}

func resize(s []float32, n int) []float32 { return slices.Grow(s[:0], n)[:n] }

// gather takes the distinct items of a query, newest first, as many as the configuration says.
func (f *folded) gather(m *Model, q model.Query) {
	f.items, f.weights, f.factors = f.items[:0], f.weights[:0], f.factors[:0]
	clear(f.seen)
	weight := float32(1)
	for _, items := range [][]int32{q.Items, q.History} {
		for i := len(items) - 1; i >= 0 && len(f.items) < m.cfg.LastItems && weight > lightest; i-- {
			item := items[i]
			if item < 0 || int(item) >= m.numItems() {
				continue
			}
			if _, again := f.seen[item]; again {
				continue
			}
			f.seen[item] = struct{}{}
			f.items, f.weights = append(f.items, item), append(f.weights, weight)
			f.factors = append(f.factors, m.row(item)...)
			if !q.Set {
				weight *= float32(m.cfg.HistoryDecay)
			}
		}
		if q.Set {
			return
		}
	}
}
