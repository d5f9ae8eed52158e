package blend

import (
	"context"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/millrace/millrace/internal/model"
)

// firstPlaces rewards what is found, and more where it is found early.
func firstPlaces(ranks []int, _ int) float64 {
	sum := 0.0
	for _, r := range ranks {
		sum += 1 / float64(r)
	}
	return sum
}

// shop has two families: near is right for short sessions, far for long ones, and noise never is. Of visitors of the segment
// "odd" it is the other way round.
func shop(seed uint64, n int) (map[string]model.Scorer, []Example) {
	const items = 50
	rng := rand.New(rand.NewPCG(seed, 3))
	right := func(short bool) scorerFunc {
		return func(dst []model.Scored, q model.Query, k int) []model.Scored {
			last := q.Items[len(q.Items)-1]
			target := (last + 1) % items
			if (len(q.Items) < 4) != short != (q.Segment == "odd") {
				target = (last + 7) % items
			}
			for i := range min(k, 5) {
				dst = append(dst, model.Scored{Item: (target + int32(3*i)) % items, Score: float32(5 - i), Because: last})
			}
			return dst
		}
	}
	noise := scorerFunc(func(dst []model.Scored, q model.Query, k int) []model.Scored {
		for i := range min(k, 5) {
			dst = append(dst, model.Scored{Item: int32(i), Score: float32(5 - i), Because: model.NoCause})
		}
		return dst
	})
	var examples []Example
	for i := range n {
		session := make([]int32, 1+rng.IntN(8))
		for j := range session {
			session[j] = int32(rng.IntN(items))
		}
		e := Example{Query: model.Query{Items: session}, Wanted: []int32{(session[len(session)-1] + 1) % items}, Group: i / 3}
		if rng.IntN(3) == 0 {
			e.Query.Segment = "odd"
		}
		examples = append(examples, e)
	}
	return map[string]model.Scorer{"near": right(true), "far": right(false), "noise": noise}, examples
}

type scorerFunc func(dst []model.Scored, q model.Query, k int) []model.Scored

func (scorerFunc) Name() string { return "func" }

func (f scorerFunc) Score(dst []model.Scored, q model.Query, k int) []model.Scored {
	return f(dst, q, k)
}

// reached is the mean of the objective over examples, asked as serving asks.
func reached(t *testing.T, s model.Scorer, examples []Example) float64 {
	t.Helper()
	sum := 0.0
	for _, e := range examples {
		var ranks []int
		for i, scored := range s.Score(nil, e.Query, DefaultDepth) {
			if slices.Contains(e.Wanted, scored.Item) {
				ranks = append(ranks, i+1)
			}
		}
		sum += firstPlaces(ranks, len(e.Wanted))
	}
	return sum / float64(len(examples))
}

func TestFitFindsWhoIsRightWhere(t *testing.T) {
	scorers, examples := shop(1, 3000)
	members := []string{"far", "near", "noise"}
	cfg, err := Fit(context.Background(), FitConfig{Members: members, Objective: firstPlaces, MinExamples: 100}, scorers, examples)
	if err != nil {
		t.Fatal(err)
	}
	m, err := New(cfg, scorers)
	if err != nil {
		t.Fatal(err)
	}
	_, fresh := shop(2, 2000)
	best := 0.0
	for _, s := range scorers {
		best = max(best, reached(t, s, fresh))
	}
	// Each family alone is right for half of the visitors; who knows the contexts is right for nearly all.
	if got := reached(t, m, fresh); got < 0.95 || got < best+0.2 {
		t.Errorf("reached %.3f, the best family %.3f; %+v", got, best, cfg)
	}
	for _, q := range []struct {
		query model.Query
		wins  int
	}{
		{model.Query{Items: []int32{1, 2}}, 1}, {model.Query{Items: []int32{1, 2, 3, 4, 5}}, 0}, {model.Query{Items: []int32{1, 2}, Segment: "odd"}, 0},
	} {
		if w := m.weights(&q.query); w[q.wins] != 1 || w[1-q.wins] > 0.5 || w[2] > 0.5 {
			t.Errorf("%+v got the weights %v", q.query, w)
		}
	}
}

// The result follows from the examples alone.
func TestFitDoesNotDependOnTheWorkers(t *testing.T) {
	scorers, examples := shop(3, 500)
	var want Config
	for workers := range 4 {
		cfg := FitConfig{Members: []string{"far", "near", "noise"}, Objective: firstPlaces, MinExamples: 50, Workers: workers}
		got, err := Fit(context.Background(), cfg, scorers, examples)
		if err != nil {
			t.Fatal(err)
		}
		if workers == 0 {
			want = got
		} else if !reflect.DeepEqual(got, want) {
			t.Errorf("%d workers: %+v, want %+v", workers, got, want)
		}
	}
}

// What the fitter computes from what it has gathered is what the blend answers, at every scale.
func TestFitMeasuresWhatTheBlendAnswers(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	scorers := map[string]model.Scorer{"a": randomLists(rng, "a", 6, 12), "b": randomLists(rng, "b", 6, 12)}
	f := &fitter{
		cfg: FitConfig{Objective: firstPlaces, Depth: DefaultDepth}, workers: 3, members: []model.Scorer{scorers["a"], scorers["b"]},
	}
	var examples []Example
	all := []int{}
	for i := range 40 {
		examples = append(examples, Example{Query: model.Query{Items: []int32{int32(rng.IntN(7))}}, Wanted: []int32{int32(rng.IntN(12)), int32(rng.IntN(12))}})
		all = append(all, i)
	}
	if err := f.gather(context.Background(), examples); err != nil {
		t.Fatal(err)
	}
	for _, scale := range scales() {
		scale.Members, scale.Depth = []string{"a", "b"}, DefaultDepth
		scale.Contexts = []Context{{Weights: []float32{0.3, 1}}}
		m, err := New(scale, scorers)
		if err != nil {
			t.Fatal(err)
		}
		f.use(&scale)
		got, want := f.value(scale.Contexts[0].Weights, all), reached(t, m, examples)
		if diff := got - want; diff > 1e-9 || diff < -1e-9 || want == 0 {
			t.Errorf("scale %s %g: fitted on %g, the blend reaches %g", scale.Scale, scale.RankScale, got, want)
		}
	}
}

// On the examples the blend is no worse than any member, however misleading the others are.
func TestFitIsNeverWorseThanTheBestMember(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 5))
		scorers := map[string]model.Scorer{}
		members := []string{"a", "b", "c"}
		for _, name := range members {
			scorers[name] = randomLists(rng, name, 6, 12)
		}
		var examples []Example
		for range 60 {
			examples = append(examples, Example{Query: model.Query{Items: []int32{int32(rng.IntN(6))}}, Wanted: []int32{int32(rng.IntN(12))}})
		}
		cfg, err := Fit(context.Background(), FitConfig{Members: members, Objective: firstPlaces}, scorers, examples)
		if err != nil {
			t.Fatal(err)
		}
		m, err := New(cfg, scorers)
		if err != nil {
			t.Fatal(err)
		}
		got := reached(t, m, examples)
		for name, s := range scorers {
			if alone := reached(t, s, examples); alone > got+1e-9 {
				t.Errorf("seed %d: %s alone reaches %g, the blend %g", seed, name, alone, got)
			}
		}
	}
}

func TestFitRefusesWhatItCannotDo(t *testing.T) {
	scorers, examples := shop(1, 10)
	ctx := context.Background()
	if _, err := Fit(ctx, FitConfig{Members: []string{"near"}, Objective: firstPlaces}, scorers, nil); err == nil {
		t.Error("no examples: no error")
	}
	if _, err := Fit(ctx, FitConfig{Members: []string{"nobody"}, Objective: firstPlaces}, scorers, examples); err == nil {
		t.Error("an unknown family: no error")
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := Fit(ended, FitConfig{Members: []string{"near"}, Objective: firstPlaces}, scorers, examples); err == nil {
		t.Error("a context that is over: no error")
	}
}
