package linalg

// side is the side of the square tiles that a Symmetric is kept in. Three tiles of 450 KiB, two that are multiplied and the one
// that takes the product, are what a processor's own cache holds; larger ones would spill, smaller ones go through memory more
// often.
const side = 10 * step

// Symmetric is a symmetric matrix. It keeps the tiles on and below the diagonal only, each whole and in one piece: 4 bytes for
// each of n*n elements, and 2 KiB a row. What lies beyond the last row within the last tiles is the unit matrix.
type Symmetric struct {
	n     int
	tiles []float64
}

// NewSymmetric returns a matrix of n rows that is zero.
func NewSymmetric(n int) *Symmetric {
	s := &Symmetric{n: n}
	s.tiles = make([]float64, s.blocks()*(s.blocks()+1)/2*side*side)
	for i := n; i < s.blocks()*side; i++ {
		*s.at(i, i) = 1
	}
	return s
}

// Len returns the number of rows.
func (s *Symmetric) Len() int { return s.n }

func (s *Symmetric) blocks() int { return (s.n + side - 1) / side }

// tile returns the tile in row i and column j of tiles, j <= i: row after row. Above the diagonal, the tiles on it hold nothing
// of worth.
func (s *Symmetric) tile(i, j int) []float64 {
	at := (i*(i+1)/2 + j) * side * side
	return s.tiles[at : at+side*side : at+side*side]
}

// at returns the place of an element, j <= i.
func (s *Symmetric) at(i, j int) *float64 {
	return &s.tile(i/side, j/side)[i%side*side+j%side]
}

// At returns the element in row i and column j.
func (s *Symmetric) At(i, j int) float64 {
	return *s.at(max(i, j), min(i, j))
}

// SetRow sets the elements of row i up to the diagonal, of which there are i+1. Different rows may be set at the same time.
func (s *Symmetric) SetRow(i int, values []float64) {
	for j := 0; j <= i; j += side {
		copy(s.tile(i/side, j/side)[i%side*side:], values[j:min(i+1, j+side)])
	}
}

// Row fills dst, of at least Len elements, with row i.
func (s *Symmetric) Row(dst []float64, i int) {
	for j := 0; j <= i; j += side {
		copy(dst[j:min(i+1, j+side)], s.tile(i/side, j/side)[i%side*side:])
	}
	for j := i + 1; j < s.n; j++ {
		dst[j] = *s.at(j, i)
	}
}
