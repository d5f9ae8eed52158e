package lake

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A lake may be opened under another name; maintenance then deletes nothing that it should not.
func TestLakeThroughSymlink(t *testing.T) {
	root := t.TempDir()
	real, link := filepath.Join(root, "real"), filepath.Join(root, "link")
	s := newSampler(41)
	l := openLakeAt(t, real)
	if err := l.Commit(t.Context(), s.landEvents(0, 0, 5)); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(real, link); err != nil {
		t.Fatal(err)
	}
	alias := openLakeAt(t, link)
	if err := alias.Commit(t.Context(), s.landEvents(0, 5, 5)); err != nil {
		t.Fatal(err)
	}
	for _, after := range []time.Duration{0, 2 * sweepEvery} { // the first call only sets the day
		if err := alias.Maintain(t.Context(), time.Now().Add(after)); err != nil {
			t.Fatal(err)
		}
	}
	checkDirectory(t, l, eventsSpec(t))
	if n := countEvents(t, l, ScanRequest{}); n != 10 {
		t.Errorf("%d rows, want 10", n)
	}
}

// A lake that was made under an alias, as its metadata says for ever, is swept by the files' real names.
func TestSweepResolvesRecordedNames(t *testing.T) {
	root := t.TempDir()
	real, link := filepath.Join(root, "real"), filepath.Join(root, "link")
	l := openLakeAt(t, real)
	if err := os.Symlink(real, link); err != nil {
		t.Fatal(err)
	}
	l.files = localFiles{link} // as it was before Open resolved names
	spec := eventsSpec(t)
	if err := l.Commit(t.Context(), newSampler(42).landEvents(0, 0, 5)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := l.sweep(t.Context(), spec, time.Now().Add(2*orphanAge)); err != nil {
		t.Fatal(err)
	}
	checkDirectory(t, l, spec)
	if n := countEvents(t, l, ScanRequest{}); n != 5 {
		t.Errorf("%d rows, want 5", n)
	}
}

// A lake that was moved or copied is refused by name, and a symbolic link at the old place makes a moved one good again.
func TestMovedLakeIsRefused(t *testing.T) {
	root := t.TempDir()
	made, moved, copied := filepath.Join(root, "made"), filepath.Join(root, "moved"), filepath.Join(root, "copied")
	l, err := Open(t.Context(), Config{Dir: made})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Commit(t.Context(), newSampler(43).landEvents(0, 0, 5)); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	refused := func(dir string) {
		t.Helper()
		before := tree(t, dir)
		_, err := Open(t.Context(), Config{Dir: dir})
		if !errors.Is(err, ErrMoved) || !strings.Contains(err.Error(), made) || !strings.Contains(err.Error(), dir) {
			t.Errorf("error %v", err)
		}
		if !maps.Equal(before, tree(t, dir)) {
			t.Errorf("files of %s have changed", dir)
		}
	}
	if err := os.CopyFS(copied, os.DirFS(made)); err != nil {
		t.Fatal(err)
	}
	refused(copied) // while the original is there
	if err := os.Rename(made, moved); err != nil {
		t.Fatal(err)
	}
	refused(moved)
	refused(copied)
	if err := os.Symlink(moved, made); err != nil {
		t.Fatal(err)
	}
	again := openLakeAt(t, moved)
	if n := countEvents(t, again, ScanRequest{}); n != 5 {
		t.Errorf("%d rows, want 5", n)
	}
}

// tree lists the files of the tables below a lake.
func tree(t *testing.T, dir string) map[string]bool {
	t.Helper()
	files := make(map[string]bool)
	at := localFiles{dir}
	err := at.list(t.Context(), at.location(Namespace), func(f storedFile) error { files[f.location] = true; return nil })
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatalf("no file below %s", dir)
	}
	return files
}

// The last line of defence: where none of the data files is found, everything listed looks like an orphan and nothing goes.
func TestSweepRefusesForeignDirectory(t *testing.T) {
	l, elsewhere := openTestLake(t), t.TempDir()
	spec := eventsSpec(t)
	if err := l.Commit(t.Context(), newSampler(44).landEvents(0, 0, 5)); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(elsewhere, os.DirFS(l.scratch)); err != nil {
		t.Fatal(err)
	}
	before := tree(t, elsewhere)
	l.files = localFiles{elsewhere}
	if _, _, err := l.sweep(t.Context(), spec, time.Now().Add(2*orphanAge)); !errors.Is(err, errNothingListed) {
		t.Errorf("error %v", err)
	}
	if !maps.Equal(before, tree(t, elsewhere)) {
		t.Error("files were deleted")
	}
}

// A sweep runs once a day, and not in the first minutes.
func TestSweepDaily(t *testing.T) {
	l := openTestLake(t)
	spec := eventsSpec(t)
	start := time.Now()
	for _, step := range []struct {
		after time.Duration
		swept bool
	}{
		{0, false},
		{sweepDelay - time.Second, false},
		{sweepDelay, true},
		{sweepDelay + time.Hour, false},
		{sweepDelay + sweepEvery - time.Second, false},
		{sweepDelay + sweepEvery, true},
	} {
		orphan := filepath.Join(localDir(t, l, spec), "data", "orphan.parquet")
		if err := os.MkdirAll(filepath.Dir(orphan), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(orphan, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		old := start.Add(-2 * orphanAge)
		if err := os.Chtimes(orphan, old, old); err != nil {
			t.Fatal(err)
		}
		if err := l.Maintain(t.Context(), start.Add(step.after)); err != nil {
			t.Fatal(err)
		}
		if exists(orphan) == step.swept {
			t.Errorf("after %v: swept is %t, want %t", step.after, !step.swept, step.swept)
		}
	}
}
