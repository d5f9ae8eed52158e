// Package eval measures recommenders offline: full ranking over all items, every prediction counted, intervals by
// bootstrap. It asks models through the same Scorer.Score that serving calls. `millrace evaluate` runs it on a file, the
// trainer's gate on the newest part of its training data.
package eval

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/history"
)

// Limits of a run.
const (
	// MaxK bounds the length of the measured lists: no page shows more, and metrics beyond it are never published.
	MaxK = 1000
	// DefaultTrials is how many settings of a model are tried on a sample of the validation part.
	DefaultTrials = 320
	// MaxSeeds bounds how often a split is drawn: the mean of more moves less than its interval.
	MaxSeeds = 100
)

// UsageError is a request that can never work as it stands: the caller should say what to change and exit with 2.
type UsageError struct{ Message string }

// Error implements error.
func (e *UsageError) Error() string { return e.Message }

func usagef(format string, args ...any) error {
	return &UsageError{Message: fmt.Sprintf(format, args...)}
}

// Config is one run of `millrace evaluate`. Data is required; the zero value of every other field means its default.
type Config struct {
	// Data is the path of a CSV or JSONL file, plain or gzip, or of a Parquet file; or "lake", which Source reads.
	Data string
	// Source reads what has landed of the site; nil where no lake is at hand.
	Source func(ctx context.Context) (*Log, error)
	// Items is the path of a catalogue file, in the same formats; none by default.
	Items string
	// Protocol is how predictions are made; ProtocolNextItem by default.
	Protocol string
	// Mapping names the columns of event fields. Columns with their or usual names are found without it.
	Mapping history.Mapping
	// TimeUnit is the unit of a numeric time column.
	TimeUnit history.Unit
	// Weights say what an event counts for by its type, as the file calls it; 0 leaves a type out. Others count 1, and what
	// was only shown or taken back nothing.
	Weights map[string]float64
	// MinRating leaves out events that are rated lower; nil takes all.
	MinRating *float64
	// SplitColumn names the column that says train, valid or test, for ProtocolNextItem; there a column named split is used
	// by itself, unless Holdout asks for another split.
	SplitColumn string
	// Holdout is the share that is the test: of the newest sessions, of the newest events, of each visitor's items or of the
	// visitors, as the protocol has it; 0 takes the protocol's default.
	Holdout float64
	// TestFrom is when the test of ProtocolTemporal begins; zero takes the newest events.
	TestFrom time.Time
	// Seeds is how many times a split that is drawn by chance is drawn, with Seed and the numbers after it; 3 by default.
	Seeds int
	// Models are the models to measure, all of Models by default.
	Models []string
	// Baseline is the one of Models that the others are compared with; none by default.
	Baseline string
	// K are the list lengths to measure at; those of the protocol by default.
	K []int
	// Tune chooses the parameters on the validation part; otherwise the defaults are measured, with the repeat policy
	// that does best there.
	Tune bool
	// Trials is how many settings of a model Tune tries; DefaultTrials by default.
	Trials int
	// TuneFor ends the search by time instead, shared by the models alike; 0 for no.
	TuneFor time.Duration
	// Journal remembers the trials of a search that may be stopped; nil remembers nothing.
	Journal *Journal
	// Seed drives the split, the search and the bootstrap.
	Seed uint64
	// IncludeUnseen counts test items that are not in the training part; otherwise they stay out. Those of the catalogue may
	// be recommended, all others are misses.
	IncludeUnseen bool
	// Site is the shop whose data is measured; files hold one shop, so it only matters to the report.
	Site string
	// Workers is how many settings are tried at the same time; one a CPU by default.
	Workers int
}

// depth is the length of the lists.
func (c Config) depth() int { return c.K[len(c.K)-1] }

// withDefaults returns the configuration with defaults in place of zero values, or a *UsageError.
func (c Config) withDefaults() (Config, error) {
	if c.Protocol == "" {
		c.Protocol = ProtocolNextItem
	}
	p, err := protocolOf(c.Protocol)
	if err != nil {
		return c, err
	}
	if len(c.Models) == 0 {
		c.Models = Models()
	}
	if len(c.K) == 0 {
		c.K = p.ks
	}
	if c.Trials == 0 {
		c.Trials = DefaultTrials
	}
	if c.Workers == 0 {
		c.Workers = runtime.GOMAXPROCS(0)
	}
	if c.Seeds == 0 {
		c.Seeds = 1
		if p.draws {
			c.Seeds = defaultDraws
		}
	}
	c.K = slices.Compact(slices.Sorted(slices.Values(c.K)))
	if err := c.checkProtocol(p); err != nil {
		return c, err
	}
	return c, c.check()
}

// checkProtocol refuses what a protocol has no use for: who gives it expects something else than will happen.
func (c Config) checkProtocol(p protocol) error {
	switch {
	case c.SplitColumn != "" && p.name != ProtocolNextItem:
		return usagef("protocol %s makes its own split: leave the split column out, or use protocol %s", p.name, ProtocolNextItem)
	case c.Holdout > 0 && p.name == ProtocolLeaveLast:
		return usagef("protocol %s holds out one event of each visitor: leave the holdout out", p.name)
	case !c.TestFrom.IsZero() && p.name != ProtocolTemporal:
		return usagef("protocol %s has no time at which the test begins: leave it out, or use protocol %s", p.name, ProtocolTemporal)
	case c.Seeds != 1 && !p.draws:
		return usagef("protocol %s draws nothing by chance, so that more seeds give the same: leave the seeds out", p.name)
	case c.Seeds < 1 || c.Seeds > MaxSeeds:
		return usagef("seeds must be 1 to %d, not %d", MaxSeeds, c.Seeds)
	}
	return nil
}

func (c Config) check() error {
	for _, name := range c.Models {
		if !slices.Contains(Models(), name) {
			return usagef("model %q is not known; available: %s", name, strings.Join(Models(), ", "))
		}
	}
	if c.Baseline != "" && !slices.Contains(c.Models, c.Baseline) {
		return usagef("baseline %q is not among the models that are measured: %s", c.Baseline, strings.Join(c.Models, ", "))
	}
	switch {
	case c.K[0] < 1 || c.K[len(c.K)-1] > MaxK:
		return usagef("k must be 1 to %d, not %v", MaxK, c.K)
	case !(c.Holdout >= 0 && c.Holdout < 1):
		return usagef("holdout %g must be at least 0 and below 1", c.Holdout)
	case c.Holdout > 0 && c.SplitColumn != "":
		return usagef("split column %q and holdout %g exclude each other: give one", c.SplitColumn, c.Holdout)
	case c.TuneFor < 0:
		return usagef("a search of %s is no search", c.TuneFor)
	case c.Holdout > 0 && !c.TestFrom.IsZero():
		return usagef("holdout %g and the time at which the test begins exclude each other: give one", c.Holdout)
	case c.Trials < 1 || c.Workers < 1:
		return usagef("trials (%d) and workers (%d) must be 1 or more", c.Trials, c.Workers)
	}
	return nil
}
