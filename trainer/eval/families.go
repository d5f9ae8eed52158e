package eval

import (
	"context"
	"fmt"
	"time"

	"github.com/millrace/millrace/internal/model"
	"github.com/millrace/millrace/internal/model/popularity"
	"github.com/millrace/millrace/internal/model/transitions"
	"github.com/millrace/millrace/internal/model/vmisknn"
)

// Names of the models that can be measured.
const (
	ModelPopularity  = popularity.Name
	ModelTransitions = transitions.Name
	ModelVMIS        = "vmisknn"
	ModelVSTAN       = "vstan"
)

// axisRepeats is the name of the repeat policy in a grid.
const axisRepeats = "repeats"

// Models lists the models that can be measured, the baseline first.
func Models() []string { return []string{ModelPopularity, ModelTransitions, ModelVMIS, ModelVSTAN} }

// tiny is a scale so small that only the nearest position counts.
const tiny = 1e-5

// The day is the unit of the half-lives below.
const day = 24 * time.Hour

// fitted is a model ready to be measured.
type fitted struct {
	scorer  model.Scorer
	params  any // its configuration
	repeats model.RepeatPolicy
	tuning  *Tuning // nil when the validation part was too small to choose even the repeat policy on
	seconds float64 // of the fit with these parameters, tuning not counted
}

// fitModel chooses the parameters of a model on the validation part, all of them if asked to and else only the repeat
// policy, and fits it on the training part.
func fitModel(ctx context.Context, name string, d *Dataset, c Config) (*fitted, error) {
	o := tuneOptions{trials: c.Trials, workers: c.Workers, depth: c.K[len(c.K)-1], seed: c.Seed}
	switch name {
	case ModelPopularity:
		return choose(ctx, d, c.Tune, o, popularitySpace(), func(p *popularity.Config) *model.RepeatPolicy { return &p.Repeats })
	case ModelTransitions:
		// Every trial fits anew, which costs as much as thousands of queries.
		o.trials = max(o.trials/transitionsShare, 1)
		return choose(ctx, d, c.Tune, o, transitionsSpace(), func(p *transitions.Config) *model.RepeatPolicy { return &p.Repeats })
	case ModelVMIS:
		return choose(ctx, d, c.Tune, o, vmisSpace(), func(p *vmisknn.Config) *model.RepeatPolicy { return &p.Repeats })
	case ModelVSTAN:
		return choose(ctx, d, c.Tune, o, vstanSpace(d.TuneTrain), func(p *vmisknn.Config) *model.RepeatPolicy { return &p.Repeats })
	default:
		return nil, usagef("model %q is not known", name)
	}
}

// transitionsShare is how many times fewer settings of transitions are tried.
const transitionsShare = 8

// family is a space whose fit still lacks the training sessions.
type family[C any] struct {
	space[C]
	prepare func(train *model.Sessions, numItems int) (func(C) (model.Scorer, error), error)
}

// choose settles the parameters: by search over the space, or the defaults with the repeat policy that the validation
// part asks for.
func choose[C any](ctx context.Context, d *Dataset, search bool, o tuneOptions, f family[C], repeats func(*C) *model.RepeatPolicy) (*fitted, error) {
	if search && d.Valid.Len() == 0 {
		return nil, fmt.Errorf("tune: the validation part is empty (split: %s)", d.Split)
	}
	chosen, tuning, err := f.settle(ctx, d, search, o, repeats)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	fit, err := f.prepare(d.Train, d.Vocabulary.Len())
	if err != nil {
		return nil, err
	}
	scorer, err := fit(chosen)
	if err != nil {
		return nil, fmt.Errorf("fit: %w", err)
	}
	return &fitted{
		scorer: scorer, params: chosen, repeats: *repeats(&chosen), tuning: tuning, seconds: time.Since(began).Seconds(),
	}, nil
}

// settle fits on TuneTrain and decides on Valid; neither holds anything of the test.
func (f family[C]) settle(ctx context.Context, d *Dataset, search bool, o tuneOptions, repeats func(*C) *model.RepeatPolicy) (C, *Tuning, error) {
	chosen := f.base
	if d.Valid.Len() == 0 {
		return chosen, nil, nil
	}
	fit, err := f.prepare(d.TuneTrain, d.Vocabulary.Len())
	if err != nil {
		return chosen, nil, err
	}
	standing, tuning, err := f.standStill(ctx, fit, d.Valid, o.depth, repeats)
	if err != nil || !search {
		return standing, tuning, err
	}
	f.fit = fit
	found, tuning, err := tune(ctx, &f.space, d.Valid, o)
	if err != nil {
		return chosen, nil, err
	}
	// A search of few trials may find less than the defaults already have; it must not cost anything.
	values := [2]float64{}
	for i, c := range []C{standing, found} {
		if values[i], err = f.value(ctx, c, newest(d.Valid, finalPredictions), o.depth); err != nil {
			return chosen, nil, err
		}
	}
	if values[0] > values[1] {
		found, tuning.Value = standing, values[0]
	}
	return found, tuning, nil
}

// value is the objective of one setting.
func (f family[C]) value(ctx context.Context, c C, sessions *model.Sessions, depth int) (float64, error) {
	scorer, err := f.fit(c)
	if err != nil {
		return 0, fmt.Errorf("tune: %w", err)
	}
	return reach(ctx, scorer, sessions, depth)
}

// standStill is the defaults with the repeat policy that the validation part asks for.
func (f family[C]) standStill(ctx context.Context, fit func(C) (model.Scorer, error), valid *model.Sessions, depth int, repeats func(*C) *model.RepeatPolicy) (C, *Tuning, error) {
	chosen := f.base
	policy := repeats(&chosen)
	present := *policy
	*policy = model.RepeatsAllowed
	scorer, err := fit(chosen)
	if err != nil {
		return chosen, nil, fmt.Errorf("choose repeat policy: fit: %w", err)
	}
	best, tuning, err := ChooseRepeats(ctx, scorer, present, valid, depth)
	*policy = best
	return chosen, tuning, err
}

func popularitySpace() family[popularity.Config] {
	type C = popularity.Config
	return family[C]{
		space: space[C]{base: popularity.Default(), axes: []axis[C]{
			over("half_life_ns", func(c *C) *time.Duration { return &c.HalfLife }, 0, time.Hour, day/4, day, 3*day, 7*day, 14*day, 30*day),
			over(axisRepeats, func(c *C) *model.RepeatPolicy { return &c.Repeats }, model.RepeatPolicies()...),
		}},
		prepare: func(train *model.Sessions, numItems int) (func(C) (model.Scorer, error), error) {
			return func(c C) (model.Scorer, error) { return popularity.Fit(c, train, numItems, nil) }, nil
		},
	}
}

func transitionsSpace() family[transitions.Config] {
	type C = transitions.Config
	return family[C]{
		space: space[C]{base: transitions.Default(), axes: []axis[C]{
			over("gap_decay", func(c *C) *float64 { return &c.GapDecay }, 0.4, 0.6, 0.8, 0.9),
			over("backward", func(c *C) *float64 { return &c.Backward }, 0, 0.25, 0.5, 1),
			over("history_decay", func(c *C) *float64 { return &c.HistoryDecay }, 0.2, 0.35, 0.5, 0.7, 0.85),
			over("half_life_ns", func(c *C) *time.Duration { return &c.HalfLife }, 0, 3*day, 7*day, 14*day, 30*day, 90*day),
			over(axisRepeats, func(c *C) *model.RepeatPolicy { return &c.Repeats }, model.RepeatPolicies()...),
		}},
		prepare: func(train *model.Sessions, numItems int) (func(C) (model.Scorer, error), error) {
			return func(c C) (model.Scorer, error) { return transitions.Fit(c, train, numItems) }, nil
		},
	}
}

func vmisSpace() family[vmisknn.Config] {
	type C = vmisknn.Config
	return family[C]{
		space: space[C]{base: vmisknn.Default(vmisknn.VMIS), axes: append(knnAxes(),
			over("decay", func(c *C) *vmisknn.Decay { return &c.Decay }, vmisknn.Decays()...),
		)},
		prepare: shareIndex,
	}
}

// vstanSpace scales the position weights by the mean session length, as their authors do.
func vstanSpace(train *model.Sessions) family[vmisknn.Config] {
	type C = vmisknn.Config
	length := float64(train.Events()) / float64(max(train.Len(), 1))
	scales := []float64{tiny, length / 8, length / 4, length / 2, length, 2 * length}
	return family[C]{
		space: space[C]{base: vmisknn.Default(vmisknn.VSTAN), axes: append(knnAxes(),
			over("spw", func(c *C) *float64 { return &c.SPW }, scales...),
			over("ipw", func(c *C) *float64 { return &c.IPW }, scales...),
			over("inh", func(c *C) *float64 { return &c.INH }, scales...),
			over("snh_days", func(c *C) *float64 { return &c.SNH }, 2.5, 5, 10, 20, 40, 80, 100),
		)},
		prepare: shareIndex,
	}
}

func knnAxes() []axis[vmisknn.Config] {
	type C = vmisknn.Config
	return []axis[C]{
		over("m", func(c *C) *int { return &c.M }, 100, 250, 500, 1000, 1500, 2500),
		over("k", func(c *C) *int { return &c.K }, 50, 100, 200, 500, 1000, 2000),
		over("last_items", func(c *C) *int { return &c.LastItems }, 1, 2, 3, 5, 10, 20),
		over("idf_weight", func(c *C) *float64 { return &c.IDFWeight }, 0, 0.5, 1, 2, 5, 10),
		over(axisRepeats, func(c *C) *model.RepeatPolicy { return &c.Repeats }, model.RepeatPolicies()...),
	}
}

// shareIndex builds one index for all settings.
func shareIndex(train *model.Sessions, numItems int) (func(vmisknn.Config) (model.Scorer, error), error) {
	index, err := vmisknn.BuildIndex(train, numItems)
	if err != nil {
		return nil, err
	}
	return func(c vmisknn.Config) (model.Scorer, error) { return vmisknn.New(c, index) }, nil
}
