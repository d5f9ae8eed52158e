package transitions

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/model"
	"github.com/millrace/millrace/internal/model/artifact/artifacttest"
	"github.com/millrace/millrace/internal/model/rowsum"
)

// parted cuts random sessions in two: those that a model is fitted on, over the items that they name first, and those that come
// over it. Some of the latter end before the newest of the former.
func parted(seed uint64, n int) (all, old, newer *model.Sessions, known int) {
	rng := rand.New(rand.NewPCG(seed, 7))
	all = randomSessions(seed, n)
	cut := rng.IntN(n + 1)
	old, newer = &model.Sessions{}, &model.Sessions{}
	for i := range n {
		part := newer
		if (i < cut) == (rng.IntN(10) > 0) {
			part = old
		}
		part.Append(all.At(i))
	}
	for _, item := range old.Items {
		known = max(known, int(item)+1)
	}
	return all, old, newer, known
}

func randomConfig(rng *rand.Rand) Config {
	cfg := Default()
	cfg.Window = 1 + rng.IntN(6)
	cfg.Backward = []float64{0, 0.5, 1}[rng.IntN(3)]
	cfg.HalfLife = []time.Duration{0, 2 * time.Hour, 24 * time.Hour}[rng.IntN(3)]
	cfg.LastItems = 1 + rng.IntN(6)
	cfg.Repeats = model.RepeatPolicies()[rng.IntN(4)]
	return cfg
}

func randomQuery(rng *rand.Rand) model.Query {
	q := model.Query{Set: rng.IntN(4) == 0}
	for range rng.IntN(8) {
		q.Items = append(q.Items, rng.Int32N(numItems+2)-1) // some outside the vocabulary
	}
	return q
}

func over(tb testing.TB, cfg Config, old, newer *model.Sessions, known, items int) *Overlay {
	tb.Helper()
	base, err := Fit(cfg, old, known)
	if err != nil {
		tb.Fatal(err)
	}
	o, err := Over(base, newer, items)
	if err != nil {
		tb.Fatal(err)
	}
	return o
}

// A model with sessions over it answers as the definition does on all sessions, with the reasons of a model that is fitted on
// all: for queries of old and of new items, and whether the sessions are newer or come late.
func TestOverlayAnswersAsAModelOfAllSessions(t *testing.T) {
	for seed := range uint64(80) {
		rng := rand.New(rand.NewPCG(seed, 8))
		cfg := randomConfig(rng)
		all, old, newer, known := parted(seed, 60)
		o := over(t, cfg, old, newer, known, numItems)
		fitted, err := Fit(cfg, all, numItems)
		if err != nil {
			t.Fatal(err)
		}
		for range 40 {
			q := randomQuery(rng)
			got := o.Score(nil, q, 10)
			checkAgainst(t, got, oracle(cfg, all, q), 10)
			checkReasons(t, fitted, q, got)
			if t.Failed() {
				t.Fatalf("seed %d, %+v over %+v", seed, q, cfg)
			}
		}
	}
}

// checkReasons checks that no item of a query says more for an answer than the one that is named.
func checkReasons(t *testing.T, fitted *Model, q model.Query, got []model.Scored) {
	t.Helper()
	var s rowsum.Sum
	fitted.cfg.begin(&s, q, fitted.NumItems())
	for _, g := range got {
		said := map[int32]float32{}
		for _, r := range s.Recent {
			lo, hi := fitted.Row(r.Item)
			if i := slices.Index(fitted.Items[lo:hi], g.Item); i >= 0 {
				said[r.Item] = r.Weight * fitted.Weights[int(lo)+i]
			}
		}
		for item, weight := range said {
			if weight > said[g.Because]*(1+1e-5) {
				t.Errorf("%+v because of %d (%g), but %d says %g", g, g.Because, said[g.Because], item, weight)
			}
		}
	}
}

// Where rows are cut, no weight is more than that of a model of all sessions which cuts nothing, and it is less by no more than
// the weakest weight that was kept of the row below, and of the row that was added.
func TestOverlayOfCutRowsIsWithinItsBound(t *testing.T) {
	short := 0
	for seed := range uint64(40) {
		rng := rand.New(rand.NewPCG(seed, 9))
		cfg := randomConfig(rng)
		all, old, newer, known := parted(seed, 60)
		whole, err := Fit(cfg, all, numItems)
		if err != nil {
			t.Fatal(err)
		}
		cfg.Neighbours = 3
		o := over(t, cfg, old, newer, known, numItems)
		for item := range int32(numItems) {
			bound := weakest(&o.newer, item, cfg.Neighbours, o.inGain)
			if item < int32(known) {
				bound += weakest(&o.base.Matrix, item, cfg.Neighbours, nil)
			}
			q := model.Query{Items: []int32{item}, Set: true}
			got := map[int32]float64{}
			for _, s := range o.Score(nil, q, numItems) {
				got[s.Item] = float64(s.Score)
			}
			for _, s := range whole.Score(nil, q, numItems) {
				missing := float64(s.Score) - got[s.Item]
				if missing < -1e-6 || missing > bound+1e-6 {
					t.Fatalf("seed %d: %d after %d has %g, of all sessions %g, bound %g", seed, s.Item, item, got[s.Item], s.Score, bound)
				}
				if missing > 1e-6 {
					short++
				}
				delete(got, s.Item)
			}
			if len(got) > 0 {
				t.Fatalf("seed %d: %v after %d are in no session", seed, got, item)
			}
		}
	}
	if short == 0 {
		t.Error("no row was cut, which makes this prove nothing")
	}
}

// weakest is the least weight of a row that is full, else 0; gains as in answer.
func weakest(m *rowsum.Matrix, item int32, full int, gains []float32) float64 {
	lo, hi := m.Row(item)
	if hi-lo < int64(full) {
		return 0
	}
	least := math.Inf(1)
	for at := lo; at < hi; at++ {
		weight := float64(m.Weights[at])
		if gains != nil {
			weight *= float64(gains[m.Items[at]])
		}
		least = min(least, weight)
	}
	return least
}

// The shop's rows are cut to a quarter of what its items need; the heads of the lists are nearly the same nevertheless.
func TestOverlayOfCutRowsAgreesWithAModelOfAllSessions(t *testing.T) {
	cfg := Default()
	cfg.Neighbours = 50
	const items, k = 2_000, 20
	all := shopSessions(20_000, items)
	o := over(t, cfg, all.Slice(0, 18_000), all.Slice(18_000, 20_000), items, items)
	fitted, err := Fit(cfg, all, items)
	if err != nil {
		t.Fatal(err)
	}
	same, total := 0, 0
	for item := range int32(items) {
		q := model.Query{Items: []int32{item}, Set: true}
		want := fitted.Score(nil, q, k)
		total += len(want)
		for _, s := range o.Score(nil, q, k) {
			if slices.ContainsFunc(want, func(w model.Scored) bool { return w.Item == s.Item }) {
				same++
			}
		}
	}
	share := float64(same) / float64(total)
	t.Logf("%.4f of the first %d items are the same", share, k)
	if share < 0.95 || share == 1 {
		t.Errorf("%.4f of the first %d items are the same", share, k)
	}
}

// A model that is so old that nothing of it is left beside new pairs still answers where nothing new has come, and does not
// drown what has.
func TestOverlayOverAVeryOldModel(t *testing.T) {
	cfg := Default()
	cfg.HalfLife = time.Hour
	old, newer := &model.Sessions{}, &model.Sessions{}
	old.Append([]int32{0, 1}, []int64{0, 1})
	old.Append([]int32{2, 3}, []int64{0, 1})
	century := int64(100 * 365 * 24 * time.Hour / time.Millisecond)
	newer.Append([]int32{0, 3}, []int64{century, century + 1})
	o := over(t, cfg, old, newer, 4, 5)
	if got := o.Score(nil, model.Query{Items: []int32{0}}, 4); len(got) == 0 || got[0].Item != 3 || got[0].Score != 1 {
		t.Errorf("after 0 comes %v, want 3 as in a model of the newer session alone", got)
	}
	if got := o.Score(nil, model.Query{Items: []int32{1}}, 4); len(got) == 0 || !(got[0].Score >= 0) || math.IsInf(float64(got[0].Score), 0) {
		t.Errorf("after 1 comes %v", got)
	}
}

func TestOverlayTakesTheNewestWhereThereAreTooManyPairs(t *testing.T) {
	const length = 50
	newer := &model.Sessions{}
	add := func(items []int32) {
		times := make([]int64, len(items))
		newer.Append(items, times)
	}
	add([]int32{0, 1})
	for range MaxNewerPairs/(length*20) + 1 {
		add(slices.Repeat([]int32{2, 3}, length/2))
	}
	add([]int32{0, 4})
	o := over(t, Default(), &model.Sessions{}, newer, 0, 5)
	got := o.Score(nil, model.Query{Items: []int32{0}}, 5)
	if len(got) != 1 || got[0].Item != 4 {
		t.Errorf("after 0 comes %v, want 4 alone", got)
	}
}

func TestOverRefusesWhatItCannotLayOver(t *testing.T) {
	s := randomSessions(1, 20)
	base, err := Fit(Default(), s, numItems)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Over(base, s, numItems-1); err == nil {
		t.Error("a vocabulary shrank")
	}
	broken := *s
	broken.Times = s.Times[1:]
	if _, err := Over(base, &broken, numItems); err == nil {
		t.Error("sessions without times were laid over")
	}
	first, err := Decode(artifacttest.Read(t, noDegreesFile), 3)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Over(first, &model.Sessions{}, 3); !errors.Is(err, ErrNoDegrees) {
		t.Errorf("over a model without degrees: error %v", err)
	}
}

// shopSessions is a shop with long-tailed popularity of its items, of which visitors look at five that are near each other.
func shopSessions(sessions, items int) *model.Sessions {
	rng := rand.New(rand.NewPCG(1, 0))
	zipf := rand.NewZipf(rng, 1.1, 20, uint64(items-1))
	s := &model.Sessions{}
	for i := range sessions {
		var clicked [5]int32
		var times [5]int64
		topic := int(zipf.Uint64())
		for e := range clicked {
			clicked[e], times[e] = int32((topic+rng.IntN(100))%items), int64(i)*10_000+int64(e)*1000
		}
		s.Append(clicked[:], times[:])
	}
	return s
}

// BenchmarkScoreShop answers from a model of all sessions, and from one with a tenth of them over the others: the ratio is what
// an overlay costs a request.
func BenchmarkScoreShop(b *testing.B) {
	const items = 20_000
	all := shopSessions(50_000, items)
	fitted, err := Fit(Default(), all, items)
	if err != nil {
		b.Fatal(err)
	}
	for name, m := range map[string]model.Scorer{
		"fitted": fitted, "over": over(b, Default(), all.Slice(0, 45_000), all.Slice(45_000, 50_000), items, items),
	} {
		b.Run(name, func(b *testing.B) {
			q := model.Query{Items: []int32{3, 1, 4, 15, 9}}
			dst := make([]model.Scored, 0, 20)
			b.ReportAllocs()
			for b.Loop() {
				dst = m.Score(dst[:0], q, 20)
			}
		})
	}
}

// BenchmarkOver is what making an overlay costs: of as many sessions as a node keeps, and of the most that there may be.
func BenchmarkOver(b *testing.B) {
	const items = 20_000
	all := shopSessions(70_000, items)
	base, err := Fit(Default(), all.Slice(0, 50_000), items)
	if err != nil {
		b.Fatal(err)
	}
	long := &model.Sessions{}
	for at := 250_000; at+50 < len(all.Items); at += 20 {
		long.Append(all.Items[at:at+50], all.Times[at:at+50])
	}
	for name, newer := range map[string]*model.Sessions{"20000x5": all.Slice(50_000, 70_000), "most": long} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Over(base, newer, items); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
