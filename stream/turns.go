package stream

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// turns runs a piece of work again and again: after an interval, or when somebody asks. Others hand over what the next turn
// takes, and wait for room or for its end. mu guards what its owner has of both, too.
type turns struct {
	what string        // the work, for errors
	wake chan struct{} // holds one token when a turn is wanted now

	mu      sync.Mutex
	begun   uint64        // turns; what is handed over now goes out in the next
	ended   uint64        // begun - ended is 0 or 1
	changed chan struct{} // closed and replaced when a turn ends, or there is room
}

func newTurns(what string) turns {
	return turns{what: what, wake: make(chan struct{}, 1), changed: make(chan struct{})}
}

// every runs turn until ctx ends. What was not done by then is done after the next start; another error ends it early.
func (t *turns) every(ctx context.Context, interval time.Duration, turn func(context.Context) error) error {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		case <-t.wake:
		}
		if err := turn(ctx); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
	}
}

// poke asks for a turn now.
func (t *turns) poke() {
	select {
	case t.wake <- struct{}{}:
	default: // one is asked for already
	}
}

// flush returns when everything handed over before the call has had its turn.
func (t *turns) flush(ctx context.Context) error {
	t.mu.Lock()
	want := t.begun + 1 // a turn that begins after this moment takes everything
	t.mu.Unlock()
	for {
		t.mu.Lock()
		done, changed := t.ended >= want, t.changed
		t.mu.Unlock()
		if done {
			return nil
		}
		t.poke()
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("flush %s: %w", t.what, ctx.Err())
		}
	}
}

// finish ends the turn. The caller holds mu.
func (t *turns) finish() {
	t.ended = t.begun
	t.broadcast()
}

// broadcast wakes those who wait. The caller holds mu.
func (t *turns) broadcast() {
	close(t.changed)
	t.changed = make(chan struct{})
}
