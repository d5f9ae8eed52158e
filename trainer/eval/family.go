package eval

import (
	"context"
	"fmt"
	"time"

	"github.com/millrace/millrace/internal/model"
)

// axisRepeats is the name of the repeat policy in a grid.
const axisRepeats = "repeats"

// family is a space whose fit still lacks the training part.
type family[C any] struct {
	space[C]
	// prepare does once what the fits of all settings share, such as an index.
	prepare func(train *Part) (fit fitting[C], err error)
	// share is how many times fewer settings are tried than of a family whose trials only ask; 0 means 1.
	share int
	// cheap says that a fit costs next to nothing: its few settings are searched whether asked for or not.
	cheap bool
	// wide says that one fit takes all processors, and much memory: settings are tried one after the other.
	wide bool
	// repeats is the repeat policy of a configuration.
	repeats func(*C) *model.RepeatPolicy
}

// choose settles the parameters: by search over the space, or the defaults with the repeat policy that the validation
// part asks for. Then it fits.
func (f family[C]) choose(ctx context.Context, d *Dataset, o tuneOptions) (*fitted, error) {
	if o.search && d.Valid.Len() == 0 {
		return nil, fmt.Errorf("tune: the validation part is empty (split: %s)", d.Split)
	}
	out, chosen, err := f.settle(ctx, d, o)
	if err != nil {
		return nil, err
	}
	out.params, out.repeats = chosen, *f.repeats(&chosen)
	out.fit = func(ctx context.Context, train *Part) (model.Scorer, error) {
		fit, err := f.prepare(train)
		if err != nil {
			return nil, fmt.Errorf("fit: %w", err)
		}
		scorer, err := fit(ctx, chosen)
		if err != nil {
			return nil, fmt.Errorf("fit: %w", err)
		}
		return scorer, nil
	}
	if out.rehearsed == nil {
		out.rehearsed = func(ctx context.Context) (model.Scorer, error) { return out.fit(ctx, d.TuneTrain) }
	}
	began := time.Now()
	if out.scorer, err = out.fit(ctx, d.Train); err != nil {
		return nil, err
	}
	out.seconds = time.Since(began).Seconds()
	return out, nil
}

// settle fits on TuneTrain and decides on Valid; neither holds anything of the test.
func (f family[C]) settle(ctx context.Context, d *Dataset, o tuneOptions) (*fitted, C, error) {
	if d.Valid.Len() == 0 {
		return &fitted{}, f.base, nil
	}
	fit, err := f.prepare(d.TuneTrain)
	if err != nil {
		return nil, f.base, err
	}
	f.fit = fit
	out, standing, err := f.standStill(ctx, d.Valid, o.depth)
	if err != nil {
		return nil, standing, err
	}
	if f.cheap && d.Valid.Len() >= MinPredictions {
		o.trials = max(o.trials, f.size())
	} else if !o.search {
		return out, standing, nil
	}
	if f.wide {
		o.workers = 1
	}
	found, tuning, err := tune(ctx, &f.space, d.Valid, o)
	if err != nil {
		return nil, f.base, err
	}
	// A search of few trials may find less than the defaults already have; it must not cost anything.
	values := [2]float64{}
	for i, c := range []C{standing, found} {
		if values[i], err = f.value(ctx, c, d.Valid.Newest(largestSample), o.depth); err != nil {
			return nil, f.base, err
		}
	}
	if values[0] > values[1] {
		tuning.Value = values[0]
		return &fitted{tuning: tuning, rehearsed: out.rehearsed}, standing, nil
	}
	return &fitted{tuning: tuning, rehearsed: func(ctx context.Context) (model.Scorer, error) { return fit(ctx, found) }}, found, nil
}

// value is the objective of one setting.
func (f family[C]) value(ctx context.Context, c C, test *Test, depth int) (float64, error) {
	scorer, err := f.fit(ctx, c)
	if err != nil {
		return 0, fmt.Errorf("tune: %w", err)
	}
	return reach(ctx, scorer, test, depth)
}

// standStill is the defaults with the repeat policy that the validation part asks for.
func (f family[C]) standStill(ctx context.Context, valid *Test, depth int) (*fitted, C, error) {
	chosen := f.base
	policy := f.repeats(&chosen)
	present := *policy
	*policy = model.RepeatsAllowed
	scorer, err := f.fit(ctx, chosen)
	if err != nil {
		return nil, chosen, fmt.Errorf("choose repeat policy: fit: %w", err)
	}
	best, tuning, err := ChooseRepeats(ctx, scorer, present, valid, depth)
	*policy = best
	rehearsed := func(context.Context) (model.Scorer, error) { return filtered{scorer, best}, nil }
	return &fitted{tuning: tuning, rehearsed: rehearsed}, chosen, err
}
