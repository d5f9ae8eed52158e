// Package transitions recommends the items that follow and precede the recent items: decayed item-to-item transitions
// within a few steps of a session, normalised by how often either item takes part in any. It answers for the next item
// of a session, for similar items and for a cart.
package transitions

import (
	"fmt"
	"time"

	"github.com/millrace/millrace/internal/model"
)

// Config says how pairs are weighed. The zero value is not valid; start from Default.
type Config struct {
	// Window is how many steps apart two items of a session may be and still count as a pair.
	Window int `json:"window"`
	// GapDecay is the weight lost with each further step: a pair g steps apart weighs GapDecay^(g-1).
	GapDecay float64 `json:"gap_decay"`
	// Backward is the weight of the pair in the other direction, relative to the forward one.
	Backward float64 `json:"backward"`
	// HalfLife is the age at which a pair counts half; 0 counts all alike.
	HalfLife time.Duration `json:"half_life_ns"`
	// HistoryDecay is the weight lost with each step back in the query.
	HistoryDecay float64 `json:"history_decay"`
	// LastItems is how many distinct items of the query, newest first, are looked up.
	LastItems int `json:"last_items"`
	// Neighbours bounds the pairs kept of each item, strongest first.
	Neighbours int `json:"neighbours"`
	// Repeats says which items of the session may be recommended again.
	Repeats model.RepeatPolicy `json:"repeats"`
}

// Default returns the configuration that does well untuned on shop sessions.
func Default() Config {
	return Config{
		Window:       10,
		GapDecay:     0.8,
		Backward:     0.5,
		HalfLife:     30 * 24 * time.Hour,
		HistoryDecay: 0.7,
		LastItems:    20,
		Neighbours:   500,
		Repeats:      model.RepeatsNotCurrent,
	}
}

// Validate reports the first setting that makes no sense.
func (c Config) Validate() error {
	switch {
	case c.Window < 1 || c.LastItems < 1 || c.Neighbours < 1:
		return fmt.Errorf("transitions need window (%d), last items (%d) and neighbours (%d) of 1 or more",
			c.Window, c.LastItems, c.Neighbours)
	case !(c.GapDecay > 0 && c.GapDecay <= 1) || !(c.HistoryDecay > 0 && c.HistoryDecay <= 1):
		return fmt.Errorf("transitions decays %g and %g must be above 0 and at most 1", c.GapDecay, c.HistoryDecay)
	case !(c.Backward >= 0 && c.Backward <= 1):
		return fmt.Errorf("transitions backward weight %g must be 0 to 1", c.Backward)
	case c.HalfLife < 0:
		return fmt.Errorf("transitions half-life %s is negative", c.HalfLife)
	case !c.Repeats.Valid():
		return fmt.Errorf("transitions repeat policy %q is unknown", c.Repeats)
	}
	return nil
}
