// Package popularity ranks items by decayed clicks, overall, per category and per segment of visitors, and by trend, overall and
// per category: recent clicks over the usual ones. It is the last rung before a static list, and the baseline that every other method has to beat.
package popularity

import (
	"fmt"
	"time"

	"github.com/millrace/millrace/internal/model"
)

// Config says how clicks age. The zero value is not valid; start from Default.
type Config struct {
	// HalfLife is the age at which a click counts half for popularity; 0 counts all clicks alike.
	HalfLife time.Duration `json:"half_life_ns"`
	// TrendFast and TrendSlow are the half-lives of the two averages that a trend compares; fast is the shorter.
	TrendFast time.Duration `json:"trend_fast_ns"`
	TrendSlow time.Duration `json:"trend_slow_ns"`
	// TrendPrior is the number of decayed clicks that are added to what was expected, so that three clicks on an
	// unknown item are no trend.
	TrendPrior float64 `json:"trend_prior"`
	// PerCategory bounds the list that is kept of each category.
	PerCategory int `json:"per_category"`
	// SegmentPrior is how many clicks of a segment the taste of everybody counts for in its ranking, so that a segment of few is
	// not ranked by chance; 0 ranks no segments.
	SegmentPrior float64 `json:"segment_prior"`
	// Repeats says which items of the session may be recommended again.
	Repeats model.RepeatPolicy `json:"repeats"`
}

// Default returns a configuration for a shop with some weeks of history.
func Default() Config {
	return Config{
		HalfLife:    7 * 24 * time.Hour,
		TrendFast:   24 * time.Hour,
		TrendSlow:   14 * 24 * time.Hour,
		TrendPrior:  5,
		PerCategory: 200, SegmentPrior: 1000,
		Repeats: model.RepeatsNotCurrent,
	}
}

// Validate reports the first setting that makes no sense.
func (c Config) Validate() error {
	switch {
	case c.HalfLife < 0:
		return fmt.Errorf("popularity half-life %s is negative", c.HalfLife)
	case c.TrendFast <= 0 || c.TrendSlow <= c.TrendFast:
		return fmt.Errorf("popularity trend needs 0 < fast (%s) < slow (%s)", c.TrendFast, c.TrendSlow)
	case !(c.TrendPrior > 0):
		return fmt.Errorf("popularity trend prior %g is not positive", c.TrendPrior)
	case c.PerCategory <= 0:
		return fmt.Errorf("popularity list of %d items per category", c.PerCategory)
	case !(c.SegmentPrior >= 0):
		return fmt.Errorf("popularity segment prior %g is negative", c.SegmentPrior)
	case !c.Repeats.Valid():
		return fmt.Errorf("popularity repeat policy %q is unknown", c.Repeats)
	}
	return nil
}
