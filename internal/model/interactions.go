package model

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// Interactions are the sparse matrix of who met what, in compressed rows: row r has the items Items[Offsets[r]] to
// Items[Offsets[r+1]-1], in rising order, each once, with what it counts for in Weights. A row is a visitor with all their
// sessions, or one session whose visitor is not known.
type Interactions struct {
	Offsets  []int64
	Items    []int32
	Weights  []float32
	NumItems int
}

// Rows returns the number of rows.
func (x *Interactions) Rows() int { return max(len(x.Offsets)-1, 0) }

// Row returns the items of a row and what each counts for; they share memory with x.
func (x *Interactions) Row(r int) (items []int32, weights []float32) {
	lo, hi := x.Offsets[r], x.Offsets[r+1]
	return x.Items[lo:hi:hi], x.Weights[lo:hi:hi]
}

// Check reports the first broken invariant: offsets that do not rise, an item outside the vocabulary or out of order, a weight
// that is not a positive number. Fits call it, so that a wrong caller gets an error and not a wrong model.
func (x *Interactions) Check() error {
	if len(x.Items) != len(x.Weights) {
		return fmt.Errorf("interactions have %d items but %d weights", len(x.Items), len(x.Weights))
	}
	last := int64(0)
	for r, offset := range x.Offsets {
		if offset < last || r == 0 && offset != 0 || offset > int64(len(x.Items)) {
			return fmt.Errorf("row offset %d is %d, after %d, of %d interactions", r, offset, last, len(x.Items))
		}
		for i := last; i < offset; i++ {
			switch item := x.Items[i]; {
			case item < 0 || int(item) >= x.NumItems:
				return fmt.Errorf("interaction %d is with item %d outside a vocabulary of %d", i, item, x.NumItems)
			case i > last && item <= x.Items[i-1]:
				return fmt.Errorf("interaction %d is with item %d, after item %d of the same row", i, item, x.Items[i-1])
			case !(x.Weights[i] > 0 && x.Weights[i] <= math.MaxFloat32):
				return fmt.Errorf("interaction %d has the weight %g, which is not a positive number", i, x.Weights[i])
			}
		}
		last = offset
	}
	if last != int64(len(x.Items)) {
		return fmt.Errorf("row offsets end at %d of %d interactions", last, len(x.Items))
	}
	return nil
}

// NewInteractions gathers sessions by visitor. An item that came up more than once counts for its weightiest event: looking
// at it again is no second opinion.
func NewInteractions(s *Sessions, numItems int) (*Interactions, error) {
	if err := s.Check(numItems); err != nil {
		return nil, fmt.Errorf("gather interactions: %w", err)
	}
	x := &Interactions{Offsets: make([]int64, 1, s.Len()+1), NumItems: numItems}
	best := make([]float32, numItems) // of the row at hand; zero between rows
	row := []int32{}
	for _, sessions := range byUser(s) {
		for _, i := range sessions {
			for e := s.Offsets[i]; e < s.Offsets[i+1]; e++ {
				item := s.Items[e]
				if best[item] == 0 {
					row = append(row, item)
				}
				best[item] = max(best[item], s.Weight(e))
			}
		}
		slices.Sort(row)
		for _, item := range row {
			x.Items, x.Weights = append(x.Items, item), append(x.Weights, best[item])
			best[item] = 0
		}
		row = row[:0]
		x.Offsets = append(x.Offsets, int64(len(x.Items)))
	}
	return x, nil
}

// byUser lists the sessions of each row, rows in the order of their first session.
func byUser(s *Sessions) [][]int32 {
	order := make([]int32, s.Len())
	for i := range order {
		order[i] = int32(i)
	}
	first := map[int32]int32{} // by user
	rank := func(i int32) int32 {
		if s.Users == nil || s.Users[i] == NoUser {
			return i
		}
		at, ok := first[s.Users[i]]
		if !ok {
			at, first[s.Users[i]] = i, i
		}
		return at
	}
	ranks := make([]int32, s.Len())
	for i := range ranks {
		ranks[i] = rank(int32(i))
	}
	slices.SortStableFunc(order, func(a, b int32) int { return cmp.Compare(ranks[a], ranks[b]) })
	var rows [][]int32
	for from := 0; from < len(order); {
		to := from + 1
		for to < len(order) && ranks[order[to]] == ranks[order[from]] {
			to++
		}
		rows = append(rows, order[from:to])
		from = to
	}
	return rows
}

// Transposed returns the matrix with rows and columns in each other's place: a row is an item, its Items are the rows of x.
func (x *Interactions) Transposed() *Interactions {
	t := &Interactions{
		Offsets: make([]int64, x.NumItems+1), Items: make([]int32, len(x.Items)), Weights: make([]float32, len(x.Items)), NumItems: x.Rows(),
	}
	for _, item := range x.Items {
		t.Offsets[item+1]++
	}
	for i := range x.NumItems {
		t.Offsets[i+1] += t.Offsets[i]
	}
	next := slices.Clone(t.Offsets)
	for r := range x.Rows() {
		items, weights := x.Row(r)
		for i, item := range items {
			t.Items[next[item]], t.Weights[next[item]] = int32(r), weights[i]
			next[item]++
		}
	}
	return t
}
