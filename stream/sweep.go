package stream

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/onlinestore"
	"github.com/millrace/millrace/internal/state"
)

// sweepRows is how many rows are corrected between two batches of a partition: it waits some milliseconds for them.
const sweepRows = 500

// sweeper removes from the online store what earlier states have left there: rows that the state in force does not have,
// and rows of a later position than its own. It runs beside the partitions, one pass over the store for all that wait.
type sweeper struct {
	wake chan struct{}

	mu      sync.Mutex
	pending map[int32]bool // partitions that wait or are being swept
	due     map[int32]bool // those that wait
	changed chan struct{}  // closed and replaced when a partition is done
}

func newSweeper() *sweeper {
	return &sweeper{wake: make(chan struct{}, 1), pending: make(map[int32]bool), due: make(map[int32]bool), changed: make(chan struct{})}
}

// want asks for a partition to be swept.
func (w *sweeper) want(number int32) {
	w.mu.Lock()
	w.pending[number], w.due[number] = true, true
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default: // a pass is asked for already
	}
}

// take returns the partitions that wait.
func (w *sweeper) take() []int32 {
	w.mu.Lock()
	defer w.mu.Unlock()
	due := slices.Sorted(maps.Keys(w.due))
	clear(w.due)
	return due
}

// again lets partitions wait once more, unless they were given up.
func (w *sweeper) again(numbers []int32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, number := range numbers {
		if w.pending[number] {
			w.due[number] = true
		}
	}
}

// done notes that a partition needs no pass any more, or is given up.
func (w *sweeper) done(number int32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.pending, number)
	delete(w.due, number)
	close(w.changed)
	w.changed = make(chan struct{})
}

// idle returns when no partition waits for a pass or is in one.
func (w *sweeper) idle(ctx context.Context) error {
	for {
		w.mu.Lock()
		left, changed := len(w.pending), w.changed
		w.mu.Unlock()
		if left == 0 {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// runSweeps sweeps until ctx ends. A pass that fails is repeated; the state remembers that it is due.
func (s *Stream) runSweeps(ctx context.Context) error {
	for {
		due := s.sweeper.take()
		if len(due) == 0 {
			select {
			case <-ctx.Done():
				return nil
			case <-s.sweeper.wake:
			}
			continue
		}
		err := s.sweep(ctx, due)
		if err == nil || ctx.Err() != nil {
			continue
		}
		s.log.Error("rows of earlier states could not be removed from the online store; trying again", "error", err, "pause", retryMax)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(retryMax):
		}
		s.sweeper.again(due)
	}
}

// sweep compares the online store with the states of partitions and corrects it. Partitions that were given up meanwhile
// are left to their next owner.
func (s *Stream) sweep(ctx context.Context, numbers []int32) (err error) {
	in, err := s.layoutNow(ctx)
	if err != nil {
		return err
	}
	parts, err := s.beginSweep(ctx, in, numbers)
	defer func() {
		for _, p := range parts {
			err = errors.Join(err, p.frozen.close())
		}
	}()
	if err != nil || len(parts) == 0 {
		return err
	}
	for prefix, owner := range owners(in.partitions) {
		err := s.deps.Online.Scan(ctx, prefix, func(row onlinestore.Row) error {
			number, err := owner(row.Key)
			if err != nil || parts[number] == nil {
				return err
			}
			return parts[number].look(ctx, row)
		})
		if err != nil {
			return fmt.Errorf("look for rows of earlier states: %w", err)
		}
	}
	all, ctx := errgroup.WithContext(ctx)
	for _, p := range parts {
		all.Go(func() error { return ignoreNotOwned(p.finish(ctx)) })
	}
	return all.Wait()
}

// beginSweep freezes the partitions to be swept, each when it comes to the place between two batches.
func (s *Stream) beginSweep(ctx context.Context, in layout, numbers []int32) (map[int32]*swept, error) {
	parts := make(map[int32]*swept)
	all, ctx := errgroup.WithContext(ctx)
	for _, number := range numbers {
		s.mu.Lock()
		p := s.open[number]
		s.mu.Unlock()
		if p == nil {
			continue
		}
		all.Go(func() error {
			f, err := s.freeze(ctx, number, in.epoch)
			if err != nil {
				return ignoreNotOwned(err)
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			parts[number] = &swept{s: s, partition: p, frozen: f}
			return nil
		})
	}
	return parts, all.Wait()
}

func ignoreNotOwned(err error) error {
	if errors.Is(err, ErrNotOwned) {
		return nil
	}
	return err
}

// swept is a partition during a pass.
type swept struct {
	s         *Stream
	partition *partition
	frozen    *frozen
	wrong     []string // keys of rows that the state does not explain
}

// look judges a row of the online store. A row at or behind the frozen position is a later event's.
func (p *swept) look(ctx context.Context, row onlinestore.Row) error {
	if !(state.Position{Epoch: row.Epoch, Offset: row.Offset}).Before(p.frozen.Position) {
		return nil
	}
	stored, ok, err := p.frozen.rows.Get(row.Key)
	if errors.Is(err, state.ErrClosed) {
		return nil // given up meanwhile
	}
	if err != nil {
		return err
	}
	if ok {
		have, err := onlinestore.DecodeRow(stored)
		if err != nil || !have.Before(row) {
			return err
		}
	}
	if p.wrong = append(p.wrong, row.Key); len(p.wrong) < sweepRows {
		return nil
	}
	return p.correct(ctx)
}

// correct replaces the wrong rows by what the state has, between two batches: nobody else writes them then.
func (p *swept) correct(ctx context.Context) error {
	keys := p.wrong
	p.wrong = nil
	if len(keys) == 0 {
		return nil
	}
	return p.partition.ask(ctx, func(ctx context.Context) error {
		// A newer row would not give way to the right one, so all go first.
		if err := p.s.deps.Online.Delete(ctx, keys...); err != nil {
			return fmt.Errorf("remove rows of earlier states: %w", err)
		}
		if err := p.putBack(ctx, keys); err != nil {
			// No later pass would meet what is missing now, so whoever opens the state next publishes all of it.
			return errors.Join(err, p.partition.db.Note(noteMarker, ""))
		}
		return nil
	})
}

// putBack writes what the state has of keys.
func (p *swept) putBack(ctx context.Context, keys []string) error {
	rows := &rowBuffer{put: func(rows []onlinestore.Row) error { return p.s.deps.Online.Put(ctx, rows) }}
	for _, key := range keys {
		value, ok, err := p.partition.db.Get(key)
		if err == nil && ok {
			err = rows.add(key, value)
		}
		if err != nil {
			return err
		}
	}
	return rows.flush()
}

// finish ends the pass of a partition: the online store has exactly the rows of its state, and everybody may know.
func (p *swept) finish(ctx context.Context) error {
	if err := p.correct(ctx); err != nil {
		return err
	}
	number := p.partition.number
	return p.partition.ask(ctx, func(ctx context.Context) error {
		if err := p.s.deps.Online.Sync(ctx); err != nil {
			return err
		}
		if err := p.s.at(stepSwept); err != nil {
			return err
		}
		made, _, err := readBasis(p.partition.db)
		if err == nil {
			err = p.s.deps.Rebuilds.ReportState(ctx, event.TopicEvents, number, made)
		}
		if err == nil {
			err = p.s.at(stepDone)
		}
		if err != nil {
			return err
		}
		if err := p.partition.db.Note(noteSweep, ""); err != nil {
			return err
		}
		p.s.sweeper.done(number)
		return nil
	})
}
