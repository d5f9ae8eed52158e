package serving

import (
	"github.com/millrace/millrace/internal/filter"
)

const (
	// maxAsked bounds the items of which a request asks what the index does not tell, before anything is proposed: about a
	// millisecond. Of more, candidates are asked one by one, as they come up.
	maxAsked = 16_384
	// maxBareAsked likewise bounds the items of a version that the catalogue has no row of.
	maxBareAsked = 4_096
)

// permitted is what filters and exclusions leave of the catalogue for one request: the rows that may be shown and that match, or nearly so.
// It is made when it is first asked for.
type permitted struct {
	made  bool
	exact bool // all that are left match
	items itemSet
	count int
	rows  int // of the catalogue
	rest  []*filter.Bound
	sets  itemSets

	conditions []filter.Condition // working memory of permitted
	excluded   []*Row             // likewise
}

// without reports whether the row of a number is not left; one that came later may be.
func (p *permitted) without(number int32) bool {
	return uint(number) < uint(p.rows) && !p.items.has(uint32(number))
}

// reset forgets what was left; its memory is used again.
func (p *permitted) reset() {
	if p.made {
		p.sets.give(p.items)
	}
	clear(p.rest)
	clear(p.conditions)
	clear(p.excluded)
	p.items, p.rest, p.conditions, p.excluded, p.made = nil, p.rest[:0], p.conditions[:0], p.excluded[:0], false
}

// permitted says what the filters leave of the catalogue.
func (q *query) permitted() *permitted {
	p := &q.mem.permitted
	if p.made {
		return p
	}
	for _, f := range q.mem.restriction.filters {
		narrow, rest := f.Narrow()
		if p.conditions = append(p.conditions, narrow...); rest != nil {
			p.rest = append(p.rest, rest)
		}
	}
	a := q.catalogue.ask(q.site, p.conditions)
	p.rows, p.items = a.rows, p.sets.of(wordsFor(a.rows), a.available)
	a.narrow(p.items, &p.sets)
	a.expires.narrow(p.items, filter.KeyOfTime(q.now)+1, filter.NoKey) // later, or none
	p.excluded = q.catalogue.lookup(p.excluded, q.site, q.mem.excluded.ids)
	for _, row := range p.excluded {
		if row != nil && int(row.number) < p.rows {
			p.items.remove(row.number)
		}
	}
	p.made, p.count, p.exact = true, p.items.count(), true
	if len(p.rest) > 0 {
		if p.exact = p.count <= maxAsked; p.exact {
			q.askRest(p)
		}
	}
	return p
}

// askRest asks what the index does not tell of each that is left.
func (q *query) askRest(p *permitted) {
	q.eachPermitted(p, func(row *Row) {
		for _, f := range p.rest {
			if !f.Match(row) {
				p.items.remove(row.number)
				p.count--
				return
			}
		}
	})
}

// eachPermitted calls f with the row of each that is left.
func (q *query) eachPermitted(p *permitted, f func(*Row)) {
	numbers, rows := make([]uint32, 0, allStep), make([]*Row, 0, allStep)
	for from := 0; ; from = int(numbers[len(numbers)-1]) + 1 {
		if numbers = p.items.next(numbers[:0], from); len(numbers) == 0 {
			return
		}
		rows = q.catalogue.numbered(rows[:0], q.site, numbers)
		for _, row := range rows {
			f(row)
		}
	}
}

// maskPermitted makes the mask of the version's items that the filters leave. Those that the catalogue has no row of are judged by what
// events say of them.
func (q *query) maskPermitted() {
	p := q.permitted()
	at := q.catalogue.placesOf(q.site, q.model, p.rows)
	words := p.sets.take(wordsFor(at.start + len(at.bare)))
	copy(words, p.items)
	for i, item := range at.bare {
		if len(at.bare) > maxBareAsked || q.allows(q.model.Vocabulary.ID(item), nil) {
			words.add(uint32(at.start + i))
		}
	}
	q.mem.mask.Through(words, at.of)
	p.sets.give(words)
}

// permits reports whether the filters leave an item, and it may be shown.
func (q *query) permits(id string) bool {
	row := q.catalogue.row(q.site, id)
	return (row == nil || row.eligible(q.now)) && q.allows(id, row)
}
