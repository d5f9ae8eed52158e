package stream

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/onlinestore"
)

const (
	// onlineRetryMin and onlineRetryMax bound the pause before a write to an online store that is away is tried again: a
	// store that restarts is back within a second, one that is down is not hammered.
	onlineRetryMin = 50 * time.Millisecond
	onlineRetryMax = 2 * time.Second
)

// patient is the online store as the stream writes it: while it is unavailable, writes wait. So the partitions wait, with
// the one batch that each has applied and not published; everything behind it stays in Kafka, and what was handed to
// landing before still lands. Nothing grows in memory, however long it takes, and nothing is lost: the batch is published
// by the waiting write itself, or after a crash from the outbox of its state. Reads of one row wait too, because writes
// depend on them; scans do not, because they would begin anew: their callers try again.
type patient struct {
	onlinestore.Store
	log *slog.Logger

	mu    sync.Mutex
	since time.Time // of the first write that failed and was not followed by one that succeeded; zero when there is none
}

// Put implements onlinestore.Store.
func (p *patient) Put(ctx context.Context, rows []onlinestore.Row) error {
	return p.again(ctx, func() error { return p.Store.Put(ctx, rows) })
}

// Replace implements onlinestore.Store.
func (p *patient) Replace(ctx context.Context, wrong []onlinestore.Replacement) error {
	return p.again(ctx, func() error { return p.Store.Replace(ctx, wrong) })
}

// Get implements onlinestore.Store.
func (p *patient) Get(ctx context.Context, key string) (row onlinestore.Row, ok bool, err error) {
	err = p.again(ctx, func() error { row, ok, err = p.Store.Get(ctx, key); return err })
	return row, ok, err
}

// Sync implements onlinestore.Store.
func (p *patient) Sync(ctx context.Context) error {
	return p.again(ctx, func() error { return p.Store.Sync(ctx) })
}

// Marker implements onlinestore.Store.
func (p *patient) Marker(ctx context.Context) (marker string, err error) {
	err = p.again(ctx, func() error { marker, err = p.Store.Marker(ctx); return err })
	return marker, err
}

// again repeats what fails with ErrUnavailable until it succeeds or ctx ends. Any other error needs an operator.
func (p *patient) again(ctx context.Context, write func() error) error {
	for pause := onlineRetryMin; ; pause = min(2*pause, onlineRetryMax) {
		err := write()
		if err == nil {
			p.answered()
			return nil
		}
		if ctx.Err() != nil || !errors.Is(err, onlinestore.ErrUnavailable) {
			return err
		}
		p.missed(err)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return err
		}
	}
}

// missed notes an outage and reports it once, whichever partition meets it first.
func (p *patient) missed(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.since.IsZero() {
		p.since = time.Now()
		p.log.Error("the online store is away: features are published when it is back, events wait in Kafka", "error", err)
	}
}

func (p *patient) answered() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.since.IsZero() {
		p.log.Info("the online store is back", "after", time.Since(p.since).Round(time.Millisecond))
		p.since = time.Time{}
	}
}

// away is how long publication has been waiting for the store, 0 while it answers.
func (p *patient) away() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.since.IsZero() {
		return 0
	}
	return time.Since(p.since)
}
