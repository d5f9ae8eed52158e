package serving

// allStep is how many rows all looks up at once.
const allStep = 1_024

// read calls f with a lookup of a site's rows. Each lookup finds the newest row.
func (c *Catalogue) read(site string, f func(row func(id string) *Row)) {
	f(func(id string) *Row { return c.row(site, id) })
}

// lookup appends the row of each id to dst, nil where there is none: many at once, for whoever knows them.
func (c *Catalogue) lookup(dst []*Row, site string, ids []string) []*Row {
	c.mu.RLock()
	defer c.mu.RUnlock()
	s := c.sites[site]
	for _, id := range ids {
		dst = append(dst, s.row(id))
	}
	return dst
}

// all calls f with every row of a site in the order in which the items came, until f returns false. It holds no lock meanwhile: a
// row that changes is met as it was or as it is.
func (c *Catalogue) all(site string, f func(*Row) bool) {
	step := make([]*Row, 0, allStep)
	for from := 0; ; from += len(step) {
		if step = c.step(step[:0], site, from); len(step) == 0 {
			return
		}
		for _, row := range step {
			if !f(row) {
				return
			}
		}
	}
}

// step appends the rows of the numbers from one on, as many as dst has room for.
func (c *Catalogue) step(dst []*Row, site string, from int) []*Row {
	c.mu.RLock()
	defer c.mu.RUnlock()
	s := c.sites[site]
	if s == nil {
		return dst
	}
	return append(dst, s.index.rows[min(from, len(s.index.rows)):min(from+cap(dst), len(s.index.rows))]...)
}

// siteNames are the sites that have a row.
func (c *Catalogue) siteNames() []string {
	c.mu.RLock()
	defer c.mu.RUnlock()
	names := make([]string, 0, len(c.sites))
	for name := range c.sites {
		names = append(names, name)
	}
	return names
}

// size is the number of live rows of a site.
func (c *Catalogue) size(site string) int { return c.count(site, facet{field: facetLive}) }
