package rowsum

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/millrace/millrace/internal/model"
)

// randomMatrix has weights of both signs that cancel each other out exactly now and then.
func randomMatrix(rng *rand.Rand, numItems int) Matrix {
	m := NewMatrix(numItems)
	for range numItems {
		for _, item := range rng.Perm(numItems)[:rng.IntN(numItems+1)] {
			m.Append(int32(item), []float32{-1, -0.5, 0.5, 1, 2}[rng.IntN(5)])
		}
		m.EndRow()
	}
	return m
}

// oracle answers from the definition, with dense arrays and a full sort.
func oracle(m *Matrix, q model.Query, limit int, decay float32, policy model.RepeatPolicy, k int) []model.Scored {
	n := m.NumItems()
	scores, largest, because := make([]float32, n), make([]float32, n), make([]int32, n)
	for i := range largest {
		largest[i] = float32(math.Inf(-1))
	}
	var done []int32
	weight := float32(1)
	back := slices.Clone(append(slices.Clone(q.History), q.Items...))
	slices.Reverse(back)
	for _, item := range back {
		if len(done) == limit || item < 0 || int(item) >= n || slices.Contains(done, item) {
			continue
		}
		done = append(done, item)
		for at := m.Offsets[item]; at < m.Offsets[item+1]; at++ {
			to, add := m.Items[at], weight*m.Weights[at]
			scores[to] += add
			if add > largest[to] {
				largest[to], because[to] = add, item
			}
		}
		weight *= decay
	}
	var out []model.Scored
	for item, score := range scores {
		if score > 0 && !q.Excluded(policy).Has(int32(item)) {
			out = append(out, model.Scored{Item: int32(item), Score: score, Because: because[item]})
		}
	}
	slices.SortFunc(out, func(a, b model.Scored) int {
		return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(a.Item, b.Item))
	})
	return out[:min(k, len(out))]
}

func answer(s *Sum, m *Matrix, q model.Query, limit int, decay float32, policy model.RepeatPolicy, k int) []model.Scored {
	s.Begin(m.NumItems())
	s.Take(q.Items, limit, decay)
	s.Take(q.History, limit, decay)
	for _, r := range s.Recent {
		s.AddRow(m, m.Weights, r.Item, r.Weight)
	}
	return s.Answer(nil, q.Excluded(policy), k, nil)
}

// One Sum answers queries over vocabularies of changing sizes, one after the other, also while its marks begin anew.
func TestAnswersAreThoseOfTheDefinition(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 0))
	s := &Sum{mark: ^uint32(0) - 2001}
	before := s.mark
	for range 3000 {
		m := randomMatrix(rng, 1+rng.IntN(25))
		var q model.Query
		for range rng.IntN(6) {
			q.Items = append(q.Items, rng.Int32N(int32(m.NumItems())+2)-1) // some outside the vocabulary
		}
		for range rng.IntN(6) {
			q.History = append(q.History, rng.Int32N(int32(m.NumItems())+2)-1)
		}
		limit, decay := 1+rng.IntN(8), []float32{1, 0.5}[rng.IntN(2)]
		policy := model.RepeatPolicies()[rng.IntN(4)]
		got, want := answer(s, &m, q, limit, decay, policy, 10), oracle(&m, q, limit, decay, policy, 10)
		if !slices.Equal(got, want) {
			t.Fatalf("%+v, limit %d, decay %g, %s: %v, want %v", q, limit, decay, policy, got, want)
		}
	}
	if s.mark >= before {
		t.Error("the marks did not begin anew, which makes this prove less")
	}
}

// A sum that is zero on its way is no end of it: what came before and after it counts, and the item is answered once.
func TestWeightsThatCancelOut(t *testing.T) {
	m := Matrix{Offsets: []int64{0, 1, 2, 3, 3}, Items: []int32{3, 3, 3}, Weights: []float32{1, -1, 0.5}}
	got := answer(&Sum{}, &m, model.Query{Items: []int32{2, 1, 0}}, 3, 1, model.RepeatsAllowed, 5)
	if want := []model.Scored{{Item: 3, Score: 0.5, Because: 0}}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestGainsAndWholesCount(t *testing.T) {
	m := Matrix{Offsets: []int64{0, 2, 4, 4, 4}, Items: []int32{2, 3, 2, 3}, Weights: []float32{1, 2, 2, 1}}
	s := &Sum{}
	s.Begin(4)
	s.Take([]int32{0, 1}, 2, 1)
	for _, r := range s.Recent {
		s.AddRow(&m, []float32{5, 2, 2, 1}, r.Item, r.Weight) // item 0 has more to say of 2 than this matrix has
	}
	got := s.Answer(nil, model.Excluded{}, 5, []float32{1, 1, 4, 1})
	if want := []model.Scored{{Item: 2, Score: 12, Because: 0}, {Item: 3, Score: 3, Because: 0}}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// Wholes are what somebody else counted, and may not fit.
func TestACauseIsNamedWhateverTheWholesSay(t *testing.T) {
	m := Matrix{Offsets: []int64{0, 1, 2, 2}, Items: []int32{2, 2}, Weights: []float32{1, 2}}
	for _, wholes := range [][]float32{{-1, -2}, {0, 0}} {
		s := &Sum{}
		s.Begin(3)
		for item := range int32(2) {
			s.AddRow(&m, wholes, item, 1)
		}
		got := s.Answer(nil, model.Excluded{}, 5, nil)
		if want := []model.Scored{{Item: 2, Score: 3, Because: 0}}; !slices.Equal(got, want) {
			t.Errorf("wholes %g: got %v, want %v", wholes, got, want)
		}
	}
}

func TestCheckRefusesWhatWouldBreakAQuery(t *testing.T) {
	for name, change := range map[string]func(*Matrix){
		"none":             func(*Matrix) {},
		"offsets missing":  func(m *Matrix) { m.Offsets = m.Offsets[:2] },
		"offsets fall":     func(m *Matrix) { m.Offsets[1] = 3 },
		"offset negative":  func(m *Matrix) { m.Offsets[0] = -1 },
		"offset too large": func(m *Matrix) { m.Offsets[2] = 4 },
		"item too high":    func(m *Matrix) { m.Items[0] = 2 },
		"item negative":    func(m *Matrix) { m.Items[0] = -1 },
		"weight missing":   func(m *Matrix) { m.Weights = m.Weights[:1] },
		"weight not valid": func(m *Matrix) { m.Weights[1] = 7 },
	} {
		m := Matrix{Offsets: []int64{0, 2, 2}, Items: []int32{0, 1}, Weights: []float32{1, -1}}
		change(&m)
		if err := m.Check(2, func(w float32) bool { return w < 7 }); (err == nil) != (name == "none") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}
