package serving

import (
	"slices"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/feature"
	"github.com/millrace/millrace/internal/model"
)

// Names of the sources besides the model families, as they stand in served_by and in exposures.
const (
	sourceCategory   = "category"   // wanted items of the visitor's categories
	sourceTrending   = "trending"   // rising items, from item aggregates or the model
	sourcePopularity = "popularity" // most wanted items
	sourceRecent     = "recent"     // what the visitor looked at
	sourceAgain      = "again"      // what the visitor bought
	sourceStatic     = "static"     // the last list on disk
	sourceCatalogue  = "catalogue"  // anything that may be shown
	sourceUnmet      = "unmet"      // what hardly anybody has met yet
)

// proposal is one item of one source. Origin is what brought it: an item for a model family, a category for
// sourceCategory, "" where it follows from nothing.
type proposal struct {
	id     string
	score  float64
	origin string
	number int32 // of the candidate, once it is ranked
}

// source is one family's proposals with its weight in the blend.
type source struct {
	family string
	rung   rung
	weight float64
	scale  float64 // the score that counts as 1; 0 for that of the first item
	items  []proposal
	model  bool // the version in force made it, and makes the same again
}

// fromSession asks the session model.
func (q *query) fromSession(weight float64) source {
	if q.model == nil || q.model.session == nil {
		return source{}
	}
	return q.fromModel(q.model.session, &q.model.pages.session, weight)
}

// fromTransitions asks the item-to-item model.
func (q *query) fromTransitions(weight float64) source {
	if q.model == nil || q.model.transitions == nil {
		return source{}
	}
	return q.fromModel(q.model.transitions, &q.model.pages.transitions, weight)
}

// fromBaskets asks what is bought together.
func (q *query) fromBaskets(weight float64) source {
	if q.model == nil || q.model.baskets == nil {
		return source{}
	}
	return q.fromModel(q.model.baskets, nil, weight)
}

// fromModel asks a family, or the lists of product pages that are remembered of it, if any are.
func (q *query) fromModel(scorer model.Scorer, pages *familyLists, weight float64) source {
	s := source{family: scorer.Name(), weight: weight, model: true}
	if q.profileLost && q.placement.Kind == control.KindHome {
		s.rung = rungSession // a personal list was asked for, and only the request's own session is there
	}
	vocabulary := q.model.Vocabulary
	q.mem.indices = vocabulary.Indices(q.mem.indices[:0], q.items)
	if len(q.mem.indices) == 0 {
		return s
	}
	scored := q.scores(scorer, pages)
	s.items = q.mem.proposals.take(len(scored))
	for _, sc := range scored {
		p := proposal{id: vocabulary.ID(sc.Item), score: float64(sc.Score)}
		if sc.Because != model.NoCause {
			p.origin = vocabulary.ID(sc.Because)
		}
		s.items = append(s.items, p)
	}
	return s
}

// scores is what a family says, without what is excluded and what filters do not leave. What is remembered of a product page knows
// nothing of that; where nothing of it is excluded, it is the answer all the same.
func (q *query) scores(scorer model.Scorer, pages *familyLists) []model.Scored {
	asked := model.Query{Items: q.mem.indices, Set: q.set, Now: q.now}
	if pages != nil && asked.Set && len(asked.Items) == 1 && !q.filtered {
		if scored := pages.score(scorer, q.mem.scored, asked, q.reach()); !q.excludesAny(scored) {
			return scored
		}
	}
	asked.Only = q.only()
	q.mem.scored = scorer.Score(q.mem.scored[:0], asked, q.reach())
	return q.mem.scored
}

// fromTrends brings what rises now, by the item aggregates or else by the model.
func (q *query) fromTrends(weight float64) source {
	s := source{family: sourceTrending, rung: rungTrending, weight: weight}
	reach := q.reach()
	s.items = q.mem.proposals.take(reach)
	for _, it := range q.trends.trending {
		if len(s.items) == reach {
			break
		}
		if !q.leavesOut(it.place-1, it.id) {
			s.items = append(s.items, proposal{id: it.id, score: it.trend})
		}
	}
	if len(s.items) == 0 && q.model != nil {
		s.model = true
		s.items = q.ranking(q.model.Popularity.Trending())
	}
	return s
}

// fromPopularity brings what is wanted most, by the item aggregates or else by the model.
func (q *query) fromPopularity(weight float64) source {
	s := source{family: sourcePopularity, rung: rungTrending, weight: weight}
	reach := q.reach()
	s.items = q.mem.proposals.take(reach)
	for it := range q.popularLeft() { // most wanted first
		if len(s.items) == reach || !(it.interest > 0) {
			break
		}
		s.items = append(s.items, proposal{id: it.id, score: it.interest})
	}
	if len(s.items) == 0 && q.model != nil {
		s.model = true
		s.items = q.ranking(q.model.Popularity)
	}
	return s
}

// ranking is a model's list that follows from nothing.
func (q *query) ranking(scorer model.Scorer) []proposal {
	scored := scorer.Score(q.mem.scored[:0], model.Query{Only: q.only(), Now: q.now}, q.reach())
	q.mem.scored = scored
	items := q.mem.proposals.take(len(scored))
	for _, sc := range scored {
		items = append(items, proposal{id: q.model.Vocabulary.ID(sc.Item), score: float64(sc.Score)})
	}
	return items
}

// fromHistory brings back what the visitor looked at, or bought, newest first. The score is the time.
func (q *query) fromHistory() source {
	if q.placement.Kind == control.KindAgain {
		return q.history(sourceAgain, q.visitor.profile.Bought)
	}
	return q.history(sourceRecent, q.visitor.profile.Seen)
}

func (q *query) history(family string, history []feature.Seen) source {
	s := source{family: family, weight: 1, items: q.mem.proposals.take(len(history))}
	for i, seen := range history {
		s.items = append(s.items, proposal{id: seen.ItemID, score: 1 / float64(i+1)})
	}
	return s
}

// fromStatic brings the last list on disk.
func (q *query) fromStatic() source {
	s := source{family: sourceStatic, rung: rungStatic, weight: 1}
	for i, id := range q.static {
		s.items = append(s.items, proposal{id: id, score: 1 / float64(i+1)})
	}
	return s
}

// fromCatalogue brings every item that anything knows of: rows newest first, then items of events, then those of the
// model. It is asked only when nothing else could fill a single place, so its cost does not matter.
func (q *query) fromCatalogue() source {
	s := source{family: sourceCatalogue, rung: rungStatic, weight: 1}
	var rows []*Row
	q.catalogue.all(q.site, func(row *Row) bool {
		if row.eligible(q.now) {
			rows = append(rows, row)
		}
		return true
	})
	slices.SortFunc(rows, newestRow)
	add := func(id string) { s.items = append(s.items, proposal{id: id, score: 1 / float64(len(s.items)+1)}) }
	for _, row := range rows {
		add(row.ItemID)
	}
	for _, it := range q.trends.popular {
		add(it.id)
	}
	if q.model != nil {
		for i := range q.model.Vocabulary.Len() {
			add(q.model.Vocabulary.ID(int32(i)))
		}
	}
	return s
}
