package stream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/internal/onlinestore"
	"github.com/millrace/millrace/internal/state"
	"github.com/millrace/millrace/lake"
)

// Stages are the steps of a partition's loop one by one, by the functions that the loop itself calls: for a benchmark that
// asks what each of them costs alone. Its state is that of the partition, which must not run meanwhile.
type Stages struct {
	s         *Stream
	id        partitionID
	db        *state.DB
	applier   *applier
	published time.Time // when the feed was published last
}

// OpenStages opens or creates the state of a partition of a stream that does not run. The caller closes it.
func (s *Stream) OpenStages(number int32) (*Stages, error) {
	db, err := s.openLive(number)
	if err != nil {
		return nil, err
	}
	a, err := s.newApplier(db, number)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &Stages{s: s, id: partitionID{event.TopicEvents, number}, db: db, applier: a, published: time.Now()}, nil
}

// Close closes the state.
func (st *Stages) Close() error { return st.db.Close() }

// Decode reads records, all of which must be good events, as rows of the lake.
func (st *Stages) Decode(records []kafka.Record, epoch int64) ([]lake.EventRow, error) {
	rows := make([]lake.EventRow, 0, len(records))
	for i := range records {
		e, poison := decodeEvent(st.applier.reader, &records[i])
		if poison != nil {
			return nil, fmt.Errorf("decode record %d: %s", records[i].Offset, poison.detail)
		}
		rows = append(rows, lake.EventRow{Event: e, At: lake.Position{Topic: st.id.topic, Epoch: epoch,
			Partition: st.id.partition, Offset: records[i].Offset}})
	}
	return rows, nil
}

// Apply removes duplicates, changes the features and commits the state, in batches as the loop does. It returns the rows
// that each batch has to publish, and how many events were duplicates.
func (st *Stages) Apply(events []lake.EventRow) (batches [][]onlinestore.Row, duplicates int, err error) {
	commit := func() error {
		rows, err := st.applier.commit(1)
		batches = append(batches, rows)
		return err
	}
	inBatch := 0
	for i := range events {
		duplicate, err := st.applier.apply(events[i].Event, state.Position{Epoch: events[i].At.Epoch, Offset: events[i].At.Offset})
		if err != nil {
			return nil, 0, err
		}
		if duplicate {
			duplicates++
		}
		if inBatch++; inBatch < batchRecords && !st.applier.full() {
			continue
		}
		if err := commit(); err != nil {
			return nil, 0, err
		}
		inBatch = 0
	}
	return batches, duplicates, commit()
}

// Publish writes the rows of a batch to the online store and to the change feed, which is sent when it would be in the
// loop: after its interval, or when many rows wait.
func (st *Stages) Publish(ctx context.Context, rows []onlinestore.Row) error {
	if err := st.s.deps.Online.Put(ctx, rows); err != nil {
		return fmt.Errorf("write %d rows to the online store: %w", len(rows), err)
	}
	if err := st.s.feed.add(ctx, st.id.partition, rows); err != nil {
		return err
	}
	select {
	case <-st.s.feed.wake:
	default:
		if time.Since(st.published) < feedInterval {
			return nil
		}
	}
	return st.FlushFeed(ctx)
}

// FlushFeed sends what waits in the change feed.
func (st *Stages) FlushFeed(ctx context.Context) error {
	st.published = time.Now()
	return st.s.feed.publish(ctx)
}
