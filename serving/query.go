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
	mem       *scratch

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
func (q *query) reach() int { return minPerSource + q.limit + len(q.request.ExcludeIDs) }

// stage is one step of candidate generation, which puts sources before the ranking. Later stages are asked only while the list is
// not full, those of last resort only while it is empty.
type stage struct {
	lastResort bool
	ask        func(*query)
}

// propose puts a source before the ranking.
func (q *query) propose(s source) {
	if len(s.items) > 0 {
		q.mem.sources = append(q.mem.sources, s)
	}
}

// stages lists where a placement's candidates come from, in the order in which they are asked: what the placement is for, and the
// ladder below it.
func (q *query) stages() []stage {
	list := q.mem.stages[:0]
	then := func(asked ...func(*query)) {
		for _, ask := range asked {
			list = append(list, stage{ask: ask})
		}
	}
	ladder, shy := ladderWhole, false
	switch q.placement.Kind {
	case control.KindTrending:
		q.expected, ladder = rungTrending, ladderAnything
		then((*query).askTrends, (*query).askPopularity)
	case control.KindPopular:
		q.expected, ladder = rungTrending, ladderAnything
		then((*query).askPopularity)
	case control.KindRecent, control.KindAgain:
		shy = true // two items that were viewed are a better answer than two and ten others
		then(func(q *query) { q.propose(q.fromHistory()) })
	case control.KindHome:
		then((*query).askHome)
	case control.KindCart:
		then(func(q *query) { q.propose(q.fromBaskets(1)) }, (*query).askTransitions, func(q *query) { q.propose(q.fromSession(1)) },
			(*query).askContent)
	case control.KindItem:
		then((*query).askItem)
	case control.KindExplore:
		q.expected = rungTrending
		then(func(q *query) { q.propose(q.fromUnmet()) })
	default:
		then((*query).askNext, (*query).askTransitions, (*query).askContent)
	}
	for i, ask := range fallbacks() {
		if i >= ladder {
			list = append(list, stage{ask: ask, lastResort: shy || i >= ladderAnything})
		}
	}
	q.mem.stages = list
	return list
}

// Where a placement steps on the ladder.
const (
	ladderWhole    = 0
	ladderAnything = 2 // of last resort
)

// fallbacks is the ladder.
func fallbacks() [4]func(*query) {
	return [...]func(*query){
		func(q *query) { q.propose(q.fromCategories(1)) },
		func(q *query) {
			q.propose(q.fromTrends(1))
			q.propose(q.fromPopularity(0.5))
		},
		func(q *query) { q.propose(q.fromStatic()) },
		func(q *query) { q.propose(q.fromCatalogue()) },
	}
}

func (q *query) askTrends()      { q.propose(q.fromTrends(1)) }
func (q *query) askPopularity()  { q.propose(q.fromPopularity(1)) }
func (q *query) askTransitions() { q.propose(q.fromTransitions(1)) }
func (q *query) askContent()     { q.propose(q.fromContent(1)) }

// askHome asks everything that is known of a visitor, and a little of what everybody wants.
func (q *query) askHome() {
	q.askPersonal(0.4)
	q.propose(q.fromTransitions(0.3))
	personal := len(q.mem.sources)
	q.propose(q.fromCategories(0.7))
	q.besideThin(personal, 0.05)
	q.propose(q.fromTrends(0.1))
	q.propose(q.fromPopularity(0.05))
}

// askItem asks what goes with a product.
func (q *query) askItem() {
	q.propose(q.fromTransitions(1))
	q.propose(q.fromSession(0.3))
	q.propose(q.fromContent(0.35))
}

// askNext asks what comes next.
func (q *query) askNext() {
	q.askPersonal(1)
	q.besideThin(len(q.mem.sources), 0.1)
}
