package eval

import (
	"math"
	"slices"
	"time"
)

// Outcome is what a scorer reached on a test, by group, so that intervals and comparisons can draw groups again.
type Outcome struct {
	Metrics []string
	Groups  []int       // names of the groups, each once; the same session or visitor has the same name in every outcome of a log
	Counts  []int       // predictions of each group
	Sums    [][]float64 // by metric and group: the sum over its predictions
	Skips   [][]int     // by metric and group: the predictions that it says nothing of; nil for none
	Latency []time.Duration
}

// newOutcome is of no group yet.
func newOutcome(metrics []Metric) *Outcome {
	o := &Outcome{Sums: make([][]float64, len(metrics)), Skips: make([][]int, len(metrics))}
	for _, m := range metrics {
		o.Metrics = append(o.Metrics, m.Name)
	}
	return o
}

// open begins a group.
func (o *Outcome) open(group int) {
	o.Groups, o.Counts = append(o.Groups, group), append(o.Counts, 0)
	for m := range o.Sums {
		o.Sums[m] = append(o.Sums[m], 0)
	}
}

// add counts a prediction in a group, which is given by its place.
func (o *Outcome) add(metrics []Metric, place int, p Prediction) {
	o.Counts[place]++
	for m := range metrics {
		if value := metrics[m].Of(p); !math.IsNaN(value) {
			o.Sums[m][place] += value
			continue
		}
		o.skip(m, place, 1)
	}
}

func (o *Outcome) skip(m, place, n int) {
	for n > 0 && place >= len(o.Skips[m]) {
		o.Skips[m] = append(o.Skips[m], make([]int, len(o.Counts)-len(o.Skips[m]))...)
	}
	if n > 0 {
		o.Skips[m][place] += n
	}
}

// counts returns how many predictions of each group a metric says something of.
func (o *Outcome) counts(m int) []int {
	if m >= len(o.Skips) || o.Skips[m] == nil {
		return o.Counts
	}
	out := slices.Clone(o.Counts)
	for g, n := range o.Skips[m] {
		out[g] -= n
	}
	return out
}

// Predictions returns how many predictions were made.
func (o *Outcome) Predictions() int {
	n := 0
	for _, c := range o.Counts {
		n += c
	}
	return n
}

// measured reports whether a metric says something of any prediction.
func (o *Outcome) measured(m int) bool {
	return slices.ContainsFunc(o.counts(m), func(n int) bool { return n > 0 })
}

// Value returns the mean of a metric over all predictions that it says something of; ok is false when it was not measured.
func (o *Outcome) Value(metric string) (value float64, ok bool) {
	i := slices.Index(o.Metrics, metric)
	if i < 0 {
		return 0, false
	}
	return mean(o.Sums[i], o.counts(i)), true
}

// Percentile returns the latency below which a share p of the queries stayed.
func (o *Outcome) Percentile(p float64) time.Duration {
	if len(o.Latency) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(o.Latency))
	return sorted[min(int(p*float64(len(sorted))), len(sorted)-1)]
}

// pool joins outcomes of the same metrics: what several tests say of one group is added up, so that an interval draws a
// visitor with all that was asked about them.
func pool(outcomes []*Outcome) *Outcome {
	if len(outcomes) == 1 {
		return outcomes[0]
	}
	out := &Outcome{Metrics: outcomes[0].Metrics, Sums: make([][]float64, len(outcomes[0].Sums)), Skips: make([][]int, len(outcomes[0].Sums))}
	places := map[int]int{}
	for _, o := range outcomes {
		out.Latency = append(out.Latency, o.Latency...)
		for g, name := range o.Groups {
			place, ok := places[name]
			if !ok {
				place = len(out.Groups)
				places[name] = place
				out.open(name)
			}
			out.Counts[place] += o.Counts[g]
			for m := range out.Sums {
				out.Sums[m][place] += o.Sums[m][g]
				out.skip(m, place, o.Counts[g]-o.counts(m)[g])
			}
		}
	}
	return out
}
