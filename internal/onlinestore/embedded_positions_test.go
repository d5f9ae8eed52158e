package onlinestore

import (
	"fmt"
	"testing"
)

// TestOldRowsAreRefusedAfterMemoryForgot writes so many rows that memory knows nothing of the first one any more.
func TestOldRowsAreRefusedAfterMemoryForgot(t *testing.T) {
	s, err := OpenEmbedded(EmbeddedConfig{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	rows := []Row{{Key: "first", Epoch: 2, Offset: 5, Value: []byte("new")}}
	for i := range 2*keptPositions + 1 {
		rows = append(rows, Row{Key: fmt.Sprint("k", i), Epoch: 2, Offset: 6})
	}
	rows = append(rows, Row{Key: "first", Epoch: 2, Offset: 4, Value: []byte("old")}) // of one batch, too
	for _, batch := range [][]Row{rows, {{Key: "first", Epoch: 1, Offset: 9, Value: []byte("old")}}} {
		if err := s.Put(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
		if row, ok, err := s.Get(t.Context(), "first"); err != nil || !ok || string(row.Value) != "new" {
			t.Fatalf("the row is %+v (%v, %v)", row, ok, err)
		}
	}
	if n := len(s.written.young) + len(s.written.old); n > 2*keptPositions {
		t.Errorf("%d positions in memory, at most %d wanted", n, 2*keptPositions)
	}
}
