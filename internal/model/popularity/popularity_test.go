package popularity

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/model"
	"github.com/millrace/millrace/internal/model/artifact"
)

const hour = int64(time.Hour / time.Millisecond)

// clicks makes one session an event: popularity does not look at sessions.
func clicks(events ...[2]int64) *model.Sessions {
	s := &model.Sessions{}
	for _, e := range events {
		s.Append([]int32{int32(e[0])}, []int64{e[1] * hour})
	}
	return s
}

func fit(t *testing.T, cfg Config, s *model.Sessions, numItems int, categories [][]string) *Model {
	t.Helper()
	m, err := Fit(cfg, s, numItems, categories)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func items(scored []model.Scored) []int32 {
	var out []int32
	for _, s := range scored {
		out = append(out, s.Item)
	}
	return out
}

func TestScoreIsTheDecayedCount(t *testing.T) {
	cfg := Default()
	cfg.HalfLife = 10 * time.Hour
	// Item 0: three clicks 20 h ago = 3/4. Item 1: one click now. Item 2: 10 h and 20 h ago = 1/2 + 1/4. Item 3: none.
	m := fit(t, cfg, clicks([2]int64{0, 0}, [2]int64{0, 0}, [2]int64{0, 0}, [2]int64{2, 0}, [2]int64{2, 10}, [2]int64{1, 20}), 4, nil)
	got := m.Score(nil, model.Query{}, 10)
	want := []model.Scored{{Item: 1, Score: 1, Because: -1}, {Item: 0, Score: 0.75, Because: -1}, {Item: 2, Score: 0.75, Because: -1}}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v (ties to the lower index, no item without clicks)", got, want)
	}
	cfg.HalfLife = 0
	if got := items(fit(t, cfg, clicks([2]int64{0, 0}, [2]int64{0, 0}, [2]int64{1, 500}), 2, nil).Score(nil, model.Query{}, 1)); !slices.Equal(got, []int32{0}) {
		t.Errorf("without decay the first is %v, want item 0", got)
	}
}

func TestScoreSkipsExcludedItemsAndStillFillsTheList(t *testing.T) {
	cfg := Default()
	cfg.Repeats = model.RepeatsNone
	m := fit(t, cfg, clicks([2]int64{0, 9}, [2]int64{0, 9}, [2]int64{0, 9}, [2]int64{1, 9}, [2]int64{1, 9}, [2]int64{2, 9}), 3, nil)
	if got := items(m.Score(nil, model.Query{Items: []int32{0}}, 2)); !slices.Equal(got, []int32{1, 2}) {
		t.Errorf("got %v, want 1 and 2", got)
	}
	dst := []model.Scored{{Item: 9}}
	if got := items(m.Score(dst, model.Query{}, 1)); !slices.Equal(got, []int32{9, 0}) {
		t.Errorf("got %v, want the answer appended to what was there", got)
	}
}

func TestTrendingPrefersTheUnusual(t *testing.T) {
	cfg := Default()
	cfg.TrendFast, cfg.TrendSlow, cfg.TrendPrior = 10*time.Hour, 100*time.Hour, 2
	s := &model.Sessions{}
	for h := range int64(500) { // item 0 sells all the time, twice an hour; item 1 began ten hours ago, once an hour
		s.Append([]int32{0, 0}, []int64{h * hour, h * hour})
		if h >= 490 {
			s.Append([]int32{1}, []int64{h * hour})
		}
	}
	s.Append([]int32{2}, []int64{499 * hour}) // one click on an unknown item is no trend
	m := fit(t, cfg, s, 3, nil)
	got := m.Trending().Score(nil, model.Query{}, 3)
	if !slices.Equal(items(got), []int32{1, 0, 2}) {
		t.Fatalf("trending %v, want item 1 before 0 before 2", got)
	}
	// Plain sums for item 1: fast and slow counts of clicks 0 to 9 hours old.
	fast, slow := 0.0, 0.0
	for age := range 10 {
		fast += math.Exp2(-float64(age) / 10)
		slow += math.Exp2(-float64(age) / 100)
	}
	if want := fast / (slow*0.1 + 2); math.Abs(float64(got[0].Score)-want) > 1e-5 {
		t.Errorf("trend of item 1 is %g, want %g", got[0].Score, want)
	}
	if first := items(m.Score(nil, model.Query{}, 1)); first[0] != 0 {
		t.Errorf("most popular is %v, want item 0", first)
	}
	if name := m.Trending().Name(); name != TrendingName {
		t.Errorf("name %q", name)
	}
}

func TestCategoriesRankTheirOwnItems(t *testing.T) {
	cfg := Default()
	cfg.PerCategory = 2
	categories := [][]string{{"shoes"}, {"shoes", "sale", "shoes"}, {"shoes"}, {"hats"}, nil}
	s := clicks([2]int64{0, 5}, [2]int64{1, 5}, [2]int64{1, 5}, [2]int64{2, 5}, [2]int64{2, 5}, [2]int64{2, 5}, [2]int64{4, 5})
	m := fit(t, cfg, s, 5, categories)
	if got := m.Categories(); !slices.Equal(got, []string{"sale", "shoes"}) {
		t.Errorf("categories %v: hats have no clicks", got)
	}
	if got := items(m.ScoreCategory(nil, "shoes", model.Query{}, 9)); !slices.Equal(got, []int32{2, 1}) {
		t.Errorf("shoes are %v, want the two best", got)
	}
	if got := m.ScoreCategory(nil, "hats", model.Query{}, 9); len(got) != 0 {
		t.Errorf("unknown category gave %v", got)
	}
}

func TestCodecKeepsAnswersAndBytes(t *testing.T) {
	categories := [][]string{{"a"}, {"b", "a"}, {"b"}}
	s := clicks([2]int64{0, 5}, [2]int64{1, 7}, [2]int64{1, 5}, [2]int64{2, 50})
	m := fit(t, Default(), s, 3, categories)
	var first, second bytes.Buffer
	if err := errors.Join(m.Encode(&first), fit(t, Default(), s, 3, categories).Encode(&second)); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("the same sessions gave different bytes")
	}
	if _, err := Decode(artifact.File{Bytes: first.Bytes()}, 2); !errors.Is(err, artifact.ErrCorrupt) {
		t.Errorf("smaller vocabulary: error %v, want ErrCorrupt", err)
	}
	back, err := Decode(artifact.File{Bytes: first.Bytes()}, 3)
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []model.Query{{}, {Items: []int32{1}}} {
		if got, want := back.Score(nil, q, 3), m.Score(nil, q, 3); !slices.Equal(got, want) {
			t.Errorf("decoded model answers %v, want %v", got, want)
		}
		if got, want := back.ScoreCategory(nil, "b", q, 3), m.ScoreCategory(nil, "b", q, 3); !slices.Equal(got, want) {
			t.Errorf("decoded category answers %v, want %v", got, want)
		}
		if got, want := back.Trending().Score(nil, q, 3), m.Trending().Score(nil, q, 3); !slices.Equal(got, want) {
			t.Errorf("decoded trend answers %v, want %v", got, want)
		}
	}
}

func TestFitRefusesWhatMakesNoSense(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"negative half-life": func(c *Config) { c.HalfLife = -1 },
		"fast slower":        func(c *Config) { c.TrendFast = c.TrendSlow },
		"no prior":           func(c *Config) { c.TrendPrior = 0 },
		"no list":            func(c *Config) { c.PerCategory = 0 },
		"unknown policy":     func(c *Config) { c.Repeats = "maybe" },
	} {
		cfg := Default()
		change(&cfg)
		if _, err := Fit(cfg, &model.Sessions{}, 0, nil); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := Fit(Default(), clicks([2]int64{5, 0}), 5, nil); err == nil {
		t.Error("item outside the vocabulary: no error")
	}
}

func TestEmptyModelAnswersNothing(t *testing.T) {
	m := fit(t, Default(), &model.Sessions{}, 0, nil)
	if got := m.Score(nil, model.Query{Items: []int32{3}}, 5); len(got) != 0 {
		t.Errorf("got %v", got)
	}
}

func TestWeightsCount(t *testing.T) {
	s := &model.Sessions{}
	s.Add(model.Session{Items: []int32{0, 0, 1}, Times: []int64{1, 2, 3}, Weights: []float32{1, 1, 5}, User: model.NoUser})
	cfg := Default()
	cfg.HalfLife = 0
	m, err := Fit(cfg, s, 2, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := m.Score(nil, model.Query{}, 2); len(got) != 2 || got[0].Item != 1 || got[0].Score != 5 || got[1].Score != 2 {
		t.Errorf("ranking %v", got)
	}
}

// A segment is ranked by its own clicks; one of few goes with everybody, and an unknown one is everybody.
func TestSegmentsHaveTheirTaste(t *testing.T) {
	s := &model.Sessions{}
	add := func(segment string, item int32, times int) {
		for range times {
			s.Add(model.Session{Items: []int32{item}, Times: []int64{1}, User: model.NoUser, Segment: segment})
		}
	}
	add("desktop", 0, 60)
	add("desktop", 1, 50)
	add("mobile", 1, 5)
	add("mobile", 2, 40)
	add("tv", 3, 1)
	add("", 0, 10)
	cfg := Default()
	cfg.SegmentPrior = 20
	m := fit(t, cfg, s, 4, nil)
	for segment, want := range map[string][]int32{"desktop": {0, 1, 2, 3}, "mobile": {2, 1, 0, 3}, "tv": {0, 1, 2, 3}, "": {0, 1, 2, 3}, "watch": {0, 1, 2, 3}} {
		// tv: 1 click of item 3, and 20 by everybody's taste: 8.4, 6.6, 4.8 and 0.1.
		if got := items(m.Score(nil, model.Query{Segment: segment}, 4)); !slices.Equal(got, want) {
			t.Errorf("%q gets %v, want %v", segment, got, want)
		}
	}
	cfg.SegmentPrior = 0
	if got := items(fit(t, cfg, s, 4, nil).Score(nil, model.Query{Segment: "mobile"}, 1)); !slices.Equal(got, []int32{0}) {
		t.Errorf("without segments mobile gets %v", got)
	}
}

func TestSegmentsAreBounded(t *testing.T) {
	s := &model.Sessions{}
	for i := range 3 * maxSegments {
		for range 1 + i%7 {
			s.Add(model.Session{Items: []int32{0}, Times: []int64{1}, User: model.NoUser, Segment: string(rune('A' + i))})
		}
	}
	m := fit(t, Default(), s, 1, nil)
	if len(m.segments) != maxSegments || !slices.IsSorted(m.segments) || !slices.Contains(m.segments, string(rune('A'+6))) {
		t.Errorf("segments %v", m.segments)
	}
}

// What rises in a category need not be what is wanted most there.
func TestTrendsOfACategory(t *testing.T) {
	s := &model.Sessions{}
	for h := range int64(500) {
		s.Append([]int32{0, 0}, []int64{h * hour, h * hour})
		if h >= 490 {
			s.Append([]int32{1, 2}, []int64{h * hour, h * hour})
		}
	}
	m := fit(t, Default(), s, 3, [][]string{{"shoes"}, {"shoes"}, {"hats"}})
	if got := items(m.ScoreTrending(nil, "shoes", model.Query{}, 5)); !slices.Equal(got, []int32{1, 0}) {
		t.Errorf("rising shoes: %v", got)
	}
	if got := items(m.ScoreCategory(nil, "shoes", model.Query{}, 5)); !slices.Equal(got, []int32{0, 1}) {
		t.Errorf("wanted shoes: %v", got)
	}
	if got := m.ScoreTrending(nil, "none", model.Query{}, 5); got != nil {
		t.Errorf("an unknown category: %v", got)
	}
}
