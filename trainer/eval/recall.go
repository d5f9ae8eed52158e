package eval

// Recall is the share of the wanted items that are among the first k.
func Recall(k int) Metric {
	return Metric{Name: at("Recall", k), Of: func(p Prediction) float64 { return ratio(p.hits(k), len(p.Wanted)) }}
}

// CappedRecall is Recall as strong generalization defines it: of min(k, wanted), as many as k places can hold, so that a
// perfect list always reaches 1.
func CappedRecall(k int) Metric {
	return Metric{Name: at("Recall", k), Of: func(p Prediction) float64 { return ratio(p.hits(k), min(k, len(p.Wanted))) }}
}

func ratio(part, whole int) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}
