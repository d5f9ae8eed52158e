package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/lake"
)

// runJSON runs a command with --json and reads its answer.
func runJSON(t *testing.T, dir string, out any, args ...string) (exit int) {
	t.Helper()
	stdout, stderr, exit := runProgram(t, append(args, "--json", "--data-dir", dir)...)
	if err := json.Unmarshal([]byte(stdout), out); err != nil {
		t.Fatalf("%v: exit %d, %q, %s", args, exit, stdout, stderr)
	}
	return exit
}

// lakeSound wants `lake verify` to find so many sound rows of events.
func lakeSound(t *testing.T, dir string, rows int64) {
	t.Helper()
	var found struct{ Tables []lake.Verification }
	if exit := runJSON(t, dir, &found, "lake", "verify"); exit != exitDone || len(found.Tables) != 3 || found.Tables[0].Rows != rows || !found.Tables[0].Sound() {
		t.Errorf("lake verify: exit %d, %+v", exit, found)
	}
}

// sentShop starts a program that has landed so many events, each by a commit of its own.
func sentShop(t *testing.T, dir string, events int) (*program, *lake.Lake) {
	t.Helper()
	t.Setenv("MILLRACE_STREAM__COMMIT_INTERVAL", "100ms")
	p := startProgram(t, dir)
	store, err := lake.Open(t.Context(), lake.Config{Dir: filepath.Join(dir, "lake")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	for i := range events {
		sendOne(t, p, fmt.Sprintf("e%d", i))
		awaitRows(t, store, int64(i)+1)
	}
	return p, store
}

// TestLakeRollback goes back under a running process, which then lands again what Kafka has; export and import bring the same rows
// to another installation.
func TestLakeRollback(t *testing.T) {
	dir := t.TempDir()
	const events = 6
	p, store := sentShop(t, dir, events)
	var list struct{ Versions []lake.Version }
	if exit := runJSON(t, dir, &list, "lake", "rollback", "--table", "events"); exit != exitDone || len(list.Versions) < events {
		t.Fatalf("versions: exit %d, %+v", exit, list)
	}
	var back lake.Version
	for _, v := range list.Versions {
		if v.Rows == events-2 {
			back = v
		}
	}
	var done lake.Rollback
	if exit := runJSON(t, dir, &done, "lake", "rollback", "--table", "events", "--to", fmt.Sprint(back.SnapshotID)); exit != exitDone || len(done.Moved) == 0 {
		t.Fatalf("rollback: exit %d, %+v", exit, done)
	}
	sendOne(t, p, "after")
	awaitRows(t, store, events+1)
	lakeSound(t, dir, events+1)
	if _, stderr, exit := runProgram(t, "lake", "rollback", "--table", "events", "--to", "17", "--data-dir", dir); exit != exitFailed || !strings.Contains(stderr, "no such version") {
		t.Errorf("to no version: exit %d, %s", exit, stderr)
	}

	file := filepath.Join(t.TempDir(), "events.jsonl.gz")
	var exported struct{ Rows int64 }
	if exit := runJSON(t, dir, &exported, "lake", "export", file); exit != exitDone || exported.Rows != events+1 {
		t.Errorf("export: exit %d, %+v", exit, exported)
	}
	if _, stderr, exit := runProgram(t, "lake", "export", file, "--data-dir", dir); exit != exitFailed || !strings.Contains(stderr, "--overwrite") {
		t.Errorf("export onto a file: exit %d, %s", exit, stderr)
	}
	p.stop(t)
	other := t.TempDir()
	if stdout, stderr, exit := runProgram(t, "import", "events", file, "--json", "--data-dir", other); exit != exitDone {
		t.Fatalf("import: exit %d, %s %s", exit, stdout, stderr)
	}
	sameEvents(t, dir, other)
}

// sameEvents compares what two lakes export, but for what an import gives its rows anew.
func sameEvents(t *testing.T, one, other string) {
	t.Helper()
	read := func(dir string) (events []string) {
		stdout, stderr, exit := runProgram(t, "lake", "export", "-", "--format", "jsonl", "--data-dir", dir)
		if exit != exitDone {
			t.Fatalf("export: exit %d, %s", exit, stderr)
		}
		for line := range strings.Lines(stdout) {
			var e map[string]any
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				t.Fatal(err)
			}
			for _, own := range []string{"event_id", "received_at", "source", "network_prefix", "user_agent_family", "device"} {
				delete(e, own)
			}
			text, err := json.Marshal(e)
			if err != nil {
				t.Fatal(err)
			}
			events = append(events, string(text))
		}
		slices.Sort(events)
		return events
	}
	if want, got := read(one), read(other); len(want) == 0 || !slices.Equal(want, got) {
		t.Errorf("events are %v, want %v", got, want)
	}
}

// TestTornLake kills a program, takes half of the newest version of the lake away as a power cut does, and starts it again: what was
// lost lands again from Kafka, once.
func TestTornLake(t *testing.T) {
	dir := t.TempDir()
	const events = 5
	p, _ := sentShop(t, dir, events)
	p.kill()
	var info struct{ Tables []lake.TableInfo }
	if exit := runJSON(t, dir, &info, "lake", "info"); exit != exitDone || info.Tables[0].Rows != events {
		t.Fatalf("info: exit %d, %+v", exit, info)
	}
	at, err := url.Parse(info.Tables[0].MetadataLocation)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(at.Path, 500); err != nil {
		t.Fatal(err)
	}
	if _, stderr, exit := runProgram(t, "lake", "info", "--data-dir", dir); exit != exitFailed || !strings.Contains(stderr, "Start the stream role") {
		t.Errorf("info of a torn lake: exit %d, %s", exit, stderr)
	}
	p = startProgram(t, dir)
	store, err := lake.Open(t.Context(), lake.Config{Dir: filepath.Join(dir, "lake")})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	awaitRows(t, store, events)
	lakeSound(t, dir, events)
	if text := p.stderr.String(); !strings.Contains(text, "has torn the newest version") {
		t.Errorf("nothing was said of it: %s", text)
	}
	p.stop(t)
}

// TestCatalogueLands changes an item by the API and finds its history in the lake.
func TestCatalogueLands(t *testing.T) {
	t.Setenv("MILLRACE_STREAM__COMMIT_INTERVAL", "100ms")
	dir := t.TempDir()
	p := startProgram(t, dir)
	keys := p.keys(t)
	for _, body := range []string{`{"title":"Shoe","price":50}`, `{"title":"Shoe","price":45.5,"fields":{"weight":1.50}}`} {
		if status, text := p.asked(t, http.MethodPut, "/v1/items/shoe-1", keys.SecretKey, json.RawMessage(body)); status >= http.StatusBadRequest {
			t.Fatalf("PUT: %d %s", status, text)
		}
	}
	if status, text := p.asked(t, http.MethodDelete, "/v1/items/shoe-1", keys.SecretKey, nil); status >= http.StatusBadRequest {
		t.Fatalf("DELETE: %d %s", status, text)
	}
	p.stop(t) // which lands what has not yet
	stdout, stderr, exit := runProgram(t, "lake", "export", "-", "--table", "items", "--format", "jsonl", "--data-dir", dir)
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	if exit != exitDone || len(lines) != 3 {
		t.Fatalf("exit %d, %d lines: %s %s", exit, len(lines), stdout, stderr)
	}
	for i, want := range []string{`"price":50,`, `"fields":{"weight":1.50},"revision":2,"base_revision":1`, `"revision":3,"base_revision":2,"deleted":true`} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no revision %d with %s in %s", i+1, want, stdout)
		}
	}
}
