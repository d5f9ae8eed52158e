package eval

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/millrace/millrace/internal/model"
	"github.com/millrace/millrace/internal/model/basket"
	"github.com/millrace/millrace/internal/model/content"
	"github.com/millrace/millrace/internal/model/ease"
	"github.com/millrace/millrace/internal/model/ials"
	"github.com/millrace/millrace/internal/model/popularity"
	"github.com/millrace/millrace/internal/model/transitions"
)

// Names of the models that can be measured.
const (
	ModelPopularity  = popularity.Name
	ModelTransitions = transitions.Name
	ModelVMIS        = "vmisknn"
	ModelVSTAN       = "vstan"
	ModelEASE        = ease.Name
	ModelIALS        = ials.Name
	ModelBasket      = basket.Name
	ModelContent     = content.Name
)

// families lists the models that can be measured, the baseline first. A model is one entry: its name and its family, which
// names the settings and fits them. A
// family is made of the part that trials are fitted on, so that a grid may follow the data, and of the models that were
// settled before it in the same run, so that it may be made of them.
func families() []entry {
	return []entry{
		define(ModelPopularity, popularitySpace),
		define(ModelTransitions, transitionsSpace),
		define(ModelVMIS, vmisSpace),
		define(ModelVSTAN, vstanSpace),
		define(ModelEASE, easeSpace),
		define(ModelIALS, ialsSpace),
		define(ModelBasket, basketSpace),
		define(ModelContent, contentSpace),
		{name: ModelBlend, choose: chooseBlend}, // of those before it
	}
}

// Models lists the names of the models that can be measured, the baseline first.
func Models() []string {
	var names []string
	for _, f := range families() {
		names = append(names, f.name)
	}
	return names
}

// entry is a family whatever the type of its configuration.
type entry struct {
	name string
	// choose settles the parameters on the validation part, all of them if a search is asked for and else only the repeat policy,
	// and fits them on the training part.
	choose func(ctx context.Context, d *Dataset, earlier settled, o tuneOptions) (*fitted, error)
}

func define[C any](name string, open func(train *Part, earlier settled) family[C]) entry {
	return entry{name: name, choose: func(ctx context.Context, d *Dataset, earlier settled, o tuneOptions) (*fitted, error) {
		f := open(d.TuneTrain, earlier)
		o.trials = max(o.trials/max(f.share, 1), 1)
		if o.base != nil {
			if err := json.Unmarshal(o.base, &f.base); err != nil {
				return nil, fmt.Errorf("read the parameters to begin with: %w", err)
			}
		}
		if o.journal != nil {
			base, err := json.Marshal(f.base)
			if err != nil {
				return nil, fmt.Errorf("encode the parameters to begin with: %w", err)
			}
			o.scope = fmt.Sprintf("%s %s %d %d %s", name, digestOf(d.TuneTrain, d.Valid), o.depth, o.seed, base)
		}
		return f.choose(ctx, d, o)
	}}
}

// fitted is a model ready to be measured.
type fitted struct {
	scorer model.Scorer
	fit    func(ctx context.Context, train *Part) (model.Scorer, error) // fits the same parameters on another part
	// rehearsed is the model as fitted on TuneTrain, for what is made of its answers on the validation part.
	rehearsed func(ctx context.Context) (model.Scorer, error)
	params    any // its configuration
	repeats   model.RepeatPolicy
	tuning    *Tuning // nil when the validation part was too small to choose even the repeat policy on
	seconds   float64 // of the fit with these parameters, tuning not counted
}

// settled are the models of a run whose parameters are chosen, by name.
type settled map[string]*fitted

// fitModel chooses the parameters of a model and fits it. base are parameters to begin with; nil for the defaults.
func fitModel(ctx context.Context, name string, d *Dataset, earlier settled, c Config, base json.RawMessage) (*fitted, error) {
	o := tuneOptions{search: c.Tune, base: base, trials: c.Trials, workers: c.Workers, depth: c.K[len(c.K)-1], seed: c.Seed, journal: c.Journal}
	if c.TuneFor > 0 {
		o.until = time.Now().Add(c.TuneFor / time.Duration(len(c.Models)))
	}
	for _, f := range families() {
		if f.name == name {
			return f.choose(ctx, d, earlier, o)
		}
	}
	return nil, usagef("model %q is not known", name)
}
