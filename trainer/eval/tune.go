package eval

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/internal/model"
)

// How the search spends its trials. Half of them are drawn at random over the whole grid, the rest in rounds close to
// the best so far: successive narrowing. All of these see a sample of the validation part; the finalists see all of it.
const (
	roundTrials = 32 // trials of a narrowing round
	elite       = 6  // settings that a round narrows around
	finalists   = 12 // settings that are measured on the whole validation part
	// samplePredictions bounds the predictions of a trial. At 3,000 the standard error of a hit rate is below 0.01,
	// far less than the grid's spread.
	samplePredictions = 3000
	// finalPredictions bounds the predictions of a finalist.
	finalPredictions = 20_000
)

// Tuning reports how the parameters of its grid were chosen; all others are the defaults.
type Tuning struct {
	Objective string           `json:"objective"`
	Examples  int              `json:"examples"` // validation predictions that the choice rests on
	Trials    int              `json:"trials"`
	Value     float64          `json:"value"` // of the chosen setting on them
	Grid      map[string][]any `json:"grid"`
}

// tuneOptions bound a search.
type tuneOptions struct {
	search  bool            // for all parameters; otherwise only the repeat policy is chosen
	base    json.RawMessage // parameters to begin with; nil for the defaults
	trials  int
	workers int
	depth   int // list length that the objective looks at
	seed    uint64
}

// trial is one measured setting.
type trial struct {
	at    point
	value float64
}

// tune searches a space and returns the best configuration on the validation part. The same input and seed choose
// the same one, whatever the number of workers.
func tune[C any](ctx context.Context, s *space[C], valid *Test, o tuneOptions) (C, *Tuning, error) {
	rng := rand.New(rand.NewPCG(o.seed, 1))
	search := &searcher[C]{space: s, options: o, rng: rng, tried: map[string]bool{}}
	sample := valid.sample(samplePredictions, rng)
	if err := search.explore(ctx, sample); err != nil {
		return s.base, nil, err
	}
	final := valid.sample(finalPredictions, rng)
	best := search.best(finalists)
	if final.Len() > sample.Len() {
		if err := search.measure(ctx, best, final); err != nil {
			return s.base, nil, err
		}
		sortTrials(best)
	}
	report := &Tuning{
		Objective: valid.Objective(o.depth).Name, Examples: final.Len(), Trials: len(search.done),
		Value: best[0].value, Grid: s.grid(),
	}
	return s.at(best[0].at), report, nil
}

type searcher[C any] struct {
	space   *space[C]
	options tuneOptions
	rng     *rand.Rand
	tried   map[string]bool
	done    []trial
}

// explore spends the trials: every point of a small grid, else random points and then rounds near the best.
func (s *searcher[C]) explore(ctx context.Context, sample *Test) error {
	if size := s.space.size(); size <= s.options.trials {
		var all []trial
		for n := range size {
			all = append(all, trial{at: s.space.nth(n)})
		}
		return s.round(ctx, all, sample)
	}
	first := max(s.options.trials/2, 1)
	if err := s.round(ctx, s.draw(first, s.space.random), sample); err != nil {
		return err
	}
	for len(s.done) < s.options.trials {
		parents := s.best(elite)
		batch := s.draw(min(roundTrials, s.options.trials-len(s.done)), func(rng *rand.Rand) point {
			return s.space.near(parents[rng.IntN(len(parents))].at, rng)
		})
		if len(batch) == 0 {
			return nil // everything near the best was tried
		}
		if err := s.round(ctx, batch, sample); err != nil {
			return err
		}
	}
	return nil
}

// draw returns up to n points that were not tried yet.
func (s *searcher[C]) draw(n int, next func(*rand.Rand) point) []trial {
	const attemptsPerPoint = 20
	var out []trial
	for range n * attemptsPerPoint {
		if len(out) == n {
			break
		}
		if p := next(s.rng); !s.tried[p.key()] {
			s.tried[p.key()] = true
			out = append(out, trial{at: p})
		}
	}
	return out
}

func (s *searcher[C]) round(ctx context.Context, batch []trial, sample *Test) error {
	if err := s.measure(ctx, batch, sample); err != nil {
		return err
	}
	s.done = append(s.done, batch...)
	sortTrials(s.done)
	return nil
}

// best returns the n best trials so far.
func (s *searcher[C]) best(n int) []trial { return slices.Clone(s.done[:min(n, len(s.done))]) }

// measure fills in the values of a batch, some settings at a time.
func (s *searcher[C]) measure(ctx context.Context, batch []trial, test *Test) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(s.options.workers)
	for i := range batch {
		group.Go(func() error {
			scorer, err := s.space.fit(ctx, s.space.at(batch[i].at))
			if err != nil {
				return fmt.Errorf("tune: %w", err)
			}
			value, err := reach(ctx, scorer, test, s.options.depth)
			if err != nil {
				return err
			}
			batch[i].value = value
			return nil
		})
	}
	return group.Wait()
}

// reach is the value of the objective that a scorer reaches.
func reach(ctx context.Context, scorer model.Scorer, test *Test, depth int) (float64, error) {
	metric := test.Objective(depth)
	outcome, err := Measure(ctx, scorer, test, depth, []Metric{metric})
	if err != nil {
		return 0, err
	}
	value, ok := outcome.Value(metric.Name)
	if !ok {
		return 0, errors.New("tune: the objective was not measured")
	}
	return value, nil
}

// sortTrials puts the best first; equal values keep the order of the grid, so that the choice does not hang on chance.
func sortTrials(trials []trial) {
	slices.SortStableFunc(trials, func(a, b trial) int {
		if a.value != b.value {
			return cmp.Compare(b.value, a.value)
		}
		return slices.Compare(a.at, b.at)
	})
}
