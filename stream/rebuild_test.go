package stream

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/internal/onlinestore"
	"github.com/millrace/millrace/internal/state"
)

// rebuilt waits until every partition has a published state of the generation.
func (r *running) rebuilt(generation int64) {
	r.t.Helper()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for {
		status, err := r.RebuildStatus(r.t.Context(), generation)
		if err != nil {
			r.t.Fatal(err)
		}
		if status.Done == status.Partitions {
			return
		}
		select {
		case <-look.C:
		case <-r.done:
			r.t.Fatalf("the stream ended with %v while states were made again: %+v", r.err, status)
		}
	}
}

// exactly compares in both directions, after everything was applied: no row is missing, wrong or left over.
func (h *house) exactly(r *running) {
	h.t.Helper()
	r.drain()
	verify(h.t, r.Stream)
	for _, key := range ghosts() {
		if _, ok, err := h.online.Get(h.t.Context(), key); ok || err != nil {
			h.t.Errorf("%s of an earlier state is in the online store still (%v)", key, err)
		}
	}
}

// ghosts are keys of every kind of row that no event explains.
func ghosts() []string {
	return []string{
		onlinestore.ProfileKey(onlinestore.Partial{Site: "default", Kind: onlinestore.KindBrowser, ID: "ghost"}),
		onlinestore.NewestKey("default", "ghost"),
		onlinestore.LinkKey(onlinestore.Link{Site: "default", User: "u1", Browser: "ghost"}),
		onlinestore.ItemKey(onlinestore.ItemShare{Site: "default", Item: "ghost", Partition: 1}),
	}
}

// haunt puts rows into the online store that an earlier version of the features left: some of keys that are no more, and of
// every key that there is one of a later event than any that counts now.
func (h *house) haunt(version int32) { h.t.Helper(); h.hauntAt(version, 1) }

// hauntAt is haunt with rows of events so many offsets later.
func (h *house) hauntAt(version int32, later int64) {
	h.t.Helper()
	var rows []onlinestore.Row
	err := h.online.Scan(h.t.Context(), "", func(row onlinestore.Row) error {
		row.Version, row.Offset, row.Value = version, row.Offset+later, []byte{byte(version)}
		rows = append(rows, row)
		return nil
	})
	if err != nil {
		h.t.Fatal(err)
	}
	for _, key := range ghosts() {
		rows = append(rows, onlinestore.Row{Key: key, Version: version, Epoch: 1, Value: []byte{byte(version)}})
	}
	if err := h.online.Put(h.t.Context(), rows); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) requestRebuild() int64 {
	h.t.Helper()
	generation, err := h.control.RequestRebuild(h.t.Context(), event.TopicEvents)
	if err != nil {
		h.t.Fatal(err)
	}
	return generation
}

// TestRebuildBesideTheStream makes all states again while events come: nothing is lost or doubled by the swaps, duplicates
// of before are known after, and the online store has exactly the rows of the new states.
func TestRebuildBesideTheStream(t *testing.T) {
	h, tr := newHouse(t), newTraffic(11)
	h.useLog = quickLog{h.client}
	s := h.start()
	h.produce(tr.next(400)...)
	s.drain()
	h.haunt(1)
	generation := h.requestRebuild()
	for range 5 {
		h.produce(tr.next(60)...)
	}
	s.rebuilt(generation)
	h.produce(tr.next(100)...)
	h.exactly(s)
	h.checkLanded(tr.ids)
	s.halt()
	counted := &countedLake{Lake: h.lake}
	counted.scans.Store(1) // the first reading would wait
	h.useLake = counted
	s = h.start()
	s.drain()
	if counted.scans.Load() != 1 {
		t.Error("the lake was read again although nobody asked")
	}
	h.exactly(s)
}

// spoil makes the states of all partitions those of another version, whose rows this program cannot read.
func (h *house) spoil() {
	h.t.Helper()
	s := h.stream()
	defer s.Close()
	for n := range int32(testPartitions) {
		db, err := state.Open(s.stateDir(n), state.Options{Cache: s.cache})
		if err != nil {
			h.t.Fatal(err)
		}
		position, _, err := db.Position()
		if err != nil {
			h.t.Fatal(err)
		}
		batch := db.NewBatch()
		if err := db.Scan("", func(key string, _ []byte) error {
			batch.Set(key, onlinestore.AppendRow(nil, onlinestore.Row{Version: 0, Epoch: 1, Value: []byte{0}}))
			return nil
		}); err != nil {
			h.t.Fatal(err)
		}
		batch.SetMeta(noteVersion, "0")
		if err := db.Commit(batch, position); err != nil {
			h.t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			h.t.Fatal(err)
		}
		h.reportAs(n, basis{Epoch: 1})
	}
}

// reportAs claims and reports a partition as a process with another state does.
func (h *house) reportAs(number int32, b basis) {
	h.t.Helper()
	claimed, err := h.control.ClaimState(h.t.Context(), event.TopicEvents, number, b)
	if err == nil {
		err = h.control.ReportState(h.t.Context(), event.TopicEvents, number, claimed.Claim)
	}
	if err != nil {
		h.t.Fatal(err)
	}
}

// TestOtherVersionIsMadeAgain starts on states and online rows of another version.
func TestOtherVersionIsMadeAgain(t *testing.T) {
	h, tr := newHouse(t), newTraffic(12)
	s := h.start()
	h.produce(tr.next(400)...)
	s.drain()
	s.halt()
	h.spoil()
	h.haunt(0)
	h.produce(tr.next(100)...)
	s = h.start()
	s.rebuilt(0)
	h.exactly(s)
	h.checkLanded(tr.ids)
}

// quickLog answers at once where the product waits for the next record: the tests ask much between two batches.
type quickLog struct{ Log }

func (l quickLog) Fetch(ctx context.Context, r kafka.FetchRequest) (kafka.FetchResult, error) {
	r.MaxWait = 5 * time.Millisecond
	return l.Log.Fetch(ctx, r)
}

// TestRebuildSurvivesDeath kills the process at every step of a rebuild, of the first partition or the second, and starts it
// again: the rebuild goes on by itself, and nothing shows that it was interrupted.
func TestRebuildSurvivesDeath(t *testing.T) {
	steps := []string{stepBuildBegun, stepReplayed, stepBuilt, stepStaged, stepMoved, stepSwapped, stepPublished, stepCorrected, stepSwept, stepDone}
	for _, at := range steps {
		t.Run(at+", by command", func(t *testing.T) {
			t.Parallel()
			killRebuild(t, at, 2, true)
		})
	}
	for _, at := range []string{stepReplayed, stepMoved, stepPublished} { // the others are the same at start
		t.Run(at+", by version", func(t *testing.T) {
			t.Parallel()
			killRebuild(t, at, 1, false)
		})
	}
}

func killRebuild(t *testing.T, at string, nth int, byCommand bool) {
	h, tr := newHouse(t), newTraffic(13)
	h.useLog = quickLog{h.client}
	s := h.start()
	h.produce(tr.next(150)...)
	s.drain()
	generation := int64(0)
	s.halt()
	h.haunt(0)
	if byCommand {
		generation = h.requestRebuild()
	} else {
		h.spoil()
	}
	h.produce(tr.next(50)...)

	h.dieAt(at, nth)
	s = h.start()
	h.produce(tr.next(50)...)
	s.rebuilt(generation)
	h.exactly(s)
	h.checkLanded(tr.ids)
	left, err := filepath.Glob(filepath.Join(h.dir, "state", "*-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("the rebuild left %v (%v)", left, err)
	}
}
