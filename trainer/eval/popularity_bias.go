package eval

// PopularityBias is the mean popularity of the first k recommended items, as a share of the clicks of the most clicked
// item: 1 where only that one is recommended. clicks holds the training clicks of each item.
func PopularityBias(k int, clicks []int) Metric {
	most := 0
	for _, n := range clicks {
		most = max(most, n)
	}
	return Metric{Name: at("popularity_bias", k), Of: func(p Prediction) float64 {
		list := p.List[:min(k, len(p.List))]
		if len(list) == 0 {
			return 0
		}
		sum := 0
		for _, s := range list {
			sum += clicks[s.Item]
		}
		return float64(sum) / float64(most) / float64(len(list))
	}}
}
