package eval

import (
	"math"
	"slices"
	"sort"
	"time"

	"github.com/millrace/millrace/internal/model"
)

// unknownItem stands for an item outside the vocabulary.
const unknownItem int32 = -1

// NextItem reveals every session one event at a time and asks for the next one: a session of n events makes n-1 cases,
// which are a group. Items of -1 are unknown: they are not asked with, and are a miss when they are wanted.
func NextItem(sessions *model.Sessions) *Test {
	return (&nextItem{sessions: sessions, after: math.MinInt64}).test()
}

// nextItem makes the cases of sessions.
type nextItem struct {
	sessions *model.Sessions
	// source is the event of the log that each event is; nil where there is no log.
	source []int32
	// after is the time, in Unix milliseconds, after which an event has to be predicted: what happened until then, models
	// may have learned of others.
	after int64
	// past returns what the visitor of a session met before it; nil where no visitor is known.
	past func(session int) past
}

// past is a history: its known items, and all its events in the log.
type past struct{ items, events []int32 }

func (n *nextItem) test() *Test {
	t := &Test{Unit: UnitSession, Objective: hitsAndRanks, walk: n.reveal}
	for s := range n.sessions.Len() {
		items, _ := n.sessions.At(s)
		t.groups, t.counts = append(t.groups, s), append(t.counts, len(items)-n.first(s))
	}
	return t
}

// first returns the place of the first event of a session that is to be predicted.
func (n *nextItem) first(s int) int {
	_, times := n.sessions.At(s)
	return max(min(1, len(times)), sort.Search(len(times), func(e int) bool { return times[e] > n.after }))
}

// reveal yields the cases of one session.
func (n *nextItem) reveal(group int, yield yields) {
	s := n.sessions.Session(group)
	known, before := s.Items, past{}
	if slices.Contains(known, unknownItem) {
		known = slices.DeleteFunc(slices.Clone(known), func(item int32) bool { return item == unknownItem })
	}
	if n.past != nil {
		before = n.past(group)
	}
	asked := 0 // known items so far
	for e := range s.Items {
		if e >= max(n.first(group), 1) {
			c := Case{
				Query: model.Query{
					Items: known[:asked:asked], History: before.items, Segment: s.Segment, Now: time.UnixMilli(s.Times[e-1]),
				},
				Wanted: s.Items[e : e+1],
			}
			if n.source != nil {
				own := n.source[n.sessions.Offsets[group]:]
				c.from = evidence{history: before.events, items: own[:e], wanted: own[e : e+1]}
			}
			if !yield(&c) {
				return
			}
		}
		if s.Items[e] != unknownItem {
			asked++
		}
	}
}

// hitsAndRanks is the mean of HR and MRR, so that one setting does well in both. MRR alone, or NDCG which follows it,
// prefers settings that put little but the nearest item into the list.
func hitsAndRanks(depth int) Metric {
	hr, mrr := HR(depth), MRR(depth)
	return Metric{
		Name: "mean of " + hr.Name + " and " + mrr.Name,
		Of:   func(p Prediction) float64 { return (hr.Of(p) + mrr.Of(p)) / 2 },
	}
}
