package trainer

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/model"
	"github.com/millrace/millrace/internal/model/basket"
	"github.com/millrace/millrace/internal/model/blend"
	"github.com/millrace/millrace/internal/model/content"
	"github.com/millrace/millrace/internal/model/ease"
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
	ModelEASE        = ease.Name
	ModelIALS        = ials.Name
	ModelBasket      = basket.Name
	ModelContent     = content.Name
	ModelBlend       = blend.Name
)

const vocabularyName = "vocabulary"

// Optional lists the methods that a version can do without.
func Optional() []string { return []string{ModelEASE, ModelIALS, ModelBasket, ModelContent} }

// CheckSkip reports a method that cannot be left out.
func CheckSkip(skip []string) error {
	for _, name := range skip {
		if !slices.Contains(Optional(), name) {
			return fmt.Errorf("method %q cannot be left out; those that can are %s", name, strings.Join(Optional(), ", "))
		}
	}
	return nil
}

// methods lists the models that a version holds, in the order in which they are settled: a blend is made of those before it. What
// is skipped, or what the data says nothing to, is left out.
func (d *dataset) methods(skip []string) []string {
	names := []string{ModelPopularity, ModelTransitions, ModelSessionKNN, ModelEASE, ModelIALS}
	if slices.ContainsFunc(d.log.Orders, func(order int32) bool { return order != eval.NoOrder }) {
		names = append(names, ModelBasket)
	}
	if slices.ContainsFunc(d.log.Items, describes) {
		names = append(names, ModelContent)
	}
	names = slices.DeleteFunc(names, func(name string) bool { return slices.Contains(skip, name) })
	return append(names, ModelBlend)
}

// describes reports whether anything is said of an item.
func describes(it event.CatalogueItem) bool {
	return it.Title != "" || it.Brand != "" || len(it.Categories)+len(it.Labels)+len(it.Fields) > 0
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
