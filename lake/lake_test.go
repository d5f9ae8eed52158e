package lake

import (
	"errors"
	"testing"

	"github.com/apache/iceberg-go/table"
	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/internal/event"
)

func TestFencesAndInfo(t *testing.T) {
	dir := t.TempDir()
	l, s := openLakeAt(t, dir), newSampler(2)
	in := s.landEvents(0, 0, 10)
	other := s.landEvents(5, 40, 7)
	in.Events, in.Fences = append(in.Events, other.Events...), append(in.Fences, other.Fences...)
	if err := l.Commit(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	// All of the next records were duplicates: the fence moves, no row lands.
	onlyFence := Landing{Fences: []Fence{{Topic: event.TopicEvents, Epoch: 1, Partition: 5, From: 47, Next: 60, Hash: 9}}}
	if err := l.Commit(t.Context(), onlyFence); err != nil {
		t.Fatal(err)
	}
	again := openLakeAt(t, dir)
	next, err := again.Next(t.Context(), TableEvents)
	if err != nil {
		t.Fatal(err)
	}
	want := map[FenceKey]Fence{
		{event.TopicEvents, 1, 0}: {Topic: event.TopicEvents, Epoch: 1, Partition: 0, Next: 10, Hash: 10},
		{event.TopicEvents, 1, 5}: {Topic: event.TopicEvents, Epoch: 1, Partition: 5, Next: 60, Hash: 9},
	}
	if len(next) != len(want) {
		t.Fatalf("fences %v", next)
	}
	for key, f := range want {
		if next[key] != f {
			t.Errorf("fence %v is %+v, want %+v", key, next[key], f)
		}
	}
	infos, err := again.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := infos[0]
	if got.Name != TableEvents || got.Rows != 17 || got.Files < 1 || got.Bytes <= 0 || got.Snapshots != 1 || got.NextOffsets["0"] != 10 || got.NextOffsets["5"] != 60 {
		t.Errorf("info %+v", got)
	}
	if infos[1].Name != TableExposures || infos[1].Rows != 0 || len(infos[1].NextOffsets) != 0 {
		t.Errorf("info %+v", infos[1])
	}
}

// Info counts the offsets of the topic's newest life only.
func TestInfoNewestEpoch(t *testing.T) {
	l, s := openTestLake(t), newSampler(2)
	if err := l.Commit(t.Context(), s.landEvents(3, 0, 5)); err != nil {
		t.Fatal(err)
	}
	if err := l.Commit(t.Context(), Landing{Fences: []Fence{{Topic: event.TopicEvents, Epoch: 2, Partition: 0, From: 0, Next: 2}}}); err != nil {
		t.Fatal(err)
	}
	infos, err := l.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := infos[0].NextOffsets; len(got) != 1 || got["0"] != 2 {
		t.Errorf("next offsets %v", got)
	}
}

func TestCommitRepeatedLandsOnce(t *testing.T) { onEachStore(t, testCommitRepeatedLandsOnce) }

func testCommitRepeatedLandsOnce(t *testing.T, fresh func() Config) {
	l, s := openLake(t, fresh()), newSampler(3)
	in := s.landEvents(1, 0, 25)
	for range 3 {
		if err := l.Commit(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	if n := countEvents(t, l, ScanRequest{}); n != 25 {
		t.Errorf("%d rows, want 25", n)
	}
}

func TestCommitFromElsewhereIsRefused(t *testing.T) {
	onEachStore(t, testCommitFromElsewhereIsRefused)
}

func testCommitFromElsewhereIsRefused(t *testing.T, fresh func() Config) {
	l, s := openLake(t, fresh()), newSampler(4)
	if err := l.Commit(t.Context(), s.landEvents(1, 0, 25)); err != nil {
		t.Fatal(err)
	}
	for name, in := range map[string]Landing{
		"gap":                          s.landEvents(1, 30, 5),
		"overlap":                      s.landEvents(1, 20, 10),
		"other log of the same length": {Fences: []Fence{{Topic: event.TopicEvents, Epoch: 1, Partition: 1, From: 0, Next: 25, Hash: 77}}},
	} {
		var moved *FenceMovedError
		if err := l.Commit(t.Context(), in); !errors.As(err, &moved) {
			t.Fatalf("%s: error %v", name, err)
		}
		if got := moved.Actual[in.Fences[0].Key()].Next; got != 25 {
			t.Errorf("%s: the error says %d, the table stands at 25", name, got)
		}
	}
	if n := countEvents(t, l, ScanRequest{}); n != 25 {
		t.Errorf("%d rows, want 25", n)
	}
}

func TestLandingIsChecked(t *testing.T) {
	l, s := openTestLake(t), newSampler(5)
	good := s.landEvents(1, 0, 3)
	fence := good.Fences[0]
	outside := s.landEvents(1, 3, 1).Events
	for name, in := range map[string]Landing{
		"row without fence":  {Events: good.Events},
		"row past the fence": {Events: outside, Fences: []Fence{fence}},
		"fence backwards":    {Fences: []Fence{{Topic: event.TopicEvents, From: 5, Next: 4}}},
		"two fences":         {Fences: []Fence{fence, fence}},
		"unknown topic":      {Fences: []Fence{{Topic: "orders", From: 0, Next: 4}}},
		"row of other table": {Events: good.Events, Fences: []Fence{{Topic: event.TopicExposures, Epoch: 1, Partition: 1, From: 0, Next: 3}}},
	} {
		if err := l.Commit(t.Context(), in); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	if next, err := l.Next(t.Context(), TableEvents); err != nil || len(next) != 0 {
		t.Errorf("fences %v, error %v", next, err)
	}
}

func TestOpenRefusesRowsWithoutFence(t *testing.T) {
	dir := t.TempDir()
	l, s := openLakeAt(t, dir), newSampler(6)
	if err := l.Commit(t.Context(), s.landEvents(1, 0, 3)); err != nil {
		t.Fatal(err)
	}
	spec, err := specByName(TableEvents)
	if err != nil {
		t.Fatal(err)
	}
	current, err := l.current(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	tx := current.NewTransaction()
	if err := tx.RemoveProperties([]string{"millrace.next.1.millrace.events.1"}); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), Config{Dir: dir}); !errors.Is(err, ErrNoFence) {
		t.Errorf("error %v", err)
	}
}

// A commit that was built on an older version must not go through, even when no snapshot lies between: two writers that
// only move fences would overwrite each other.
func TestStaleVersionCannotCommit(t *testing.T) { onEachStore(t, testStaleVersionCannotCommit) }

func testStaleVersionCannotCommit(t *testing.T, fresh func() Config) {
	l := openLake(t, fresh())
	spec, err := specByName(TableEvents)
	if err != nil {
		t.Fatal(err)
	}
	stale, err := l.current(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Commit(t.Context(), Landing{Fences: []Fence{{Topic: event.TopicEvents, Epoch: 1, Partition: 0, From: 0, Next: 20}}}); err != nil {
		t.Fatal(err)
	}
	tx := stale.NewTransaction()
	if err := tx.SetProperties(map[string]string{"millrace.next.1.millrace.events.0": "10:0"}); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Commit(t.Context()); !errors.Is(err, table.ErrCommitFailed) {
		t.Errorf("error %v", err)
	}
}

// Processes that make one new lake at the same time wait for each other.
func TestOpenNewLakeTogether(t *testing.T) { onEachStore(t, testOpenNewLakeTogether) }

func testOpenNewLakeTogether(t *testing.T, fresh func() Config) {
	for range 5 {
		cfg := fresh()
		var group errgroup.Group
		for range 6 {
			group.Go(func() error {
				l, err := Open(t.Context(), cfg)
				if err != nil {
					return err
				}
				return l.Close()
			})
		}
		if err := group.Wait(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLocationOfAnyPath(t *testing.T) {
	path, err := localPath(location("/var/lib/mill race/100%"))
	if err != nil || path != "/var/lib/mill race/100%" {
		t.Errorf("path %q, error %v", path, err)
	}
}

func countEvents(t testing.TB, l *Lake, req ScanRequest) int {
	t.Helper()
	n := 0
	if err := l.ScanEvents(t.Context(), req, func(EventRow) error { n++; return nil }); err != nil {
		t.Fatal(err)
	}
	return n
}
