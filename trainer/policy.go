package trainer

import (
	"context"
	"fmt"

	"github.com/millrace/millrace/internal/model"
	"github.com/millrace/millrace/internal/model/transitions"
	"github.com/millrace/millrace/internal/model/vmisknn"
	"github.com/millrace/millrace/trainer/eval"
)

// choosePolicies sets the repeat policy of the models by the validation part; everything else is left to the search.
func choosePolicies(ctx context.Context, p params, split *eval.Dataset) (params, error) {
	train := longerThanOne(split.TuneTrain.Sessions)
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
		if *m.repeats, _, err = eval.ChooseRepeats(ctx, scorer, *m.repeats, split.Valid, MetricDepth); err != nil {
			return p, err
		}
	}
	return p, nil
}
