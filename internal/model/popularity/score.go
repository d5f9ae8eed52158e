package popularity

import (
	"slices"

	"github.com/millrace/millrace/internal/model"
)

// Names under which the two rankings answer queries.
const (
	Name         = "popularity"
	TrendingName = "trending"
)

// Name implements model.Scorer.
func (m *Model) Name() string { return Name }

// With returns the model with another repeat policy; the rankings are shared.
func (m *Model) With(policy model.RepeatPolicy) *Model {
	out := *m
	out.cfg.Repeats = policy
	return &out
}

// Config returns the configuration that the model was fitted with.
func (m *Model) Config() Config { return m.cfg }

// Score implements model.Scorer with the most popular items, in the visitor's segment where it has a ranking.
func (m *Model) Score(dst []model.Scored, q model.Query, k int) []model.Scored {
	if i, ok := slices.BinarySearch(m.segments, q.Segment); ok {
		return m.bySegment[i].head(dst, q.Excluded(m.cfg.Repeats), q.Only, k)
	}
	return m.overall.head(dst, q.Excluded(m.cfg.Repeats), q.Only, k)
}

// ScoreCategory is Score within one category; an unknown category appends nothing.
func (m *Model) ScoreCategory(dst []model.Scored, category string, q model.Query, k int) []model.Scored {
	i, ok := slices.BinarySearch(m.categories, category)
	if !ok {
		return dst
	}
	return m.byCategory[i].head(dst, q.Excluded(m.cfg.Repeats), q.Only, k)
}

// ScoreTrending is ScoreCategory by trend.
func (m *Model) ScoreTrending(dst []model.Scored, category string, q model.Query, k int) []model.Scored {
	i, ok := slices.BinarySearch(m.categories, category)
	if !ok || m.risingIn == nil {
		return dst
	}
	return m.risingIn[i].head(dst, q.Excluded(m.cfg.Repeats), q.Only, k)
}

// Categories returns the categories that have a ranking, in alphabetical order; the slice must not be changed.
func (m *Model) Categories() []string { return m.categories }

// Trending returns a scorer of the items that are clicked more than usual. A score of 2 means twice what was expected.
func (m *Model) Trending() model.Scorer { return trendingScorer{m} }

type trendingScorer struct{ m *Model }

func (s trendingScorer) Name() string { return TrendingName }

func (s trendingScorer) Score(dst []model.Scored, q model.Query, k int) []model.Scored {
	return s.m.trending.head(dst, q.Excluded(s.m.cfg.Repeats), q.Only, k)
}

// head appends the first k items that are not excluded.
func (r ranking) head(dst []model.Scored, excluded model.Excluded, only *model.Mask, k int) []model.Scored {
	for i, item := range r.items {
		if k <= 0 {
			break
		}
		if excluded.Has(item) || !only.Allows(item) {
			continue
		}
		dst = append(dst, model.Scored{Item: item, Score: r.scores[i], Because: model.NoCause})
		k--
	}
	return dst
}
