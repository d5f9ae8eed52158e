package serving

import "github.com/millrace/millrace/internal/control"

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
		then((*query).askHistory)
	case control.KindHome:
		then((*query).askHome)
	case control.KindCart:
		then((*query).askBaskets, (*query).askTransitions, (*query).askSession, (*query).askContent)
	case control.KindItem:
		then((*query).askItem)
	case control.KindExplore:
		q.expected = rungTrending
		then((*query).askUnmet)
	default:
		then((*query).askNext, (*query).askTransitions, (*query).askContent)
	}
	if len(q.settings.Sources) > 0 {
		list = list[:0]
		then((*query).askChosen)
	}
	for i, ask := range fallbacks() {
		if i >= ladder {
			if i == ladderAnything && q.filtered {
				list = append(list, stage{ask: (*query).askMatching, lastResort: shy || q.strict})
			}
			list = append(list, stage{ask: ask, lastResort: shy || q.strict || i >= ladderAnything})
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
func (q *query) askSession()     { q.propose(q.fromSession(1)) }
func (q *query) askTransitions() { q.propose(q.fromTransitions(1)) }
func (q *query) askBaskets()     { q.propose(q.fromBaskets(1)) }
func (q *query) askContent()     { q.propose(q.fromContent(1)) }
func (q *query) askHistory()     { q.propose(q.fromHistory()) }
func (q *query) askUnmet()       { q.propose(q.fromUnmet()) }

// askHome asks everything that is known of a visitor, and a little of what everybody wants.
func (q *query) askHome() {
	q.askPersonal(0.4)
	q.propose(q.fromTransitions(0.1))
	personal := len(q.mem.sources)
	wanted := q.fromCategories(2)
	if q.model != nil && !q.profileLost {
		wanted.rung = rungNone // beside a model, the taste that a profile tells is a part of what was asked for
	}
	q.propose(wanted)
	q.besideThin(personal, 0.05)
	q.propose(q.fromTrends(0.02))
	q.propose(q.fromPopularity(0.1))
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

// namedSource is a source that the settings of a placement may choose.
type namedSource struct {
	name string
	ask  func(q *query, weight float64)
}

// namedSources lists the sources that settings may choose, in the order in which they are asked.
func namedSources() []namedSource {
	one := func(from func(*query, float64) source) func(*query, float64) {
		return func(q *query, weight float64) { q.propose(from(q, weight)) }
	}
	return []namedSource{
		{"personal", (*query).askPersonal},
		{"session", one((*query).fromSession)},
		{"transitions", one((*query).fromTransitions)},
		{"baskets", one((*query).fromBaskets)},
		{"content", one((*query).fromContent)},
		{sourceCategory, one((*query).fromCategories)},
		{sourceTrending, one((*query).fromTrends)},
		{sourcePopularity, one((*query).fromPopularity)},
		{sourceUnmet, one(func(q *query, weight float64) source {
			s := q.fromUnmet()
			s.weight = weight
			return s
		})},
	}
}

// askChosen asks the sources that the settings choose.
func (q *query) askChosen() {
	for _, s := range namedSources() {
		if weight, ok := q.settings.Sources[s.name]; ok {
			s.ask(q, weight)
		}
	}
}
