package eval

// HR is the hit rate: 1 where a wanted item is among the first k.
func HR(k int) Metric {
	return Metric{Name: at("HR", k), Of: func(p Prediction) float64 { return float64(min(p.hits(k), 1)) }}
}
