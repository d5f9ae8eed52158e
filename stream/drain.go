package stream

import (
	"context"
	"errors"
	"fmt"

	"github.com/millrace/millrace/internal/kafka"
)

// ErrLost means that retention removed records from the log before the stream had read them.
var ErrLost = errors.New("retention removed records before they were read")

// Drained returns when everything that stands in the log at the call is applied, readable in the online store and landed
// in the lake. It fails with ErrLost where that is so, but for records that were lost during the call. This process must
// own all partitions, as `up` does, and Run must be running; ctx bounds the wait.
func (s *Stream) Drained(ctx context.Context) error {
	lost := s.progress.lose(0)
	ends := make(map[partitionID]kafka.OffsetRange)
	for _, topic := range Topics() {
		ranges, err := s.deps.Log.Offsets(ctx, topic)
		if err != nil {
			return fmt.Errorf("drain stream: %w", err)
		}
		for partition, r := range ranges {
			ends[partitionID{topic, partition}] = r
		}
	}
	reached := func(far func(standing) int64) func(map[partitionID]standing) bool {
		return func(at map[partitionID]standing) bool {
			for id, r := range ends {
				if s, ok := at[id]; !ok || far(s) < r.End {
					return false
				}
			}
			return true
		}
	}
	if err := s.progress.wait(ctx, reached(func(s standing) int64 { return s.applied })); err != nil {
		return fmt.Errorf("drain stream: events are still being applied: %w", err)
	}
	if err := s.landing.flush(ctx); err != nil {
		return fmt.Errorf("drain stream: %w", err)
	}
	// Nearly always all has landed by now; a partition that the lake sent back needs another round.
	if err := s.progress.wait(ctx, reached(func(s standing) int64 { return s.landed })); err != nil {
		return fmt.Errorf("drain stream: events are still landing: %w", err)
	}
	if err := s.refilled(ctx); err != nil {
		return fmt.Errorf("drain stream: rows are still being published: %w", err)
	}
	if lost = s.progress.lose(0) - lost; lost > 0 {
		return fmt.Errorf("drain stream: %d offsets are missing: %w", lost, ErrLost)
	}
	return nil
}
