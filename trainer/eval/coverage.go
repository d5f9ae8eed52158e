package eval

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

// Observe implements Observer: it counts one list.
func (c *Coverage) Observe(_ int, _ *Case, p Prediction) {
	for _, s := range p.List[:min(c.k, len(p.List))] {
		if s.Item >= 0 && !c.shown[s.Item] {
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
