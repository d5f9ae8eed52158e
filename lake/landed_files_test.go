package lake

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
)

// Rows come out by position however a landing brought them, and are left alone where they are in order.
func TestInOrder(t *testing.T) {
	at := func(p *Position) *Position { return p }
	var want []Position
	for partition := range int32(3) {
		for offset := range int64(20) {
			want = append(want, Position{Epoch: 1 + int64(partition)/2, Partition: partition % 2, Offset: offset})
		}
	}
	if got := inOrder(want, at); &got[0] != &want[0] {
		t.Error("rows in order were copied")
	}
	shuffled := slices.Clone(want)
	rand.New(rand.NewPCG(1, 1)).Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	interleaved := make([]Position, 0, len(want))
	for offset := range 20 {
		interleaved = append(interleaved, want[40+offset], want[offset], want[20+offset])
	}
	for name, rows := range map[string][]Position{
		"shuffled": shuffled, "interleaved": interleaved, "partitions in another order": slices.Concat(want[40:], want[:20], want[20:40]),
		"runs that overlap": slices.Concat(want[:10], want[15:], want[10:15]), "none": nil,
	} {
		expected := want[:len(rows)]
		given := slices.Clone(rows)
		if got := inOrder(rows, at); !reflect.DeepEqual(append([]Position{}, got...), append([]Position{}, expected...)) {
			t.Errorf("%s: %v", name, got)
		}
		if !reflect.DeepEqual(rows, given) {
			t.Errorf("%s: the caller's rows were moved", name)
		}
	}
}
