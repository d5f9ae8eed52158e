package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The built files are part of the program and must be what their source says.
func TestDistIsFresh(t *testing.T) {
	files, err := build("..")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join("..", "dist", name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("dist/%s is stale: run `go generate ./tracker/beacon` and commit the result", name)
		}
	}
}

// Goal 1: what a browser fetches, and a build over budget fails.
func TestGoal1Budgets(t *testing.T) {
	for _, out := range outputs {
		code, err := out.bundle("..")
		if err != nil {
			t.Fatal(err)
		}
		packed, err := gzipped(code)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %d bytes, %d gzipped", out.name, len(code), packed)
		if err := out.check(code); err != nil {
			t.Error(err)
		}
		out.maxBytes, out.maxGzipBytes = len(code), packed-1
		if err := out.check(code); err == nil || !strings.Contains(err.Error(), "budget") {
			t.Errorf("%s over its budget: error %v", out.name, err)
		}
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
