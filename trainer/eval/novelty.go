package eval

import "math"

// Novelty is the mean self-information of the first k recommended items, in bits: -log2 of an item's share of the training
// clicks. An item of one click in a thousand has 10 bits; one without a click counts as one with a single one.
// An empty list has none. clicks
// holds the training clicks of each item.
func Novelty(k int, clicks []int) Metric {
	all := 0
	for _, n := range clicks {
		all += n
	}
	return Metric{Name: at("novelty", k), Of: func(p Prediction) float64 {
		list := p.List[:min(k, len(p.List))]
		if len(list) == 0 {
			return math.NaN()
		}
		bits := 0.0
		for _, s := range list {
			bits -= math.Log2(float64(max(clicks[s.Item], 1)) / float64(all))
		}
		return bits / float64(len(list))
	}}
}
