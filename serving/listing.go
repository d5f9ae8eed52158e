package serving

import (
	"slices"
	"sync"

	"github.com/RoaringBitmap/roaring/v2"
)

// maxUnsorted is how many new items a listing sorts anew for every page, before it takes them in.
const maxUnsorted = 1_000

// listing has the items of a site in the order of their ids. Items come and never go, so only new ones are sorted.
type listing struct {
	mu     sync.Mutex // guards sorted
	sorted []string   // ids
}

// page returns up to limit live rows of a site whose ids come after the id given, in the order of ids, and whether more follow; of
// those whose numbers are among some, or of all where that is nil.
func (c *Catalogue) page(site, after string, limit int, among *roaring.Bitmap) (rows []*Row, more bool) {
	c.pages(site, after, func(row *Row) bool {
		if among != nil && !among.Contains(row.number) {
			return true
		}
		if len(rows) == limit {
			more = true
			return false
		}
		rows = append(rows, row)
		return true
	})
	return rows, more
}

// pages calls f with the live rows of a site whose ids come after the id given, in the order of ids, until f returns false.
func (c *Catalogue) pages(site, after string, f func(*Row) bool) {
	c.mu.RLock()
	s := c.sites[site]
	c.mu.RUnlock()
	if s == nil {
		return
	}
	sorted, fresh := s.listing.take(c, site)
	old, added := behind(sorted, after), behind(fresh, after)
	for len(old)+len(added) > 0 {
		next := &old
		if len(old) == 0 || len(added) > 0 && added[0] < old[0] {
			next = &added
		}
		row := c.row(site, (*next)[0])
		*next = (*next)[1:]
		if !row.Deleted && !f(row) {
			return
		}
	}
}

// take returns the items in order, and the new ones in an order of their own.
func (l *listing) take(c *Catalogue, site string) (sorted, fresh []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for room := make([]*Row, 0, allStep); ; {
		step := c.step(room, site, len(l.sorted)+len(fresh))
		if len(step) == 0 {
			break
		}
		for _, row := range step {
			fresh = append(fresh, row.ItemID)
		}
	}
	slices.Sort(fresh)
	if len(fresh) > maxUnsorted {
		l.sorted = append(slices.Clone(l.sorted), fresh...) // readers of before keep what they have
		slices.Sort(l.sorted)
		fresh = nil
	}
	return l.sorted, fresh
}

// behind is the part of sorted ids that comes after one.
func behind(ids []string, after string) []string {
	at, found := slices.BinarySearch(ids, after)
	if found {
		at++
	}
	return ids[at:]
}
