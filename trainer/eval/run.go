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
	return runOn(ctx, c, log)
}

// RunOn is Run on data that is in memory already; Config.Data only names it.
func RunOn(ctx context.Context, c Config, log *Log) (*Report, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	return runOn(ctx, c, log)
}

func runOn(ctx context.Context, c Config, log *Log) (*Report, error) {
	p, err := protocolOf(c.Protocol)
	if err != nil {
		return nil, err
	}
	r := newReport(c, p, log)
	by := map[string][]*measured{} // by model, a seed each
	for i := range c.Seeds {
		one := c
		one.Seed += uint64(i)
		d, err := SplitLog(log, one)
		if err != nil {
			return nil, fmt.Errorf("split %s: %w", c.Data, err)
		}
		r.noteSplit(d, one.Seed)
		models, slicing := settled{}, newSlicing(d.Train, log.Sessions.Users != nil)
		for _, name := range c.Models {
			m, err := measureModel(ctx, name, d, models, slicing, p, one)
			if err != nil {
				return nil, fmt.Errorf("measure %s: %w", name, err)
			}
			by[name] = append(by[name], m)
		}
	}
	return r, r.conclude(c, p, by)
}

// Describe measures models that are chosen already on the test of their dataset, which SplitLog made of the log by the same
// configuration, and reports it as Run would. Config.Data names the data. Besides, it returns what each reached, by model.
func Describe(ctx context.Context, c Config, log *Log, d *Dataset, chosen []*Chosen) (*Report, map[string]*Outcome, error) {
	c.Models = nil
	for _, model := range chosen {
		c.Models = append(c.Models, model.Name)
	}
	c, err := c.withDefaults()
	if err != nil {
		return nil, nil, err
	}
	p, err := protocolOf(c.Protocol)
	if err != nil {
		return nil, nil, err
	}
	r := newReport(c, p, log)
	r.noteSplit(d, c.Seed)
	outcomes, by, slicing := map[string]*Outcome{}, map[string][]*measured{}, newSlicing(d.Train, log.Sessions.Users != nil)
	for _, model := range chosen {
		m, err := measureFitted(ctx, model.fitted, d, slicing, p, c)
		if err != nil {
			return nil, nil, fmt.Errorf("measure %s: %w", model.Name, err)
		}
		by[model.Name], outcomes[model.Name] = []*measured{m}, m.outcome
	}
	return r, outcomes, r.conclude(c, p, by)
}

// measured is what one model reached on one split.
type measured struct {
	seed     uint64
	fitted   *fitted
	outcome  *Outcome
	slices   map[sliceName]*Outcome
	coverage []*Coverage
	shares   map[string]float64 // of a blend
	seconds  float64            // that choosing the parameters took
}

func measureModel(ctx context.Context, name string, d *Dataset, models settled, by *slicing, p protocol, c Config) (*measured, error) {
	began := time.Now()
	f, err := fitModel(ctx, name, d, models, c, nil)
	if err != nil {
		return nil, err
	}
	chosen := time.Since(began)
	models[name] = f
	m, err := measureFitted(ctx, f, d, by, p, c)
	if err != nil {
		return nil, err
	}
	m.seconds = chosen.Seconds() - f.seconds
	return m, nil
}

// measureFitted asks a model all of the test.
func measureFitted(ctx context.Context, f *fitted, d *Dataset, by *slicing, p protocol, c Config) (*measured, error) {
	m := &measured{seed: c.Seed, fitted: f, slices: map[sliceName]*Outcome{}}
	if err := warmUp(ctx, f.scorer, d, c.depth()); err != nil {
		return nil, err
	}
	parts := newSliced(by, p.metrics(c.depth()))
	observers := []Observer{parts}
	for _, k := range c.K {
		cover := NewCoverage(k, d.Vocabulary.Len())
		m.coverage, observers = append(m.coverage, cover), append(observers, cover)
	}
	var err error
	if m.outcome, err = Measure(ctx, f.scorer, d.Test, c.depth(), allMetrics(d, p, c.K), observers...); err != nil {
		return nil, err
	}
	for i, o := range parts.outcomes {
		if o.Predictions() > 0 {
			m.slices[by.names[i]] = o
		}
	}
	if joined, ok := f.scorer.(*blend.Model); ok {
		m.shares = shares(joined, d.Test.Newest(policyPredictions), c.depth())
	}
	return m, nil
}

// warmUpGroups is how many groups of the test are asked before the clock counts, so that the latencies are those of a
// server that is running and not of its first second.
const warmUpGroups = 100

func warmUp(ctx context.Context, scorer model.Scorer, d *Dataset, depth int) error {
	_, err := Measure(ctx, scorer, d.Test.first(warmUpGroups), depth, nil)
	return err
}

// allMetrics are the figures of each prediction at each list length: how good a list is, and what it is made of.
func allMetrics(d *Dataset, p protocol, ks []int) []Metric {
	clicks, categories := clicksOf(d.Train), d.Train.Categories()
	var metrics []Metric
	for _, k := range ks {
		metrics = append(metrics, p.metrics(k)...)
		metrics = append(metrics, PopularityBias(k, clicks), Novelty(k, clicks))
		if categories != nil {
			metrics = append(metrics, Diversity(k, categories))
		}
	}
	return metrics
}

func micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }
