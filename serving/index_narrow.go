package serving

import (
	"github.com/RoaringBitmap/roaring/v2"

	"github.com/millrace/millrace/internal/filter"
)

// narrow returns the numbers of the live items that meet all conditions; nil where there are none, which all do. The bitmap must not be
// changed.
func (c *Catalogue) narrow(site string, conditions []filter.Condition) *roaring.Bitmap {
	if len(conditions) == 0 {
		return nil
	}
	var sets itemSets
	a := c.ask(site, conditions)
	set := sets.of(wordsFor(a.rows), a.live)
	a.narrow(set, &sets)
	return roaring.FromDense(set, false)
}

// answers are what an index has of conditions, as of one moment: what of it takes time is done after the lock is left.
type answers struct {
	found     []found
	rows      int             // of the site
	live      *roaring.Bitmap // never nil
	available *roaring.Bitmap // likewise
	expires   column
}

// ask gets hold of what answers conditions.
func (c *Catalogue) ask(site string, conditions []filter.Condition) answers {
	c.mu.RLock()
	defer c.mu.RUnlock()
	s := c.sites[site]
	if s == nil {
		return answers{live: roaring.New(), available: roaring.New()}
	}
	a := answers{
		rows: len(s.index.rows), live: s.index.set(facet{field: facetLive}), available: s.index.set(facet{field: facetAvailable}),
		expires: s.index.columns[columnExpires],
	}
	a.found = make([]found, 0, len(conditions))
	for _, condition := range conditions {
		a.found = append(a.found, s.find(condition))
	}
	return a
}

// narrow takes out of a set what does not meet all conditions.
func (a *answers) narrow(set itemSet, sets *itemSets) {
	for i := range a.found {
		a.found[i].narrow(set, sets)
	}
}

// found are the bitmaps and the column that answer a condition.
type found struct {
	op        filter.Op
	of        []found
	bitmaps   []*roaring.Bitmap // of OpIn and OpOut: an item is in any or in none
	column    column
	low, high int64
}

// find gets hold of what answers a condition. The caller holds mu.
func (s *siteItems) find(c filter.Condition) found {
	f := found{op: c.Op}
	switch c.Op {
	case filter.OpAll, filter.OpAny:
		for _, part := range c.Of {
			f.of = append(f.of, s.find(part))
		}
	case filter.OpTrue, filter.OpFalse:
		if f.op = filter.OpIn; c.Op == filter.OpFalse {
			f.op = filter.OpOut
		}
		f.bitmaps = []*roaring.Bitmap{s.index.set(facet{field: facetAvailable})}
	case filter.OpRange:
		if f.column, f.low, f.high = s.index.columns[columnOf(c.Field)], c.Low, c.High; c.Low > c.High {
			f.op = filter.OpNothing
		}
	case filter.OpIn, filter.OpOut:
		f.bitmaps = s.named(c.Field, c.Texts)
		if c.Op == filter.OpOut && c.Field == filter.FieldBrand { // one of no brand is not of another one
			branded := found{op: filter.OpIn, bitmaps: []*roaring.Bitmap{s.index.set(facet{field: facetBranded})}}
			return found{op: filter.OpAll, of: []found{branded, f}}
		}
	}
	return f
}

// named are the bitmaps of the live items that one of some texts is said of.
func (s *siteItems) named(field filter.Field, texts []string) (bitmaps []*roaring.Bitmap) {
	if field == filter.FieldItemID {
		return []*roaring.Bitmap{s.ofIDs(texts)}
	}
	for _, text := range texts {
		if set := s.index.sets[facet{field: facetOf(field), value: text}]; set != nil {
			bitmaps = append(bitmaps, set)
		}
	}
	return bitmaps
}

func (s *siteItems) ofIDs(ids []string) *roaring.Bitmap {
	set := roaring.New()
	for _, id := range ids {
		if row := s.row(id); row != nil && !row.Deleted {
			set.Add(row.number)
		}
	}
	return set
}

// facetOf is what the bitmaps of a field's texts are listed by.
func facetOf(f filter.Field) byte {
	switch f {
	case filter.FieldCategories:
		return facetCategory
	case filter.FieldLabels:
		return facetLabel
	}
	return facetBrand
}

// narrow takes out of a set what does not meet the condition.
func (f *found) narrow(set itemSet, sets *itemSets) {
	switch f.op {
	case filter.OpNothing:
		clear(set)
	case filter.OpAll:
		for i := range f.of {
			f.of[i].narrow(set, sets)
		}
	case filter.OpAny:
		any := sets.take(len(set))
		for i := range f.of {
			one := append(sets.take(0), set...)
			f.of[i].narrow(one, sets)
			any.or(one)
			sets.give(one)
		}
		copy(set, any)
		sets.give(any)
	case filter.OpRange:
		f.column.narrow(set, f.low, f.high)
	case filter.OpIn, filter.OpOut:
		named := sets.of(len(set), f.bitmaps...)
		if f.op == filter.OpIn {
			set.and(named)
		} else {
			set.andNot(named)
		}
		sets.give(named)
	}
}

// numbers tells the number of a site's item, -1 for one without a row.
func (c *Catalogue) numbers(site string) func(id string) int32 {
	return func(id string) int32 {
		if row := c.row(site, id); row != nil {
			return int32(row.number)
		}
		return -1
	}
}

// numbered appends the rows of numbers to dst.
func (c *Catalogue) numbered(dst []*Row, site string, numbers []uint32) []*Row {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if s := c.sites[site]; s != nil {
		for _, n := range numbers {
			dst = append(dst, s.index.rows[n])
		}
	}
	return dst
}

// set is the bitmap of a facet, nil where no live item has it. It must not be changed.
func (c *Catalogue) set(site string, f facet) *roaring.Bitmap {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if s := c.sites[site]; s != nil {
		return s.index.sets[f]
	}
	return nil
}

// count is how many live items of a site have a facet.
func (c *Catalogue) count(site string, f facet) int {
	if set := c.set(site, f); set != nil {
		return int(set.GetCardinality())
	}
	return 0
}
