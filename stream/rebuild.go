package stream

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/feature"
	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/internal/state"
	"github.com/millrace/millrace/lake"
)

// restores shares one reading of the lake among the partitions that are restored at the same time: with all states lost,
// each would read the whole of it.
type restores struct {
	token chan struct{} // held by the partition that reads the lake; the others wait for what it finds

	mu     sync.Mutex
	users  int // partitions that use or wait for past
	past   *history
	fences map[lake.FenceKey]lake.Fence // at which past ends
}

// landedPast returns everything that has landed, sorted, and the fences at which it ends. The caller calls done once, also
// after an error.
func (s *Stream) landedPast(ctx context.Context) (past *history, fences map[lake.FenceKey]lake.Fence, done func() error, err error) {
	r := &s.restores
	r.mu.Lock()
	r.users++
	r.mu.Unlock()
	select {
	case r.token <- struct{}{}:
		defer func() { <-r.token }()
	case <-ctx.Done():
		return nil, nil, r.done, ctx.Err()
	}
	r.mu.Lock()
	past, fences = r.past, r.fences
	r.mu.Unlock()
	if past != nil {
		return past, fences, r.done, nil
	}
	if fences, err = s.deps.Lake.Next(ctx, lake.TableEvents); err != nil {
		return nil, nil, r.done, err
	}
	past, err = s.collectHistory(ctx, func(at lake.Position) bool {
		fence, landed := newestFence(fences, at.Partition)
		return landed && beforeFence(at, fence)
	})
	if err != nil {
		return nil, nil, r.done, err
	}
	r.mu.Lock()
	r.past, r.fences = past, fences
	r.mu.Unlock()
	return past, fences, r.done, nil
}

// done takes a user back; the last one removes the past.
func (r *restores) done() error {
	r.mu.Lock()
	var past *history
	if r.users--; r.users == 0 {
		past, r.past, r.fences = r.past, nil, nil
	}
	r.mu.Unlock()
	if past == nil {
		return nil
	}
	return past.close()
}

// restore makes the state of a partition from what has landed, where the partition has landed before but its state is new:
// a disk was lost, or the operator moved a state away. A restore that was interrupted goes on.
func (s *Stream) restore(ctx context.Context, db *state.DB, number int32) error {
	fences, err := s.deps.Lake.Next(ctx, lake.TableEvents)
	if err != nil {
		return fmt.Errorf("restore state: %w", err)
	}
	if _, landed := newestFence(fences, number); landed {
		if err := s.restoreLanded(ctx, db, number); err != nil {
			return fmt.Errorf("restore state: %w", err)
		}
	}
	return db.Note(noteVersion, strconv.Itoa(feature.Version))
}

func (s *Stream) restoreLanded(ctx context.Context, db *state.DB, number int32) (err error) {
	past, fences, done, err := s.landedPast(ctx)
	defer func() { err = errors.Join(err, done()) }()
	if err != nil {
		return err
	}
	// What has landed since the past was collected stands in the log still, and is read from there.
	fence, landed := newestFence(fences, number)
	if !landed {
		return nil
	}
	s.log.Info("making the state of features from the lake", "partition", number, "epoch", fence.Epoch, "offset", fence.Next)
	return s.replayHistory(ctx, db, past, number, fence)
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
