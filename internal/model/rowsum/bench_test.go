package rowsum

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/millrace/millrace/internal/model"
)

// BenchmarkQuery answers as the linear models do in a shop of middling size: rows of some 190 items, in rising order, that lie about
// a department, the popular ones of it in most rows; and sessions within one department.
func BenchmarkQuery(b *testing.B) {
	const numItems, department, row = 36_000, 1500, 210
	rng := rand.New(rand.NewPCG(1, 0))
	near := func(item int) int32 {
		x := rng.Float64()
		return int32(item/department*department + int(x*x*department))
	}
	m := NewMatrix(numItems)
	for item := range numItems {
		var others []int32
		for range row {
			others = append(others, near(item))
		}
		slices.Sort(others)
		for _, other := range slices.Compact(others) {
			m.Append(other, float32(rng.NormFloat64()+1))
		}
		m.EndRow()
	}
	for _, size := range []struct{ items, k int }{{1, 100}, {5, 100}, {10, 20}, {10, 100}, {50, 100}} {
		sessions := make([][]int32, 512)
		for i := range sessions {
			at := rng.IntN(numItems)
			for range size.items {
				sessions[i] = append(sessions[i], near(at))
			}
		}
		b.Run(fmt.Sprintf("%d best after %d items", size.k, size.items), func(b *testing.B) {
			pool, dst, touched, n := NewPool(), make([]model.Scored, 0, size.k), 0, 0
			b.ReportAllocs()
			for b.Loop() {
				session := sessions[n%len(sessions)]
				s := pool.Get()
				s.Begin(numItems)
				s.Take(session, 300, 1)
				for _, r := range s.Recent {
					s.AddRow(&m, m.Weights, r.Item, r.Weight)
				}
				dst = s.Answer(dst[:0], model.Excluded{session}, size.k, nil)
				touched += len(s.touched)
				pool.Put(s)
				n++
			}
			b.ReportMetric(float64(touched)/float64(n), "touched")
		})
	}
}
