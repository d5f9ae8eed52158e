//go:build !race

package rowsum

import (
	"math/rand/v2"
	"testing"

	"github.com/millrace/millrace/internal/model"
)

// The race detector makes pools forget at random, so this test is built without it.
func TestAQueryDoesNotAllocate(t *testing.T) {
	m := randomMatrix(rand.New(rand.NewPCG(1, 0)), 100)
	pool, dst := NewPool(), make([]model.Scored, 0, 20)
	items, history := []int32{1, 2, 3}, []int32{4, 5}
	if n := testing.AllocsPerRun(200, func() {
		s := pool.Get()
		defer pool.Put(s)
		s.Begin(m.NumItems())
		s.Take(items, 10, 0.9)
		s.Take(history, 10, 0.9)
		for _, r := range s.Recent {
			s.AddRow(&m, m.Weights, r.Item, r.Weight)
		}
		dst = s.Answer(dst[:0], model.Excluded{items, history}, 20, nil)
	}); n > 0 {
		t.Errorf("%g allocations in a query", n)
	}
}
