// Package eval measures recommenders offline: full ranking over all items, every prediction counted, intervals by
// bootstrap. It asks models through the same Scorer.Score that serving calls. `millrace evaluate` runs it on a file, the
// trainer's gate on the newest part of its training data.
package eval

import (
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/millrace/millrace/internal/history"
)

// ProtocolNextItem reveals a test session one event at a time and asks for the next one.
const ProtocolNextItem = "next-item"

// Limits of a run.
const (
	// MaxK bounds the length of the measured lists: no page shows more, and metrics beyond it are never published.
	MaxK = 1000
	// DefaultTrials is how many settings of a model are tried on a sample of the validation part.
	DefaultTrials = 320
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
	// Data is the path of a CSV or JSONL file, plain or gzip, or of a Parquet file.
	Data string
	// Protocol is how predictions are made; ProtocolNextItem by default.
	Protocol string
	// Mapping names the columns of session_id, item_id and occurred_at. Columns with these or usual names are found
	// without it.
	Mapping history.Mapping
	// TimeUnit is the unit of a numeric time column.
	TimeUnit history.Unit
	// SplitColumn names the column that says train, valid or test; a column named split is used by itself, unless
	// Holdout asks for another split.
	SplitColumn string
	// Holdout is the share of the newest sessions that is the test; 0 takes the last day.
	Holdout float64
	// Models are the models to measure, all of Models by default.
	Models []string
	// K are the list lengths to measure at; 20 by default.
	K []int
	// Tune chooses the parameters on the validation part; otherwise the defaults are measured, with the repeat policy
	// that does best there.
	Tune bool
	// Trials is how many settings of a model Tune tries; DefaultTrials by default.
	Trials int
	// Seed drives the search and the bootstrap.
	Seed uint64
	// IncludeUnseen counts test items that are not in the training part, as misses; otherwise they stay out.
	IncludeUnseen bool
	// Site is the shop whose data is measured; files hold one shop, so it only matters to the report.
	Site string
	// Workers is how many settings are tried at the same time; one a CPU by default.
	Workers int
}

// withDefaults returns the configuration with defaults in place of zero values, or a *UsageError.
func (c Config) withDefaults() (Config, error) {
	if c.Protocol == "" {
		c.Protocol = ProtocolNextItem
	}
	if len(c.Models) == 0 {
		c.Models = Models()
	}
	if len(c.K) == 0 {
		c.K = []int{20}
	}
	if c.Trials == 0 {
		c.Trials = DefaultTrials
	}
	if c.Workers == 0 {
		c.Workers = runtime.GOMAXPROCS(0)
	}
	c.K = slices.Compact(slices.Sorted(slices.Values(c.K)))
	return c, c.check()
}

func (c Config) check() error {
	switch c.Protocol {
	case ProtocolNextItem:
	case "leave-last", "temporal", "random-holdout", "strong-generalization":
		return usagef("protocol %s is not available yet; available: %s", c.Protocol, ProtocolNextItem)
	default:
		return usagef("protocol %q is not known; available: %s", c.Protocol, ProtocolNextItem)
	}
	for _, name := range c.Models {
		if !slices.Contains(Models(), name) {
			return usagef("model %q is not known; available: %s", name, strings.Join(Models(), ", "))
		}
	}
	switch {
	case c.K[0] < 1 || c.K[len(c.K)-1] > MaxK:
		return usagef("k must be 1 to %d, not %v", MaxK, c.K)
	case !(c.Holdout >= 0 && c.Holdout < 1):
		return usagef("holdout %g must be at least 0 and below 1", c.Holdout)
	case c.Holdout > 0 && c.SplitColumn != "":
		return usagef("split column %q and holdout %g exclude each other: give one", c.SplitColumn, c.Holdout)
	case c.Trials < 1 || c.Workers < 1:
		return usagef("trials (%d) and workers (%d) must be 1 or more", c.Trials, c.Workers)
	}
	return nil
}
