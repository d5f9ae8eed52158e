package stream

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/onlinestore"
	"github.com/millrace/millrace/internal/state"
)

// defaultMarkerPoll is how often the marker of the online store is read, and so how long the loss of the store can go
// unnoticed. Reading it costs the store about a millisecond.
const defaultMarkerPoll = time.Second

// refillLooks is how often in that time somebody who waits for a refilled store looks.
const refillLooks = 10

// watchMarker follows the marker of the online store until ctx ends. Partitions compare it with the one that they have
// published under.
func (s *Stream) watchMarker(ctx context.Context) error {
	ticker := time.NewTicker(s.markerPoll)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		marker, err := s.deps.Online.Marker(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("watch the online store: %w", err)
		}
		s.mu.Lock()
		if s.marker != "" && s.marker != marker {
			s.log.Warn("the online store was lost or restarted: every row is published again", "marker", marker)
		}
		s.marker = marker
		s.mu.Unlock()
	}
}

// republication publishes all rows of a partition again while its loop goes on. Both write whole rows that only newer ones
// replace, so their order does not matter.
type republication struct {
	running bool
	marker  string // of the store that has every row of the state, or gets them now
	stop    context.CancelFunc
	result  chan error
	group   sync.WaitGroup
}

// republishIfLost begins to publish all rows again when the store is another than the one that has them, and reports how it
// ended. The owner calls it between two batches.
func (p *partition) republishIfLost(ctx context.Context) error {
	r := &p.republication
	if r.running {
		select {
		case err := <-r.result:
			if r.running = false; err != nil {
				return err
			}
		default:
			return nil
		}
	}
	p.s.mu.Lock()
	marker := p.s.marker
	p.s.mu.Unlock()
	if marker == "" || marker == r.marker {
		return nil
	}
	ctx, r.stop = context.WithCancel(ctx)
	r.running, r.marker, r.result = true, marker, make(chan error, 1)
	db, snapshot := p.db, p.db.Snapshot()
	r.group.Go(func() {
		err := p.s.publishAll(ctx, p.number, snapshot, marker)
		if err = errors.Join(err, snapshot.Close()); err == nil {
			err = db.Note(noteMarker, marker)
		}
		r.result <- err
	})
	return nil
}

// end stops a republication and waits for it. What it has not published is published by whoever opens the state next.
func (r *republication) end() {
	if r.stop != nil {
		r.stop()
	}
	r.group.Wait()
}

// scanner is a state or a snapshot of one.
type scanner interface {
	Scan(prefix string, f func(key string, value []byte) error) error
	Position() (state.Position, bool, error)
}

// publishAll writes every row of a state to the online store that has the marker, and says there that it has them all.
func (s *Stream) publishAll(ctx context.Context, number int32, from scanner, marker string) error {
	rows := &rowBuffer{put: func(rows []onlinestore.Row) error { return s.deps.Online.Put(ctx, rows) }}
	err := from.Scan("", func(key string, value []byte) error { return rows.add(key, value) })
	if err == nil {
		err = rows.flush()
	}
	if err == nil {
		err = s.deps.Online.Sync(ctx)
	}
	if err == nil {
		err = s.declareComplete(ctx, number, from, marker)
	}
	if err != nil {
		return fmt.Errorf("publish all rows of partition %d again: %w", number, err)
	}
	return nil
}

// refilled returns when every partition has said that the online store, as it is now, has all its rows. While Run does not
// run, nobody would say so, and the store is what it is.
func (s *Stream) refilled(ctx context.Context) error {
	for s.runs() {
		complete, err := s.complete(ctx)
		if complete || err != nil && !errors.Is(err, onlinestore.ErrUnavailable) {
			return err
		}
		select {
		case <-time.After(s.markerPoll / refillLooks):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// complete reports whether every partition has said so.
func (s *Stream) complete(ctx context.Context) (bool, error) {
	in, err := s.layoutNow(ctx)
	if err != nil {
		return false, err
	}
	marker, err := s.deps.Online.Marker(ctx)
	if err != nil {
		return false, fmt.Errorf("read marker of online store: %w", err)
	}
	said := int32(0)
	err = s.deps.Online.Scan(ctx, onlinestore.OffsetPrefix(event.TopicEvents), func(row onlinestore.Row) error {
		_, number, err := onlinestore.ParseOffsetKey(row.Key)
		if err == nil && number < in.partitions && onlinestore.CompleteFor(row, marker) {
			said++
		}
		return err
	})
	if err != nil {
		return false, fmt.Errorf("read what the online store has: %w", err)
	}
	return said == in.partitions, nil
}

// declareComplete tells readers that the store has every row of a partition. A declaration for another store may stand at
// a later position: to a put it would not give way.
func (s *Stream) declareComplete(ctx context.Context, number int32, from scanner, marker string) error {
	position, _, err := from.Position()
	if err != nil {
		return err
	}
	key := onlinestore.OffsetKey(event.TopicEvents, number)
	row := onlinestore.Row{Key: key, Epoch: position.Epoch, Offset: max(0, position.Offset-1), Value: onlinestore.CompleteValue(marker)}
	seen, ok, err := s.deps.Online.Get(ctx, key)
	switch {
	case err != nil:
		return err
	case ok && row.Before(seen):
		return s.deps.Online.Replace(ctx, []onlinestore.Replacement{{Seen: seen, Right: &row}})
	}
	return s.deps.Online.Put(ctx, []onlinestore.Row{row})
}
