package stream

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/onlinestore"
	"github.com/millrace/millrace/internal/state"
)

// publishState claims a state that was opened or made and brings the online store up to it. What another state has left there
// is removed afterwards, beside the partition, if that is due.
func (p *partition) publishState(ctx context.Context) (sweep bool, err error) {
	if err := p.claimState(ctx); err != nil {
		return false, err
	}
	if p.republication.marker, err = p.s.publishAgain(ctx, p.number, p.db, &p.checkpoint); err != nil {
		return false, err
	}
	due, err := p.db.Meta(noteSweep)
	if err != nil {
		return false, err
	}
	if due != "" {
		err = p.s.at(stepPublished)
	}
	return due != "", err
}

// publishAgain brings the online store up to the state: the rows in the outbox, or all of them where the store is another
// than last time. It returns the marker of the store.
func (s *Stream) publishAgain(ctx context.Context, number int32, db *state.DB, c *checkpoint) (marker string, err error) {
	if marker, err = s.deps.Online.Marker(ctx); err != nil {
		return "", fmt.Errorf("read marker of online store: %w", err)
	}
	known, err := db.Meta(noteMarker)
	if err != nil {
		return "", err
	}
	if known != marker {
		if err := s.publishAll(ctx, number, db, marker); err != nil {
			return "", err
		}
		if err := db.Note(noteMarker, marker); err != nil {
			return "", err
		}
	} else if err := s.declareComplete(ctx, number, db, marker); err != nil {
		return "", err
	}
	rows := &rowBuffer{put: func(rows []onlinestore.Row) error {
		return errors.Join(s.deps.Online.Put(ctx, rows), s.feed.add(ctx, number, rows))
	}}
	if err := db.Outbox(func(round uint32, key string) error {
		c.round, c.dirty = max(c.round, round), true
		value, ok, err := db.Get(key)
		if err != nil || !ok {
			return err
		}
		return rows.add(key, value)
	}); err != nil {
		return "", err
	}
	if err := rows.flush(); err != nil {
		return "", fmt.Errorf("publish the outbox again: %w", err)
	}
	return marker, nil
}

// rowBufferRows is how many rows are put at once when many are published again.
const rowBufferRows = 500

// rowBuffer collects rows of the state for a put.
type rowBuffer struct {
	put  func([]onlinestore.Row) error
	rows []onlinestore.Row
}

func (b *rowBuffer) add(key string, stored []byte) error {
	row, err := onlinestore.DecodeRow(stored)
	if err != nil {
		return fmt.Errorf("read state row %q: %w", key, err)
	}
	row.Key, row.Value = key, append([]byte(nil), row.Value...)
	if b.rows = append(b.rows, row); len(b.rows) < rowBufferRows {
		return nil
	}
	return b.flush()
}

func (b *rowBuffer) flush() error {
	if len(b.rows) == 0 {
		return nil
	}
	err := b.put(b.rows)
	b.rows = nil
	return err
}

// checkpoint forces what a partition has published to disk, round after round, beside its loop: first the change feed and
// the online store, then the state, which forgets the outbox of the round.
type checkpoint struct {
	s       *Stream
	db      *state.DB
	round   uint32 // of the outbox: rows changed now belong to it
	dirty   bool   // the round holds rows
	at      time.Time
	running bool
	result  chan error // of the running one
	group   sync.WaitGroup
}

func newCheckpoint(s *Stream, db *state.DB) checkpoint {
	return checkpoint{s: s, db: db, round: 1, at: time.Now(), result: make(chan error, 1)}
}

// ifDue begins a checkpoint when the last one is long enough ago, and reports how a finished one ended. The owner calls it
// between two batches.
func (c *checkpoint) ifDue(ctx context.Context) error {
	if c.running {
		select {
		case err := <-c.result:
			c.running = false
			if err != nil {
				return err
			}
		default:
			return nil
		}
	}
	if !c.dirty || time.Since(c.at) < c.s.cfg.CheckpointInterval {
		return nil
	}
	round := c.next()
	c.running = true
	c.group.Go(func() { c.result <- c.s.makeDurable(ctx, c.db, round) })
	return nil
}

// next ends the current round and returns it.
func (c *checkpoint) next() uint32 {
	round := c.round
	c.round, c.dirty, c.at = c.round+1, false, time.Now()
	return round
}

// make makes a checkpoint now. No other may be running.
func (c *checkpoint) make(ctx context.Context) error { return c.s.makeDurable(ctx, c.db, c.next()) }

// finish returns how the running checkpoint ended, when it has.
func (c *checkpoint) finish() error {
	c.wait()
	if !c.running {
		return nil
	}
	c.running = false
	return <-c.result
}

// wait returns when no checkpoint runs.
func (c *checkpoint) wait() { c.group.Wait() }

// makeDurable makes everything published in a round survive a power cut, then forgets the round.
func (s *Stream) makeDurable(ctx context.Context, db *state.DB, round uint32) error {
	if err := s.feed.flush(ctx); err != nil {
		return err
	}
	if err := s.deps.Online.Sync(ctx); err != nil {
		return fmt.Errorf("make a checkpoint: %w", err)
	}
	return db.DropOutbox(round)
}
