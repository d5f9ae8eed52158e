package linalg

import (
	"math"
	"slices"
	"time"
)

// Peak returns how many operations a second one processor makes in single precision when it waits for no memory, a multiply-add
// being two; in double precision it makes half. It is what benchmarks of kernels are seen beside, and measures for about a tenth
// of a second. Without vector instructions it is what plain Go makes.
func Peak() float64 {
	const rounds, seconds = 10, 0.01
	n := 1000
	rate := func() float64 {
		began := time.Now()
		each := multiplyAdds(n)
		return 2 * float64(n*each) / time.Since(began).Seconds()
	}
	first := rate() / float64(2*multiplyAdds(1)) // rounds a second, the processor being cold
	n = max(n, int(first*seconds))
	best := make([]float64, rounds)
	for i := range best {
		best[i] = rate()
	}
	return slices.Max(best)
}

// plainMultiplyAdds is multiplyAdds in plain Go.
func plainMultiplyAdds(n int) int {
	var sums [8]float32
	x := float32(1e-9)
	for range n {
		for i := range sums {
			sums[i] += x * x
		}
	}
	for _, sum := range sums {
		if math.IsInf(float64(sum), 1) { // never; it keeps the sums from being thought useless
			return 0
		}
	}
	return len(sums)
}
