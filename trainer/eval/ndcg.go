package eval

import "math"

// NDCG is the normalised discounted cumulative gain of equally relevant items: the sum of 1/log2(place + 1) over the wanted
// items among the first k, divided by that of the ideal list, which begins with as many of them as k places hold. With one
// wanted item it is 1/log2(place + 1).
func NDCG(k int) Metric {
	return Metric{Name: at("NDCG", k), Of: func(p Prediction) float64 {
		gain, ideal := 0.0, 0.0
		for _, place := range p.Hits[:p.hits(k)] {
			gain += discount(place)
		}
		for place := range min(k, len(p.Wanted)) {
			ideal += discount(place + 1)
		}
		if ideal == 0 {
			return 0
		}
		return gain / ideal
	}}
}

func discount(place int) float64 { return 1 / math.Log2(float64(place)+1) }
