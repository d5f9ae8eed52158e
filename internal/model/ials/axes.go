package ials

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"
)

// axes are those of the items' Gram matrix: seen along them it is diagonal, and the system of a visitor who met few items is as small as
// those are many.
type axes struct {
	rows   []float32 // an axis a row
	back   []float32 // their transpose
	spread []float32 // the Gram matrix along each
}

func axesOf(gram []float32, d int) (axes, error) {
	whole := mat.NewSymDense(d, nil)
	for i := range d {
		for j := i; j < d; j++ {
			whole.SetSym(i, j, float64(gram[i*d+j]))
		}
	}
	var eigen mat.EigenSym
	if !eigen.Factorize(whole, true) {
		return axes{}, fmt.Errorf("the Gram matrix of %d rows has no axes", d)
	}
	var vectors mat.Dense
	eigen.VectorsTo(&vectors)
	a := axes{rows: make([]float32, d*d), back: make([]float32, d*d), spread: make([]float32, d)}
	for axis, value := range eigen.Values(nil) {
		a.spread[axis] = float32(math.Max(value, 0)) // below it by rounding alone
		for i := range d {
			x := float32(vectors.At(i, axis))
			a.rows[axis*d+i], a.back[i*d+axis] = x, x
		}
	}
	return a, nil
}
