package transitions

import (
	"bytes"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/model"
	"github.com/millrace/millrace/internal/model/artifact"
)

const numItems = 40

// randomSessions has repeats within sessions and equal items in a row, as real clicks do.
func randomSessions(seed uint64, n int) *model.Sessions {
	rng := rand.New(rand.NewPCG(seed, 0))
	s := &model.Sessions{}
	for i := range n {
		var items []int32
		var times []int64
		for range rng.IntN(15) {
			items = append(items, int32(rng.ExpFloat64()*8)%numItems)
			times = append(times, int64(i)*3_600_000+int64(len(times))*60_000)
		}
		s.Append(items, times)
	}
	return s
}

// oracle answers a query from the definition: a dense matrix over all pairs, no bound on neighbours.
func oracle(cfg Config, s *model.Sessions, q model.Query) (scores [numItems]float64) {
	var pairs [numItems][numItems]float64
	newest := s.Newest()
	for i := range s.Len() {
		items, times := s.At(i)
		for a := range items {
			for b := a + 1; b < len(items) && b-a <= cfg.Window; b++ {
				w := math.Pow(cfg.GapDecay, float64(b-a-1))
				if cfg.HalfLife > 0 {
					w *= math.Pow(0.5, float64(newest-times[b])/float64(cfg.HalfLife.Milliseconds()))
				}
				pairs[items[a]][items[b]] += w
				pairs[items[b]][items[a]] += w * cfg.Backward
			}
		}
	}
	var out, in [numItems]float64
	for a := range numItems {
		for b := range numItems {
			out[a] += pairs[a][b]
			in[b] += pairs[a][b]
		}
	}
	age := 0
	var done []int32
	for i := len(q.Items) - 1; i >= 0 && len(done) < cfg.LastItems; i-- {
		item := q.Items[i]
		if item < 0 || item >= numItems || slices.Contains(done, item) {
			continue
		}
		done = append(done, item)
		for b := range numItems {
			if pairs[item][b] > 0 {
				w := math.Pow(cfg.HistoryDecay, float64(age))
				if q.Set {
					w = 1
				}
				scores[b] += w * pairs[item][b] / (math.Sqrt(out[item]) * math.Sqrt(in[b]))
			}
		}
		age++
	}
	for _, item := range slices.Concat(q.Excluded(cfg.Repeats)[0], q.Excluded(cfg.Repeats)[1]) {
		if item >= 0 && item < numItems {
			scores[item] = 0
		}
	}
	return scores
}

// checkAgainst compares an answer with the scores of all items: the right scores, in order, and none better left out.
func checkAgainst(t *testing.T, got []model.Scored, want [numItems]float64, k int) {
	t.Helper()
	positive := 0
	for _, w := range want {
		if w > 0 {
			positive++
		}
	}
	if len(got) != min(k, positive) {
		t.Fatalf("%d items, want %d", len(got), min(k, positive))
	}
	for i, s := range got {
		if w := want[s.Item]; math.Abs(float64(s.Score)-w) > 1e-5*w {
			t.Errorf("item %d has score %g, want %g", s.Item, s.Score, w)
		}
		if i > 0 && (s.Score > got[i-1].Score || s.Score == got[i-1].Score && s.Item < got[i-1].Item) {
			t.Errorf("place %d is out of order: %v after %v", i, s, got[i-1])
		}
		want[s.Item] = 0
	}
	for item, w := range want {
		if len(got) == k && w > float64(got[k-1].Score)*(1+1e-5) {
			t.Errorf("item %d with score %g was left out", item, w)
		}
	}
}

func configs() map[string]Config {
	plain := Default()
	forward := plain
	forward.Backward, forward.HalfLife, forward.Repeats = 0, 0, model.RepeatsAllowed
	narrow := plain
	narrow.Window, narrow.LastItems, narrow.HalfLife, narrow.Repeats = 2, 2, 12*time.Hour, model.RepeatsNone
	return map[string]Config{"default": plain, "forward": forward, "narrow": narrow}
}

func TestScoreAgreesWithTheDefinition(t *testing.T) {
	s := randomSessions(1, 60)
	rng := rand.New(rand.NewPCG(2, 0))
	for name, cfg := range configs() {
		m, err := Fit(cfg, s, numItems)
		if err != nil {
			t.Fatal(err)
		}
		for range 50 {
			q := model.Query{Set: rng.IntN(4) == 0}
			for range rng.IntN(8) {
				q.Items = append(q.Items, rng.Int32N(numItems+2)-1) // some outside the vocabulary
			}
			t.Run(name, func(t *testing.T) { checkAgainst(t, m.Score(nil, q, 10), oracle(cfg, s, q), 10) })
		}
	}
}

func TestBecauseIsTheStrongestQueryItem(t *testing.T) {
	s := &model.Sessions{}
	for range 5 {
		s.Append([]int32{0, 2}, []int64{1, 2}) // 0 leads to 2
	}
	s.Append([]int32{1, 3}, []int64{1, 2}) // 1 leads to 3
	cfg := Default()
	cfg.HalfLife = 0
	m, err := Fit(cfg, s, 4)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range m.Score(nil, model.Query{Items: []int32{0, 1}}, 4) {
		if want := map[int32]int32{2: 0, 3: 1}[r.Item]; (r.Item == 2 || r.Item == 3) && r.Because != want {
			t.Errorf("item %d because of %d, want %d", r.Item, r.Because, want)
		}
	}
}

func TestNeighboursAreTheStrongest(t *testing.T) {
	cfg := Default()
	s := randomSessions(3, 80)
	all, err := Fit(cfg, s, numItems)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Neighbours = 3
	few, err := Fit(cfg, s, numItems)
	if err != nil {
		t.Fatal(err)
	}
	for item := range int32(numItems) {
		q := model.Query{Items: []int32{item}, Set: true}
		want := all.Score(nil, q, numItems)
		if row := all.Items[all.Offsets[item]:all.Offsets[item+1]]; len(row) > 3 && slices.Contains(row[:3], item) {
			continue // the item itself took one of the three places and is never answered
		}
		if got := few.Score(nil, q, numItems); !slices.Equal(got, want[:min(3, len(want))]) {
			t.Errorf("item %d keeps %v, want the first three of %v", item, got, want)
		}
	}
}

func TestVeryOldPairsDoNotBreakTheModel(t *testing.T) {
	s := &model.Sessions{}
	century := int64(100 * 365 * 24 * time.Hour / time.Millisecond)
	s.Append([]int32{0, 1}, []int64{0, 1})
	s.Append([]int32{2, 3}, []int64{century, century + 1})
	cfg := Default()
	cfg.HalfLife = time.Hour
	m, err := Fit(cfg, s, 4)
	if err != nil {
		t.Fatal(err)
	}
	if got := m.Score(nil, model.Query{Items: []int32{2}}, 4); len(got) != 1 || got[0].Item != 3 {
		t.Errorf("got %v, want item 3", got)
	}
	for _, r := range m.Score(nil, model.Query{Items: []int32{0}}, 4) {
		if !(r.Score > 0) || math.IsInf(float64(r.Score), 0) {
			t.Errorf("score %v of a pair a century old", r)
		}
	}
}

// A pair that is old while both of its items are not weighs next to nothing: it is no pair, and not one of weight 0, which
// no file may hold.
func TestWeightThatIsTooSmallIsNoPair(t *testing.T) {
	cfg := Default()
	cfg.HalfLife = time.Hour
	s, week := &model.Sessions{}, int64(7*24*time.Hour/time.Millisecond)
	s.Append([]int32{0, 1}, []int64{0, 1})
	s.Append([]int32{0, 2}, []int64{week, week + 1})
	s.Append([]int32{3, 1}, []int64{week, week + 1})
	m, err := Fit(cfg, s, 4)
	if err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	if err := m.Encode(&file); err != nil {
		t.Fatal(err)
	}
	if m, err = Decode(artifact.File{Bytes: file.Bytes()}, 4); err != nil {
		t.Fatal(err)
	}
	if got := m.Score(nil, model.Query{Items: []int32{0}}, 4); len(got) != 1 || got[0].Item != 2 {
		t.Errorf("got %v, want item 2", got)
	}
}

func TestConcurrentQueriesAgree(t *testing.T) {
	m, err := Fit(Default(), randomSessions(5, 80), numItems)
	if err != nil {
		t.Fatal(err)
	}
	var want [numItems][]model.Scored
	for item := range want {
		want[item] = m.Score(nil, model.Query{Items: []int32{int32(item)}}, 10)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 20 {
				for item := range want {
					if got := m.Score(nil, model.Query{Items: []int32{int32(item)}}, 10); !slices.Equal(got, want[item]) {
						t.Errorf("item %d: %v, alone %v", item, got, want[item])
					}
				}
			}
		})
	}
	wg.Wait()
}

func TestFitRefusesWhatMakesNoSense(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"window":     func(c *Config) { c.Window = 0 },
		"gap decay":  func(c *Config) { c.GapDecay = 0 },
		"backward":   func(c *Config) { c.Backward = math.NaN() },
		"half-life":  func(c *Config) { c.HalfLife = -1 },
		"history":    func(c *Config) { c.HistoryDecay = 2 },
		"last items": func(c *Config) { c.LastItems = 0 },
		"neighbours": func(c *Config) { c.Neighbours = 0 },
		"repeats":    func(c *Config) { c.Repeats = "" },
	} {
		cfg := Default()
		change(&cfg)
		if _, err := Fit(cfg, &model.Sessions{}, 1); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func BenchmarkFit(b *testing.B) {
	s := randomSessions(1, 5000)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Fit(Default(), s, numItems); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(s.Events()), "events/op")
}

func BenchmarkScore(b *testing.B) {
	m, err := Fit(Default(), randomSessions(1, 5000), numItems)
	if err != nil {
		b.Fatal(err)
	}
	q := model.Query{Items: []int32{1, 2, 3, 4}}
	dst := make([]model.Scored, 0, 20)
	b.ReportAllocs()
	for b.Loop() {
		dst = m.Score(dst[:0], q, 20)
	}
}
