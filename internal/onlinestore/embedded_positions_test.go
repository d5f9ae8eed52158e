package onlinestore

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"golang.org/x/sync/errgroup"
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

// TestSameRowAgainIsNotWritten puts rows again after a restart, when memory knows no positions: the same rows are left, one
// of the same position that says something else is written.
func TestSameRowAgainIsNotWritten(t *testing.T) {
	dir := t.TempDir()
	s, err := OpenEmbedded(EmbeddedConfig{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	rows := []Row{{Key: "a", Version: 1, Epoch: 2, Offset: 5, Value: make([]byte, 4<<10)}, {Key: "b", Version: 1, Epoch: 2, Offset: 6}}
	if err := errors.Join(s.Put(t.Context(), rows), s.Close()); err != nil {
		t.Fatal(err)
	}
	if s, err = OpenEmbedded(EmbeddedConfig{Dir: dir}); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	before := s.db.Metrics().WAL.BytesIn
	rows[1].Value = []byte("made again")
	if err := s.Put(t.Context(), rows); err != nil {
		t.Fatal(err)
	}
	if n := s.db.Metrics().WAL.BytesIn - before; n == 0 || n >= 4<<10 {
		t.Errorf("%d bytes were written for one small row", n)
	}
	if row, ok, err := s.Get(t.Context(), "b"); err != nil || !ok || string(row.Value) != "made again" {
		t.Errorf("the row of the same position is %+v (%v, %v)", row, ok, err)
	}
}

// TestPutBesideReplacements puts a row among many, for which the database is read first. Meanwhile another is put and
// replaced, which memory forgets: what was read is out of date when it is time to write.
func TestPutBesideReplacements(t *testing.T) {
	s, err := OpenEmbedded(EmbeddedConfig{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	const puts, others = 200, 400
	ctx, stop := context.WithCancel(t.Context())
	var offset atomic.Int64
	var all errgroup.Group
	all.Go(func() error {
		defer stop()
		for n := range puts {
			rows := []Row{{Key: "k", Offset: offset.Add(1)}}
			for i := range others {
				rows = append(rows, Row{Key: fmt.Sprint(n, "/", i)})
			}
			if err := s.Put(t.Context(), rows); err != nil {
				return err
			}
		}
		return nil
	})
	all.Go(func() error {
		for stands := int64(0); ctx.Err() == nil; {
			err := s.Put(t.Context(), []Row{{Key: "another"}}) // waits for its turn to write
			now, _, getErr := s.Get(t.Context(), "k")
			if err = errors.Join(err, getErr); err != nil {
				return err
			}
			if now.Offset < stands {
				return fmt.Errorf("the row went back from offset %d to %d", stands, now.Offset)
			}
			stands = offset.Add(1)
			row := Row{Key: "k", Offset: stands}
			right := Row{Key: "k", Offset: stands, Value: []byte("right")}
			err = errors.Join(s.Put(t.Context(), []Row{row}), s.Replace(t.Context(), []Replacement{{Seen: row, Right: &right}}))
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err := all.Wait(); err != nil {
		t.Fatal(err)
	}
}

// TestResetPositionsGoOn forgets all positions, as after a write that failed, and puts again.
func TestResetPositionsGoOn(t *testing.T) {
	s, err := OpenEmbedded(EmbeddedConfig{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, value := range []string{"one", "two"} {
		if err := s.Put(t.Context(), []Row{{Key: "k", Epoch: 1, Offset: 1, Value: []byte(value)}}); err != nil {
			t.Fatal(err)
		}
		s.written.reset()
	}
	if row, _, err := s.Get(t.Context(), "k"); err != nil || string(row.Value) != "two" {
		t.Errorf("the row is %q (%v)", row.Value, err)
	}
}
