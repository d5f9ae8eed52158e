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

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/feature"
	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/internal/onlinestore"
	"github.com/millrace/millrace/internal/state"
)

// sweepRows and sweepBytes bound the rows that are corrected between two batches of a partition, which waits some
// milliseconds for them, and that a pass holds in memory.
const (
	sweepRows  = 500
	sweepBytes = 1 << 20
)

// sweeper removes from the online store what earlier states have left there: rows that the state in force does not have,
// and rows of a later position than its own. It runs beside the partitions, one pass over the store for all that wait; none
// begins while partitions are being opened, which may soon want one too.
type sweeper struct {
	wake chan struct{}

	mu      sync.Mutex
	opening int            // partitions that are being opened
	pending map[int32]bool // partitions that wait or are being swept
	due     map[int32]bool // those that wait
	changed chan struct{}  // closed and replaced when a partition is done
}

func newSweeper() *sweeper {
	return &sweeper{wake: make(chan struct{}, 1), pending: make(map[int32]bool), due: make(map[int32]bool), changed: make(chan struct{})}
}

// opens lets passes wait until the returned function is called, once.
func (w *sweeper) opens() (opened func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.opening++
	return func() {
		w.mu.Lock()
		w.opening--
		w.mu.Unlock()
		w.poke()
	}
}

// want asks for a partition to be swept.
func (w *sweeper) want(number int32) {
	w.mu.Lock()
	w.pending[number], w.due[number] = true, true
	w.mu.Unlock()
	w.poke()
}

func (w *sweeper) poke() {
	select {
	case w.wake <- struct{}{}:
	default: // a pass is asked for already
	}
}

// take returns the partitions that wait.
func (w *sweeper) take() []int32 {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.opening > 0 {
		return nil
	}
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
			parts[number] = &swept{s: s, partition: p, frozen: f, claim: p.claim}
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
	claim     int64             // under which the pass has begun
	wrong     []onlinestore.Row // that the state does not explain
	bytes     int               // of their values
}

// look judges a row of the online store. One of another feature version is wrong wherever it stands: a put of ours may not
// replace it. Another at or behind the frozen position is a later event's.
func (p *swept) look(ctx context.Context, row onlinestore.Row) error {
	if row.Version == feature.Version {
		explained, err := p.explains(row)
		if errors.Is(err, state.ErrClosed) {
			return nil // given up meanwhile
		}
		if err != nil || explained {
			return err
		}
	}
	p.wrong, p.bytes = append(p.wrong, row), p.bytes+len(row.Value)
	if len(p.wrong) < sweepRows && p.bytes < sweepBytes {
		return nil
	}
	return p.correct(ctx)
}

// explains reports whether a row of this feature version may stand in the online store as it is.
func (p *swept) explains(row onlinestore.Row) (bool, error) {
	if !(state.Position{Epoch: row.Epoch, Offset: row.Offset}).Before(p.frozen.Position) {
		return true, nil
	}
	stored, ok, err := p.frozen.rows.Get(row.Key)
	if err != nil || !ok {
		return false, err
	}
	have, err := onlinestore.DecodeRow(stored)
	return !have.Before(row), err
}

// correct replaces the wrong rows by what the state has, between two batches: what it has of them is published then. Rows
// that were written since they were seen stay: either this partition has published newer ones, or the process stood still
// meanwhile and another owns the partition, who has swept too or will.
func (p *swept) correct(ctx context.Context) error {
	wrong := p.wrong
	p.wrong, p.bytes = nil, 0
	if len(wrong) == 0 {
		return nil
	}
	return p.partition.ask(ctx, func(ctx context.Context) error {
		replacements := make([]onlinestore.Replacement, len(wrong))
		for i, seen := range wrong {
			right, err := p.right(seen.Key)
			if err != nil {
				return err
			}
			replacements[i] = onlinestore.Replacement{Seen: seen, Right: right}
		}
		if err := p.bury(ctx, replacements); err != nil {
			return err
		}
		if err := p.s.deps.Online.Replace(ctx, replacements); err != nil {
			return fmt.Errorf("replace rows of earlier states: %w", err)
		}
		return p.s.at(stepCorrected)
	})
}

// bury writes tombstones into the change feed for rows that are to be removed, behind what waits there of earlier states, and
// before they are: a kill in between finds the rows again.
func (p *swept) bury(ctx context.Context, replacements []onlinestore.Replacement) error {
	var graves []kafka.Record
	for _, r := range replacements {
		if r.Right != nil {
			continue
		}
		key, ok, err := changeKey(r.Seen.Key)
		if err != nil {
			return err
		}
		if ok {
			graves = append(graves, tombstone(grave{p.partition.number, key}))
		}
	}
	if len(graves) == 0 {
		return nil
	}
	if err := p.s.feed.flush(ctx); err != nil {
		return err
	}
	if err := produce(ctx, p.s.deps.Producer, p.s.log, graves); err != nil {
		return fmt.Errorf("write %d tombstones: %w", len(graves), err)
	}
	return nil
}

// right is the row that the state has of a key now, nil where it has none.
func (p *swept) right(key string) (*onlinestore.Row, error) {
	stored, ok, err := p.partition.db.Get(key)
	if err != nil || !ok {
		return nil, err
	}
	row, err := onlinestore.DecodeRow(stored)
	if err != nil {
		return nil, fmt.Errorf("read state row %q: %w", key, err)
	}
	row.Key = key
	return &row, nil
}

// finish ends the pass of a partition: the online store has exactly the rows of its state, and everybody may know.
func (p *swept) finish(ctx context.Context) error {
	if err := p.correct(ctx); err != nil {
		return err
	}
	number := p.partition.number
	return p.partition.ask(ctx, func(ctx context.Context) error {
		if p.partition.db != p.frozen.from || p.partition.claim != p.claim {
			return nil // a state was made again or claimed anew meanwhile, and wants a pass of its own
		}
		if err := p.s.deps.Online.Sync(ctx); err != nil {
			return err
		}
		if err := p.s.at(stepSwept); err != nil {
			return err
		}
		err := p.s.deps.Rebuilds.ReportState(ctx, event.TopicEvents, number, p.claim)
		if errors.Is(err, control.ErrClaimEnded) {
			return nil // watchClaims claims it anew if it is still ours, and it is swept once more
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
