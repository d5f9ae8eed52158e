package lake

import (
	"errors"
	"maps"
	"math"
	"slices"
	"testing"

	"github.com/apache/iceberg-go"

	"github.com/millrace/millrace/internal/event"
)

// TestRollback goes back over landings, a compaction and fences alone; what lands again then is there once, and going forward again
// brings back what was given up.
func TestRollback(t *testing.T) { onEachStore(t, testRollback) }

func testRollback(t *testing.T, fresh func() Config) {
	l, s := openLake(t, fresh()), newSampler(81)
	landings := make([]Landing, 5)
	for i := range landings {
		landings[i] = s.landEvents(0, i*tornRows, tornRows)
		inDay(landings[i], testStart)
		if err := l.Commit(t.Context(), landings[i]); err != nil {
			t.Fatal(err)
		}
	}
	versions, err := l.Versions(t.Context(), TableEvents)
	if err != nil {
		t.Fatal(err)
	}
	back := versions[len(versions)-3] // of the third landing
	if back.Rows != 3*tornRows || back.Current || !versions[len(versions)-1].Current {
		t.Fatalf("versions %+v", versions)
	}
	compact(t, l)
	onlyFence := Landing{Fences: []Fence{{Topic: event.TopicEvents, Epoch: 1, Partition: 7, From: 0, Next: 9, Hash: 9}}}
	if err := l.Commit(t.Context(), onlyFence); err != nil {
		t.Fatal(err)
	}
	done, err := l.Rollback(t.Context(), TableEvents, back.SnapshotID)
	if err != nil {
		t.Fatal(err)
	}
	want := []MovedFence{
		{Topic: event.TopicEvents, Epoch: 1, Partition: 0, Was: 5 * tornRows, Next: 3 * tornRows}, {Topic: event.TopicEvents, Epoch: 1, Partition: 7, Was: 9},
	}
	if len(done.Moved) != 2 || done.Moved[0] != want[0] || done.Moved[1] != want[1] {
		t.Errorf("moved %+v, want %+v", done.Moved, want)
	}
	checkOffsets(t, l, []int{3 * tornRows})
	checkSound(t, l)
	var moved *FenceMovedError
	next := s.landEvents(0, 5*tornRows, tornRows)
	if err := l.Commit(t.Context(), next); !errors.As(err, &moved) || moved.Actual[FenceKey{event.TopicEvents, 1, 0}].Next != 3*tornRows {
		t.Errorf("a writer from before the rollback: %v", err)
	}
	next = Landing{Fences: []Fence{{Topic: event.TopicEvents, Epoch: 1, Partition: 7, From: 9, Next: 12, Hash: 12}}}
	if err := l.Commit(t.Context(), next); !errors.As(err, &moved) {
		t.Errorf("a writer of a partition that the version had nothing of: %v", err)
	}
	for _, in := range landings[3:] {
		if err := l.Commit(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	checkOffsets(t, l, []int{5 * tornRows})
	if _, err := l.Rollback(t.Context(), TableEvents, done.From.SnapshotID); err != nil {
		t.Fatal(err)
	}
	checkOffsets(t, l, []int{5 * tornRows})
	fences, err := l.Next(t.Context(), TableEvents)
	if err != nil || fences[FenceKey{event.TopicEvents, 1, 0}].Next != 5*tornRows || fences[FenceKey{event.TopicEvents, 1, 7}].Next != 9 {
		t.Errorf("forward again the fences are %v, %v", fences, err)
	}
	checkSound(t, l)
}

func TestRollbackRefused(t *testing.T) {
	l, s := openTestLake(t), newSampler(82)
	for i := range 2 {
		if err := l.Commit(t.Context(), s.landEvents(0, i*10, 10)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := l.Rollback(t.Context(), TableEvents, 12345); !errors.Is(err, ErrNoVersion) {
		t.Errorf("a snapshot that never was: %v", err)
	}
	versions, err := l.Versions(t.Context(), TableEvents)
	if err != nil {
		t.Fatal(err)
	}
	files, err := liveFiles(t.Context(), mustLoad(t, l))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files { // the newest has those of the first, too
		damage(t, f.location, nil)
	}
	before := mustLoad(t, l).MetadataLocation()
	if _, err := l.Rollback(t.Context(), TableEvents, versions[0].SnapshotID); err == nil {
		t.Error("went back to a version whose files are gone")
	}
	if after := mustLoad(t, l).MetadataLocation(); after != before {
		t.Error("a refused rollback has moved the table")
	}
}

// Positions go back by these rules.
func TestRollbackProperties(t *testing.T) {
	fence := func(epoch int64, partition int32, next int64) (string, string) {
		return Fence{Topic: event.TopicEvents, Epoch: epoch, Partition: partition, Next: next, Hash: 5}.property()
	}
	with := func(pairs ...string) iceberg.Properties {
		props := iceberg.Properties{}
		for i := 0; i < len(pairs); i += 2 {
			props[pairs[i]] = pairs[i+1]
		}
		return props
	}
	name10, at100 := fence(1, 0, 100)
	_, at40 := fence(1, 0, 40)
	_, none := Fence{}.property()
	_, closed := fence(1, 0, math.MaxInt64)
	name20, grown := fence(2, 0, 100)
	gap, gapTo := Gap{Topic: event.TopicEvents, Epoch: 1, Partition: 0, From: 50, To: 60}.property()
	early, earlyTo := Gap{Topic: event.TopicEvents, Epoch: 1, Partition: 0, From: 10, To: 20}.property()
	for _, c := range []struct {
		name      string
		now, then iceberg.Properties
		set       iceberg.Properties
		removed   []string
		err       error
	}{
		{"back", with(name10, at100, "other", "kept"), with(name10, at40), with(name10, at40), nil, nil},
		{"partition unknown then", with(name10, at100), with(), with(name10, none), nil, nil},
		{"gap behind", with(name10, at100, gap, gapTo, early, earlyTo), with(name10, at40, early, earlyTo), with(name10, at40), []string{gap}, nil},
		{"grown since", with(name10, closed, name20, grown), with(name10, at40), nil, nil, ErrEpochOver},
		{"grown since, by its summary", with(name10, closed, name20, grown), with(), nil, nil, ErrEpochOver},
		{"grown before", with(name10, closed, name20, grown), with(name20, at40), with(name20, at40), nil, nil},
		{"erased", with(name10, at100, erasedProperty, "3", cleanProperty, "3"), with(name10, at40, erasedProperty, "2", cleanProperty, "2"),
			with(name10, at40, cleanProperty, "2"), nil, nil},
		{"erased since", with(name10, at100, erasedProperty, "3", cleanProperty, "3"), with(name10, at40), with(name10, at40), []string{cleanProperty}, nil},
	} {
		set, removed, err := rollbackProperties(c.now, c.then)
		if !errors.Is(err, c.err) || c.err == nil && (!maps.Equal(set, c.set) || !slices.Equal(removed, c.removed)) {
			t.Errorf("%s: set %v, remove %v, %v", c.name, set, removed, err)
		}
	}
}

// Where the metadata of its time is gone, a snapshot's summary says where its rows end.
func TestRollbackFar(t *testing.T) {
	l, s := openTestLake(t), newSampler(83)
	const commits = 25 // more than the versions of the metadata that are kept
	for i := range commits {
		in := s.landEvents(0, i*2, 2)
		inDay(in, testStart)
		if err := l.Commit(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	versions, err := l.Versions(t.Context(), TableEvents)
	if err != nil || len(versions) != commits {
		t.Fatalf("%d versions, %v", len(versions), err)
	}
	if _, err := l.Rollback(t.Context(), TableEvents, versions[1].SnapshotID); err != nil {
		t.Fatal(err)
	}
	fences, err := l.Next(t.Context(), TableEvents)
	if got := fences[FenceKey{event.TopicEvents, 1, 0}]; err != nil || got.Next != 4 || got.Hash != 0 {
		t.Errorf("the fence is %+v, %v", got, err)
	}
	checkOffsets(t, l, []int{4})
	checkSound(t, l)
}
