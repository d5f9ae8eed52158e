package stream

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/state"
	"github.com/millrace/millrace/lake"
)

const (
	// landedPoll is how often Landed looks at the lake. Processes commit once a minute.
	landedPoll = 500 * time.Millisecond
	// landedSilence is how long nothing may land before Landed says what it waits for: several commits.
	landedSilence = 3 * time.Minute
)

// Landed returns when everything that stands in the log at the call has landed in the lake, whichever processes run the
// stream. A partition hands rows to the lake only when they are in the online store, so what has landed can be read there.
// ctx bounds the wait.
func (s *Stream) Landed(ctx context.Context) error {
	ends, err := s.logEnds(ctx)
	if err != nil {
		return fmt.Errorf("wait for events to land: %w", err)
	}
	tick := time.NewTicker(landedPoll)
	defer tick.Stop()
	moved := time.Now()
	for {
		before := len(ends)
		if err := s.dropLanded(ctx, ends); err != nil {
			return fmt.Errorf("wait for events to land: %w", err)
		}
		if len(ends) == 0 {
			return nil
		}
		switch now := time.Now(); {
		case len(ends) < before:
			moved = now
		case now.Sub(moved) > landedSilence:
			s.log.Warn("nothing lands: is a `millrace stream` running?", "partitions", len(ends), "since", moved)
			moved = now
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for events to land: %d partitions have not: %w", len(ends), ctx.Err())
		}
	}
}

// logEnds are the ends of the partitions that hold anything, as the fences that cover them.
func (s *Stream) logEnds(ctx context.Context) (map[lake.FenceKey]int64, error) {
	ends := make(map[lake.FenceKey]int64)
	for _, topic := range Topics() {
		epoch, ok, err := s.deps.Epochs.TopicEpoch(ctx, topic)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue // no stream can have read it
		}
		ranges, err := s.deps.Log.Offsets(ctx, topic)
		if err != nil {
			return nil, err
		}
		for partition, r := range ranges {
			if r.Start < r.End {
				ends[lake.FenceKey{Topic: topic, Epoch: epoch.Epoch, Partition: partition}] = r.End
			}
		}
	}
	return ends, nil
}

// dropLanded takes those out of ends that the lake has reached.
func (s *Stream) dropLanded(ctx context.Context, ends map[lake.FenceKey]int64) error {
	for _, table := range []string{lake.TableEvents, lake.TableExposures, lake.TableItems} {
		fences, err := s.deps.Lake.Next(ctx, table)
		if err != nil {
			return err
		}
		for key, f := range fences {
			if end, ok := ends[key]; ok && f.Next >= end {
				delete(ends, key)
			}
		}
	}
	return nil
}

// VerifyPublished computes every feature again from what has landed and compares it with the online store, which is what
// serving reads, and with the newest checkpoint of every state in the bucket, which is what the next owner of a partition
// begins with. It needs no state and no partition, so it can run anywhere while other processes run the stream; what they
// have published of later events does not count. It needs disk for all features and the landed events.
func (s *Stream) VerifyPublished(ctx context.Context) (report Report, err error) {
	if err := s.settledLedger(ctx); err != nil {
		return report, fmt.Errorf("verify features: %w", err)
	}
	want, in, err := s.wanted(ctx)
	if err != nil {
		return report, fmt.Errorf("verify features: %w", err)
	}
	if complete, err := s.complete(ctx); err != nil || !complete {
		return report, errors.Join(err, errors.New("verify features: the online store is empty, was lost or was restarted, and the "+
			"stream has not published every row again yet; let it run for some seconds and try again"))
	}
	v, err := s.beginVerification(ctx, in)
	if err != nil {
		return report, fmt.Errorf("verify features: %w", err)
	}
	defer func() { err = errors.Join(err, v.landed.close()) }()
	if err := v.comparePublished(ctx); err != nil {
		return v.report, fmt.Errorf("verify online store: %w", err)
	}
	for number := range in.partitions {
		if err := v.compareCheckpoint(ctx, number, want); err != nil {
			return v.report, fmt.Errorf("verify the checkpoint of partition %d: %w", number, err)
		}
	}
	return v.report, nil
}

// comparePublished holds the online store against what the landed events give.
func (v *verification) comparePublished(ctx context.Context) (err error) {
	parts := make(map[int32]*frozen)
	defer func() {
		for _, f := range parts {
			err = errors.Join(err, f.close())
		}
	}()
	for number := range v.in.partitions {
		f, err := v.computeLanded(ctx, number)
		if err != nil {
			return fmt.Errorf("compute features of partition %d: %w", number, err)
		}
		parts[number] = f
		err = f.rows.Scan("", func(key string, value []byte) error {
			v.report.count(key)
			return errors.Join(ctx.Err(), v.s.compareOnline(ctx, key, value, &v.report))
		})
		if err != nil {
			return fmt.Errorf("partition %d: %w", number, err)
		}
	}
	return v.compareOwners(ctx, parts)
}

// computeLanded makes the state of a partition as it was when the last landed event had been applied.
func (v *verification) computeLanded(ctx context.Context, number int32) (*frozen, error) {
	db, err := state.Open(filepath.Join(v.landed.dir, "published", strconv.Itoa(int(number))), v.s.stateOptions())
	if err != nil {
		return nil, err
	}
	fence, err := v.s.fenceOf(ctx, v.fences, v.in.epoch, number)
	if err == nil {
		err = v.s.replayHistory(ctx, db, v.landed, v.in, fence)
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return freezeOf(db)
}

// freezeOf is a state that nobody else has open; closing it closes the state.
func freezeOf(db *state.DB) (f *frozen, err error) {
	f = &frozen{rows: db.Snapshot()}
	f.close = func() error { return errors.Join(f.drop(), db.Close()) }
	if f.Position, f.known, err = f.rows.Position(); err != nil {
		return nil, errors.Join(err, f.close())
	}
	return f, nil
}

// compareCheckpoint holds the newest sound checkpoint of a partition against what the events up to its position give.
func (v *verification) compareCheckpoint(ctx context.Context, number int32, want basis) (err error) {
	if v.s.deps.Bucket == nil {
		return nil
	}
	dir := filepath.Join(v.landed.dir, "checkpoint")
	restored, err := v.s.restoreNewest(ctx, number, dir, want, func(m state.Manifest) bool { return m.Generation >= want.Generation })
	if err != nil {
		return err
	}
	f := &frozen{}
	if restored.Found {
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
		db, err := state.Open(dir, v.s.stateOptions())
		if err != nil {
			return err
		}
		if f, err = freezeOf(db); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, f.close()) }()
	}
	// Its owner may have published less than it has applied, so the online store is no measure for it.
	_, err = v.compareState(ctx, number, f, func(context.Context, string, []byte, *Report) error { return nil })
	return err
}

// fenceOf is how far a partition has landed in an epoch. Where nothing of the epoch has landed, the lake holds earlier
// epochs and the log all of this one.
func (s *Stream) fenceOf(ctx context.Context, fences map[lake.FenceKey]lake.Fence, epoch int64, number int32) (lake.Fence, error) {
	key := lake.FenceKey{Topic: event.TopicEvents, Epoch: epoch, Partition: number}
	if fence, landed := fences[key]; landed {
		return fence, nil
	}
	ranges, err := s.deps.Log.Offsets(ctx, event.TopicEvents)
	if err != nil {
		return lake.Fence{}, err
	}
	return lake.Fence{Topic: key.Topic, Epoch: epoch, Partition: number, Next: ranges[number].Start}, nil
}
