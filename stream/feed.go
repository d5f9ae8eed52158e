package stream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/internal/onlinestore"
)

const (
	// feedInterval is how long changed rows are collected before they are published: a visitor who clicks five times in a
	// second is published once.
	feedInterval = time.Second
	// feedBytes is what changed rows may weigh that wait. Above it the partitions wait for the feed, and at half of it they
	// are published before the interval is over: what a core changes in a second while it works off a backlog has its place.
	feedBytes = 64 << 20
	// feedRowBytes is what a row weighs beside its value: its key, its place in the map.
	feedRowBytes = 200
	// feedBatchBytes is how much is encoded and produced at once: far below what a producer buffers.
	feedBatchBytes = 4 << 20
)

// feed publishes changed rows. The newest row of a key replaces one that still waits.
type feed struct {
	producer Producer
	log      *slog.Logger
	skipped  prometheus.Counter // changes that Kafka does not take
	change   change             // memory of publish
	scratch  []byte             // likewise

	turns   // publications; mu guards what follows
	waiting map[string]feedRow
	weight  int // of waiting, in bytes
}

type feedRow struct {
	partition int32
	row       onlinestore.Row
}

// put keeps a row in the place of an older one. The caller holds mu.
func (f *feed) put(r feedRow) {
	if old, ok := f.waiting[r.row.Key]; ok {
		f.weight += len(r.row.Value) - len(old.row.Value)
	} else {
		f.weight += len(r.row.Value) + feedRowBytes
	}
	f.waiting[r.row.Key] = r
}

func newFeed(p Producer, skipped prometheus.Counter, log *slog.Logger) *feed {
	return &feed{producer: p, log: log, skipped: skipped, turns: newTurns("change feed"), waiting: make(map[string]feedRow)}
}

// add hands rows over. It waits while too many wait already.
func (f *feed) add(ctx context.Context, partition int32, rows []onlinestore.Row) error {
	for {
		f.mu.Lock()
		if f.weight < feedBytes {
			for _, row := range rows {
				f.put(feedRow{partition, row})
			}
			full := f.weight >= feedBytes/2
			f.mu.Unlock()
			if full {
				f.poke()
			}
			return nil
		}
		changed := f.changed
		f.mu.Unlock()
		f.poke()
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// run publishes until ctx ends. What then waits stands in the outbox of its partition and is published after the next
// start.
func (f *feed) run(ctx context.Context) error { return f.every(ctx, feedInterval, f.publish) }

// publish sends all waiting rows.
func (f *feed) publish(ctx context.Context) error {
	f.mu.Lock()
	f.begun++
	rows := f.waiting
	f.waiting, f.weight = make(map[string]feedRow), 0
	f.broadcast()
	f.mu.Unlock()

	var records []kafka.Record
	size := 0
	for _, r := range rows {
		record, ok, err := f.changeRecord(r)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		records, size = append(records, record), size+len(record.Value)
		if size >= feedBatchBytes {
			if err := f.send(ctx, records); err != nil {
				return err
			}
			records, size = records[:0], 0
		}
	}
	if err := f.send(ctx, records); err != nil {
		return err
	}
	f.mu.Lock()
	f.finish()
	f.mu.Unlock()
	return nil
}

// send produces records, again and again while Kafka is out of reach: nothing else of the stream would go on either. A
// record that Kafka will never take is left out: the feed is not the base of anything, and one row must not hold up all.
// Halving finds it; what is then sent twice does no harm, because per key the last record holds.
func (f *feed) send(ctx context.Context, records []kafka.Record) error {
	if len(records) == 0 {
		return nil
	}
	err := produce(ctx, f.producer, f.log, records)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, kafka.ErrProducerClosed):
		return fmt.Errorf("publish changes: %w", err)
	case len(records) == 1:
		f.skipped.Inc()
		f.log.Error("a change cannot be published and is left out of the feed", "key", string(records[0].Key),
			"bytes", len(records[0].Value), "error", err)
		return nil
	}
	half := len(records) / 2
	if err := f.send(ctx, records[:half]); err != nil {
		return err
	}
	return f.send(ctx, records[half:])
}

// changeRecord renders a row for the feed; ok is false for rows that are no feature.
func (f *feed) changeRecord(r feedRow) (record kafka.Record, ok bool, err error) {
	if ok, err = f.change.read(r.row); err != nil {
		return record, false, fmt.Errorf("publish %q: %w", r.row.Key, err)
	}
	if !ok {
		return record, false, nil
	}
	f.scratch = f.change.append(f.scratch[:0])
	// The record's time is when it was published, because the broker's retention counts from it.
	return kafka.Record{Topic: event.TopicFeatures, Partition: r.partition, Time: time.Now(), Key: []byte(f.change.key), Value: bytes.Clone(f.scratch),
		Headers: []kafka.Header{{Key: event.HeaderSchema, Value: []byte(FeatureSchema)}}}, true, nil
}
