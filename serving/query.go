package serving

import (
	"slices"
	"time"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/model/content"
)

const (
	// minPerSource is how many candidates a source brings at least, beyond twice the length of the list: enough that groups and
	// unavailable items rarely exhaust them. What is excluded takes none of the places.
	minPerSource = 50
	// minPerPageSource is likewise for what goes with a product or a cart where nothing but the list's own items, groups and what is
	// sold out is left out: three sources and the ladder stand by.
	minPerPageSource = 20
	// recentItems is how far back a personal query looks when there is no running session.
	recentItems = 20
)

// rung is a step of the ladder, best first. The list says the best rung that any of its items came from.
type rung int

const (
	rungNone     rung = iota // what was asked for
	rungSession              // the running session instead of the profile
	rungCategory             // wanted in the visitor's categories
	rungTrending             // wanted by everybody
	rungStatic               // the last list on disk, or anything eligible
)

func (r rung) String() string {
	return [...]string{"none", "session", "category", "trending", "static"}[r]
}

// query is a request with everything that answering it needs, as of one moment.
type query struct {
	site      string
	placement control.Placement // as the variant has it
	variant   string            // EXPERIMENT:ARM, or control.DefaultVariant
	request   *Request
	limit     int
	now       time.Time
	visitor   *visitor
	model     *loadedModel // nil while there is none
	similar   *content.Live
	trends    *siteTrends
	catalogue *Catalogue
	static    []string // the last list on disk
	items     []string // what the list follows from, oldest first
	set       bool     // items are a set: a product page or a cart
	expected  rung     // the rung that an undisturbed answer comes from
	settings  *Settings
	policy    policy
	diversity float64
	strict    bool // the list is left short rather than filled from the ladder

	exploration float64 // the share of lists that give a place to an item that hardly anybody has met
	mem         *scratch
	vectors     map[string]content.Vector // of a list that is made again, instead of those of similar; else nil

	rotation *rotation          // nil where the list does not rotate
	sunk     map[string]float64 // of a list that is made again, what was shown in vain, instead of mem.rotated; else nil

	profileLost bool // the visitor's profile could not be read
	filtered    bool // mem.restriction has filters
	boosted     bool // and boosts
}

// decide settles what the request, the settings and the kind of the placement choose, in this order.
func (q *query) decide() {
	q.policy, q.diversity, q.strict = policyOf(q.placement.Kind, q.settings), q.settings.Diversity, q.settings.Strict
	if q.request.Limit != nil {
		q.limit = *q.request.Limit
	}
	if q.request.Diversity != nil {
		q.diversity = *q.request.Diversity
	}
	if q.request.Strict != nil {
		q.strict = *q.request.Strict
	}
}

// follow decides what the list follows from: a product, a cart, or the visitor's running session; without a profile
// item_ids are the session.
func (q *query) follow() {
	switch q.placement.Kind {
	case control.KindItem:
		q.items, q.set = q.request.ItemIDs[:min(1, len(q.request.ItemIDs))], true
	case control.KindCart:
		q.items, q.set = q.request.ItemIDs, true
	case control.KindHome, control.KindSession, control.KindExplore:
		q.items = q.sessionItems()
		if len(q.items) == 0 {
			q.items = q.request.ItemIDs
			break
		}
		for _, id := range q.request.ItemIDs {
			if !slices.Contains(q.items, id) {
				q.items = append(q.items, id) // seen by the caller, not yet by the profile
			}
		}
	}
	if len(q.items) == 0 && !q.profileLost {
		q.expected = rungTrending // an ordinary list for somebody of whom nothing is known
	}
}

// sessionItems are the items of the visitor's running session, oldest first, and before them so many older ones of the
// longer memory that the home page and the list of new items have.
func (q *query) sessionItems() []string {
	p := &q.visitor.profile
	items := q.mem.items[:0]
	defer func() { q.mem.items = items }()
	if q.placement.Kind != control.KindSession || len(p.Session.Items) == 0 {
		for _, in := range slices.Backward(p.Interactions[:min(len(p.Interactions), recentItems)]) {
			if len(items) == 0 || items[len(items)-1] != in.ItemID {
				items = append(items, in.ItemID)
			}
		}
		return items
	}
	for _, seen := range p.Session.Items {
		items = append(items, seen.ItemID)
	}
	return items
}

// reach is how many candidates a source brings.
func (q *query) reach() int {
	capped := q.settings.MaxPerBrand > 0 || q.settings.MaxPerCategory > 0
	if q.set && !q.filtered && !capped && q.diversity == 0 {
		return minPerPageSource + 2*q.limit
	}
	return minPerSource + 2*q.limit
}
