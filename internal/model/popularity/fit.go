package popularity

import (
	"cmp"
	"fmt"
	"maps"
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
	risingIn   []ranking // by category: the trend; nil in a model of an earlier file
	segments   []string  // sorted
	bySegment  []ranking
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
	clicks, trends := decayed(sessions, numItems, cfg.HalfLife), trend(cfg, sessions, numItems)
	m := &Model{cfg: cfg, overall: rank(clicks, numItems), trending: rank(trends, numItems)}
	members := membersOf(clicks, categories)
	m.categories = slices.Sorted(maps.Keys(members))
	m.byCategory, m.risingIn = rankMembers(cfg, m.categories, members, clicks), rankMembers(cfg, m.categories, members, trends)
	m.segments, m.bySegment = rankSegments(cfg, sessions, clicks)
	return m, nil
}

// decayed counts the clicks of each item as seen at the newest event, each by its weight.
func decayed(sessions *model.Sessions, numItems int, halfLife time.Duration) []float64 {
	counts := make([]float64, numItems)
	now := sessions.Newest()
	for i, item := range sessions.Items {
		counts[item] += float64(sessions.Weight(i)) * remains(sessions.Times[i], now, halfLife)
	}
	return counts
}

// remains is what the half-life leaves at one time of a click of another, in Unix milliseconds.
func remains(then, now int64, halfLife time.Duration) float64 {
	if halfLife == 0 {
		return 1
	}
	return math.Exp2(-float64(time.Duration(now-then)*time.Millisecond) / float64(halfLife))
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
	var best topk.Best
	best.Reset(k)
	for item, score := range scores {
		if score > 0 {
			best.Push(int32(item), float32(score))
		}
	}
	return newRanking(&best)
}

func newRanking(best *topk.Best) ranking {
	entries := best.Sorted()
	r := ranking{items: make([]int32, len(entries)), scores: make([]float32, len(entries))}
	for i, e := range entries {
		r.items[i], r.scores[i] = e.ID, e.Score
	}
	return r
}

// membersOf lists the items of each category that were clicked, in their order.
func membersOf(clicks []float64, categories [][]string) map[string][]int32 {
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
	return members
}

// rankMembers ranks the items of each category by their scores.
func rankMembers(cfg Config, names []string, members map[string][]int32, scores []float64) []ranking {
	rankings := make([]ranking, len(names))
	var best topk.Best
	for i, name := range names {
		best.Reset(cfg.PerCategory)
		for _, item := range members[name] {
			best.Push(item, float32(scores[item]))
		}
		rankings[i] = newRanking(&best)
	}
	return rankings
}

const (
	// maxSegments bounds the segments that have a ranking, to those of most sessions.
	maxSegments = 16
	// perSegment bounds a segment's ranking: it is asked for lists, and nobody reads further.
	perSegment = 2000
)

// rankSegments ranks for each segment by its own clicks, and by everybody's as far as the prior goes.
func rankSegments(cfg Config, sessions *model.Sessions, clicks []float64) ([]string, []ranking) {
	total := 0.0
	for _, n := range clicks {
		total += n
	}
	if cfg.SegmentPrior == 0 || sessions.Segments == nil || total == 0 {
		return nil, nil
	}
	names := largestSegments(sessions)
	now := sessions.Newest()
	var rankings []ranking
	for _, name := range names {
		own := make([]float64, len(clicks))
		for item, n := range clicks {
			own[item] = cfg.SegmentPrior * n / total
		}
		for s, segment := range sessions.Segments {
			for e := sessions.Offsets[s]; segment == name && e < sessions.Offsets[s+1]; e++ {
				own[sessions.Items[e]] += float64(sessions.Weight(e)) * remains(sessions.Times[e], now, cfg.HalfLife)
			}
		}
		rankings = append(rankings, rank(own, perSegment))
	}
	return names, rankings
}

// largestSegments are the known segments of most sessions, in alphabetical order.
func largestSegments(sessions *model.Sessions) []string {
	counts := map[string]int{}
	for _, name := range sessions.Segments {
		if name != "" {
			counts[name]++
		}
	}
	names := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	names = names[:min(len(names), maxSegments)]
	slices.Sort(names)
	return names
}
