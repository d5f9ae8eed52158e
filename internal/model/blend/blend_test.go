package blend

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/millrace/millrace/internal/model"
)

// lists is a family that answers with the list of the query's newest item.
type lists struct {
	name string
	of   map[int32][]model.Scored
}

func (l lists) Name() string { return l.name }

func (l lists) Score(dst []model.Scored, q model.Query, k int) []model.Scored {
	last := model.NoCause
	if len(q.Items) > 0 {
		last = q.Items[len(q.Items)-1]
	}
	list := l.of[last]
	return append(dst, list[:min(k, len(list))]...)
}

// randomLists answers each of some items with items of a vocabulary, best first.
func randomLists(rng *rand.Rand, name string, queries, items int) lists {
	l := lists{name, map[int32][]model.Scored{}}
	for q := range int32(queries) {
		var list []model.Scored
		for place, item := range rng.Perm(items)[:rng.IntN(items+1)] {
			cause := q
			if rng.IntN(3) == 0 {
				cause = model.NoCause
			}
			list = append(list, model.Scored{Item: int32(item), Score: float32(5-place) + rng.Float32(), Because: cause})
		}
		slices.SortFunc(list, func(a, b model.Scored) int {
			return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(a.Item, b.Item))
		})
		l.of[q] = list
	}
	return l
}

// oracle joins by a map and a full sort.
func oracle(cfg Config, weights []float32, scorers map[string]model.Scorer, q model.Query, k int) []Blended {
	join := func(counts func(w float32) (float32, bool)) map[int32]*Blended {
		out := map[int32]*Blended{}
		for m, name := range cfg.Members {
			w, ok := counts(weights[m])
			if !ok {
				continue
			}
			list := scorers[name].Score(nil, q, max(cfg.Depth, k))
			for place, s := range list {
				value := float32(1 / (1 + float64(place)/cfg.RankScale))
				if cfg.Scale == ScaleTop {
					value = 0
					if list[0].Score > 0 {
						value = s.Score / list[0].Score
					}
				}
				if !(w*value > 0) {
					continue
				}
				if out[s.Item] == nil {
					out[s.Item] = &Blended{Scored: model.Scored{Item: s.Item, Because: model.NoCause}, Causes: noCauses()}
				}
				out[s.Item].Score += w * value
				out[s.Item].Parts[m], out[s.Item].Causes[m] = w*value, s.Because
			}
		}
		return out
	}
	joined := join(func(w float32) (float32, bool) { return w, w > 0 })
	if len(joined) == 0 {
		joined = join(func(w float32) (float32, bool) { return 1, w == 0 })
	}
	var all []Blended
	for _, b := range joined {
		most := float32(0)
		for m := range cfg.Members {
			if b.Causes[m] != model.NoCause && b.Parts[m] > most {
				most, b.Because = b.Parts[m], b.Causes[m]
			}
		}
		all = append(all, *b)
	}
	slices.SortFunc(all, func(a, b Blended) int {
		return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(a.Item, b.Item))
	})
	return all[:min(k, len(all))]
}

func TestBlendAgreesWithAPlainJoin(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 1))
		cfg := Config{Depth: 1 + rng.IntN(6), Scale: ScaleTop, Contexts: []Context{{}}}
		if rng.IntN(2) == 0 {
			cfg.Scale, cfg.RankScale = ScaleRank, 0.5+5*rng.Float64()
		}
		scorers := map[string]model.Scorer{}
		for m := range 1 + rng.IntN(4) {
			name := fmt.Sprint(m)
			cfg.Members = append(cfg.Members, name)
			scorers[name] = randomLists(rng, name, 3, 8)
			cfg.Contexts[0].Weights = append(cfg.Contexts[0].Weights, float32(rng.IntN(3))/2)
		}
		cfg.Contexts[0].Weights[0] = 1
		m, err := New(cfg, scorers)
		if err != nil {
			t.Fatal(err)
		}
		for range 10 {
			q, k := model.Query{Items: []int32{int32(rng.IntN(4))}}, rng.IntN(9)
			want := oracle(cfg, cfg.Contexts[0].Weights, scorers, q, k)
			if got := m.Blend(nil, q, k); !slices.Equal(got, want) {
				t.Fatalf("seed %d, k %d, %+v:\n got %v\nwant %v", seed, k, cfg, got, want)
			}
			scored := m.Score(nil, q, k)
			for i, b := range want {
				if scored[i] != b.Scored {
					t.Fatalf("seed %d: Score says %v where Blend says %v", seed, scored[i], b.Scored)
				}
			}
		}
	}
}

func TestTheFirstContextThatFitsDecides(t *testing.T) {
	cfg := Config{Members: []string{"a", "b"}, Depth: 5, Scale: ScaleTop, Contexts: []Context{
		{MinItems: 2, MaxItems: 3, History: HistorySome, Segment: "mobile", Weights: []float32{1, 0.1}},
		{MinItems: 2, MaxItems: 3, History: HistorySome, Weights: []float32{1, 0.2}},
		{MaxItems: 1, History: HistoryNone, Weights: []float32{1, 0.3}},
		{Weights: []float32{1, 0.4}},
	}}
	scorers := map[string]model.Scorer{"a": lists{name: "a"}, "b": lists{name: "b"}}
	m, err := New(cfg, scorers)
	if err != nil {
		t.Fatal(err)
	}
	two, met := []int32{1, 2}, []int32{9}
	for _, c := range []struct {
		q    model.Query
		want float32
	}{
		{model.Query{Items: two, History: met, Segment: "mobile"}, 0.1},
		{model.Query{Items: two, History: met, Segment: "desktop"}, 0.2},
		{model.Query{Items: two, History: met}, 0.2},
		{model.Query{Items: two}, 0.4},
		{model.Query{Items: two[:1]}, 0.3},
		{model.Query{}, 0.3},
		{model.Query{Items: []int32{1, 2, 3, 4}, History: met, Segment: "mobile"}, 0.4},
	} {
		if got := m.weights(&c.q); got[1] != c.want {
			t.Errorf("%+v got the weights %v, want %g", c.q, got, c.want)
		}
	}
}

func TestConfigsThatMakeNoSense(t *testing.T) {
	valid := func() Config {
		return Config{Members: []string{"a", "b"}, Depth: 5, Scale: ScaleRank, RankScale: 3, Contexts: []Context{{Weights: []float32{1, 0}}}}
	}
	if err := valid().Validate(); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*Config){
		"no member":          func(c *Config) { c.Members = nil },
		"a member twice":     func(c *Config) { c.Members[1] = "a" },
		"no depth":           func(c *Config) { c.Depth = 0 },
		"too deep":           func(c *Config) { c.Depth = MaxDepth + 1 },
		"no scale":           func(c *Config) { c.Scale = "" },
		"no rank scale":      func(c *Config) { c.RankScale = 0 },
		"no context":         func(c *Config) { c.Contexts = nil },
		"the last is narrow": func(c *Config) { c.Contexts[0].MinItems = 1 },
		"a weight missing":   func(c *Config) { c.Contexts[0].Weights = []float32{1} },
		"a negative weight":  func(c *Config) { c.Contexts[0].Weights[1] = -1 },
		"not a number":       func(c *Config) { c.Contexts[0].Weights[1] = float32(math.NaN()) },
		"all weights 0":      func(c *Config) { c.Contexts[0].Weights[0] = 0 },
		"unknown history": func(c *Config) {
			c.Contexts = append([]Context{{History: "any", Weights: []float32{1, 1}}}, c.Contexts...)
		},
	} {
		c := valid()
		spoil(&c)
		if c.Validate() == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := New(valid(), map[string]model.Scorer{"a": lists{}}); err == nil {
		t.Error("a blend without one of its families: no error")
	}
}

func TestTableAgreesWithAMap(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var table table
	for range 300 {
		n := 1 + rng.IntN(40)
		table.reset(n)
		want := map[int32]int32{}
		for range 3 * n {
			item := int32(rng.IntN(3 * n))
			if rng.IntN(8) == 0 {
				item = math.MaxInt32 - item - 1
			}
			known, ok := want[item]
			if !ok && len(want) == n {
				continue
			}
			place, added := table.put(item, int32(len(want)))
			if added == ok || ok && place != known {
				t.Fatalf("item %d came to %d (added %t), want %d (%t)", item, place, added, known, ok)
			}
			if !ok {
				want[item] = place
			}
		}
		for item, place := range want {
			if table.find(item) != place {
				t.Fatalf("item %d is at %d, want %d", item, table.find(item), place)
			}
		}
	}
}
