package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka"
)

const (
	// hotRate is how many events a second the hot key has, in requests of hotBatch events.
	hotRate  = 5000
	hotBatch = 100
	// hotRounds alternate between calm and hot, so that a machine that slows down slows down both; each has hotProbes
	// clicks of others, hotPace apart.
	hotRounds = 5
	hotProbes = 200
	hotPace   = 10 * time.Millisecond
	// hotFlight is how many of its requests wait for their acknowledgement at once at most.
	hotFlight = 16
	// hotVisitors are those who click beside the hot key.
	hotVisitors = 50
	hotBrowser  = "hot"
)

// hotKey measures how long clicks of others take to become features, from the collector's acknowledgement, while one
// browser floods their partition. The limit is the same without the flood.
func (b *freshnessBench) hotKey(ctx context.Context, progress io.Writer, emit func(benchResult) error) error {
	visitors, err := b.besideHotKey(ctx)
	if err != nil {
		return err
	}
	var calm, hot []float64
	var sent int64
	var flooded time.Duration
	for round := range hotRounds {
		if calm, err = b.probe(ctx, visitors, fmt.Sprintf("calm-%d", round), calm); err != nil {
			return err
		}
		begun := time.Now()
		n, err := b.besideFlood(ctx, func(ctx context.Context) (err error) {
			hot, err = b.probe(ctx, visitors, fmt.Sprintf("flood-%d", round), hot)
			return err
		})
		if err != nil {
			return err
		}
		sent, flooded = sent+n, flooded+time.Since(begun)
		fmt.Fprintf(progress, "%d of %d rounds beside a hot key\n", round+1, hotRounds)
	}
	rate := benchResult{Bench: "freshness", Metric: "hot_key_rate", Value: float64(sent) / flooded.Seconds(), Unit: "events/s"}
	p50 := benchResult{Bench: "freshness", Metric: "beside_hot_key_p50", Value: percentile(hot, 50), Unit: "ms"}
	p99 := benchResult{Bench: "freshness", Metric: "beside_hot_key_p99", Value: percentile(hot, 99), Unit: "ms"}
	const what = "the same without a hot key"
	return errors.Join(emit(rate.against(hotRate, "asked for")), emit(p50.against(percentile(calm, 50), what)), emit(p99.against(percentile(calm, 99), what)))
}

// besideHotKey finds visitors whose events share the hot key's partition.
func (b *freshnessBench) besideHotKey(ctx context.Context) (visitors []string, err error) {
	client, err := kafka.NewClient(kafka.Config{Brokers: []string{b.info.Kafka}, ClientID: "millrace-bench"})
	if err != nil {
		return nil, fmt.Errorf("open kafka client: %w", err)
	}
	defer client.Close()
	ranges, err := client.Offsets(ctx, event.TopicEvents)
	if err != nil {
		return nil, fmt.Errorf("count partitions: %w", err)
	}
	partition := func(browser string) int32 {
		e := event.Event{Site: b.keys.Site, AnonymousID: browser}
		return kafka.PartitionFor([]byte(e.Key()), int32(len(ranges)))
	}
	for n := 0; len(visitors) < hotVisitors; n++ {
		if name := fmt.Sprintf("beside-%d", n); partition(name) == partition(hotBrowser) {
			visitors = append(visitors, name)
		}
	}
	return visitors, nil
}

// probe appends the milliseconds that clicks took.
func (b *freshnessBench) probe(ctx context.Context, visitors []string, name string, times []float64) ([]float64, error) {
	pace := time.NewTicker(hotPace)
	defer pace.Stop()
	for n := range hotProbes {
		<-pace.C
		visitor, item := visitors[n%len(visitors)], fmt.Sprintf("%s-%d", name, n)
		if _, err := b.send(ctx, visitor, item); err != nil {
			return nil, err
		}
		acknowledged := time.Now()
		if err := b.until(ctx, func() (bool, error) { return b.profileShows(ctx, visitor, item) }); err != nil {
			return nil, fmt.Errorf("wait for the profile of click %s: %w", item, err)
		}
		times = append(times, float64(time.Since(acknowledged).Microseconds())/1000)
	}
	return times, nil
}

// besideFlood runs work while one browser sends hotRate events a second, and returns how many were acknowledged.
func (b *freshnessBench) besideFlood(ctx context.Context, work func(context.Context) error) (int64, error) {
	var sent atomic.Int64
	flooding, stop := context.WithCancel(ctx)
	defer stop()
	all, ctx := errgroup.WithContext(ctx)
	posts, posting := errgroup.WithContext(ctx)
	posts.SetLimit(hotFlight)
	all.Go(func() error {
		begun := time.Now()
		tick := time.NewTicker(time.Second * hotBatch / hotRate)
		defer tick.Stop()
		for asked := float64(0); flooding.Err() == nil; {
			if asked >= hotRate*time.Since(begun).Seconds() {
				select {
				case <-flooding.Done():
				case <-tick.C:
				}
				continue
			}
			asked += hotBatch
			posts.Go(func() error {
				defer sent.Add(hotBatch)
				return b.sendHot(posting)
			})
		}
		return posts.Wait()
	})
	all.Go(func() error {
		defer stop()
		return work(ctx)
	})
	err := all.Wait()
	return sent.Load(), err
}

// sendHot posts views of the hot browser.
func (b *freshnessBench) sendHot(ctx context.Context) error {
	now := time.Now().UTC()
	events := make([]map[string]any, hotBatch)
	for i := range events {
		events[i] = map[string]any{"event_id": event.NewID(now), "type": event.ViewItem, "anonymous_id": hotBrowser,
			"item_id": fmt.Sprintf("hot-%d", i), "occurred_at": now}
	}
	return b.call(ctx, "POST", "/v1/events", events, nil)
}
