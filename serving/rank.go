package serving

import (
	"cmp"
	"slices"
)

// seenFactor demotes what the visitor has seen in a list that should show something new. It is gentle: in a small shop
// the category that a visitor looks through must not sink because most of it has been seen.
const seenFactor = 0.75

// contribution is what one source adds to a candidate's score.
type contribution struct {
	family string
	origin string  // as in proposal
	score  float64 // weighted and normalised
	rung   rung
}

// candidate is an item with everything that speaks for it.
type candidate struct {
	id      string
	score   float64
	parts   []contribution
	dropped string          // why it is not shown, "" where it is or was not looked at
	first   [4]contribution // where parts begin: few items have more sources
}

// rank joins the proposals of several sources into one list, best first. Scores of different families do not compare,
// so each source is brought to 1 for its best item, or its scale, and counts by its weight. What was seen counts less.
func rank(sources []source, seen map[string]bool) []*candidate {
	total := 0
	for i := range sources {
		total += len(sources[i].items)
	}
	byID := make(map[string]*candidate, total)
	list := make([]*candidate, 0, total)
	storage := make([]candidate, total) // one allocation for all of them
	for i := range sources {
		s := &sources[i]
		if len(s.items) == 0 {
			continue
		}
		best := cmp.Or(s.scale, s.items[0].score)
		if !(best > 0) {
			best = 1
		}
		for _, p := range s.items {
			c := byID[p.id]
			if c == nil {
				c = &storage[len(list)]
				c.id, c.parts = p.id, c.first[:0]
				byID[p.id] = c
				list = append(list, c)
			}
			c.add(contribution{family: s.family, origin: p.origin, score: s.weight * p.score / best, rung: s.rung})
		}
	}
	for _, c := range list {
		if seen[c.id] {
			c.score *= seenFactor
		}
	}
	slices.SortFunc(list, func(a, b *candidate) int {
		return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.id, b.id))
	})
	return list
}

// strongestFirst orders what speaks for the candidate.
func (c *candidate) strongestFirst() {
	slices.SortStableFunc(c.parts, func(a, b contribution) int { return cmp.Compare(b.score, a.score) })
}

// add counts a contribution; a family speaks once for an item, with its best word: an item of two loved categories is
// not loved twice.
func (c *candidate) add(part contribution) {
	for i := range c.parts {
		if c.parts[i].family != part.family {
			continue
		}
		if part.score > c.parts[i].score {
			c.score += part.score - c.parts[i].score
			c.parts[i] = part
		}
		return
	}
	c.score += part.score
	c.parts = append(c.parts, part)
}
