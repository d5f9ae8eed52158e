//go:build !race

package basket

import (
	"testing"

	"github.com/millrace/millrace/internal/model"
)

// The race detector makes pools forget at random, so this test is built without it.
func TestScoreDoesNotAllocate(t *testing.T) {
	cfg := Default()
	cfg.Significance = 0
	m := fit(t, cfg, randomBaskets(1, 200), numItems)
	q := model.Query{Items: []int32{1, 2, 3, 4, 5}, Set: true}
	dst := make([]model.Scored, 0, 20)
	if n := testing.AllocsPerRun(200, func() { dst = m.Score(dst[:0], q, 20) }); n > 0 || len(dst) == 0 {
		t.Errorf("%g allocations in a query with %d answers", n, len(dst))
	}
}
