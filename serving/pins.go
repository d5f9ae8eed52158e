package serving

import (
	"cmp"
	"slices"

	"github.com/millrace/millrace/internal/control"
)

// sourcePinned is the source of an item that a rule has given its place.
const sourcePinned = "pinned"

// pinned is an item at the place that a rule wants it at.
type pinned struct {
	shownItem
	position int
}

// pin decides, before the list is filled, which items the rules in force pin, on their newest rows. They take their places, what
// other items of their groups would take, and count in caps that do not hold them back. Of two pins for one place or of one item
// that of the rule with the higher priority stands.
func (s *selection) pin() {
	q := s.query
	for _, rule := range q.mem.restriction.rules {
		if len(rule.Pin) == 0 {
			continue
		}
		q.catalogue.read(q.site, func(row func(string) *Row) {
			for _, p := range rule.Pin {
				taken := func(other pinned) bool { return other.position == p.Position || other.id == p.ItemID }
				if p.Position < q.limit && !slices.ContainsFunc(s.pins, taken) {
					s.tryPin(rule, p, row(p.ItemID))
				}
			}
		})
	}
	s.sortPins()
}

// tryPin takes the place for an item, if it may be shown.
func (s *selection) tryPin(rule *control.Rule, p control.Pin, row *Row) {
	q := s.query
	q.mem.trace.sawRow(q, p.ItemID, row)
	if row == nil && q.trends.items[p.ItemID] == nil {
		return // nobody knows it
	}
	c := q.mem.ranking.memory.one()
	c.id = p.ItemID
	met := s.policy
	s.policy.bought, s.policy.seen = metPolicy{}, metPolicy{} // who pins an item wants it shown again
	may := s.mayShow(c, row)
	s.policy = met
	if !may || row != nil && row.ItemGroupID() != "" && s.groups.has(row.ItemGroupID()) {
		return
	}
	if row != nil && row.ItemGroupID() != "" {
		s.groups.put(row.ItemGroupID())
	}
	s.caps.count(q, c.id, row)
	c.told = true
	c.parts = append(q.mem.ranking.parts.take(1), pinnedBy(rule))
	s.pins = append(s.pins, pinned{shownItem{candidate: c, row: row, pinned: true}, p.Position})
}

// pinGiven gives the caller's items the places at which rules in force pin them: of those that the caller has not named, none is brought in.
func (s *selection) pinGiven() {
	q := s.query
	for _, rule := range q.mem.restriction.rules {
		for _, p := range rule.Pin {
			at := slices.IndexFunc(s.shown, func(item shownItem) bool { return item.id == p.ItemID })
			if at < 0 || p.Position >= q.limit || slices.ContainsFunc(s.pins, func(other pinned) bool { return other.position == p.Position }) {
				continue
			}
			item := s.shown[at]
			item.pinned = true
			item.parts = append(q.mem.ranking.parts.take(1), pinnedBy(rule))
			s.shown, s.pins = slices.Delete(s.shown, at, at+1), append(s.pins, pinned{item, p.Position})
		}
	}
	s.sortPins()
	s.placePins()
}

func (s *selection) sortPins() {
	slices.SortFunc(s.pins, func(a, b pinned) int { return cmp.Compare(a.position, b.position) })
}

func pinnedBy(rule *control.Rule) contribution {
	return contribution{family: sourcePinned, origin: cmp.Or(rule.Name, rule.ID), rung: rungStatic}
}

// isPinned reports whether an item has a place by a rule.
func (s *selection) isPinned(id string) bool {
	return slices.ContainsFunc(s.pins, func(p pinned) bool { return p.id == id })
}

// placePins puts the pinned items where they belong. Each has the score of the item whose place it takes: a list's scores fall.
func (s *selection) placePins() {
	for _, p := range s.pins {
		at := min(p.position, len(s.shown))
		switch {
		case at < len(s.shown):
			p.score = s.shown[at].score
		case at > 0:
			p.score = s.shown[at-1].score
		}
		p.parts[0].score = p.score
		s.shown = slices.Insert(s.shown, at, p.shownItem)
		s.consider(p.candidate)
	}
}

// propensity is the probability with which what stands at a place stands there.
func (s *selection) propensity(place int) float64 {
	if s.shown[place].pinned {
		return 1
	}
	return s.slot.propensity(place)
}
