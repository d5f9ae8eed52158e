package eval

import "github.com/millrace/millrace/internal/model"

// Coverage is the share of all items that were among the first k of any list. It belongs to the whole test and not to
// one prediction, so it has no interval.
type Coverage struct {
	Name  string
	k     int
	shown []bool
	count int
}

// NewCoverage counts over a vocabulary of numItems.
func NewCoverage(k, numItems int) *Coverage {
	return &Coverage{Name: at("coverage", k), k: k, shown: make([]bool, numItems)}
}

// Add counts one list.
func (c *Coverage) Add(list []model.Scored) {
	for _, s := range list[:min(c.k, len(list))] {
		if !c.shown[s.Item] {
			c.shown[s.Item] = true
			c.count++
		}
	}
}

// Value returns the share so far.
func (c *Coverage) Value() float64 {
	if len(c.shown) == 0 {
		return 0
	}
	return float64(c.count) / float64(len(c.shown))
}
