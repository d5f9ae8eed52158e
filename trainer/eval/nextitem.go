package eval

import (
	"slices"
	"time"

	"github.com/millrace/millrace/internal/model"
)

// NextItem reveals every session one event at a time and asks for the next one: a session of n events makes n-1 cases,
// which are a group. Items of -1 are unknown: they are not asked with, and are a miss when they are wanted.
func NextItem(sessions *model.Sessions) *Test {
	counts := make([]int, sessions.Len())
	for s := range counts {
		items, _ := sessions.At(s)
		counts[s] = max(len(items)-1, 0)
	}
	return newTest(UnitSession, hitsAndRanks, counts, func(s int, yield yields) { reveal(sessions.Session(s), yield) })
}

// reveal yields the cases of one session.
func reveal(s model.Session, yield yields) {
	known := s.Items
	if slices.Contains(known, unknownItem) {
		known = slices.DeleteFunc(slices.Clone(known), func(item int32) bool { return item == unknownItem })
	}
	asked := 0 // known items so far
	for e := range max(len(s.Items)-1, 0) {
		if s.Items[e] != unknownItem {
			asked++
		}
		c := Case{
			Query:  model.Query{Items: known[:asked:asked], Segment: s.Segment, Now: time.UnixMilli(s.Times[e])},
			Wanted: s.Items[e+1 : e+2],
		}
		if !yield(&c) {
			return
		}
	}
}

// unknownItem stands for an item outside the vocabulary.
const unknownItem int32 = -1

// hitsAndRanks is the mean of HR and MRR, so that one setting does well in both. MRR alone, or NDCG which follows it,
// prefers settings that put little but the nearest item into the list.
func hitsAndRanks(depth int) Metric {
	hr, mrr := HR(depth), MRR(depth)
	return Metric{
		Name: "mean of " + hr.Name + " and " + mrr.Name,
		Of:   func(p Prediction) float64 { return (hr.Of(p) + mrr.Of(p)) / 2 },
	}
}
