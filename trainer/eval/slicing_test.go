package eval

import (
	"context"
	"testing"

	"github.com/millrace/millrace/internal/model"
)

// order answers every query with the items of the vocabulary in their order.
type order int

func (order) Name() string { return "order" }

func (o order) Score(dst []model.Scored, _ model.Query, k int) []model.Scored {
	for i := range min(int(o), k) {
		dst = append(dst, model.Scored{Item: int32(i)})
	}
	return dst
}

// of finds the outcome of a slice.
func (s *sliced) of(t *testing.T, kind, name string) *Outcome {
	t.Helper()
	n, ok := s.by.number[sliceName{kind, name}]
	if !ok || n >= len(s.outcomes) {
		t.Fatalf("no slice %s %s", kind, name)
	}
	return s.outcomes[n]
}

func TestSlicesByHand(t *testing.T) {
	train := &model.Sessions{} // clicks: item 0 has 8, 1 has 1, 2 has 1
	train.Append([]int32{0, 0, 0, 0, 0, 0, 0, 0, 1, 2}, make([]int64, 10))
	part := NewPart(train, 3, []Item{{Categories: []string{"x"}}, {Categories: []string{"x", "y"}}, {}})
	cases := []Case{
		{Query: model.Query{History: []int32{1}, Segment: "mobile"}, Wanted: []int32{0}}, // head, place 1
		{Query: model.Query{Segment: "mobile"}, Wanted: []int32{2}},                      // tail, place 3
		{Query: model.Query{}, Wanted: []int32{1, 0, -1}},                                // both, places 1 and 2
	}
	test := &Test{Unit: UnitUser, groups: []int{0, 1, 2}, counts: []int{1, 1, 1}, walk: func(g int, yield yields) { yield(&cases[g]) }}
	slicing := newSlicing(part, true)
	parts := newSliced(slicing, []Metric{MRR(3), Recall(3)})
	if _, err := Measure(context.Background(), order(3), test, 3, nil, parts); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		kind, name  string
		n           int
		mrr, recall float64
	}{
		{sliceVisitor, "returning", 1, 1, 1}, {sliceVisitor, "new", 2, (1.0/3 + 1) / 2, (1 + 2.0/3) / 2},
		{sliceItem, "head", 2, 1, 1}, {sliceItem, "tail", 2, (1.0/3 + 1.0/2) / 2, 1}, {sliceItem, "cold", 1, 0, 0},
		{sliceCategory, "x", 2, 1, 1}, {sliceCategory, "y", 1, 0.5, 1},
		{sliceDevice, "mobile", 2, (1 + 1.0/3) / 2, 1},
	} {
		o := parts.of(t, c.kind, c.name)
		mrr, _ := o.Value("MRR@3")
		recall, _ := o.Value("Recall@3")
		if o.Predictions() != c.n || !near(mrr, c.mrr) || !near(recall, c.recall) {
			t.Errorf("%s %s: n = %d, MRR %g, recall %g, want %d, %g, %g", c.kind, c.name, o.Predictions(), mrr, recall, c.n, c.mrr, c.recall)
		}
	}
	if s := newSlicing(part, false); len(s.ofCase(nil, model.Query{})) != 0 {
		t.Error("nobody is known, but some are called new")
	}
}

func TestTopCategoriesAreThoseMostClicked(t *testing.T) {
	var categories [][]string
	clicks := make([]int, 12)
	for i := range clicks {
		clicks[i] = i
		categories = append(categories, []string{string(rune('a' + i))})
	}
	got := mostClicked(categories, clicks)
	if len(got) != topCategories || got[0] != "l" || got[topCategories-1] != "e" {
		t.Errorf("categories %v", got)
	}
}
