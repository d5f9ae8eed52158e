package objstore_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/objstore"
)

// mapped says whether this process has a file mapped.
func mapped(t *testing.T, path string) bool {
	t.Helper()
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(string(maps), path)
}

// A mapping is there as long as somebody has it, whatever becomes of the file, and not longer.
func TestAMappingLivesAsLongAsItIsUsed(t *testing.T) {
	dir := t.TempDir()
	b, err := objstore.OpenLocal(dir)
	if err != nil {
		t.Fatal(err)
	}
	content := bytes.Repeat([]byte("model"), 10_000)
	put(t, b, "a/model", content)
	whole, err := objstore.ReadWhole(t.Context(), b, "a/model")
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Delete(t.Context(), "a/model"); err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	runtime.GC()
	if path := filepath.Join(dir, "a", "model"); !mapped(t, path) || !bytes.Equal(whole.Bytes, content) {
		t.Fatal("the mapping went while it was used")
	}
	runtime.KeepAlive(whole)
	for deadline := time.Now().Add(10 * time.Second); mapped(t, filepath.Join(dir, "a", "model")); runtime.GC() {
		if time.Now().After(deadline) {
			t.Fatal("the mapping stays when nobody uses it")
		}
	}
}

// resident is how much of a mapped file is in the memory of this process, in kB.
func resident(t *testing.T, path string) (kB int) {
	t.Helper()
	maps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	_, of, found := strings.Cut(string(maps), path)
	_, rss, told := strings.Cut(of, "Rss:")
	if !found || !told {
		t.Fatalf("%s is not mapped", path)
	}
	if _, err := fmt.Sscan(rss, &kB); err != nil {
		t.Fatal(err)
	}
	return kB
}

// A mapping that rests takes no memory, until it is used.
func TestAMappingRests(t *testing.T) {
	dir := t.TempDir()
	b, err := objstore.OpenLocal(dir)
	if err != nil {
		t.Fatal(err)
	}
	const size = 4 << 20
	content := bytes.Repeat([]byte("models"), size/len("models"))
	put(t, b, "a/model", content)
	whole, err := objstore.ReadWhole(t.Context(), b, "a/model")
	if err != nil || !bytes.Equal(whole.Bytes, content) {
		t.Fatal("it was not read", err)
	}
	path, pages := filepath.Join(dir, "a", "model"), len(content)>>10
	used := resident(t, path)
	whole.Rest()
	rests := resident(t, path)
	if equal := bytes.Equal(whole.Bytes, content); !equal || used < pages/2 || rests > pages/10 || resident(t, path) < pages/2 {
		t.Errorf("of %d kB %d are there when they were read, %d after a rest, and then the bytes are the same: %v", pages, used, rests, equal)
	}
	runtime.KeepAlive(whole)
}
