package main

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"testing"
)

// maxGzipBytes is what the script may cost a page on the wire. It is part of every first visit of a shop.
const maxGzipBytes = 4 << 10

// The built file is part of the program and must be what its source says.
func TestDistIsFresh(t *testing.T) {
	want, err := bundle("..")
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join("..", "dist", "millrace.js"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatal("dist/millrace.js is stale: run `go generate ./tracker/beacon` and commit the result")
	}
}

func TestBudget(t *testing.T) {
	code, err := bundle("..")
	if err != nil {
		t.Fatal(err)
	}
	var packed bytes.Buffer
	z, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = z.Write(code)
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes, %d gzipped", len(code), packed.Len())
	if packed.Len() > maxGzipBytes {
		t.Errorf("the script has %d bytes gzipped, the budget is %d", packed.Len(), maxGzipBytes)
	}
}

// A mistake in the source is reported with its place, and nothing is written.
func TestBundleReportsMistakes(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "src"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "src", "main.ts"), []byte("let x = ;\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := run(dir); err == nil || !bytes.Contains([]byte(err.Error()), []byte("src/main.ts:1:8")) {
		t.Errorf("error %v does not name the place", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "dist")); !os.IsNotExist(err) {
		t.Errorf("something was written: %v", err)
	}
}
