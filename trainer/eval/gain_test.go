package eval

import (
	"math"
	"slices"
	"testing"

	"github.com/millrace/millrace/internal/model"
)

// Four wanted items, one of them unknown; those found stand at places 1, 3 and 4 of five.
func found() Prediction {
	return Prediction{List: list(5, 0, 6, 7, 1), Wanted: []int32{5, 6, -1, 7}, Hits: []int{1, 3, 4}}
}

func TestMetricsOfSeveralWantedByHand(t *testing.T) {
	for _, c := range []struct {
		metric Metric
		want   float64
	}{
		{HR(1), 1}, {HR(4), 1},
		{MRR(4), 1},
		{Recall(1), 1.0 / 4}, {Recall(3), 2.0 / 4}, {Recall(5), 3.0 / 4},
		{CappedRecall(1), 1}, {CappedRecall(3), 2.0 / 3}, {CappedRecall(5), 3.0 / 4},
		{MAP(2), 1.0 / 4}, {MAP(5), (1.0 + 2.0/3 + 3.0/4) / 4},
		{NDCG(1), 1},
		{NDCG(3), (1 + 1/math.Log2(4)) / (1 + 1/math.Log2(3) + 1/math.Log2(4))},
		{NDCG(5), (1 + 1/math.Log2(4) + 1/math.Log2(5)) / (1 + 1/math.Log2(3) + 1/math.Log2(4) + 1/math.Log2(5))},
	} {
		if got := c.metric.Of(found()); !near(got, c.want) {
			t.Errorf("%s is %g, want %g", c.metric.Name, got, c.want)
		}
	}
	late := Prediction{Wanted: []int32{1, 2}, Hits: []int{2, 5}}
	for _, c := range []struct {
		metric Metric
		want   float64
	}{{HR(1), 0}, {HR(2), 1}, {MRR(1), 0}, {MRR(5), 0.5}, {Recall(1), 0}, {MAP(4), 0.25}, {NDCG(1), 0}} {
		if got := c.metric.Of(late); !near(got, c.want) {
			t.Errorf("%s of late hits is %g, want %g", c.metric.Name, got, c.want)
		}
	}
}

func TestNoveltyByHand(t *testing.T) {
	novelty := Novelty(2, []int{8, 4, 0, 4}) // of 16 clicks: 1, 2, 4 and 2 bits
	for _, c := range []struct {
		list []model.Scored
		want float64
	}{{list(0, 1, 2), 1.5}, {list(1, 3), 2}, {list(2), 4}} {
		if got := novelty.Of(Prediction{List: c.list}); !near(got, c.want) {
			t.Errorf("novelty of %v is %g bits, want %g", c.list, got, c.want)
		}
	}
	if got := novelty.Of(Prediction{}); !math.IsNaN(got) {
		t.Errorf("an empty list has a novelty of %g", got)
	}
}

func TestDiversityByHand(t *testing.T) {
	diversity := Diversity(3, [][]string{{"a", "b"}, {"b", "a", "b"}, {"b", "c"}, nil, {"d"}})
	for _, c := range []struct {
		list []model.Scored
		want float64
	}{
		{list(0, 1), 0},
		{list(0, 4), 1},
		{list(0, 2), 1 - 1.0/3},
		{list(0, 2, 4, 1), 1 - (1.0/3)/3}, // three pairs, one of them alike by a third; the fourth item is beyond k
		{list(0, 3, 4), 1},                // the item without a category is left out
	} {
		if got := diversity.Of(Prediction{List: c.list}); !near(got, c.want) {
			t.Errorf("diversity of %v is %g, want %g", c.list, got, c.want)
		}
	}
	for _, l := range [][]model.Scored{nil, list(0), list(0, 3)} {
		if got := diversity.Of(Prediction{List: l}); !math.IsNaN(got) {
			t.Errorf("%v has a diversity of %g", l, got)
		}
	}
}

// What says nothing is no part of the mean, of its interval, or of what several tests are pooled to.
func TestPredictionsThatSayNothingAreLeftOut(t *testing.T) {
	metrics := []Metric{{Name: "x", Of: func(p Prediction) float64 { return p.hitsOr(math.NaN()) }}, HR(1)}
	one, two := newOutcome(metrics), newOutcome(metrics)
	for i, o := range []*Outcome{one, two} {
		o.open(7)
		o.add(metrics, 0, Prediction{Hits: []int{1}})
		o.add(metrics, 0, Prediction{})
		o.open(8 + i)
		o.add(metrics, 1, Prediction{Hits: []int{1}})
	}
	for _, o := range []*Outcome{one, pool([]*Outcome{one, two})} {
		if x, _ := o.Value("x"); x != 1 {
			t.Errorf("x is %g, want 1: the empty prediction says nothing", x)
		}
		if hr, _ := o.Value("HR@1"); !near(hr, 2.0/3) {
			t.Errorf("HR is %g, want 2/3", hr)
		}
		if i, err := o.Bootstrap("x", 1); err != nil || i != (Interval{1, 1, 1}) {
			t.Errorf("interval %+v, %v", i, err)
		}
	}
	silent := newOutcome(metrics)
	silent.open(1)
	silent.add(metrics, 0, Prediction{})
	if silent.measured(0) || !silent.measured(1) {
		t.Error("x says nothing of the only prediction, HR does")
	}
	both := pool([]*Outcome{one, two})
	if !slices.Equal(both.Groups, []int{7, 8, 9}) || !slices.Equal(both.Counts, []int{4, 1, 1}) {
		t.Errorf("groups %v of %v predictions, want 7, 8, 9 of 4, 1, 1", both.Groups, both.Counts)
	}
}

// hitsOr is 1 where the first place is wanted, else something else.
func (p Prediction) hitsOr(other float64) float64 {
	if p.hits(1) > 0 {
		return 1
	}
	return other
}
