package stream

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/feature"
	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/internal/state"
	"github.com/millrace/millrace/lake"
)

// restore makes the state of a partition from what has landed, where the partition has landed before but its state is new:
// a disk was lost, or the operator moved a state away. A restore that was interrupted goes on.
func (s *Stream) restore(ctx context.Context, db *state.DB, number int32) error {
	fences, err := s.deps.Lake.Next(ctx, lake.TableEvents)
	if err != nil {
		return fmt.Errorf("restore state: %w", err)
	}
	fence, landed := newestFence(fences, number)
	if landed {
		s.log.Info("making the state of features from the lake", "partition", number, "epoch", fence.Epoch, "offset", fence.Next)
		h, err := s.collectHistory(ctx, func(at lake.Position) bool { return at.Partition == number && beforeFence(at, fence) })
		if err != nil {
			return fmt.Errorf("restore state: %w", err)
		}
		err = s.replayHistory(ctx, db, h, number, fence)
		if err := errors.Join(err, h.close()); err != nil {
			return fmt.Errorf("restore state: %w", err)
		}
	}
	return db.Note(noteVersion, strconv.Itoa(feature.Version))
}

// newestFence is how far a partition of the events has landed in its newest epoch.
func newestFence(fences map[lake.FenceKey]lake.Fence, number int32) (newest lake.Fence, ok bool) {
	for key, f := range fences {
		if key.Topic == event.TopicEvents && key.Partition == number && (!ok || f.Epoch > newest.Epoch) {
			newest, ok = f, true
		}
	}
	return newest, ok
}

func beforeFence(at lake.Position, f lake.Fence) bool {
	return at.Epoch < f.Epoch || at.Epoch == f.Epoch && at.Offset < f.Next
}

// replayHistory applies the landed events of a partition to a state and puts its position at the fence.
func (s *Stream) replayHistory(ctx context.Context, db *state.DB, h *history, number int32, fence lake.Fence) error {
	a, err := newApplier(db, number)
	if err != nil {
		return err
	}
	n := 0
	err = h.replay(number, func(e *event.Event, at state.Position) error {
		if _, err := a.apply(e, at); err != nil {
			return err
		}
		if n++; n < batchRecords && !a.full() {
			return nil
		}
		n = 0
		if err := ctx.Err(); err != nil {
			return err
		}
		_, err := a.commit(0)
		return err
	})
	if err != nil {
		return err
	}
	a.advance(state.Position{Epoch: fence.Epoch, Offset: fence.Next - 1, Hash: fence.Hash})
	_, err = a.commit(0)
	return err
}

// replayLog applies what stands in the log between two positions of one epoch to a state.
func (s *Stream) replayLog(ctx context.Context, db *state.DB, id partitionID, epoch, from, to int64) error {
	a, err := newApplier(db, id.partition)
	if err != nil {
		return err
	}
	for from < to {
		res, err := s.deps.Log.Fetch(ctx, kafka.FetchRequest{Topic: id.topic, Partition: id.partition, Offset: from})
		if err != nil {
			return fmt.Errorf("read the log again: %w", err)
		}
		for i := range res.Records {
			r := &res.Records[i]
			if r.Offset >= to {
				break
			}
			at := state.Position{Epoch: epoch, Offset: r.Offset}
			if e, poison := decodeEvent(r); poison != nil {
				a.advance(at)
			} else if _, err := a.apply(e, at); err != nil {
				return err
			}
			if a.full() {
				if _, err := a.commit(0); err != nil {
					return err
				}
			}
		}
		if _, err := a.commit(0); err != nil {
			return err
		}
		from = res.Next
	}
	return nil
}
