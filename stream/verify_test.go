package stream

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/internal/onlinestore"
	"github.com/millrace/millrace/internal/state"
	"github.com/millrace/millrace/lake"
)

// TestVerifyNoticesDamage changes one row in each store: a verification that cannot fail proves nothing.
func TestVerifyNoticesDamage(t *testing.T) {
	h, tr := newHouse(t), newTraffic(8)
	s := h.start()
	h.produce(tr.next(200)...)
	s.drain()
	s.halt()
	alone := h.stream()
	defer alone.Close()
	verify(t, alone)

	key := onlinestore.ItemKey(onlinestore.ItemShare{Site: "default", Item: "i1", Partition: 0})
	row, ok, err := h.online.Get(t.Context(), key)
	if err != nil || !ok {
		t.Fatalf("no row %s: %v", key, err)
	}
	put := func(row onlinestore.Row) {
		if err := h.online.Put(t.Context(), []onlinestore.Row{row}); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(what string, n int64) {
		t.Helper()
		report, err := alone.Verify(t.Context())
		if err != nil || report.Differences != n || int64(len(report.Described)) != n {
			t.Fatalf("%s: report %+v, %v, want %d differences", what, report, err, n)
		}
	}
	damaged := row
	damaged.Value = append([]byte(nil), row.Value...)
	damaged.Value[1]++
	put(damaged)
	expect("a changed row online", 1)
	put(row)
	expect("healed", 0)
	stray := row
	stray.Key, stray.Offset = onlinestore.ItemKey(onlinestore.ItemShare{Site: "default", Item: "never", Partition: 0}), 0
	put(stray)
	expect("a stray row online", 1)
	if err := h.online.Replace(t.Context(), []onlinestore.Replacement{{Seen: stray}, {Seen: row}}); err != nil {
		t.Fatal(err)
	}
	expect("a missing row online", 1)
	put(row)

	db, err := state.Open(alone.stateDir(0), state.Options{Cache: alone.cache})
	if err != nil {
		t.Fatal(err)
	}
	position, _, err := db.Position()
	if err != nil {
		t.Fatal(err)
	}
	batch := db.NewBatch()
	batch.Set(key, onlinestore.AppendRow(nil, damaged))
	batch.Set(stray.Key, onlinestore.AppendRow(nil, stray))
	if err := errors.Join(db.Commit(batch, position), db.Close()); err != nil {
		t.Fatal(err)
	}
	expect("a changed and a stray row in the state", 2)
}

// TestVerifyPublished asks a process that owns nothing, beside one that runs the stream.
func TestVerifyPublished(t *testing.T) {
	h, tr := newHouse(t), newTraffic(9)
	s := h.start()
	h.produce(tr.next(200)...)
	asked := h.streamIn(t.TempDir())
	defer asked.Close()
	verified := func() Report {
		t.Helper()
		if err := asked.Landed(t.Context()); err != nil {
			t.Fatal(err)
		}
		report, err := asked.VerifyPublished(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return report
	}
	exact := verified()
	if want := verify(t, s.Stream); exact.Differences != 0 || exact.Profiles != want.Profiles || exact.Rows != want.Rows || exact.Rows == 0 {
		t.Fatalf("a process without states finds %+v, one with them %+v", exact, want)
	}
	s.halt()
	key := onlinestore.ItemKey(onlinestore.ItemShare{Site: "default", Item: "i1", Partition: 0})
	row, ok, err := h.online.Get(t.Context(), key)
	if err != nil || !ok {
		t.Fatalf("no row %s: %v", key, err)
	}
	row.Value[1]++
	stray := row
	stray.Key, stray.Offset = onlinestore.ItemKey(onlinestore.ItemShare{Site: "default", Item: "never", Partition: 0}), 0
	if err := h.online.Put(t.Context(), []onlinestore.Row{row, stray}); err != nil {
		t.Fatal(err)
	}
	if report := verified(); report.Differences != 2 {
		t.Errorf("a changed and a stray row: %+v", report)
	}
}

func TestStateInUseSaysSo(t *testing.T) {
	h := newHouse(t)
	s := h.start()
	s.drain()
	second := h.start()
	<-second.done
	if err := second.ended(); !errors.Is(err, state.ErrLocked) || !strings.Contains(err.Error(), filepath.Join(h.dir, "state")) {
		t.Fatalf("a second stream on one state directory ended with %v", err)
	}
}

// lateAssigner keeps one partition of the events back until it is told.
type lateAssigner struct{ now chan struct{} }

func (a lateAssigner) Run(ctx context.Context, handle kafka.Handler) error {
	return everything{}.Run(ctx, func(ctx context.Context, topic string, p int32, commit func(int64)) error {
		if topic == event.TopicEvents && p == 1 {
			select {
			case <-a.now:
			case <-ctx.Done():
				return nil
			}
		}
		return handle(ctx, topic, p, commit)
	})
}

// TestVerifyLeavesStatesToRun asks while a partition is still on its way: the verification must not take its state.
func TestVerifyLeavesStatesToRun(t *testing.T) {
	h := newHouse(t)
	late := lateAssigner{make(chan struct{})}
	h.assigner = late
	h.produce(view("e1", "b1", "a"))
	s := h.start()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := s.progress.wait(ctx, func(at map[partitionID]standing) bool { return len(at) == len(Topics())*testPartitions-1 }); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Verify(t.Context()); !errors.Is(err, ErrNotOwned) {
		t.Fatalf("verification without partition 1: %v", err)
	}
	close(late.now)
	s.drain()
	verify(t, s.Stream)
	s.halt()
}

// TestPartitionsAreFrozenAtOnce answers for the partitions in reverse order: a verification that asks one after the other
// would wait for the first for ever, and for the long poll of each in the product.
func TestPartitionsAreFrozenAtOnce(t *testing.T) {
	h := newHouse(t)
	s := h.stream()
	defer s.Close()
	parts := make([]*partition, testPartitions)
	for n := range int32(testPartitions) {
		db, err := state.Open(s.stateDir(n), state.Options{Cache: s.cache})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		}()
		parts[n] = &partition{s: s, db: db, quiet: make(chan func(context.Context)), done: make(chan struct{})}
		s.own(n, parts[n])
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	frozen := make(chan error, 1)
	go func() {
		parts, err := s.freezeAll(ctx, layout{1, testPartitions})
		if len(parts) != testPartitions {
			err = errors.Join(err, errors.New("a snapshot is missing"))
		}
		for _, f := range parts {
			err = errors.Join(err, f.close())
		}
		frozen <- err
	}()
	for n := testPartitions - 1; n >= 0; n-- {
		select {
		case f := <-parts[n].quiet:
			f(ctx)
		case err := <-frozen:
			t.Fatal(err)
		}
	}
	if err := <-frozen; err != nil {
		t.Fatal(err)
	}
}

// blindLake lands everything and gives nothing back.
type blindLake struct{ Lake }

var errBlind = errors.New("the disk does not answer")

func (blindLake) ScanEvents(context.Context, lake.ScanRequest, func(lake.EventRow) error) error {
	return errBlind
}

// TestUnreadableLake must be an error, and leave nothing behind.
func TestUnreadableLake(t *testing.T) {
	h, tr := newHouse(t), newTraffic(3)
	s := h.start()
	h.produce(tr.next(20)...)
	s.drain()
	h.useLake = blindLake{h.lake}
	dir := t.TempDir()
	asked := h.streamIn(dir)
	defer asked.Close()
	if _, err := asked.VerifyPublished(t.Context()); !errors.Is(err, errBlind) {
		t.Fatalf("an unreadable lake gave %v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("%d files are left, %v", len(left), err)
	}
}
