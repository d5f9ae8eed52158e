package eval

import (
	"math"
	"slices"
)

// Diversity is how different the first k recommended items are from each other: 1 minus the mean over all pairs of the share
// of categories that the two have in common (Jaccard). Items without a category are left out; a list of fewer than two
// others has none. categories holds the categories of each item.
func Diversity(k int, categories [][]string) Metric {
	numbers := map[string]int32{}
	of := make([][]int32, len(categories))
	for item, names := range categories {
		for _, name := range names {
			of[item] = append(of[item], numbered(numbers, name))
		}
		slices.Sort(of[item])
		of[item] = slices.Compact(of[item])
	}
	return Metric{Name: at("diversity", k), Of: func(p Prediction) float64 {
		var sets [][]int32
		for _, s := range p.List[:min(k, len(p.List))] {
			if int(s.Item) < len(of) && len(of[s.Item]) > 0 {
				sets = append(sets, of[s.Item])
			}
		}
		alike, pairs := 0.0, 0
		for i, a := range sets {
			for _, b := range sets[:i] {
				alike += jaccard(a, b)
				pairs++
			}
		}
		if pairs == 0 {
			return math.NaN()
		}
		return 1 - alike/float64(pairs)
	}}
}

// jaccard is the share of common entries of two sorted sets that are not both empty.
func jaccard(a, b []int32) float64 {
	common := 0
	for i, j := 0, 0; i < len(a) && j < len(b); {
		switch {
		case a[i] < b[j]:
			i++
		case a[i] > b[j]:
			j++
		default:
			common++
			i++
			j++
		}
	}
	return float64(common) / float64(len(a)+len(b)-common)
}
