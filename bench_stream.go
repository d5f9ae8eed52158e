package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/stream"
)

const (
	streamEvents  = 60_000 // more than one commit of the lake takes
	streamRounds  = 5      // the median counts
	streamProduce = 1_000  // records of one call of the producer, which fills the log before anything is measured
)

// benchStream measures how many events a second one core takes from the log to landed rows and published features: broker,
// lake and stores of `up` on one partition, every feature, de-duplication and publication on. Its limit is what the stages
// allow that are measured one after the other in the same round: 1 / (1/fetch + 1/decode + 1/state + 1/landing + 1/publish).
func benchStream(ctx context.Context, progress io.Writer, emit func(benchResult) error) error {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	rates := make(map[string][]float64)
	for round := range streamRounds {
		seconds, err := streamRound(ctx, uint64(round))
		if err != nil {
			return err
		}
		stages := 0.0
		for _, stage := range streamStages {
			stages += seconds[stage]
			rates[stage] = append(rates[stage], streamEvents/seconds[stage])
		}
		rates[streamLimit] = append(rates[streamLimit], streamEvents/stages)
		rates[streamWhole] = append(rates[streamWhole], streamEvents/seconds[streamWhole])
		fmt.Fprintf(progress, "round %d of %d: %.0f events/s, stages allow %.0f\n", round+1, streamRounds,
			rates[streamWhole][round], rates[streamLimit][round])
	}
	whole := benchResult{Bench: "stream", Metric: "events_per_second", Value: median(rates[streamWhole]), Unit: "events/s"}
	if err := emit(whole.against(median(rates[streamLimit]), "the stages one after the other")); err != nil {
		return err
	}
	for _, stage := range streamStages {
		alone := benchResult{Bench: "stream", Metric: stage + "_events_per_second", Value: median(rates[stage]), Unit: "events/s"}
		if err := emit(alone.against(median(rates[stageFetch]), "raw fetch alone")); err != nil {
			return err
		}
	}
	return nil
}

// What is timed in a round.
const (
	streamWhole  = "whole"
	streamLimit  = "limit"
	stageFetch   = "fetch"
	stageDecode  = "decode"
	stageState   = "state"
	stageLanding = "landing"
	stagePublish = "publish"
)

var streamStages = []string{stageFetch, stageDecode, stageState, stageLanding, stagePublish}

// streamRound fills a fresh log and takes it twice: by the whole stream, and stage by stage into stores of their own.
func streamRound(ctx context.Context, seed uint64) (seconds map[string]float64, err error) {
	dir, err := os.MkdirTemp("", "millrace-bench-stream-")
	if err != nil {
		return nil, fmt.Errorf("make bench directory: %w", err)
	}
	defer os.RemoveAll(dir)
	cfg, err := loadConfig("", nil, map[string]any{"data_dir": dir, "broker.partitions": 1})
	if err != nil {
		return nil, err
	}
	cfg.KafkaListen = anyLoopbackPort
	store, err := openStorage(ctx, cfg, slog.New(slog.DiscardHandler), roleStream.needs())
	if err != nil {
		return nil, err
	}
	defer func() { err = joinClose(err, store) }()
	if err := store.ensureTopics(ctx); err != nil {
		return nil, err
	}
	producer := kafka.NewProducer(store.kafka, kafka.ProducerConfig{})
	seconds = make(map[string]float64)
	err = alongside(ctx, producer.Run, func(ctx context.Context) error {
		// A state that is made over a full log takes all of it without publishing. The one to be measured stands before that.
		if _, err := timeWholeStream(ctx, store, producer); err != nil {
			return err
		}
		if err := fillLog(ctx, producer, seed); err != nil {
			return err
		}
		if seconds[streamWhole], err = timeWholeStream(ctx, store, producer); err != nil {
			return err
		}
		apart, err := newStageBench(ctx, filepath.Join(dir, "apart"), store, producer)
		if err != nil {
			return err
		}
		return joinClose(apart.run(ctx, seconds), apart)
	})
	return seconds, err
}

func fillLog(ctx context.Context, producer *kafka.Producer, seed uint64) error {
	sample := newShopSample(seed)
	for done := 0; done < streamEvents; done += streamProduce {
		records, err := sample.records(streamProduce)
		if err != nil {
			return err
		}
		if err := producer.Produce(ctx, records); err != nil {
			return fmt.Errorf("fill the log: %w", err)
		}
	}
	return nil
}

// timeWholeStream runs the stream until all of the log is applied, published, landed and durable.
func timeWholeStream(ctx context.Context, store *storage, producer *kafka.Producer) (seconds float64, err error) {
	s, err := stream.New(stream.Config{StateDir: store.cfg.path("state"), CommitInterval: store.cfg.Stream.CommitInterval,
		CommitBytes: store.cfg.Stream.CommitBytes}, streamDeps(store, producer))
	if err != nil {
		return 0, err
	}
	defer s.Close()
	runtime.GC()
	start := time.Now()
	err = alongside(ctx, s.Run, s.Drained)
	return time.Since(start).Seconds(), err
}

func streamDeps(store *storage, producer *kafka.Producer) stream.Deps {
	return stream.Deps{Log: store.kafka, Assigner: onePartition{}, Producer: producer, Lake: store.lake, Epochs: store.control,
		Replays: store.control, Rebuilds: store.control, Online: store.online, CatchUp: store.catchUp}
}

// onePartition assigns the only partition of each topic at once: a group takes seconds to form, whatever it then does.
type onePartition struct{}

func (onePartition) Run(ctx context.Context, handle kafka.Handler) error {
	all, ctx := errgroup.WithContext(ctx)
	for _, topic := range stream.Topics() {
		all.Go(func() error { return handle(ctx, topic, 0, func(int64) {}) })
	}
	return all.Wait()
}

// fetchAll reads the events topic from begin to end and gives each result to use.
func fetchAll(ctx context.Context, client *kafka.Client, use func(kafka.FetchResult) error) error {
	for next := int64(0); next < streamEvents; {
		res, err := client.Fetch(ctx, kafka.FetchRequest{Topic: event.TopicEvents, Offset: next})
		if err != nil {
			return err
		}
		if res.Next == next {
			return errors.New("the log ends before its events do")
		}
		next = res.Next
		if err := use(res); err != nil {
			return err
		}
	}
	return nil
}
