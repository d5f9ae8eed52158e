package serving

// maxLeftOut bounds the items that a record tells of only because a filter left them out.
const maxLeftOut = 50

// tellLeftOut lets the record of a filtered list tell of what the placement's own sources would have brought, the best first, had the
// filters left it: no source brings that where it is asked for the list.
func (s *selection) tellLeftOut() {
	q := s.query
	if !q.filtered || s.telling == 0 || len(q.mem.stages) == 0 {
		return
	}
	q.filtered, q.mem.maskMade = false, false
	q.mem.sources = q.mem.sources[:0]
	q.mem.stages[0].ask(q)
	q.filtered, q.mem.maskMade = true, false // the mask is another one now
	ranked := &ranking{ids: newIDTable()}
	ranked.join(q.mem.sources, &q.mem.demoted)
	q.catalogue.read(q.site, func(row func(string) *Row) {
		for told := 0; told < maxLeftOut; {
			c := ranked.next()
			if c == nil {
				return
			}
			if q.mem.excluded.has(c.id) || q.allows(c.id, row(c.id)) {
				continue
			}
			c.dropped, c.told = droppedFilter, true
			s.seen = append(s.seen, c)
			told++
		}
	})
	ranked.attribute(q.mem.sources)
}
