package vmisknn

import (
	"io"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/millrace/millrace/internal/model"
)

// A model over another one answers as one that is fitted on all sessions at once: the same items in the same order, with the
// same scores but for rounding, for queries of old and of new items.
func TestModelOverAnotherAnswersAsOneFittedOnAll(t *testing.T) {
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 9))
		cfg := randomConfig(rng)
		all := randomSessions(seed, 300)
		// The cut by length would fall on other sessions; and all of the newer ones are newer.
		kept := &model.Sessions{}
		for i := range all.Len() {
			items, times := all.At(i)
			end := int64(i) * 3_600_000
			moved := make([]int64, len(times))
			for e := range times {
				moved[e] = end - int64(len(times)-1-e)
			}
			kept.Append(items[:min(len(items), 4)], moved[:min(len(items), 4)])
		}
		cut := rng.IntN(kept.Len() + 1)
		old, newer := kept.Slice(0, cut), kept.Slice(cut, kept.Len())
		known := int32(0)
		for _, item := range old.Items {
			known = max(known, item+1)
		}
		want := fit(t, cfg, kept)
		base, err := Fit(cfg, old, int(known))
		if err != nil {
			t.Fatal(err)
		}
		got, err := Over(base, newer, numItems)
		if err != nil {
			t.Fatal(err)
		}
		for range 50 {
			q := randomQuery(rng)
			a, b := got.Score(nil, q, numItems), want.Score(nil, q, numItems)
			if len(a) != len(b) {
				t.Fatalf("seed %d, %+v: %d items, want %d", seed, q, len(a), len(b))
			}
			scores := map[int32]float32{}
			for _, s := range b {
				scores[s.Item] = s.Score
			}
			for i := range a {
				if math.Abs(float64(a[i].Score-scores[a[i].Item])) > 1e-4*float64(b[0].Score) ||
					math.Abs(float64(a[i].Score-b[i].Score)) > 1e-4*float64(b[0].Score) {
					t.Fatalf("seed %d, place %d: %+v, want %+v", seed, i, a[i], b[i])
				}
			}
		}
	}
}

func TestModelOverAnotherIsNeitherStoredNorStacked(t *testing.T) {
	base := fit(t, Default(VSTAN), randomSessions(1, 50))
	over, err := Over(base, randomSessions(2, 5), numItems)
	if err != nil {
		t.Fatal(err)
	}
	if over.Encode(io.Discard) == nil {
		t.Error("half of a model was stored")
	}
	if _, err := Over(over, randomSessions(2, 5), numItems); err == nil {
		t.Error("a third model lies over the second")
	}
	if _, err := Over(base, randomSessions(2, 5), numItems-1); err == nil {
		t.Error("a vocabulary shrank")
	}
}

// BenchmarkScoreOver is BenchmarkScore with a tenth of the sessions lying over the others: the ratio of the two is what the
// overlay costs a request. BenchmarkOver is what making one costs.
func BenchmarkScoreOver(b *testing.B) {
	all := shopSessions(50_000, 20_000)
	for _, scoring := range []Scoring{VMIS, VSTAN} {
		b.Run(string(scoring), func(b *testing.B) {
			base, err := Fit(Default(scoring), all.Slice(0, 45_000), 20_000)
			if err != nil {
				b.Fatal(err)
			}
			m, err := Over(base, all.Slice(45_000, 50_000), 20_000)
			if err != nil {
				b.Fatal(err)
			}
			q := model.Query{Items: []int32{3, 1, 4, 15, 9}}
			dst := make([]model.Scored, 0, 20)
			b.ReportAllocs()
			for b.Loop() {
				dst = m.Score(dst[:0], q, 20)
			}
		})
	}
}

func BenchmarkOver(b *testing.B) {
	all := shopSessions(70_000, 20_000)
	base, err := Fit(Default(VSTAN), all.Slice(0, 50_000), 20_000)
	if err != nil {
		b.Fatal(err)
	}
	newer := all.Slice(50_000, 70_000)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Over(base, newer, 20_000); err != nil {
			b.Fatal(err)
		}
	}
}
