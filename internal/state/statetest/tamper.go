// Package statetest damages states for tests of what must notice it.
package statetest

import (
	"errors"
	"fmt"
	"testing"

	"github.com/millrace/millrace/internal/objstore"
	"github.com/millrace/millrace/internal/state"
)

// errChanged ends the search for a row.
var errChanged = errors.New("a row is changed")

// Tamper changes one row in the newest checkpoint of a partition in a bucket, under sound checksums: the first for which
// change returns another value than nil. It reports whether there was one.
func Tamper(t *testing.T, b objstore.Bucket, epoch int64, partition int32, change func(key string, value []byte) []byte) bool {
	t.Helper()
	dir := t.TempDir()
	points := state.NewCheckpoints(b, epoch, partition)
	restored, err := points.Restore(t.Context(), dir+"/live", func(state.Manifest) bool { return true })
	if err != nil || !restored.Found {
		t.Fatalf("restore the checkpoint of partition %d: found %t, %v, %v", partition, restored.Found, restored.Skipped, err)
	}
	cache := state.NewCache(1 << 20)
	defer cache.Close()
	db, err := state.Open(dir+"/live", state.Options{Cache: cache})
	if err != nil {
		t.Fatal(err)
	}
	batch := db.NewBatch()
	err = db.Scan("", func(key string, value []byte) error {
		if changed := change(key, value); changed != nil {
			batch.Set(key, changed)
			return errChanged
		}
		return nil
	})
	changed := errors.Is(err, errChanged)
	if !changed {
		batch.Discard()
		if err = errors.Join(err, db.Close()); err != nil {
			t.Fatal(err)
		}
		return false
	}
	m := restored.Manifest
	err = db.Commit(batch, m.Position)
	if err == nil {
		_, err = db.Freeze(dir + "/frozen")
	}
	err = errors.Join(err, db.Close())
	if err == nil { // a manifest is never replaced
		err = b.Delete(t.Context(), fmt.Sprintf("state/%d/%d/%010d-%019d.json", epoch, partition, m.Position.Epoch, m.Position.Offset))
	}
	if err == nil {
		m.Files = nil
		_, err = points.Put(t.Context(), dir+"/frozen", m)
	}
	if err != nil {
		t.Fatal(err)
	}
	return true
}
