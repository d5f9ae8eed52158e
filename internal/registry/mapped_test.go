package registry

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/model"
	"github.com/millrace/millrace/internal/model/transitions"
	"github.com/millrace/millrace/internal/model/vmisknn"
	"github.com/millrace/millrace/internal/objstore"
	"github.com/millrace/millrace/internal/objstore/s3test"
)

// mappings returns the files of the registry that this process has mapped; it skips where the system does not tell.
func mappings(t *testing.T, r *Registry) []string {
	t.Helper()
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Skipf("this system does not list mappings: %v", err)
	}
	var files []string
	for line := range strings.Lines(string(maps)) {
		if _, file, ok := strings.Cut(line, r.Location("")); ok {
			files = append(files, filepath.Base(strings.Fields(file)[0]))
		}
	}
	slices.Sort(files)
	return files
}

// settle waits until exactly these files are mapped.
func settle(t *testing.T, r *Registry, want ...string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; runtime.GC() {
		got := mappings(t, r)
		if slices.Equal(got, want) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("mapped are %v, want %v", got, want)
		}
	}
}

// kept loads a version and returns what somebody may keep of it: models that lie over its own, and one of its own.
func kept(t *testing.T, r *Registry, version string) []model.Scorer {
	t.Helper()
	b, err := r.Load(t.Context(), site, version)
	if err != nil {
		t.Fatal(err)
	}
	base, _ := b.Scorers["transitions"].(*transitions.Model)
	knn, _ := b.Scorers["vmisknn"].(*vmisknn.Model)
	sessions := &model.Sessions{}
	sessions.Append([]int32{0, 2}, []int64{8000, 9000})
	over, err := transitions.Over(base, sessions, 3)
	if err != nil {
		t.Fatal(err)
	}
	knnOver, err := vmisknn.Over(knn, sessions, 3)
	if err != nil {
		t.Fatal(err)
	}
	return []model.Scorer{over, knnOver, b.Scorers["basket"]}
}

// Whoever has a model goes on with it, whatever becomes of its version; what nobody has is no more in memory. What lies over a model
// has it too.
func TestAModelKeepsItsMemory(t *testing.T) {
	r := open(t)
	m := publish(t, r, start)
	scorers, q := kept(t, r, m.Version), model.Query{Items: []int32{0}}
	var want [][]model.Scored
	for _, s := range scorers {
		want = append(want, s.Score(nil, q, 3))
	}
	if err := r.removeVersion(t.Context(), site, m.Version); err != nil {
		t.Fatal(err)
	}
	settle(t, r, "basket.arrow", "transitions.arrow", "vmisknn.arrow")
	for i, s := range scorers {
		if got := s.Score(nil, q, 3); !slices.Equal(got, want[i]) || len(got) == 0 {
			t.Errorf("%s answers %v after its version was removed, %v before", s.Name(), got, want[i])
		}
	}
	runtime.KeepAlive(scorers)
	settle(t, r)
}

// A promotion looks at every file and keeps none.
func TestPromotionKeepsNoFileMapped(t *testing.T) {
	r := open(t)
	if err := r.Promote(t.Context(), site, publish(t, r, start).Version); err != nil {
		t.Fatal(err)
	}
	settle(t, r)
}

// A version in a store is read into memory, and answers as the same one in a directory.
func TestLoadFromAStore(t *testing.T) {
	cfg := s3test.Start(t).Config("models")
	r, err := Open(t.Context(), objstore.Place{S3: &cfg})
	if err != nil {
		t.Fatal(err)
	}
	m := publish(t, r, start)
	b, err := r.Load(t.Context(), site, m.Version)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range artifacts(t)[1:] {
		q := model.Query{Items: []int32{0}}
		if got, want := b.Scorers[a.Name].Score(nil, q, 3), a.Model.(model.Scorer).Score(nil, q, 3); !slices.Equal(got, want) || len(want) == 0 {
			t.Errorf("%s answers %v, want %v", a.Name, got, want)
		}
	}
}

// A version of an earlier program, with files of the form and the names of then, is loaded and promoted.
func TestAVersionOfAnEarlierProgram(t *testing.T) {
	r := open(t)
	dir := filepath.Join(r.Location(""), site, "20260101T020000.000Z-00000000")
	if err := os.CopyFS(dir, os.DirFS("testdata/earlier")); err != nil {
		t.Fatal(err)
	}
	version := filepath.Base(dir)
	if err := r.Promote(t.Context(), site, version); err != nil {
		t.Fatal(err)
	}
	b, err := r.Load(t.Context(), site, version)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range artifacts(t)[1:] {
		q := model.Query{Items: []int32{0}}
		if got, want := b.Scorers[a.Name].Score(nil, q, 3), a.Model.(model.Scorer).Score(nil, q, 3); !slices.Equal(got, want) || len(want) == 0 {
			t.Errorf("%s answers %v, want %v", a.Name, got, want)
		}
	}
	path := filepath.Join(dir, "vmisknn.bin")
	if err := os.Truncate(path, 20); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Load(t.Context(), site, version); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), path) {
		t.Errorf("a torn file gave %v", err)
	}
}
