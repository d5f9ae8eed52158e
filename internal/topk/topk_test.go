package topk

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// oracle sorts everything and cuts: plainly correct.
func oracle(all []Entry, k int) []Entry {
	out := slices.DeleteFunc(slices.Clone(all), func(e Entry) bool { return e.Score != e.Score })
	slices.SortFunc(out, func(a, b Entry) int {
		if a.Score != b.Score {
			if a.Score > b.Score {
				return -1
			}
			return 1
		}
		return int(a.ID) - int(b.ID)
	})
	return out[:min(max(k, 0), len(out))]
}

// odd are scores that are no ordinary ones.
var odd = []float32{0, float32(math.Copysign(0, -1)), float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1)),
	math.MaxFloat32, -math.MaxFloat32, math.SmallestNonzeroFloat32, -math.SmallestNonzeroFloat32}

// scoresOf are ways in which scores come; n is how many there are of all.
var scoresOf = map[string]func(rng *rand.Rand, i, n int) float32{
	"few":     func(rng *rand.Rand, _, _ int) float32 { return float32(rng.IntN(8) - 3) }, // many ties
	"many":    func(rng *rand.Rand, _, _ int) float32 { return float32(rng.NormFloat64()) },
	"odd":     func(rng *rand.Rand, _, _ int) float32 { return odd[rng.IntN(len(odd))] },
	"equal":   func(*rand.Rand, int, int) float32 { return 1 },
	"rising":  func(_ *rand.Rand, i, _ int) float32 { return float32(i) },
	"falling": func(_ *rand.Rand, i, _ int) float32 { return float32(-i) },
	"pipe":    func(_ *rand.Rand, i, n int) float32 { return float32(min(i, n-i)) },
}

func TestBestAgreesWithSort(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var best Best
	for name, score := range scoresOf {
		for range 200 {
			n, k := rng.IntN(400), rng.IntN(80)-2
			all := make([]Entry, n)
			for i := range all {
				all[i] = Entry{ID: int32(i), Score: score(rng, i, n)}
			}
			if rng.IntN(2) == 0 {
				rng.Shuffle(n, func(i, j int) { all[i].ID, all[j].ID = all[j].ID, all[i].ID })
			}
			best.Reset(k)
			want := oracle(all, k)
			for _, e := range all {
				best.Push(e.ID, e.Score)
				if floor := best.Floor(); e.Score < floor && slices.Contains(want, e) {
					t.Fatalf("%s: %d best of %v: a floor of %g, above %v", name, k, all, floor, e)
				}
			}
			unsorted := slices.Clone(best.Unsorted())
			if got := best.Sorted(); !slices.Equal(got, want) {
				t.Fatalf("%s: %d best of %v: got %v, want %v", name, k, all, got, want)
			}
			if got := oracle(unsorted, len(unsorted)); !slices.Equal(got, want) {
				t.Fatalf("%s: %d best of %v, unsorted: got %v, want %v", name, k, all, got, want)
			}
		}
	}
}

func TestTiesGoToTheLowerIDInAnyOrder(t *testing.T) {
	var best Best
	zeros := []float32{0, float32(math.Copysign(0, -1)), 0, float32(math.Copysign(0, -1))} // one score
	for _, ids := range [][]int32{{3, 1, 2, 0}, {0, 1, 2, 3}, {2, 3, 0, 1}} {
		best.Reset(2)
		for i, id := range ids {
			best.Push(id, zeros[i])
		}
		if got := best.Sorted(); got[0].ID != 0 || got[1].ID != 1 {
			t.Errorf("pushed %v, kept %v, want ids 0 and 1", ids, got)
		}
	}
}

func TestNaNIsIgnoredAndInfinitiesAreKept(t *testing.T) {
	var best Best
	best.Push(7, 1)
	if got := best.Sorted(); len(got) > 0 {
		t.Errorf("%v of the zero value, which keeps nothing", got)
	}
	best.Reset(3)
	best.Push(0, float32(math.NaN()))
	best.Push(1, float32(math.Inf(-1)))
	best.Push(math.MaxInt32, float32(math.Inf(1)))
	want := []Entry{{math.MaxInt32, float32(math.Inf(1))}, {1, float32(math.Inf(-1))}}
	if got := best.Sorted(); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// A floor that never rose would be one that nobody need push below, too.
func TestFloorRises(t *testing.T) {
	var best Best
	best.Reset(10)
	for i := range int32(1000) {
		best.Push(i, float32(i))
		if lag := float32(i) - best.Floor(); i >= 20 && lag > 20 {
			t.Fatalf("after %d rising scores the floor is %g", i, best.Floor())
		}
	}
	best.Reset(10)
	if floor := best.Floor(); !math.IsInf(float64(floor), -1) {
		t.Errorf("a floor of %g before the first entry", floor)
	}
}

// Keys are parted about in halves, in whatever order the scores come.
func TestPartsAreNotLopsided(t *testing.T) {
	const n, most = 1 << 13, 30 // evenly, it would be a look at each key for each power of two
	rng := rand.New(rand.NewPCG(1, 2))
	for name, score := range scoresOf {
		keys, looks := make([]key, n), 0
		for i := range keys {
			keys[i] = keyOf(int32(i), score(rng, i, n))
		}
		for parts := [][]key{keys}; len(parts) > 0; {
			rest := parts[len(parts)-1]
			parts = parts[:len(parts)-1]
			if len(rest) > few {
				looks += len(rest)
				middle := part(rest)
				parts = append(parts, rest[:middle], rest[middle+1:])
			}
		}
		if looks > most*n {
			t.Errorf("%s: %d looks at %d keys", name, looks, n)
		}
	}
}

// The sizes are those of lists: what a model has touched for a visitor, of which the blend takes 100 and a page 20.
func BenchmarkBest(b *testing.B) {
	for _, size := range []struct{ k, n int }{{20, 200}, {100, 200}, {20, 1500}, {100, 500}, {100, 1500}, {100, 5000}, {20, 10_000}, {500, 5000}} {
		b.Run(fmt.Sprintf("%d of %d", size.k, size.n), func(b *testing.B) {
			rng := rand.New(rand.NewPCG(1, 2))
			lists := make([][]float32, 64) // more than a processor learns by heart
			for i := range lists {
				for range size.n {
					lists[i] = append(lists[i], float32(math.Pow(rng.Float64(), 3)))
				}
			}
			var best Best
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				best.Reset(size.k)
				for id, score := range lists[i%len(lists)] {
					best.Push(int32(id), score)
				}
				best.Sorted()
			}
		})
	}
}
