package stream

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/feature"
	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/internal/onlinestore"
)

const (
	// feedInterval is how long changed rows are collected before they are published: a visitor who clicks five times in a
	// second is published once.
	feedInterval = time.Second
	// feedRows is how many changed rows may wait. Above it the partitions wait for the feed; at 2 KiB a row this is 40 MB.
	feedRows = 20_000
	// feedBatchBytes is how much is encoded and produced at once: far below what a producer buffers.
	feedBatchBytes = 4 << 20
)

// FeatureSchema is the schema header of the change feed.
const FeatureSchema = "feature/1"

// Change is the value of a record of the change feed (topic millrace.features): the whole row of a profile or of one
// partition's share of an item, as JSON. The record's key is the row's name without escapes, its partition that of the
// events. (Epoch, Offset) is the position of the event that changed the row last. Per key the last record holds; a row that
// changes often is published about once a second.
type Change struct {
	FeatureVersion int32                `json:"feature_version"`
	Epoch          int64                `json:"epoch"`
	Offset         int64                `json:"offset"`
	Profile        *feature.ProfileView `json:"profile,omitempty"`
	Item           *feature.ItemView    `json:"item,omitempty"`
}

// feed publishes changed rows. The newest row of a key replaces one that still waits.
type feed struct {
	producer Producer
	log      *slog.Logger
	wake     chan struct{}

	mu        sync.Mutex
	waiting   map[string]feedRow
	added     uint64 // rounds begun: rows added now go out in this one
	published uint64 // rounds ended
	changed   chan struct{}
}

type feedRow struct {
	partition int32
	row       onlinestore.Row
}

func newFeed(p Producer, log *slog.Logger) *feed {
	return &feed{producer: p, log: log, wake: make(chan struct{}, 1), waiting: make(map[string]feedRow), changed: make(chan struct{})}
}

// add hands rows over. It waits while too many wait already.
func (f *feed) add(ctx context.Context, partition int32, rows []onlinestore.Row) error {
	for {
		f.mu.Lock()
		if len(f.waiting) < feedRows {
			for _, row := range rows {
				f.waiting[row.Key] = feedRow{partition, row}
			}
			full := len(f.waiting) >= feedRows/2
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

func (f *feed) poke() {
	select {
	case f.wake <- struct{}{}:
	default: // one is asked for already
	}
}

// flush returns when every row added before the call is published.
func (f *feed) flush(ctx context.Context) error {
	f.mu.Lock()
	want := f.added + 1
	f.mu.Unlock()
	for {
		f.mu.Lock()
		done, changed := f.published >= want, f.changed
		f.mu.Unlock()
		if done {
			return nil
		}
		f.poke()
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("flush change feed: %w", ctx.Err())
		}
	}
}

// run publishes until ctx ends. What then waits stands in the outbox of its partition and is published after the next
// start.
func (f *feed) run(ctx context.Context) error {
	ticker := time.NewTicker(feedInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		case <-f.wake:
		}
		if err := f.publish(ctx); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
	}
}

// publish sends all waiting rows.
func (f *feed) publish(ctx context.Context) error {
	f.mu.Lock()
	f.added++
	rows := f.waiting
	f.waiting = make(map[string]feedRow)
	f.broadcast()
	f.mu.Unlock()

	var records []kafka.Record
	bytes := 0
	for _, r := range rows {
		record, ok, err := changeRecord(r)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		records, bytes = append(records, record), bytes+len(record.Value)
		if bytes >= feedBatchBytes {
			if err := f.send(ctx, records); err != nil {
				return err
			}
			records, bytes = records[:0], 0
		}
	}
	if err := f.send(ctx, records); err != nil {
		return err
	}
	f.mu.Lock()
	f.published = f.added
	f.broadcast()
	f.mu.Unlock()
	return nil
}

func (f *feed) broadcast() {
	close(f.changed)
	f.changed = make(chan struct{})
}

// send produces records, again and again while Kafka is out of reach: nothing else of the stream would go on either.
func (f *feed) send(ctx context.Context, records []kafka.Record) error {
	if len(records) == 0 {
		return nil
	}
	pause := retryMin
	for {
		err := f.producer.Produce(ctx, records)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		f.log.Warn("change feed is behind", "error", err, "pause", pause)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
		pause = min(2*pause, retryMax)
	}
}

// changeRecord renders a row for the feed; ok is false for rows that are no feature.
func changeRecord(r feedRow) (record kafka.Record, ok bool, err error) {
	change := Change{FeatureVersion: r.row.Version, Epoch: r.row.Epoch, Offset: r.row.Offset}
	var key string
	switch {
	case strings.HasPrefix(r.row.Key, "p/"):
		partial, err := onlinestore.ParseProfileKey(r.row.Key)
		if err != nil {
			return record, false, err
		}
		profile, err := feature.DecodeProfile(r.row.Value)
		if err != nil {
			return record, false, fmt.Errorf("publish %q: %w", r.row.Key, err)
		}
		key = partial.Site + ":" + partial.Kind + ":" + partial.ID + ":" + strconv.FormatInt(partial.N, 10)
		view := profile.View(key)
		change.Profile = &view
	case strings.HasPrefix(r.row.Key, "i/"):
		share, err := onlinestore.ParseItemKey(r.row.Key)
		if err != nil {
			return record, false, err
		}
		item, err := feature.DecodeItemAggregate(r.row.Value)
		if err != nil {
			return record, false, fmt.Errorf("publish %q: %w", r.row.Key, err)
		}
		key = share.Site + ":i:" + share.Item + ":" + strconv.Itoa(int(share.Partition))
		view := item.View(share.Item)
		change.Item = &view
	default:
		return record, false, nil
	}
	value, err := json.Marshal(change)
	if err != nil {
		return record, false, fmt.Errorf("publish %q: %w", r.row.Key, err)
	}
	// The record's time is when it was published, because the broker's retention counts from it.
	return kafka.Record{Topic: event.TopicFeatures, Partition: r.partition, Time: time.Now(), Key: []byte(key), Value: value,
		Headers: []kafka.Header{{Key: event.HeaderSchema, Value: []byte(FeatureSchema)}}}, true, nil
}
