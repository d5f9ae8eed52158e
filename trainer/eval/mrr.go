package eval

// MRR is the reciprocal rank of the wanted item, 0 where it is not among the first k.
func MRR(k int) Metric {
	return Metric{Name: at("MRR", k), Of: func(p Prediction) float64 {
		if p.Rank == 0 || p.Rank > k {
			return 0
		}
		return 1 / float64(p.Rank)
	}}
}
