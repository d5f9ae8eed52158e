package lake

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/objstore/s3test"
)

func openS3Lake(t *testing.T, store *s3test.Store) (*Lake, Config) {
	t.Helper()
	s3 := store.Config("lake")
	cfg := Config{Dir: t.TempDir(), S3: &s3, Catalog: filepath.Join(t.TempDir(), "catalog.db"), Retention: Retention{EventDays: 2}}
	return openLake(t, cfg), cfg
}

// A lake in a store that fails at random is tended like one on a disk: compacted, rid of old days, versions and orphans, and
// nothing else is gone.
func TestS3Tended(t *testing.T) {
	store := s3test.Start(t)
	l, _ := openS3Lake(t, store)
	store.Faults.Set(21, s3Faults)
	spec := eventsSpec(t)
	landDays(t, l, 4) // two rows a day
	orphan := l.files.location(Namespace, TableEvents, "data", "received_at_day=2026-03-01", "orphan.parquet")
	if err := writeFile(t.Context(), l.files, orphan, []byte("orphan")); err != nil {
		t.Fatal(err)
	}
	compact(t, l)
	if _, err := l.Expire(t.Context(), "", time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := readFile(t.Context(), l.files, orphan); err != nil {
		t.Errorf("a young orphan is gone: %v", err)
	}
	s := newSampler(22)
	for i := range snapshotsKept + 1 {
		in := s.landEvents(0, 8+i, 1)
		inDay(in, testStart.AddDate(0, 0, 3))
		if err := l.Commit(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	done, err := l.Expire(t.Context(), TableEvents, time.Now().Add(2*orphanAge))
	if err != nil || done[0].FilesSwept == 0 {
		t.Fatalf("done %+v, %v", done, err)
	}
	checkDirectory(t, l, spec)
	if n := countEvents(t, l, ScanRequest{}); n != 4+snapshotsKept+1 {
		t.Errorf("%d rows, want those of the last two days, %d", n, 4+snapshotsKept+1)
	}
	if next, err := l.Next(t.Context(), TableEvents); err != nil || len(next) != 1 {
		t.Errorf("fences %v, %v", next, err)
	}
}

// A commit that its caller gave up, while answers got lost at any point of it, is repeated and has landed once.
func TestS3CommitGivenUp(t *testing.T) {
	store := s3test.Start(t)
	l, cfg := openS3Lake(t, store)
	s := newSampler(23)
	const rounds, rows = 16, 4
	failed := 0
	for round := range rounds {
		in := s.landEvents(0, round*rows, rows)
		inDay(in, testStart)
		store.Faults.Set(uint64(round), s3test.Rates{Lost: 0.08, Late: 0.08, Cut: 0.04, Slow: 0.3})
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(10+40*round)*time.Millisecond)
		if err := l.Commit(ctx, in); err != nil {
			failed++
		}
		cancel()
		if round%5 == 0 { // what comes next is another process
			l = openLake(t, cfg)
		}
		if err := l.Commit(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	if failed == 0 || failed == rounds {
		t.Errorf("%d of %d commits were given up", failed, rounds)
	}
	store.Faults.Set(0, s3test.Rates{})
	checkOffsets(t, l, []int{rounds * rows})
}

// What cannot work is refused with what to do.
func TestS3LakeRefused(t *testing.T) {
	store := s3test.Start(t)
	_, cfg := openS3Lake(t, store)
	refused := func(change func(*Config), is error, says string) {
		t.Helper()
		other, s3 := cfg, *cfg.S3
		other.S3 = &s3
		change(&other)
		l, err := Open(t.Context(), other)
		if err == nil {
			_ = l.Close()
		}
		if err == nil || is != nil && !errors.Is(err, is) || !strings.Contains(err.Error(), says) {
			t.Errorf("opened with %v", err)
		}
	}
	refused(func(c *Config) { c.Catalog = "" }, nil, "catalog")
	refused(func(c *Config) { c.S3.Prefix = "elsewhere" }, ErrMoved, "s3://shop/lake/millrace/events")
	refused(func(c *Config) { c.S3 = nil }, ErrMoved, "s3://shop/lake/millrace/events")
	refused(func(c *Config) { c.S3.Bucket = "none" }, nil, "create it")
	local := Config{Dir: t.TempDir(), Catalog: filepath.Join(t.TempDir(), "catalog.db")}
	openLake(t, local)
	refused(func(c *Config) { c.Catalog = local.Catalog }, ErrMoved, "file://")
}
