package main

import (
	"fmt"

	"github.com/millrace/millrace/serving"
)

// ctrBin are the shoppers with about as many events, on average.
type ctrBin struct {
	name                string
	shoppers            int
	popular, home, best float64 // expected clicks a list
}

func (b ctrBin) gap() float64 { return (b.home - b.popular) / (b.best - b.popular) }

// ctrBins groups shoppers by how much they have done.
func ctrBins(all []met) []ctrBin {
	edges := []int{0, 1, 5, 10, 20, 50, 100, 1 << 30}
	var bins []ctrBin
	for i, from := range edges[:len(edges)-1] {
		to := edges[i+1] - 1
		b := ctrBin{name: fmt.Sprintf("%d-%d", from, to)}
		switch {
		case from == to:
			b.name = fmt.Sprint(from)
		case to == edges[len(edges)-1]-1:
			b.name = fmt.Sprintf("%d+", from)
		}
		var some []met
		for _, m := range all {
			if m.events >= from && m.events <= to {
				some = append(some, m)
			}
		}
		if b.shoppers = len(some); b.shoppers == 0 {
			continue
		}
		sum, n := total(some), float64(len(some))
		b.popular, b.home, b.best = sum.popular/n, sum.home/n, sum.best/n
		bins = append(bins, b)
	}
	return bins
}

func idsOf(a serving.Answer) []string {
	ids := make([]string, len(a.Items))
	for i := range a.Items {
		ids[i] = a.Items[i].ItemID
	}
	return ids
}
