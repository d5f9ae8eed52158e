package stream

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/state"
	"github.com/millrace/millrace/lake"
)

// restores shares one reading of the lake among the partitions that are made at the same time: with all states lost, each
// would read the whole of it.
type restores struct {
	token chan struct{} // held by the partition that reads the lake; the others wait for what it finds

	mu    sync.Mutex
	pasts map[layout]*sharedPast
}

// sharedPast is everything that has landed, sorted for one layout, and the fences at which it ends.
type sharedPast struct {
	users  int // partitions that use it or wait for it
	past   *history
	fences map[lake.FenceKey]lake.Fence
}

func newRestores() restores {
	return restores{token: make(chan struct{}, 1), pasts: make(map[layout]*sharedPast)}
}

// landedPast returns everything that has landed and the fences at which it ends. The caller calls done once, also after
// an error.
func (s *Stream) landedPast(ctx context.Context, in layout) (past *history, fences map[lake.FenceKey]lake.Fence, done func() error, err error) {
	r := &s.restores
	r.mu.Lock()
	shared := r.pasts[in]
	if shared == nil {
		shared = &sharedPast{}
		r.pasts[in] = shared
	}
	shared.users++
	r.mu.Unlock()
	done = func() error { return r.done(in) }
	select {
	case r.token <- struct{}{}:
		defer func() { <-r.token }()
	case <-ctx.Done():
		return nil, nil, done, ctx.Err()
	}
	r.mu.Lock()
	past, fences = shared.past, shared.fences
	r.mu.Unlock()
	if past != nil {
		return past, fences, done, nil
	}
	if fences, err = s.deps.Lake.Next(ctx, lake.TableEvents); err != nil {
		return nil, nil, done, err
	}
	if past, err = s.collectHistory(ctx, in, fences); err != nil {
		return nil, nil, done, err
	}
	r.mu.Lock()
	shared.past, shared.fences = past, fences
	r.mu.Unlock()
	return past, fences, done, nil
}

// progress tells how many landed events the states that are made now have applied, of how many.
func (r *restores) progress(in layout) (replayed, total int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if shared := r.pasts[in]; shared != nil && shared.past != nil {
		return shared.past.replayed.Load(), shared.past.total
	}
	return 0, 0
}

// done takes a user back; the last one removes the past.
func (r *restores) done(in layout) error {
	r.mu.Lock()
	var past *history
	if shared := r.pasts[in]; shared.users > 1 {
		shared.users--
	} else {
		past = shared.past
		delete(r.pasts, in)
	}
	r.mu.Unlock()
	if past == nil {
		return nil
	}
	return past.close()
}

// replayHistory applies the landed events of a partition before a fence to a state and puts its position there.
func (s *Stream) replayHistory(ctx context.Context, db *state.DB, h *history, in layout, fence lake.Fence) error {
	a, err := s.newApplier(db, fence.Partition)
	if err != nil {
		return err
	}
	a.written = s.now().Add(-rewrittenSessions).UnixMilli()
	n := int64(0)
	commit := func() error {
		h.replayed.Add(n)
		n = 0
		_, err := a.commit(0)
		return errors.Join(err, ctx.Err())
	}
	end := state.Position{Epoch: fence.Epoch, Offset: fence.Next}
	err = h.replay(fence.Partition, func(e *event.Event, at state.Position) (err error) {
		if !at.Before(end) {
			return nil
		}
		if at.Epoch < in.epoch {
			err = a.applyEarlier(e, at, in.base())
		} else {
			_, err = a.apply(e, at)
		}
		if n++; err != nil || n < batchRecords && !a.full() {
			return err
		}
		return commit()
	})
	if err != nil {
		return fmt.Errorf("apply landed events: %w", err)
	}
	a.advance(state.Position{Epoch: fence.Epoch, Offset: fence.Next - 1, Hash: fence.Hash})
	return errors.Join(commit(), a.forgetWritten())
}
