package serving

import (
	"cmp"
	"slices"
)

// seenFactor demotes what the visitor has seen in a list that should show something new.
const seenFactor = 0.5

// contribution is what one source adds to a candidate's score.
type contribution struct {
	family  string
	rung    rung
	score   float64 // weighted and normalised
	because string
	about   string
}

// candidate is an item with everything that speaks for it, the strongest contribution first.
type candidate struct {
	id      string
	score   float64
	parts   []contribution
	dropped string // why it is not shown, "" where it is or was not looked at
}

// rank joins the proposals of several sources into one list, best first. Scores of different families do not compare,
// so each source is brought to 1 for its best item and counts by its weight. Items for which demote is true count less.
func rank(sources []source, demote func(id string) bool) []*candidate {
	total := 0
	for i := range sources {
		total += len(sources[i].items)
	}
	byID := make(map[string]*candidate, total)
	list := make([]*candidate, 0, total)
	for i := range sources {
		s := &sources[i]
		if len(s.items) == 0 {
			continue
		}
		best := s.items[0].score
		if !(best > 0) {
			best = 1
		}
		for _, p := range s.items {
			c := byID[p.id]
			if c == nil {
				c = &candidate{id: p.id}
				byID[p.id] = c
				list = append(list, c)
			}
			c.add(contribution{family: s.family, rung: s.rung, score: s.weight * p.score / best, because: p.because, about: p.about})
		}
	}
	for _, c := range list {
		if demote != nil && demote(c.id) {
			c.score *= seenFactor
		}
		slices.SortStableFunc(c.parts, func(a, b contribution) int { return cmp.Compare(b.score, a.score) })
	}
	slices.SortFunc(list, func(a, b *candidate) int {
		return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.id, b.id))
	})
	return list
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
