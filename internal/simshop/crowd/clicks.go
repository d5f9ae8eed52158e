package crowd

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// positionBias is the chance that somebody looks at a position, which counts from 0.
func positionBias(position int) float64 { return 1 / math.Log2(float64(position+2)) }

// Chance is the chance that a shopper clicks on an item that it looks at when lists are asked for.
func (c *Crowd) Chance(s *Shopper, item int) float64 {
	rules := c.Truth.Clicks
	u := s.liking[item] + s.interests[len(s.interests)-1][c.Items[item].Category] + rules.Offset
	if c.Items[item].Category == s.focus {
		u += rules.FocusUtility
	}
	switch {
	case s.bought[item]:
		u += rules.BoughtUtility
	case s.viewed[item]:
		u += rules.SeenUtility
	}
	return rules.Noise + (1-rules.Noise)*sigmoid(u)
}

// Clicks are the expected clicks of a shopper on a list, position by position.
func (c *Crowd) Clicks(s *Shopper, list []string) ([]float64, error) {
	chances := make([]float64, len(list))
	for position, id := range list {
		i, ok := c.index[id]
		if !ok {
			return nil, fmt.Errorf("the list of %s names %q, which the shop does not have", s.ID, id)
		}
		chances[position] = positionBias(position) * c.Chance(s, i)
	}
	return chances, nil
}

// Best is the list that brings most clicks among all that may be shown: what is available, and one item of a group.
func (c *Crowd) Best(s *Shopper) []string {
	order, chance := make([]int, len(c.Items)), make([]float64, len(c.Items))
	for i := range order {
		order[i], chance[i] = i, c.Chance(s, i)
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(chance[b], chance[a]) })
	var list []string
	groups := map[string]bool{}
	for _, i := range order {
		it := &c.Items[i]
		if !it.Available || it.Group != "" && groups[it.Group] {
			continue
		}
		groups[it.Group] = true
		if list = append(list, it.ID); len(list) == c.Truth.Clicks.ListLength {
			break
		}
	}
	return list
}
