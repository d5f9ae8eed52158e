package serving

import "slices"

// Why a candidate was not shown, in exposures.
const (
	droppedUnavailable = "unavailable" // not available, expired or deleted
	droppedExcluded    = "excluded"    // named in exclude_ids
	droppedFilter      = "filter"      // a filter of the request, the placement or a rule does not match it
	droppedGroup       = "group"       // another item of its item_group_id is shown
	droppedCurrent     = "current"     // what the visitor is looking at
	droppedBought      = "bought"      // bought already
	droppedSeen        = "seen"        // seen already, in a list of what is new
	droppedCapped      = "capped"      // the list has as many of its category or brand as it may have
	droppedPinned      = "pinned"      // a rule has given it another place of the list
	droppedExploration = "exploration" // its place was given to an item that hardly anybody has met
)

// maxConsidered bounds the candidates that an exposure records.
const maxConsidered = 100

// selection fills a list with candidates that may be shown, decided on the live catalogue at the moment of the answer.
type selection struct {
	query    *query
	policy   policy
	excluded *idTable
	bought   *idTable
	groups   *idTable // item groups shown
	caps     *caps
	current  []string

	shown   []shownItem
	second  []*candidate // held back by the policy alone: shown when nothing else can be
	telling int          // how many candidates a full record tells of, the best of each stage
	seen    []*candidate // those
	slot    slot
	pins    []pinned // by position, until they are placed
}

// shownItem is one position of the list, with the catalogue row it was decided on.
type shownItem struct {
	*candidate
	row    *Row // nil for an item known only from events
	pinned bool // a rule has given it its place
}

// begin starts the list of a query.
func (s *selection) begin(q *query) {
	s.query, s.policy, s.current = q, q.policy, q.current()
	s.excluded, s.bought, s.groups, s.caps = &q.mem.excluded, &q.mem.bought, &q.mem.groups, &q.mem.caps
	for _, id := range q.request.ExcludeIDs {
		s.excluded.put(id)
	}
	if q.mem.trace.on {
		s.telling = maxConsidered
	}
	s.pin()
}

func (s *selection) reset() {
	clear(s.shown)
	clear(s.second)
	clear(s.seen)
	clear(s.pins)
	*s = selection{shown: s.shown[:0], second: s.second[:0], seen: s.seen[:0], pins: s.pins[:0]}
}

// current are the items that the visitor is looking at.
func (q *query) current() []string {
	if q.set || len(q.items) == 0 {
		return q.items
	}
	return q.items[len(q.items)-1:]
}

func (s *selection) full() bool { return len(s.shown)+len(s.pins) >= s.query.limit }

// add takes the candidates of a stage, the best first, until the list is full.
func (s *selection) add(ranked *ranking) {
	s.query.catalogue.read(s.query.site, func(row func(string) *Row) {
		if s.query.diversity > 0 {
			s.addDiverse(ranked, row)
		}
		for !s.full() || len(s.seen) < s.telling {
			c := ranked.next()
			if c == nil {
				return
			}
			if !s.full() {
				r := row(c.id)
				s.query.mem.trace.sawRow(s.query, c.id, r)
				if s.mayShow(c, r) {
					s.admit(c, r)
				}
			}
			s.consider(c)
		}
	})
}

// consider lets the record tell of a candidate, if it tells of so many.
func (s *selection) consider(c *candidate) {
	if len(s.seen) < s.telling {
		c.told = true
		s.seen = append(s.seen, c)
	}
}

// mayShow reports whether a candidate may be shown by itself, whatever else the list holds, or says why not. The hard reasons come
// first: what is held back by the policy alone may still be shown as a last resort.
func (s *selection) mayShow(c *candidate, row *Row) bool {
	switch {
	case row != nil && !row.eligible(s.query.now):
		c.dropped = droppedUnavailable
	case s.excluded.has(c.id):
		c.dropped = droppedExcluded
	case len(s.pins) > 0 && s.isPinned(c.id):
		c.dropped = droppedPinned
	case s.query.filtered && !s.query.allows(c.id, row):
		c.dropped = droppedFilter
	case s.policy.dropCurrent && slices.Contains(s.current, c.id):
		s.hold(c, droppedCurrent)
	case s.policy.bought.hides(s.bought, s.query.visitor.profile.BoughtBefore, c.id):
		s.hold(c, droppedBought)
	case s.policy.seen.hides(&s.query.mem.seen, s.query.visitor.profile.SeenBefore, c.id):
		s.hold(c, droppedSeen)
	default:
		return true
	}
	return false
}

// admit shows a candidate beside those that are shown, or says why not.
func (s *selection) admit(c *candidate, row *Row) bool {
	if !s.fits(c, row) {
		return false
	}
	s.show(c, row)
	return true
}

// fits reports whether a candidate may stand beside those that are shown, or says why not.
func (s *selection) fits(c *candidate, row *Row) bool {
	switch {
	case row != nil && row.ItemGroupID() != "" && s.groups.has(row.ItemGroupID()):
		c.dropped = droppedGroup
	case s.caps.full(s.query, c.id, row):
		c.dropped = droppedCapped
	default:
		return true
	}
	return false
}

// hold keeps a candidate back.
func (s *selection) hold(c *candidate, why string) {
	c.dropped, c.told = why, true
	s.second = append(s.second, c)
}

func (s *selection) show(c *candidate, row *Row) {
	c.dropped, c.told = "", true
	if row != nil && row.ItemGroupID() != "" {
		s.groups.put(row.ItemGroupID())
	}
	s.caps.count(s.query, c.id, row)
	if n := len(s.shown); n > 0 {
		c.score = min(c.score, s.shown[n-1].score) // a later stage has its own scale: positions and scores agree
	}
	s.shown = append(s.shown, shownItem{candidate: c, row: row})
}

// relax fills a list that would be empty with what only the policy held back: the one item of a shop with one item.
func (s *selection) relax() {
	if len(s.shown)+len(s.pins) > 0 {
		return
	}
	held := s.second
	s.second = nil
	s.policy = policy{}
	s.query.catalogue.read(s.query.site, func(row func(string) *Row) {
		for _, c := range held {
			if s.full() {
				return
			}
			if r := row(c.id); s.mayShow(c, r) {
				s.admit(c, r)
			}
		}
	})
}

// rung is the best rung that any item of the list came from; a list of pinned items is what was asked for.
func (s *selection) rung() rung {
	best, whole := rungStatic, len(s.shown) > 0
	for _, item := range s.shown {
		if item.pinned {
			continue
		}
		whole = false
		for _, part := range item.parts {
			best = min(best, part.rung)
		}
	}
	if whole {
		return rungNone
	}
	return best
}
