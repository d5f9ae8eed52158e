package popularity

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/model"
	"github.com/millrace/millrace/internal/topk"
)

// ranking is a list of items, best first, with their scores.
type ranking struct {
	items  []int32
	scores []float32
}

// Model holds the finished rankings. All clicks age at the same rate, so their order at the newest event is their order
// at any later time, and a query is a walk down a list.
type Model struct {
	cfg        Config
	overall    ranking
	trending   ranking
	categories []string // sorted
	byCategory []ranking
}

// Fit ranks the items of the sessions. numItems is the size of the vocabulary; categories holds the categories of each
// item by index and may be nil or shorter than the vocabulary. Items without a click are in no ranking.
func Fit(cfg Config, sessions *model.Sessions, numItems int, categories [][]string) (*Model, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if err := sessions.Check(numItems); err != nil {
		return nil, fmt.Errorf("fit popularity: %w", err)
	}
	clicks := decayed(sessions, numItems, cfg.HalfLife)
	m := &Model{cfg: cfg, overall: rank(clicks, numItems), trending: rank(trend(cfg, sessions, numItems), numItems)}
	m.categories, m.byCategory = rankCategories(cfg, clicks, categories)
	return m, nil
}

// decayed counts the clicks of each item as seen at the newest event, each by its weight.
func decayed(sessions *model.Sessions, numItems int, halfLife time.Duration) []float64 {
	counts := make([]float64, numItems)
	now := sessions.Newest()
	for i, item := range sessions.Items {
		if halfLife == 0 {
			counts[item] += float64(sessions.Weight(i))
			continue
		}
		age := time.Duration(now-sessions.Times[i]) * time.Millisecond
		counts[item] += float64(sessions.Weight(i)) * math.Exp2(-float64(age)/float64(halfLife))
	}
	return counts
}

// trend is the ratio of the recent clicks to those that the slow average leads to expect, the prior added.
func trend(cfg Config, sessions *model.Sessions, numItems int) []float64 {
	fast := decayed(sessions, numItems, cfg.TrendFast)
	slow := decayed(sessions, numItems, cfg.TrendSlow)
	share := float64(cfg.TrendFast) / float64(cfg.TrendSlow)
	for item := range fast {
		fast[item] /= slow[item]*share + cfg.TrendPrior
	}
	return fast
}

// rank orders the items with a positive score and keeps the k best.
func rank(scores []float64, k int) ranking {
	var best topk.Heap
	best.Reset(k)
	for item, score := range scores {
		if score > 0 {
			best.Push(int32(item), float32(score))
		}
	}
	return newRanking(&best)
}

func newRanking(best *topk.Heap) ranking {
	entries := best.Sorted()
	r := ranking{items: make([]int32, len(entries)), scores: make([]float32, len(entries))}
	for i, e := range entries {
		r.items[i], r.scores[i] = e.ID, e.Score
	}
	return r
}

func rankCategories(cfg Config, clicks []float64, categories [][]string) ([]string, []ranking) {
	members := map[string][]int32{}
	for item, names := range categories {
		if item >= len(clicks) || !(clicks[item] > 0) {
			continue
		}
		for i, name := range names {
			if !slices.Contains(names[:i], name) {
				members[name] = append(members[name], int32(item))
			}
		}
	}
	names := make([]string, 0, len(members))
	for name := range members {
		names = append(names, name)
	}
	slices.Sort(names)
	rankings := make([]ranking, len(names))
	var best topk.Heap
	for i, name := range names {
		best.Reset(cfg.PerCategory)
		for _, item := range members[name] {
			best.Push(item, float32(clicks[item]))
		}
		rankings[i] = newRanking(&best)
	}
	return names, rankings
}
