package eval

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/model"
)

// Prediction is one answer beside the truth.
type Prediction struct {
	List   []model.Scored // as the scorer gave it, best first
	Wanted []int32        // the relevant items, each once; -1 is one that no model knows
	Hits   []int          // places in List, counted from 1 and rising, at which there is a wanted item
}

// hits returns how many of the first k are wanted.
func (p Prediction) hits(k int) int {
	n := 0
	for n < len(p.Hits) && p.Hits[n] <= k {
		n++
	}
	return n
}

// Metric is a figure of one prediction; its value over a test is the mean over all predictions. It is not a number where a
// prediction says nothing, such as how alike the items of an empty list are; those are left out of the mean.
type Metric struct {
	Name string
	Of   func(Prediction) float64
}

func at(name string, k int) string { return fmt.Sprintf("%s@%d", name, k) }

// Observer sees every prediction of a test, group after group.
type Observer interface {
	Observe(group int, c *Case, p Prediction)
}

// Measure asks a scorer every case of a test for a list of depth items.
func Measure(ctx context.Context, scorer model.Scorer, test *Test, depth int, metrics []Metric, observers ...Observer) (*Outcome, error) {
	o := newOutcome(metrics)
	var list []model.Scored
	var hits []int
	for g := range test.Groups() {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("evaluate %s: %w", scorer.Name(), err)
		}
		o.open(test.groups[g])
		for c := range test.Group(g) {
			began := time.Now()
			list = scorer.Score(list[:0], c.Query, depth)
			o.Latency = append(o.Latency, time.Since(began))
			hits = appendHits(hits[:0], list, c.Wanted)
			p := Prediction{List: list, Wanted: c.Wanted, Hits: hits}
			o.add(metrics, g, p)
			for _, observer := range observers {
				observer.Observe(test.groups[g], c, p)
			}
		}
	}
	return o, nil
}

// fewWanted is up to how many wanted items looking through them beats looking them up.
const fewWanted = 16

// appendHits appends the places of the wanted items in a list.
func appendHits(hits []int, list []model.Scored, wanted []int32) []int {
	find := func(item int32) bool { return slices.Contains(wanted, item) }
	if len(wanted) > fewWanted {
		set := make(map[int32]struct{}, len(wanted))
		for _, item := range wanted {
			set[item] = struct{}{}
		}
		find = func(item int32) bool { _, ok := set[item]; return ok }
	}
	for i, s := range list {
		if s.Item >= 0 && find(s.Item) {
			hits = append(hits, i+1)
		}
	}
	return hits
}
