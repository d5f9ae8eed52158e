package eval

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/millrace/millrace/internal/model"
)

// scripted answers from a table by the text of the query and remembers what it was asked.
type scripted struct {
	answers map[string][]int32
	asked   []string
	times   []int64
}

func (s *scripted) Name() string { return "scripted" }

func (s *scripted) Score(dst []model.Scored, q model.Query, k int) []model.Scored {
	key := fmt.Sprint(q.Items)
	s.asked, s.times = append(s.asked, key), append(s.times, q.Now.UnixMilli())
	for i, item := range s.answers[key] {
		if i < k {
			dst = append(dst, model.Scored{Item: item})
		}
	}
	return dst
}

func TestNextItemRevealsOneEventAtATime(t *testing.T) {
	test := &model.Sessions{}
	test.Append([]int32{1, 2, 3}, []int64{10, 20, 30})
	test.Append([]int32{4}, []int64{40}) // one event: nothing to predict
	test.Append([]int32{2, 2}, []int64{50, 60})
	s := &scripted{answers: map[string][]int32{"[1]": {7, 2}, "[1 2]": {3}, "[2]": {1, 3, 2}}}
	coverage := NewCoverage(2, 10)
	o, err := Measure(context.Background(), s, NextItem(test), 2, []Metric{HR(2), MRR(2)}, coverage)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"[1]", "[1 2]", "[2]"}; !slices.Equal(s.asked, want) {
		t.Errorf("asked %v, want %v", s.asked, want)
	}
	if want := []int64{10, 20, 50}; !slices.Equal(s.times, want) {
		t.Errorf("at %v, want the times of the newest revealed events %v", s.times, want)
	}
	if !slices.Equal(o.Counts, []int{2, 0, 1}) || o.Predictions() != 3 {
		t.Errorf("counts %v", o.Counts)
	}
	// Ranks 2, 1 and a miss: the third item is beyond the depth.
	if hr, _ := o.Value("HR@2"); !near(hr, 2.0/3) {
		t.Errorf("HR %g, want 2/3", hr)
	}
	if mrr, _ := o.Value("MRR@2"); !near(mrr, 0.5) {
		t.Errorf("MRR %g, want 1/2", mrr)
	}
	if _, ok := o.Value("NDCG@2"); ok {
		t.Error("a metric that was not measured has a value")
	}
	if !slices.Equal(o.Sums[1], []float64{1.5, 0, 0}) {
		t.Errorf("sums by session %v", o.Sums[1])
	}
	if !near(coverage.Value(), 0.4) { // items 7, 2, 3, 1
		t.Errorf("coverage %g, want 4/10", coverage.Value())
	}
	if len(o.Latency) != 3 || o.Percentile(0.5) > o.Percentile(1) {
		t.Errorf("latencies %v", o.Latency)
	}
}

func TestUnknownItemsAreMissesAndNotAskedWith(t *testing.T) {
	test := &model.Sessions{}
	test.Append([]int32{-1, 5, -1, 6}, []int64{1, 2, 3, 4})
	s := &scripted{answers: map[string][]int32{"[]": {5}, "[5]": {6}}}
	o, err := Measure(context.Background(), s, NextItem(test), 5, []Metric{HR(5)})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"[]", "[5]", "[5]"}; !slices.Equal(s.asked, want) {
		t.Errorf("asked %v, want %v", s.asked, want)
	}
	if hr, _ := o.Value("HR@5"); !near(hr, 2.0/3) {
		t.Errorf("HR %g, want 2/3: the unknown item cannot be hit", hr)
	}
}

func TestNextItemStops(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	test := &model.Sessions{}
	test.Append([]int32{1, 2}, []int64{1, 2})
	if _, err := Measure(ctx, &scripted{}, NextItem(test), 5, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}
