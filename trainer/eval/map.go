package eval

// MAP is the mean average precision: for each wanted item among the first k, the share of wanted items down to its place;
// their sum divided by the number of all wanted items, so that a list of k cannot reach 1 where more than k are wanted.
func MAP(k int) Metric {
	return Metric{Name: at("MAP", k), Of: func(p Prediction) float64 {
		sum := 0.0
		for i, place := range p.Hits[:p.hits(k)] {
			sum += float64(i+1) / float64(place)
		}
		if len(p.Wanted) == 0 {
			return 0
		}
		return sum / float64(len(p.Wanted))
	}}
}
