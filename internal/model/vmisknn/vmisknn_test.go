package vmisknn

import (
	"bytes"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/millrace/millrace/internal/model"
	"github.com/millrace/millrace/internal/model/artifact"
)

func fit(t testing.TB, cfg Config, s *model.Sessions) *Model {
	t.Helper()
	m, err := Fit(cfg, s, numItems)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestScoreAgreesWithTheDefinition(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 0))
	answered := 0
	for seed := range uint64(4) {
		train := randomSessions(seed, 250)
		for range 60 {
			cfg := randomConfig(rng)
			m := fit(t, cfg, train)
			for range 5 {
				q := randomQuery(rng)
				got := m.Score(nil, q, 8)
				if err := agree(got, plainScores(cfg, train, q), 8); err != "" {
					t.Fatalf("%s\nconfig %+v\nquery %+v\ngot %v", err, cfg, q, got)
				}
				answered += len(got)
			}
		}
	}
	if answered < 1000 {
		t.Errorf("only %d items were compared", answered)
	}
}

// agree compares an answer with the scores of all items: the right scores, in order, and none better left out.
func agree(got []model.Scored, want [numItems]float64, k int) string {
	const tolerance = 2e-5
	for i, s := range got {
		switch w := want[s.Item]; {
		case math.Abs(float64(s.Score)-w) > tolerance*w:
			return "wrong score"
		case w == 0:
			return "an item that should not be there, or twice"
		case i > 0 && (s.Score > got[i-1].Score || s.Score == got[i-1].Score && s.Item < got[i-1].Item):
			return "out of order"
		}
		want[s.Item] = 0
	}
	least := 1e-40 // below float32: such items may be missing
	if len(got) == k {
		least = float64(got[k-1].Score) * (1 + tolerance)
	}
	for _, w := range want {
		if w > least {
			return "a better item was left out"
		}
	}
	return ""
}

// session appends one session with the given day as its time.
func session(s *model.Sessions, day int64, items ...int32) {
	s.Append(items, slices.Repeat([]int64{day * 86_400_000}, len(items)))
}

// A hand-checked VSTAN query: two neighbours, every factor at work.
func TestVSTANByHand(t *testing.T) {
	train := &model.Sessions{}
	session(train, 0, 0, 1, 2) // 10 days old
	session(train, 10, 1, 3)
	cfg := Config{Scoring: VSTAN, M: 10, K: 10, LastItems: 5, IDFWeight: 1, SPW: 1, IPW: 2, INH: 1, SNH: 10, Repeats: model.RepeatsAllowed}
	m, err := Fit(cfg, train, 4)
	if err != nil {
		t.Fatal(err)
	}
	// Query 0, 1: weights e^-1 and 1, norm sqrt(1 + e^-2). Session A holds both, B the newer one.
	norm := math.Sqrt(1 + math.Exp(-2))
	a := (1 + math.Exp(-1)) / (norm * math.Sqrt(3)) * math.Exp(-1) // age 10 days over 10
	b := 1 / (norm * math.Sqrt(2))
	idf := func(clicks float64) float64 { return 1 + math.Log(5/clicks) }
	// The last shared item is 1 in both: position 2 of 2, weight 1. Item 2 is one step after it, item 3 too.
	want := map[int32]float64{
		0: a * math.Exp(-1) * idf(1),
		1: (a + b) * idf(2),
		2: a * math.Exp(-1) * idf(1),
		3: b * math.Exp(-1) * idf(1),
	}
	got := m.Score(nil, model.Query{Items: []int32{0, 1}}, 10)
	if len(got) != 4 {
		t.Fatalf("got %v", got)
	}
	for _, s := range got {
		if math.Abs(float64(s.Score)-want[s.Item]) > 1e-6 {
			t.Errorf("item %d has %g, want %g", s.Item, s.Score, want[s.Item])
		}
	}
}

// A hand-checked VMIS query.
func TestVMISByHand(t *testing.T) {
	train := &model.Sessions{}
	session(train, 0, 0, 2)
	session(train, 1, 1, 3)
	cfg := Config{Scoring: VMIS, M: 10, K: 10, LastItems: 5, IDFWeight: 2, Decay: DecayDiv, Repeats: model.RepeatsNone}
	m, err := Fit(cfg, train, 4)
	if err != nil {
		t.Fatal(err)
	}
	idf := 2 * math.Log(4)
	got := m.Score(nil, model.Query{Items: []int32{0, 1}}, 10)
	// Item 3 by way of 1: weight 2/2, no step from the end. Item 2 by way of 0: weight 1/2, one step.
	if len(got) != 2 || got[0].Item != 3 || got[1].Item != 2 ||
		math.Abs(float64(got[0].Score)-idf) > 1e-6 || math.Abs(float64(got[1].Score)-idf*0.5*0.9) > 1e-6 {
		t.Errorf("got %v, want item 3 with %g and item 2 with %g", got, idf, idf*0.45)
	}
	if got[0].Because != 1 || got[1].Because != 0 {
		t.Errorf("because of %d and %d, want 1 and 0", got[0].Because, got[1].Because)
	}
}

func TestCandidatesAreTheNewestSessions(t *testing.T) {
	train := &model.Sessions{}
	for day := range int64(10) {
		session(train, day, 0, int32(day)+1)
	}
	cfg := Default(VMIS)
	cfg.M = 3
	var got []int32
	for _, s := range fit(t, cfg, train).Score(nil, model.Query{Items: []int32{0}}, 10) {
		got = append(got, s.Item)
	}
	slices.Sort(got)
	if !slices.Equal(got, []int32{8, 9, 10}) {
		t.Errorf("items of %v, want those of the three newest sessions", got)
	}
}

func TestSessionsThatAreNoNeighbours(t *testing.T) {
	train := &model.Sessions{}
	session(train, 0, 5) // one event
	for range 400 {
		session(train, 1, 0, 1)
	}
	session(train, 2, 0, 2, 3, 2, 3, 2, 3, 2, 3) // longest of all
	m := fit(t, Default(VMIS), train)
	if got := m.Score(nil, model.Query{Items: []int32{5}}, 10); len(got) != 0 {
		t.Errorf("a session of one event answered %v", got)
	}
	for _, s := range m.Score(nil, model.Query{Items: []int32{0}}, 10) {
		if s.Item != 1 {
			t.Errorf("item %d of the longest session was recommended", s.Item)
		}
	}
}

func TestOldNeighboursStillRankByAge(t *testing.T) {
	train := &model.Sessions{}
	session(train, 0, 0, 1)
	session(train, 100, 0, 2)
	session(train, 100_000, 3, 4) // centuries later: both neighbours are past what a float can tell from now
	cfg := Default(VSTAN)
	cfg.SNH = 2.5
	got := fit(t, cfg, train).Score(nil, model.Query{Items: []int32{0}}, 10)
	if len(got) != 2 || !(got[0].Score > 0 && got[1].Score > 0) {
		t.Errorf("got %v, want both neighbours' items", got)
	}
}

func TestPositionsReachTheMostLastItems(t *testing.T) {
	train := &model.Sessions{}
	const many = MaxLastItems + 10
	var q model.Query
	for i := range int32(many) {
		session(train, 0, i, many)
		q.Items = append(q.Items, i)
	}
	cfg := Default(VMIS)
	cfg.LastItems, cfg.Decay, cfg.IDFWeight = MaxLastItems, DecaySame, 0
	m, err := Fit(cfg, train, many+1)
	if err != nil {
		t.Fatal(err)
	}
	got := m.Score(nil, q, 1)
	if len(got) != 1 || got[0].Item != many || got[0].Because != many-1 {
		t.Errorf("got %v, want item %d because of the newest, %d", got, many, many-1)
	}
}

func TestCodecKeepsAnswersAndBytes(t *testing.T) {
	train := randomSessions(7, 200)
	for _, cfg := range []Config{Default(VMIS), Default(VSTAN)} {
		m := fit(t, cfg, train)
		var first, second bytes.Buffer
		if err := errors.Join(m.Encode(&first), fit(t, cfg, train).Encode(&second)); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(first.Bytes(), second.Bytes()) {
			t.Error("the same sessions gave different bytes")
		}
		if _, err := Decode(artifact.File{Bytes: first.Bytes()}, numItems+1); !errors.Is(err, artifact.ErrCorrupt) {
			t.Errorf("other vocabulary: error %v, want ErrCorrupt", err)
		}
		back, err := Decode(artifact.File{Bytes: first.Bytes()}, numItems)
		if err != nil {
			t.Fatal(err)
		}
		q := model.Query{Items: []int32{3, 1, 4}}
		if got, want := back.Score(nil, q, 20), m.Score(nil, q, 20); !slices.Equal(got, want) || len(want) == 0 {
			t.Errorf("decoded model answers %v, want %v", got, want)
		}
		if back.Name() != m.Name() || back.Config() != cfg {
			t.Errorf("decoded model is %s with %+v", back.Name(), back.Config())
		}
	}
}

func TestDecodeRefusesContentThatWouldBreakAQuery(t *testing.T) {
	good := func() *Index {
		return &Index{offsets: []int32{0, 2, 3}, items: []int32{0, 1, 1}, ends: []int64{1, 2}, clicks: []int32{1, 2}}
	}
	for name, change := range map[string]func(*Index){
		"":               func(*Index) {},
		"offsets fall":   func(x *Index) { x.offsets[1] = 5 },
		"offsets start":  func(x *Index) { x.offsets[0] = 1 },
		"offsets end":    func(x *Index) { x.offsets[2] = 2 },
		"time falls":     func(x *Index) { x.ends[0] = 3 },
		"item too high":  func(x *Index) { x.items[2] = 2 },
		"item negative":  func(x *Index) { x.items[2] = -1 },
		"item twice":     func(x *Index) { x.items[1] = 0 },
		"no clicks":      func(x *Index) { x.clicks[0] = 0 },
		"clicks missing": func(x *Index) { x.clicks = x.clicks[:1] },
	} {
		x := good()
		change(x)
		var buf bytes.Buffer
		if err := (&Model{cfg: Default(VMIS), index: x}).Encode(&buf); err != nil {
			t.Fatal(err)
		}
		_, err := Decode(artifact.File{Bytes: buf.Bytes()}, 2)
		if want := name != ""; errors.Is(err, artifact.ErrCorrupt) != want {
			t.Errorf("%q: error %v", name, err)
		}
	}
}

func TestConcurrentQueriesAgree(t *testing.T) {
	m := fit(t, Default(VSTAN), randomSessions(8, 300))
	var want [numItems][]model.Scored
	for item := range want {
		want[item] = m.Score(nil, model.Query{Items: []int32{int32(item), 1}}, 10)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 20 {
				for item := range want {
					if got := m.Score(nil, model.Query{Items: []int32{int32(item), 1}}, 10); !slices.Equal(got, want[item]) {
						t.Errorf("item %d: %v, alone %v", item, got, want[item])
					}
				}
			}
		})
	}
	wg.Wait()
}

func TestModelsShareAnIndex(t *testing.T) {
	index, err := BuildIndex(randomSessions(9, 200), numItems)
	if err != nil {
		t.Fatal(err)
	}
	for _, scoring := range []Scoring{VMIS, VSTAN} {
		shared, err := New(Default(scoring), index)
		if err != nil {
			t.Fatal(err)
		}
		own := fit(t, Default(scoring), randomSessions(9, 200))
		q := model.Query{Items: []int32{2, 7}}
		if got, want := shared.Score(nil, q, 10), own.Score(nil, q, 10); !slices.Equal(got, want) || len(got) == 0 {
			t.Errorf("%s: shared index answers %v, own %v", scoring, got, want)
		}
	}
}

func TestFitRefusesWhatMakesNoSense(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"scoring":    func(c *Config) { c.Scoring = "cosine" },
		"m":          func(c *Config) { c.M = MaxCandidates + 1 },
		"k":          func(c *Config) { c.K = 0 },
		"last items": func(c *Config) { c.LastItems = MaxLastItems + 1 },
		"idf":        func(c *Config) { c.IDFWeight = math.NaN() },
		"spw":        func(c *Config) { c.SPW = -1 },
		"decay":      func(c *Config) { c.Decay = "cubic" },
		"repeats":    func(c *Config) { c.Repeats = "" },
	} {
		cfg := Default(VMIS)
		change(&cfg)
		if _, err := Fit(cfg, &model.Sessions{}, 1); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestListOfNoneIsEmpty(t *testing.T) {
	for _, scoring := range []Scoring{VMIS, VSTAN} {
		m := fit(t, Default(scoring), randomSessions(1, 50))
		for _, k := range []int{0, -1} {
			if got := m.Score(nil, model.Query{Items: []int32{1, 2}}, k); len(got) != 0 {
				t.Errorf("%s: %d items of %d", scoring, len(got), k)
			}
		}
	}
}

func TestEmptyModelAnswersNothing(t *testing.T) {
	m, err := Fit(Default(VSTAN), &model.Sessions{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if got := m.Score(nil, model.Query{Items: []int32{0, -1}}, 5); len(got) != 0 {
		t.Errorf("got %v", got)
	}
}
