package linalg

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// guard is what the kernels must leave alone before and behind what they write.
const guard float32 = 12345.5

func randomFloats(rng *rand.Rand, n int) []float32 {
	out := make([]float32, n)
	for i := range out {
		out[i] = float32(rng.NormFloat64())
	}
	return out
}

// guarded returns n numbers between guards, at an address that no vector register is aligned to, and a check of the guards.
func guarded(t *testing.T, rng *rand.Rand, n int) (numbers []float32, check func()) {
	room := make([]float32, n+2*Lanes+1)
	for i := range room {
		room[i] = guard
	}
	numbers = room[Lanes+1:][:n:n]
	copy(numbers, randomFloats(rng, n))
	return numbers, func() {
		t.Helper()
		if slices.ContainsFunc(slices.Concat(room[:Lanes+1], room[Lanes+1+n:]), func(x float32) bool { return x != guard }) {
			t.Error("the kernel wrote outside its result")
		}
	}
}

// near fails where got is not the sum of terms but for what float32 rounds off in a sum of so many and so large ones.
func near(t *testing.T, what string, got float32, terms []float64) {
	t.Helper()
	sum, size := 0.0, 0.0
	for _, x := range terms {
		sum += x
		size += math.Abs(x)
	}
	if limit := size * float64(len(terms)+4) * 0x1p-24; !(math.Abs(float64(got)-sum) <= limit) {
		t.Errorf("%s is %g, want %g within %g", what, got, sum, limit)
	}
}

// rowKernels are the fast kernels, where this machine has them, and the plain ones that stand in for them elsewhere.
var rowKernels = []struct {
	name         string
	dotRows      func(dst, rows, q []float32)
	addRows      func(sum, rows []float32, picks []int32, factors []float32)
	addProjected func(sum, rows []float32, picks []int32, weights, p []float32, shift float32)
}{
	{"chosen", DotRows, AddRows, AddProjected},
	{"plain", plainDotRows, plainAddRows, plainAddProjected},
}

// eachShape runs a test of every kernel over row counts around the groups of four and all small row lengths.
func eachShape(t *testing.T, test func(t *testing.T, kernel, rows, d int)) {
	for k := range rowKernels {
		for _, d := range []int{16, 32, 48, 64, 128, 256} {
			for rows := range 14 {
				t.Run(fmt.Sprintf("%s/%dx%d", rowKernels[k].name, rows, d), func(t *testing.T) { test(t, k, rows, d) })
			}
		}
	}
}

func TestDotRowsAgreesWithSums(t *testing.T) {
	eachShape(t, func(t *testing.T, kernel, n, d int) {
		rng := rand.New(rand.NewPCG(1, uint64(n)))
		rows, q := randomFloats(rng, n*d), randomFloats(rng, d)
		dst, check := guarded(t, rng, n)
		rowKernels[kernel].dotRows(dst, rows, q)
		check()
		for r := range n {
			var terms []float64
			for i := range d {
				terms = append(terms, float64(rows[r*d+i])*float64(q[i]))
			}
			near(t, fmt.Sprintf("product %d", r), dst[r], terms)
		}
	})
}

func TestAddRowsAgreesWithSums(t *testing.T) {
	eachShape(t, func(t *testing.T, kernel, n, d int) {
		rng := rand.New(rand.NewPCG(2, uint64(n)))
		rows, picks, factors := picked(rng, n, d)
		sum, check := guarded(t, rng, d)
		before := slices.Clone(sum)
		rowKernels[kernel].addRows(sum, rows, picks, factors)
		check()
		for i := range d {
			terms := []float64{float64(before[i])}
			for j, pick := range picks {
				terms = append(terms, float64(factors[j])*float64(rows[int(pick)*d+i]))
			}
			near(t, fmt.Sprintf("number %d", i), sum[i], terms)
		}
	})
}

func TestAddProjectedAgreesWithSums(t *testing.T) {
	eachShape(t, func(t *testing.T, kernel, n, d int) {
		rng := rand.New(rand.NewPCG(3, uint64(n)))
		rows, picks, weights := picked(rng, n, d)
		p, shift := randomFloats(rng, d), float32(rng.NormFloat64())
		sum, check := guarded(t, rng, d)
		before := slices.Clone(sum)
		rowKernels[kernel].addProjected(sum, rows, picks, weights, p, shift)
		check()
		for i := range d {
			terms := []float64{float64(before[i])}
			for j, pick := range picks {
				row, factor := rows[int(pick)*d:][:d], float64(weights[j])
				for at := range d {
					terms = append(terms, factor*float64(row[at])*float64(p[at])*float64(row[i]))
				}
				terms = append(terms, -factor*float64(shift)*float64(row[i]))
			}
			near(t, fmt.Sprintf("number %d", i), sum[i], terms)
		}
	})
}

// picked are 40 rows, and n of them, some more than once, with factors.
func picked(rng *rand.Rand, n, d int) (rows []float32, picks []int32, factors []float32) {
	for range n {
		picks = append(picks, rng.Int32N(40))
	}
	return randomFloats(rng, 40*d), picks, randomFloats(rng, n)
}

// The kernels in assembly check no bounds, so nothing that is out of bounds may reach them.
func TestWrongLengthsPanic(t *testing.T) {
	row, two := make([]float32, Lanes), make([]float32, 2*Lanes)
	for name, call := range map[string]func(){
		"row of no lanes":       func() { DotRows(nil, nil, nil) },
		"row of half the lanes": func() { DotRows(make([]float32, 1), row[:8], row[:8]) },
		"too few rows":          func() { DotRows(make([]float32, 2), row, row) },
		"too many rows":         func() { DotRows(make([]float32, 1), two, row) },
		"half a row":            func() { AddRows(two, two[:Lanes], []int32{0}, row[:1]) },
		"pick behind the rows":  func() { AddRows(row, two, []int32{0, 1, 2}, row[:3]) },
		"pick before the rows":  func() { AddRows(row, two, []int32{1, -1}, row[:2]) },
		"pick without a factor": func() { AddRows(row, two, []int32{1, 0}, row[:1]) },
		"pick of no rows":       func() { AddProjected(row, nil, []int32{0}, row[:1], row, 0) },
		"vector too short":      func() { AddProjected(two, two, []int32{0}, row[:1], row, 0) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			call()
		}()
	}
}

func BenchmarkDotRows100kx64(b *testing.B) {
	rng := rand.New(rand.NewPCG(4, 0))
	rows, q, dst := randomFloats(rng, 100_000*64), randomFloats(rng, 64), make([]float32, 100_000)
	b.SetBytes(int64(4 * len(rows)))
	for b.Loop() {
		DotRows(dst, rows, q)
	}
}

// The rows stay in the second-level cache, so this is the rate of the kernel and not of the memory.
func BenchmarkAddProjected370x64(b *testing.B) {
	rng := rand.New(rand.NewPCG(5, 0))
	rows, p, sum := randomFloats(rng, 1000*64), randomFloats(rng, 64), make([]float32, 64)
	picks, weights := make([]int32, 370), make([]float32, 370)
	for i := range picks {
		picks[i], weights[i] = rng.Int32N(1000), 1e-6
	}
	for b.Loop() {
		AddProjected(sum, rows, picks, weights, p, 0)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(picks)), "ns/row")
}
