package eval

import (
	"context"
	"fmt"

	"github.com/millrace/millrace/internal/model"
)

const (
	// MinPredictions is how many predictions a part must make for its figures to decide anything.
	MinPredictions = 30

	// policyPredictions bounds the predictions that a repeat policy is chosen on. Policies differ by far more than chance
	// does over this many.
	policyPredictions = 5000
)

// ChooseRepeats returns the repeat policy that does best on the newest validation cases, and how it was found.
// Whether what was just clicked may be recommended again decides up to half of a figure, in opposite directions on
// different shops, and costs seconds to find out, so that it is chosen even where no other parameter is. The scorer must
// allow every repeat; depth is the length of the lists. Equals keep the present policy; so does a validation part of
// less than MinPredictions, and then there is no Tuning.
func ChooseRepeats(ctx context.Context, scorer model.Scorer, present model.RepeatPolicy, valid *Test, depth int) (model.RepeatPolicy, *Tuning, error) {
	sample, metric := valid.Newest(policyPredictions), valid.Objective(depth)
	n := sample.Len()
	if n < MinPredictions {
		return present, nil, nil
	}
	best, bestValue := present, -1.0
	policies := model.RepeatPolicies()
	for _, policy := range append([]model.RepeatPolicy{present}, policies...) {
		o, err := Measure(ctx, filtered{scorer, policy}, sample, depth, []Metric{metric})
		if err != nil {
			return present, nil, fmt.Errorf("choose repeat policy: %w", err)
		}
		if value, _ := o.Value(metric.Name); value > bestValue {
			best, bestValue = policy, value
		}
	}
	grid := map[string][]any{}
	for _, policy := range policies {
		grid[axisRepeats] = append(grid[axisRepeats], policy)
	}
	return best, &Tuning{Objective: metric.Name, Examples: n, Trials: len(policies), Value: bestValue, Grid: grid}, nil
}

// filtered gives a model that allows every repeat another policy, so that one fit serves to try them all.
type filtered struct {
	model.Scorer
	policy model.RepeatPolicy
}

// Score implements model.Scorer.
func (f filtered) Score(dst []model.Scored, q model.Query, k int) []model.Scored {
	excluded := q.Excluded(f.policy)
	first := len(dst)
	dst = f.Scorer.Score(dst, q, k+excluded.Len())
	kept := dst[:first]
	for _, s := range dst[first:] {
		if len(kept)-first < k && !excluded.Has(s.Item) {
			kept = append(kept, s)
		}
	}
	return kept
}
