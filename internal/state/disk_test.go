package state

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestOpenTwiceSaysLocked(t *testing.T) {
	cache := NewCache(1 << 20)
	defer cache.Close()
	dir := t.TempDir()
	db, err := OpenDisk(dir, DiskOptions{Cache: cache})
	if err != nil {
		t.Fatal(err)
	}
	_, err = OpenDisk(dir, DiskOptions{Cache: cache})
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), dir) {
		t.Fatalf("second open: %v, want ErrLocked that names the directory", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db, err = OpenDisk(dir, DiskOptions{Cache: cache})
	if err != nil {
		t.Fatalf("open after close: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestOpenCorruptSaysSo(t *testing.T) {
	cache := NewCache(1 << 20)
	defer cache.Close()
	dir := t.TempDir()
	db, err := OpenDisk(dir, DiskOptions{Cache: cache})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	manifests, err := filepath.Glob(filepath.Join(dir, "MANIFEST-*"))
	if err != nil || len(manifests) == 0 {
		t.Fatalf("no manifest found: %v", err)
	}
	for _, name := range manifests {
		if err := os.WriteFile(name, []byte("not a manifest, longer than one record header"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, err = OpenDisk(dir, DiskOptions{Cache: cache})
	if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "rebuilt") {
		t.Fatalf("open of a corrupt directory: %v, want ErrCorrupt with the way out", err)
	}
	// The refusal must not keep the lock: an operator repairs the directory and opens it again in the same process.
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	db, err = OpenDisk(dir, DiskOptions{Cache: cache})
	if err != nil {
		t.Fatalf("open after repair: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}
