// Package ials factors the matrix of who met what: implicit alternating least squares (Hu, Koren and Volinsky, "Collaborative
// filtering for implicit feedback datasets", ICDM 2008) with the regularisation by frequency and the ranges of Rendle,
// Krichene, Zhang and Koren, "Revisiting the performance of iALS on item recommendation benchmarks", RecSys 2022. The rows are
// solved by conjugate gradients from where they stood (Takács, Pilászy and Tikk, "Applications of the conjugate gradient method
// for implicit feedback collaborative filtering", RecSys 2011), so that no row ever makes its matrix.
//
// The model keeps the factors of the items only. Whoever asks is folded in from the items of the query, so somebody who has
// just come, and whoever has just clicked, is answered like everybody else.
package ials

import (
	"fmt"
	"math"

	"github.com/millrace/millrace/internal/linalg"
	"github.com/millrace/millrace/internal/model"
)

// Limits of a configuration; they bound the time and memory of a fit and of a query.
const (
	// MaxDimensions bounds Dimensions: a query solves a system of that many equations, and the time for it grows with the cube.
	MaxDimensions = 512
	// MaxIterations bounds Iterations; the loss stands still long before.
	MaxIterations = 1000
	// MaxLastItems bounds LastItems: each item costs a query one update of its system.
	MaxLastItems = 10_000
)

// Config says what is minimised, and how a visitor is folded in. The zero value is not valid; start from Default.
//
// With x the factors of a row (a visitor), y those of an item, w what an interaction counts for and N the numbers of both, the loss is
//
//	  sum over interactions    w (1 - x·y)^2
//	+ sum over all pairs       Unobserved (x·y)^2
//	+ sum over rows            Regularization (sum of w of the row + Unobserved N items)^Frequency |x|^2
//	+ sum over items           Regularization (sum of w of the item + Unobserved N rows)^Frequency |y|^2
type Config struct {
	// Dimensions is the length of a factor, a multiple of linalg.Lanes.
	Dimensions int `json:"dimensions"`
	// Iterations is how often both sides are solved.
	Iterations int `json:"iterations"`
	// Unobserved is the weight of a pair that did not meet, beside that of an interaction.
	Unobserved float64 `json:"unobserved"`
	// Regularization is the weight of the factors' size.
	Regularization float64 `json:"regularization"`
	// Frequency is how much more the factors of the frequent are held down: 1 in proportion, 0 all alike.
	Frequency float64 `json:"frequency"`
	// Steps is how many steps of the conjugate gradients a row takes in an iteration.
	Steps int `json:"steps"`
	// Seed chooses the factors that the fit begins with.
	Seed uint64 `json:"seed"`
	// HistoryDecay is the weight that an item loses with each newer one in the query, in the session and before it.
	HistoryDecay float64 `json:"history_decay"`
	// LastItems is how many distinct items of the query, newest first, are folded in.
	LastItems int `json:"last_items"`
	// Repeats says which items that the visitor has met may be recommended again.
	Repeats model.RepeatPolicy `json:"repeats"`
}

const (
	// defaultRidge is what Default holds a visitor of defaultMet interactions down by. One value did best, or nearly so, on
	// catalogues of two to fifty thousand items; the published settings for such of forty thousand come to the same.
	defaultRidge, defaultMet = 8, 50
	// largeCatalogue is from how many items on pairs that did not meet are to say less: there are so many of them, and a
	// visitor cannot have seen most.
	largeCatalogue = 5000
)

// Default returns settings that do well untuned on a catalogue of so many items. What a visitor has met is what the factors
// explain best and would fill the list, so it is left out.
//
// To search around them: Unobserved from 0.02 to 1 and Regularization from 0.001 to 0.1 (both by factors), Dimensions up to 256.
func Default(numItems int) Config {
	c := Config{
		Dimensions:   64,
		Iterations:   16,
		Unobserved:   0.2,
		Frequency:    1,
		Steps:        3,
		Seed:         1,
		HistoryDecay: 1,
		LastItems:    1000,
		Repeats:      model.RepeatsUnseen,
	}
	if numItems >= largeCatalogue {
		c.Unobserved = 0.1
	}
	c.Regularization = defaultRidge / (defaultMet + c.Unobserved*float64(numItems))
	return c
}

// Validate reports the first setting that makes no sense.
func (c Config) Validate() error {
	switch {
	case c.Dimensions < linalg.Lanes || c.Dimensions > MaxDimensions || c.Dimensions%linalg.Lanes != 0:
		return fmt.Errorf("iALS has %d dimensions, must be a multiple of %d up to %d", c.Dimensions, linalg.Lanes, MaxDimensions)
	case c.Iterations < 1 || c.Iterations > MaxIterations:
		return fmt.Errorf("iALS takes %d iterations, must be 1 to %d", c.Iterations, MaxIterations)
	case c.Steps < 1 || c.Steps > c.Dimensions:
		return fmt.Errorf("iALS takes %d steps a row, must be 1 to its %d dimensions", c.Steps, c.Dimensions)
	case !positive(c.Unobserved) || !positive(c.Regularization):
		return fmt.Errorf("iALS weighs unobserved pairs %g and regularization %g, both must be above 0", c.Unobserved, c.Regularization)
	case !(c.Frequency >= 0 && c.Frequency <= 2):
		return fmt.Errorf("iALS frequency exponent %g must be 0 to 2", c.Frequency)
	case !(c.HistoryDecay > 0 && c.HistoryDecay <= 1):
		return fmt.Errorf("iALS history decay %g must be above 0 and at most 1", c.HistoryDecay)
	case c.LastItems < 1 || c.LastItems > MaxLastItems:
		return fmt.Errorf("iALS folds in %d last items, must be 1 to %d", c.LastItems, MaxLastItems)
	case !c.Repeats.Valid():
		return fmt.Errorf("iALS repeat policy %q is unknown", c.Repeats)
	}
	return nil
}

func positive(x float64) bool { return x > 0 && x <= math.MaxFloat32 }

// ridge is what holds a factor down whose interactions count for so much together, beside others of the other side.
func (c Config) ridge(weight float64, others int) float64 {
	return c.Regularization * math.Pow(weight+c.Unobserved*float64(others), c.Frequency)
}
