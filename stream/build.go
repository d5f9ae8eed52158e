package stream

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/internal/state"
	"github.com/millrace/millrace/lake"
)

// A state is made in a directory beside the live one: tmp-build-<p> while it grows, then next-<p>, by one rename, when it
// is complete and on disk. From then on it is the state, whatever happens: whoever opens the partition puts it in place.
const (
	buildPrefix = temporaryPrefix + "build-"
	oldPrefix   = temporaryPrefix + "old-"
	nextPrefix  = "next-"
)

// concurrentBuilds bounds the states that are made at the same time: each holds up to 20 MB of rows and keeps a core busy.
const concurrentBuilds = 2

// Moments in the making of a state at which a test may kill the process.
const (
	stepBuildBegun = "build begun"      // a directory stands beside the live state
	stepReplayed   = "history replayed" // the landed events are in it
	stepBuilt      = "built"            // it is closed and on disk, under its temporary name
	stepStaged     = "staged"           // it is the next state
	stepMoved      = "live state moved" // there is no live state for a moment
	stepSwapped    = "swapped"          // it is the live state
	stepPublished  = "published"        // the online store has its rows
	stepCorrected  = "corrected"        // and some of earlier states less
	stepSwept      = "swept"            // and no others, but nobody knows
	stepDone       = "reported"
)

func (s *Stream) at(step string) error {
	if s.hook == nil {
		return nil
	}
	return s.hook(step)
}

func (s *Stream) besideDir(prefix string, number int32) string {
	return filepath.Join(s.cfg.StateDir, prefix+strconv.Itoa(int(number)))
}

// openState opens the state of a partition as this program needs it: the local one or, where that stands further, the one
// in the bucket; and makes it first where there is none or none that can be used: of another feature version, of another
// epoch, or too old for the log.
func (s *Stream) openState(ctx context.Context, number int32) (*state.DB, basis, error) {
	want, in, err := s.wanted(ctx)
	if err == nil {
		err = s.settle(number)
	}
	if err != nil {
		return nil, basis{}, err
	}
	db, have, err := s.openUsable(ctx, number, want)
	if err != nil || db != nil {
		return db, have, err
	}
	s.log.Info("making the state of features from lake and log", "partition", number, "version", want.Version, "epoch", want.Epoch,
		"had_version", have.Version, "had_epoch", have.Epoch)
	b, err := s.build(ctx, number, want, in)
	if err == nil {
		err = b.stage()
	}
	if err == nil {
		err = s.settle(number)
	}
	if err != nil {
		return nil, basis{}, fmt.Errorf("make the state of partition %d: %w", number, err)
	}
	db, err = s.openLive(number)
	return db, want, err
}

func (s *Stream) openLive(number int32) (*state.DB, error) {
	o := s.stateOptions()
	o.MemTableBytes = s.memTableBytes()
	return state.Open(s.stateDir(number), o)
}

const (
	// liveMemTables bounds the memtables of all live states of a process, which owns all partitions at worst.
	liveMemTables = 96 << 20
	// maxMemTable is enough: a larger one saves little more writing of what soon changes again.
	maxMemTable = 48 << 20
)

// memTableBytes is the size of a live state's memtables: the fewer partitions the topic has, the busier is each.
func (s *Stream) memTableBytes() uint64 {
	each := liveMemTables / state.MemTables / max(1, int(s.partitions.Load()))
	return uint64(min(max(each, state.DefaultMemTableBytes), maxMemTable))
}

// openUsable opens a state that needs not be made, local or from the bucket. It returns no state where there is none, and
// what the local one was made for.
func (s *Stream) openUsable(ctx context.Context, number int32, want basis) (*state.DB, basis, error) {
	db, err := s.openLive(number)
	if err != nil {
		return nil, basis{}, err
	}
	have, local, err := s.judge(ctx, number, db, want)
	fetched := false
	if err == nil {
		fetched, err = s.fetchState(ctx, number, want, local)
	}
	if err == nil && !fetched && local.usable {
		return db, have, nil
	}
	if err = errors.Join(err, db.Close()); err != nil || !fetched {
		return nil, have, err
	}
	if err := s.settle(number); err != nil {
		return nil, have, err
	}
	if db, err = s.openLive(number); err != nil {
		return nil, have, err
	}
	if have, _, err = readBasis(db); err != nil {
		return nil, have, errors.Join(err, db.Close())
	}
	return db, have, nil
}

// judge says whether a local state can be used, and prepares one for the first event of all.
func (s *Stream) judge(ctx context.Context, number int32, db *state.DB, want basis) (have basis, local candidate, err error) {
	have, known, err := readBasis(db)
	if err != nil {
		return have, local, err
	}
	if !known {
		if local.usable, err = s.nothingHappened(ctx, db); err != nil || !local.usable {
			return have, local, err
		}
		return want, local, writeBasis(db, want)
	}
	if have.Version != want.Version || have.Epoch != want.Epoch {
		return have, local, nil
	}
	if local.position, _, err = db.Position(); err != nil {
		return have, local, err
	}
	outlived, err := s.outlived(ctx, number, want, local.position)
	local.usable, local.generation = !outlived, have.Generation
	return have, local, err
}

// nothingHappened reports whether a state is empty because there never was anything to put into it.
func (s *Stream) nothingHappened(ctx context.Context, db *state.DB) (bool, error) {
	_, applied, err := db.Position()
	if err != nil || applied {
		return false, err
	}
	fences, err := s.deps.Lake.Next(ctx, lake.TableEvents)
	return len(fences) == 0, err
}

// built is a state that was made beside the live one. It is staged or discarded.
type built struct {
	s      *Stream
	number int32
	want   basis
	in     layout
	db     *state.DB
	closed bool
}

// build makes the state of a partition: from the lake up to its fence, then from the log up to its end.
func (s *Stream) build(ctx context.Context, number int32, want basis, in layout) (_ *built, err error) {
	past, fences, done, err := s.landedPast(ctx, in)
	defer func() { err = errors.Join(err, done()) }()
	if err != nil {
		return nil, err
	}
	select {
	case s.builds <- struct{}{}:
		defer func() { <-s.builds }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	dir := s.besideDir(buildPrefix, number)
	if err := os.RemoveAll(dir); err != nil {
		return nil, fmt.Errorf("remove leftovers: %w", err)
	}
	b := &built{s: s, number: number, want: want, in: in}
	if b.db, err = state.Open(dir, s.stateOptions()); err != nil {
		return nil, err
	}
	if err = b.fill(ctx, past, fences); err != nil {
		return nil, errors.Join(err, b.discard())
	}
	return b, nil
}

// fill replays history and log into a new state and notes what it is made for.
func (b *built) fill(ctx context.Context, past *history, fences map[lake.FenceKey]lake.Fence) error {
	if err := b.s.at(stepBuildBegun); err != nil {
		return err
	}
	id := partitionID{event.TopicEvents, b.number}
	ranges, err := b.s.deps.Log.Offsets(ctx, id.topic)
	if err != nil {
		return err
	}
	fence, landed := fences[lake.FenceKey{Topic: id.topic, Epoch: b.in.epoch, Partition: b.number}]
	if !landed {
		fence = lake.Fence{Topic: id.topic, Epoch: b.in.epoch, Partition: b.number, Next: ranges[b.number].Start}
	}
	if err := b.s.replayHistory(ctx, b.db, past, b.in, fence); err != nil {
		return err
	}
	if err := b.s.at(stepReplayed); err != nil {
		return err
	}
	if err := b.s.replayLog(ctx, b.db, id, b.in, fence.Next, ranges[b.number].End); err != nil {
		return err
	}
	return errors.Join(writeBasis(b.db, b.want), b.db.Note(noteSweep, "due"))
}

// stage makes the state the next one of its partition.
func (b *built) stage() error {
	b.closed = true
	err := b.db.Close()
	if err == nil {
		err = b.s.at(stepBuilt)
	}
	if err == nil {
		err = rename(b.s.besideDir(buildPrefix, b.number), b.s.besideDir(nextPrefix, b.number))
	}
	if err == nil {
		err = b.s.at(stepStaged)
	}
	return err
}

// discard removes a state that is not wanted after all.
func (b *built) discard() error {
	var err error
	if !b.closed {
		err = b.db.Close()
	}
	return errors.Join(err, os.RemoveAll(b.s.besideDir(buildPrefix, b.number)))
}

// settle puts the next state of a partition in place, where there is one. Nobody may have the live one open. A crash
// between its steps is healed by the next call.
func (s *Stream) settle(number int32) error {
	live, next, old := s.stateDir(number), s.besideDir(nextPrefix, number), s.besideDir(oldPrefix, number)
	if _, err := os.Stat(next); err != nil {
		return ignoreMissing(err)
	}
	if err := os.RemoveAll(old); err != nil {
		return fmt.Errorf("remove old state: %w", err)
	}
	if err := ignoreMissing(rename(live, old)); err != nil {
		return err
	}
	if err := s.at(stepMoved); err != nil {
		return err
	}
	if err := rename(next, live); err != nil {
		return err
	}
	if err := os.RemoveAll(old); err != nil {
		return fmt.Errorf("remove old state: %w", err)
	}
	return s.at(stepSwapped)
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// rename moves a directory within its parent, durably.
func rename(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return fmt.Errorf("put state in place: %w", err)
	}
	parent, err := os.Open(filepath.Dir(to))
	if err != nil {
		return fmt.Errorf("put state in place: %w", err)
	}
	if err := errors.Join(parent.Sync(), parent.Close()); err != nil {
		return fmt.Errorf("put state in place: %w", err)
	}
	return nil
}

// replayLog applies what stands in the log between two positions of one epoch to a state. What retention has removed
// meanwhile is left out: the owner of the partition counts it.
func (s *Stream) replayLog(ctx context.Context, db *state.DB, id partitionID, in layout, from, to int64) error {
	a, err := s.newApplier(db, id.partition)
	if err != nil {
		return err
	}
	for from < to {
		res, err := s.deps.Log.Fetch(ctx, kafka.FetchRequest{Topic: id.topic, Partition: id.partition, Offset: from})
		var below *kafka.ErrBelowStart
		if errors.As(err, &below) {
			from = below.Start
			continue
		}
		if err != nil {
			return fmt.Errorf("read the log again: %w", err)
		}
		if err := a.replay(res.Records, in, to); err != nil {
			return err
		}
		from = res.Next
	}
	return nil
}

// replay applies records before an offset and commits them.
func (a *applier) replay(records []kafka.Record, in layout, to int64) error {
	var last *kafka.Record
	for i := range records {
		r := &records[i]
		if r.Offset >= to {
			break
		}
		at := state.Position{Epoch: in.epoch, Offset: r.Offset}
		if isFiller(r) {
			a.advance(at)
		} else if e, home, poison := in.read(a.reader, r); poison != nil || home != a.partition {
			a.advance(at)
		} else if _, err := a.apply(e, at); err != nil {
			return err
		}
		if last = r; a.full() {
			if _, err := a.commit(0); err != nil {
				return err
			}
		}
	}
	if last != nil {
		a.advance(state.Position{Epoch: in.epoch, Offset: last.Offset, Hash: kafka.Hash(*last)})
	}
	_, err := a.commit(0)
	return err
}
