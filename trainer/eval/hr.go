package eval

// HR is the hit rate: 1 where the wanted item is among the first k.
func HR(k int) Metric {
	return Metric{Name: at("HR", k), Of: func(p Prediction) float64 {
		if p.Rank == 0 || p.Rank > k {
			return 0
		}
		return 1
	}}
}
