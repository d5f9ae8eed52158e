package linalg

import "fmt"

// Lanes is what the length of a row must be a multiple of in the kernels over rows of float32: two registers of eight.
const Lanes = 16

// DotRows sets dst[r] to the dot product of row r with q, for rows that lie one after the other, len(q) numbers each.
func DotRows(dst, rows, q []float32) {
	checkRows(len(rows), len(q))
	if len(rows) != len(dst)*len(q) {
		panic(fmt.Sprintf("linalg: %d dot products of %d numbers in rows of %d", len(dst), len(rows), len(q)))
	}
	if len(dst) > 0 {
		dotRows(dst, rows, q)
	}
}

// AddRows adds rows to sum, each times its factor: sum += factors[j] * rows[picks[j]] for each j. A row has len(sum) numbers.
func AddRows(sum, rows []float32, picks []int32, factors []float32) {
	checkRows(len(rows), len(sum))
	checkPicks(picks, len(factors), len(rows)/len(sum))
	if len(picks) > 0 {
		addRows(sum, rows, picks, factors)
	}
}

// AddProjected adds rows to sum, each times its weight and its distance from a shift along p:
// sum += weights[j] * (rows[picks[j]]·p - shift) * rows[picks[j]] for each j. A row, and p, have len(sum) numbers.
//
// With a shift of 0 it is the product of the picked rows' weighted Gram matrix with p, with 1 and the sign changed the
// residual of fitting 1 to each of them, without the matrix ever being made.
func AddProjected(sum, rows []float32, picks []int32, weights, p []float32, shift float32) {
	checkRows(len(rows), len(sum))
	checkPicks(picks, len(weights), len(rows)/len(sum))
	if len(p) != len(sum) {
		panic(fmt.Sprintf("linalg: a vector of %d numbers and a sum of %d", len(p), len(sum)))
	}
	if len(picks) > 0 {
		addProjected(sum, rows, picks, weights, p, shift)
	}
}

// Dot returns the dot product of two vectors of one length, a multiple of Lanes.
func Dot(a, b []float32) float32 {
	var dst [1]float32
	DotRows(dst[:], a, b)
	return dst[0]
}

// AddScaled adds a vector times a factor to sum; both have one length, a multiple of Lanes.
func AddScaled(sum, row []float32, factor float32) {
	var picks [1]int32
	factors := [1]float32{factor}
	AddRows(sum, row, picks[:], factors[:])
}

// AddGram adds the weighted Gram matrix of rows of d numbers to a d by d matrix: gram += weights[r] * row(r) row(r)' for each
// row r. d is a multiple of Lanes; no weights mean that every row weighs 1.
func AddGram(gram, rows, weights []float32, d int) {
	checkRows(len(rows), d)
	if len(gram) != d*d || weights != nil && len(weights) != len(rows)/d {
		panic(fmt.Sprintf("linalg: %d rows of %d with %d weights and a matrix of %d", len(rows)/d, d, len(weights), len(gram)))
	}
	var picks [gramRows]int32
	var factors [gramRows]float32
	for r := range picks {
		picks[r] = int32(r)
	}
	for first := 0; first*d < len(rows); first += gramRows {
		chunk := rows[first*d : min((first+gramRows)*d, len(rows))]
		n := len(chunk) / d
		for i := range d {
			for r := range n {
				factors[r] = chunk[r*d+i]
				if weights != nil {
					factors[r] *= weights[first+r]
				}
			}
			AddRows(gram[i*d:][:d], chunk, picks[:n], factors[:n])
		}
	}
}

// gramRows is how many rows AddGram takes at a time: few enough for all of them to stay in the first-level cache.
const gramRows = 32

func checkRows(numbers, d int) {
	if d == 0 || d%Lanes != 0 || numbers%d != 0 {
		panic(fmt.Sprintf("linalg: %d numbers in rows of %d, which must be a multiple of %d", numbers, d, Lanes))
	}
}

// checkPicks keeps the kernels within the rows: they check nothing themselves.
func checkPicks(picks []int32, factors, rows int) {
	if len(picks) != factors {
		panic(fmt.Sprintf("linalg: %d rows with %d factors", len(picks), factors))
	}
	largest := uint32(0)
	for _, pick := range picks {
		largest = max(largest, uint32(pick)) // a negative one becomes larger than any
	}
	if len(picks) > 0 && int64(largest) >= int64(rows) {
		panic(fmt.Sprintf("linalg: row %d of %d", int32(largest), rows))
	}
}

func plainDotRows(dst, rows, q []float32) {
	for r := range dst {
		dst[r] = plainDot(rows[r*len(q):][:len(q)], q)
	}
}

func plainAddRows(sum, rows []float32, picks []int32, factors []float32) {
	for j, pick := range picks {
		plainAdd(sum, rows[int(pick)*len(sum):][:len(sum)], factors[j])
	}
}

func plainAddProjected(sum, rows []float32, picks []int32, weights, p []float32, shift float32) {
	for j, pick := range picks {
		row := rows[int(pick)*len(sum):][:len(sum)]
		plainAdd(sum, row, weights[j]*(plainDot(row, p)-shift))
	}
}

func plainDot(a, b []float32) float32 {
	sum := float32(0)
	for i, x := range a {
		sum += x * b[i]
	}
	return sum
}

func plainAdd(sum, row []float32, factor float32) {
	for i, x := range row {
		sum[i] += factor * x
	}
}
