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
	prepare func(train *Part) (fit func(C) (model.Scorer, error), err error)
	// repeats is the repeat policy of a configuration.
	repeats func(*C) *model.RepeatPolicy
}

// choose settles the parameters: by search over the space, or the defaults with the repeat policy that the validation
// part asks for. Then it fits.
func (f family[C]) choose(ctx context.Context, d *Dataset, search bool, o tuneOptions) (*fitted, error) {
	if search && d.Valid.Len() == 0 {
		return nil, fmt.Errorf("tune: the validation part is empty (split: %s)", d.Split)
	}
	chosen, tuning, err := f.settle(ctx, d, search, o)
	if err != nil {
		return nil, err
	}
	fit := func(train *Part) (model.Scorer, error) {
		fit, err := f.prepare(train)
		if err != nil {
			return nil, fmt.Errorf("fit: %w", err)
		}
		scorer, err := fit(chosen)
		if err != nil {
			return nil, fmt.Errorf("fit: %w", err)
		}
		return scorer, nil
	}
	began := time.Now()
	scorer, err := fit(d.Train)
	if err != nil {
		return nil, err
	}
	return &fitted{
		scorer: scorer, fit: fit, params: chosen, repeats: *f.repeats(&chosen), tuning: tuning, seconds: time.Since(began).Seconds(),
	}, nil
}

// settle fits on TuneTrain and decides on Valid; neither holds anything of the test.
func (f family[C]) settle(ctx context.Context, d *Dataset, search bool, o tuneOptions) (C, *Tuning, error) {
	chosen := f.base
	if d.Valid.Len() == 0 {
		return chosen, nil, nil
	}
	fit, err := f.prepare(d.TuneTrain)
	if err != nil {
		return chosen, nil, err
	}
	f.fit = fit
	standing, tuning, err := f.standStill(ctx, d.Valid, o.depth)
	if err != nil || !search {
		return standing, tuning, err
	}
	found, tuning, err := tune(ctx, &f.space, d.Valid, o)
	if err != nil {
		return chosen, nil, err
	}
	// A search of few trials may find less than the defaults already have; it must not cost anything.
	values := [2]float64{}
	for i, c := range []C{standing, found} {
		if values[i], err = f.value(ctx, c, d.Valid.newest(finalPredictions), o.depth); err != nil {
			return chosen, nil, err
		}
	}
	if values[0] > values[1] {
		found, tuning.Value = standing, values[0]
	}
	return found, tuning, nil
}

// value is the objective of one setting.
func (f family[C]) value(ctx context.Context, c C, test *Test, depth int) (float64, error) {
	scorer, err := f.fit(c)
	if err != nil {
		return 0, fmt.Errorf("tune: %w", err)
	}
	return reach(ctx, scorer, test, depth)
}

// standStill is the defaults with the repeat policy that the validation part asks for.
func (f family[C]) standStill(ctx context.Context, valid *Test, depth int) (C, *Tuning, error) {
	chosen := f.base
	policy := f.repeats(&chosen)
	present := *policy
	*policy = model.RepeatsAllowed
	scorer, err := f.fit(chosen)
	if err != nil {
		return chosen, nil, fmt.Errorf("choose repeat policy: fit: %w", err)
	}
	best, tuning, err := ChooseRepeats(ctx, scorer, present, valid, depth)
	*policy = best
	return chosen, tuning, err
}
