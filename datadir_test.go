package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

func TestLockedDataDirNamesItsOwner(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	lock, err := lockDataDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	_, err = lockDataDir(dir)
	if err == nil || !strings.Contains(err.Error(), strconv.Itoa(os.Getpid())) || !strings.Contains(err.Error(), "--data-dir") {
		t.Fatalf("second lock: %v; want an error that names the owner and the way out", err)
	}
	lock.Close()
	again, err := lockDataDir(dir)
	if err != nil {
		t.Fatalf("lock after release: %v", err)
	}
	again.Close()
}

func TestRunningProcess(t *testing.T) {
	dir := t.TempDir()
	if _, ok, err := runningProcess(dir); ok || err != nil {
		t.Fatalf("empty directory: running = %v, %v", ok, err)
	}
	want := runInfo{PID: 7, Listen: "a", Kafka: "b", Admin: "c", Token: "d"}
	if err := writePrivateJSON(filepath.Join(dir, runFile), want); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := runningProcess(dir); ok || err != nil {
		t.Fatalf("a file left by a killed process counts as running: %v, %v", ok, err)
	}
	lock, err := lockDataDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	got, ok, err := runningProcess(dir)
	if err != nil || !ok || got != want {
		t.Fatalf("running = %+v, %v, %v; want %+v", got, ok, err, want)
	}
	stat, err := os.Stat(filepath.Join(dir, runFile))
	if err != nil || stat.Mode().Perm() != 0o600 {
		t.Fatalf("run.json mode = %v, %v; want 0600", stat.Mode(), err)
	}
}
