//go:build !race

package blend

import (
	"math/rand/v2"
	"testing"

	"github.com/millrace/millrace/internal/model"
)

// The race detector makes pools forget at random, so this test is built without it.
func TestScoreDoesNotAllocate(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	scorers := map[string]model.Scorer{"a": randomLists(rng, "a", 3, 200), "b": randomLists(rng, "b", 3, 200)}
	m, err := New(Config{Members: []string{"a", "b"}, Depth: 100, Scale: ScaleTop, Contexts: []Context{{Weights: []float32{1, 0.5}}}}, scorers)
	if err != nil {
		t.Fatal(err)
	}
	q := model.Query{Items: []int32{1, 2}}
	dst := make([]model.Scored, 0, 20)
	if n := testing.AllocsPerRun(200, func() { dst = m.Score(dst[:0], q, 20) }); n > 0 {
		t.Errorf("%g allocations a query", n)
	}
}

func BenchmarkScore(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 1))
	scorers, members := map[string]model.Scorer{}, []string{"a", "b", "c", "d", "e"}
	weights := []float32{1, 0.5, 0.3, 0.2, 0.1}
	for _, name := range members {
		scorers[name] = randomLists(rng, name, 3, 400)
	}
	m, err := New(Config{Members: members, Depth: 100, Scale: ScaleTop, Contexts: []Context{{Weights: weights}}}, scorers)
	if err != nil {
		b.Fatal(err)
	}
	dst := make([]model.Scored, 0, 20)
	for b.Loop() {
		dst = m.Score(dst[:0], model.Query{Items: []int32{1, 2}}, 20)
	}
}
