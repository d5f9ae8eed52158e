package eval

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/model"
)

// Prediction is one answer beside the truth.
type Prediction struct {
	List   []model.Scored // as the scorer gave it, best first
	Wanted []int32        // the relevant items, each once; -1 is one that no model knows
	Hits   []int          // places in List, counted from 1 and rising, at which there is a wanted item
}

// hits returns how many of the first k are wanted.
func (p Prediction) hits(k int) int {
	n := 0
	for n < len(p.Hits) && p.Hits[n] <= k {
		n++
	}
	return n
}

// Metric is a figure of one prediction; its value over a test is the mean over all predictions.
type Metric struct {
	Name string
	Of   func(Prediction) float64
}

func at(name string, k int) string { return fmt.Sprintf("%s@%d", name, k) }

// Outcome is what a scorer reached on a test, by group, so that intervals and comparisons can draw groups again.
type Outcome struct {
	Metrics  []string
	Counts   []int       // predictions of each group
	Sums     [][]float64 // by metric and group: the sum over its predictions
	Latency  []time.Duration
	Coverage []*Coverage
}

// Predictions returns how many predictions were made.
func (o *Outcome) Predictions() int {
	n := 0
	for _, c := range o.Counts {
		n += c
	}
	return n
}

// Value returns the mean of a metric over all predictions; ok is false when it was not measured.
func (o *Outcome) Value(metric string) (value float64, ok bool) {
	i := slices.Index(o.Metrics, metric)
	if i < 0 {
		return 0, false
	}
	sum := 0.0
	for _, s := range o.Sums[i] {
		sum += s
	}
	if n := o.Predictions(); n > 0 {
		sum /= float64(n)
	}
	return sum, true
}

// Percentile returns the latency below which a share p of the queries stayed.
func (o *Outcome) Percentile(p float64) time.Duration {
	if len(o.Latency) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(o.Latency))
	return sorted[min(int(p*float64(len(sorted))), len(sorted)-1)]
}

// Measure asks a scorer every case of a test for a list of depth items. coverage may be empty.
func Measure(ctx context.Context, scorer model.Scorer, test *Test, depth int, metrics []Metric, coverage ...*Coverage) (*Outcome, error) {
	o := &Outcome{Sums: make([][]float64, len(metrics)), Counts: make([]int, test.Groups()), Coverage: coverage}
	for i, m := range metrics {
		o.Metrics = append(o.Metrics, m.Name)
		o.Sums[i] = make([]float64, test.Groups())
	}
	var list []model.Scored
	var hits []int
	for g := range test.Groups() {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("evaluate %s: %w", scorer.Name(), err)
		}
		for c := range test.Group(g) {
			began := time.Now()
			list = scorer.Score(list[:0], c.Query, depth)
			o.Latency = append(o.Latency, time.Since(began))
			hits = appendHits(hits[:0], list, c.Wanted)
			p := Prediction{List: list, Wanted: c.Wanted, Hits: hits}
			for i, m := range metrics {
				o.Sums[i][g] += m.Of(p)
			}
			for _, cover := range coverage {
				cover.Add(list)
			}
			o.Counts[g]++
		}
	}
	return o, nil
}

// fewWanted is up to how many wanted items looking through them beats looking them up.
const fewWanted = 16

// appendHits appends the places of the wanted items in a list.
func appendHits(hits []int, list []model.Scored, wanted []int32) []int {
	find := func(item int32) bool { return slices.Contains(wanted, item) }
	if len(wanted) > fewWanted {
		set := make(map[int32]struct{}, len(wanted))
		for _, item := range wanted {
			set[item] = struct{}{}
		}
		find = func(item int32) bool { _, ok := set[item]; return ok }
	}
	for i, s := range list {
		if s.Item >= 0 && find(s.Item) {
			hits = append(hits, i+1)
		}
	}
	return hits
}
