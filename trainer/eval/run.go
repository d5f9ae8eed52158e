package eval

import (
	"context"
	"fmt"
	"time"

	"github.com/millrace/millrace/internal/model"
	"github.com/millrace/millrace/internal/model/blend"
)

// Run reads the data, splits it and measures the models. Errors that wrap *UsageError are the caller's to mend.
func Run(ctx context.Context, c Config) (*Report, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	log, err := Load(ctx, c)
	if err != nil {
		return nil, err
	}
	return measure(ctx, c, log)
}

// RunOn is Run on data that is in memory already; Config.Data only names it.
func RunOn(ctx context.Context, c Config, log *Log) (*Report, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	return measure(ctx, c, log)
}

func measure(ctx context.Context, c Config, log *Log) (*Report, error) {
	d, err := SplitLog(log, c)
	if err != nil {
		return nil, fmt.Errorf("split %s: %w", c.Data, err)
	}
	r := &Report{
		Protocol: c.Protocol, Data: c.Data, Site: c.Site, Seed: c.Seed, Split: d.Split, Sessions: d.Test.Groups(),
		Examples: d.Test.Len(), TrainEvents: d.Train.Sessions.Events(), Items: d.Vocabulary.Len(),
		Rows: log.Rows, BadRows: log.BadRows, Clock: clockEvent, First: log.First(), Last: log.Last(),
	}
	if log.Logical {
		r.Clock = clockLogical
	}
	if log.FirstBad != nil {
		r.FirstBadRow = log.FirstBad.Error()
	}
	models := settled{}
	for _, name := range c.Models {
		result, err := measureModel(ctx, name, d, models, c)
		if err != nil {
			return nil, fmt.Errorf("measure %s: %w", name, err)
		}
		r.Results = append(r.Results, *result)
		switch r.RepeatPolicy {
		case "":
			r.RepeatPolicy = string(result.RepeatPolicy)
		case string(result.RepeatPolicy):
		default:
			r.RepeatPolicy = mixedPolicies
		}
	}
	return r, nil
}

func measureModel(ctx context.Context, name string, d *Dataset, models settled, c Config) (*Result, error) {
	began := time.Now()
	f, err := fitModel(ctx, name, d, models, c, nil)
	if err != nil {
		return nil, err
	}
	models[name] = f
	tuneSeconds := time.Since(began).Seconds() - f.seconds
	metrics, coverage := standardMetrics(d, c.K)
	depth := c.K[len(c.K)-1]
	if err := warmUp(ctx, f.scorer, d, depth); err != nil {
		return nil, err
	}
	outcome, err := Measure(ctx, f.scorer, d.Test, depth, metrics, coverage...)
	if err != nil {
		return nil, err
	}
	result := &Result{
		Model: name, Params: f.params, RepeatPolicy: f.repeats, Metrics: map[string]MetricValue{}, FitSeconds: f.seconds,
		QueryP50: micros(outcome.Percentile(0.5)), QueryP99: micros(outcome.Percentile(0.99)), Tuning: f.tuning,
	}
	if f.tuning != nil {
		result.TuneSeconds = tuneSeconds
	}
	if joined, ok := f.scorer.(*blend.Model); ok {
		result.Shares = shares(joined, d.Test.newest(policyPredictions), depth)
	}
	for _, metric := range metrics {
		i, err := outcome.Bootstrap(metric.Name, c.Seed)
		if err != nil {
			return nil, err
		}
		result.Metrics[metric.Name] = MetricValue{Value: i.Value, Low: &i.Low, High: &i.High}
		result.order = append(result.order, metric.Name)
	}
	for _, cover := range outcome.Coverage {
		result.Metrics[cover.Name] = MetricValue{Value: cover.Value()}
		result.order = append(result.order, cover.Name)
	}
	return result, nil
}

// warmUpGroups is how many groups of the test are asked before the clock counts, so that the latencies are those of a
// server that is running and not of its first second.
const warmUpGroups = 100

func warmUp(ctx context.Context, scorer model.Scorer, d *Dataset, depth int) error {
	_, err := Measure(ctx, scorer, d.Test.first(warmUpGroups), depth, nil)
	return err
}

// standardMetrics are the figures of the next-item protocol at each list length.
func standardMetrics(d *Dataset, ks []int) ([]Metric, []*Coverage) {
	clicks := make([]int, d.Vocabulary.Len())
	for _, item := range d.Train.Sessions.Items {
		clicks[item]++
	}
	var metrics []Metric
	var coverage []*Coverage
	for _, k := range ks {
		metrics = append(metrics, HR(k), MRR(k), NDCG(k), PopularityBias(k, clicks))
		coverage = append(coverage, NewCoverage(k, d.Vocabulary.Len()))
	}
	return metrics, coverage
}

func micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }
