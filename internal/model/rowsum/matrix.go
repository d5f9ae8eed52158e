// Package rowsum is how every item-to-item model answers: the sum of the rows of a sparse matrix that belong to the query's
// items, each times a weight, and of that the best. What the rows hold and how they came about is the models' own.
package rowsum

import "fmt"

// Matrix is sparse, by row: item i leads to Items[Offsets[i]:Offsets[i+1]], each with its weight, which may be negative.
type Matrix struct {
	Offsets []int64 // one more than there are items
	Items   []int32
	Weights []float32
}

// NewMatrix returns a matrix without rows, with room for those of so many items.
func NewMatrix(numItems int) Matrix { return Matrix{Offsets: make([]int64, 1, numItems+1)} }

// NumItems returns the number of rows.
func (m *Matrix) NumItems() int { return len(m.Offsets) - 1 }

// Row returns the places of an item's pairs.
func (m *Matrix) Row(item int32) (lo, hi int64) { return m.Offsets[item], m.Offsets[item+1] }

// Append adds a pair to the row that EndRow will end.
func (m *Matrix) Append(item int32, weight float32) {
	m.Items, m.Weights = append(m.Items, item), append(m.Weights, weight)
}

// EndRow ends a row at what was appended.
func (m *Matrix) EndRow() { m.Offsets = append(m.Offsets, int64(len(m.Items))) }

// Check reports the first thing that would break a query over a vocabulary of numItems: what was read from a file may hold
// anything. valid says which weights there may be.
func (m *Matrix) Check(numItems int, valid func(weight float32) bool) error {
	if len(m.Offsets) != numItems+1 || len(m.Items) != len(m.Weights) {
		return fmt.Errorf("%d rows, %d neighbours and %d weights for a vocabulary of %d",
			len(m.Offsets)-1, len(m.Items), len(m.Weights), numItems)
	}
	last := int64(0)
	for _, end := range m.Offsets {
		if end < last || end > int64(len(m.Items)) {
			return fmt.Errorf("row ends at %d, after %d, of %d pairs", end, last, len(m.Items))
		}
		last = end
	}
	for i, item := range m.Items {
		if item < 0 || int(item) >= numItems || !valid(m.Weights[i]) {
			return fmt.Errorf("pair with item %d of %d, and the weight %g", item, numItems, m.Weights[i])
		}
	}
	return nil
}
