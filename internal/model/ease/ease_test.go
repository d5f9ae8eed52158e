package ease

import (
	"bytes"
	"context"
	"errors"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/millrace/millrace/internal/linalg"
	"github.com/millrace/millrace/internal/model"
)

// forms are a configuration that takes each form.
func forms() map[Form]Config {
	whole, near := Default(), Default()
	near.MaxItems, near.Candidates = 0, 20
	return map[Form]Config{Whole: whole, Neighbourhoods: near}
}

func encoded(t *testing.T, m *Model) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := m.Encode(&out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestSameInteractionsGiveTheSameBytesOnAnyNumberOfProcessors(t *testing.T) {
	x := randomInteractions(1, 3000, 600)
	for form, cfg := range forms() {
		var want []byte
		for _, processors := range []int{1, 2, 5} {
			before := runtime.GOMAXPROCS(processors)
			got := encoded(t, fit(t, cfg, x))
			runtime.GOMAXPROCS(before)
			if want == nil {
				want = got
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%s: on %d processors the bytes are others than on one", form, processors)
			}
		}
	}
}

// What is above the bound takes the other form by itself, and only items that somebody met count.
func TestTheFormFollowsFromTheItemsThatSomebodyMet(t *testing.T) {
	x := randomInteractions(2, 300, 40)
	met := map[int32]bool{}
	for _, item := range x.Items {
		met[item] = true
	}
	cfg := Default()
	for _, c := range []struct {
		bound int
		want  Form
	}{{len(met), Whole}, {len(met) - 1, Neighbourhoods}} {
		cfg.MaxItems = c.bound
		if got := fit(t, cfg, x).Form(); got != c.want {
			t.Errorf("%d items with a bound of %d: %s", len(met), c.bound, got)
		}
	}
}

func TestNeighboursAreThoseFurthestFromZero(t *testing.T) {
	const kept = 10
	x := randomInteractions(3, 300, 40)
	for form, cfg := range forms() {
		cfg.L2, cfg.Neighbours = 0.5, 0
		all := fit(t, cfg, x)
		cfg.Neighbours = kept
		few := fit(t, cfg, x)
		negative := false
		for item := range int32(x.NumItems) {
			lo, hi := all.Row(item)
			if hi-lo <= kept {
				continue
			}
			sizes := []float64{}
			for _, w := range all.Weights[lo:hi] {
				sizes = append(sizes, -math.Abs(float64(w)))
			}
			slices.Sort(sizes)
			least := -sizes[kept-1]
			a, b := few.Row(item)
			if b-a != kept {
				t.Fatalf("%s: row %d has %d", form, item, b-a)
			}
			for at := a; at < b; at++ {
				place := slices.Index(all.Items[lo:hi], few.Items[at])
				if w := few.Weights[at]; w != all.Weights[int(lo)+place] || math.Abs(float64(w)) < least {
					t.Errorf("%s: row %d kept %g, the least to be kept is %g", form, item, w, least)
				}
				negative = negative || few.Weights[at] < 0
			}
		}
		if !negative {
			t.Errorf("%s: no negative weight was kept, which makes this prove less", form)
		}
	}
}

// Of a neighbourhood whose pairs were cut there is no Gram matrix: the system has no solution that means anything until its diagonal
// is raised.
func TestASystemWithCutPairsIsSolvedNevertheless(t *testing.T) {
	cfg := Default()
	f := &fitter{cfg: cfg, o: &observations{degrees: []float64{1, 1, 1, 1}, ridge: []float64{0.01, 0.01, 0.01, 0.01}}}
	lower := []pairs{ // 0 goes with 1 and 1 with 2 nearly always, so 0 goes with 2; but that is not known
		{},
		{[]int32{0}, []float32{0.95}},
		{[]int32{1}, []float32{0.95}},
		{[]int32{0, 1, 2}, []float32{0.5, 0.5, 0.5}},
	}
	near := []pairs{{}, {}, {}, lower[3]}
	s := newSolver(f, near, lower)
	copy(s.place, []int32{1, 2, 3, 0})
	s.fill([]int32{0, 1, 2}, 1)
	if err := s.system.Solve(make([]float64, 3)); !errors.Is(err, linalg.ErrNotPositive) {
		t.Fatalf("error %v: the sample is harmless", err)
	}
	clear(s.place)
	column, err := s.column(3)
	if err != nil {
		t.Fatal(err)
	}
	for at, w := range column.weights {
		if !(math.Abs(float64(w)) < 10) {
			t.Errorf("item %d says %g", column.items[at], w)
		}
	}
	if len(column.items) != 3 || s.place[0] != 0 {
		t.Errorf("column %v, place %v", column, s.place)
	}
}

// With few pairs kept, the neighbourhoods still are those of all pairs, and the weights are near to them.
func TestFewPairsAreKeptWhereThereAreTooMany(t *testing.T) {
	x := randomInteractions(4, 2000, 60)
	cfg := forms()[Neighbourhoods]
	cfg.Candidates, cfg.DiagonalExponent = 5, 1
	f := &fitter{cfg: cfg, o: observe(cfg, x), progress: func(float64) {}, pairs: 1}
	few, err := f.fit(t.Context(), x.NumItems)
	if err != nil {
		t.Fatal(err)
	}
	all := fit(t, cfg, x)
	if !slices.Equal(few.Items, all.Items) {
		t.Error("the neighbourhoods are others")
	}
	if slices.Equal(few.Weights, all.Weights) {
		t.Error("no pair was cut, which makes this prove nothing")
	}
	for at, w := range few.Weights {
		if math.Abs(float64(w-all.Weights[at])) > 0.1 {
			t.Errorf("weight %d is %g, of all pairs %g", at, w, all.Weights[at])
		}
	}
}

// A crawler that has met everything counts with VisitorItems of it, from all over the catalogue.
func TestAVisitorWithTooManyItemsIsThinnedOut(t *testing.T) {
	const n = 3 * VisitorItems
	x := &model.Interactions{Offsets: []int64{0, n}, NumItems: n}
	for item := range int32(n) {
		x.Items, x.Weights = append(x.Items, item), append(x.Weights, 1)
	}
	o := observe(Default(), x)
	if len(o.items) != VisitorItems || o.items[0] != 0 || o.items[1] != 3 || o.items[VisitorItems-1] != n-3 {
		t.Errorf("%d items: %v ... %v", len(o.items), o.items[:3], o.items[len(o.items)-1])
	}
}

// L2 is so small that two items which always go together cannot be told apart.
func TestTooSmallAnL2IsSaid(t *testing.T) {
	x := &model.Interactions{Offsets: []int64{0, 2, 4, 5}, Items: []int32{0, 1, 0, 1, 2}, Weights: []float32{1, 1, 1, 1, 1}, NumItems: 3}
	cfg := Default()
	cfg.L2 = 1e-14
	_, err := Fit(t.Context(), cfg, x, nil)
	if !errors.Is(err, linalg.ErrNotPositive) || !strings.Contains(err.Error(), "a larger L2 than 1e-14") {
		t.Errorf("error %v", err)
	}
}

func TestFitOfNothing(t *testing.T) {
	for form, cfg := range forms() {
		for _, x := range []*model.Interactions{{}, {NumItems: 3}, {Offsets: []int64{0, 0}, NumItems: 3}} {
			m := fit(t, cfg, x)
			if got := m.Score(nil, model.Query{Items: []int32{0, 1}}, 5); len(got) != 0 {
				t.Errorf("%s: answers %v", form, got)
			}
		}
		one := &model.Interactions{Offsets: []int64{0, 1}, Items: []int32{1}, Weights: []float32{1}, NumItems: 3}
		if got := fit(t, cfg, one).Score(nil, model.Query{Items: []int32{0, 1, 2}}, 5); len(got) != 0 {
			t.Errorf("%s: one item says %v", form, got)
		}
	}
}

func TestFitEndsWithItsContextAndTellsItsProgress(t *testing.T) {
	x := randomInteractions(5, 2000, 600)
	for form, cfg := range forms() {
		var shares []float64
		if _, err := Fit(t.Context(), cfg, x, func(share float64) { shares = append(shares, share) }); err != nil {
			t.Fatal(err)
		}
		if !slices.IsSorted(shares) || len(shares) < 3 || shares[len(shares)-1] != 1 {
			t.Errorf("%s: progress %v", form, shares)
		}
		ctx, cancel := context.WithCancel(t.Context())
		if _, err := Fit(ctx, cfg, x, func(float64) { cancel() }); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: error %v, want the context's", form, err)
		}
	}
}

func TestWhatMakesNoSenseIsRefused(t *testing.T) {
	x := randomInteractions(6, 20, 30)
	for name, change := range map[string]func(*Config){
		"no L2":              func(c *Config) { c.L2 = 0 },
		"L2 no number":       func(c *Config) { c.L2 = math.NaN() },
		"odd degree":         func(c *Config) { c.L2Degree = -0.1 },
		"odd visitors":       func(c *Config) { c.VisitorExponent = 1.1 },
		"odd weights":        func(c *Config) { c.WeightExponent = math.NaN() },
		"odd diagonal":       func(c *Config) { c.DiagonalExponent = 2 },
		"too large":          func(c *Config) { c.MaxItems = LargestDense + 1 },
		"no candidates":      func(c *Config) { c.Candidates = 0 },
		"many candidates":    func(c *Config) { c.Candidates = LargestNeighbourhood + 1 },
		"negative neighbour": func(c *Config) { c.Neighbours = -1 },
		"no items":           func(c *Config) { c.LastItems = 0 },
		"growing history":    func(c *Config) { c.HistoryDecay = 1.1 },
		"no policy":          func(c *Config) { c.Repeats = "" },
	} {
		cfg := Default()
		change(&cfg)
		if _, err := Fit(t.Context(), cfg, x, nil); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	x.Items[0] = 30
	if _, err := Fit(t.Context(), Default(), x, nil); err == nil {
		t.Error("an item outside the vocabulary was taken")
	}
}

// byHand is a model of four items whose answers can be told by hand.
func byHand() *Model {
	m := small()
	m.cfg.HistoryDecay, m.cfg.Repeats = 0.5, model.RepeatsAllowed
	return m
}

func TestAnswersAreSumsOverTheVisitorsItems(t *testing.T) {
	for name, c := range map[string]struct {
		q    model.Query
		want []model.Scored
	}{
		"session":        {model.Query{Items: []int32{0}}, []model.Scored{{Item: 1, Score: 0.75, Because: 0}}},
		"each once":      {model.Query{Items: []int32{0, 0}, History: []int32{0}}, []model.Scored{{Item: 1, Score: 0.75, Because: 0}}},
		"older counts":   {model.Query{Items: []int32{0}, History: []int32{2, 9, -1}}, []model.Scored{{Item: 1, Score: 0.625, Because: 0}, {Item: 3, Score: 0.125, Because: 2}}},
		"history alone":  {model.Query{History: []int32{0}}, []model.Scored{{Item: 1, Score: 0.75, Because: 0}}},
		"set, no decay":  {model.Query{Items: []int32{0, 2}, Set: true}, []model.Scored{{Item: 1, Score: 0.5, Because: 0}, {Item: 3, Score: 0.25, Because: 2}}},
		"set, and alone": {model.Query{Items: []int32{0}, History: []int32{2}, Set: true}, []model.Scored{{Item: 1, Score: 0.75, Because: 0}}},
		"nothing":        {model.Query{}, nil},
	} {
		if got := byHand().Score(nil, c.q, 5); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestConcurrentQueriesAgree(t *testing.T) {
	m := fit(t, Default(), randomInteractions(7, 300, 40))
	want := make([][]model.Scored, 40)
	for item := range want {
		want[item] = m.Score(nil, model.Query{Items: []int32{int32(item)}}, 10)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for item := range want {
				if got := m.Score(nil, model.Query{Items: []int32{int32(item)}}, 10); !slices.Equal(got, want[item]) {
					t.Errorf("item %d: %v, alone %v", item, got, want[item])
				}
			}
		})
	}
	wg.Wait()
}
