package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/internal/onlinestore"
	"github.com/millrace/millrace/lake"
	"github.com/millrace/millrace/stream"
)

// stageChunk is how many events go through a stage before the next stage gets them: many batches, so that the time of a
// stage is its own, and few enough that their rows fit into memory beside each other.
const stageChunk = 20_000

// stageBench takes the log stage by stage, into stores of its own. No stage runs beside another.
type stageBench struct {
	log     *kafka.Client
	epoch   int64
	lake    *lake.Lake
	online  *onlinestore.Embedded
	stream  *stream.Stream
	stages  *stream.Stages
	waiting []lake.EventRow // for a landing as large as the stream's
	bytes   int             // of their records
	commit  int             // bytes that start a landing
	from    int64
}

func newStageBench(ctx context.Context, dir string, store *storage, producer *kafka.Producer) (b *stageBench, err error) {
	b = &stageBench{log: store.kafka, commit: store.cfg.Stream.CommitBytes}
	defer func() {
		if err != nil {
			err = joinClose(err, b)
		}
	}()
	epoch, _, err := store.control.TopicEpoch(ctx, event.TopicEvents)
	if err != nil {
		return nil, err
	}
	b.epoch = epoch.Epoch
	if b.lake, err = lake.Open(ctx, lake.Config{Dir: filepath.Join(dir, "lake")}); err != nil {
		return b, err
	}
	if b.online, err = onlinestore.OpenEmbedded(onlinestore.EmbeddedConfig{Dir: filepath.Join(dir, "online")}); err != nil {
		return b, err
	}
	deps := streamDeps(store, producer)
	deps.Lake, deps.Online = b.lake, b.online
	if b.stream, err = stream.New(stream.Config{StateDir: filepath.Join(dir, "state")}, deps); err != nil {
		return b, err
	}
	b.stages, err = b.stream.OpenStages(0)
	return b, err
}

// Close closes what was opened.
func (b *stageBench) Close() (err error) {
	if b.stages != nil {
		err = errors.Join(err, b.stages.Close())
	}
	if b.stream != nil {
		b.stream.Close()
	}
	if b.online != nil {
		err = errors.Join(err, b.online.Close())
	}
	if b.lake != nil {
		err = errors.Join(err, b.lake.Close())
	}
	return err
}

// run adds to seconds what each stage takes for all events.
func (b *stageBench) run(ctx context.Context, seconds map[string]float64) error {
	timed := func(stage string, f func() error) error {
		start := time.Now()
		err := f()
		seconds[stage] += time.Since(start).Seconds()
		return err
	}
	if err := timed(stageFetch, func() error {
		return fetchAll(ctx, b.log, func(res kafka.FetchResult) error { res.Release(); return nil })
	}); err != nil {
		return err
	}
	var chunk []kafka.Record
	if err := fetchAll(ctx, b.log, func(res kafka.FetchResult) error {
		if chunk = append(chunk, res.Records...); len(chunk) < stageChunk {
			return nil
		}
		records := chunk
		chunk = nil
		return b.take(ctx, records, timed)
	}); err != nil {
		return err
	}
	if err := b.take(ctx, chunk, timed); err != nil {
		return err
	}
	if err := timed(stagePublish, func() error { return b.stages.FlushFeed(ctx) }); err != nil {
		return err
	}
	return timed(stageLanding, func() error { return b.land(ctx) })
}

// take brings records through the stages, each timed by itself.
func (b *stageBench) take(ctx context.Context, records []kafka.Record, timed func(string, func() error) error) error {
	var rows []lake.EventRow
	if err := timed(stageDecode, func() (err error) {
		rows, err = b.stages.Decode(records, b.epoch)
		return err
	}); err != nil {
		return err
	}
	var batches [][]onlinestore.Row
	duplicates := 0
	if err := timed(stageState, func() (err error) {
		batches, duplicates, err = b.stages.Apply(rows)
		return err
	}); err != nil {
		return err
	}
	if len(rows) > 0 && duplicates == 0 {
		return fmt.Errorf("%d events hold no duplicate", len(rows))
	}
	if err := timed(stagePublish, func() error {
		for _, batch := range batches {
			if err := b.stages.Publish(ctx, batch); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		return err
	}
	b.waiting = append(b.waiting, rows...)
	for i := range records {
		b.bytes += len(records[i].Value)
	}
	if b.bytes < b.commit {
		return nil
	}
	return timed(stageLanding, func() error { return b.land(ctx) })
}

// land commits what waits.
func (b *stageBench) land(ctx context.Context) error {
	if len(b.waiting) == 0 {
		return nil
	}
	next := b.waiting[len(b.waiting)-1].At.Offset + 1
	err := b.lake.Commit(ctx, lake.Landing{Events: b.waiting, Fences: []lake.Fence{{Topic: event.TopicEvents, Epoch: b.epoch,
		Partition: 0, From: b.from, Next: next}}})
	b.waiting, b.bytes, b.from = nil, 0, next
	return err
}
