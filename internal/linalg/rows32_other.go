//go:build !amd64

package linalg

func dotRows(dst, rows, q []float32) { plainDotRows(dst, rows, q) }

func addRows(sum, rows []float32, picks []int32, factors []float32) {
	plainAddRows(sum, rows, picks, factors)
}

func addProjected(sum, rows []float32, picks []int32, weights, p []float32, shift float32) {
	plainAddProjected(sum, rows, picks, weights, p, shift)
}
