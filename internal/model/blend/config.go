// Package blend joins the lists of several families into one: each family's list is brought to a common scale and counts by
// a weight that depends on how much is known of the visitor. The weights are fitted on sessions that came after those which
// the families were fitted on (Fit): linear combination of experts by coordinate ascent on the ranking metric itself, after
// Metzler and Croft, "Linear feature-based models for information retrieval" (2007).
package blend

import (
	"fmt"
	"slices"

	"github.com/millrace/millrace/internal/model"
)

const (
	// Name is the name under which the model answers queries.
	Name = "blend"

	// MaxMembers bounds the families of a blend: what each adds to an item is kept beside the item.
	MaxMembers = 10

	// MaxDepth bounds the candidates that are asked of a family.
	MaxDepth = 1000
)

// Scale says how a family's scores, which compare with nobody else's, become comparable.
type Scale string

// The scales.
const (
	// ScaleTop divides by the score of the list's first item.
	ScaleTop Scale = "top"
	// ScaleRank forgets the scores: the item at a place of 0, 1, ... is worth 1/(1 + place/RankScale).
	ScaleRank Scale = "rank"
)

// Config is a fitted blend. Its members are named: whoever loads it hands them in.
type Config struct {
	// Members are the families by name, at most MaxMembers.
	Members []string `json:"members"`
	// Depth is how many candidates each family brings at least.
	Depth int `json:"depth"`
	// Scale makes the lists comparable.
	Scale Scale `json:"scale"`
	// RankScale is the place at which an item is worth half, of ScaleRank only.
	RankScale float64 `json:"rank_scale,omitempty"`
	// Contexts hold the weights. A query takes those of the first context that it fits; the last one fits every query.
	Contexts []Context `json:"contexts"`
}

// Context is a kind of query, and what each member counts in it. The zero value of a condition fits every query.
type Context struct {
	// MinItems and MaxItems bound the items of the running session; a MaxItems of 0 is no bound.
	MinItems int `json:"min_items,omitempty"`
	MaxItems int `json:"max_items,omitempty"`
	// History is HistoryNone or HistorySome.
	History History `json:"history,omitempty"`
	// Segment is the visitor's.
	Segment string `json:"segment,omitempty"`
	// Weights are by member, not negative, the largest 1.
	Weights []float32 `json:"weights"`
	// Examples is how many queries the weights were fitted on.
	Examples int `json:"examples"`
}

// History is a condition on what is known of the visitor from before the running session.
type History string

// The conditions.
const (
	HistoryNone History = "none"
	HistorySome History = "some"
)

// fits reports whether a query is of this kind.
func (c *Context) fits(q *model.Query) bool {
	switch {
	case len(q.Items) < c.MinItems, c.MaxItems > 0 && len(q.Items) > c.MaxItems:
		return false
	case c.History == HistoryNone && len(q.History) > 0, c.History == HistorySome && len(q.History) == 0:
		return false
	}
	return c.Segment == "" || c.Segment == q.Segment
}

// everything reports whether the context fits every query.
func (c *Context) everything() bool {
	return c.MinItems <= 0 && c.MaxItems == 0 && c.History == "" && c.Segment == ""
}

// Validate reports the first setting that makes no sense.
func (c Config) Validate() error {
	switch {
	case len(c.Members) == 0 || len(c.Members) > MaxMembers:
		return fmt.Errorf("blend of %d families, must be 1 to %d", len(c.Members), MaxMembers)
	case c.Depth < 1 || c.Depth > MaxDepth:
		return fmt.Errorf("blend depth %d must be 1 to %d", c.Depth, MaxDepth)
	case c.Scale != ScaleTop && c.Scale != ScaleRank:
		return fmt.Errorf("blend scale %q is unknown", c.Scale)
	case c.Scale == ScaleRank && !(c.RankScale > 0):
		return fmt.Errorf("blend rank scale %g is not positive", c.RankScale)
	case len(c.Contexts) == 0 || !c.Contexts[len(c.Contexts)-1].everything():
		return fmt.Errorf("blend of %d contexts, the last of which must fit every query", len(c.Contexts))
	}
	for i, name := range c.Members {
		if name == "" || slices.Contains(c.Members[:i], name) {
			return fmt.Errorf("blend names the family %q twice, or not at all", name)
		}
	}
	for i, context := range c.Contexts {
		if err := context.validate(len(c.Members)); err != nil {
			return fmt.Errorf("blend context %d: %w", i, err)
		}
	}
	return nil
}

func (c *Context) validate(members int) error {
	if len(c.Weights) != members {
		return fmt.Errorf("%d weights of %d families", len(c.Weights), members)
	}
	if c.History != "" && c.History != HistoryNone && c.History != HistorySome {
		return fmt.Errorf("history %q is unknown", c.History)
	}
	most := float32(0)
	for _, w := range c.Weights {
		if !(w >= 0 && w <= 1) {
			return fmt.Errorf("weight %g is not between 0 and 1", w)
		}
		most = max(most, w)
	}
	if most == 0 {
		return fmt.Errorf("all weights are 0")
	}
	return nil
}
