package serving

import (
	"sync"
	"sync/atomic"
)

// places say where the items of a version are in the catalogue. They never change.
type places struct {
	rows  int     // of the catalogue that were looked for: those of lower numbers
	of    []int32 // by item of the vocabulary: the number of its row, or else a place of its own from start on
	start int     // above all numbers
	bare  []int32 // the items without a row, in the order of their places
}

// placing keeps the places of a version up to date. It is safe for concurrent use.
type placing struct {
	now atomic.Pointer[places]
	mu  sync.Mutex // held by who makes others
}

// unplaced is an item of which it is not known yet where it is.
const unplaced = -1

// placesOf says where the items of a version are among the rows of a site, at least those of numbers below rows. It looks for all of
// a version once, some 8 ms for 100,000, and then for what is new.
func (c *Catalogue) placesOf(site string, m *loadedModel, rows int) *places {
	if p := m.placing.now.Load(); p != nil && p.rows >= rows {
		return p
	}
	m.placing.mu.Lock()
	defer m.placing.mu.Unlock()
	p := m.placing.now.Load()
	switch {
	case p == nil:
		p = c.place(site, m, rows)
	case p.rows < rows:
		p = c.placeRows(site, m, p, rows)
	default:
		return p
	}
	m.placing.now.Store(p)
	return p
}

// place looks for all items of a version; of one with closed sessions over it, for those that the version does not have.
func (c *Catalogue) place(site string, m *loadedModel, rows int) *places {
	of := make([]int32, 0, m.Vocabulary.Len())
	if m.trained != nil && m.trained.placing != m.placing {
		below := c.placesOf(site, m.trained, rows)
		of, rows = append(of, below.of...), below.rows
		for _, item := range below.bare {
			of[item] = unplaced
		}
	}
	ids, found := make([]string, 0, allStep), make([]*Row, 0, allStep)
	for len(of) < cap(of) {
		ids = ids[:0]
		for item := len(of); item < cap(of) && len(ids) < allStep; item++ {
			ids = append(ids, m.Vocabulary.ID(int32(item)))
		}
		found = c.lookup(found[:0], site, ids)
		for _, row := range found {
			if row == nil {
				of = append(of, unplaced)
			} else {
				of = append(of, int32(row.number))
			}
		}
	}
	return newPlaces(of, rows)
}

// placeRows looks for the rows that have come since p was made.
func (c *Catalogue) placeRows(site string, m *loadedModel, p *places, rows int) *places {
	numbers := make([]uint32, 0, rows-p.rows)
	for n := p.rows; n < rows; n++ {
		numbers = append(numbers, uint32(n))
	}
	moved := map[int32]int32{}
	for _, row := range c.numbered(nil, site, numbers) {
		if item, ok := m.Vocabulary.Index(row.ItemID); ok {
			moved[item] = int32(row.number)
		}
	}
	if len(moved) == 0 && rows <= p.start {
		return &places{rows: rows, of: p.of, start: p.start, bare: p.bare}
	}
	of := append([]int32(nil), p.of...)
	for _, item := range p.bare {
		of[item] = unplaced
	}
	for item, number := range moved {
		of[item] = number
	}
	return newPlaces(of, rows)
}

// newPlaces gives the unplaced items their places.
func newPlaces(of []int32, rows int) *places {
	p := &places{rows: rows, of: of, start: rows}
	for _, place := range of {
		p.start = max(p.start, int(place)+1) // of a row that came meanwhile
	}
	p.start += p.start/8 + allStep // for rows that come, which move nobody then
	for item, place := range of {
		if place == unplaced {
			of[item] = int32(p.start + len(p.bare))
			p.bare = append(p.bare, int32(item))
		}
	}
	return p
}
