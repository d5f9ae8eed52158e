//go:build !race

package vmisknn

import (
	"testing"

	"github.com/millrace/millrace/internal/model"
)

// The race detector makes pools forget at random, so this test is built without it.
func TestScoreDoesNotAllocate(t *testing.T) {
	for _, scoring := range []Scoring{VMIS, VSTAN} {
		m := fit(t, Default(scoring), randomSessions(1, 500))
		q := model.Query{Items: []int32{1, 2, 3, 4, 5}}
		dst := make([]model.Scored, 0, 20)
		if n := testing.AllocsPerRun(200, func() { dst = m.Score(dst[:0], q, 20) }); n > 0 {
			t.Errorf("%s: %g allocations a query", scoring, n)
		}
	}
}
