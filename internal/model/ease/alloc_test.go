//go:build !race

package ease

import (
	"testing"

	"github.com/millrace/millrace/internal/model"
)

// The race detector makes pools forget at random, so this test is built without it.
func TestScoreDoesNotAllocate(t *testing.T) {
	m := fit(t, Default(), randomInteractions(8, 300, 200))
	q := model.Query{Items: []int32{1, 2, 3, 4, 5}, History: []int32{7, 8, 9, 2, 7, 10, 11}}
	dst := make([]model.Scored, 0, 20)
	if n := testing.AllocsPerRun(200, func() { dst = m.Score(dst[:0], q, 20) }); n > 0 {
		t.Errorf("%g allocations a query", n)
	}
}
