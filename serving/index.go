package serving

import (
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
)

// What a bitmap of the index lists items by. Deleted items are in none.
const (
	facetLive      = iota // not deleted
	facetAvailable        // live, and available by its row, which may have expired
	facetCategory
	facetBrand
	facetLabel
	facetBranded // live, and of some brand
)

// facet names a bitmap: the items of which something is said.
type facet struct {
	field byte
	value string // of a category, brand or label
}

// facetsOf appends the facets of a row; nil has none.
func facetsOf(dst []facet, r *Row) []facet {
	if r == nil || r.Deleted {
		return dst
	}
	dst = append(dst, facet{field: facetLive})
	if r.Available {
		dst = append(dst, facet{field: facetAvailable})
	}
	if r.Brand != "" {
		dst = append(dst, facet{field: facetBranded}, facet{field: facetBrand, value: r.Brand})
	}
	for _, category := range r.Categories() {
		dst = append(dst, facet{field: facetCategory, value: category})
	}
	r.EachLabel(func(label string) bool {
		dst = append(dst, facet{field: facetLabel, value: label})
		return true
	})
	return dst
}

// itemIndex finds the items of a site by what is said of them. An item has a number from its first row on, which stays its own,
// and numbers have no holes. Bitmaps are of numbers. One that is in the index never changes: a change puts another in its place, so
// that readers take the lock only to get hold of it.
type itemIndex struct {
	rows    []*Row // by number
	sets    map[facet]*roaring.Bitmap
	columns [numColumns]column
}

// set is the bitmap of a facet, an empty one where no live item has it.
func (x *itemIndex) set(f facet) *roaring.Bitmap {
	if set := x.sets[f]; set != nil {
		return set
	}
	return roaring.New()
}

// grow makes room for n more items.
func (x *itemIndex) grow(n int) {
	x.rows = append(x.rows, make([]*Row, n)...)
	for i := range x.columns {
		x.columns[i].grow(n)
	}
}

// putRow puts a row in force.
func (x *itemIndex) putRow(r *Row) {
	x.rows[r.number] = r
	for i, key := range keysOf(r) {
		x.columns[i].put(r.number, key)
	}
}

// indexChange is what rows that come into force do to the bitmaps.
type indexChange struct {
	index         *itemIndex
	added, gone   map[facet][]uint32
	before, after []facet // scratch of take
}

func (x *itemIndex) change() *indexChange {
	return &indexChange{index: x, added: map[facet][]uint32{}, gone: map[facet][]uint32{}}
}

// take notes what differs between an item's row in force, nil where it has none, and the next one.
func (ch *indexChange) take(before, after *Row) {
	ch.before, ch.after = facetsOf(ch.before[:0], before), facetsOf(ch.after[:0], after)
	for _, f := range ch.before {
		if !slices.Contains(ch.after, f) {
			ch.gone[f] = append(ch.gone[f], after.number)
		}
	}
	for _, f := range ch.after {
		if !slices.Contains(ch.before, f) {
			ch.added[f] = append(ch.added[f], after.number)
		}
	}
}

// made are the bitmaps to put into the index, nil for one that nothing is left of. It only reads the index.
func (ch *indexChange) made() map[facet]*roaring.Bitmap {
	made := make(map[facet]*roaring.Bitmap, len(ch.added)+len(ch.gone))
	next := func(f facet) *roaring.Bitmap {
		if made[f] == nil {
			if set := ch.index.sets[f]; set != nil {
				made[f] = set.Clone()
			} else {
				made[f] = roaring.New()
			}
		}
		return made[f]
	}
	for f, numbers := range ch.added {
		next(f).AddMany(numbers)
	}
	for f, numbers := range ch.gone {
		set := next(f)
		for _, n := range numbers {
			set.Remove(n)
		}
	}
	for f, set := range made {
		switch {
		case set.IsEmpty():
			made[f] = nil
		case f.field == facetLive:
			set.RunOptimize() // it has hardly a hole
		}
	}
	return made
}

// put puts bitmaps in force.
func (x *itemIndex) put(made map[facet]*roaring.Bitmap) {
	for f, set := range made {
		if set == nil {
			delete(x.sets, f)
		} else {
			x.sets[f] = set
		}
	}
}
