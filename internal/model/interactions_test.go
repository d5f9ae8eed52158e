package model

import (
	"math"
	"slices"
	"testing"
)

// Two visitors, one of them with two sessions apart, and a session of nobody.
func visits() *Sessions {
	s := &Sessions{}
	s.Add(Session{Items: []int32{3, 1, 3}, Times: []int64{1, 2, 3}, Weights: []float32{1, 1, 5}, User: 7, Segment: "mobile"})
	s.Append([]int32{2, 0}, []int64{4, 5})
	s.Add(Session{Items: []int32{2}, Times: []int64{6}, User: 0})
	s.Add(Session{Items: []int32{1, 0}, Times: []int64{7, 8}, Weights: []float32{3, 1}, User: 7})
	return s
}

func TestInteractionsGatherTheSessionsOfAVisitor(t *testing.T) {
	x, err := NewInteractions(visits(), 4)
	if err != nil {
		t.Fatal(err)
	}
	want := []struct {
		items   []int32
		weights []float32
	}{
		{[]int32{0, 1, 3}, []float32{1, 3, 5}},
		{[]int32{0, 2}, []float32{1, 1}},
		{[]int32{2}, []float32{1}},
	}
	if x.Rows() != len(want) {
		t.Fatalf("%d rows", x.Rows())
	}
	for r, w := range want {
		if items, weights := x.Row(r); !slices.Equal(items, w.items) || !slices.Equal(weights, w.weights) {
			t.Errorf("row %d: %v %v", r, items, weights)
		}
	}
	back := x.Transposed().Transposed()
	if !slices.Equal(back.Items, x.Items) || !slices.Equal(back.Weights, x.Weights) || !slices.Equal(back.Offsets, x.Offsets) {
		t.Errorf("transposed twice: %+v", back)
	}
	if rows, weights := x.Transposed().Row(2); !slices.Equal(rows, []int32{1, 2}) || !slices.Equal(weights, []float32{1, 1}) {
		t.Errorf("item 2 was met by %v %v", rows, weights)
	}
}

func TestSessionsKeepWhatIsKnownOfThem(t *testing.T) {
	s := visits()
	if err := s.Check(4); err != nil {
		t.Fatal(err)
	}
	if got := s.Session(1); got.User != NoUser || got.Segment != "" || !slices.Equal(got.Weights, []float32{1, 1}) {
		t.Errorf("the session of nobody: %+v", got)
	}
	tail := s.Slice(2, 4)
	if err := tail.Check(4); err != nil {
		t.Fatal(err)
	}
	if got := tail.Session(1); got.User != 7 || !slices.Equal(got.Weights, []float32{3, 1}) {
		t.Errorf("the last session of a slice: %+v", got)
	}
	if got := s.Session(0); got.Segment != "mobile" {
		t.Errorf("segment %q", got.Segment)
	}
	for name, broken := range map[string]Sessions{
		"weights missing": {Items: []int32{1, 1}, Times: []int64{1, 1}, Weights: []float32{1}, Offsets: []int{0, 2}},
		"weight zero":     {Items: []int32{1}, Times: []int64{1}, Weights: []float32{0}, Offsets: []int{0, 1}},
		"users missing":   {Items: []int32{1, 1}, Times: []int64{1, 1}, Users: []int32{1}, Offsets: []int{0, 1, 2}},
	} {
		if broken.Check(3) == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestInteractionsThatAreBrokenAreFound(t *testing.T) {
	for name, change := range map[string]func(*Interactions){
		"":                            func(*Interactions) {},
		"item behind the vocabulary":  func(x *Interactions) { x.Items[2] = 4 },
		"item before the vocabulary":  func(x *Interactions) { x.Items[0] = -1 },
		"item again":                  func(x *Interactions) { x.Items[1] = x.Items[0] },
		"items that fall":             func(x *Interactions) { x.Items[1], x.Items[2] = x.Items[2], x.Items[1] },
		"weight of nothing":           func(x *Interactions) { x.Weights[1] = 0 },
		"weight that is no number":    func(x *Interactions) { x.Weights[1] = float32(math.NaN()) },
		"endless weight":              func(x *Interactions) { x.Weights[1] = float32(math.Inf(1)) },
		"weight missing":              func(x *Interactions) { x.Weights = x.Weights[1:] },
		"offsets that fall":           func(x *Interactions) { x.Offsets[2] = 0 },
		"offset that reaches out":     func(x *Interactions) { x.Offsets[1] = 100 },
		"offsets that reach out":      func(x *Interactions) { x.Offsets[3]++ },
		"offsets that end too early":  func(x *Interactions) { x.Offsets[3]-- },
		"offsets that begin too late": func(x *Interactions) { x.Offsets[0] = 1 },
	} {
		x, err := NewInteractions(visits(), 4)
		if err != nil {
			t.Fatal(err)
		}
		change(x)
		if err := x.Check(); (err == nil) != (name == "") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}
