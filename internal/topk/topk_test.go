package topk

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// oracle sorts everything and cuts: plainly correct.
func oracle(all []Entry, k int) []Entry {
	out := slices.Clone(all)
	slices.SortFunc(out, func(a, b Entry) int {
		if a.Score != b.Score {
			if a.Score > b.Score {
				return -1
			}
			return 1
		}
		return int(a.ID) - int(b.ID)
	})
	return out[:min(k, len(out))]
}

func TestHeapAgreesWithSort(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var h Heap
	for range 500 {
		n, k := rng.IntN(60), rng.IntN(25)
		all := make([]Entry, n)
		for i := range all {
			all[i] = Entry{ID: int32(i), Score: float32(rng.IntN(8))} // few values: many ties
		}
		rng.Shuffle(n, func(i, j int) { all[i], all[j] = all[j], all[i] })
		h.Reset(k)
		for _, e := range all {
			h.Push(e.ID, e.Score)
		}
		if got, want := h.Sorted(), oracle(all, k); !slices.Equal(got, want) {
			t.Fatalf("k=%d of %v: got %v, want %v", k, all, got, want)
		}
	}
}

func TestHeapTiesGoToTheLowerIDInAnyOrder(t *testing.T) {
	var h Heap
	for _, ids := range [][]int32{{3, 1, 2, 0}, {0, 1, 2, 3}, {2, 3, 0, 1}} {
		h.Reset(2)
		for _, id := range ids {
			h.Push(id, 1)
		}
		if got := h.Sorted(); got[0].ID != 0 || got[1].ID != 1 {
			t.Errorf("pushed %v, kept %v, want ids 0 and 1", ids, got)
		}
	}
}

func TestHeapIgnoresNaNAndKeepsInfinities(t *testing.T) {
	var h Heap
	h.Reset(3)
	h.Push(0, float32(math.NaN()))
	h.Push(1, float32(math.Inf(-1)))
	h.Push(2, float32(math.Inf(1)))
	got := h.Sorted()
	if len(got) != 2 || got[0].ID != 2 || got[1].ID != 1 {
		t.Errorf("got %v, want ids 2 and 1", got)
	}
}

func BenchmarkHeapTop20Of10000(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2))
	scores := make([]float32, 10_000)
	for i := range scores {
		scores[i] = rng.Float32()
	}
	var h Heap
	b.ReportAllocs()
	for b.Loop() {
		h.Reset(20)
		for i, s := range scores {
			h.Push(int32(i), s)
		}
		h.Sorted()
	}
}

func TestFull(t *testing.T) {
	var h Heap
	for i, want := range []float32{0, 0, 1, 2, 2} {
		if lowest, full := h.Full(); lowest != want || full != (i >= 2) {
			t.Errorf("after %d entries the lowest is %g, %v, want %g", i, lowest, full, want)
		}
		if i == 0 {
			h.Reset(2)
		}
		h.Push(int32(i), []float32{3, 1, 2, 0, 0}[i])
	}
	if h.Reset(0); h.Len() != 0 {
		t.Error("entries of none")
	}
	if _, full := h.Full(); full {
		t.Error("a heap that keeps nothing is full")
	}
}
