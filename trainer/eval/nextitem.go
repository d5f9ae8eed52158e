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
	List []model.Scored // as the scorer gave it, best first
	Rank int            // place of the wanted item in List, counted from 1; 0 when it is not there
}

// Metric is a figure of one prediction; its value over a test is the mean over all predictions.
type Metric struct {
	Name string
	Of   func(Prediction) float64
}

func at(name string, k int) string { return fmt.Sprintf("%s@%d", name, k) }

// Outcome is what a scorer reached on a test, by session, so that intervals and comparisons can draw sessions again.
type Outcome struct {
	Metrics  []string
	Counts   []int       // predictions of each session
	Sums     [][]float64 // by metric and session: the sum over its predictions
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

// NextItem reveals every session one event at a time and asks the scorer for the next one: a session of n events makes
// n-1 predictions. depth is the length of the lists. Items of -1 are unknown: they are not asked with, and are a miss
// when they are wanted. coverage may be empty.
func NextItem(ctx context.Context, scorer model.Scorer, test *model.Sessions, depth int, metrics []Metric, coverage ...*Coverage) (*Outcome, error) {
	o := &Outcome{Sums: make([][]float64, len(metrics)), Coverage: coverage}
	for i, m := range metrics {
		o.Metrics = append(o.Metrics, m.Name)
		o.Sums[i] = make([]float64, test.Len())
	}
	var list []model.Scored
	var known []int32
	for s := range test.Len() {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("evaluate %s: %w", scorer.Name(), err)
		}
		items, times := test.At(s)
		known = known[:0]
		for e := range max(len(items)-1, 0) {
			if items[e] >= 0 {
				known = append(known, items[e])
			}
			query := model.Query{Items: known, Now: time.UnixMilli(times[e])}
			began := time.Now()
			list = scorer.Score(list[:0], query, depth)
			o.Latency = append(o.Latency, time.Since(began))
			p := Prediction{List: list, Rank: rankOf(list, items[e+1])}
			for i, m := range metrics {
				o.Sums[i][s] += m.Of(p)
			}
			for _, c := range coverage {
				c.Add(list)
			}
		}
		o.Counts = append(o.Counts, max(len(items)-1, 0))
	}
	return o, nil
}

func rankOf(list []model.Scored, item int32) int {
	return 1 + slices.IndexFunc(list, func(s model.Scored) bool { return s.Item == item })
}
