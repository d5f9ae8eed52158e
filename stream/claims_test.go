package stream

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/feature"
	"github.com/millrace/millrace/internal/onlinestore"
)

// states are what the control store has of the partitions.
func (h *house) states() map[int32]control.PartitionState {
	h.t.Helper()
	states, err := h.control.ReportedStates(h.t.Context(), event.TopicEvents)
	if err != nil {
		h.t.Fatal(err)
	}
	return states
}

// heard tells how reports ended.
type heard struct {
	Rebuilds
	reports chan error
}

func (h heard) ReportState(ctx context.Context, topic string, partition int32, claim int64) error {
	err := h.Rebuilds.ReportState(ctx, topic, partition, claim)
	h.reports <- err
	return err
}

// TestReportOfAZombie lets a process stand still when it has swept and is about to report, until the next owner has made the
// states again and sweeps. What the first one then says must not pass for a word on the next one's states.
func TestReportOfAZombie(t *testing.T) {
	h, tr := newHouse(t), newTraffic(16)
	h.useLog = quickLog{h.client}
	h.produce(tr.next(100)...)
	hold := func(s *Stream) (swept, wake chan struct{}) {
		swept, wake = make(chan struct{}, testPartitions), make(chan struct{})
		s.hook = func(step string) error {
			if step == stepSwept {
				swept <- struct{}{}
				<-wake
			}
			return nil
		}
		return swept, wake
	}
	zombie := h.stream()
	zombie.rebuildPoll = time.Hour // it looks for nothing else
	reports := make(chan error, testPartitions)
	zombie.deps.Rebuilds = heard{h.control, reports}
	swept, wake := hold(zombie)
	first := h.run(zombie)
	<-swept

	generation := h.requestRebuild()
	owner := h.streamIn(filepath.Join(h.dir, "next"))
	ownerSwept, ownerWake := hold(owner)
	next := h.run(owner)
	<-ownerSwept
	until(t, "the next owner has claimed all", func() bool {
		for _, p := range h.states() {
			if p.Generation != generation {
				return false
			}
		}
		return true
	})
	close(wake)
	if err := <-reports; !errors.Is(err, control.ErrClaimEnded) {
		t.Errorf("the report of a process that stood still: %v", err)
	}
	for number, p := range h.states() {
		if p.Shown {
			t.Errorf("partition %d: a process that stood still has said that %+v is shown", number, p)
		}
	}
	first.halt()
	close(ownerWake)
	next.rebuilt(generation)
	h.exactly(next)
	next.halt()
}

// TestLateClaimIsTakenBack: a process of another version stood still before it claimed the partitions, and wakes when the
// next owner has done everything. Its claim and what it wrote do not last.
func TestLateClaimIsTakenBack(t *testing.T) {
	h, tr := newHouse(t), newTraffic(17)
	h.useLog = quickLog{h.client}
	s := h.start()
	h.produce(tr.next(200)...)
	s.drain()
	s.rebuilt(0)
	h.haunt(1) // first: nothing of it may come after the owner has taken the partitions back
	for number := range int32(testPartitions) {
		h.reportAs(number, basis{Version: 1, Epoch: 1})
	}
	s.rebuilt(0)
	h.exactly(s)
	s.halt()
}

// TestVersionThatCameBack: another program, of a newer feature version, owned the partitions for a while, and left rows at the
// positions of ours and behind them. Then the program before comes back, and has its old states still. They are right, but
// the online store shows the others': every row has to become ours.
func TestVersionThatCameBack(t *testing.T) {
	h, tr := newHouse(t), newTraffic(18)
	s := h.start()
	h.produce(tr.next(200)...)
	s.drain()
	s.halt()
	for _, later := range []int64{0, 1} {
		h.hauntAt(feature.Version+1, later)
		for number := range int32(testPartitions) {
			h.reportAs(number, basis{Version: feature.Version + 1, Epoch: 1})
		}
		s = h.start()
		s.rebuilt(0)
		h.exactly(s)
		s.halt()
	}
	// A row that a program of an older version still had on its way is of the same event as ours.
	key := onlinestore.ItemKey(onlinestore.ItemShare{Site: "default", Item: "i1", Partition: 0})
	ours, ok, err := h.online.Get(t.Context(), key)
	if err != nil || !ok {
		t.Fatalf("no row %s: %v", key, err)
	}
	theirs := ours
	theirs.Version, theirs.Value = feature.Version-1, []byte("of an older program")
	if err := h.online.Put(t.Context(), []onlinestore.Row{theirs}); err != nil {
		t.Fatal(err)
	}
	if got, _, err := h.online.Get(t.Context(), key); err != nil || got.Version != feature.Version {
		t.Errorf("a program of an older version has replaced a row of the same event: %+v, %v", got, err)
	}
}

// countedPuts counts the rows of states that are put into an online store.
type countedPuts struct {
	onlinestore.Store
	rows *atomic.Int64
}

func (c countedPuts) Put(ctx context.Context, rows []onlinestore.Row) error {
	for _, row := range rows {
		if !strings.HasPrefix(row.Key, "o/") { // a declaration of the stream, no row of a state
			c.rows.Add(1)
		}
	}
	return c.Store.Put(ctx, rows)
}

// TestStoppedBeforeTheSweepEnds: a state that its last claim has published is not published again by the next start, which only
// goes on with the sweep; unless somebody else has claimed it in between, whose rows may stand over its own.
func TestStoppedBeforeTheSweepEnds(t *testing.T) {
	h, tr := newHouse(t), newTraffic(19)
	s := h.start()
	h.produce(tr.next(200)...)
	s.drain()
	s.rebuilt(0)
	s.halt()
	claimAll := func(b basis) {
		for number := range int32(testPartitions) {
			if _, err := h.control.ClaimState(t.Context(), event.TopicEvents, number, b); err != nil {
				t.Fatal(err)
			}
		}
	}
	restart := func() int64 {
		var rows atomic.Int64
		h.useOnline = countedPuts{h.online, &rows}
		defer func() { h.useOnline = h.online }()
		stopped := h.stream()
		stopped.hook = func(step string) error {
			if step == stepSwept {
				return errKilled
			}
			return nil
		}
		run := h.run(stopped)
		run.drain()
		run.halt()
		return rows.Load()
	}
	claimAll(basis{Version: feature.Version + 1, Epoch: 1})
	all := restart()
	if again := restart(); all == 0 || again > 0 {
		t.Errorf("%d rows published after the claim of another version, then %d once more", all, again)
	}
	claimAll(basis{Version: feature.Version, Epoch: 1})
	if again := restart(); again != all {
		t.Errorf("%d rows published after the claim of another process, want %d", again, all)
	}
	s = h.start()
	s.rebuilt(0)
	h.exactly(s)
}
