package linalg

// packed is a square tile as a kernel reads it: panels of so many rows, within each of them value after value of every row.
type packed struct {
	values []float64
	width  int // rows of a panel
}

func newPacked(width int) packed { return packed{values: make([]float64, side*side), width: width} }

// panel returns the panel that begins at a row, from a column on.
func (p packed) panel(row, from int) *float64 { return &p.values[row*side+from*p.width] }

// fill packs the rows of a tile, times a sign that is 1 or -1.
func (p packed) fill(tile []float64, sign float64) {
	packRows(p.values, tile, shape{side, side, side}, p.width, sign)
}

// fillTransposed packs the columns of a tile.
func (p packed) fillTransposed(tile []float64, sign float64) {
	packColumns(p.values, tile, shape{side, side, side}, p.width, sign)
}

// shape is that of a part of a matrix whose rows begin so many values after each other.
type shape struct {
	rows, columns, apart int
}

// packRows packs rows in panels of width.
func packRows(dst, src []float64, of shape, width int, sign float64) {
	for row := 0; row < of.rows; row += width {
		panel := dst[row*of.columns : (row+width)*of.columns]
		for i := range width {
			line := src[(row+i)*of.apart:]
			for k, v := range line[:of.columns] {
				panel[k*width+i] = sign * v
			}
		}
	}
}

// packColumns packs columns in panels of width.
func packColumns(dst, src []float64, of shape, width int, sign float64) {
	for column := 0; column < of.columns; column += width {
		panel := dst[column*of.rows : (column+width)*of.rows]
		for k := range of.rows {
			line := src[k*of.apart+column:]
			to := panel[k*width : (k+1)*width]
			for i, v := range line[:width] {
				to[i] = sign * v
			}
		}
	}
}

// reach says which part of a product there is to sum. The rest of the sum is zeros, or of no worth.
type reach int

const (
	whole   reach = iota
	upTo          // b is zero right of the diagonal: column j of the product takes the first j+1 values of each row
	from          // b is zero left of the diagonal: it takes those from j on
	lowHalf       // only what lies on or below the diagonal of the product is wanted
)

// addProduct adds the product of a and b, both packed by rows, to a tile: tile[i][j] += Σ a[i][k] b[j][k].
func addProduct(tile []float64, a, b packed, part reach) {
	for i := 0; i < side; i += a.width {
		for j := 0; j < side; j += b.width {
			first, last := 0, side
			switch part {
			case upTo:
				last = j + b.width
			case from:
				first = j
			case lowHalf:
				if j >= i+a.width {
					continue
				}
			}
			active.run(last-first, a.panel(i, first), b.panel(j, first), &tile[i*side+j], side)
		}
	}
}

func transpose(dst, src []float64) {
	for i := range side {
		for j := range side {
			dst[j*side+i] = src[i*side+j]
		}
	}
}
