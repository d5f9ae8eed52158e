package serving

import (
	"cmp"
	"slices"
)

// seenFactor demotes what the visitor has seen in a list that should show something new. It is gentle, because having looked at an item
// is also the best sign of liking it (docs/shoppers.md), and because in a small shop the category that a visitor looks through must not
// sink for having been seen.
const seenFactor = 0.85

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
	parts   []contribution // strongest first; of candidates that are told of only
	dropped string         // why it is not shown, "" where it is or was not looked at
	told    bool           // the answer or its record tells of it

	settled float64 // by the families that have spoken
	family  int     // that speaks, and 1
	word    float64 // the best that it has said
}

// ranking joins the proposals of sources into one list, best first, one stage after the other. An item belongs to the first stage
// that brings it. Nearly all candidates are looked at for their score alone: what speaks for one is put together for those that
// are told of, and the order is found as far as it is asked for.
type ranking struct {
	ids    idTable      // of all candidates, by number
	all    []*candidate // by number
	first  int          // the number of the first candidate of the stage
	heap   []*candidate // of the stage, those that next has not returned
	spoken []bool       // of the stage's sources
	memory arena[candidate]
	parts  arena[contribution]
}

func (r *ranking) reset() {
	r.ids.reset()
	clear(r.all)
	clear(r.heap[:cap(r.heap)])
	r.all, r.heap, r.first = r.all[:0], r.heap[:0], 0
	r.memory.reset()
	r.parts.reset()
}

// join begins a stage with the proposals of its sources. Scores of different families do not compare, so each source is brought to
// 1 for its best item, or its scale, and counts by its weight. A family speaks once for an item, with its best word: an item of two
// loved categories is not loved twice. What was seen counts less.
func (r *ranking) join(sources []source, seen *idTable) {
	r.first = len(r.all)
	r.spoken = append(r.spoken[:0], make([]bool, len(sources))...)
	for i := range sources {
		for j := i; j < len(sources); j++ { // all sources of a family, one after the other
			if !r.spoken[j] && sources[j].family == sources[i].family {
				r.spoken[j] = true
				r.speak(&sources[j], i+1)
			}
		}
	}
	r.heap = append(r.heap[:0], r.all[r.first:]...)
	for _, c := range r.heap {
		c.score = c.settled + c.word
		if seen.has(c.id) {
			c.score *= seenFactor
		}
	}
	r.order()
}

// order makes a heap of the stage's candidates.
func (r *ranking) order() {
	for i := len(r.heap)/2 - 1; i >= 0; i-- {
		r.sink(i)
	}
}

// speak counts what one source says.
func (r *ranking) speak(s *source, family int) {
	gain := s.gain()
	for i := range s.items {
		p := &s.items[i]
		number, added := r.ids.put(p.id)
		p.number = number
		if added {
			c := r.memory.one()
			c.id = p.id
			r.all = append(r.all, c)
		}
		if int(number) < r.first {
			continue // an earlier stage brought it
		}
		c := r.all[number]
		if c.family != family {
			c.settled, c.word, c.family = c.settled+c.word, 0, family
		}
		c.word = max(c.word, gain*p.score)
	}
}

// gain is what a proposal's score counts.
func (s *source) gain() float64 {
	if len(s.items) == 0 {
		return 0
	}
	best := cmp.Or(s.scale, s.items[0].score)
	if !(best > 0) {
		best = 1
	}
	return s.weight / best
}

// next returns the best candidate that is left of the stage, nil when there is none.
func (r *ranking) next() *candidate {
	last := len(r.heap) - 1
	if last < 0 {
		return nil
	}
	best := r.heap[0]
	r.heap[0] = r.heap[last]
	r.heap = r.heap[:last]
	r.sink(0)
	return best
}

// sink restores the heap below a place.
func (r *ranking) sink(i int) {
	for {
		child := 2*i + 1
		if child >= len(r.heap) {
			return
		}
		if right := child + 1; right < len(r.heap) && better(r.heap[right], r.heap[child]) < 0 {
			child = right
		}
		if better(r.heap[child], r.heap[i]) > 0 {
			return
		}
		r.heap[i], r.heap[child] = r.heap[child], r.heap[i]
		i = child
	}
}

// better orders candidates: by score, ties by id.
func better(a, b *candidate) int {
	return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.id, b.id))
}

// attribute puts together what speaks for the candidates of the stage that are told of.
func (r *ranking) attribute(sources []source) {
	for i := range sources {
		s := &sources[i]
		gain := s.gain()
		for _, p := range s.items {
			c := r.all[p.number]
			if !c.told || int(p.number) < r.first {
				continue
			}
			if c.parts == nil {
				c.parts = r.parts.take(min(len(sources), 4))
			}
			c.add(contribution{family: s.family, origin: p.origin, score: gain * p.score, rung: s.rung})
		}
	}
	for _, c := range r.all[r.first:] {
		if c.told {
			slices.SortStableFunc(c.parts, func(a, b contribution) int { return cmp.Compare(b.score, a.score) })
		}
	}
}

// add counts a contribution.
func (c *candidate) add(part contribution) {
	for i := range c.parts {
		if c.parts[i].family == part.family {
			if part.score > c.parts[i].score {
				c.parts[i] = part
			}
			return
		}
	}
	c.parts = append(c.parts, part)
}
