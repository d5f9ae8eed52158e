package ease

import (
	"math"

	"github.com/millrace/millrace/internal/linalg"
)

// solver solves for one column after the other.
type solver struct {
	f      *fitter
	near   []pairs // by item, its neighbourhood
	lower  []pairs // by item, the products with items before it
	system *linalg.Cholesky
	place  []int32   // by item: 1 + its place in the neighbourhood at hand; 0 between neighbourhoods
	line   []float64 // by place: the products of a row; at 0 those of items that are not in the neighbourhood
	b      []float64
}

func newSolver(f *fitter, near, lower []pairs) *solver {
	n := f.cfg.Candidates
	return &solver{
		f: f, near: near, lower: lower, system: linalg.NewCholesky(n), place: make([]int32, len(near)),
		line: make([]float64, n+1), b: make([]float64, n),
	}
}

// column solves for the weights by which the neighbourhood of item j predicts it.
func (s *solver) column(j int) (pairs, error) {
	around, with := s.near[j].items, s.near[j].weights
	b := s.b[:len(around)]
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

// fill begins the system of a neighbourhood. Both it and the rows are in the order of the items, so what a row has of the
// neighbourhood are places before its own.
func (s *solver) fill(around []int32, stiff float64) {
	s.system.Begin(len(around))
	for at, item := range around {
		line := s.line[:at+1]
		clear(line)
		lower := &s.lower[item]
		for k, other := range lower.items {
			line[s.place[other]] = float64(lower.weights[k]) // whether it is in the neighbourhood or not: a branch would cost more
		}
		row := s.system.Row(at)
		copy(row, line[1:])
		row[at] = stiff * (s.f.o.degrees[item] + s.f.o.ridge[item])
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
