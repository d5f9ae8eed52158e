package eval

// MRR is the reciprocal rank of the first wanted item, 0 where none is among the first k.
func MRR(k int) Metric {
	return Metric{Name: at("MRR", k), Of: func(p Prediction) float64 {
		if p.hits(k) == 0 {
			return 0
		}
		return 1 / float64(p.Hits[0])
	}}
}
