//go:build !race

package content

import (
	"testing"

	"github.com/millrace/millrace/internal/model"
)

// The race detector makes pools forget at random, so this test is built without it.
func TestQueriesDoNotAllocate(t *testing.T) {
	items := randomItems(3, 500)
	m := fit(t, Default(), items)
	l, ids := liveOf(t, items), []string{}
	for _, it := range items[:20] {
		if it != nil {
			ids = append(ids, it.ItemID)
		}
	}
	q := model.Query{Items: []int32{1, 2, 3, 4, 5, 6}}
	scored, similar := make([]model.Scored, 0, 50), make([]Similar, 0, 50)
	if n := testing.AllocsPerRun(200, func() {
		scored = m.Score(scored[:0], q, 50)
		similar = l.Similar(similar[:0], Query{Items: ids[:5], Now: noon}, 50)
		similar = l.Compare(similar[:0], Query{Items: ids[:5], Now: noon}, ids)
	}); n > 0 {
		t.Errorf("%g allocations a query", n)
	}
	if len(scored) == 0 || len(similar) == 0 {
		t.Error("nothing was answered")
	}
}
