package basket

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/model"
)

const numItems = 30

// randomBaskets makes baskets of a few themes, some items twice, one a day.
func randomBaskets(seed uint64, n int) *model.Sessions {
	rng := rand.New(rand.NewPCG(seed, 0))
	s := &model.Sessions{}
	for b := range n {
		theme, length := rng.IntN(5), rng.IntN(9)
		items, times := make([]int32, length), make([]int64, length)
		for i := range items {
			items[i], times[i] = int32(rng.IntN(numItems)), int64(b)*86_400_000
			if rng.IntN(3) > 0 {
				items[i] = int32(6*theme + rng.IntN(6))
			}
		}
		s.Append(items, times)
	}
	return s
}

func fit(t testing.TB, cfg Config, s *model.Sessions, n int) *Model {
	t.Helper()
	m, err := Fit(t.Context(), cfg, s, n)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// oracle weighs a pair from the definitions, basket by basket.
func oracle(cfg Config, s *model.Sessions, a, b int32) float64 {
	var k11, k12, k21, k22, pairs, pairsOfA, baskets, withB float64
	newest := s.Newest()
	for i := range s.Len() {
		items, times := s.At(i)
		if len(items) == 0 {
			continue
		}
		distinct := []int32{}
		for _, item := range items {
			if !slices.Contains(distinct, item) && len(distinct) < cfg.MaxBasket {
				distinct = append(distinct, item)
			}
		}
		weight := 1.0
		if cfg.HalfLife > 0 {
			weight = math.Pow(0.5, float64(newest-times[0])/float64(cfg.HalfLife.Milliseconds()))
		}
		pair := weight / math.Pow(math.Max(1, float64(len(distinct)-1)), cfg.LargeBasket)
		hasA, hasB := slices.Contains(distinct, a), slices.Contains(distinct, b)
		baskets += weight
		if hasB {
			withB += weight
		}
		switch {
		case hasA && hasB:
			k11++
			pairs += pair
		case hasA:
			k12++
		case hasB:
			k21++
		default:
			k22++
		}
		if hasA {
			pairsOfA += pair
		}
	}
	ratio := plainG2(k11, k12, k21, k22)
	if a == b || k11 < float64(cfg.MinTogether) || ratio < cfg.Significance || k11*(k11+k12+k21+k22) <= (k11+k12)*(k11+k21) {
		return 0
	}
	return pairs / pairsOfA * math.Pow(withB/baskets, -cfg.Lift) * ratio / (ratio + cfg.Evidence)
}

// plainG2 is twice the sum of observed times ln(observed / expected).
func plainG2(k11, k12, k21, k22 float64) float64 {
	n, sum := k11+k12+k21+k22, 0.0
	for _, cell := range [][3]float64{{k11, k11 + k12, k11 + k21}, {k12, k11 + k12, k12 + k22}, {k21, k21 + k22, k11 + k21}, {k22, k21 + k22, k12 + k22}} {
		if cell[0] > 0 {
			sum += cell[0] * math.Log(cell[0]*n/(cell[1]*cell[2]))
		}
	}
	return 2 * sum
}

func TestG2(t *testing.T) {
	// "the swiss" in Dunning's table: 110, 2442, 111 and 29114 have 270.72.
	if got := g2(110, 110+2442, 110+111, 110+2442+111+29114); math.Abs(got-270.72) > 0.01 {
		t.Errorf("Dunning's example has %g, want 270.72", got)
	}
	if got := g2(10, 100, 100, 1000); got != 0 {
		t.Errorf("what comes up as often as chance has it has %g", got)
	}
	if got := g2(1, 100, 100, 1000); got != 0 {
		t.Errorf("what keeps apart has %g", got)
	}
	if got := g2(5, 5, 5, 5); got != 0 {
		t.Errorf("what is in every basket has %g", got)
	}
}

// Every pair weighs what the definitions say, and a query is the sum of rows, whatever the configuration.
func TestAnswersAreThoseOfTheDefinition(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 0))
	for seed := range uint64(12) {
		cfg := Default()
		cfg.MinTogether, cfg.Significance, cfg.Evidence = 1+rng.IntN(3), []float64{0, 2, 10.83}[rng.IntN(3)], []float64{0, 20}[rng.IntN(2)]
		cfg.Lift, cfg.LargeBasket = rng.Float64(), rng.Float64()
		cfg.HalfLife, cfg.MaxBasket = time.Duration(rng.IntN(2))*90*24*time.Hour, []int{3, 200}[rng.IntN(2)]
		s := randomBaskets(seed, 150)
		m := fit(t, cfg, s, numItems)
		q := model.Query{Items: []int32{int32(rng.IntN(numItems)), int32(rng.IntN(numItems))}, Set: seed%2 == 0}
		want := map[int32]float64{}
		for i, a := range q.Items {
			if a == q.Items[1-i] && i == 0 {
				continue
			}
			weight := 1.0
			if !q.Set && i == 0 && a != q.Items[1] {
				weight = cfg.HistoryDecay
			}
			for b := range int32(numItems) {
				if w := oracle(cfg, s, a, b); w > 0 && !slices.Contains(q.Items, b) {
					want[b] += weight * w
				}
			}
		}
		got := m.Score(nil, q, numItems)
		if len(got) != len(want) {
			t.Fatalf("%+v, query %v: %d answers, want %d", cfg, q.Items, len(got), len(want))
		}
		for _, a := range got {
			if math.Abs(float64(a.Score)-want[a.Item]) > 1e-4*want[a.Item] {
				t.Fatalf("%+v, query %v: %+v, want %g", cfg, q.Items, a, want[a.Item])
			}
			first, second := oracle(cfg, s, q.Items[0], a.Item), oracle(cfg, s, q.Items[1], a.Item)
			if !q.Set {
				first *= cfg.HistoryDecay
			}
			if a.Because == q.Items[0] && first < second*(1-1e-6) || a.Because == q.Items[1] && second < first*(1-1e-6) {
				t.Fatalf("query %v: %+v, of which %g and %g are given", q.Items, a, first, second)
			}
		}
	}
}

// Bread is in nearly every basket and goes with nothing; ink goes with pens. Popularity is no reason to buy bread with a pen.
func TestChanceIsNoReason(t *testing.T) {
	const bread, pen, ink, milk = 0, 1, 2, 3
	s := &model.Sessions{}
	for i := range 200 {
		basket := []int32{bread}
		if i%10 == 0 {
			basket = append(basket, pen, ink)
		}
		if i%2 == 0 {
			basket = append(basket, milk)
		}
		s.Append(basket, make([]int64, len(basket)))
	}
	cfg := Default()
	got := fit(t, cfg, s, 4).Score(nil, model.Query{Items: []int32{pen}, Set: true}, 4)
	if len(got) == 0 || got[0].Item != ink || got[0].Because != pen || slices.ContainsFunc(got, func(a model.Scored) bool { return a.Item == bread }) {
		t.Errorf("with a pen goes %+v", got)
	}
}

// Rows keep the strongest pairs.
func TestNeighboursBoundARow(t *testing.T) {
	s := randomBaskets(3, 300)
	cfg := Default()
	cfg.Significance = 0
	all := fit(t, cfg, s, numItems)
	cfg.Neighbours = 2
	few := fit(t, cfg, s, numItems)
	for item := range int32(numItems) {
		lo, hi := all.Row(item)
		from, to := few.Row(item)
		if !slices.Equal(few.Items[from:to], all.Items[lo:min(hi, lo+2)]) {
			t.Fatalf("item %d keeps %v of %v", item, few.Items[from:to], all.Items[lo:hi])
		}
		if !slices.IsSortedFunc(all.Weights[lo:hi], func(a, b float32) int { return cmp.Compare(b, a) }) {
			t.Fatalf("item %d has the weights %v", item, all.Weights[lo:hi])
		}
	}
}

func TestFitRefusesWhatMakesNoSense(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"together":   func(c *Config) { c.MinTogether = 0 },
		"basket":     func(c *Config) { c.MaxBasket = 1 },
		"items":      func(c *Config) { c.LastItems = 0 },
		"neighbours": func(c *Config) { c.Neighbours = 0 },
		"g2":         func(c *Config) { c.Significance = math.NaN() },
		"evidence":   func(c *Config) { c.Evidence = -1 },
		"lift":       func(c *Config) { c.Lift = 2 },
		"size":       func(c *Config) { c.LargeBasket = -1 },
		"half-life":  func(c *Config) { c.HalfLife = -1 },
		"decay":      func(c *Config) { c.HistoryDecay = 0 },
		"policy":     func(c *Config) { c.Repeats = "" },
	} {
		cfg := Default()
		change(&cfg)
		if _, err := Fit(t.Context(), cfg, &model.Sessions{}, 3); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	s := &model.Sessions{}
	s.Append([]int32{3}, []int64{0})
	if _, err := Fit(t.Context(), Default(), s, 3); err == nil {
		t.Error("an item outside the vocabulary was taken")
	}
	if got := fit(t, Default(), &model.Sessions{}, 3).Score(nil, model.Query{Items: []int32{0, 7, -1}}, 3); len(got) != 0 {
		t.Errorf("no basket answers %v", got)
	}
}
