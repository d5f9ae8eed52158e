package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/millrace/millrace/lake"
)

// TestLakeCommands tends the lake beside a running process and alone; features equal their history before and after.
func TestLakeCommands(t *testing.T) {
	t.Setenv("MILLRACE_STREAM__COMMIT_INTERVAL", "100ms")
	dir := t.TempDir()
	p := startProgram(t, dir)
	store, err := lake.Open(t.Context(), lake.Config{Dir: filepath.Join(dir, "lake")})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	const files = 17
	for i := range files { // each in a file of its own
		sendOne(t, p, fmt.Sprintf("e%d", i))
		awaitRows(t, store, int64(i)+1)
	}
	var done struct {
		Tables []struct {
			Read    int64 `json:"files_read"`
			Written int64 `json:"files_written"`
		}
	}
	run := func(args ...string) {
		t.Helper()
		stdout, stderr, exit := runProgram(t, append(args, "--json", "--data-dir", dir)...)
		if err := json.Unmarshal([]byte(stdout), &done); err != nil || exit != exitDone {
			t.Fatalf("%v: exit %d, %q, %s", args, exit, stdout, stderr)
		}
	}
	verify := func() {
		t.Helper()
		stdout, stderr, exit := runProgram(t, "features", "verify", "--json", "--data-dir", dir)
		var report struct{ Profiles, Differences int }
		if err := json.Unmarshal([]byte(stdout), &report); err != nil || exit != exitDone || report.Profiles == 0 || report.Differences != 0 {
			t.Fatalf("verify: exit %d, %q, %s", exit, stdout, stderr)
		}
	}
	run("lake", "compact", "--table", "events")
	if len(done.Tables) != 1 || done.Tables[0].Read < files || done.Tables[0].Written == 0 {
		t.Errorf("compact did %+v", done)
	}
	if n := eventRows(t, store); n != files {
		t.Errorf("%d rows, want %d", n, files)
	}
	verify()
	run("lake", "expire")
	if len(done.Tables) != 3 {
		t.Errorf("expire did %+v", done)
	}
	p.stop(t)
	run("lake", "compact")
	if len(done.Tables) != 3 {
		t.Errorf("compact did %+v", done)
	}
	verify()
	if _, stderr, exit := runProgram(t, "lake", "compact", "--table", "orders", "--data-dir", dir); exit != exitUsage {
		t.Errorf("exit %d, %s", exit, stderr)
	}
}

func eventRows(t *testing.T, store *lake.Lake) int64 {
	t.Helper()
	tables, err := store.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return tables[0].Rows
}

// awaitRows waits until so many events have landed.
func awaitRows(t *testing.T, store *lake.Lake, want int64) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	late := time.After(time.Minute)
	for eventRows(t, store) < want {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("%d events have not landed", want)
		}
	}
}
