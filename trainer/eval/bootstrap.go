package eval

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
)

// resamples is how many times sessions are drawn again for an interval; its ends move by less than a hundredth of its
// width from seed to seed.
const resamples = 1000

// Interval is a figure with its 95 % bootstrap interval.
type Interval struct {
	Value float64
	Low   float64
	High  float64
}

// Bootstrap returns the interval of a metric, drawing whole sessions: predictions of one session are not independent.
// The same seed draws the same sessions for every metric and model.
func (o *Outcome) Bootstrap(metric string, seed uint64) (Interval, error) {
	i := slices.Index(o.Metrics, metric)
	if i < 0 {
		return Interval{}, fmt.Errorf("metric %s was not measured", metric)
	}
	return bootstrap(o.Sums[i], o.Counts, seed), nil
}

// Compare returns the difference of a metric, ours minus theirs, on the same test sessions: each draw takes the same
// sessions of both, so what both find hard cancels out. An interval above 0 is a win, one below 0 a loss.
func Compare(ours, theirs *Outcome, metric string, seed uint64) (Interval, error) {
	i, j := slices.Index(ours.Metrics, metric), slices.Index(theirs.Metrics, metric)
	if i < 0 || j < 0 {
		return Interval{}, fmt.Errorf("metric %s was not measured on both sides", metric)
	}
	if !slices.Equal(ours.Counts, theirs.Counts) {
		return Interval{}, errors.New("compare outcomes: they are of different tests")
	}
	differences := make([]float64, len(ours.Counts))
	for s := range differences {
		differences[s] = ours.Sums[i][s] - theirs.Sums[j][s]
	}
	return bootstrap(differences, ours.Counts, seed), nil
}

func bootstrap(sums []float64, counts []int, seed uint64) Interval {
	total, n := 0.0, 0
	for s, sum := range sums {
		total += sum
		n += counts[s]
	}
	if n == 0 {
		return Interval{}
	}
	rng := rand.New(rand.NewPCG(seed, 0))
	means := make([]float64, 0, resamples)
	for range resamples {
		sum, drawn := 0.0, 0
		for range sums {
			s := rng.IntN(len(sums))
			sum += sums[s]
			drawn += counts[s]
		}
		if drawn > 0 {
			means = append(means, sum/float64(drawn))
		}
	}
	slices.Sort(means)
	low, high := means[len(means)*25/1000], means[min(len(means)*975/1000, len(means)-1)]
	return Interval{Value: total / float64(n), Low: low, High: high}
}
