package state

import (
	"errors"
	"testing"
)

// A state is closed under those who read a snapshot of it: they are told, and the state is free afterwards.
func TestCloseUnderASnapshot(t *testing.T) {
	db := open(t, t.TempDir())
	b := db.NewBatch()
	for _, key := range []string{"a", "b", "c"} {
		b.Set(key, []byte("v"))
	}
	if err := db.Commit(b, Position{Offset: 1}); err != nil {
		t.Fatal(err)
	}
	snapshot := db.Snapshot()
	reading, closed := make(chan struct{}), make(chan error, 1)
	go func() {
		<-reading
		closed <- db.Close()
	}()
	rows := 0
	err := snapshot.Scan("", func(string, []byte) error {
		if rows++; rows == 1 {
			close(reading)
			for !snapshot.of.over() { // until Close has begun, which then waits for this scan
			}
		}
		return nil
	})
	if !errors.Is(err, ErrClosed) || rows != 1 {
		t.Errorf("a scan under Close saw %d rows and ended with %v", rows, err)
	}
	if err := <-closed; err != nil {
		t.Errorf("close: %v", err)
	}
	if _, _, err := snapshot.Get("a"); !errors.Is(err, ErrClosed) {
		t.Errorf("a read after Close gave %v", err)
	}
	if err := snapshot.Close(); err != nil {
		t.Errorf("free the snapshot: %v", err)
	}
}
