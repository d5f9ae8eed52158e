package blend

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/millrace/millrace/internal/model"
)

// Example is a query whose answer is known.
type Example struct {
	Query  model.Query
	Wanted []int32 // what the visitor wanted; unknown items are -1
	Group  int     // examples of one session or visitor share it: they are not independent
}

// Objective is what a fit maximises the mean of: ranks are the places, counted from 1 and rising, of those wanted items that
// the list holds. It is 0 where there are none.
type Objective func(ranks []int, wanted int) float64

// FitConfig says how to fit. Members and Objective are required.
type FitConfig struct {
	Members   []string
	Depth     int // DefaultDepth by default
	Objective Objective
	// MinExamples is how many examples a context needs for weights of its own; DefaultMinExamples by default.
	MinExamples int
	// Workers is how many goroutines measure; 1 by default. The result does not depend on it.
	Workers int
}

// Defaults of FitConfig.
const (
	DefaultDepth = 100
	// DefaultMinExamples: below it the standard error of a hit rate is larger than what weights of its own can win.
	DefaultMinExamples = 400
)

// rankScale is the middle one of those that are tried.
const rankScale = 8

// scales are the scales that a fit tries.
func scales() []Config {
	return []Config{{Scale: ScaleTop}, {Scale: ScaleRank, RankScale: rankScale / 4}, {Scale: ScaleRank, RankScale: rankScale}, {Scale: ScaleRank, RankScale: 4 * rankScale}}
}

// lengths are the kinds of running sessions that may get weights of their own.
func lengths() []Context {
	return []Context{{MaxItems: 1}, {MinItems: 2, MaxItems: 3}, {MinItems: 4, MaxItems: 9}, {MinItems: 10}}
}

// Fit finds the scale and the weights that do best on the examples, which must come after what the members were fitted on.
// More members than the best one, and weights of its own for a context, have to earn it: weights that are fitted on one half of
// the examples must win on the other by more than chance is likely to give.
func Fit(ctx context.Context, cfg FitConfig, scorers map[string]model.Scorer, examples []Example) (Config, error) {
	if cfg.Depth == 0 {
		cfg.Depth = DefaultDepth
	}
	if cfg.MinExamples == 0 {
		cfg.MinExamples = DefaultMinExamples
	}
	out := Config{Members: cfg.Members, Depth: cfg.Depth}
	if len(examples) == 0 || cfg.Objective == nil {
		return out, errors.New("fit blend: there is nothing to fit it on")
	}
	f := &fitter{cfg: cfg, workers: max(cfg.Workers, 1)}
	for _, name := range cfg.Members {
		if scorers[name] == nil {
			return out, fmt.Errorf("fit blend: the family %q is not there", name)
		}
		f.members = append(f.members, scorers[name])
	}
	if err := f.gather(ctx, examples); err != nil {
		return out, err
	}
	weights, err := f.fitWhole(ctx, &out, examples)
	if err != nil {
		return out, err
	}
	if err := f.fitContexts(ctx, &out, examples, weights); err != nil {
		return out, err
	}
	return out, out.Validate()
}

// fitWhole finds the scale, and the weights of all examples together.
func (f *fitter) fitWhole(ctx context.Context, out *Config, examples []Example) ([]float32, error) {
	all := make([]int, f.examples())
	for i := range all {
		all[i] = i
	}
	var best []float32
	bestValue := -1.0
	for _, scale := range scales() {
		f.use(&scale)
		for _, start := range [][]float32{f.alone(all), slices.Repeat([]float32{1}, len(f.members))} {
			weights, value := f.ascend(ctx, start, all)
			if err := ctx.Err(); err != nil {
				return nil, fmt.Errorf("fit blend: %w", err)
			}
			if value > bestValue {
				best, bestValue = weights, value
				out.Scale, out.RankScale = scale.Scale, scale.RankScale
			}
		}
	}
	f.use(out)
	earned, err := f.earns(ctx, f.alone(all), all, examples)
	if err != nil || earned {
		return best, err
	}
	out.Scale, out.RankScale = ScaleRank, rankScale // places keep a list as it is, whatever its scores
	f.use(out)
	return f.alone(all), nil
}

// alone are the weights of the best member alone.
func (f *fitter) alone(examples []int) []float32 {
	var best []float32
	bestValue := -1.0
	for i := range f.members {
		weights := make([]float32, len(f.members))
		weights[i] = 1
		if value := f.value(weights, examples); value > bestValue {
			best, bestValue = weights, value
		}
	}
	return best
}

// earns reports whether weights that are fitted on one half of some examples beat given weights on the other half, both ways
// together, by more than the standard error of that gain.
func (f *fitter) earns(ctx context.Context, given []float32, some []int, examples []Example) (bool, error) {
	var halves [2][]int
	for _, i := range some {
		half := examples[i].Group & 1
		halves[half] = append(halves[half], i)
	}
	if len(halves[0]) == 0 || len(halves[1]) == 0 {
		return false, nil
	}
	sum, squares := 0.0, 0.0
	for half, fitted := range halves {
		weights, _ := f.ascend(ctx, given, fitted)
		other := halves[1-half]
		theirs := f.each(given, other)
		for i, ours := range f.each(weights, other) {
			gain := ours - theirs[i]
			sum, squares = sum+gain, squares+gain*gain
		}
	}
	if err := ctx.Err(); err != nil {
		return false, fmt.Errorf("fit blend: %w", err)
	}
	n := float64(len(some))
	mean := sum / n
	return mean > math.Sqrt(max(squares/n-mean*mean, 0)/n), nil
}

// fitContexts gives weights of their own to the contexts that earn them, the most special first in the result.
func (f *fitter) fitContexts(ctx context.Context, out *Config, examples []Example, whole []float32) error {
	var special, general []Context
	for _, kind := range lengths() {
		for _, history := range []History{HistoryNone, HistorySome} {
			kind.History = history
			weights, err := f.fitContext(ctx, kind, examples, whole, &general)
			if err != nil {
				return err
			}
			for _, segment := range segments(examples) {
				part := kind
				part.Segment = segment
				if _, err := f.fitContext(ctx, part, examples, weights, &special); err != nil {
					return err
				}
			}
		}
	}
	out.Contexts = append(append(special, general...), Context{Weights: whole, Examples: len(examples)})
	return nil
}

// fitContext adds a context with weights of its own, if it earns them against those that it would have without, and returns
// the weights that its queries get.
func (f *fitter) fitContext(ctx context.Context, kind Context, examples []Example, without []float32, to *[]Context) ([]float32, error) {
	var all []int
	for i := range examples {
		if kind.fits(&examples[i].Query) {
			all = append(all, i)
		}
	}
	if len(all) < f.cfg.MinExamples {
		return without, nil
	}
	if earned, err := f.earns(ctx, without, all, examples); err != nil || !earned {
		return without, err
	}
	kind.Weights, _ = f.ascend(ctx, without, all)
	kind.Examples = len(all)
	*to = append(*to, kind)
	return kind.Weights, nil
}

// segments lists the segments of the examples in alphabetical order.
func segments(examples []Example) []string {
	var out []string
	for i := range examples {
		if s := examples[i].Query.Segment; s != "" && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	slices.Sort(out)
	return out
}
