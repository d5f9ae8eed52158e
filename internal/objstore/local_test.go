package objstore_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/objstore"
	"github.com/millrace/millrace/internal/objstore/objstoretest"
)

func TestLocal(t *testing.T) {
	objstoretest.Run(t, func(t *testing.T) objstore.Bucket {
		b, err := objstore.OpenLocal(filepath.Join(t.TempDir(), "new", "bucket"))
		if err != nil {
			t.Fatal(err)
		}
		return b
	})
}

// What a process that died has left is no object, and goes once nobody can be writing it any more.
func TestLocalLeftovers(t *testing.T) {
	dir := t.TempDir()
	if _, err := objstore.OpenLocal(dir); err != nil {
		t.Fatal(err)
	}
	young, old := filepath.Join(dir, ".tmp", "put-young"), filepath.Join(dir, ".tmp", "put-old")
	for _, path := range []string{young, old} {
		if err := os.WriteFile(path, []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	yesterday := time.Now().Add(-25 * time.Hour)
	if err := os.Chtimes(old, yesterday, yesterday); err != nil {
		t.Fatal(err)
	}
	b, err := objstore.OpenLocal(dir)
	if err != nil {
		t.Fatal(err)
	}
	for info := range b.List(t.Context(), "") {
		t.Errorf("%s is listed", info.Key)
	}
	if _, err := os.Stat(old); !os.IsNotExist(err) {
		t.Errorf("the old one is still there: %v", err)
	}
	if _, err := os.Stat(young); err != nil {
		t.Errorf("the young one: %v", err)
	}
}
