package eval

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/millrace/millrace/internal/model"
)

// ChooseOptions say how the parameters of models are chosen.
type ChooseOptions struct {
	// Base are parameters to begin with instead of the defaults, by model, as JSON; what they do not name stays at the default.
	Base map[string]json.RawMessage
	// Tune searches all parameters; otherwise only the repeat policy is chosen, and the weights of the blend.
	Tune   bool
	Trials int // DefaultTrials by default
	// TuneFor ends the search by time instead; 0 for no.
	TuneFor time.Duration
	// Journal remembers the trials of a search that may be stopped; nil remembers nothing.
	Journal *Journal
	Seed    uint64
	Depth   int // length of the lists that the objective looks at
	// Progress is called before each model; nil for none.
	Progress func(name string)
}

// Chosen is a model whose parameters are settled on the validation part.
type Chosen struct {
	Name    string
	Params  any                // its configuration
	Repeats model.RepeatPolicy // "" of a blend, whose members each have their own
	Tuning  *Tuning            // nil where the validation part was too small to choose anything on
	Scorer  model.Scorer       // fitted on the training part
	Seconds float64            // of that fit

	fitted *fitted
}

// Fit fits the chosen parameters on another part.
func (c *Chosen) Fit(ctx context.Context, train *Part) (model.Scorer, error) {
	return c.fitted.fit(ctx, train)
}

// Choose settles the parameters of models on the validation part of a dataset and fits them on the training part, in order: a
// blend is made of those before it.
func Choose(ctx context.Context, d *Dataset, names []string, o ChooseOptions) ([]*Chosen, error) {
	c, err := Config{Models: names, K: []int{o.Depth}, Tune: o.Tune, Trials: o.Trials, TuneFor: o.TuneFor, Journal: o.Journal, Seed: o.Seed}.withDefaults()
	if err != nil {
		return nil, err
	}
	models := settled{}
	var out []*Chosen
	for _, name := range names {
		if o.Progress != nil {
			o.Progress(name)
		}
		f, err := fitModel(ctx, name, d, models, c, o.Base[name])
		if err != nil {
			return nil, fmt.Errorf("choose parameters of %s: %w", name, err)
		}
		models[name] = f
		out = append(out, &Chosen{Name: name, Params: f.params, Repeats: f.repeats, Tuning: f.tuning, Scorer: f.scorer, Seconds: f.seconds, fitted: f})
	}
	return out, nil
}
