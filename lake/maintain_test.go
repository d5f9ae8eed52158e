package lake

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/apache/iceberg-go/table"
)

// Maintenance forgets old versions and orphans and nothing else.
func TestMaintain(t *testing.T) {
	l, s := openTestLake(t), newSampler(31)
	spec, err := specByName(TableEvents)
	if err != nil {
		t.Fatal(err)
	}
	const commits = 70 // past a manifest merge
	for i := range commits {
		if err := l.Commit(t.Context(), s.landEvents(0, i*2, 2)); err != nil {
			t.Fatal(err)
		}
	}
	now := time.Now()
	orphan := filepath.Join(l.tableDir(spec), "data", "received_at_day=2026-03-01", "orphan.parquet")
	fresh := filepath.Join(l.tableDir(spec), "metadata", "under-way.avro")
	for _, path := range []string{orphan, fresh} {
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	ageFiles(t, l.tableDir(spec), now.Add(-2*orphanAge))
	if err := os.Chtimes(fresh, now, now); err != nil {
		t.Fatal(err)
	}

	if err := l.Maintain(t.Context(), now); err != nil { // nothing is old yet
		t.Fatal(err)
	}
	if got := snapshotCount(t, l, spec); got != commits {
		t.Errorf("%d snapshots, want all %d", got, commits)
	}
	if exists(orphan) || !exists(fresh) {
		t.Errorf("orphan exists: %t, fresh file exists: %t", exists(orphan), exists(fresh))
	}
	if err := l.Maintain(t.Context(), now.Add(2*snapshotAge)); err != nil {
		t.Fatal(err)
	}
	if got := snapshotCount(t, l, spec); got != snapshotsKept {
		t.Errorf("%d snapshots, want %d", got, snapshotsKept)
	}
	checkDirectory(t, l, spec, []string{fresh})
	if n := countEvents(t, l, ScanRequest{}); n != commits*2 {
		t.Errorf("%d rows, want %d", n, commits*2)
	}
	if err := l.Commit(t.Context(), s.landEvents(0, commits*2, 3)); err != nil {
		t.Fatal(err)
	}
	if n := countEvents(t, l, ScanRequest{}); n != commits*2+3 {
		t.Errorf("%d rows after one more commit", n)
	}
}

func TestExpiredSnapshots(t *testing.T) {
	now := time.Now()
	snapshots := func(n int, age time.Duration) []table.Snapshot { // the newest is age old, the others a second each before it
		out := make([]table.Snapshot, n)
		for i := range out {
			out[i] = table.Snapshot{SnapshotID: int64(i), TimestampMs: now.Add(-age - time.Duration(n-1-i)*time.Second).UnixMilli()}
		}
		return out
	}
	for name, tc := range map[string]struct {
		snapshots []table.Snapshot
		pinned    map[int64]bool
		expired   int
	}{
		"young":                {snapshots(snapshotsMax, 0), nil, 0},
		"young, too many":      {snapshots(snapshotsMax+5, 0), nil, 5},
		"too many, one pinned": {snapshots(snapshotsMax+5, 0), map[int64]bool{3: true}, 4},
		"old":                  {snapshots(50, 2*snapshotAge), nil, 50 - snapshotsKept},
		"old, few":             {snapshots(snapshotsKept, 2*snapshotAge), nil, 0},
		"half old":             {snapshots(40, snapshotAge-20*time.Second), nil, 19},
	} {
		got := expiredSnapshots(tc.snapshots, tc.pinned, now)
		if len(got) != tc.expired {
			t.Errorf("%s: %d expire, want %d", name, len(got), tc.expired)
		}
		for i, id := range got {
			if tc.pinned == nil && id != int64(i) {
				t.Errorf("%s: %v are not the oldest", name, got)
				break
			}
		}
	}
}

// What a tag points at stays, however old.
func TestMaintainKeepsTags(t *testing.T) {
	l, s := openTestLake(t), newSampler(32)
	spec, err := specByName(TableEvents)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Commit(t.Context(), s.landEvents(0, 0, 2)); err != nil {
		t.Fatal(err)
	}
	current, err := l.current(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	tagged := current.CurrentSnapshot().SnapshotID
	at := &version{catalog: l.catalog, meta: current.Metadata(), at: current.MetadataLocation()}
	tag := table.NewSetSnapshotRefUpdate("trained", tagged, table.TagRef, 0, 0, 0)
	if _, _, err := at.CommitTable(t.Context(), spec.ident(), nil, []table.Update{tag}); err != nil {
		t.Fatal(err)
	}
	for i := 1; i < 2*snapshotsKept; i++ {
		if err := l.Commit(t.Context(), s.landEvents(0, i*2, 2)); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Maintain(t.Context(), time.Now().Add(2*snapshotAge)); err != nil {
		t.Fatal(err)
	}
	if n := countEvents(t, l, ScanRequest{SnapshotID: tagged}); n != 2 {
		t.Errorf("%d rows in the tagged version, want 2", n)
	}
}

// checkDirectory compares the table's directory with what the table refers to: nothing missing, nothing else but extra.
func checkDirectory(t *testing.T, l *Lake, spec tableSpec, extra []string) {
	t.Helper()
	current, err := l.current(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	live, err := liveFiles(current)
	if err != nil {
		t.Fatal(err)
	}
	for path := range live {
		if !exists(path) {
			t.Errorf("%s is missing", path)
		}
	}
	files, err := filesBefore(l.tableDir(spec), time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		if !live[path] && !slices.Contains(extra, path) {
			t.Errorf("%s was left behind", path)
		}
	}
}

func snapshotCount(t *testing.T, l *Lake, spec tableSpec) int {
	t.Helper()
	current, err := l.current(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	return len(current.Metadata().Snapshots())
}

func ageFiles(t *testing.T, dir string, to time.Time) {
	t.Helper()
	files, err := filesBefore(dir, time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		if err := os.Chtimes(path, to, to); err != nil {
			t.Fatal(err)
		}
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
