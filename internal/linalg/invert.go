package linalg

import (
	"context"
	"fmt"
	"math"

	"github.com/millrace/millrace/internal/parallel"
)

// leastPivot is how much of a diagonal element must be left when the rows before it are taken out. With less, more than half of
// the digits of a float64 are gone: the row is a combination of the others, but for rounding.
const leastPivot = 1e-9

// Invert puts the inverse of a positive definite matrix in its place, on all processors. n rows take n³ floating-point operations,
// three eighths of what solving for the unit matrix takes. progress, if not nil, is told the share that is done, from one
// goroutine. After an error, of which those that wrap ErrNotPositive name the row, the matrix holds nothing of worth.
//
// Block of rows after block is exchanged: with A₁₁ the block, what is to be inverted of the rest is its Schur complement, and
//
//	A₁₁  becomes  -A₁₁⁻¹          A₂₁  becomes  A₂₁ A₁₁⁻¹          A₂₂  becomes  A₂₂ - A₂₁ A₁₁⁻¹ A₁₂
//
// with the same formulas whether rows of A₂ have had their turn or not, until the whole is the inverse with its sign changed
// (the sweep operator: Beaton 1964; Goodnight, "A Tutorial on the SWEEP Operator", 1979). With Z = A₂₁ L⁻ᵀ, where A₁₁ = L Lᵀ, the
// last one is A₂₂ - Z Zᵀ: nearly all of the work, a symmetric product of one panel of columns with itself.
func (s *Symmetric) Invert(ctx context.Context, progress func(share float64)) error {
	v := newInverter(s)
	for k := range s.blocks() {
		if err := v.exchange(ctx, k); err != nil {
			return fmt.Errorf("invert matrix of %d rows: %w", s.n, err)
		}
		if progress != nil {
			progress(float64(k+1) / float64(s.blocks()))
		}
	}
	for at, value := range s.tiles {
		s.tiles[at] = -value
	}
	return nil
}

// inverter is the working memory of an inversion.
type inverter struct {
	s       *Symmetric
	initial []float64 // the diagonal as it was
	factor  factor
	own     *scratch

	// The inverse of the factor L of the block at hand.
	byRows, byColumns packed // rows of L⁻¹, and of its transpose with the sign changed
	// The panel Z of the block at hand, by tile: with the sign changed as the left side of a product, and as the right side.
	left, right []packed
}

// scratch is what each goroutine has of its own.
type scratch struct {
	tile, turned []float64
	left         packed
}

func newScratch() *scratch {
	return &scratch{tile: make([]float64, side*side), turned: make([]float64, side*side), left: newPacked(active.mr)}
}

func newInverter(s *Symmetric) *inverter {
	v := &inverter{
		s: s, initial: make([]float64, s.blocks()*side), factor: newFactor(side), byRows: newPacked(active.nr), byColumns: newPacked(active.nr),
		left: make([]packed, s.blocks()), right: make([]packed, s.blocks()), own: newScratch(),
	}
	for i := range v.initial {
		v.initial[i] = *s.at(i, i)
	}
	for i := range v.left {
		v.left[i], v.right[i] = newPacked(active.mr), newPacked(active.nr)
	}
	return v
}

func (v *inverter) exchange(ctx context.Context, k int) error {
	if err := v.invertBlock(k); err != nil {
		return err
	}
	blocks := v.s.blocks()
	err := parallel.For(ctx, blocks, 1, func() func(lo, hi int) {
		w := newScratch()
		return func(i, _ int) {
			if i != k {
				v.panel(w, i, k)
			}
		}
	})
	if err != nil {
		return err
	}
	return parallel.For(ctx, blocks*(blocks+1)/2, 1, func() func(lo, hi int) {
		return func(at, _ int) { v.update(at, k) }
	})
}

// update takes the block out of one tile of the rest; at counts the tiles in the order in which they lie.
func (v *inverter) update(at, k int) {
	i := int((math.Sqrt(8*float64(at)+1) - 1) / 2)
	j := at - i*(i+1)/2
	switch {
	case i == k || j == k:
	case i == j:
		addProduct(v.s.tile(i, i), v.left[i], v.right[i], lowHalf)
	default:
		addProduct(v.s.tile(i, j), v.left[i], v.right[j], whole)
	}
}

// invertBlock factors the block and puts its inverse in its place.
func (v *inverter) invertBlock(k int) error {
	tile, w := v.s.tile(k, k), v.own
	if row := v.factor.cholesky(tile, side, v.initial[k*side:]); row >= 0 {
		return fmt.Errorf("row %d is a combination of those before it: %w", k*side+row, ErrNotPositive)
	}
	v.factor.invertLower(w.tile, tile, side)
	v.byRows.fill(w.tile, 1)
	v.byColumns.fillTransposed(w.tile, -1)
	w.left.fillTransposed(w.tile, 1)
	clear(tile)
	addProduct(tile, w.left, v.byColumns, lowHalf)
	return nil
}

// panel makes Z of a tile of the block's column, and puts A₂₁ A₁₁⁻¹ = Z L⁻¹ in the tile's place.
func (v *inverter) panel(w *scratch, i, k int) {
	if i > k {
		w.left.fill(v.s.tile(i, k), 1)
	} else {
		w.left.fillTransposed(v.s.tile(k, i), 1)
	}
	clear(w.tile)
	addProduct(w.tile, w.left, v.byRows, upTo)
	v.left[i].fill(w.tile, -1)
	v.right[i].fill(w.tile, 1)
	to := w.turned
	if i > k {
		to = v.s.tile(i, k)
	}
	clear(to)
	addProduct(to, v.left[i], v.byColumns, from)
	if i < k {
		transpose(v.s.tile(k, i), to)
	}
}
