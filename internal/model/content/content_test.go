package content

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/model"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

func price(p float64) *float64 { return &p }

// camping is a small shop whose neighbours everybody can judge.
func camping() []*event.CatalogueItem {
	return []*event.CatalogueItem{
		0: {ItemID: "tent", Title: "Dome tent for two", Categories: []string{"Camping", "Tents"}, Brand: "Northfold", Price: price(180), Available: true},
		1: {ItemID: "tent3", Title: "Dome tent for three", Categories: []string{"Camping", "Tents"}, Brand: "Northfold", Price: price(240), Available: true},
		2: {ItemID: "tarp", Title: "Rain tarp", Categories: []string{"Camping", "Tents"}, Brand: "Copse", Price: price(60), Available: true},
		3: {ItemID: "stove", Title: "Gas stove", Categories: []string{"Camping", "Cooking"}, Brand: "Copse", Price: price(50), Available: true},
		4: {ItemID: "boot", Title: "Walking boots", Categories: []string{"Shoes"}, Brand: "Northfold", Price: price(130), Available: true},
		5: nil, // an item of events that said nothing of it
		6: {ItemID: "shoe", Title: "Running shoe", Categories: []string{"Shoes"}, Brand: "Fleet", Price: price(110), Available: true},
	}
}

func fit(t testing.TB, cfg Config, items []*event.CatalogueItem) *Model {
	t.Helper()
	m, err := Fit(t.Context(), cfg, items)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func places(scored []model.Scored) (out []int32) {
	for _, s := range scored {
		out = append(out, s.Item)
	}
	return out
}

func TestNeighboursOfASmallShop(t *testing.T) {
	m := fit(t, Default(), camping())
	for query, want := range map[int32][]int32{0: {1, 2, 3}, 4: {6}, 3: {2}} {
		got := m.Score(nil, model.Query{Items: []int32{query}, Set: true}, len(want))
		if !slices.Equal(places(got), want) || got[0].Because != query || got[0].Score > 1 {
			t.Errorf("like %d are %+v, want %v", query, got, want)
		}
	}
	for _, unknown := range [][]int32{nil, {5}, {-1}, {7}} {
		if got := m.Score(nil, model.Query{Items: unknown}, 3); len(got) != 0 {
			t.Errorf("query %v is answered with %+v", unknown, got)
		}
	}
	if got := m.Score(nil, model.Query{History: []int32{4}}, 1); !slices.Equal(places(got), []int32{6}) {
		t.Errorf("without a session the history is not asked: %+v", got)
	}
	// The newest item of a session leads, and each answer says which item brought it.
	got := m.Score(nil, model.Query{Items: []int32{4, 0}}, 3)
	if !slices.Equal(places(got[:2]), []int32{1, 6}) && !slices.Equal(places(got[:2]), []int32{1, 2}) {
		t.Errorf("after boots and a tent: %+v", got)
	}
	for _, s := range got {
		if want := map[int32]int32{1: 0, 2: 0, 3: 0, 6: 4}[s.Item]; s.Because != want {
			t.Errorf("%d because of %d, want %d", s.Item, s.Because, want)
		}
	}
}

// Each field by itself brings items together, whatever the others are.
func TestEveryFieldCounts(t *testing.T) {
	alone := func(set func(*Config)) Config {
		c := Default()
		c.Title, c.Categories, c.Brand, c.Labels, c.Fields, c.Price = 0, 0, 0, 0, 0, 0
		set(&c)
		return c
	}
	item := func(it event.CatalogueItem) *event.CatalogueItem { return &it }
	for name, c := range map[string]struct {
		cfg             Config
		a, like, unlike *event.CatalogueItem
	}{
		"title, folded case": {alone(func(c *Config) { c.Title = 1 }), item(event.CatalogueItem{Title: "Écharpe en LAINE"}), item(event.CatalogueItem{Title: "écharpe"}), item(event.CatalogueItem{Title: "bonnet"})},
		"title, plural":      {alone(func(c *Config) { c.Title = 1 }), item(event.CatalogueItem{Title: "Shoe"}), item(event.CatalogueItem{Title: "Shoes"}), item(event.CatalogueItem{Title: "Boots"})},
		"title, compound":    {alone(func(c *Config) { c.Title = 1 }), item(event.CatalogueItem{Title: "Regenjacke"}), item(event.CatalogueItem{Title: "Jacke"}), item(event.CatalogueItem{Title: "Hose"})},
		"title, no spaces":   {alone(func(c *Config) { c.Title = 1 }), item(event.CatalogueItem{Title: "防水帐篷"}), item(event.CatalogueItem{Title: "双人帐篷"}), item(event.CatalogueItem{Title: "跑鞋"})},
		"category":           {alone(func(c *Config) { c.Categories = 1 }), item(event.CatalogueItem{Categories: []string{"Trail shoes"}}), item(event.CatalogueItem{Categories: []string{"trail shoes"}}), item(event.CatalogueItem{Categories: []string{"Tents"}})},
		"part of a category": {alone(func(c *Config) { c.Categories = 1 }), item(event.CatalogueItem{Categories: []string{"Trail shoes"}}), item(event.CatalogueItem{Categories: []string{"Shoes"}}), item(event.CatalogueItem{Categories: []string{"Tents"}})},
		"brand":              {alone(func(c *Config) { c.Brand = 1 }), item(event.CatalogueItem{Brand: "Copse & Co."}), item(event.CatalogueItem{Brand: "COPSE & CO."}), item(event.CatalogueItem{Brand: "Fleet"})},
		"label":              {alone(func(c *Config) { c.Labels = 1 }), item(event.CatalogueItem{Labels: []string{"vegan", "sale"}}), item(event.CatalogueItem{Labels: []string{"vegan"}}), item(event.CatalogueItem{Labels: []string{"new"}})},
		"price":              {alone(func(c *Config) { c.Price = 1 }), item(event.CatalogueItem{Price: price(20.1)}), item(event.CatalogueItem{Price: price(19.9)}), item(event.CatalogueItem{Price: price(60)})},
		"own text":           {alone(func(c *Config) { c.Fields = 1 }), own("colour", "red"), own("colour", "Red"), own("lining", "red")},
		"own flag":           {alone(func(c *Config) { c.Fields = 1 }), own("vegan", true), own("vegan", true), own("vegan", false)},
		"own number":         {alone(func(c *Config) { c.Fields = 1 }), own("watts", json.Number("60")), own("watts", 62.0), own("volts", json.Number("60"))},
		"own list":           {alone(func(c *Config) { c.Fields = 1 }), own("sizes", []any{"m", "l"}), own("sizes", []any{"l"}), own("sizes", []any{"s"})},
	} {
		m := fit(t, c.cfg, []*event.CatalogueItem{c.a, c.like, c.unlike})
		if got := m.Score(nil, model.Query{Items: []int32{0}}, 2); !slices.Equal(places(got), []int32{1}) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func own(name string, value any) *event.CatalogueItem {
	return &event.CatalogueItem{Fields: map[string]any{name: value}}
}

// A word of a title is no brand, and a piece of a word no word.
func TestFieldsDoNotMeet(t *testing.T) {
	m := fit(t, Default(), []*event.CatalogueItem{{Title: "Fleet"}, {Brand: "Fleet"}, {Labels: []string{"Fleet"}}, {Categories: []string{"Fleet"}}})
	if got := m.Score(nil, model.Query{Items: []int32{0}}, 3); len(got) != 0 {
		t.Errorf("a title is like %+v", got)
	}
}

// words that random items are made of; a few are common and most are rare.
func randomItem(rng *rand.Rand, id int) *event.CatalogueItem {
	word := func() string { return fmt.Sprintf("word%c%d", 'a'+rng.IntN(26), int(12*rng.Float64()*rng.Float64())) }
	it := &event.CatalogueItem{ItemID: fmt.Sprintf("i%d", id), Title: word() + " " + word() + " " + word(), Available: true}
	if rng.IntN(3) > 0 {
		it.Categories = []string{fmt.Sprintf("c%d", rng.IntN(10)), fmt.Sprintf("d%d", rng.IntN(40))}
	}
	if rng.IntN(2) > 0 {
		it.Brand = fmt.Sprintf("brand %d", rng.IntN(20))
	}
	if rng.IntN(2) > 0 {
		it.Price = price(math.Exp(6 * rng.Float64()))
	}
	if rng.IntN(4) == 0 {
		it.Fields = map[string]any{"colour": fmt.Sprintf("colour%d", rng.IntN(9)), "weight": json.Number("12.5")}
	}
	return it
}

func randomItems(seed uint64, n int) []*event.CatalogueItem {
	rng := rand.New(rand.NewPCG(seed, 7))
	items := make([]*event.CatalogueItem, n)
	for i := range items {
		if rng.IntN(20) > 0 {
			items[i] = randomItem(rng, i)
		}
	}
	return items
}

// plain is the oracle of a vector: a map of terms as text, made in the simplest way that the documentation allows.
func plainVector(cfg Config, df map[string]float64, n float64, it *event.CatalogueItem) map[string]float64 {
	whole := map[string]float64{}
	for field, counts := range plainTerms(cfg, it) {
		weights, length := map[string]float64{}, 0.0
		for name, times := range counts {
			if times > 1 {
				times = 1 + math.Log(times)
			}
			w := times * math.Log(1+(n+1)/(df[name]+0.5))
			weights[name] = w
			length += w * w
		}
		for name, w := range weights {
			whole[name] = w / math.Sqrt(length) * cfg.weights()[field]
		}
	}
	return plainUnit(whole)
}

func plainUnit(v map[string]float64) map[string]float64 {
	length := 0.0
	for _, w := range v {
		length += w * w
	}
	out := map[string]float64{}
	for name, w := range v {
		out[name] = w / math.Sqrt(length)
	}
	return out
}

// plainTerms takes an item of randomItem apart, field by field.
func plainTerms(cfg Config, it *event.CatalogueItem) map[int]map[string]float64 {
	out := map[int]map[string]float64{}
	add := func(field int, name string, times float64) {
		if out[field] == nil {
			out[field] = map[string]float64{}
		}
		// Some terms do share a bucket; how they are hashed is the one thing that the oracle takes over.
		out[field][fmt.Sprint(field, xxhash.Sum64String(name)>>(64-bucketBits))] += times
	}
	text := func(field int, prefix, s string, times float64) {
		words := strings.Fields(strings.ToLower(s))
		for i, w := range words {
			add(field, "w"+prefix+w, times)
			if i > 0 {
				add(field, "p"+prefix+words[i-1]+" "+w, times*cfg.Pairs)
			}
			for from := 0; from+cfg.PieceLength <= len(w); from++ {
				add(field, "g"+prefix+w[from:from+cfg.PieceLength], times*cfg.Pieces)
			}
		}
	}
	name := func(field int, prefix, s string) {
		if s != "" {
			add(field, "n"+prefix+strings.ToLower(s), 1)
			text(field, prefix, s, 0.5)
		}
	}
	number := func(field int, prefix string, x float64) {
		at := math.Log2(1+x) * 2
		low := math.Floor(at)
		add(field, fmt.Sprint("s"+prefix+"+", low), 1-(at-low))
		add(field, fmt.Sprint("s"+prefix+"+", low+1), at-low)
	}
	text(fieldTitle, "", it.Title, 1)
	for _, c := range it.Categories {
		name(fieldCategories, "", c)
	}
	name(fieldBrand, "", it.Brand)
	if it.Price != nil {
		number(fieldPrice, "", *it.Price)
	}
	if it.Fields != nil {
		name(fieldOwn, "colour\x00", it.Fields["colour"].(string))
		number(fieldOwn, "weight\x00", 12.5)
	}
	return out
}

// The model answers as brute force over maps of words does, whatever the query: hashing, postings and the order of everything are
// only faster.
func TestScoreIsBruteForce(t *testing.T) {
	cfg := Default()
	cfg.MinScore, cfg.MaxTerms = 0, maxTerms
	items := randomItems(1, 400)
	m := fit(t, cfg, items)
	df, n := map[string]float64{}, 0.0
	for _, it := range items {
		if it == nil {
			continue
		}
		n++
		for _, counts := range plainTerms(cfg, it) {
			for name := range counts {
				df[name]++
			}
		}
	}
	vectors := make([]map[string]float64, len(items))
	for i, it := range items {
		if it != nil {
			vectors[i] = plainVector(cfg, df, n, it)
		}
	}
	rng := rand.New(rand.NewPCG(2, 2))
	for range 50 {
		q := model.Query{Set: rng.IntN(2) == 0}
		for range 1 + rng.IntN(6) {
			q.Items = append(q.Items, int32(rng.IntN(len(items))))
		}
		compareWithPlain(t, m, vectors, q)
	}
}

// compareWithPlain holds an answer against the cosines of the query with every vector.
func compareWithPlain(t *testing.T, m *Model, vectors []map[string]float64, q model.Query) {
	t.Helper()
	sum, weight := map[string]float64{}, 1.0
	shares := map[int32]float64{} // weight of each distinct item of the query
	for i := len(q.Items) - 1; i >= 0; i-- {
		item := q.Items[i]
		if _, again := shares[item]; again || vectors[item] == nil {
			continue
		}
		shares[item] = weight
		for name, w := range vectors[item] {
			sum[name] += weight * w
		}
		if !q.Set {
			weight *= m.cfg.HistoryDecay
		}
	}
	sum = plainUnit(sum)
	dot := func(a, b map[string]float64) (d float64) {
		for name, w := range a {
			d += w * b[name]
		}
		return d
	}
	want := map[int32]float64{}
	for i, v := range vectors {
		if score := dot(sum, v); score > 1e-9 && !slices.Contains(q.Items, int32(i)) {
			want[int32(i)] = score
		}
	}
	got := m.Score(nil, q, len(vectors))
	if len(got) != len(want) {
		t.Fatalf("query %v has %d answers, want %d", q.Items, len(got), len(want))
	}
	for i, s := range got {
		if math.Abs(float64(s.Score)-want[s.Item]) > 1e-4 {
			t.Fatalf("query %v: %d scores %g, want %g", q.Items, s.Item, s.Score, want[s.Item])
		}
		if i > 0 && (got[i-1].Score < s.Score || got[i-1].Score == s.Score && got[i-1].Item > s.Item) {
			t.Fatalf("query %v: %+v comes before %+v", q.Items, got[i-1], s)
		}
		most := 0.0
		for item, w := range shares {
			most = max(most, w*dot(vectors[item], vectors[s.Item]))
		}
		if given := shares[s.Because] * dot(vectors[s.Because], vectors[s.Item]); given < most-1e-4 {
			t.Fatalf("query %v: %d because of %d, which gives %g of at most %g", q.Items, s.Item, s.Because, given, most)
		}
	}
	if top := m.Score(nil, q, 7); !slices.Equal(top, got[:min(7, len(got))]) {
		t.Fatalf("the best 7 are %+v, not the head of %+v", top, got[:7])
	}
}

// An item keeps its strongest terms, and the others cost nothing.
func TestMaxTerms(t *testing.T) {
	cfg := Default()
	cfg.Pairs, cfg.Pieces, cfg.MaxTerms = 0, 0, 2
	m := fit(t, cfg, []*event.CatalogueItem{
		{Title: "common rare1 rare2"}, {Title: "common other"}, {Title: "common another"}, {Title: "rare1"}, {Title: "rare2"},
	})
	if got := places(m.Score(nil, model.Query{Items: []int32{0}}, 9)); !slices.Equal(got, []int32{3, 4}) {
		t.Errorf("the strongest terms lead to %v", got)
	}
}

// A term that every second item of a large catalogue has is passed over, and one query reads no more than its share of postings.
func TestCommonTermsArePassedOver(t *testing.T) {
	items := make([]*event.CatalogueItem, 3*smallCatalogue)
	for i := range items {
		items[i] = &event.CatalogueItem{ItemID: fmt.Sprint(i), Title: fmt.Sprintf("n%d", i/2), Brand: "Everyone"}
	}
	m := fit(t, Default(), items)
	if got := places(m.Score(nil, model.Query{Items: []int32{10}}, 9)); !slices.Equal(got, []int32{11}) {
		t.Errorf("like the item are %v", got)
	}
	small := fit(t, Default(), items[:smallCatalogue])
	if got := small.Score(nil, model.Query{Items: []int32{10}}, 9); len(got) != 9 || got[0].Item != 11 {
		t.Errorf("in a small catalogue like the item are %+v", got)
	}
}

func TestConfigsThatMakeNoSense(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"negative weight": func(c *Config) { c.Brand = -1 },
		"no number":       func(c *Config) { c.Price = math.NaN() },
		"no field": func(c *Config) {
			*c = Config{Pairs: c.Pairs, PieceLength: 3, MaxTerms: 9, HistoryDecay: 1, LastItems: 1, Repeats: c.Repeats}
		},
		"pieces of one": func(c *Config) { c.PieceLength = 1 },
		"no terms":      func(c *Config) { c.MaxTerms = 0 },
		"no decay":      func(c *Config) { c.HistoryDecay = 0 },
		"no items":      func(c *Config) { c.LastItems = 0 },
		"all alike":     func(c *Config) { c.MinScore = 1 },
		"no policy":     func(c *Config) { c.Repeats = "sometimes" },
	} {
		cfg := Default()
		change(&cfg)
		if _, err := Fit(t.Context(), cfg, nil); err == nil {
			t.Errorf("%s was taken", name)
		}
		if _, err := NewLive(cfg, nil, nil); err == nil {
			t.Errorf("%s was taken by a live index", name)
		}
	}
}

// sortedIDs lists ids in order, for comparisons of sets.
func sortedIDs(list []Similar) []string {
	ids := make([]string, len(list))
	for i, s := range list {
		ids[i] = s.ID
	}
	slices.SortFunc(ids, cmp.Compare)
	return ids
}
