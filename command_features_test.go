package main

import (
	"encoding/json"
	"fmt"
	"testing"
)

// TestFeaturesRebuild makes the features again beside a running process and alone, and asks each time whether they equal
// their history.
func TestFeaturesRebuild(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := startProgram(t, dir)
	for i := range 30 {
		sendOne(t, p, fmt.Sprintf("e%d", i))
	}
	rebuild := func(generation int) {
		t.Helper()
		stdout, stderr, exit := runProgram(t, "features", "rebuild", "--json", "--data-dir", dir)
		var done struct{ Generation, Partitions int }
		if err := json.Unmarshal([]byte(stdout), &done); err != nil || exit != exitDone || done.Generation != generation || done.Partitions != 16 {
			t.Fatalf("rebuild: exit %d, %q, %s", exit, stdout, stderr)
		}
		stdout, stderr, exit = runProgram(t, "features", "verify", "--json", "--data-dir", dir)
		var report struct{ Profiles, Differences int }
		if err := json.Unmarshal([]byte(stdout), &report); err != nil || exit != exitDone || report.Profiles == 0 || report.Differences != 0 {
			t.Fatalf("verify: exit %d, %q, %s", exit, stdout, stderr)
		}
	}
	rebuild(1)
	p.stop(t)
	rebuild(2)
}
