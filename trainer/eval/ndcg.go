package eval

import "math"

// NDCG is the normalised discounted cumulative gain with one relevant item: 1/log2(rank + 1), 0 where the wanted item
// is not among the first k. The ideal list has it first, so the normaliser is 1.
func NDCG(k int) Metric {
	return Metric{Name: at("NDCG", k), Of: func(p Prediction) float64 {
		if p.Rank == 0 || p.Rank > k {
			return 0
		}
		return 1 / math.Log2(float64(p.Rank)+1)
	}}
}
