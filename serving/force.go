package serving

import (
	"github.com/RoaringBitmap/roaring/v2"

	"github.com/millrace/millrace/internal/idtable"
)

// forceRows is how many rows come into force at once. Readers wait while their pointers are set, some 10 µs; what can be worked out
// before that is.
const forceRows = 256

// itemKey names an item among those of all sites.
type itemKey struct{ site, id string }

// verdict says what becomes of a row.
type verdict byte

const (
	refused verdict = iota // it does not come into force
	changed                // it does
	arrived                // it does, and brings a new item
)

// decision is the verdict on a row, given the one that is in force before it, nil where there is none. It may finish the row.
type decision func(current, row *Row) verdict

// force puts rows in force, in their order, and says what became of each. Whoever calls it hands the rows over.
func (c *Catalogue) force(rows []*Row, decide decision) []verdict {
	c.writing.Lock()
	defer c.writing.Unlock()
	decided := make([]verdict, 0, len(rows))
	for len(rows) > 0 {
		n := min(len(rows), forceRows)
		decided = c.forceSome(decided, rows[:n], decide)
		rows = rows[n:]
	}
	return decided
}

// forcing is the work of one step of force.
type forcing struct {
	rows    map[itemKey]*Row // what will be in force
	items   map[*siteItems]int
	change  map[*siteItems]*indexChange
	arrived []*Row
}

// forceSome is force for a few rows. Only who holds writing changes anything, so all is read without surprise until it is put in
// force in one step.
func (c *Catalogue) forceSome(decided []verdict, rows []*Row, decide decision) []verdict {
	f := forcing{rows: make(map[itemKey]*Row, len(rows)), items: map[*siteItems]int{}, change: map[*siteItems]*indexChange{}}
	for _, row := range rows {
		key, site := itemKey{row.Site(), row.ItemID}, c.site(row.Site())
		current, again := f.rows[key]
		if !again {
			current = site.row(row.ItemID)
		}
		v := decide(current, row)
		if decided = append(decided, v); v == refused {
			continue
		}
		if current != nil {
			row.number, row.ItemID = current.number, current.ItemID // the id is there once, and keeps no text of a former row
		} else {
			row.number = uint32(len(site.index.rows) + f.items[site])
			f.items[site]++
		}
		if v == arrived {
			f.arrived = append(f.arrived, row)
		}
		f.rows[key] = row
	}
	c.install(&f)
	return decided
}

// install puts in force what was worked out.
func (c *Catalogue) install(f *forcing) {
	for key, row := range f.rows {
		site := c.sites[key.site]
		if f.change[site] == nil {
			f.change[site] = site.index.change()
		}
		f.change[site].take(site.row(key.id), row)
	}
	made := make(map[*siteItems]map[facet]*roaring.Bitmap, len(f.change))
	for site, change := range f.change {
		made[site] = change.made()
	}
	ids := make(map[*siteItems]idtable.Table, len(f.items))
	for site, n := range f.items {
		ids[site] = site.ids.Reserve(n)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for site, n := range f.items {
		site.ids = ids[site]
		site.index.grow(n)
	}
	for key, row := range f.rows {
		site := c.sites[key.site]
		if site.index.rows[row.number] == nil {
			site.ids.Put(idtable.Hash(key.id), int32(row.number))
		}
		site.index.putRow(row)
	}
	for site, sets := range made {
		site.index.put(sets)
	}
	for _, row := range f.arrived {
		c.sites[row.Site()].arrive(row.ItemID)
	}
}

// site returns the items of a site, making room for those of a new one. The caller holds writing.
func (c *Catalogue) site(name string) *siteItems {
	if site := c.sites[name]; site != nil {
		return site
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	site := &siteItems{index: itemIndex{sets: map[facet]*roaring.Bitmap{}}}
	c.sites[name] = site
	return site
}
