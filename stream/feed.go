package stream

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

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
	// feedChangeBytes is the size above which a profile is published without its long texts. What then remains has some
	// 380 KiB at worst, when every list is full of the longest ids, and fits into a batch of the producer.
	feedChangeBytes = 256 << 10
)

// FeatureSchema is the schema header of the change feed.
const FeatureSchema = "feature/1"

// Change is the value of a record of the change feed (topic millrace.features): the whole row of a profile or of one
// partition's share of an item, as JSON. The record's key is the row's name without escapes, its partition that of the
// events. (Epoch, Offset) is the position of the event that changed the row last. Per key the last record holds, and after the
// topics have grown, when a key may have records in two partitions, the one of the later epoch; a row that changes often is
// published about once a second.
type Change struct {
	FeatureVersion int32                `json:"feature_version"`
	Epoch          int64                `json:"epoch"`
	Offset         int64                `json:"offset"`
	Trimmed        bool                 `json:"trimmed,omitempty"` // the profile lacks its long texts: see feature.ProfileView.Trim
	Profile        *feature.ProfileView `json:"profile,omitempty"`
	Item           *feature.ItemView    `json:"item,omitempty"`
}

// feed publishes changed rows. The newest row of a key replaces one that still waits.
type feed struct {
	producer Producer
	log      *slog.Logger
	skipped  prometheus.Counter // changes that Kafka does not take
	scratch  bytes.Buffer       // of publish

	turns   // publications; mu guards what follows
	waiting map[string]feedRow
}

type feedRow struct {
	partition int32
	row       onlinestore.Row
}

func newFeed(p Producer, skipped prometheus.Counter, log *slog.Logger) *feed {
	return &feed{producer: p, log: log, skipped: skipped, turns: newTurns("change feed"), waiting: make(map[string]feedRow)}
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

// run publishes until ctx ends. What then waits stands in the outbox of its partition and is published after the next
// start.
func (f *feed) run(ctx context.Context) error { return f.every(ctx, feedInterval, f.publish) }

// publish sends all waiting rows.
func (f *feed) publish(ctx context.Context) error {
	f.mu.Lock()
	f.begun++
	rows := f.waiting
	f.waiting = make(map[string]feedRow)
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

// encodeChange writes a change as JSON that fits into a record. Texts stay as they are: the feed is no web page, and the
// escapes of HTML would make a "<" six times as long.
func encodeChange(c *Change, b *bytes.Buffer) ([]byte, error) {
	b.Reset()
	encoder := json.NewEncoder(b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(c); err != nil {
		return nil, err
	}
	if b.Len() > feedChangeBytes && c.Profile != nil && !c.Trimmed {
		c.Profile.Trim()
		c.Trimmed = true
		return encodeChange(c, b)
	}
	return bytes.Clone(bytes.TrimSuffix(b.Bytes(), []byte("\n"))), nil
}

// changeRecord renders a row for the feed; ok is false for rows that are no feature.
func (f *feed) changeRecord(r feedRow) (record kafka.Record, ok bool, err error) {
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
	value, err := encodeChange(&change, &f.scratch)
	if err != nil {
		return record, false, fmt.Errorf("publish %q: %w", r.row.Key, err)
	}
	// The record's time is when it was published, because the broker's retention counts from it.
	return kafka.Record{Topic: event.TopicFeatures, Partition: r.partition, Time: time.Now(), Key: []byte(key), Value: value,
		Headers: []kafka.Header{{Key: event.HeaderSchema, Value: []byte(FeatureSchema)}}}, true, nil
}
