package ials

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/millrace/millrace/internal/model"
)

// randomInteractions are rows of up to eight items, one in ten without any, with weights of 1 to 5. The last item is met by nobody.
func randomInteractions(seed uint64, rows, items int) *model.Interactions {
	rng := rand.New(rand.NewPCG(seed, 0))
	x := &model.Interactions{Offsets: []int64{0}, NumItems: items}
	for range rows {
		if rng.IntN(10) > 0 {
			met := rng.Perm(items - 1)[:1+rng.IntN(8)]
			slices.Sort(met)
			for _, item := range met {
				x.Items, x.Weights = append(x.Items, int32(item)), append(x.Weights, float32(1+rng.IntN(5)))
			}
		}
		x.Offsets = append(x.Offsets, int64(len(x.Items)))
	}
	return x
}

// dense is the plain form of a query's or a row's system in double precision: all pairs are gone through one by one.
type dense struct {
	matrix [][]float64
	right  []float64
}

// newDense makes the system of whoever met some items, beside all of the factors of the other side.
func newDense(cfg Config, factors []float32, items []int32, weights []float64) dense {
	d := cfg.Dimensions
	n, sum := len(factors)/d, 0.0
	s := dense{matrix: make([][]float64, d), right: make([]float64, d)}
	for i := range d {
		s.matrix[i] = make([]float64, d)
	}
	add := func(item int, weight float64) {
		y := factors[item*d:][:d]
		for i := range d {
			for j := range d {
				s.matrix[i][j] += weight * float64(y[i]) * float64(y[j])
			}
		}
	}
	for item := range n {
		add(item, cfg.Unobserved)
	}
	for at, item := range items {
		add(int(item), weights[at])
		sum += weights[at]
		for i := range d {
			s.right[i] += weights[at] * float64(factors[int(item)*d+i])
		}
	}
	ridge := cfg.Regularization * math.Pow(sum+cfg.Unobserved*float64(n), cfg.Frequency)
	for i := range d {
		s.matrix[i][i] += ridge
	}
	return s
}

// solve is Gauss's elimination with the largest pivots.
func (s dense) solve(right []float64) []float64 {
	d := len(right)
	a := make([][]float64, d)
	for i := range d {
		a[i] = append(slices.Clone(s.matrix[i]), right[i])
	}
	for c := range d {
		best := c
		for r := c; r < d; r++ {
			if math.Abs(a[r][c]) > math.Abs(a[best][c]) {
				best = r
			}
		}
		a[c], a[best] = a[best], a[c]
		for r := range d {
			if r == c {
				continue
			}
			factor := a[r][c] / a[c][c]
			for i := c; i <= d; i++ {
				a[r][i] -= factor * a[c][i]
			}
		}
	}
	x := make([]float64, d)
	for i := range d {
		x[i] = a[i][d] / a[i][i]
	}
	return x
}

// plainLoss goes through all pairs.
func plainLoss(t *Training) float64 {
	d, loss := t.cfg.Dimensions, 0.0
	for r := range t.rows.met.Rows() {
		items, weights := t.rows.met.Row(r)
		for item := range t.rows.met.NumItems {
			s := product(t.rows.row(r, d), t.items.row(item, d))
			loss += t.cfg.Unobserved * s * s
			if at, ok := slices.BinarySearch(items, int32(item)); ok {
				loss += float64(weights[at]) * (1 - s) * (1 - s)
			}
		}
	}
	for _, s := range []*side{&t.rows, &t.items} {
		for r := range s.met.Rows() {
			_, weights := s.met.Row(r)
			sum := t.cfg.Unobserved * float64(s.met.NumItems)
			for _, w := range weights {
				sum += float64(w)
			}
			loss += t.cfg.Regularization * math.Pow(sum, t.cfg.Frequency) * product(s.row(r, d), s.row(r, d))
		}
	}
	return loss
}

func product(a, b []float32) float64 {
	sum := 0.0
	for i, x := range a {
		sum += float64(x) * float64(b[i])
	}
	return sum
}

// plainScore answers a query by the definition, from the model's factors alone.
func plainScore(m *Model, q model.Query, k int) []model.Scored {
	var items []int32
	var weights []float64
	weight := 1.0
	newestFirst := slices.Concat(q.History, q.Items)
	if q.Set {
		newestFirst = slices.Clone(q.Items)
	}
	slices.Reverse(newestFirst)
	for _, item := range newestFirst {
		if item < 0 || int(item) >= m.numItems() || slices.Contains(items, item) || len(items) == m.cfg.LastItems {
			continue
		}
		items, weights = append(items, item), append(weights, weight)
		if !q.Set {
			weight *= m.cfg.HistoryDecay
		}
	}
	if len(items) == 0 {
		return nil
	}
	var factors []float32
	for item := range int32(m.numItems()) {
		factors = append(factors, m.row(item)...)
	}
	system := newDense(m.cfg, factors, items, weights)
	visitor := system.solve(system.right)
	var all []model.Scored
	for item := range int32(m.numItems()) {
		y := make([]float64, m.cfg.Dimensions)
		score := 0.0
		for i, x := range m.row(item) {
			y[i] = float64(x)
			score += y[i] * visitor[i]
		}
		if !q.Excluded(m.cfg.Repeats).Has(item) && q.Only.Allows(item) && score > 1e-6 {
			all = append(all, model.Scored{Item: item, Score: float32(score), Because: plainCause(m, system.solve(y), items, weights)})
		}
	}
	slices.SortFunc(all, func(a, b model.Scored) int { return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(a.Item, b.Item)) })
	return all[:min(k, len(all))]
}

func plainCause(m *Model, solved []float64, items []int32, weights []float64) int32 {
	most, because := math.Inf(-1), model.NoCause
	for at, item := range items {
		share := 0.0
		for i, x := range m.row(item) {
			share += weights[at] * solved[i] * float64(x)
		}
		if share > most {
			most, because = share, item
		}
	}
	return because
}

// sameAnswers compares lists whose scores may differ by what single precision rounds off; neighbours of nearly one score may
// have changed places.
func sameAnswers(t *testing.T, got, want []model.Scored) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d answers, want %d", len(got), len(want))
	}
	const slack = 2e-4
	byItem := map[int32]model.Scored{}
	for _, w := range want {
		byItem[w.Item] = w
	}
	missed := 0
	for i, g := range got {
		if math.Abs(float64(g.Score-want[i].Score)) > slack*float64(want[0].Score) {
			t.Fatalf("answer %d is %+v, want %+v", i, g, want[i])
		}
		w, ok := byItem[g.Item]
		if !ok {
			missed++ // must be the last one, by a hair: its score is that of the place
			continue
		}
		if math.Abs(float64(g.Score-w.Score)) > slack*float64(want[0].Score) || g.Because != w.Because {
			t.Fatalf("item %d is answered as %+v, want %+v", g.Item, g, w)
		}
	}
	if missed > 1 {
		t.Fatalf("%d items are not among the wanted", missed)
	}
}
