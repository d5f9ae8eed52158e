package basket

import "math"

// g2 is Dunning's log-likelihood ratio of a pair: how much better two probabilities explain in how many of n baskets with the one
// item the other is (together of first, and the rest of the second elsewhere) than one probability does. It is 0 for pairs that
// come up no more often than chance has it: what keeps apart recommends nothing.
func g2(together, first, second, baskets int) float64 {
	k11, k12, k21 := float64(together), float64(first-together), float64(second-together)
	n := float64(baskets)
	k22 := n - k11 - k12 - k21
	if k11*n <= float64(first)*float64(second) {
		return 0
	}
	cells := xlogx(k11) + xlogx(k12) + xlogx(k21) + xlogx(k22)
	rows := xlogx(k11+k12) + xlogx(k21+k22)
	columns := xlogx(k11+k21) + xlogx(k12+k22)
	return max(0, 2*(cells-rows-columns+xlogx(n)))
}

func xlogx(x float64) float64 {
	if x == 0 {
		return 0
	}
	return x * math.Log(x)
}
