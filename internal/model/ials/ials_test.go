package ials

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/millrace/millrace/internal/model"
)

// tested is a configuration of few dimensions.
func tested() Config {
	c := Default(100)
	c.Dimensions, c.Iterations, c.Unobserved, c.Regularization = 16, 4, 0.2, 0.02
	return c
}

func training(t testing.TB, cfg Config, x *model.Interactions) *Training {
	t.Helper()
	out, err := NewTraining(cfg, x)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func fit(t testing.TB, cfg Config, x *model.Interactions) *Model {
	t.Helper()
	m, err := Fit(context.Background(), cfg, x)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// With as many steps as there are dimensions a row is solved exactly, so each side must come out as the systems of the
// definition do, solved one by one.
func TestIterationSolvesEverySystem(t *testing.T) {
	for _, frequency := range []float64{0, 0.5, 1} {
		cfg := tested()
		cfg.Steps, cfg.Frequency, cfg.Regularization = cfg.Dimensions, frequency, 2 // conditioned for single precision
		tr := training(t, cfg, randomInteractions(1, 70, 40))
		if err := tr.Iterate(t.Context()); err != nil {
			t.Fatal(err)
		}
		// The items were solved last, for the rows as they are now.
		for item := range tr.items.met.Rows() {
			rows, weights := tr.items.met.Row(item)
			wide := make([]float64, len(weights))
			for i, w := range weights {
				wide[i] = float64(w)
			}
			system := newDense(cfg, tr.rows.factors, rows, wide)
			want := system.solve(system.right)
			size, distance := 0.0, 0.0
			for i, got := range tr.items.row(item, cfg.Dimensions) {
				size += want[i] * want[i]
				distance += (float64(got) - want[i]) * (float64(got) - want[i])
			}
			if math.Sqrt(distance) > 1e-4*math.Sqrt(size) || len(rows) > 0 && size < 1e-6 {
				t.Fatalf("frequency %g, item %d (met by %d) is %g away from a factor of %g",
					frequency, item, len(rows), math.Sqrt(distance), math.Sqrt(size))
			}
		}
	}
}

func TestLossIsThatOfTheDefinitionAndFalls(t *testing.T) {
	for _, frequency := range []float64{0, 1} {
		cfg := tested()
		cfg.Frequency = frequency
		tr := training(t, cfg, randomInteractions(2, 90, 50))
		last := math.Inf(1)
		for i := range 6 {
			loss, err := tr.Loss(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if want := plainLoss(tr); math.Abs(loss-want) > 1e-5*want {
				t.Fatalf("frequency %g, after %d iterations: loss %g, want %g", frequency, i, loss, want)
			}
			if loss >= last {
				t.Fatalf("frequency %g: iteration %d changed the loss from %g to %g", frequency, i, last, loss)
			}
			last = loss
			if err := tr.Iterate(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// The turns of goroutines are smaller than the input, also those of the Gram matrix.
func TestSameInputGivesSameBytes(t *testing.T) {
	x := randomInteractions(3, 2*gramRowsATurn+17, 500)
	cfg := tested()
	cfg.Iterations = 2
	encoded := func(processors int) []byte {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(processors))
		var buf bytes.Buffer
		if err := fit(t, cfg, x).Encode(&buf); err != nil {
			t.Fatal(err)
		}
		return buf.Bytes()
	}
	want := encoded(1)
	for _, processors := range []int{2, 5, 5} {
		if !bytes.Equal(encoded(processors), want) {
			t.Errorf("%d processors give other bytes than one", processors)
		}
	}
	cfg.Seed++
	if bytes.Equal(encoded(2), want) {
		t.Error("another seed gives the same bytes")
	}
}

func TestScoreIsThatOfTheDefinition(t *testing.T) {
	const items = 60
	x := randomInteractions(4, 150, items)
	queries := []model.Query{
		{Items: []int32{3}},
		{Items: []int32{3, 1, 4, 1, 5}},
		{Items: []int32{9, 2}, History: []int32{6, 5, 3, 5, 8, 9}},
		{History: []int32{7, 9, 3}},
		{Items: []int32{2, 38, 4}, History: []int32{6, 2}, Set: true},
		{Items: []int32{11}, Set: true},
		{Items: []int32{-1, items, 12, 99}},
		{Items: []int32{3, 1, 4, 15, 9, 2, 6, 5}},                                                   // the most of a small system
		{Items: []int32{3, 1, 4, 15, 9, 2, 6, 5, 35}},                                               // the fewest of a large one
		{Items: []int32{2, 7, 18, 28, 17}, History: []int32{14, 23, 43, 31, 52, 36, 41, 47, 49, 0}}, // more than it has dimensions
	}
	for _, repeats := range model.RepeatPolicies() {
		for _, decay := range []float64{1, 0.7} {
			for _, last := range []int{3, 1000} {
				cfg := tested()
				cfg.Repeats, cfg.HistoryDecay, cfg.LastItems = repeats, decay, last
				m := fit(t, cfg, x)
				for i, q := range queries {
					for _, k := range []int{1, 10, items} {
						t.Run(fmt.Sprintf("%s,decay=%g,last=%d,query%d,k=%d", repeats, decay, last, i, k), func(t *testing.T) {
							want := plainScore(m, q, k)
							if len(want) == 0 {
								t.Fatal("the query has no answer: it tests nothing")
							}
							sameAnswers(t, m.Score(nil, q, k), want)
						})
					}
				}
			}
		}
	}
}

// The scan of a catalogue of several turns ends early, with nothing missed.
func TestScanFindsTheBestOfAll(t *testing.T) {
	const items = 5*scanRows + 7
	m := fit(t, tested(), randomInteractions(11, 1500, items))
	for query := range int32(12) {
		for _, k := range []int{1, 20, 200} {
			q := model.Query{Items: []int32{query * 90, query*90 + 1}}
			sameAnswers(t, m.Score(nil, q, k), plainScore(m, q, k))
		}
	}
}

// Of items that may be recommended, be they few or most, the best are found.
func TestScanFindsTheBestThatMayBe(t *testing.T) {
	const items = 3*scanRows + 7
	m := fit(t, tested(), randomInteractions(11, 1500, items))
	for step, few := range map[int32]bool{2: false, 40: true} {
		only := &model.Mask{}
		only.Reset(items, false)
		for item := int32(0); item < items; item += step {
			only.Allow(item)
		}
		if only.Few() != few {
			t.Fatalf("one in %d is few: %v", step, !few)
		}
		q := model.Query{Items: []int32{90, 91}, Only: only}
		sameAnswers(t, m.Score(nil, q, 5), plainScore(m, q, 5))
	}
}

// All items have one factor, and the order of the scan is the wrong one for ties.
func TestTiesGoToTheLowerItem(t *testing.T) {
	const items = 3 * scanRows
	cfg := tested()
	m := &Model{cfg: cfg, factors: make([]float32, items*cfg.Dimensions), gram: make([]float32, cfg.Dimensions*cfg.Dimensions)}
	for place := range items {
		m.order = append(m.order, int32(items-1-place))
		m.factors[place*cfg.Dimensions] = 0.5
	}
	if err := m.prepare(); err != nil {
		t.Fatal(err)
	}
	got := m.Score(nil, model.Query{Items: []int32{1}}, 3)
	if len(got) != 3 || got[0].Item != 0 || got[1].Item != 2 || got[2].Item != 3 {
		t.Errorf("answers %v, want items 0, 2 and 3", got)
	}
}

func TestNothingIsSaidOfNothing(t *testing.T) {
	m := fit(t, tested(), randomInteractions(5, 60, 30))
	before := []model.Scored{{Item: 7}}
	for name, q := range map[string]model.Query{
		"nobody known":    {},
		"unknown items":   {Items: []int32{30, -5}},
		"a set, not more": {History: []int32{1}, Set: true},
		"nobody met it":   {Items: []int32{29}},
	} {
		if got := m.Score(before, q, 5); !slices.Equal(got, before) {
			t.Errorf("%s: answers %v, want what was there", name, got)
		}
	}
	if got := m.Score(before, model.Query{Items: []int32{1}}, 0); !slices.Equal(got, before) {
		t.Errorf("a list of none: answers %v, want what was there", got)
	}
	for _, s := range m.Score(nil, model.Query{Items: []int32{1, 2, 3}}, 30) {
		if s.Item == 29 || !(s.Score > 0) {
			t.Errorf("answers %+v, which nothing speaks for", s)
		}
	}
}

// Two groups of visitors with a taste each: whoever has met two items of one is shown the others of it.
func TestTastesAreFound(t *testing.T) {
	x, rng := &model.Interactions{Offsets: []int64{0}, NumItems: 20}, rand.New(rand.NewPCG(10, 0))
	for r := range 200 {
		met := rng.Perm(10)[:6]
		slices.Sort(met)
		for _, item := range met {
			x.Items = append(x.Items, int32(item+r%2*10))
		}
		x.Offsets = append(x.Offsets, int64(len(x.Items)))
	}
	x.Weights = slices.Repeat([]float32{1}, len(x.Items))
	cfg := tested()
	cfg.Regularization = 0.2 // or sixteen dimensions learn by heart who met which of twenty items
	m := fit(t, cfg, x)
	for _, group := range []int32{0, 10} {
		got := m.Score(nil, model.Query{Items: []int32{group, group + 5}}, 8)
		if len(got) != 8 || slices.ContainsFunc(got, func(s model.Scored) bool { return s.Item < group || s.Item >= group+10 }) {
			t.Errorf("after items %d and %d: %v, want the eight others of the group", group, group+5, got)
		}
	}
}

func TestWrongInteractionsAreRefused(t *testing.T) {
	for name, change := range map[string]func(*model.Interactions){
		"item behind the vocabulary":  func(x *model.Interactions) { x.Items[2] = 30 },
		"item before the vocabulary":  func(x *model.Interactions) { x.Items[2] = -1 },
		"weight of nothing":           func(x *model.Interactions) { x.Weights[1] = 0 },
		"weight that is no number":    func(x *model.Interactions) { x.Weights[1] = float32(math.NaN()) },
		"weight missing":              func(x *model.Interactions) { x.Weights = x.Weights[1:] },
		"offsets that fall":           func(x *model.Interactions) { x.Offsets[3] = 0 },
		"offsets that reach out":      func(x *model.Interactions) { x.Offsets[len(x.Offsets)-1]++ },
		"offsets that begin too late": func(x *model.Interactions) { x.Offsets[0] = 1 },
	} {
		x := randomInteractions(6, 20, 30)
		change(x)
		if _, err := Fit(t.Context(), tested(), x); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestWrongSettingsAreRefused(t *testing.T) {
	if err := Default(100).Validate(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Config){
		"odd dimensions":    func(c *Config) { c.Dimensions = 40 },
		"no dimensions":     func(c *Config) { c.Dimensions = 0 },
		"many dimensions":   func(c *Config) { c.Dimensions = 2 * MaxDimensions },
		"no iterations":     func(c *Config) { c.Iterations = 0 },
		"no steps":          func(c *Config) { c.Steps = 0 },
		"idle steps":        func(c *Config) { c.Steps = c.Dimensions + 1 },
		"no unobserved":     func(c *Config) { c.Unobserved = 0 },
		"no regularization": func(c *Config) { c.Regularization = math.NaN() },
		"endless weight":    func(c *Config) { c.Regularization = math.Inf(1) },
		"odd frequency":     func(c *Config) { c.Frequency = -1 },
		"growing history":   func(c *Config) { c.HistoryDecay = 1.1 },
		"no items":          func(c *Config) { c.LastItems = 0 },
		"no policy":         func(c *Config) { c.Repeats = "" },
	} {
		c := Default(100)
		change(&c)
		if c.Validate() == nil {
			t.Errorf("%s: no error", name)
		}
		if _, err := NewTraining(c, randomInteractions(6, 20, 30)); err == nil {
			t.Errorf("%s: a training begins", name)
		}
	}
}

func TestFitEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Fit(ctx, tested(), randomInteractions(7, 50, 30)); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want the context's", err)
	}
}

// Nobody and nothing to learn from is a shop on its first day.
func TestFitOfNothing(t *testing.T) {
	for _, x := range []*model.Interactions{{}, {NumItems: 3}, {Offsets: []int64{0, 0}, NumItems: 3}} {
		m := fit(t, tested(), x)
		if got := m.Score(nil, model.Query{Items: []int32{0, 1, 2}}, 3); len(got) != 0 {
			t.Errorf("answers %v, want nothing", got)
		}
	}
}
