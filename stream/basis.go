package stream

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/feature"
	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/internal/state"
	"github.com/millrace/millrace/lake"
)

// Notes in the state of a partition.
const (
	noteMarker     = "online/marker"      // identity of the online store that has every row of this state
	noteSweep      = "online/sweep"       // not empty: rows of an earlier state may stand in the online store
	noteClaim      = "online/claim"       // the last that was made for this state; the two notes above are true as of it
	noteVersion    = "feature/version"    // version that computed the rows
	noteEpoch      = "layout/epoch"       // epoch of the topic whose partitioning the state follows
	noteGeneration = "rebuild/generation" // of the last rebuild that it is the outcome of
)

// basis is what a state is made for. A state of another basis is made again, from the lake and the log: at once where it
// cannot be used (another version or epoch), beside the running one where an operator asked.
type basis = control.StateBasis

// Rebuilds knows which states are wanted and is told which there are; *control.Store is one.
type Rebuilds interface {
	WantedRebuild(ctx context.Context, topic string) (generation int64, err error)
	ClaimState(ctx context.Context, topic string, partition int32, b control.StateBasis) (control.PartitionState, error)
	ReportState(ctx context.Context, topic string, partition int32, claim int64) error
	ReportedStates(ctx context.Context, topic string) (map[int32]control.PartitionState, error)
}

// layout says which partition an event belongs to: in the running epoch that of its record; an event of an earlier epoch
// goes where its key would go now, because the topic may have had another number of partitions then.
type layout struct {
	epoch      int64
	partitions int32
}

func (l layout) owner(e *event.Event, at lake.Position) int32 {
	if at.Epoch == l.epoch {
		return at.Partition
	}
	return kafka.PartitionFor([]byte(e.Key()), l.partitions)
}

// base is the position that rows have which only earlier epochs have changed: behind all of those, before every record of
// this one. Positions of several partitions come together in such rows and say nothing.
func (l layout) base() state.Position { return state.Position{Epoch: l.epoch} }

// layoutNow reads how the events topic is partitioned.
func (s *Stream) layoutNow(ctx context.Context) (layout, error) {
	return s.layoutOf(ctx, event.TopicEvents)
}

// layoutOf reads how a topic is partitioned.
func (s *Stream) layoutOf(ctx context.Context, topic string) (layout, error) {
	epoch, ok, err := s.deps.Epochs.TopicEpoch(ctx, topic)
	if err != nil {
		return layout{}, err
	}
	if !ok {
		return layout{}, fmt.Errorf("topic %s has no epoch: it was not created by millrace; run `millrace topics adopt %[1]s`", topic)
	}
	s.partitions.Store(epoch.Partitions)
	return layout{epoch.Epoch, epoch.Partitions}, nil
}

// wanted is the basis that every state should have now.
func (s *Stream) wanted(ctx context.Context) (basis, layout, error) {
	in, err := s.layoutNow(ctx)
	if err != nil {
		return basis{}, in, err
	}
	generation, err := s.deps.Rebuilds.WantedRebuild(ctx, event.TopicEvents)
	if err == nil {
		err = s.readLedger(ctx) // behind the generation: what is made for it leaves out whoever it was asked for
	}
	return basis{Version: feature.Version, Epoch: in.epoch, Generation: generation}, in, err
}

// readBasis reads what a state was made for; known is false for one that nobody has made yet.
func readBasis(db *state.DB) (b basis, known bool, err error) {
	number := func(note string, bits int) (n int64) {
		text, readErr := db.Meta(note)
		if err = errors.Join(err, readErr); text == "" || err != nil {
			return 0
		}
		known = true
		n, parseErr := strconv.ParseInt(text, 10, bits)
		if parseErr != nil {
			err = fmt.Errorf("state note %s: %w", note, parseErr)
		}
		return n
	}
	b = basis{Version: int32(number(noteVersion, 32)), Epoch: number(noteEpoch, 64), Generation: number(noteGeneration, 64)}
	return b, known, err
}

// writeBasis notes what a state was made for.
func writeBasis(db *state.DB, b basis) error {
	note := func(name string, n int64) error { return db.Note(name, strconv.FormatInt(n, 10)) }
	return errors.Join(note(noteVersion, int64(b.Version)), note(noteEpoch, b.Epoch), note(noteGeneration, b.Generation))
}
