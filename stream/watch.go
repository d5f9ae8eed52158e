package stream

import (
	"context"
	"time"
)

// watch looks every so often, each rebuildPoll, until ctx ends. A look that fails is reported by failed, which says how long
// to leave it alone.
func (s *Stream) watch(ctx context.Context, look func(context.Context) error, failed func(error) time.Duration) {
	wait := time.NewTimer(s.rebuildPoll)
	defer wait.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-wait.C:
		}
		next := s.rebuildPoll
		if err := look(ctx); err != nil && ctx.Err() == nil {
			next = failed(err)
		}
		wait.Reset(next)
	}
}
