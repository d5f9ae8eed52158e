package ease

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/millrace/millrace/internal/model"
)

// randomInteractions has visitors of all lengths, also of none, items that nobody met, and weights.
func randomInteractions(seed uint64, visitors, numItems int) *model.Interactions {
	rng := rand.New(rand.NewPCG(seed, 0))
	x := &model.Interactions{Offsets: []int64{0}, NumItems: numItems}
	for range visitors {
		row := map[int32]bool{}
		for range rng.IntN(8) {
			if item := int32(rng.ExpFloat64()*float64(numItems)/4) % int32(numItems); item%7 != 3 {
				row[item] = true
			}
		}
		for item := range int32(numItems) {
			if row[item] {
				x.Items = append(x.Items, item)
				x.Weights = append(x.Weights, []float32{1, 1, 3, 0.5}[rng.IntN(4)])
			}
		}
		x.Offsets = append(x.Offsets, int64(len(x.Items)))
	}
	return x
}

// gramOf is the Gram matrix of the interactions from the words of the Config: dense, one product at a time.
func gramOf(cfg Config, x *model.Interactions) *mat.Dense {
	n := x.NumItems
	gram := mat.NewDense(n, n, nil)
	for r := range x.Rows() {
		items, weights := x.Row(r)
		values, length := make([]float64, len(items)), 0.0
		for i := range items {
			values[i] = math.Pow(float64(weights[i]), cfg.WeightExponent)
			length += values[i] * values[i]
		}
		length = math.Pow(math.Sqrt(length), cfg.VisitorExponent)
		for i, a := range items {
			for j, b := range items {
				gram.Set(int(a), int(b), gram.At(int(a), int(b))+values[i]/length*values[j]/length)
			}
		}
	}
	return gram
}

// oracle finds the weights from what is minimised: for each item the least squares with the ridge over the items that around
// names, and the freedom of the diagonal by what those leave unexplained.
func oracle(t *testing.T, cfg Config, x *model.Interactions, around func(gram *mat.Dense, ridge []float64, j int) []int) [][]float64 {
	t.Helper()
	n, gram := x.NumItems, gramOf(cfg, x)
	ridge := make([]float64, n)
	out := make([][]float64, n)
	for i := range out {
		ridge[i] = cfg.L2 * math.Pow(gram.At(i, i), cfg.L2Degree)
		out[i] = make([]float64, n)
	}
	for j := range n {
		from := slices.DeleteFunc(around(gram, ridge, j), func(i int) bool { return gram.At(i, i) == 0 })
		if len(from) == 0 || gram.At(j, j) == 0 {
			continue
		}
		a, right := mat.NewDense(len(from), len(from), nil), mat.NewVecDense(len(from), nil)
		for p, i := range from {
			for q, k := range from {
				a.Set(p, q, gram.At(i, k))
			}
			a.Set(p, p, gram.At(i, i)+ridge[i])
			right.SetVec(p, gram.At(i, j))
		}
		var b mat.VecDense
		if err := b.SolveVec(a, right); err != nil {
			t.Fatal(err)
		}
		left := gram.At(j, j) + ridge[j] - mat.Dot(&b, right)
		for p, i := range from {
			out[i][j] = b.AtVec(p) * math.Pow(1/left, 1-cfg.DiagonalExponent)
		}
	}
	return out
}

func everything(gram *mat.Dense, _ []float64, j int) []int {
	n, _ := gram.Dims()
	var out []int
	for i := range n {
		if i != j {
			out = append(out, i)
		}
	}
	return out
}

func nearest(candidates int) func(gram *mat.Dense, ridge []float64, j int) []int {
	return func(gram *mat.Dense, ridge []float64, j int) []int {
		near := slices.DeleteFunc(everything(gram, ridge, j), func(i int) bool { return gram.At(i, j) == 0 })
		fit := func(i int) float32 { return float32(gram.At(i, j) / math.Sqrt(gram.At(i, i)+ridge[i])) }
		slices.SortStableFunc(near, func(a, b int) int { return cmp.Compare(fit(b), fit(a)) })
		return near[:min(candidates, len(near))]
	}
}

// checkWeights compares a model with the weights of an oracle.
func checkWeights(t *testing.T, m *Model, want [][]float64) {
	t.Helper()
	largest := 0.0
	for _, row := range want {
		for _, w := range row {
			largest = max(largest, math.Abs(w))
		}
	}
	if largest == 0 {
		t.Fatal("the oracle has no weights")
	}
	for i, row := range want {
		got := make([]float64, len(row))
		lo, hi := m.Row(int32(i))
		for at := lo; at < hi; at++ {
			got[m.Items[at]] = float64(m.Weights[at])
			if at > lo && m.Items[at] <= m.Items[at-1] {
				t.Errorf("row %d is out of order: %v", i, m.Items[lo:hi])
			}
		}
		for j, w := range row {
			if diff := math.Abs(got[j] - w); diff > 1e-5*largest {
				t.Errorf("item %d says %g of %d, want %g", i, got[j], j, w)
			}
		}
	}
}

func randomConfig(rng *rand.Rand) Config {
	cfg, exponents := Default(), []float64{0, 0.3, 0.5, 1}
	cfg.L2 = []float64{0.5, 5, 50}[rng.IntN(3)]
	cfg.L2Degree, cfg.VisitorExponent = exponents[rng.IntN(4)], exponents[rng.IntN(4)]
	cfg.WeightExponent, cfg.DiagonalExponent = exponents[rng.IntN(4)], exponents[rng.IntN(4)]
	return cfg
}

func fit(tb testing.TB, cfg Config, x *model.Interactions) *Model {
	tb.Helper()
	m, err := Fit(tb.Context(), cfg, x, nil)
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

func TestWeightsAreThoseOfTheDefinition(t *testing.T) {
	for seed := range uint64(12) {
		rng := rand.New(rand.NewPCG(seed, 1))
		cfg, x := randomConfig(rng), randomInteractions(seed, 200, 40)
		m := fit(t, cfg, x)
		if m.Form() != Whole {
			t.Fatalf("form %q", m.Form())
		}
		checkWeights(t, m, oracle(t, cfg, x, everything))
		cfg.MaxItems = 0
		for _, cfg.Candidates = range []int{1, 5, 39} {
			m := fit(t, cfg, x)
			if m.Form() != Neighbourhoods {
				t.Fatalf("form %q", m.Form())
			}
			checkWeights(t, m, oracle(t, cfg, x, nearest(cfg.Candidates)))
		}
		if t.Failed() {
			t.Fatalf("seed %d, %+v", seed, cfg)
		}
	}
}
