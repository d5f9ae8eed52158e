package eval

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/internal/model"
)

// How the search spends its trials: random search by successive halving (Jamieson and Talwalkar, "Non-stochastic best arm
// identification and hyperparameter optimization", 2016). A bracket of settings is measured on a small sample of the validation
// part, the best third of it on one three times as large, and so on to the whole. The first bracket is drawn at random over the
// whole grid, and the ones after it close to the best so far.
const (
	firstShare      = 0.5 // of the trials that are drawn over the whole grid
	bracketTrials   = 27  // of a bracket close to the best
	elite           = 6   // settings that a bracket is drawn around
	halving         = 3   // how many times fewer settings see the next larger sample
	leastSurvivors  = 4   // that reach the largest sample, however small the bracket
	smallestSample  = 1000
	largestSample   = 20_000
	maxTimedTrials  = 100_000 // of a search that ends by time
	bracketsTimeout = 3       // brackets without a new setting before a search by time gives up
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
	until   time.Time // when a search by time ends, instead of after its trials; zero for none
	workers int
	depth   int // list length that the objective looks at
	seed    uint64
	journal *Journal
	scope   string // tells the trials of one search apart from those of others in a journal
}

// trial is one measured setting.
type trial struct {
	at    point
	value float64
	rung  int // of the largest sample that it was measured on
}

// tune searches a space and returns the best configuration on the validation part. The same input and seed choose
// the same one, whatever the number of workers, unless the time is what ends the search.
func tune[C any](ctx context.Context, s *space[C], valid *Test, o tuneOptions) (C, *Tuning, error) {
	if !o.until.IsZero() {
		o.trials = maxTimedTrials
	}
	rng := rand.New(rand.NewPCG(o.seed, 1))
	search := &searcher[C]{space: s, options: o, rng: rng, tried: map[string]bool{}, samples: samplesOf(valid, rng)}
	if err := search.explore(ctx); err != nil {
		return s.base, nil, err
	}
	best := search.best(1)[0]
	report := &Tuning{
		Objective: valid.Objective(o.depth).Name, Examples: search.samples[best.rung].Len(), Trials: len(search.done),
		Value: best.value, Grid: s.grid(),
	}
	return s.at(best.at), report, nil
}

// samplesOf are the samples of successive halving, the largest last.
func samplesOf(valid *Test, rng *rand.Rand) []*Test {
	var out []*Test
	for n := smallestSample; ; n *= halving {
		n = min(n, largestSample)
		sample := valid.sample(n, rng)
		if len(out) == 0 || sample.Len() > out[len(out)-1].Len() {
			out = append(out, sample)
		}
		if n == largestSample || sample.Len() == valid.Len() {
			return out
		}
	}
}

type searcher[C any] struct {
	space   *space[C]
	options tuneOptions
	rng     *rand.Rand
	samples []*Test
	tried   map[string]bool
	done    []trial
}

// explore spends the trials: every point of a small grid, else random points and then brackets near the best.
func (s *searcher[C]) explore(ctx context.Context) error {
	if size := s.space.size(); size <= s.options.trials && s.options.until.IsZero() {
		var all []trial
		for n := range size {
			all = append(all, trial{at: s.space.nth(n)})
		}
		return s.bracket(ctx, all)
	}
	first := max(int(firstShare*float64(s.options.trials)), 1)
	if !s.options.until.IsZero() {
		first = 2 * bracketTrials
	}
	if err := s.bracket(ctx, s.draw(first, s.space.random)); err != nil {
		return err
	}
	for idle := 0; len(s.done) < s.options.trials && idle < bracketsTimeout && !s.timeIsUp(); {
		parents := s.best(elite)
		batch := s.draw(min(bracketTrials, s.options.trials-len(s.done)), func(rng *rand.Rand) point {
			return s.space.near(parents[rng.IntN(len(parents))].at, rng)
		})
		if idle++; len(batch) > 0 {
			idle = 0
		}
		if err := s.bracket(ctx, batch); err != nil {
			return err
		}
	}
	return nil
}

func (s *searcher[C]) timeIsUp() bool {
	return !s.options.until.IsZero() && !time.Now().Before(s.options.until)
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

// bracket measures settings by successive halving. When the time is up, the best so far goes on alone, and what was not measured at all
// does not count as tried.
func (s *searcher[C]) bracket(ctx context.Context, batch []trial) error {
	alive := batch
	for rung := range s.samples {
		n, err := s.measure(ctx, alive, rung)
		if err != nil {
			return err
		}
		if alive = alive[:n]; rung == 0 {
			batch = alive
		}
		sortTrials(alive)
		alive = alive[:min(len(alive), max((len(alive)+halving-1)/halving, leastSurvivors))]
	}
	s.done = append(s.done, batch...)
	sortTrials(s.done)
	return nil
}

// best returns the n best trials so far.
func (s *searcher[C]) best(n int) []trial { return slices.Clone(s.done[:min(n, len(s.done))]) }

// measure fills in the values of a batch on the sample of a rung, some settings at a time, and returns how many it came to: all, or
// the first few when the time is up, but one at least.
func (s *searcher[C]) measure(ctx context.Context, batch []trial, rung int) (n int, err error) {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(s.options.workers)
	for i := range batch {
		if i > 0 && s.timeIsUp() {
			break
		}
		n++
		group.Go(func() error {
			value, err := s.options.journal.remember(s.options.scope, s.space.words(batch[i].at), rung, func() (float64, error) {
				scorer, err := s.space.fit(ctx, s.space.at(batch[i].at))
				if err != nil {
					return 0, fmt.Errorf("tune: %w", err)
				}
				return reach(ctx, scorer, s.samples[rung], s.options.depth)
			})
			batch[i].value, batch[i].rung = value, rung
			return err
		})
	}
	return n, group.Wait()
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

// sortTrials puts the best first: who came further, and of those who reached more. Equal values keep the order of the grid, so
// that the choice does not hang on chance.
func sortTrials(trials []trial) {
	slices.SortStableFunc(trials, func(a, b trial) int {
		return cmp.Or(cmp.Compare(b.rung, a.rung), cmp.Compare(b.value, a.value), slices.Compare(a.at, b.at))
	})
}
