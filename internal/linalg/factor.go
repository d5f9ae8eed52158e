package linalg

import "math"

// factor is the working memory for factoring matrices of up to so many rows, a multiple of step.
type factor struct {
	rows        int
	left, right []float64 // packed panels of rows values
	block       []float64 // step rows and columns: the inverse of a block on the diagonal
	lines       []float64 // step rows of so many columns
}

func newFactor(rows int) factor {
	return factor{
		rows: rows, left: make([]float64, rows*rows), right: make([]float64, rows*rows),
		block: make([]float64, step*step), lines: make([]float64, step*rows),
	}
}

// cholesky puts the lower triangle L of a = L Lᵀ in the place of the lower triangle of a, which has rows of ld values and whose
// number is a multiple of step. It returns the first row of which less than leastPivot of its initial diagonal element is left,
// or -1.
func (f *factor) cholesky(a []float64, ld int, initial []float64) int {
	n := f.rows
	for k := 0; k < n; k += step {
		if row := choleskyBlock(a[k*ld+k:], ld, initial[k:]); row >= 0 {
			return k + row
		}
		if k+step == n {
			break
		}
		invertBlock(f.block, a[k*ld+k:], ld)
		f.below(a, ld, k)
	}
	return -1
}

// below takes the block of columns at k out of the rows below it.
func (f *factor) below(a []float64, ld, k int) {
	rows := f.rows - k - step
	under := a[(k+step)*ld:]
	packRows(f.left, under[k:], shape{rows, step, ld}, active.mr, 1)
	packRows(f.right, f.block, shape{step, step, step}, active.nr, 1)
	for i := range rows {
		clear(under[i*ld+k : i*ld+k+step])
	}
	f.add(under[k:], ld, rows, step, step, false)
	packRows(f.left, under[k:], shape{rows, step, ld}, active.mr, -1)
	packRows(f.right, under[k:], shape{rows, step, ld}, active.nr, 1)
	f.add(under[k+step:], ld, rows, rows, step, true)
}

// add adds the product of what is packed, k values deep, to c; lower leaves out what lies above the diagonal.
func (f *factor) add(c []float64, ld, rows, columns, k int, lower bool) {
	for i := 0; i < rows; i += active.mr {
		for j := 0; j < columns; j += active.nr {
			if lower && j >= i+active.mr {
				break
			}
			active.run(k, &f.left[i*k], &f.right[j*k], &c[i*ld+j], ld)
		}
	}
}

// invertLower fills dst with the inverse of the lower triangle l, both of rows of ld values, and zeros above it.
func (f *factor) invertLower(dst, l []float64, ld int) {
	for k := 0; k < f.rows; k += step {
		invertBlock(f.block, l[k*ld+k:], ld)
		for i := range step {
			line := dst[(k+i)*ld : (k+i)*ld+f.rows]
			clear(line)
			copy(line[k:k+step], f.block[i*step:(i+1)*step])
		}
		if k == 0 {
			continue
		}
		// Left of the block: -L⁻¹ of it, times the lines of l there, times what is done of dst.
		clear(f.lines)
		packRows(f.left, l[k*ld:], shape{step, k, ld}, active.mr, 1)
		packColumns(f.right, dst, shape{k, k, ld}, active.nr, 1)
		f.add(f.lines, f.rows, step, k, k, false)
		packRows(f.left, f.block, shape{step, step, step}, active.mr, -1)
		packColumns(f.right, f.lines, shape{step, k, f.rows}, active.nr, 1)
		f.add(dst[k*ld:], ld, step, k, step, false)
	}
}

// choleskyBlock is cholesky of step rows.
func choleskyBlock(a []float64, ld int, initial []float64) int {
	for j := range step {
		row := a[j*ld : j*ld+j+1]
		pivot := row[j]
		for _, v := range row[:j] {
			pivot = math.FMA(-v, v, pivot)
		}
		if !(pivot > leastPivot*initial[j]) || math.IsInf(pivot, 0) { // also where it is no number
			return j
		}
		root := math.Sqrt(pivot)
		row[j] = root
		for i := j + 1; i < step; i++ {
			below := a[i*ld : i*ld+j+1]
			v := below[j]
			for p, w := range row[:j] {
				v = math.FMA(-below[p], w, v)
			}
			below[j] = v / root
		}
	}
	return -1
}

// invertBlock fills dst, of step rows and columns, with the inverse of a lower triangle of step rows, and zeros above it.
func invertBlock(dst, l []float64, ld int) {
	clear(dst)
	for i := range step {
		row := l[i*ld : i*ld+i+1]
		own := dst[i*step : (i+1)*step]
		for p, v := range row[:i] {
			for j, w := range dst[p*step : p*step+p+1] {
				own[j] = math.FMA(-v, w, own[j])
			}
		}
		for j := range i {
			own[j] /= row[i]
		}
		own[i] = 1 / row[i]
	}
}
