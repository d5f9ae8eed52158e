package stream

import (
	"context"
	"testing"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/lake"
)

// landingBetween lets the owner before us write and land while we look where a partition stands: after we have asked for
// the log's offsets, or for the fence, whichever comes first.
type landingBetween struct {
	Log
	Lake
	land func()
}

func (b *landingBetween) first() {
	if land := b.land; land != nil {
		b.land = nil
		land()
	}
}

func (b *landingBetween) Offsets(ctx context.Context, topic string) (map[int32]kafka.OffsetRange, error) {
	defer b.first()
	return b.Log.Offsets(ctx, topic)
}

func (b *landingBetween) Next(ctx context.Context, table string) (map[lake.FenceKey]lake.Fence, error) {
	defer b.first()
	return b.Lake.Next(ctx, table)
}

// TestLandingDuringTakeover must not look like a log that was recreated.
func TestLandingDuringTakeover(t *testing.T) {
	h, tr := newHouse(t), newTraffic(10)
	before := h.start()
	h.produce(tr.next(50)...)
	before.drain()
	between := &landingBetween{Log: h.client, Lake: h.lake, land: func() {
		h.produce(tr.next(50)...)
		before.drain()
	}}
	s := h.stream()
	defer s.Close()
	s.deps.Log, s.deps.Lake = between, between
	for number := range int32(testPartitions) {
		if _, err := s.origin(t.Context(), partitionID{event.TopicEvents, number}, lake.TableEvents); err != nil {
			t.Fatal(err)
		}
	}
}
