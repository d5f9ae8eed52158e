package eval

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
)

// resamples is how many times groups are drawn again for an interval; its ends move by less than a hundredth of its
// width from seed to seed.
const resamples = 1000

// Interval is a figure with its 95 % bootstrap interval.
type Interval struct {
	Value float64
	Low   float64
	High  float64
}

// Bootstrap returns the interval of a metric, drawing whole groups: predictions of one session or visitor are not
// independent. The same seed draws the same groups for every metric and model.
func (o *Outcome) Bootstrap(metric string, seed uint64) (Interval, error) {
	i := slices.Index(o.Metrics, metric)
	if i < 0 {
		return Interval{}, fmt.Errorf("metric %s was not measured", metric)
	}
	return bootstrap(o.Sums[i:i+1], [][]int{o.counts(i)}, seed)[0], nil
}

// bootstrapAll is Bootstrap of every metric, in their order.
func (o *Outcome) bootstrapAll(seed uint64) []Interval {
	counts := make([][]int, len(o.Metrics))
	for i := range counts {
		counts[i] = o.counts(i)
	}
	return bootstrap(o.Sums, counts, seed)
}

// Compare returns the difference of a metric, ours minus theirs, on the same test groups: each draw takes the same groups
// of both, so what both find hard cancels out. An interval above 0 is a win, one below 0 a loss.
func Compare(ours, theirs *Outcome, metric string, seed uint64) (Interval, error) {
	i, j := slices.Index(ours.Metrics, metric), slices.Index(theirs.Metrics, metric)
	if i < 0 || j < 0 {
		return Interval{}, fmt.Errorf("metric %s was not measured on both sides", metric)
	}
	if !slices.Equal(ours.counts(i), theirs.counts(j)) || !slices.Equal(ours.Groups, theirs.Groups) {
		return Interval{}, errors.New("compare outcomes: they are of different tests")
	}
	differences := make([]float64, len(ours.Counts))
	for g := range differences {
		differences[g] = ours.Sums[i][g] - theirs.Sums[j][g]
	}
	return bootstrap([][]float64{differences}, [][]int{ours.counts(i)}, seed)[0], nil
}

// bootstrap returns the interval of each metric from its sums and counts by group. All are drawn together, because drawing
// takes longer than adding.
func bootstrap(sums [][]float64, counts [][]int, seed uint64) []Interval {
	out := make([]Interval, len(sums))
	if len(sums) == 0 {
		return out
	}
	rng := rand.New(rand.NewPCG(seed, 0))
	means, draw := make([][]float64, len(sums)), make([]int, len(sums[0]))
	for range resamples {
		for i := range draw {
			draw[i] = rng.IntN(len(draw))
		}
		for m := range sums {
			sum, drawn := 0.0, 0
			for _, g := range draw {
				sum += sums[m][g]
				drawn += counts[m][g]
			}
			if drawn > 0 {
				means[m] = append(means[m], sum/float64(drawn))
			}
		}
	}
	for m, all := range means {
		if len(all) == 0 {
			continue // nothing was measured
		}
		slices.Sort(all)
		out[m] = Interval{Value: mean(sums[m], counts[m]), Low: all[len(all)*25/1000], High: all[min(len(all)*975/1000, len(all)-1)]}
	}
	return out
}

// mean is the sum of all groups by their count, 0 where nothing was counted.
func mean(sums []float64, counts []int) float64 {
	sum, n := 0.0, 0
	for g := range sums {
		sum += sums[g]
		n += counts[g]
	}
	if n == 0 {
		return 0
	}
	return sum / float64(n)
}
