// Package ease predicts each item from all others by one linear model in closed form: EASE (Steck, "Embarrassingly shallow
// autoencoders for sparse data", WWW 2019), with the regularisation by frequency of Steck, "Autoencoders that don't overfit towards
// the identity", NeurIPS 2020, and the freedom on the diagonal of Moon, Kim and Lee, "It's enough: relaxing diagonal constraints in
// linear autoencoders for recommendation", SIGIR 2023. It answers for visitors with a history, for similar items and for a cart.
//
// Catalogues that are too large for a matrix of all items take the neighbourhood form: each item is predicted from its nearest
// ones only, by the same formula over a system of their own (fsSLIM: Ning and Karypis, "SLIM: sparse linear methods for top-N
// recommender systems", ICDM 2011, in EASE's closed form).
package ease

import (
	"fmt"
	"math"

	"github.com/millrace/millrace/internal/model"
)

// Limits of a configuration; they bound the time and memory of a fit and of a query.
const (
	// LargestDense bounds MaxItems: at 32,000 items the matrix takes 4 GiB, and some five minutes on two processors.
	LargestDense = 32_000
	// LargestNeighbourhood bounds Candidates: a system of as many rows is solved for every item.
	LargestNeighbourhood = 1000
	// LargestQuery bounds LastItems: a query sums one row for each.
	LargestQuery = 10_000
	// VisitorItems is how many items of one visitor are counted, at most, spread evenly over theirs: all pairs of them are.
	VisitorItems = 5000
)

// Config says what is minimised, and how a visitor is answered. The zero value is not valid; start from Default.
//
// With X the interactions, each raised to WeightExponent and each visitor's divided by their length^VisitorExponent, and
// d(j) the square of item j's column of X, the weights B are those with a zero diagonal that minimise
//
//	|X - XB|^2  +  sum over i and j of L2 d(i)^L2Degree B(i,j)^2
type Config struct {
	// L2 holds the weights down.
	L2 float64 `json:"l2"`
	// L2Degree is how much more those of frequent items are held down: 0 all alike, as EASE has it; 1 in proportion, which is
	// what leaving out interactions at random does.
	L2Degree float64 `json:"l2_degree"`
	// VisitorExponent is how much less each item says of a visitor who has met many: 0 as much, 0.5 so that all visitors say
	// as much together as the root of their items, 1 so that all say the same.
	VisitorExponent float64 `json:"visitor_exponent"`
	// WeightExponent is the power of its weight that an interaction enters with: 0 counts all alike; with 0.5 one of weight 4
	// counts as four visitors who met the item.
	WeightExponent float64 `json:"weight_exponent"`
	// DiagonalExponent is 1 for EASE. With less, items that are hard to predict from the others are recommended more readily,
	// as if the zero diagonal were no longer asked for; at 0 nothing of it is left.
	DiagonalExponent float64 `json:"diagonal_exponent"`
	// MaxItems is how many items that somebody met may take part in the matrix of all. Where there are more, each item is
	// predicted from its neighbourhood.
	MaxItems int `json:"max_items"`
	// Candidates is how many items, those that go with it best, an item is predicted from in the neighbourhood form.
	Candidates int `json:"candidates"`
	// Neighbours bounds the weights kept of each item, those furthest from zero first; 0 keeps all.
	Neighbours int `json:"neighbours"`
	// LastItems is how many distinct items of the query, newest first, are looked up.
	LastItems int `json:"last_items"`
	// HistoryDecay is the weight that an item loses with each newer one in the query, in the session and before it.
	HistoryDecay float64 `json:"history_decay"`
	// Repeats says which items that the visitor has met may be recommended again.
	Repeats model.RepeatPolicy `json:"repeats"`
}

// Default returns the configuration that does well untuned. A linear model of what goes together says nothing of whether an
// item is wanted again, so what the visitor has met is left out.
func Default() Config {
	return Config{
		L2:               30,
		L2Degree:         0.5,
		VisitorExponent:  0.5,
		WeightExponent:   0.5,
		DiagonalExponent: 0.75,
		MaxItems:         15_000,
		Candidates:       200,
		Neighbours:       1000,
		LastItems:        300,
		HistoryDecay:     1,
		Repeats:          model.RepeatsUnseen,
	}
}

// Validate reports the first setting that makes no sense.
func (c Config) Validate() error {
	switch {
	case !(c.L2 > 0 && c.L2 <= math.MaxFloat32):
		return fmt.Errorf("EASE needs an L2 (%g) above 0: without it the weights are not determined", c.L2)
	case !share(c.L2Degree) || !share(c.VisitorExponent) || !share(c.WeightExponent) || !share(c.DiagonalExponent):
		return fmt.Errorf("EASE exponents of degrees (%g), visitors (%g), weights (%g) and the diagonal (%g) must be 0 to 1",
			c.L2Degree, c.VisitorExponent, c.WeightExponent, c.DiagonalExponent)
	case c.MaxItems < 0 || c.MaxItems > LargestDense:
		return fmt.Errorf("EASE max items %d must be 0 to %d", c.MaxItems, LargestDense)
	case c.Candidates < 1 || c.Candidates > LargestNeighbourhood:
		return fmt.Errorf("EASE candidates %d must be 1 to %d", c.Candidates, LargestNeighbourhood)
	case c.Neighbours < 0:
		return fmt.Errorf("EASE neighbours %d must be 0, for all, or more", c.Neighbours)
	case c.LastItems < 1 || c.LastItems > LargestQuery:
		return fmt.Errorf("EASE looks up %d last items, must be 1 to %d", c.LastItems, LargestQuery)
	case !(c.HistoryDecay > 0 && c.HistoryDecay <= 1):
		return fmt.Errorf("EASE history decay %g must be above 0 and at most 1", c.HistoryDecay)
	case !c.Repeats.Valid():
		return fmt.Errorf("EASE repeat policy %q is unknown", c.Repeats)
	}
	return nil
}

func share(x float64) bool { return x >= 0 && x <= 1 }
