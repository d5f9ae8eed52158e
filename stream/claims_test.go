package stream

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/event"
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
	for number := range int32(testPartitions) {
		h.reportAs(number, basis{Version: 1, Epoch: 1})
	}
	h.haunt(1)
	s.rebuilt(0)
	h.exactly(s)
	s.halt()
}
