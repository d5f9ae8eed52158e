package trainer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/millrace/millrace/internal/model"
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
	ModelSessionKNN  = vmisknn.Kind // whichever scoring it has
)

const vocabularyName = "vocabulary"

// params are the settings of every model of a version.
type params struct {
	popularity  popularity.Config
	transitions transitions.Config
	knn         vmisknn.Config
}

func defaultParams() params {
	return params{popularity: popularity.Default(), transitions: transitions.Default(), knn: vmisknn.Default(vmisknn.VSTAN)}
}

// params chooses the settings: by search on the validation part; else the champion's, or the defaults, with the repeat
// policy that the validation part asks for.
func (r *run) params(ctx context.Context, d *dataset, split *eval.Dataset, holdout float64, champion *champion) (params, error) {
	p := defaultParams()
	if champion != nil {
		p = champion.params
	}
	if r.cfg.TuneTrials == 0 {
		r.at(stageTune, 0.2, "repeat policy, on %d validation sessions", split.Valid.Groups())
		return choosePolicies(ctx, p, split)
	}
	if n := split.Valid.Len(); n < MinPredictions {
		return p, fmt.Errorf("too little data to tune on: the validation part makes %d predictions, at least %d are needed (%s); "+
			"train without tuning until there are more sessions", n, MinPredictions, split.Split)
	}
	r.at(stageTune, 0.2, "%d trials a model", r.cfg.TuneTrials)
	report, err := eval.RunOn(ctx, eval.Config{
		Data: "lake", Models: []string{eval.ModelTransitions, eval.ModelVSTAN}, K: []int{MetricDepth},
		Holdout: holdout, Tune: true, Trials: r.cfg.TuneTrials, Seed: r.cfg.Seed, Site: r.cfg.Site,
	}, d.log)
	if err != nil {
		return p, fmt.Errorf("tune: %w", err)
	}
	for _, result := range report.Results {
		switch chosen := result.Params.(type) {
		case transitions.Config:
			p.transitions = chosen
		case vmisknn.Config:
			p.knn = chosen
		default:
			return p, fmt.Errorf("tune: %s came back with parameters of type %T", result.Model, result.Params)
		}
	}
	return p, nil
}

// models are the fitted methods of a version.
type models struct {
	popularity  *popularity.Model
	transitions *transitions.Model
	knn         *vmisknn.Model
	seconds     map[string]float64 // of each fit, by name
}

// fitModels fits every method on the same sessions. Sessions of one click count for popularity only: nothing follows
// from them, and they would crowd the neighbours out of a session kNN.
func fitModels(ctx context.Context, p params, sessions *model.Sessions, v *model.Vocabulary, categories [][]string) (*models, error) {
	m := &models{seconds: map[string]float64{}}
	sequences := longerThanOne(sessions)
	for _, step := range []struct {
		name string
		fit  func() error
	}{
		{ModelPopularity, func() (err error) {
			m.popularity, err = popularity.Fit(p.popularity, sessions, v.Len(), categories)
			return err
		}},
		{ModelTransitions, func() (err error) {
			m.transitions, err = transitions.Fit(p.transitions, sequences, v.Len())
			return err
		}},
		{ModelSessionKNN, func() (err error) {
			m.knn, err = vmisknn.Fit(p.knn, sequences, v.Len())
			return err
		}},
	} {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		began := time.Now()
		if err := step.fit(); err != nil {
			return nil, fmt.Errorf("fit %s: %w", step.name, err)
		}
		m.seconds[step.name] = time.Since(began).Seconds()
	}
	return m, nil
}

// longerThanOne returns the sessions of two or more clicks.
func longerThanOne(sessions *model.Sessions) *model.Sessions {
	out := &model.Sessions{}
	for i := range sessions.Len() {
		if one := sessions.Session(i); len(one.Items) > 1 {
			out.Add(one)
		}
	}
	return out
}

// scorers lists the models by name.
func (m *models) scorers() map[string]model.Scorer {
	return map[string]model.Scorer{ModelPopularity: m.popularity, ModelTransitions: m.transitions, ModelSessionKNN: m.knn}
}

// artifacts lists what is stored, always in this order.
func (m *models) artifacts(v *model.Vocabulary) []registry.Artifact {
	return []registry.Artifact{
		{Name: vocabularyName, Model: v},
		{Name: ModelPopularity, Model: m.popularity},
		{Name: ModelTransitions, Model: m.transitions},
		{Name: ModelSessionKNN, Model: m.knn},
	}
}

// describe says in the manifest how each model was fitted and how it did.
func (m *models) describe(metrics map[string]map[string]registry.Metric) (map[string]registry.ModelInfo, error) {
	out := map[string]registry.ModelInfo{}
	for name, part := range map[string]struct {
		kind   string
		config any
	}{
		ModelPopularity:  {m.popularity.Kind(), m.popularity.Config()},
		ModelTransitions: {m.transitions.Kind(), m.transitions.Config()},
		ModelSessionKNN:  {m.knn.Kind(), m.knn.Config()},
	} {
		text, err := json.Marshal(part.config)
		if err != nil {
			return nil, fmt.Errorf("encode parameters of %s: %w", name, err)
		}
		out[name] = registry.ModelInfo{Kind: part.kind, Params: text, Metrics: metrics[name], FitSeconds: m.seconds[name]}
	}
	return out, nil
}

// champion is the version in force, as far as it can be used.
type champion struct {
	manifest registry.Manifest
	params   params
	bundle   *registry.Bundle // nil when a file is damaged
	damage   error
}

// champion loads the version in force; nil when there is none. A damaged one is no obstacle: training is the cure.
func (r *run) champion(ctx context.Context) (*champion, error) {
	manifest, ok, err := r.deps.Registry.Champion(ctx, r.cfg.Site)
	if errors.Is(err, registry.ErrCorrupt) || errors.Is(err, registry.ErrUnknownVersion) {
		return &champion{params: defaultParams(), damage: err}, nil
	}
	if err != nil || !ok {
		return nil, err
	}
	c := &champion{manifest: manifest, params: defaultParams()}
	if c.bundle, err = r.deps.Registry.Load(ctx, r.cfg.Site, manifest.Version); errors.Is(err, registry.ErrCorrupt) {
		c.damage = err
	} else if err != nil {
		return nil, err
	}
	if c.bundle != nil && c.bundle.Scorers[GatedModel] == nil {
		c.bundle, c.damage = nil, fmt.Errorf("version %s has no model %s", manifest.Version, GatedModel)
	}
	for name, target := range map[string]any{
		ModelPopularity: &c.params.popularity, ModelTransitions: &c.params.transitions, ModelSessionKNN: &c.params.knn,
	} {
		info, ok := manifest.Models[name]
		if !ok {
			continue // the version is older than the method
		}
		if err := json.Unmarshal(info.Params, target); err != nil {
			return nil, fmt.Errorf("read parameters of %s in version %s: %w", name, manifest.Version, err)
		}
	}
	return c, nil
}
