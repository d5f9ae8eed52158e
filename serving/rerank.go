package serving

import (
	"slices"

	"github.com/millrace/millrace/internal/control"
)

// Why a candidate was not shown, in exposures.
const (
	droppedUnavailable = "unavailable" // not available, expired or deleted
	droppedExcluded    = "excluded"    // named in exclude_ids
	droppedGroup       = "group"       // another item of its item_group_id is shown
	droppedCurrent     = "current"     // what the visitor is looking at
	droppedBought      = "bought"      // bought already
	droppedSeen        = "seen"        // seen already, in a list of what is new
)

// maxConsidered bounds the candidates that an exposure records.
const maxConsidered = 100

// policy is what a placement does with what the visitor knows.
type policy struct {
	demoteSeen  bool
	dropBought  bool
	dropSeen    bool
	dropCurrent bool // the product shown, the cart, the last item of a session
}

// policyOf is the policy of a kind of placement. Lists that show facts (popular, trending, recent) leave nothing out.
func policyOf(kind string) policy {
	switch kind {
	case control.KindHome:
		return policy{demoteSeen: true, dropBought: true}
	case control.KindExplore:
		return policy{dropSeen: true, dropBought: true}
	case control.KindSession, control.KindItem, control.KindCart:
		return policy{dropBought: true, dropCurrent: true}
	default:
		return policy{}
	}
}

// selection fills a list with candidates that may be shown, decided on the live catalogue at the moment of the answer.
type selection struct {
	query    *query
	policy   policy
	excluded map[string]bool
	bought   map[string]bool
	current  []string

	taken  map[string]bool // items looked at
	groups map[string]bool // item groups shown
	shown  []shownItem
	second []*candidate // held back by the policy alone: shown when nothing else can be
	seen   []*candidate // considered, at most maxConsidered
}

// shownItem is one position of the list, with the catalogue row it was decided on.
type shownItem struct {
	*candidate
	row *Row // nil for an item known only from events
}

func newSelection(q *query) *selection {
	s := &selection{
		query: q, policy: q.policy, excluded: setOf(q.request.ExcludeIDs),
		taken: make(map[string]bool, 2*minPerSource), groups: map[string]bool{}, current: q.current(),
	}
	if s.policy.dropBought {
		s.bought = make(map[string]bool, len(q.visitor.profile.Bought))
		for _, b := range q.visitor.profile.Bought {
			s.bought[b.ItemID] = true
		}
	}
	return s
}

// current are the items that the visitor is looking at.
func (q *query) current() []string {
	if q.set || len(q.items) == 0 {
		return q.items
	}
	return q.items[len(q.items)-1:]
}

func setOf(ids []string) map[string]bool {
	set := make(map[string]bool, len(ids))
	for _, id := range ids {
		set[id] = true
	}
	return set
}

func (s *selection) full() bool { return len(s.shown) >= s.query.limit }

// add takes ranked candidates in their order until the list is full.
func (s *selection) add(ranked []*candidate) {
	s.query.catalogue.read(s.query.site, func(row func(string) *Row) {
		for _, c := range ranked {
			if s.taken[c.id] {
				continue
			}
			s.taken[c.id] = true
			if !s.full() {
				s.admit(c, row(c.id))
			}
			if len(s.seen) < maxConsidered {
				s.seen = append(s.seen, c)
			} else if s.full() {
				return
			}
		}
	})
}

// admit shows a candidate or says why not. The hard reasons come first: what is held back by the policy alone may still
// be shown as a last resort.
func (s *selection) admit(c *candidate, row *Row) {
	switch {
	case row != nil && !row.eligible(s.query.now):
		c.dropped = droppedUnavailable
	case s.excluded[c.id]:
		c.dropped = droppedExcluded
	case row != nil && row.ItemGroupID != "" && s.groups[row.ItemGroupID]:
		c.dropped = droppedGroup
	case s.policy.dropCurrent && slices.Contains(s.current, c.id):
		c.dropped = droppedCurrent
		s.second = append(s.second, c)
	case s.bought[c.id]:
		c.dropped = droppedBought
		s.second = append(s.second, c)
	case s.policy.dropSeen && s.query.visitor.profile.HasSeen(c.id):
		c.dropped = droppedSeen
		s.second = append(s.second, c)
	default:
		s.show(c, row)
	}
}

func (s *selection) show(c *candidate, row *Row) {
	c.dropped = ""
	c.strongestFirst()
	if row != nil && row.ItemGroupID != "" {
		s.groups[row.ItemGroupID] = true
	}
	if n := len(s.shown); n > 0 {
		c.score = min(c.score, s.shown[n-1].score) // a later stage has its own scale: positions and scores agree
	}
	s.shown = append(s.shown, shownItem{candidate: c, row: row})
}

// relax fills a list that would be empty with what only the policy held back: the one item of a shop with one item.
func (s *selection) relax() {
	if len(s.shown) > 0 {
		return
	}
	held := s.second
	s.second = nil
	s.policy, s.bought = policy{}, nil
	s.query.catalogue.read(s.query.site, func(row func(string) *Row) {
		for _, c := range held {
			if !s.full() {
				s.admit(c, row(c.id))
			}
		}
	})
}

// rung is the best rung that any item of the list came from.
func (s *selection) rung() rung {
	best := rungStatic
	for _, item := range s.shown {
		for _, part := range item.parts {
			best = min(best, part.rung)
		}
	}
	return best
}
