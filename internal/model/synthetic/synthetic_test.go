package synthetic

import (
	"reflect"
	"slices"
	"testing"
)

// What is measured on the data holds for what the shape says: so many interactions, none twice, with long tails on both sides.
func TestInteractionsHaveTheirShape(t *testing.T) {
	for _, shape := range []Shape{
		{Rows: 2000, Items: 500, Positives: 40_000, Seed: 1},
		{Rows: 100, Items: 80, Positives: 1900, Seed: 2}, // the most active meet as much as may be
		{Rows: 10, Items: 20, Positives: 10, Seed: 3},
	} {
		x := Interactions(shape)
		if x.Rows() != shape.Rows || x.NumItems != shape.Items || len(x.Items) != shape.Positives || len(x.Weights) != shape.Positives {
			t.Fatalf("%+v: %d rows, %d items, %d interactions, %d weights", shape, x.Rows(), x.NumItems, len(x.Items), len(x.Weights))
		}
		for r := range x.Rows() {
			items, _ := x.Row(r)
			if len(items) == 0 || len(items) > shape.Items/4 || !slices.IsSorted(items) || len(slices.Compact(slices.Clone(items))) != len(items) {
				t.Fatalf("%+v: row %d has the items %v", shape, r, items)
			}
			if items[0] < 0 || int(items[len(items)-1]) >= shape.Items {
				t.Fatalf("%+v: row %d has items outside the vocabulary: %v", shape, r, items)
			}
		}
	}
}

func TestInteractionsHaveLongTails(t *testing.T) {
	shape := Shape{Rows: 5000, Items: 1000, Positives: 100_000, Seed: 4}
	x := Interactions(shape)
	byRow, byItem := make([]int, shape.Rows), make([]int, shape.Items)
	for r := range x.Rows() {
		items, _ := x.Row(r)
		byRow[r] = len(items)
		for _, item := range items {
			byItem[item]++
		}
	}
	for name, counts := range map[string][]int{"rows": byRow, "items": byItem} {
		slices.Sort(counts)
		slices.Reverse(counts)
		head := 0
		for _, n := range counts[:len(counts)/10] {
			head += n
		}
		if share := float64(head) / float64(shape.Positives); share < 0.25 || share > 0.75 {
			t.Errorf("a tenth of the %s has %.2f of all interactions", name, share)
		}
	}
}

func TestSameSeedGivesTheSameInteractions(t *testing.T) {
	shape := Shape{Rows: 300, Items: 200, Positives: 3000, Seed: 5}
	first, again := Interactions(shape), Interactions(shape)
	if !reflect.DeepEqual(first, again) {
		t.Error("the same shape and seed give other interactions")
	}
	shape.Seed++
	if reflect.DeepEqual(first, Interactions(shape)) {
		t.Error("another seed gives the same interactions")
	}
}

func TestSessionsHaveTheirShape(t *testing.T) {
	for _, shape := range []Clicks{{Clicks: 10_000, Items: 300, Seed: 1}, {Clicks: 1, Items: 1, Seed: 2}, {Clicks: 0, Items: 5, Seed: 3}} {
		s := Sessions(shape)
		if err := s.Check(shape.Items); err != nil || s.Events() != shape.Clicks {
			t.Fatalf("%+v: %d events, %v", shape, s.Events(), err)
		}
		for i := range s.Len() {
			items, times := s.At(i)
			if len(items) == 0 || len(items) > longest || !slices.IsSorted(times) {
				t.Fatalf("%+v: session %d has the items %v at %v", shape, i, items, times)
			}
			if i > 0 && times[0] <= s.Times[s.Offsets[i-1]] {
				t.Fatalf("%+v: session %d begins before the one ahead of it", shape, i)
			}
		}
	}
	shape := Clicks{Clicks: 40_000, Items: 500, Seed: 4}
	s := Sessions(shape)
	if mean := float64(s.Events()) / float64(s.Len()); mean < 3.5 || mean > 4.5 {
		t.Errorf("sessions of %.2f clicks on the average, want about 4", mean)
	}
	if !reflect.DeepEqual(s, Sessions(shape)) {
		t.Error("the same shape and seed give other sessions")
	}
}
