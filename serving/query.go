package serving

import (
	"slices"
	"time"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/model/content"
)

const (
	// minPerSource is how many candidates a source brings at least, beyond the length of the list and of what is
	// excluded: enough that groups and unavailable items rarely exhaust them.
	minPerSource = 100
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
	placement control.Placement
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
	policy    policy
	seen      map[string]bool // what counts less because the visitor has seen it

	profileLost bool // the visitor's profile could not be read
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
	var items []string
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
func (q *query) reach() int { return minPerSource + q.limit + len(q.request.ExcludeIDs) }

// stage is one step of candidate generation. Later stages are asked only while the list is not full, those of last
// resort only while it is empty.
type stage struct {
	lastResort bool
	sources    func() []source
}

// stages lists where a placement's candidates come from, in the order in which they are asked.
func (q *query) stages() []stage {
	alike := stage{sources: func() []source { return []source{q.fromContent(1)} }}
	fillers := []stage{
		{sources: func() []source { return []source{q.fromCategories(1)} }},
		{sources: func() []source { return []source{q.fromTrends(1), q.fromPopularity(0.5)} }},
		{lastResort: true, sources: func() []source { return []source{q.fromStatic()} }},
		{lastResort: true, sources: func() []source { return []source{q.fromCatalogue()} }},
	}
	switch q.placement.Kind {
	case control.KindTrending:
		q.expected = rungTrending
		return append([]stage{{sources: func() []source { return []source{q.fromTrends(1)} }},
			{sources: func() []source { return []source{q.fromPopularity(1)} }}}, fillers[2:]...)
	case control.KindPopular:
		q.expected = rungTrending
		return append([]stage{{sources: func() []source { return []source{q.fromPopularity(1)} }}}, fillers[2:]...)
	case control.KindRecent, control.KindAgain:
		for i := range fillers {
			fillers[i].lastResort = true // two items that were viewed are a better answer than two and ten others
		}
		return append([]stage{{sources: func() []source { return []source{q.fromHistory()} }}}, fillers...)
	case control.KindHome:
		return append([]stage{{sources: func() []source {
			personal := append(q.personal(0.4), q.fromTransitions(0.3))
			return append(personal, q.fromCategories(0.7), q.besideThin(personal, 0.05), q.fromTrends(0.1), q.fromPopularity(0.05))
		}}}, fillers...)
	case control.KindCart:
		return append([]stage{{sources: func() []source { return []source{q.fromBaskets(1)} }},
			{sources: func() []source { return []source{q.fromTransitions(1)} }},
			{sources: func() []source { return []source{q.fromSession(1)} }}, alike}, fillers...)
	case control.KindItem:
		return append([]stage{{sources: func() []source {
			return []source{q.fromTransitions(1), q.fromSession(0.3), q.fromContent(0.35)}
		}}}, fillers...)
	case control.KindExplore:
		q.expected = rungTrending
		return append([]stage{{sources: func() []source { return []source{q.fromUnmet()} }}}, fillers...)
	default:
		return append([]stage{{sources: func() []source {
			personal := q.personal(1)
			return append(personal, q.besideThin(personal, 0.1))
		}}, {sources: func() []source { return []source{q.fromTransitions(1)} }}, alike}, fillers...)
	}
}
