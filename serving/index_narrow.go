package serving

import (
	"math"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/millrace/millrace/internal/filter"
)

// narrow returns the numbers of the live items that may meet all conditions: all that do, and those beside them whose price is near.
// Nil means that the conditions tell nothing of any item. The bitmap is shared and must not be changed.
func (c *Catalogue) narrow(site string, conditions []filter.Condition) *roaring.Bitmap {
	c.mu.RLock()
	all := c.sites[site].findAll(conditions)
	c.mu.RUnlock()
	return all.meet()
}

// found are the bitmaps that answer a condition, not joined yet: that takes longer than the lock is held.
type found struct {
	all  bool              // every item, whatever is below
	sets []*roaring.Bitmap // an item of any
	of   []found           // an item of any or, with both, of every one
	both bool
}

func (s *siteItems) findAll(conditions []filter.Condition) found {
	f := found{both: true, all: true}
	for _, c := range conditions {
		if one := s.find(c); !one.all {
			f.of, f.all = append(f.of, one), false
		}
	}
	return f
}

// find gets hold of the bitmaps of a condition. The caller holds mu.
func (s *siteItems) find(c filter.Condition) found {
	switch {
	case s == nil || c.Op == filter.OpNothing:
		return found{}
	case c.Op == filter.OpAll:
		return s.findAll(c.Of)
	case c.Op == filter.OpAny:
		var f found
		for _, part := range c.Of {
			one := s.find(part)
			f.all = f.all || one.all
			f.of = append(f.of, one)
		}
		return f
	}
	facets, known := facetsOfCondition(c)
	if c.Op == filter.OpIn && c.Field == filter.FieldItemID {
		return found{sets: []*roaring.Bitmap{s.named(c.Texts)}}
	}
	f := found{all: !known}
	for _, facet := range facets {
		if set := s.index.sets[facet]; set != nil {
			f.sets = append(f.sets, set)
		}
	}
	return f
}

// named are the live items of some ids.
func (s *siteItems) named(ids []string) *roaring.Bitmap {
	set := roaring.New()
	for _, id := range ids {
		if row := s.rows[id]; row != nil && !row.Deleted {
			set.Add(row.number)
		}
	}
	return set
}

// facetsOfCondition are the facets of which an item must have one; known is false where the index does not tell.
func facetsOfCondition(c filter.Condition) (list []facet, known bool) {
	switch {
	case c.Op == filter.OpTrue && c.Field == filter.FieldAvailable:
		return []facet{{field: facetAvailable}}, true
	case c.Op == filter.OpRange && c.Field == filter.FieldPrice:
		for step := int(priceStep(c.Low)); c.Low <= c.High && step <= int(priceStep(c.High)); step++ {
			list = append(list, facet{field: facetPrice, step: byte(step)})
		}
		return list, !math.IsNaN(c.Low) && !math.IsNaN(c.High)
	case c.Op != filter.OpIn:
		return nil, false
	}
	field := byte(facetBrand)
	switch c.Field {
	case filter.FieldBrand:
	case filter.FieldCategories:
		field = facetCategory
	case filter.FieldLabels:
		field = facetLabel
	default:
		return nil, false
	}
	for _, text := range c.Texts {
		if text == "" && field == facetBrand {
			return nil, false // items without a brand are in no bitmap
		}
		list = append(list, facet{field: field, value: text})
	}
	return list, true
}

// meet joins the bitmaps; nil is every item.
func (f found) meet() *roaring.Bitmap {
	switch {
	case f.all:
		return nil
	case f.both:
		return f.meetAll()
	}
	sets := f.sets
	for _, part := range f.of {
		sets = append(sets, part.meet())
	}
	switch len(sets) {
	case 0:
		return roaring.New()
	case 1:
		return sets[0]
	}
	return roaring.FastOr(sets...)
}

func (f found) meetAll() (all *roaring.Bitmap) {
	for _, part := range f.of {
		set := part.meet()
		if all != nil {
			set = roaring.And(all, set)
		}
		if all = set; all.IsEmpty() {
			break
		}
	}
	return all
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
