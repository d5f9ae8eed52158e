package serving

import (
	"cmp"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
)

// condition is something that an item must meet: one of its values, or a price from low to high, both included.
type condition struct {
	field     byte // facetAvailable, facetCategory, facetBrand, facetLabel or facetPrice
	values    []string
	low, high float64
}

// narrow returns the numbers of the items that may meet all conditions: all that do, and some beside them whose price is near. Nil
// means that the conditions leave all of them. The bitmap is shared and must not be changed.
func (c *Catalogue) narrow(site string, conditions []condition) *roaring.Bitmap {
	if len(conditions) == 0 {
		return nil
	}
	alternatives := c.alternatives(site, conditions)
	slices.SortFunc(alternatives, func(a, b []*roaring.Bitmap) int { return cmp.Compare(largest(a), largest(b)) })
	var all *roaring.Bitmap
	for _, sets := range alternatives {
		set := union(sets)
		if all != nil {
			set = roaring.And(all, set)
		}
		if all = set; all.IsEmpty() {
			break
		}
	}
	return all
}

// alternatives are, for each condition, the bitmaps of which an item must be in one.
func (c *Catalogue) alternatives(site string, conditions []condition) [][]*roaring.Bitmap {
	found := make([][]*roaring.Bitmap, len(conditions))
	c.mu.RLock()
	defer c.mu.RUnlock()
	s := c.sites[site]
	if s == nil {
		return found
	}
	for i, wanted := range conditions {
		for _, f := range wanted.facets() {
			if set := s.index.sets[f]; set != nil {
				found[i] = append(found[i], set)
			}
		}
	}
	return found
}

func (w condition) facets() (list []facet) {
	switch w.field {
	case facetAvailable, facetLive:
		return []facet{{field: w.field}}
	case facetPrice:
		if w.low > w.high {
			return nil
		}
		for step := int(priceStep(w.low)); step <= int(priceStep(w.high)); step++ {
			list = append(list, facet{field: facetPrice, step: byte(step)})
		}
		return list
	}
	for _, value := range w.values {
		list = append(list, facet{field: w.field, value: value})
	}
	return list
}

func largest(sets []*roaring.Bitmap) (n uint64) {
	for _, set := range sets {
		n += set.GetCardinality()
	}
	return n
}

func union(sets []*roaring.Bitmap) *roaring.Bitmap {
	switch len(sets) {
	case 0:
		return roaring.New()
	case 1:
		return sets[0]
	}
	return roaring.FastOr(sets...)
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

// count is how many live items of a site have a value in facetCategory, facetBrand or facetLabel.
func (c *Catalogue) count(site string, f facet) int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if s := c.sites[site]; s != nil && s.index.sets[f] != nil {
		return int(s.index.sets[f].GetCardinality())
	}
	return 0
}
