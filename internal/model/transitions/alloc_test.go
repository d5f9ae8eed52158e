//go:build !race

package transitions

import (
	"testing"

	"github.com/millrace/millrace/internal/model"
)

// The race detector makes pools forget at random, so this test is built without it. Overlays follow each other, as they do
// every second: a new one, and a few new items in it, cost a request nothing.
func TestScoreDoesNotAllocate(t *testing.T) {
	s := randomSessions(1, 200)
	m, err := Fit(Default(), s, numItems)
	if err != nil {
		t.Fatal(err)
	}
	scorers := []model.Scorer{m}
	for items := numItems; items < numItems+5; items++ {
		o, err := Over(m, randomSessions(2, 20), items)
		if err != nil {
			t.Fatal(err)
		}
		scorers = append(scorers, o)
	}
	q := model.Query{Items: []int32{1, 2, 3, 4, 5}}
	dst := make([]model.Scored, 0, 20)
	if n := testing.AllocsPerRun(200, func() {
		for _, scorer := range scorers {
			dst = scorer.Score(dst[:0], q, 20)
		}
	}); n > 0 {
		t.Errorf("%g allocations in %d queries", n, len(scorers))
	}
}
