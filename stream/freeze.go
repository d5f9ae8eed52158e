package stream

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/internal/state"
)

// frozen is the state of a partition at one moment between two batches.
type frozen struct {
	state.Position
	known bool
	from  *state.DB // whose snapshot rows are
	rows  *state.Snapshot
	close func() error
}

// ErrNotOwned means that a partition is not in the hands of this process at the moment: it is being assigned or opened.
// Try again a little later.
var ErrNotOwned = errors.New("partition is not assigned to this process at the moment")

// freezeAll takes snapshots of all partitions. Each comes to the place between two batches in its own time, so they are
// asked at once. What it returns must be closed, also beside an error.
func (s *Stream) freezeAll(ctx context.Context, in layout) (map[int32]*frozen, error) {
	parts := make(map[int32]*frozen)
	var mu sync.Mutex
	all, ctx := errgroup.WithContext(ctx)
	for number := range in.partitions {
		all.Go(func() error {
			f, err := s.freeze(ctx, number, in.epoch)
			if f != nil {
				mu.Lock()
				defer mu.Unlock()
				parts[number] = f
			}
			return err
		})
	}
	return parts, all.Wait()
}

// freeze takes a snapshot of a partition's state when all of it is published. It opens the state itself only where no Run
// could want it.
func (s *Stream) freeze(ctx context.Context, number int32, epoch int64) (*frozen, error) {
	s.mu.Lock()
	p, running := s.open[number], s.running
	s.mu.Unlock()
	f := &frozen{}
	take := func(db *state.DB) error {
		made, known, err := readBasis(db)
		if err == nil && known && made.Epoch != epoch {
			err = fmt.Errorf("the state of partition %d is of epoch %d, the topic of epoch %d: %w", number, made.Epoch, epoch, ErrNotOwned)
		}
		if err != nil {
			return err
		}
		f.from, f.rows = db, db.Snapshot()
		f.Position, f.known, err = f.rows.Position()
		return err
	}
	switch {
	case p == nil && running:
		return nil, fmt.Errorf("partition %d: %w", number, ErrNotOwned)
	case p == nil:
		db, err := s.openLive(number)
		if err != nil {
			return nil, err
		}
		if err := take(db); err != nil {
			return nil, errors.Join(err, f.drop(), db.Close())
		}
		f.close = func() error { return errors.Join(f.drop(), db.Close()) }
		return f, nil
	}
	err := p.ask(ctx, func(context.Context) error { return take(p.db) })
	if err != nil {
		return nil, errors.Join(err, f.drop())
	}
	f.close = f.drop
	return f, nil
}

// drop frees the snapshot, where there is one.
func (f *frozen) drop() error {
	if f.rows == nil {
		return nil
	}
	return f.rows.Close()
}
