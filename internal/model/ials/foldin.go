package ials

import (
	"github.com/millrace/millrace/internal/linalg"
	"github.com/millrace/millrace/internal/model"
)

// folded is a visitor as the items of a query make them.
type folded struct {
	items    []int32 // distinct and known, newest first
	weights  []float32
	factors  []float32 // of the items
	seen     map[int32]struct{}
	matrix   []float32
	right    []float32
	triangle linalg.Triangle // of the matrix
	visitor  []float32
}

func newFolded(cfg Config) folded {
	d := cfg.Dimensions
	return folded{matrix: make([]float32, d*d), right: make([]float32, d), visitor: make([]float32, d), seen: map[int32]struct{}{}}
}

// fold solves the visitor's row exactly, and reports whether there is anything to answer from.
func (f *folded) fold(m *Model, q model.Query) bool {
	f.gather(m, q)
	if len(f.items) == 0 {
		return false
	}
	d, sum := m.cfg.Dimensions, 0.0
	clear(f.right)
	for j, w := range f.weights {
		linalg.AddScaled(f.right, f.factors[j*d:][:d], w)
		sum += float64(w)
	}
	for i, x := range m.gram {
		f.matrix[i] = float32(m.cfg.Unobserved) * x
	}
	linalg.AddGram(f.matrix, f.factors, f.weights, d)
	ridge := float32(m.cfg.ridge(sum, m.numItems()))
	for i := range d {
		f.matrix[i*d+i] += ridge
	}
	// The ridge makes the matrix positive. One that is not, for all that single precision tells, belongs to factors out of
	// all proportion, which have nothing to say.
	if err := f.triangle.Factor(f.matrix, d); err != nil {
		return false
	}
	f.triangle.Solve(f.visitor, f.right)
	return true
}

// gather takes the distinct items of a query, newest first, as many as the configuration says.
func (f *folded) gather(m *Model, q model.Query) {
	f.items, f.weights, f.factors = f.items[:0], f.weights[:0], f.factors[:0]
	clear(f.seen)
	weight := float32(1)
	for _, items := range [][]int32{q.Items, q.History} {
		for i := len(items) - 1; i >= 0 && len(f.items) < m.cfg.LastItems; i-- {
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
