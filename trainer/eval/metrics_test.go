package eval

import (
	"math"
	"testing"

	"github.com/millrace/millrace/internal/model"
)

func near(a, b float64) bool { return math.Abs(a-b) < 1e-12 }

func list(items ...int32) []model.Scored {
	var out []model.Scored
	for _, item := range items {
		out = append(out, model.Scored{Item: item})
	}
	return out
}

func TestRankMetricsByHand(t *testing.T) {
	for _, c := range []struct {
		metric Metric
		rank   int
		want   float64
	}{
		{HR(2), 0, 0}, {HR(2), 1, 1}, {HR(2), 2, 1}, {HR(2), 3, 0},
		{MRR(3), 0, 0}, {MRR(3), 1, 1}, {MRR(3), 3, 1.0 / 3}, {MRR(3), 4, 0},
		{NDCG(10), 0, 0}, {NDCG(10), 1, 1}, {NDCG(10), 3, 0.5}, {NDCG(10), 7, 1.0 / 3}, {NDCG(10), 11, 0},
	} {
		if got := c.metric.Of(oneWanted(c.rank)); !near(got, c.want) {
			t.Errorf("%s of rank %d is %g, want %g", c.metric.Name, c.rank, got, c.want)
		}
	}
	if name := NDCG(10).Name; name != "NDCG@10" {
		t.Errorf("name %q", name)
	}
}

// oneWanted is a prediction with one wanted item at a place, 0 for nowhere.
func oneWanted(place int) Prediction {
	p := Prediction{Wanted: []int32{0}}
	if place > 0 {
		p.Hits = []int{place}
	}
	return p
}

func TestPopularityBiasByHand(t *testing.T) {
	bias := PopularityBias(2, []int{10, 5, 0})
	for _, c := range []struct {
		list []model.Scored
		want float64
	}{
		{list(0, 1, 0), 0.75}, // the third is beyond k
		{list(2), 0},
		{nil, 0},
		{list(0), 1},
	} {
		if got := bias.Of(Prediction{List: c.list}); !near(got, c.want) {
			t.Errorf("bias of %v is %g, want %g", c.list, got, c.want)
		}
	}
}

func TestCoverageByHand(t *testing.T) {
	c := NewCoverage(2, 8)
	for _, l := range [][]model.Scored{list(0, 1, 7), list(1, 2), nil} {
		c.Observe(0, nil, Prediction{List: l})
	}
	if got := c.Value(); !near(got, 3.0/8) { // items 0, 1, 2; item 7 was third
		t.Errorf("coverage %g, want 3/8", got)
	}
}

func TestBootstrapByHand(t *testing.T) {
	same := bootstrap([][]float64{{2, 1, 3}}, [][]int{{4, 2, 6}}, 1)[0] // every session has the mean 1/2
	if same != (Interval{Value: 0.5, Low: 0.5, High: 0.5}) {
		t.Errorf("sessions that agree have the interval %+v", same)
	}
	if empty := bootstrap([][]float64{nil}, [][]int{nil}, 1)[0]; empty != (Interval{}) {
		t.Errorf("no session has the interval %+v", empty)
	}
	// 400 sessions of one prediction, half of them hits: the mean's standard error is 0.025.
	sums, counts := make([]float64, 400), make([]int, 400)
	for i := range sums {
		sums[i], counts[i] = float64(i%2), 1
	}
	got := bootstrap([][]float64{sums}, [][]int{counts}, 1)[0]
	if !near(got.Value, 0.5) || math.Abs(got.Low-(0.5-1.96*0.025)) > 0.01 || math.Abs(got.High-(0.5+1.96*0.025)) > 0.01 {
		t.Errorf("interval %+v, want about 0.451 to 0.549", got)
	}
	if again := bootstrap([][]float64{sums}, [][]int{counts}, 1)[0]; again != got {
		t.Errorf("the same seed gave %+v and %+v", got, again)
	}
	if other := bootstrap([][]float64{sums}, [][]int{counts}, 2)[0]; other == got {
		t.Error("another seed drew the same sessions")
	}
}

func TestBootstrapWeighsSessionsByTheirPredictions(t *testing.T) {
	// One long session of hits and many short misses: drawn as wholes, the interval must be wide.
	sums, counts := []float64{100}, []int{100}
	for range 99 {
		sums, counts = append(sums, 0), append(counts, 1)
	}
	got := bootstrap([][]float64{sums}, [][]int{counts}, 1)[0]
	if !near(got.Value, 100.0/199) || got.Low != 0 || got.High < 0.6 {
		t.Errorf("interval %+v, want 0 to beyond 0.6 around %g", got, 100.0/199)
	}
}

func TestCompareIsPaired(t *testing.T) {
	// Sessions differ a lot, but ours is always 0.1 better: the paired interval has no width.
	ours := &Outcome{Metrics: []string{"X"}, Counts: []int{1, 1, 1}, Sums: [][]float64{{0.1, 0.6, 1.1}}}
	theirs := &Outcome{Metrics: []string{"X"}, Counts: []int{1, 1, 1}, Sums: [][]float64{{0, 0.5, 1}}}
	got, err := Compare(ours, theirs, "X", 1)
	if err != nil || !near(got.Value, 0.1) || !near(got.Low, 0.1) || !near(got.High, 0.1) {
		t.Errorf("difference %+v, %v, want 0.1 without doubt", got, err)
	}
	if _, err := Compare(ours, theirs, "Y", 1); err == nil {
		t.Error("a metric that was not measured: no error")
	}
	theirs.Counts = []int{1, 2, 1}
	if _, err := Compare(ours, theirs, "X", 1); err == nil {
		t.Error("outcomes of different tests: no error")
	}
}
