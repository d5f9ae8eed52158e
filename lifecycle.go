package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
)

// drainTimeout bounds how long an orderly stop waits for what was taken to be applied and landed. Together with the other
// parts' bounds it stays below the 30 s that supervisors commonly wait; what is left over is read again at the next start.
const drainTimeout = 8 * time.Second

// drain waits until every event that was acknowledged has landed. The listeners are closed, so no more come.
func (s *system) drain(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	err := s.sink.Drained(ctx)
	if err == nil {
		err = s.stream.Drained(ctx)
	}
	if err != nil {
		s.log.Warn("stopping before everything has landed; the next start goes on from there", "error", err)
	}
}

// stageStream names the stage that is drained before it is stopped.
const stageStream = "stream"

// stage is one running part of the system with a context of its own, so that parts end one after the other.
type stage struct {
	name  string
	run   func(context.Context) error
	end   context.CancelFunc
	group errgroup.Group
}

func newStage(name string, run func(context.Context) error) *stage {
	return &stage{name: name, run: run}
}

// start runs the part under a context that does not end with parent; fail is told when the part ends with an error.
func (st *stage) start(parent context.Context, fail context.CancelCauseFunc) {
	var ctx context.Context
	ctx, st.end = context.WithCancel(context.WithoutCancel(parent))
	st.group.Go(func() error {
		err := st.run(ctx)
		if err == nil && ctx.Err() != nil {
			return nil
		}
		if err == nil {
			err = errors.New("ended by itself")
		}
		err = fmt.Errorf("%s: %w", st.name, err)
		fail(err)
		return err
	})
}

// stopAll ends the parts of a layer together and waits for all of them.
func stopAll(layer []*stage) error {
	for _, st := range layer {
		st.end()
	}
	var errs []error
	for _, st := range layer {
		errs = append(errs, st.group.Wait())
	}
	return errors.Join(errs...)
}
