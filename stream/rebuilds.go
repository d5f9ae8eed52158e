package stream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/feature"
)

const (
	// defaultRebuildPoll is how often the stream looks whether a rebuild is wanted.
	defaultRebuildPoll = time.Second
	// rebuildPause is how long a rebuild that failed waits before it begins again: what fails is a store, which needs time.
	rebuildPause = 10 * time.Second
	// concurrentRebuilds is how many states are open beside the live ones: while one is made, others wait for the place
	// between two batches of their partition, which on a quiet one takes half a second.
	concurrentRebuilds = 3 * concurrentBuilds
)

// RebuildStatus is how far the rebuild of a generation has come, in the whole installation, and what this process has
// read for it.
type RebuildStatus struct {
	Generation int64 `json:"generation"`
	Partitions int32 `json:"partitions"`
	Done       int32 `json:"done"`
	Replayed   int64 `json:"replayed"` // landed events applied again by this process
	Landed     int64 `json:"landed"`   // of so many
}

// RebuildStatus tells how many partitions have the state of a generation or a later one, in force and published.
func (s *Stream) RebuildStatus(ctx context.Context, generation int64) (RebuildStatus, error) {
	in, err := s.layoutNow(ctx)
	if err != nil {
		return RebuildStatus{}, err
	}
	reported, err := s.deps.Rebuilds.ReportedStates(ctx, event.TopicEvents)
	if err != nil {
		return RebuildStatus{}, err
	}
	status := RebuildStatus{Generation: generation, Partitions: in.partitions}
	status.Replayed, status.Landed = s.restores.progress(in)
	for number := range in.partitions {
		if b := reported[number]; b.Shown && b.Version == feature.Version && b.Epoch == in.epoch && b.Generation >= generation {
			status.Done++
		}
	}
	return status, nil
}

// watchRebuilds makes the states of this process again, beside the live ones, whenever an operator has asked. It does so
// until ctx ends: a rebuild that fails costs nothing but time, because the live states go on.
func (s *Stream) watchRebuilds(ctx context.Context) error {
	s.watch(ctx, s.rebuildOpen, func(err error) time.Duration {
		s.log.Error("states could not be made again; trying again later", "error", err, "pause", rebuildPause)
		return rebuildPause
	})
	return nil
}

// rebuildOpen makes the states of all open partitions that are older than wanted, a few at a time.
func (s *Stream) rebuildOpen(ctx context.Context) error {
	want, in, err := s.wanted(ctx)
	if err != nil {
		return err
	}
	if err := s.removeLeft(want); err != nil {
		return err
	}
	due := s.outdated(want)
	if len(due) == 0 {
		return nil
	}
	// The round holds the past, so that the partitions share one reading of the lake although not all come at once.
	past, _, done, err := s.landedPast(ctx, in)
	defer func() {
		if doneErr := done(); doneErr != nil {
			s.log.Warn("the sorted history was not removed", "error", doneErr)
		}
	}()
	if err != nil {
		return err
	}
	s.log.Info("making states again beside the live ones", "generation", want.Generation, "partitions", len(due), "events", past.total)
	all, ctx := errgroup.WithContext(ctx)
	all.SetLimit(concurrentRebuilds)
	for _, p := range due {
		all.Go(func() error { return ignoreNotOwned(s.rebuildLive(ctx, p, want, in)) })
	}
	return all.Wait()
}

// outdated are the open partitions whose state was made for an earlier generation.
func (s *Stream) outdated(want basis) []*partition {
	s.mu.Lock()
	defer s.mu.Unlock()
	var due []*partition
	for _, p := range s.open {
		if p.basis.Generation < want.Generation && p.basis.Epoch == want.Epoch {
			due = append(due, p)
		}
	}
	slices.SortFunc(due, func(a, b *partition) int { return cmp.Compare(a.number, b.number) })
	return due
}

// rebuildLive makes the state of a running partition beside the live one and swaps them between two batches.
func (s *Stream) rebuildLive(ctx context.Context, p *partition, want basis, in layout) error {
	b, err := s.build(ctx, p.number, want, in)
	if err != nil {
		return fmt.Errorf("make the state of partition %d: %w", p.number, err)
	}
	if err := p.ask(ctx, func(ctx context.Context) error { return p.swap(ctx, b) }); err != nil {
		return errors.Join(err, b.discard())
	}
	return nil
}

// swap puts a state that was made beside the live one in force. It runs between two batches. Until the new state is staged
// a failure changes nothing; after that the partition cannot go on, and its next start finishes the swap.
func (p *partition) swap(ctx context.Context, b *built) error {
	if p.basis.Epoch != b.want.Epoch {
		return b.discard() // the topic has another layout by now
	}
	at := p.applier.position
	id := partitionID{event.TopicEvents, p.number}
	from, _, err := b.db.Position()
	if err != nil {
		return err
	}
	if err := p.s.replayLog(ctx, b.db, id, b.in, from.Offset, at.Offset); err != nil {
		return err
	}
	if err := b.stage(); err != nil {
		return err
	}
	p.failed = p.change(ctx, b.want)
	return p.failed
}

// change closes the live state, puts the next one in its place and publishes it.
func (p *partition) change(ctx context.Context, made basis) error {
	old := p.db
	p.republication.end()
	if err := p.checkpoint.finish(); err != nil {
		return err
	}
	p.db = nil
	if err := old.Close(); err != nil {
		return err
	}
	if err := p.s.settle(p.number); err != nil {
		return err
	}
	db, err := p.s.openLive(p.number)
	if err != nil {
		return err
	}
	p.db, p.checkpoint = db, newCheckpoint(p.s, db)
	if p.applier, err = p.s.newApplier(db, p.number); err != nil {
		return err
	}
	p.s.mu.Lock()
	p.basis = made
	p.s.mu.Unlock()
	p.s.log.Info("a state was made again and is in force", "partition", p.number, "generation", made.Generation, "offset", p.applier.position.Offset)
	return p.showState(ctx)
}
