package lake

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
)

// Maintenance forgets old versions and orphans and nothing else.
func TestMaintain(t *testing.T) {
	l, s := openTestLake(t), newSampler(31)
	spec := eventsSpec(t)
	mergeEarly(t, l, spec)
	const commits = snapshotsKept + 8 // manifests merge every few of them
	for i := range commits {
		if err := l.Commit(t.Context(), s.landEvents(0, i*2, 2)); err != nil {
			t.Fatal(err)
		}
	}
	now := time.Now()
	orphan := filepath.Join(localDir(t, l, spec), "data", "received_at_day=2026-03-01", "orphan.parquet")
	fresh := filepath.Join(localDir(t, l, spec), "metadata", "under-way.avro")
	for _, path := range []string{orphan, fresh} {
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	ageFiles(t, l, now.Add(-2*orphanAge))
	if err := os.Chtimes(fresh, now, now); err != nil {
		t.Fatal(err)
	}

	for _, at := range []time.Time{now.Add(-sweepDelay), now} { // nothing is old yet
		if err := l.Maintain(t.Context(), at); err != nil {
			t.Fatal(err)
		}
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
	// Metadata files that the library leaves behind, if any, are the daily sweep's.
	if err := l.Maintain(t.Context(), now.Add(2*sweepEvery)); err != nil {
		t.Fatal(err)
	}
	checkDirectory(t, l, spec)
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

// A commit itself drops the versions that are too many, and the next maintenance deletes what only they used, without a
// sweep.
func TestCommitDropsSnapshots(t *testing.T) {
	l, s := openTestLake(t), newSampler(33)
	spec := eventsSpec(t)
	mergeEarly(t, l, spec)
	const commits = snapshotsKept + 5
	for i := range commits {
		if err := l.Commit(t.Context(), s.landEvents(0, i*2, 2)); err != nil {
			t.Fatal(err)
		}
	}
	ageSnapshots(t, l, spec, 2*snapshotAge)
	before, err := l.current(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Commit(t.Context(), s.landEvents(0, commits*2, 2)); err != nil {
		t.Fatal(err)
	}
	if got := snapshotCount(t, l, spec); got != snapshotsKept+1 {
		t.Errorf("%d snapshots after the commit, want the newest %d and its own", got, snapshotsKept)
	}
	if err := l.Maintain(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	for i, s := range before.Metadata().Snapshots() {
		path, err := localPath(s.ManifestList)
		if err != nil {
			t.Fatal(err)
		}
		if want := i > commits-snapshotsKept; exists(path) != want { // the newest, with the one committed last
			t.Errorf("the manifest list of version %d exists: %t", i, !want)
		}
	}
	if n := countEvents(t, l, ScanRequest{}); n != commits*2+2 {
		t.Errorf("%d rows, want %d", n, commits*2+2)
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
	spec := eventsSpec(t)
	if err := l.Commit(t.Context(), s.landEvents(0, 0, 2)); err != nil {
		t.Fatal(err)
	}
	current, err := l.current(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	tagged := current.CurrentSnapshot().SnapshotID
	at := l.catalog.version(current.Metadata(), current.MetadataLocation())
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

func eventsSpec(t *testing.T) tableSpec {
	t.Helper()
	spec, err := specByName(TableEvents)
	if err != nil {
		t.Fatal(err)
	}
	return spec
}

// mergeEarly makes commits merge manifests after a few, so that a short test sees it.
func mergeEarly(t *testing.T, l *Lake, spec tableSpec) {
	t.Helper()
	current, err := l.current(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	tx := current.NewTransaction()
	if err := tx.SetProperties(iceberg.Properties{table.ManifestMinMergeCountKey: "5"}); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// ageSnapshots makes the table's versions older than they are; the table's clock, its last update, stays.
func ageSnapshots(t *testing.T, l *Lake, spec tableSpec, by time.Duration) {
	t.Helper()
	current, err := l.current(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(current.Metadata())
	if err != nil {
		t.Fatal(err)
	}
	text = regexp.MustCompile(`"timestamp-ms":\d+`).ReplaceAllFunc(text, func(field []byte) []byte {
		name, value, _ := bytes.Cut(field, []byte(":"))
		at, err := strconv.ParseInt(string(value), 10, 64)
		if err != nil {
			t.Error(err)
		}
		return fmt.Appendf(nil, "%s:%d", name, at-by.Milliseconds())
	})
	aged, err := table.ParseMetadataBytes(text)
	if err != nil {
		t.Fatal(err)
	}
	at, err := stage(t.Context(), l.files, aged, 1000)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.catalog.(*sqlCatalog).db.ExecContext(t.Context(), `UPDATE iceberg_tables SET metadata_location = ? WHERE table_name = ?`, at, spec.name); err != nil {
		t.Fatal(err)
	}
}

// checkDirectory compares the table's directory with what the table refers to: nothing missing, nothing else.
func checkDirectory(t *testing.T, l *Lake, spec tableSpec) {
	t.Helper()
	current, err := l.current(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	listed, err := l.listTable(t.Context(), spec, "")
	if err != nil {
		t.Fatal(err)
	}
	left := maps.Clone(listed)
	err = l.referredFiles(t.Context(), current, func(at string, _ bool) error {
		if _, ok := listed[at]; !ok {
			t.Errorf("%s is missing", at)
		}
		delete(left, at)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for at := range left {
		t.Errorf("%s was left behind", at)
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

// ageFiles makes every file of the events look as if it had been written then.
func ageFiles(t *testing.T, l *Lake, to time.Time) {
	t.Helper()
	listed, err := l.listTable(t.Context(), eventsSpec(t), "")
	if err != nil {
		t.Fatal(err)
	}
	for at := range listed {
		path, err := localPath(at)
		if err == nil {
			err = os.Chtimes(path, to, to)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// localDir is the directory of a table.
func localDir(t testing.TB, l *Lake, spec tableSpec) string {
	t.Helper()
	dir, err := localPath(l.tableLocation(spec))
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
