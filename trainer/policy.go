package trainer

import (
	"context"
	"fmt"
	"slices"

	"github.com/millrace/millrace/internal/model"
	"github.com/millrace/millrace/internal/model/transitions"
	"github.com/millrace/millrace/internal/model/vmisknn"
	"github.com/millrace/millrace/trainer/eval"
)

// policyPredictions bounds the predictions that a repeat policy is chosen on. Policies differ by far more than chance
// does over this many.
const policyPredictions = 5000

// choosePolicies sets the repeat policy of the models by the validation part. Whether what was just clicked may be
// recommended again decides up to half of the figure, in opposite directions on different shops, and costs seconds to
// find out; everything else is left to the search.
func choosePolicies(ctx context.Context, p params, split *eval.Dataset) (params, error) {
	valid := newest(split.Valid, policyPredictions)
	if predictions(valid) < MinPredictions {
		return p, nil
	}
	train := longerThanOne(split.TuneTrain)
	for _, m := range []struct {
		repeats *model.RepeatPolicy
		fit     func() (model.Scorer, error) // with every repeat allowed
	}{
		{&p.transitions.Repeats, func() (model.Scorer, error) {
			cfg := p.transitions
			cfg.Repeats = model.RepeatsAllowed
			return transitions.Fit(cfg, train, split.Vocabulary.Len())
		}},
		{&p.knn.Repeats, func() (model.Scorer, error) {
			cfg := p.knn
			cfg.Repeats = model.RepeatsAllowed
			return vmisknn.Fit(cfg, train, split.Vocabulary.Len())
		}},
	} {
		scorer, err := m.fit()
		if err != nil {
			return p, fmt.Errorf("choose repeat policy: %w", err)
		}
		if *m.repeats, err = bestPolicy(ctx, scorer, *m.repeats, valid); err != nil {
			return p, fmt.Errorf("choose repeat policy: %w", err)
		}
	}
	return p, nil
}

// bestPolicy returns the policy with the best gate metric; equals keep the present one.
func bestPolicy(ctx context.Context, scorer model.Scorer, present model.RepeatPolicy, valid *model.Sessions) (model.RepeatPolicy, error) {
	best, bestValue := present, -1.0
	policies := append([]model.RepeatPolicy{present}, model.RepeatPolicies()...)
	for _, policy := range policies {
		o, err := eval.NextItem(ctx, filtered{scorer, policy}, valid, MetricDepth, []eval.Metric{gateMetric()})
		if err != nil {
			return present, err
		}
		if value, _ := o.Value(gateMetric().Name); value > bestValue {
			best, bestValue = policy, value
		}
	}
	return best, nil
}

// newest returns the newest sessions with at most n predictions.
func newest(sessions *model.Sessions, n int) *model.Sessions {
	from := sessions.Len()
	for from > 0 {
		items, _ := sessions.At(from - 1)
		if n -= len(items) - 1; n < 0 {
			break
		}
		from--
	}
	return sessions.Slice(from, sessions.Len())
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
	dst = f.Scorer.Score(dst, q, k+len(excluded))
	kept := dst[:first]
	for _, s := range dst[first:] {
		if len(kept)-first < k && !slices.Contains(excluded, s.Item) {
			kept = append(kept, s)
		}
	}
	return kept
}
