//go:build !race

package ials

import (
	"fmt"
	"testing"

	"github.com/millrace/millrace/internal/model"
)

// The race detector makes pools forget at random, so this test is built without it.
func TestScoreDoesNotAllocate(t *testing.T) {
	m := fit(t, tested(), randomInteractions(8, 300, 200))
	q := model.Query{Items: []int32{1, 2, 3, 4, 5}, History: []int32{7, 8, 9, 2, 7, 10, 11}}
	dst := make([]model.Scored, 0, 20)
	if n := testing.AllocsPerRun(200, func() { dst = m.Score(dst[:0], q, 20) }); n > 0 {
		t.Errorf("%g allocations a query", n)
	}
}

// BenchmarkScore asks for a hundred of 20,000 items in 64 dimensions, for visitors of few and of many items.
func BenchmarkScore(b *testing.B) {
	const items = 20_000
	cfg := Default(items)
	cfg.Iterations = 1
	m := fit(b, cfg, randomInteractions(12, 30_000, items))
	dst := make([]model.Scored, 0, 100)
	for _, n := range []int32{2, 8, 32, 33} {
		q := model.Query{}
		for i := range n {
			q.Items = append(q.Items, 37*i)
		}
		b.Run(fmt.Sprint("items=", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				dst = m.Score(dst[:0], q, 100)
			}
		})
	}
}
