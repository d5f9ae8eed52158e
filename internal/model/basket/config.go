// Package basket recommends what is bought together. Of every pair of items it counts the baskets that hold both, keeps the pairs
// that come up more often than chance explains, and scores them by how much the one says for the other.
//
// Chance is judged by the log-likelihood ratio G2 of Dunning, "Accurate Methods for the Statistics of Surprise and Coincidence"
// (Computational Linguistics 19, 1993), which holds for rare items, where a normal approximation calls every coincidence a
// discovery.
package basket

import (
	"fmt"
	"time"

	"github.com/millrace/millrace/internal/model"
)

// Config says how pairs are judged and weighed. The zero value is not valid; start from Default.
type Config struct {
	// MinTogether is in how many baskets a pair must come up.
	MinTogether int `json:"min_together"`
	// Significance is the G2 that a pair must reach: 3.84 is p < 0.05, 10.83 p < 0.001, for one pair.
	Significance float64 `json:"significance"`
	// Evidence damps pairs of which little is known: a pair with this G2 counts half. 0 counts them all in full.
	Evidence float64 `json:"evidence"`
	// Lift says how far the popularity of the item that is recommended is taken out: 0 scores by the share of the baskets with the
	// one item that hold the other, 1 by how many times more that is than its share of all baskets.
	Lift float64 `json:"lift"`
	// LargeBasket says how much less a pair of a large basket counts than one of a small: one of n items counts (n-1)^-LargeBasket.
	LargeBasket float64 `json:"large_basket"`
	// HalfLife is the age at which a basket counts half; 0 counts all alike. Chance is judged by whole baskets.
	HalfLife time.Duration `json:"half_life_ns"`
	// MaxBasket bounds the distinct items of a basket that are paired, the first ones. Pairs grow with its square.
	MaxBasket int `json:"max_basket"`
	// HistoryDecay is the weight lost with each step back in a query that is no set.
	HistoryDecay float64 `json:"history_decay"`
	// LastItems is how many distinct items of the query, newest first, are looked up.
	LastItems int `json:"last_items"`
	// Neighbours bounds the pairs kept of each item, strongest first.
	Neighbours int `json:"neighbours"`
	// Repeats says which items of the session may be recommended again.
	Repeats model.RepeatPolicy `json:"repeats"`
}

// Default returns the configuration that does well untuned on orders of shops.
func Default() Config {
	return Config{
		MinTogether: 2, Significance: 10.83, Evidence: 100, Lift: 0.3, LargeBasket: 1, HalfLife: 180 * 24 * time.Hour,
		MaxBasket: 200, HistoryDecay: 0.9, LastItems: 50, Neighbours: 300, Repeats: model.RepeatsNone,
	}
}

// Validate reports the first setting that makes no sense.
func (c Config) Validate() error {
	switch {
	case c.MinTogether < 1 || c.MaxBasket < 2 || c.LastItems < 1 || c.Neighbours < 1:
		return fmt.Errorf("baskets need min together (%d), last items (%d) and neighbours (%d) of 1 or more, and baskets (%d) of 2 or more",
			c.MinTogether, c.LastItems, c.Neighbours, c.MaxBasket)
	case !(c.Significance >= 0 && c.Evidence >= 0):
		return fmt.Errorf("basket significance %g and evidence %g must be 0 or more", c.Significance, c.Evidence)
	case !(c.Lift >= 0 && c.Lift <= 1) || !(c.LargeBasket >= 0 && c.LargeBasket <= 1):
		return fmt.Errorf("basket lift %g and large basket %g must be 0 to 1", c.Lift, c.LargeBasket)
	case c.HalfLife < 0:
		return fmt.Errorf("basket half-life %s is negative", c.HalfLife)
	case !(c.HistoryDecay > 0 && c.HistoryDecay <= 1):
		return fmt.Errorf("basket decay %g must be above 0 and at most 1", c.HistoryDecay)
	case !c.Repeats.Valid():
		return fmt.Errorf("basket repeat policy %q is unknown", c.Repeats)
	}
	return nil
}
