package trainer

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/millrace/millrace/internal/model"
	"github.com/millrace/millrace/internal/model/blend"
	"github.com/millrace/millrace/internal/model/ials"
	"github.com/millrace/millrace/internal/model/popularity"
	"github.com/millrace/millrace/internal/model/transitions"
	"github.com/millrace/millrace/internal/model/vmisknn"
	"github.com/millrace/millrace/internal/registry"
	"github.com/millrace/millrace/trainer/eval"
)

// Names under which the models of a version serve.
const (
	ModelPopularity  = popularity.Name
	ModelTransitions = transitions.Name
	ModelSessionKNN  = string(vmisknn.VSTAN)
	ModelIALS        = ials.Name
	ModelBlend       = blend.Name
)

const vocabularyName = "vocabulary"

// methods lists the models that a version holds, in the order in which they are settled: a blend is made of those before it.
func methods() []string {
	return []string{ModelPopularity, ModelTransitions, ModelSessionKNN, ModelIALS, ModelBlend}
}

// fittedModel is one method of a version.
type fittedModel struct {
	name    string
	scorer  model.Scorer
	params  any
	seconds float64 // of its fit
}

// models are the fitted methods of a version, in the order of methods.
type models []fittedModel

// refit fits the chosen methods on more sessions than they were chosen on.
func refit(ctx context.Context, chosen []*eval.Chosen, part *eval.Part) (models, error) {
	var out models
	scorers := map[string]model.Scorer{}
	for _, c := range chosen {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		began := time.Now()
		var scorer model.Scorer
		var err error
		if cfg, ok := c.Params.(blend.Config); ok {
			scorer, err = blend.New(cfg, scorers) // of what was fitted just now, and not of copies
		} else {
			scorer, err = c.Fit(ctx, part)
		}
		if err != nil {
			return nil, fmt.Errorf("fit %s: %w", c.Name, err)
		}
		scorers[c.Name] = scorer
		out = append(out, fittedModel{name: c.Name, scorer: scorer, params: c.Params, seconds: time.Since(began).Seconds()})
	}
	return out, nil
}

// artifacts lists what is stored, always in this order.
func (m models) artifacts(v *model.Vocabulary) ([]registry.Artifact, error) {
	out := []registry.Artifact{{Name: vocabularyName, Model: v}}
	for _, one := range m {
		stored, ok := one.scorer.(model.Artifact)
		if !ok {
			return nil, fmt.Errorf("store %s: a %T cannot be stored", one.name, one.scorer)
		}
		out = append(out, registry.Artifact{Name: one.name, Model: stored})
	}
	return out, nil
}

// describe says in the manifest how each model was fitted and how it did.
func (m models) describe(metrics map[string]map[string]registry.Metric) (map[string]registry.ModelInfo, error) {
	out := map[string]registry.ModelInfo{}
	for _, one := range m {
		text, err := json.Marshal(one.params)
		if err != nil {
			return nil, fmt.Errorf("encode parameters of %s: %w", one.name, err)
		}
		info := registry.ModelInfo{Params: text, Metrics: metrics[one.name], FitSeconds: one.seconds}
		if stored, ok := one.scorer.(model.Artifact); ok {
			info.Kind = stored.Kind()
		}
		out[one.name] = info
	}
	return out, nil
}
